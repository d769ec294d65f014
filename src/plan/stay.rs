//! What is done while nothing may change, because somebody paused it or it has stalled: what runs is kept as it is.

use super::converge::{Scene, start};
use super::last_good;
use super::replica::{Replica, find};
use super::retire;
use super::upkeep;
use super::world::Decided;
use crate::model::history::{DeploymentHistory, Revision, Rollout};
use crate::model::observed::ContainerState;

/// Keeps what runs as it is, where nothing else may change.
pub fn stay(scene: &Scene, decided: &mut Decided, history: &mut DeploymentHistory) {
    // What nobody goes back to leaves no remains.
    let is_stalled = matches!(history.rollout, Rollout::Stalled { .. });
    let is_left_over = |r: &Replica| {
        let ended = matches!(r.container.state, ContainerState::Exited(_));
        let rejected = find(history, &r.container.revision).is_some_and(Revision::is_rejected);
        is_stalled && r.retiring && ended && rejected && !scene.is_new(r.container)
    };
    let (leaving, staying): (Vec<&Replica>, Vec<&Replica>) = scene.replicas.iter().partition(|r| is_left_over(r));
    history.retiring.retain(|id, _| leaving.iter().any(|replica| replica.container.id == *id));
    for replica in &staying {
        upkeep::upkeep(scene, decided, history, replica);
    }
    revive(scene, decided, history, &staying);
    for replica in leaving {
        retire::step(scene, decided, history, replica, false);
    }
}

/// Starts what has ended, such as after a crash of the engine: up to `replicas` run, first those of revisions that have proved
/// themselves.
fn revive(scene: &Scene, decided: &mut Decided, history: &mut DeploymentHistory, staying: &[&Replica]) {
    let running = scene.replicas.iter().filter(|r| r.runs() || scene.is_busy(r)).count();
    let room = (scene.strategy.replicas as usize).saturating_sub(running);
    let ended = |r: &&Replica| matches!(r.container.state, ContainerState::Exited(_)) && !scene.is_busy(r);
    let mut ended: Vec<&Replica> = staying.iter().copied().filter(ended).collect();
    ended.sort_by_cached_key(|r| !last_good::is_proven(history, &r.container.revision));
    for replica in ended.into_iter().take(room) {
        start(scene, decided, history, replica);
    }
}
