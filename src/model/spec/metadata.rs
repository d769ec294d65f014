//! What every manifest says about its object.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::name::Name;

/// The `apiVersion` of every manifest.
pub const API_VERSION: &str = "evenkeel.dev/v1";
/// What every version of it begins with.
pub const API_GROUP: &str = "evenkeel.dev";

/// An object's name, its namespace, and notes about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// The object's name: lower-case letters, digits and `-`, at most 63 characters. A Deployment is found by it in DNS.
    pub name: Name,
    /// The namespace. Default: the one that the source directory was given, else `default`. Not for a Namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Name>,
    /// Words to choose objects by. `evenkeel.dev/` is reserved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Notes for people and tools. They change nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}
