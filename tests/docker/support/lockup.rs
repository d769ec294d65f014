//! Engine 20.10 before 20.10.27 locks itself up for ever once in many thousand starts of containers beside ends of others: one part
//! of its network code holds what another waits for (moby/moby#46661). What a test finds on such an engine says nothing about
//! Evenkeel, so [`super::attempt`] starts the engine again and the test with it: for this one fault, which the engine's own
//! account of what it does must show, and for no other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::Engine;

/// The two that wait for each other.
const PARTIES: [&str; 2] = ["(*network).getSvcRecords(", "(*controller).processEndpointDelete("];

/// How long an engine may take to write what it does.
const PATIENCE: Duration = Duration::from_secs(20);

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
    if *count == before && account(engine).is_some_and(|account| is_locked_up(&account)) {
        eprintln!("engine {} has locked itself up (moby/moby#46661) and is started again", engine.generation);
        engine.crash_and_start_again();
        *count += 1;
    }
    *count > before
}

/// What each goroutine of the engine does, written by itself when asked; none when it does not run or does not write.
pub fn account(engine: &Engine) -> Option<String> {
    let directory = engine.directory().join("exec");
    let before = accounts(&directory);
    let pid = fs::read_to_string(engine.directory().join("docker.pid")).ok()?;
    Command::new("kill").args(["-USR1", pid.trim()]).status().ok().filter(std::process::ExitStatus::success)?;
    let asked = Instant::now();
    while asked.elapsed() < PATIENCE {
        let new = accounts(&directory).into_iter().find(|path| !before.contains(path));
        if let Some(text) = new.and_then(|path| fs::read_to_string(path).ok()).filter(|text| text.ends_with('\n')) {
            return Some(text);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    None
}

fn accounts(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.to_string_lossy().contains("goroutine-stacks-")).collect()
}

/// Whether both parties wait for a lock, and have for a minute or longer.
fn is_locked_up(account: &str) -> bool {
    let waiting: Vec<&str> = account
        .split("\n\n")
        .filter(|goroutine| {
            let state = goroutine.trim_start().lines().next().unwrap_or_default();
            state.starts_with("goroutine ") && state.contains("[semacquire, ") && state.contains(" minutes")
        })
        .collect();
    PARTIES.iter().all(|party| waiting.iter().any(|goroutine| goroutine.contains(party)))
}

#[test]
fn only_two_that_have_long_waited_for_each_other_are_a_lock_up() {
    let goroutine = |state: &str, function: &str| {
        format!(
            "goroutine 7 [{state}]:\nsync.runtime_SemacquireMutex(0x1)\n\t/a.go:1\ngithub.com/docker/libnetwork.{function}0x2)\n\t/b.go:2"
        )
    };
    let account =
        |first: &str, second: &str| [goroutine(first, PARTIES[0]), goroutine(second, PARTIES[1])].join("\n\n");
    assert!(is_locked_up(&account("semacquire, 3 minutes", "semacquire, 3 minutes")));
    assert!(!is_locked_up(&account("semacquire", "semacquire, 3 minutes")), "one has only just begun");
    assert!(!is_locked_up(&account("IO wait, 3 minutes", "semacquire, 3 minutes")), "one waits for no lock");
    assert!(!is_locked_up(&goroutine("semacquire, 3 minutes", PARTIES[0])), "one is alone");
}
