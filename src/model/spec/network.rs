//! The Network manifest.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A network that containers join; names on it are resolved by Docker's DNS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NetworkSpec {
    /// The name in Docker. Default: `NAMESPACE.NAME`. With `external` it is required: the existing network's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the network exists already and is only used: never created, changed or removed. Default: false.
    pub external: bool,
    /// Docker's network driver. Default: bridge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Whether the network has no way out of the host. Publishing a port on it has no effect. Default: false.
    pub internal: bool,
    /// Subnets in CIDR form, at most one IPv4 and one IPv6. Default: a free IPv4 /24 from Evenkeel's own pool.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subnets: Vec<String>,
    /// Driver options, as for `docker network create --opt`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Labels of the Docker network. `evenkeel.dev/` is reserved.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}
