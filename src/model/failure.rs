//! What sort of failure ended a rollout: a bounded set of words, for metrics, alerts and whoever counts. The sentence beside
//! it is for people.

use serde::{Deserialize, Serialize};

/// Why a revision has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutFailure {
    /// In one word.
    pub reason: FailureReason,
    /// For people.
    pub message: String,
}

impl RolloutFailure {
    /// Both.
    pub fn new(reason: FailureReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// The words. Alerts are written against them, so none is renamed, and what is new gets a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FailureReason {
    /// The engine refuses to create a replica of it.
    CreateContainerError,
    /// A replica cannot be started, and that is its own fault: a program that is not there.
    RunContainerError,
    /// A replica ends again and again and is not available.
    CrashLoopBackOff,
    /// A replica failed its startup probe.
    StartupProbeFailed,
    /// A replica runs, and nothing has got better for `progressDeadline`.
    ProgressDeadlineExceeded,
    /// The host keeps a replica from starting (its port is taken) while an old one is down for it.
    CannotStartOnHost,
    /// One of its gates failed.
    GateFailed,
    /// It was complete, and failed within its monitor time.
    Collapsed,
    /// It did not fail: another member of its release group did, and it went back with that one.
    ReleaseGroup,
    /// Nobody knows any more: an older release, which told no words, wrote it down.
    Unknown,
}

impl FailureReason {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::CreateContainerError,
        Self::RunContainerError,
        Self::CrashLoopBackOff,
        Self::StartupProbeFailed,
        Self::ProgressDeadlineExceeded,
        Self::CannotStartOnHost,
        Self::GateFailed,
        Self::Collapsed,
        Self::ReleaseGroup,
        Self::Unknown,
    ];

    /// As it is written in labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::CreateContainerError => "CreateContainerError",
            Self::RunContainerError => "RunContainerError",
            Self::CrashLoopBackOff => "CrashLoopBackOff",
            Self::StartupProbeFailed => "StartupProbeFailed",
            Self::ProgressDeadlineExceeded => "ProgressDeadlineExceeded",
            Self::CannotStartOnHost => "CannotStartOnHost",
            Self::GateFailed => "GateFailed",
            Self::Collapsed => "Collapsed",
            Self::ReleaseGroup => "ReleaseGroup",
            Self::Unknown => "Unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_written_the_same_everywhere_and_told_in_the_reference() {
        let reference = include_str!("../../docs/operations.md");
        for reason in FailureReason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.word());
            assert!(reference.contains(&format!("| `{}` |", reason.word())), "{reason:?} is not in the reference");
        }
    }
}
