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
    async fn check(&self, task: &ProbeTask) -> Option<Check> {
        let Some(exec) = &task.probe.exec else { return self.dial.check(task).await };
        let program = exec.command.first().map_or("", String::as_str);
        // An engine in trouble says nothing about the program.
        let ended = self.engine.probe(&task.container, &exec.command, task.probe.timeout).await.ok()?;
        Some(match ended {
            Some(ended) if ended.code == 0 => Ok(()),
            Some(ended) if ended.words.is_empty() => Err(format!("{program}: exit code {}", ended.code)),
            Some(ended) => Err(format!("{program}: exit code {}: {}", ended.code, ended.words)),
            None => Err(format!("{program}: no end within {}", task.probe.timeout)),
        })
    }
}
