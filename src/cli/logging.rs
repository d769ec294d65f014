//! The daemon's log: to standard error, for people or as JSON. A quiet system logs nothing.

use std::io::IsTerminal;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::Deserialize;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::failure::Failure;

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object per line.
    Json,
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Refuses a slip: a filter would take any word for the name of a module, and then log nothing at all.
fn check(level: &str) -> Result<(), Failure> {
    let wrong = level.split(',').map(|part| part.rsplit_once('=').map_or(part, |(_, level)| level).trim());
    let wrong = wrong.into_iter().find(|word| !LEVELS.contains(&word.to_ascii_lowercase().as_str()));
    match wrong {
        None => Ok(()),
        Some(word) => Err(Failure::new(format!("'{word}' is not a log level"))
            .hint(format!("write {}, or a filter such as evenkeel::engine=debug,info", LEVELS.join(", ")))),
    }
}

/// Begins to log. `level` is a level (`debug`) or a list of them by module (`evenkeel::plan=debug,info`).
pub fn start(format: LogFormat, level: &str) -> Result<(), Failure> {
    check(level)?;
    let filter: Targets = level.parse().map_err(|error| {
        Failure::new(format!("'{level}' is not a log level: {error}"))
            .hint("write error, warn, info, debug or trace, or a filter such as evenkeel::engine=debug,info")
    })?;
    // What the file watcher says of a directory that was moved away, the sources say in our words.
    let log = tracing_subscriber::registry().with(filter.with_target("notify", LevelFilter::OFF));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    #[allow(clippy::disallowed_methods, reason = "the environment is the command line's to read")]
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let begun = match format {
        LogFormat::Text => log.with(lines.with_ansi(colour).with_target(false)).try_init(),
        LogFormat::Json => log.with(lines.json().flatten_event(true).with_current_span(false)).try_init(),
    };
    begun.map_err(|error| Failure::new(format!("logging cannot begin: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_in_a_level_is_refused() {
        for right in ["warn", "INFO", "evenkeel::engine=debug,info", "a=off,b::c=trace"] {
            assert!(check(right).is_ok(), "{right}");
        }
        for wrong in ["wran", "", "warn=", "info,evenkeel=debgu"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
