// `seed.js NAME`: runs seeds/NAME.sql, which has to be harmless the second time.
'use strict';
const fs = require('fs');
const path = require('path');
const database = require('./database');

const name = process.argv[2];
const statements = fs.readFileSync(path.join(__dirname, 'seeds', `${name}.sql`), 'utf8');

async function main() {
  if (/^\s*[^\s-]/m.test(statements)) await database.query(statements);
  await database.end();
  console.log(`seeded: ${name}`);
}

main().catch((error) => {
  console.error(`seeding failed: ${error.message}`);
  process.exit(1);
});
