//! The policy: how much of the host the containers of each namespace may have, as the operator writes it in a file of
//! its own. Plain data; `policy` judges by it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::name::Name;
use super::spec::HostPort;

/// How much containers may have, in the words of the Pod Security Standards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing that a well-made program does not need: no root, no capability, published on loopback only.
    Restricted,
    /// Nothing that is a known way to the host.
    #[default]
    Baseline,
    /// Anything that Docker can.
    Privileged,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Restricted => "restricted",
            Level::Baseline => "baseline",
            Level::Privileged => "privileged",
        })
    }
}

/// The policy file: a level for each namespace, with narrow exceptions. It belongs to the operator: not to whoever can
/// write manifests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PolicyFile {
    /// The level of namespaces that are not named below. Default: baseline.
    pub default: Level,
    /// Namespaces by name.
    #[schemars(with = "BTreeMap<String, NamespacePolicy>")]
    pub namespaces: BTreeMap<Name, NamespacePolicy>,
}

/// The policy of one namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NamespacePolicy {
    /// Its level. Default: baseline.
    pub level: Level,
    /// What its containers may have beyond the level.
    pub exceptions: Exceptions,
}

/// What the containers of a namespace may have beyond its level. Each entry is one thing; there is no wildcard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Exceptions {
    /// Paths of the host that may be mounted, also by way of a Volume whose options are a bind.
    pub host_paths: Vec<HostPathException>,
    /// Files of the host that Secrets and `variablesFrom` may read, or directories for all files below them. Files
    /// inside the source directory need no exception.
    #[schemars(inner(regex(pattern = r"^/")))]
    pub host_files: Vec<String>,
    /// Directories that images may be built from, with all that is below, by absolute path. The source directory and the
    /// git checkout that it is in need no exception.
    #[schemars(inner(regex(pattern = r"^/")))]
    pub build_contexts: Vec<String>,
    /// Addresses and ports of the host that may be published on.
    pub published: Vec<PublishedException>,
    /// Devices of the host, by absolute path.
    #[schemars(inner(regex(pattern = r"^/")))]
    pub devices: Vec<String>,
    /// Whether GPUs may be passed in. Default: false.
    pub gpus: bool,
    /// Capabilities that may be added, such as NET_ADMIN.
    pub capabilities: Vec<String>,
    /// Kernel parameters that may be set, such as net.core.somaxconn.
    pub sysctls: Vec<String>,
    /// Security options that may be given, exactly as the manifest writes them.
    pub security_options: Vec<String>,
    /// OCI runtimes beside the engine's own.
    pub runtimes: Vec<String>,
    /// Log drivers beside local, json-file, journald and none.
    pub log_drivers: Vec<String>,
    /// Volumes, by their name in Docker, that belong to somebody else or have driver options of their own.
    pub volumes: Vec<String>,
    /// Volume drivers beside local.
    pub volume_drivers: Vec<String>,
    /// Networks, by their name in Docker, that belong to somebody else.
    pub networks: Vec<String>,
    /// Network drivers beside bridge, and then with any options.
    pub network_drivers: Vec<String>,
}

/// A path of the host that may be mounted. Links on the way are followed before it is compared, but for those that lie in a
/// source or its git checkout: a push can change them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostPathException {
    /// The absolute path.
    #[schemars(regex(pattern = r"^/"))]
    pub path: String,
    /// Whether it may be written to. A writable path must not contain another exception: whoever writes there could
    /// put a link in that one's place. Default: false.
    #[serde(default)]
    pub writable: bool,
    /// Whether everything below it may be mounted too, read-only. The engine's socket and the system's own directories
    /// are never meant by it. Default: false.
    #[serde(default)]
    pub below: bool,
}

/// An address of the host that may be published on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PublishedException {
    /// The address; `0.0.0.0` and `::` stand for themselves, not for every address.
    pub address: IpAddr,
    /// Ports and ranges of ports, such as 443 and 8000-8099.
    pub ports: Vec<HostPort>,
}

/// A policy that was read, with what it needs to be judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The file, for people.
    pub file: String,
    /// What it says.
    pub rules: PolicyFile,
    /// Further places of the host that no general exception means: Evenkeel's own socket and state, the engine's.
    pub guarded: Vec<Guarded>,
    /// Who writes manifests.
    pub writers: Vec<Writers>,
}

/// Whoever writes the manifests of one source, and what of the host is theirs to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writers {
    /// The source, for people.
    pub source: String,
    /// The one namespace that they are restricted to; none where they can name any.
    pub namespace: Option<Name>,
    /// The source's directory and its git checkout, without links: a push can put a link into the place of anything in there.
    pub dirs: Vec<String>,
}

/// A place of the host that no general exception means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guarded {
    /// The absolute path.
    pub path: String,
    /// What it is, for people: `the engine's socket`.
    pub what: String,
    /// Whether it is a socket that commands the host.
    pub is_socket: bool,
}

/// Whether there is a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Standing {
    /// There is no file: every namespace is privileged.
    #[default]
    Absent,
    /// It is judged by.
    InForce(Arc<Policy>),
    /// There is a file and it was never read well: nothing new is made in any namespace. Why, for people.
    Broken(String),
}

impl Standing {
    /// Before the file was read for the first time: nothing new is made.
    pub fn unread() -> Self {
        Standing::Broken("it was not read yet".into())
    }
}

/// Where a path of the host leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPath {
    /// To a file or directory.
    Real {
        /// Its absolute path, without links.
        path: String,
        /// A directory on the way that others than root and Evenkeel's own user can change: what is there when the
        /// engine mounts it need not be what was judged.
        loose: Option<String>,
        /// The links that were followed, each by its own place, without links.
        links: Vec<String>,
    },
    /// To nothing.
    Missing,
    /// Nobody knows: the host does not tell. Why, for people.
    Unknown(String),
}

/// A file of the host that a Secret or a Namespace reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HostFile {
    /// Its absolute path as the manifest leads to it.
    pub path: String,
    /// The source directory of the manifest. What really is inside needs no exception.
    pub source: String,
    /// Where the content in force was read.
    pub origin: Origin,
}

/// Where a file's content was read, as the kernel told it of the open file. Content stays in force while newer manifests are
/// invalid, and by then its path may lead elsewhere: to something harmless, although the content is not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// Inside the source directory as it was then.
    Source,
    /// At this place of the host, an absolute path without links.
    Host(String),
    /// Nobody knows: it was not read, or an older release has kept it without its place.
    Unknown,
}

/// Something that the policy does not allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// The field that asks for it: `template.mounts[0].hostPath`.
    pub field: String,
    /// What is wrong with it, for people.
    pub why: String,
    /// The rule, for machines: `engine-socket`.
    pub rule: String,
    /// The namespace's level; none while no policy could be read.
    pub level: Option<Level>,
    /// The way out, for people.
    pub way_out: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal { field, why, rule, level, way_out } = self;
        match level {
            Some(level) => write!(f, "{field} {why} (rule {rule}, level {level}): {way_out}"),
            None => write!(f, "{field} {why} (rule {rule}): {way_out}"),
        }
    }
}
