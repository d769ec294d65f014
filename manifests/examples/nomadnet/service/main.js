// A gateway, a service or a front end of NomadNet. `node main.js --smoke` starts up as always, up to the point where it would
// listen, and ends: does this image work with this configuration?
'use strict';
const http = require('http');
const net = require('net');

const { SERVICE: service = 'service', VERSION: version = '0', BROKER, API } = process.env;

/// One line to the broker, and its answer.
function broker(line) {
  return new Promise((done, failed) => {
    const [host, port] = BROKER.split(':');
    const socket = net.connect(Number(port), host, () => socket.write(`${line}\n`));
    let said = '';
    socket.setTimeout(5000, () => socket.destroy(new Error('the broker does not answer')));
    socket.on('data', (data) => { said += data; });
    socket.on('end', () => done(said.trimEnd()));
    socket.on('error', failed);
  });
}

/// While a replica gets or loses its name it is off its networks for a moment, and what it calls may be stopping: try again.
async function again(attempt) {
  for (let count = 1; ; count += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (count === 20) throw error;
      await new Promise((later) => setTimeout(later, 100));
    }
  }
}

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
}

/// Of a gateway: /api/NAME/… is for the service of that name.
async function forwarded(request, path) {
  const [, name, rest] = path.match(/^\/api\/([a-z]+)\/(.*)$/);
  const content = request.method === 'POST' ? await body(request) : undefined;
  const call = () => fetch(`http://${name}:3000/${rest}`, { method: request.method, body: content });
  // What changes something is never sent twice.
  const answer = await (content === undefined ? again(call) : call());
  return [answer.status, await answer.text(), answer.headers.get('x-version')];
}

async function route(request) {
  const { pathname, searchParams } = new URL(request.url, 'http://service');
  if (pathname === '/health') return [200, 'ok'];
  if (service === 'gateway' && /^\/api\/[a-z]+\//.test(pathname)) return forwarded(request, request.url);
  if (pathname === '/slow') {
    console.log(`${request.url} is under way`);
    await new Promise((later) => setTimeout(later, Number(searchParams.get('ms'))));
    return [200, `${service} ${version} took its time`];
  }
  if (pathname === '/events' && request.method === 'POST') {
    const message = await body(request);
    return [201, await again(() => broker(`PUT ${service} ${message}`))];
  }
  if (pathname === '/events') return [200, await again(() => broker(`GET ${service}`))];
  if (API) {
    const answer = await again(() => fetch(`${API}/health`));
    return [answer.status, `<title>${service}</title><p>version ${version}, API ${answer.ok ? 'up' : 'down'}</p>`];
  }
  return [200, `${service} ${version}`];
}

async function main() {
  if (BROKER) await again(() => broker('HELLO'));
  if (process.argv[2] === '--smoke') return console.log(`${service} ${version} can start`);
  const server = http.createServer(async (request, response) => {
    const [status, text, by] = await route(request).catch((error) => [502, error.message]);
    if (!server.listening) response.setHeader('Connection', 'close');
    response.writeHead(status, { 'X-Version': by || version });
    response.end(text);
  });
  server.keepAliveTimeout = 60000;
  server.listen(3000, () => console.log(`${service} ${version} listens`));
  process.on('SIGTERM', () => {
    console.log('SIGTERM: what is under way is finished');
    server.close(() => {
      console.log('all is finished');
      process.exit(0);
    });
    server.closeIdleConnections();
  });
}

main();
