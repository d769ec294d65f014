// The check of a deploy, run as a Job once the new API serves: what a single answer of the API does not show.
'use strict';
const { Client } = require('pg');
const { ask } = require('./websocket.js');

async function answers(url) {
  const response = await fetch(url, { signal: AbortSignal.timeout(5000) });
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  console.log(`${url}: ${response.status}`);
}

async function database() {
  const client = new Client({ connectionString: process.env.DATABASE_URL, connectionTimeoutMillis: 5000 });
  await client.connect();
  await client.query('SELECT count(*) FROM notes');
  await client.end();
  console.log('the database answers');
}

async function main() {
  const url = process.env.API_URL || 'http://api:3000';
  await database();
  await answers(`${process.env.MINIO_URL || 'http://minio:9000'}/minio/health/ready`);
  await answers(`${url}/api/v1/health`);
  await answers(`${process.env.STORAGE_URL}/status`);
  console.log(`WebSocket: ${await ask(`${url}/ws`, 'hello')}`);
}

main().catch((error) => {
  console.error(error.cause ? `${error.message}: ${error.cause.message}` : error.message);
  process.exit(1);
});
