//! Points in time and spans of it. It never reads a clock: `now` is always an argument.

use std::fmt;
use std::ops::{Add, Sub};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Timestamp) -> Span {
        Span(self.0.saturating_sub(earlier.0).max(0) as u64)
    }
}

impl Add<Span> for Timestamp {
    type Output = Timestamp;
    fn add(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(span.0).unwrap_or(i64::MAX)))
    }
}

impl Sub<Span> for Timestamp {
    type Output = Timestamp;
    fn sub(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_sub(i64::try_from(span.0).unwrap_or(i64::MAX)))
    }
}

/// The last second that RFC 3339 can write, in the year 9999: a damaged file may hold anything.
const LAST: i64 = 253_402_300_799_000;

/// RFC 3339 in UTC with seconds: `2026-11-21T10:43:42Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(self.0.clamp(0, LAST) as u64);
        write!(f, "{}", humantime::format_rfc3339_seconds(at))
    }
}

/// A span of time in milliseconds, written as a person does: `10s`, `1m 30s`, `500ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
// A bare number has no unit, so only 0 is one: `maximum` is about numbers alone.
#[schemars(with = "String", extend("format" = "duration", "type" = ["string", "number"], "minimum" = 0, "maximum" = 0))]
pub struct Span(pub u64);

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);

    /// `n` seconds.
    pub const fn secs(n: u64) -> Self {
        Self(n * 1000)
    }

    /// `n` milliseconds.
    pub const fn millis(n: u64) -> Self {
        Self(n)
    }

    /// The same span for the standard library.
    pub fn std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }
}

impl TryFrom<String> for Span {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text.trim() == "0" {
            return Ok(Self::ZERO);
        }
        let parsed = humantime::parse_duration(text.trim())
            .map_err(|_| format!("'{text}' is not a duration such as 10s or 1m 30s"))?;
        // A century is longer than any machine lives; beyond it sums could overflow.
        match u64::try_from(parsed.as_millis()) {
            Ok(millis) if millis <= 3_155_760_000_000 => Ok(Self(millis)),
            _ => Err(format!("'{text}' is longer than 100 years")),
        }
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.std()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_reads_as_a_person_writes_it() {
        assert_eq!(Span::try_from("1m 30s".to_string()), Ok(Span::secs(90)));
        assert_eq!(Span::try_from("0".to_string()), Ok(Span::ZERO));
        assert!(Span::try_from("10".to_string()).unwrap_err().contains("10"));
        assert!(Span::try_from("200y".to_string()).is_err());
    }

    #[test]
    fn any_number_can_be_shown_as_a_time() {
        assert_eq!(Timestamp(i64::MAX).to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(Timestamp(i64::MIN).to_string(), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn since_never_goes_below_zero() {
        assert_eq!(Timestamp(5).since(Timestamp(9)), Span::ZERO);
    }
}
