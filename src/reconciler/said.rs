//! What a source said, to compare its next state with: whether a file looks cut off, and whether less is said than
//! before, as while a tool is still writing. It decides nothing and holds no secret's content.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::manifest::context::{Asked, Contexts, Trouble};
use crate::manifest::{self, Diagnostic, Loaded, ReadError, Snapshot, Source, Spot};
use crate::model::text::hex;

/// What a source said at one moment.
#[derive(Clone)]
pub struct Said {
    /// The files of its snapshot.
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// How the files on the host end that it names.
    outside: BTreeMap<PathBuf, Ending>,
    /// Its objects by `kind/namespace/name` as JSON, and the keys of their contents. Kept for hours and read in a moment:
    /// as text they take a tenth of the memory.
    objects: BTreeMap<String, String>,
}

/// How a text ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// There is no text.
    Empty,
    /// In the middle of a line.
    Open,
    /// With a newline, as editors and most tools end it.
    Newline,
}

impl Ending {
    fn of(bytes: &[u8]) -> Self {
        match bytes.last() {
            None => Ending::Empty,
            Some(b'\n') => Ending::Newline,
            Some(_) => Ending::Open,
        }
    }
}

impl Said {
    /// What `loaded` says, which was made of `snapshot`.
    pub fn of(source: &Source, snapshot: &Snapshot, loaded: &Loaded) -> Self {
        let ending = |path: &PathBuf| Some((path.clone(), Ending::of(&manifest::read_outside(path).ok()?)));
        let mut objects: BTreeMap<String, String> = manifest::values(source, snapshot)
            .unwrap_or_default()
            .into_iter()
            .map(|(kind, value)| (name(source, &kind.to_string(), &value), value.to_string()))
            .collect();
        for (key, declared) in &loaded.desired.contents {
            let entries = loaded.contents.get(&declared.spec).into_iter().flat_map(|content| content.entries.keys());
            let keys = entries.map(|entry| (entry.clone(), Value::Null)).collect();
            objects.insert(format!("the content of {key}"), Value::Object(keys).to_string());
        }
        Self { files: snapshot.files.clone(), outside: loaded.external.iter().filter_map(ending).collect(), objects }
    }

    /// What a snapshot says, if none of its files looks cut off beside what was said before.
    pub fn whole(
        source: &Source,
        before: Option<&Said>,
        snapshot: &Snapshot,
        loaded: Loaded,
    ) -> Result<(Loaded, Said), Vec<Diagnostic>> {
        let said = Said::of(source, snapshot, &loaded);
        let cut_off = before.map(|before| before.cut_off(&said, source)).unwrap_or_default();
        if cut_off.is_empty() { Ok((loaded, said)) } else { Err(cut_off) }
    }

    /// The files of its snapshot.
    pub fn files(&self) -> &BTreeMap<PathBuf, Vec<u8>> {
        &self.files
    }

    /// The files that end in the middle of a line and did not before, or are empty: a tool was cut off while it wrote
    /// them, or the disk is full.
    pub fn cut_off(&self, now: &Said, source: &Source) -> Vec<Diagnostic> {
        let inside = now.files.iter().filter(|(path, new)| self.files.get(*path).is_some_and(|old| is_cut(old, new)));
        let inside = inside.map(|(path, new)| diagnostic(&source.dir.join(path), new));
        let outside = now.outside.iter().filter(|(path, new)| {
            self.outside.get(*path).is_some_and(|old| match (old, new) {
                (Ending::Empty, _) => false,
                (Ending::Open, new) => **new == Ending::Empty,
                (Ending::Newline, new) => **new != Ending::Newline,
            })
        });
        inside.chain(outside.map(|(path, _)| diagnostic(path, &[]))).collect()
    }

    /// What is said no more, for people: an object, a field, an item, a line of a text.
    pub fn says_less(&self, now: &Said) -> Option<String> {
        let object = self.objects.iter().find_map(|(name, old)| match now.objects.get(name) {
            None => Some(format!("it declares {name} no more")),
            Some(new) => is_less(&parsed(old), &parsed(new)).then(|| format!("{name} says less than before")),
        });
        let shortened = |(path, old): (&PathBuf, &Vec<u8>)| {
            let new = now.files.get(path)?;
            (old.len() > new.len() && old.starts_with(new)).then(|| format!("{} has become shorter", path.display()))
        };
        object.or_else(|| self.files.iter().find_map(shortened))
    }
}

/// What was written by us.
fn parsed(object: &str) -> Value {
    serde_json::from_str(object).unwrap_or_default()
}

/// `deployment/shop/web`.
fn name(source: &Source, kind: &str, value: &Value) -> String {
    let of_source = source.namespace.as_ref().map_or("default", |namespace| namespace.as_str());
    let namespace = value["metadata"]["namespace"].as_str().unwrap_or(of_source);
    format!("{kind}/{namespace}/{}", value["metadata"]["name"].as_str().unwrap_or_default())
}

fn is_cut(old: &[u8], new: &[u8]) -> bool {
    let text = std::str::from_utf8(old).is_ok() && !old.is_empty();
    let beginning = old.len() > new.len() && old.starts_with(new);
    text && Ending::of(new) != Ending::Newline && (Ending::of(old) == Ending::Newline || beginning)
}

/// Whether a field, an item or a line is missing. Another value is none the less.
fn is_less(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            old.iter().any(|(field, old)| new.get(field).is_none_or(|new| is_less(old, new)))
        }
        (Value::Array(old), Value::Array(new)) => {
            new.len() < old.len() || old.iter().zip(new).any(|(old, new)| is_less(old, new))
        }
        (Value::String(old), Value::String(new)) => new.lines().count() < old.lines().count(),
        _ => false,
    }
}

fn diagnostic(path: &Path, bytes: &[u8]) -> Diagnostic {
    let line = if bytes.is_empty() { 0 } else { bytes.iter().filter(|byte| **byte == b'\n').count() + 1 };
    let spot = Spot { line, column: line.min(1), width: 1, ..Spot::file(path.display().to_string()) };
    let mut problem =
        Diagnostic::error(spot, "this file looks cut off: it does not end with a newline, as it did before");
    problem.hint("write it again; if this is all of it, end its last line with a newline");
    problem
}

/// The digest of a snapshot, and of the files outside and the contexts of images that `loaded` read. The same bytes at another
/// place are something else: the policy judges where they were read.
pub fn whole_digest(
    source: &Source,
    snapshot: &Snapshot,
    loaded: Option<&Loaded>,
    contexts: &Contexts,
) -> Result<String, ReadError> {
    let mut hash = Sha256::new();
    hash.update(snapshot.digest());
    for path in loaded.iter().flat_map(|loaded| &loaded.external) {
        hash.update(path.as_os_str().as_encoded_bytes());
        match manifest::read_outside_of(source, path) {
            Ok((bytes, origin)) => {
                hash.update(Sha256::digest(&bytes));
                hash.update(format!("{origin:?}"));
            }
            Err(why) => hash.update(why),
        }
    }
    for asked in loaded.iter().flat_map(|loaded| loaded.contexts.keys()) {
        hash.update(asked.directory.as_os_str().as_encoded_bytes());
        hash.update(context_digest(asked, contexts)?);
    }
    Ok(hex(&hash.finalize(), 32))
}

/// The digest of a context, or of why it has none.
fn context_digest(asked: &Asked, contexts: &Contexts) -> Result<String, ReadError> {
    match contexts.read(asked) {
        Ok(context) => Ok(context.content),
        Err(Trouble::Unsettled(why)) => Err(ReadError::Unsettled(why)),
        Err(trouble @ (Trouble::Wrong(_) | Trouble::Dockerfile(_) | Trouble::Ignore(..))) => Ok(format!("{trouble:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_text_that_ends_within_a_line_and_did_not_before_is_cut() {
        for (old, new, cut) in [
            ("a: 10\n", "a: 1", true),
            ("a: 10\n", "", true),
            ("a: 10\n", "a: 1\n", false),
            ("a: 10", "a: 1", true),
            ("a: 10", "b: 1", false),
            ("a: 10\n", "b: 1", true),
            ("", "a: 1", false),
        ] {
            assert_eq!(is_cut(old.as_bytes(), new.as_bytes()), cut, "{old:?} {new:?}");
        }
    }

    #[test]
    fn a_missing_field_item_or_line_is_less_and_another_value_is_not() {
        let old = json!({"replicas": 30, "args": ["a", "b"], "text": "one\ntwo\n"});
        for (new, less) in [
            (json!({"replicas": 3, "args": ["c", "d"], "text": "eins\nzwei"}), false),
            (json!({"replicas": 3, "args": ["a", "b"], "text": "one\ntwo\n", "more": 1}), false),
            (json!({"args": ["a", "b"], "text": "one\ntwo\n"}), true),
            (json!({"replicas": 30, "args": ["a"], "text": "one\ntwo\n"}), true),
            (json!({"replicas": 30, "args": ["a", "b"], "text": "one\n"}), true),
        ] {
            assert_eq!(is_less(&old, &new), less, "{new}");
        }
    }
}
