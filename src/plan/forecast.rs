//! The whole way ahead: what would be done, step by step, if every action succeeded and every new replica became ready.
//!
//! A plan holds only what is possible now. To show a person the rest, this plays the actions on a copy of what was
//! observed and plans again, until nothing is left. It touches nothing real and is as pure as the plan itself.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::action::{Action, Call, Connection, NetworkCreate};
use crate::model::container::{ContainerSpec, label};
use crate::model::desired::Desired;
use crate::model::history::History;
use crate::model::name::{Key, Kind, Name};
use crate::model::observed::{
    Container, ContainerId, ContainerState, Endpoint, Exit, Headroom, Health, Image, ImageState, Network, NetworkId,
    Observed, ProbeResult, Probes, Volume,
};
use crate::model::platform::Platform;
use crate::model::revision::{ImageId, RevisionId, TemplateHash};
use crate::model::spec::published;
use crate::model::status::{Plan, ProbePurpose, ProbeTask, Shortage};
use crate::model::time::{Span, Timestamp};
use crate::model::view::PlanStep;

/// More passes than any sensible change takes; a way that does not end is cut here.
const PASSES_MAX: usize = 5000;

/// Something on the way ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A call to the engine.
    Act(Box<Action>),
    /// A check after a rollout, which Evenkeel makes itself: nothing is changed by it.
    Check(PlanStep),
}

impl From<Step> for PlanStep {
    fn from(step: Step) -> Self {
        match step {
            Step::Act(action) => PlanStep::from(&*action),
            Step::Check(check) => check,
        }
    }
}

/// What is ahead.
#[derive(Debug, Default)]
pub struct Ahead {
    /// Every step, in order, if the host has room for each.
    pub steps: Vec<Step>,
    /// Who of them would wait, by what the host has now.
    pub shortages: BTreeMap<Key, Shortage>,
}

/// Every action from here to the end, and every check after a rollout, in order. `first` is the plan for these inputs.
pub fn forecast(desired: &Desired, observed: &Observed, history: &History, now: Timestamp, first: &Plan) -> Ahead {
    // Most often there is nothing to do: then nothing is planned again. Who is ready since when is found anew by each process.
    let checks = gates(&first.probes).next().is_some() || runs(desired, observed).next().is_some();
    if first.actions.is_empty() && first.wake_at.is_none() && !checks && first.history.is_merely_later(history) {
        return Ahead::default();
    }
    let mut world = observed.clone();
    let mut history = history.clone();
    let mut now = now;
    let Ahead { mut steps, mut shortages } = Ahead::default();
    assume_ready(&mut world);
    // What the host will have when each step is due, nobody knows.
    world.headroom = Headroom::default();
    let mut first = true;
    // A CronJob's next time is no change, nor is it one that an image will have been unused for long: only what is due now is
    // shown.
    let later = without_further_times(desired, &history);
    for _ in 0..PASSES_MAX {
        let asked = if std::mem::take(&mut first) { desired } else { &later };
        if observed.headroom != Headroom::default() {
            let as_it_is = Observed { headroom: observed.headroom, ..world.clone() };
            shortages.extend(super::plan(asked, &as_it_is, &history, now).shortages);
        }
        let plan = super::plan(asked, &world, &history, now);
        let moved = plan.history != history;
        history = plan.history;
        steps.extend(gates_due(desired, &world, &history, &plan.probes).into_iter().map(Step::Check));
        let checked = pass_gates(&mut world, &plan.probes);
        if plan.actions.is_empty() {
            match plan.wake_at {
                Some(at) if at > now => now = at,
                _ if moved || checked => {}
                _ if end_runs(desired, &mut world, now) => {}
                _ => break,
            }
            continue;
        }
        now = now + Span::millis(100);
        for action in plan.actions {
            play(&mut world, &action.call, now);
            steps.push(Step::Act(Box::new(action)));
        }
    }
    Ahead { steps, shortages }
}

/// The same without times of CronJobs that are still to come, and without images that are still to be removed.
fn without_further_times<'d>(desired: &'d Desired, history: &History) -> Cow<'d, Desired> {
    if desired.cron_jobs.is_empty() && history.images.is_empty() {
        return Cow::Borrowed(desired);
    }
    let mut desired = desired.clone();
    desired.cron_jobs.values_mut().for_each(|declared| declared.spec.suspend = true);
    desired.settings.images.is_on = false;
    Cow::Owned(desired)
}

/// A replica that has its name was ready when it got it, and an image that is here by its reference is here by its id.
pub fn assume_ready(world: &mut Observed) {
    let images: Vec<Image> = world
        .images
        .values()
        .filter_map(|state| match state {
            ImageState::Present(image) => Some(image.clone()),
            ImageState::Missing => None,
        })
        .collect();
    world.images.extend(images.into_iter().map(|image| (image.id.0.clone(), ImageState::Present(image))));
    for container in world.containers.values_mut() {
        if super::readiness::is_named(container) {
            container.probes = healthy();
        }
    }
}

fn gates(probes: &[ProbeTask]) -> impl Iterator<Item = &ProbeTask> + Clone {
    probes.iter().filter(|task| matches!(task.purpose, ProbePurpose::Gate(_)))
}

/// The checks after a rollout that are due, each once, at however many replicas it is made.
fn gates_due(desired: &Desired, world: &Observed, history: &History, probes: &[ProbeTask]) -> Vec<PlanStep> {
    let mut steps: Vec<PlanStep> = Vec::new();
    for task in gates(probes) {
        let ProbePurpose::Gate(number) = task.purpose else { continue };
        let owner = world.containers.get(&task.container).map(|container| &container.owner);
        let declared = owner.and_then(|owner| Some((owner, desired.deployments.get(owner)?)));
        let Some((owner, declared)) = declared else { continue };
        let Some(gate) = declared.spec.gates.after.get(usize::from(number)) else { continue };
        let place = if gate.by_name { "" } else { " at each new replica" };
        let step = PlanStep {
            object: owner.clone(),
            action: format!("check {}{place}", gate.title()),
            cause: format!("a gate of {} after its rollout", reached(history, owner)),
            downtime: None,
        };
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    steps
}

fn reached(history: &History, deployment: &Key) -> String {
    let known = history.deployments.get(deployment);
    let revision = known.and_then(|known| super::replica::find(known, known.rollout.revision()?));
    revision.map_or_else(|| "it".into(), |revision| format!("revision {}", revision.number))
}

/// Each check after a rollout goes well. False when none was to be made.
fn pass_gates(world: &mut Observed, probes: &[ProbeTask]) -> bool {
    let gates = gates(probes);
    for task in gates.clone() {
        change(world, &task.container, |container| container.probes.set(task.purpose, ProbeResult::Success));
    }
    gates.count() > 0
}

/// The containers of Jobs, and of gates, that run: what comes after them waits for their end.
fn runs<'a>(desired: &'a Desired, world: &'a Observed) -> impl Iterator<Item = &'a ContainerId> {
    let is_awaited = |owner: &Key| match owner.kind {
        Kind::Job => true,
        kind => kind.runs_to_completion() && super::wards::wards(desired, owner).next().is_some(),
    };
    let running = world.containers.values().filter(|c| matches!(c.state, ContainerState::Running { .. }));
    running.filter(move |container| is_awaited(&container.owner)).map(|container| &container.id)
}

/// Each of them ends well. False when there was none.
fn end_runs(desired: &Desired, world: &mut Observed, now: Timestamp) -> bool {
    let ended: Vec<ContainerId> = runs(desired, world).cloned().collect();
    ended.iter().for_each(|id| change(world, id, |container| container.state = exited(0, now)));
    !ended.is_empty()
}

fn healthy() -> Probes {
    let success = || Some(ProbeResult::Success);
    Probes { startup: success(), readiness: success(), liveness: success(), ..Probes::default() }
}

/// What the world looks like after a call that went well.
fn play(world: &mut Observed, call: &Call, now: Timestamp) {
    match call {
        Call::CreateNetwork(network) => {
            world.networks.insert(network.name.clone(), network_of(network));
        }
        Call::RemoveNetwork { name, .. } => {
            world.networks.remove(name);
        }
        Call::CreateVolume(volume) => {
            let created = Volume {
                name: volume.name.clone(),
                labels: volume.labels.clone(),
                driver: volume.driver.clone(),
                options: volume.options.clone(),
            };
            world.volumes.insert(volume.name.clone(), created);
        }
        Call::Pull { image, .. } => {
            let id = ImageId(format!("sha256:{image}"));
            let pulled = Image {
                id: id.clone(),
                tags: Vec::new(),
                digests: Vec::new(),
                has_health_check: false,
                volumes: BTreeSet::new(),
                platform: Platform::default(),
                is_ours: false,
            };
            world.images.insert(id.0, ImageState::Present(pulled.clone()));
            world.images.insert(image.clone(), ImageState::Present(pulled));
            world.pulled.insert(image.clone(), now);
        }
        Call::Build { build, .. } => {
            let id = ImageId(format!("sha256:{}", build.image));
            let built = Image {
                id: id.clone(),
                digests: Vec::new(),
                tags: [build.image.clone()].into(),
                has_health_check: false,
                volumes: BTreeSet::new(),
                platform: Platform::default(),
                is_ours: true,
            };
            world.images.insert(id.0, ImageState::Present(built.clone()));
            world.images.insert(build.image.clone(), ImageState::Present(built));
        }
        Call::RemoveImage { id, references, .. } => {
            let names = references.iter().map(|reference| super::images::tagged(reference)).chain([id.0.clone()]);
            world.images.extend(names.map(|name| (name, ImageState::Missing)));
        }
        Call::CreateContainer(spec) => {
            if let Some(container) = container_of(world, spec, now) {
                world.containers.insert(container.id.clone(), container);
            }
        }
        Call::Connect(connection) | Call::Reconnect(connection) => connect(world, connection),
        Call::Start { container, .. } => change(world, container, |container| start(container, now)),
        Call::Restart(stop) => change(world, &stop.container, |container| start(container, now)),
        Call::Pause { container, .. } => change(world, container, |container| container.state = ContainerState::Paused),
        Call::Unpause { container, .. } => change(world, container, |container| start(container, now)),
        Call::Stop(stop) => change(world, &stop.container, |container| container.state = exited(143, now)),
        Call::Remove { container, .. } => {
            world.containers.remove(container);
        }
        Call::Update { container, adjustable, .. } => {
            change(world, container, |container| container.adjustable = adjustable.clone());
        }
    }
}

fn change(world: &mut Observed, id: &ContainerId, change: impl FnOnce(&mut Container)) {
    if let Some(container) = world.containers.get_mut(id) {
        change(container);
    }
}

/// A Job is over at once, and well; a replica runs and is healthy.
fn start(container: &mut Container, now: Timestamp) {
    if container.owner.kind.runs_to_completion() {
        container.state = exited(0, now);
        return;
    }
    container.state = ContainerState::Running { since: now };
    container.probes = healthy();
    if container.health != Health::None {
        container.health = Health::Healthy;
    }
}

fn exited(code: i64, now: Timestamp) -> ContainerState {
    ContainerState::Exited(Exit { code, out_of_memory: false, started_at: now, finished_at: now })
}

fn connect(world: &mut Observed, connection: &Connection) {
    let network = world.networks.get(&connection.network).map(|network| network.id.clone());
    let endpoint = Endpoint {
        network: network.unwrap_or(NetworkId(connection.network.clone())),
        address: connection.address,
        fixed: connection.address,
        aliases: connection.aliases.clone(),
    };
    change(world, &connection.container, |container| {
        container.networks.insert(connection.network.clone(), endpoint);
    });
}

fn network_of(network: &NetworkCreate) -> Network {
    Network {
        id: NetworkId(format!("new {}", network.name)),
        name: network.name.clone(),
        labels: network.labels.clone(),
        driver: network.driver.clone(),
        subnets: network.subnets.clone(),
    }
}

fn container_of(world: &Observed, spec: &ContainerSpec, now: Timestamp) -> Option<Container> {
    let label = |name: &str| spec.labels.get(name).cloned().unwrap_or_default();
    let name = |text: &str| Name::new(label(text)).ok();
    let owner = Key::new(Kind::from_word(&label(label::KIND))?, name(label::NAMESPACE)?, name(label::NAME)?);
    let image = match world.images.get(&spec.image) {
        Some(ImageState::Present(image)) => Some(image),
        Some(ImageState::Missing) | None => None,
    };
    let checked = match &spec.template.health_check {
        Some(check) => !check.disable,
        None => image.is_some_and(|image| image.has_health_check),
    };
    let first = spec.networks.first().map(|attachment| {
        let network = world.networks.get(&attachment.network).map(|network| network.id.clone());
        let network = network.unwrap_or(NetworkId(attachment.network.clone()));
        let (fixed, aliases) = (attachment.address, attachment.aliases.clone());
        (attachment.network.clone(), Endpoint { network, address: None, fixed, aliases })
    });
    Some(Container {
        id: ContainerId(format!("new {}", spec.name)),
        name: spec.name.clone(),
        owner,
        revision: RevisionId(label(label::REVISION)),
        template: TemplateHash(label(label::TEMPLATE)),
        slot: label(label::SLOT).parse().ok()?,
        image: image.map_or(ImageId(spec.image.clone()), |image| image.id.clone()),
        reference: spec.image.clone(),
        state: ContainerState::Created { error: None },
        dead: false,
        process: None,
        health: if checked { Health::Starting } else { Health::None },
        restart_count: 0,
        ended_at: None,
        created_at: now,
        networks: first.into_iter().collect::<BTreeMap<_, _>>(),
        adjustable: super::build::adjustable_of(spec),
        published: published(&spec.template.ports),
        volumes: spec.written_volumes().map(String::from).collect(),
        probes: Probes::default(),
        last_log: Vec::new(),
    })
}
