//! A world for the pure plan: the simulated engine without time of its own, and passes made by hand. It decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel::engine::Provided;
use evenkeel::model::action::{Action, Call};
use evenkeel::model::desired::{Declared, Desired};
use evenkeel::model::history::History;
use evenkeel::model::name::{DEFAULT_INSTANCE, Key, Kind, Name};
use evenkeel::model::observed::{Container, ContainerId, ContainerState, Observed, ProbeResult, Probes};
use evenkeel::model::spec::{DeploymentSpec, JobSpec, NamespaceSpec, NetworkSpec};
use evenkeel::model::status::{Plan, ProbePurpose, ProbeTask, Status};
use evenkeel::plan;

use super::sim::app::{App, Millis};
use super::sim::world::{Refusal, World};

/// A world between two passes.
pub struct Passes {
    pub world: World,
    pub desired: Desired,
    pub history: History,
    /// What the last plan wanted probed: only that has results.
    probes: Vec<ProbeTask>,
}

/// How long the actions of one pass take together.
const PASS: Millis = 100;

impl Passes {
    /// An empty engine, nothing desired; the images `app:1` to `app:9` are in the registry.
    pub fn new() -> Self {
        let mut world = World::default();
        for tag in 1..=9 {
            world.push(&format!("app:{tag}"), App { pull: 0, ..App::default() });
        }
        let mut desired = Desired::default();
        let shop = name("shop");
        desired.namespaces.insert(shop.clone(), NamespaceSpec::default());
        let network = Key::new(Kind::Network, shop, name("default"));
        desired.networks.insert(network, Declared::bare(NetworkSpec::default()));
        Self { world, desired, history: History::default(), probes: Vec::new() }
    }

    /// Declares a Deployment, or changes it.
    pub fn declare(&mut self, deployment: &str, spec: DeploymentSpec) {
        self.desired.deployments.insert(key(deployment), Declared::bare(spec));
    }

    /// Declares a Job, or changes it.
    pub fn declare_job(&mut self, job: &str, spec: JobSpec) {
        self.desired.jobs.insert(Key::new(Kind::Job, name("shop"), name(job)), Declared::bare(spec));
    }

    /// What is, probes included: those that the last plan wanted say what the programs would answer.
    pub fn observed(&self) -> Observed {
        observed(&self.world, &self.desired, &self.history, &self.probes)
    }

    /// Makes a pass, and remembers its history. The actions are for the caller to carry out.
    pub fn plan(&mut self) -> Plan {
        let plan = self.decide();
        self.history = plan.history.clone();
        self.probes.clone_from(&plan.probes);
        plan
    }

    /// What a pass would decide.
    pub fn decide(&self) -> Plan {
        plan::plan(&self.desired, &self.observed(), &self.history, World::timestamp(self.world.now))
    }

    /// Carries out an action, as the engine would, with whatever error.
    pub fn act(&mut self, action: &Action) {
        // An error is nothing to a plan: it looks at what is.
        let _ = perform(&mut self.world, &action.call);
    }

    /// Lets time pass: a moment after actions, else until the plan wants to look again.
    pub fn pass_time(&mut self, plan: &Plan) {
        let now = self.world.now;
        let wanted = plan.wake_at.map(|at| at.since(World::timestamp(now)).0).unwrap_or(1_000);
        let step = if plan.actions.is_empty() { wanted.clamp(PASS, 30_000) } else { PASS };
        self.world.advance(now + step);
    }

    /// Makes passes until there is nothing to do and nothing to wait for; fails after too many.
    pub fn converge(&mut self) {
        for _ in 0..2_000 {
            let plan = self.plan();
            plan.actions.iter().for_each(|action| self.act(action));
            if self.is_at_rest(&plan) {
                return;
            }
            self.pass_time(&plan);
        }
        let plan = self.decide();
        panic!("no rest: {:#?}\n{:#?}", plan.actions, plan.status);
    }

    /// Whether a plan says that all is as it should be.
    pub fn is_at_rest(&self, plan: &Plan) -> bool {
        let settled =
            |status: &Status| ["Complete", "Ready"].contains(&status.phase.as_str()) && status.waiting.is_empty();
        plan.actions.is_empty() && plan.status.values().all(settled)
    }

    /// The containers of a Deployment that answer now.
    pub fn ready(&self, deployment: &str) -> usize {
        let prefix = format!("shop.{deployment}.");
        let ours = self.world.containers.values().filter(|c| c.name.starts_with(&prefix));
        ours.filter(|container| container.serves(self.world.now)).count()
    }

    /// Whether a container has a name and answers now.
    pub fn is_reachable(&self, container: &super::sim::container::Container) -> bool {
        container.serves(self.world.now) && container.endpoints.values().any(|endpoint| !endpoint.aliases.is_empty())
    }

    /// The containers of a Deployment that its name leads to and that answer now.
    pub fn reachable(&self, deployment: &str) -> usize {
        let prefix = format!("shop.{deployment}.");
        let ours = self.world.containers.values().filter(|c| c.name.starts_with(&prefix));
        ours.filter(|container| self.is_reachable(container)).count()
    }

    /// The containers of a Deployment that have a process.
    pub fn running(&self, deployment: &str) -> usize {
        let prefix = format!("shop.{deployment}.");
        self.world.containers.values().filter(|c| c.name.starts_with(&prefix) && c.is_alive()).count()
    }
}

/// What is in `world`, with the results of `probes`.
pub fn observed(world: &World, desired: &Desired, history: &History, probes: &[ProbeTask]) -> Observed {
    let instance = name(DEFAULT_INSTANCE);
    let ours = world.containers.keys().filter_map(|id| world.observe(id, &instance));
    let containers: BTreeMap<ContainerId, Container> =
        ours.map(|container| (container.id.clone(), probed(world, probes, container))).collect();
    let foreign = world.containers.values().filter(|c| !containers.contains_key(&c.id));
    let foreign_names: BTreeSet<String> = foreign.map(|c| c.name.clone()).collect();
    let images = plan::images_of_interest(desired, history).into_iter();
    let images = images.map(|image| (image.clone(), world.observed_image(&image))).collect();
    let networks = world.observed_networks().into_iter().map(|n| (n.name.clone(), n)).collect();
    let volumes = world.observed_volumes().into_iter().map(|v| (v.name.clone(), v)).collect();
    Observed { containers, foreign_names, networks, volumes, images, ..Observed::default() }
}

fn probed(world: &World, probes: &[ProbeTask], container: Container) -> Container {
    let ContainerState::Running { since } = container.state else { return container };
    let result = |purpose| {
        let wanted =
            |task: &&ProbeTask| task.container == container.id && task.started_at == since && task.purpose == purpose;
        probes.iter().find(wanted).map(|_| match world.containers[&container.id].serves(world.now) {
            true => ProbeResult::Success,
            false => ProbeResult::Failure { message: "connection refused".into() },
        })
    };
    let mut probes = Probes {
        startup: result(ProbePurpose::Startup),
        readiness: result(ProbePurpose::Readiness),
        liveness: result(ProbePurpose::Liveness),
        ..Probes::default()
    };
    for number in 0..4 {
        if let Some(result) = result(ProbePurpose::Gate(number)) {
            probes.set(ProbePurpose::Gate(number), result);
        }
    }
    Container { probes, ..container }
}

/// Carries out a call, as the engine would, in no time.
pub fn perform(world: &mut World, call: &Call) -> Result<(), Refusal> {
    match call {
        Call::CreateNetwork(network) => world.create_network(network).map(drop),
        Call::RemoveNetwork { id, .. } => world.remove_network(id),
        Call::CreateVolume(volume) => {
            world.create_volume(volume);
            Ok(())
        }
        Call::Pull { image, platform, .. } => world.pull(image, platform.as_deref(), &[]).map(drop),
        Call::Build { build, .. } => {
            world.build(&build.image, App::default());
            Ok(())
        }
        Call::RemoveImage { id, references, steps } => world.remove_brought(id, references, steps),
        Call::CreateContainer(spec) => world.create(spec, &Provided::default()).map(drop),
        Call::Connect(c) => world.connect(&c.container, &c.network, &c.aliases, c.address),
        Call::Reconnect(c) => {
            // One that is not on the network is connected all the same.
            let _ = world.disconnect(&c.container, &c.network);
            world.connect(&c.container, &c.network, &c.aliases, c.address)
        }
        Call::Start { container, .. } => world.start(container),
        Call::Stop(stop) => world.kill(&stop.container),
        Call::Restart(stop) => {
            // One that does not run is started all the same.
            let _ = world.kill(&stop.container);
            world.start(&stop.container)
        }
        Call::Pause { container, .. } => world.pause(container),
        Call::Unpause { container, .. } => world.unpause(container),
        Call::Remove { container, .. } => {
            world.begin_remove(container)?;
            world.removed(container);
            Ok(())
        }
        Call::Update { container, adjustable, .. } => world.update(container, adjustable),
    }
}

/// The key of a Deployment in the namespace `shop`.
pub fn key(deployment: &str) -> Key {
    Key::new(Kind::Deployment, name("shop"), name(deployment))
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a test's name is well-formed")
}
