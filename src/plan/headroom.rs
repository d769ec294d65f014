//! Room on the host, asked for before something takes it: memory before a new replica runs beside the old ones, disk before
//! a pull or a build. Where there is none, the rollout waits as it is, and no revision is blamed. It stops and makes nothing.

use std::cell::Cell;

use super::converge::Scene;
use super::world::{Decided, World};
use crate::model::action::{Call, container_target};
use crate::model::desired::Desired;
use crate::model::history::{DeploymentHistory, History, Rollout};
use crate::model::observed::{Container, ContainerState, DiskSpace, Observed};
use crate::model::quantity::Memory;
use crate::model::spec::{Limits, Requests};
use crate::model::status::Shortage;
use crate::model::time::Span;

/// Nothing rings when the host gets room, so it is looked at again so soon.
const LOOK_AGAIN: Span = Span::secs(10);

/// Unless the operator says how much is to stay free for everybody else: a twentieth of the file system, but no more than
/// this. An image takes its size twice while it is unpacked; on a large disk that is far less than any share of it.
const MIN_FREE_SHARE: u64 = 20;
const MIN_FREE_MAX: u64 = 4 << 30;

/// Memory that replicas on their way up have been promised and may not have taken yet, so that two of them are not
/// given the same.
#[derive(Default)]
pub struct Promised(Cell<u64>);

impl Promised {
    /// What has been promised before this pass: all that the replicas may take that a rollout has started and that have
    /// not been ready yet.
    pub fn of(desired: &Desired, observed: &Observed, history: &History) -> Self {
        let comes_up = |container: &&Container| {
            desired.deployments.contains_key(&container.owner)
                && history.deployments.get(&container.owner).is_some_and(|known| is_coming(observed, known, container))
        };
        let coming = if observed.headroom.memory.is_some() { Some(observed.containers.values()) } else { None };
        let asked = coming.into_iter().flatten().filter(comes_up);
        Self(Cell::new(asked.map(|c| asked_for(&c.adjustable.requests, &c.adjustable.limits)).sum()))
    }
}

fn is_coming(observed: &Observed, history: &DeploymentHistory, container: &Container) -> bool {
    // A first revision that has failed is tried on without end: it may not stand in everybody's way for as long.
    let Rollout::Progressing { to, failed_at: None, .. } = &history.rollout else { return false };
    let starts = match container.state {
        ContainerState::Running { .. } | ContainerState::Restarting { .. } => true,
        ContainerState::Created { .. } | ContainerState::Exited(_) => {
            observed.in_flight.contains(&container_target(&container.id))
        }
        ContainerState::Paused | ContainerState::Removing => false,
    };
    *to == container.revision && starts && !history.ready_since.contains_key(&container.id)
}

/// What one replica asks for, in bytes: its request; without one its limit, as in Kubernetes; without either nothing.
fn asked_for(requests: &Requests, limits: &Limits) -> u64 {
    requests.memory.or(limits.memory).map_or(0, |memory| memory.0)
}

/// How many of `count` new replicas may be made where `there` run or will. Those beyond as many as are wanted run beside the
/// old ones and need room of their own; what is made ahead of a stop takes the room of the one that stops.
pub fn fitting(scene: &Scene, decided: &mut Decided, history: &DeploymentHistory, there: u32, count: u32) -> u32 {
    if scene.strategy.stop_first() {
        return count;
    }
    let beside = (there + count).saturating_sub(scene.strategy.replicas).min(count);
    count - beside + memory_for(scene, decided, history, beside)
}

/// Of `count` new replicas beside as many old ones as are wanted, how many the host has the memory for; they have it
/// promised from here to the end of the pass. Only an update waits for memory: what heals or goes back was here before.
pub fn memory_for(scene: &Scene, decided: &mut Decided, history: &DeploymentHistory, count: u32) -> u32 {
    let resources = &scene.target.template.resources;
    let each = asked_for(&resources.requests, &resources.limits);
    let progressing = matches!(history.rollout, Rollout::Progressing { .. });
    let Some(available) = scene.world.observed.headroom.memory.filter(|_| progressing && each > 0) else {
        return count;
    };
    let promised = &scene.world.promised.0;
    let fitting = shares(available.saturating_sub(promised.get()), each).min(count);
    if fitting < count {
        let (again, shortage) = (scene.world.now + LOOK_AGAIN, too_little_memory(each, available, promised.get()));
        match scene.strategy.unavailable {
            0 => decided.short(again, shortage),
            // One that may be missing makes room: nobody need know.
            _ => {
                decided.wait(shortage.message);
                decided.wake(again);
            }
        }
    }
    promised.set(promised.get() + each * u64::from(fitting));
    fitting
}

/// How often `each` is in `bytes`.
fn shares(bytes: u64, each: u64) -> u32 {
    u32::try_from(bytes / each).unwrap_or(u32::MAX)
}

fn too_little_memory(each: u64, available: u64, promised: u64) -> Shortage {
    let taken = match promised {
        0 => String::new(),
        _ => format!(", {} of it promised to replicas that are starting", Memory(promised).rounded()),
    };
    let (each, available) = (Memory(each), Memory(available).rounded());
    Shortage {
        reason: "InsufficientMemory",
        message: format!(
            "memory on the host: one more replica asks for {each}, and {available} are available{taken}; it goes on when \
             there is room"
        ),
    }
}

/// Whether there is room for an image. A pull that is under way has its room.
pub fn disk_for(world: World, decided: &mut Decided, getting: &Call) -> bool {
    let Some(DiskSpace { free, total }) = world.observed.headroom.disk else { return true };
    let share = (total / MIN_FREE_SHARE).min(MIN_FREE_MAX);
    let floor = world.desired.settings.min_free_disk.unwrap_or(share);
    if free >= floor || world.observed.in_flight.contains(&getting.target()) {
        return true;
    }
    let [free, total, floor] = [free, total, floor].map(|bytes| Memory(bytes).rounded());
    let what = if matches!(getting, Call::Build { .. }) { "build" } else { "pull" };
    let message = format!(
        "disk space: {free} of {total} are free where the engine keeps its images, and no {what} begins below {floor} \
         (minFreeDisk)"
    );
    decided.short(world.now + LOOK_AGAIN, Shortage { reason: "InsufficientDisk", message });
    false
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::desired::Declared;
    use crate::model::name::{Key, Kind, Name};
    use crate::model::observed::{Headroom, ImageState};
    use crate::model::time::Timestamp;

    const GI: u64 = 1 << 30;

    /// What is done and what is waited for where `web:1` is to be pulled.
    fn before_a_pull(free: u64, total: u64, floor: Option<u64>, in_flight: &[&str]) -> (usize, Vec<String>) {
        let key = Key::new(Kind::Deployment, Name::new("shop").unwrap(), Name::new("web").unwrap());
        let spec = json!({"template": {"image": "web:1", "hostNetwork": true}});
        let mut desired = Desired::default();
        desired.settings.min_free_disk = floor;
        desired.deployments.insert(key.clone(), Declared::bare(serde_json::from_value(spec).unwrap()));
        let observed = Observed {
            images: [("web:1".to_string(), ImageState::Missing)].into(),
            headroom: Headroom { memory: None, disk: Some(DiskSpace { free, total }) },
            in_flight: in_flight.iter().map(ToString::to_string).collect(),
            ..Observed::default()
        };
        let plan = crate::plan::plan(&desired, &observed, &History::default(), Timestamp(0));
        (plan.actions.len(), plan.shortages.into_values().map(|shortage| shortage.message).collect())
    }

    #[test]
    fn no_pull_begins_below_a_twentieth_of_the_disk_or_what_the_operator_says() {
        let (actions, short) = before_a_pull(GI, 40 * GI, None, &[]);
        let words = "disk space: 1024Mi of 40.0Gi are free where the engine keeps its images, and no pull begins below 2048Mi (minFreeDisk)";
        assert_eq!((actions, short), (0, vec![words.to_string()]));
        let goes = (1, Vec::new());
        assert_eq!(before_a_pull(2 * GI, 40 * GI, None, &[]), goes);
        assert_eq!(before_a_pull(4 * GI, 4000 * GI, None, &[]), goes, "a large disk is not held to its share");
        assert_eq!(before_a_pull(GI, 40 * GI, Some(GI), &[]), goes);
        assert_eq!(before_a_pull(0, 40 * GI, Some(0), &[]), goes, "0 is for never mind");
        assert_eq!(before_a_pull(3 * GI, 40 * GI, Some(4 * GI), &[]).0, 0);
    }

    #[test]
    fn a_pull_that_is_under_way_has_its_room() {
        assert_eq!(before_a_pull(0, 40 * GI, None, &["image web:1"]), (0, Vec::new()));
    }

    #[test]
    fn a_replica_asks_for_its_request_else_for_its_limit_else_for_nothing() {
        let asked = |resources: Value| {
            let resources: crate::model::spec::Resources = serde_json::from_value(resources).unwrap();
            asked_for(&resources.requests, &resources.limits)
        };
        assert_eq!(asked(json!({"limits": {"memory": "1Gi"}, "requests": {"memory": "256Mi"}})), GI / 4);
        assert_eq!(asked(json!({"limits": {"memory": "1Gi"}})), GI);
        assert_eq!(asked(json!({"limits": {"cpu": "1"}})), 0);
        assert_eq!([GI - 1, GI, 5 * GI / 2].map(|available| shares(available, GI)), [0, 1, 2]);
    }
}
