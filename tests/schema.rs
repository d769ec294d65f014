//! The schemas in `schema/`: as the types say, and true of every example by an independent validator.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests and their helpers may")]

#[path = "support/example.rs"]
mod example;
#[path = "support/parallel.rs"]
mod parallel;
#[path = "support/reference.rs"]
mod reference;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use evenkeel::manifest::{self, Snapshot, Source, schema};
use evenkeel::model::name::Name;
use evenkeel::model::policy::PolicyFile;
use parallel::on_all_cores;
use serde_json::{Value, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_schema_files_are_what_the_types_say() {
    let folder = root().join("schema");
    let generated = schema::generate();
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(&folder).unwrap();
        generated.iter().for_each(|(name, text)| fs::write(folder.join(name), text).unwrap());
    }
    let written: BTreeMap<String, String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap()))
        .collect();
    let drift: Vec<&String> = generated.keys().filter(|name| written.get(*name) != generated.get(*name)).collect();
    let stale: Vec<&String> = written.keys().filter(|name| !generated.contains_key(*name)).collect();
    assert!(
        drift.is_empty() && stale.is_empty(),
        "schema/ differs from the types: {drift:?} {stale:?}; `evenkeel schema --write schema/` (or UPDATE=1 cargo test --test schema) writes it anew"
    );
}

#[test]
fn the_reference_says_what_the_schemas_say() {
    let path = root().join("docs/reference.md");
    let page = reference::page(&schema::generate());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/reference.md is not what the schemas say; UPDATE=1 cargo test --test schema writes it anew"
    );
}

/// Hidden files are no manifests.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

/// Every folder of examples and every accepted fixture.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("manifests"), root().join("tests/manifests/right")];
    while let Some(folder) = folders.pop() {
        let entries: Vec<PathBuf> = fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .filter(|path| !is_hidden(path))
            .collect();
        folders.extend(entries.iter().filter(|path| path.is_dir()).cloned());
        found.extend(entries.into_iter().filter(|path| path.extension().is_some_and(|e| e == "yaml" || e == "yml")));
    }
    found.sort();
    found
}

/// What the schemas say about the manifests of one file, when its folder is the source.
fn mistakes(file: &Path, validators: &BTreeMap<String, jsonschema::Validator>) -> Vec<String> {
    let folder = file.parent().unwrap();
    let mut source = example::sources(folder).remove(0);
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && !is_hidden(path));
    let files = files.map(|path| (path.strip_prefix(folder).unwrap().into(), fs::read(&path).unwrap())).collect();
    let text = fs::read_to_string(file).unwrap();
    for (name, value) in text
        .lines()
        .filter_map(|l| l.strip_prefix("# source: "))
        .flat_map(str::split_whitespace)
        .filter_map(|s| s.split_once('='))
    {
        match name {
            "namespace" => source.namespace = Some(Name::new(value).unwrap()),
            _ => drop(source.variables.insert(name.into(), value.into())),
        }
    }
    let values = match manifest::values(&source, &Snapshot::of(files)) {
        Ok(values) => values,
        Err(problems) => return problems.iter().map(ToString::to_string).collect(),
    };
    let mut mistakes = Vec::new();
    for (kind, value) in values {
        for schema in [format!("{kind}.json"), "evenkeel.json".into()] {
            let found = validators[&schema].iter_errors(&value);
            mistakes
                .extend(found.map(|error| format!("{}: {schema}: {}: {error}", file.display(), error.instance_path())));
        }
    }
    mistakes
}

#[test]
fn every_example_and_every_accepted_manifest_is_valid_for_an_independent_validator() {
    let validators: BTreeMap<String, jsonschema::Validator> = schema::generate()
        .into_iter()
        .map(|(name, text)| {
            let schema: Value = serde_json::from_str(&text).unwrap();
            assert!(jsonschema::meta::is_valid(&schema), "{name} is no schema");
            (name, jsonschema::validator_for(&schema).unwrap())
        })
        .collect();
    let sources = sources();
    assert!(!sources.is_empty());
    let mistakes: Vec<String> = sources.iter().flat_map(|file| mistakes(file, &validators)).collect();
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

#[test]
fn what_the_check_takes_the_independent_validator_takes_too() {
    let schema: Value = serde_json::from_str(&schema::generate()["evenkeel.json"]).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let text = fs::read_to_string(root().join("tests/manifests/right/everything.yaml")).unwrap();
    let source = Source { dir: PathBuf::new(), namespace: None, variables: BTreeMap::new() };
    let colons: Vec<usize> = text.match_indices(": ").map(|(at, _)| at + 2).collect();
    // The values of one place, each tried; how many documents were looked at.
    let tried = |start: usize| {
        let end = text[start..].find([',', '}', '\n']).map_or(text.len(), |length| start + length);
        let mut taken = 0;
        for value in
            ["0", "1", "1.5", "true", "a", "\"1\"", "[]", "{}", "[a]", "10s", "5Mi", "\"0444\"", "0444", "\"${PORT}\""]
        {
            let changed = format!("{}{value}{}", &text[..start], &text[end..]);
            let files = [(PathBuf::from("a.yaml"), changed.into_bytes())].into();
            for (_, value) in manifest::values(&source, &Snapshot::of(files)).unwrap_or_default() {
                taken += 1;
                let told: Vec<String> =
                    validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
                assert!(told.is_empty(), "{}: {}", &text[start - 20..end], told.join("\n"));
            }
        }
        taken
    };
    let taken: usize = on_all_cores(&colons, |start| tried(*start)).iter().sum();
    assert!(taken > 1000, "{taken}");
}

#[test]
fn the_schemas_refuse_what_is_wrong() {
    let schema: Value = serde_json::from_str(&schema::generate()["evenkeel.json"]).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let manifest = |spec: Value| serde_json::json!({"apiVersion": "evenkeel.dev/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec});
    assert!(validator.is_valid(&manifest(serde_json::json!({"template": {"image": "web"}}))));
    for wrong in [
        serde_json::json!({}),
        serde_json::json!({"template": {"image": "web", "volumes": []}}),
        serde_json::json!({"template": {"image": 1}}),
        serde_json::json!({"template": {"image": "web"}, "replicas": -1}),
        serde_json::json!({"template": {"image": "web"}, "minReady": 10}),
        serde_json::json!({"template": {"image": "web", "imagePullPolicy": "always"}}),
        serde_json::json!({"template": {"image": "web", "env": {"A": null}}}),
    ] {
        assert!(!validator.is_valid(&manifest(wrong.clone())), "{wrong}");
    }
}

#[test]
fn the_policy_of_the_documentation_is_one_and_a_slip_in_it_is_none() {
    let schema: Value = serde_json::from_str(&schema::generate()["policy.json"]).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let text = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let block = text.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let policy: PolicyFile = manifest::settings::read("policy.yaml", block).unwrap();
    let told: Vec<String> = validator.iter_errors(&json!(policy)).map(|error| error.to_string()).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
    for wrong in [json!({"default": "lenient"}), json!({"namespace": {}}), json!({"namespaces": {"a": {"gpus": true}}})]
    {
        assert!(!validator.is_valid(&wrong), "{wrong}");
    }
}
