//! A child process that ends with its owner.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::eventually;

/// A child process; killed and waited for when dropped. Its output is in a file.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it with both output streams appended to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let open = || File::options().create(true).append(true).open(log).expect("the log can be written");
        let child = command
            .stdin(Stdio::null())
            .stdout(open())
            .stderr(open())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Process { child, log: log.to_path_buf() }
    }

    /// Its id, for `/proc` and signals.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has printed.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// How it ended; `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// SIGKILL, as a crash.
    pub fn kill(mut self) {
        self.end();
    }

    /// SIGKILL from elsewhere, while its owner goes on watching it.
    pub fn crash(&mut self) {
        // It may have ended by itself in this moment, which is as good.
        let _ = self.child.kill();
    }

    /// SIGTERM; returns how it ended.
    pub fn terminate(mut self, deadline: Duration) -> ExitStatus {
        let id = self.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill can be run");
        assert!(sent.success(), "process {id} is gone already");
        eventually("the process ends after SIGTERM", deadline, || self.ended().ok_or_else(|| "it runs".to_string()))
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
