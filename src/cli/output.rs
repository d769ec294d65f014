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

/// The tree as JSON on one line, for what goes on and on.
pub fn line(value: &Value) -> String {
    yaml::json_line(value)
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

/// Whether a field is a point in time: by its name, which a new one has to have too.
fn is_time(field: &str) -> bool {
    let is_named_so = matches!(field, "at" | "since" | "lastSchedule" | "nextSchedule" | "lastSuccess");
    is_named_so || field.ends_with("At") || field.ends_with("Since")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is in no view: beside one, or in the state directory alone.
    const UNSEEN: [&str; 4] = ["now", "through", "lastScheduled", "pulled"];

    /// The name of a field on a line of code, as it is serialised, if its type has a point in time.
    fn time_field(line: &str) -> Option<String> {
        let (name, kind) = line.trim().trim_start_matches("pub ").strip_suffix(',')?.split_once(": ")?;
        let is_field = name.chars().all(|c| c.is_ascii_lowercase() || c == '_') && !kind.contains(['(', '&']);
        if !is_field || !kind.contains("Timestamp") {
            return None;
        }
        let mut words = name.split('_');
        let first = words.next()?.to_owned();
        Some(words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..]))
    }

    #[test]
    fn every_point_in_time_of_the_model_is_written_as_one() {
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/model")).unwrap();
        let texts = files.filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok());
        let fields: Vec<String> =
            texts.flat_map(|text| text.lines().filter_map(time_field).collect::<Vec<_>>()).collect();
        assert!(fields.len() > 50, "{fields:?}");
        let missed: Vec<&String> =
            fields.iter().filter(|field| !is_time(field) && !UNSEEN.contains(&field.as_str())).collect();
        assert!(
            missed.is_empty(),
            "a machine reads milliseconds of {missed:?}: call it …At or …Since, or name it in is_time"
        );
        assert!(fields.iter().any(|field| field == "nextSchedule") && fields.iter().any(|field| field == "chosenAt"));
    }

    #[test]
    fn times_are_found_at_any_depth_and_counts_stay_counts() {
        let mut value = json!({"status": {"conditions": [{"endedAt": 1_000, "attempts": 3}], "lastSuccess": null}});
        times(&mut value);
        let expected = json!({"endedAt": "1970-01-01T00:00:01Z", "attempts": 3});
        assert_eq!(value, json!({"status": {"conditions": [expected], "lastSuccess": null}}));
    }
}
