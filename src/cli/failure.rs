//! How a command ends: an exit code that scripts can rely on, or an error and a hint for a person.

use std::fmt;

/// The exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done,
    /// Something went wrong.
    Error,
    /// `plan`: there are changes to make.
    Changes,
    /// A rollout failed and was rolled back.
    RolledBack,
    /// Neither forward nor back works, or a job failed for good.
    Stalled,
    /// It was not over in time; it goes on in the daemon.
    TimedOut,
    /// Manifests are invalid.
    Invalid,
}

impl Exit {
    /// The number for the shell.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Error => 1,
            Exit::Changes | Exit::RolledBack => 2,
            Exit::Stalled => 3,
            Exit::TimedOut => 4,
            Exit::Invalid => 5,
        }
    }

    /// The word for machines.
    pub fn word(self) -> &'static str {
        match self {
            Exit::Done => "done",
            Exit::Error => "error",
            Exit::Changes => "changes",
            Exit::RolledBack => "rolledBack",
            Exit::Stalled => "stalled",
            Exit::TimedOut => "timedOut",
            Exit::Invalid => "invalid",
        }
    }
}

/// Why a command could not do its work, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub message: String,
    /// The way out; may be empty.
    pub hint: String,
    /// The exit code.
    pub exit: Exit,
}

impl Failure {
    /// An ordinary error.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: String::new(), exit: Exit::Error }
    }

    /// The same with the way out.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The same with another exit code.
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The reader of our output went away (`| head`): there is nobody left to tell.
    pub fn unheard() -> Self {
        Self { message: String::new(), hint: String::new(), exit: Exit::Error }
    }
}

/// `error: …` and `hint: …`, each on its line.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        if !self.hint.is_empty() {
            write!(f, "\nhint: {}", self.hint)?;
        }
        Ok(())
    }
}
