//! Release groups: Deployments that belong together. When one goes back, so do the others. It looks at what the others were
//! in the pass before, and starts and stops nothing.

use super::replica::find;
use super::world::{Decided, World};
use crate::model::history::{DeploymentHistory, History, Outcome, Resolution, Rollout};
use crate::model::name::Key;
use crate::model::spec::DeploymentSpec;
use crate::model::time::Timestamp;

/// Remembers what a Deployment runs whenever its whole group is at rest: that is what it goes back to with the others.
pub fn remember(
    world: World,
    decided: &mut Decided,
    past: &History,
    key: &Key,
    spec: &DeploymentSpec,
    history: &mut DeploymentHistory,
) {
    if spec.release_group.is_none() {
        history.settled = None;
        return;
    }
    let Rollout::Complete { revision } = &history.rollout else { return };
    let own = rests_from(spec, history);
    let of_others = others(world, key, spec)
        .map(|(other, spec)| past.deployments.get(other).and_then(|known| rests_from(spec, known)));
    let Some(from) = of_others.chain([own]).try_fold(Timestamp::default(), |latest, at| Some(latest.max(at?))) else {
        return;
    };
    if from > world.now {
        decided.wake(from);
    } else if history.settled.as_ref() != Some(revision) {
        history.settled = Some(revision.clone());
    }
}

/// From when on a member is where its manifest wants it and has proved itself; none while it is not there.
fn rests_from(spec: &DeploymentSpec, history: &DeploymentHistory) -> Option<Timestamp> {
    let Rollout::Complete { revision } = &history.rollout else { return None };
    let is_wanted =
        history.pin.is_none() && history.resolution.as_ref().and_then(Resolution::revision).as_ref() == Some(revision);
    match find(history, revision).filter(|_| is_wanted)?.outcome {
        Outcome::Completed { at } => Some(at + spec.monitor),
        Outcome::Pending | Outcome::Rejected { .. } | Outcome::Superseded { .. } => None,
    }
}

/// Why a member goes back, or stays back, with its group: another one's revision was rejected, and that one went back.
pub fn setback(world: World, past: &History, key: &Key, spec: &DeploymentSpec) -> Option<String> {
    let group = spec.release_group.as_ref()?;
    others(world, key, spec).find_map(|(other, _)| {
        let history = past.deployments.get(other)?;
        let wanted = history.resolution.as_ref().and_then(Resolution::revision)?;
        let failed = find(history, &wanted)?;
        // One that is stalled goes neither way, and so do the others.
        let is_back = !matches!(history.rollout, Rollout::Stalled { .. });
        let is_rejected = matches!(failed.outcome, Outcome::Rejected { .. });
        (is_back && is_rejected).then(|| {
            format!("release group '{group}' goes back together: revision {} of {other} failed", failed.number)
        })
    })
}

/// The other members of a Deployment's group.
fn others<'a>(
    world: World<'a>,
    key: &Key,
    spec: &DeploymentSpec,
) -> impl Iterator<Item = (&'a Key, &'a DeploymentSpec)> {
    let declared = world.desired.deployments.iter();
    declared
        .filter(move |(other, of)| {
            *other != key
                && other.namespace == key.namespace
                && of.spec.release_group.is_some()
                && of.spec.release_group == spec.release_group
        })
        .map(|(other, of)| (other, &of.spec))
}
