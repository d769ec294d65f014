//! A check by an HTTP GET. It opens no connection.

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::net::AGENT;
use crate::model::spec::HttpGet;

/// How much of an answer's body is read, so that most servers can end their answer in peace.
const BODY_MAX: usize = 64 << 10;

/// Whether a GET of `authority`, a host and a port, is answered with 200 to 399. Redirects are not followed: they may lead anywhere.
pub(super) async fn check(stream: TcpStream, authority: &str, get: &HttpGet) -> Result<(), String> {
    let request = request(authority, get)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(in_words)?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(in_words)?;
        let status = answer.status();
        let body = read_some(answer.into_body()).await.map_err(in_words)?;
        judge(get, status, &body)
    };
    tokio::pin!(exchange, connection);
    tokio::select! {
        biased;
        result = &mut exchange => result,
        // The connection's end reaches the exchange as an error or as the end of the body.
        _ = &mut connection => exchange.await,
    }
}

fn request(authority: &str, get: &HttpGet) -> Result<Request<Empty<Bytes>>, String> {
    let mut request = Request::get(&get.path);
    let defaults = [(HOST, authority), (USER_AGENT, AGENT), (ACCEPT, "*/*"), (CONNECTION, "close")];
    let given = |name: &str| get.headers.keys().any(|header| header.eq_ignore_ascii_case(name));
    for (name, value) in defaults {
        if !given(name.as_str()) {
            request = request.header(name, value);
        }
    }
    for (name, value) in &get.headers {
        request = request.header(name, value);
    }
    request.body(Empty::new()).map_err(|error| format!("the request cannot be made: {error}"))
}

/// The body up to a limit. One that breaks off is an error.
async fn read_some(mut body: Incoming) -> hyper::Result<Vec<u8>> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        let data = frame.data_ref().map_or(&[][..], |data| data);
        read.extend_from_slice(&data[..data.len().min(BODY_MAX - read.len())]);
        if read.len() >= BODY_MAX {
            break;
        }
    }
    Ok(read)
}

fn judge(get: &HttpGet, status: StatusCode, body: &[u8]) -> Result<(), String> {
    let expected = match get.status {
        Some(expected) => expected == status.as_u16(),
        None => (200..=399).contains(&status.as_u16()),
    };
    if !expected {
        let instead = get.status.map(|expected| format!(" instead of {expected}")).unwrap_or_default();
        return Err(format!("{status}{instead}"));
    }
    match &get.body {
        Some(text) if !String::from_utf8_lossy(body).contains(text) => {
            Err(format!("the answer does not contain '{text}'"))
        }
        Some(_) | None => Ok(()),
    }
}

/// An exchange's failure with its cause.
fn in_words(error: impl std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
