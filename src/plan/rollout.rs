//! Where a Deployment stands between revisions: a pure step from one phase to the next. It starts and stops nothing.

use std::collections::BTreeSet;

use super::blame::{self, Mark, count_available};
use super::gates::{self, Side};
use super::monitor;
use super::releases::Setback;
use super::replica::{Replica, find};
use super::stalled;
use super::strategy::Effective;
use super::taken_over;
use super::world::{Decided, World};
use crate::model::failure::{FailureReason, RolloutFailure};
use crate::model::history::{Begun, DeploymentHistory, History, Outcome, Rollout};
use crate::model::name::Key;
use crate::model::registry::in_short;
use crate::model::revision::RevisionId;
use crate::model::spec::{DeploymentSpec, OnFailure};
use crate::model::status::Severity;
use crate::model::stopwatch::Stopwatch;

/// What a step looks at.
pub struct Facts<'a> {
    /// The Deployment.
    pub key: &'a Key,
    /// What the manifest says.
    pub spec: &'a DeploymentSpec,
    /// The strategy that can work.
    pub strategy: &'a Effective,
    /// The replicas.
    pub replicas: &'a [Replica<'a>],
    /// The manifest's revision; none while its image is not resolved.
    pub wanted: Option<RevisionId>,
    /// Revisions of which the policy allows no container.
    pub barred: BTreeSet<RevisionId>,
    /// The memory of all objects before this pass, for gates and dependencies.
    pub past: &'a History,
    /// Why the whole release group goes back, if it does.
    pub setback: Option<Setback>,
    /// Why a replica of the revision being reached cannot be created, if the engine refuses it.
    pub refused: Option<String>,
}

/// Takes the step: `history.rollout` becomes the next phase, and revisions get their outcome.
pub fn step(world: World, decided: &mut Decided, facts: &Facts, history: &mut DeploymentHistory) {
    if history.paused {
        return;
    }
    // What is being reached or runs already is not left because the policy would refuse it now.
    let goal =
        goal(facts, history).filter(|goal| !facts.barred.contains(goal) || Some(goal) == history.rollout.revision());
    decided.set_back = set_back(facts, history).map(|(why, _)| why.to_owned());
    if let (Rollout::Complete { revision, .. }, Some(setback)) = (&history.rollout, &facts.setback)
        && goal.as_ref() == Some(revision)
        && history.pin.is_none()
        && setback.to.is_none()
        && facts.wanted.as_ref().is_some_and(|wanted| wanted != revision)
    {
        decided.wait(format!("the others: {}", setback.why));
        decided.blocked = true;
    }
    match history.rollout.clone() {
        Rollout::New => {
            if let Some(goal) = goal {
                begin(world, decided, facts, history, goal, "RolloutStarted");
            } else if let Some(setback) = &facts.setback {
                decided.wait(format!("the others: {}", setback.why));
                decided.blocked = true;
            }
        }
        Rollout::Complete { revision, monitored } => match goal.filter(|goal| *goal != revision) {
            Some(goal) => begin(world, decided, facts, history, goal, "RolloutStarted"),
            None => match monitor::collapse(world, facts, history, &revision) {
                Some(failure) => fail(world, decided, facts, history, &revision, failure),
                None => {
                    let monitored = monitor::go_on(world, facts.spec, monitored);
                    history.rollout = Rollout::Complete { revision, monitored };
                }
            },
        },
        Rollout::Progressing { to, .. } => match goal.filter(|goal| *goal != to) {
            Some(goal) => {
                set_outcome(history, &to, |outcome| match outcome {
                    Outcome::Pending => Outcome::Superseded { at: world.now },
                    other => other.clone(),
                });
                begin(world, decided, facts, history, goal, "RolloutSuperseded");
            }
            None => progress(world, decided, facts, history, &to),
        },
        Rollout::RollingBack { to, .. } => match goal.filter(|goal| *goal != to) {
            Some(goal) => begin(world, decided, facts, history, goal, "RolloutStarted"),
            None => go_back(world, decided, facts, history, &to),
        },
        Rollout::Stalled { revision, .. } => stalled::recover(world, decided, facts, history, &revision, goal),
    }
}

/// The revision to reach: the pinned one, else the manifest's, unless that was rejected; then the newest that completed.
fn goal(facts: &Facts, history: &DeploymentHistory) -> Option<RevisionId> {
    if let Some(pin) = &history.pin {
        return Some(pin.revision.clone());
    }
    let wanted = facts.wanted.clone()?;
    match find(history, &wanted).map(|revision| &revision.outcome) {
        Some(Outcome::Rejected { .. }) => newest_completed(history, &wanted),
        _ => match &facts.setback {
            // One that is new in this release has nothing to go back to: it stays as it is.
            Some(setback) => setback.to.clone().or_else(|| history.rollout.revision().cloned()),
            None => Some(wanted),
        },
    }
}

/// Why the manifest's revision has to wait for a failed member of the release group, and what runs meanwhile.
fn set_back<'a>(facts: &'a Facts, history: &DeploymentHistory) -> Option<(&'a str, &'a RevisionId)> {
    let setback = facts.setback.as_ref().filter(|_| history.pin.is_none() && facts.wanted.is_some())?;
    let to = setback.to.as_ref().filter(|to| facts.wanted.as_ref() != Some(*to))?;
    Some((&setback.why, to))
}

/// The revision to fall back to: the one that completed last, other than `but`.
pub fn newest_completed(history: &DeploymentHistory, but: &RevisionId) -> Option<RevisionId> {
    history.newest_completed(|revision| revision.id != *but).map(|(_, revision)| revision.id.clone())
}

pub(super) fn begin(
    world: World,
    decided: &mut Decided,
    facts: &Facts,
    history: &mut DeploymentHistory,
    to: RevisionId,
    reason: &str,
) {
    if let (Some((why, back)), Some(from)) = (set_back(facts, history), history.rollout.revision().cloned())
        && *back == to
    {
        return turn_back(world, decided, facts, history, &from, to, why);
    }
    let begun = begun(world, facts.key, history, &to);
    let message = match find(history, &to) {
        Some(revision) => {
            let commit = begun.commit.as_ref().map(|commit| format!(", {}", commit.in_words()));
            let (number, image, commit) =
                (revision.number, in_short(&revision.template.image), commit.unwrap_or_default());
            format!("revision {number} ({image}{commit}) is being rolled out")
        }
        None => format!("revision {to} is being rolled out"),
    };
    let given_up =
        history.rollout.revision().filter(|_| reason == "RolloutSuperseded").and_then(|id| find(history, id));
    let instead = given_up.map(|old| format!(" in place of revision {}, which had not got there", old.number));
    decided.tell(world, facts.key, Severity::Normal, reason, message + &instead.unwrap_or_default());
    gates::come_anew(facts.spec, history, &to);
    let others = facts.replicas.iter().filter(|r| r.container.revision != to && !r.retiring && r.was_of_use());
    history.begun = Some(begun);
    history.rollout = Rollout::Progressing {
        before: others.count() as u32,
        to,
        started_at: world.now,
        waited: Stopwatch::begin(world.now),
        available: 0,
        stepped_at: None,
        excused_at: None,
        failed_at: None,
    };
}

/// What asks for a rollout now: the source at its commit, unless somebody chose the revision.
fn begun(world: World, key: &Key, history: &DeploymentHistory, to: &RevisionId) -> Begun {
    let pin = history.pin.as_ref().filter(|pin| pin.revision == *to);
    let commit = match pin {
        // The machine was rebuilt: what last completed comes back, and the source is ahead of it.
        Some(pin) if pin.restored => find(history, to).and_then(|revision| revision.commit.clone()),
        Some(_) => None,
        None => world.desired.commits.get(key).cloned(),
    };
    Begun { revision: to.clone(), commit, chosen: pin.is_some_and(|pin| !pin.restored) }
}

/// Turns round, and says why.
fn turn_back(
    world: World,
    decided: &mut Decided,
    facts: &Facts,
    history: &mut DeploymentHistory,
    from: &RevisionId,
    to: RevisionId,
    why: &str,
) {
    let number = find(history, &to).map_or(0, |revision| revision.number);
    let message = format!("{why}; going back to revision {number}");
    decided.tell(world, facts.key, Severity::Warning, "RollingBack", message);
    // Where nothing was touched yet, it is over as soon as somebody looks.
    decided.wake(world.now);
    let (from, started_at, waited) = (from.clone(), world.now, Stopwatch::begin(world.now));
    history.rollout = Rollout::RollingBack { to, from, started_at, waited, available: 0 };
}

/// One look at a rollout under way: complete, failed, further on, or as before.
fn progress(world: World, decided: &mut Decided, facts: &Facts, history: &mut DeploymentHistory, to: &RevisionId) {
    if let Some(message) = gates::failure(history, to) {
        let failure = RolloutFailure::new(FailureReason::GateFailed, message);
        return fail(world, decided, facts, history, to, failure);
    }
    if is_complete(facts, to) && has_passed(world, decided, facts, history) {
        return complete(world, decided, facts, history, to, "RolloutComplete");
    }
    let Rollout::Progressing { started_at, waited, available, stepped_at, before, excused_at, failed_at, .. } =
        history.rollout.clone()
    else {
        return;
    };
    let excused = blame::excuse(world, decided, facts, to, before);
    if excused.is_some() && excused_at.is_none() {
        let number = find(history, to).map_or(0, |revision| revision.number);
        let message = format!(
            "the replicas before revision {number} are not ready either: as long as that is so, it is not its fault"
        );
        decided.tell(world, facts.key, Severity::Warning, "RolloutExcused", message);
    }
    let waited = excused.map_or(waited, Stopwatch::begin);
    let excused_at = excused.or(excused_at);
    let mark = Mark { started_at, waited, available, excused_at };
    let fault = blame::fault(world, decided, facts, history, to, &mark).or_else(|| blame::stuck(world, facts, to));
    if let Some(failure) = fault {
        return fail(world, decided, facts, history, to, failure);
    }
    let now_available = count_available(facts, to);
    let stepped_at = if now_available > available { Some(world.now) } else { stepped_at };
    let Mark { waited, available, .. } = blame::advance(world, facts, to, mark);
    let to = to.clone();
    history.rollout =
        Rollout::Progressing { to, started_at, waited, available, stepped_at, before, excused_at, failed_at };
}

/// Whether its gates let it end. Where no replica is wanted there is nothing to check, but one may be wanted later.
fn has_passed(world: World, decided: &mut Decided, facts: &Facts, history: &mut DeploymentHistory) -> bool {
    match facts.strategy.replicas {
        0 => gates::are_passed_before(facts.spec, history),
        _ => gates::open(world, decided, facts.past, facts.key, facts.spec, history, Side::After),
    }
}

/// One look at a rollback under way. It is never rolled back itself.
fn go_back(world: World, decided: &mut Decided, facts: &Facts, history: &mut DeploymentHistory, to: &RevisionId) {
    if is_complete(facts, to) {
        return complete(world, decided, facts, history, to, "RolledBack");
    }
    let Rollout::RollingBack { from, started_at, waited, available, .. } = history.rollout.clone() else {
        return;
    };
    let mark = Mark { started_at, waited, available, excused_at: None };
    if let Some(RolloutFailure { reason, message }) = blame::fault(world, decided, facts, history, to, &mark) {
        let message = format!("the revision to go back to fails as well: {message}");
        return stalled::stall(world, decided, facts, history, to, RolloutFailure { reason, message });
    }
    let Mark { waited, available, .. } = blame::advance(world, facts, to, mark);
    history.rollout = Rollout::RollingBack { to: to.clone(), from, started_at, waited, available };
}

pub(super) fn is_complete(facts: &Facts, to: &RevisionId) -> bool {
    let others = facts.replicas.iter().any(|r| r.container.revision != *to && r.runs());
    // One that was told to stop before somebody changed his mind is still to come back.
    let is_busy = facts.replicas.iter().any(|r| r.container.revision == *to && r.runs() && r.is_busy);
    count_available(facts, to) >= facts.strategy.replicas && !others && !is_busy
}

pub(super) fn complete(
    world: World,
    decided: &mut Decided,
    facts: &Facts,
    history: &mut DeploymentHistory,
    to: &RevisionId,
    reason: &str,
) {
    let way = match &history.rollout {
        Rollout::Progressing { started_at, .. } | Rollout::RollingBack { started_at, .. } => {
            format!("it took {}", humantime_seconds(world.now.since(*started_at)))
        }
        Rollout::New | Rollout::Complete { .. } | Rollout::Stalled { .. } => "it had stalled".to_owned(),
    };
    let number = find(history, to).map_or(0, |revision| revision.number);
    let who = match facts.strategy.replicas {
        0 => "no replica is wanted of".to_owned(),
        1 => "its replica runs".to_owned(),
        count => format!("all {count} replicas run"),
    };
    let message = format!("{who} revision {number}; {way}");
    match failed_before(history) {
        Some(of) => {
            let failure = RolloutFailure::new(of, message);
            decided.tell_failure(world, facts.key, Severity::Normal, reason, failure);
        }
        None => decided.tell(world, facts.key, Severity::Normal, reason, message),
    }
    set_outcome(history, to, |_| Outcome::Completed { at: world.now });
    // Where the manifest's revision was rejected, the one that completed last runs anyway.
    history.pin = history.pin.take().filter(|pin| !pin.lapses || pin.revision != *to);
    let monitored = monitor::begin(world, facts, history);
    history.rollout = Rollout::Complete { revision: to.clone(), monitored };
}

/// What sort of failure a rollback that ends now is the answer to.
fn failed_before(history: &DeploymentHistory) -> Option<FailureReason> {
    let Rollout::RollingBack { from, .. } = &history.rollout else { return None };
    match &find(history, from)?.outcome {
        Outcome::Rejected { failure, .. } => Some(failure.unwrap_or(FailureReason::Unknown)),
        Outcome::Pending | Outcome::Completed { .. } | Outcome::Superseded { .. } => Some(FailureReason::ReleaseGroup),
    }
}

fn humantime_seconds(span: crate::model::time::Span) -> String {
    format!("{}.{}s", span.0 / 1000, span.0 % 1000 / 100)
}

/// The revision has failed: it is rejected, and the newest completed one takes over, if there is one and nobody forbids it.
fn fail(
    world: World,
    decided: &mut Decided,
    facts: &Facts,
    history: &mut DeploymentHistory,
    failed: &RevisionId,
    failure: RolloutFailure,
) {
    let RolloutFailure { reason: of, message: reason } = failure;
    let number = find(history, failed).map_or(0, |revision| revision.number);
    let told = RolloutFailure::new(of, format!("revision {number} failed: {reason}"));
    let Some(back) = taken_over::way_back(world, decided, facts, history, failed) else {
        if let Some(revision) = history.revisions.iter_mut().find(|revision| revision.id == *failed) {
            revision.failure = Some(reason);
        }
        return go_on(world, decided, facts, history, told);
    };
    let last_log = blame::culprit_log(facts, failed);
    set_outcome(history, failed, |_| Outcome::Rejected { at: world.now, reason, last_log, failure: Some(of) });
    // What was undone stays undone, whichever revision takes its place.
    if let Some(pin) = history.pin.as_mut().filter(|pin| pin.revision == *failed) {
        pin.failed = Some(std::mem::replace(&mut pin.revision, back.clone()));
    }
    match facts.spec.on_failure {
        OnFailure::Pause => stalled::stall(world, decided, facts, history, failed, told),
        OnFailure::Rollback => turn_back(world, decided, facts, history, failed, back, &told.message),
    }
}

/// A first revision that fails has none to go back to: its replicas are tried on, and a person should know.
fn go_on(world: World, decided: &mut Decided, facts: &Facts, history: &mut DeploymentHistory, of: RolloutFailure) {
    let trouble = format!("{}; there is none to go back to", of.message);
    if let Rollout::Progressing { failed_at: failed_at @ None, .. } = &mut history.rollout {
        *failed_at = Some(world.now);
        let failure = RolloutFailure::new(of.reason, trouble.clone());
        decided.tell_failure(world, facts.key, Severity::Warning, "RolloutFailed", failure);
    }
    decided.trouble = Some(trouble);
    decided.blocked = true;
}

/// Gives a revision its outcome.
fn set_outcome(history: &mut DeploymentHistory, id: &RevisionId, outcome: impl FnOnce(&Outcome) -> Outcome) {
    if let Some(revision) = history.revisions.iter_mut().find(|revision| revision.id == *id) {
        revision.outcome = outcome(&revision.outcome);
    }
}
