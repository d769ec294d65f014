//! The JSON Schema of the manifests, generated from the model's types: one source of truth for editors and for `check`.
//!
//! It describes values after `${NAME}` is substituted. It knows no rule that spans two fields; those are in `validate`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::model::name::Kind;
use crate::model::policy::PolicyFile;
use crate::model::spec::{
    API_VERSION, ConfigMapSpec, CronJobSpec, DeploymentSpec, JobSpec, Metadata, NamespaceSpec, NetworkSpec, SecretSpec,
    VolumeSpec,
};

/// The words in which schemas are written.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// What `check` needs of all kinds, made once and kept.
static SCHEMAS: LazyLock<BTreeMap<Kind, Value>> =
    LazyLock::new(|| Kind::ALL.into_iter().map(|kind| (kind, without_prose(describe(kind)))).collect());

/// The schema files by name: `deployment.json` and the like for one kind each, `evenkeel.json` for all, and `policy.json`
/// for the operator's policy, which is no manifest.
pub fn generate() -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> =
        Kind::ALL.into_iter().map(|kind| (format!("{kind}.json"), text(&describe(kind)))).collect();
    files.insert("evenkeel.json".into(), text(&all_kinds()));
    files.insert("policy.json".into(), text(&policy()));
    files
}

/// The schema of one kind's manifests, without what only people read.
pub fn of(kind: Kind) -> &'static Value {
    &SCHEMAS[&kind]
}

/// The schema of the policy file.
fn policy() -> Value {
    let mut schema = of_type::<PolicyFile>();
    schema["$schema"] = DIALECT.into();
    schema["title"] = "Policy".into();
    schema
}

/// The schema of any other file's type.
pub fn of_type<T: JsonSchema>() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let root = generator.subschema_for::<T>();
    let mut schema = json!(root);
    schema["$defs"] = definitions(&mut generator).into();
    schema
}

/// A kind as manifests write it: `ConfigMap`.
pub fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Namespace => "Namespace",
        Kind::Network => "Network",
        Kind::Volume => "Volume",
        Kind::ConfigMap => "ConfigMap",
        Kind::Secret => "Secret",
        Kind::Job => "Job",
        Kind::CronJob => "CronJob",
        Kind::Deployment => "Deployment",
    }
}

fn describe(kind: Kind) -> Value {
    match kind {
        Kind::Namespace => manifest::<NamespaceSpec>(kind),
        Kind::Network => manifest::<NetworkSpec>(kind),
        Kind::Volume => manifest::<VolumeSpec>(kind),
        Kind::ConfigMap => manifest::<ConfigMapSpec>(kind),
        Kind::Secret => manifest::<SecretSpec>(kind),
        Kind::Job => manifest::<JobSpec>(kind),
        Kind::CronJob => manifest::<CronJobSpec>(kind),
        Kind::Deployment => manifest::<DeploymentSpec>(kind),
    }
}

/// The schema of a whole manifest with the spec `T`. The spec may be left out when all its fields may.
fn manifest<T: JsonSchema>(kind: Kind) -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let metadata = generator.subschema_for::<Metadata>();
    let spec = generator.subschema_for::<T>();
    let definitions = definitions(&mut generator);
    let spec_definition = &definitions[T::schema_name().as_ref()];
    let description = spec_definition["description"].clone();
    let mut required = vec!["apiVersion", "kind", "metadata"];
    if spec_definition.get("required").is_some() {
        required.push("spec");
    }
    json!({
        "$schema": DIALECT,
        "title": title(kind),
        "description": description,
        "type": "object",
        "properties": {
            "apiVersion": {"description": "The version of these words.", "const": API_VERSION},
            "kind": {"description": "What is declared.", "const": title(kind)},
            "metadata": metadata,
            "spec": spec,
        },
        "required": required,
        "additionalProperties": false,
        "$defs": definitions,
    })
}

/// A schema without what only people read: a third of the memory. Hints quote the descriptions of required fields.
fn without_prose(mut schema: Value) -> Value {
    drop_prose(&mut schema, false);
    schema
}

fn drop_prose(schema: &mut Value, is_quoted: bool) {
    match schema {
        Value::Array(schemas) => schemas.iter_mut().for_each(|schema| drop_prose(schema, false)),
        Value::Object(words) => {
            words.retain(|word, _| match word.as_str() {
                "title" | "examples" | "default" | "$schema" => false,
                "description" => is_quoted,
                _ => true,
            });
            let required = words.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
            for (word, inner) in words {
                match (word.as_str(), inner) {
                    ("enum" | "const" | "required", _) => {}
                    ("properties" | "$defs", Value::Object(named)) => {
                        let is_required = |name: &str| required.iter().any(|one| one == name);
                        named.iter_mut().for_each(|(name, schema)| drop_prose(schema, is_required(name)));
                    }
                    (_, inner) => drop_prose(inner, false),
                }
            }
        }
        _ => {}
    }
}

/// All types that were used, without `null` where a field may be left out: a manifest leaves it out.
fn definitions(generator: &mut SchemaGenerator) -> Map<String, Value> {
    let mut definitions = generator.take_definitions(true);
    for definition in definitions.values_mut() {
        let schema: &mut Schema = definition.try_into().expect("schemars makes schemas");
        RecursiveTransform(without_null).transform(schema);
    }
    definitions
}

fn without_null(schema: &mut Schema) {
    let Some(fields) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = fields.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            fields.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(branches)) = fields.get_mut("anyOf") {
        branches.retain(|branch| branch["type"] != "null");
        if let [Value::Object(only)] = &branches[..] {
            let only = only.clone();
            fields.remove("anyOf");
            fields.extend(only);
        }
    }
    if fields.get("default") == Some(&Value::Null) {
        fields.remove("default");
    }
}

/// One schema for files with any kind: `kind` chooses, so that an editor's errors speak about that kind alone.
fn all_kinds() -> Value {
    let titles: Vec<&str> = Kind::ALL.into_iter().map(title).collect();
    let mut definitions = Map::new();
    let mut choices = Vec::new();
    for kind in Kind::ALL {
        let schema = describe(kind);
        let mut schema = schema.as_object().expect("a schema is an object").clone();
        schema.remove("$schema");
        if let Some(Value::Object(shared)) = schema.remove("$defs") {
            definitions.extend(shared);
        }
        let title = title(kind);
        definitions.insert(title.into(), schema.into());
        let chosen = json!({"properties": {"kind": {"const": title}}, "required": ["kind"]});
        choices.push(json!({"if": chosen, "then": {"$ref": format!("#/$defs/{title}")}}));
    }
    json!({
        "$schema": DIALECT,
        "title": "Evenkeel manifest",
        "description": "A manifest of any kind.",
        "type": "object",
        "properties": {"apiVersion": {"const": API_VERSION}, "kind": {"enum": titles}},
        "required": ["apiVersion", "kind", "metadata"],
        "allOf": choices,
        "$defs": definitions,
    })
}

fn text(schema: &Value) -> String {
    let mut text = serde_json::to_string_pretty(schema).expect("a schema is plain data");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_type_has_the_name_of_a_kind() {
        for kind in Kind::ALL {
            assert!(of(kind)["$defs"].get(title(kind)).is_none(), "{kind}");
        }
    }

    #[test]
    fn no_field_takes_null() {
        assert!(!generate().values().any(|text| text.contains("\"null\"") || text.contains(": null")));
    }
}
