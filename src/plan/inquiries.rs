//! What registries are asked, and when: one question for each repository, however many objects follow it, and ever more rarely
//! while there is no answer. What is made of the answers, `follow` knows.

use std::collections::{BTreeMap, BTreeSet};

use super::images;
use super::world::{World, pause};
use crate::model::observed::Fault;
use crate::model::registry::{Inquiry, Unanswered};
use crate::model::revision::ContentId;
use crate::model::tags::Selection;
use crate::model::time::{Span, Timestamp};

/// The first pause after a question that was not answered; the longest is five minutes, or what the registry asks for.
const FIRST_PAUSE: Span = Span::secs(5);
/// The same where it says that there were too many, and not when to come again.
const FIRST_PAUSE_LIMITED: Span = Span::secs(60);
/// No registry is left alone for longer, whatever it asks for.
const RETRY_AFTER_MAX: Span = Span::secs(24 * 3600);

/// The questions to all registries, one for each repository, and when the next one is due.
pub fn inquiries(world: World) -> (Vec<Inquiry>, Option<Timestamp>) {
    let mut of: BTreeMap<&str, Wanted> = BTreeMap::new();
    for (key, follow) in world.follows.iter().filter(|(_, follow)| follow.asks) {
        // Secrets and variables that the policy does not let it have do not leave the host for it either; the refusal is told
        // where it is pulled.
        let Some(secrets) = images::allowed_secrets(world, key, &follow.written) else { continue };
        let wanted = of.entry(&follow.repository).or_default();
        wanted.selections.insert(follow.selection.clone());
        wanted.secrets.extend(secrets);
        let interval = follow.written.image_policy.as_ref().map(|policy| policy.interval);
        wanted.interval = [wanted.interval, interval].into_iter().flatten().min();
    }
    let mut wake_at = None;
    let inquiry = |(repository, wanted): (&str, Wanted)| {
        let due = wanted.due_at(world, repository);
        let is_due = due.is_some_and(|at| at <= world.now);
        wake_at = [wake_at, due.filter(|at| *at > world.now)].into_iter().flatten().min();
        let Wanted { selections, secrets, .. } = wanted;
        Inquiry { repository: repository.into(), selections, secrets: secrets.into_iter().collect(), is_due }
    };
    (of.into_iter().map(inquiry).collect(), wake_at)
}

/// What is wanted of one repository, by everybody.
#[derive(Default)]
struct Wanted {
    selections: BTreeSet<Selection>,
    secrets: BTreeSet<ContentId>,
    interval: Option<Span>,
}

impl Wanted {
    /// When to ask; none while that is under way.
    fn due_at(&self, world: World, repository: &str) -> Option<Timestamp> {
        let Some(known) = world.observed.registries.get(repository) else { return Some(world.now) };
        if known.is_asked {
            return None;
        }
        match (&known.failure, known.answered_at) {
            (Some(failure), _) => Some(retry_at(failure)),
            (None, Some(at)) if self.selections.iter().all(|selection| known.answers.contains_key(selection)) => {
                Some(at + self.interval.unwrap_or_default())
            }
            (None, _) => Some(world.now),
        }
    }
}

/// When a registry that did not answer is asked again.
pub fn retry_at(failure: &Unanswered) -> Timestamp {
    let first = match (failure.fault, failure.retry_after) {
        (Fault::RateLimited, None) => FIRST_PAUSE_LIMITED,
        // It knows best.
        _ => FIRST_PAUSE,
    };
    let asked_for = failure.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
    failure.at + pause(first, failure.count).max(asked_for)
}
