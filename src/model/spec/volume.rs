//! The Volume manifest.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Storage that outlives containers. Evenkeel creates it when it is missing and never removes or recreates it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct VolumeSpec {
    /// The name in Docker; naming an existing volume adopts it as it is. Default: `NAMESPACE.NAME`. Required with `external`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the volume must exist already: a missing one is an error, not created. Default: false.
    pub external: bool,
    /// Docker's volume driver. Default: local.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Driver options, as for `docker volume create --opt`. A later change is reported, not applied.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Labels of the Docker volume, set when it is created. `evenkeel.dev/` is reserved.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How many replicas may use it at once. Default: ReadWriteMany.
    pub access_mode: AccessMode,
}

impl VolumeSpec {
    /// Whether one container at a time may write to it.
    pub fn has_one_writer(&self) -> bool {
        self.access_mode == AccessMode::ReadWriteOncePod
    }
}

/// How many containers may mount a volume at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AccessMode {
    /// Any number: an old and a new replica overlap during an update.
    #[default]
    ReadWriteMany,
    /// One at a time (a database): updates stop the old replica before the new one starts, and what another object has left
    /// running with it, be it under an earlier name, by an earlier manifest or by another Volume object of the same name in
    /// Docker, is waited for, unless it mounts it `readOnly`.
    ReadWriteOncePod,
}
