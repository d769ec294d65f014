//! The container template of a Deployment, Job or CronJob.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::build::Build;
use super::image_policy::ImagePolicy;
use super::probe::{HealthCheck, Lifecycle, Probe};
use crate::model::name::{Key, Kind, Name};
use crate::model::quantity::{Cpu, Memory};
use crate::model::time::Span;

/// A container: everything that Docker can be told about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Template {
    /// The image, such as `ghcr.io/shop/web:1.4` or `…@sha256:…`. Without a tag, `latest`. A Job that is a gate of one
    /// Deployment may leave it out: it takes that one's.
    #[serde(default)]
    #[schemars(extend("format" = "image"))]
    pub image: String,
    /// Build the image on this host from a directory, in the place of `image`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    /// Follows the image in its registry: the newest tag, or what the tag leads to by now. Default: the image stays as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_policy: Option<ImagePolicy>,
    /// When to pull: Always, IfNotPresent or Never. Default: Always for the tag `latest`, else IfNotPresent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Secrets with registry credentials (keys `username`, `password` and optionally `server`, or `config.json`),
    /// tried before the host's `~/.docker/config.json`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<Name>,
    /// The entrypoint, as in Kubernetes (Compose: `entrypoint`). Default: the image's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The arguments, as in Kubernetes (Compose: `command`). Default: the image's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// The working directory. Default: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Environment variables: text, or a key of a Secret or ConfigMap. They win over `envFrom`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, EnvValue>,
    /// Secrets and ConfigMaps whose every key becomes an environment variable; a later one wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_from: Vec<EnvFrom>,
    /// Names of variables that `env` or `envFrom` must set, and not to nothing: a mistake in the manifest before anything
    /// starts. What the image sets itself does not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_env: Vec<String>,
    /// The ports that the container listens on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// The networks to join, by name. Default: the namespace's network `default`, which exists by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<NetworkAttachment>,
    /// Whether to share the host's network; then `networks` must be empty. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub host_network: bool,
    /// Volumes, files and directories in the container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Limits and requests for CPU, memory and processes. Changed in place where Docker can.
    #[serde(default)]
    pub resources: Resources,
    /// Checked until it succeeds once; until then the other probes wait. It fails the replica at `failureThreshold`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup_probe: Option<Probe>,
    /// Whether the replica can serve. Without it, Docker's health check decides; without that, running does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Probe>,
    /// Whether the replica is alive: after `failureThreshold` failures it is restarted, with back-off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<Probe>,
    /// Docker's own health check (HEALTHCHECK), run inside the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// What happens before a replica is stopped.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// Time between losing its name and being stopped; longer than clients keep a looked-up address. With 0s it keeps the
    /// name until it stops. Default: 15s.
    #[serde(default = "fifteen_seconds")]
    pub drain: Span,
    /// Time between the stop signal and SIGKILL. Default: 30s.
    #[serde(default = "thirty_seconds")]
    pub termination_grace_period: Span,
    /// The stop signal, such as SIGQUIT. Default: the image's, else SIGTERM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^SIG[A-Z0-9+-]+$"))]
    pub stop_signal: Option<String>,
    /// What must be there before a new revision of this starts, and before a Job does; healing does not wait for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependency>,
    /// What Docker does when the container ends by itself. Default: Always (Docker's `unless-stopped`).
    #[serde(default)]
    pub restart_policy: RestartPolicy,
    /// User and group: `1000`, `1000:1000` or `node`. Default: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Further groups, by name or number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group_add: Vec<String>,
    /// Whether the container's own file system is read-only. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only_root_filesystem: bool,
    /// Linux capabilities to add and drop.
    #[serde(default, skip_serializing_if = "Capabilities::is_default")]
    pub capabilities: Capabilities,
    /// Whether the container has full access to the host. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
    /// Security options, such as `no-new-privileges` or `seccomp=…`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_options: Vec<String>,
    /// Host devices: `/dev/fuse` or `/dev/x:/dev/y:rwm`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// GPUs to pass in: `all` or a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^(all|[1-9][0-9]{0,2})$"))]
    pub gpus: Option<String>,
    /// Kernel parameters of the container's namespaces.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// Resource limits of processes, such as `nofile`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// The size of `/dev/shm`. Default: 64Mi (Docker's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<Memory>,
    /// The host name inside. It is also a DNS name at once, before the replica is ready. Default: the container's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Further lines of `/etc/hosts`: name to address; `host-gateway` is the host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra_hosts: BTreeMap<String, String>,
    /// DNS servers, search domains and options.
    #[serde(default, skip_serializing_if = "Dns::is_default")]
    pub dns: Dns,
    /// Whether a small init process reaps children and forwards signals. Default: false (the image's process is PID 1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// Docker's IPC mode: `private`, `shareable`, `host`. Default: Docker's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipc_mode: Option<String>,
    /// `host` shares the host's process table. Default: an own one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_mode: Option<String>,
    /// `host` shares the host's name. Default: an own one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uts_mode: Option<String>,
    /// The OCI runtime. Default: the engine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// The platform of the image, such as `linux/amd64`. Default: the engine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Whether the container gets a terminal. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tty: bool,
    /// Whether standard input stays open. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stdin: bool,
    /// Labels of the Docker container. `evenkeel.dev/` is reserved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Log driver and options. Default: the namespace's, else `local` with 5 files of 10 MB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
}

impl Template {
    /// Whether it says by itself which image it wants.
    pub fn names_an_image(&self) -> bool {
        !self.image.is_empty() || self.build.is_some()
    }
}

/// When to pull an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// Before each new revision; the digest found is then used for every replica of it.
    Always,
    /// When the engine does not have it.
    IfNotPresent,
    /// Never: it must be on the host already.
    Never,
}

/// The value of an environment variable: text (numbers and true/false are taken as written), or a reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum EnvValue {
    /// The value itself. It is not secret.
    Text(#[schemars(extend("type" = ["string", "number", "boolean"]))] String),
    /// The value of a key of a Secret.
    Secret(SecretKeyRef),
    /// The value of a key of a ConfigMap.
    ConfigMap(ConfigMapKeyRef),
}

/// A key of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKeyRef {
    /// The Secret's name.
    pub secret: Name,
    /// The key in it.
    pub key: String,
}

/// A key of a ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMapKeyRef {
    /// The ConfigMap's name.
    pub config_map: Name,
    /// The key in it.
    pub key: String,
}

/// A Secret or ConfigMap whose every key becomes an environment variable. Exactly one of the two is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvFrom {
    /// The Secret's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Name>,
    /// The ConfigMap's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<Name>,
    /// Put before each key. Default: nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
}

/// A port that the container listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Port {
    /// A name that probes can use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The port in the container.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// The port on the host: a number, or a range such as `3001-3003` from which each replica takes a free one.
    /// A fixed port can only be used by one replica at a time, so updates stop the old one first. Default: not published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_port: Option<HostPort>,
    /// The host's address to publish on. Default: 127.0.0.1 (Docker: all addresses).
    #[serde(default = "loopback", rename = "hostIP")]
    pub host_ip: std::net::IpAddr,
    /// tcp, udp or sctp. Default: tcp.
    #[serde(default)]
    pub protocol: Protocol,
}

/// Those of them that are published, as the engine knows them: in order, and without names.
pub fn published(ports: &[Port]) -> Vec<Port> {
    let all = ports.iter().filter(|port| port.host_port.is_some());
    let mut all: Vec<Port> = all.map(|port| Port { name: None, ..port.clone() }).collect();
    let bounds = |port: &Port| port.host_port.as_ref().and_then(|host| host.bounds().ok());
    all.sort_by_key(|port| (port.port, port.protocol, bounds(port), port.host_ip));
    all
}

/// A host port, or a range of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HostPort {
    /// One port.
    Fixed(#[schemars(range(min = 1))] u16),
    /// `FIRST-LAST`.
    Range(#[schemars(extend("format" = "port-range"))] String),
}

impl HostPort {
    /// First and last port, or what is wrong with the text.
    pub fn bounds(&self) -> Result<(u16, u16), String> {
        match self {
            HostPort::Fixed(port) => Ok((*port, *port)),
            HostPort::Range(text) => {
                let wrong = || format!("'{text}' is not a port range such as 3001-3003");
                let (first, last) = text.split_once('-').ok_or_else(wrong)?;
                let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong);
                let (first, last) = (port(first)?, port(last)?);
                if first > last { Err(wrong()) } else { Ok((first, last)) }
            }
        }
    }
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// As Docker writes it: `tcp`.
    pub fn word(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }

    /// The one that Docker writes like this.
    pub fn of_word(word: &str) -> Option<Protocol> {
        [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter().find(|protocol| protocol.word() == word)
    }
}

/// A network to join: its name, or its name with details.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum NetworkAttachment {
    /// The Network's name.
    Name(Name),
    /// The Network's name with details.
    Detailed(NetworkDetails),
}

/// A network to join, with details.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkDetails {
    /// The Network's name.
    pub name: Name,
    /// Further names on this network, beside the Deployment's own; like it, they lead to ready replicas only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<Name>,
    /// A fixed IPv4 address; only with `replicas: 1`, and updates stop the old replica first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<std::net::Ipv4Addr>,
}

impl NetworkAttachment {
    /// The Network's name.
    pub fn name(&self) -> &Name {
        match self {
            NetworkAttachment::Name(name) => name,
            NetworkAttachment::Detailed(details) => &details.name,
        }
    }

    /// Names beside the Deployment's own.
    pub fn aliases(&self) -> &[Name] {
        match self {
            NetworkAttachment::Name(_) => &[],
            NetworkAttachment::Detailed(details) => &details.aliases,
        }
    }

    /// The fixed address, if one is asked for.
    pub fn address(&self) -> Option<std::net::Ipv4Addr> {
        match self {
            NetworkAttachment::Name(_) => None,
            NetworkAttachment::Detailed(details) => details.address,
        }
    }
}

/// Something in the container's file system. Exactly one of `volume`, `configMap`, `secret`, `hostPath` and `tmpfs` is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mount {
    /// Where it appears in the container: an absolute path.
    #[schemars(regex(pattern = r"^/"))]
    pub path: String,
    /// A Volume, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<Name>,
    /// A ConfigMap, by name: a directory with one file per key, or with `key` that file alone. Always read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<Name>,
    /// A Secret, by name: a directory with one file per key, or with `key` that file alone. Always read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Name>,
    /// A file or directory on the host, by absolute path. It must exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/"))]
    pub host_path: Option<String>,
    /// A file system in memory, lost when the container stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tmpfs: Option<Tmpfs>,
    /// Whether the container can only read it. Default: false; always true for a ConfigMap or Secret.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Mount this key alone, as a file at `path`. For a ConfigMap or Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The files' permission bits in octal. Default: `0444` for a ConfigMap, `0400` for a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "mode", "type" = ["string", "integer"]))]
    pub mode: Option<String>,
    /// The files' owner, by number. Default: 0, or the template's `user` when that is a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The files' group, by number. Default: 0, or the template's `user`'s group when that is a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}

/// A file system in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Tmpfs {
    /// Its size. Default: no limit but the host's memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Memory>,
    /// Its permission bits in octal. Default: `1777`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "mode", "type" = ["string", "integer"]))]
    pub mode: Option<String>,
}

/// Limits and requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Resources {
    /// What the container can never exceed.
    pub limits: Limits,
    /// What it gets when the host is short.
    pub requests: Requests,
}

/// What a container can never exceed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// CPU time in cores. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// Memory, at least 6Mi; beyond it the process is killed. Swap is not added. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Number of processes. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub pids: Option<u32>,
}

/// What a container gets when the host is short.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Requests {
    /// A relative weight of CPU time: 1 core is 1024 of Docker's CPU shares. Default: 1024 shares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// Docker's memory reservation. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
}

/// Something that must be there first. Exactly one of `deployment` and `job` is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dependency {
    /// A Deployment of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Name>,
    /// A Job of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Name>,
    /// Available for a Deployment (all its replicas are, and no update of it is under way or about to begin), Complete for a
    /// Job. Default: that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<DependencyCondition>,
}

impl Dependency {
    /// The object that `owner` depends on; none where the manifest names none, which is a mistake.
    pub fn key(&self, owner: &Key) -> Option<Key> {
        let deployment = self.deployment.as_ref().map(|name| owner.sibling(Kind::Deployment, name));
        deployment.or_else(|| self.job.as_ref().map(|name| owner.sibling(Kind::Job, name)))
    }
}

/// The state that a dependency must be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DependencyCondition {
    /// A Deployment whose replicas are all available.
    Available,
    /// A Job that has succeeded in its newest revision.
    Complete,
}

/// What Docker does when a container ends by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RestartPolicy {
    /// Start it again, also after a reboot (Docker's `unless-stopped`).
    #[default]
    Always,
    /// Start it again when its exit code is not 0.
    OnFailure,
    /// Leave it; Evenkeel replaces the replica.
    Never,
}

/// Linux capabilities, such as NET_BIND_SERVICE or ALL.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Capabilities {
    /// Capabilities to add.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
    /// Capabilities to drop.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
}

impl Capabilities {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A soft and a hard limit of processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ulimit {
    /// The limit that a process starts with.
    pub soft: i64,
    /// The limit that it may raise it to.
    pub hard: i64,
}

/// Name resolution. Docker's own DNS always answers for names on the container's networks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Dns {
    /// Servers for names outside. Default: the host's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<std::net::IpAddr>,
    /// Search domains. Default: the host's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Options of `resolv.conf`. Default: `ndots:1`, so that a missing replica's name is not asked of outside servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

impl Dns {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A log driver and its options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Logging {
    /// Docker's log driver, such as local, json-file, journald or none.
    pub driver: String,
    /// Its options. For local and json-file `max-size` defaults to 10m and `max-file` to 5.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

fn fifteen_seconds() -> Span {
    Span::secs(15)
}
fn thirty_seconds() -> Span {
    Span::secs(30)
}
fn loopback() -> std::net::IpAddr {
    std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)
}
