// The stand-in application: tickets in MariaDB. On SIGTERM it stops accepting and finishes what is in flight.
'use strict';
const http = require('http');
const database = require('./database');

const version = process.env.VERSION;

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
}

async function answer(request) {
  switch (`${request.method} ${request.url}`) {
    case 'GET /healthz':
      await database.query('SELECT 1 FROM tickets LIMIT 1');
      return [200, `version ${version}\n`];
    case 'GET /tickets': {
      const rows = await database.query('SELECT title FROM tickets ORDER BY id');
      return [200, JSON.stringify(rows.map((row) => row.title))];
    }
    case 'POST /tickets':
      await database.query('INSERT INTO tickets (title) VALUES (?)', [await body(request)]);
      return [201, 'written\n'];
    default:
      return [404, 'there is no such path\n'];
  }
}

const server = http.createServer(async (request, response) => {
  const [status, text] = await answer(request).catch((error) => [503, `${error.message}\n`]);
  response.writeHead(status, { 'X-Version': version });
  response.end(text);
});
server.listen(3000, () => console.log(`version ${version} listens`));

process.on('SIGTERM', () => {
  console.log(`version ${version} stops`);
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
