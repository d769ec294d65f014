//! The sources of an edit as they were read, and which of them holds an object. One that is in the middle of a change is in the
//! way only if it may say something about that object.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::client::Client;
use super::edits::{KINDS, declared_twice};
use super::failure::Failure;
use super::object::Wanted;
use super::validate;
use crate::manifest::edit::{self, Opened};
use crate::manifest::{Diagnostic, Source};
use crate::model::name::Key;
use crate::server::wire::Snapshot;

/// Sources as they were read.
pub struct Opening {
    /// Each of them; what could not be read has no files.
    pub opened: Vec<Opened>,
    /// What is wrong with the manifests.
    pub problems: Vec<Diagnostic>,
    /// The objects that have an image, with the number of their source.
    found: Vec<(Key, usize)>,
    /// Those that are in the middle of a change.
    unsettled: Vec<Unsettled>,
}

/// A source in the middle of a change.
struct Unsettled {
    /// Its number.
    index: usize,
    /// What changes it.
    why: String,
    /// What it declares, as the daemon has it in force; none if nobody knows.
    declares: Option<BTreeSet<Key>>,
}

/// Reads sources.
pub async fn open(sources: &[Source], client: &Client) -> Opening {
    let mut opening = Opening { opened: Vec::new(), problems: Vec::new(), found: Vec::new(), unsettled: Vec::new() };
    for (index, (source, read)) in sources.iter().zip(validate::read_all(sources).await).enumerate() {
        let read = read.map_err(|why| opening.unsettled.push(Unsettled { index, why, declares: None }));
        let snapshot = read.map(|read| read.map_err(|mistakes| opening.problems.extend(mistakes)).unwrap_or_default());
        let is_read = snapshot.is_ok();
        let source = Opened { source: source.clone(), snapshot: snapshot.unwrap_or_default() };
        if is_read {
            let (keys, mistakes) = edit::candidates(&source);
            opening.found.extend(keys.into_iter().map(|key| (key, index)));
            opening.problems.extend(mistakes);
        }
        opening.opened.push(source);
    }
    opening.ask(client).await;
    opening
}

impl Opening {
    /// Asks the daemon, if there is one, what the sources declare that cannot be read now.
    async fn ask(&mut self, client: &Client) {
        if self.unsettled.is_empty() {
            return;
        }
        let Ok(seen) = client.get::<Snapshot>("/v1/view").await else { return };
        for unsettled in &mut self.unsettled {
            let source = &self.opened[unsettled.index].source;
            let mut states = seen.view.sources.iter().filter(|state| state.in_force());
            let state = states
                .find(|state| state.namespace == source.namespace && real(Path::new(&state.dir)) == real(&source.dir));
            unsettled.declares = state.map(|state| state.declares.clone());
        }
    }

    /// The object that a person means.
    pub fn meant(&self, wanted: &Wanted) -> Result<Key, Failure> {
        // What nobody has read could have another one of that name.
        let is_exact = wanted.kind.is_some() && wanted.namespace.is_some();
        let unknown = self.unsettled.iter().find(|one| one.declares.is_none());
        if let Some(unknown) = unknown.filter(|_| !is_exact) {
            return Err(self.in_the_way(unknown));
        }
        let in_force = self.unsettled.iter().flat_map(|one| one.declares.iter().flatten());
        let known: BTreeSet<&Key> = self.found.iter().map(|(key, _)| key).chain(in_force).collect();
        match (known.iter().any(|key| wanted.is(key)), self.unsettled.first()) {
            // It may come with the change.
            (false, Some(unsettled)) => Err(self.in_the_way(unsettled)),
            _ => wanted.among(known.into_iter(), &KINDS).cloned(),
        }
    }

    /// The source that holds an object; none if no manifest of it was found.
    pub fn holder(&self, key: &Key) -> Result<Option<usize>, Failure> {
        let of: Vec<usize> = self.found.iter().filter(|(other, _)| other == key).map(|(_, index)| *index).collect();
        let holder = match of[..] {
            [] => None,
            [of] => Some(of),
            _ => return Err(declared_twice(key, of.iter().map(|index| &self.opened[*index].source))),
        };
        let concerns = |one: &&Unsettled| match holder {
            Some(holder) => self.overlap(holder, one.index),
            // It may be there, or come with the change.
            None => true,
        };
        let holds = |one: &&Unsettled| one.declares.as_ref().is_some_and(|keys| keys.contains(key));
        match self.unsettled.iter().find(holds).or_else(|| self.unsettled.iter().find(concerns)) {
            Some(unsettled) => Err(self.in_the_way(unsettled)),
            None => Ok(holder),
        }
    }

    /// Whether two sources may have the same file: then an edit of one is one of the other.
    fn overlap(&self, one: usize, other: usize) -> bool {
        let [one, other] = [one, other].map(|index| real(&self.opened[index].source.dir));
        one.starts_with(&other) || other.starts_with(&one)
    }

    fn in_the_way(&self, Unsettled { index, why, .. }: &Unsettled) -> Failure {
        let failure =
            Failure::held(format!("source {} is in the way: {why}", self.opened[*index].source.dir.display()));
        match self.opened.len() {
            1 => failure,
            _ => failure.hint(
                "try again when the change is finished; if another source has the object, name that one alone: --source DIR",
            ),
        }
    }
}

/// The same for all ways to write it.
fn real(dir: &Path) -> PathBuf {
    std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_path_buf())
}
