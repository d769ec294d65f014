//! A manifest with mistakes: which of its fields have them. What the others say is checked in the same round.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::diagnostic::{Diagnostic, Spot};
use super::documents::Document;
use super::tree::{Entry, Node, Value};

/// Fields whose rules look at another one too: where that is missing or wrong, nothing is said.
const LOOKS_AT: [(&str, &str); 6] = [
    ("startupProbe", "ports"),
    ("readinessProbe", "ports"),
    ("livenessProbe", "ports"),
    ("minReady", "progressDeadline"),
    ("progressDeadline", "minReady"),
    ("external", "name"),
];

/// The fields of a manifest, its spec and its template that have mistakes, by their names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Damage(BTreeSet<String>);

impl Damage {
    /// Where `mistakes` of a document are.
    pub fn of(document: &Document, mistakes: &[Diagnostic]) -> Self {
        let mistaken = mistakes.iter().filter_map(|mistake| field(document, &mistake.spot));
        Self(mistaken.chain(unread(document)).collect())
    }

    /// Whether a field has a mistake.
    pub fn has(&self, field: &str) -> bool {
        self.0.contains(field)
    }

    /// Takes the damaged parts away altogether.
    pub fn remove(&self, value: &mut Json) {
        for place in ["/metadata", "/spec", "/spec/template"] {
            if let Some(fields) = value.pointer_mut(place).and_then(Json::as_object_mut) {
                fields.retain(|name, _| !self.0.contains(name));
            }
        }
    }

    /// Whether a rule that was broken at `spot` speaks of what is written, and not of what a mistake left.
    pub fn spares(&self, document: &Document, spot: &Spot) -> bool {
        let Some(field) = field(document, spot) else { return false };
        let is_sound = |other: &str| !self.0.contains(other) && is_written(document, other);
        let needs = LOOKS_AT.iter().filter(|(name, _)| *name == field);
        !self.0.contains(&field) && needs.map(|(_, other)| other).all(|other| is_sound(other))
    }
}

/// The fields with a variable that could not be put in. Not each has a mistake of its own: it may be set where nobody could read.
fn unread(document: &Document) -> impl Iterator<Item = String> {
    let spec = document.root.field("spec");
    let template = spec.and_then(|spec| spec.field("template"));
    let places = [document.root.field("metadata"), spec, template].into_iter().flatten();
    let entries = places.flat_map(Node::entries).filter(|entry| entry.key != "template");
    entries.filter(|entry| is_broken(&entry.value)).map(|entry| entry.key.clone())
}

fn is_broken(node: &Node) -> bool {
    match &node.value {
        Value::Scalar(scalar) => scalar.broken,
        Value::Sequence(items) => items.iter().any(is_broken),
        Value::Mapping(entries) => entries.iter().any(|entry| is_broken(&entry.value)),
    }
}

fn is_written(document: &Document, name: &str) -> bool {
    let spec = document.root.field("spec");
    let template = spec.and_then(|spec| spec.field("template"));
    [spec, template].into_iter().flatten().any(|node| node.field(name).is_some())
}

/// The field that a place is in: one of the manifest, or of its metadata, spec or template.
fn field(document: &Document, spot: &Spot) -> Option<String> {
    let file = &document.file;
    if spot.file != file.name {
        return None;
    }
    let place = |spot: &Spot| (spot.line, spot.column);
    let before = |entry: &&Entry| place(&file.spot(entry.key_pos)) <= place(spot);
    let (mut node, mut found) = (&document.root, None);
    while let Some(entry) = node.entries().iter().rfind(before) {
        found = Some(entry.key.clone());
        if !matches!(entry.key.as_str(), "metadata" | "spec" | "template") {
            break;
        }
        node = &entry.value;
    }
    found
}
