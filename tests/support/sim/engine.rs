//! The trait `Engine` over the simulated engine: each method is one call through the funnel (a reconnect is two).

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::Ipv4Addr;

use evenkeel::engine::{
    Context, Credentials, Ended, Engine, EngineError, EngineIdentity, EngineVersion, EventMark, Identity, Listed,
    Logins, Ownership, Provided,
};
use evenkeel::model::action::{Connection, NetworkCreate, VolumeCreate};
use evenkeel::model::build::ImageBuild;
use evenkeel::model::container::{Adjustable, ContainerSpec};
use evenkeel::model::image::Built;
use evenkeel::model::name::Instance;
use evenkeel::model::observed as seen;
use evenkeel::model::observed::{ContainerId, ContainerState, Fault, ForeignPort, ImageState, NetworkId, StartError};
use evenkeel::model::platform::Platform;
use evenkeel::model::revision::ImageId;
use evenkeel::model::secret::{Login, SecretBytes};
use evenkeel::model::spec::{Protocol, published};
use evenkeel::model::time::{Span, Timestamp};
use evenkeel::policy::Approved;
use tokio::time::{Duration, sleep};

use super::Sim;
use super::app::{Millis, PLATFORM};
use super::build::Script;
use super::calls::Call;
use super::container::{Container, Endpoint, Health, State};
use super::world::{Power, Refusal, World, refuse};

/// Lines of progress that a pull reports.
const PULL_STEPS: u64 = 4;
/// How long a pull may show no progress, as in the real client.
const NO_PROGRESS: Duration = Duration::from_secs(120);

/// How long a builder may take until it says that it begins, as in the real client.
const NO_WORD: Duration = Duration::from_secs(180);

impl Engine for Sim {
    async fn identify(&self) -> Result<EngineIdentity, EngineError> {
        let version = EngineVersion { version: "26.1.5".into(), api: "1.45".into(), platform: Platform::of(PLATFORM) };
        // Without an id: it is shared with nobody outside this process.
        let identity = EngineIdentity { id: String::new(), version };
        self.call(Call::look("identify", "", 5), async move { Ok(identity) }).await
    }

    fn headroom(&self) -> seen::Headroom {
        self.with(|world| world.headroom)
    }

    async fn logins(&self, _image: &str, handed_over: &[Credentials]) -> Logins {
        let login = |found: &Credentials| Login::Password {
            username: found.username.clone(),
            password: found.password.clone(),
        };
        Logins { logins: handed_over.iter().map(login).collect(), trouble: None }
    }

    async fn list(&self) -> Result<Vec<Listed>, EngineError> {
        let (sim, instance) = (self.clone(), self.instance.clone());
        let effect = async move { Ok(sim.with(|world| listed(world, &instance))) };
        let fresh = self.call(Call::look("list", "", 2), effect).await?;
        Ok(self.calls().answer_list("list", fresh))
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<seen::Container>, EngineError> {
        let (sim, instance, id) = (self.clone(), self.instance.clone(), id.clone());
        let call = Call::look("inspect", self.name_of(&id), 1);
        self.call(call, async move { Ok(sim.with(|world| world.observe(&id, &instance))) }).await
    }

    async fn outline(&self, id: &ContainerId) -> Result<Option<seen::Container>, EngineError> {
        let (sim, instance, id) = (self.clone(), self.instance.clone(), id.clone());
        let call = Call::look("list one", self.name_of(&id), 1);
        self.call(call, async move { Ok(sim.with(|world| world.outline(&id, &instance))) }).await
    }

    async fn networks(&self) -> Result<Vec<seen::Network>, EngineError> {
        let sim = self.clone();
        let effect = async move { Ok(sim.with(|world| world.observed_networks())) };
        let fresh = self.call(Call::look("networks", "", 1), effect).await?;
        Ok(self.calls().answer_list("networks", fresh))
    }

    async fn volumes(&self) -> Result<Vec<seen::Volume>, EngineError> {
        let sim = self.clone();
        let effect = async move { Ok(sim.with(|world| world.observed_volumes())) };
        let fresh = self.call(Call::look("volumes", "", 1), effect).await?;
        Ok(self.calls().answer_list("volumes", fresh))
    }

    async fn image(&self, reference: &str) -> Result<ImageState, EngineError> {
        let (sim, name) = (self.clone(), reference.to_string());
        let effect = async move { Ok(sim.with(|world| world.observed_image(&name))) };
        self.call(Call::look("image", reference, 1), effect).await
    }

    async fn last_log(
        &self,
        id: &ContainerId,
        lines: u32,
        until: Option<Timestamp>,
    ) -> Result<Vec<String>, EngineError> {
        let (sim, id) = (self.clone(), id.clone());
        let call = Call::look("log", self.name_of(&id), 2);
        let effect = async move {
            sim.with(|world| {
                let meant = |at: Millis| until.is_none_or(|until| World::timestamp(at) <= until);
                let log = world.get(&id)?.log.iter().filter(|(at, _)| meant(*at)).map(|(_, line)| line);
                let log: Vec<&String> = log.collect();
                let last = &log[log.len().saturating_sub(lines as usize)..];
                Ok(last.iter().copied().chain(&world.gossip).cloned().collect())
            })
        };
        self.call(call, effect).await
    }

    async fn pull(
        &self,
        image: &str,
        platform: Option<&str>,
        credentials: &[Credentials],
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Option<ImageId>, EngineError> {
        let time = self.with(|world| world.pull_time(image));
        let (sim, reference, platform) = (self.clone(), image.to_string(), platform.map(str::to_owned));
        let passwords = passwords(credentials);
        let effect = async move { sim.with(|world| world.pull(&reference, platform.as_deref(), &passwords)) };
        let pull = self.call(Call::change("pull", image, time), effect);
        let steps = async {
            for step in 1..PULL_STEPS {
                sleep(Duration::from_millis(time / PULL_STEPS)).await;
                progress(self.with(|world| world.say(&format!("{step} of {PULL_STEPS} layers"))));
            }
            sleep(Duration::from_millis(time / PULL_STEPS) + NO_PROGRESS).await;
        };
        tokio::select! {
            biased;
            outcome = pull => outcome,
            () = steps => Err(EngineError {
                attempted: format!("pull {image}"),
                message: format!("no answer within {} s", NO_PROGRESS.as_secs()),
                fault: Fault::Timeout,
            }),
        }
    }

    async fn build(
        &self,
        build: Approved<'_, ImageBuild>,
        mut context: Context,
        credentials: &[Credentials],
        output: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Built, EngineError> {
        let mut archive = Vec::new();
        while let Some(piece) = context.next().await {
            // The connection breaks off.
            let broken = |error: std::io::Error| EngineError {
                attempted: format!("build {}", build.image),
                message: error.to_string(),
                fault: Fault::Unavailable,
            };
            archive.extend(piece.map_err(broken)?);
        }
        let script = Script::of(&build, &archive);
        let said = script.as_ref().map(Script::output).unwrap_or_default();
        let base = script.as_ref().map_or(0, |script| self.with(|world| world.base_time(script)));
        let time = base + said.iter().map(|(_, time)| time).sum::<u64>();
        let (sim, passwords) = (self.clone(), passwords(credentials));
        let effect = async move {
            let script = script?;
            sim.with(|world| world.run_build(&script, &passwords))
        };
        let call = self.call(Call::change("build", &build.image, time), effect);
        let words = async {
            sleep(Duration::from_millis(base)).await;
            for (words, time) in said {
                output(self.with(|world| world.say(&words)));
                sleep(Duration::from_millis(time)).await;
            }
            sleep(NO_WORD).await;
        };
        tokio::select! {
            biased;
            outcome = call => outcome,
            () = words => Err(EngineError {
                attempted: format!("build {}", build.image),
                message: format!("no answer within {} s", NO_WORD.as_secs()),
                fault: Fault::Timeout,
            }),
        }
    }

    async fn create_network(&self, network: Approved<'_, NetworkCreate>) -> Result<(), EngineError> {
        let (sim, wanted) = (self.clone(), NetworkCreate::clone(&network));
        let call = Call::change("create network", &network.name, 30).with(format!("({})", network.subnets.join(", ")));
        let effect = async move {
            sim.with(|world| match world.network(&wanted.name) {
                Some(there) if there.labels == wanted.labels => Ok(()),
                Some(_) | None => world.create_network(&wanted).map(drop),
            })
        };
        self.call(call, effect).await
    }

    async fn remove_image(
        &self,
        id: &ImageId,
        references: &BTreeSet<String>,
        steps: &BTreeSet<ImageId>,
    ) -> Result<u64, EngineError> {
        let name = references.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let (sim, id, references, steps) = (self.clone(), id.clone(), references.clone(), steps.clone());
        let effect = async move { sim.with(|world| world.remove_brought(&id, &references, &steps)) };
        self.call(Call::change("remove image", name, 20), effect).await.map(|()| 0)
    }

    async fn remove_network(&self, id: &NetworkId) -> Result<(), EngineError> {
        let (sim, id) = (self.clone(), id.clone());
        let name = self.with(|world| world.networks.get(&id).map_or("?".into(), |network| network.name.clone()));
        let effect = async move { gone_is_fine(sim.with(|world| world.remove_network(&id))) };
        self.call(Call::change("remove network", name, 30), effect).await
    }

    async fn create_volume(&self, volume: Approved<'_, VolumeCreate>) -> Result<(), EngineError> {
        let (sim, wanted) = (self.clone(), VolumeCreate::clone(&volume));
        let call = Call::change("create volume", &volume.name, 3);
        self.call(call, async move {
            sim.with(|world| world.create_volume(&wanted));
            Ok(())
        })
        .await
    }

    async fn create(&self, spec: Approved<'_, ContainerSpec>, provided: &Provided) -> Result<(), EngineError> {
        let (sim, wanted) = (self.clone(), ContainerSpec::clone(&spec));
        let provided = Provided { env: provided.env.clone(), files: provided.files.clone() };
        let effect = async move {
            sim.with(|world| match world.create(&wanted, &provided) {
                Err(Refusal { status: 409, .. }) if has_the_name(world, &wanted) => Ok(()),
                other => other.map(drop),
            })
        };
        self.call(Call::change("create", &spec.name, 6), effect).await
    }

    async fn connect(&self, connection: &Connection) -> Result<(), EngineError> {
        let (sim, wanted) = (self.clone(), connection.clone());
        let call = Call::change("connect", &connection.name, 40).with(on_network(connection));
        let effect = async move { sim.with(|world| connect(world, &wanted, wanted.address)) };
        self.call(call, effect).await
    }

    async fn reconnect(&self, connection: &Connection) -> Result<(), EngineError> {
        let (sim, wanted) = (self.clone(), connection.clone());
        let call = Call::change("disconnect", &connection.name, 45).with(format!("from {}", connection.network));
        let effect = async move {
            sim.with(|world| match world.disconnect(&wanted.container, &wanted.network) {
                Ok(endpoint) => Ok(Some(endpoint)),
                Err(Refusal { status: 500, .. }) => Ok(None),
                Err(refusal) => Err(refusal),
            })
        };
        let left: Option<Endpoint> = self.call(call, effect).await?;
        let (sim, wanted) = (self.clone(), connection.clone());
        let call = Call::change("connect", &connection.name, 40).with(on_network(connection));
        let effect = async move {
            sim.with(|world| {
                let address = wanted.address.or(left.and_then(|endpoint| endpoint.address));
                // Another address is better than none.
                connect(world, &wanted, address).or_else(|refusal| match address {
                    Some(_) => connect(world, &wanted, None),
                    None => Err(refusal),
                })
            })
        };
        self.call(call, effect).await
    }

    async fn start(&self, id: &ContainerId) -> Result<(), EngineError> {
        let (sim, id) = (self.clone(), id.clone());
        let call = Call::change("start", self.name_of(&id), 160);
        self.call(call, async move { sim.with(|world| world.start(&id)) }).await
    }

    async fn exec(&self, id: &ContainerId, command: &[String], _limit: Span) -> Result<(), EngineError> {
        let (sim, id) = (self.clone(), id.clone());
        let call = Call::change("exec in", self.name_of(&id), 40).with(command.join(" "));
        self.call(call, async move { sim.with(|world| world.get(&id).map(drop)) }).await
    }

    async fn probe(&self, id: &ContainerId, command: &[String], limit: Span) -> Result<Option<Ended>, EngineError> {
        // An engine runs nothing in a container that it has paused, and says so at once.
        if self.with(|world| matches!(world.get(id).map(|c| &c.state), Ok(State::Paused { .. }))) {
            return Ok(None);
        }
        let (hangs, serves) = self.with(|world| {
            let container = world.containers.get(id).filter(|container| container.is_alive());
            let hangs = container.is_some_and(|container| container.hangs(world.now));
            (hangs, container.is_some_and(|container| container.serves(world.now)))
        });
        if hangs {
            sleep(limit.std()).await;
            return Ok(None);
        }
        let words = format!("{} says no", command.join(" "));
        Ok(Some(Ended { code: i64::from(!serves), words: if serves { String::new() } else { words } }))
    }

    async fn stop(&self, id: &ContainerId, grace: Span) -> Result<(), EngineError> {
        let call = Call::change("stop", self.name_of(id), 1).with(format!("(grace {grace})"));
        self.call(call, self.stopping(id, grace)).await
    }

    async fn restart(&self, id: &ContainerId, grace: Span) -> Result<(), EngineError> {
        let (sim, stopping, id) = (self.clone(), self.stopping(id, grace), id.clone());
        let call = Call::change("restart", self.name_of(&id), 1).with(format!("(grace {grace})"));
        let effect = async move {
            stopping.await?;
            sleep(Duration::from_millis(160)).await;
            sim.with(|world| world.start(&id))
        };
        self.call(call, effect).await
    }

    async fn pause(&self, id: &ContainerId) -> Result<(), EngineError> {
        let (sim, id) = (self.clone(), id.clone());
        let call = Call::change("pause", self.name_of(&id), 10);
        let effect = async move {
            match sim.with(|world| world.pause(&id)) {
                Err(refusal) if refusal.message.contains("is already paused") => Ok(()),
                other => other,
            }
        };
        self.call(call, effect).await
    }

    async fn unpause(&self, id: &ContainerId) -> Result<(), EngineError> {
        let (sim, id) = (self.clone(), id.clone());
        let call = Call::change("unpause", self.name_of(&id), 10);
        let effect = async move {
            match sim.with(|world| world.unpause(&id)) {
                Err(refusal) if refusal.message.contains("is not paused") => Ok(()),
                other => other,
            }
        };
        self.call(call, effect).await
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), EngineError> {
        let (sim, id) = (self.clone(), id.clone());
        let call = Call::change("remove", self.name_of(&id), 1);
        let effect = async move {
            gone_is_fine(sim.with(|world| world.begin_remove(&id)))?;
            sleep(Duration::from_millis(4)).await;
            sim.with(|world| world.removed(&id));
            Ok(())
        };
        self.call(call, effect).await
    }

    async fn update(&self, id: &ContainerId, adjustable: &Adjustable) -> Result<(), EngineError> {
        let (sim, id, wanted) = (self.clone(), id.clone(), adjustable.clone());
        let call = Call::change("update", self.name_of(&id), 5);
        self.call(call, async move { sim.with(|world| update(world, &id, &wanted)) }).await
    }

    async fn changed(&self, since: Option<EventMark>) -> Result<EventMark, EngineError> {
        if self.life.is_over() {
            return std::future::pending().await;
        }
        let from = since.map_or_else(|| self.timestamp().0 * 1_000_000 - 1, |mark| mark.nanos);
        let news = self.until(|world| match world.power {
            Power::Up => world.news(from).map(Ok),
            Power::Down { .. } => Some(Err(())),
        });
        news.await.map_err(|()| EngineError {
            attempted: "read events".into(),
            message: "error reading a body from connection".into(),
            fault: Fault::Unavailable,
        })
    }
}

impl Sim {
    /// The name of a container, for the record.
    fn name_of(&self, id: &ContainerId) -> String {
        self.with(|world| world.containers.get(id).map_or_else(|| id.0[..12].to_string(), |c| c.name.clone()))
    }

    /// Sends the signal, and waits until the container has no process.
    fn stopping(&self, id: &ContainerId, grace: Span) -> impl Future<Output = Result<(), Refusal>> + Send + 'static {
        let (sim, id) = (self.clone(), id.clone());
        async move {
            gone_is_fine(sim.with(|world| world.begin_stop(&id, grace.0)))?;
            sim.until(|world| match (world.power, world.containers.get(&id)) {
                (Power::Up, Some(container)) if container.is_alive() => None,
                (Power::Up, _) => Some(()),
                (Power::Down { .. }, _) => Some(()),
            })
            .await;
            sim.must_be_up()
        }
    }
}

/// 404 is what was wanted, and so is a removal that is under way.
fn gone_is_fine(outcome: Result<(), Refusal>) -> Result<(), Refusal> {
    match outcome {
        Err(Refusal { status: 404, .. }) => Ok(()),
        Err(Refusal { status: 409, message, .. }) if message.contains("already in progress") => Ok(()),
        other => other,
    }
}

/// Whether the container that has the name carries the same labels.
fn has_the_name(world: &World, wanted: &ContainerSpec) -> bool {
    let holder = world.by_name(&wanted.name);
    holder.is_some_and(|holder| wanted.labels.iter().all(|(key, value)| holder.labels.get(key) == Some(value)))
}

/// Attached already is a success.
fn connect(world: &mut World, wanted: &Connection, address: Option<Ipv4Addr>) -> Result<(), Refusal> {
    match world.connect(&wanted.container, &wanted.network, &wanted.aliases, address) {
        Err(refusal) if refusal.message.contains("already exists in network") => Ok(()),
        other => other,
    }
}

/// The engine says yes to a limit that shall go away, and keeps it: seen by looking again.
fn update(world: &mut World, id: &ContainerId, wanted: &Adjustable) -> Result<(), Refusal> {
    world.update(id, wanted)?;
    match &world.get(id)?.adjustable == wanted {
        true => Ok(()),
        false => refuse(200, Fault::Unavailable, "the engine kept other limits"),
    }
}

fn on_network(connection: &Connection) -> String {
    let names: Vec<&str> = connection.aliases.iter().map(String::as_str).collect();
    match names.is_empty() {
        true => format!("to {} without a name", connection.network),
        false => format!("to {} as {}", connection.network, names.join(", ")),
    }
}

fn listed(world: &World, instance: &Instance) -> Vec<Listed> {
    let lines = world.containers.values().map(|container| Listed {
        id: container.id.clone(),
        name: container.name.clone(),
        whose: Ownership { instance: instance.clone() }.whose(&container.name, &container.labels),
        image: container.image.clone(),
        fingerprint: container.fingerprint(),
        host_ports: host_ports(container),
    });
    lines.collect()
}

/// The host ports that a container has while it runs.
fn host_ports(container: &Container) -> Vec<ForeignPort> {
    let held = container.holds.iter().map(|(address, port)| ForeignPort {
        container: container.name.clone(),
        address: *address,
        port: *port,
        protocol: Protocol::Tcp,
    });
    held.collect()
}

/// What a container was made for, if it belongs to an instance.
pub fn owned(container: &Container, instance: &Instance) -> Option<Identity> {
    Ownership { instance: instance.clone() }.identity(&container.name, &container.labels)
}

/// The volumes that a container of ours can write to.
fn written_volumes(container: &Container) -> BTreeSet<String> {
    let named = container.spec.iter().flat_map(|spec| spec.written_volumes()).map(String::from);
    named.chain(container.anonymous_volumes.iter().cloned()).collect()
}

impl World {
    /// What a list says of a container of this instance.
    fn outline(&self, id: &ContainerId, instance: &Instance) -> Option<seen::Container> {
        let mut outline = self.observe(id, instance)?;
        outline.state = match outline.state {
            ContainerState::Running { .. } => ContainerState::Running { since: outline.created_at },
            ContainerState::Restarting { .. } => ContainerState::Restarting { exit_code: 0, out_of_memory: false },
            ContainerState::Paused | ContainerState::Created { .. } | ContainerState::Exited(_) => {
                ContainerState::Paused
            }
            ContainerState::Removing => ContainerState::Removing,
        };
        outline.networks.values_mut().for_each(|endpoint| {
            endpoint.aliases.clear();
            endpoint.fixed = None;
        });
        outline.adjustable = Adjustable::default();
        outline.published.clear();
        (outline.process, outline.ended_at) = (None, None);
        (outline.health, outline.restart_count) = (seen::Health::None, 0);
        Some(outline)
    }

    /// What an inspect says of a container of this instance.
    pub fn observe(&self, id: &ContainerId, instance: &Instance) -> Option<seen::Container> {
        let container = self.containers.get(id)?;
        let Identity { owner, revision, template, slot } = owned(container, instance)?;
        Some(seen::Container {
            id: container.id.clone(),
            name: container.name.clone(),
            owner,
            revision,
            template,
            slot,
            image: container.image.clone(),
            reference: container.reference.clone(),
            state: self.state(&container.state),
            dead: container.dead,
            process: self.process(container),
            health: self.health(&container.health),
            restart_count: container.restart_count,
            ended_at: container.ended_at.map(World::timestamp),
            created_at: World::timestamp(container.created_at),
            networks: container.endpoints.iter().map(|(name, e)| (name.clone(), endpoint(e))).collect(),
            adjustable: container.adjustable.clone(),
            published: container.spec.as_ref().map(|spec| published(&spec.template.ports)).unwrap_or_default(),
            volumes: written_volumes(container),
            probes: seen::Probes::default(),
            last_log: Vec::new(),
        })
    }

    /// Each run is another process.
    fn process(&self, container: &Container) -> Option<u32> {
        container.is_alive().then_some(container.runs)
    }

    fn state(&self, state: &State) -> ContainerState {
        match state {
            State::Created { error } => {
                let error = error.as_ref().map(|e| StartError { message: self.say(&e.message), ..e.clone() });
                ContainerState::Created { error }
            }
            State::Running { since } => ContainerState::Running { since: World::timestamp(*since) },
            State::Paused { .. } => ContainerState::Paused,
            State::Restarting { exit_code } => {
                ContainerState::Restarting { exit_code: *exit_code, out_of_memory: false }
            }
            State::Exited(exit) => ContainerState::Exited(exit.clone()),
            State::Removing => ContainerState::Removing,
        }
    }

    fn health(&self, health: &Health) -> seen::Health {
        match health {
            Health::None => seen::Health::None,
            Health::Starting { .. } => seen::Health::Starting,
            Health::Healthy { .. } => seen::Health::Healthy,
            Health::Unhealthy => seen::Health::Unhealthy { message: self.say("health check failed") },
        }
    }

    /// All networks as the house sees them.
    pub fn observed_networks(&self) -> Vec<seen::Network> {
        let networks = self.networks.values().map(|network| seen::Network {
            id: network.id.clone(),
            name: network.name.clone(),
            labels: network.labels.clone(),
            driver: network.driver.clone(),
            subnets: network.subnets.clone(),
        });
        networks.collect()
    }

    /// All volumes as the house sees them.
    pub fn observed_volumes(&self) -> Vec<seen::Volume> {
        let volumes = self.volumes.values().map(|volume| seen::Volume {
            name: volume.name.clone(),
            labels: volume.labels.clone(),
            driver: volume.driver.clone(),
            options: volume.options.clone(),
        });
        volumes.collect()
    }

    /// What there is under an image's reference, digest or id.
    pub fn observed_image(&self, name: &str) -> ImageState {
        match self.image(name) {
            None => ImageState::Missing,
            Some(image) => ImageState::Present(seen::Image {
                id: image.id.clone(),
                tags: self.tags.iter().filter(|(_, id)| **id == image.id).map(|(tag, _)| tag.clone()).collect(),
                digests: image.digests.clone(),
                has_health_check: image.app.health_check.is_some(),
                volumes: image.app.volumes.clone(),
                platform: Platform::of(image.app.platform()),
                is_ours: image.is_built,
            }),
        }
    }

    /// Events after `from`, as one mark.
    fn news(&self, from: i64) -> Option<EventMark> {
        let news: Vec<_> = self.events.iter().filter(|event| event.nanos > from).collect();
        let nanos = news.last()?.nanos;
        let touched: BTreeSet<ContainerId> = news.iter().filter_map(|event| event.container.clone()).collect();
        let beyond_containers = news.iter().any(|event| event.container.is_none());
        Some(EventMark { nanos, beyond_containers, touched: touched.into_iter().collect() })
    }
}

/// What is tried with a registry.
fn passwords(credentials: &[Credentials]) -> Vec<SecretBytes> {
    credentials.iter().map(|found| found.password.clone()).collect()
}

fn endpoint(endpoint: &Endpoint) -> seen::Endpoint {
    let address = endpoint.told_address();
    let Endpoint { network, fixed, aliases, .. } = endpoint.clone();
    seen::Endpoint { network, address, fixed, aliases }
}

/// Networks by name, for whoever builds a whole snapshot from a world.
pub fn by_name<T>(items: Vec<T>, name: impl Fn(&T) -> String) -> BTreeMap<String, T> {
    items.into_iter().map(|item| (name(&item), item)).collect()
}
