// Stand-ins for MinIO (`minio.js minio server DIR`) and its client (`minio.js mc COMMAND…`): buckets are directories, objects
// files. Ports, health paths, environment and signals are MinIO's; the protocol between the two is plain HTTP with a password
// instead of S3's signatures.
'use strict';
const fs = require('fs');
const http = require('http');
const path = require('path');

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

function minio([command, directory]) {
  if (command !== 'server' || !directory) return fail('usage: minio server DIR');
  const { MINIO_ROOT_USER: user = 'minioadmin', MINIO_ROOT_PASSWORD: password = 'minioadmin' } = process.env;
  if (user.length < 3 || password.length < 8) {
    return fail('FATAL Unable to validate credentials: user at least 3, password at least 8 characters');
  }
  const expected = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  fs.mkdirSync(directory, { recursive: true });
  const server = http.createServer((request, response) => {
    const answer = (status, body = '') => response.writeHead(status).end(body);
    if (request.url.startsWith('/minio/health/')) {
      return answer(fs.existsSync(directory) ? 200 : 503);
    }
    if (request.headers.authorization !== expected) return answer(403, 'AccessDenied');
    const [, bucket, key, ...more] = request.url.split('/');
    if (!NAME.test(bucket) || (key && !NAME.test(key)) || more.length > 0) return answer(400, 'InvalidRequest');
    const home = path.join(directory, bucket);
    if (!key && request.method === 'PUT') {
      if (fs.existsSync(home)) return answer(409, 'BucketAlreadyOwnedByYou');
      fs.mkdirSync(home);
      return answer(200);
    }
    if (!fs.existsSync(home)) return answer(404, 'NoSuchBucket');
    if (!key) return answer(200, JSON.stringify(fs.readdirSync(home).filter((name) => NAME.test(name)).sort()));
    const file = path.join(home, key);
    if (request.method === 'PUT') {
      const part = path.join(home, `~${process.hrtime.bigint()}`);
      const written = fs.createWriteStream(part);
      return request.pipe(written).on('finish', () => {
        fs.renameSync(part, file);
        answer(200);
      });
    }
    if (!fs.existsSync(file)) return answer(404, 'NoSuchKey');
    answer(200, fs.readFileSync(file));
  });
  server.listen(9000, () => console.log('API: http://0.0.0.0:9000'));
  process.on('SIGTERM', () => {
    console.log('Exiting on signal: TERMINATED');
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}

/// `mc mb --ignore-existing ALIAS/BUCKET`, `mc mirror [--overwrite] FROM TO`; ALIAS comes from MC_HOST_ALIAS, as in the real one.
async function mc(words) {
  const options = words.filter((word) => word.startsWith('--'));
  const [command, ...targets] = words.filter((word) => !word.startsWith('--'));
  if (command === 'mb') {
    const made = await remote(targets[0])('PUT', '');
    if (made.status === 409 && options.includes('--ignore-existing')) return console.log(`Bucket exists: ${targets[0]}`);
    if (!made.ok) return fail(`mc: <ERROR> Unable to make bucket ${targets[0]}: ${made.status}`);
    return console.log(`Bucket created successfully: ${targets[0]}`);
  }
  if (command !== 'mirror' || targets.length !== 2) return fail(`mc: <ERROR> ${words.join(' ')} is not a command of the stand-in`);
  const [from, to] = targets.map((target) => (target.startsWith('/') ? local(target) : bucket(target)));
  const names = await from.list();
  for (const name of names) await to.put(name, await from.get(name));
  console.log(`${names.length} objects mirrored to ${targets[1]}`);
}

function remote(target) {
  const [alias, name] = target.split('/');
  const host = process.env[`MC_HOST_${alias}`];
  if (!host) fail(`mc: <ERROR> MC_HOST_${alias} is not set`);
  const url = new URL(host);
  const authorization = `Basic ${Buffer.from(`${url.username}:${url.password}`).toString('base64')}`;
  return (method, key, body) => fetch(`${url.origin}/${name}${key && '/'}${key}`, { method, body, headers: { authorization } });
}

function bucket(target) {
  const call = remote(target);
  const ok = async (...words) => {
    const response = await call(...words);
    if (!response.ok) throw new Error(`${words[0]} ${target}/${words[1]}: ${response.status} ${await response.text()}`);
    return response;
  };
  return {
    list: async () => (await ok('GET', '')).json(),
    get: async (name) => Buffer.from(await (await ok('GET', name)).arrayBuffer()),
    put: (name, content) => ok('PUT', name, content),
  };
}

function local(directory) {
  return {
    list: async () => fs.readdirSync(directory).filter((name) => NAME.test(name)).sort(),
    get: async (name) => fs.readFileSync(path.join(directory, name)),
    put: async (name, content) => {
      fs.mkdirSync(directory, { recursive: true });
      fs.writeFileSync(path.join(directory, name), content);
    },
  };
}

function fail(message) {
  console.error(message);
  process.exit(1);
}

const [program, ...words] = process.argv.slice(2);
Promise.resolve(({ minio, mc })[program](words)).catch((error) => fail(`${program}: <ERROR> ${error.message}`));
