//! What is asked for: by the manifest, once its image is known, or by a person.

use serde::{Deserialize, Serialize};

use super::revision::{ImageId, RevisionId, TemplateHash, revision_id};
use super::time::Timestamp;

/// The image that a template resolved to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resolution {
    /// The template.
    pub template: TemplateHash,
    /// When this template was first seen; a policy of Always wants a pull after this.
    pub seen_at: Timestamp,
    /// The image, once known.
    pub image: Option<ImageId>,
}

impl Resolution {
    /// The revision that the manifest asks for, once its image is known.
    pub fn revision(&self) -> Option<RevisionId> {
        self.image.as_ref().map(|image| revision_id(&self.template, image))
    }
}

/// The revision that a person chose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// The revision.
    pub revision: RevisionId,
    /// The manifest's template at that time; another one ends the pin.
    pub template: TemplateHash,
    /// Whether it ends with its rollout: a restart in place of a rejected revision chooses nothing for good.
    #[serde(default)]
    pub lapses: bool,
    /// Whether nobody chose it: it is what had completed last on a machine that was rebuilt. In a release group it stays only as
    /// long as those of the others do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restored: bool,
    /// The revision that was chosen, where it failed and `revision` runs in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<RevisionId>,
}

impl Pin {
    /// What was asked for, whether it could be had or not.
    pub fn chosen(&self) -> &RevisionId {
        self.failed.as_ref().unwrap_or(&self.revision)
    }
}
