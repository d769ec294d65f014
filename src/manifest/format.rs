//! The formats and patterns of the schemas, said by the model's own parsers. It knows no place and no field.

use std::net::{IpAddr, Ipv4Addr};

use super::image;
use crate::model::name::Name;
use crate::model::quantity::{Cpu, Memory};
use crate::model::schedule;
use crate::model::spec::{HostPort, Loopback};
use crate::model::tags;
use crate::model::time::Span;

/// Whether `text` is what a format of the model stands for.
pub fn well_formed(format: &str, text: &str) -> Result<(), String> {
    let owned = text.to_string();
    match format {
        "duration" => Span::try_from(owned).map(drop),
        "memory" => Memory::try_from(owned).map(drop),
        "cpu" => Cpu::try_from(owned).map(drop),
        "name" => Name::new(owned).map(drop).map_err(|wrong| format!("'{text}': {wrong}")),
        "image" => image::check(text),
        "semver-range" => tags::check_range(text),
        "tag-pattern" => tags::check_pattern(text),
        "port-range" => HostPort::Range(owned).bounds().map(drop),
        "cron" => schedule::check_schedule(text),
        "time-zone" => schedule::check_time_zone(text),
        "mode" => mode(text),
        "ip" => text.parse::<IpAddr>().map(drop).map_err(|_| format!("'{text}' is not an IP address")),
        "ipv4" => text.parse::<Ipv4Addr>().map(drop).map_err(|_| format!("'{text}' is not an IPv4 address")),
        "loopback" => Loopback::try_from(owned).map(drop),
        _ => Ok(()),
    }
}

/// What would be right in the place of a value that is not what its format stands for, where an example says more.
pub fn way_out(format: &str) -> Option<&'static str> {
    match format {
        "cron" => Some("such as \"30 2 * * *\" (daily at 2:30), \"*/15 * * * *\" or @daily"),
        "semver-range" => Some("such as \">=1.4 <2\", ^1.4, ~1.4.2 or 1.x; several with || between them"),
        "loopback" => Some("write 127.0.0.1 or ::1, or leave it out for the container's address"),
        "time-zone" => Some("such as UTC, Europe/Berlin or America/New_York"),
        _ => None,
    }
}

/// The few patterns that the model uses, in words.
pub fn matches(pattern: &str, text: &str) -> Result<(), String> {
    let (fits, what) = match pattern {
        ABSOLUTE => (text.starts_with('/'), "an absolute path: it begins with '/'"),
        SIGNAL => {
            let name = text.strip_prefix("SIG").unwrap_or_default();
            let legal = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '+' | '-');
            (!name.is_empty() && name.chars().all(legal), "a signal such as SIGQUIT")
        }
        GPUS => {
            let number = !text.starts_with('0') && text.len() <= 3 && text.parse::<u16>().is_ok_and(|n| n > 0);
            (text == "all" || number, "'all' or a number of GPUs")
        }
        _ => (true, ""),
    };
    if fits { Ok(()) } else { Err(format!("'{text}' is not {what}")) }
}

const ABSOLUTE: &str = "^/";
const SIGNAL: &str = "^SIG[A-Z0-9+-]+$";
const GPUS: &str = "^(all|[1-9][0-9]{0,2})$";

/// Permission bits: four octal digits, because YAML readers disagree about what a shorter number is.
fn mode(text: &str) -> Result<(), String> {
    match text.len() == 4 && text.bytes().all(|byte| matches!(byte, b'0'..=b'7')) {
        true => Ok(()),
        false => Err(format!("'{text}' is not a file mode in four octal digits, such as \"0444\"")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::manifest::schema;
    use crate::model::name::Kind;

    /// Every pattern and format of the schemas, so that none goes unchecked.
    fn collect(schema: &Json, name: &str, found: &mut Vec<String>) {
        match schema {
            Json::Object(fields) => {
                found.extend(fields.get(name).and_then(Json::as_str).map(String::from));
                fields.values().for_each(|value| collect(value, name, found));
            }
            Json::Array(items) => items.iter().for_each(|value| collect(value, name, found)),
            _ => {}
        }
    }

    #[test]
    fn every_pattern_and_format_of_the_model_is_checked() {
        let (mut patterns, mut formats) = (Vec::new(), Vec::new());
        for kind in Kind::ALL {
            collect(schema::of(kind), "pattern", &mut patterns);
            collect(schema::of(kind), "format", &mut formats);
        }
        let name_has_a_format = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
        patterns.retain(|pattern| ![ABSOLUTE, SIGNAL, GPUS, name_has_a_format].contains(&pattern.as_str()));
        assert_eq!(patterns, Vec::<String>::new());
        formats.retain(|format| {
            let takes = |text: &str| well_formed(format, text).is_ok();
            !["int64", "uint16", "uint32"].contains(&format.as_str()) && takes("\u{1}") && takes("(")
        });
        assert_eq!(formats, Vec::<String>::new());
    }

    #[test]
    fn a_mode_is_written_in_octal() {
        for right in ["0444", "1777"] {
            assert_eq!(mode(right), Ok(()), "{right}");
        }
        for wrong in ["444", "256", "0999", "rw", "", "0x1ff", "10777", "00644"] {
            assert!(mode(wrong).is_err(), "{wrong}");
        }
    }
}
