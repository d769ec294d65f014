//! FILES IN: the YAML text of a source directory → [`Desired`], or every mistake in it with file, line and column.
//!
//! It decides nothing, speaks to no engine and reads no clock. A source loads as a whole or not at all.
//!
//! The way in: [`snapshot::read`] reads the directory once, [`load`] makes objects of it, [`merge`] puts the sources
//! together. Inside `load`:
//!
//! ```text
//! yaml (text → tree) → documents (kind) → objects (substitute → check → types) → contents, builds → validate → Loaded
//! ```
//!
//! The one way out: [`edit`] gives an object another image in the text of its manifest, [`write`] brings that to the disk.

mod builds;
mod check;
mod contents;
pub mod context;
mod damage;
pub mod diagnostic;
mod documents;
mod door;
mod dotenv;
pub mod edit;
mod expect;
mod file;
mod format;
mod git;
mod git_index;
mod hidden;
mod host;
mod image;
mod loaded;
mod named;
mod objects;
mod place;
pub mod schema;
pub mod settings;
pub mod snapshot;
mod step;
mod substitute;
mod suggest;
mod tree;
mod validate;
pub mod write;
mod yaml;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use context::Contexts;
pub use diagnostic::{Diagnostic, Severity, Spot};
pub use git::{Index, checkout, held_since};
pub use host::Before;
pub use loaded::{Loaded, merge};
pub use snapshot::{ReadError, Snapshot};
pub use suggest::nearest;

use crate::model::name::{Key, Kind, Name};
use crate::model::policy::Origin;
use crate::model::revision::ContentHasher;
use diagnostic::Problems;
use host::Host;
use loaded::Read;
use validate::World;

/// A directory of manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The directory. Diagnostics name files below it as it is written here.
    pub dir: PathBuf,
    /// The one namespace that its manifests may be in: where they name none they are, one that names another is an error, and of
    /// its Namespaces only this one counts.
    pub namespace: Option<Name>,
    /// Variables for `${NAME}`; they win over those of a Namespace.
    pub variables: BTreeMap<String, String>,
}

/// Makes objects of a snapshot, or reports every mistake in it.
///
/// Reads the files that Secrets and `variablesFrom` name, and the contexts of images to build; nothing else outside of
/// `snapshot`.
pub fn load(
    source: &Source,
    snapshot: &Snapshot,
    hasher: &ContentHasher,
    known: &Contexts,
) -> Result<Loaded, Vec<Diagnostic>> {
    restore(source, snapshot, hasher, known, BTreeMap::new())
}

/// The same for what was good before: a Secret whose files are not there any more, or not what they should be, has the content
/// that it had.
pub fn restore(
    source: &Source,
    snapshot: &Snapshot,
    hasher: &ContentHasher,
    known: &Contexts,
    secrets: BTreeMap<Key, Before>,
) -> Result<Loaded, Vec<Diagnostic>> {
    let mut problems = Problems::default();
    let mut host = Host { secrets, ..Host::new(source, snapshot) };
    let documents = documents::read(source, snapshot, &mut problems);
    let objects = objects::build(documents, &mut host, &mut problems);
    let contents = contents::read(&objects, &mut host, &mut problems);
    let builds = builds::read(&objects, &mut host, known, &mut problems);
    let world = World::new(&objects, &contents);
    validate::validate(&world, &mut problems);
    let claims = validate::clashes::claims(&world);
    validate::clashes::compare(&claims, &mut problems);
    if problems.is_empty() && objects.list.is_empty() {
        problems.push(nothing(source));
    }
    match problems.is_empty() {
        true => Ok(loaded::assemble(
            objects,
            contents,
            builds,
            Read { external: host.external, readers: host.readers, contexts: host.contexts, folders: host.folders },
            claims,
            hasher,
        )),
        false => Err(problems.into_sorted()),
    }
}

/// The manifests of a source as JSON with their variables put in, as the schemas in [`schema`] describe them.
///
/// For other tools and for tests; a source with mistakes in single manifests has none. Namespaces of which the source
/// takes no account are left out.
pub fn values(source: &Source, snapshot: &Snapshot) -> Result<Vec<(Kind, serde_json::Value)>, Vec<Diagnostic>> {
    let mut problems = Problems::default();
    let mut host = Host::new(source, snapshot);
    let documents = documents::read(source, snapshot, &mut problems);
    let objects = objects::build(documents, &mut host, &mut problems);
    match problems.is_empty() {
        true => Ok(objects.list.into_values().map(|object| (object.key.kind, object.value)).collect()),
        false => Err(problems.into_sorted()),
    }
}

/// The bytes of a file on the host that manifests name (one of [`Loaded::external`]), as [`load`] reads it: never more
/// than a limit, and never from a pipe or a device that took the file's place.
pub fn read_outside(path: &Path) -> Result<Vec<u8>, String> {
    door::read(path, None, snapshot::FILE_BYTES_MAX).map_err(in_words)
}

/// The same for a source, with where the bytes really were.
pub fn read_outside_of(source: &Source, path: &Path) -> Result<(Vec<u8>, Origin), String> {
    host::read_outside(&source.dir, path).map_err(in_words)
}

fn in_words(refusal: door::Refusal) -> String {
    match refusal {
        door::Refusal::Missing => "does not exist".into(),
        door::Refusal::Because(why) => why,
    }
}

/// A source without objects is a mistake: nothing is never what is desired.
fn nothing(source: &Source) -> Diagnostic {
    let mut problem = Diagnostic::error(Spot::file(source.dir.display().to_string()), "this source declares no object");
    problem.hint("to remove everything of a source, stop giving it to Evenkeel; nothing is changed because of this");
    problem
}
