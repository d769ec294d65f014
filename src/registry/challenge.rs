//! What a registry wants to see: the header `WWW-Authenticate` taken apart. Nobody is asked.

/// How a registry wants to know who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with each request.
    Basic,
    /// A token from somewhere else.
    Bearer {
        /// Where tokens are given.
        realm: String,
        /// For whom the token is.
        service: Option<String>,
        /// What it is for.
        scope: Option<String>,
    },
}

impl Challenge {
    /// The challenge of a header; none that is understood.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        let parameters = scheme.eq_ignore_ascii_case("bearer").then(|| parameters(rest))?;
        let value = |name: &str| {
            parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
        };
        Some(Self::Bearer { realm: value("realm")?, service: value("service"), scope: value("scope") })
    }
}

/// `name="value"` with commas between; a comma or an escaped quote may stand within quotes.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let (value, tail) = match after.strip_prefix('"') {
            Some(quoted) => unquoted(quoted),
            None => {
                let (value, tail) = after.split_once(',').unwrap_or((after, ""));
                (value.trim_end().to_owned(), tail)
            }
        };
        found.push((name.trim().to_owned(), value));
        rest = tail.trim_start_matches([',', ' ', '\t']);
    }
    found
}

/// What stands before the closing quote, and what comes after it.
fn unquoted(text: &str) -> (String, &str) {
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, &text[at + 1..]),
            _ => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_names_where_tokens_are() {
        let header =
            r#"Bearer realm="https://auth.example/token",service="r.example",scope="repository:shop/web:pull,push""#;
        let bearer = Challenge::Bearer {
            realm: "https://auth.example/token".into(),
            service: Some("r.example".into()),
            scope: Some("repository:shop/web:pull,push".into()),
        };
        assert_eq!(Challenge::parse(header), Some(bearer));
        assert_eq!(Challenge::parse(r#"Basic realm="r""#), Some(Challenge::Basic));
        let bare = Challenge::Bearer { realm: "https://a/t".into(), service: None, scope: None };
        assert_eq!(Challenge::parse("bearer realm=https://a/t , x=y"), Some(bare));
    }

    #[test]
    fn what_is_no_challenge_is_none() {
        for header in ["", "Bearer", "Negotiate", "Bearer service=\"x\"", "Digest realm=\"x\""] {
            assert_eq!(Challenge::parse(header), None, "{header}");
        }
        // It may say what it likes.
        assert!(Challenge::parse("Bearer realm=\"\\").is_some());
    }
}
