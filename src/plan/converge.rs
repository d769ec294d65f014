//! The steps towards one revision: what may be created, what may start, what may go. Each is judged by the budget of
//! this moment alone, so any subset of them is safe.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::budget::replaceable;
use super::build::{self, Places, Source};
use super::headroom;
use super::images;
use super::last_good;
use super::needs;
use super::purpose::{purpose, wanted};
use super::quiet;
use super::readiness;
use super::replica::{Culprit, Replica, culprit, find, is_worn, template_of, worn_reason};
use super::restarts::may_restart;
use super::retire;
use super::slots;
use super::strategy::Effective;
use super::taken_over;
use super::upkeep;
use super::world::{Decided, World};
use crate::model::action::Call;
use crate::model::history::{DeploymentHistory, History, Retirement, Revision, Rollout};
use crate::model::name::{Key, Slot};
use crate::model::observed::{Container, ContainerId, ContainerState};
use crate::model::spec::DeploymentSpec;
use crate::model::time::Timestamp;

/// Everything that the steps of one Deployment look at.
pub struct Scene<'a> {
    /// The pass.
    pub world: World<'a>,
    /// The Deployment.
    pub key: &'a Key,
    /// What the manifest says.
    pub spec: &'a DeploymentSpec,
    /// The strategy that can work.
    pub strategy: &'a Effective,
    /// The revision to reach or keep.
    pub target: &'a Revision,
    /// The replicas.
    pub replicas: &'a [Replica<'a>],
    /// The memory of all objects before this pass, for dependencies.
    pub past: &'a History,
    /// The places of the target's containers.
    pub places: Places,
    /// Whether the target has passed the gates before its rollout.
    pub is_open: bool,
}

impl<'a> Scene<'a> {
    pub fn source(&self) -> Source<'a> {
        Source {
            owner: self.key,
            revision: &self.target.id,
            template_hash: &self.target.template_hash,
            template: &self.target.template,
            contents: &self.target.contents,
            image: &self.target.image,
        }
    }

    /// The places of a container's revision.
    pub fn places_of(&self, history: &DeploymentHistory, container: &Container) -> Cow<'_, Places> {
        if container.revision == self.target.id {
            return Cow::Borrowed(&self.places);
        }
        let template = template_of(self.spec, history, &container.revision);
        let mut places = build::places(self.world, self.key, template);
        if find(history, &container.revision).is_none() {
            taken_over::without_addresses_of_others(self.world, container, &mut places);
        }
        Cow::Owned(places)
    }

    /// Whether a new replica is ready the moment it runs, and so has its name from the start.
    pub fn is_ready_at_once(&self) -> bool {
        let template = &self.target.template;
        let image = images::found(self.world, template, &self.target.image);
        // An image that cannot be looked at may have a check.
        let image_has_check = image.is_none_or(|image| image.has_health_check);
        readiness::is_ready_at_once(template, self.spec.min_ready, image_has_check)
    }

    /// Whether something is being done to a replica: to one that does not run, that may be its start.
    pub fn is_busy(&self, replica: &Replica) -> bool {
        self.world.is_busy(replica.container)
    }

    /// Whether a container is what the target revision wants: a moved tag can make one from another image, and a hand
    /// one with a limit that stays.
    pub fn is_new(&self, container: &Container) -> bool {
        container.revision == self.target.id
            && self.is_of_its_image(container)
            && !upkeep::is_stuck_with_a_limit(container, &build::adjustable(self.key, &self.target.template))
    }

    /// Whether a container has the target's image, or the one that the same content has become when it was built again.
    pub fn is_of_its_image(&self, container: &Container) -> bool {
        let Revision { image, template, .. } = self.target;
        container.image == *image
            || images::built_again(self.world, template, image).is_some_and(|again| again == container.image)
    }
}

/// Those that were on their way out, are not any more, and have no name yet: they must drain if they go after all.
fn came_back(scene: &Scene, history: &DeploymentHistory, gone: &BTreeSet<&ContainerId>) -> BTreeSet<ContainerId> {
    let must_drain = |id: &ContainerId| {
        history.came_back.contains(id) || history.retiring.get(id).is_some_and(|earlier| earlier.drain)
    };
    let back = scene.replicas.iter().filter(|r| r.runs() && !readiness::is_named(r.container));
    let back = back.map(|replica| &replica.container.id).filter(|id| !gone.contains(id) && must_drain(id));
    back.cloned().collect()
}

/// One pass of steps towards `scene.target`.
pub fn converge(scene: &Scene, decided: &mut Decided, history: &mut DeploymentHistory) {
    let (new, old): (Vec<&Replica>, Vec<&Replica>) = scene.replicas.iter().partition(|r| scene.is_new(r.container));
    let named = |r: &Replica| upkeep::has_its_names(scene, history, r);
    let (kept, surplus) = choose(&new, scene.strategy.replicas, named);
    // Where another one of the same revision serves, it is neither the revision nor the world that keeps this one down.
    let one_serves = kept.iter().any(|r| r.readiness.is_ready());
    let (worn, kept): (Vec<&Replica>, Vec<&Replica>) =
        kept.into_iter().partition(|r| one_serves && !scene.target.taken_over && is_worn(history, r));
    let mut leaving: Vec<(&Replica, String)> = Vec::new();
    leaving.extend(surplus.iter().map(|r| (*r, wanted(scene))));
    leaving.extend(worn.iter().map(|r| (*r, worn_reason(history, r))));
    leaving.extend(replaceable(scene, history, &kept, &old));
    let gone: BTreeSet<&ContainerId> = leaving.iter().map(|(replica, _)| &replica.container.id).collect();

    let retiring = leaving.iter().map(|(replica, reason)| retirement(replica, reason, history)).collect();
    history.came_back = came_back(scene, history, &gone);
    history.retiring = retiring;
    // An old replica that somebody stopped is healed too, as long as it is not on its way out.
    let staying_old: Vec<&Replica> = old.iter().copied().filter(|r| !gone.contains(&r.container.id)).collect();

    last_good::restore(scene, decided, history, &kept, &staying_old);
    create_missing(scene, decided, history, &kept, &old);
    start_ready_to_start(scene, decided, history, &kept, &staying_old);
    for replica in kept.iter().chain(&staying_old) {
        upkeep::upkeep(scene, decided, history, replica);
    }
    let retained = retained(scene, history);
    for (replica, _) in &leaving {
        retire::step(scene, decided, history, replica, retained.as_ref() == Some(&replica.container.revision));
    }
}

/// The replicas to keep, best first, and the surplus. One that is on its way out comes back only when it is needed.
fn choose<'a>(
    new: &[&'a Replica<'a>],
    wanted: u32,
    named: impl Fn(&Replica) -> bool,
) -> (Vec<&'a Replica<'a>>, Vec<&'a Replica<'a>>) {
    let mut ranked = new.to_vec();
    ranked.sort_by_cached_key(|r| {
        (!r.readiness.is_ready(), r.retiring, !r.available, !named(r), !r.runs(), r.container.slot)
    });
    let surplus = ranked.split_off(ranked.len().min(wanted as usize));
    ranked.sort_by_key(|r| r.container.slot);
    (ranked, surplus)
}

fn retirement(replica: &Replica, reason: &str, history: &DeploymentHistory) -> (ContainerId, Retirement) {
    let id = replica.container.id.clone();
    let earlier = history.retiring.get(&id).cloned();
    let retirement = earlier.unwrap_or_else(|| retire::begin(history, replica.container, reason));
    (id, retirement)
}

/// The revision whose stopped replicas are kept for a quick way back while a stop-first update is under way.
fn retained(scene: &Scene, history: &DeploymentHistory) -> Option<crate::model::revision::RevisionId> {
    match &history.rollout {
        Rollout::Progressing { to, .. } if scene.strategy.stop_first() => super::rollout::newest_completed(history, to)
            .or_else(|| taken_over::unknown(scene.strategy, scene.replicas, history, to).map(|c| c.revision.clone())),
        _ => None,
    }
}

/// Creates replicas that are missing: as many as may start soon, one ahead when an old one must stop first.
fn create_missing(
    scene: &Scene,
    decided: &mut Decided,
    history: &DeploymentHistory,
    kept: &[&Replica],
    old: &[&Replica],
) {
    // What is being created was missed earlier, perhaps when another slot was the first free one.
    let coming = slots::coming(scene);
    let missing = scene.strategy.replicas.saturating_sub((kept.len() + coming.len()) as u32);
    if missing == 0 {
        return;
    }
    let updating = !old.is_empty();
    let living = scene.replicas.iter().filter(|r| r.runs()).count() as u32;
    let waiting = (kept.iter().filter(|r| !r.runs()).count() + coming.len()) as u32;
    let room = (scene.strategy.replicas + scene.strategy.surge).saturating_sub(living + waiting);
    // What takes the place of one on its way out is prepared meanwhile.
    let going = old.iter().filter(|r| r.retiring && r.runs()).count() as u32;
    let ahead = match (scene.strategy.stop_first(), scene.strategy.recreate) {
        (true, true) => scene.strategy.replicas,
        (true, false) => scene.strategy.unavailable.max(1),
        (false, _) => going,
    };
    let ahead = ahead.saturating_sub(waiting);
    let count = missing.min(if updating { room.max(ahead) } else { missing });
    if count == 0 {
        return;
    }
    if updating && let Some(at) = next_step_at(scene, history) {
        decided.wait(format!("the pause of {} between steps", scene.strategy.delay));
        return decided.wake(at);
    }
    let places = needs::places_come(scene.world, decided, scene.key, &scene.target.template);
    if !may_begin(scene, decided, history) || !places {
        return;
    }
    // What goes gives its room to one of them.
    let count = headroom::fitting(scene, decided, history, (living + waiting).saturating_sub(going), count);
    let taken = slots::taken(scene);
    let free = (0..).filter(|slot| !taken.contains(slot)).take(count as usize);
    for slot in free.collect::<Vec<Slot>>() {
        create(scene, decided, purpose(scene, history), slot);
    }
}

/// Creates the replica for `slot` of the scene's target.
pub fn create(scene: &Scene, decided: &mut Decided, cause: String, slot: Slot) {
    if scene.target.taken_over {
        return taken_over::cannot_be_made(decided, scene.target);
    }
    let spec = build::container(scene.world, scene.source(), slot, scene.is_ready_at_once());
    if scene.world.observed.foreign_names.contains(&spec.name) {
        return decided.wait(format!("the name {}, which a container that is not ours has", spec.name));
    }
    decided.act(scene.world, scene.key, Call::CreateContainer(Box::new(spec)), cause);
}

/// When the next new replica may be created; none when that is now.
fn next_step_at(scene: &Scene, history: &DeploymentHistory) -> Option<Timestamp> {
    match &history.rollout {
        Rollout::Progressing { stepped_at: Some(stepped_at), .. } => {
            Some(*stepped_at + scene.strategy.delay).filter(|at| *at > scene.world.now)
        }
        _ => None,
    }
}

/// Whether a replica of the target can be made or started, but for its places: its image and dependencies are there.
fn may_begin(scene: &Scene, decided: &mut Decided, history: &DeploymentHistory) -> bool {
    let template = &scene.target.template;
    let image =
        images::ensure(scene.world, decided, scene.key, template, &scene.target.image, scene.target.digest.as_ref());
    // Healing does not wait for dependencies: what ran before may run again.
    let healing = matches!(history.rollout, Rollout::Complete { .. } | Rollout::RollingBack { .. });
    let dependencies = healing || needs::dependencies_met(scene.world, decided, scene.past, scene.key, template);
    image && dependencies && scene.is_open
}

/// Starts what is created or stopped and should run, as far as the budget allows; new replicas first.
fn start_ready_to_start(
    scene: &Scene,
    decided: &mut Decided,
    history: &mut DeploymentHistory,
    kept: &[&Replica],
    staying_old: &[&Replica],
) {
    let mut running = scene.replicas.iter().filter(|r| r.runs() || scene.is_busy(r)).count() as u32;
    // One that has been told to stop is as good as gone, as in Kubernetes; but no more of them than the surge, and not
    // where it may still hold the host port that the next one needs.
    let no_host_port = scene.target.template.ports.iter().all(|port| port.host_port.is_none());
    if no_host_port {
        running -= retire::stopping(scene, history).min(scene.strategy.surge);
    }
    // What is under way with one that nobody has told to stop may be its start.
    let may_be_starting = |r: &Replica| scene.is_busy(r) && !retire::is_told_to_stop(history, &r.container.id);
    let may_run = |r: &Replica| r.runs() || may_be_starting(r);
    let old_runs = scene.replicas.iter().any(|r| may_run(r) && !scene.is_new(r.container));
    let limit = scene.strategy.replicas + scene.strategy.surge;
    // Old ones that are still needed come before new ones: those may never become ready.
    let (up, down): (Vec<&Replica>, Vec<&Replica>) = staying_old.iter().copied().partition(|r| r.runs());
    let wanted = last_good::needed(scene, history, kept).saturating_sub(up.len());
    let needed = wanted.min(down.len());
    // One that is being made again has its place already.
    let reserved = (wanted - needed) as u32;
    let (needed, others) = down.split_at(needed);
    for (order, replica) in needed.iter().chain(kept).chain(others).enumerate() {
        if replica.runs() || scene.is_busy(replica) {
            continue;
        }
        let needed = order < needed.len();
        let is_new = scene.is_new(replica.container);
        if is_new && scene.strategy.recreate && old_runs {
            decided.wait("the old replicas to stop");
            continue;
        }
        // An old one is only healed while replicas are missing: its place is about to be taken.
        let room = match (needed, is_new) {
            (true, _) => limit.max(1),
            (false, true) => limit.saturating_sub(reserved).max(1),
            (false, false) => scene.strategy.replicas,
        };
        if running >= room {
            if is_new {
                needs::is_free(scene.world, decided, scene.key, &scene.target.template);
                needs::tell_foreign_holder(scene.world, decided, &scene.target.template);
                decided.wait("an old replica to stop");
                // The old one stops only for a successor that lacks nothing but its start.
                join(scene, decided, history, replica);
            }
            continue;
        }
        // It was made when there was room for it; that may be over.
        if is_new && running >= scene.strategy.replicas && headroom::memory_for(scene, decided, history, 1) == 0 {
            continue;
        }
        running += 1;
        start(scene, decided, history, replica);
    }
}

/// Attaches one that does not run to a network that it lacks. False when it lacks none.
fn join(scene: &Scene, decided: &mut Decided, history: &DeploymentHistory, replica: &Replica) -> bool {
    let container = replica.container;
    let at_once = scene.is_new(container) && scene.is_ready_at_once();
    let Some(call) = upkeep::missing_network(&scene.places_of(history, container), container, at_once) else {
        return false;
    };
    decided.act(scene.world, scene.key, call, "a replica joins its networks before it starts");
    true
}

/// Brings one stopped or new container to its start: attached to all networks, without a name, then started.
pub fn start(scene: &Scene, decided: &mut Decided, history: &mut DeploymentHistory, replica: &Replica) {
    let container = replica.container;
    let at_once = scene.is_new(container) && scene.is_ready_at_once();
    if join(scene, decided, history, replica) {
        return;
    }
    if let Some(call) = upkeep::move_to_living_network(scene.world, container) {
        return decided.act(
            scene.world,
            scene.key,
            call,
            "its network was made anew, and it could not start on the old one",
        );
    }
    if let Some(call) = upkeep::reset(&scene.places_of(history, container), container, at_once) {
        return decided.act(
            scene.world,
            scene.key,
            call,
            "a stopped replica has neither a name nor an address of its own",
        );
    }
    let first_start = matches!(container.state, ContainerState::Created { error: None });
    if first_start && scene.is_new(container) {
        let places = needs::places_exist(scene.world, decided, scene.key, &scene.target.template);
        if !may_begin(scene, decided, history) || !places {
            return;
        }
    }
    if !needs::is_free_for(scene.world, decided, container, template_of(scene.spec, history, &container.revision)) {
        return;
    }
    let cause = match &container.state {
        ContainerState::Created { error: None } if scene.is_new(container) => purpose(scene, history),
        ContainerState::Created { error: None } => "it serves until new ones have taken over".into(),
        ContainerState::Created { error: Some(error) } => format!("its last start failed: {}", error.message),
        ContainerState::Exited(exit) if quiet::was_hushed(history, exit) => {
            "the run that wanted it quiet has ended".into()
        }
        ContainerState::Exited(exit) => format!("it {}", super::readiness::exit_text(exit)),
        ContainerState::Running { .. }
        | ContainerState::Paused
        | ContainerState::Restarting { .. }
        | ContainerState::Removing => return,
    };
    // A start that failed for want of a port or an address is no restart of the revision's (the action's own back-off paces it),
    // nor is that of one which we have stopped ourselves for a run.
    let of_the_host = last_failure(scene, container).is_some_and(|message| culprit(message) == Culprit::Host);
    let was_hushed = matches!(&container.state, ContainerState::Exited(exit) if quiet::was_hushed(history, exit));
    if !first_start && !of_the_host && !was_hushed && !may_restart(scene.world, decided, history, container, "") {
        return;
    }
    let files = build::files_of(scene.world, scene.key, history, container);
    let call = Call::Start { container: container.id.clone(), name: container.name.clone(), files };
    decided.act(scene.world, scene.key, call, cause);
    needs::tell_foreign_holder(scene.world, decided, template_of(scene.spec, history, &container.revision));
}

/// How the last attempt to start a container failed, if it did. The engine keeps that of a first start only.
fn last_failure<'a>(scene: &'a Scene, container: &'a Container) -> Option<&'a str> {
    match &container.state {
        ContainerState::Created { error: Some(error) } => Some(&error.message),
        _ => scene.world.container_failure(container).map(|failure| failure.message.as_str()),
    }
}
