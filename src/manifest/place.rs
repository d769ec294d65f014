//! A way down a document, by names and numbers, that remembers where the last known step is written.

use super::diagnostic::Spot;
use super::file::{File, Pos};
use super::tree::{Node, Value};

/// A place in a document. A step that is not written there stays at the place before it.
#[derive(Clone, Copy)]
pub struct At<'a> {
    /// The file.
    pub file: &'a File,
    /// What is written.
    pub pos: Pos,
    node: Option<&'a Node>,
}

impl<'a> At<'a> {
    /// The beginning of a document.
    pub fn root(file: &'a File, root: &'a Node) -> Self {
        Self { file, pos: root.pos, node: Some(root) }
    }

    /// The value of a field, or its name when the value has parts.
    pub fn field(self, name: &str) -> Self {
        match self.node.and_then(|node| node.entry(name)) {
            Some(entry) => {
                let whole = matches!(entry.value.value, Value::Scalar(_)) && !entry.value.is_null();
                let pos = if whole { entry.value.pos } else { entry.key_pos };
                Self { file: self.file, pos, node: Some(&entry.value) }
            }
            None => Self { node: None, ..self },
        }
    }

    /// The name of a field.
    pub fn key(self, name: &str) -> Self {
        match self.node.and_then(|node| node.entry(name)) {
            Some(entry) => Self { file: self.file, pos: entry.key_pos, node: Some(&entry.value) },
            None => Self { node: None, ..self },
        }
    }

    /// An item of a list.
    pub fn item(self, index: usize) -> Self {
        match self.node.and_then(|node| node.items().get(index)) {
            Some(item) => Self { file: self.file, pos: item.pos, node: Some(item) },
            None => Self { node: None, ..self },
        }
    }

    /// Whether the last step is written in the document.
    pub fn is_written(self) -> bool {
        self.node.is_some()
    }

    /// The text that is written here.
    pub fn text(self) -> Option<&'a str> {
        self.node.and_then(Node::text)
    }

    /// The place for people.
    pub fn spot(self) -> Spot {
        self.file.spot(self.pos)
    }
}
