//! Images that Evenkeel has brought to the engine, and may therefore remove: plain data, part of the history.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::name::Key;
use super::revision::ImageId;
use super::time::{Span, Timestamp};

/// What Evenkeel has brought, by the image's id. What the engine had before is not here, whoever brought that.
pub type Brought = BTreeMap<ImageId, BroughtImage>;

/// An image that Evenkeel has brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BroughtImage {
    /// What it was brought as. Whatever else it is called is somebody else's.
    pub references: BTreeSet<String>,
    /// For which object, first.
    pub object: Key,
    /// When, first.
    pub at: Timestamp,
    /// Images without a name that its build has left between its steps and in its other stages: they go with it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub steps: BTreeSet<ImageId>,
    /// Since when nothing has needed it, without a gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused_since: Option<Timestamp>,
}

/// An image that has just come, as whoever brought it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The image.
    pub id: ImageId,
    /// What it was brought as.
    pub reference: String,
    /// For which object.
    pub object: Key,
    /// When.
    pub at: Timestamp,
    /// What its build has left on the way.
    pub steps: Steps,
}

/// An image that a build has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// It.
    pub id: ImageId,
    /// What is left of the way to it.
    pub steps: Steps,
}

/// Images without a name that a build has left in the engine: one for each step, and for each stage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps {
    /// Those that were not there before it.
    pub made: BTreeSet<ImageId>,
    /// Those that were, and that it has built on: an earlier build's, or somebody else's.
    pub reused: BTreeSet<ImageId>,
}

/// What the operator wants done with images that nothing needs any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanUp {
    /// Whether those that Evenkeel has brought are removed.
    pub is_on: bool,
    /// How long nothing must have needed one.
    pub grace: Span,
}

impl Default for CleanUp {
    /// On: a full disk stops every update and every database, and what is removed can be pulled again by its digest.
    fn default() -> Self {
        Self { is_on: true, grace: Span::secs(24 * 3600) }
    }
}
