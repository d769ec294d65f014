//! A receiver: where it is, what it wants, and the files that say so. A webhook's URL and its headers are secrets:
//! nothing here prints more of them than the host.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use hyper::Uri;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};

use super::format::Format;
use super::news::Wish;
use crate::model::secret::{SHORTEST, SecretBytes};

/// The longest URL.
const URL_MAX: usize = 8 << 10;
/// The most that a file with headers may hold.
const HEADERS_MAX: usize = 16 << 10;

/// Somebody who is told.
#[derive(Clone)]
pub struct Receiver {
    /// What the configuration calls it; in logs and metrics.
    pub name: String,
    /// Where it is.
    pub place: Place,
    /// A file with further headers.
    pub headers_file: Option<PathBuf>,
    /// How it wants to be told.
    pub format: Format,
    /// What it wants to be told.
    pub wish: Wish,
}

/// Where a receiver is.
#[derive(Clone)]
pub enum Place {
    /// At this URL.
    Url(SecretBytes),
    /// At the URL in this file.
    File(PathBuf),
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "receiver {}", self.name)
    }
}

/// Reads a file; the error continues "the file …".
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> Result<Vec<u8>, String>;

impl Receiver {
    /// Where to send to now. The files are read each time, so that a secret is replaced without a restart.
    pub fn target(&self, read: ReadFile) -> Result<Target, String> {
        let uri = match &self.place {
            Place::Url(url) => parse_url(&String::from_utf8_lossy(url.expose()))?,
            Place::File(path) => {
                let in_file = |why: String| format!("the file of its URL, {}, {why}", path.display());
                let text = text(read(path).map_err(in_file)?).map_err(in_file)?;
                parse_url(&text).map_err(|why| format!("{}: {why}", path.display()))?
            }
        };
        let headers = match &self.headers_file {
            None => HeaderMap::new(),
            Some(path) => {
                let in_file = |why: String| format!("the file of its headers, {}, {why}", path.display());
                let text = text(read(path).map_err(in_file)?).map_err(in_file)?;
                parse_headers(&text).map_err(|why| format!("{}: {why}", path.display()))?
            }
        };
        Ok(Target { uri, headers })
    }
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| "is not text".into())
}

/// The URL in a text, or what is wrong with it; that never quotes it.
pub fn parse_url(text: &str) -> Result<Uri, String> {
    let text = text.trim();
    if text.len() > URL_MAX {
        return Err(format!("the URL has more than {URL_MAX} bytes"));
    }
    if text.is_empty() || text.contains(char::is_whitespace) {
        return Err("one URL is expected, and nothing else".into());
    }
    let uri: Uri = text.parse().map_err(|_| "this is not a URL")?;
    match uri.scheme_str() {
        Some("https" | "http") => {}
        _ => return Err("the URL must begin with https:// or http://".into()),
    }
    let authority = uri.authority().ok_or("the URL names no host")?;
    if authority.as_str().contains('@') {
        return Err("the URL has a user or password in it: put an Authorization line into headersFile".into());
    }
    if authority.host().is_empty() {
        return Err("the URL names no host".into());
    }
    match authority.as_str().len() > authority.host().len() && authority.port_u16().is_none() {
        true => Err("the port of the URL is not a number from 1 to 65535".into()),
        false => Ok(uri),
    }
}

/// The headers in a text, `Name: value` on each line, or what is wrong with it; that never quotes a value.
fn parse_headers(text: &str) -> Result<HeaderMap, String> {
    if text.len() > HEADERS_MAX {
        return Err(format!("the headers have more than {HEADERS_MAX} bytes"));
    }
    let mut headers = HeaderMap::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
    {
        let (name, value) = line.split_once(':').ok_or_else(|| format!("line {number} is not 'Name: value'"))?;
        let name: HeaderName =
            name.trim().parse().map_err(|_| format!("line {number} does not begin with a header's name"))?;
        if [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION].contains(&name) {
            return Err(format!("line {number}: the header {name} is not for you to set"));
        }
        let mut value: HeaderValue = value
            .trim()
            .parse()
            .map_err(|_| format!("line {number}: the value of {name} has characters that a header cannot have"))?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

/// Where one request goes.
pub struct Target {
    /// The URL, a secret.
    pub uri: Uri,
    /// Further headers, secrets too.
    pub headers: HeaderMap,
}

impl Target {
    /// The part of the URL that may be shown: the host, and the port if there is one.
    pub fn host(&self) -> &str {
        self.uri.authority().map(|authority| authority.as_str()).unwrap_or_default()
    }

    /// Whether a text that came back may be shown: a server may repeat what it was sent.
    pub fn keeps_quiet_about_us(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        !self.secret_parts().iter().any(|part| text.contains(part.as_str()))
    }

    /// The letters and digits between the other characters of path, query and header values, in lower case.
    fn secret_parts(&self) -> BTreeSet<String> {
        let path = self.uri.path_and_query().map(|path| path.as_str()).unwrap_or_default();
        let values = self.headers.values().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let texts = values.chain([path.to_string()]);
        let parts = texts.flat_map(|text| {
            // What is escaped comes back as it is meant.
            let parts = text.split('%').flat_map(|part| [Some(part), part.get(2..)]).flatten();
            let parts = parts.flat_map(|part| part.split(|c: char| !c.is_alphanumeric())).map(str::to_lowercase);
            parts.filter(|part| part.len() >= SHORTEST).collect::<Vec<_>>()
        });
        parts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_or_refused_without_being_quoted() {
        for right in
            ["https://hooks.example/services/T0/B0/s3cret\n", "http://127.0.0.1:8080/", "HTTPS://[::1]:8443/x?token=1"]
        {
            assert!(parse_url(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "https://hooks.example/s3cret https://two.example",
            "hooks.example/s3cret",
            "/s3cret",
            "ftp://hooks.example/s3cret",
            "https://ann:s3cret@hooks.example/",
            "https:///s3cret",
            "https://hooks.example:99999/s3cret",
            &format!("https://hooks.example/s3cret{}", "x".repeat(URL_MAX)),
        ] {
            let why = parse_url(wrong).unwrap_err();
            assert!(!why.contains("s3cret"), "{why}");
        }
    }

    #[test]
    fn headers_are_lines_and_mistakes_name_the_line_alone() {
        let headers = parse_headers("# of the relay\nAuthorization: Bearer s3cret\n\nX-Team:  ops \n").unwrap();
        assert_eq!(headers["authorization"], "Bearer s3cret");
        assert_eq!(headers["x-team"], "ops");
        for wrong in ["Bearer s3cret", "bad name: s3cret", "Host: s3cret", "X: s3cret\u{1}"] {
            let why = parse_headers(&format!("\n{wrong}\n")).unwrap_err();
            assert!(why.contains("line 2") && !why.contains("s3cret"), "{why}");
        }
    }

    #[test]
    fn files_are_read_anew_each_time() {
        let receiver = Receiver {
            name: "ops".into(),
            place: Place::File("/url".into()),
            headers_file: Some("/headers".into()),
            format: Format::Json,
            wish: Wish::All,
        };
        let target = |url: Result<&str, &str>| {
            let url = url.map(|text| text.as_bytes().to_vec()).map_err(str::to_string);
            receiver.target(&|path| if path == Path::new("/url") { url.clone() } else { Ok(b"A: b\n".to_vec()) })
        };
        let target_of = |text| target(Ok(text)).map(|target| target.host().to_string());
        assert_eq!(target_of("https://one.example/x"), Ok("one.example".into()));
        assert_eq!(target_of("https://two.example:8443/x"), Ok("two.example:8443".into()));
        assert_eq!(target_of("s3cret"), Err("/url: the URL must begin with https:// or http://".into()));
        let missing = target(Err("does not exist")).err();
        assert_eq!(missing, Some("the file of its URL, /url, does not exist".into()));
        assert_eq!(format!("{receiver:?}"), "receiver ops");
    }

    #[test]
    fn an_answer_that_repeats_a_secret_is_not_for_showing() {
        let uri = parse_url("https://hooks.example/services/T0/s3creT?key=ab%2Fcdef").unwrap();
        let headers = parse_headers("Authorization: Bearer t0ken-2").unwrap();
        let target = Target { uri, headers };
        for loud in ["no route for /services", "S3CRET is unknown", "cdef", "bearer is wrong", "T0KEN"] {
            assert!(!target.keeps_quiet_about_us(loud), "{loud}");
        }
        assert!(target.keeps_quiet_about_us("invalid_payload"));
    }
}
