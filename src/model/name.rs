//! Names: what objects are called, here and in Docker. It does no I/O and knows no object's content.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest name an object may have, in characters (a DNS label, RFC 1123).
pub const NAME_MAX: usize = 63;

/// An object's name: a DNS label (lower-case letters, digits and `-`), so that it can be looked up by Docker's DNS.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "name", "maxLength" = 63, "pattern" = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
pub struct Name(String);

impl Name {
    /// Checks `text` against RFC 1123; the error says what is wrong with it.
    pub fn new(text: impl Into<String>) -> Result<Self, String> {
        let text = text.into();
        let well_formed = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        match text.len() {
            0 => Err("a name must not be empty".into()),
            n if n > NAME_MAX => Err(format!("a name has at most {NAME_MAX} characters, this one has {n}")),
            _ if !well_formed => {
                Err("a name consists of lower-case letters, digits and '-', and starts and ends with a letter or digit"
                    .into())
            }
            _ => Ok(Self(text)),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::new(text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The kinds of object that a manifest can declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Kind {
    /// An environment: production, staging.
    Namespace,
    /// A network that containers join.
    Network,
    /// Storage that outlives containers.
    Volume,
    /// Configuration, as files or environment.
    ConfigMap,
    /// Confidential configuration from files on the host.
    Secret,
    /// A container that runs to completion, once per revision.
    Job,
    /// A container that runs to completion at the times of a schedule.
    CronJob,
    /// Replicas of one container template.
    Deployment,
}

impl Kind {
    /// Every kind, in the order in which objects are listed.
    pub const ALL: [Kind; 8] = [
        Kind::Namespace,
        Kind::Network,
        Kind::Volume,
        Kind::ConfigMap,
        Kind::Secret,
        Kind::Job,
        Kind::CronJob,
        Kind::Deployment,
    ];
    /// The kinds that have containers.
    pub const WORKLOADS: [Kind; 3] = [Kind::Deployment, Kind::Job, Kind::CronJob];

    /// Whether its containers run to completion, each at most once.
    pub fn runs_to_completion(self) -> bool {
        match self {
            Kind::Job | Kind::CronJob => true,
            Kind::Namespace | Kind::Network | Kind::Volume | Kind::ConfigMap | Kind::Secret | Kind::Deployment => false,
        }
    }

    /// The lower-case singular that the command line and labels use: `deployment`.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Namespace => "namespace",
            Kind::Network => "network",
            Kind::Volume => "volume",
            Kind::ConfigMap => "configmap",
            Kind::Secret => "secret",
            Kind::Job => "job",
            Kind::CronJob => "cronjob",
            Kind::Deployment => "deployment",
        }
    }

    /// The kind that a person means by `word`: singular, plural, or kubectl's short name, in any case.
    pub fn from_word(word: &str) -> Option<Kind> {
        let word = word.to_ascii_lowercase();
        let singular = word.strip_suffix('s').unwrap_or(&word);
        Kind::ALL.into_iter().find(|kind| kind.word() == singular).or(match word.as_str() {
            "ns" => Some(Kind::Namespace),
            "net" => Some(Kind::Network),
            "vol" => Some(Kind::Volume),
            "cm" => Some(Kind::ConfigMap),
            "deploy" => Some(Kind::Deployment),
            "cj" => Some(Kind::CronJob),
            _ => None,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One object: kind, namespace and name. Its text form is `deployment/shop/web`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key {
    /// The namespace it lives in. A Namespace object lives in itself.
    pub namespace: Name,
    /// What it is.
    pub kind: Kind,
    /// What it is called.
    pub name: Name,
}

impl Key {
    /// The key of a `kind` called `name` in `namespace`.
    pub fn new(kind: Kind, namespace: Name, name: Name) -> Self {
        Self { namespace, kind, name }
    }

    /// The key of a sibling of another kind or name in the same namespace.
    pub fn sibling(&self, kind: Kind, name: &Name) -> Self {
        Self { namespace: self.namespace.clone(), kind, name: name.clone() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for Key {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            [kind, namespace, name] => Ok(Self {
                kind: Kind::from_word(kind).ok_or_else(|| format!("unknown kind '{kind}'"))?,
                namespace: Name::new(namespace)?,
                name: Name::new(name)?,
            }),
            _ => Err(format!("'{text}' is not KIND/NAMESPACE/NAME")),
        }
    }
}

/// The instance of Evenkeel that owns an object; two instances may share one engine.
pub type Instance = Name;

/// The instance's name unless `--instance` says otherwise.
pub const DEFAULT_INSTANCE: &str = "evenkeel";

/// The numbered place that a replica occupies within its revision.
pub type Slot = u32;

/// What Docker calls a network or volume of ours: `shop.data`, or `other.shop.data` for another instance.
///
/// Dots cannot occur in names, so two namespaces never meet.
pub fn engine_name(instance: &Instance, namespace: &Name, name: &Name) -> String {
    match instance.as_str() {
        DEFAULT_INSTANCE => format!("{namespace}.{name}"),
        other => format!("{other}.{namespace}.{name}"),
    }
}

/// What Docker calls a replica: `shop.web.3f9a2c71d0.0`. Its uniqueness in the engine makes create idempotent.
pub fn container_name(instance: &Instance, namespace: &Name, name: &Name, revision: &str, slot: Slot) -> String {
    format!("{}.{revision}.{slot}", engine_name(instance, namespace, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dns_label() {
        assert!(Name::new("web-1").is_ok());
        for wrong in ["", "Web", "-web", "web-", "we_b", "we.b", &"a".repeat(64)] {
            assert!(Name::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_survives_its_text_form() {
        let key = Key::new(Kind::ConfigMap, Name::new("shop").unwrap(), Name::new("web").unwrap());
        assert_eq!(Key::try_from(key.to_string()), Ok(key));
    }

    #[test]
    fn a_kind_is_found_by_the_words_that_kubectl_users_type() {
        assert_eq!(Kind::from_word("deploy"), Some(Kind::Deployment));
        assert_eq!(Kind::from_word("Deployments"), Some(Kind::Deployment));
        assert_eq!(Kind::from_word("cm"), Some(Kind::ConfigMap));
        assert_eq!(Kind::from_word("pod"), None);
    }
}
