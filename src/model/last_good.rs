//! What last completed of a source: what a rebuilt machine starts, although the newest manifests may be bad. Plain data, for
//! people to read too; it holds no secret, because a template only names Secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::history::DeploymentHistory;
use super::name::{Key, Name};
use super::revision::Checkout;
use super::spec::Template;

/// What last completed of one source, by Deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastGood {
    /// Which source.
    #[serde(flatten)]
    pub source: SourceName,
    /// The revision of each Deployment that has ever completed one.
    pub deployments: BTreeMap<Key, GoodRevision>,
}

/// A source: one directory may be several, each with another namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourceName {
    /// Its directory.
    #[serde(rename = "source")]
    pub dir: String,
    /// The one namespace that its manifests may be in; none where they can name any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Name>,
}

/// A revision that completed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GoodRevision {
    /// Its number.
    pub revision: u64,
    /// When all its replicas became available, for people.
    pub completed_at: String,
    /// The commit that its source was at when it was first seen; none where that is not in a git checkout.
    #[serde(flatten)]
    pub commit: Option<Checkout>,
    /// Its image with the registry's digest; none where no registry has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Whether a person chose it, against its manifest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub chosen: bool,
    /// Its template.
    pub template: Arc<Template>,
}

impl GoodRevision {
    /// The revision that completed last, if any has.
    pub fn of(history: &DeploymentHistory) -> Option<Self> {
        let (at, revision) = history.newest_completed(|revision| !revision.taken_over)?;
        Some(Self {
            revision: revision.number,
            completed_at: at.to_string(),
            commit: revision.commit.clone(),
            digest: revision.digest.clone(),
            chosen: history.pin.as_ref().is_some_and(|pin| !pin.lapses && !pin.restored && pin.revision == revision.id),
            template: revision.template.clone(),
        })
    }

    /// What to pull for it: exactly its image if a registry has it, whatever its tag means by now.
    pub fn reference(&self) -> &str {
        self.digest.as_deref().unwrap_or(&self.template.image)
    }
}
