//! What waits for one receiver: a bounded queue. When it is full the oldest goes, because the newest says how it is now.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::message::Message;
use crate::model::time::Timestamp;

/// How many messages wait for one receiver at most.
pub const QUEUE_MAX: usize = 100;

/// A message on its way.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The subject that it is about.
    pub subject: String,
    /// What is told.
    pub message: Message,
    /// Since when it waits.
    pub since: Timestamp,
}

/// The messages that wait for one receiver, oldest first.
#[derive(Default)]
pub struct Queue {
    line: Mutex<Line>,
    bell: Notify,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Waiting>,
    /// Whether one was taken out that is not delivered yet.
    is_busy: bool,
}

impl Queue {
    /// Adds a message. Returns the oldest one if there was no room for it.
    pub fn push(&self, new: Waiting) -> Option<Waiting> {
        let mut line = self.hold();
        let waiting = &mut line.waiting;
        let dropped = if waiting.len() >= QUEUE_MAX { waiting.pop_front() } else { None };
        waiting.push_back(new);
        self.bell.notify_one();
        dropped
    }

    /// The oldest message, as soon as there is one. It is under way until [`Queue::done`].
    pub async fn next(&self) -> Waiting {
        loop {
            if let Some(oldest) = self.take() {
                return oldest;
            }
            self.bell.notified().await;
        }
    }

    fn take(&self) -> Option<Waiting> {
        let mut line = self.hold();
        let oldest = line.waiting.pop_front()?;
        line.is_busy = true;
        Some(oldest)
    }

    /// The one that was taken out is delivered, or nobody tries any more.
    pub fn done(&self) {
        self.hold().is_busy = false;
    }

    /// How many wait, the one under way among them.
    pub fn count(&self) -> usize {
        let line = self.hold();
        line.waiting.len() + usize::from(line.is_busy)
    }

    fn hold(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::message::{Object, Tone};

    fn waiting(n: usize) -> Waiting {
        let message = Message::new(Timestamp(0), Object::other("Test", n.to_string()), "Test", Tone::Good, "");
        Waiting { subject: n.to_string(), message, since: Timestamp(0) }
    }

    #[tokio::test]
    async fn a_full_queue_loses_its_oldest_and_keeps_the_order() {
        let queue = Queue::default();
        let dropped: Vec<String> =
            (0..QUEUE_MAX + 2).filter_map(|n| queue.push(waiting(n))).map(|dropped| dropped.subject).collect();
        assert_eq!(dropped, ["0", "1"]);
        assert_eq!(queue.count(), QUEUE_MAX);
        for n in 2..QUEUE_MAX + 2 {
            assert_eq!(queue.next().await.subject, n.to_string());
        }
        assert_eq!(queue.count(), 1, "the last one is under way");
        queue.done();
        assert_eq!(queue.count(), 0);
    }
}
