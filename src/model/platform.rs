//! What programs are made for: `linux/arm64/v8`. It knows no engine.

use std::fmt;

/// An operating system, an architecture and perhaps a variant of it, as images and engines name them. What is empty is not
/// known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Platform {
    /// Such as `linux`.
    pub os: String,
    /// Such as `amd64`.
    pub architecture: String,
    /// Such as `v8`.
    pub variant: String,
}

impl Platform {
    /// That which a text such as `linux/arm64` names.
    pub fn of(text: &str) -> Self {
        let mut parts = text.split('/').map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        Self { os: part(), architecture: part(), variant: part() }
    }

    /// Whether something for `other` is something for this one, as far as both are known.
    pub fn is(&self, other: &Platform) -> bool {
        let agrees = |a: &str, b: &str| a.is_empty() || b.is_empty() || a.eq_ignore_ascii_case(b);
        agrees(&self.os, &other.os)
            && agrees(&self.architecture, &other.architecture)
            && agrees(&self.variant, &other.variant)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [&self.os, &self.architecture, &self.variant].into_iter().map(String::as_str);
        f.write_str(&parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_compared_as_far_as_they_are_told() {
        let is = |wanted: &str, found: &str| Platform::of(wanted).is(&Platform::of(found));
        assert!(is("linux/amd64", "linux/amd64"));
        assert!(is("linux/arm64/v8", "linux/arm64"));
        assert!(is("linux/arm64", ""));
        assert!(!is("linux/arm64", "linux/amd64"));
        assert!(!is("linux/arm/v6", "linux/arm/v7"));
    }

    #[test]
    fn one_is_written_as_it_is_read() {
        for text in ["linux/amd64", "linux/arm/v7", ""] {
            assert_eq!(Platform::of(text).to_string(), text);
        }
    }
}
