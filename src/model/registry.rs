//! What registries are asked and what they said: which tag of a repository is the newest, and which digest it has. Plain
//! data; nobody is asked here.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::observed::Fault;
use super::revision::ContentId;
use super::tags::Selection;
use super::time::{Span, Timestamp};

/// How many digits of a digest people are shown.
const SHORT_DIGEST: usize = 12;

/// A repository as the engine lists it: Docker Hub's without its host.
pub fn familiar(repository: &str) -> &str {
    let hub = ["docker.io/library/", "index.docker.io/library/", "docker.io/", "index.docker.io/"];
    hub.iter().find_map(|host| repository.strip_prefix(host)).unwrap_or(repository)
}

/// An image's repository and its tag, if it has one; its digest is left out.
pub fn parts(image: &str) -> (&str, Option<&str>) {
    let without_digest = image.split('@').next().unwrap_or(image);
    match without_digest.rsplit_once(':') {
        // A colon before a slash belongs to the registry's port.
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (without_digest, None),
    }
}

/// Whether an image with a digest, `repository@sha256:…`, is of the repository that a reference names.
pub fn is_of_repository(digest: &str, reference: &str) -> bool {
    familiar(parts(digest).0) == familiar(parts(reference).0)
}

/// A question to a registry, about one repository: for everybody who follows an image there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inquiry {
    /// The repository with its registry, such as `ghcr.io/shop/web`.
    pub repository: String,
    /// Which tags are wanted.
    pub selections: BTreeSet<Selection>,
    /// Secrets with credentials, by their content.
    pub secrets: Vec<ContentId>,
    /// Whether it is to be asked now.
    pub is_due: bool,
}

/// What is known of a repository. Only in memory: what was chosen of it is history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repository {
    /// When the registry last answered.
    pub answered_at: Option<Timestamp>,
    /// What it said of each selection that it was asked for.
    pub answers: BTreeMap<Selection, Answer>,
    /// Why it did not answer the last time.
    pub failure: Option<Unanswered>,
    /// Whether it is being asked.
    pub is_asked: bool,
}

/// What a registry says of a selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The newest tag, and what it leads to.
    Found(Tagged),
    /// There is none: none of so many tags counts, or there is no such tag, or no such repository.
    None {
        /// How many tags there are; none where one tag was asked for, or the repository is not there.
        among: Option<usize>,
    },
}

/// A tag, and what it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tagged {
    /// The tag.
    pub tag: String,
    /// The digest with its algorithm, `sha256:…`.
    pub digest: String,
}

/// A question that was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// How often in a row.
    pub count: u32,
    /// When last.
    pub at: Timestamp,
    /// What to make of it.
    pub fault: Fault,
    /// How long the registry wants to be left alone, if it says so.
    pub retry_after: Option<Span>,
    /// Which registry, and what it said; printable and without secrets.
    pub message: String,
}

/// What a template's image policy has chosen: part of the history, so that neither an outage nor a restart changes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Choice {
    /// The repository with its registry.
    pub repository: String,
    /// What was asked for; another question needs another answer.
    pub selection: Selection,
    /// What was found.
    #[serde(flatten)]
    pub tagged: Tagged,
    /// What the same question had found before: none if the manifest asks it for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Tagged>,
    /// When.
    pub chosen_at: Timestamp,
}

impl Tagged {
    /// The tag with its digest in short: `1.4.2@sha256:1a2b3c4d5e6f`.
    pub fn in_short(&self) -> String {
        let digest: String = self.digest.chars().take("sha256:".len() + SHORT_DIGEST).collect();
        format!("{}@{digest}", self.tag)
    }
}

impl Choice {
    /// The image: `ghcr.io/shop/web:1.4.2@sha256:…`.
    pub fn image(&self) -> String {
        format!("{}:{}@{}", self.repository, self.tagged.tag, self.tagged.digest)
    }
}

/// An image as people read it: a digest beside a tag in short, `web:1.4.2@sha256:1a2b3c4d5e6f`.
pub fn in_short(image: &str) -> &str {
    let digits = "sha256:".len() + SHORT_DIGEST;
    match image.split_once('@') {
        Some((named, digest)) if named.rsplit('/').next().is_some_and(|last| last.contains(':')) => {
            &image[..image.len() - digest.len() + digest.len().min(digits)]
        }
        Some(_) | None => image,
    }
}

/// How it stands with a template's image policy, for people and machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImagePolicyStatus {
    /// The policy in words: `semver >=1.4 <2`.
    pub policy: String,
    /// The repository with its registry.
    pub repository: String,
    /// The tag that is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// What it led to, `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// When it was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen_at: Option<Timestamp>,
    /// When the registry last answered, since the daemon started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    /// When it is asked again; none while it is being asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// A CamelCase word for machines: AsChosen, NotAsked, TagMissing, OlderOnly, Held, RegistryUnavailable, Unauthorized or
    /// RateLimited.
    pub reason: String,
    /// Why the choice is not the registry's newest answer, and the way out; empty when it is.
    pub message: String,
}

impl ImagePolicyStatus {
    /// Whether somebody should look: it is neither as it should be nor held on purpose, nor is the answer still to come.
    pub fn is_trouble(&self) -> bool {
        !matches!(self.reason.as_str(), "AsChosen" | "NotAsked" | "Held")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_a_registry_is_not_a_tag() {
        assert_eq!(parts("registry.shop:5000/web"), ("registry.shop:5000/web", None));
        assert_eq!(parts("registry.shop:5000/web:1@sha256:0"), ("registry.shop:5000/web", Some("1")));
    }
}
