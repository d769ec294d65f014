//! Engine 20.10 rarely locks itself up for ever while containers start and end: one part of its network code holds what another
//! waits for (moby/moby#46661, mended in 20.10.27), and there may be more of the kind. What a test finds on such an engine says
//! nothing about Evenkeel, so [`super::attempt`] starts the engine again and the test with it: only where the engine's own
//! account of what it does shows that something in it has waited for a lock for minutes, and never without saying so.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::Engine;

/// How long an engine may take to write what it does.
const PATIENCE: Duration = Duration::from_secs(20);

/// For how many minutes nothing waits for a lock in an engine that works.
const LONG: u32 = 2;
/// How often it is looked at, every ten seconds: an engine at work is always waiting for one lock or another.
const LOOKS: u32 = 18;

/// How often each engine, by its socket, was found locked up and started again.
static FOUND: Mutex<BTreeMap<PathBuf, u32>> = Mutex::new(BTreeMap::new());

/// How often this engine was found locked up so far.
pub fn count(engine: &Engine) -> u32 {
    FOUND.lock().expect("no panic here").get(&engine.socket).copied().unwrap_or_default()
}

/// Whether it has locked up since there had been so many. If it is now, it is started again.
pub fn since(engine: &Engine, before: u32) -> bool {
    // One at a time: all tests on it fail together.
    let mut found = FOUND.lock().expect("no panic here");
    let count = found.entry(engine.socket.clone()).or_default();
    if let (true, Some(waiting)) = (*count == before, what_waits_for_ever(engine)) {
        eprintln!("engine {} has locked itself up and is started again. In it waits\n{waiting}", engine.generation);
        engine.crash_and_start_again();
        *count += 1;
    }
    *count > before
}

/// What each goroutine of the engine does, written by itself when asked; none when it does not run or does not write.
pub fn account(engine: &Engine) -> Option<String> {
    let directory = engine.directory().join("exec");
    // Two within a second would have one name.
    accounts(&directory).iter().for_each(|path| drop(fs::remove_file(path)));
    let pid = fs::read_to_string(engine.directory().join("docker.pid")).ok()?;
    Command::new("kill").args(["-USR1", pid.trim()]).status().ok().filter(std::process::ExitStatus::success)?;
    let asked = Instant::now();
    while asked.elapsed() < PATIENCE {
        let written = accounts(&directory).first().and_then(|path| fs::read_to_string(path).ok());
        if let Some(text) = written.filter(|text| text.ends_with('\n')) {
            return Some(text);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap_or_default();
    let state = status.lines().find(|line| line.starts_with("State:")).unwrap_or("it is gone");
    eprintln!("engine {} does not write what it does: {state}", engine.generation);
    None
}

fn accounts(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.to_string_lossy().contains("goroutine-stacks-")).collect()
}

/// What waits for a lock in an engine that has locked itself up. It is looked at for as long as anything waits for one, until
/// something has waited for [`LONG`]: in an engine that works, nothing does.
fn what_waits_for_ever(engine: &Engine) -> Option<String> {
    for _ in 0..LOOKS {
        let account = account(engine)?;
        let waiting = wait_for_a_lock(&account);
        if waiting.iter().any(|(minutes, _)| *minutes >= LONG) {
            return Some(waiting.into_iter().map(|(_, goroutine)| goroutine).collect::<Vec<_>>().join("\n\n"));
        }
        if waiting.is_empty() {
            return None;
        }
        std::thread::sleep(Duration::from_secs(10));
    }
    None
}

/// What waits for a lock, and for how many minutes.
fn wait_for_a_lock(account: &str) -> Vec<(u32, &str)> {
    let waits = |goroutine: &&str| goroutine.contains("sync.runtime_SemacquireMutex(");
    let minutes = |goroutine: &str| {
        let state = goroutine.trim_start().lines().next().unwrap_or_default().trim_end_matches("]:");
        state.split(", ").find_map(|part| part.strip_suffix(" minutes")?.parse().ok()).unwrap_or(0)
    };
    account.split("\n\n").filter(waits).map(|goroutine| (minutes(goroutine), goroutine)).collect()
}

#[test]
fn an_account_tells_what_waits_for_a_lock_and_how_long() {
    let found = |state: &str, wait: &str| {
        let account = format!(
            "goroutine 1 [running]:\nmain.main()\n\t/m.go:1\n\ngoroutine 7 [{state}]:\n{wait}(0x1)\n\t/a.go:1\nx.y(0x2)\n\t/b.go:2"
        );
        wait_for_a_lock(&account).into_iter().map(|(minutes, _)| minutes).collect::<Vec<_>>()
    };
    let none: Vec<u32> = Vec::new();
    assert_eq!(found("semacquire, 3 minutes", "sync.runtime_SemacquireMutex"), [3]);
    assert_eq!(found("sync.Mutex.Lock, 12 minutes, locked to thread", "sync.runtime_SemacquireMutex"), [12]);
    assert_eq!(found("semacquire", "sync.runtime_SemacquireMutex"), [0]);
    assert_eq!(found("semacquire, 3 minutes", "sync.runtime_Semacquire"), none, "it waits for others to end");
    assert_eq!(found("IO wait, 3 minutes", "internal/poll.runtime_pollWait"), none);
}
