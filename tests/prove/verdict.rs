//! The verdict on a play with faults, by the undisturbed one. It plays nothing.

use evenkeel::model::name::Kind;

use crate::play::Play;
use crate::support::scenario::expectation::Expectation;
use crate::support::scenario::fault::Fault;
use crate::support::scenario::file::Scenario;
use crate::support::scenario::step::Step;

/// How many passes and changes a fault may cost, beyond those of the undisturbed play.
const PASSES: u64 = 200;
const CHANGES: usize = 90;

/// What is wrong with a play; empty when all is well.
pub fn of(scenario: &Scenario, undisturbed: &Play, play: &Play, faults: &[Fault]) -> Vec<String> {
    let mut found = play.wrongs.clone();
    let loses = faults.iter().any(Fault::loses_history);
    let ends_the_engine = faults.iter().any(Fault::ends_the_engine);
    let ends_otherwise = ends_the_engine
        && (ended_well_by_its_signal(undisturbed, play)
            || play.departures.iter().any(|departure| waits_for_a_killed_job(departure)));
    let lost = loses && needs_history(scenario, undisturbed) || ends_otherwise;
    if !lost {
        found.extend(play.departures.iter().cloned());
    }
    if !found.is_empty() {
        return found;
    }
    match (loses, lost) {
        (_, true) => found.extend(play.end.differences_without_history(&undisturbed.end)),
        (true, false) => found.extend(play.end.differences_without_numbers(&undisturbed.end)),
        (false, false) => found.extend(play.end.differences(&undisturbed.end)),
    }
    if loses && scenario.script.iter().any(|line| matches!(line.step, Step::Confirm(_))) {
        let held: Vec<String> = found.iter().filter_map(|difference| namespace_held(difference)).collect();
        found.retain(|difference| !waits_for_its_confirmation(difference, &held));
    }
    if ends_the_engine {
        found.retain(|difference| !was_killed(difference));
    }
    if undisturbed.rests && !play.rests && !lost {
        found.push("it does not come to rest".into());
    }
    if undisturbed.rests && play.rests && !lost {
        found.extend(effort(undisturbed, play, faults.len()));
    }
    found
}

/// Whether a scenario comes to its end by what only the history knows: that a revision failed, what a person asked for, what a
/// source said before it could not be read, or what a Job did before its manifest changed or was away.
fn needs_history(scenario: &Scenario, undisturbed: &Play) -> bool {
    let is_plain = |phase: &String| matches!(phase.as_str(), "Complete" | "Ready");
    let asks = |step: &Step| match step {
        Step::Request { .. } | Step::Confirm(_) | Step::LoseState | Step::LoseHistory | Step::Damage { .. } => true,
        Step::Expect(Expectation::Source { .. } | Expectation::Problem { .. })
        | Step::Run { until: Some(Expectation::Source { .. } | Expectation::Problem { .. }), .. } => true,
        Step::Run { until: Some(Expectation::Phase { phase, .. }), .. }
        | Step::Expect(Expectation::Phase { phase, .. }) => !is_plain(phase),
        _ => false,
    };
    scenario.script.iter().any(|line| asks(&line.step))
        || remembers_a_job(scenario)
        || !undisturbed.end.objects.values().all(is_plain)
}

/// Whether it counts the runs of a Job whose manifest changes or goes: what has run before, then only the history knows.
pub fn remembers_a_job(scenario: &Scenario) -> bool {
    let has = |is: &dyn Fn(&Step) -> bool| scenario.script.iter().any(|line| is(&line.step));
    has(&|step| matches!(step, Step::Delete { .. } | Step::Edit { .. }))
        && has(&|step| match step {
            Step::Expect(Expectation::Runs { key, .. })
            | Step::Run { until: Some(Expectation::Runs { key, .. }), .. } => key.kind == Kind::Job,
            _ => false,
        })
}

/// Whether a Job that fails otherwise was just running when the engine stopped: its program ended well at the signal, so it is
/// complete, and what depends on it goes another way.
fn ended_well_by_its_signal(undisturbed: &Play, play: &Play) -> bool {
    let jobs = undisturbed.end.objects.iter().filter(|(key, phase)| key.kind == Kind::Job && *phase == "Failed");
    jobs.into_iter().any(|(key, _)| play.end.objects.get(key).is_some_and(|phase| phase == "Complete"))
}

/// The namespace of a workload that is still there.
fn namespace_held(difference: &str) -> Option<String> {
    let key = difference.strip_suffix(" is \"there\", not None")?;
    key.split('/').nth(1).map(str::to_owned)
}

/// A removal whose confirmation is forgotten waits for another one, and so does the network of what stays.
fn waits_for_its_confirmation(difference: &str, held: &[String]) -> bool {
    let network = difference.strip_prefix("network ").filter(|network| network.ends_with(", not None"));
    let is_of = |namespace: &String| network.is_some_and(|network| network.starts_with(&format!("{namespace}.")));
    difference.ends_with("is \"there\", not None") || held.iter().any(is_of)
}

/// A run that an engine's end has killed has failed, and nobody begins another one: that is no difference.
fn was_killed(difference: &str) -> bool {
    difference.starts_with("job/") && difference.contains("is \"Failed\", not Some(\"Complete\")")
}

/// The same, where the script waits for its end, and nothing of it is played after that.
fn waits_for_a_killed_job(departure: &str) -> bool {
    departure.contains("until job/")
        && departure.contains("is Complete within")
        && departure.contains("it is Failed: exited with code 137")
}

fn effort(undisturbed: &Play, play: &Play, faults: usize) -> Vec<String> {
    let (normal, taken) = (undisturbed.effort, play.effort);
    let mut found = Vec::new();
    if taken.passes > normal.passes + PASSES * faults as u64 {
        found.push(format!("it takes {} passes, without the fault {}", taken.passes, normal.passes));
    }
    if taken.changes > normal.changes + CHANGES * faults {
        found.push(format!("it takes {} changes, without the fault {}", taken.changes, normal.changes));
    }
    found
}
