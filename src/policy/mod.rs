//! The policy, judged: whether a namespace may have what a call to the engine asks for. Pure: what the host looks like
//! (where paths lead, which volumes there are) is an argument.
//!
//! It refuses and explains; it does not decide what follows. [`refusals`] judges any call; [`approve`] is the only way
//! to an [`Approved`], without which the engine makes no container, network, volume or image. The levels are those of the Pod
//! Security Standards of Kubernetes, with what Docker has beside them. Every template field is named in `container`,
//! so that a new one cannot be forgotten.

mod builds;
mod container;
mod doubts;
mod extras;
mod files;
mod flaws;
mod networks;
mod paths;
mod subnets;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use crate::model::action::{Call, NetworkCreate, VolumeCreate};
use crate::model::build::ImageBuild;
use crate::model::container::ContainerSpec;
use crate::model::desired::Desired;
use crate::model::name::Name;
use crate::model::observed::{Network, Observed, Volume};
use crate::model::policy::{Exceptions, HostPath, Level, Policy, Refusal, Standing};

pub use doubts::{pushed, unrestricted};
pub use flaws::flaws;
pub use paths::{of_interest as paths_of_interest, of_rules as paths_of_rules};

/// What a judgement looks at.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// What should be, with the policy in it.
    pub desired: &'a Desired,
    /// All networks, by name.
    pub networks: &'a BTreeMap<String, Network>,
    /// All volumes, by name.
    pub volumes: &'a BTreeMap<String, Volume>,
    /// The subnets of the host's routes; none where that is another host's business.
    pub host_subnets: &'a BTreeSet<String>,
    /// Where the paths of [`paths_of_interest`] lead; none where that is another host's business, and paths are only
    /// compared as they are written.
    pub paths: Option<&'a BTreeMap<String, HostPath>>,
}

impl<'a> Ground<'a> {
    /// What was observed.
    pub fn of(desired: &'a Desired, observed: &'a Observed) -> Self {
        let (networks, volumes) = (&observed.networks, &observed.volumes);
        let host_subnets = &observed.host_subnets;
        Self { desired, networks, volumes, host_subnets, paths: observed.host_paths.as_ref() }
    }
}

/// What the policy allows. Only [`approve`] makes one.
pub struct Approved<'a, T>(&'a T);

impl<T> Clone for Approved<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Approved<'_, T> {}

impl<T> Deref for Approved<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0
    }
}

/// What can be made in the engine, and is judged before.
pub trait Judged {
    /// Adds everything that the policy does not allow.
    #[doc(hidden)]
    fn judge(&self, judge: &mut Judge);
}

/// Whether nothing is refused in `namespace` whatever is asked for: there is no policy, or it is privileged.
pub fn is_free(standing: &Standing, namespace: &Name) -> bool {
    match standing {
        Standing::Absent => true,
        Standing::InForce(policy) => level(policy, namespace).0 == Level::Privileged,
        Standing::Broken(_) => false,
    }
}

/// `subject`, approved for `namespace`, or everything that the policy does not allow.
pub fn approve<'a, T: Judged>(
    ground: Ground,
    namespace: &Name,
    subject: &'a T,
) -> Result<Approved<'a, T>, Vec<Refusal>> {
    let found = examine(ground, namespace, |judge| subject.judge(judge));
    if found.is_empty() { Ok(Approved(subject)) } else { Err(found) }
}

/// Everything that the policy does not allow of a call. One that only changes what was made before is always allowed: a
/// reconnection stays on its network, and takes names away too.
pub fn refusals(ground: Ground, namespace: &Name, call: &Call) -> Vec<Refusal> {
    match call {
        Call::CreateContainer(spec) => examine(ground, namespace, |judge| spec.judge(judge)),
        Call::CreateNetwork(network) => examine(ground, namespace, |judge| network.judge(judge)),
        Call::CreateVolume(volume) => examine(ground, namespace, |judge| volume.judge(judge)),
        Call::Pull { secrets, .. } => examine(ground, namespace, |judge| {
            // The name of the image, and with it what a registry is asked, can be made of them.
            judge.variables();
            judge.contents("template.imagePullSecrets", secrets.iter());
        }),
        Call::Build { build, secrets } => examine(ground, namespace, |judge| {
            build.judge(judge);
            judge.contents("template.imagePullSecrets", secrets.iter());
        }),
        Call::Connect(connection) => {
            examine(ground, namespace, |judge| judge.network("template.networks", &connection.network))
        }
        Call::Reconnect(_)
        | Call::RemoveImage { .. }
        | Call::RemoveNetwork { .. }
        | Call::Start { .. }
        | Call::Stop(_)
        | Call::Restart(_)
        | Call::Pause { .. }
        | Call::Unpause { .. }
        | Call::Remove { .. }
        | Call::Update { .. } => Vec::new(),
    }
}

/// Everything that the policy does not allow of a volume that is there, whoever made it.
pub fn volume_refusals(ground: Ground, namespace: &Name, live: &Volume) -> Vec<Refusal> {
    examine(ground, namespace, |judge| judge.live_volume("volume", live, false))
}

impl Judged for ContainerSpec {
    fn judge(&self, judge: &mut Judge) {
        judge.container(self);
    }
}

impl Judged for ImageBuild {
    fn judge(&self, judge: &mut Judge) {
        judge.build(self);
    }
}

impl Judged for NetworkCreate {
    fn judge(&self, judge: &mut Judge) {
        judge.network_create(self);
    }
}

impl Judged for VolumeCreate {
    fn judge(&self, judge: &mut Judge) {
        judge.volume_create(self);
    }
}

fn examine(ground: Ground, namespace: &Name, look: impl FnOnce(&mut Judge)) -> Vec<Refusal> {
    let policy = match &ground.desired.policy {
        Standing::Absent => return Vec::new(),
        Standing::Broken(why) => return vec![broken(why)],
        Standing::InForce(policy) => policy,
    };
    let (level, exceptions) = level(policy, namespace);
    if level == Level::Privileged {
        return Vec::new();
    }
    let mut judge = Judge { policy, level, exceptions, ground, namespace, found: Vec::new() };
    look(&mut judge);
    judge.found
}

/// The level of a namespace, and its exceptions.
fn level<'a>(policy: &'a Policy, namespace: &Name) -> (Level, &'a Exceptions) {
    static NONE: Exceptions = Exceptions {
        host_paths: Vec::new(),
        host_files: Vec::new(),
        build_contexts: Vec::new(),
        published: Vec::new(),
        devices: Vec::new(),
        gpus: false,
        capabilities: Vec::new(),
        sysctls: Vec::new(),
        security_options: Vec::new(),
        runtimes: Vec::new(),
        log_drivers: Vec::new(),
        volumes: Vec::new(),
        volume_drivers: Vec::new(),
        networks: Vec::new(),
        network_drivers: Vec::new(),
    };
    match policy.rules.namespaces.get(namespace) {
        Some(named) => (named.level, &named.exceptions),
        None => (policy.rules.default, &NONE),
    }
}

fn broken(why: &str) -> Refusal {
    Refusal {
        field: "it".into(),
        why: format!("cannot be judged, because the policy cannot be read: {why}"),
        rule: "policy-unreadable".into(),
        level: None,
        way_out: "mend the policy file; until then nothing new is made, and what runs goes on".into(),
    }
}

/// One judgement under way.
pub struct Judge<'a> {
    policy: &'a Policy,
    level: Level,
    exceptions: &'a Exceptions,
    ground: Ground<'a>,
    namespace: &'a Name,
    found: Vec<Refusal>,
}

impl Judge<'_> {
    fn is_restricted(&self) -> bool {
        self.level == Level::Restricted
    }

    /// Refuses a field. `except` is the exception that would allow it; none where only another level would.
    fn refuse(&mut self, field: impl Into<String>, rule: &str, why: impl Into<String>, except: Option<String>) {
        let (file, namespace) = (&self.policy.file, self.namespace);
        let way_out = match except {
            Some(entry) => {
                format!(
                    "change it, or let the operator add {entry} to the exceptions of namespace {namespace} in {file}"
                )
            }
            None => format!("change it, or let the operator give namespace {namespace} another level in {file}"),
        };
        let (field, why) = (field.into(), why.into());
        let refusal = Refusal { field, why, rule: rule.into(), level: Some(self.level), way_out };
        if !self.found.contains(&refusal) {
            self.found.push(refusal);
        }
    }
}

/// Whether `text` is one of `list`.
fn is_in(list: &[String], text: &str) -> bool {
    list.iter().any(|entry| entry == text)
}

/// The keys of a map that are not in `allowed`.
fn others<'a>(map: &'a BTreeMap<String, String>, allowed: &'a [&str]) -> impl Iterator<Item = &'a String> {
    let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
    map.keys().filter(move |key| !allowed.contains(key.as_str()))
}
