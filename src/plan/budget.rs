//! The budget of an update: which old replicas may go now, judged by this moment alone. It stops nothing itself.

use std::cmp::Reverse;

use super::converge::Scene;
use super::host_ports::foreign_holder;
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
    let (wanted_count, floor) = (scene.strategy.replicas, scene.strategy.floor());
    // Behind a gate nobody's place is taken: whoever was one too many and is wanted again comes back.
    let least = if scene.is_open { floor } else { wanted_count };
    let reason = format!("revision {} replaces it", scene.target.number);
    let rolling_back = matches!(history.rollout, Rollout::RollingBack { .. });
    // What clients cannot reach yet takes nobody's place: getting a name can fail like any other call. Nor does what
    // something is being done to: that may be its name being taken away.
    let is_busy = |r: &Replica| scene.world.is_busy(r.container);
    let is_reached = |r: &Replica| r.available && !is_busy(r) && upkeep::has_its_names(scene, history, r);
    let available_new = kept.iter().filter(|r| is_reached(r)).count() as u32;
    let mut available = available_new + old.iter().filter(|r| !r.retiring && is_reached(r)).count() as u32;
    // After a start of the controller nobody knows yet whether the others are ready: that takes no place away.
    let stands = |r: &&&Replica| r.runs() && !r.retiring && !r.readiness.is_not_ready();
    let standing = kept.iter().chain(old).filter(stands).count() as u32;
    let mut remaining = old.iter().filter(|r| r.runs() && !r.retiring).count() as u32;
    let mut prepared = prepared_for_swap(scene, kept, old);
    let mut ranked = old.to_vec();
    // Among equals the last good revision stays longest: the new one may turn out to be a bad one.
    let back = rollout::newest_completed(history, &scene.target.id);
    ranked.sort_by_key(|r| {
        let (of_last_good, slot) = (back.as_ref() == Some(&r.container.revision), Reverse(r.container.slot));
        let number = find(history, &r.container.revision).map(|revision| revision.number);
        (r.runs(), r.available, of_last_good, slot, number)
    });

    let mut leaving = Vec::new();
    for replica in ranked {
        let is_spent = is_spent(scene, history, replica) || replica.retiring && !replica.runs();
        // More than are wanted at all: they are in no new one's place, so they wait for no gate.
        let is_surplus = !scene.is_open && replica.runs() && !replica.retiring && remaining > wanted_count;
        // What has been told to stop does not come back, however well it looks.
        let goes = if is_spent || retire::is_stopping(scene.world, history, replica) {
            true
        } else if replica.retiring {
            // It comes back when those that were to take its place are gone meanwhile, or start anew as it does itself.
            let is_replaced = rolling_back || available_new + remaining >= least || standing >= least;
            available >= least || replica.readiness.is_not_ready() && is_replaced
        } else if is_surplus {
            wanted_count == 0 || available > wanted_count || replica.readiness.is_not_ready()
        } else if scene.strategy.stop_first() && !rolling_back && prepared == 0 {
            // Nothing is stopped before its successor exists: a bad image or option shows up before it costs anything.
            false
        } else if replica.available {
            available > floor
        } else {
            // One that is not ready adds nothing to the budget; it goes when enough others stay, or at once in a rollback.
            let others = remaining - u32::from(replica.runs());
            wanted_count == 0 || replica.readiness.is_not_ready() && (rolling_back || available_new + others >= floor)
        };
        // Before its gates are passed, a revision takes nobody's place.
        if !goes || !scene.is_open && !is_surplus && !replica.retiring && replica.runs() {
            continue;
        }
        if !replica.retiring && replica.runs() {
            prepared = prepared.saturating_sub(1);
            remaining = remaining.saturating_sub(1);
            if is_reached(replica) {
                available -= 1;
            }
        }
        leaving.push((replica, if is_surplus { wanted(scene) } else { reason.clone() }));
    }
    leaving
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
    if scene.world.ports.bar(scene.key, template) || foreign_holder(scene.world.observed, template).is_some() {
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
