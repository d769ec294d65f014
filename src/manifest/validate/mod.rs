//! Objects against each other and against what Docker can do: the rules that no schema can say.
//!
//! It reads no file and changes no object. `template` has the rules inside one container, `images` where its image comes from,
//! `references` those from one object to another, `required` what an environment must have, `objects` the rules of networks
//! and volumes, `clashes` those between any two.

pub mod clashes;
mod gates;
mod image_policy;
mod images;
mod objects;
mod references;
mod required;
mod subnet;
mod template;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use super::diagnostic::{Diagnostic, Problems};
use super::objects::{Object, Objects, Spec};
use super::place::At;
use crate::model::container::label;
use crate::model::name::{Key, Name};
use crate::model::revision::Content;

/// Everything that the rules look at.
pub struct World<'a> {
    /// The objects.
    pub objects: &'a Objects,
    /// The contents that could be read.
    pub contents: &'a BTreeMap<Key, Content>,
    /// The Deployments that each Job is a gate of.
    wards: BTreeMap<Key, Vec<&'a Key>>,
    /// The keys of each content whose values cannot be in an environment.
    no_texts: BTreeMap<&'a Key, BTreeSet<&'a str>>,
}

impl<'a> World<'a> {
    /// The objects of a source, with the contents of those that have any.
    pub fn new(objects: &'a Objects, contents: &'a BTreeMap<Key, Content>) -> Self {
        Self { objects, contents, wards: gates::wards(objects), no_texts: references::no_texts(contents) }
    }
}

/// Checks all rules inside one source.
pub fn validate(world: &World<'_>, problems: &mut Problems) {
    for object in world.objects.list.values() {
        rules(object, problems);
        links(world, object, problems);
    }
    for (object, damage) in world.objects.flawed.values() {
        let mut broken = Problems::default();
        rules(object, &mut broken);
        further_links(world, object, &mut broken);
        for problem in broken.into_sorted().into_iter().filter(|p| damage.spares(&object.document, &p.spot)) {
            problems.push(problem);
        }
        if let Some(template) = object.spec.template() {
            references::template(world, object, template_at(object), template, problems);
        }
    }
    references::circles(world, problems);
}

/// The rules inside one object.
fn rules(object: &Object, problems: &mut Problems) {
    let at = object.document.at();
    reserved_labels(at.field("metadata").field("labels"), &object.metadata.labels, problems);
    match &object.spec {
        Spec::Network(spec) => objects::network(at, &object.metadata.name, spec, problems),
        Spec::Volume(spec) => objects::volume(at, spec, problems),
        Spec::Namespace(_) | Spec::ConfigMap(_) | Spec::Secret(_) => {}
        Spec::Job(spec) => {
            template::job(template_at(object), "Job", &spec.template, problems);
            template::check(template_at(object), &spec.template, 1, problems);
        }
        Spec::CronJob(spec) => {
            if !spec.template.names_an_image() {
                no_image(at, problems);
            }
            template::job(template_at(object), "CronJob", &spec.template, problems);
            template::check(template_at(object), &spec.template, 1, problems);
        }
        Spec::Deployment(spec) => {
            objects::deployment(at.field("spec"), spec, problems);
            gates::check(at.field("spec"), spec, problems);
            if !spec.template.names_an_image() {
                no_image(at, problems);
            }
            template::check(template_at(object), &spec.template, spec.replicas, problems);
        }
    }
}

fn no_image(at: At<'_>, problems: &mut Problems) {
    wrong(problems, at.field("spec").key("template"), "spec.template needs the field 'image'")
        .hint("image: the image, such as `shop/web:1.4`; or build: what to build it from");
}

/// The rules from one object to others.
fn links(world: &World<'_>, object: &Object, problems: &mut Problems) {
    if let Some(template) = object.spec.template() {
        references::template(world, object, template_at(object), template, problems);
        required::environment(world, object, template, problems);
    }
    further_links(world, object, problems);
}

/// Those that do not begin in what all templates have.
fn further_links(world: &World<'_>, object: &Object, problems: &mut Problems) {
    match &object.spec {
        Spec::Namespace(spec) => references::namespace(world, object, spec, problems),
        Spec::Network(_) | Spec::Volume(_) | Spec::ConfigMap(_) | Spec::Secret(_) => {}
        Spec::Job(spec) => gates::image(world, object, &spec.template, problems),
        Spec::CronJob(spec) => references::quiesce(world, object, spec, problems),
        Spec::Deployment(spec) => {
            gates::links(world, object, spec, problems);
            references::single_writer(world, object, spec, problems);
        }
    }
}

fn template_at(object: &Object) -> At<'_> {
    object.document.at().field("spec").field("template")
}

/// Records a mistake at a place.
fn wrong<'p>(problems: &'p mut Problems, at: At<'_>, message: impl std::fmt::Display) -> &'p mut Diagnostic {
    problems.error(at.file, at.pos, message)
}

fn reserved_labels(at: At<'_>, labels: &BTreeMap<String, String>, problems: &mut Problems) {
    for key in labels.keys().filter(|key| key.starts_with(label::PREFIX)) {
        wrong(problems, at.key(key), format!("labels that begin with '{}' are Evenkeel's own", label::PREFIX));
    }
    if labels.contains_key("") {
        wrong(problems, at.key(""), "a label's name is empty");
    }
}

/// Reports every name that is in a list a second time.
fn repeated<'n>(at: At<'_>, names: impl Iterator<Item = &'n Name>, what: &str, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for (index, name) in names.enumerate() {
        if !seen.insert(name) {
            wrong(problems, at.item(index), format!("{what} '{name}' is there twice"));
        }
    }
}
