//! A message: one result of one subject, ready to be written in any format. Plain data.

use serde::Serialize;

use crate::model::name::Key;
use crate::model::text::{printable, shortened};
use crate::model::time::Timestamp;
use crate::model::told::Last;

/// The longest sentence or log line, in characters: a receiver refuses a body that is too large.
const LONGEST: usize = 1_000;
/// The most log lines.
const LINES: usize = 20;

/// One result of one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// When it was noticed.
    pub at: Timestamp,
    /// What it is about.
    pub object: Object,
    /// A CamelCase word for machines: RolledBack, JobFailed …
    pub result: &'static str,
    /// Who wants to hear of it.
    pub tone: Tone,
    /// Why, for people; empty when all is well.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// The revision that it is the result of; none for what has no revisions.
    pub revision: Option<RevisionRef>,
    /// The last log lines of what failed.
    pub last_log: Vec<String>,
    /// What it is the result of, for [`Last::of`].
    pub of: String,
}

/// Who wants to hear of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Everybody.
    Bad,
    /// Those who want all; the others after a bad one.
    Good,
    /// Nobody, unless something bad was told before.
    Recovered,
}

/// What a message is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Object {
    /// A kind of object, or Source, Engine, Test.
    pub kind: String,
    /// Its namespace; empty for what is in none.
    pub namespace: String,
    /// Its name: a source's is its directory.
    pub name: String,
}

impl Object {
    /// Something that no manifest declares.
    pub fn other(kind: &str, name: impl Into<String>) -> Self {
        Self { kind: kind.into(), namespace: String::new(), name: name.into() }
    }
}

impl From<&Key> for Object {
    fn from(key: &Key) -> Self {
        // As in manifests, not as on the command line.
        let kind = format!("{:?}", key.kind);
        Self { kind, namespace: key.namespace.to_string(), name: key.name.to_string() }
    }
}

/// A revision, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RevisionRef {
    /// Its number; a Job's have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Its image as the manifest wrote it.
    pub image: String,
}

impl Message {
    /// A result without a reason, a revision or a log.
    pub fn new(at: Timestamp, object: Object, result: &'static str, tone: Tone, message: impl AsRef<str>) -> Self {
        Self {
            at,
            object,
            result,
            tone,
            reason: String::new(),
            message: short(message.as_ref()),
            revision: None,
            last_log: Vec::new(),
            of: String::new(),
        }
    }

    /// The same with a reason.
    pub fn because(self, reason: &str) -> Self {
        Self { reason: short(reason), ..self }
    }

    /// The same with the revision that it is the result of.
    pub fn of_revision(self, id: &str, number: Option<u64>, image: &str) -> Self {
        Self { of: id.into(), revision: Some(RevisionRef { number, image: short(image) }), ..self }
    }

    /// The same with the last lines of a log.
    pub fn with_log(self, lines: &[String]) -> Self {
        let last = &lines[lines.len().saturating_sub(LINES)..];
        Self { last_log: last.iter().map(|line| short(line)).collect(), ..self }
    }

    /// What is to be remembered once it is told.
    pub fn last(&self) -> Last {
        Last { result: self.result.into(), of: self.of.clone(), bad: self.tone == Tone::Bad }
    }
}

/// Printable text that is not too long.
fn short(text: &str) -> String {
    // Line breaks are kept: problems of manifests have several lines.
    shortened(&text.lines().map(printable).collect::<Vec<_>>().join("\n"), LONGEST)
}
