//! What must hold whatever happens. It is checked at every call and after every step, in every scenario. It changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use evenkeel::model::container::label;
use evenkeel::model::name::{Key, Kind, Name};
use evenkeel::model::observed::ContainerId;
use evenkeel::model::view::{Detail, ObjectView, RevisionView, View};
use tokio::sync::watch;

use super::step::Allowance;
use crate::support::sim::app::Millis;
use crate::support::sim::calls::{Call, Moment};
use crate::support::sim::client::{Findings, owner};
use crate::support::sim::container::{Container, Health, State};
use crate::support::sim::world::World;

/// A name may lead to a replica that has stopped answering for as long as noticing it takes.
const NOTICED_WITHIN: Millis = 45_000;
/// A name may lead to nobody for as long as this in a row of lookups; after a fault, until a look that nothing answers is
/// given up.
const NOBODY_FOR: Millis = 1_000;
const NOBODY_FOR_AFTER_A_FAULT: Millis = 130_000;

/// So many removals in one namespace are no reason to ask, whatever share of it they are.
const BRAKE: usize = 3;

/// How many passes may be made at any time, and how many go on and on.
const PASSES_AT_ONCE: u64 = 200;
const PASSES_A_SECOND: u64 = 4;

/// Until a check has seen that a replica is ready, after the engine has started it.
const UNSEEN: Millis = 3_000;
/// What is decided while a stop is under way may be done this much later.
const LOOK: Millis = 1_000;
/// Whoever waits for a stop loses patience this long after twice the grace.
const PATIENCE: Millis = 180_000;

/// The invariants, and what was found against them.
#[derive(Clone)]
pub struct Invariants {
    instance: Name,
    allowed: Arc<Mutex<BTreeSet<Allowance>>>,
    /// The views of the controller that runs, for what is promised.
    views: Arc<Mutex<Option<watch::Receiver<Arc<View>>>>>,
    violations: Arc<Mutex<Vec<String>>>,
    /// Whether something goes wrong that the script does not know of.
    in_trouble: Arc<Mutex<bool>>,
    /// Containers that the process that runs has looked at, each by its id.
    looked_at: Arc<Mutex<BTreeSet<ContainerId>>>,
    /// Of each namespace, what was removed since the last line of the script because nothing declares it.
    pruned: Arc<Mutex<BTreeMap<Name, BTreeSet<Key>>>>,
    /// Namespaces in which somebody has confirmed a removal.
    confirmed: Arc<Mutex<BTreeSet<Name>>>,
    /// Until when a container counts as one that was told to stop.
    told_to_stop: Arc<Mutex<BTreeMap<ContainerId, Millis>>>,
    /// Other people's things and all volumes as they were.
    before: Arc<Mutex<BTreeMap<String, String>>>,
}

/// What a Deployment's manifest promises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Promise {
    floor: u64,
    ceiling: u64,
    surge: u64,
}

/// Whether nobody need know yet that a replica serves: its liveness probe has not been due since.
fn is_news(world: &World, container: &Container) -> bool {
    let liveness = container.spec.as_ref().and_then(|spec| spec.template.liveness_probe.as_ref());
    liveness.is_some_and(|probe| !container.serves(world.now.saturating_sub(probe.period.0)))
}

impl Invariants {
    /// None violated.
    pub fn new(instance: Name) -> Self {
        Self {
            instance,
            allowed: Arc::default(),
            views: Arc::default(),
            violations: Arc::default(),
            in_trouble: Arc::default(),
            looked_at: Arc::default(),
            pruned: Arc::default(),
            confirmed: Arc::default(),
            told_to_stop: Arc::default(),
            before: Arc::default(),
        }
    }

    /// Lets the scenario break one of them.
    pub fn allow(&self, allowance: Allowance) {
        hold(&self.allowed).insert(allowance);
    }

    /// Something is going to go wrong that the script does not know of.
    pub fn expect_trouble(&self) {
        *hold(&self.in_trouble) = true;
    }

    /// A new process runs, and its views say what is promised from now on.
    pub fn listen_to(&self, views: watch::Receiver<Arc<View>>) {
        hold(&self.looked_at).clear();
        *hold(&self.views) = Some(views);
    }

    /// Somebody lets a removal pass that the brake held.
    pub fn confirm(&self, namespace: &Name) {
        hold(&self.confirmed).insert(namespace.clone());
    }

    /// What was found, and is forgotten now.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *hold(&self.violations))
    }

    /// Remembers other people's things and all volumes as they are, after the script has changed them.
    pub fn remember(&self, world: &World) {
        *hold(&self.before) = self.keepsakes(world);
    }

    /// Looks at a call.
    pub fn see(&self, world: &World, call: &Call, moment: Moment) {
        if call.name == "stop" {
            self.note_stop(world, call, moment);
        }
        match (moment, world.by_name(&call.target)) {
            (Moment::Before, _) => self.before_call(world, call),
            (Moment::After, Some(container)) if call.name == "inspect" => {
                hold(&self.looked_at).insert(container.id.clone());
            }
            (Moment::After, _) => {}
        }
    }

    fn before_call(&self, world: &World, call: &Call) {
        if call.name == "remove image" {
            self.before_image_goes(world, call);
        }
        let Some(container) = world.by_name(&call.target) else { return };
        let Some(key) = owner(world, &container.id, &self.instance) else {
            if call.changes {
                self.violated(world, format!("{} {} touches what is not ours", call.name, call.target));
            }
            return;
        };
        if matches!(call.name, "stop" | "restart" | "pause" | "remove") {
            self.before_end(world, &key, container, call.name);
        }
        if call.name == "start" {
            self.before_writer(world, container);
        }
        match call.name {
            "stop" | "restart" if key.kind == Kind::Deployment => self.before_stop(world, &key, container, call.name),
            "start" if key.kind == Kind::Deployment => self.before_start(world, &key, container),
            "start" if key.kind.runs_to_completion() => {
                self.before_attempt(world, &key, container);
                self.before_run(world, &key, container);
            }
            "pause" => self.before_pause(world, container),
            _ => {}
        }
    }

    /// No image goes that a container uses, or that a revision which is still shown may be gone back to.
    fn before_image_goes(&self, world: &World, call: &Call) {
        let going: BTreeSet<_> = call.target.split(", ").filter_map(|name| Some(&world.image(name)?.id)).collect();
        for user in world.containers.values().filter(|container| going.contains(&container.image)) {
            self.violated(world, format!("the image {} goes, which {} uses", call.target, user.name));
        }
        let views = hold(&self.views).clone();
        for (key, object) in views.iter().flat_map(|views| views.borrow().objects.clone()) {
            let Detail::Deployment { revisions, .. } = object.detail else { continue };
            let exact = |revision: &RevisionView| match revision.digest.is_empty() {
                true => revision.image.clone(),
                false => revision.digest.clone(),
            };
            let is_of =
                |revision: &&RevisionView| world.image(&exact(revision)).is_some_and(|image| going.contains(&image.id));
            if let Some(revision) = revisions.iter().find(is_of) {
                let number = revision.number;
                self.violated(world, format!("the image {} goes, which revision {number} of {key} is of", call.target));
            }
        }
    }

    /// What ends a container follows a look at that very container, and stays within the brake on removals.
    fn before_end(&self, world: &World, key: &Key, container: &Container, verb: &str) {
        if !hold(&self.looked_at).contains(&container.id) {
            self.violated(world, format!("{verb} of {}, which this process has never looked at", container.name));
        }
        let is_leaving = self.object(key).is_some_and(|object| object.status.phase == "Terminating");
        if !is_leaving || hold(&self.confirmed).contains(&key.namespace) {
            return;
        }
        let mut pruned = hold(&self.pruned);
        let pruned = pruned.entry(key.namespace.clone()).or_default();
        pruned.insert(key.clone());
        let all = world.containers.keys().filter_map(|id| owner(world, id, &self.instance));
        let all: BTreeSet<Key> = all.filter(|other| other.namespace == key.namespace).chain(pruned.clone()).collect();
        if pruned.len() > BRAKE && 2 * pruned.len() > all.len() {
            let (gone, all) = (pruned.len(), all.len());
            self.violated(world, format!("{verb} of {}: removes {gone} of {all} unconfirmed", container.name));
        }
    }

    /// One that has been told to stop is as good as gone, as in Kubernetes, until the call is seen to have failed.
    fn note_stop(&self, world: &World, call: &Call, moment: Moment) {
        let Some(container) = world.by_name(&call.target) else { return };
        let grace = container.spec.as_ref().map_or(0, |spec| spec.template.termination_grace_period.0);
        let lasts = match moment {
            Moment::Before => 2 * grace + PATIENCE,
            Moment::After => LOOK,
        };
        hold(&self.told_to_stop).insert(container.id.clone(), world.now + lasts);
    }

    /// A ready replica is stopped only while enough others are ready, and after its name is gone for the drain.
    fn before_stop(&self, world: &World, key: &Key, container: &Container, verb: &str) {
        // One that is on no network, since a reconnection was cut short, serves nobody.
        let is_reached = container.host_network || !container.endpoints.is_empty();
        if !container.serves(world.now) || !is_reached || self.allows(Allowance::Downtime) {
            return;
        }
        if verb == "restart" && is_news(world, container) {
            return;
        }
        // That one hangs takes a while to notice; only who lets it happen says how many serve.
        let serves = |c: &Container| c.serves(world.now) || c.hung && self.allows(Allowance::Accidents);
        // What a person has told to stop looks like any other until its program ends.
        let by_us = |c: &Container| hold(&self.told_to_stop).get(&c.id).is_some_and(|until| *until >= world.now);
        let goes = |c: &Container| c.stopped_by_call && (by_us(c) || !self.allows(Allowance::Accidents));
        let serving = |c: &&Container| c.id != container.id && serves(c) && !goes(c);
        let others = self.of(world, key).filter(serving).count() as u64;
        let floor = self.promise(key).floor;
        if others < floor {
            let name = &container.name;
            self.violated(world, format!("{verb} of the ready {name} leaves {others} ready, {floor} are promised"));
        }
        let named = container.endpoints.values().any(|endpoint| !endpoint.aliases.is_empty());
        let drain = container.spec.as_ref().map_or(0, |spec| spec.template.drain.0);
        // A run that began without a name has nothing to drain.
        let is_of_before = |at| matches!(container.state, State::Running { since } if since > at);
        let drained = container.unnamed_at.is_none_or(|at| is_of_before(at) || world.now - at >= drain);
        // Paused by hand, the engine calls it unhealthy until its next check, whatever its program does.
        let is_denied = self.allows(Allowance::Accidents) && container.health == Health::Unhealthy;
        let drained = drained || is_denied || self.is_new_to_all(world, container);
        if named || !drained {
            let name = &container.name;
            let since = container.unnamed_at.map(|at| world.now - at);
            self.violated(world, format!("{verb} of the ready {name}: unnamed for {since:?} ms, named now: {named}"));
        }
    }

    /// A request must not wait in a program that is frozen: its name is gone, and has been for the drain.
    fn before_pause(&self, world: &World, container: &Container) {
        let is_named = container.endpoints.values().any(|endpoint| !endpoint.aliases.is_empty());
        let drain = container.spec.as_ref().map_or(0, |spec| spec.template.drain.0);
        let is_drained = container.unnamed_at.is_none_or(|at| world.now - at >= drain);
        if is_named || !is_drained {
            let (name, since) = (&container.name, container.unnamed_at.map(|at| world.now - at));
            self.violated(world, format!("pause of {name}: unnamed for {since:?} ms, named now: {is_named}"));
        }
    }

    /// What has ended well is not run again: a migration runs once for each revision of its Job.
    fn before_attempt(&self, world: &World, key: &Key, container: &Container) {
        let label = |c: &Container, name: &str| c.labels.get(name).cloned().unwrap_or_default();
        let revision = label(container, label::REVISION);
        let is_earlier = |c: &&Container| c.id != container.id && label(c, label::REVISION) == revision;
        // What its deadline ended has not, whatever its program says to the signal.
        let went_well =
            |c: &&Container| matches!(&c.state, State::Exited(exit) if exit.code == 0) && !c.stopped_by_call;
        if let Some(earlier) = self.of(world, key).filter(is_earlier).find(went_well) {
            self.violated(world, format!("start of {}, although {} has ended well", container.name, earlier.name));
        }
    }

    /// Nothing begins to write to a volume for one writer while another container of ours may.
    fn before_writer(&self, world: &World, container: &Container) {
        let views = hold(&self.views).clone();
        for object in views.iter().flat_map(|views| views.borrow().objects.values().cloned().collect::<Vec<_>>()) {
            let Detail::Volume { engine_name, .. } = &object.detail else { continue };
            let mounts = |c: &Container| c.volumes.contains(engine_name);
            if object.declared.value()["accessMode"] != "ReadWriteOncePod" || !mounts(container) {
                continue;
            }
            let may_write = |c: &Container| {
                matches!(c.state, State::Running { .. } | State::Restarting { .. } | State::Paused { .. })
            };
            let is_ours = |c: &Container| owner(world, &c.id, &self.instance).is_some();
            let mut others = world.containers.values().filter(|c| c.id != container.id && mounts(c));
            if let Some(writer) = others.find(|c| may_write(c) && is_ours(c)) {
                let (name, writer) = (&container.name, &writer.name);
                self.violated(world, format!("start of {name}, while {writer} may write to {engine_name} too"));
            }
        }
    }

    /// A run begins when the Deployments are quiet that it wants to be.
    fn before_run(&self, world: &World, key: &Key, container: &Container) {
        let Some(object) = self.object(key) else { return };
        let spec = object.declared.value();
        for quiesce in spec["quiesce"].as_array().into_iter().flatten() {
            let Some(name) = quiesce.as_str().or(quiesce["deployment"].as_str()) else { continue };
            let may_be_paused = quiesce["by"] == "Pause";
            let deployment = key.sibling(Kind::Deployment, &Name::new(name).expect("it was read from a manifest"));
            let is_loud = |c: &&Container| match c.state {
                State::Running { .. } | State::Restarting { .. } => true,
                State::Paused { .. } => !may_be_paused,
                State::Created { .. } | State::Exited(_) | State::Removing => false,
            };
            if let Some(loud) = self.of(world, &deployment).find(is_loud) {
                self.violated(world, format!("start of {} while {} is not quiet", container.name, loud.name));
            }
        }
    }

    /// Whether the engine has just started a replica again, with the name that it had: it loses that until it is seen to be
    /// ready, and one that goes before that has nothing to drain.
    fn is_new_to_all(&self, world: &World, container: &Container) -> bool {
        let State::Running { since } = container.state else { return false };
        let may_be = self.allows(Allowance::Accidents) || *hold(&self.in_trouble);
        container.revivals > 0 && world.now - since < UNSEEN && may_be
    }

    /// No more replicas run than wanted, and the surge; as many as the surge may be on their way out besides.
    fn before_start(&self, world: &World, key: &Key, container: &Container) {
        let runs = |c: &&Container| c.id != container.id && c.is_alive() && !c.stopped_by_call;
        let told = |c: &&Container| hold(&self.told_to_stop).get(&c.id).is_some_and(|until| *until >= world.now);
        let Promise { ceiling, surge, .. } = self.promise(key);
        let going = self.of(world, key).filter(runs).filter(told).count() as u64;
        let running = self.of(world, key).filter(runs).count() as u64 - going.min(surge);
        if running >= ceiling && !self.allows(Allowance::Crowd) {
            let name = &container.name;
            self.violated(world, format!("start of {name} while {running} run, at most {ceiling} are allowed"));
        }
    }

    /// So many passes were made in a step that took so long: a loop that spins takes the whole machine.
    pub fn not_busy(&self, lasted: Millis, passes: u64) {
        if passes > PASSES_AT_ONCE + lasted * PASSES_A_SECOND / 1000 {
            hold(&self.violations).push(format!("{passes} passes were made in {lasted} ms"));
        }
    }

    /// Looks at the world after a step.
    pub fn after_step(&self, world: &World, findings: &mut Findings) {
        for problem in std::mem::take(&mut findings.not_ready) {
            self.violated(world, problem);
        }
        if !self.allows(Allowance::Downtime) && !self.allows(Allowance::Accidents) {
            // A call that nothing answers holds back whatever was noticed.
            let noticed = if *hold(&self.in_trouble) { NOTICED_WITHIN + PATIENCE } else { NOTICED_WITHIN };
            for (lookup, silence) in std::mem::take(&mut findings.longest_silence) {
                if silence > noticed {
                    self.violated(world, format!("{lookup} led to a replica that did not answer for {silence} ms"));
                }
            }
            let longest = if *hold(&self.in_trouble) { NOBODY_FOR_AFTER_A_FAULT } else { NOBODY_FOR };
            for (lookup, nobody) in std::mem::take(&mut findings.nobody) {
                if nobody > longest {
                    self.violated(world, format!("{lookup} led to nobody for {nobody} ms"));
                }
            }
        }
        hold(&self.pruned).clear();
        self.keepsakes_kept(world);
        self.jobs_run_once(world);
        self.not_too_many(world);
    }

    fn keepsakes_kept(&self, world: &World) {
        let now = self.keepsakes(world);
        let mut before = hold(&self.before);
        for (what, likeness) in before.iter() {
            if now.get(what) != Some(likeness) {
                self.violated(world, format!("{what} was {likeness}, it is {:?}", now.get(what)));
            }
        }
        *before = now;
    }

    /// Every volume, and everything of other people, as it is, images that no registry has among it. Volumes of ours are added to it, and never leave it.
    fn keepsakes(&self, world: &World) -> BTreeMap<String, String> {
        let volumes = world.volumes.values().filter(|volume| !volume.anonymous);
        let volumes = volumes.map(|volume| (format!("volume {}", volume.name), format!("{volume:?}")));
        let foreign = world.containers.values().filter(|c| owner(world, &c.id, &self.instance).is_none());
        let foreign = foreign.filter_map(|c| Some((format!("container {}", c.name), world.likeness(&c.id)?)));
        let networks = world.networks.values().filter(|network| !network.labels.contains_key("evenkeel.dev/instance"));
        let networks = networks.map(|network| (format!("network {}", network.name), format!("{network:?}")));
        let local = world.images.values().filter(|image| image.digests.is_empty() && !image.is_built);
        let local = local.map(|image| (format!("image {}", image.id), format!("{image:?}")));
        volumes.chain(foreign).chain(networks).chain(local).collect()
    }

    /// Every attempt of a job has a container of its own, which is started once and never again.
    fn jobs_run_once(&self, world: &World) {
        for container in world.containers.values() {
            let is_job = owner(world, &container.id, &self.instance).is_some_and(|key| key.kind.runs_to_completion());
            let starts = world.starts.get(&container.name).copied().unwrap_or(0);
            if is_job && starts > 1 && !self.allows(Allowance::Repeats) {
                self.violated(world, format!("the job {} was started {starts} times", container.name));
            }
        }
    }

    /// Stopped containers that are kept do not pile up.
    fn not_too_many(&self, world: &World) {
        let mut counts: BTreeMap<Key, u64> = BTreeMap::new();
        for container in world.containers.values() {
            if let Some(key) = owner(world, &container.id, &self.instance) {
                *counts.entry(key).or_default() += 1;
            }
        }
        for (key, count) in counts.into_iter().filter(|(key, _)| key.kind == Kind::Deployment) {
            let most = 2 * self.promise(&key).ceiling.max(5);
            if count > most {
                self.violated(world, format!("{key} has {count} containers, more than {most}"));
            }
        }
    }

    /// How many ready replicas a name's owner promises, for the client of the names.
    pub fn floor(&self, key: &Key) -> u64 {
        if self.allows(Allowance::Downtime) { 0 } else { self.promise(key).floor }
    }

    /// What the manifest in force says; nothing of an object that is not declared.
    fn promise(&self, key: &Key) -> Promise {
        let Some(object) = self.object(key) else { return Promise::default() };
        // Nothing declares it any more, and nobody has confirmed that it goes: it is kept alive as it was.
        if object.status.phase == "PruneHeld" {
            return Promise { floor: 0, ceiling: u64::MAX / 4, surge: 0 };
        }
        let spec = object.declared.value();
        let Some(replicas) = spec["replicas"].as_u64() else { return Promise::default() };
        let strategy = &spec["strategy"];
        let number = |name: &str, default: u64| strategy[name].as_u64().unwrap_or(default);
        match strategy["type"] == "Recreate" {
            true => Promise { floor: 0, ceiling: replicas, surge: 0 },
            false => Promise {
                floor: replicas.saturating_sub(number("maxUnavailable", 0)),
                ceiling: replicas + number("maxSurge", 1),
                surge: number("maxSurge", 1),
            },
        }
    }

    /// An object as the process that runs shows it.
    fn object(&self, key: &Key) -> Option<ObjectView> {
        let views = hold(&self.views);
        let view = views.as_ref()?.borrow();
        view.objects.get(key).cloned()
    }

    fn of<'a>(&'a self, world: &'a World, key: &'a Key) -> impl Iterator<Item = &'a Container> {
        let there = world.containers.values().filter(|c| c.is_there());
        there.filter(move |c| owner(world, &c.id, &self.instance).as_ref() == Some(key))
    }

    fn allows(&self, allowance: Allowance) -> bool {
        hold(&self.allowed).contains(&allowance)
    }

    /// Something that must never be.
    pub fn violated(&self, world: &World, what: String) {
        hold(&self.violations).push(format!("at {}.{:03}: {what}", world.now / 1000, world.now % 1000));
    }
}

fn hold<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no test panics while it holds this")
}
