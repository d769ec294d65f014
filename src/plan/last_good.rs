//! The last good revision during an update: its replicas serve until new ones have taken over, whatever happens to them
//! meanwhile. When they may go is decided by `budget`.

use super::build;
use super::converge::{Scene, create};
use super::needs;
use super::replica::{Replica, find};
use super::rollout::newest_completed;
use super::slots;
use super::world::Decided;
use crate::model::history::{DeploymentHistory, Revision, Rollout};
use crate::model::observed::ContainerState;
use crate::model::revision::RevisionId;

/// How many old replicas an update still needs: as many as were available when it began, up to what the strategy
/// promises, less the new ones that have taken over.
pub fn needed(scene: &Scene, history: &DeploymentHistory, kept: &[&Replica]) -> usize {
    let Rollout::Progressing { available, before, .. } = &history.rollout else {
        return 0;
    };
    let taken_over = kept.iter().filter(|r| r.available).count() as u32;
    scene.strategy.floor().min(*before).saturating_sub(taken_over.max(*available)) as usize
}

/// Makes old replicas again that somebody removed during an update: the new revision may turn out to be a bad one.
pub fn restore(
    scene: &Scene,
    decided: &mut Decided,
    history: &DeploymentHistory,
    kept: &[&Replica],
    staying_old: &[&Replica],
) {
    let needed = needed(scene, history, kept);
    if needed <= staying_old.len() {
        return;
    }
    let Some(back) = newest_completed(history, &scene.target.id).and_then(|id| find(history, &id)) else {
        return;
    };
    let places = build::places(scene.world, scene.key, &back.template);
    let last_good = Scene { target: back, places, ..*scene };
    // What is being created was missed earlier.
    let there = staying_old.len() + slots::coming(&last_good).len();
    let limit = (scene.strategy.replicas + scene.strategy.surge) as usize;
    let room = limit.saturating_sub(there + kept.iter().filter(|r| r.runs()).count());
    if !needs::places_exist(scene.world, decided, scene.key, &back.template) {
        return;
    }
    let taken = slots::taken(&last_good);
    for slot in (0..).filter(|slot| !taken.contains(slot)).take(needed.saturating_sub(there).min(room)) {
        let cause = format!("revision {} serves until revision {} has taken over", back.number, scene.target.number);
        create(&last_good, decided, cause, slot);
    }
}

/// Whether a container that never ran is one that [`restore`] made.
pub fn is_restored(scene: &Scene, history: &DeploymentHistory, replica: &Replica) -> bool {
    let progressing = matches!(history.rollout, Rollout::Progressing { .. });
    let of_it = || newest_completed(history, &scene.target.id).is_some_and(|id| id == replica.container.revision);
    progressing && replica.container.state == ContainerState::Created { error: None } && of_it()
}

/// Whether all replicas of a revision have once been available.
pub fn is_proven(history: &DeploymentHistory, revision: &RevisionId) -> bool {
    find(history, revision).is_some_and(Revision::is_completed)
}
