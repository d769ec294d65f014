//! What one object says about another: that it is there, that it has the key, that nobody waits in a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::subnet::Subnet;
use super::template::ENV_FROM_MAX;
use super::{World, wrong};
use crate::manifest::diagnostic::Problems;
use crate::manifest::objects::{Object, Spec};
use crate::manifest::place::At;
use crate::manifest::schema;
use crate::manifest::suggest;
use crate::model::name::{Key, Kind, Name};
use crate::model::revision::Content;
use crate::model::spec::{
    CronJobSpec, Dependency, DependencyCondition, DeploymentSpec, EnvValue, NamespaceSpec, NetworkAttachment, Quiesce,
    Template,
};

/// A network has at most one subnet of each family; more are told where they stand.
const SUBNETS_MAX: usize = 8;

/// How many names of a circle are told.
const CIRCLE_MAX: usize = 10;

/// The network that every namespace has without declaring it.
const DEFAULT_NETWORK: &str = "default";

/// The references of a Namespace's defaults.
pub fn namespace(world: &World<'_>, object: &Object, spec: &NamespaceSpec, problems: &mut Problems) {
    let at = object.document.at().field("spec").field("defaults").field("imagePullSecrets");
    pull_secrets(world, &object.key, at, &spec.defaults.image_pull_secrets, problems);
}

/// The references of a template.
pub fn template(world: &World<'_>, object: &Object, at: At<'_>, template: &Template, problems: &mut Problems) {
    let own = &object.key;
    environment(world, own, at, template, problems);
    for (index, mount) in template.mounts.iter().enumerate() {
        let at = at.field("mounts").item(index);
        if let Some(volume) = &mount.volume {
            declared(world, own, Kind::Volume, volume, at.field("volume"), problems);
        }
        let contents = [("configMap", Kind::ConfigMap, &mount.config_map), ("secret", Kind::Secret, &mount.secret)];
        for (field, kind, name) in contents.into_iter().filter_map(|(f, k, name)| Some((f, k, name.as_ref()?))) {
            let Some(content) = content(world, own, kind, name, at.field(field), problems) else { continue };
            if let Some(key) = &mount.key {
                has_key(kind, name, content, key, at.field("key"), problems);
            }
        }
    }
    for (index, network) in template.networks.iter().enumerate() {
        attachment(world, own, network, at.field("networks").item(index), problems);
    }
    for (index, dependency) in template.depends_on.iter().enumerate() {
        depends_on(world, own, dependency, at.field("dependsOn").item(index), problems);
    }
    pull_secrets(world, own, at.field("imagePullSecrets"), &template.image_pull_secrets, problems);
}

/// A volume for one writer cannot have several replicas.
pub fn single_writer(world: &World<'_>, object: &Object, spec: &DeploymentSpec, problems: &mut Problems) {
    for (index, mount) in spec.template.mounts.iter().enumerate() {
        let Some(volume) = &mount.volume else { continue };
        if spec.replicas > 1 && is_single_writer(world, &object.key, volume) {
            let at = object.document.at().field("spec").field("template").field("mounts").item(index).field("volume");
            let message = format!("volume '{volume}' is ReadWriteOncePod: it cannot have {} replicas", spec.replicas);
            wrong(problems, at, message).hint("write replicas: 1, or accessMode: ReadWriteMany in the Volume");
        }
    }
}

/// Whether a declared volume allows one container at a time.
pub fn is_single_writer(world: &World<'_>, own: &Key, volume: &Name) -> bool {
    let found = world.objects.list.get(&own.sibling(Kind::Volume, volume));
    found.is_some_and(|v| matches!(&v.spec, Spec::Volume(spec) if spec.has_one_writer()))
}

/// Whether a sibling is declared; if not, says so.
pub fn declared(world: &World<'_>, own: &Key, kind: Kind, name: &Name, at: At<'_>, problems: &mut Problems) -> bool {
    if world.objects.declared.contains_key(&own.sibling(kind, name)) {
        return true;
    }
    if !world.objects.complete {
        return false;
    }
    let title = schema::title(kind);
    let hint = problems.unless_full(|| Some(way_to(world, own, kind, name)));
    let problem = wrong(problems, at, format_args!("there is no {title} '{name}' in namespace '{}'", own.namespace));
    problem.hint = hint;
    false
}

/// What may be meant by the name of a sibling that is not there.
fn way_to(world: &World<'_>, own: &Key, kind: Kind, name: &Name) -> String {
    let all = world.objects.declared.keys().filter(|key| key.kind == kind);
    let siblings = all.clone().filter(|key| key.namespace == own.namespace).map(|key| key.name.as_str());
    let elsewhere = all.clone().find(|key| key.name == *name);
    match (suggest::nearest(name.as_str(), siblings), elsewhere) {
        (Some(near), _) => format!("did you mean '{near}'?"),
        (None, Some(other)) => {
            format!("there is one in namespace '{}'; namespaces do not see each other", other.namespace)
        }
        (None, None) => format!("declare it: kind: {}, metadata: {{name: {name}}}", schema::title(kind)),
    }
}

/// The content of a sibling, if it is declared and could be read.
fn content<'w>(
    world: &'w World<'_>,
    own: &Key,
    kind: Kind,
    name: &Name,
    at: At<'_>,
    problems: &mut Problems,
) -> Option<&'w Content> {
    match declared(world, own, kind, name, at, problems) {
        true => world.contents.get(&own.sibling(kind, name)),
        false => None,
    }
}

fn has_key(kind: Kind, name: &Name, content: &Content, key: &str, at: At<'_>, problems: &mut Problems) -> bool {
    if content.entries.contains_key(key) {
        return true;
    }
    let keys = content.entries.keys().map(String::as_str);
    let hint = problems.unless_full(|| suggest::hint(key, keys, "its keys are"));
    let problem = wrong(problems, at, format!("{} '{name}' has no key '{key}'", schema::title(kind)));
    problem.hint(hint.unwrap_or_else(|| "it has no keys at all".into()));
    false
}

fn environment(world: &World<'_>, own: &Key, at: At<'_>, template: &Template, problems: &mut Problems) {
    for (variable, value) in &template.env {
        let at = || at.field("env").field(variable);
        let (kind, field, name, key) = match value {
            EnvValue::Text(text) => {
                if text.contains('\0') {
                    wrong(problems, at(), "an environment variable cannot hold a NUL byte");
                }
                continue;
            }
            EnvValue::Secret(secret) => (Kind::Secret, "secret", &secret.secret, &secret.key),
            EnvValue::ConfigMap(map) => (Kind::ConfigMap, "configMap", &map.config_map, &map.key),
        };
        let at = at();
        let Some(content) = content(world, own, kind, name, at.field(field), problems) else { continue };
        if has_key(kind, name, content, key, at.field("key"), problems) {
            can_be_env(world, &own.sibling(kind, name), key, at.field("key"), problems);
        }
    }
    for (index, from) in template.env_from.iter().take(ENV_FROM_MAX).enumerate() {
        let at = at.field("envFrom").item(index);
        let sources = [("secret", Kind::Secret, &from.secret), ("configMap", Kind::ConfigMap, &from.config_map)];
        for (field, kind, name) in sources.into_iter().filter_map(|(f, k, name)| Some((f, k, name.as_ref()?))) {
            let Some(content) = content(world, own, kind, name, at.field(field), problems) else { continue };
            let digits = from.prefix.is_empty().then(|| content.entries.range("0".to_owned()..":".to_owned()));
            for (key, _) in digits.into_iter().flatten() {
                if problems.is_full() {
                    return;
                }
                wrong(problems, at.field(field), format!("its key '{key}' cannot be the name of a variable"))
                    .hint("name single keys in 'env'");
            }
            let key = own.sibling(kind, name);
            for name in world.no_texts.get(&key).into_iter().flatten() {
                if problems.is_full() {
                    return;
                }
                can_be_env(world, &key, name, at.field(field), problems);
            }
        }
    }
}

/// The keys whose values are no text without NUL bytes, which is all that the environment takes.
pub fn no_texts<'w>(contents: &'w BTreeMap<Key, Content>) -> BTreeMap<&'w Key, BTreeSet<&'w str>> {
    let is_text = |bytes: &[u8]| !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok();
    let of = |content: &'w Content| {
        let wrong = content.entries.iter().filter(|(_, value)| !is_text(value.expose()));
        wrong.map(|(key, _)| key.as_str()).collect()
    };
    contents.iter().map(|(key, content)| (key, of(content))).collect()
}

/// The environment takes text alone. The value is never shown.
fn can_be_env(world: &World<'_>, content: &Key, key: &str, at: At<'_>, problems: &mut Problems) {
    if world.no_texts.get(content).is_some_and(|keys| keys.contains(key)) {
        let message = format!("the value of key '{key}' is not text, so it cannot be in the environment");
        wrong(problems, at, message).hint("mount it as a file");
    }
}

fn attachment(world: &World<'_>, own: &Key, network: &NetworkAttachment, at: At<'_>, problems: &mut Problems) {
    let name_at = match network {
        NetworkAttachment::Name(_) => at,
        NetworkAttachment::Detailed(_) => at.field("name"),
    };
    let name = network.name();
    if name.as_str() != DEFAULT_NETWORK && !declared(world, own, Kind::Network, name, name_at, problems) {
        return;
    }
    let Some(address) = network.address() else { return };
    let at = at.field("address");
    let (external, subnets) = match world.objects.list.get(&own.sibling(Kind::Network, name)).map(|object| &object.spec)
    {
        Some(Spec::Network(spec)) => (spec.external, spec.subnets.as_slice()),
        _ => (false, &[][..]),
    };
    let subnets: Vec<Subnet> = subnets.iter().take(SUBNETS_MAX).filter_map(|text| Subnet::parse(text).ok()).collect();
    if external
        || world.objects.list.contains_key(&own.sibling(Kind::Network, name))
            != world.objects.declared.contains_key(&own.sibling(Kind::Network, name))
    {
        return;
    }
    if !subnets.iter().any(Subnet::is_ipv4) {
        let message = format!("a fixed address needs a subnet, and network '{name}' declares none");
        wrong(problems, at, message).hint(format!("write it in the Network: subnets: [{}]", around(address)));
    } else if !subnets.iter().any(|subnet| subnet.contains(address.into())) {
        wrong(problems, at, format!("{address} is in no subnet of network '{name}'"));
    }
}

/// The /24 that an address is in.
fn around(address: std::net::Ipv4Addr) -> String {
    let [a, b, c, _] = address.octets();
    format!("{a}.{b}.{c}.0/24")
}

/// That the Deployments which a CronJob wants quiet are there, and that it does not wait for one of them to serve.
pub fn quiesce(world: &World<'_>, object: &Object, spec: &CronJobSpec, problems: &mut Problems) {
    let at = object.document.at().field("spec").field("quiesce");
    let depends_on: BTreeSet<&Name> =
        spec.template.depends_on.iter().filter_map(|dependency| dependency.deployment.as_ref()).collect();
    let mut seen = BTreeSet::new();
    for (index, quiesce) in spec.quiesce.iter().enumerate() {
        let (at, name) = (at.item(index), quiesce.deployment());
        let at = match quiesce {
            Quiesce::Name(_) => at,
            Quiesce::Detailed(_) => at.field("deployment"),
        };
        declared(world, &object.key, Kind::Deployment, name, at, problems);
        if !seen.insert(name) {
            wrong(problems, at, format!("deployment '{name}' is there twice"));
        }
        if depends_on.contains(name) {
            wrong(problems, at, format!("the run depends on deployment '{name}', which would be quiet for it"))
                .hint("remove it from template.dependsOn, or from here");
        }
    }
}

fn depends_on(world: &World<'_>, own: &Key, dependency: &Dependency, at: At<'_>, problems: &mut Problems) {
    if let Some(deployment) = &dependency.deployment {
        declared(world, own, Kind::Deployment, deployment, at.field("deployment"), problems);
        if dependency.condition == Some(DependencyCondition::Complete) {
            wrong(problems, at.field("condition"), "a Deployment is never Complete").hint("write Available");
        }
    } else if let Some(job) = &dependency.job {
        declared(world, own, Kind::Job, job, at.field("job"), problems);
        if dependency.condition == Some(DependencyCondition::Available) {
            wrong(problems, at.field("condition"), "a Job is never Available").hint("write Complete");
        }
    }
}

fn pull_secrets(world: &World<'_>, own: &Key, at: At<'_>, names: &[Name], problems: &mut Problems) {
    for (index, name) in names.iter().enumerate() {
        let at = at.item(index);
        let Some(content) = content(world, own, Kind::Secret, name, at, problems) else { continue };
        let has = |key: &str| content.entries.contains_key(key);
        if !(has("config.json") || has("username") && has("password")) {
            let message = format!("Secret '{name}' holds no registry credentials");
            wrong(problems, at, message).hint("it needs the keys username and password, or config.json");
        }
    }
}

/// Reports every circle of `dependsOn` once, at the reference that closes it.
pub fn circles(world: &World<'_>, problems: &mut Problems) {
    let edges: BTreeMap<&Key, Vec<(At<'_>, Key)>> = world
        .objects
        .list
        .values()
        .filter_map(|object| Some((&object.key, targets(object, object.spec.template()?))))
        .collect();
    let mut done: BTreeSet<&Key> = BTreeSet::new();
    for start in edges.keys().copied() {
        // Depth first, with an explicit stack: a chain may be as long as there are objects.
        let mut path: Vec<(&Key, usize)> = vec![(start, 0)];
        let mut places: BTreeMap<&Key, usize> = BTreeMap::from([(start, 0)]);
        while let Some((key, next)) = path.last_mut().filter(|(key, _)| !done.contains(*key)) {
            let Some((at, target)) = edges[*key].get(*next) else {
                done.insert(*key);
                places.remove(*key);
                path.pop();
                continue;
            };
            *next += 1;
            if let Some(first) = places.get(target) {
                let circle = circle(path[*first..].iter().map(|(key, _)| *key));
                let message = format!("these wait for each other for ever: {circle} → {}", brief(target));
                wrong(problems, *at, message).hint("remove one of the dependencies");
            } else if let Some((target, _)) = edges.get_key_value(target).filter(|(target, _)| !done.contains(**target))
            {
                places.insert(*target, path.len());
                path.push((*target, 0));
            }
        }
    }
}

/// The names of a circle; of a long one its beginning, and how many more there are.
fn circle<'k>(keys: impl ExactSizeIterator<Item = &'k Key>) -> String {
    let further = keys.len().saturating_sub(CIRCLE_MAX);
    let mut names: Vec<String> = keys.take(CIRCLE_MAX).map(brief).collect();
    if further > 0 {
        names.push(format!("{further} more"));
    }
    names.join(" → ")
}

fn brief(key: &Key) -> String {
    format!("{} {}", schema::title(key.kind), key.name)
}

/// What an object waits for, and where it says so: its dependencies, then the Jobs and CronJobs of its gates.
fn targets<'o>(object: &'o Object, template: &Template) -> Vec<(At<'o>, Key)> {
    let own = &object.key;
    let at = object.document.at().field("spec");
    let depends_on = at.field("template").field("dependsOn");
    let dependencies = template.depends_on.iter().enumerate();
    let dependencies = dependencies.filter_map(|(i, dependency)| Some((depends_on.item(i), dependency.key(own)?)));
    let gates = match &object.spec {
        Spec::Deployment(spec) => vec![("before", &spec.gates.before), ("after", &spec.gates.after)],
        _ => Vec::new(),
    };
    let gates = gates.into_iter().flat_map(|(side, gates)| {
        let at = at.field("gates").field(side);
        gates.iter().enumerate().map(move |(i, gate)| (at.item(i), gate))
    });
    let gates = gates.filter_map(|(at, gate)| Some((at, gate.object(own)?)));
    dependencies.chain(gates).collect()
}
