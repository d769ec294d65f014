//! How an image is built on the host, in the place of one that is pulled.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::EnvValue;

/// An image that is built by the engine of this host: when the content of its context or one of these fields changes, and
/// not otherwise. It is named by that content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Build {
    /// The directory whose files the build may use, relative to this manifest or absolute. What its `.dockerignore` (or
    /// `DOCKERFILE.dockerignore`) leaves out is neither sent nor looked at, and `.git` only where it is let in. At most 20000 files and 512 MiB.
    pub context: String,
    /// The Dockerfile, relative to the context and in it. Default: Dockerfile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// Values of the Dockerfile's `ARG`s: plain text, which anybody can read in the image's history. A Secret cannot stand
    /// here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, EnvValue>,
    /// The stage to build. Default: the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

impl Build {
    /// The Dockerfile when none is named.
    pub const DOCKERFILE: &str = "Dockerfile";

    /// The Dockerfile, relative to the context.
    pub fn dockerfile(&self) -> &str {
        self.dockerfile.as_deref().unwrap_or(Self::DOCKERFILE)
    }
}
