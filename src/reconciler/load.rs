//! Loading: the manifests and the policy, as they are now, and everything that is made of them once per load.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use super::sources::Occasion;
use super::{LOOK_EVERY, Reconciler, paths, publish};
use crate::engine::Engine;
use crate::model::desired::Desired;
use crate::model::observed::Observed;
use crate::model::policy::{HostPath, Standing};
use crate::model::time::Timestamp;
use crate::policy;
use crate::probe::Dial;
use crate::wake::Interest;

impl<E: Engine, D: Dial> Reconciler<E, D> {
    /// Reads the sources and the policy, and says when to read them again: soon while they change, else now and then.
    pub(super) fn load(&mut self, now: Timestamp, occasion: Occasion) -> Option<Timestamp> {
        let (changed, again) = self.sources.look(now, occasion);
        self.read_at = again.unwrap_or(now + LOOK_EVERY);
        self.log_sources(now);
        let policy = self.rules.read().clone();
        if changed || policy != self.desired.policy || self.desired.unknown_sources != self.sources.unknown() {
            self.undecided = true;
            let dropped_sources = self.dropped_sources.iter().map(|source| source.dir.clone()).collect();
            self.notes.is_due = true;
            let last_good = self.notes.without_history(&self.history);
            self.desired = Arc::new(Desired { policy, dropped_sources, last_good, ..self.sources.desired() });
            self.contents = self.sources.contents();
            self.mask_secrets();
            self.executor.set_desired(self.desired.clone());
            self.declared = publish::Declarations::of(&self.desired, &self.contents);
            let policy_file = self.rules.file().to_path_buf();
            let watched = self.sources.paths().into_iter().chain([Interest::Whole(policy_file)]).collect();
            *self.paths.lock().unwrap_or_else(PoisonError::into_inner) = watched;
        }
        again
    }

    /// Where the paths of the host lead that the policy asks about; nothing is asked where there is none.
    pub(super) fn host_paths(&self, observed: &Observed) -> Option<BTreeMap<String, HostPath>> {
        let wanted = policy::paths_of_interest(&self.desired, observed.volumes.values());
        matches!(self.desired.policy, Standing::InForce(_)).then(|| paths::resolve(wanted))
    }
}
