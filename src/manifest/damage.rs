//! A manifest with mistakes: which of its fields have them, and which items of its lists and maps. What the others say is checked
//! in the same round.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::diagnostic::{Diagnostic, Spot};
use super::documents::Document;
use super::tree::{Entry, Node, Value};
use super::yaml::MERGE_KEY;

/// Fields whose rules look at another one too: where that is missing or wrong, nothing is said.
const LOOKS_AT: [(&str, &str); 6] = [
    ("startupProbe", "ports"),
    ("readinessProbe", "ports"),
    ("livenessProbe", "ports"),
    ("minReady", "progressDeadline"),
    ("progressDeadline", "minReady"),
    ("external", "name"),
];

/// Fields that are maps with names of the user's: like those of a list, their items mean nothing to each other.
const MAPS: [&str; 10] =
    ["annotations", "data", "env", "extraHosts", "files", "labels", "options", "sysctls", "ulimits", "variables"];

/// Where something begins in its file, in bytes.
type Place = usize;

/// The parts of a manifest that have mistakes: fields of the manifest, its metadata, spec and template by their names, and
/// where the mistake is in an item of a list or a map, where that begins.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Damage(BTreeMap<String, BTreeSet<Option<Place>>>);

impl Damage {
    /// Where `mistakes` of a document are.
    pub fn of(document: &Document, mistakes: &[Diagnostic]) -> Self {
        let mistaken = mistakes.iter().filter_map(|mistake| part(document, &mistake.spot));
        let mut damage = Self::default();
        for (field, item) in mistaken.chain(unread(document)) {
            damage.0.entry(field).or_default().insert(item);
        }
        damage
    }

    /// Whether a field has a mistake, or an item of it has one.
    pub fn has(&self, field: &str) -> bool {
        self.0.contains_key(field)
    }

    fn is_in(&self, field: &str, item: Option<Place>) -> bool {
        self.0.get(field).is_some_and(|items| items.contains(&item))
    }

    /// Puts something in the place of what is needed and wrong, so that the rest can be read: nothing that is said of a damaged
    /// part is told.
    pub fn stand_in(&self, value: &mut Json) {
        let mut needed = |mapping: &str, field: &str, with: &str| {
            if let Some(fields) = value
                .pointer_mut(mapping)
                .and_then(Json::as_object_mut)
                .filter(|_| self.has(field) || self.has(MERGE_KEY))
            {
                fields.entry(field).or_insert_with(|| with.into());
            }
        };
        needed("/spec/template", "image", "unknown");
        needed("/spec", "schedule", "@daily");
        let mounts = value.pointer_mut("/spec/template/mounts").and_then(Json::as_array_mut);
        for (index, mount) in mounts.filter(|_| self.has("mounts")).into_iter().flatten().enumerate() {
            if let Some(fields) = mount.as_object_mut() {
                // No two of them are the same.
                fields.entry("path").or_insert_with(|| format!("/unknown/{index}").into());
            }
        }
    }

    /// Takes items without a value away.
    pub fn remove_empty(document: &mut Document, value: &mut Json) {
        prune(document, value, |_, item, value| item.is_some() && value.is_null());
    }

    /// Takes the damaged parts away: of a list or a map the damaged items alone.
    pub fn remove_items(&self, document: &mut Document, value: &mut Json) {
        prune(document, value, |field, item, _| self.is_in(field, item));
    }

    /// Takes whole fields away in which something is damaged.
    pub fn remove_fields(&self, document: &mut Document, value: &mut Json) {
        prune(document, value, |field, item, _| item.is_none() && self.has(field));
    }

    /// Whether a rule that was broken at `spot` speaks of what is written, and not of what a mistake left.
    pub fn spares(&self, document: &Document, spot: &Spot) -> bool {
        let Some((field, item)) = part(document, spot) else { return false };
        let is_sound = |other: &str| !self.has(other) && is_written(document, other);
        let needs = LOOKS_AT.iter().filter(|(name, _)| *name == field);
        let stands = match item {
            Some(_) => !self.is_in(&field, item) && !self.is_in(&field, None),
            None => !self.has(&field),
        };
        stands && needs.map(|(_, other)| other).all(|other| is_sound(other))
    }
}

/// Takes away what is to go from the value, and items of lists from the document as well: rules name them by their numbers.
fn prune(document: &mut Document, value: &mut Json, goes: impl Fn(&str, Option<Place>, &Json) -> bool) {
    for path in [&["metadata"][..], &["spec"], &["spec", "template"]] {
        let mapping = path.iter().try_fold(&mut document.root, |node, name| field_of(node, name));
        let fields = path.iter().try_fold(&mut *value, |value, name| value.get_mut(name)).and_then(Json::as_object_mut);
        let (Some(Value::Mapping(entries)), Some(fields)) = (mapping.map(|node| &mut node.value), fields) else {
            continue;
        };
        for Entry { key, value: node, .. } in entries.iter_mut().filter(|entry| entry.key != "template") {
            match (&mut node.value, fields.get_mut(key)) {
                (_, Some(value)) if goes(key, None, value) => {
                    fields.remove(key);
                }
                (Value::Sequence(items), Some(Json::Array(values))) if items.len() == values.len() => {
                    let both = std::mem::take(items).into_iter().zip(std::mem::take(values));
                    (*items, *values) = both.filter(|(item, value)| !goes(key, Some(item.pos.start), value)).unzip();
                }
                (Value::Mapping(items), Some(Json::Object(values))) if MAPS.contains(&key.as_str()) => {
                    let place = |name: &String| items.named(name).map(|item| item.key_pos.start);
                    values.retain(|name, value| !goes(key, place(name), value));
                }
                _ => {}
            }
        }
    }
}

fn field_of<'n>(node: &'n mut Node, name: &str) -> Option<&'n mut Node> {
    let Value::Mapping(entries) = &mut node.value else { return None };
    entries.iter_mut().find(|entry| entry.key == name).map(|entry| &mut entry.value)
}

/// The parts with a variable that could not be put in. Not each has a mistake of its own: it may be set where nobody could read.
fn unread(document: &Document) -> impl Iterator<Item = (String, Option<Place>)> {
    let spec = document.root.field("spec");
    let template = spec.and_then(|spec| spec.field("template"));
    let places = [document.root.field("metadata"), spec, template].into_iter().flatten();
    let entries = places.flat_map(Node::entries).filter(|entry| entry.key != "template" && is_broken(&entry.value));
    entries.flat_map(|entry| {
        let broken = items(entry).filter(|(_, item)| is_broken(item)).map(|(start, _)| start);
        let mut parts: Vec<_> = broken.map(|item| (entry.key.clone(), Some(item))).collect();
        if parts.is_empty() {
            parts.push((entry.key.clone(), None));
        }
        parts
    })
}

fn is_broken(node: &Node) -> bool {
    match &node.value {
        Value::Scalar(scalar) => scalar.broken,
        Value::Sequence(items) => items.iter().any(is_broken),
        Value::Mapping(entries) => entries.iter().any(|entry| is_broken(&entry.value)),
    }
}

/// The items of a list or a map, each with where it begins.
fn items(entry: &Entry) -> impl Iterator<Item = (Place, &Node)> {
    let listed = entry.value.items().iter().map(|item| (item.pos.start, item));
    let named = if MAPS.contains(&entry.key.as_str()) { entry.value.entries() } else { &[] };
    listed.chain(named.iter().map(|item| (item.key_pos.start, &item.value)))
}

fn is_written(document: &Document, name: &str) -> bool {
    let spec = document.root.field("spec");
    let template = spec.and_then(|spec| spec.field("template"));
    [spec, template].into_iter().flatten().any(|node| node.field(name).is_some())
}

/// The part that a place is in: a field of the manifest, or of its metadata, spec or template, and the item of it.
fn part(document: &Document, spot: &Spot) -> Option<(String, Option<Place>)> {
    let file = &document.file;
    if spot.file != file.name {
        return None;
    }
    let here = file.offset(spot);
    let (mut node, mut found) = (&document.root, None);
    while let Some(entry) = node.entries().iter().rfind(|entry| entry.key_pos.start <= here) {
        found = Some(entry);
        if !matches!(entry.key.as_str(), "metadata" | "spec" | "template") {
            break;
        }
        node = &entry.value;
    }
    let entry = found?;
    let item = items(entry).map(|(start, _)| start).filter(|start| *start <= here).last();
    Some((entry.key.clone(), item))
}
