//! The points of a scenario: every fault that can be told from another one, at every place where it can happen. It plays
//! nothing.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::support::scenario::Outcome;
use crate::support::scenario::disk::{Loss, WriteFault};
use crate::support::scenario::fault::Fault;
use crate::support::scenario::file::Scenario;
use crate::support::sim::calls::FaultMode;

/// One point in so many belongs to a sample.
const SAMPLED: u64 = 400;

/// All points, or those that a seed picks.
pub fn of(scenario: &Scenario, undisturbed: &Outcome, sample: Option<u64>) -> Vec<Fault> {
    let picked = |fault: &Fault| sample.is_none_or(|seed| picks(seed, &scenario.path, fault));
    calls(undisturbed).chain(writes(undisturbed)).chain(states(undisturbed)).filter(picked).collect()
}

fn calls(undisturbed: &Outcome) -> impl Iterator<Item = Fault> + '_ {
    undisturbed.calls.iter().enumerate().flat_map(|(at, call)| {
        let name = call.split_whitespace().next().unwrap_or_default();
        let changes = undisturbed.changes.binary_search(&at).is_ok();
        let modes = FaultMode::ALL.into_iter().filter(move |mode| mode.concerns(name, changes));
        modes.map(move |mode| Fault::Call { at, mode })
    })
}

fn writes(undisturbed: &Outcome) -> impl Iterator<Item = Fault> + '_ {
    undisturbed.writes.iter().enumerate().flat_map(|(at, write)| {
        let modes = WriteFault::ALL.into_iter().filter(move |mode| mode.concerns(write));
        modes.map(move |mode| Fault::Write { at, mode })
    })
}

/// The state directory is lost before every call that changes something: between those, nothing that matters differs.
fn states(undisturbed: &Outcome) -> impl Iterator<Item = Fault> + '_ {
    undisturbed.changes.iter().flat_map(|&at| Loss::ALL.map(|loss| Fault::State { at, loss }))
}

fn picks(seed: u64, scenario: &str, fault: &Fault) -> bool {
    let mut hasher = DefaultHasher::new();
    (seed, scenario, fault.to_string()).hash(&mut hasher);
    hasher.finish().is_multiple_of(SAMPLED)
}
