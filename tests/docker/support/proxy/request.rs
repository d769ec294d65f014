//! One request to the engine, read whole from a connection, and the kind that it is of. It changes nothing.

use std::fmt;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;

/// The last words of a path that say what is done; anything else there is a name.
const VERBS: [&str; 19] = [
    "json",
    "create",
    "start",
    "stop",
    "restart",
    "kill",
    "pause",
    "unpause",
    "update",
    "connect",
    "disconnect",
    "logs",
    "exec",
    "wait",
    "resize",
    "tag",
    "push",
    "archive",
    "attach",
];

/// A request.
pub struct Request {
    /// `POST`, `GET` …
    pub method: String,
    /// The path with its query, as sent.
    pub path: String,
    /// All of its bytes.
    pub bytes: Vec<u8>,
}

impl Request {
    /// Reads one; none when the client goes away before it has said anything whole.
    pub fn read(stream: &mut UnixStream) -> io::Result<Option<Request>> {
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
        loop {
            if let Some(whole) = whole(&bytes) {
                return Ok(Some(whole));
            }
            match stream.read(&mut buffer)? {
                0 => return Ok(None),
                read => bytes.extend_from_slice(&buffer[..read]),
            }
        }
    }

    /// What kind of request it is, without names and versions: `post-containers-start`.
    pub fn kind(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        let mut words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
        if words.first().is_some_and(|word| word.starts_with("v1.")) {
            words.remove(0);
        }
        let verb = words.last().filter(|last| words.len() > 1 && VERBS.contains(last));
        let named = if words.len() > 1 && verb.is_none() { Some("one") } else { verb.copied() };
        let parts = [Some(self.method.to_lowercase()), words.first().map(|w| w.trim_start_matches('_').to_string())];
        let parts = parts.into_iter().flatten().chain(named.map(str::to_string));
        parts.collect::<Vec<_>>().join("-")
    }

    /// The container that it is about, if the path or the body names one.
    pub fn container(&self) -> Option<String> {
        let mut words = self.path.split(['/', '?']).skip_while(|word| *word != "containers").skip(1);
        let in_path = words.next().filter(|word| !VERBS.contains(word)).map(str::to_string);
        in_path.or_else(|| {
            let text = String::from_utf8_lossy(&self.bytes);
            let (_, rest) = text.split_once("\"Container\":\"")?;
            rest.split('"').next().map(str::to_string)
        })
    }
}

/// The request that `bytes` are, when they are all of it.
fn whole(bytes: &[u8]) -> Option<Request> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let mut words = head.split(' ');
    let (method, path) = (words.next()?.to_string(), words.next()?.to_string());
    (bytes.len() >= end + length.unwrap_or(0)).then(|| Request { method, path, bytes: bytes.to_vec() })
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

#[test]
fn requests_are_known_by_what_they_do() {
    let kind =
        |method: &str, path: &str| Request { method: method.into(), path: path.into(), bytes: Vec::new() }.kind();
    assert_eq!(kind("POST", "/v1.45/containers/abc/start"), "post-containers-start");
    assert_eq!(kind("GET", "/v1.41/containers/json?all=true"), "get-containers-json");
    assert_eq!(kind("DELETE", "/v1.41/containers/abc?v=true"), "delete-containers-one");
    assert_eq!(kind("GET", "/v1.41/images/a%2Fb:1/json"), "get-images-json");
    assert_eq!(kind("GET", "/v1.41/networks"), "get-networks");
    assert_eq!(kind("GET", "/_ping"), "get-ping");
}
