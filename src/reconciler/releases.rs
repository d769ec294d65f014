//! The release log: what a history says of each rollout, against what the log said last → new entries. It decides nothing,
//! and no pass fails because the log cannot be written. See [`results`](super::results) for what is not a rollout.
//!
//! It goes by states and not by events, as notifications do: an entry that was lost with its process, before it was
//! written or in a torn line, is written by the next one, and one that was written is not written again.

use std::collections::BTreeMap;

use super::Reconciler;
use super::kept_releases::KeptReleases;
use crate::engine::Engine;
use crate::model::history::{DeploymentHistory, History, Outcome, Revision, Rollout};
use crate::model::name::Key;
use crate::model::observed::Observed;
use crate::model::registry::{Choice, Tagged};
use crate::model::release::{IMAGE_POLICY, MANIFEST, RELEASES_MAX, Release, SOMEBODY, Step, Subject, Wanted};
use crate::model::revision::{RevisionId, template_hash};
use crate::model::status::{Plan, RevisionSummary};
use crate::model::text::printable;
use crate::model::time::{Span, Timestamp};
use crate::probe::Dial;
use crate::store::{Store, StoreError};

/// A rollout that begins within this time of a person's wish is that person's.
const WISH_LASTS: Span = Span::secs(600);
/// The longest reason that is kept, in characters.
const REASON_MAX: usize = 1_000;

/// The release log in memory, and what is not on the disk yet.
#[derive(Default)]
pub struct Releases {
    kept: KeptReleases,
    /// How each Deployment stands, as the log tells it.
    last: BTreeMap<Key, Release>,
    /// How each Job and each source stands, as the log tells it.
    pub(super) results: BTreeMap<Subject, Release>,
    /// The last wish of a person for each object that a rollout may begin of.
    wishes: BTreeMap<Key, Release>,
    /// What could not be written yet.
    unwritten: Vec<Release>,
    has_complained: bool,
}

/// What a person asked for.
pub(super) struct Asked<'a> {
    pub key: &'a Key,
    pub step: Step,
    pub by: String,
    pub said: &'a str,
    /// What is rolled out for it, if anything is.
    pub wanted: Option<Wanted>,
}

/// What is rolled out now that a person has asked for it: the revision that was chosen, or else the manifest's as it is known,
/// with as many restarts as were asked for.
pub(super) fn wanted(history: &History, key: &Key) -> Option<Wanted> {
    let history = history.deployments.get(key)?;
    let find = |id: &RevisionId| history.revisions.iter().find(|known| known.id == *id);
    let hash = match &history.pin {
        Some(pin) => find(&pin.revision)?.template_hash.clone(),
        None => {
            let asked = find(&history.asked_for()?)?;
            template_hash(&asked.template, &asked.contents, history.restarts)
        }
    };
    Some(Wanted::Template(hash))
}

impl Releases {
    /// What was written, which may have entries twice.
    pub fn read(written: Vec<Release>) -> Self {
        let mut releases = Self::default();
        written.into_iter().for_each(|release| releases.take(release));
        releases
    }

    /// All entries that are kept, oldest first.
    pub fn all(&self) -> Vec<Release> {
        self.kept.all()
    }

    /// Takes an entry in, in the place of one with its id.
    fn take(&mut self, release: Release) {
        if release.step.is_a_result() {
            self.results.insert(release.object.clone(), release.clone());
        }
        if let Some(key) = release.object.key().filter(|_| release.step.is_of_a_rollout()) {
            self.last.insert(key.clone(), release.clone());
        } else if let Some(key) = release.object.key().filter(|_| release.step.begins_a_rollout()) {
            self.wishes.insert(key.clone(), release.clone());
        } else if release.step == Step::NotDone {
            // Of what was not done nothing begins.
            self.wishes.retain(|_, wish| wish.id != release.id);
        }
        self.kept.take(release);
    }

    /// Whether there is an entry with that id.
    pub(super) fn has(&self, id: &str) -> bool {
        self.kept.has(id)
    }

    /// Who began what a Deployment or a Job is at, as far as the log says.
    pub(super) fn beginner(&self, key: &Key, now: Timestamp) -> Option<&str> {
        let wish = self.wishes.get(key).filter(|wish| now.since(wish.at) <= WISH_LASTS);
        let begun = self.last.get(key).filter(|last| is_unfinished(last));
        begun.or(wish).map(|release| release.by.as_str())
    }

    /// Takes an entry in and remembers to write it.
    pub(super) fn add(&mut self, release: Release) {
        self.unwritten.push(release.clone());
        self.unwritten.drain(..self.unwritten.len().saturating_sub(RELEASES_MAX));
        self.take(release);
    }

    /// Adds what is news in the memory of all Deployments.
    fn look(&mut self, now: Timestamp, deployments: &BTreeMap<Key, DeploymentHistory>, why: impl Fn(&Key) -> String) {
        for (key, history) in deployments {
            let look = Look { key, history, last: self.last.get(key), wish: self.wishes.get(key), now };
            look.news(|| why(key)).into_iter().for_each(|release| self.add(release));
        }
        let gone = self.last.iter().filter(|(key, last)| !deployments.contains_key(key) && is_unfinished(last));
        for last in gone.map(|(_, last)| last.clone()).collect::<Vec<_>>() {
            let reason = "it is not declared any more, or its history was lost";
            self.add(end(&last, Step::Superseded, now, reason.into(), None));
        }
    }

    /// Writes what is not written yet. What cannot be is tried again with the next pass.
    pub(super) fn write(&mut self, store: &Store) {
        if self.unwritten.is_empty() {
            return;
        }
        match store.append_releases(&self.unwritten) {
            Ok(()) => {
                self.unwritten.clear();
                self.has_complained = false;
            }
            Err(error) => self.complain(&error),
        }
    }

    fn complain(&mut self, error: &StoreError) {
        if !self.has_complained {
            tracing::warn!(%error, "the release log cannot be written; it is when the disk is well again");
        }
        self.has_complained = true;
    }
}

impl<E: Engine, D: Dial> Reconciler<E, D> {
    /// Logs what began and ended with this plan, by what was `before` it.
    pub(super) fn log_releases(&mut self, plan: &Plan, before: &History, observed: &Observed) {
        let redactor = &self.redactor;
        let why = |key: &Key| plan.status.get(key).map(|status| redactor.clean(&status.message)).unwrap_or_default();
        self.releases.look(self.clock.now(), &self.history.deployments, why);
        self.log_jobs(before);
        self.log_builds(&observed.failures);
        self.releases.write(&self.store);
    }

    /// Logs what a person asked for.
    pub(super) fn log_asked(&mut self, asked: &Asked<'_>) -> Release {
        let (at, object, step) = (self.clock.now(), Subject::from(asked.key.clone()), asked.step);
        let id = format!("{object} {step:?} {}", at.0);
        let reason = short(&self.redactor.clean(asked.said));
        let wanted = asked.wanted.clone();
        let entry =
            Release { id, at, object, step, by: asked.by.clone(), revision: None, back_to: None, wanted, reason };
        self.releases.add(entry.clone());
        self.releases.write(&self.store);
        entry
    }

    /// Logs that what was asked for was not done.
    pub(super) fn log_not_done(&mut self, asked: Release, why: &str) {
        let reason = short(&format!("{:?}: {why}", asked.step));
        self.releases.add(Release { step: Step::NotDone, reason, ..asked });
        self.releases.write(&self.store);
    }
}

/// A Deployment's memory beside what the log says of it.
struct Look<'a> {
    key: &'a Key,
    history: &'a DeploymentHistory,
    last: Option<&'a Release>,
    wish: Option<&'a Release>,
    now: Timestamp,
}

impl Look<'_> {
    /// What the log does not say yet. `why` is the reason for which the history has none of its own.
    fn news(&self, why: impl Fn() -> String) -> Vec<Release> {
        match &self.history.rollout {
            Rollout::New => Vec::new(),
            Rollout::Progressing { to, started_at, failed_at, .. } => {
                self.progressing(to, *started_at, *failed_at, why)
            }
            Rollout::RollingBack { to, from, started_at, .. } => {
                if self.is_last(Step::RollbackStarted, from) {
                    return Vec::new();
                }
                let reason = self.rejected(from).map_or_else(why, str::to_owned);
                let back_to = self.summary(to);
                vec![Release { back_to, ..self.entry(from, Step::RollbackStarted, *started_at, &reason) }]
            }
            Rollout::Stalled { revision, at, reason } => {
                let news = !self.is_last(Step::Stalled, revision);
                news.then(|| self.entry(revision, Step::Stalled, *at, reason)).into_iter().collect()
            }
            Rollout::Complete { revision, .. } => {
                self.last.and_then(|last| self.complete(last, revision)).into_iter().collect()
            }
        }
    }

    fn progressing(
        &self,
        to: &RevisionId,
        at: Timestamp,
        failed_at: Option<Timestamp>,
        why: impl Fn() -> String,
    ) -> Vec<Release> {
        let has_failed = self.is_last(Step::RolloutFailed, to) && failed_at.is_some();
        let is_begun = self.is_last(Step::RolloutStarted, to);
        let mut news = Vec::new();
        if !has_failed && !is_begun {
            if let Some(last) = self.last.filter(|last| is_unfinished(last)) {
                let number = self.summary(to).map_or(0, |revision| revision.number);
                let reason = format!("revision {number} came before it was over");
                news.push(end(last, Step::Superseded, at, reason, self.summary(to)));
            }
            let found = self.found(to).map(found_in_place).unwrap_or_default();
            news.push(Release { by: self.beginner(to, at), ..self.entry(to, Step::RolloutStarted, at, &found) });
        }
        if let Some(failed_at) = failed_at.filter(|_| !has_failed) {
            let failed = self.entry(to, Step::RolloutFailed, failed_at, &why());
            let by = news.last().map_or(failed.by.clone(), |begun| begun.by.clone());
            news.push(Release { by, ..failed });
        }
        news
    }

    /// What has come to its end; nothing, if the log says so already. What was complete before there was a log is no news.
    fn complete(&self, last: &Release, revision: &RevisionId) -> Option<Release> {
        let is_about = is_about(last, revision);
        let is_back = last.back_to.as_ref().is_some_and(|back| back.id == revision.0);
        let is_told = last.step == Step::RolloutComplete && is_about || is_ended(last) && is_back;
        if is_told {
            return None;
        }
        let of = last.revision.as_ref().map(|of| RevisionId(of.id.clone()));
        let rejected = of.as_ref().and_then(|of| self.rejected(of));
        if last.step == Step::RollbackStarted {
            let reason = rejected.unwrap_or(&last.reason).to_owned();
            return Some(end(last, Step::RolledBack, self.now, reason, self.summary(revision)));
        }
        if is_ended(last) || is_about {
            return Some(self.entry(revision, Step::RolloutComplete, self.completed_at(revision), ""));
        }
        let (step, why) = match rejected {
            Some(reason) => (Step::RolledBack, reason),
            None => (Step::Superseded, "the revision before is asked for again"),
        };
        Some(end(last, step, self.now, why.into(), self.summary(revision)))
    }

    fn is_last(&self, step: Step, revision: &RevisionId) -> bool {
        self.last.is_some_and(|last| last.step == step && is_about(last, revision))
    }

    fn entry(&self, revision: &RevisionId, step: Step, at: Timestamp, reason: &str) -> Release {
        let began_by = self
            .last
            .filter(|last| step != Step::RolloutStarted && (step == Step::Stalled || is_about(last, revision)));
        Release {
            id: format!("{} {step:?} {revision} {}", self.key, at.0),
            at,
            object: self.key.clone().into(),
            step,
            by: began_by.map_or_else(|| self.beginner(revision, at), |last| last.by.clone()),
            revision: self.summary(revision),
            back_to: None,
            wanted: None,
            reason: short(reason),
        }
    }

    /// Who began a rollout: a person who asked for just that, or the commit that the source was at when it began.
    fn beginner(&self, revision: &RevisionId, at: Timestamp) -> String {
        let begun = self.history.begun.as_ref().filter(|begun| begun.revision == *revision);
        let is_chosen = begun.is_some_and(|begun| begun.chosen);
        let wish = self.wish.filter(|wish| self.is_of(revision, at, wish, is_chosen));
        let commit = match begun {
            Some(begun) => begun.commit.as_ref(),
            // An older release did not remember it.
            None => self.known(revision).and_then(|known| known.commit.as_ref()),
        };
        match (wish, commit) {
            (Some(wish), _) => wish.by.clone(),
            (None, _) if is_chosen => SOMEBODY.into(),
            (None, _) if self.found(revision).is_some() => IMAGE_POLICY.into(),
            (None, Some(commit)) => commit.in_words(),
            (None, None) => MANIFEST.into(),
        }
    }

    /// Whether the rollout of a revision that began at a time is of a person's wish: that must be for this very revision.
    fn is_of(&self, revision: &RevisionId, at: Timestamp, wish: &Release, is_chosen: bool) -> bool {
        let is_it = match (&wish.wanted, self.known(revision)) {
            (Some(Wanted::Template(hash)), Some(known)) => known.template_hash == *hash,
            (Some(Wanted::Image(image)), Some(known)) => known.template.image == *image,
            (None, _) | (_, None) => true,
        };
        let since = self.last.map_or(Timestamp(i64::MIN), |last| last.at);
        let is_recent = at.since(wish.at) <= WISH_LASTS && wish.at >= since;
        // What was chosen stays chosen, however long it is paused.
        is_it && wish.at <= at && (is_recent || is_chosen && wish.wanted.is_some())
    }

    /// What the image policy has found since the log was last written, if that is what this revision is for.
    fn found(&self, revision: &RevisionId) -> Option<&Choice> {
        let choice = self.history.choice.as_ref().filter(|choice| choice.replaced.is_some())?;
        let image = choice.image();
        let is_its = self.history.revisions.iter().any(|it| it.id == *revision && it.template.image == image);
        let is_told = self.last.is_some_and(|last| {
            last.at > choice.chosen_at || last.revision.as_ref().is_some_and(|of| of.image == image)
        });
        (is_its && !is_told).then_some(choice)
    }

    fn known(&self, revision: &RevisionId) -> Option<&Revision> {
        self.history.revisions.iter().find(|known| known.id == *revision)
    }

    fn summary(&self, revision: &RevisionId) -> Option<RevisionSummary> {
        let known = self.known(revision)?;
        let (number, id, image) = (known.number, known.id.to_string(), known.template.image.clone());
        Some(RevisionSummary { number, id, image })
    }

    fn completed_at(&self, revision: &RevisionId) -> Timestamp {
        match self.known(revision).map(|known| &known.outcome) {
            Some(Outcome::Completed { at }) => *at,
            Some(Outcome::Pending | Outcome::Rejected { .. } | Outcome::Superseded { .. }) | None => self.now,
        }
    }

    /// Why a revision was rejected, if it was.
    fn rejected(&self, revision: &RevisionId) -> Option<&str> {
        match &self.known(revision)?.outcome {
            Outcome::Rejected { reason, .. } => Some(reason),
            Outcome::Pending | Outcome::Completed { .. } | Outcome::Superseded { .. } => None,
        }
    }
}

/// The entry that something which the log says has begun is over.
fn end(last: &Release, step: Step, at: Timestamp, reason: String, back_to: Option<RevisionSummary>) -> Release {
    let of = last.revision.as_ref().map(|revision| revision.id.as_str()).unwrap_or_default();
    // Of what began then there is one end.
    let id = format!("{} {step:?} {of} {}", last.object, last.at.0);
    Release { id, at, step, reason: short(&reason), back_to, ..last.clone() }
}

/// What an image policy has found, and in the place of what.
fn found_in_place(choice: &Choice) -> String {
    let before = choice.replaced.as_ref().map(Tagged::in_short).unwrap_or_default();
    format!("{}: {before} -> {}", choice.selection, choice.tagged.in_short())
}

fn is_about(release: &Release, revision: &RevisionId) -> bool {
    release.revision.as_ref().is_some_and(|of| of.id == revision.0)
}

fn is_unfinished(release: &Release) -> bool {
    matches!(release.step, Step::RolloutStarted | Step::RollbackStarted)
}

/// Whether nothing more comes of it.
fn is_ended(release: &Release) -> bool {
    matches!(release.step, Step::RolloutComplete | Step::RolledBack | Step::Superseded)
}

/// A reason as it is kept.
pub(super) fn short(reason: &str) -> String {
    printable(reason).chars().take(REASON_MAX).collect()
}
