//! Whether an object has arrived where its manifest wants it: what `apply --wait` and `rollout status` wait for and
//! exit with. A reading of the view; it decides nothing.

use super::failure::Exit;
use crate::model::name::{Key, Kind};
use crate::model::status::{MONITORED, Replicas};
use crate::model::view::{Detail, ObjectView, OutcomeWord, RevisionView};

/// Where an object stands, in the words of `rollout status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// On its way.
    Moving(String),
    /// Arrived.
    Done(String),
    /// Its revision failed, and an older one runs again.
    RolledBack(String),
    /// It needs a person.
    Stalled(String),
}

impl Standing {
    /// The sentence.
    pub fn text(&self) -> &str {
        match self {
            Standing::Moving(text) | Standing::Done(text) | Standing::RolledBack(text) | Standing::Stalled(text) => {
                text
            }
        }
    }

    /// How a command that waited for it exits; none while it is on its way.
    pub fn exit(&self) -> Option<Exit> {
        match self {
            Standing::Moving(_) => None,
            Standing::Done(_) => Some(Exit::Done),
            Standing::RolledBack(_) => Some(Exit::RolledBack),
            Standing::Stalled(_) => Some(Exit::Stalled),
        }
    }
}

/// Where an object stands.
pub fn of(key: &Key, object: &ObjectView) -> Standing {
    let reason = with_reason(&object.status.message);
    match object.status.phase.as_str() {
        "Failed" if is_gate(object) => {
            Standing::Done(format!("{key} failed as a gate{reason}: what came of it, its Deployment tells"))
        }
        "Stalled" | "Failed" => Standing::Stalled(format!("{key} needs attention: {}{reason}", object.status.phase)),
        // The operator or the author has to act: it does not mend itself.
        "Refused" => Standing::Stalled(format!("{key} needs attention{reason}")),
        "Unknown" => Standing::Stalled(format!("{key} needs attention: its result is unknown{reason}")),
        // A Deployment is being healed; a network or volume is not.
        "Degraded" if object.status.replicas.is_none() => Standing::Stalled(format!("{key} needs attention{reason}")),
        // Its runs come and go; nobody waits for one without having asked for it.
        "Scheduled" => Standing::Done(format!("{key} is scheduled{reason}")),
        "Active" => Standing::Done(format!("{key} is at work{reason}")),
        "Waiting" if key.kind == Kind::CronJob => Standing::Done(format!("{key} has a run that waits{reason}")),
        "Suspended" => Standing::Done(format!("{key} is suspended and left alone")),
        "PruneHeld" => Standing::Done(format!("{key} is kept for now{reason}")),
        "RolledBack" | "Complete" | "Ready" => settled(key, object),
        "Paused" if rejected(object).is_none() && all_current(object) => {
            Standing::Done(format!("{key} is paused at the revision that its manifest asks for"))
        }
        "Paused" if !all_updated(object) => {
            let how_far = moving("Paused", object);
            Standing::Stalled(format!("{key} {how_far}; go on with `evenkeel rollout resume`"))
        }
        _ if object.status.blocked => Standing::Stalled(format!("{key} needs attention{}", waiting(object))),
        phase => Standing::Moving(format!("{key} {}{}", moving(phase, object), waiting(object))),
    }
}

fn is_gate(object: &ObjectView) -> bool {
    object.status.conditions.iter().any(|condition| condition.kind == "Gate")
}

/// An object whose phase says that nothing moves.
fn settled(key: &Key, object: &ObjectView) -> Standing {
    if let Some(failed) = rejected(object) {
        let now = object.status.revision.as_ref().map(|r| format!(" to revision {}", r.number)).unwrap_or_default();
        let reason = with_reason(&failed.reason);
        let whose = if is_pinned(object) { ", which was chosen," } else { "" };
        let number = failed.number;
        let way_out = format!("`evenkeel rollout retry {key}` tries it again");
        // A younger one was made since: a restart's, of what had come back.
        let sentence = match &object.status.revision {
            Some(current) if current.number > number => format!(
                "{key} was rolled back earlier: revision {number}{whose} failed{reason}; revision {} runs now",
                current.number
            ),
            _ => format!("{key} was rolled back{now}: revision {number}{whose} failed{reason}"),
        };
        return Standing::RolledBack(format!("{sentence}; {way_out}"));
    }
    // With the others of its release group.
    if object.status.phase == "RolledBack" {
        return Standing::RolledBack(format!("{key} went back{}", with_reason(&object.status.message)));
    }
    if let Some(replicas) = object.status.replicas
        && (replicas.available < replicas.desired || replicas.updated < replicas.desired)
    {
        if object.status.blocked {
            return Standing::Stalled(format!("{key} needs attention{}", waiting(object)));
        }
        return Standing::Moving(format!("{key} {}{}", moving("Complete", object), waiting(object)));
    }
    match &object.status.revision {
        // It runs, and what its manifest asks for waits for somebody.
        Some(_) if object.status.blocked => Standing::Stalled(format!("{key} needs attention{}", waiting(object))),
        Some(revision) if revision.number > 0 => {
            let more = with_reason(monitored(object).unwrap_or(&object.status.message));
            Standing::Done(format!("{key} successfully rolled out: revision {}{more}", revision.number))
        }
        _ => Standing::Done(format!("{key} is {}", object.status.phase.to_lowercase())),
    }
}

/// That it would still be rolled back if it failed now, and until when.
fn monitored(object: &ObjectView) -> Option<&str> {
    let condition = object.status.conditions.iter().find(|condition| condition.kind == MONITORED)?;
    object.status.message.is_empty().then_some(condition.message.as_str())
}

/// The revision that the manifest, or who chose another one, asks for, if it failed.
fn rejected(object: &ObjectView) -> Option<&RevisionView> {
    let Detail::Deployment { revisions, .. } = &object.detail else { return None };
    revisions.iter().find(|revision| revision.wanted && !revision.current && revision.outcome == OutcomeWord::Rejected)
}

fn is_pinned(object: &ObjectView) -> bool {
    matches!(object.detail, Detail::Deployment { pinned: true, .. })
}

/// Whether the revision that runs is the one that is asked for, on all replicas, and they are available.
fn all_current(object: &ObjectView) -> bool {
    all_updated(object) && object.status.replicas.is_none_or(|replicas| replicas.available >= replicas.desired)
}

/// Whether the revision that is asked for has all its replicas, available or not.
fn all_updated(object: &ObjectView) -> bool {
    let Detail::Deployment { revisions, .. } = &object.detail else { return true };
    let current = revisions.iter().any(|revision| revision.wanted && revision.current);
    current && object.status.replicas.is_none_or(|replicas| replicas.updated >= replicas.desired)
}

fn moving(phase: &str, object: &ObjectView) -> String {
    let way = if phase == "RollingBack" { "back" } else { "updated" };
    match object.status.replicas {
        Some(replicas) => format!("is {}: {}", spaced(phase), how_far(replicas, way)),
        None => format!("is {}", spaced(phase)),
    }
}

/// What is so of its replicas, of the step that it is at: some are to be replaced still, or all are, and are not available yet.
fn how_far(replicas: Replicas, way: &str) -> String {
    let Replicas { desired, current, updated, ready, available } = replicas;
    if updated < desired {
        return format!("{updated} of {desired} replicas {way}, {available} available");
    }
    let all = if desired == 1 { "its replica is".into() } else { format!("all {desired} replicas are") };
    // Those that are ready and not for `minReady` yet.
    let young = ready.saturating_sub(available);
    // The counts are of old ones, too.
    match current.saturating_sub(updated) {
        0 => {}
        1 => return format!("{all} {way}, {available} of {current} available, and 1 old one is still there"),
        old => return format!("{all} {way}, {available} of {current} available, and {old} old ones are still there"),
    }
    match (desired, available) {
        (1, 0) if young > 0 => format!("{all} {way} and ready, but not for minReady yet"),
        (1, 0) => format!("{all} {way} and not available yet"),
        (1, _) => format!("{all} {way} and available"),
        _ if young > 0 => format!("{all} {way}, {available} of them available, {young} not ready for minReady yet"),
        _ => format!("{all} {way}, {available} of them available"),
    }
}

fn waiting(object: &ObjectView) -> String {
    match object.status.waiting.first() {
        Some(first) => format!(", waiting for {first}"),
        None if is_said(object) => String::new(),
        None => with_reason(&object.status.message),
    }
}

/// Whether the counts of replicas have said what the message says.
fn is_said(object: &ObjectView) -> bool {
    // Of what is updated; the counts are of all that are available.
    let counts = |of: u32, all: u32| format!("{of} of {all} updated replicas are available");
    let said =
        |replicas: Replicas| (0..=replicas.desired).any(|of| counts(of, replicas.desired) == object.status.message);
    object.status.replicas.is_some_and(said)
}

fn with_reason(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

/// `RollingBack` → `rolling back`.
fn spaced(phase: &str) -> String {
    let mut text = String::new();
    for c in phase.chars() {
        if c.is_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.extend(c.to_lowercase());
    }
    if text == "complete" { "being healed".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_rollout_is_is_said_once_and_plainly() {
        let at = |desired, current, updated, ready, available| {
            how_far(Replicas { desired, current, updated, ready, available }, "updated")
        };
        assert_eq!(at(3, 3, 1, 3, 3), "1 of 3 replicas updated, 3 available");
        assert_eq!(at(1, 1, 1, 0, 0), "its replica is updated and not available yet");
        assert_eq!(at(1, 1, 1, 1, 0), "its replica is updated and ready, but not for minReady yet");
        assert_eq!(at(1, 2, 1, 2, 1), "its replica is updated, 1 of 2 available, and 1 old one is still there");
        assert_eq!(at(3, 3, 3, 2, 2), "all 3 replicas are updated, 2 of them available");
        assert_eq!(at(3, 3, 3, 3, 2), "all 3 replicas are updated, 2 of them available, 1 not ready for minReady yet");
        let with_old = "all 3 replicas are updated, 4 of 5 available, and 2 old ones are still there";
        assert_eq!(at(3, 5, 3, 5, 4), with_old);
    }
}
