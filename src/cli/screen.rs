//! The screen: what is printed where, and in which colour. Colour only on a terminal and without NO_COLOR.

use std::io::{IsTerminal, Write};

use super::failure::Failure;
use crate::model::text::printable;

/// What a piece of text means, for colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    Plain,
    /// All is well.
    Good,
    /// Under way.
    Busy,
    /// Somebody should look.
    Bad,
    /// Of lesser interest.
    Dim,
    /// A heading.
    Strong,
}

/// Puts colour on text, or does not.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Without colour.
    pub const OFF: Paint = Paint { on: false };

    /// `text` in the colour of `tone`. The text must be printable already.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.into(),
            Tone::Good => "32",
            Tone::Busy => "33",
            Tone::Bad => "31",
            Tone::Dim => "2",
            Tone::Strong => "1",
        };
        if self.on && !text.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.into() }
    }
}

/// Standard output for results, standard error for everything said beside them.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// Colour of standard output.
    pub out: Paint,
    /// Colour of standard error.
    pub err: Paint,
}

impl Screen {
    /// The screen of this process.
    pub fn new() -> Self {
        #[allow(clippy::disallowed_methods, reason = "the environment is the command line's to read")]
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let colour = |terminal: bool| Paint { on: wanted && terminal };
        Self { out: colour(std::io::stdout().is_terminal()), err: colour(std::io::stderr().is_terminal()) }
    }

    /// Prints a result; a newline is added when the text does not end with one.
    pub fn print(&self, text: &str) -> Result<(), Failure> {
        let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let mut out = std::io::stdout().lock();
        let written = write!(out, "{text}{newline}").and_then(|()| out.flush());
        written.map_err(|_| Failure::unheard())
    }

    /// Says something beside the result.
    pub fn note(&self, text: &str) {
        // Nobody is left to tell when standard error is gone.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// Says what somebody should look at.
    pub fn warn(&self, text: &str) {
        self.note(&format!("{} {}", self.err.paint(Tone::Busy, "warning:"), printable(text)));
    }

    /// Says why the command failed.
    pub fn fail(&self, failure: &Failure) {
        if failure.message.is_empty() {
            return;
        }
        self.note(&format!("{} {}", self.err.paint(Tone::Bad, "error:"), lines(&failure.message)));
        if !failure.hint.is_empty() {
            self.note(&format!("{} {}", self.err.paint(Tone::Strong, "hint:"), lines(&failure.hint)));
        }
    }
}

/// Printable text that keeps its line breaks.
pub fn lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// The tone of an object's phase.
pub fn phase_tone(phase: &str) -> Tone {
    match phase {
        "Complete" | "Ready" | "Loaded" | "Scheduled" => Tone::Good,
        "Stalled" | "Failed" | "Refused" | "RolledBack" | "Degraded" | "Unknown" | "PruneHeld" | "LastGood" => {
            Tone::Bad
        }
        "Suspended" | "Paused" => Tone::Dim,
        _ => Tone::Busy,
    }
}
