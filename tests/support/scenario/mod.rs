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
    let show = |text: &str| stage.names.show(&text.replace(&stage.root(), "<dir>"));
    let transcript = stage.journal.text.replace(&stage.root(), "<dir>");
    Outcome { transcript, problems: problems.iter().map(|problem| show(problem)).collect() }
}
