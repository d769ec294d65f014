//! The Job manifest.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::template::Template;
use crate::model::name::Name;
use crate::model::time::Span;

/// A container that runs to completion, once for each revision of its template; as a gate, when a rollout comes to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobSpec {
    /// The container to run. Its restart policy is always Never.
    pub template: Arc<Template>,
    /// How often a failed run is tried again. Default: 0 (Kubernetes: 6), so that a migration never runs twice unasked.
    #[serde(default)]
    #[schemars(range(max = 100))]
    pub backoff_limit: u32,
    /// The longest that one run may take; then it is stopped and counts as failed. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_deadline: Option<Span>,
    /// Whether running it twice does no harm. If its container vanishes before the result was seen, an idempotent job
    /// runs again; any other is reported as Unknown and waits for a person. Default: false.
    #[serde(default)]
    pub idempotent: bool,
    /// Whether to leave it alone: nothing is started or stopped. Default: false.
    #[serde(default)]
    pub suspend: bool,
    /// The Deployment whose image and configuration it takes, being a gate of it that names no image of its own.
    #[serde(skip)]
    pub image_of: Option<Name>,
}
