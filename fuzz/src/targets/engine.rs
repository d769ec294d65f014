//! What an engine answers: the real client asks an engine of ours, which answers with the input.
//!
//! An input's first letter is the call (list, inspect, networks, volumes, imaGe, lOg, events, pull, version); a capital
//! one makes it an error's message. The rest is the body as it is.

use std::cell::RefCell;

use evenkeel::engine::{Docker, Engine, EventMark, Host};
use evenkeel::model::name::{DEFAULT_INSTANCE, Name};
use evenkeel::model::observed::ContainerId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio::time::{Duration, timeout};

/// An answer to one call.
pub struct Answer<'a> {
    /// The call's letter.
    pub call: u8,
    /// Such as `200 OK`.
    pub status: &'static str,
    /// The body.
    pub body: &'a [u8],
    /// The image of a pull.
    pub image: &'a str,
}

/// Answers a call with the input.
pub fn try_input(bytes: &[u8]) {
    let Some((letter, body)) = bytes.split_first() else { return };
    let status = if letter.is_ascii_uppercase() { "500 Internal Server Error" } else { "200 OK" };
    ask(&Answer { call: letter.to_ascii_lowercase(), status, body, image: "web:1" });
}

thread_local! {
    /// One runtime for all inputs, in virtual time: a stream that never ends is given up at once.
    static RUNTIME: RefCell<Runtime> = RefCell::new(
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap(),
    );
}

/// Makes the call against an engine that gives this answer.
pub fn ask(answer: &Answer<'_>) {
    RUNTIME.with_borrow(|runtime| runtime.block_on(call(answer)));
}

async fn call(answer: &Answer<'_>) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let reply = reply(answer.status, answer.body);
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, reply.clone()));
        }
    });
    let docker = Docker::at(Host::Unix(socket), None, Name::new(DEFAULT_INSTANCE).unwrap());
    // A client whose engine says nothing more is late, not stuck.
    let made = timeout(Duration::from_secs(600), make(&docker, answer)).await;
    serving.abort();
    assert!(made.is_ok(), "a call has no end");
}

async fn make(docker: &Docker, answer: &Answer<'_>) {
    let id = ContainerId("0123456789abcdef".into());
    let said = match answer.call {
        b'l' => docker.list().await.err(),
        b'i' => docker.inspect(&id).await.err(),
        b'n' => docker.networks().await.err(),
        b'v' => docker.volumes().await.err(),
        b'g' => docker.image(answer.image).await.err(),
        b'o' => docker.last_log(&id, 20, None).await.map(|lines| lines.iter().for_each(|line| printable(line))).err(),
        b'e' => {
            let since = EventMark { nanos: 1, beyond_containers: false, touched: Vec::new() };
            docker.changed(Some(since)).await.err()
        }
        b'p' => docker.pull(answer.image, Some("linux/amd64"), &[], &|line| printable(&line)).await.err(),
        b'r' => docker.identify().await.err(),
        _ => None,
    };
    if let Some(error) = said {
        printable(&error.to_string());
    }
}

/// Whatever an engine says can be shown to a person.
fn printable(text: &str) {
    assert!(!text.chars().any(char::is_control), "control characters in {text:?}");
}

fn reply(status: &str, body: &[u8]) -> Vec<u8> {
    let kind = "application/json";
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Answers the ping, then every request with the reply.
async fn serve(mut stream: UnixStream, reply: Vec<u8>) {
    let mut request: Vec<u8> = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        request.extend(&buffer[..read]);
        if !request.windows(4).any(|end| end == b"\r\n\r\n") {
            continue;
        }
        let ping = request.windows(6).any(|word| word == b"/_ping");
        let pong = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK".to_vec();
        if stream.write_all(if ping { &pong } else { &reply }).await.is_err() {
            return;
        }
        request.clear();
    }
}
