//! Creating and changing containers and volumes in the simulated engine, with what a real one merges, ignores and refuses.

use std::collections::BTreeMap;
use std::path::Path;

use evenkeel::engine::Provided;
use evenkeel::model::action::VolumeCreate;
use evenkeel::model::container::{Adjustable, ContainerSpec, MountSource};
use evenkeel::model::observed::{ContainerId, Fault};
use evenkeel::model::spec::{HealthCheck as HealthCheckSpec, Port};

use super::app::HealthCheck;
use super::container::{Container, Health, Publish, State};
use super::image::{Image, unfit};
use super::world::{Refusal, Volume, World, refuse};
use evenkeel::model::container::label;

/// The least memory that the engine accepts as a limit.
const LEAST_MEMORY: u64 = 6 << 20;

impl World {
    /// Creates a container, attached to the first of its networks.
    pub fn create(&mut self, spec: &ContainerSpec, provided: &Provided) -> Result<ContainerId, Refusal> {
        // In this order: what is wrong with the request, the image, the name.
        let limits = &spec.template.resources.limits;
        if limits.memory.is_some_and(|memory| memory.0 < LEAST_MEMORY) {
            return refuse(400, Fault::Invalid, "Minimum memory limit allowed is 6MB");
        }
        self.check_mounts(spec, provided)?;
        let Some(image) = self.image(&spec.image).cloned() else {
            return refuse(404, Fault::ImageMissing, format!("No such image: {}", spec.image));
        };
        if let Some(wanted) = spec.template.platform.as_deref().filter(|wanted| *wanted != image.app.platform()) {
            return refuse(404, Fault::Invalid, unfit(wanted, image.app.platform()));
        }
        if let Some(holder) = self.by_name(&spec.name) {
            let (name, id) = (&spec.name, &holder.id);
            let words = format!("Conflict. The container name \"/{name}\" is already in use by container \"{id}\"");
            return refuse(409, Fault::Conflict, words);
        }
        let volumes = self.volumes_of(spec);
        let anonymous_volumes = self.anonymous_volumes_of(spec, &image);
        let mut container = self.blank(&spec.name, &image, spec.image.clone());
        container.labels.extend(spec.labels.clone());
        container.app = image.app.of_a(spec.labels.get(label::KIND).map(String::as_str));
        container.volumes = volumes;
        container.anonymous_volumes = anonymous_volumes;
        container.adjustable = Adjustable {
            limits: spec.template.resources.limits.clone(),
            requests: spec.template.resources.requests.clone(),
            restart_policy: spec.restart_policy,
        };
        container.health_check = health_check(spec.template.health_check.as_ref(), &image);
        container.host_network = spec.template.host_network;
        container.listens = spec.template.ports.iter().map(|port| port.port).collect();
        if !container.host_network {
            container.publishes = spec.template.ports.iter().filter_map(publish).collect();
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        container.env = provided.env.iter().map(|(name, value)| (name.clone(), text(value.expose()))).collect();
        container.spec = Some(spec.clone());
        let id = container.id.clone();
        self.containers.insert(id.clone(), container);
        self.tell("create", Some(&id));
        if let Some(first) = spec.networks.first() {
            self.note_network(&id, &first.network, &first.aliases, first.address);
        }
        Ok(id)
    }

    /// A container with nothing but a name and an image.
    pub(super) fn blank(&mut self, name: &str, image: &Image, reference: String) -> Container {
        Container {
            id: ContainerId(self.next_id()),
            name: name.to_string(),
            labels: image.app.labels.clone(),
            image: image.id.clone(),
            reference,
            created_at: self.now,
            state: State::Created { error: None },
            health: Health::None,
            runs: 0,
            restart_count: 0,
            revivals: 0,
            backoff: 0,
            stopped_by_call: false,
            stops: 0,
            ran_at_shutdown: false,
            endpoints: BTreeMap::new(),
            adjustable: Adjustable {
                limits: Default::default(),
                requests: Default::default(),
                restart_policy: Default::default(),
            },
            app: image.app.clone(),
            health_check: image.app.health_check.clone(),
            host_network: false,
            listens: Vec::new(),
            publishes: Vec::new(),
            holds: Vec::new(),
            env: BTreeMap::new(),
            volumes: Vec::new(),
            anonymous_volumes: Vec::new(),
            ended_at: None,
            log: Vec::new(),
            ends_when_resumed: None,
            hung: false,
            dead: false,
            spec: None,
            unnamed_at: None,
            served: false,
        }
    }

    /// A bind mount whose source is missing is refused at once.
    fn check_mounts(&self, spec: &ContainerSpec, provided: &Provided) -> Result<(), Refusal> {
        for mount in &spec.mounts {
            let source = match &mount.source {
                MountSource::HostPath(path) => path.clone(),
                MountSource::Files(files) => match provided.files.get(files) {
                    Some(path) => path.to_string_lossy().into_owned(),
                    None => format!("(nothing was rendered for {})", mount.path),
                },
                MountSource::Volume(_) | MountSource::Tmpfs { .. } => continue,
            };
            if !self.host_paths.contains(&source) && !Path::new(&source).exists() {
                let words =
                    format!("invalid mount config for type \"bind\": bind source path does not exist: {source}");
                return refuse(400, Fault::Invalid, words);
            }
        }
        Ok(())
    }

    /// The volumes that it mounts. One that is missing is made up by the engine, without labels and silently.
    fn volumes_of(&mut self, spec: &ContainerSpec) -> Vec<String> {
        let names = spec.mounts.iter().filter_map(|mount| mount.source.volume().map(String::from));
        let names: Vec<String> = names.collect();
        for name in &names {
            if !self.volumes.contains_key(name) {
                self.note(format!("the engine makes up volume {name}"));
                self.create_volume(&VolumeCreate {
                    name: name.clone(),
                    labels: BTreeMap::new(),
                    driver: "local".into(),
                    options: BTreeMap::new(),
                });
            }
        }
        names
    }

    /// Volumes that the image declares and the container does not mount get a new anonymous one each.
    fn anonymous_volumes_of(&mut self, spec: &ContainerSpec, image: &Image) -> Vec<String> {
        let mounted = |path: &str| spec.mounts.iter().any(|mount| mount.path == path);
        let bare: Vec<&String> = image.app.volumes.iter().filter(|path| !mounted(path)).collect();
        let mut names = Vec::new();
        for _ in bare {
            let name = self.next_id();
            let serial = self.next_serial();
            let volume = Volume {
                name: name.clone(),
                labels: BTreeMap::new(),
                driver: "local".into(),
                options: BTreeMap::new(),
                serial,
                anonymous: true,
            };
            self.volumes.insert(name.clone(), volume);
            names.push(name);
        }
        names
    }

    /// Creates a volume. One of that name is left as it is, whatever was asked for (201, the old one).
    pub fn create_volume(&mut self, wanted: &VolumeCreate) {
        let serial = self.next_serial();
        let volume = Volume {
            name: wanted.name.clone(),
            labels: wanted.labels.clone(),
            driver: wanted.driver.clone(),
            options: wanted.options.clone(),
            serial,
            anonymous: false,
        };
        self.volumes.entry(wanted.name.clone()).or_insert(volume);
        self.tell("volume create", None);
    }

    /// Removes a volume by hand, which an engine refuses while a container mounts it.
    pub fn remove_volume(&mut self, name: &str) -> Result<(), String> {
        if let Some(user) = self.containers.values().find(|container| container.volumes.iter().any(|it| it == name)) {
            return Err(format!("volume {name} is in use by {}", user.name));
        }
        self.volumes.remove(name).ok_or(format!("no such volume: {name}"))?;
        self.tell("volume destroy", None);
        Ok(())
    }

    /// Changes limits and restart policy. What is absent is left unchanged, but for the number of processes.
    pub fn update(&mut self, id: &ContainerId, wanted: &Adjustable) -> Result<(), Refusal> {
        self.get(id)?;
        if wanted.limits.memory.is_some_and(|memory| memory.0 < LEAST_MEMORY) {
            return refuse(400, Fault::Invalid, "Minimum memory limit allowed is 6MB");
        }
        let now = &mut self.container(id).adjustable;
        now.limits.cpu = wanted.limits.cpu.or(now.limits.cpu);
        now.limits.memory = wanted.limits.memory.or(now.limits.memory);
        now.limits.pids = wanted.limits.pids;
        now.requests.cpu = wanted.requests.cpu.or(now.requests.cpu);
        now.requests.memory = wanted.requests.memory.or(now.requests.memory);
        now.restart_policy = wanted.restart_policy;
        self.tell("update", Some(id));
        Ok(())
    }
}

/// The container's own health check, or the image's, with Docker's defaults.
fn health_check(wanted: Option<&HealthCheckSpec>, image: &Image) -> Option<HealthCheck> {
    match wanted {
        None => image.app.health_check.clone(),
        Some(check) if check.disable => None,
        Some(check) => {
            let default = HealthCheck::default();
            Some(HealthCheck {
                interval: check.interval.map_or(default.interval, |span| span.0),
                retries: check.retries.unwrap_or(default.retries),
                start_period: check.start_period.map_or(default.start_period, |span| span.0),
            })
        }
    }
}

fn publish(port: &Port) -> Option<Publish> {
    let (first, last) = port.host_port.as_ref()?.bounds().ok()?;
    Some(Publish { container_port: port.port, address: port.host_ip, first, last })
}
