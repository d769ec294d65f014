// Brings the database to what this image needs: each file of migrations once, in order, all in one transaction. Every run
// is written down as well, whether there was something to do or not.
'use strict';
const fs = require('fs');
const path = require('path');
const { Client } = require('pg');

const folder = path.join(__dirname, '../migrations');

async function main() {
  const client = new Client({ connectionString: process.env.DATABASE_URL });
  await client.connect();
  await client.query('CREATE TABLE IF NOT EXISTS migration_runs (version text, at timestamptz DEFAULT now())');
  await client.query('INSERT INTO migration_runs (version) VALUES ($1)', [process.env.VERSION]);
  await client.query('BEGIN');
  await client.query('CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY)');
  for (const name of fs.readdirSync(folder).sort()) {
    const { rowCount } = await client.query('INSERT INTO migrations VALUES ($1) ON CONFLICT DO NOTHING', [name]);
    if (rowCount === 0) continue;
    await client.query(fs.readFileSync(path.join(folder, name), 'utf8'));
    console.log(`${name} is applied`);
  }
  await client.query('COMMIT');
  await client.end();
  console.log(`version ${process.env.VERSION} has migrated`);
}

main().catch((error) => {
  console.error(`migration failed: ${error.message}`);
  process.exit(1);
});
