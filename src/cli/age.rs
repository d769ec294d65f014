//! Spans of time as kubectl prints them: two units at most, coarser as they grow.

use crate::model::time::{Span, Timestamp};

/// How long ago `then` was: `45s`, `5m30s`, `3h`, `12d`.
pub fn since(then: Timestamp, now: Timestamp) -> String {
    span(now.since(then))
}

/// How long ago, or nothing known.
pub fn since_some(then: Option<Timestamp>, now: Timestamp) -> String {
    then.map(|then| since(then, now)).unwrap_or_default()
}

/// A span: kubectl's `HumanDuration`.
pub fn span(span: Span) -> String {
    let seconds = span.0 / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let two = |big: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{big}{unit}"),
        small => format!("{big}{unit}{small}{small_unit}"),
    };
    if seconds < 120 {
        format!("{seconds}s")
    } else if minutes < 10 {
        two(minutes, "m", seconds % 60, "s")
    } else if hours < 3 {
        format!("{minutes}m")
    } else if hours < 8 {
        two(hours, "h", minutes % 60, "m")
    } else if hours < 48 {
        format!("{hours}h")
    } else if days < 8 {
        two(days, "d", hours % 24, "h")
    } else if days < 730 {
        format!("{days}d")
    } else {
        format!("{}y", days / 365)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_reads_as_in_kubectl() {
        let cases = [
            (45, "45s"),
            (119, "119s"),
            (330, "5m30s"),
            (300, "5m"),
            (3600, "60m"),
            (4 * 3600 + 120, "4h2m"),
            (30 * 3600, "30h"),
            (86400 * 3 + 3600, "3d1h"),
            (86400 * 100, "100d"),
            (86400 * 800, "2y"),
        ];
        for (seconds, text) in cases {
            assert_eq!(span(Span::secs(seconds)), text);
        }
    }
}
