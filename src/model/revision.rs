//! Revisions: what makes a container different from another. Hashing only; it decides nothing.
//!
//! The hash has a version and golden tests pin it: a new release of Evenkeel must not restart anybody's containers.

use std::collections::BTreeMap;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::name::{Kind, Name};
use super::secret::SecretBytes;
use super::spec::Template;
use super::text::hex;

/// The version of the canonical form below. Raising it starts new containers everywhere, so it stays.
const HASH_VERSION: u32 = 1;

/// How many hexadecimal digits of a hash are kept: 40 bits, unique among the few revisions of one object.
const ID_DIGITS: usize = 10;

/// How many digits of a commit people are shown, as git itself does it.
const SHORT_DIGITS: usize = 7;

/// A revision: the hash of template, contents and image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RevisionId(pub String);

/// The hash of template and contents, before the image is resolved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TemplateHash(pub String);

/// The content of a ConfigMap (`c-…`) or Secret (`s-…`): a keyed hash of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentId(pub String);

/// An image as the engine names it: `sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(pub String);

/// A commit of git: 40 or 64 hexadecimal digits, so it can be printed as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Commit(String);

impl Commit {
    /// The commit that a text names in full; none if it names none.
    pub fn parse(text: &str) -> Option<Self> {
        let is_full = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_full.then(|| Self(text.to_ascii_lowercase()))
    }

    /// As people write it.
    pub fn short(&self) -> &str {
        &self.0[..SHORT_DIGITS]
    }

    /// Whether it is of a repository whose ids are SHA-256 and not SHA-1.
    pub fn is_sha256(&self) -> bool {
        self.0.len() == 64
    }
}

/// A commit of git, and whether the files that were read are what it holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkout {
    /// The commit that the checkout is at.
    pub commit: Commit,
    /// Whether some of the files had changes that are not in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncommitted: bool,
}

impl Checkout {
    /// As in a table: `1a2b3c4`, or `1a2b3c4-dirty` as `git describe --dirty` says.
    pub fn short(&self) -> String {
        format!("{}{}", self.commit.short(), if self.uncommitted { "-dirty" } else { "" })
    }

    /// As in a sentence: `commit 1a2b3c4 with uncommitted changes`.
    pub fn in_words(&self) -> String {
        format!("commit {}{}", self.commit.short(), self.changes())
    }

    fn changes(&self) -> &'static str {
        if self.uncommitted { " with uncommitted changes" } else { "" }
    }
}

impl From<Commit> for Checkout {
    fn from(commit: Commit) -> Self {
        Self { commit, uncommitted: false }
    }
}

/// The whole commit.
impl fmt::Display for Checkout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.commit, self.changes())
    }
}

impl TryFrom<String> for Commit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is not a commit: it has not 40 or 64 hexadecimal digits"))
    }
}

impl From<Commit> for String {
    fn from(commit: Commit) -> Self {
        commit.0
    }
}

impl ContentId {
    /// Whether it is that of a Secret.
    pub fn is_secret(&self) -> bool {
        self.0.starts_with("s-")
    }
}

macro_rules! display_inner {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
display_inner!(RevisionId, TemplateHash, ContentId, ImageId, Commit);

/// The contents that a template uses, by `configmap/NAME` or `secret/NAME`.
pub type Contents = BTreeMap<String, ContentId>;

/// The key of [`Contents`] for an object.
pub fn content_ref(kind: Kind, name: &Name) -> String {
    format!("{kind}/{name}")
}

/// The entries of a ConfigMap or Secret. No `Debug`: they may be secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// Key to value.
    pub entries: BTreeMap<String, SecretBytes>,
}

/// Makes content ids with a key of this host, so that a guess at a secret cannot be checked by its label.
#[derive(Clone)]
pub struct ContentHasher {
    key: SecretBytes,
}

impl ContentHasher {
    /// A hasher with the state directory's key.
    pub fn new(key: SecretBytes) -> Self {
        Self { key }
    }

    /// The id of a ConfigMap's or Secret's content.
    pub fn id(&self, kind: Kind, content: &Content) -> ContentId {
        let mut bytes = Vec::new();
        for (key, value) in &content.entries {
            // Lengths first, so that no two different contents have the same bytes.
            bytes.extend((key.len() as u64).to_be_bytes());
            bytes.extend(key.as_bytes());
            bytes.extend((value.expose().len() as u64).to_be_bytes());
            bytes.extend(value.expose());
        }
        // The key is the state directory's own. A ConfigMap is no secret, but its files lie in that directory: if it is
        // lost they are lost with it, and another id makes new containers with new files.
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose()).expect("HMAC takes a key of any length");
        mac.update(&bytes);
        let prefix = if kind == Kind::Secret { 's' } else { 'c' };
        ContentId(format!("{prefix}-{}", hex(&mac.finalize().into_bytes(), 24)))
    }
}

/// The hash of what forces a new container: the template's identity, its contents, and the count of asked-for restarts.
pub fn template_hash(template: &Template, contents: &Contents, restarts: u64) -> TemplateHash {
    /// In alphabetical order, as the fields within the template are.
    #[derive(Serialize)]
    struct Canonical<'a> {
        contents: &'a Contents,
        restarts: u64,
        template: serde_json::Value,
        version: u32,
    }
    let canonical = Canonical { contents, restarts, template: identity(template), version: HASH_VERSION };
    let bytes = serde_json::to_vec(&canonical).expect("it is plain data");
    TemplateHash(hex(&Sha256::digest(bytes), ID_DIGITS))
}

/// The revision that a template makes with an image.
pub fn revision_id(template: &TemplateHash, image: &ImageId) -> RevisionId {
    RevisionId(hex(&Sha256::digest(format!("{template}@{image}").as_bytes()), ID_DIGITS))
}

/// A few digits that tell two texts apart, for people.
pub fn short_hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()), 4)
}

/// The part of a template that cannot change in a living container.
///
/// Left out are the settings that Evenkeel itself acts on (probes, drain, grace, dependencies, pull policy, what must be
/// set) and those that Docker changes in place (limits, requests, restart policy). A memory or CPU limit cannot be *removed* in place
/// (Docker reads 0 as "unchanged"), so whether there is one belongs to the identity.
fn identity(template: &Template) -> serde_json::Value {
    let mut value = serde_json::to_value(template).expect("a template is plain data");
    let fields = value.as_object_mut().expect("a template is a struct");
    for field in [
        "startupProbe",
        "readinessProbe",
        "livenessProbe",
        "lifecycle",
        "drain",
        "terminationGracePeriod",
        "dependsOn",
        "imagePullPolicy",
        "imagePullSecrets",
        "requiredEnv",
        "restartPolicy",
        "resources",
    ] {
        fields.remove(field);
    }
    let limits = &template.resources.limits;
    let requests = &template.resources.requests;
    let limited = [
        ("cpu", limits.cpu.is_some()),
        ("memory", limits.memory.is_some()),
        ("cpuRequest", requests.cpu.is_some()),
        ("memoryRequest", requests.memory.is_some()),
    ];
    let limited: Vec<&str> = limited.into_iter().filter_map(|(name, set)| set.then_some(name)).collect();
    if !limited.is_empty() {
        fields.insert("limited".into(), limited.into());
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_of_a_commit_may_have_changes_that_are_in_none() {
        let commit = Commit::parse(&"12ab".repeat(10)).unwrap();
        let told = |uncommitted| {
            let at = Checkout { commit: commit.clone(), uncommitted };
            (at.short(), at.in_words(), serde_json::to_string(&at).unwrap().replace(&commit.to_string(), "C"))
        };
        assert_eq!(told(false), ("12ab12a".into(), "commit 12ab12a".into(), r#"{"commit":"C"}"#.into()));
        let edited = "commit 12ab12a with uncommitted changes".to_owned();
        assert_eq!(told(true), ("12ab12a-dirty".into(), edited, r#"{"commit":"C","uncommitted":true}"#.into()));
    }

    fn template(json: serde_json::Value) -> Template {
        serde_json::from_value(json).unwrap()
    }

    fn hash(json: serde_json::Value) -> String {
        template_hash(&template(json), &Contents::new(), 0).0
    }

    #[test]
    fn a_new_release_does_not_restart_anybodys_containers() {
        let full = serde_json::json!({
            "image": "ghcr.io/shop/web:1.4", "command": ["node"], "args": ["main.js"],
            "env": {"A": "1", "B": {"secret": "db", "key": "url"}}, "envFrom": [{"configMap": "web"}],
            "ports": [{"name": "http", "port": 3001, "hostPort": "3001-3003"}],
            "networks": ["app", {"name": "data", "aliases": ["api"]}],
            "mounts": [{"volume": "uploads", "path": "/srv"}, {"tmpfs": {"size": "64Mi"}, "path": "/tmp"}],
            "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}},
            "healthCheck": {"command": ["true"], "interval": "1s"}, "user": "1000:1000",
            "capabilities": {"drop": ["ALL"]}, "logging": {"driver": "local"}
        });
        // If one of these changes, an upgrade replaces every container there is. Do not update them: mend the code.
        assert_eq!(hash(serde_json::json!({"image": "web:1"})), "d497b4339a");
        assert_eq!(hash(full), "53510aaa1e");
        let revision = revision_id(&TemplateHash("0123456789".into()), &ImageId("sha256:1".into()));
        assert_eq!(revision.0, "a4adbcc427");
    }

    #[test]
    fn what_can_change_in_place_is_no_new_revision() {
        let plain = hash(serde_json::json!({"image": "web:1", "resources": {"limits": {"memory": "1Gi"}}}));
        let changed = hash(serde_json::json!({
            "image": "web:1", "resources": {"limits": {"memory": "2Gi", "pids": 9}}, "restartPolicy": "OnFailure",
            "drain": "1s", "terminationGracePeriod": "1s", "imagePullPolicy": "Never", "requiredEnv": ["A"],
            "readinessProbe": {"tcpSocket": {"port": 80}}
        }));
        assert_eq!(plain, changed);
        assert_ne!(plain, hash(serde_json::json!({"image": "web:1"})), "a limit cannot be removed in place");
    }

    #[test]
    fn an_id_cannot_be_computed_without_the_key() {
        let content = Content { entries: BTreeMap::from([("k".to_string(), SecretBytes::new(b"v".to_vec()))]) };
        let id = |key: &[u8], kind| ContentHasher::new(SecretBytes::new(key.to_vec())).id(kind, &content);
        assert_ne!(id(b"one", Kind::Secret), id(b"two", Kind::Secret));
        assert_ne!(id(b"one", Kind::ConfigMap), id(b"two", Kind::ConfigMap));
    }
}
