//! How a command ends: an exit code that scripts can rely on, or an error and a hint for a person.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use super::args::Machine;
use super::output;
use super::screen::Screen;

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
    /// Something else is in the middle of changing the manifests: git, or another command that edits them.
    Held,
}

impl Exit {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Done,
        Self::Error,
        Self::Changes,
        Self::RolledBack,
        Self::Stalled,
        Self::TimedOut,
        Self::Invalid,
        Self::Held,
    ];

    /// What it says to whoever reads it in a script, in every command the same.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "It is done, or there was nothing to do.",
            Exit::Error => {
                "Anything else that went wrong: wrong arguments, no daemon, no such object, a check of `doctor` that fails. \
                 `plan` says it of invalid manifests and of what the policy refuses too, as planners do."
            }
            Exit::Changes => "`plan` only: there are changes to make.",
            Exit::RolledBack => "A command that waits: a rollout failed, and what ran before runs.",
            Exit::Stalled => {
                "A command that waits: a person has to act. A rollout is stalled or paused half-way, a Job or a run failed for \
                 good, a removal is held, or another revision runs by somebody's choice."
            }
            Exit::TimedOut => "A command that waits: it was not over in time, and goes on in the daemon.",
            Exit::Invalid => {
                "The manifests or the configuration are invalid, a source cannot be read, or `validate` finds what the policy \
                 refuses. Nothing was changed."
            }
            Exit::Held => {
                "Something else is changing the manifests: git has a lock or an unfinished merge, was interrupted, or another \
                 command edits them. Nothing was read or changed; it may go well a moment later."
            }
        }
    }

    /// The number for the shell.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Error => 1,
            Exit::Changes | Exit::RolledBack => 2,
            Exit::Stalled => 3,
            Exit::TimedOut => 4,
            Exit::Invalid => 5,
            Exit::Held => 6,
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
            Exit::Held => "held",
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
    /// What is wrong with manifests, for machines; none where that is not what went wrong.
    pub problems: Option<Value>,
}

impl Failure {
    /// An ordinary error.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: String::new(), exit: Exit::Error, problems: None }
    }

    /// The same with the way out.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Manifests that something else is changing: they are neither read nor changed meanwhile.
    pub fn held(message: impl Into<String>) -> Self {
        Self::new(message).hint("try again when the change is finished").exit(Exit::Held)
    }

    /// The same with what is wrong with manifests.
    pub fn problems(mut self, problems: &impl Serialize) -> Self {
        self.problems = Some(json!(problems));
        self
    }

    /// The same with another exit code.
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The reader of our output went away (`| head`): there is nobody left to tell.
    pub fn unheard() -> Self {
        Self::new("")
    }
}

/// How a command ended, told to a machine where the manifests kept it from a result of its own: it reads standard output, and
/// must not find it empty.
pub fn told(ended: Result<Exit, Failure>, format: Option<Machine>, screen: &Screen) -> Result<Exit, Failure> {
    if let (Err(failure), Some(format)) = (&ended, format)
        && (failure.problems.is_some() || matches!(failure.exit, Exit::Invalid | Exit::Held))
    {
        let problems = failure.problems.clone().unwrap_or_else(|| json!([]));
        let result = json!({"result": failure.exit.word(), "message": failure.message, "problems": problems});
        screen.print(&output::render(&result, format))?;
    }
    ended
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_means_one_thing_in_all_commands_that_may_say_it() {
        let words = Exit::ALL.map(|exit| (exit.code(), exit.word()));
        // 2 is what planners say of changes, and no command both plans and waits.
        let expected = [
            (0, "done"),
            (1, "error"),
            (2, "changes"),
            (2, "rolledBack"),
            (3, "stalled"),
            (4, "timedOut"),
            (5, "invalid"),
            (6, "held"),
        ];
        assert_eq!(words, expected);
    }
}
