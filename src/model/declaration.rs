//! What a manifest says of an object, as the view carries it: JSON text.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A spec as JSON text: shared by every view between two loads, and a tenth of the size of a tree of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration(Arc<str>);

impl Declaration {
    /// The JSON of a spec.
    pub fn of(spec: &impl Serialize) -> Self {
        Self(serde_json::to_string(spec).expect("a spec is plain data").into())
    }

    /// Nothing: an object that is not declared any more.
    pub fn none() -> Self {
        Self("null".into())
    }

    /// The spec as a tree.
    pub fn value(&self) -> serde_json::Value {
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl Serialize for Declaration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Declaration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(serde_json::Value::deserialize(deserializer)?.to_string().into()))
    }
}
