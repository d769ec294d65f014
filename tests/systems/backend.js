// A backend as the real ones are: answers 503 until it has warmed up (WARMUP seconds), keeps connections alive, and on
// SIGTERM stops accepting and finishes what is in flight. VERSION is told in a header and in the body.
'use strict';
const http = require('http');

const version = process.env.VERSION || '0';
const warmup = Number(process.env.WARMUP || '15') * 1000;
const started = Date.now();

const server = http.createServer((request, response) => {
  const warm = Date.now() - started >= warmup;
  response.writeHead(warm ? 200 : 503, { 'Content-Type': 'text/plain', 'X-Version': version });
  response.end(`version ${version} ${warm ? 'ready' : 'is warming up'}\n`);
});
server.keepAliveTimeout = 60000;
server.listen(Number(process.env.PORT || '3001'), () => console.log(`version ${version} listens`));

process.on('SIGTERM', () => {
  console.log(`version ${version} stops`);
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
