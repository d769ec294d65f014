// The database, as the environment says.
'use strict';
const util = require('util');
const mysql = require('mysql');

const pool = mysql.createPool({
  host: process.env.DB_HOST,
  user: 'tecket',
  password: process.env.DB_PASSWORD,
  database: 'tecket',
  connectionLimit: 5,
  connectTimeout: 2000,
  multipleStatements: true,
});

exports.query = util.promisify(pool.query).bind(pool);
exports.end = util.promisify(pool.end).bind(pool);
