//! Tokens: given by whoever a registry's challenge names, for a login or to anybody. It knows neither tags nor manifests.

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Uri};
use serde::Deserialize;

use super::http::{Call, Caller, Reply};
use super::place::is_loopback;
use crate::model::secret::{Login, SecretBytes};

/// Where a token comes from, and what it is for.
pub(super) struct Wanted<'a> {
    pub(super) realm: &'a str,
    pub(super) service: Option<&'a str>,
    pub(super) scope: &'a str,
}

/// What came of asking for a token.
pub(super) enum Outcome {
    /// Here it is.
    Given(SecretBytes),
    /// The server said something else.
    Refused(Reply),
}

/// An answer. No `Debug`.
#[derive(Deserialize)]
struct Given {
    token: Option<String>,
    access_token: Option<String>,
}

/// Asks for a token.
pub(super) async fn ask(caller: &mut Caller, wanted: &Wanted<'_>, login: Option<&Login>) -> Result<Outcome, String> {
    let call = request(wanted, login)?;
    let reply = caller.call(call).await.map_err(|why| format!("no token from {}: {why}", host(wanted.realm)))?;
    if !reply.status.is_success() {
        return Ok(Outcome::Refused(reply));
    }
    let given: Option<Given> = serde_json::from_slice(&reply.body).ok();
    let token = given.and_then(|given| given.token.or(given.access_token)).filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| format!("{} gave an answer without a token", host(wanted.realm)))?;
    Ok(Outcome::Given(SecretBytes::new(token.into_bytes())))
}

fn request(wanted: &Wanted<'_>, login: Option<&Login>) -> Result<Call, String> {
    if !is_safe(wanted.realm) {
        return Err("its tokens are not given over https, so no credentials go there".into());
    }
    let mut fields = vec![("scope", wanted.scope)];
    fields.extend(wanted.service.map(|service| ("service", service)));
    if let Some(Login::Token(token)) = login {
        let token = std::str::from_utf8(token.expose()).map_err(|_| "the identity token is not text")?;
        fields.extend([("grant_type", "refresh_token"), ("client_id", "evenkeel"), ("refresh_token", token)]);
        let kind = (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let (url, body) = (wanted.realm.to_owned(), form(&fields));
        return Ok(Call { method: Method::POST, url, headers: vec![kind], body });
    }
    let joint = if wanted.realm.contains('?') { '&' } else { '?' };
    let url = format!("{}{joint}{}", wanted.realm, form(&fields));
    let headers = login.and_then(basic).map(|basic| (AUTHORIZATION, basic));
    Ok(Call { method: Method::GET, url, headers: headers.into_iter().collect(), body: String::new() })
}

/// Whether credentials may go to a URL, judged as the client reads it that goes there. What stands before an `@` is no host,
/// whatever it looks like.
fn is_safe(realm: &str) -> bool {
    let Ok(url) = realm.parse::<Uri>() else { return false };
    let (Some(authority), Some(host)) = (url.authority(), url.host()) else { return false };
    let is_to_be_trusted = match url.scheme_str() {
        Some("https") => true,
        Some("http") => is_loopback(host),
        Some(_) | None => false,
    };
    is_to_be_trusted && !authority.as_str().contains('@')
}

/// The header of a user with a password.
pub(super) fn basic(login: &Login) -> Option<HeaderValue> {
    use base64::Engine as _;
    let Login::Password { username, password } = login else { return None };
    let both = [username.as_bytes(), b":", password.expose()].concat();
    let encoded = base64::engine::general_purpose::STANDARD.encode(both);
    secret_header(&format!("Basic {encoded}"))
}

/// The header of a token.
pub(super) fn bearer(token: &SecretBytes) -> Option<HeaderValue> {
    secret_header(&format!("Bearer {}", std::str::from_utf8(token.expose()).ok()?))
}

fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The host of a URL, with its port.
pub(super) fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or(rest)
}

fn form(fields: &[(&str, &str)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&")
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: &str = "repository:shop/web:pull";

    fn wanted(realm: &str) -> Wanted<'_> {
        Wanted { realm, service: Some("r example"), scope: SCOPE }
    }

    #[test]
    fn a_user_is_in_the_header_and_a_token_in_the_body_and_neither_in_the_url() {
        let user = Login::Password { username: "me".into(), password: SecretBytes::new(b"s3cret".to_vec()) };
        let call = request(&wanted("https://auth.example/t?a=b"), Some(&user)).unwrap();
        assert_eq!(call.url, "https://auth.example/t?a=b&scope=repository%3Ashop%2Fweb%3Apull&service=r%20example");
        assert_eq!((call.headers[0].1.to_str().unwrap(), call.method), ("Basic bWU6czNjcmV0", Method::GET));
        let token = Login::Token(SecretBytes::new(b"s3cret".to_vec()));
        let call = request(&wanted("https://auth.example/t"), Some(&token)).unwrap();
        assert_eq!((call.url.as_str(), call.method), ("https://auth.example/t", Method::POST));
        assert!(call.body.contains("grant_type=refresh_token") && call.body.ends_with("refresh_token=s3cret"));
    }

    #[test]
    fn no_credential_leaves_the_machine_in_the_clear() {
        for realm in ["http://auth.example/t", "http://127.0.0.1.example/t", "ftp://x", "/token", ""] {
            assert!(request(&wanted(realm), None).is_err(), "{realm}");
        }
        for realm in ["http://127.0.0.1:5001/t", "http://[::1]:5001/t", "http://localhost/t", "https://auth.example/t"]
        {
            assert!(request(&wanted(realm), None).is_ok(), "{realm}");
        }
    }

    #[test]
    fn what_stands_before_an_at_is_not_taken_for_the_host() {
        let all = ["http://127.0.0.1:x@evil.example/t", "http://localhost@evil.example/t", "https://a@auth.example/t"];
        for realm in all.into_iter().chain(["http://127.0.0.1:80@evil.example?a=b", "http://[::1]@evil.example/"]) {
            assert!(request(&wanted(realm), None).is_err(), "{realm}");
        }
    }
}
