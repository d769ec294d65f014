//! What last completed of each source, kept for a machine that has to be rebuilt. No rollout depends on whether it can be
//! written.

use std::collections::BTreeMap;

use super::Reconciler;
use crate::engine::Engine;
use crate::model::history::History;
use crate::model::last_good::{GoodRevision, LastGood, SourceName};
use crate::model::name::Key;
use crate::probe::Dial;
use crate::store::Store;

/// What is kept, and whether it may be out of date.
#[derive(Default)]
pub(super) struct Notes {
    written: BTreeMap<SourceName, LastGood>,
    /// Whether history or manifests have changed since it was compared with them.
    pub(super) is_due: bool,
    /// What went wrong with the last attempt to write.
    trouble: String,
}

impl Notes {
    /// As earlier runs, or another machine, have left them.
    pub(super) fn read(store: &Store) -> Self {
        let written = store.last_good().into_iter().map(|last_good| (last_good.source.clone(), last_good)).collect();
        Self { written, is_due: true, trouble: String::new() }
    }

    /// What last completed of Deployments of which nothing else is known.
    pub(super) fn without_history(&self, history: &History) -> BTreeMap<Key, GoodRevision> {
        let all = self.written.values().flat_map(|last_good| &last_good.deployments);
        all.filter(|(key, _)| !history.knows(key)).map(|(key, good)| (key.clone(), good.clone())).collect()
    }

    /// What is to be noted of a source. What was noted before stays where nothing has completed since, because the history
    /// may have been lost.
    fn of(&self, source: &SourceName, deployments: &[Key], history: &History) -> LastGood {
        let before = self.written.get(source).map(|last_good| &last_good.deployments);
        let good = |key: &Key| {
            let known = history.deployments.get(key).and_then(GoodRevision::of);
            known.or_else(|| before?.get(key).cloned())
        };
        let deployments = deployments.iter().filter_map(|key| Some((key.clone(), good(key)?))).collect();
        LastGood { source: source.clone(), deployments }
    }
}

impl<E: Engine, D: Dial> Reconciler<E, D> {
    /// Writes down what last completed of each source that is in force, where that has changed.
    pub(super) fn note_last_good(&mut self) {
        if !self.notes.is_due {
            return;
        }
        self.notes.is_due = false;
        for (source, deployments) in self.sources.deployments() {
            let last_good = self.notes.of(&source, &deployments, &self.history);
            let is_written = match self.notes.written.get(&source) {
                Some(written) => *written == last_good && self.store.has_last_good(&source),
                None => last_good.deployments.is_empty(),
            };
            if is_written {
                // The same, but it shares its templates with the history.
                self.notes.written.insert(source, last_good);
                continue;
            }
            match self.store.save_last_good(&last_good) {
                Ok(()) => self.notes.trouble.clear(),
                Err(error) => {
                    self.notes.is_due = true;
                    self.metrics.store_write_error();
                    let trouble = error.to_string();
                    if self.notes.trouble != trouble {
                        tracing::warn!("what last completed cannot be noted for a machine that is rebuilt: {trouble}");
                        self.notes.trouble = trouble;
                    }
                    continue;
                }
            }
            self.notes.written.insert(source, last_good);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::name::{Kind, Name};

    fn key(name: &str) -> Key {
        Key::new(Kind::Deployment, Name::new("shop").unwrap(), Name::new(name).unwrap())
    }

    fn good(revision: u64) -> GoodRevision {
        let good = json!({"revision": revision, "completedAt": "1970-01-01T00:00:02Z", "template": {"image": "web:1"}});
        serde_json::from_value(good).unwrap()
    }

    #[test]
    fn a_note_outlives_the_history_and_goes_with_its_manifest() {
        let source = SourceName { dir: "/srv/shop".into(), namespace: None };
        let before = ["kept", "newer", "gone"].map(|name| (key(name), good(1)));
        let before = LastGood { source: source.clone(), deployments: before.into() };
        let notes = Notes { written: [(source.clone(), before)].into(), ..Notes::default() };
        let revision = json!({
            "number": 2, "id": "r2", "templateHash": "t", "template": {"image": "web:1"}, "contents": {},
            "image": "sha256:1", "digest": null, "createdAt": 1, "outcome": {"completed": {"at": 2000}},
        });
        let newer = serde_json::from_value(json!({"revisions": [revision]})).unwrap();
        let failed = json!({"revisions": [{
            "number": 3, "id": "r3", "templateHash": "t", "template": {"image": "web:3"}, "contents": {},
            "image": "sha256:3", "digest": null, "createdAt": 1, "outcome": "pending",
        }]});
        let new = serde_json::from_value(failed).unwrap();
        let history = History { deployments: [(key("newer"), newer), (key("new"), new)].into(), ..History::default() };
        let after = notes.of(&source, &[key("kept"), key("newer"), key("new")], &history);
        assert_eq!(after.deployments, [(key("kept"), good(1)), (key("newer"), good(2))].into());
        assert_eq!(notes.without_history(&history), [(key("kept"), good(1)), (key("gone"), good(1))].into());
    }
}
