//! Commands to the reconciler and what it answers: plain data, as the socket carries it.

use serde::{Deserialize, Serialize};

use super::action::{Confirmation, Request};
use super::name::Key;
use super::release::Release;
use super::time::Timestamp;
use super::view::{RevisionParts, SourceState};

/// What is asked of the reconciler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Change an object's history as a person asks.
    Request {
        /// The object.
        key: Key,
        /// What is asked.
        request: Request,
        /// Who asks.
        by: String,
    },
    /// Note that somebody has changed the image in an object's manifest.
    ImageSet {
        /// The object.
        key: Key,
        /// What was changed.
        change: String,
        /// The image that it has now; none if an older command does not say so.
        image: Option<String>,
        /// By whom.
        by: String,
    },
    /// Tell the release log. Changes nothing.
    Releases,
    /// Tell what the revisions of a Deployment were made of. Changes nothing.
    Revisions(Key),
    /// Carry out a removal that the brake held.
    Confirm {
        /// Which.
        confirmation: Confirmation,
        /// Who confirms it.
        by: String,
    },
    /// Read all sources now, and answer when it is known which manifests are in force. Does not wait for the engine.
    Sync,
    /// The same for who only wants to know how it stands: what failed before keeps its pause.
    Look,
    /// End the loop: begin nothing new, let actions under way end, write down what must be. Answered when that is done.
    Shutdown,
}

/// What the reconciler answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum Answer {
    /// It is written down and the next pass acts on it; a sentence for people, such as `restarted as revision 5`.
    Done {
        /// The sentence.
        message: String,
    },
    /// What the revisions of a Deployment were made of.
    Revisions {
        /// Oldest first.
        revisions: Vec<RevisionParts>,
    },
    /// The release log.
    Releases {
        /// The daemon's time.
        now: Timestamp,
        /// Oldest first, each once.
        releases: Vec<Release>,
    },
    /// It is noted; nothing else comes of it.
    Noted,
    /// The sources after reading them.
    Synced {
        /// Every source; its `generation` and `declares` say what to wait for.
        sources: Vec<SourceState>,
        /// Views with this many passes or more were decided with these sources.
        pass: u64,
        /// When the daemon that says so was started: another one counts its own passes.
        started_at: Timestamp,
    },
}

/// Why a command is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// What sort of refusal.
    pub kind: RefusalKind,
    /// A sentence for people.
    pub message: String,
}

impl Refusal {
    /// There is no such object, revision or held removal.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::NotFound, message: message.into() }
    }

    /// It makes no sense for the object as it is.
    pub fn impossible(message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Impossible, message: message.into() }
    }

    /// It cannot be done now: the history cannot be written, or the daemon is stopping.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Unavailable, message: message.into() }
    }
}

/// Sorts of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalKind {
    /// There is no such thing.
    NotFound,
    /// It makes no sense as things are.
    Impossible,
    /// Not now.
    Unavailable,
}

/// What a command comes to.
pub type Reply = Result<Answer, Refusal>;
