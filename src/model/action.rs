//! Actions: one call to the engine each, with its cause. No action depends on another one of the same plan.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use serde::Serialize;

use super::build::ImageBuild;
use super::container::{Adjustable, ContainerSpec, Files};
use super::name::{Key, Name};
use super::observed::{ContainerId, NetworkId};
use super::release::Step;
use super::revision::ImageId;
use super::time::Span;

/// One call to the engine, for one object, with its cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// The object that it is for.
    pub object: Key,
    /// Why, for people.
    pub cause: String,
    /// What nothing will serve during it, for people; none when it is free of downtime.
    pub downtime: Option<String>,
    /// The call.
    pub call: Call,
}

/// The calls that converging needs. There is none that removes a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum Call {
    /// Create a network.
    CreateNetwork(NetworkCreate),
    /// Remove a network of ours that nothing uses.
    RemoveNetwork {
        /// Its id.
        id: NetworkId,
        /// Its name, for people.
        name: String,
    },
    /// Create a volume.
    CreateVolume(VolumeCreate),
    /// Pull an image.
    Pull {
        /// The reference, with a tag or digest.
        image: String,
        /// Its platform, if not the engine's.
        platform: Option<String>,
        /// Secrets with credentials, by their content.
        secrets: Vec<super::revision::ContentId>,
    },
    /// Build an image.
    Build {
        /// What it is built from.
        build: ImageBuild,
        /// Secrets with credentials for the images that it begins with, by their content.
        secrets: Vec<super::revision::ContentId>,
    },
    /// Remove an image that Evenkeel has brought: what it was brought as, and with that the image, unless something else
    /// needs it. Never by force.
    RemoveImage {
        /// Its id.
        id: ImageId,
        /// What it was brought as.
        references: BTreeSet<String>,
        /// Images without a name that its build has left: those that nothing else is built on go with it.
        steps: BTreeSet<ImageId>,
    },
    /// Create a container, not started, attached to the first of its networks.
    CreateContainer(Box<ContainerSpec>),
    /// Attach a container to a network.
    Connect(Connection),
    /// Detach and attach a container in one go, with the same address: open connections survive it.
    Reconnect(Connection),
    /// Start a container.
    Start {
        /// It.
        container: ContainerId,
        /// Its name, for people.
        name: String,
        /// Rendered files that it mounts: Docker refuses to start it without them.
        files: Vec<Files>,
    },
    /// Run the preStop command, then stop the container.
    Stop(Stop),
    /// Stop and start the container.
    Restart(Stop),
    /// Suspend the processes of a container.
    Pause {
        /// It.
        container: ContainerId,
        /// Its name, for people.
        name: String,
    },
    /// Resume a paused container.
    Unpause {
        /// It.
        container: ContainerId,
        /// Its name, for people.
        name: String,
    },
    /// Remove a stopped container and its anonymous volumes.
    Remove {
        /// It.
        container: ContainerId,
        /// Its name, for people.
        name: String,
    },
    /// Change limits and restart policy in place.
    Update {
        /// It.
        container: ContainerId,
        /// Its name, for people.
        name: String,
        /// What they become.
        adjustable: Adjustable,
    },
}

/// A network to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkCreate {
    /// Its name.
    pub name: String,
    /// All labels, Evenkeel's own included.
    pub labels: BTreeMap<String, String>,
    /// Its driver.
    pub driver: String,
    /// Whether it has no way out.
    pub internal: bool,
    /// Its subnets in CIDR form.
    pub subnets: Vec<String>,
    /// Driver options.
    pub options: BTreeMap<String, String>,
}

/// A volume to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeCreate {
    /// Its name.
    pub name: String,
    /// All labels, Evenkeel's own included.
    pub labels: BTreeMap<String, String>,
    /// Its driver.
    pub driver: String,
    /// Driver options.
    pub options: BTreeMap<String, String>,
}

/// A container's attachment to a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// The container.
    pub container: ContainerId,
    /// Its name, for people.
    pub name: String,
    /// The network's name in the engine.
    pub network: String,
    /// The names it gets there.
    pub aliases: BTreeSet<String>,
    /// The address to take or keep.
    pub address: Option<Ipv4Addr>,
}

/// A container's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stop {
    /// The container.
    pub container: ContainerId,
    /// Its name, for people.
    pub name: String,
    /// The command to run in it first.
    pub pre_stop: Vec<String>,
    /// Time between the stop signal and SIGKILL.
    pub grace: Span,
}

impl Call {
    /// What the call acts on: a container's id or the name of something to be. A target has one action at a time,
    /// and its failures are counted by it.
    pub fn target(&self) -> String {
        match self {
            Call::CreateNetwork(NetworkCreate { name, .. }) | Call::RemoveNetwork { name, .. } => network_target(name),
            Call::CreateVolume(VolumeCreate { name, .. }) => volume_target(name),
            Call::Pull { image, .. } => pull_target(image),
            Call::Build { build, .. } => build_target(&build.image),
            Call::RemoveImage { id, .. } => image_target(id),
            Call::CreateContainer(spec) => create_target(&spec.name),
            Call::Connect(_)
            | Call::Reconnect(_)
            | Call::Start { .. }
            | Call::Stop(_)
            | Call::Restart(_)
            | Call::Pause { .. }
            | Call::Unpause { .. }
            | Call::Remove { .. }
            | Call::Update { .. } => container_target(self.container().expect("these act on a container")),
        }
    }

    /// The id and the name of what it acts on, if that exists already.
    pub fn existing(&self) -> Option<(&str, &str)> {
        match self {
            Call::RemoveNetwork { id, name } => Some((&id.0, name)),
            _ => self.named_container().map(|(id, name)| (id.0.as_str(), name)),
        }
    }

    /// Whether it stops or removes a container.
    pub fn ends(&self) -> bool {
        matches!(self, Call::Stop(_) | Call::Remove { .. })
    }

    /// The network that its container may be left without when the call breaks off in the middle.
    pub fn cuts(&self) -> Option<String> {
        match self {
            Call::Reconnect(connection) => Some(connection.network.clone()),
            Call::CreateNetwork(_)
            | Call::RemoveNetwork { .. }
            | Call::CreateVolume(_)
            | Call::Pull { .. }
            | Call::Build { .. }
            | Call::RemoveImage { .. }
            | Call::CreateContainer(_)
            | Call::Connect(_)
            | Call::Start { .. }
            | Call::Stop(_)
            | Call::Restart(_)
            | Call::Pause { .. }
            | Call::Unpause { .. }
            | Call::Remove { .. }
            | Call::Update { .. } => None,
        }
    }

    /// The existing container that the call acts on.
    pub fn container(&self) -> Option<&ContainerId> {
        self.named_container().map(|(id, _)| id)
    }

    fn named_container(&self) -> Option<(&ContainerId, &str)> {
        match self {
            Call::CreateNetwork(_)
            | Call::RemoveNetwork { .. }
            | Call::CreateVolume(_)
            | Call::Pull { .. }
            | Call::Build { .. }
            | Call::RemoveImage { .. }
            | Call::CreateContainer(_) => None,
            Call::Connect(Connection { container, name, .. })
            | Call::Reconnect(Connection { container, name, .. })
            | Call::Start { container, name, .. }
            | Call::Stop(Stop { container, name, .. })
            | Call::Restart(Stop { container, name, .. })
            | Call::Pause { container, name, .. }
            | Call::Unpause { container, name, .. }
            | Call::Remove { container, name, .. }
            | Call::Update { container, name, .. } => Some((container, name)),
        }
    }
}

/// What the targets of builds begin with.
const BUILD: &str = "build ";

/// The target of actions on a network.
pub fn network_target(name: &str) -> String {
    format!("network {name}")
}
/// The target of creating a volume.
pub fn volume_target(name: &str) -> String {
    format!("volume {name}")
}
/// The target of pulling an image.
pub fn pull_target(image: &str) -> String {
    format!("image {image}")
}
/// The target of building an image.
pub fn build_target(image: &str) -> String {
    format!("{BUILD}{image}")
}
/// Whether a target is that of building an image.
pub fn is_build_target(target: &str) -> bool {
    target.starts_with(BUILD)
}

/// The target of removing an image.
pub fn image_target(id: &ImageId) -> String {
    format!("image {id}")
}
/// The target of creating a container.
pub fn create_target(name: &str) -> String {
    format!("create {name}")
}
/// The target of actions on an existing container.
pub fn container_target(id: &ContainerId) -> String {
    format!("container {id}")
}

/// What it does, in the words of the plan: `start shop.web.3f9a2c71d0.0`.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::CreateNetwork(network) => {
                write!(f, "create network {} ({})", network.name, network.subnets.join(", "))
            }
            Call::RemoveNetwork { name, .. } => write!(f, "remove network {name}"),
            Call::CreateVolume(volume) => write!(f, "create volume {}", volume.name),
            Call::Pull { image, .. } => write!(f, "pull {image}"),
            Call::Build { build, .. } => write!(f, "build {}", build.image),
            Call::RemoveImage { references, .. } => {
                write!(f, "remove image {}", references.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
            }
            Call::CreateContainer(spec) => write!(f, "create {}", spec.name),
            Call::Connect(c) => write!(f, "connect {} to {}{}", c.name, c.network, names(&c.aliases)),
            Call::Reconnect(c) => write!(f, "reconnect {} to {}{}", c.name, c.network, names(&c.aliases)),
            Call::Start { name, .. } => write!(f, "start {name}"),
            Call::Stop(stop) => write!(f, "stop {} (grace {})", stop.name, stop.grace),
            Call::Restart(stop) => write!(f, "restart {} (grace {})", stop.name, stop.grace),
            Call::Pause { name, .. } => write!(f, "pause {name}"),
            Call::Unpause { name, .. } => write!(f, "unpause {name}"),
            Call::Remove { name, .. } => write!(f, "remove {name}"),
            Call::Update { name, .. } => write!(f, "update limits of {name}"),
        }
    }
}

fn names(aliases: &BTreeSet<String>) -> String {
    if aliases.is_empty() {
        return " without a name".into();
    }
    format!(" as {}", aliases.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
}

/// What a person asks of an object; it changes history, and the next pass acts on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum Request {
    /// Stop changing a Deployment.
    Pause,
    /// Go on.
    Resume,
    /// Replace all replicas, one step at a time.
    Restart,
    /// Go back to an earlier revision.
    Undo {
        /// Its number; the newest completed one before the present if absent.
        to: Option<u64>,
    },
    /// Try a rejected revision or a failed job again.
    Retry,
    /// Begin a run of a CronJob now, outside of its schedule.
    RunNow,
}

impl Request {
    /// The reason of the event that it was asked.
    pub fn word(&self) -> &'static str {
        match self {
            Request::Pause => "Paused",
            Request::Resume => "Resumed",
            Request::Restart => "RestartRequested",
            Request::Undo { .. } => "UndoRequested",
            Request::Retry => "RetryRequested",
            Request::RunNow => "RunRequested",
        }
    }

    /// What the release log calls it.
    pub fn step(&self) -> Step {
        match self {
            Request::Pause => Step::Paused,
            Request::Resume => Step::Resumed,
            Request::Restart => Step::RestartRequested,
            Request::Undo { .. } => Step::UndoRequested,
            Request::Retry => Step::RetryRequested,
            Request::RunNow => Step::RunRequested,
        }
    }
}

/// What a person confirms: a removal that the brake held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Confirmation {
    /// The namespace.
    pub namespace: Name,
    /// The id that the brake printed.
    pub id: String,
}
