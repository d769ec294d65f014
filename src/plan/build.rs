//! From a template to a container: names, labels, resolved networks, mounts and environment. It decides nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::images;
use super::replica::find;
use super::world::World;
use crate::model::container::{Adjustable, Attachment, ContainerSpec, EnvSource, Files, MountSource, MountSpec, label};
use crate::model::desired::Desired;
use crate::model::history::DeploymentHistory;
use crate::model::name::{Key, Kind, Name, Slot, container_name};
use crate::model::observed::Container;
use crate::model::revision::{ContentId, Contents, ImageId, RevisionId, TemplateHash, content_ref};
use crate::model::spec::{EnvValue, Mount, NetworkAttachment, RestartPolicy, Template};

/// A revision of a Deployment or Job, as far as making a container of it goes.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The Deployment or Job.
    pub owner: &'a Key,
    /// The revision.
    pub revision: &'a RevisionId,
    /// The template's hash.
    pub template_hash: &'a TemplateHash,
    /// The template.
    pub template: &'a Template,
    /// The contents that it uses.
    pub contents: &'a Contents,
    /// The image.
    pub image: &'a ImageId,
}

/// The container for `slot`; with `named` it has its names from the start.
pub fn container(world: World, source: Source, slot: Slot, named: bool) -> ContainerSpec {
    let Source { owner, template, contents, .. } = source;
    let Places { attachments: mut networks, names } = places(world, owner, template);
    for attachment in networks.iter_mut().filter(|_| named) {
        attachment.aliases = names.get(&attachment.network).cloned().unwrap_or_default();
    }
    ContainerSpec {
        name: name(world, source, slot),
        labels: labels(world, source, slot),
        image: images::reference(world, template, source.image),
        env: environment(template, contents),
        networks,
        mounts: template.mounts.iter().filter_map(|m| mount(world, owner, template, contents, m)).collect(),
        restart_policy: restart_policy(owner, template),
        template: template.clone(),
    }
}

/// The deterministic name of the container for `slot`.
pub fn name(world: World, source: Source, slot: Slot) -> String {
    let instance = &world.desired.settings.instance;
    container_name(instance, &source.owner.namespace, &source.owner.name, &source.revision.0, slot)
}

/// A run of a Job or CronJob is never restarted by the engine: it would run twice.
pub fn restart_policy(owner: &Key, template: &Template) -> RestartPolicy {
    if owner.kind.runs_to_completion() { RestartPolicy::Never } else { template.restart_policy }
}

/// What Docker can change in place, as the template wants it.
pub fn adjustable(owner: &Key, template: &Template) -> Adjustable {
    Adjustable {
        limits: template.resources.limits.clone(),
        requests: template.resources.requests.clone(),
        restart_policy: restart_policy(owner, template),
    }
}

/// The same, of a container to be.
pub fn adjustable_of(spec: &ContainerSpec) -> Adjustable {
    Adjustable {
        limits: spec.template.resources.limits.clone(),
        requests: spec.template.resources.requests.clone(),
        restart_policy: spec.restart_policy,
    }
}

/// Where a template's containers live: their networks, and the names that a ready one has there.
#[derive(Debug, Clone)]
pub struct Places {
    /// The networks, without names.
    pub attachments: Vec<Attachment>,
    /// The names on each network.
    pub names: BTreeMap<String, BTreeSet<String>>,
}

/// The places of a template.
pub fn places(world: World, owner: &Key, template: &Template) -> Places {
    let attachments = attachments(world, owner, template);
    let names = names(world, owner, template, &attachments);
    Places { attachments, names }
}

/// The networks of a template by their names in the engine, without any alias: a name is given when it is ready.
pub fn attachments(world: World, owner: &Key, template: &Template) -> Vec<Attachment> {
    let attachment = |n: &NetworkAttachment| Attachment {
        network: network_name(world, owner, n.name()),
        aliases: BTreeSet::new(),
        address: n.address(),
    };
    if template.host_network {
        return Vec::new();
    }
    if template.networks.is_empty() {
        return vec![attachment(&NetworkAttachment::Name(Name::new("default").expect("a name")))];
    }
    template.networks.iter().map(attachment).collect()
}

/// The names that a ready replica has on each of its networks. A Job has none.
fn names(
    world: World,
    owner: &Key,
    template: &Template,
    attachments: &[Attachment],
) -> BTreeMap<String, BTreeSet<String>> {
    let own =
        attachments.iter().map(|attachment| (attachment.network.clone(), BTreeSet::from([owner.name.to_string()])));
    let mut names: BTreeMap<String, BTreeSet<String>> = own.collect();
    for network in &template.networks {
        let further = network.aliases().iter().map(ToString::to_string);
        names.entry(network_name(world, owner, network.name())).or_default().extend(further);
    }
    names
}

/// What the engine calls a network that an object names.
pub fn network_name(world: World, owner: &Key, network: &Name) -> String {
    world.desired.network_name(&owner.sibling(Kind::Network, network))
}

/// What the engine calls a volume that an object names.
pub fn volume_name(world: World, owner: &Key, volume: &Name) -> String {
    world.desired.volume_name(&owner.sibling(Kind::Volume, volume))
}

fn labels(world: World, source: Source, slot: Slot) -> BTreeMap<String, String> {
    let ours = [
        (label::INSTANCE, world.desired.settings.instance.to_string()),
        (label::KIND, source.owner.kind.to_string()),
        (label::NAMESPACE, source.owner.namespace.to_string()),
        (label::NAME, source.owner.name.to_string()),
        (label::REVISION, source.revision.to_string()),
        (label::TEMPLATE, source.template_hash.to_string()),
        (label::SLOT, slot.to_string()),
    ];
    let mut labels = source.template.labels.clone();
    labels.extend(ours.map(|(key, value)| (key.to_string(), value)));
    labels
}

/// Later entries win: first what `envFrom` brings, then `env`.
fn environment(template: &Template, contents: &Contents) -> Vec<EnvSource> {
    let content = |kind, name: &Name| contents.get(&content_ref(kind, name)).cloned();
    let from = template.env_from.iter().filter_map(|from| {
        let secret = from.secret.as_ref().and_then(|name| content(Kind::Secret, name));
        let config = from.config_map.as_ref().and_then(|name| content(Kind::ConfigMap, name));
        Some(EnvSource::AllKeys { content: secret.or(config)?, prefix: from.prefix.clone() })
    });
    let key = |name: &String, content: ContentId, key: &String| EnvSource::Key {
        name: name.clone(),
        content,
        key: key.clone(),
    };
    let single = template.env.iter().filter_map(|(name, value)| match value {
        EnvValue::Text(value) => Some(EnvSource::Text { name: name.clone(), value: value.clone() }),
        EnvValue::Secret(from) => Some(key(name, content(Kind::Secret, &from.secret)?, &from.key)),
        EnvValue::ConfigMap(from) => Some(key(name, content(Kind::ConfigMap, &from.config_map)?, &from.key)),
    });
    from.chain(single).collect()
}

fn mount(world: World, owner: &Key, template: &Template, contents: &Contents, mount: &Mount) -> Option<MountSpec> {
    let spec = |source, read_only| Some(MountSpec { path: mount.path.clone(), source, read_only });
    if let Some(volume) = &mount.volume {
        return spec(MountSource::Volume(volume_name(world, owner, volume)), mount.read_only);
    }
    if let Some(path) = &mount.host_path {
        return spec(MountSource::HostPath(path.clone()), mount.read_only);
    }
    if let Some(tmpfs) = &mount.tmpfs {
        let mode = tmpfs.mode.as_deref().and_then(octal);
        return spec(MountSource::Tmpfs { size: tmpfs.size.map(|size| size.0), mode }, mount.read_only);
    }
    let (kind, name, mode) = match (&mount.config_map, &mount.secret) {
        (Some(name), _) => (Kind::ConfigMap, name, 0o444),
        (None, Some(name)) => (Kind::Secret, name, 0o400),
        (None, None) => return None,
    };
    let (uid, gid) = owner_of_files(template);
    let files = Files {
        content: contents.get(&content_ref(kind, name))?.clone(),
        key: mount.key.clone(),
        mode: mount.mode.as_deref().and_then(octal).unwrap_or(mode),
        uid: mount.uid.unwrap_or(uid),
        gid: mount.gid.unwrap_or(gid),
    };
    spec(MountSource::Files(files), true)
}

/// The rendered files that a template's containers mount.
pub fn files(world: World, owner: &Key, template: &Template, contents: &Contents) -> Vec<Files> {
    let mounts = template.mounts.iter().filter_map(|m| mount(world, owner, template, contents, m));
    let files = mounts.filter_map(|mount| match mount.source {
        MountSource::Files(files) => Some(files),
        MountSource::Volume(_) | MountSource::HostPath(_) | MountSource::Tmpfs { .. } => None,
    });
    files.collect()
}

/// The rendered files that a container mounts, as far as its revision is known.
pub fn files_of(world: World, key: &Key, history: &DeploymentHistory, container: &Container) -> Vec<Files> {
    let revision = find(history, &container.revision);
    revision.map(|r| files(world, key, &r.template, &r.contents)).unwrap_or_default()
}

/// A secret that only root may read is of no use to a container that runs as somebody else: take its numeric user.
fn owner_of_files(template: &Template) -> (u32, u32) {
    let user = template.user.as_deref().unwrap_or("");
    let (user, group) = user.split_once(':').unwrap_or((user, ""));
    let uid = user.parse().unwrap_or(0);
    (uid, group.parse().unwrap_or(uid))
}

fn octal(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8).ok()
}

/// The contents that a template's containers use, with the ids of today.
pub fn contents(world: World, owner: &Key, template: &Template) -> Contents {
    contents_in(world.desired, owner, template)
}

/// The same by what the manifests say.
pub fn contents_in(desired: &Desired, owner: &Key, template: &Template) -> Contents {
    let found = contents_of(template).filter_map(|(kind, name)| {
        let id = desired.contents.get(&owner.sibling(kind, name))?;
        Some((content_ref(kind, name), id.spec.clone()))
    });
    found.collect()
}

/// The ConfigMaps and Secrets that a template's containers use.
pub fn contents_of(template: &Template) -> impl Iterator<Item = (Kind, &Name)> {
    let from_env = template.env.values().filter_map(|value| match value {
        EnvValue::Text(_) => None,
        EnvValue::Secret(from) => Some((Kind::Secret, &from.secret)),
        EnvValue::ConfigMap(from) => Some((Kind::ConfigMap, &from.config_map)),
    });
    let from_all = template.env_from.iter().flat_map(|from| both(&from.secret, &from.config_map));
    let from_mounts = template.mounts.iter().flat_map(|mount| both(&mount.secret, &mount.config_map));
    from_env.chain(from_all).chain(from_mounts)
}

fn both<'a>(secret: &'a Option<Name>, config_map: &'a Option<Name>) -> impl Iterator<Item = (Kind, &'a Name)> {
    let secret = secret.iter().map(|name| (Kind::Secret, name));
    secret.chain(config_map.iter().map(|name| (Kind::ConfigMap, name)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::action::Call;
    use crate::model::desired::Declared;
    use crate::model::history::History;
    use crate::model::observed::{Image, ImageState, Observed};
    use crate::model::time::Timestamp;
    use crate::plan::{Step, forecast, plan};

    fn template(user: Option<&str>) -> Template {
        let mounts = json!([{"secret": "tls", "path": "/tls"}, {"tmpfs": {}, "path": "/tmp"}]);
        serde_json::from_value(json!({"image": "web:1", "user": user, "mounts": mounts})).unwrap()
    }

    #[test]
    fn files_belong_to_the_numeric_user_of_their_container() {
        for (user, expected) in [
            (None, (0, 0)),
            (Some("postgres"), (0, 0)),
            (Some("999"), (999, 999)),
            (Some("999:70"), (999, 70)),
            (Some("999:staff"), (999, 999)),
        ] {
            assert_eq!(owner_of_files(&template(user)), expected, "{user:?}");
        }
    }

    #[test]
    fn a_start_brings_the_files_that_the_container_mounts() {
        let name = |text: &str| Name::new(text).unwrap();
        let key = Key::new(Kind::Deployment, name("shop"), name("web"));
        let template = Template { host_network: true, ..template(Some("999")) };
        let spec = serde_json::from_value(json!({"template": template})).unwrap();
        let (mut desired, mut observed, now) = (Desired::default(), Observed::default(), Timestamp(1));
        desired.contents.insert(key.sibling(Kind::Secret, &name("tls")), Declared::bare(ContentId("s-1".into())));
        desired.deployments.insert(key, Declared::bare(spec));
        let image = Image {
            id: ImageId("sha256:1".into()),
            tags: Vec::new(),
            digests: Vec::new(),
            has_health_check: false,
            volumes: BTreeSet::new(),
            platform: Default::default(),
            is_ours: false,
        };
        observed.images.insert("web:1".into(), ImageState::Present(image));
        let first = plan(&desired, &observed, &History::default(), now);
        let mut ahead = forecast(&desired, &observed, &History::default(), now, &first).steps.into_iter();
        let files = ahead.find_map(|step| match step {
            Step::Act(action) => match action.call {
                Call::Start { files, .. } => Some(files),
                _ => None,
            },
            Step::Check(_) => None,
        });
        let tls = Files { content: ContentId("s-1".into()), key: None, mode: 0o400, uid: 999, gid: 999 };
        assert_eq!(files, Some(vec![tls]));
    }
}
