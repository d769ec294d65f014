//! What can go wrong in a play, where, and in which words: `137 crash-after`, `write 12 torn`, `state 40 deleted`. It spoils
//! nothing itself: calls fail in [`calls`](crate::support::sim::calls), writes in [`disk`](super::disk).

use std::fmt;

use evenkeel::model::observed::Fault as EngineFault;

use super::disk::{Loss, WriteFault};
use crate::support::sim::calls::FaultMode;

/// Something that goes wrong once in a play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// At the call to the engine of that index.
    Call { at: usize, mode: FaultMode },
    /// At the change of the state directory of that index.
    Write { at: usize, mode: WriteFault },
    /// The state directory itself, just before the call of that index.
    State { at: usize, loss: Loss },
}

impl Fault {
    /// Whether what the controller knew before it is gone.
    pub fn loses_history(&self) -> bool {
        matches!(self, Fault::State { .. })
    }

    /// Whether the engine ends, and with it what runs.
    pub fn ends_the_engine(&self) -> bool {
        matches!(self, Fault::Call { mode: FaultMode::EngineRestart { .. }, .. })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Call { at, mode } => write!(f, "{at} {}", mode.word()),
            Fault::Write { at, mode } => write!(f, "write {at} {}", mode.word()),
            Fault::State { at, loss } => write!(f, "state {at} {}", loss.word()),
        }
    }
}

/// Several faults in the words of one line.
pub fn words(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Reads what [`words`] wrote.
pub fn parse(words: &[&str]) -> Result<Vec<Fault>, String> {
    let mut faults = Vec::new();
    let mut rest = words;
    while !rest.is_empty() {
        let (fault, more) = match rest {
            ["write", at, mode, more @ ..] => {
                (Fault::Write { at: index(at)?, mode: named(mode, &WriteFault::ALL, WriteFault::word)? }, more)
            }
            ["state", at, loss, more @ ..] => {
                (Fault::State { at: index(at)?, loss: named(loss, &Loss::ALL, Loss::word)? }, more)
            }
            [at, mode, more @ ..] => {
                (Fault::Call { at: index(at)?, mode: named(mode, &FaultMode::ALL, FaultMode::word)? }, more)
            }
            _ => return Err(format!("'{}' is not a fault such as '137 crash-after'", rest.join(" "))),
        };
        faults.push(fault);
        rest = more;
    }
    Ok(faults)
}

fn index(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("'{text}' is not the index of a call or a write"))
}

fn named<T: Copy>(word: &str, all: &[T], name: fn(T) -> &'static str) -> Result<T, String> {
    let found = all.iter().copied().find(|one| name(*one) == word);
    found.ok_or_else(|| {
        format!("'{word}' is none of {}", all.iter().map(|one| name(*one)).collect::<Vec<_>>().join(", "))
    })
}

impl FaultMode {
    /// Its word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            FaultMode::CrashBefore => "crash-before",
            FaultMode::CrashDuring => "crash-during",
            FaultMode::CrashAfter => "crash-after",
            FaultMode::Error(EngineFault::Invalid) => "refusal",
            FaultMode::Error(_) => "error",
            FaultMode::HalfRemoved => "half-removed",
            FaultMode::Timeout { effect: false } => "timeout",
            FaultMode::Timeout { effect: true } => "timeout-after-effect",
            FaultMode::Silence { effect: false } => "silence",
            FaultMode::Silence { effect: true } => "silence-after-effect",
            FaultMode::StaleList => "stale-list",
            FaultMode::PartialList => "partial-list",
            FaultMode::EmptyList => "empty-list",
            FaultMode::EventsLost => "lost-events",
            FaultMode::EventsDoubled => "doubled-events",
            FaultMode::EventsLate => "late-events",
            FaultMode::EngineRestart { graceful: true } => "engine-restart",
            FaultMode::EngineRestart { graceful: false } => "engine-crash",
        }
    }
}
