//! The sources: what is in force of each, and why its newest state is not. It reads files and never looks at the engine.
//!
//! A source loads as a whole or keeps its last good state, also over a restart. Nothing read means nothing changes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::contents::held_before;
use super::interrupted::INTERRUPTED;
use super::said::{Said, whole_digest};
use super::watched::{Candidate, Watched, fits};
use crate::manifest::context::Contexts;
use crate::manifest::{self, Diagnostic, Index, Loaded, ReadError, Snapshot, Source};
use crate::model::desired::{Desired, Settings};
use crate::model::last_good::SourceName;
use crate::model::name::Key;
use crate::model::revision::{Checkout, Content, ContentHasher, ContentId};
use crate::model::time::{Span, Timestamp};
use crate::model::view::{ProblemView, SourcePhase, SourceState};
use crate::store::Store;
use crate::wake::Interest;

/// How long a directory must stay the same before it is believed.
const QUIET: Span = Span::millis(120);
/// At the start: so long ago the kernel must have seen the last change, and two looks at once do.
const QUIET_BEFORE: Span = Span::secs(1);
/// How long it must stay the same when it says less than before: a tool that writes slowly (a copy over the network, an
/// archive) leaves things out for a while, and what is left out would be removed.
const QUIET_WITH_LESS: Span = Span::secs(5);
/// How soon to look again at a directory that is in the middle of a change.
const UNSETTLED: Span = Span::millis(250);
/// A change that takes longer than this is told as trouble.
const STUCK: Span = Span::secs(30);
/// How many folders of contexts of one source are watched; what changes in others is seen at the next look all the same.
const FOLDERS_MAX: usize = 4_000;
/// How soon to try again what is invalid or unreadable: a missing secret file may have come.
const RETRY: Span = Span::secs(5);

/// Why the sources are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// Something may have changed, or somebody wants to know how it stands.
    Change,
    /// A person says that the directories are as they should be: what they leave out is meant, and what an
    /// interrupted git has left is, too.
    Command,
}

/// All sources.
pub struct Sources {
    watched: Vec<Watched>,
    settings: Settings,
    hasher: ContentHasher,
    store: Arc<Store>,
    contexts: Contexts,
}

impl Sources {
    /// The sources of the command line, nothing of them in force yet.
    pub fn new(sources: Vec<Source>, settings: Settings, hasher: ContentHasher, store: Arc<Store>) -> Self {
        let watched = sources.into_iter().map(Watched::new).collect();
        Self { watched, settings, hasher, store, contexts: Contexts::default() }
    }

    /// Reads what was found invalid again at the next look: it may have been mended in a file outside of the directories.
    pub fn forget_rejections(&mut self) {
        self.watched.iter_mut().for_each(|watched| watched.rejected = None);
    }

    /// Reads all sources. `true` if what is in force has changed; and when to look again, if soon.
    pub fn look(&mut self, now: Timestamp, occasion: Occasion) -> (bool, Option<Timestamp>) {
        self.contexts.at(now);
        let mut changed = false;
        let mut again: Option<Timestamp> = None;
        for index in 0..self.watched.len() {
            let (this_changed, this_again) = self.look_at(index, now, occasion);
            let is_kept = self.watched[index].keep(&self.store);
            changed |= this_changed;
            again = [again, this_again, (!is_kept).then_some(now + RETRY)].into_iter().flatten().min();
        }
        (changed, again)
    }

    fn look_at(&mut self, index: usize, now: Timestamp, occasion: Occasion) -> (bool, Option<Timestamp>) {
        let watched = &mut self.watched[index];
        let read = manifest::snapshot::read(&watched.source.dir).and_then(|snapshot| {
            let digest = whole_digest(&watched.source, &snapshot, watched.in_force.as_ref(), &self.contexts)?;
            Ok((snapshot, digest))
        });
        let list = Index::read(&watched.source.dir, watched.guard.index());
        let (snapshot, digest) = match read {
            Ok(read) => read,
            Err(ReadError::Unsettled(why)) => {
                watched.hold(list);
                watched.state.message.clone_from(&why);
                let since = *watched.unsettled_since.get_or_insert(now);
                // A lock that a killed git left behind would hide every edit for ever, without a word.
                let stuck = now.since(since) >= STUCK;
                let changed = stuck && self.fall_back(index, why, Vec::new());
                return (changed, Some(now + if stuck { RETRY } else { UNSETTLED }));
            }
            Err(ReadError::Unreadable(why)) => {
                watched.state.held = false;
                let changed = self.fall_back(index, why, Vec::new());
                return (changed, Some(now + RETRY));
            }
        };
        watched.let_go();
        let is_in_force = watched.in_force.is_some() && digest == watched.digest;
        if !is_in_force && occasion == Occasion::Change && self.was_interrupted(index, &digest, list.as_ref()) {
            self.watched[index].hold(list);
            return (self.fall_back(index, INTERRUPTED.into(), Vec::new()), Some(now + RETRY));
        }
        let watched = &mut self.watched[index];
        watched.guard.counts(&digest, list);
        if is_in_force {
            return (self.stay(index, &snapshot), None);
        }
        if let Some((rejected, at)) = &watched.rejected
            && *rejected == digest
            && now.since(*at) < RETRY
        {
            return (false, Some(*at + RETRY));
        }
        let seen = Candidate { snapshot, digest, since: now, built_from: None };
        match &watched.candidate {
            Some(before) if before.stayed(&seen) && now.since(before.since) >= QUIET => {
                let candidate = Candidate { since: before.since, built_from: before.built_from.clone(), ..seen };
                self.load(index, candidate, now, occasion)
            }
            Some(before) if before.stayed(&seen) => (false, Some(before.since + QUIET)),
            None if watched.in_force.is_none() && seen.snapshot.changed_at + QUIET_BEFORE <= now => {
                let again = manifest::snapshot::read(&watched.source.dir);
                if again.as_ref() != Ok(&seen.snapshot) {
                    return (false, Some(now + UNSETTLED));
                }
                watched.candidate = Some(seen.clone());
                self.load(index, seen, now, occasion)
            }
            Some(_) | None => {
                watched.candidate = Some(seen);
                (false, Some(now + QUIET))
            }
        }
    }

    /// Whether these files are what a git has left that did not end. What they said before is known of this process's last
    /// look, else of the last good state of an earlier one; where there is none, nothing can be applied half.
    fn was_interrupted(&mut self, index: usize, digest: &str, list: Option<&Index>) -> bool {
        if self.watched[index].guard.asks_for_before()
            && let Ok(Some((snapshot, loaded))) = self.last_good(index)
        {
            let contexts = Contexts::as_they_were(loaded.contexts.values().cloned().collect());
            let loaded = self.watched[index].in_force.is_some().then_some(&loaded);
            let source = &self.watched[index].source;
            let before = whole_digest(source, &snapshot, loaded, &contexts).unwrap_or_default();
            self.watched[index].guard.said_before(before);
        }
        self.watched[index].guard.is_interrupted(digest, list)
    }

    /// Loads a snapshot that stayed the same; it comes into force if it is valid, alone and beside the other sources,
    /// and does not look like one that is still being written.
    fn load(
        &mut self,
        index: usize,
        candidate: Candidate,
        now: Timestamp,
        occasion: Occasion,
    ) -> (bool, Option<Timestamp>) {
        let loaded = manifest::load(&self.watched[index].source, &candidate.snapshot, &self.hasher, &self.contexts);
        let unread = self.unread(index);
        let loaded = match loaded.map(|loaded| (fits(&self.watched, index, &loaded, &unread), loaded)) {
            // The other one may give up what it had as soon as it is read.
            Ok((Err(_), _)) if !unread.is_empty() && now.since(candidate.since) < QUIET_WITH_LESS => {
                return (false, Some(now + QUIET));
            }
            Ok((fitting, loaded)) => fitting.map(|()| loaded),
            Err(problems) => Err(problems),
        };
        if let Ok(loaded) = &loaded
            && let Some(again) = self.await_contexts(index, &candidate, loaded, now)
        {
            return (false, Some(again));
        }
        let before = self.before(index);
        let source = &self.watched[index].source;
        let whole = |loaded| Said::whole(source, before.as_deref(), &candidate.snapshot, loaded);
        let (loaded, said) = match loaded.and_then(whole) {
            Ok(whole) => whole,
            Err(problems) => return (self.reject(index, candidate, problems, now), Some(now + RETRY)),
        };
        let enough = candidate.since + QUIET_WITH_LESS;
        if occasion == Occasion::Change
            && now < enough
            && let Some(less) = before.and_then(|before| before.says_less(&said))
        {
            return (self.wait_for_more(index, less), Some(enough));
        }
        self.come_into_force(index, candidate.snapshot, loaded, said, now);
        (true, None)
    }

    /// When to look again, if the contexts of images were not seen twice with the same content: manifests may have come
    /// before all that they are built from.
    fn await_contexts(&mut self, index: usize, seen: &Candidate, loaded: &Loaded, now: Timestamp) -> Option<Timestamp> {
        let contents: Vec<&str> = loaded.desired.builds.values().map(|build| build.content.as_str()).collect();
        let built_from = contents.join(" ");
        if built_from.is_empty() || seen.built_from.as_ref() == Some(&built_from) {
            return None;
        }
        self.watched[index].candidate = Some(Candidate { built_from: Some(built_from), since: now, ..seen.clone() });
        Some(now + QUIET)
    }

    /// What a source said before: what is in force, at the start the last good state of an earlier run.
    fn before(&self, index: usize) -> Option<Cow<'_, Said>> {
        let watched = &self.watched[index];
        if let Some(said) = &watched.said {
            return Some(Cow::Borrowed(said));
        }
        let (snapshot, loaded) = self.last_good(index).ok()??;
        Some(Cow::Owned(Said::of(&watched.source, &snapshot, &loaded)))
    }

    /// The last good state of an earlier run, if one is kept; or why that cannot be had any more.
    fn last_good(&self, index: usize) -> Result<Option<(Snapshot, Loaded)>, String> {
        let watched = &self.watched[index];
        let Some(kept) = self.store.load_snapshot(&watched.state.dir) else { return Ok(None) };
        let (snapshot, contexts) =
            (Snapshot::of(kept.files).at(kept.commit.map(Checkout::from)), Contexts::as_they_were(kept.contexts));
        let before = held_before(&self.store, kept.secrets, kept.host_files);
        let loaded = manifest::restore(&watched.source, &snapshot, &self.hasher, &contexts, before);
        let why = |problems: Vec<Diagnostic>| problems.first().map_or(String::new(), |first| first.message.clone());
        loaded.map(|loaded| Some((snapshot, loaded))).map_err(why)
    }

    /// What the other sources had in force in an earlier run, of which nothing is yet in this one: what this one has come
    /// to claim must not cost another one what was good, whichever is looked at first.
    fn unread(&self, index: usize) -> BTreeMap<usize, Loaded> {
        let is_unread = |other: &usize| *other != index && self.watched[*other].in_force.is_none();
        let unread = (0..self.watched.len()).filter(is_unread);
        unread.filter_map(|other| Some((other, self.last_good(other).ok()??.1))).collect()
    }

    /// Keeps what is in force while less is said than before. `true` if the last good state came into force.
    fn wait_for_more(&mut self, index: usize, less: String) -> bool {
        let restored = self.watched[index].in_force.is_none() && self.restore(index) == Ok(true);
        let state = &mut self.watched[index].state;
        let message = format!("{less}; that counts once nothing has changed for {QUIET_WITH_LESS}");
        if state.message != message {
            tracing::info!(source = %state.dir, "{message}");
            state.message = message;
        }
        restored
    }

    fn come_into_force(&mut self, index: usize, snapshot: Snapshot, loaded: Loaded, said: Said, now: Timestamp) {
        let watched = &mut self.watched[index];
        watched.candidate = None;
        // One that is being changed again has another digest at the next look.
        watched.digest = whole_digest(&watched.source, &snapshot, Some(&loaded), &self.contexts).unwrap_or_default();
        watched.rejected = None;
        watched.state.commit.clone_from(&snapshot.commit);
        watched.accept(loaded, said, SourcePhase::Loaded, Some(now));
    }

    /// Takes note that git may be at another commit with the same manifests. `true` if it is.
    fn stay(&mut self, index: usize, snapshot: &Snapshot) -> bool {
        let watched = &mut self.watched[index];
        watched.candidate = None;
        watched.settle();
        watched.move_to(snapshot.commit.as_ref())
    }

    fn reject(&mut self, index: usize, rejected: Candidate, problems: Vec<Diagnostic>, now: Timestamp) -> bool {
        self.watched[index].reject(rejected, now);
        let count = problems.len();
        let message = format!("{count} {}", if count == 1 { "problem" } else { "problems" });
        self.fall_back(index, message, problems)
    }

    /// Keeps what is in force; at the start, that is the last good state of an earlier run. `true` if that came into force.
    fn fall_back(&mut self, index: usize, message: String, problems: Vec<Diagnostic>) -> bool {
        let restored = if self.watched[index].in_force.is_none() { self.restore(index) } else { Ok(false) };
        let message = match &restored {
            Ok(_) => message,
            Err(why) => format!("{message}; its last good state cannot come back: {why}"),
        };
        let watched = &mut self.watched[index];
        watched.complain(&message, &problems);
        let kept = watched.in_force.is_some();
        watched.state.state = if kept { SourcePhase::LastGood } else { SourcePhase::Unknown };
        watched.state.message = message;
        watched.state.problems = problems.iter().map(ProblemView::from).collect();
        restored == Ok(true)
    }

    /// Whether what was good in an earlier run is in force again; or why it cannot be.
    fn restore(&mut self, index: usize) -> Result<bool, String> {
        let Some((snapshot, loaded)) = self.last_good(index)? else { return Ok(false) };
        if let Err(problems) = fits(&self.watched, index, &loaded, &BTreeMap::new()) {
            return Err(problems.first().map_or(String::new(), |first| first.message.clone()));
        }
        let watched = &mut self.watched[index];
        let said = Said::of(&watched.source, &snapshot, &loaded);
        watched.state.commit = snapshot.commit;
        watched.accept(loaded, said, SourcePhase::LastGood, None);
        Ok(true)
    }

    /// What should be, as far as the sources are known.
    pub fn desired(&self) -> Desired {
        let merged = self.merged().desired;
        let (settings, commits) = (self.settings.clone(), self.commits());
        Desired { settings, commits, unknown_sources: self.unknown(), ..merged }
    }

    /// The Deployments of each source that is in force.
    pub fn deployments(&self) -> Vec<(SourceName, Vec<Key>)> {
        let in_force = self.watched.iter().filter_map(|watched| Some((&watched.state, watched.in_force.as_ref()?)));
        let name = |state: &SourceState| SourceName { dir: state.dir.clone(), namespace: state.namespace.clone() };
        in_force.map(|(state, loaded)| (name(state), loaded.desired.deployments.keys().cloned().collect())).collect()
    }

    /// The commit that the source of each Deployment, Job and CronJob is at.
    fn commits(&self) -> BTreeMap<Key, Checkout> {
        let at = self.watched.iter().filter_map(|w| Some((w.in_force.as_ref()?, w.state.commit.as_ref()?)));
        at.flat_map(|(loaded, commit)| loaded.desired.templates().map(|(key, _)| (key.clone(), commit.clone())))
            .collect()
    }

    /// The sources that have nothing in force, and why.
    pub fn unknown(&self) -> Vec<String> {
        self.watched.iter().filter(|watched| watched.in_force.is_none()).map(Watched::trouble).collect()
    }

    /// Whether a state was seen that is waited on to stay.
    pub fn wait(&self) -> bool {
        self.watched.iter().any(|watched| watched.candidate.is_some())
    }

    /// The contents in force.
    pub fn contents(&self) -> BTreeMap<ContentId, Content> {
        self.merged().contents
    }

    fn merged(&self) -> Loaded {
        let in_force = self.watched.iter().filter_map(|w| Some((&w.source, w.in_force.as_ref()?)));
        let merged = manifest::merge(&in_force.collect::<Vec<_>>());
        merged.unwrap_or_else(|_| unreachable!("a source comes into force only if it fits the others"))
    }

    /// How each source is.
    pub fn states(&self) -> Vec<SourceState> {
        self.watched.iter().map(|watched| watched.state.clone()).collect()
    }

    /// What to watch: the directories, the files outside that they read, and the folders of contexts.
    pub fn paths(&self) -> Vec<Interest> {
        let dirs = self.watched.iter().map(|watched| Interest::Whole(watched.source.dir.clone()));
        let in_force = || self.watched.iter().filter_map(|watched| watched.in_force.as_ref());
        let external = in_force().flat_map(|loaded| loaded.external.iter().cloned().map(Interest::Whole));
        let folders =
            in_force().flat_map(|loaded| loaded.folders.iter().take(FOLDERS_MAX).cloned().map(Interest::Folder));
        dirs.chain(external).chain(folders).collect()
    }

    /// Whether every source was read at least once, well or not.
    pub fn all_read(&self) -> bool {
        self.watched.iter().all(|watched| watched.state.state != SourcePhase::Reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::policy::Origin;
    use crate::store::Kept;

    /// A source with one manifest, never looked at, and when the kernel saw its last change.
    fn unread(dir: &tempfile::TempDir) -> (Sources, Timestamp) {
        let manifests = dir.path().join("manifests");
        std::fs::create_dir_all(&manifests).unwrap();
        let web = "apiVersion: evenkeel.dev/v1\nkind: Network\nmetadata: {name: web, namespace: shop}\n";
        std::fs::write(manifests.join("web.yaml"), web).unwrap();
        let changed_at = manifest::snapshot::read(&manifests).unwrap().changed_at;
        let store = Arc::new(Store::open(&dir.path().join("state")).unwrap());
        let source = Source { dir: manifests, namespace: None, variables: BTreeMap::new() };
        (Sources::new(vec![source], Settings::default(), store.hasher(), store), changed_at)
    }

    #[test]
    fn at_the_start_a_directory_that_has_long_been_quiet_is_believed_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (mut sources, changed_at) = unread(&dir);
        assert_eq!(sources.look(changed_at + Span::secs(1), Occasion::Change), (true, None));
    }

    #[test]
    fn what_was_mended_outside_of_the_directory_counts_at_once_when_somebody_asks() {
        let dir = tempfile::tempdir().unwrap();
        let (mut sources, changed_at) = unread(&dir);
        let secret = "apiVersion: evenkeel.dev/v1\nkind: Secret\nmetadata: {name: db}\nspec: {envFiles: [../db.env]}\n";
        std::fs::write(dir.path().join("manifests/db.yaml"), secret).unwrap();
        let now = changed_at + Span::secs(60);
        assert_eq!(sources.look(now, Occasion::Change), (false, Some(now + RETRY)), "its file is missing");
        std::fs::write(dir.path().join("db.env"), "PASSWORD=a\n").unwrap();
        assert_eq!(sources.look(now + QUIET, Occasion::Command), (false, Some(now + RETRY)), "nobody has noticed");
        sources.forget_rejections();
        assert_eq!(sources.look(now + QUIET, Occasion::Command), (true, None));
    }

    /// A source whose Secret is a link to a file outside of it, read once.
    fn linked(dir: &tempfile::TempDir, content: &str) -> (Sources, Timestamp) {
        let (mut sources, changed_at) = unread(dir);
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("outside"), content).unwrap();
        std::os::unix::fs::symlink(path("outside"), path("manifests/key")).unwrap();
        let secret = "apiVersion: evenkeel.dev/v1\nkind: Secret\nmetadata: {name: k, namespace: shop}\n\
                      spec: {files: {key: ./key}}\n";
        std::fs::write(path("manifests/k.yaml"), secret).unwrap();
        sources.look(changed_at + Span::secs(60), Occasion::Change);
        (sources, changed_at)
    }

    /// Where the file of the one Secret in force was read.
    fn origin(sources: &Sources) -> Origin {
        let files = sources.desired().host_files.into_values().flatten().collect::<Vec<_>>();
        assert_eq!(files.len(), 1);
        files[0].origin.clone()
    }

    #[test]
    fn where_a_secret_was_read_is_kept_beside_what_it_held_also_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let (mut sources, changed_at) = linked(&dir, "stolen\n");
        let now = changed_at + Span::secs(60);
        let outside = Origin::Host(std::fs::canonicalize(path("outside")).unwrap().display().to_string());
        assert_eq!(origin(&sources), outside);

        // The next commit has a file in the place of the link, and a mistake anywhere.
        std::fs::remove_file(path("manifests/key")).unwrap();
        std::fs::write(path("manifests/key"), "harmless\n").unwrap();
        std::fs::write(path("manifests/web.yaml"), "kind: Netwrok\n").unwrap();
        sources.look(now + QUIET_WITH_LESS, Occasion::Change);
        sources.look(now + QUIET_WITH_LESS + QUIET_WITH_LESS, Occasion::Change);
        assert_eq!(sources.states()[0].state, SourcePhase::LastGood);
        assert_eq!(origin(&sources), outside);

        // After a restart, what it held comes back because its file is none any more.
        std::fs::remove_file(path("manifests/key")).unwrap();
        std::fs::create_dir(path("manifests/key")).unwrap();
        let again = |store: Arc<Store>| {
            let source = Source { dir: path("manifests"), namespace: None, variables: BTreeMap::new() };
            let mut sources = Sources::new(vec![source], Settings::default(), store.hasher(), store);
            for seconds in 60..70 {
                sources.look(changed_at + Span::secs(seconds), Occasion::Change);
            }
            assert_eq!(sources.states()[0].state, SourcePhase::LastGood);
            sources
        };
        let store = sources.store.clone();
        store.put_contents(&sources.contents()).unwrap();
        assert_eq!(origin(&again(store.clone())), outside);

        // An older release has not noted the place.
        let kept = store.load_snapshot(&sources.states()[0].dir).unwrap();
        store.save_snapshot(&sources.states()[0].dir, &Kept { host_files: BTreeMap::new(), ..kept }).unwrap();
        assert_eq!(origin(&again(store)), Origin::Unknown);
    }

    #[test]
    fn the_same_bytes_at_another_place_are_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let (mut sources, changed_at) = linked(&dir, "same\n");
        let now = changed_at + Span::secs(60);
        std::fs::remove_file(path("manifests/key")).unwrap();
        std::fs::write(path("manifests/key"), "same\n").unwrap();
        sources.look(now + Span::secs(60), Occasion::Change);
        sources.look(now + Span::secs(61), Occasion::Change);
        assert_eq!(origin(&sources), Origin::Source);
    }

    #[test]
    fn one_that_was_just_changed_or_in_the_future_must_stay_the_same_first() {
        for ago in [0, 999] {
            let dir = tempfile::tempdir().unwrap();
            let (mut sources, changed_at) = unread(&dir);
            let now = changed_at + Span::millis(ago);
            assert_eq!(sources.look(now, Occasion::Change), (false, Some(now + QUIET)));
            assert_eq!(sources.look(now + QUIET, Occasion::Change), (true, None));
        }
        let dir = tempfile::tempdir().unwrap();
        let (mut sources, _) = unread(&dir);
        assert_eq!(sources.look(Timestamp(0), Occasion::Change), (false, Some(Timestamp(0) + QUIET)));
    }

    #[test]
    fn a_context_must_be_seen_twice_with_the_same_content_however_long_the_manifests_were_quiet() {
        let dir = tempfile::tempdir().unwrap();
        let (mut sources, changed_at) = unread(&dir);
        let web = "apiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\n\
                   spec: {template: {build: {context: ../app}}}\n";
        std::fs::write(dir.path().join("manifests/web.yaml"), web).unwrap();
        std::fs::create_dir(dir.path().join("app")).unwrap();
        std::fs::write(dir.path().join("app/Dockerfile"), "FROM a\n").unwrap();
        let now = changed_at + Span::secs(60);
        assert_eq!(sources.look(now, Occasion::Change), (false, Some(now + QUIET)));
        std::fs::write(dir.path().join("app/main.js"), "1").unwrap();
        assert_eq!(sources.look(now + QUIET, Occasion::Change), (false, Some(now + QUIET + QUIET)), "it has changed");
        let now = now + QUIET + QUIET;
        assert_eq!(sources.look(now, Occasion::Change), (true, None));
        let image = |sources: &Sources| sources.desired().builds.keys().next().cloned().unwrap();
        let before = image(&sources);
        std::fs::write(dir.path().join("app/main.js"), "2").unwrap();
        assert_eq!(sources.look(now, Occasion::Change), (false, Some(now + QUIET)));
        let mut at = now + QUIET;
        while let (false, Some(again)) = sources.look(at, Occasion::Change) {
            at = again;
        }
        assert_ne!(image(&sources), before);
    }

    /// Runs git in a directory, with nothing of this machine's configuration.
    fn git(dir: &std::path::Path, words: &[&str]) {
        let mut command = std::process::Command::new("git");
        let identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"];
        command.current_dir(dir).args(identity).args(words).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", dir);
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn an_edit_that_is_in_no_commit_is_told_from_the_commit_until_it_is_in_one() {
        let dir = tempfile::tempdir().unwrap();
        let (mut sources, changed_at) = unread(&dir);
        git(dir.path(), &["init", "-q"]);
        git(dir.path(), &["add", "manifests"]);
        git(dir.path(), &["commit", "-qm", "1"]);
        let mut now = changed_at + Span::secs(60);
        let mut told = || {
            now = now + Span::secs(60);
            sources.look(now, Occasion::Change);
            now = now + Span::secs(60);
            sources.look(now, Occasion::Change);
            let at = sources.states()[0].commit.clone().unwrap();
            at.in_words().replace(at.commit.short(), "C")
        };
        assert_eq!(told(), "commit C");
        let more = "apiVersion: evenkeel.dev/v1\nkind: Network\nmetadata: {name: more, namespace: shop}\n";
        std::fs::write(dir.path().join("manifests/more.yaml"), more).unwrap();
        assert_eq!(told(), "commit C with uncommitted changes");
        git(dir.path(), &["add", "manifests"]);
        assert_eq!(told(), "commit C with uncommitted changes", "staged is not committed");
        git(dir.path(), &["commit", "-qm", "2"]);
        assert_eq!(told(), "commit C");
    }
}
