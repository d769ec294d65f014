//! Requests, over and over, while something else happens: the demo application's `load`.

use std::io::Read;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::Bench;

/// A load that runs until [`Load::stop`].
pub struct Load(Child);

impl Load {
    /// Starts it: 4 connections, 200 requests a second in all, answers of other versions than these are wrong.
    pub fn start(bench: &Bench, url: &str, versions: &[&str]) -> Self {
        Self::start_with(bench, url, versions, &["--connections", "4", "--rate", "200"])
    }

    /// Starts it with `load`'s own options.
    pub fn start_with(bench: &Bench, url: &str, versions: &[&str], options: &[&str]) -> Self {
        let child = bench
            .engine
            .command(bench.app())
            .args(["load", url, "--until-eof", "--seconds", "600", "--expect-version-in", &versions.join(",")])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(bench.log_file("load.log"))
            .spawn()
            .expect("load can be started");
        Load(child)
    }

    /// Ends it and returns what it counted.
    pub fn stop(mut self) -> Counted {
        drop(self.0.stdin.take());
        let mut json = String::new();
        let mut output = self.0.stdout.take().expect("standard output is piped");
        output.read_to_string(&mut json).expect("load prints text");
        Counted(serde_json::from_str(&json).unwrap_or_else(|e| panic!("load printed {json:?}: {e}")))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a load has counted; printed whole when a test fails.
#[derive(Debug)]
pub struct Counted(pub Value);

impl Counted {
    /// All requests.
    pub fn requests(&self) -> u64 {
        self.0["requests"].as_u64().expect("load counts requests")
    }

    /// Those without a right answer: refused, reset, timed out, not 200, or of a wrong version.
    pub fn failed(&self) -> u64 {
        self.0["failed"].as_u64().expect("load counts failures")
    }

    /// Right answers of a version.
    pub fn of_version(&self, version: &str) -> u64 {
        self.0["versions"][version].as_u64().unwrap_or_default()
    }
}
