//! A container to create: a template with every reference resolved. Secrets are named here, never held.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde::Serialize;

use super::revision::ContentId;
use super::spec::{Limits, Requests, RestartPolicy, Template};

/// The labels that Evenkeel sets on what it creates. All are set on every container, because the engine merges an
/// image's labels into it and an image could claim them.
pub mod label {
    /// The instance that owns it.
    pub const INSTANCE: &str = "evenkeel.dev/instance";
    /// `deployment`, `job`, `network` or `volume`.
    pub const KIND: &str = "evenkeel.dev/kind";
    /// The object's namespace.
    pub const NAMESPACE: &str = "evenkeel.dev/namespace";
    /// The object's name.
    pub const NAME: &str = "evenkeel.dev/name";
    /// The revision's id.
    pub const REVISION: &str = "evenkeel.dev/revision";
    /// The template's hash, to recognise a revision when the state directory is lost.
    pub const TEMPLATE: &str = "evenkeel.dev/template";
    /// The replica's slot, or a job's attempt.
    pub const SLOT: &str = "evenkeel.dev/slot";
    /// The hash of a network's or volume's specification.
    pub const SPEC: &str = "evenkeel.dev/spec";
    /// The hash of the context that an image was built from.
    pub const BUILD: &str = "evenkeel.dev/build";
    /// The prefix of all of them; manifests may not set labels that start with it.
    pub const PREFIX: &str = "evenkeel.dev/";
}

/// A container to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerSpec {
    /// Its deterministic name.
    pub name: String,
    /// All labels, Evenkeel's own included.
    pub labels: BTreeMap<String, String>,
    /// What to create it from: a reference that the engine has, or the image's id.
    pub image: String,
    /// The template, for all fields that need no resolving.
    pub template: Template,
    /// The environment, in order; a later entry wins.
    pub env: Vec<EnvSource>,
    /// The networks to join before the start. Empty with `hostNetwork`.
    pub networks: Vec<Attachment>,
    /// What to mount.
    pub mounts: Vec<MountSpec>,
    /// Docker's restart policy; Never for Jobs.
    pub restart_policy: RestartPolicy,
}

/// Where environment variables come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum EnvSource {
    /// One variable with its text.
    Text {
        /// The variable's name.
        name: String,
        /// Its value.
        value: String,
    },
    /// One variable from one key.
    Key {
        /// The variable's name.
        name: String,
        /// The content that has it.
        content: ContentId,
        /// The key in it.
        key: String,
    },
    /// A variable for every key.
    AllKeys {
        /// The content.
        content: ContentId,
        /// Put before each key.
        prefix: String,
    },
}

/// A network to join.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// The network's name in the engine.
    pub network: String,
    /// Names on it beside the container's own.
    pub aliases: BTreeSet<String>,
    /// The address to take.
    pub address: Option<Ipv4Addr>,
}

/// Something to mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MountSpec {
    /// Where, in the container.
    pub path: String,
    /// What.
    pub source: MountSource,
    /// Whether it is read-only.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum MountSource {
    /// A volume, by its name in the engine.
    Volume(String),
    /// A path on the host, which must exist.
    HostPath(String),
    /// A file system in memory: size in bytes, permission bits.
    Tmpfs {
        /// Size in bytes.
        size: Option<u64>,
        /// Permission bits.
        mode: Option<u32>,
    },
    /// The files of a ConfigMap or Secret, rendered by the store.
    Files(Files),
}

impl ContainerSpec {
    /// The volumes that it mounts to write to.
    pub fn written_volumes(&self) -> impl Iterator<Item = &str> {
        self.mounts.iter().filter(|mount| !mount.read_only).filter_map(|mount| mount.source.volume())
    }
}

impl MountSource {
    /// The volume, if it is one.
    pub fn volume(&self) -> Option<&str> {
        match self {
            MountSource::Volume(name) => Some(name),
            MountSource::HostPath(_) | MountSource::Tmpfs { .. } | MountSource::Files(_) => None,
        }
    }
}

/// A rendered content: a directory with one file per key, in a place that only this combination uses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Files {
    /// The content.
    pub content: ContentId,
    /// This key alone, as a file; otherwise the directory.
    pub key: Option<String>,
    /// The files' permission bits.
    pub mode: u32,
    /// The files' owner.
    pub uid: u32,
    /// The files' group.
    pub gid: u32,
}

/// What Docker changes in a living container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Adjustable {
    /// Limits.
    pub limits: Limits,
    /// Requests.
    pub requests: Requests,
    /// The restart policy.
    pub restart_policy: RestartPolicy,
}
