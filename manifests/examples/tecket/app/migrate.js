// Brings the database to what this image needs: each file of migrations once, in order. Every run is written down as well,
// whether there was something to do or not.
'use strict';
const fs = require('fs');
const path = require('path');
const database = require('./database');

const folder = path.join(__dirname, 'migrations');
const version = process.env.VERSION;

async function main() {
  await database.query('CREATE TABLE IF NOT EXISTS migration_runs (id int AUTO_INCREMENT PRIMARY KEY, version varchar(40))');
  await database.query('INSERT INTO migration_runs (version) VALUES (?)', [version]);
  await database.query('CREATE TABLE IF NOT EXISTS migrations (name varchar(200) PRIMARY KEY)');
  const applied = (await database.query('SELECT name FROM migrations')).map((row) => row.name);
  for (const name of fs.readdirSync(folder).sort().filter((name) => !applied.includes(name))) {
    await database.query(fs.readFileSync(path.join(folder, name), 'utf8'));
    await database.query('INSERT INTO migrations VALUES (?)', [name]);
    console.log(`${name} is applied`);
  }
  await database.end();
  console.log(`version ${version} has migrated`);
}

main().catch((error) => {
  console.error(`migration failed: ${error.message}`);
  process.exit(1);
});
