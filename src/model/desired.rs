//! What should be: the manifests of all sources, checked and resolved. It holds no secret content, so it may be printed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::build::ImageBuild;
use super::image::CleanUp;
use super::last_good::GoodRevision;
use super::name::{DEFAULT_INSTANCE, Instance, Key, Kind, Name, engine_name};
use super::policy::{HostFile, Standing};
use super::revision::{Checkout, ContentId};
use super::spec::{CronJobSpec, DeploymentSpec, JobSpec, NamespaceSpec, NetworkSpec, Template, VolumeSpec};

/// What the operator sets for the whole controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The instance that owns what is created.
    pub instance: Instance,
    /// Where networks without a subnet of their own get a /24 from, in CIDR form.
    pub subnet_pool: String,
    /// No pull begins with fewer bytes free where the engine keeps its images; 0 for never mind. None: a share of the
    /// file system.
    pub min_free_disk: Option<u64>,
    /// What becomes of images that nothing needs any more.
    pub images: CleanUp,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            instance: Name::new(DEFAULT_INSTANCE).expect("the default instance is a name"),
            subnet_pool: "10.201.0.0/16".into(),
            min_free_disk: None,
            images: CleanUp::default(),
        }
    }
}

/// Everything that the sources declare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    /// What the operator sets.
    pub settings: Settings,
    /// Namespaces, declared or merely used.
    pub namespaces: BTreeMap<Name, NamespaceSpec>,
    /// Networks, the implicit `default` of a namespace included where something uses it.
    pub networks: BTreeMap<Key, Declared<NetworkSpec>>,
    /// Volumes.
    pub volumes: BTreeMap<Key, Declared<VolumeSpec>>,
    /// Jobs.
    pub jobs: BTreeMap<Key, Declared<JobSpec>>,
    /// CronJobs.
    pub cron_jobs: BTreeMap<Key, Declared<CronJobSpec>>,
    /// Deployments.
    pub deployments: BTreeMap<Key, Declared<DeploymentSpec>>,
    /// ConfigMaps and Secrets, with the id of their present content.
    pub contents: BTreeMap<Key, Declared<ContentId>>,
    /// The images that are built here, by reference.
    pub builds: BTreeMap<String, ImageBuild>,
    /// Why some sources are unknown: never read well since the state directory was made. While there is one,
    /// nothing is pruned, because what is missing here may be declared there.
    pub unknown_sources: Vec<String>,
    /// Sources that were read before and are not configured any more: what only they declared looks removed, and may not be.
    pub dropped_sources: Vec<String>,
    /// Files of the host that Secrets and Namespaces read, by the reader.
    pub host_files: BTreeMap<Key, BTreeSet<HostFile>>,
    /// The git commit that the source of each Deployment, Job and CronJob is at, where it is in a checkout.
    pub commits: BTreeMap<Key, Checkout>,
    /// What last completed of Deployments that have no history: on a rebuilt machine that comes back first.
    pub last_good: BTreeMap<Key, GoodRevision>,
    /// What the operator allows.
    pub policy: Standing,
}

/// One declared object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared<T> {
    /// What the manifest says.
    pub spec: T,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// Where the manifest stands, `shop/web.yaml:3`, for people.
    pub place: String,
}

impl<T> Declared<T> {
    /// An object without labels, annotations or a place: for tests and implicit objects.
    pub fn bare(spec: T) -> Self {
        Self { spec, labels: BTreeMap::new(), annotations: BTreeMap::new(), place: String::new() }
    }
}

impl Desired {
    /// The keys of everything that is declared, or used without that.
    pub fn keys(&self) -> BTreeSet<Key> {
        let namespaces = self.namespaces.keys().map(|name| Key::new(Kind::Namespace, name.clone(), name.clone()));
        let keys = self.networks.keys().chain(self.volumes.keys()).chain(self.jobs.keys()).chain(self.cron_jobs.keys());
        namespaces.chain(keys.chain(self.deployments.keys()).chain(self.contents.keys()).cloned()).collect()
    }

    /// What the engine calls a network: its own name if the manifest gives one.
    pub fn network_name(&self, network: &Key) -> String {
        self.named(network, self.networks.get(network).and_then(|declared| declared.spec.name.as_ref()))
    }

    /// The same of a volume.
    pub fn volume_name(&self, volume: &Key) -> String {
        self.named(volume, self.volumes.get(volume).and_then(|declared| declared.spec.name.as_ref()))
    }

    fn named(&self, key: &Key, own: Option<&String>) -> String {
        own.cloned().unwrap_or_else(|| engine_name(&self.settings.instance, &key.namespace, &key.name))
    }

    /// Whether an object of this key is declared.
    pub fn declares(&self, key: &Key) -> bool {
        match key.kind {
            Kind::Namespace => self.namespaces.contains_key(&key.name),
            Kind::Network => self.networks.contains_key(key),
            Kind::Volume => self.volumes.contains_key(key),
            Kind::Job => self.jobs.contains_key(key),
            Kind::CronJob => self.cron_jobs.contains_key(key),
            Kind::Deployment => self.deployments.contains_key(key),
            Kind::ConfigMap | Kind::Secret => self.contents.contains_key(key),
        }
    }

    /// Every image that a template names, as written.
    pub fn images(&self) -> BTreeSet<String> {
        self.templates().map(|(_, template)| template.image.clone()).collect()
    }

    /// The container template of every workload.
    pub fn templates(&self) -> impl Iterator<Item = (&Key, &Arc<Template>)> {
        let deployments = self.deployments.iter().map(|(key, declared)| (key, &declared.spec.template));
        let jobs = self.jobs.iter().map(|(key, declared)| (key, &declared.spec.template));
        let cron_jobs = self.cron_jobs.iter().map(|(key, declared)| (key, &declared.spec.template));
        jobs.chain(cron_jobs).chain(deployments)
    }
}
