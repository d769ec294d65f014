//! Documents → typed objects: each in its namespace, with its variables put in, checked against its schema.
//!
//! It looks at one document at a time; rules between objects are in `validate`.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use super::Source;
use super::check::{self, Checked, Quote};
use super::damage::Damage;
use super::diagnostic::{Diagnostic, Problems, Spot};
use super::documents::{Document, Documents, file_name};
use super::door::{self, Refusal};
use super::dotenv;
use super::host::Host;
use super::schema;
use super::substitute::{Growth, Variables, is_variable, substitute};
use super::tree::{Node, Value};
use crate::model::name::{Key, Kind, Name};
use crate::model::spec::{
    ConfigMapSpec, CronJobSpec, DeploymentSpec, JobSpec, Metadata, NamespaceSpec, NetworkSpec, SecretSpec, Template,
    VolumeSpec,
};

/// The namespace of an object when neither its manifest nor its source names one.
const DEFAULT_NAMESPACE: &str = "default";

/// What a manifest says about its object.
pub enum Spec {
    /// An environment.
    Namespace(NamespaceSpec),
    /// A network.
    Network(NetworkSpec),
    /// A volume.
    Volume(VolumeSpec),
    /// Configuration.
    ConfigMap(ConfigMapSpec),
    /// Confidential configuration.
    Secret(SecretSpec),
    /// A container that runs to completion.
    Job(Box<JobSpec>),
    /// A container that runs to completion at the times of a schedule.
    CronJob(Box<CronJobSpec>),
    /// Replicas.
    Deployment(Box<DeploymentSpec>),
}

impl Spec {
    /// The container template, if it has one.
    pub fn template(&self) -> Option<&Template> {
        match self {
            Spec::Deployment(spec) => Some(&spec.template),
            Spec::Job(spec) => Some(&spec.template),
            Spec::CronJob(spec) => Some(&spec.template),
            Spec::Namespace(_) | Spec::Network(_) | Spec::Volume(_) | Spec::ConfigMap(_) | Spec::Secret(_) => None,
        }
    }
}

/// An object whose manifest is right by itself.
pub struct Object {
    /// Which one it is.
    pub key: Key,
    /// What it is called, and notes.
    pub metadata: Metadata,
    /// What it is.
    pub spec: Spec,
    /// The whole manifest as JSON, with its variables put in.
    pub value: Json,
    /// Where it is written.
    pub document: Document,
}

/// The objects of a source.
#[derive(Default)]
pub struct Objects {
    /// Those whose manifests are right by themselves.
    pub list: BTreeMap<Key, Object>,
    /// What can be read of the others, and where their mistakes are: the rest is checked in the same round.
    pub flawed: BTreeMap<Key, (Object, Damage)>,
    /// Where every declared object stands, those with mistakes included, so that a reference to them is none.
    pub declared: BTreeMap<Key, Spot>,
    /// Whether `declared` is everything; if not, a reference to something unknown is not reported.
    pub complete: bool,
}

/// Makes objects of documents.
pub fn build(documents: Documents, host: &mut Host<'_>, problems: &mut Problems) -> Objects {
    let mut builder = Builder {
        source: host.source,
        objects: Objects { complete: documents.complete, ..Objects::default() },
        variables: BTreeMap::new(),
        all_read: documents.complete,
        growth: Growth::default(),
        problems,
    };
    let (namespaces, others): (Vec<_>, Vec<_>) = documents.list.into_iter().partition(|d| d.kind == Kind::Namespace);
    for document in namespaces {
        builder.namespace(document, host);
    }
    for document in others {
        builder.object(document);
    }
    builder.objects
}

struct Builder<'a> {
    source: &'a Source,
    objects: Objects,
    /// The variables of each declared namespace.
    variables: BTreeMap<Name, Rc<Variables>>,
    /// Whether every document could be read; if not, a Namespace that seems to be missing may be in another.
    all_read: bool,
    growth: Growth,
    problems: &'a mut Problems,
}

impl Builder<'_> {
    /// A Namespace: only the source's own variables are known in it.
    fn namespace(&mut self, mut document: Document, host: &mut Host<'_>) {
        let before = self.problems.count();
        let way_out = "in a Namespace only the source's own variables are known".to_string();
        let own = Variables { values: self.source.variables.clone(), way_out, incomplete: false };
        substitute(&document.file, &mut document.root, &own, &mut self.growth, self.problems);
        let value = self.checked(&document);
        let Some(name) = name_at(&document, "name") else { return };
        if document.at().field("metadata").field("namespace").text().is_some_and(|text| text != name.as_str()) {
            let at = document.at().field("metadata").key("namespace");
            self.problems.error(at.file, at.pos, "a Namespace is not in a namespace").hint("remove the field");
        }
        // A source that is given a namespace serves that one alone; others may be there for other sources.
        if self.source.namespace.as_ref().is_some_and(|namespace| *namespace != name) {
            return;
        }
        let key = Key::new(Kind::Namespace, name.clone(), name.clone());
        let value = self.flawed_since(before, value);
        let damage = Damage::of(&document, self.problems.since(before));
        let spec: Option<NamespaceSpec> = match &value {
            Checked::Right(value) => typed(&value["spec"]),
            Checked::Flawed(_) => None,
        };
        let variables = self.variables_of(&key, &document, spec.as_ref(), host);
        self.variables.insert(name, Rc::new(variables));
        self.insert(key, document, value, damage);
    }

    /// Files in order, then the Namespace's own variables, then the source's; later ones win.
    fn variables_of(
        &mut self,
        key: &Key,
        document: &Document,
        spec: Option<&NamespaceSpec>,
        host: &mut Host<'_>,
    ) -> Variables {
        let at = document.at().field("spec");
        let way_out = format!("set it in 'variables' of the Namespace in {}", document.at().spot().brief());
        let mut variables = Variables { values: BTreeMap::new(), way_out, incomplete: spec.is_none() };
        let empty = NamespaceSpec::default();
        let spec = spec.unwrap_or(&empty);
        for (index, file) in spec.variables_from.iter().enumerate() {
            let at = at.field("variablesFrom").item(index).field("file");
            let text = match host.variables(key, document, &file.file) {
                Ok(bytes) => String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_string()),
                Err(Refusal::Missing) if file.optional => continue,
                Err(Refusal::Missing) => Err("does not exist".into()),
                Err(Refusal::Because(why)) => Err(why),
            };
            match text {
                Ok(text) => match self.env_file(&self.env_name(document, &file.file), &text) {
                    Some(values) => variables.values.extend(values),
                    None => variables.incomplete = true,
                },
                Err(why) => {
                    variables.incomplete = true;
                    let problem = self.problems.error(at.file, at.pos, format!("the file '{}' {why}", file.file));
                    problem.hint(
                        "absolute on the host, or relative to this manifest; 'optional: true' accepts a missing one",
                    );
                }
            }
        }
        for name in spec.variables.keys().filter(|name| !is_variable(name)) {
            let at = at.field("variables").key(name);
            let problem = self.problems.error(at.file, at.pos, format!("'{name}' is not the name of a variable"));
            problem.hint("a name has letters, digits and '_', and does not begin with a digit");
        }
        variables.values.extend(spec.variables.clone());
        variables.values.extend(self.source.variables.clone());
        variables
    }

    fn env_name(&self, document: &Document, path: &str) -> String {
        match door::below(document.folder(), path) {
            Some(inside) => file_name(self.source, &inside),
            None => self.source.dir.join(document.folder()).join(path).display().to_string(),
        }
    }

    fn env_file(&mut self, name: &str, text: &str) -> Option<BTreeMap<String, String>> {
        match dotenv::parse(text) {
            Ok(values) => Some(values),
            Err(mistakes) => {
                report_env_file(name, mistakes, self.problems);
                None
            }
        }
    }

    fn object(&mut self, mut document: Document) {
        let before = self.problems.count();
        let namespace = self.namespace_of(&mut document);
        let variables = self.variables_in(namespace.as_ref());
        substitute(&document.file, &mut document.root, &variables, &mut self.growth, self.problems);
        let value = self.checked(&document);
        if let (Some(namespace), Some(name)) = (namespace, name_at(&document, "name")) {
            let value = self.flawed_since(before, value);
            let damage = Damage::of(&document, self.problems.since(before));
            self.insert(Key::new(document.kind, namespace, name), document, value, damage);
        } else {
            // It is declared under a name that is not known.
            self.objects.complete = false;
        }
    }

    /// The namespace of a document; only the source's own variables are known in it.
    fn namespace_of(&mut self, document: &mut Document) -> Option<Name> {
        let given = self.source.namespace.clone();
        let own = Variables {
            values: self.source.variables.clone(),
            way_out: "in metadata.namespace only the source's own variables are known".into(),
            incomplete: false,
        };
        let file = document.file.clone();
        let Some(node) = namespace_node(&mut document.root) else {
            return given.or_else(|| Name::new(DEFAULT_NAMESPACE).ok());
        };
        substitute(&file, node, &own, &mut self.growth, self.problems);
        if let Value::Scalar(scalar) = &mut node.value {
            scalar.substituted = true;
        }
        let name = Name::new(node.text()?).ok()?;
        match given {
            Some(given) if given != name => {
                let message = format!("this source is for the namespace '{given}', not '{name}'");
                self.problems.error(&file, node.pos, message).hint("remove the field, so that the source decides");
                None
            }
            _ => Some(name),
        }
    }

    fn variables_in(&self, namespace: Option<&Name>) -> Rc<Variables> {
        let Some(namespace) = namespace else { return Variables { incomplete: true, ..Variables::default() }.into() };
        let unset = || Variables {
            values: self.source.variables.clone(),
            way_out: format!("declare a Namespace '{namespace}' that sets it in 'variables'"),
            incomplete: !self.all_read,
        };
        self.variables.get(namespace).cloned().unwrap_or_else(|| unset().into())
    }

    /// Something may be wrong that the schema does not see, such as a namespace that is not the source's.
    fn flawed_since(&self, before: usize, checked: Checked) -> Checked {
        match checked {
            Checked::Right(value) if self.problems.count() > before => Checked::Flawed(value),
            other => other,
        }
    }

    /// The manifest as JSON.
    fn checked(&mut self, document: &Document) -> Checked {
        let quote = if document.kind == Kind::Secret { Quote::Nothing } else { Quote::Values };
        check::check(&document.file, &document.root, schema::of(document.kind), quote, self.problems)
    }

    fn insert(&mut self, key: Key, document: Document, checked: Checked, damage: Damage) {
        let at = document.at().field("metadata").field("name");
        if let Some(first) = self.objects.declared.get(&key) {
            let message = format!("{} is declared twice", called(&key));
            self.problems.error(at.file, at.pos, message).hint(format!("the other one is in {}", first.brief()));
            return;
        }
        self.objects.declared.insert(key.clone(), at.spot());
        let value = match checked {
            Checked::Right(value) => value,
            Checked::Flawed(rest) => {
                let mut document = document;
                if let Some((value, metadata, spec)) = readable(&mut document, rest, &damage) {
                    let object = Object { key: key.clone(), metadata, spec, value, document };
                    self.objects.flawed.insert(key, (object, damage));
                }
                return;
            }
        };
        match (typed(&value["metadata"]), spec(key.kind, &value["spec"])) {
            (Some(metadata), Some(spec)) => {
                self.objects.list.insert(key.clone(), Object { key, metadata, spec, value, document });
            }
            // The schema is made from the same types, so this is a rule that the check does not know yet.
            _ => {
                self.problems.error(at.file, at.pos, format!("{key} is not what its schema says"));
            }
        }
    }
}

/// An object in a sentence: `Deployment 'web' of namespace 'shop'`.
pub fn called(key: &Key) -> String {
    match key.kind {
        Kind::Namespace => format!("Namespace '{}'", key.name),
        kind => format!("{} '{}' of namespace '{}'", schema::title(kind), key.name, key.namespace),
    }
}

/// Reports the mistakes of a file of variables, without a line of it.
pub fn report_env_file(name: &str, mistakes: Vec<dotenv::Mistake>, problems: &mut Problems) {
    for mistake in mistakes {
        let spot = Spot { line: mistake.line, column: mistake.column, width: 1, ..Spot::file(name) };
        problems.push(Diagnostic::error(spot, mistake.message)).hint(mistake.hint);
    }
}

/// `metadata.name` and the like, if it is a name.
fn name_at(document: &Document, field: &str) -> Option<Name> {
    let node = document.root.field("metadata")?.field(field)?;
    let scalar = node.scalar().filter(|scalar| !scalar.broken)?;
    Name::new(&scalar.text).ok()
}

fn namespace_node(root: &mut Node) -> Option<&mut Node> {
    let Value::Mapping(entries) = &mut root.value else { return None };
    let metadata = entries.iter_mut().find(|entry| entry.key == "metadata")?;
    let Value::Mapping(entries) = &mut metadata.value.value else { return None };
    entries.iter_mut().find(|entry| entry.key == "namespace").map(|entry| &mut entry.value)
}

fn spec(kind: Kind, value: &Json) -> Option<Spec> {
    Some(match kind {
        Kind::Namespace => Spec::Namespace(typed(value)?),
        Kind::Network => Spec::Network(typed(value)?),
        Kind::Volume => Spec::Volume(typed(value)?),
        Kind::ConfigMap => Spec::ConfigMap(typed(value)?),
        Kind::Secret => Spec::Secret(typed(value)?),
        Kind::Job => Spec::Job(Box::new(typed(value)?)),
        Kind::CronJob => Spec::CronJob(Box::new(typed(value)?)),
        Kind::Deployment => Spec::Deployment(Box::new(typed(value)?)),
    })
}

/// The rest of a flawed manifest: without its wrong values or, where that leaves too little, without the items or the fields that
/// have them, and the document without them too. A wrong image is not a missing one.
fn readable(document: &mut Document, mut rest: Json, damage: &Damage) -> Option<(Json, Metadata, Spec)> {
    let kind = document.kind;
    let read = |value: &Json| {
        let mut value = value.clone();
        drop_nulls(&mut value);
        damage.stand_in(&mut value);
        let (metadata, spec) = (typed(&value["metadata"])?, spec(kind, &value["spec"])?);
        Some((value, metadata, spec))
    };
    Damage::remove_empty(document, &mut rest);
    if let Some(read) = read(&rest) {
        return Some(read);
    }
    damage.remove_items(document, &mut rest);
    if let Some(read) = read(&rest) {
        return Some(read);
    }
    damage.remove_fields(document, &mut rest);
    read(&rest)
}

fn drop_nulls(value: &mut Json) {
    match value {
        Json::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        // Items keep their places, because a problem names one by its number: what follows a wrong one is left out.
        Json::Array(items) => {
            items.truncate(items.iter().position(Json::is_null).unwrap_or(items.len()));
            items.iter_mut().for_each(drop_nulls);
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// The typed value; a spec that is left out is one without fields.
fn typed<T: DeserializeOwned>(value: &Json) -> Option<T> {
    let empty = json!({});
    T::deserialize(if value.is_null() { &empty } else { value }).ok()
}
