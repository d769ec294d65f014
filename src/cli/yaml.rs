//! YAML out: a tree of values as a person would write it. Nothing is ever read here.

use serde_json::Value;

use crate::model::text::is_unseen;

/// The tree as block YAML.
pub fn text(value: &Value) -> String {
    match value {
        Value::Object(_) | Value::Array(_) if !is_empty(value) => {
            let mut out = String::new();
            block(&mut out, value, 0);
            out
        }
        value => format!("{}\n", scalar(value)),
    }
}

/// Pretty JSON without control characters, which could take over a terminal.
pub fn json(value: &Value) -> String {
    escape_controls(&serde_json::to_string_pretty(value).unwrap_or_default())
}

/// The same on one line.
pub fn json_line(value: &Value) -> String {
    escape_controls(&value.to_string())
}

fn block(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                out.push_str(&" ".repeat(indent));
                out.push_str(&quoted(key));
                out.push(':');
                // Lists stand under their key without further indentation, as kubectl prints them.
                entry(out, value, indent + if value.is_array() { 0 } else { 2 });
            }
        }
        Value::Array(items) => items.iter().for_each(|item| list_item(out, item, indent)),
        value => {
            out.push_str(&scalar(value));
            out.push('\n');
        }
    }
}

fn list_item(out: &mut String, item: &Value, indent: usize) {
    out.push_str(&" ".repeat(indent));
    out.push('-');
    if !item.is_object() || is_empty(item) {
        return entry(out, item, indent + 2);
    }
    // The first field stands on the dash's own line.
    let mut fields = String::new();
    block(&mut fields, item, indent + 2);
    out.push_str(&fields[indent + 1..]);
}

/// What follows a key or a dash.
fn entry(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(_) | Value::Array(_) if !is_empty(value) => {
            out.push('\n');
            block(out, value, indent);
        }
        Value::String(text) if is_literal(text) => literal(out, text, indent.max(2)),
        value => {
            out.push(' ');
            out.push_str(&scalar(value));
            out.push('\n');
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

/// Whether a text of several lines can stand as it is under `|`.
fn is_literal(text: &str) -> bool {
    let tame = |c: char| c == '\n' || !is_unseen(c);
    text.trim_end_matches('\n').contains('\n') && text.chars().all(tame) && !text.starts_with([' ', '\n'])
}

fn literal(out: &mut String, text: &str, indent: usize) {
    let body = text.strip_suffix('\n');
    out.push_str(match body {
        None => " |-\n",
        Some(body) if body.ends_with('\n') => " |+\n",
        Some(_) => " |\n",
    });
    for line in body.unwrap_or(text).split('\n') {
        if !line.is_empty() {
            out.push_str(&" ".repeat(indent));
            out.push_str(line);
        }
        out.push('\n');
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Object(_) => "{}".into(),
        Value::Array(_) => "[]".into(),
        value => value.to_string(),
    }
}

/// The text as it is where YAML reads it back as the same text, and in double quotes otherwise.
fn quoted(text: &str) -> String {
    if is_plain(text) { text.into() } else { escape_controls(&Value::from(text).to_string()) }
}

fn is_plain(text: &str) -> bool {
    let word = text.to_ascii_lowercase();
    let reserved = ["null", "~", "true", "false", "yes", "no", "on", "off", "y", "n", ".inf", ".nan"];
    // Anything that could be a number, a date or a base-60 integer begins with a digit, a sign or a dot.
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && text.chars().all(|c| c.is_ascii_alphanumeric() && !c.is_ascii_uppercase() || "+-._:".contains(c))
        && !text.contains(|c: char| ('g'..='z').contains(&c) && !"ox".contains(c));
    !text.is_empty()
        && !reserved.contains(&word.as_str())
        && !numeric
        && !text.starts_with(|c: char| "-?:,[]{}#&*!|>'\"%@` ".contains(c))
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.chars().any(is_unseen)
}

/// JSON text with every such character as `\uXXXX`; outside of strings JSON has none but line breaks.
fn escape_controls(json: &str) -> String {
    let escape = |c: char| if c != '\n' && is_unseen(c) { format!("\\u{:04x}", c as u32) } else { c.into() };
    json.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tree_reads_as_a_person_would_write_it() {
        let value = json!({
            "name": "web", "port": 80, "empty": {}, "none": null,
            "args": ["node", "8", "", "a: b", {"x": 1, "y": [true]}],
            "script": "one\n  two\n", "digest": "sha256:0a1b", "span": "10s", "time": "12:30", "user": "1000:1000",
            "evil": "\u{1b}[2J\u{9b}",
        });
        insta::assert_snapshot!(text(&value), @r#"
        args:
        - node
        - "8"
        - ""
        - "a: b"
        - x: 1
          "y":
          - true
        digest: sha256:0a1b
        empty: {}
        evil: "\u001b[2J\u009b"
        name: web
        none: null
        port: 80
        script: |
          one
            two
        span: 10s
        time: "12:30"
        user: "1000:1000"
        "#);
    }

    #[test]
    fn json_cannot_command_the_terminal() {
        for text in [json, json_line] {
            assert_eq!(text(&json!("\u{9b}2J\u{202e}")), r#""\u009b2J\u202e""#);
        }
    }
}
