//! How a source is, as the view tells it: which of its manifests are in force, and why not the newest. Plain data.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use serde::{Deserialize, Serialize};

use super::name::{Key, Name};
use super::revision::Checkout;
use super::time::Timestamp;
use super::view::ProblemView;

/// What a source is called, as on the command line: `DIR` or `DIR=NAMESPACE`.
pub fn called(dir: impl Display, namespace: Option<&Name>) -> String {
    match namespace {
        Some(namespace) => format!("{dir}={namespace}"),
        None => dir.to_string(),
    }
}

/// How a source is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceState {
    /// Its directory as the daemon watches it: absolute, symlinks resolved where it exists.
    pub dir: String,
    /// The namespace that its objects without one get.
    pub namespace: Option<Name>,
    /// Its own variables, which win over those of a Namespace: without them nobody else can read its manifests.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// Which of its manifests are in force.
    pub state: SourcePhase,
    /// Why its newest manifests are not in force; empty when they are.
    pub message: String,
    /// Whether that is because git is in the middle of changing them, or was interrupted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// What is wrong with its newest manifests.
    pub problems: Vec<ProblemView>,
    /// The git commit that the directory was at when they were found; none where it is not in a checkout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Checkout>,
    /// When the manifests in force were read.
    pub loaded_at: Option<Timestamp>,
    /// The digest of the manifests in force.
    pub digest: String,
    /// The git commit that the directory was at when they were read last; none where it is not in a checkout.
    #[serde(flatten)]
    pub commit: Option<Checkout>,
    /// Counts the changes of what is in force, from 1; 0 before the first load.
    pub generation: u64,
    /// The objects that the manifests in force declare.
    pub declares: BTreeSet<Key>,
}

impl SourceState {
    /// Whether its newest manifests are in force, and nothing is in the middle of changing them.
    pub fn is_current(&self) -> bool {
        self.state == SourcePhase::Loaded && self.message.is_empty()
    }

    /// How it is, for people; empty when it is current.
    pub fn trouble(&self) -> String {
        match self.state {
            SourcePhase::Loaded if self.message.is_empty() => String::new(),
            SourcePhase::Loaded => format!("what is new in source {} waits: {}", self.dir, self.message),
            state => format!("source {} is {}: {}", self.dir, state.word(), self.message),
        }
    }

    /// Whether some manifests of it are in force, old or new.
    pub fn in_force(&self) -> bool {
        matches!(self.state, SourcePhase::Loaded | SourcePhase::LastGood)
    }
}

/// Which manifests of a source are in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourcePhase {
    /// It is being read for the first time: none yet.
    Reading,
    /// The newest.
    Loaded,
    /// The last good ones: the newest are invalid, or the directory is empty, unreadable or in the middle of a change.
    LastGood,
    /// None: it could never be read. Nothing is pruned.
    Unknown,
}

impl SourcePhase {
    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            SourcePhase::Reading => "being read",
            SourcePhase::Loaded => "loaded",
            SourcePhase::LastGood => "held at its last good state",
            SourcePhase::Unknown => "unknown",
        }
    }
}
