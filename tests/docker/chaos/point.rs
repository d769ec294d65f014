//! A place where something goes wrong: which request of a story, and what. Points are counted by kind of request, so that
//! they mean the same in every play although replies come in another order each time.

use std::fmt;

use super::story::Story;
use crate::support::Fault;

/// How many requests of a kind that only looks are tried; one is like the next.
const LOOKS: u32 = 2;

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
            let last = if kind.starts_with("get-") { (*count).min(LOOKS) } else { *count };
            for ordinal in 1..=last {
                let concerned = faults.iter().filter(|fault| fault.concerns(kind));
                points.extend(concerned.map(|fault| Point { story, kind: kind.clone(), ordinal, fault: *fault, live }));
            }
        }
        points
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

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Point { story, kind, ordinal, fault, live } = self;
        write!(f, "{} {kind} {ordinal} {fault}{}", story.name(), if *live { " live" } else { "" })
    }
}
