// Stand-ins for Supabase's services, with their ports, health paths, needed environment and signals, and as much of their
// work as a test of the deployment needs: `node supabase.js postgrest|gotrue|storage`.
'use strict';
const http = require('http');
const { Pool } = require('pg');

/// Ends as these programs do when something that they need is not set.
function needed(...names) {
  const missing = names.filter((name) => !process.env[name]);
  if (missing.length > 0) {
    console.error(`required key ${missing[0]} missing value`);
    process.exit(1);
  }
}

function database(url) {
  const pool = new Pool({ connectionString: url, max: 4, connectionTimeoutMillis: 2000 });
  // A connection that breaks while idle is replaced at the next query.
  pool.on('error', (error) => console.error(`database: ${error.message}`));
  return pool;
}

function serve(name, port, handle) {
  const server = http.createServer((request, response) => {
    const answer = (status, body, type = 'application/json') => {
      response.writeHead(status, { 'Content-Type': type });
      response.end(type === 'application/json' ? JSON.stringify(body) : body);
    };
    Promise.resolve(handle(request, answer)).catch((error) => answer(500, { message: error.message }));
  });
  server.listen(port, () => console.log(`${name} listens on ${port}`));
  return server;
}

/// SIGTERM: nothing new is taken, what is under way is finished.
function endWith(servers, pool) {
  process.on('SIGTERM', async () => {
    console.log('SIGTERM: finishing');
    await Promise.all(servers.map((server) => new Promise((done) => {
      server.close(done);
      server.closeIdleConnections();
    })));
    await pool.end();
    process.exit(0);
  });
}

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts);
}

function postgrest() {
  needed('PGRST_DB_URI', 'PGRST_DB_SCHEMAS', 'PGRST_DB_ANON_ROLE');
  const pool = database(process.env.PGRST_DB_URI);
  const admin = serve('admin', Number(process.env.PGRST_ADMIN_SERVER_PORT || '3001'), async (request, answer) => {
    if (request.url === '/live') return answer(200, {});
    try {
      await pool.query('SELECT 1');
      answer(200, {});
    } catch (error) {
      answer(503, { message: error.message });
    }
  });
  const main = serve('postgrest', Number(process.env.PGRST_SERVER_PORT || '3000'), async (request, answer) => {
    const table = request.url.slice(1).split('?')[0];
    if (!/^[a-z_]+$/.test(table)) return answer(200, { swagger: '2.0' });
    const client = await pool.connect();
    try {
      await client.query('BEGIN READ ONLY');
      await client.query(`SET LOCAL ROLE ${process.env.PGRST_DB_ANON_ROLE}`);
      answer(200, (await client.query(`SELECT * FROM ${process.env.PGRST_DB_SCHEMAS}.${table} ORDER BY id`)).rows);
    } catch (error) {
      answer(error.code === '42P01' ? 404 : 401, { code: error.code, message: error.message });
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
  });
  endWith([admin, main], pool);
}

async function gotrue() {
  needed('API_EXTERNAL_URL', 'GOTRUE_DB_DRIVER', 'GOTRUE_DB_DATABASE_URL', 'GOTRUE_JWT_SECRET', 'GOTRUE_SITE_URL');
  const pool = database(process.env.GOTRUE_DB_DATABASE_URL);
  // It migrates its own schema first, and ends when it cannot.
  await pool.query('CREATE TABLE IF NOT EXISTS auth.users (id bigserial PRIMARY KEY, email text UNIQUE NOT NULL)');
  const server = serve('gotrue', Number(process.env.PORT || '9999'), async (request, answer) => {
    if (request.url === '/health') return answer(200, { version: 'v2', name: 'GoTrue' });
    if (request.url === '/signup' && request.method === 'POST') {
      const { email } = JSON.parse(await body(request));
      const added = await pool.query('INSERT INTO auth.users (email) VALUES ($1) RETURNING id, email', [email]);
      return answer(200, added.rows[0]);
    }
    answer(404, { msg: 'not found' });
  });
  endWith([server], pool);
}

function storage() {
  needed('DATABASE_URL', 'ANON_KEY', 'SERVICE_KEY', 'POSTGREST_URL', 'PGRST_JWT_SECRET', 'GLOBAL_S3_BUCKET',
    'GLOBAL_S3_ENDPOINT', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY');
  const pool = database(process.env.DATABASE_URL);
  const credentials = `${process.env.AWS_ACCESS_KEY_ID}:${process.env.AWS_SECRET_ACCESS_KEY}`;
  const server = serve('storage', Number(process.env.PORT || '5000'), async (request, answer) => {
    if (request.url === '/status') return answer(200, '', 'text/plain');
    if (!/^\/object\/[A-Za-z0-9._-]+$/.test(request.url)) return answer(404, { message: 'not found' });
    const response = await fetch(`${process.env.GLOBAL_S3_ENDPOINT}/${process.env.GLOBAL_S3_BUCKET}${request.url.slice('/object'.length)}`, {
      method: request.method === 'POST' ? 'PUT' : 'GET',
      headers: { Authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
      body: request.method === 'POST' ? await body(request) : undefined,
    });
    answer(response.status, Buffer.from(await response.arrayBuffer()), 'application/octet-stream');
  });
  endWith([server], pool);
}

const services = { postgrest, gotrue, storage };
Promise.resolve(services[process.argv[2]]()).catch((error) => {
  console.error(`fatal: ${error.message}`);
  process.exit(1);
});
