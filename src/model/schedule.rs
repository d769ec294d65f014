//! Schedules: the times of a CronJob, from its five fields and its time zone. It knows no clock: the time is an argument.
//!
//! Daylight saving, by `croner`: a time of day that the clock skips comes at the first moment after the gap, and one that
//! the clock repeats comes once, the first time. What comes in intervals (`*/15`, `*`) goes on at its pace through both.

use chrono::{DateTime, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use super::time::Timestamp;

/// What people write instead of five fields.
const MACROS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// A moment at which a schedule that comes at all still has to come: the leap day of a year with one is ahead.
const SOME_DAY: Timestamp = Timestamp(1_700_000_000_000);

/// When something is to run.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Cron,
    zone: Tz,
}

impl Schedule {
    /// Reads the five fields, or a macro, and the time zone; the error says what is wrong with them.
    pub fn parse(schedule: &str, zone: &str) -> Result<Self, String> {
        Ok(Self { cron: cron(schedule)?, zone: time_zone(zone)? })
    }

    /// The first time after `after`; none when there is none in some thousand years.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let found = self.cron.find_next_occurrence(&self.local(after)?, false).ok()?;
        // Where the clock is put back, never one that has been.
        Some(Timestamp(found.timestamp_millis())).filter(|found| *found > after)
    }

    /// The last time after `after` that is not after `until`.
    pub fn newest(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let first = self.next(after).filter(|first| *first <= until)?;
        let last = self.cron.find_previous_occurrence(&self.local(until)?, true).ok()?;
        let last = Timestamp(last.timestamp_millis());
        Some(if last > first && last <= until { last } else { first })
    }

    fn local(&self, at: Timestamp) -> Option<DateTime<Tz>> {
        // Whole seconds: a fraction would hide the time that it follows.
        self.zone.timestamp_opt(at.0.div_euclid(1000), 0).single()
    }
}

/// Whether `text` is a schedule that comes at some time.
pub fn check_schedule(text: &str) -> Result<(), String> {
    let schedule = Schedule { cron: cron(text)?, zone: Tz::UTC };
    match schedule.next(SOME_DAY) {
        Some(_) => Ok(()),
        None => Err(format!("'{text}' never comes: there is no such day")),
    }
}

/// Whether `text` is the name of a time zone.
pub fn check_time_zone(text: &str) -> Result<(), String> {
    time_zone(text).map(drop)
}

fn cron(text: &str) -> Result<Cron, String> {
    let fields = match text.trim() {
        word if word.starts_with('@') => {
            let known = MACROS.iter().find(|(name, _)| *name == word.to_ascii_lowercase());
            let names = || MACROS.map(|(name, _)| name).join(", ");
            known.map(|(_, fields)| *fields).ok_or_else(|| format!("'{text}' is not one of {}", names()))?
        }
        fields => fields,
    };
    let count = fields.split_whitespace().count();
    if count != FIELDS.len() {
        let wanted = FIELDS.map(|(name, _)| name).join(", ");
        return Err(format!("'{text}' has {count} fields and not the five of a schedule: {wanted}"));
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(fields).map_err(|_| {
        // Which field it is: the one that is wrong among stars.
        let alone = |at: usize, field: &str| {
            let line = (0..FIELDS.len()).map(|place| if place == at { field } else { "*" }).collect::<Vec<_>>();
            parser.parse(&line.join(" "))
        };
        let wrong = fields.split_whitespace().enumerate().filter(|(at, field)| alone(*at, field).is_err());
        let wrong: Vec<String> = wrong
            .map(|(at, field)| {
                let (name, values) = FIELDS[at];
                format!("the {name} '{field}' is none ({values})")
            })
            .collect();
        match wrong.is_empty() {
            true => format!("'{text}' is not a schedule"),
            false => format!("'{text}' is not a schedule: {}; {WRITTEN}", wrong.join(", ")),
        }
    })
}

/// The fields of a schedule, and what may stand in each.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, L for the last one"),
    ("month", "1 to 12, or JAN to DEC"),
    ("day of the week", "0 to 7 with Sunday as both, or SUN to SAT"),
];

/// How a field may be written.
const WRITTEN: &str = "a field may be a list 1,2, a range 1-5 or in steps */5";

fn time_zone(text: &str) -> Result<Tz, String> {
    text.parse().map_err(|_| {
        let alike = TZ_VARIANTS.iter().map(|zone| zone.name()).find(|name| name.eq_ignore_ascii_case(text));
        match alike {
            Some(name) => format!("'{text}' is not a time zone: it is written '{name}'"),
            None => format!("'{text}' is not a time zone of the IANA database, such as Europe/Berlin"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
    }

    /// The next `count` times after `after`, in the zone's own words.
    fn times(schedule: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::parse(schedule, zone).unwrap();
        let mut now = at(after);
        let mut found = Vec::new();
        for _ in 0..count {
            now = schedule.next(now).unwrap();
            found.push(schedule.local(now).unwrap().to_string());
        }
        found
    }

    #[test]
    fn a_time_that_the_clock_skips_comes_at_the_first_moment_after_the_gap() {
        let nightly = times("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3);
        assert_eq!(nightly, ["2026-03-28 02:30:00 CET", "2026-03-29 03:00:00 CEST", "2026-03-30 02:30:00 CEST"]);
    }

    #[test]
    fn a_time_that_the_clock_repeats_comes_once() {
        let nightly = times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert_eq!(nightly, ["2026-10-25 02:30:00 CEST", "2026-10-26 02:30:00 CET"]);
    }

    #[test]
    fn what_comes_in_intervals_keeps_its_pace_when_the_clock_changes() {
        let spring = times("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3);
        assert_eq!(spring, ["2026-03-29 01:30:00 CET", "2026-03-29 03:00:00 CEST", "2026-03-29 03:30:00 CEST"]);
        let autumn = times("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 4);
        assert_eq!(
            autumn,
            [
                "2026-10-25 02:30:00 CEST",
                "2026-10-25 02:00:00 CET",
                "2026-10-25 02:30:00 CET",
                "2026-10-25 03:00:00 CET"
            ]
        );
    }

    #[test]
    fn the_newest_of_several_missed_times_is_found() {
        let hourly = Schedule::parse("@hourly", "UTC").unwrap();
        let newest = |after, until| hourly.newest(at(after), at(until));
        assert_eq!(newest("2026-01-01T00:10:00Z", "2026-01-01T05:59:59.999Z"), Some(at("2026-01-01T05:00:00Z")));
        assert_eq!(newest("2026-01-01T00:10:00Z", "2026-01-01T01:00:00Z"), Some(at("2026-01-01T01:00:00Z")));
        assert_eq!(newest("2026-01-01T00:10:00Z", "2026-01-01T00:59:59.999Z"), None);
        assert_eq!(newest("2026-01-01T01:00:00Z", "2026-01-01T01:59:00Z"), None);
    }

    /// Whatever the clock does, looking often and looking once find the same times, in order, each once.
    #[test]
    fn the_newest_is_one_of_the_times_that_come() {
        for (schedule, zone) in [("30 2 * * *", "Europe/Berlin"), ("15 1-3 * * *", "America/New_York")] {
            let schedule = Schedule::parse(schedule, zone).unwrap();
            for begin in
                ["2026-03-06T00:00:00Z", "2026-03-28T00:00:00Z", "2026-10-24T00:00:00Z", "2026-10-30T00:00:00Z"]
            {
                let (begin, mut times) = (at(begin), Vec::new());
                let mut now = begin;
                while now.0 < begin.0 + 4 * 86_400_000 {
                    now = schedule.next(now).unwrap();
                    times.push(now);
                }
                for minutes in 0..4 * 24 * 4 {
                    let until = Timestamp(begin.0 + minutes * 15 * 60_000);
                    let expected = times.iter().copied().rfind(|time| *time <= until);
                    assert_eq!(schedule.newest(begin, until), expected, "{until}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_schedule_is_explained() {
        let wrong = |text| check_schedule(text).unwrap_err();
        assert!(wrong("30 2 * *").contains("has 4 fields"));
        assert!(wrong("0 30 2 * * *").contains("has 6 fields"));
        assert!(wrong("@nightly").contains("@daily, @midnight"));
        assert!(wrong("61 * * * *").contains("'61 * * * *' is not a schedule: "));
        let both = wrong("61 25 * * *");
        assert!(
            both.contains("the minute '61' is none (0 to 59), the hour '25' is none (0 to 23); a field may"),
            "{both}"
        );
        assert!(wrong("0 0 30 2 *").contains("never comes"));
        for right in ["30 2 * * *", "@daily", "*/5 8-18 * * MON-FRI", "0 0 29 2 *", "0 4 * * 7"] {
            assert_eq!(check_schedule(right), Ok(()), "{right}");
        }
    }

    #[test]
    fn a_time_zone_is_known_by_its_name() {
        assert_eq!(check_time_zone("Europe/Berlin"), Ok(()));
        assert!(check_time_zone("europe/berlin").unwrap_err().contains("'Europe/Berlin'"));
        assert!(check_time_zone("CEST").unwrap_err().contains("IANA"));
    }
}
