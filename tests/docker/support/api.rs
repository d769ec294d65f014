//! Bare calls to the engine, as fast as they can be made: the floor that figures are compared with.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::engine::text;

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// One call; the answer's status and body. Panics when the engine cannot be reached.
pub fn call(socket: &Path, method: &str, path: &str, body: Option<&Value>) -> (u16, String) {
    attempt(socket, method, path, body).unwrap_or_else(|e| panic!("{}: {e}", socket.display()))
}

/// The same of an engine that may be gone or frozen: none when it does not answer soon.
pub fn try_call(socket: &Path, method: &str, path: &str) -> Option<(u16, String)> {
    attempt(socket, method, path, None).ok()
}

fn attempt(socket: &Path, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<(u16, String)> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // HTTP/1.0: the answer is not chunked and ends with the connection.
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = text(&answer);
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_string()).unwrap_or_default();
    Ok((status, body))
}

/// The same for a call that must succeed.
#[track_caller]
pub fn must(socket: &Path, method: &str, path: &str, body: Option<&Value>) -> String {
    let (status, answer) = call(socket, method, path, body);
    assert!((200..400).contains(&status), "{method} {path}: {status} {answer}");
    answer
}
