//! Words of a command line (`URL --seconds 5 --until-eof`), and settings from the environment; durations as `15s` or `200ms`.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// The words after the subcommand.
pub struct Args(Vec<String>);

impl Args {
    pub fn new(words: impl Iterator<Item = String>) -> Self {
        Args(words.collect())
    }

    /// The first word that is no option: it must come before the options.
    pub fn first(&self) -> Option<&str> {
        self.0.first().filter(|word| !word.starts_with("--")).map(String::as_str)
    }

    /// All words as they are.
    pub fn all(&self) -> &[String] {
        &self.0
    }

    pub fn has(&self, option: &str) -> bool {
        self.0.iter().any(|word| word == option)
    }

    pub fn text(&self, option: &str) -> Option<&str> {
        let at = self.0.iter().position(|word| word == option)?;
        self.0.get(at + 1).map(String::as_str)
    }

    pub fn number<T: FromStr<Err: Display>>(&self, option: &str, default: T) -> Result<T, String> {
        match self.text(option) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|e| format!("{option} {text}: {e}")),
        }
    }
}

/// An environment variable; an empty one counts as not set.
pub fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// An environment variable that holds a duration.
pub fn duration_setting(name: &str) -> Result<Option<Duration>, String> {
    setting(name).map(|text| duration(&text).map_err(|e| format!("{name}: {e}"))).transpose()
}

/// `15s`, `200ms`, or a plain number of seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    let number: f64 = number.parse().map_err(|_| format!("'{text}' is no duration"))?;
    Duration::try_from_secs_f64(number * unit).map_err(|e| format!("'{text}': {e}"))
}
