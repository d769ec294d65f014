//! One request over the network: a POST, and what came back. It knows no retries and follows no redirects.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use super::receiver::Target;
use crate::model::text::{printable, with_causes};
use crate::model::time::Span;

/// How long one request may take, the connection included.
pub const DEADLINE: Span = Span::secs(10);
/// How much of an answer is read.
const ANSWER_MAX: usize = 4 << 10;
/// How much of an answer or an error is shown, in characters.
const SHOWN: usize = 300;
/// How a server's log knows us.
const AGENT: &str = concat!("evenkeel/", env!("CARGO_PKG_VERSION"));

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// How long to wait before the next attempt, if the receiver says so.
    pub retry_after: Option<Span>,
    /// The first line of the body, if there is one that may be shown.
    pub words: String,
}

/// Sends a body. The error says why there is no answer, in words that hold nothing of the URL but its host.
pub async fn post(target: &Target, body: String) -> Result<Answer, String> {
    let exchange = async {
        let request = request(target, body)?;
        match target.uri.scheme_str() {
            Some("https") => {
                // The roots are read from files.
                let connector = tokio::task::spawn_blocking(|| HttpsConnectorBuilder::new().with_native_roots());
                let connector = connector.await.map_err(|_| "the system's root certificates cannot be read")?;
                let connector = connector.map_err(|error| {
                    format!("{error}; install the system's ca-certificates, or name a file with SSL_CERT_FILE")
                })?;
                send(connector.https_only().enable_http1().build(), target, request).await
            }
            _ => send(HttpConnector::new(), target, request).await,
        }
    };
    let result = timeout(DEADLINE.std(), exchange).await;
    let result = result.unwrap_or_else(|_| Err(format!("no answer within {DEADLINE}")));
    result.map_err(|why| shown(target, &why, "it cannot be reached"))
}

fn request(target: &Target, body: String) -> Result<Request<Full<Bytes>>, String> {
    let mut request = Request::post(target.uri.clone())
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|_| "the request cannot be made")?;
    for name in target.headers.keys() {
        request.headers_mut().remove(name);
    }
    request.headers_mut().extend(target.headers.clone());
    Ok(request)
}

async fn send<C: Connect + Clone + Send + Sync + 'static>(
    connector: C,
    target: &Target,
    request: Request<Full<Bytes>>,
) -> Result<Answer, String> {
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
    let answer = client.request(request).await.map_err(|error| with_causes(&error))?;
    let (status, retry_after) = (answer.status(), retry_after(answer.headers()));
    // The status is what counts: a body that breaks off takes nothing from it.
    let words = first_line(answer.into_body()).await;
    Ok(Answer { status, retry_after, words: shown(target, &words, "") })
}

/// `Retry-After` in seconds. The form with a date is rare, and the usual pause does for it.
fn retry_after(headers: &HeaderMap) -> Option<Span> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Span(seconds.saturating_mul(1_000)))
}

async fn first_line(mut body: Incoming) -> String {
    let mut read = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        let data = frame.data_ref().map_or(&[][..], |data| data);
        read.extend_from_slice(&data[..data.len().min(ANSWER_MAX - read.len())]);
        if read.len() >= ANSWER_MAX {
            break;
        }
    }
    String::from_utf8_lossy(&read).lines().next().unwrap_or_default().trim().to_string()
}

/// A text that came from outside, short and printable; `instead` where it repeats a part of the URL or of a header.
fn shown(target: &Target, text: &str, instead: &str) -> String {
    match target.keeps_quiet_about_us(text) {
        true => printable(text).chars().take(SHOWN).collect(),
        false => instead.into(),
    }
}
