//! Playing a schedule's scenario and judging it. Lines that somebody cannot do now (`docker rm` of what is not there) are
//! passed over and remembered; everything else that fails is a finding.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::rest;
use super::shop::Shop;
use crate::support::scenario::LINE_DEADLINE;
use crate::support::scenario::file::{Line, Scenario};
use crate::support::scenario::stage::Stage;
use crate::support::scenario::step::Step;

/// How a play went.
#[derive(Debug, Clone, Default)]
pub struct Play {
    /// What is wrong, each with its line; empty when all is well.
    pub findings: Vec<String>,
    /// The lines that could not be done when they came.
    pub refused: BTreeSet<usize>,
    /// A hash of all that was told and of every call, with its time.
    pub trace: u64,
    pub transcript: String,
    pub calls: usize,
    /// Virtual milliseconds.
    pub lasted: u64,
}

/// Plays a scenario on a runtime of its own, in virtual time. A panic of anything in it is a finding.
pub fn play(scenario: &Scenario, shop: &Shop) -> Play {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime can be made");
    let played = catch_unwind(AssertUnwindSafe(|| runtime.block_on(perform(scenario, shop))));
    played.unwrap_or_else(|panic| Play { findings: vec![format!("panic: {}", words(&*panic))], ..Play::default() })
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string())).unwrap_or_default()
}

async fn perform(scenario: &Scenario, shop: &Shop) -> Play {
    let mut play = Play::default();
    let mut stage = match Stage::set(scenario).await {
        Ok(stage) => stage,
        Err(problem) => return Play { findings: vec![problem], ..play },
    };
    for line in &scenario.script {
        let played = tokio::time::timeout(LINE_DEADLINE, stage.play(&line.text, &line.step)).await;
        let played = played.unwrap_or_else(|_| Err("it does not end".into()));
        play.findings.extend(stage.invariants.take().into_iter().map(|found| place(line, &found)));
        match played {
            Err(_) if may_be_refused(&line.step) => drop(play.refused.insert(line.number)),
            Err(problem) => play.findings.push(place(line, &problem)),
            Ok(()) => {}
        }
        if line.step_is_mark() {
            play.findings.extend(rest::look(&mut stage, shop).iter().map(|found| place(line, found)));
        }
        if !play.findings.is_empty() {
            break;
        }
    }
    play.findings =
        play.findings.iter().map(|found| stage.names.show(&found.replace(&stage.root(), "<dir>"))).collect();
    play.transcript = stage.journal.text.replace(&stage.root(), "<dir>");
    play.calls = stage.sim.calls().made.len();
    play.lasted = stage.sim.now();
    play.trace = trace(&stage, &play);
    play
}

fn place(line: &Line, found: &str) -> String {
    format!("{}: {}: {found}", line.number, line.text)
}

fn may_be_refused(step: &Step) -> bool {
    match step {
        Step::Run { .. } | Step::Expect(_) => false,
        // A manifest is always where the schedule says.
        Step::Edit { .. } | Step::Add { .. } | Step::Delete { .. } => false,
        Step::World(_) | Step::Mark | Step::Fail { .. } | Step::FullDisk(_) | Step::CrashAtWrite { .. } => false,
        Step::Empty { .. } | Step::Unmount { .. } | Step::Mount { .. } | Step::Unconfigure { .. } => false,
        Step::Accident { .. }
        | Step::Disconnect { .. }
        | Step::Rename { .. }
        | Step::Update { .. }
        | Step::RemoveImage { .. }
        | Step::RemoveVolume { .. }
        | Step::TagImage { .. } => true,
        Step::Engine { .. } | Step::LoseHistory | Step::Damage { .. } => true,
        Step::Controller(_) | Step::LoseState | Step::Request { .. } | Step::Confirm(_) => true,
    }
}

impl Line {
    fn step_is_mark(&self) -> bool {
        matches!(self.step, Step::Mark)
    }
}

/// What two plays of one schedule must have in common: everything.
fn trace(stage: &Stage, play: &Play) -> u64 {
    let mut hasher = DefaultHasher::new();
    play.transcript.hash(&mut hasher);
    play.findings.hash(&mut hasher);
    for call in &stage.sim.calls().made {
        (call.at, call.name, stage.names.show(&call.target), call.changes, call.ended.is_some()).hash(&mut hasher);
    }
    hasher.finish()
}
