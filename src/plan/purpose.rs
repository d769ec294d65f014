//! Why a Deployment gets another replica, in words.

use super::converge::Scene;
use super::replica::Replica;
use crate::model::history::{DeploymentHistory, Rollout};

/// Why there shall be another replica.
pub fn purpose(scene: &Scene, history: &DeploymentHistory) -> String {
    match &history.rollout {
        Rollout::Progressing { .. } | Rollout::New => format!("revision {} is rolled out", scene.target.number),
        Rollout::RollingBack { .. } => format!("going back to revision {}", scene.target.number),
        Rollout::Complete { .. } | Rollout::Stalled { .. } => match history.whole {
            Some(before) if before < scene.strategy.replicas => format!("{}, and {before} were before", wanted(scene)),
            Some(_) | None => changed_by_hand(scene).unwrap_or_else(|| wanted(scene)),
        },
    }
}

/// Which replica of the target is not what it was made as, and why only another one helps.
fn changed_by_hand(scene: &Scene) -> Option<String> {
    let is_changed = |r: &&Replica| r.container.revision == scene.target.id && !scene.is_new(r.container);
    let container = scene.replicas.iter().find(is_changed)?.container;
    let name = &container.name;
    Some(match scene.is_of_its_image(container) {
        true => format!("{name} was given a limit that its manifest does not have, and the engine takes none away"),
        false => format!("{name} runs another image than its revision"),
    })
}

/// How many there shall be.
pub fn wanted(scene: &Scene) -> String {
    match scene.strategy.replicas {
        1 => "1 replica is wanted".to_owned(),
        count => format!("{count} replicas are wanted"),
    }
}
