//! Scenario files: read, played against the real controller on the simulated engine, and compared with what they expect.
//! How to write one is told in tests/scenarios/README.md.
//!
//! [`file`] and [`step`] and [`expectation`] are the language, [`stage`] plays it, [`journal`] writes the transcript,
//! [`invariants`] watches.

pub mod controller;
pub mod expectation;
pub mod file;
pub mod invariants;
pub mod journal;
pub mod names;
pub mod stage;
pub mod step;

use std::collections::BTreeMap;

use crate::support::sim::calls::FaultMode;
use crate::support::sim::client::owner;
use file::Scenario;
use stage::Stage;
use step::{Step, World};

/// How a play ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What happened.
    pub transcript: String,
    /// What is there at the end, without what may differ between two ways to it.
    pub end: BTreeMap<String, String>,
    /// The indices of the calls that changed something.
    pub changes: Vec<usize>,
    /// What is wrong, with file and line; empty when all is well.
    pub problems: Vec<String>,
}

/// A fault at the call of that index.
pub type Fault = (usize, FaultMode);

/// Plays a scenario on a runtime of its own, in virtual time. With a fault, only the end is expected to be as written.
pub fn play(scenario: &Scenario, fault: Option<Fault>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime can be made").block_on(perform(scenario, fault))
}

async fn perform(scenario: &Scenario, fault: Option<Fault>) -> Outcome {
    let mut problems = Vec::new();
    let mut stage = match Stage::set(scenario).await {
        Ok(stage) => stage,
        Err(problem) => {
            let (transcript, end, changes) = (String::new(), BTreeMap::new(), Vec::new());
            return Outcome { transcript, end, changes, problems: vec![problem] };
        }
    };
    if let Some((index, mode)) = fault {
        stage.sim.calls().faults.insert(index, mode);
    }
    let last_run = scenario.script.iter().rposition(|line| matches!(line.step, Step::Run { .. })).unwrap_or(0);
    for (index, line) in scenario.script.iter().enumerate() {
        let step = match (&line.step, fault) {
            // What holds on the way may differ after a fault; everything takes longer, too.
            (Step::Expect(_), Some(_)) if index < last_run => continue,
            (Step::Expect(expectation::Expectation::Calls { .. }), Some(_)) => continue,
            (Step::Run { until, within }, Some(_)) => Step::Run { until: until.clone(), within: *within * 2 + 60_000 },
            (step, _) => step.clone(),
        };
        let played = stage.play(&line.text, &step).await;
        let place = format!("{}:{}", scenario.path, line.number);
        problems.extend(stage.invariants.take().into_iter().map(|v| format!("{place}: broken invariant: {v}")));
        if let Err(problem) = played {
            problems.push(format!("{place}: {}: {problem}", line.text));
            break;
        }
    }
    let show = |stage: &Stage, text: &str| stage.names.show(&text.replace(&stage.root(), "<dir>"));
    let transcript = stage.journal.text.replace(&stage.root(), "<dir>");
    let problems = problems.iter().map(|problem| show(&stage, problem)).collect();
    let changes = stage.sim.calls().made.iter().enumerate().filter(|(_, call)| call.changes).map(|(i, _)| i).collect();
    Outcome { transcript, end: end(&mut stage), changes, problems }
}

/// What is there at the end.
fn end(stage: &mut Stage) -> BTreeMap<String, String> {
    let view = stage.view();
    let instance = view.instance.clone();
    let names = &stage.names;
    stage.sim.with(|world| {
        let ours = world.containers.values().filter(|c| owner(world, &c.id, &instance).is_some());
        let containers = ours.map(|c| {
            let aliases: Vec<_> = c.endpoints.iter().map(|(network, e)| (network, &e.aliases)).collect();
            (names.show(&c.name), format!("{} {} {aliases:?} {:?}", c.state_word(), c.reference, c.adjustable))
        });
        let networks = world.networks.values().map(|n| (format!("network {}", n.name), n.subnets.join(",")));
        let volumes = world.volumes.values().filter(|v| !v.anonymous);
        let volumes = volumes.map(|v| (format!("volume {}", v.name), v.driver.clone()));
        let objects = view.objects.iter().map(|(key, object)| (key.to_string(), object.status.phase.clone()));
        containers.chain(networks).chain(volumes).chain(objects).collect()
    })
}

/// Plays a scenario with a crash of the controller before and after every call that changes something, and reports the
/// plays that do not end as the undisturbed one did.
pub fn crash_at_every_call(scenario: &Scenario) -> Vec<String> {
    let undisturbed = play(scenario, None);
    let mut problems = Vec::new();
    for index in &undisturbed.changes {
        for mode in [FaultMode::CrashBefore, FaultMode::CrashAfter] {
            let outcome = play(scenario, Some((*index, mode)));
            let label = format!("{} with {mode:?} at call {index}", scenario.path);
            problems.extend(outcome.problems.iter().map(|problem| format!("{label}: {problem}")));
            if outcome.end != undisturbed.end {
                let other: Vec<_> = outcome.end.iter().filter(|(k, v)| undisturbed.end.get(*k) != Some(v)).collect();
                let missing: Vec<_> = undisturbed.end.keys().filter(|key| !outcome.end.contains_key(*key)).collect();
                problems.push(format!("{label} ends otherwise: {other:#?}, missing: {missing:?}"));
            }
        }
    }
    problems
}

/// Whether a scenario wants a crash at every call.
pub fn wants_crashes(scenario: &Scenario) -> bool {
    scenario.world.iter().any(|(_, line)| matches!(line, World::CrashAtEveryCall))
}
