//! `docs/reference.md`: every field of every kind, as the JSON Schema describes it. It reads the schema and adds no word of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use evenkeel::cli::Exit;
use serde_json::Value;

/// The kinds in the order in which a newcomer meets them.
const KINDS: [&str; 8] = ["deployment", "job", "cronjob", "namespace", "network", "volume", "configmap", "secret"];

const TOP: &str = "# Reference: every field

Made from the JSON Schema in `schema/` (`UPDATE=1 cargo test --test schema`), which is made from the program's own types, so that
it cannot say anything else than the program does. For the ideas behind them see [manifests.md](manifests.md) and
[rollouts.md](rollouts.md).

Every manifest has `apiVersion: evenkeel.dev/v1`, `kind`, [`metadata`](#metadata) and `spec`; the fields below are those of `spec`. An
unknown field is an error. A field in **bold** must be there.
";

const EXIT_CODES: &str = "
# Exit codes

Each code means the same in every command; which of them a command may end with is in [operations.md](operations.md#the-command-line)
and in `evenkeel COMMAND --help`. The word is the `result` of `-o json`.

| code | word | meaning |
|---|---|---|
";

/// The page that the schemas, by file name, make.
pub fn page(schemas: &BTreeMap<String, String>) -> String {
    let schemas: Vec<Value> = KINDS
        .iter()
        .map(|kind| serde_json::from_str(&schemas[&format!("{kind}.json")]).expect("a schema is JSON"))
        .collect();
    let mut page = TOP.to_string();
    let mut parts: BTreeMap<&str, &Value> = BTreeMap::new();
    for schema in &schemas {
        parts.extend(schema["$defs"].as_object().unwrap().iter().map(|(name, part)| (name.as_str(), part)));
    }
    let mut specs = BTreeSet::new();
    for schema in &schemas {
        let spec = name_of(&schema["properties"]["spec"]).expect("a spec is a part of its own");
        specs.insert(spec);
        section(&mut page, "##", schema["title"].as_str().unwrap(), schema, parts[spec], &parts);
    }
    page.push_str("\n# Parts\n");
    for (name, part) in parts.iter().filter(|(name, part)| !specs.contains(**name) && is_section(part)) {
        section(&mut page, "##", name, part, part, &parts);
    }
    page.push_str(EXIT_CODES);
    for exit in Exit::ALL {
        writeln!(page, "| {} | `{}` | {} |", exit.code(), exit.word(), exit.meaning()).unwrap();
    }
    page
}

/// Whether a part has fields of its own; the others are told where they are used.
fn is_section(part: &Value) -> bool {
    part["properties"].is_object()
}

fn section(page: &mut String, level: &str, title: &str, told: &Value, fields: &Value, parts: &BTreeMap<&str, &Value>) {
    let description = told["description"].as_str().unwrap_or_default();
    write!(page, "\n{level} {title}\n\n{}\n", line(description)).unwrap();
    let Some(properties) = fields["properties"].as_object().filter(|properties| !properties.is_empty()) else { return };
    page.push_str("\n| field | value | meaning |\n|---|---|---|\n");
    let required = fields["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (name, field) in properties {
        let shown = if required.iter().any(|it| it == name) { format!("**`{name}`**") } else { format!("`{name}`") };
        writeln!(page, "| {shown} | {} | {} |", value(field, parts), meaning(field, parts)).unwrap();
    }
}

/// What a field means: in its own words, and in those of what it refers to where that is told nowhere else.
fn meaning(field: &Value, parts: &BTreeMap<&str, &Value>) -> String {
    let own = field["description"].as_str().map(line);
    let part = name_of(field).map(|name| parts[name]);
    let general = part.and_then(|part| part["description"].as_str()).map(line);
    let words = part.map(words).unwrap_or_default();
    let mut told = own.or(general).unwrap_or_default();
    if !words.is_empty() {
        write!(told, " {words}").unwrap();
    }
    told
}

/// Each word of a choice with its meaning.
fn words(part: &Value) -> String {
    let choices = part["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    let told = choices.iter().filter_map(|choice| {
        let word = choice["const"].as_str()?;
        Some(format!("`{word}`: {}", line(choice["description"].as_str()?)))
    });
    told.collect::<Vec<_>>().join(" ")
}

/// What may stand there.
fn value(field: &Value, parts: &BTreeMap<&str, &Value>) -> String {
    if let Some(name) = name_of(field) {
        let part = parts[name];
        return match is_section(part) {
            true => format!("[{name}](#{})", name.to_lowercase()),
            false => value(part, parts),
        };
    }
    if let Some(branches) = field["anyOf"].as_array().or(field["oneOf"].as_array()) {
        let mut all: Vec<String> = branches.iter().map(|branch| value(branch, parts)).collect();
        all.dedup();
        return all.join(" or ");
    }
    let word = |text: &Value| format!("`{}`", text.as_str().map_or_else(|| text.to_string(), str::to_string));
    if !field["const"].is_null() {
        return word(&field["const"]);
    }
    if let Some(choices) = field["enum"].as_array() {
        return choices.iter().map(word).collect::<Vec<_>>().join(" or ");
    }
    if field["items"].is_object() {
        return format!("list of {}", value(&field["items"], parts));
    }
    if field["additionalProperties"].is_object() {
        return format!("names, each with {}", value(&field["additionalProperties"], parts));
    }
    if let Some(format) = field["format"].as_str().filter(|format| !format.starts_with("uint")) {
        return format.replace('-', " ");
    }
    match &field["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).map(plain).collect::<Vec<_>>().join(" or "),
        kind => plain(kind.as_str().unwrap_or("anything")).to_string(),
    }
}

fn plain(kind: &str) -> &str {
    match kind {
        "string" => "text",
        "integer" => "whole number",
        "boolean" => "true or false",
        "array" => "list",
        "object" => "mapping",
        other => other,
    }
}

fn name_of(field: &Value) -> Option<&str> {
    let alone = field["allOf"].as_array().filter(|all| all.len() == 1).map(|all| &all[0]["$ref"]);
    alone.unwrap_or(&field["$ref"]).as_str()?.strip_prefix("#/$defs/")
}

/// In one line, and so that a table keeps its columns.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
