// `PUT TOPIC MESSAGE` writes a message down before it answers, `GET TOPIC` gives them all.
'use strict';
const fs = require('fs');
const net = require('net');

const directory = process.env.DATA || '/data';
const TOPIC = /^[a-z]+$/;

function answer(line) {
  const [, word, topic = '', message = ''] = line.match(/^(\S*) ?(\S*) ?(.*)$/);
  if (word === 'HELLO') return 'OK';
  if (!TOPIC.test(topic)) return 'ERROR no such topic';
  const file = `${directory}/${topic}.log`;
  if (word === 'GET') return fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trimEnd() : '';
  if (word !== 'PUT') return 'ERROR no such command';
  const log = fs.openSync(file, 'a');
  fs.writeSync(log, `${message}\n`);
  fs.fsyncSync(log);
  fs.closeSync(log);
  return 'OK';
}

const server = net.createServer((socket) => {
  let asked = '';
  socket.on('error', () => socket.destroy());
  socket.on('data', (data) => {
    asked += data;
    if (asked.includes('\n')) socket.end(`${answer(asked.slice(0, asked.indexOf('\n')))}\n`);
  });
});
server.listen(9092, () => console.log('the broker listens'));
process.on('SIGTERM', () => server.close(() => process.exit(0)));
