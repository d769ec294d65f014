//! The JSON Schema of the manifests, generated from the model's types: one source of truth for editors and for `check`.

use std::collections::BTreeMap;

/// The schema files by name: `deployment.json` and the like for one kind each, `evenkeel.json` for all.
pub fn generate() -> BTreeMap<String, String> {
    BTreeMap::new()
}
