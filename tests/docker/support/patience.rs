//! A test that waits for something that nothing bounds would keep everybody waiting. `EVENKEEL_TEST_PATIENCE` says how many seconds
//! one may take (`scripts/docker-tests` sets it, but for the tests that take hours): then the whole run ends, and says what the
//! test's engine was doing.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::{Engine, lockup};

/// As long as this lives, the test may take.
pub struct Patience(#[allow(dead_code, reason = "its end is what counts")] Option<Sender<()>>);

/// Begins to wait for a test.
pub fn begin(name: &str, engine: &Engine) -> Patience {
    let seconds = std::env::var("EVENKEEL_TEST_PATIENCE").ok().and_then(|seconds| seconds.parse().ok());
    let Some(patience) = seconds.map(Duration::from_secs) else { return Patience(None) };
    let (sender, receiver) = channel();
    let (name, engine) = (name.to_string(), engine.lend());
    std::thread::spawn(move || {
        if receiver.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            let account = lockup::account(&engine).unwrap_or_else(|| "it does not say what it does".into());
            eprintln!("{name} has not ended within {patience:?}. Engine {}:\n{account}", engine.generation);
            std::process::exit(1);
        }
    });
    Patience(Some(sender))
}
