//! One source as the loop knows it: what is in force of it, what was seen and is waited on, and how it shows itself. It reads
//! no file; see [`sources`](super::sources) for that.

use std::collections::{BTreeMap, BTreeSet};

use super::interrupted::Guard;
use super::said::Said;
use crate::manifest::{self, Diagnostic, Index, Loaded, Snapshot, Source};
use crate::model::name::Kind;
use crate::model::revision::Checkout;
use crate::model::time::Timestamp;
use crate::model::view::{SourcePhase, SourceState};
use crate::store::{Kept, Store};

/// One source.
pub(super) struct Watched {
    pub(super) source: Source,
    pub(super) in_force: Option<Loaded>,
    /// What is in force, as it was said.
    pub(super) said: Option<Said>,
    /// The digest of what is in force, files outside the directory included.
    pub(super) digest: String,
    /// What was seen and is waited on to stay.
    pub(super) candidate: Option<Candidate>,
    /// The digest that was found invalid, and when.
    pub(super) rejected: Option<(String, Timestamp)>,
    /// Since when something has been changing the directory.
    pub(super) unsettled_since: Option<Timestamp>,
    /// Whether a git that was changing the directory has ended.
    pub(super) guard: Guard,
    /// Whether what is in force is kept for a restart, as far as we know.
    is_kept: bool,
    /// Whether the last attempt to keep it failed.
    keeping_failed: bool,
    /// What the log says is wrong with it.
    told: Option<(String, Vec<String>)>,
    pub(super) state: SourceState,
}

/// A state of a source, and since when it has stayed the same.
#[derive(Clone)]
pub(super) struct Candidate {
    pub(super) snapshot: Snapshot,
    pub(super) digest: String,
    pub(super) since: Timestamp,
    /// The content of its contexts, once it was loaded: that must stay the same too.
    pub(super) built_from: Option<String>,
}

/// Whether the objects of a source clash with those of the others, by what is in force of them, and for those of which nothing
/// is, by what is `unread`.
pub(super) fn fits(
    all: &[Watched],
    index: usize,
    loaded: &Loaded,
    unread: &BTreeMap<usize, Loaded>,
) -> Result<(), Vec<Diagnostic>> {
    let with_new = all.iter().enumerate().filter_map(|(at, watched)| {
        let others = || watched.in_force.as_ref().or(unread.get(&at));
        let counts = if at == index { Some(loaded) } else { others() };
        counts.map(|counts| (&watched.source, counts))
    });
    manifest::merge(&with_new.collect::<Vec<_>>()).map(|_| ())
}

impl Candidate {
    /// Whether nothing has changed between two looks, beside the manifests either.
    pub(super) fn stayed(&self, now: &Candidate) -> bool {
        let (before, seen) = (&self.snapshot, &now.snapshot);
        self.digest == now.digest && before.beside == seen.beside && before.commit == seen.commit
    }
}

impl Watched {
    /// One of which nothing is in force yet.
    pub(super) fn new(source: Source) -> Self {
        let state = SourceState {
            dir: source.dir.display().to_string(),
            namespace: source.namespace.clone(),
            variables: source.variables.clone(),
            state: SourcePhase::Reading,
            message: String::new(),
            held: false,
            problems: Vec::new(),
            rejected: None,
            loaded_at: None,
            digest: String::new(),
            commit: None,
            generation: 0,
            declares: BTreeSet::new(),
        };
        Self {
            source,
            in_force: None,
            said: None,
            digest: String::new(),
            candidate: None,
            rejected: None,
            unsettled_since: None,
            guard: Guard::default(),
            is_kept: false,
            keeping_failed: false,
            told: None,
            state,
        }
    }

    /// Something is changing the directory: nothing of it counts.
    pub(super) fn hold(&mut self, list: Option<Index>) {
        self.candidate = None;
        self.guard.unsettled(list);
        self.state.held = true;
    }

    /// Nothing is changing it any more.
    pub(super) fn let_go(&mut self) {
        self.unsettled_since = None;
        self.state.held = false;
    }

    /// What was seen is invalid.
    pub(super) fn reject(&mut self, rejected: Candidate, now: Timestamp) {
        self.candidate = None;
        self.rejected = Some((rejected.digest, now));
        self.state.rejected = rejected.snapshot.commit;
    }

    /// Takes note of the commit that the directory is at, with the same files. `true` if it is another one.
    pub(super) fn move_to(&mut self, at: Option<&Checkout>) -> bool {
        let before = self.state.commit.as_ref();
        let is_same = before.map(|before| &before.commit) == at.map(|at| &at.commit);
        // What was staged meanwhile is in no commit either.
        let is_known = before == at || is_same && before.is_some_and(|before| before.uncommitted);
        if !is_known {
            self.state.commit = at.cloned();
            self.is_kept = false;
        }
        !is_known
    }

    /// Brings what was loaded into force.
    pub(super) fn accept(&mut self, loaded: Loaded, said: Said, phase: SourcePhase, now: Option<Timestamp>) {
        self.state.declares = loaded.desired.keys();
        self.in_force = Some(loaded);
        self.said = Some(said);
        self.is_kept = false;
        self.state.loaded_at = now;
        self.state.digest = self.digest.clone();
        self.state.generation += 1;
        self.state.state = phase;
        self.settle_as(phase);
    }

    /// Keeps what is in force for a restart, if it is not kept yet, or not any more. False if that fails.
    pub(super) fn keep(&mut self, store: &Store) -> bool {
        let Some(said) = &self.said else { return true };
        if self.is_kept && store.keeps_snapshot(&self.state.dir) {
            return true;
        }
        let kept = store.save_snapshot(&self.state.dir, &self.kept(said));
        self.is_kept = kept.is_ok();
        let failed_before = std::mem::replace(&mut self.keeping_failed, kept.is_err());
        if let Err(error) = kept
            && !failed_before
        {
            tracing::warn!(source = %self.state.dir, %error, "the last good manifests cannot be kept for a restart: tried again");
        }
        self.is_kept
    }

    /// Why nothing of it is in force.
    pub(super) fn trouble(&self) -> String {
        let SourceState { dir, message, problems, .. } = &self.state;
        match (self.state.state, problems.is_empty()) {
            (SourcePhase::Reading, _) => format!("source {dir} is still being read"),
            (_, true) => format!("source {dir} is not readable: {message}"),
            (_, false) => format!("source {dir} is not valid: {message}"),
        }
    }

    /// What is in force, as it is kept: whatever the directory shows by now.
    fn kept(&self, said: &Said) -> Kept {
        let contexts = self.in_force.iter().flat_map(|loaded| loaded.contexts.values().cloned());
        let secrets = self.in_force.iter().flat_map(|loaded| &loaded.desired.contents);
        let secrets = secrets.filter(|(key, _)| key.kind == Kind::Secret);
        let secrets = secrets.map(|(key, declared)| (key.clone(), declared.spec.clone())).collect();
        let host_files = self.in_force.iter().flat_map(|loaded| loaded.desired.host_files.clone());
        let host_files = host_files.filter(|(key, _)| key.kind == Kind::Secret).collect();
        let commit = self.state.commit.as_ref().map(|at| at.commit.clone());
        Kept { files: said.files().clone(), commit, contexts: contexts.collect(), secrets, host_files }
    }

    /// Logs what is wrong, once for as long as it is the same.
    pub(super) fn complain(&mut self, message: &str, problems: &[Diagnostic]) {
        let trouble: Vec<String> = problems.iter().map(ToString::to_string).collect();
        if self.told.as_ref().is_some_and(|(told, of)| told == message && *of == trouble) {
            return;
        }
        tracing::warn!(source = %self.state.dir, "{message}");
        trouble.iter().for_each(|problem| tracing::warn!("{problem}"));
        self.told = Some((message.into(), trouble));
    }

    /// The directory shows again what is in force: whatever was wrong with it is over.
    pub(super) fn settle(&mut self) {
        self.settle_as(SourcePhase::Loaded);
    }

    fn settle_as(&mut self, phase: SourcePhase) {
        self.state.state = phase;
        if phase == SourcePhase::Loaded {
            self.state.message.clear();
            self.state.held = false;
            self.state.problems.clear();
            self.state.rejected = None;
            if self.told.take().is_some() {
                tracing::info!(source = %self.state.dir, "what was wrong with the source is over: its manifests are in force");
            }
        }
    }
}
