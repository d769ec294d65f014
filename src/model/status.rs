//! What is told: status, conditions, events, and the plan as a whole. Data for people and machines; no decisions.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::action::Action;
use super::failure::FailureReason;
use super::history::History;
use super::name::{Key, Name};
use super::observed::ContainerId;
use super::policy::Refusal;
use super::registry::{ImagePolicyStatus, Inquiry};
use super::spec::Probe;
use super::time::{Span, Timestamp};

/// The decision of one pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to remember; written before anything is done.
    pub history: History,
    /// What is safe and possible right now, in any order and any subset.
    pub actions: Vec<Action>,
    /// How every object stands.
    pub status: BTreeMap<Key, Status>,
    /// What changed in this pass that a person would want to know.
    pub events: Vec<Event>,
    /// What to probe from now on.
    pub probes: Vec<ProbeTask>,
    /// What to ask registries, from now on: one question for each repository that is followed.
    pub inquiries: Vec<Inquiry>,
    /// Removals that the brake holds.
    pub held: Vec<super::view::HeldPrune>,
    /// What the policy does not allow, by the object that asks for it.
    pub refused: BTreeMap<Key, Vec<Refusal>>,
    /// What the host lacks, by the object that waits for it.
    pub shortages: BTreeMap<Key, Shortage>,
    /// When to look again even if nothing happens.
    pub wake_at: Option<Timestamp>,
    /// When what is told changes by itself, though there is nothing to do.
    pub retell_at: Option<Timestamp>,
}

/// How an object stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// One word: Complete, Progressing, RollingBack, Stalled, Paused, Suspended, Waiting, Failed, Ready, Pending, Refused …
    pub phase: String,
    /// Why, for people; empty when there is nothing to say.
    pub message: String,
    /// Conditions, as in Kubernetes.
    pub conditions: Vec<Condition>,
    /// Replicas; none for objects without.
    pub replicas: Option<Replicas>,
    /// The revision that is being run or reached: its number and id.
    pub revision: Option<RevisionSummary>,
    /// What it waits for, in order.
    pub waiting: Vec<String>,
    /// Whether it waits for what will not come about without a person, such as a Job that has failed.
    #[serde(default)]
    pub blocked: bool,
    /// The last lines of the build of its image, if that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub build_output: Vec<String>,
    /// Its containers.
    pub containers: Vec<ContainerStatus>,
    /// How it stands with its image policy; none where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_policy: Option<ImagePolicyStatus>,
}

/// The condition of a Deployment that stays at another revision than its manifest asks for, because that was chosen.
pub const PINNED: &str = "Pinned";

/// The condition of a Deployment whose rollout is complete and would still be taken back if it failed now.
pub const MONITORED: &str = "Monitored";

/// The condition of an object with containers that somebody has renamed.
pub const RENAMED: &str = "Renamed";

/// A condition, as in Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Available, Progressing, Degraded, Drifted, Monitored, Pinned, PruneHeld, Refused, Renamed …
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds.
    pub status: bool,
    /// A CamelCase word for machines.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// Something that the host has too little of. It blames nobody: what needs it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// InsufficientMemory or InsufficientDisk.
    pub reason: &'static str,
    /// How much is needed and how much there is, for people.
    pub message: String,
}

/// Counts of replicas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replicas {
    /// As many as the manifest says.
    pub desired: u32,
    /// Containers that exist and are not on their way out.
    pub current: u32,
    /// Of the revision being reached.
    pub updated: u32,
    /// Ready.
    pub ready: u32,
    /// Ready for `minReady`.
    pub available: u32,
}

/// A revision, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionSummary {
    /// Its number; 0 for a Job's.
    pub number: u64,
    /// Its id.
    pub id: String,
    /// Its image as the manifest wrote it.
    pub image: String,
}

/// A container, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerStatus {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Its revision.
    pub revision: String,
    /// Running, Created, Exited …
    pub state: String,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it is on its way out.
    pub retiring: bool,
    /// Restarts by the engine and by us.
    pub restarts: u32,
    /// Since when it has been running or ended.
    pub since: Option<Timestamp>,
    /// When a run of it ended last: what it wrote until then, `logs --previous` shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Its address on its first network.
    pub address: Option<Ipv4Addr>,
    /// Why it is not ready, for people.
    pub message: String,
    /// Its last log lines when it is in trouble.
    pub last_log: Vec<String>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// To what.
    pub object: Key,
    /// Whether somebody should look.
    pub severity: Severity,
    /// A CamelCase word for machines: RolloutStarted, RolloutComplete, RolledBack …
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// What sort of failure ended the rollout, if it says that one failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureReason>,
}

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Severity {
    /// All is well.
    Normal,
    /// Somebody should look.
    Warning,
}

/// A probe to make from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeTask {
    /// The container.
    pub container: ContainerId,
    /// The run of it: another start begins the counts anew.
    pub started_at: Timestamp,
    /// What the result means.
    pub purpose: ProbePurpose,
    /// Where to connect to: the container's address on one of its networks, its own loopback, or the host's own. None while
    /// it is between two networks (a reconnection takes 0.1 s, or as long as the engine is silent), and but for readiness
    /// while the engine works on it: results and counts are kept, and no check is made.
    pub address: Option<std::net::IpAddr>,
    /// The container's first process, if the address is one of the container's own loopback; none: it is seen from the host.
    pub process: Option<u32>,
    /// The name to look up within the container's network, whose addresses are checked in place of `address`.
    pub name: Option<Name>,
    /// The port's number (names are resolved); 0 for a command.
    pub port: u16,
    /// The check and its thresholds.
    pub probe: Probe,
    /// The time between checks now: shorter than the probe's own while the replica is not ready.
    pub period: Span,
}

/// What a probe's result means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbePurpose {
    /// It has started.
    Startup,
    /// It can serve.
    Readiness,
    /// It is alive.
    Liveness,
    /// It passes the gate with this number among those after its rollout.
    Gate(u8),
}
