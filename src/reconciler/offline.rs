//! A plan without a daemon: load, observe, plan, and nothing else. It writes nothing and changes nothing.

use std::collections::BTreeMap;

use super::Setup;
use crate::manifest::Diagnostic;
use crate::model::name::Key;
use crate::model::status::Status;
use crate::model::view::PlanStep;

/// What the next pass would do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outlook {
    /// The steps that are safe and possible now.
    pub steps: Vec<PlanStep>,
    /// How every object stands.
    pub status: BTreeMap<Key, Status>,
    /// What is worth knowing beside it: history that cannot be read, a manifest's warning.
    pub warnings: Vec<String>,
}

/// Why there is no plan.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OfflineError {
    /// Manifests are wrong.
    #[error("the manifests are invalid")]
    Invalid(Vec<Diagnostic>),
    /// A source cannot be read, the engine does not answer, …
    #[error("{message}")]
    Unavailable {
        /// What was attempted and what came of it.
        message: String,
        /// What to do about it; may be empty.
        hint: String,
    },
}

/// The plan for these sources against the engine as it is. History is read from the state directory if it is there;
/// a running daemon does not mind.
pub async fn plan(_setup: &Setup) -> Result<Outlook, OfflineError> {
    Err(OfflineError::Unavailable { message: "planning is not wired yet".into(), hint: String::new() })
}
