//! A play of a scenario with faults, and what came of it. Whether that is well is judged in [`verdict`](crate::verdict).

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::end::{self, End};
use crate::rest;
use crate::support::scenario::LINE_DEADLINE;
use crate::support::scenario::disk::WriteRecord;
use crate::support::scenario::expectation::Expectation;
use crate::support::scenario::fault::Fault;
use crate::support::scenario::file::{Line, Scenario};
use crate::support::scenario::stage::Stage;
use crate::support::scenario::step::{Allowance, Step, World};
use crate::support::sim::app::Millis;
use crate::verdict;

/// How much longer everything may take after a fault: an engine's call that nothing answers is given up after 3 minutes.
const LONGER: Millis = 300_000;

/// How a play went.
#[derive(Debug, Clone, Default)]
pub struct Play {
    /// What happened, as far as the script goes.
    pub transcript: String,
    /// The calls of the script, as people know them: `create shop.web.r1.0`.
    pub calls: Vec<String>,
    /// The indices of the calls of the script that changed something.
    pub changes: Vec<usize>,
    /// The changes of the state directory.
    pub writes: Vec<WriteRecord>,
    /// Lines of the script that did not go as they say, with file and line.
    pub departures: Vec<String>,
    /// What must never be, whatever goes wrong: broken invariants, and what is not as it should be at rest.
    pub wrongs: Vec<String>,
    /// What is there when all has settled.
    pub end: End,
    /// Whether it came to rest.
    pub rests: bool,
    /// What it took until then.
    pub effort: Effort,
}

/// What a play took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    /// Calls that change something.
    pub changes: usize,
    /// Passes of the loop, by all processes together.
    pub passes: u64,
}

/// Plays a scenario on a runtime of its own, in virtual time. With faults, the script may take longer, and what it expects
/// on the way is passed over. A panic of anything in it is a wrong.
pub fn play(scenario: &Scenario, faults: &[Fault]) -> Play {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime can be made");
    let played = catch_unwind(AssertUnwindSafe(|| runtime.block_on(perform(scenario, faults))));
    played.unwrap_or_else(|panic| Play { wrongs: vec![format!("panic: {}", words(&*panic))], ..Play::default() })
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string())).unwrap_or_default()
}

async fn perform(scenario: &Scenario, faults: &[Fault]) -> Play {
    let mut stage = match Stage::set(scenario).await {
        Ok(stage) => stage,
        Err(problem) => return Play { wrongs: vec![problem], ..Play::default() },
    };
    stage.spoil(faults);
    if faults.iter().any(Fault::loses_history) && verdict::remembers_a_job(scenario) {
        stage.invariants.allow(Allowance::Repeats);
    }
    let mut play = Play::default();
    follow_script(scenario, faults, &mut stage, &mut play).await;
    play.transcript = stage.journal.text.clone();
    play.calls = stage.sim.calls().made.iter().map(|call| format!("{} {}", call.name, call.target)).collect();
    play.changes = rest::changes(&stage);
    play.writes = stage.disk.made();
    play.rests = rest::settle(&mut stage).await;
    if play.rests {
        play.wrongs.extend(rest::look(&mut stage).await);
    }
    play.effort = Effort { changes: rest::changes(&stage).len(), passes: stage.passes() };
    play.end = end::of(&mut stage);
    with_names(&stage, play)
}

/// The play in words that are the same in every run.
fn with_names(stage: &Stage, mut play: Play) -> Play {
    let show = |text: &String| stage.names.show(&text.replace(&stage.root(), "<dir>"));
    play.transcript = play.transcript.replace(&stage.root(), "<dir>");
    for texts in [&mut play.calls, &mut play.departures, &mut play.wrongs] {
        *texts = texts.iter().map(show).collect();
    }
    play
}

async fn follow_script(scenario: &Scenario, faults: &[Fault], stage: &mut Stage, play: &mut Play) {
    let last_run = scenario.script.iter().rposition(|line| matches!(line.step, Step::Run { .. })).unwrap_or(0);
    for (index, line) in scenario.script.iter().enumerate() {
        let on_the_way = index < last_run;
        let step =
            if faults.is_empty() { Some(line.step.clone()) } else { disturbed(scenario, &line.step, on_the_way) };
        let Some(step) = step else { continue };
        let lost = faults.iter().any(Fault::loses_history);
        if lost && matches!(&step, Step::Expect(expected) if expected.is_of_history()) {
            continue;
        }
        let played = play_line(stage, line, &step, !faults.is_empty()).await;
        let wrongs = stage.invariants.take();
        play.wrongs.extend(wrongs.iter().map(|wrong| format!("{}: broken invariant: {wrong}", place(scenario, line))));
        if let Err(problem) = played {
            // A disturbed play may miss a moment on its way; where it ends is what counts.
            if !faults.is_empty() && on_the_way && waits_for_a_moment(&step) {
                continue;
            }
            play.departures.push(format!("{}: {problem}", place(scenario, line)));
            // Without its history it goes another way, to an end that is judged by itself.
            if !lost {
                return;
            }
        }
    }
}

fn waits_for_a_moment(step: &Step) -> bool {
    matches!(step, Step::Run { until: Some(until), .. } if until.is_of_a_moment())
}

fn place(scenario: &Scenario, line: &Line) -> String {
    format!("{}:{}: {}", scenario.path, line.number, line.text)
}

/// A line as it is played after a fault, if it is: what holds on the way may differ, and everything takes longer.
fn disturbed(scenario: &Scenario, step: &Step, on_the_way: bool) -> Option<Step> {
    let other_words = || scenario.world.iter().any(|(_, line)| matches!(line, World::Allow(Allowance::OtherWords)));
    match step {
        Step::Expect(expected) if expected.is_of_words() && other_words() => None,
        Step::Expect(_) if on_the_way => None,
        Step::Expect(Expectation::Calls { .. }) => None,
        Step::Run { until: Some(until), within } => {
            Some(Step::Run { until: Some(until.clone()), within: *within * 2 + LONGER })
        }
        step => Some(step.clone()),
    }
}

/// After a fault, what is expected at the end holds at once or when all has settled.
async fn play_line(stage: &mut Stage, line: &Line, step: &Step, disturbed: bool) -> Result<(), String> {
    let played = tokio::time::timeout(LINE_DEADLINE, stage.play(&line.text, step)).await;
    let played = played.unwrap_or_else(|_| Err("it does not end".into()));
    match (step, &played) {
        (Step::Expect(_), Err(_)) if disturbed => {
            rest::settle(stage).await;
            stage.play(&line.text, step).await
        }
        _ => played,
    }
}
