//! Bare calls to the engine, as fast as they can be made: the floor that figures are compared with.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use super::engine::text;

/// One call; the answer's status and body. Panics when the engine cannot be reached.
pub fn call(socket: &Path, method: &str, path: &str, body: Option<&Value>) -> (u16, String) {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut stream = UnixStream::connect(socket).unwrap_or_else(|e| panic!("{}: {e}", socket.display()));
    // HTTP/1.0: the answer is not chunked and ends with the connection.
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("the engine takes a call");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the engine answers");
    let answer = text(&answer);
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_string()).unwrap_or_default();
    (status, body)
}

/// The same for a call that must succeed.
#[track_caller]
pub fn must(socket: &Path, method: &str, path: &str, body: Option<&Value>) -> String {
    let (status, answer) = call(socket, method, path, body);
    assert!((200..400).contains(&status), "{method} {path}: {status} {answer}");
    answer
}
