//! A place where something goes wrong: which request of a story, and what. Points are counted by kind of request, so that
//! they mean the same in every play although replies come in another order each time.

use std::fmt;

use super::story::Story;
use crate::support::Fault;

/// A point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    pub story: Story,
    /// The kind of request: `post-containers-start`.
    pub kind: String,
    /// The how-manieth of its kind, from 1.
    pub ordinal: u32,
    pub fault: Fault,
    /// Whether containers outlive the engine.
    pub live: bool,
}

impl Point {
    /// All points of a story that makes these requests.
    pub fn of(story: Story, requests: &[(String, u32)], faults: &[Fault], live: bool) -> Vec<Point> {
        let mut points = Vec::new();
        for (kind, count) in requests {
            for ordinal in ordinals(kind, *count) {
                let concerned = faults.iter().filter(|fault| fault.concerns(kind) && !runs_twice(story, kind, **fault));
                points.extend(concerned.map(|fault| Point { story, kind: kind.clone(), ordinal, fault: *fault, live }));
            }
        }
        points
    }

    /// Whether it is known to end otherwise than it should: docs/reliability.md, Limits. `make test` samples other ones.
    pub fn is_known(&self) -> bool {
        let reconnects = matches!(&*self.kind, "post-networks-connect" | "post-networks-disconnect");
        self.live && reconnects && self.fault == Fault::EngineKillWithin
    }

    /// Whether it leaves an engine that never starts again: 20.10 panics over a network that is half removed (docs/reliability.md,
    /// Limits). Nothing can be played on that.
    pub fn ends_the_engine(&self, generation: u32) -> bool {
        generation < 26 && self.kind == "delete-networks-one" && self.fault == Fault::EngineKillWithin
    }

    /// Whether its request only looks.
    pub fn looks(&self) -> bool {
        looks(&self.kind)
    }

    /// The point that these words name: story, kind, ordinal, fault, and perhaps `live`.
    pub fn parse(words: &str) -> Result<Point, String> {
        let words: Vec<&str> = words.split_whitespace().collect();
        let (story, kind, ordinal, fault, live) = match words[..] {
            [story, kind, ordinal, fault] => (story, kind, ordinal, fault, false),
            [story, kind, ordinal, fault, "live"] => (story, kind, ordinal, fault, true),
            _ => return Err("a point is STORY KIND ORDINAL FAULT [live]".to_string()),
        };
        Ok(Point {
            story: Story::named(story).ok_or_else(|| format!("no story is called {story}"))?,
            kind: kind.to_string(),
            ordinal: ordinal.parse().map_err(|_| format!("{ordinal} is no number"))?,
            fault: fault.parse()?,
            live,
        })
    }
}

/// A start that comes twice is two runs of a program that has ended in between, whoever asks: no client sends one twice.
fn runs_twice(story: Story, kind: &str, fault: Fault) -> bool {
    story == Story::Job && kind == "post-containers-start" && fault == Fault::Double
}

fn looks(kind: &str) -> bool {
    kind.starts_with("get-")
}

/// Which requests of a kind are tried: all that change something. Of those that only look there are hundreds, and one is like
/// the next: the first, second, fourth, eighth … as far as half of them, because how many come is another number each time.
fn ordinals(kind: &str, count: u32) -> Vec<u32> {
    match looks(kind) {
        true => (0..u32::BITS).map(|power| 1 << power).take_while(|at| *at == 1 || *at <= count / 2).collect(),
        false => (1..=count).collect(),
    }
}

#[test]
fn every_change_is_tried_and_looks_are_spread() {
    assert_eq!(ordinals("post-containers-start", 3), [1, 2, 3]);
    assert_eq!(ordinals("get-containers-json", 1), [1]);
    assert_eq!(ordinals("get-containers-json", 17), [1, 2, 4, 8]);
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Point { story, kind, ordinal, fault, live } = self;
        write!(f, "{} {kind} {ordinal} {fault}{}", story.name(), if *live { " live" } else { "" })
    }
}
