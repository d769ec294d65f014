// As much of WebSocket as short texts need. `node websocket.js http://HOST/ws TEXT` prints what is answered.
'use strict';
const { createHash, randomBytes } = require('crypto');
const http = require('http');

function accept(request, socket) {
  const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  const answer = createHash('sha1').update(key).digest('base64');
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${answer}\r\n\r\n`);
}

/// A text of at most 125 bytes; a client's has a mask.
function frame(text, mask) {
  const body = Buffer.from(text);
  const head = Buffer.from([0x81, body.length | (mask ? 0x80 : 0)]);
  return mask ? Buffer.concat([head, mask, body.map((byte, i) => byte ^ mask[i % 4])]) : Buffer.concat([head, body]);
}

function parse(data) {
  const masked = (data[1] & 0x80) !== 0;
  const start = masked ? 6 : 2;
  const body = data.subarray(start, start + (data[1] & 0x7f));
  return (masked ? body.map((byte, i) => byte ^ data[2 + (i % 4)]) : body).toString();
}

/// What is answered to a text.
function ask(url, text) {
  return new Promise((done, failed) => {
    const headers = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': randomBytes(16).toString('base64') };
    const request = http.request(url, { headers, timeout: 5000 });
    request.on('upgrade', (_, socket) => {
      socket.once('data', (data) => {
        socket.destroy();
        done(parse(data));
      });
      socket.write(frame(text, randomBytes(4)));
    });
    request.on('response', (response) => failed(new Error(`${url}: ${response.statusCode} instead of a WebSocket`)));
    request.on('timeout', () => request.destroy(new Error(`${url}: no answer`)));
    request.on('error', failed);
    request.end();
  });
}

module.exports = { accept, frame, parse, ask };

if (require.main === module) {
  ask(process.argv[2], process.argv[3]).then(console.log, (error) => {
    console.error(error.message);
    process.exit(1);
  });
}
