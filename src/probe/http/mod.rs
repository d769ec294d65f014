//! A check by an HTTP GET, as HTTP/1.1 with a connection of its own. It opens none.
//!
//! Written by hand, because a client for all that HTTP can do costs several times what such a question does. Next: `answer`,
//! how what comes back is read.

mod answer;

use std::net::SocketAddr;

use hyper::StatusCode;
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::http::uri::PathAndQuery;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use self::answer::Answer;
use super::net::AGENT;
use super::socket::refusal;
use crate::model::spec::HttpGet;

/// Whether a GET is answered with 200 to 399. Redirects are not followed: they may lead anywhere.
pub(super) async fn check(mut stream: TcpStream, address: SocketAddr, get: &HttpGet) -> Result<(), String> {
    let request = request(address, get).map_err(|error| format!("the request cannot be made: {error}"))?;
    stream.write_all(&request).await.map_err(|error| refusal(&error))?;
    judge(get, answer::read(&mut stream).await?)
}

/// The request as it goes out. The error says what HTTP cannot carry.
fn request(address: SocketAddr, get: &HttpGet) -> Result<Vec<u8>, String> {
    let path: PathAndQuery = get.path.parse().map_err(in_words)?;
    let mut request = format!("GET {path} HTTP/1.1\r\n").into_bytes();
    let defaults =
        [(HOST, address.to_string()), (USER_AGENT, AGENT.into()), (ACCEPT, "*/*".into()), (CONNECTION, "close".into())];
    let given = |name: &str| get.headers.keys().any(|header| header.eq_ignore_ascii_case(name));
    for (name, value) in defaults.iter().filter(|(name, _)| !given(name.as_str())) {
        push_header(&mut request, name, value.as_bytes());
    }
    for (name, value) in &get.headers {
        let name: HeaderName = name.parse().map_err(in_words)?;
        let value = HeaderValue::from_str(value).map_err(in_words)?;
        push_header(&mut request, &name, value.as_bytes());
    }
    request.extend(b"\r\n");
    Ok(request)
}

fn push_header(request: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    request.extend(name.as_str().as_bytes());
    request.extend(b": ");
    request.extend(value);
    request.extend(b"\r\n");
}

fn judge(get: &HttpGet, answer: Answer) -> Result<(), String> {
    let Answer { status, body } = answer;
    is_expected(get, status)?;
    match (&get.body, body?) {
        (Some(text), body) if !String::from_utf8_lossy(&body).contains(text) => {
            Err(format!("the answer does not contain '{text}'"))
        }
        (Some(_) | None, _) => Ok(()),
    }
}

fn is_expected(get: &HttpGet, status: StatusCode) -> Result<(), String> {
    match get.status {
        Some(expected) if expected == status.as_u16() => Ok(()),
        Some(expected) => Err(format!("{status} instead of {expected}")),
        None if (200..=399).contains(&status.as_u16()) => Ok(()),
        None => Err(status.to_string()),
    }
}

fn in_words(error: impl std::error::Error) -> String {
    error.to_string()
}
