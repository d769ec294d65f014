//! Scenario files: read, played against the real controller on the simulated engine, and compared with what they expect.
//! How to write one is told in tests/scenarios/README.md.
//!
//! [`file`] and [`step`] and [`expectation`] are the language, [`stage`] plays it, [`journal`] writes the transcript,
//! [`invariants`] watches.

pub mod canaries;
pub mod controller;
pub mod disk;
pub mod expectation;
pub mod fault;
pub mod file;
pub mod invariants;
pub mod journal;
pub mod names;
pub mod stage;
pub mod step;

use file::Scenario;
use stage::Stage;

/// How a play went.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What happened.
    pub transcript: String,
    /// What is wrong, with file and line; empty when all is well.
    pub problems: Vec<String>,
}

/// The longest that a line of a script may take, in virtual time, whatever it says.
pub const LINE_DEADLINE: tokio::time::Duration = tokio::time::Duration::from_secs(6 * 3600);

/// Plays a scenario on a runtime of its own, in virtual time.
pub fn play(scenario: &Scenario) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime can be made").block_on(perform(scenario))
}

async fn perform(scenario: &Scenario) -> Outcome {
    let mut problems = Vec::new();
    let mut stage = match Stage::set(scenario).await {
        Ok(stage) => stage,
        Err(problem) => {
            return Outcome { problems: vec![problem], ..Outcome::default() };
        }
    };
    for line in &scenario.script {
        let played = tokio::time::timeout(LINE_DEADLINE, stage.play(&line.text, &line.step)).await;
        let played = played.unwrap_or_else(|_| Err("it does not end".into()));
        let place = format!("{}:{}", scenario.path, line.number);
        problems.extend(stage.invariants.take().into_iter().map(|v| format!("{place}: broken invariant: {v}")));
        if let Err(problem) = played {
            problems.push(format!("{place}: {}: {problem}", line.text));
            break;
        }
    }
    let show = |text: &str| stage.names.show(&placeless(text, &stage.root()));
    let transcript = placeless(&stage.journal.text, &stage.root());
    Outcome { transcript, problems: problems.iter().map(|problem| show(problem)).collect() }
}

/// A text without the directory that this play has: as a path, and as the store names a source, with a hash of its path.
fn placeless(text: &str, root: &str) -> String {
    let text = text.replace(root, "<dir>");
    let stored = root.trim_start_matches('/').replace(['/', '.'], "-");
    let mut parts = text.split(&stored);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |shown, part| {
        let (name, rest) = part.split_once(' ').unwrap_or((part, ""));
        let name = name.rsplit_once('-').map_or(name, |(name, _hash)| name);
        format!("{shown}<dir>{name} {rest}")
    })
}
