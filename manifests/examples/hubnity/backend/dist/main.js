// The stand-in backend: notes in PostgreSQL, a counter in Redis, uploads in files. It answers 503 until it has warmed up
// (WARMUP seconds) and while a database is away, and on SIGTERM it stops accepting and finishes what is in flight.
'use strict';
const fs = require('fs');
const http = require('http');
const path = require('path');
const { Pool } = require('pg');
const redis = require('redis');

const version = process.env.VERSION;
const warmAt = Date.now() + Number(process.env.WARMUP || '0') * 1000;
const uploads = path.join(__dirname, '../uploads');

const database = new Pool({ connectionString: process.env.DATABASE_URL, max: 5, connectionTimeoutMillis: 2000 });
database.on('error', (error) => console.error(`database: ${error.message}`));
const cache = redis.createClient({ url: process.env.REDIS_URL, disableOfflineQueue: true });
cache.on('error', (error) => console.error(`redis: ${error.message}`));
cache.connect();

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts);
}

// Each returns a status and what is answered.
const routes = {
  'GET /api/v1/': async () => {
    await Promise.all([database.query('SELECT count(*) FROM notes'), cache.ping()]);
    return [200, `version ${version}\n`];
  },
  'GET /api/v1/alive': async () => [200, 'alive\n'],
  'GET /api/v1/health': async () => {
    await Promise.all([database.query('SELECT 1'), cache.ping()]);
    return [200, JSON.stringify({ version, database: 'up', redis: 'up' })];
  },
  'GET /api/v1/notes': async () => {
    const [{ rows }, reads] = await Promise.all([database.query('SELECT text FROM notes ORDER BY id'), cache.incr('reads')]);
    return [200, JSON.stringify({ notes: rows.map((row) => row.text), reads })];
  },
  'POST /api/v1/notes': async (request) => {
    await database.query('INSERT INTO notes (text) VALUES ($1)', [(await body(request)).toString()]);
    return [201, 'written\n'];
  },
  'GET /api/v1/uploads/': async (request, name) => [200, await fs.promises.readFile(path.join(uploads, name))],
  'PUT /api/v1/uploads/': async (request, name) => {
    await fs.promises.writeFile(path.join(uploads, name), await body(request));
    return [201, 'kept\n'];
  },
};

async function answer(request) {
  const [, where, name] = /^(\/api\/v1\/uploads\/)?(.*)$/.exec(request.url);
  const route = routes[`${request.method} ${where || request.url}`];
  if (!route) return [404, 'there is no such path\n'];
  if (Date.now() < warmAt && request.url !== '/api/v1/alive') return [503, 'warming up\n'];
  try {
    return await route(request, path.basename(name));
  } catch (error) {
    console.error(`${request.method} ${request.url}: ${error.message}`);
    return [503, `${error.message}\n`];
  }
}

const server = http.createServer(async (request, response) => {
  const [status, text] = await answer(request);
  response.writeHead(status, { 'X-Version': version });
  response.end(text);
});
server.keepAliveTimeout = 60000;
server.listen(3001, () => console.log(`version ${version} listens`));

process.on('SIGTERM', () => {
  console.log(`version ${version} stops`);
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
