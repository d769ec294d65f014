//! What comes out: the objects of a source with their namespace's defaults, and several sources put together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::Source;
use super::context::Asked;
use super::diagnostic::{Diagnostic, Problems};
use super::objects::{Object, Objects, Spec};
use super::validate::clashes::{self, Claim};
use crate::model::build::{ImageBuild, SeenContext};
use crate::model::desired::{Declared, Desired};
use crate::model::name::{Key, Kind, Name};
use crate::model::policy::HostFile;
use crate::model::revision::{Content, ContentHasher, ContentId};
use crate::model::spec::{Mount, NamespaceDefaults, NetworkAttachment, NetworkSpec, Template};

/// What a source declares, checked and resolved. No `Debug`: it holds secrets.
#[derive(Clone, Default)]
pub struct Loaded {
    /// The objects. `settings` and `unknown_sources` are the caller's to fill.
    pub desired: Desired,
    /// The contents of its ConfigMaps and Secrets.
    pub contents: BTreeMap<ContentId, Content>,
    /// Files on the host that were read and are not in the snapshot (Secrets, variables): to be watched, and a reason
    /// to load again when they change. An optional one that is missing is here too.
    pub external: BTreeSet<PathBuf>,
    /// The contexts that its images are built from: a reason to load again when their content changes.
    pub contexts: BTreeMap<Asked, SeenContext>,
    /// Their folders, to be watched.
    pub folders: BTreeSet<PathBuf>,
    /// What its objects claim for themselves, for the clashes that [`merge`] finds; nothing once merged.
    claims: Vec<Claim>,
}

/// Puts sources together, or reports where they claim the same object, host port or Docker name.
pub fn merge(sources: &[(&Source, &Loaded)]) -> Result<Loaded, Vec<Diagnostic>> {
    let mut problems = Problems::default();
    // What one source claims alone was compared when it was loaded.
    if sources.len() > 1 {
        clashes::compare(sources.iter().flat_map(|(_, loaded)| &loaded.claims), &mut problems);
    }
    if !problems.is_empty() {
        return Err(problems.into_sorted());
    }
    let mut all = Loaded::default();
    for (_, loaded) in sources {
        all.add(loaded);
    }
    Ok(all)
}

impl Loaded {
    /// Adds another source. What is implied gives way to what is declared.
    fn add(&mut self, other: &Loaded) {
        let from = other.desired.clone();
        let declared: BTreeSet<&Key> = other.claims.iter().filter_map(Claim::object).collect();
        for (name, spec) in from.namespaces {
            let key = Key::new(Kind::Namespace, name.clone(), name.clone());
            if declared.contains(&key) || !self.desired.namespaces.contains_key(&name) {
                self.desired.namespaces.insert(name, spec);
            }
        }
        for (key, network) in from.networks {
            if declared.contains(&key) || !self.desired.networks.contains_key(&key) {
                self.desired.networks.insert(key, network);
            }
        }
        self.desired.volumes.extend(from.volumes);
        self.desired.jobs.extend(from.jobs);
        self.desired.cron_jobs.extend(from.cron_jobs);
        self.desired.deployments.extend(from.deployments);
        self.desired.contents.extend(from.contents);
        for (reader, files) in from.host_files {
            self.desired.host_files.entry(reader).or_default().extend(files);
        }
        self.desired.builds.extend(from.builds);
        self.contents.extend(other.contents.clone());
        self.contexts.extend(other.contexts.clone());
        self.folders.extend(other.folders.clone());
        self.external.extend(other.external.clone());
    }
}

/// What was read outside of the snapshot: all of it, and by whom.
pub struct Read {
    /// The files.
    pub external: BTreeSet<PathBuf>,
    /// The files of each Secret and Namespace.
    pub readers: BTreeMap<Key, BTreeSet<HostFile>>,
    /// The contexts of images.
    pub contexts: BTreeMap<Asked, SeenContext>,
    /// Their folders.
    pub folders: BTreeSet<PathBuf>,
}

/// Puts the parts of a source that has no mistake together.
pub fn assemble(
    objects: Objects,
    contents: BTreeMap<Key, Content>,
    builds: BTreeMap<Key, ImageBuild>,
    read: Read,
    claims: Vec<Claim>,
    hasher: &ContentHasher,
) -> Loaded {
    let Read { external, readers, contexts, folders } = read;
    let mut loaded = Loaded { external, contexts, folders, claims, ..Loaded::default() };
    loaded.desired.host_files = readers;
    loaded.desired.builds = builds.values().map(|build| (build.image.clone(), build.clone())).collect();
    let ids: BTreeMap<Key, ContentId> =
        contents.iter().map(|(key, content)| (key.clone(), hasher.id(key.kind, content))).collect();
    for (key, content) in contents {
        loaded.contents.insert(ids[&key].clone(), content);
    }
    // Namespaces first: the others take their defaults.
    let (namespaces, others): (Vec<_>, Vec<_>) =
        objects.list.into_values().partition(|o| o.key.kind == Kind::Namespace);
    for object in namespaces.into_iter().chain(others) {
        loaded.desired.namespaces.entry(object.key.namespace.clone()).or_default();
        let image = builds.get(&object.key).map(|build| &build.image);
        place(&mut loaded.desired, object, &ids, image);
    }
    inherit(&mut loaded.desired);
    implicit_networks(&mut loaded.desired);
    loaded
}

/// `built` is the image that is built for it.
fn place(desired: &mut Desired, object: Object, ids: &BTreeMap<Key, ContentId>, built: Option<&String>) {
    let place = object.document.at().spot().brief();
    let Object { key, metadata, spec, .. } = object;
    let defaults =
        desired.namespaces.get(&key.namespace).map(|namespace| namespace.defaults.clone()).unwrap_or_default();
    macro_rules! declared {
        ($spec:expr) => {
            Declared { spec: $spec, labels: metadata.labels, annotations: metadata.annotations, place }
        };
    }
    match spec {
        Spec::Namespace(spec) => drop(desired.namespaces.insert(key.name, spec)),
        Spec::Network(spec) => drop(desired.networks.insert(key, declared!(spec))),
        Spec::Volume(spec) => drop(desired.volumes.insert(key, declared!(spec))),
        Spec::ConfigMap(_) | Spec::Secret(_) => {
            let id = ids[&key].clone();
            desired.contents.insert(key, declared!(id));
        }
        Spec::Job(mut spec) => {
            apply(Arc::make_mut(&mut spec.template), defaults, built);
            desired.jobs.insert(key, declared!(*spec));
        }
        Spec::CronJob(mut spec) => {
            apply(Arc::make_mut(&mut spec.template), defaults, built);
            desired.cron_jobs.insert(key, declared!(*spec));
        }
        Spec::Deployment(mut spec) => {
            apply(Arc::make_mut(&mut spec.template), defaults, built);
            desired.deployments.insert(key, declared!(*spec));
        }
    }
}

/// What a template does not say, its namespace says; and from here on an image that is built is an image.
fn apply(template: &mut Template, defaults: NamespaceDefaults, built: Option<&String>) {
    if let Some(image) = built {
        template.image.clone_from(image);
        template.build = None;
    }
    template.image_pull_policy = template.image_pull_policy.or(defaults.image_pull_policy);
    if template.image_pull_secrets.is_empty() {
        template.image_pull_secrets = defaults.image_pull_secrets;
    }
    template.logging = template.logging.take().or(defaults.logging);
}

/// A gate's Job that names no image takes its Deployment's image, and what it needs to work with it, where it names none.
fn inherit(desired: &mut Desired) {
    for (key, declared) in &desired.deployments {
        let gates = &declared.spec.gates;
        let from = &declared.spec.template;
        for job in gates.before.iter().chain(&gates.after).filter_map(|gate| gate.job.as_ref()) {
            let job = desired.jobs.get_mut(&key.sibling(Kind::Job, job));
            let Some(job) = job.map(|job| &mut job.spec).filter(|job| job.template.image.is_empty()) else { continue };
            job.image_of = Some(key.name.clone());
            let template = Arc::make_mut(&mut job.template);
            template.image = from.image.clone();
            template.image_pull_policy = from.image_pull_policy;
            template.image_pull_secrets = from.image_pull_secrets.clone();
            if template.env.is_empty() && template.env_from.is_empty() {
                (template.env, template.env_from) = (from.env.clone(), from.env_from.clone());
            }
            if template.networks.is_empty() && !template.host_network {
                template.host_network = from.host_network;
                let joined = from.networks.iter().map(|network| NetworkAttachment::Name(network.name().clone()));
                template.networks = joined.collect();
            }
            if template.mounts.is_empty() {
                let content = |mount: &&Mount| mount.config_map.is_some() || mount.secret.is_some();
                template.mounts = from.mounts.iter().filter(content).cloned().collect();
            }
        }
    }
}

/// The network `default` of every namespace where a template uses it and no manifest declares it.
fn implicit_networks(desired: &mut Desired) {
    let Ok(default) = Name::new("default") else { return };
    let uses = |template: &Template| {
        let named = template.networks.iter().any(|network| *network.name() == default);
        named || (template.networks.is_empty() && !template.host_network)
    };
    let users = desired.templates().filter(|(_, template)| uses(template));
    let keys: BTreeSet<Key> = users.map(|(key, _)| key.sibling(Kind::Network, &default)).collect();
    for key in keys {
        desired.networks.entry(key).or_insert_with(|| Declared::bare(NetworkSpec::default()));
    }
}
