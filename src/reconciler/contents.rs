//! What is kept on disk for as long as something refers to it: contents of ConfigMaps and Secrets, and sources of earlier
//! runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Reconciler;
use super::redact::Redactor;
use crate::engine::Engine;
use crate::manifest::{Before, Source};
use crate::model::name::{Key, Kind};
use crate::model::observed::{ContainerId, Observed};
use crate::model::policy::HostFile;
use crate::model::revision::ContentId;
use crate::plan;
use crate::probe::Dial;
use crate::store::{KeptSource, Store};

/// More failures than this are remembered only of what is still there.
const FAILURES_MAX: usize = 100;

/// Whether what a failed call was about can be about something again: all but a container that is gone.
fn may_be_tried_again(target: &str, is_there: impl Fn(&ContainerId) -> bool) -> bool {
    target.strip_prefix("container ").is_none_or(|id| is_there(&ContainerId(id.into())))
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
        let targets: BTreeSet<String> = self.executor.progress().failures.into_keys().collect();
        if targets.len() > FAILURES_MAX {
            self.executor
                .forget_failures(|target| may_be_tried_again(target, |id| observed.containers.contains_key(id)));
        }
        // What is under way need not have to do with them, and may take hours.
        self.forget_dropped_sources();
        if !self.plan.actions.is_empty() || !self.executor.is_idle() || !observed.in_flight.is_empty() {
            return;
        }
        let keep = plan::contents_in_use(&self.desired, &self.history);
        if keep == self.kept_contents {
            return;
        }
        match self.store.keep_contents(&keep) {
            Ok(()) => self.kept_contents = keep,
            Err(error) => tracing::warn!(%error, "old ConfigMap and Secret contents cannot be removed"),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::action::{container_target, network_target};

    #[test]
    fn only_a_container_that_is_gone_is_nothing_that_can_fail_again() {
        let again = |target: String| may_be_tried_again(&target, |id| id.0 == "there");
        assert!(again(container_target(&ContainerId("there".into()))));
        assert!(!again(container_target(&ContainerId("gone".into()))));
        assert!(again(network_target("gone")));
    }
}
