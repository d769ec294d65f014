// Bot-Mox's API: notes in PostgreSQL, files through Storage, and a WebSocket that echoes. `node api.js migrate` brings the
// schema up to what this version needs. VERSION is the image's.
'use strict';
const http = require('http');
const { Pool } = require('pg');
const { accept, frame, parse } = require('./websocket.js');

const { VERSION: version = '0', DATABASE_URL, STORAGE_URL } = process.env;
/// What versions have added; an old version goes on with the schema of a newer one.
const MIGRATIONS = [
  'CREATE TABLE notes (id bigserial PRIMARY KEY, text text NOT NULL); GRANT SELECT ON notes TO anon',
];

if (!DATABASE_URL || !STORAGE_URL) {
  console.error('DATABASE_URL and STORAGE_URL have to be set');
  process.exit(1);
}

// Connections are kept: one that is open survives that this replica gets or loses its name, one that is being opened just then may
// hang. Half a second is long for a database next door.
const pool = new Pool({ connectionString: DATABASE_URL, max: 8, idleTimeoutMillis: 0, connectionTimeoutMillis: 500 });
pool.on('error', (error) => console.error(`database: ${error.message}`));

async function migrate() {
  const client = await again(() => pool.connect());
  await client.query('CREATE TABLE IF NOT EXISTS migrations (id int PRIMARY KEY, version text NOT NULL)');
  const { rows } = await client.query('SELECT coalesce(max(id), 0) AS done FROM migrations');
  for (let id = rows[0].done + 1; id <= MIGRATIONS.length; id += 1) {
    await client.query('BEGIN');
    await client.query(MIGRATIONS[id - 1]);
    await client.query('INSERT INTO migrations VALUES ($1, $2)', [id, version]);
    await client.query('COMMIT');
    console.log(`migration ${id} is done`);
  }
  console.log(`the schema is what version ${version} needs`);
  client.release();
  await pool.end();
}

/// Whether nothing was sent yet: there was no connection to send it on.
function couldNotConnect(error) {
  const codes = ['EAI_AGAIN', 'ENOTFOUND', 'ENETUNREACH', 'EHOSTUNREACH', 'ETIMEDOUT'];
  return codes.includes(error.code) || /timeout exceeded when trying to connect|connection timeout/.test(error.message);
}

/// While a replica gets or loses its name it is off its networks for a moment: what could not connect tries again.
async function again(work) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (attempt === 10 || !couldNotConnect(error)) throw error;
      await new Promise((later) => setTimeout(later, 100));
    }
  }
}

const query = (text, values) => again(() => pool.query(text, values));

async function health() {
  try {
    const { rows } = await query('SELECT max(id) AS schema FROM migrations');
    return [200, { status: 'ok', version, database: 'up', schema: rows[0].schema }];
  } catch (error) {
    return [503, { status: 'error', version, database: error.message }];
  }
}

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts);
}

async function route(request) {
  const { pathname } = new URL(request.url, 'http://api');
  if (pathname === '/api/v1/health') return health();
  if (pathname === '/api/v1/notes' && request.method === 'POST') {
    const added = await query('INSERT INTO notes (text) VALUES ($1) RETURNING id', [(await body(request)).toString()]);
    return [201, added.rows[0]];
  }
  if (pathname === '/api/v1/notes') return [200, (await query('SELECT * FROM notes ORDER BY id')).rows];
  if (pathname.startsWith('/api/v1/files/')) {
    const stored = await fetch(`${STORAGE_URL}/object/${pathname.split('/').pop()}`, {
      method: request.method,
      body: request.method === 'POST' ? await body(request) : undefined,
    });
    return [stored.status, Buffer.from(await stored.arrayBuffer())];
  }
  return [404, { error: 'not found' }];
}

function serve() {
  const sockets = new Set();
  const server = http.createServer(async (request, response) => {
    const [status, content] = await route(request).catch((error) => {
      console.error(`${request.method} ${request.url}: ${error.message}`);
      return [500, { error: error.message }];
    });
    const raw = Buffer.isBuffer(content);
    if (!server.listening) response.setHeader('Connection', 'close');
    response.writeHead(status, { 'Content-Type': raw ? 'application/octet-stream' : 'application/json', 'X-Version': version });
    response.end(raw ? content : JSON.stringify(content));
  });
  server.on('upgrade', (request, socket) => {
    accept(request, socket);
    sockets.add(socket);
    socket.on('data', (data) => socket.write(frame(`${version}: ${parse(data)}`)));
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => sockets.delete(socket));
  });
  server.keepAliveTimeout = 60000;
  server.listen(3000, () => console.log(`version ${version} listens`));
  process.on('SIGTERM', () => {
    console.log(`version ${version} stops: ${sockets.size} WebSockets are told to go away`);
    // 1001: going away. Clients connect again, to somebody else.
    for (const socket of sockets) socket.end(Buffer.from([0x88, 2, 0x03, 0xe9]));
    server.close(async () => {
      await pool.end();
      process.exit(0);
    });
    server.closeIdleConnections();
  });
}

if (process.argv[2] === 'migrate') {
  migrate().catch((error) => {
    console.error(error.message);
    process.exit(1);
  });
} else {
  serve();
}
