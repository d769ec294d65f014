//! The newest entries of the release log, each found by its id at once: a full log has thousands, and all are taken in anew at
//! every start. It decides nothing.

use std::collections::{BTreeMap, VecDeque};

use crate::model::release::{RELEASES_MAX, Release};

/// The newest entries, oldest first, each once.
#[derive(Default)]
pub struct KeptReleases {
    entries: VecDeque<Release>,
    /// The number of each entry by its id: how many came before it, those that are forgotten included.
    numbers: BTreeMap<String, usize>,
    forgotten: usize,
}

impl KeptReleases {
    /// Takes an entry in, in the place of one with its id.
    pub fn take(&mut self, release: Release) {
        if let Some(number) = self.numbers.get(&release.id) {
            self.entries[number - self.forgotten] = release;
            return;
        }
        self.numbers.insert(release.id.clone(), self.forgotten + self.entries.len());
        self.entries.push_back(release);
        if self.entries.len() > RELEASES_MAX
            && let Some(oldest) = self.entries.pop_front()
        {
            self.numbers.remove(&oldest.id);
            self.forgotten += 1;
        }
    }

    /// Whether there is an entry with that id.
    pub fn has(&self, id: &str) -> bool {
        self.numbers.contains_key(id)
    }

    /// All entries, oldest first.
    pub fn all(&self) -> Vec<Release> {
        self.entries.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::{Key, Kind, Name};
    use crate::model::release::Step;
    use crate::model::time::Timestamp;

    fn release(id: usize, reason: &str) -> Release {
        let key = Key::new(Kind::Deployment, Name::new("shop").unwrap(), Name::new("web").unwrap());
        let (step, by) = (Step::RolloutStarted, String::new());
        let (revision, back_to, wanted, reason) = (None, None, None, reason.to_owned());
        Release {
            id: id.to_string(),
            at: Timestamp(0),
            object: key.into(),
            step,
            by,
            revision,
            back_to,
            wanted,
            reason,
        }
    }

    #[test]
    fn the_newest_are_kept_and_each_once_in_its_place() {
        let mut kept = KeptReleases::default();
        (0..RELEASES_MAX + 3).for_each(|id| kept.take(release(id, "")));
        kept.take(release(4, "again"));
        let ids: Vec<String> = kept.all().into_iter().map(|release| release.id).collect();
        assert_eq!(ids, (3..RELEASES_MAX + 3).map(|id| id.to_string()).collect::<Vec<_>>());
        assert_eq!(kept.all()[1].reason, "again");
        assert!(kept.has("3") && kept.has("4") && !kept.has("2"));
        kept.take(release(2, "back"));
        assert_eq!(kept.all().last().map(|release| release.reason.clone()).as_deref(), Some("back"));
        assert!(kept.has("2") && !kept.has("3"));
    }
}
