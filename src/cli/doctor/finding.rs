//! A finding: what was looked at, what to think of it, and the way out. Plain data.

use serde::Serialize;

use crate::cli::screen::{Paint, Tone};
use crate::model::text::printable;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// What to think of it.
    pub verdict: Verdict,
    /// What there is, for people.
    pub message: String,
    /// What to do about it; none when it is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way_out: Option<String>,
}

/// What to think of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is well.
    Ok,
    /// It works, and may trouble somebody one day.
    Warn,
    /// Evenkeel cannot do its work.
    Fail,
}

impl Finding {
    /// It is well.
    pub fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, message: printable(&message.into()), way_out: None }
    }

    /// It may trouble somebody one day.
    pub fn warn(check: &'static str, message: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, way_out: Some(printable(&way_out.into())), ..Self::ok(check, message) }
    }

    /// Evenkeel cannot do its work.
    pub fn fail(check: &'static str, message: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, ..Self::warn(check, message, way_out) }
    }

    /// A line, and one more with the way out.
    pub fn text(&self, paint: Paint) -> String {
        let (word, tone) = match self.verdict {
            Verdict::Ok => ("ok  ", Tone::Good),
            Verdict::Warn => ("warn", Tone::Busy),
            Verdict::Fail => ("fail", Tone::Bad),
        };
        let way_out = self.way_out.as_ref().map(|way_out| format!("\n      {way_out}")).unwrap_or_default();
        format!("{}  {}: {}{way_out}", paint.paint(tone, word), self.check, self.message)
    }
}
