//! Whether git was interrupted in a source: its lock was there and is gone, the files are others, and git's list of them is
//! the same as before. Git that ends well replaces that list, so what is there is half of something. It reads no file.

use crate::manifest::Index;

/// What people read while a source is held for it.
pub(super) const INTERRUPTED: &str = "git was interrupted: its lock is gone, and it has not finished what it had begun; do its \
     work again (git reset --hard @{upstream}), or take the files as they are with `evenkeel apply`";

/// What is known of git in one source.
#[derive(Default)]
pub(super) struct Guard {
    /// Git's list of the files, as it was when the files last counted.
    index: Option<Index>,
    /// What the files said then.
    digest: Option<String>,
    /// Whether the lock was seen since.
    was_locked: bool,
}

impl Guard {
    /// The list that the next one is compared with.
    pub(super) fn index(&self) -> Option<&Index> {
        self.index.as_ref()
    }

    /// Takes note of a look at files that did not count.
    pub(super) fn unsettled(&mut self, index: Option<Index>) {
        self.was_locked |= index.as_ref().is_some_and(|index| index.is_locked);
        // At the start nothing is known of before. A git that is killed later leaves the list as it is now.
        if self.index.is_none() {
            self.index = index;
        }
    }

    /// Whether it depends on what the files said before, and that is not known.
    pub(super) fn asks_for_before(&self) -> bool {
        self.was_locked && self.digest.is_none()
    }

    /// What the files said before the first look of this process.
    pub(super) fn said_before(&mut self, digest: String) {
        self.digest = Some(digest);
    }

    /// Whether the files are what a git has left that did not end.
    pub(super) fn is_interrupted(&self, digest: &str, index: Option<&Index>) -> bool {
        let is_same_list = match (&self.index, index) {
            (Some(before), Some(now)) => now.says_the_same(before),
            (None, _) | (_, None) => false,
        };
        // A git that only looks takes the lock as well: then the files say what they said.
        self.was_locked && is_same_list && self.digest.as_deref().is_some_and(|before| before != digest)
    }

    /// The files count as they are.
    pub(super) fn counts(&mut self, digest: &str, index: Option<Index>) {
        *self = Guard { index, digest: Some(digest.into()), was_locked: false };
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// A checkout with this list, and perhaps the lock.
    fn list(dir: &Path, text: &str, is_locked: bool) -> Option<Index> {
        let git = dir.join(".git");
        fs::create_dir_all(&git).unwrap();
        fs::write(git.join("index"), text).unwrap();
        let lock = git.join("index.lock");
        if is_locked {
            fs::write(lock, "").unwrap()
        } else {
            fs::remove_file(lock).unwrap_or_default()
        }
        Index::read(dir, None)
    }

    #[test]
    fn other_files_under_the_same_list_are_half_of_something_once_the_lock_was_seen() {
        let dir = tempfile::tempdir().unwrap();
        let list = |text, is_locked| list(dir.path(), text, is_locked);
        let mut guard = Guard::default();
        guard.counts("a", list("1", false));
        assert!(!guard.is_interrupted("b", list("1", false).as_ref()), "an edit");
        guard.unsettled(list("1", false));
        assert!(!guard.is_interrupted("b", list("1", false).as_ref()), "a merge that is not finished holds no lock");
        guard.unsettled(list("1", true));
        assert!(guard.is_interrupted("b", list("1", false).as_ref()));
        assert!(!guard.is_interrupted("a", list("1", false).as_ref()), "a git that only looked");
        assert!(!guard.is_interrupted("b", list("2", false).as_ref()), "a git that ended well");
        assert!(!guard.is_interrupted("b", None), "no checkout any more");
        guard.counts("b", list("1", false));
        assert!(!guard.is_interrupted("c", list("1", false).as_ref()), "what counts begins anew");
    }

    #[test]
    fn the_lock_of_a_late_step_does_not_hold_what_an_earlier_one_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let list = |text, is_locked| list(dir.path(), text, is_locked);
        let mut guard = Guard::default();
        guard.counts("a", list("1", false));
        // The lock under which the files were written came and went between two looks.
        guard.unsettled(list("2", true));
        assert!(!guard.is_interrupted("b", list("2", false).as_ref()));
    }

    #[test]
    fn a_process_that_begins_with_a_lock_needs_to_know_what_was_said_before() {
        let dir = tempfile::tempdir().unwrap();
        let list = |text, is_locked| list(dir.path(), text, is_locked);
        let mut guard = Guard::default();
        assert!(!guard.asks_for_before());
        guard.unsettled(list("1", true));
        assert!(guard.asks_for_before());
        assert!(!guard.is_interrupted("b", list("1", false).as_ref()), "nothing was ever in force");
        guard.said_before("a".into());
        assert!(guard.is_interrupted("b", list("1", false).as_ref()));
        assert!(!guard.is_interrupted("a", list("1", false).as_ref()));
    }
}
