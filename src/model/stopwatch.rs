//! A time that counts only while somebody watches: it stands still while the controller is down or the engine does not
//! answer. It never reads a clock, and a jump of the host's does not move it: what is kept is a span.

use serde::{Deserialize, Serialize};

use super::time::{Span, Timestamp};

/// How finely it is written down: in so many parts of the time that it counts towards. What a crash can lose is one of
/// them, and what it costs is as many writes.
const PARTS: u64 = 20;
/// No part is shorter.
const SHORTEST_PART: Span = Span::secs(1);

/// How long something lasts, as far as it was watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Span", into = "Span")]
pub struct Stopwatch {
    /// What it showed when it was last written down.
    noted: Span,
    /// When that was. Not written to disk: what comes after it counts from when watching began again.
    at: Timestamp,
}

impl From<Span> for Stopwatch {
    fn from(noted: Span) -> Self {
        Self { noted, at: Timestamp::default() }
    }
}

impl From<Stopwatch> for Span {
    fn from(watch: Stopwatch) -> Self {
        watch.noted
    }
}

impl Stopwatch {
    /// One that shows nothing yet.
    pub fn begin(now: Timestamp) -> Self {
        Self { noted: Span::ZERO, at: now }
    }

    /// Whether nothing of it needs to be written to disk.
    pub fn is_zero(&self) -> bool {
        self.noted == Span::ZERO
    }

    /// The same after it was held: it shows what was noted, and goes on from `now`.
    pub fn held_until(self, now: Timestamp) -> Self {
        Self { at: now, ..self }
    }

    /// When it shows `limit`, if it is watched from now on as it has been since `watched_since`.
    pub fn reaches(&self, limit: Span, watched_since: Timestamp) -> Timestamp {
        self.at.max(watched_since) + Span(limit.0.saturating_sub(self.noted.0))
    }

    /// When it is to be written down next on its way to `limit`.
    pub fn due(&self, limit: Span, watched_since: Timestamp) -> Timestamp {
        let part = Span(limit.0 / PARTS).max(SHORTEST_PART);
        (self.at.max(watched_since) + part).min(self.reaches(limit, watched_since))
    }

    /// The same, written down if that is due. At `limit` it stays.
    pub fn note(self, limit: Span, watched_since: Timestamp, now: Timestamp) -> Self {
        if self.noted >= limit || self.due(limit, watched_since) > now {
            return self;
        }
        let counted = now.since(self.at.max(watched_since));
        Self { noted: Span(self.noted.0.saturating_add(counted.0)).min(limit), at: now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Span = Span::secs(300);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::default() + Span::secs(seconds)
    }

    fn read_again(watch: Stopwatch) -> Stopwatch {
        serde_json::from_str(&serde_json::to_string(&watch).unwrap()).unwrap()
    }

    #[test]
    fn it_reaches_its_limit_after_that_time() {
        assert_eq!(Stopwatch::begin(at(10)).reaches(LIMIT, at(0)), at(310));
    }

    #[test]
    fn what_nobody_watched_does_not_count() {
        let watch = Stopwatch::begin(at(0)).note(LIMIT, at(0), at(100));
        assert_eq!(watch.reaches(LIMIT, at(1_000)), at(1_200));
        let on_disk = serde_json::to_string(&watch).unwrap();
        assert_eq!(on_disk, r#""1m 40s""#);
        assert_eq!(read_again(watch).reaches(LIMIT, at(1_000)), at(1_200), "by another process");
    }

    #[test]
    fn it_is_written_down_in_twenty_parts_and_no_more_at_its_limit() {
        let mut watch = Stopwatch::begin(at(0));
        let mut writes = 0;
        for second in 0..1_000 {
            let noted = watch.note(LIMIT, at(0), at(second));
            writes += u32::from(noted != watch);
            watch = noted;
        }
        assert_eq!((writes, Span::from(watch)), (20, LIMIT));
    }

    #[test]
    fn a_controller_that_never_lives_long_gets_there_all_the_same() {
        let mut watch = Stopwatch::begin(at(0));
        let mut starts = 0;
        while watch.reaches(LIMIT, at(starts * 60)) > at(starts * 60) {
            let begin = starts * 60;
            let due = watch.due(LIMIT, at(begin));
            watch = read_again(watch.note(LIMIT, at(begin), due));
            starts += 1;
        }
        assert_eq!(starts, 20, "each lived for the fifteen seconds of one part");
    }

    #[test]
    fn a_shorter_limit_than_what_it_shows_is_reached() {
        let watch = Stopwatch::begin(at(0)).note(LIMIT, at(0), at(100));
        assert_eq!(watch.reaches(Span::secs(50), at(0)), at(100));
        assert_eq!(watch.note(Span::secs(50), at(0), at(200)), watch);
    }
}
