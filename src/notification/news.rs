//! What is news: results against what a receiver was told last. Pure.

use std::collections::BTreeSet;

use super::message::{Message, Tone};
use super::standing::{ALWAYS_NEWS, Standing};
use crate::model::told::{Last, Subjects};
use crate::model::view::View;

/// Which results a receiver wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wish {
    /// Bad ones, and the good one after a bad one.
    #[default]
    Failures,
    /// Good ones too.
    All,
}

/// What a receiver takes as told that was never told anything: whatever stands now is no news to anybody. Where
/// something has no result yet and its containers are older than this memory (which was lost, or never was), its first
/// good result is none either. That the engine is gone, or the daemon in trouble, is always news.
pub fn baseline(standings: &[Standing]) -> Subjects {
    let last = |standing: &Standing| match standing.results.last() {
        Some(message) if message.tone == Tone::Recovered => None,
        Some(message) => Some(message.last()),
        None => standing.is_old.then(Last::before_our_time),
    };
    let known = standings.iter().filter(|standing| !ALWAYS_NEWS.contains(&standing.subject.as_str()));
    known.filter_map(|standing| Some((standing.subject.clone(), last(standing)?))).collect()
}

/// What a receiver is to be told of a subject now, in order, and what to remember if that is something else than before.
pub fn news(told: Option<&Last>, standing: &Standing, wish: Wish) -> (Vec<Message>, Option<Last>) {
    let (mut last, mut messages) = (told.cloned(), Vec::new());
    for message in &standing.results {
        if last.as_ref().is_some_and(|last| covers(last, message)) {
            continue;
        }
        let after_bad = last.as_ref().is_some_and(|last| last.bad);
        let is_first = last.as_ref().is_some_and(Last::is_before_our_time);
        let is_wanted = match message.tone {
            Tone::Bad => true,
            Tone::Good => after_bad || wish == Wish::All && !is_first,
            Tone::Recovered => after_bad,
        };
        if is_wanted {
            messages.push(message.clone());
        } else if message.tone == Tone::Recovered {
            // Of what was never in trouble nothing is remembered.
            continue;
        }
        last = Some(message.last());
    }
    let changed = last.filter(|last| Some(last) != told);
    (messages, changed)
}

/// Whether what was told says the same: the same result of the same revision, or for a gate what came of its failure.
fn covers(last: &Last, message: &Message) -> bool {
    let same = last.result == message.result || message.result == "GateFailed" && last.bad;
    same && last.of == message.of
}

/// Forgets subjects that are gone, so that the memory does not grow. Not while a source or the engine is away: what is
/// not seen then may come back, and is no news.
pub fn forget(subjects: &mut Subjects, standings: &[Standing], view: &View) {
    let is_whole = view.passes > 0 && view.engine.connected && view.sources.iter().all(|source| source.in_force());
    if is_whole {
        let present: BTreeSet<&String> = standings.iter().map(|standing| &standing.subject).collect();
        subjects.retain(|subject, _| present.contains(subject));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;
    use crate::notification::message::Object;

    fn result(result: &'static str, tone: Tone, of: &str) -> Message {
        let message = Message::new(Timestamp(0), Object::other("Deployment", "web"), result, tone, result);
        message.of_revision(of, None, "web:1")
    }

    fn complete(of: &str) -> Message {
        result("RolloutComplete", Tone::Good, of)
    }

    fn rolled_back(of: &str) -> Message {
        result("RolledBack", Tone::Bad, of)
    }

    fn gate(of: &str) -> Message {
        result("GateFailed", Tone::Bad, of)
    }

    fn standing(results: Vec<Message>) -> Standing {
        Standing { subject: "deployment/shop/web".into(), results, is_old: true }
    }

    /// What is told as these results come one after the other, `RESULT of REVISION` each.
    fn told(wish: Wish, first: Option<Last>, steps: &[Vec<Message>]) -> Vec<String> {
        let (mut last, mut said) = (first, Vec::new());
        for results in steps {
            let (messages, changed) = news(last.as_ref(), &standing(results.clone()), wish);
            said.extend(messages.iter().map(|message| format!("{} of {}", message.result, message.of)));
            last = changed.or(last);
        }
        said
    }

    #[test]
    fn failures_are_told_once_and_so_is_the_recovery() {
        let steps = [
            vec![complete("r1")],
            vec![],
            vec![rolled_back("r2")],
            vec![],
            vec![rolled_back("r2")],
            vec![complete("r3")],
            vec![complete("r4")],
        ];
        assert_eq!(told(Wish::Failures, None, &steps), ["RolledBack of r2", "RolloutComplete of r3"]);
    }

    #[test]
    fn all_results_are_told_to_whoever_wants_all() {
        let steps = [vec![complete("r1")], vec![complete("r1")], vec![rolled_back("r2")], vec![complete("r1")]];
        let all = ["RolloutComplete of r1", "RolledBack of r2", "RolloutComplete of r1"];
        assert_eq!(told(Wish::All, None, &steps), all);
    }

    #[test]
    fn a_gate_that_failed_and_what_came_of_it_are_both_told_even_when_only_the_end_is_seen() {
        let both = ["GateFailed of r2", "RolledBack of r2"];
        assert_eq!(told(Wish::Failures, None, &[vec![gate("r2")], vec![gate("r2"), rolled_back("r2")]]), both);
        assert_eq!(told(Wish::Failures, None, &[vec![gate("r2"), rolled_back("r2")], vec![gate("r2")]]), both);
    }

    #[test]
    fn the_end_of_trouble_is_told_only_if_the_trouble_was() {
        let over = || vec![result("EngineReachable", Tone::Recovered, "")];
        let gone = || vec![result("EngineUnreachable", Tone::Bad, "")];
        assert_eq!(told(Wish::All, None, &[over(), over()]), [""; 0]);
        let both = ["EngineUnreachable of ", "EngineReachable of "];
        assert_eq!(told(Wish::Failures, None, &[over(), gone(), gone(), over(), over()]), both);
    }

    #[test]
    fn whatever_stands_when_the_memory_begins_is_no_news() {
        let before = baseline(&[standing(vec![gate("r2"), rolled_back("r2")])]);
        let last = before.get("deployment/shop/web").cloned();
        let steps = [vec![gate("r2"), rolled_back("r2")], vec![complete("r3")]];
        assert_eq!(told(Wish::Failures, last, &steps), ["RolloutComplete of r3"]);
    }

    #[test]
    fn what_runs_already_when_the_memory_begins_is_no_news_once_it_is_recognised() {
        let last = baseline(&[standing(vec![])]).remove("deployment/shop/web");
        assert_eq!(told(Wish::All, last.clone(), &[vec![complete("r1")]]), [""; 0]);
        assert_eq!(told(Wish::All, last, &[vec![rolled_back("r2")]]), ["RolledBack of r2"]);
        let new = Standing { is_old: false, ..standing(vec![]) };
        assert!(baseline(&[new]).is_empty(), "the first rollout of something new is news");
    }

    #[test]
    fn what_is_gone_is_forgotten_but_not_while_a_part_of_the_world_is_away() {
        let gone = || Subjects::from([("deployment/shop/old".to_string(), complete("r1").last())]);
        let view = |connected| {
            let mut view = View { passes: 1, ..View::default() };
            view.engine.connected = connected;
            view
        };
        for (connected, left) in [(false, 1), (true, 0)] {
            let mut subjects = gone();
            forget(&mut subjects, &[standing(vec![])], &view(connected));
            assert_eq!(subjects.len(), left);
        }
    }
}
