//! Contents of ConfigMaps and Secrets on disk: written before anything refers to them, removed when nothing does.

use std::collections::BTreeSet;

use super::Reconciler;
use super::redact::Redactor;
use crate::engine::Engine;
use crate::model::observed::Observed;
use crate::plan;
use crate::probe::Dial;

impl<E: Engine, D: Dial> Reconciler<E, D> {
    /// Writes new contents down before anything refers to them.
    pub(super) fn keep_contents(&mut self) {
        let failed = self.contents.iter().find_map(|(id, content)| self.store.put_content(id, content).err());
        match failed {
            Some(error) => {
                self.store_failed(format!(
                    "containers that need a ConfigMap or Secret wait: it cannot be kept: {error}"
                ));
            }
            None => self.warnings.clear(),
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
        self.executor.set_redactor(self.redactor.clone());
    }

    /// Drops contents that nothing refers to, once a pass has nothing left to do; containers may still mount older ones.
    pub(super) fn clean_up(&mut self, observed: &Observed) {
        let targets: BTreeSet<String> = self.executor.progress().failures.into_keys().collect();
        if targets.len() > 100 {
            let living = |target: &str| observed.containers.keys().any(|id| target.ends_with(&id.0));
            self.executor.forget_failures(|target| !target.starts_with("container ") || living(target));
        }
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
}
