//! How secrets look that somebody has encoded: in base64, in a URL, and as the password in a URL. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A whole value in base64, with each alphabet and without the signs at its end, and escaped for a URL or a form.
pub fn encodings(value: &str) -> Vec<String> {
    let path = |byte: u8| if byte == b'/' { vec![b'/'] } else { percent(byte) };
    let form = |byte: u8| if byte == b' ' { vec![b'+'] } else { percent(byte) };
    let escaped = |each: &dyn Fn(u8) -> Vec<u8>| value.bytes().flat_map(each).map(char::from).collect::<String>();
    let escaped = [escaped(&percent), escaped(&path), escaped(&form)];
    let lower = escaped.clone().map(|text| in_lower_case(&text));
    let encoded = [STANDARD_NO_PAD.encode(value), URL_SAFE_NO_PAD.encode(value)];
    encoded.into_iter().chain(escaped).chain(lower).collect()
}

/// The password of a URL such as `postgres://user:password@host/path`, as it is written there and as it is meant.
pub fn passwords_of(url: &str) -> Vec<String> {
    let Some((_, rest)) = url.split_once("://") else { return Vec::new() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let login = authority.rsplit_once('@').and_then(|(login, _)| login.split_once(':'));
    login.map(|(_, password)| vec![password.to_owned(), unescaped(password)]).unwrap_or_default()
}

/// What `%XX` in a text stands for; the text itself, if that is not UTF-8.
fn unescaped(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, after @ ..] = rest {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn percent(byte: u8) -> Vec<u8> {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => vec![byte],
        other => format!("%{other:02X}").into_bytes(),
    }
}

/// The same with the digits after each `%` in lower case.
fn in_lower_case(escaped: &str) -> String {
    let mut digits = 0;
    let lower = |c: char| match (c, digits) {
        ('%', _) => {
            digits = 2;
            c
        }
        (_, 1..) => {
            digits -= 1;
            c.to_ascii_lowercase()
        }
        _ => c,
    };
    escaped.chars().map(lower).collect()
}
