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
    /// Whether it asks that both sides say what they like from then on.
    pub upgrades: bool,
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
        let named = match verb.copied() {
            None if words.len() > 1 => Some("one"),
            // Of one thing; without a name it is the list.
            Some("json") if words.len() > 2 => Some("inspect"),
            verb => verb,
        };
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

/// The request that `bytes` are, when they are all of it. A client says nothing more before it has the reply.
fn whole(bytes: &[u8]) -> Option<Request> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = header(&head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    let is_whole = match header(&head, "transfer-encoding") {
        Some(_) => has_last_chunk(&bytes[end..]),
        None => bytes.len() >= end + length,
    };
    let mut words = head.split(' ');
    let (method, path) = (words.next()?.to_string(), words.next()?.to_string());
    let upgrades = header(&head, "upgrade").is_some();
    is_whole.then(|| Request { method, path, upgrades, bytes: bytes.to_vec() })
}

fn header<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    let mut all = head.lines().filter_map(|line| line.split_once(':'));
    all.find_map(|(name, value)| name.eq_ignore_ascii_case(wanted).then(|| value.trim()))
}

/// Whether a body in chunks is there up to the empty one, which ends it. What is no chunk is for the engine to refuse.
fn has_last_chunk(mut body: &[u8]) -> bool {
    loop {
        let Some(line) = body.windows(2).position(|two| two == b"\r\n") else { return false };
        let size = String::from_utf8_lossy(&body[..line]).into_owned();
        match usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16) {
            Err(_) => return true,
            Ok(0) => return body.ends_with(b"\r\n\r\n"),
            Ok(size) => match body.get(line + 2 + size + 2..) {
                Some(rest) => body = rest,
                None => return false,
            },
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

#[test]
fn requests_are_known_by_what_they_do() {
    let kind = |method: &str, path: &str| whole(format!("{method} {path} HTTP/1.1\r\n\r\n").as_bytes()).unwrap().kind();
    assert_eq!(kind("POST", "/v1.45/containers/abc/start"), "post-containers-start");
    assert_eq!(kind("GET", "/v1.41/containers/json?all=true"), "get-containers-json");
    assert_eq!(kind("DELETE", "/v1.41/containers/abc?v=true"), "delete-containers-one");
    assert_eq!(kind("GET", "/v1.41/images/a%2Fb:1/json"), "get-images-inspect");
    assert_eq!(kind("GET", "/v1.41/containers/abc/json"), "get-containers-inspect");
    assert_eq!(kind("GET", "/v1.41/networks"), "get-networks");
    assert_eq!(kind("GET", "/_ping"), "get-ping");
}

#[test]
fn a_request_is_whole_when_its_body_is() {
    let is_whole = |head: &str, body: &str| {
        whole(format!("POST /build HTTP/1.1\r\nHost: docker\r\n{head}\r\n\r\n{body}").as_bytes()).is_some()
    };
    assert!(is_whole("Content-Length: 4", "four") && !is_whole("content-length: 4", "fou"));
    let (chunks, body) = ("Transfer-Encoding: chunked", "5\r\n0\r\n\r\n\r\n3;x\r\nabc\r\n0\r\n\r\n");
    assert!((0..body.len()).all(|cut| !is_whole(chunks, &body[..cut])) && is_whole(chunks, body));
    assert!(whole(b"POST /exec/x/start HTTP/1.1\r\nUpgrade: tcp\r\n\r\n").unwrap().upgrades);
}
