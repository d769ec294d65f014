//! Scenario files: read, played against the real controller on the simulated engine, and compared with what they expect.
//! How to write one is told in tests/scenarios/README.md.
//!
//! [`file`] and [`step`] and [`expectation`] are the language, [`stage`] plays it, [`journal`] writes the transcript,
//! [`invariants`] watches.

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

use std::collections::BTreeMap;

use crate::support::sim::calls::FaultMode;
use crate::support::sim::client::owner;
use disk::WriteRecord;
use fault::Fault;
use file::Scenario;
use stage::Stage;
use step::{Step, World};

/// How a play ended.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What happened.
    pub transcript: String,
    /// What is there at the end, without what may differ between two ways to it.
    pub end: BTreeMap<String, String>,
    /// The indices of the calls that changed something.
    pub changes: Vec<usize>,
    /// The calls, as people know them: `create web.r1.0`.
    pub calls: Vec<String>,
    /// The changes of the state directory.
    pub writes: Vec<WriteRecord>,
    /// What is wrong, with file and line; empty when all is well.
    pub problems: Vec<String>,
}

/// The longest that a line of a script may take, in virtual time, whatever it says.
pub const LINE_DEADLINE: tokio::time::Duration = tokio::time::Duration::from_secs(6 * 3600);

/// Plays a scenario on a runtime of its own, in virtual time. With faults, only the end is expected to be as written.
pub fn play(scenario: &Scenario, faults: &[Fault]) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime can be made").block_on(perform(scenario, faults))
}

async fn perform(scenario: &Scenario, faults: &[Fault]) -> Outcome {
    let mut problems = Vec::new();
    let mut stage = match Stage::set(scenario).await {
        Ok(stage) => stage,
        Err(problem) => {
            return Outcome { problems: vec![problem], ..Outcome::default() };
        }
    };
    stage.spoil(faults);
    let disturbed = !faults.is_empty();
    let last_run = scenario.script.iter().rposition(|line| matches!(line.step, Step::Run { .. })).unwrap_or(0);
    for (index, line) in scenario.script.iter().enumerate() {
        let step = match &line.step {
            // What holds on the way may differ after a fault; everything takes longer, too.
            Step::Expect(_) if disturbed && index < last_run => continue,
            Step::Expect(expectation::Expectation::Calls { .. }) if disturbed => continue,
            Step::Run { until: Some(until), within } if disturbed => {
                Step::Run { until: Some(until.clone()), within: *within * 2 + 300_000 }
            }
            step => step.clone(),
        };
        let played = tokio::time::timeout(LINE_DEADLINE, stage.play(&line.text, &step)).await;
        let played = played.unwrap_or_else(|_| Err("it does not end".into()));
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
    let calls = stage.sim.calls().made.iter().map(|call| format!("{} {}", call.name, call.target)).collect::<Vec<_>>();
    let calls = calls.iter().map(|call| show(&stage, call)).collect();
    let writes = stage.disk.made();
    Outcome { transcript, end: end(&mut stage), changes, calls, writes, problems }
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
    let undisturbed = play(scenario, &[]);
    let modes = [FaultMode::CrashBefore, FaultMode::CrashAfter];
    let faults = undisturbed.changes.iter().flat_map(|&at| modes.map(|mode| Fault::Call { at, mode }));
    faults.flat_map(|fault| play_with_faults(scenario, &undisturbed, &[fault])).collect()
}

/// Plays a scenario with faults, and reports what differs from the undisturbed play at the end.
pub fn play_with_faults(scenario: &Scenario, undisturbed: &Outcome, faults: &[Fault]) -> Vec<String> {
    let outcome = play(scenario, faults);
    let label = format!("{} {}{}", scenario.path, fault::words(faults), place(undisturbed, faults));
    let mut problems: Vec<String> = outcome.problems.iter().map(|problem| format!("{label}: {problem}")).collect();
    if problems.is_empty() && outcome.end != undisturbed.end {
        let other: Vec<_> = outcome.end.iter().filter(|(k, v)| undisturbed.end.get(*k) != Some(v)).collect();
        let missing: Vec<_> = undisturbed.end.keys().filter(|key| !outcome.end.contains_key(*key)).collect();
        problems.push(format!("{label} ends otherwise: {other:?}, missing: {missing:?}"));
    }
    problems
}

/// What the first fault meets, for people: ` (create shop.web.r1.0)`.
fn place(undisturbed: &Outcome, faults: &[Fault]) -> String {
    let call = |at: usize| undisturbed.calls.get(at).map(|call| format!(" ({})", call.trim()));
    let write = |at: usize| undisturbed.writes.get(at).map(|write| format!(" ({} {})", write.operation, write.path));
    let found = faults.first().and_then(|fault| match *fault {
        Fault::Call { at, .. } | Fault::State { at, .. } => call(at),
        Fault::Write { at, .. } => write(at),
    });
    found.unwrap_or_default()
}

/// Whether a scenario wants a crash at every call.
pub fn wants_crashes(scenario: &Scenario) -> bool {
    scenario.world.iter().any(|(_, line)| matches!(line, World::CrashAtEveryCall))
}
