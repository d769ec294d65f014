//! Every scenario with every fault at every call: the end must be the one without a fault, and no promise broken on
//! the way. Random killing does not find these mistakes; enumerating does.
//!
//! ```text
//! cargo test --profile faults --test faults -- --nocapture       a sample, another one each day
//! FAULTS=all …                                                   all points
//! FAULTS=good-update:17:CrashAfter …                             one point, with its transcript
//! ```

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests and their helpers may")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use support::scenario::file::Scenario;
use support::scenario::{Outcome, play, play_with_fault};
use support::sim::calls::FaultMode;

/// Of this many points, a sample plays one.
const SAMPLE: usize = 40;

/// A scenario with its undisturbed play.
struct Story {
    scenario: Scenario,
    undisturbed: Outcome,
}

/// What to play.
enum Selection {
    All,
    /// Every `SAMPLE`th point, beginning at that one.
    Sample(usize),
    /// The scenario's name, the call's number, the mode's name.
    One(String, usize, String),
}

impl Selection {
    fn of_environment() -> Selection {
        let text = std::env::var("FAULTS").unwrap_or_default();
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            ["all"] => Selection::All,
            [scenario, call, mode] => Selection::One(scenario.into(), call.parse().expect("a number"), mode.into()),
            _ => {
                let day = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 86_400;
                Selection::Sample(day as usize % SAMPLE)
            }
        }
    }

    fn has(&self, number: usize, story: &Story, call: usize, mode: FaultMode) -> bool {
        match self {
            Selection::All => true,
            Selection::Sample(first) => number % SAMPLE == *first,
            Selection::One(scenario, at, name) => story.name() == *scenario && call == *at && word(mode) == *name,
        }
    }
}

impl Story {
    fn name(&self) -> &str {
        self.scenario.path.trim_end_matches(".txt")
    }
}

/// A mode in one word: `TimeoutEffect`.
fn word(mode: FaultMode) -> String {
    let text = format!("{mode:?}").replace("effect: true", "Effect").replace("graceful: true", "Graceful");
    let text = text.replace("effect: false", "").replace("graceful: false", "").replace("Unavailable", "");
    text.chars().filter(|c| c.is_alphabetic()).collect()
}

fn stories() -> Vec<Story> {
    let wanted = std::env::var("SCENARIO").unwrap_or_default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.retain(|path| path.to_string_lossy().contains(&wanted));
    paths.sort();
    let story = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let scenario = Scenario::parse(&name, &fs::read_to_string(path).unwrap()).unwrap();
        let undisturbed = play(&scenario, None);
        Story { scenario, undisturbed }
    };
    on_threads(&paths, story)
}

/// Does something with each, on as many threads as there are processors; in their order.
fn on_threads<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(number) else { break };
                    let result = work(item);
                    done.lock().unwrap().insert(number, result);
                }
            });
        }
    });
    done.into_inner().unwrap().into_values().collect()
}

#[test]
fn any_fault_at_any_call_changes_nothing_about_the_end() {
    let (selection, stories) = (Selection::of_environment(), stories());
    let mut points: Vec<(&Story, usize, FaultMode)> = Vec::new();
    let mut enumerated = 0;
    for story in &stories {
        for call in 0..story.undisturbed.calls.len() {
            let lists = story.undisturbed.calls[call].starts_with("list");
            // Only a list can be stale.
            for mode in FaultMode::ALL.into_iter().filter(|mode| *mode != FaultMode::StaleList || lists) {
                if selection.has(enumerated, story, call, mode) {
                    points.push((story, call, mode));
                }
                enumerated += 1;
            }
        }
    }
    if let (Selection::One(..), [(story, call, mode)]) = (&selection, &points[..]) {
        println!("{}", play(&story.scenario, Some((*call, *mode))).transcript);
    }
    let results = on_threads(&points, |(story, call, mode)| {
        let problems = play_with_fault(&story.scenario, &story.undisturbed, (*call, *mode));
        (!problems.is_empty())
            .then(|| format!("FAULTS={}:{call}:{}\n    {}", story.name(), word(*mode), problems.join("\n    ")))
    });
    let executed = results.len();
    let failed: Vec<String> = results.into_iter().flatten().collect();
    println!(
        "{} scenarios, {enumerated} points, {} chosen, {executed} played, {} failed",
        stories.len(),
        points.len(),
        failed.len()
    );
    assert_eq!(points.len(), executed, "enumerated = executed");
    assert!(failed.is_empty(), "{} of {executed} points failed:\n{}", failed.len(), failed.join("\n"));
}
