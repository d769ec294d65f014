//! Probes that are commands in the container: the engine runs them, and `probe` knows no engine.

use std::sync::Arc;

use crate::engine::Engine;
use crate::model::status::ProbeTask;
use crate::probe::{Check, Dial};

/// A dial that leaves commands to the engine.
pub(super) struct Inside<D, E> {
    pub(super) dial: D,
    pub(super) engine: Arc<E>,
}

impl<D: Dial, E: Engine> Dial for Inside<D, E> {
    async fn check(&self, task: &ProbeTask) -> Check {
        let Some(exec) = &task.probe.exec else { return self.dial.check(task).await };
        let program = exec.command.first().map_or("", String::as_str);
        let ended = self.engine.probe(&task.container, &exec.command, task.probe.timeout).await;
        let why = match ended {
            Ok(Some(ended)) if ended.code == 0 => return Check::Success,
            Ok(Some(ended)) if ended.words.is_empty() => format!("exit code {}", ended.code),
            Ok(Some(ended)) => format!("exit code {}: {}", ended.code, ended.words),
            Ok(None) => format!("no end within {}", task.probe.timeout),
            // An engine in trouble says nothing about the program.
            Err(_) => return Check::Unmade(None),
        };
        Check::Failure(format!("{program}: {why}"))
    }
}
