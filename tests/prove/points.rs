//! The points of a scenario: every fault that can be told from another one, at every place where it can happen. It plays
//! nothing.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::crew::Point;
use crate::play::{Play, play};
use crate::support::scenario::disk::{Loss, WriteFault};
use crate::support::scenario::fault::{self, Fault};
use crate::support::scenario::file::Scenario;
use crate::support::sim::calls::FaultMode;

/// One point in so many belongs to a sample, unless somebody asks for more.
pub const SAMPLED: u64 = 100;

/// One first fault in so many, in a sample of pairs, unless somebody asks for more.
pub const FIRSTS: u64 = 40;
/// How many calls after the first fault the second one may come.
const RECOVERY: usize = 40;
/// How many second faults are tried after each first one.
const COMPANIONS: usize = 3;

/// Which points are played: those that the seed picks, one in so many. The seeds up to that number share all points among
/// them, so that a whole sweep can be played in parts.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub seed: u64,
    pub one_in: u64,
}

impl Sample {
    /// Every point.
    pub const ALL: Sample = Sample { seed: 0, one_in: 1 };

    fn picks(self, scenario: &Scenario, point: &Point) -> bool {
        let one_in = self.one_in.max(1);
        rank((), scenario, point) % one_in == self.seed % one_in
    }
}

/// A number that is the same in every run and looks like chance.
fn rank(salt: impl Hash, scenario: &Scenario, point: &Point) -> u64 {
    let mut hasher = DefaultHasher::new();
    (salt, &scenario.path, fault::words(point)).hash(&mut hasher);
    hasher.finish()
}

/// The points of a scenario, or those of a sample.
pub fn of(scenario: &Scenario, undisturbed: &Play, sample: Sample) -> Vec<Point> {
    let all = calls(undisturbed).chain(writes(undisturbed)).chain(states(undisturbed)).map(|fault| vec![fault]);
    all.filter(|point| sample.picks(scenario, point)).collect()
}

/// Two faults in a row: the second at a call of the recovery from the first, `COMPANIONS` of them for each first one. The
/// first ones are those of the sample.
pub fn pairs(scenario: &Scenario, undisturbed: &Play, sample: Sample) -> Vec<Point> {
    let firsts = calls(undisturbed).chain(writes(undisturbed)).chain(states(undisturbed));
    let firsts = firsts.filter(|first| sample.picks(scenario, &vec![*first]));
    firsts.flat_map(|first| companions(scenario, undisturbed, first, sample)).collect()
}

fn companions(scenario: &Scenario, undisturbed: &Play, first: Fault, sample: Sample) -> Vec<Point> {
    let recovery = play(scenario, &[first]);
    // Up to the first fault, both plays are the same.
    let began = place(&first, undisturbed);
    let is_soon = |second: &Fault| {
        let at = place(second, &recovery);
        at > began && at.0 <= began.0 + RECOVERY
    };
    let seconds = calls(&recovery).chain(writes(&recovery)).chain(states(&recovery)).filter(is_soon);
    let pair = |second: Fault| vec![first, second];
    let mut pairs: Vec<Point> = seconds.map(pair).collect();
    pairs.sort_by_key(|pair| rank(sample.seed, scenario, pair));
    pairs.truncate(COMPANIONS);
    pairs
}

/// Where a fault is: before or at which call, and then the how manieth write it is.
fn place(fault: &Fault, play: &Play) -> (usize, bool, usize) {
    match *fault {
        Fault::Write { at, .. } => (play.writes[at].calls, false, at),
        Fault::Call { at, .. } | Fault::State { at, .. } => (at, true, 0),
    }
}

fn calls(undisturbed: &Play) -> impl Iterator<Item = Fault> + '_ {
    undisturbed.calls.iter().enumerate().flat_map(|(at, call)| {
        let name = call.split_whitespace().next().unwrap_or_default();
        let changes = undisturbed.changes.binary_search(&at).is_ok();
        let modes = FaultMode::ALL.into_iter().filter(move |mode| mode.concerns(name, changes));
        modes.map(move |mode| Fault::Call { at, mode })
    })
}

fn writes(undisturbed: &Play) -> impl Iterator<Item = Fault> + '_ {
    undisturbed.writes.iter().enumerate().flat_map(|(at, write)| {
        let modes = WriteFault::ALL.into_iter().filter(move |mode| mode.concerns(write));
        modes.map(move |mode| Fault::Write { at, mode })
    })
}

/// The state directory is lost before every call that changes something: between those, nothing that matters differs.
fn states(undisturbed: &Play) -> impl Iterator<Item = Fault> + '_ {
    undisturbed.changes.iter().flat_map(|&at| Loss::ALL.map(|loss| Fault::State { at, loss }))
}
