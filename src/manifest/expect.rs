//! What a schema asks for: its types, its words, and how to say so. It reads schemas only, and reports nothing.

use serde_json::Value as Json;

use super::tree::{Node, Value};

/// So many fields of a mapping are named where something else stands in its place.
const FEW_FIELDS: usize = 6;

/// Whether the schema takes values of a type.
pub fn accepts(schema: &Json, name: &str) -> bool {
    match &schema["type"] {
        Json::String(only) => only == name,
        Json::Array(types) => types.iter().any(|each| each == name),
        _ => false,
    }
}

/// The type to look for in `branch` when the value is `node`.
pub fn shape(node: &Node, branch: &Json) -> &'static str {
    match &node.value {
        Value::Mapping(_) => "object",
        Value::Sequence(_) => "array",
        Value::Scalar(scalar) if accepts(branch, "integer") && scalar.integer().is_some() => "integer",
        Value::Scalar(_) => "string",
    }
}

/// The words that the schema allows, if it allows only some.
pub fn words(schema: &Json) -> Vec<&str> {
    let list = |name: &str| schema[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let choices = list("oneOf").iter().map(|choice| &choice["const"]);
    choices.chain(list("enum")).chain(schema.get("const")).filter_map(Json::as_str).collect()
}

/// What the schema asks for, in words.
pub fn expected(schema: &Json) -> String {
    let format = schema["format"].as_str().unwrap_or_default();
    match () {
        () if !words(schema).is_empty() => format!("one of {}", words(schema).join(", ")),
        () if format == "duration" => "a duration such as 10s".into(),
        () if format == "memory" => "an amount of memory such as 512Mi".into(),
        () if format == "cpu" => "an amount of CPU such as 500m".into(),
        () if format == "port-range" => "a range such as 3001-3003".into(),
        () if accepts(schema, "integer") => "a whole number".into(),
        () if accepts(schema, "string") => "text".into(),
        () if accepts(schema, "boolean") => "true or false".into(),
        () if accepts(schema, "array") => "a list".into(),
        () if accepts(schema, "object") => match schema["required"].as_array() {
            Some(required) => {
                let names: Vec<&str> = required.iter().filter_map(Json::as_str).collect();
                format!("{{{}}}", names.join(", "))
            }
            None => {
                let fields: Vec<&str> =
                    schema["properties"].as_object().into_iter().flatten().map(|(name, _)| &**name).collect();
                match fields.len() {
                    1..=FEW_FIELDS => format!("a mapping with {}", fields.join(", ")),
                    _ => "a mapping".into(),
                }
            }
        },
        () => "something else".into(),
    }
}

pub fn first_sentence(text: &str) -> &str {
    let text = text.lines().next().unwrap_or_default();
    text.split_once(". ").map_or(text, |(first, _)| first).trim_end_matches('.')
}

/// Compose's `8080:80` as a port is written here.
pub fn published(text: &str) -> Option<String> {
    let (outside, port) = text.rsplit_once(':')?;
    let (address, host_port) = outside.rsplit_once(':').map_or((None, outside), |(ip, port)| (Some(ip), port));
    let number = |text: &str| text.parse::<u16>().ok();
    let (host_port, port) = (number(host_port)?, number(port)?);
    let address = match address {
        Some(address) => format!(", hostIP: {}", address.parse::<std::net::IpAddr>().ok()?),
        None => String::new(),
    };
    Some(format!("write {{port: {port}, hostPort: {host_port}{address}}}"))
}

/// Whether what is expected is a mapping that needs one field only: `{port}`.
pub fn is_one_field(expected: &str) -> bool {
    let field = expected.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    field.is_some_and(|field| !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_alphabetic()))
}
