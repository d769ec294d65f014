//! The ConfigMap and Secret manifests.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration that containers mount as files or take as environment. Changing it makes a new revision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ConfigMapSpec {
    /// Keys with their text, at most 1 MiB together with `files`. `${NAME}` is substituted, `$$` is a dollar.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
    /// Keys with the path of a file in the manifest directory, relative to this manifest. Its text is taken as it is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

/// Confidential configuration, read from files on the host that are not in git. Changing one makes a new revision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SecretSpec {
    /// Keys with the path of a file on the host (absolute, or relative to this manifest). One trailing newline is kept.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// Files of `NAME=value` lines (dotenv rules); every name becomes a key. A later file wins over an earlier one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env_files: Vec<String>,
}
