//! What is kept on disk for as long as something refers to it: contents of ConfigMaps and Secrets, and sources of earlier
//! runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Reconciler;
use super::redact::Redactor;
use crate::engine::Engine;
use crate::manifest::{Before, Source};
use crate::model::action::{build_target, container_target, pull_target};
use crate::model::name::{Key, Kind};
use crate::model::observed::{Fault, Observed};
use crate::model::policy::HostFile;
use crate::model::revision::ContentId;
use crate::model::time::Span;
use crate::plan;
use crate::probe::Dial;
use crate::store::{KeptSource, Store};

/// What failed so long ago and was not tried again since is wanted no more: the longest pause between two tries is half of it.
const FORGOTTEN_AFTER: Span = Span::secs(600);

/// Whether a pull or build that failed so is not tried again for as long as its image is wanted.
fn is_final(fault: Fault) -> bool {
    matches!(fault, Fault::Invalid | Fault::ImageMissing)
}

impl<E: Engine, D: Dial> Reconciler<E, D> {
    /// Writes down what was lost with the state directory.
    pub(super) fn keep_on(&mut self) {
        if self.store.is_lost()
            && let Err(error) = self.store.save(&self.history)
        {
            self.store_failed(format!("the state directory was removed, and a restart would know nothing: {error}"));
        } else {
            self.warnings.clear();
        }
    }

    /// Tells trouble with the state directory: in the view as long as it lasts, in the log once.
    pub(super) fn store_failed(&mut self, trouble: String) {
        self.metrics.store_write_error();
        if self.warnings.first() != Some(&trouble) {
            tracing::error!("{trouble}");
        }
        self.warnings = vec![trouble];
    }

    /// Masks the secrets in force, and those that containers of earlier revisions may still speak of.
    pub(super) fn mask_secrets(&mut self) {
        self.redactor = Redactor::new(self.contents.iter().chain(&self.store.secrets()));
        // What was heard before they were known, such as before the first manifests are read, may hold some of them.
        self.looker.clean(&self.redactor);
        self.executor.set_redactor(self.redactor.clone());
        self.inquirer.set_redactor(self.redactor.clone());
    }

    /// Forgets sources that have nothing left, and drops contents that nothing refers to, once a pass has nothing left to do;
    /// containers may still mount older ones.
    pub(super) fn clean_up(&mut self, observed: &Observed) {
        if self.executor.has_failures() {
            self.forget_failures(observed);
        }
        // What is under way need not have to do with them, and may take hours.
        self.forget_dropped_sources();
        if !self.plan.actions.is_empty() || !self.executor.is_idle() || !observed.in_flight.is_empty() {
            return;
        }
        let keep = plan::contents_in_use(&self.desired, &self.history);
        if keep == self.kept_contents || plan::has_unremembered(observed, &self.history) {
            return;
        }
        match self.store.keep_contents(&keep) {
            Ok(()) => self.kept_contents = keep,
            Err(error) => tracing::warn!(%error, "old ConfigMap and Secret contents cannot be removed"),
        }
    }

    /// Forgets failures of what nobody wants any more, such as the attempt of a Job that the engine refused.
    fn forget_failures(&self, observed: &Observed) {
        let images = plan::images_of_interest(&self.desired, &self.history);
        let images: BTreeSet<String> =
            images.iter().flat_map(|image| [pull_target(image), build_target(image)]).collect();
        let containers: BTreeSet<String> = observed.containers.keys().map(container_target).collect();
        let now = self.clock.now();
        self.executor.forget_failures(|target, failure| {
            now.since(failure.at) < FORGOTTEN_AFTER
                || observed.in_flight.contains(target)
                || containers.contains(target)
                || is_final(failure.fault) && images.contains(target)
        });
    }

    /// Forgets sources that are not configured any more, once nothing is left of what they declared.
    fn forget_dropped_sources(&mut self) {
        let is_workload = |key: &&Key| Kind::WORKLOADS.contains(&key.kind);
        let mut workloads = self.plan.status.keys().filter(is_workload);
        if self.dropped_sources.is_empty() || !workloads.all(|key| self.desired.declares(key)) {
            return;
        }
        for source in std::mem::take(&mut self.dropped_sources) {
            if let Err(error) = self.store.forget_source(&source.file) {
                tracing::warn!(%error, "the last good manifests of a source that is gone cannot be removed");
            }
        }
        Arc::make_mut(&mut self.desired).dropped_sources.clear();
    }
}

/// What Secrets held before, as far as it is there still. One that is lost is told as its file that cannot be read.
pub(super) fn held_before(
    store: &Store,
    secrets: BTreeMap<Key, ContentId>,
    mut files: BTreeMap<Key, BTreeSet<HostFile>>,
) -> BTreeMap<Key, Before> {
    let secrets = secrets.into_iter().filter_map(|(key, id)| {
        let (content, files) = (store.content(&id).ok()?, files.remove(&key).unwrap_or_default());
        Some((key, Before { content, files }))
    });
    secrets.collect()
}

/// Sources of earlier runs that are not among these, and says so: what they declared may be meant still.
pub(super) fn dropped(store: &Store, sources: &[Source]) -> Vec<KeptSource> {
    let configured: Vec<String> = sources.iter().map(|source| source.dir.display().to_string()).collect();
    let dropped = store.other_sources(&configured);
    for source in &dropped {
        tracing::warn!(
            "the source {} of an earlier run is not configured any more: what only it declared is removed, but a \
             namespace's last workloads only after `evenkeel prune confirm`",
            source.dir
        );
    }
    dropped
}
