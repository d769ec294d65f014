//! The budget of an update: which old replicas may go now, judged by this moment alone. It stops nothing itself.

use std::cmp::Reverse;

use super::converge::Scene;
use super::holdings::{self, foreign_holder};
use super::last_good;
use super::purpose::wanted;
use super::replica::{Replica, find};
use super::retire;
use super::rollout;
use super::upkeep;
use crate::model::history::{DeploymentHistory, Rollout};
use crate::model::observed::ContainerState;

/// Old replicas that may go now, with the reason: within the budget, worst first.
pub fn replaceable<'a>(
    scene: &Scene,
    history: &DeploymentHistory,
    kept: &[&'a Replica<'a>],
    old: &[&'a Replica<'a>],
) -> Vec<(&'a Replica<'a>, String)> {
    let mut room = Room::of(scene, history, kept, old);
    let mut leaving = Vec::new();
    for replica in ranked(scene, history, old) {
        if !room.may_go(replica) {
            continue;
        }
        let reason = match room.is_surplus(replica) {
            true => wanted(scene),
            false => format!("revision {} replaces it", scene.target.number),
        };
        room.give(replica);
        leaving.push((replica, reason));
    }
    leaving
}

/// The worst first. Among equals the last good revision stays longest: the new one may turn out to be a bad one.
fn ranked<'a>(scene: &Scene, history: &DeploymentHistory, old: &[&'a Replica<'a>]) -> Vec<&'a Replica<'a>> {
    let back = rollout::newest_completed(history, &scene.target.id);
    let mut ranked = old.to_vec();
    ranked.sort_by_key(|r| {
        let (of_last_good, slot) = (back.as_ref() == Some(&r.container.revision), Reverse(r.container.slot));
        let number = find(history, &r.container.revision).map(|revision| revision.number);
        (r.runs(), r.available, of_last_good, slot, number)
    });
    ranked
}

/// How many may still go.
struct Room<'s> {
    scene: &'s Scene<'s>,
    history: &'s DeploymentHistory,
    /// New replicas that clients reach, and all that they do.
    available_new: u32,
    available: u32,
    /// Those that run, of which nobody knows that they are not ready.
    standing: u32,
    /// Old ones that run and are not on their way out.
    remaining: u32,
    /// How many may stop because a successor is prepared.
    prepared: u32,
}

impl<'s> Room<'s> {
    fn of(scene: &'s Scene, history: &'s DeploymentHistory, kept: &[&Replica], old: &[&Replica]) -> Self {
        let is_reached = |r: &&&Replica| is_reached(scene, history, r);
        let available_new = kept.iter().filter(is_reached).count() as u32;
        // After a start of the controller nobody knows yet whether the others are ready: that takes no place away.
        let stands = |r: &&&Replica| r.runs() && !r.retiring && !r.readiness.is_not_ready();
        Room {
            scene,
            history,
            available_new,
            available: available_new + old.iter().filter(|r| !r.retiring).filter(is_reached).count() as u32,
            standing: kept.iter().chain(old).filter(stands).count() as u32,
            remaining: old.iter().filter(|r| r.runs() && !r.retiring).count() as u32,
            prepared: prepared_for_swap(scene, kept, old),
        }
    }

    fn may_go(&self, replica: &Replica) -> bool {
        let Self { scene, history, available, .. } = *self;
        let is_spent = is_spent(scene, history, replica) || replica.retiring && !replica.runs();
        // What has been told to stop does not come back, however well it looks.
        if is_spent || retire::is_stopping(scene.world, history, replica) {
            true
        } else if replica.retiring {
            self.stays_away(replica)
        } else if self.is_surplus(replica) {
            let wanted = scene.strategy.replicas;
            wanted == 0 || available > wanted || replica.readiness.is_not_ready()
        } else if !scene.is_open && (replica.runs() || self.is_last_good(replica)) {
            // Before its gates are passed, a revision takes nobody's place, also not that of one which is to be started again.
            false
        } else {
            self.is_replaced(replica)
        }
    }

    fn is_last_good(&self, replica: &Replica) -> bool {
        let back = rollout::newest_completed(self.history, &self.scene.target.id);
        back.as_ref() == Some(&replica.container.revision)
    }

    /// Whether one is more than are wanted at all: it is in no new one's place, so it waits for no gate.
    fn is_surplus(&self, replica: &Replica) -> bool {
        !self.scene.is_open && replica.runs() && !replica.retiring && self.remaining > self.scene.strategy.replicas
    }

    /// Whether one that is on its way out goes on. It comes back when those that were to take its place are gone meanwhile, or
    /// start anew as it does itself.
    fn stays_away(&self, replica: &Replica) -> bool {
        let strategy = &self.scene.strategy;
        // Behind a gate nobody's place is taken: whoever was one too many and is wanted again comes back.
        let least = if self.scene.is_open { strategy.floor() } else { strategy.replicas };
        let is_replaced =
            self.is_rolling_back() || self.available_new + self.remaining >= least || self.standing >= least;
        self.available >= least || replica.readiness.is_not_ready() && is_replaced
    }

    /// Whether a new one may take its place.
    fn is_replaced(&self, replica: &Replica) -> bool {
        let (strategy, available) = (&self.scene.strategy, self.available);
        let floor = strategy.floor();
        if strategy.stop_first() && !self.is_rolling_back() && self.prepared == 0 {
            // Nothing is stopped before its successor exists: a bad image or option shows up before it costs anything.
            false
        } else if replica.available {
            available > floor
        } else {
            // One that is not ready adds nothing to the budget; it goes when enough others stay, or at once in a rollback.
            let others = self.remaining - u32::from(replica.runs());
            let is_enough = self.is_rolling_back() || self.available_new + others >= floor;
            strategy.replicas == 0 || replica.readiness.is_not_ready() && is_enough
        }
    }

    fn is_rolling_back(&self) -> bool {
        matches!(self.history.rollout, Rollout::RollingBack { .. })
    }

    /// Counts one that goes.
    fn give(&mut self, replica: &Replica) {
        if replica.retiring || !replica.runs() {
            return;
        }
        self.prepared = self.prepared.saturating_sub(1);
        self.remaining = self.remaining.saturating_sub(1);
        if is_reached(self.scene, self.history, replica) {
            self.available -= 1;
        }
    }
}

/// What clients cannot reach yet takes nobody's place: getting a name can fail like any other call. Nor does what something is
/// being done to: that may be its name being taken away.
fn is_reached(scene: &Scene, history: &DeploymentHistory, replica: &Replica) -> bool {
    replica.available && !scene.world.is_busy(replica.container) && upkeep::has_its_names(scene, history, replica)
}

/// An old container that never started, or whose start failed, serves nobody, unless it is about to.
fn is_spent(scene: &Scene, history: &DeploymentHistory, replica: &Replica) -> bool {
    let created = matches!(replica.container.state, ContainerState::Created { .. });
    created && !last_good::is_restored(scene, history, replica)
}

/// How many old replicas may stop because a successor is prepared: created and attached, waiting for its start.
fn prepared_for_swap(scene: &Scene, kept: &[&Replica], old: &[&Replica]) -> u32 {
    let running = kept.iter().filter(|r| r.runs()).count() as u32;
    // A full set of new replicas needs no preparation any more.
    if running >= scene.strategy.replicas {
        return u32::MAX;
    }
    let template = &scene.target.template;
    if holdings::bar(scene.world, scene.key, template) || foreign_holder(scene.world.observed, template).is_some() {
        return 0;
    }
    // One that was stopped and kept for the way back is as good as one that was never started; and one whose port was taken
    // may find it free now.
    let waits =
        |r: &Replica| r.is_prepared() || r.lacked_its_place() || matches!(r.container.state, ContainerState::Exited(_));
    if scene.strategy.recreate {
        return if running > 0 || kept.iter().any(|r| waits(r)) { u32::MAX } else { 0 };
    }
    let prepared = kept
        .iter()
        .filter(|r| waits(r) && upkeep::missing_network(&scene.places, r.container, false).is_none())
        .count() as u32;
    let going = old.iter().filter(|r| r.retiring && r.runs()).count() as u32;
    prepared.saturating_sub(going)
}
