//! What is: a snapshot of the engine, of probes, and of what is under way. It decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use super::container::Adjustable;
use super::image::Arrival;
use super::name::{Key, Slot};
use super::platform::Platform;
use super::policy::HostPath;
use super::registry::Repository;
use super::revision::{ImageId, RevisionId, TemplateHash};
use super::spec::{Port, Protocol};
use super::status::ProbePurpose;
use super::time::Timestamp;

/// A container as the engine names it: 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(pub String);

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A network as the engine names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NetworkId(pub String);

impl fmt::Display for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A whole snapshot. It is taken whole or not at all: a part of the engine that cannot be read is an error, not an absence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// When the look began that found this: what took long may have ended again since. None where that was just now.
    pub looked_at: Option<Timestamp>,
    /// Containers of this instance: those whose labels say so and whose name is the one that the labels imply; but not
    /// those that are dead.
    pub containers: BTreeMap<ContainerId, Container>,
    /// The images of containers that are not ours.
    pub foreign_images: BTreeSet<ImageId>,
    /// Names of containers that are not ours or that are dead, so that a taken name can be told from a free one.
    pub foreign_names: BTreeSet<String>,
    /// Names of those among them that have the labels of a container of ours, by the workload that the labels name.
    pub renamed: BTreeMap<Key, BTreeSet<String>>,
    /// Containers of ours that are as good as gone: their removal was begun and could not be ended. Their names are taken until
    /// it is.
    pub dead: BTreeMap<ContainerId, Dead>,
    /// Host ports that running containers which are not ours have.
    pub foreign_ports: Vec<ForeignPort>,
    /// All networks, by name; other people's too, because theirs may be external ones of ours and take up subnets.
    pub networks: BTreeMap<String, Network>,
    /// All volumes, by name.
    pub volumes: BTreeMap<String, Volume>,
    /// The images that templates and revisions name, by what they name: a reference or an id. Absent: not looked up yet.
    pub images: BTreeMap<String, ImageState>,
    /// Subnets that the host itself uses (its routes), in CIDR form.
    pub host_subnets: BTreeSet<String>,
    /// Where the paths of the host that the policy asks about lead; none when that was not looked up.
    pub host_paths: Option<BTreeMap<String, HostPath>>,
    /// Targets of the actions that are under way; a target has one action at a time.
    pub in_flight: BTreeSet<String>,
    /// Actions that failed last time, by target. A success removes the entry.
    pub failures: BTreeMap<String, Failure>,
    /// When each image reference was last pulled with success by this process.
    pub pulled: BTreeMap<String, Timestamp>,
    /// Images that have come to the engine through this process, and that it had not had, until they are remembered.
    pub arrivals: Vec<Arrival>,
    /// Images that were removed, with all that their builds have left, and that the history still has.
    pub departed: BTreeSet<ImageId>,
    /// What registries said of the repositories that are followed.
    pub registries: BTreeMap<String, Repository>,
    /// What the host has left.
    pub headroom: Headroom,
    /// What the engine's host runs by itself.
    pub platform: Platform,
    /// Since when this process has been watching the engine without a gap. What happened before, nobody saw.
    pub watched_since: Timestamp,
}

/// What the engine's host has left. What is not known is not asked for: the engine may run on another machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Headroom {
    /// Memory that programs can take without swapping, in bytes: `MemAvailable` of `/proc/meminfo`.
    pub memory: Option<u64>,
    /// The file system of the engine's data root.
    pub disk: Option<DiskSpace>,
}

/// How full a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiskSpace {
    /// Bytes that can still be written, as `df` shows them: what is reserved for root is not among them.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
}

/// A host port that a container of somebody else's has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ForeignPort {
    /// The container's name.
    pub container: String,
    /// The host's address that it is published on.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

/// A container of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// The Deployment or Job that it belongs to.
    pub owner: Key,
    /// The revision that it was made for.
    pub revision: RevisionId,
    /// The template's hash that it was made for.
    pub template: TemplateHash,
    /// Its slot, or a job's attempt.
    pub slot: Slot,
    /// The image it runs.
    pub image: ImageId,
    /// What it was made from: the image's reference or id.
    pub reference: String,
    /// What the engine says it is doing.
    pub state: ContainerState,
    /// Whether its removal was begun and could not be ended.
    pub dead: bool,
    /// Its first process, as the engine's host counts them; none while it does not run.
    pub process: Option<u32>,
    /// Docker's own health check.
    pub health: Health,
    /// How often the engine restarted it by itself.
    pub restart_count: u32,
    /// When a run of it ended last, if one has.
    pub ended_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Networks that it is attached to, by name.
    pub networks: BTreeMap<String, Endpoint>,
    /// Limits and restart policy as the engine has them.
    pub adjustable: Adjustable,
    /// The ports that it was made to publish; none of them has a name. They are in order.
    pub published: Vec<Port>,
    /// The volumes that it mounts to write to, by name.
    pub volumes: BTreeSet<String>,
    /// What our own probes of this run of it found.
    pub probes: Probes,
    /// Its last log lines, read when it is in trouble (ended, restarting, unhealthy); without secrets.
    pub last_log: Vec<String>,
}

/// A container whose removal was broken off half-way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// Its name.
    pub name: String,
    /// The workload that it belonged to.
    pub owner: Key,
}

/// What the engine says a container is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// Created and never started; `error` is why the last start failed.
    Created {
        /// The engine's words and the exit code (126 not executable, 127 not found, 128 not started).
        error: Option<StartError>,
    },
    /// Running since.
    Running {
        /// When this run began.
        since: Timestamp,
    },
    /// Suspended by somebody.
    Paused,
    /// Ended, and the engine is about to start it again.
    Restarting {
        /// The exit code of the last run.
        exit_code: i64,
        /// Whether the kernel ended it for want of memory.
        out_of_memory: bool,
    },
    /// Ended.
    Exited(Exit),
    /// Being removed, or removed half-way.
    Removing,
}

/// Why a start failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartError {
    /// The exit code that the engine gave it.
    pub exit_code: i64,
    /// The engine's words.
    pub message: String,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exit {
    /// The exit code; 128 + n after signal n.
    pub code: i64,
    /// Whether the kernel killed it for want of memory.
    pub out_of_memory: bool,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
}

/// Docker's own health check. Only read while the container runs: stop and pause set it to unhealthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It has none.
    None,
    /// Not decided yet.
    Starting,
    /// Healthy.
    Healthy,
    /// Unhealthy, with the last check's output.
    Unhealthy {
        /// The last check's output, printable.
        message: String,
    },
}

/// An attachment to a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The network.
    pub network: NetworkId,
    /// The address; none while the container does not run.
    pub address: Option<Ipv4Addr>,
    /// The address that it insists on at each start: asked for by its template, or left by a reconnection.
    pub fixed: Option<Ipv4Addr>,
    /// The names it was given there (without the container's own name and id, which some engines add).
    pub aliases: BTreeSet<String>,
}

/// Results of our own probes for this run of the container, thresholds applied. None: no such probe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probes {
    /// The startup probe.
    pub startup: Option<ProbeResult>,
    /// The readiness probe.
    pub readiness: Option<ProbeResult>,
    /// The liveness probe.
    pub liveness: Option<ProbeResult>,
    /// The checks after a rollout, by their number among its gates.
    pub gates: BTreeMap<u8, ProbeResult>,
}

impl Probes {
    /// Takes a result in.
    pub fn set(&mut self, purpose: ProbePurpose, result: ProbeResult) {
        match purpose {
            ProbePurpose::Startup => self.startup = Some(result),
            ProbePurpose::Readiness => self.readiness = Some(result),
            ProbePurpose::Liveness => self.liveness = Some(result),
            ProbePurpose::Gate(number) => drop(self.gates.insert(number, result)),
        }
    }
}

/// What a probe says after its thresholds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeResult {
    /// Neither threshold was reached since this process began to probe.
    Unknown {
        /// The last failure, if any, printable.
        message: String,
    },
    /// No check could be made, for want of something on our side: it says nothing about the program.
    Unmade {
        /// What is missing and the way out, printable.
        message: String,
    },
    /// `successThreshold` successes in a row.
    Success,
    /// `failureThreshold` failures in a row.
    Failure {
        /// The last failure, printable.
        message: String,
    },
}

/// A network, anybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its id.
    pub id: NetworkId,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its driver.
    pub driver: String,
    /// Its subnets in CIDR form.
    pub subnets: Vec<String>,
}

/// A volume, anybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its driver.
    pub driver: String,
    /// Its driver options.
    pub options: BTreeMap<String, String>,
}

/// What the engine has under an image's reference or id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageState {
    /// Nothing.
    Missing,
    /// An image.
    Present(Image),
}

/// An image that the engine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// Its tags, `repository:tag`, whoever gave them.
    pub tags: Vec<String>,
    /// `repository@sha256:…` for each registry that it is known from.
    pub digests: Vec<String>,
    /// Whether it brings a health check of its own.
    pub has_health_check: bool,
    /// Paths that it declares as volumes.
    pub volumes: BTreeSet<String>,
    /// What its programs are made for.
    pub platform: Platform,
    /// Whether its labels say that this instance has built it.
    pub is_ours: bool,
}

/// An action that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How often in a row.
    pub count: u32,
    /// When last.
    pub at: Timestamp,
    /// What to make of it.
    pub fault: Fault,
    /// What was attempted and what the engine said, printable and without secrets.
    pub message: String,
    /// Whether it was to stop or to remove a container: that does not wait because something else with it has failed.
    pub ending: bool,
    /// The network that a container may have been left without, when a reconnection to it broke off.
    pub cut: Option<String>,
    /// The last lines that a build wrote, printable and without secrets.
    pub output: Vec<String>,
}

/// Failures, cut by what the planner does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The engine refuses the specification (a bad option, a missing host path): the revision is at fault.
    Invalid,
    /// The registry does not have the image: perhaps not yet.
    ImageMissing,
    /// The registry wants other credentials.
    Unauthorized,
    /// The registry says "too many requests".
    RateLimited,
    /// The registry, the engine or the disk is in trouble: nobody's fault here.
    Unavailable,
    /// The reply did not come in time: the effect is unknown, the next look tells.
    Timeout,
    /// A name, address or port is taken.
    Conflict,
}
