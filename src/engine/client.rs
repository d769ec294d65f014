//! The connection to the engine: made when it is needed, made again after it broke. It knows no containers.
//!
//! Two faults of bollard 0.21.1 are put right here, on each request's way out. It sends no API version, so that each
//! engine would answer in its own newest one, whose fields nobody here has seen. And it encodes registry credentials
//! with the ordinary base64 alphabet, where the engine wants the URL-safe one and silently ignores what it cannot read.

use std::fmt;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::{BollardRequest, ClientVersion};
use hyper::Uri;
use hyper::header::HeaderValue;

use super::errors::Failed;
use super::{Host, unix};

/// What most calls may take; also what an engine that is starting up may take to answer.
pub(super) const CALL: Duration = Duration::from_secs(30);

/// The oldest API spoken (Engine 20.10) and the newest one whose answers are known (Engine 26.1).
const OLDEST: Api = Api(1, 41);
const NEWEST: Api = Api(1, 45);

/// bollard's own limit covers only a part of each call, so ours replaces it.
const NO_LIMIT: u64 = 24 * 3600;

// bollard logs whole requests and replies, environments included, for whoever asks for debug logs. The feature
// `max_level_info` of the crate `log` compiles that out; without it this does not compile.
const _: () = assert!(log::STATIC_MAX_LEVEL as usize <= log::LevelFilter::Info as usize);

/// An API version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Api(u32, u32);

impl Api {
    pub(super) fn parse(text: &str) -> Option<Api> {
        let (major, minor) = text.split_once('.')?;
        Some(Api(major.parse().ok()?, minor.parse().ok()?))
    }

    /// Whether an endpoint's aliases come back with the container's short id and host name added.
    pub(super) fn adds_aliases(self) -> bool {
        self < Api(1, 45)
    }
}

/// An engine that answered: how to call it, and the API that both sides know.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) calls: bollard::Docker,
    pub(super) api: Api,
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// The way to an engine.
pub(super) struct Client {
    host: Host,
    session: Mutex<Option<Session>>,
}

impl Client {
    pub(super) fn new(host: Host) -> Self {
        Self { host, session: Mutex::new(None) }
    }

    /// Where the engine is.
    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// Makes one call, which has to be over within `limit`.
    pub(super) async fn call<T, F, C>(&self, limit: Duration, call: C) -> Result<T, Failed>
    where
        C: FnOnce(bollard::Docker) -> F,
        F: Future<Output = Result<T, bollard::errors::Error>>,
    {
        let session = self.session().await?;
        self.within(limit, call(session.calls)).await
    }

    /// The engine, asked for its API when it is new or was lost.
    pub(super) async fn session(&self) -> Result<Session, Failed> {
        let known = self.lock().clone();
        if let Some(session) = known {
            return Ok(session);
        }
        let session = self.open().await?;
        *self.lock() = Some(session.clone());
        Ok(session)
    }

    /// What a failure of bollard's means. An engine that does not answer may be another version when it comes back, and
    /// where it was looked for is usually the mistake.
    pub(super) fn failed(&self, error: bollard::errors::Error) -> Failed {
        match Failed::from(error) {
            Failed::Unreachable(why) => {
                *self.lock() = None;
                Failed::Unreachable(format!("Docker Engine at {}: {why}", self.host))
            }
            other => other,
        }
    }

    async fn within<T, F>(&self, limit: Duration, call: F) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, bollard::errors::Error>>,
    {
        match tokio::time::timeout(limit, call).await {
            Ok(result) => result.map_err(|error| self.failed(error)),
            Err(_) => Err(Failed::Late(limit)),
        }
    }

    /// A ping in the newest API that is known here; an engine that does not have it answers with the one that it has.
    /// That is a tenth of the price of asking for the engine's version.
    async fn open(&self) -> Result<Session, Failed> {
        let calls = dial(&self.host).map_err(|error| self.failed(error))?;
        let ping = versioned(calls.clone(), NEWEST);
        let api = match self.within(CALL, ping.ping()).await {
            Ok(_) => NEWEST,
            Err(Failed::Refused { status: 400, message }) => offered(&message, &self.host)?,
            Err(failed) => return Err(failed),
        };
        Ok(Session { calls: versioned(calls, api), api })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn dial(host: &Host) -> Result<bollard::Docker, bollard::errors::Error> {
    let version = &ClientVersion { major_version: OLDEST.0 as usize, minor_version: OLDEST.1 as usize };
    match host {
        Host::Unix(path) => unix::connect(path, NO_LIMIT, version),
        Host::Tcp(address) => bollard::Docker::connect_with_http(address, NO_LIMIT, version),
        Host::Tls { address, certificates } => {
            let [key, certificate, ca] = ["key.pem", "cert.pem", "ca.pem"].map(|file| certificates.join(file));
            bollard::Docker::connect_with_ssl(address, &key, &certificate, &ca, NO_LIMIT, version)
        }
    }
}

/// The API version that an engine offers when it refuses another one.
fn offered(refusal: &str, host: &Host) -> Result<Api, Failed> {
    let refused = |why: String| Failed::Unreachable(format!("Docker Engine at {host} {why}"));
    let word = refusal.split_once("supported API version is ").and_then(|(_, rest)| rest.split([' ', ',']).next());
    match word.map(|word| word.trim_end_matches('.')).and_then(Api::parse) {
        None => Err(refused(format!("does not say which API it has: {refusal}"))),
        Some(api) if api < OLDEST => {
            Err(refused(format!("is too old: it has API {api}, and Evenkeel needs {OLDEST} (Engine 20.10)")))
        }
        Some(api) => Ok(api),
    }
}

fn versioned(calls: bollard::Docker, api: Api) -> bollard::Docker {
    let prefix = format!("/v{api}");
    calls.with_request_modifier(move |request| mend(request, &prefix))
}

/// The two corrections that every request gets.
fn mend(mut request: BollardRequest, prefix: &str) -> BollardRequest {
    if let Some(versioned) = with_prefix(request.uri(), prefix) {
        *request.uri_mut() = versioned;
    }
    for name in ["x-registry-auth", "x-registry-config"] {
        if let Some(url_safe) = request.headers().get(name).and_then(url_safe) {
            request.headers_mut().insert(name, url_safe);
        }
    }
    request
}

fn with_prefix(uri: &Uri, prefix: &str) -> Option<Uri> {
    let path = uri.path_and_query()?.as_str();
    if path.starts_with("/v1.") {
        return None;
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = format!("{prefix}{path}").parse().ok();
    Uri::from_parts(parts).ok()
}

fn url_safe(header: &HeaderValue) -> Option<HeaderValue> {
    let mut header: HeaderValue = header.to_str().ok()?.replace('+', "-").replace('/', "_").parse().ok()?;
    header.set_sensitive(true);
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(refusal: &str) -> Result<Api, String> {
        offered(refusal, &Host::Tcp("box:1".into())).map_err(|failed| failed.attempting("").message)
    }

    #[test]
    fn the_nearest_api_that_both_sides_know_is_spoken() {
        let new = "client version 1.45 is too new. Maximum supported API version is 1.41";
        let old = "client version 1.45 is too old. Minimum supported API version is 1.50, please upgrade your client to a newer version";
        assert_eq!((offer(new), offer(old)), (Ok(Api(1, 41)), Ok(Api(1, 50))));
    }

    #[test]
    fn an_engine_that_is_too_old_is_refused_with_the_reason() {
        let message = offer("client version 1.45 is too new. Maximum supported API version is 1.40").unwrap_err();
        assert_eq!(
            message,
            "Docker Engine at tcp://box:1 is too old: it has API 1.40, and Evenkeel needs 1.41 (Engine 20.10)"
        );
        assert!(offer("who are you?").unwrap_err().contains("who are you?"));
    }

    #[test]
    fn every_request_carries_the_version_and_keeps_its_query() {
        let uri: Uri = "unix://2f78:0/containers/json?all=true".parse().unwrap();
        assert_eq!(with_prefix(&uri, "/v1.45").unwrap().to_string(), "unix://2f78:0/v1.45/containers/json?all=true");
        assert_eq!(with_prefix(&"http://box/v1.44/info".parse().unwrap(), "/v1.45"), None);
    }

    #[test]
    fn registry_credentials_are_sent_in_the_alphabet_that_the_engine_reads() {
        let header = url_safe(&HeaderValue::from_static("ab+/cd==")).unwrap();
        assert_eq!(header, "ab-_cd==");
        assert!(header.is_sensitive());
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_yet_is_an_outage_and_not_a_crash() {
        let client = Client::new(Host::Unix("/nonexistent/docker.sock".into()));
        let error = client.call(CALL, |api| async move { api.ping().await }).await.unwrap_err().attempting("ping");
        assert!(error.message.contains("Docker Engine at unix:///nonexistent/docker.sock: no such socket"), "{error}");
    }
}
