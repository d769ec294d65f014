//! The Namespace manifest.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::template::{ImagePullPolicy, Logging};
use crate::model::name::Name;

/// An environment such as production or staging: its variables and defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NamespaceSpec {
    /// Variables for `${NAME}` in this namespace's manifests. They are not secret: plans and `describe` show them.
    pub variables: BTreeMap<String, String>,
    /// Files of variables (`NAME=value` lines, dotenv rules), read in order; a later file wins over an earlier one,
    /// and `variables` wins over all files. They are not secret: use a Secret for what is.
    pub variables_from: Vec<VariablesFile>,
    /// Defaults for every container in this namespace.
    pub defaults: NamespaceDefaults,
}

/// A file of variables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VariablesFile {
    /// Path of the file: absolute on the host, or relative to the manifest's directory.
    pub file: String,
    /// Whether a missing file is accepted. Default: false.
    #[serde(default)]
    pub optional: bool,
}

/// What a container gets when its template does not say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NamespaceDefaults {
    /// When to pull an image. Default: Always for the tag `latest`, IfNotPresent for every other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Secrets that hold registry credentials, tried before the host's `~/.docker/config.json`.
    pub image_pull_secrets: Vec<Name>,
    /// Log driver and options. Default: `local` with 5 files of 10 MB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
}
