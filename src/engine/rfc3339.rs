//! Times as the engine writes them: RFC 3339 with up to nanoseconds, in UTC or with an offset. It knows no clock.

use crate::model::time::Timestamp;

/// The time as milliseconds; none for what is no time, and for the engine's "never" (the year 1).
pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    nanos(text).map(|nanos| Timestamp(nanos.div_euclid(1_000_000))).filter(|at| at.0 > 0)
}

/// Nanoseconds since 1970; none when the text is no time or out of range (years before 1678 or after 2262).
pub(super) fn nanos(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', 't'])?;
    let [year, month, day] = numbers(date, '-')?;
    let zone_at = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at(zone_at);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(time, ':')?;
    let plausible = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !plausible {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset(zone)?;
    seconds.checked_mul(1_000_000_000)?.checked_add(fraction_nanos(fraction)?)
}

/// Three numbers without signs.
fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator).map(|part| match part.bytes().all(|b| b.is_ascii_digit()) {
        true if (1..=4).contains(&part.len()) => part.parse().ok(),
        _ => None,
    });
    let three = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(three)
}

fn fraction_nanos(digits: &str) -> Option<i64> {
    if digits.is_empty() || digits.len() > 18 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("{digits:0<9}")[..9].parse().ok()
}

/// `Z`, `+01:00` or `-05:30`, in seconds.
fn offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    ((0..24).contains(&hours) && (0..60).contains(&minutes)).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Days from 1970-01-01 in the Gregorian calendar: years begin in March, so that the leap day is a year's last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_times_are_read_to_the_millisecond() {
        for (text, millis) in [
            ("1970-01-01T00:00:00.001Z", 1),
            ("2026-11-21T10:43:42.123456789Z", 1_795_257_822_123),
            ("2026-11-21T11:43:42.123456789+01:00", 1_795_257_822_123),
            ("2024-02-29T23:59:59Z", 1_709_251_199_000),
        ] {
            assert_eq!(timestamp(text), Some(Timestamp(millis)), "{text}");
        }
        assert_eq!(nanos("2026-11-21T10:43:42.000000001Z"), Some(1_795_257_822_000_000_001));
    }

    #[test]
    fn never_and_nonsense_are_no_times() {
        for text in [
            "0001-01-01T00:00:00Z",
            "",
            "now",
            "2026-13-01T00:00:00Z",
            "2026-11-21T10:43:42",
            "T:::Z",
            "9999999-1-1T0:0:0Z",
        ] {
            assert_eq!(timestamp(text), None, "{text}");
        }
    }
}
