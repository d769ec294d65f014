//! One round of requests about one repository: let in as the registry wants it, then tags and digests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hyper::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use hyper::{Method, StatusCode};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::challenge::Challenge;
use super::http::{Call, Caller, Reply};
use super::place::Place;
use super::token::{self, Outcome, Wanted};
use super::{RegistryError, TAGS_MAX};
use crate::model::observed::Fault;
use crate::model::secret::Login;
use crate::model::text::{hex, printable, shortened};
use crate::model::time::Span;

/// Every kind of manifest that an engine pulls: of one platform, or of several.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
/// How many tags are asked for at once: as many as the specification's own server gives.
const PAGE: usize = 1_000;
/// How much of what a registry says is shown, in characters.
const SHOWN: usize = 200;
/// All tokens are forgotten when there would be more.
const TOKENS_MAX: usize = 1_000;

/// What let us in the last time: a round without a refusal is a request shorter. No `Debug`.
#[derive(Default)]
pub(super) struct Tokens {
    known: Mutex<BTreeMap<Door, HeaderValue>>,
}

/// What a token opens, and for whom: a repository, and a hash of all logins that there were for it. With other logins, or
/// none any more, what an earlier one opened is not used.
type Door = (String, [u8; 32]);

impl Tokens {
    fn get(&self, door: &Door) -> Option<HeaderValue> {
        self.hold().get(door).cloned()
    }

    fn keep(&self, door: Door, header: HeaderValue) {
        let mut known = self.hold();
        if known.len() >= TOKENS_MAX {
            known.clear();
        }
        known.insert(door, header);
    }

    fn forget(&self, door: &Door) {
        self.hold().remove(door);
    }

    fn hold(&self) -> MutexGuard<'_, BTreeMap<Door, HeaderValue>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A round of requests.
pub(super) struct Session<'a> {
    place: &'a Place,
    logins: &'a [Login],
    tokens: &'a Tokens,
    caller: Caller,
}

/// A page of the list of tags.
#[derive(Deserialize)]
struct Page {
    tags: Option<Vec<String>>,
}

/// What a registry says when it refuses.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    errors: Vec<Reason>,
    details: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reason {
    message: String,
}

impl<'a> Session<'a> {
    pub(super) fn new(place: &'a Place, logins: &'a [Login], tokens: &'a Tokens) -> Self {
        Self { place, logins, tokens, caller: Caller::default() }
    }

    /// All tags; none when there is no such repository.
    pub(super) async fn tags(&mut self) -> Result<Option<Vec<String>>, RegistryError> {
        let mut tags = Vec::new();
        let mut next = Some(self.place.url(&format!("tags/list?n={PAGE}")));
        while let Some(url) = next {
            let reply = self.send(Method::GET, &url, "application/json").await?;
            if reply.status == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            let reply = self.judge(reply)?;
            let page: Page = serde_json::from_slice(&reply.body)
                .map_err(|_| self.trouble(Fault::Unavailable, "its list of tags is not understood"))?;
            let page = page.tags.unwrap_or_default();
            next = reply.link.filter(|_| !page.is_empty()).and_then(|link| self.place.at(next_of(&link)?));
            tags.extend(page);
            if tags.len() > TAGS_MAX {
                let message = format!("{} has more than {TAGS_MAX} tags, too many to look through", self.place.name);
                return Err(self.trouble(Fault::Invalid, &message));
            }
        }
        Ok(Some(tags))
    }

    /// The digest that a tag has now; none when there is no such tag.
    pub(super) async fn digest(&mut self, tag: &str) -> Result<Option<String>, RegistryError> {
        let url = self.place.url(&format!("manifests/{tag}"));
        let reply = self.send(Method::HEAD, &url, MANIFESTS).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let reply = self.judge(reply)?;
        let digest = match reply.digest {
            Some(digest) => digest,
            // It need not say so; then the manifest itself does.
            None => {
                let reply = self.send(Method::GET, &url, MANIFESTS).await?;
                let reply = self.judge(reply)?;
                format!("sha256:{}", hex(&Sha256::digest(&reply.body), 64))
            }
        };
        let digits = digest.strip_prefix("sha256:").unwrap_or_default();
        match digits.len() == 64 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            true => Ok(Some(digest)),
            false => Err(self.trouble(Fault::Unavailable, "its digest of a manifest is not one of sha256")),
        }
    }

    /// A request, let in as the registry wants it. Without any credentials it is asked for what it shows to everybody.
    async fn send(&mut self, method: Method, url: &str, accept: &'static str) -> Result<Reply, RegistryError> {
        let door = self.door();
        let known = self.tokens.get(&door);
        let had_one = known.is_some();
        let mut reply = self.once(&method, url, accept, known).await?;
        if had_one && is_refused(&reply) {
            self.tokens.forget(&door);
            // Not every registry says to a token that is not good any more how to get another one.
            if challenge(&reply).is_none() {
                reply = self.once(&method, url, accept, None).await?;
            }
        }
        let Some(challenge) = challenge(&reply) else { return Ok(reply) };
        let fits = |login: &&Login| challenge != Challenge::Basic || matches!(login, Login::Password { .. });
        let fitting: Vec<&'a Login> = self.logins.iter().filter(fits).collect();
        let attempts: Vec<Option<&Login>> =
            if fitting.is_empty() { vec![None] } else { fitting.into_iter().map(Some).collect() };
        let mut last = reply;
        for login in attempts {
            let header = match self.header(&challenge, login).await? {
                Ok(header) => header,
                Err(refused) => {
                    last = refused;
                    continue;
                }
            };
            last = self.once(&method, url, accept, Some(header.clone())).await?;
            if !is_refused(&last) {
                self.tokens.keep(door, header);
                break;
            }
        }
        Ok(last)
    }

    fn door(&self) -> Door {
        let mut hash = Sha256::new();
        for login in self.logins {
            let (kind, parts) = match login {
                Login::Password { username, password } => (1, vec![username.as_bytes(), password.expose()]),
                Login::Token(token) => (2, vec![token.expose()]),
            };
            hash.update([kind]);
            for part in parts {
                hash.update(part.len().to_le_bytes());
                hash.update(part);
            }
        }
        (format!("{}/{}", self.place.registry, self.place.name), hash.finalize().into())
    }

    async fn once(
        &mut self,
        method: &Method,
        url: &str,
        accept: &'static str,
        authorization: Option<HeaderValue>,
    ) -> Result<Reply, RegistryError> {
        let mut headers = vec![(ACCEPT, HeaderValue::from_static(accept))];
        headers.extend(authorization.map(|value| (AUTHORIZATION, value)));
        let call = Call { method: method.clone(), url: url.into(), headers, body: String::new() };
        let reply = self.caller.call(call).await;
        reply.map_err(|why| self.trouble(Fault::Unavailable, &format!("it cannot be reached: {why}")))
    }

    /// What opens the door with this login, or what was said instead.
    async fn header(
        &mut self,
        challenge: &Challenge,
        login: Option<&Login>,
    ) -> Result<Result<HeaderValue, Reply>, RegistryError> {
        let unusable = || self.trouble(Fault::Unauthorized, "it wants a user and a password, and there is none for it");
        match challenge {
            Challenge::Basic => login.and_then(token::basic).map(Ok).ok_or_else(unusable),
            Challenge::Bearer { realm, service, scope } => {
                let own = format!("repository:{}:pull", self.place.name);
                let scope = scope.as_deref().unwrap_or(&own);
                let wanted = Wanted { realm, service: service.as_deref(), scope };
                let outcome = token::ask(&mut self.caller, &wanted, login).await;
                match outcome.map_err(|why| self.trouble(Fault::Unavailable, &why))? {
                    Outcome::Given(given) => {
                        let header = token::bearer(&given).map(Ok);
                        header.ok_or_else(|| self.trouble(Fault::Unavailable, "its token cannot be used"))
                    }
                    // Others may be let in.
                    Outcome::Refused(reply)
                        if matches!(
                            reply.status,
                            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST
                        ) =>
                    {
                        Ok(Err(Reply { status: StatusCode::UNAUTHORIZED, ..reply }))
                    }
                    Outcome::Refused(reply) => Ok(Err(self.judge(reply)?)),
                }
            }
        }
    }

    /// A reply that says yes; any other is an error.
    fn judge(&self, reply: Reply) -> Result<Reply, RegistryError> {
        let status = reply.status;
        let fault = match status {
            _ if status.is_success() => return Ok(reply),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Fault::Unauthorized,
            StatusCode::TOO_MANY_REQUESTS => Fault::RateLimited,
            _ => Fault::Unavailable,
        };
        let words = self.words(&reply.body);
        let said = format!("it answered {status}{words}");
        Err(RegistryError {
            retry_after: reply.retry_after.filter(|after| *after > Span::ZERO),
            ..self.trouble(fault, &said)
        })
    }

    fn trouble(&self, fault: Fault, words: &str) -> RegistryError {
        RegistryError::new(&self.place.registry, fault, words)
    }

    /// What the registry says for people, if there is anything and it repeats no credential.
    fn words(&self, body: &[u8]) -> String {
        let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
        let first = refusal.errors.into_iter().map(|reason| reason.message).find(|message| !message.is_empty());
        let words = printable(&first.unwrap_or(refusal.details));
        let repeats = |secret: &[u8]| !secret.is_empty() && words.as_bytes().windows(secret.len()).any(|w| w == secret);
        let is_quiet = !self.logins.iter().any(|login| match login {
            Login::Password { username, password } => repeats(username.as_bytes()) || repeats(password.expose()),
            Login::Token(token) => repeats(token.expose()),
        });
        match words.is_empty() || !is_quiet {
            true => String::new(),
            false => format!(": {}", shortened(&words, SHOWN)),
        }
    }
}

fn is_refused(reply: &Reply) -> bool {
    matches!(reply.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// What it takes to be let in, if that is what a reply says.
fn challenge(reply: &Reply) -> Option<Challenge> {
    let asks = reply.status == StatusCode::UNAUTHORIZED;
    reply.challenge.as_deref().filter(|_| asks).and_then(Challenge::parse)
}

/// Where the next page is: `</v2/web/tags/list?n=2&last=b>; rel="next"`.
fn next_of(link: &str) -> Option<&str> {
    let is_next = |part: &&str| part.contains("rel=\"next\"") || part.contains("rel=next");
    let part = link.split(", <").find(is_next)?;
    part.trim_start_matches('<').split('>').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_named_by_a_link() {
        assert_eq!(next_of(r#"</v2/web/tags/list?n=2&last=b>; rel="next""#), Some("/v2/web/tags/list?n=2&last=b"));
        assert_eq!(next_of(r#"<https://r/v2/x>; rel="prev", <https://r/v2/y>; rel=next"#), Some("https://r/v2/y"));
        assert_eq!(next_of("nonsense"), None);
    }
}
