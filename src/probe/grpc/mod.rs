//! A check by gRPC's health service: `grpc.health.v1.Health/Check`, over HTTP/2 without TLS. It opens no connection.
//!
//! See <https://github.com/grpc/grpc/blob/master/doc/health-checking.md> and, for how a call looks in HTTP/2,
//! `PROTOCOL-HTTP2.md` beside it. Next: `message`, what is in the call.

mod message;

use futures_util::FutureExt;
use h2::client::{Builder, SendRequest};
use h2::{Reason, RecvStream};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, TE, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use tokio::io::BufWriter;
use tokio::net::TcpStream;

use super::net::AGENT;
use super::socket::refusal;
use crate::model::spec::Grpc;
use crate::model::time::Span;

/// The most headers, and the longest message, that an answer may have.
const HEADERS_MAX: u32 = 16 << 10;
const MESSAGE_MAX: usize = 16 << 10;
/// The room for what goes out at once: without it the first words of HTTP/2 and the question are packets of their own.
const ROOM: usize = 512;
/// The longest timeout that `grpc-timeout` can say in milliseconds: eight digits.
const TIMEOUT_MAX: u64 = 99_999_999;

/// gRPC's codes that have a meaning of their own here.
const OK: &str = "0";
const NOT_FOUND: &str = "5";
const UNIMPLEMENTED: &str = "12";
/// All of them, by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
/// What a health service says of a service, by number.
const SERVING: u64 = 1;
const STATUSES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/// Whether the health service of `authority`, a host and a port, answers SERVING.
pub(super) async fn check(stream: TcpStream, authority: &str, asked: &Grpc, limit: Span) -> Result<(), String> {
    let request = request(authority, limit)?;
    // A small request in several parts: each goes out at once.
    stream.set_nodelay(true).map_err(|error| refusal(&error))?;
    let mut http2 = Builder::new();
    http2.enable_push(false).max_header_list_size(HEADERS_MAX);
    let (sender, connection) = http2.handshake(BufWriter::with_capacity(ROOM, stream)).await.map_err(in_words)?;
    let exchange = ask(sender, request, asked);
    tokio::pin!(exchange, connection);
    let result = tokio::select! {
        biased;
        result = &mut exchange => result,
        // The connection's end reaches the exchange as an error or as the end of the answer.
        _ = &mut connection => return exchange.await,
    };
    // A goodbye, as far as it can be said at once: some servers log a connection that breaks off.
    let _ = connection.now_or_never();
    result
}

fn request(authority: &str, limit: Span) -> Result<Request<()>, String> {
    let request = Request::post(format!("http://{authority}/grpc.health.v1.Health/Check"))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, AGENT)
        .header("grpc-timeout", format!("{}m", limit.0.min(TIMEOUT_MAX)));
    request.body(()).map_err(|error| format!("the request cannot be made: {error}"))
}

async fn ask(sender: SendRequest<Bytes>, request: Request<()>, asked: &Grpc) -> Result<(), String> {
    let mut sender = sender.ready().await.map_err(in_words)?;
    let (answer, mut body) = sender.send_request(request, false).map_err(in_words)?;
    body.send_data(message::question(&asked.service), true).map_err(in_words)?;
    let answer = answer.await.map_err(in_words)?;
    is_grpc(&answer)?;
    let (head, mut body) = answer.into_parts();
    // An answer that is an error alone says so in its headers, which are its trailers at the same time.
    if head.headers.contains_key("grpc-status") {
        passed(&head.headers, asked)?;
    }
    let message = read(&mut body).await?;
    if let Some(trailers) = body.trailers().await.map_err(in_words)? {
        passed(&trailers, asked)?;
    } else if !head.headers.contains_key("grpc-status") {
        return Err("the answer ends without a gRPC status".into());
    }
    match message::status(&message) {
        Some(SERVING) => Ok(()),
        Some(other) => Err(word(&STATUSES, other)),
        None => Err("the answer is not that of a health service".into()),
    }
}

fn is_grpc<B>(answer: &Response<B>) -> Result<(), String> {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    match (answer.status(), kind.starts_with("application/grpc")) {
        (StatusCode::OK, true) => Ok(()),
        (status, _) => Err(format!("not a gRPC server: it answers {status}")),
    }
}

/// Whether the call went well, whatever it found.
fn passed(trailers: &HeaderMap, asked: &Grpc) -> Result<(), String> {
    let text = |name: &str| trailers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let Some(code) = text("grpc-status") else { return Err("the answer ends without a gRPC status".into()) };
    let words = match code.as_str() {
        OK => return Ok(()),
        UNIMPLEMENTED => "the server has no health service (UNIMPLEMENTED)".into(),
        NOT_FOUND if !asked.service.is_empty() => {
            format!("the server's health service knows no service {} (NOT_FOUND)", asked.service)
        }
        code => code.parse().map_or_else(|_| format!("the gRPC status '{code}'"), |number| word(&CODES, number)),
    };
    let message = text("grpc-message").map(|message| decoded(&message)).filter(|message| !message.is_empty());
    Err(message.map_or(words.clone(), |message| format!("{words}: {message}")))
}

/// What a number is called; the number where a later version of the protocol has named it.
fn word(names: &[&str], number: u64) -> String {
    let name = usize::try_from(number).ok().and_then(|index| names.get(index));
    name.map_or_else(|| format!("status {number}"), ToString::to_string)
}

/// A message with `%41` for what a header cannot carry.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = tail.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// All of the answer's body.
async fn read(body: &mut RecvStream) -> Result<Vec<u8>, String> {
    let mut read = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(in_words)?;
        body.flow_control().release_capacity(data.len()).map_err(in_words)?;
        read.extend(&data);
        if read.len() > MESSAGE_MAX {
            return Err("the answer is longer than any of a health service".into());
        }
    }
    Ok(read)
}

/// A connection's failure for people. That of a server which does not speak HTTP/2 comes in several disguises.
fn in_words(error: h2::Error) -> String {
    const NO_HTTP2: &str = "no HTTP/2 without TLS";
    if let Some(io) = error.get_io() {
        return format!("{} before it answered: is it {NO_HTTP2}?", refusal(io));
    }
    match error.reason() {
        Some(reason) if error.is_library() => format!("it speaks {NO_HTTP2} ({})", reason.description()),
        Some(Reason::NO_ERROR) => "the server broke off without an answer".into(),
        Some(reason) => format!("the server broke off: {}", reason.description()),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
