//! One value of one document that gets another text, and the file that comes of it: nothing else in it may change.

use super::{Opened, Refusal, Rewrite, Variable, entry_at, problem, scalar};
use crate::manifest::diagnostic::{Problems, Spot};
use crate::manifest::documents::Document;
use crate::manifest::file::{File, Pos};
use crate::manifest::tree::{Entry, Node, Scalar, Value};
use crate::manifest::yaml::{self, Budget};

/// A value of a manifest that changes.
pub struct Change {
    /// The manifest, as it is written.
    pub document: Document,
    /// The fields that lead to the value, which is there.
    pub path: Vec<String>,
    /// Its new text.
    pub value: String,
    /// The variable whose value it is, if it is one.
    pub variable: Option<String>,
}

impl Change {
    fn entry(&self) -> &Entry {
        entry_at(&self.document.root, &self.path).expect("whoever makes a change has looked the value up")
    }

    /// Where the value is written.
    pub fn value_pos(&self) -> Pos {
        self.entry().value.pos
    }

    /// Where the value is written, for people.
    pub fn spot(&self) -> Spot {
        self.document.file.spot(self.value_pos())
    }

    /// The variable with its values before and after.
    pub fn described(&self) -> Option<Variable> {
        let before = self.entry().value.text().unwrap_or_default().to_string();
        self.variable.clone().map(|name| Variable { name, before, after: self.value.clone() })
    }

    /// The file with the new value, if that changes nothing else.
    pub fn rewrite(&self, opened: &Opened) -> Result<Rewrite, Refusal> {
        let file = &self.document.file;
        let new = File::new(file.name.clone(), scalar::replaced(file, self.entry(), &self.value)?);
        if !self.is_all(&new) {
            let entry = self.entry();
            let message = format!("'{}' is repeated elsewhere in this manifest, which would change too", entry.key);
            let hint = "write the values themselves instead of an alias or a merge, then set it";
            return Err(problem(&self.document, entry.key_pos, message, hint).into());
        }
        let before = opened.snapshot.files[&self.document.path].clone();
        // All that the text does not have is a byte order mark.
        let mut after = before[..before.len() - file.text.len()].to_vec();
        after.extend(new.text.bytes());
        Ok(Rewrite { dir: opened.source.dir.clone(), path: self.document.path.clone(), before, after })
    }

    /// Whether the documents of the file differ from those of `new` in this value alone.
    fn is_all(&self, new: &File) -> bool {
        let (mut before, mut after) = (parsed(&self.document.file), parsed(new));
        let index = before.iter().position(|root| root.pos == self.document.root.pos).unwrap_or_default();
        let old = before.get_mut(index).and_then(|root| scalar_at(root, &self.path));
        let written = after.get_mut(index).and_then(|root| scalar_at(root, &self.path));
        let (Some(old), Some(written)) = (old, written) else { return false };
        let is_there = written.text == self.value && !written.is_null() && !written.is_number_or_bool();
        // Its text, and whether it is in quotes, is the one difference.
        old.clone_from(written);
        let bare = |documents: Vec<Node>| documents.into_iter().map(bare).collect::<Vec<_>>();
        is_there && bare(before) == bare(after)
    }
}

fn parsed(file: &File) -> Vec<Node> {
    yaml::parse(file, &mut Budget::default(), &mut Problems::default())
}

fn scalar_at<'n>(root: &'n mut Node, path: &[String]) -> Option<&'n mut Scalar> {
    let node = path.iter().try_fold(root, |node, field| match &mut node.value {
        Value::Mapping(entries) => entries.iter_mut().find(|entry| entry.key == *field).map(|entry| &mut entry.value),
        Value::Scalar(_) | Value::Sequence(_) => None,
    })?;
    match &mut node.value {
        Value::Scalar(scalar) => Some(scalar),
        Value::Sequence(_) | Value::Mapping(_) => None,
    }
}

/// The node without its places.
fn bare(node: Node) -> Node {
    let entry = |Entry { key, value, .. }| Entry { key, key_pos: Pos::default(), value: bare(value) };
    let value = match node.value {
        Value::Scalar(scalar) => Value::Scalar(scalar),
        Value::Sequence(items) => Value::Sequence(items.into_iter().map(bare).collect()),
        Value::Mapping(entries) => {
            Value::Mapping(entries.into_entries().into_iter().map(entry).collect::<Vec<_>>().into())
        }
    };
    Node { pos: Pos::default(), value }
}
