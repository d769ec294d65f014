//! One request over HTTP, and what came back, as far as registries say it. It knows no retries, and follows no redirects: a
//! credential goes nowhere but where it was meant to.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue, LINK, RETRY_AFTER, USER_AGENT, WWW_AUTHENTICATE};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use crate::model::text::with_causes;
use crate::model::time::Span;

/// How long one request may take, the connection included.
const DEADLINE: Span = Span::secs(20);
/// The most that is read of an answer: a page of tags, or a manifest.
const ANSWER_MAX: usize = 8 << 20;
/// How a server's log knows us.
const AGENT: &str = concat!("evenkeel/", env!("CARGO_PKG_VERSION"));
/// What a manifest's digest is told in.
const DIGEST: &str = "docker-content-digest";

/// What came back.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// How long to wait before the next request, if the server says so.
    pub(super) retry_after: Option<Span>,
    /// The digest of a manifest.
    pub(super) digest: Option<String>,
    /// Where the next page is.
    pub(super) link: Option<String>,
    /// What it takes to be let in.
    pub(super) challenge: Option<String>,
    pub(super) body: Vec<u8>,
}

/// A request to make. No `Debug`: there are credentials in it.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: String,
}

type Connection<C> = Client<C, Full<Bytes>>;

/// The connections of one round of requests.
#[derive(Default)]
pub(super) struct Caller {
    plain: Option<Connection<HttpConnector>>,
    tls: Option<Connection<HttpsConnector<HttpConnector>>>,
}

impl Caller {
    /// Makes a request. The error says why there is no answer; nothing of the request is in it.
    pub(super) async fn call(&mut self, call: Call) -> Result<Reply, String> {
        let answer = timeout(DEADLINE.std(), self.exchange(call)).await;
        answer.unwrap_or_else(|_| Err(format!("no answer within {DEADLINE}")))
    }

    async fn exchange(&mut self, call: Call) -> Result<Reply, String> {
        let uri: Uri = call.url.parse().map_err(|_| "this is not a URL")?;
        let is_tls = uri.scheme_str() == Some("https");
        let mut request = Request::builder().method(call.method).uri(uri).header(USER_AGENT, AGENT);
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(call.body))).map_err(|_| "the request cannot be made")?;
        let answer = match is_tls {
            true => self.tls().await?.request(request).await,
            false => self.plain().request(request).await,
        };
        let answer = answer.map_err(|error| with_causes(&error))?;
        let (status, headers) = (answer.status(), answer.headers());
        let [digest, link, challenge] =
            [DIGEST, LINK.as_str(), WWW_AUTHENTICATE.as_str()].map(|name| text(headers, name));
        let retry_after = text(headers, RETRY_AFTER.as_str()).and_then(|text| text.trim().parse().ok());
        let retry_after = retry_after.map(|seconds: u64| Span(seconds.saturating_mul(1_000)));
        let body = read(answer.into_body()).await?;
        Ok(Reply { status, retry_after, digest, link, challenge, body })
    }

    fn plain(&mut self) -> &Connection<HttpConnector> {
        self.plain.get_or_insert_with(|| Client::builder(TokioExecutor::new()).build(HttpConnector::new()))
    }

    async fn tls(&mut self) -> Result<&Connection<HttpsConnector<HttpConnector>>, String> {
        if self.tls.is_none() {
            // The roots are read from files.
            let connector = tokio::task::spawn_blocking(|| HttpsConnectorBuilder::new().with_native_roots());
            let connector = connector.await.map_err(|_| "the system's root certificates cannot be read")?;
            let connector = connector.map_err(|error| {
                format!("{error}; install the system's ca-certificates, or name a file with SSL_CERT_FILE")
            })?;
            let connector = connector.https_only().enable_http1().build();
            self.tls = Some(Client::builder(TokioExecutor::new()).build(connector));
        }
        Ok(self.tls.as_ref().expect("it was just made"))
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(String::from)
}

async fn read(mut body: Incoming) -> Result<Vec<u8>, String> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("the answer breaks off: {error}"))?;
        read.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if read.len() > ANSWER_MAX {
            return Err(format!("the answer has more than {} MiB", ANSWER_MAX >> 20));
        }
    }
    Ok(read)
}
