//! A tree against the JSON Schema of its kind: every problem at once, each at its place, and the JSON value if there
//! is none. It knows no kind and no field; what it must know of a format, the model's own parsers say.

use serde_json::{Map, Value as Json};

use super::diagnostic::Problems;
use super::expect::{accepts, expected, first_sentence, is_one_field, published, shape, words};
use super::file::{File, Pos};
use super::format::{matches, way_out, well_formed};
use super::hidden::looks_like_a_key;
use super::step::{Step, path_of};
use super::suggest;
use super::tree::{Entry, Node, Scalar, Value};
use super::yaml::MERGE_KEY;
use crate::model::text::printable;

/// How much of a wrong value is quoted, in characters.
const QUOTED_MAX: usize = 60;

/// Among so many fields of a value that is none of those that it could be, the word of another tool is looked for.
const FIELDS_MAX: usize = 20;

/// What is in a document.
pub enum Checked {
    /// It is what its schema says, and every variable could be put in.
    Right(Json),
    /// It is not; this is the rest, with `null` in the place of a wrong value and without unknown fields.
    Flawed(Json),
}

/// The JSON value of `node` by `schema`.
pub fn check<'a>(
    file: &'a File,
    node: &'a Node,
    schema: &'a Json,
    quote: Quote,
    problems: &'a mut Problems,
) -> Checked {
    let walk = Walk {
        file,
        definitions: &schema["$defs"],
        quote,
        problems,
        path: Vec::new(),
        above: Vec::new(),
        broken: false,
    };
    walk.whole(node, schema)
}

/// Whether messages may quote values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quote {
    /// They may.
    Values,
    /// They may not: the manifest is a Secret's, where people put by mistake what is secret.
    Nothing,
}

struct Walk<'a> {
    file: &'a File,
    definitions: &'a Json,
    quote: Quote,
    problems: &'a mut Problems,
    path: Vec<Step<'a>>,
    /// The schemas of the mappings around the present value, with how long the path to each is.
    above: Vec<(usize, &'a Json)>,
    /// Whether a variable could not be put in somewhere; that is reported already.
    broken: bool,
}

impl<'a> Walk<'a> {
    fn whole(mut self, node: &'a Node, schema: &'a Json) -> Checked {
        let before = self.problems.count();
        let value = self.value(node, schema, node.pos);
        match !self.broken && self.problems.count() == before {
            true => Checked::Right(value),
            false => Checked::Flawed(value),
        }
    }

    /// Whether this value may be quoted: nothing of a webhook may, because its URL is a secret.
    fn quote(&self) -> Quote {
        if self.path.first() == Some(&Step::Field("notifications")) { Quote::Nothing } else { self.quote }
    }

    /// The JSON value of `node`. `owner` is where the field that holds it is named.
    fn value(&mut self, node: &'a Node, schema: &'a Json, owner: Pos) -> Json {
        let schema = self.resolve(schema);
        if node.is_unread() || self.problems.is_full() {
            self.broken = true;
            return Json::Null;
        }
        if node.is_null() {
            return self.null(schema, owner);
        }
        if let Some(branches) = schema["anyOf"].as_array() {
            return self.branch(node, branches, owner);
        }
        match &node.value {
            Value::Mapping(entries) if accepts(schema, "object") => self.mapping(node, entries, schema, owner),
            Value::Sequence(items) if accepts(schema, "array") => {
                let item = &schema["items"];
                items
                    .iter()
                    .enumerate()
                    .map(|(index, node)| self.inside(Step::Item(index), node, item, node.pos))
                    .collect()
            }
            Value::Scalar(scalar) if !accepts(schema, "object") && !accepts(schema, "array") => {
                self.scalar(node.pos, scalar, schema)
            }
            Value::Mapping(_) | Value::Sequence(_) | Value::Scalar(_) => self.wrong_type(node, &expected(schema)),
        }
    }

    fn inside(&mut self, step: Step<'a>, node: &'a Node, schema: &'a Json, owner: Pos) -> Json {
        self.path.push(match step {
            Step::Field(name) if self.quote() == Quote::Nothing && !looks_like_a_key(name) => Step::Untold,
            Step::Field(_) | Step::Item(_) | Step::Untold => step,
        });
        let value = self.value(node, schema, owner);
        self.path.pop();
        value
    }

    /// The schema that a `$ref` leads to.
    fn resolve(&self, schema: &'a Json) -> &'a Json {
        match schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            Some(name) => &self.definitions[name],
            None => schema,
        }
    }

    /// The path of the present value: `spec.template.ports[0]`.
    fn here(&self) -> String {
        path_of(&self.path)
    }

    fn mapping(&mut self, node: &'a Node, entries: &'a [Entry], schema: &'a Json, owner: Pos) -> Json {
        let mut object = Map::new();
        self.above.push((self.path.len(), schema));
        let properties = schema["properties"].as_object();
        let further = Some(&schema["additionalProperties"]).filter(|further| further.is_object());
        for Entry { key, key_pos, value } in entries {
            let known = properties.and_then(|properties| properties.get(key));
            if let Some(schema) = known.or(further) {
                object.insert(key.clone(), self.inside(Step::Field(key), value, schema, *key_pos));
            } else if key == MERGE_KEY && value.is_unread() {
                self.broken = true;
            } else {
                self.unknown_field(key, *key_pos, schema);
            }
        }
        self.above.pop();
        // It may have been in what could not be merged in.
        let is_whole = !node.field(MERGE_KEY).is_some_and(Node::is_unread);
        let required = schema["required"].as_array().filter(|_| is_whole).map(Vec::as_slice).unwrap_or_default();
        for name in required.iter().filter_map(Json::as_str).filter(|name| node.field(name).is_none()) {
            let message = format!("{} needs the field '{name}'", self.here());
            let problem = self.problems.error(self.file, owner, message);
            if let Some(description) = schema["properties"][name]["description"].as_str() {
                problem.hint(format!("{name}: {}", first_sentence(description)));
            }
        }
        Json::Object(object)
    }

    fn unknown_field(&mut self, key: &str, pos: Pos, schema: &Json) {
        let known = schema["properties"].as_object().into_iter().flat_map(Map::keys).map(String::as_str);
        let hint = || self.belongs(key, schema).or_else(|| suggest::hint(key, known, "its fields are"));
        let hint = self.problems.unless_full(hint);
        let message = format_args!("{} has no field '{key}'", path_of(&self.path));
        let problem = self.problems.error(self.file, pos, message);
        if let Some(hint) = hint {
            problem.hint(hint);
        }
    }

    /// Where a field of this very name is known: further out, or one step further in.
    fn belongs(&self, key: &str, schema: &Json) -> Option<String> {
        // What each of them needs is there already.
        let needs =
            |schema: &Json| schema["required"].as_array().is_some_and(|names| names.iter().any(|name| name == key));
        let has_room = |schema: &Json| !schema["properties"][key].is_null() && !needs(schema);
        let outer = self.above.iter().rev().skip(1).find(|(_, schema)| has_room(schema));
        if let Some((length, _)) = outer {
            return Some(format!("'{key}' belongs to {}", path_of(&self.path[..*length])));
        }
        let inside = |inner: &Json| !self.resolve(inner)["properties"][key].is_null();
        let inner = schema["properties"].as_object()?.iter().find(|(_, inner)| inside(inner));
        inner.map(|(name, _)| format!("'{key}' belongs to its field '{name}'"))
    }

    fn null(&mut self, schema: &Json, owner: Pos) -> Json {
        let branches = schema["anyOf"].as_array().map(Vec::as_slice).unwrap_or_default();
        let hint = match () {
            () if branches.iter().any(|branch| accepts(branch, "string")) || accepts(schema, "string") => {
                "write \"\" for an empty text, or remove the field"
            }
            () if accepts(schema, "array") => "write [] for an empty list, or remove the field",
            () if accepts(schema, "object") => "write {} for no fields, or remove the field",
            () => "write a value, or remove the field",
        };
        let message = format!("{} has no value", self.here());
        self.problems.error(self.file, owner, message).hint(hint);
        Json::Null
    }

    /// One of several schemas: the one that the value most likely means, so that its errors speak about that.
    fn branch(&mut self, node: &'a Node, branches: &'a [Json], owner: Pos) -> Json {
        let resolved = branches.iter().map(|branch| self.resolve(branch));
        // A number in quotes is meant as the number, so that is what its error is about.
        let quoted_number = node.scalar().is_some_and(Scalar::is_quoted_number);
        if let Some(number) = resolved.clone().find(|branch| quoted_number && accepts(branch, "integer")) {
            return self.value(node, number, owner);
        }
        let fitting: Vec<&Json> = resolved.filter(|branch| accepts(branch, shape(node, branch))).collect();
        let score =
            |branch: &Json| node.entries().iter().filter(|entry| !branch["properties"][&entry.key].is_null()).count();
        let best = fitting.iter().copied().map(|branch| (score(branch), branch)).max_by_key(|(score, _)| *score);
        match best {
            Some((0, _)) if fitting.len() > 1 && node.scalar().is_none() => self.no_branch(node, branches),
            // Of branches for one scalar, the first that takes it: a number before a text.
            Some((0, _)) => self.value(node, fitting[0], owner),
            Some((_, branch)) => self.value(node, branch, owner),
            None => self.no_branch(node, branches),
        }
    }

    fn no_branch(&mut self, node: &Node, branches: &'a [Json]) -> Json {
        let mut names: Vec<String> = branches.iter().map(|branch| expected(self.resolve(branch))).collect();
        names.dedup();
        let foreign = node.entries().iter().take(FIELDS_MAX).find_map(|entry| suggest::hint(&entry.key, [], ""));
        self.wrong_type(node, &names.join(" or "));
        if let (Some(hint), Some(problem)) = (foreign, self.problems.last()) {
            problem.hint(hint);
        }
        Json::Null
    }

    fn wrong_type(&mut self, node: &Node, expected: &str) -> Json {
        let found = match &node.value {
            Value::Scalar(scalar) => self.quoted(scalar),
            Value::Sequence(_) => "a list".into(),
            Value::Mapping(_) => "a mapping".into(),
        };
        let message = format!("{} must be {expected}, not {found}", self.here());
        let hint = match &node.value {
            Value::Scalar(scalar) if expected.starts_with("text") => {
                Some(format!("write \"{}\" in quotes", scalar.text))
            }
            Value::Scalar(scalar) if expected == "a list" && !scalar.text.contains(['"', '\\', '$']) => {
                let words: Vec<String> = scalar.text.split_whitespace().map(|word| format!("\"{word}\"")).collect();
                Some(format!("write [{}]", words.join(", ")))
            }
            // The short form of another tool, such as `- 80` among ports.
            Value::Scalar(scalar) if scalar.is_number_or_bool() && is_one_field(expected) => {
                Some(format!("write {}: {}}}", expected.trim_end_matches('}'), scalar.text))
            }
            Value::Scalar(scalar) if expected == "{port}" => published(&scalar.text),
            Value::Sequence(_) if expected.starts_with("a mapping") => {
                Some("write 'NAME: value' lines without '- '".into())
            }
            Value::Sequence(_) if expected == "{command}" => Some("write {command: […]}, as in Kubernetes".into()),
            Value::Scalar(_) if expected == "a mapping" => Some("write 'NAME: value' lines below it".into()),
            Value::Scalar(_) | Value::Sequence(_) | Value::Mapping(_) => None,
        };
        let hint = hint.filter(|_| self.quote() == Quote::Values);
        let problem = self.problems.error(self.file, node.pos, message);
        if let Some(hint) = hint {
            problem.hint(hint);
        }
        Json::Null
    }

    /// A wrong value as messages show it.
    fn quoted(&self, scalar: &Scalar) -> String {
        let kind = match () {
            () if scalar.bool().is_some() && scalar.plain => "",
            () if scalar.is_number_or_bool() => "the number ",
            () => "the text ",
        };
        if self.quote() == Quote::Nothing {
            return kind.replace("the ", "a ").trim_end().to_string();
        }
        let text: String = printable(&scalar.text.replace('\n', " ")).chars().take(QUOTED_MAX).collect();
        let more = if scalar.text.chars().count() > QUOTED_MAX { "…" } else { "" };
        format!("{kind}'{text}{more}'")
    }

    fn scalar(&mut self, pos: Pos, scalar: &Scalar, schema: &Json) -> Json {
        let words = words(schema);
        if !words.is_empty() {
            return self.word(pos, scalar, &words);
        }
        // Where a number or true is taken as a text too, it is taken as it is written.
        let as_written = accepts(schema, "string") && (accepts(schema, "number") || accepts(schema, "integer"));
        match () {
            () if as_written || (accepts(schema, "string") && !scalar.is_number_or_bool()) => {
                self.text(pos, &scalar.text, schema)
            }
            () if accepts(schema, "integer") => self.integer(pos, scalar, schema),
            () if accepts(schema, "boolean") => match scalar.bool() {
                Some(value) => value.into(),
                None => {
                    let message = format!("{} must be true or false, not {}", self.here(), self.quoted(scalar));
                    let problem = self.problems.error(self.file, pos, message);
                    match scalar.text.to_ascii_lowercase().as_str() {
                        "yes" | "on" | "y" | "1" | "true" => problem.hint("write true"),
                        "no" | "off" | "n" | "0" | "false" => problem.hint("write false"),
                        _ => {}
                    }
                    Json::Null
                }
            },
            () => {
                let node = Node { pos, value: Value::Scalar(scalar.clone()) };
                self.wrong_type(&node, &expected(schema))
            }
        }
    }

    /// One of a few words.
    fn word(&mut self, pos: Pos, scalar: &Scalar, words: &[&str]) -> Json {
        if words.contains(&scalar.text.as_str()) {
            return scalar.text.clone().into();
        }
        let message = format!("{} cannot be {}", self.here(), self.quoted(scalar));
        let hint = self.problems.unless_full(|| suggest::hint(&scalar.text, words.iter().copied(), "it is one of"));
        let problem = self.problems.error(self.file, pos, message);
        if let Some(hint) = hint {
            problem.hint(hint);
        }
        Json::Null
    }

    fn integer(&mut self, pos: Pos, scalar: &Scalar, schema: &Json) -> Json {
        let Some(value) = scalar.integer() else {
            let message = format!("{} must be a whole number, not {}", self.here(), self.quoted(scalar));
            let problem = self.problems.error(self.file, pos, message);
            if scalar.is_quoted_number() {
                problem.hint("remove the quotes");
            } else if scalar.text.ends_with('%') {
                problem.hint("percentages are not known here: write the number itself");
            } else if scalar.is_number_or_bool() {
                problem.hint("write it with decimal digits alone, without a leading 0");
            }
            return Json::Null;
        };
        let unsigned = schema["format"].as_str().is_some_and(|format| format.starts_with('u'));
        let minimum = schema["minimum"].as_i64().unwrap_or(if unsigned { 0 } else { i64::MIN });
        let maximum = schema["maximum"].as_i64().unwrap_or(if unsigned { u32::MAX.into() } else { i64::MAX });
        if value < minimum || value > maximum {
            let limit = if value < minimum { format!("at least {minimum}") } else { format!("at most {maximum}") };
            let message = format!("{} must be {limit}, not {}", self.here(), scalar.text);
            self.problems.error(self.file, pos, message);
            return Json::Null;
        }
        value.into()
    }

    fn text(&mut self, pos: Pos, text: &str, schema: &Json) -> Json {
        let checked = match schema["format"].as_str() {
            Some(format) => well_formed(format, text),
            None => schema["pattern"].as_str().map_or(Ok(()), |pattern| matches(pattern, text)),
        };
        if let Err(wrong) = checked {
            let wrong = if self.quote() == Quote::Nothing { "this is not allowed here".into() } else { wrong };
            let message = format!("{}: {wrong}", self.here());
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let lacks_unit = schema["format"] == "duration" && is_number && self.quote() == Quote::Values;
            let problem = self.problems.error(self.file, pos, message);
            if lacks_unit {
                problem.hint(format!("write {text}s for seconds"));
            }
            if let Some(hint) = schema["format"].as_str().and_then(way_out) {
                problem.hint(hint);
            }
            return Json::Null;
        }
        text.into()
    }
}
