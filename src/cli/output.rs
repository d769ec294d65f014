//! Objects for machines: the shape of a Kubernetes object, with everything that the view knows of it.

use serde_json::{Value, json};

use super::args::Machine;
use super::yaml;
use crate::model::name::{Key, Kind};
use crate::model::time::Timestamp;
use crate::model::view::ObjectView;

/// The API version of everything that is printed.
pub const API_VERSION: &str = "evenkeel.dev/v1";

/// The tree as JSON or YAML text.
pub fn render(value: &Value, format: Machine) -> String {
    match format {
        Machine::Json => yaml::json(value),
        Machine::Yaml => yaml::text(value),
    }
}

/// A list of anything.
pub fn list(items: Vec<Value>) -> Value {
    json!({"apiVersion": API_VERSION, "kind": "List", "items": items})
}

/// An object: what is declared under `spec`, how it stands under `status`.
pub fn object(key: &Key, object: &ObjectView) -> Value {
    let mut metadata = json!({"name": key.name, "labels": object.labels, "manifest": object.place});
    if key.kind != Kind::Namespace {
        metadata["namespace"] = json!(key.namespace);
    }
    if let Some(created) = object.created_at {
        metadata["creationTimestamp"] = json!(created.to_string());
    }
    let mut status = json!(object.status);
    if let (Some(status), Value::Object(detail)) = (status.as_object_mut(), json!(object.detail)) {
        // The kind stands at the top already.
        status.extend(detail.into_iter().filter(|(field, _)| field != "kind"));
    }
    times(&mut status);
    json!({
        "apiVersion": API_VERSION,
        "kind": key.kind,
        "metadata": metadata,
        "spec": object.declared.value(),
        "status": status,
    })
}

/// A source.
pub fn source(source: &crate::model::view::SourceState) -> Value {
    let mut value = json!(source);
    times(&mut value);
    value
}

/// Makes RFC 3339 of every point in time: the view counts milliseconds, and so does no Kubernetes object.
pub fn times(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.iter_mut().for_each(|(field, value)| match value.as_i64() {
            Some(millis) if is_time(field) => *value = json!(Timestamp(millis).to_string()),
            _ => times(value),
        }),
        Value::Array(items) => items.iter_mut().for_each(times),
        _ => {}
    }
}

fn is_time(field: &str) -> bool {
    matches!(field, "at" | "since" | "createdAt" | "startedAt" | "finishedAt" | "loadedAt")
}
