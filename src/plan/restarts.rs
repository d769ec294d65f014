//! Restarts by us: when a container may be started again, and how often it was. Whether it must be is decided elsewhere.

use super::readiness::exit_text;
use super::world::{Decided, World, pause};
use crate::model::action::container_target;
use crate::model::history::{DeploymentHistory, Restarts};
use crate::model::observed::{Container, ContainerState};
use crate::model::time::{Span, Timestamp};

/// After so long without a restart the earlier ones are forgotten.
const PEACE: Span = Span::secs(600);

/// Whether a container may be restarted now; then it counts, with the reason unless that it has ended says it all. At once, then after 1 s, 2 s, 4 s … 5 min.
pub fn may_restart(
    world: World,
    decided: &mut Decided,
    history: &mut DeploymentHistory,
    container: &Container,
    reason: &str,
) -> bool {
    let target = container_target(&container.id);
    // What is not going to be done does not count: restarts that never were would make a good revision look bad.
    if world.is_busy(container) || decided.is_held_back(world, &target) {
        return false;
    }
    let (count, at) = due(world, history, container);
    if at > world.now {
        let (name, why) = (&container.name, why(&container.state));
        decided.wait(format!("the back-off of {name}, which was restarted {count} times (until {at}){why}"));
        decided.wake(at);
        return false;
    }
    history.restarted.insert(
        container.id.clone(),
        Restarts { count: count.saturating_add(1), at: world.now, reason: reason.into() },
    );
    true
}

/// How often a container was restarted of late, and when it may be again.
fn due(world: World, history: &DeploymentHistory, container: &Container) -> (u32, Timestamp) {
    match history.restarted.get(&container.id).filter(|last| world.now.since(last.at) < PEACE) {
        None => (0, world.now),
        // It was decided and there was no room for it: it is the same one still.
        Some(last) if !was_made(world, last, container) => (last.count.saturating_sub(1), world.now),
        Some(last) => (last.count, last.at + pause(Span::secs(1), last.count)),
    }
}

/// Whether the last restart that was decided was tried, as far as the engine shows.
fn was_made(world: World, last: &Restarts, container: &Container) -> bool {
    let failed = world.container_failure(container).is_some_and(|failure| failure.at >= last.at);
    match &container.state {
        ContainerState::Exited(exit) => exit.started_at >= last.at || failed,
        ContainerState::Running { since } => *since >= last.at || failed,
        ContainerState::Created { .. }
        | ContainerState::Paused
        | ContainerState::Restarting { .. }
        | ContainerState::Removing => true,
    }
}

fn why(state: &ContainerState) -> String {
    match state {
        ContainerState::Created { error: Some(error) } => format!(": {}", error.message),
        ContainerState::Exited(exit) => format!(": it {}", exit_text(exit)),
        ContainerState::Created { error: None }
        | ContainerState::Running { .. }
        | ContainerState::Paused
        | ContainerState::Restarting { .. }
        | ContainerState::Removing => String::new(),
    }
}
