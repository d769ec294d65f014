//! The release log: what was rolled out, run, taken back and asked for, by whom, and what could not be. Plain data; nobody decides
//! by it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::last_good::SourceName;
use super::name::{Key, Name};
use super::revision::TemplateHash;
use super::status::RevisionSummary;
use super::time::Timestamp;

/// How many entries are kept in memory and shown, the newest ones.
pub const RELEASES_MAX: usize = 5_000;

/// Who began what no person asked for and no commit brought: somebody changed a manifest.
pub const MANIFEST: &str = "manifest";

/// Who began what an image policy has found in its registry.
pub const IMAGE_POLICY: &str = "image policy";

/// Who chose a revision, where the log has lost who it was.
pub const SOMEBODY: &str = "a person";

/// What a person asked for: a rollout of anything else is not of that wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Wanted {
    /// Replicas of this template.
    Template(TemplateHash),
    /// Replicas with this image, as the manifest writes it.
    Image(String),
}

/// What begins the text form of a source.
const SOURCE: &str = "source:";

/// What an entry is about. Its text form is that of the [`Key`], or `source:/srv/shop`, or `source:/srv/shop=staging`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subject {
    /// An object.
    Object(Key),
    /// A source as a whole: its manifests come into force together, or none does.
    Source(SourceName),
}

impl Subject {
    /// The object that it is.
    pub fn key(&self) -> Option<&Key> {
        match self {
            Subject::Object(key) => Some(key),
            Subject::Source(_) => None,
        }
    }

    /// The only namespace that it concerns; none for a source whose manifests name theirs.
    pub fn namespace(&self) -> Option<&Name> {
        match self {
            Subject::Object(key) => Some(&key.namespace),
            Subject::Source(source) => source.namespace.as_ref(),
        }
    }
}

impl From<Key> for Subject {
    fn from(key: Key) -> Self {
        Subject::Object(key)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Object(key) => key.fmt(f),
            Subject::Source(SourceName { dir, namespace: Some(name) }) => write!(f, "{SOURCE}{dir}={name}"),
            Subject::Source(SourceName { dir, namespace: None }) => {
                // As on the command line, what follows the last `=` is part of the path if there is a `/` in it.
                let end = if own_namespace(dir).is_some() { "/" } else { "" };
                write!(f, "{SOURCE}{dir}{end}")
            }
        }
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.to_string()
    }
}

impl TryFrom<String> for Subject {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let Some(source) = text.strip_prefix(SOURCE) else { return Key::try_from(text).map(Subject::Object) };
        let (dir, namespace) = match own_namespace(source) {
            Some((dir, name)) => (dir, Some(name)),
            None => (source.strip_suffix('/').unwrap_or(source), None),
        };
        Ok(Subject::Source(SourceName { dir: dir.into(), namespace }))
    }
}

/// A directory and the namespace behind it.
fn own_namespace(text: &str) -> Option<(&str, Name)> {
    let (dir, name) = text.rsplit_once('=')?;
    Some((dir, Name::new(name).ok()?))
}

/// One entry of the release log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// The same for the same happening however often it is written; the last entry with an id is the one that counts.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// What it was done to.
    pub object: Subject,
    /// What was done, or what came of it.
    pub step: Step,
    /// Who: the user at the socket, `commit 1a2b3c4` (`with uncommitted changes`), [`IMAGE_POLICY`], [`MANIFEST`], or [`SOMEBODY`]. What comes of a rollout is told of who began it.
    pub by: String,
    /// The revision that it is about; none for what has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<RevisionSummary>,
    /// The revision that was gone back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<RevisionSummary>,
    /// What a person asked for, to know the rollout that comes of it; none for what none comes of, or if an older release wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Wanted>,
    /// Why, or what was asked for, for people; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What an entry is of. The words are those of events, where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// A rollout began.
    RolloutStarted,
    /// All replicas are of the revision, and available.
    RolloutComplete,
    /// The revision failed, and the one before is brought back.
    RollbackStarted,
    /// The one before is back.
    RolledBack,
    /// The revision failed and there is none to go back to; it is tried on.
    RolloutFailed,
    /// It goes neither forward nor back until a person acts.
    Stalled,
    /// Something else came before it was over.
    Superseded,
    /// The container of a Job was started for a revision.
    JobStarted,
    /// It ended well.
    JobComplete,
    /// It failed for good.
    JobFailed,
    /// Whether it has run is not known.
    JobUnknown,
    /// An image cannot be built from what it is built from.
    BuildFailed,
    /// A source's newest manifests are invalid, and none of them was applied.
    SourceInvalid,
    /// The newest are valid again, and in force.
    SourceValid,
    /// A person paused it.
    Paused,
    /// A person let it go on.
    Resumed,
    /// A person asked for new replicas.
    RestartRequested,
    /// A person asked to go back.
    UndoRequested,
    /// A person asked to try again.
    RetryRequested,
    /// A person asked for a run of a CronJob.
    RunRequested,
    /// A person changed the image by `set image`.
    ImageSet,
    /// A person confirmed a removal.
    RemovalConfirmed,
    /// What a person asked for could not be written down, and was not done.
    NotDone,
}

impl Step {
    /// Whether it tells how a rollout stands, and is not what a person asked for.
    pub fn is_of_a_rollout(self) -> bool {
        match self {
            Step::RolloutStarted
            | Step::RolloutComplete
            | Step::RollbackStarted
            | Step::RolledBack
            | Step::RolloutFailed
            | Step::Stalled
            | Step::Superseded => true,
            Step::JobStarted
            | Step::JobComplete
            | Step::JobFailed
            | Step::JobUnknown
            | Step::BuildFailed
            | Step::SourceInvalid
            | Step::SourceValid
            | Step::Paused
            | Step::Resumed
            | Step::RestartRequested
            | Step::UndoRequested
            | Step::RetryRequested
            | Step::RunRequested
            | Step::ImageSet
            | Step::RemovalConfirmed
            | Step::NotDone => false,
        }
    }

    /// Whether it tells how a Job or a source stands.
    pub fn is_a_result(self) -> bool {
        matches!(
            self,
            Step::JobStarted
                | Step::JobComplete
                | Step::JobFailed
                | Step::JobUnknown
                | Step::SourceInvalid
                | Step::SourceValid
        )
    }

    /// Whether it is a person's wish that a rollout begins of.
    pub fn begins_a_rollout(self) -> bool {
        matches!(self, Step::RestartRequested | Step::UndoRequested | Step::RetryRequested | Step::ImageSet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_entry_is_about_survives_its_text_form() {
        for text in [
            "deployment/shop/web",
            "source:/srv/shop/manifests",
            "source:/srv/shop manifests=staging",
            "source:/srv/a=b/",
            "source:/srv/a=b=staging",
        ] {
            let subject = Subject::try_from(text.to_owned()).unwrap();
            assert_eq!((subject.to_string().as_str(), subject.key().is_some()), (text, text.starts_with('d')));
        }
        assert!(Subject::try_from("/srv/shop".to_owned()).is_err());
        let dir = "/srv/a=b".to_owned();
        let named = Subject::Source(SourceName { dir, namespace: None });
        assert_eq!(Subject::try_from(named.to_string()), Ok(named));
    }
}
