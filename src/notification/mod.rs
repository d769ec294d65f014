//! NOTIFICATIONS: what came of rollouts, Jobs and trouble, told to webhooks. It reads views and decides nothing about
//! containers; no pass ever waits for it.
//!
//! ```text
//! view ─ standing ─▶ results ─ news ─▶ messages ─ queue ─▶ delivery ─ format, post ─▶ receiver
//!                              ▲                               │
//!                              └──────────── told ◀────────────┘   on disk: the same news is sent once
//! ```
//!
//! A result counts as told once it is delivered or given up. So one that was on its way when the process ended is told
//! by the next one, if it still stands; at worst, when the process dies right after a delivery, twice.

mod delivery;
mod followed;
mod format;
mod message;
mod news;
mod post;
mod queue;
mod receiver;
mod standing;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};

pub use format::{Format, Sender};
pub use news::Wish;
pub use receiver::{Place, Receiver, parse_url};

use delivery::{Attempt, attempt, work};
use message::{Message, Object, Tone};
use queue::{Queue, Waiting};
use standing::{ALWAYS_NEWS, Lasting, Standing, standings};

use crate::model::time::Timestamp;
use crate::model::told::{Last, Subjects, Told};
use crate::model::view::{SourcePhase, View};

/// What this room asks of others: files, the time, the memory on disk, and somebody who counts.
pub trait Outside: Send + Sync + 'static {
    /// The present time.
    fn now(&self) -> Timestamp;
    /// A small file that the configuration names; the error continues "the file …". It may block.
    fn read(&self, path: &Path) -> Result<Vec<u8>, String>;
    /// What was told before, if that is known. It may block.
    fn load(&self) -> Option<Told>;
    /// Remembers what was told. It may block.
    fn save(&self, told: &Told) -> Result<(), String>;
    /// A message to a receiver has come to its end.
    fn ended(&self, receiver: &str, end: End);
    /// So many messages wait for a receiver.
    fn queued(&self, receiver: &str, count: usize);
}

/// How a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The receiver has it.
    Delivered,
    /// The receiver refused it, or did not take it for an hour.
    Failed,
    /// Newer ones needed its room.
    Dropped,
}

/// A message that needs no further care.
#[derive(Debug)]
pub struct Settled {
    receiver: String,
    subject: String,
    last: Last,
}

/// Tells the receivers what the views show, until nobody publishes views any more.
pub async fn run(
    receivers: Vec<Receiver>,
    sender: Sender,
    mut views: watch::Receiver<Arc<View>>,
    outside: Arc<dyn Outside>,
) {
    if receivers.is_empty() {
        return;
    }
    let (settled, mut settling) = mpsc::unbounded_channel();
    let mut herald = Herald::new(receivers, outside).await;
    // Dropped with this task, and the workers end with it.
    let mut workers = JoinSet::new();
    for line in &herald.lines {
        let settled = settled.clone();
        let settle = move |one| {
            // Nobody listens only while all of this ends.
            let _ = settled.send(one);
        };
        let (receiver, queue, outside) = (line.receiver.clone(), line.queue.clone(), herald.outside.clone());
        workers.spawn(work(receiver, sender.clone(), queue, outside, settle));
    }
    loop {
        let view = views.borrow_and_update().clone();
        herald.look(&view);
        herald.save().await;
        loop {
            tokio::select! {
                changed = views.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                Some(one) = settling.recv() => {
                    herald.settle(one);
                    while let Ok(one) = settling.try_recv() {
                        herald.settle(one);
                    }
                    herald.save().await;
                }
            }
        }
    }
}

/// Sends one message to a receiver now, to see whether it arrives: what came back, or why it did not.
pub async fn test(receiver: &Receiver, sender: &Sender, outside: Arc<dyn Outside>) -> Result<String, String> {
    let words = "this is a test: notifications of this host arrive here";
    let message = Message::new(outside.now(), Object::other("Test", &receiver.name), "Test", Tone::Good, words);
    match attempt(receiver, sender, &outside, &message).await {
        Attempt::Delivered(said) => Ok(said),
        Attempt::Refused(why) | Attempt::Trouble(why, _) => Err(why),
    }
}

/// All receivers, and what they know.
struct Herald {
    lines: Vec<Line>,
    lasting: Lasting,
    /// What is known to be told, or needs no telling.
    told: Told,
    is_saved: bool,
    has_complained: bool,
    outside: Arc<dyn Outside>,
}

/// One receiver.
struct Line {
    receiver: Receiver,
    queue: Arc<Queue>,
    /// What it was told, what waits for it included.
    known: Subjects,
    /// Whether it has a memory: a new receiver gets one with the first view that shows everything.
    has_memory: bool,
}

impl Herald {
    async fn new(receivers: Vec<Receiver>, outside: Arc<dyn Outside>) -> Self {
        let loading = spawn_blocking({
            let outside = outside.clone();
            move || outside.load()
        });
        let mut told = loading.await.ok().flatten().unwrap_or_default();
        told.retain(|name, _| receivers.iter().any(|receiver| receiver.name == *name));
        let line = |receiver: Receiver| {
            outside.queued(&receiver.name, 0);
            let known = told.get(&receiver.name).cloned();
            let queue = Arc::new(Queue::default());
            Line { has_memory: known.is_some(), known: known.unwrap_or_default(), receiver, queue }
        };
        let lines = receivers.into_iter().map(line).collect();
        Self { lines, lasting: Lasting::default(), told, is_saved: true, has_complained: false, outside }
    }

    /// Queues what is news in a view.
    fn look(&mut self, view: &View) {
        let standings = standings(view, &mut self.lasting);
        let is_whole = view.passes > 0 && view.sources.iter().all(|source| source.state != SourcePhase::Reading);
        for index in 0..self.lines.len() {
            let line = &mut self.lines[index];
            if !line.has_memory && is_whole {
                line.known.extend(news::baseline(&standings));
                line.has_memory = true;
                self.told.insert(line.receiver.name.clone(), line.known.clone());
                self.is_saved = false;
            }
            let is_told = self.lines[index].has_memory;
            for standing in
                standings.iter().filter(|standing| is_told || ALWAYS_NEWS.contains(&standing.subject.as_str()))
            {
                self.tell(index, standing);
            }
            news::forget(&mut self.lines[index].known, &standings, view);
        }
        for subjects in self.told.values_mut() {
            let before = subjects.len();
            news::forget(subjects, &standings, view);
            self.is_saved &= subjects.len() == before;
        }
    }

    /// Queues what one receiver is to be told of a subject.
    fn tell(&mut self, index: usize, standing: &Standing) {
        let Line { receiver, queue, known, .. } = &mut self.lines[index];
        let (messages, last) = news::news(known.get(&standing.subject), standing, receiver.wish);
        let Some(last) = last else { return };
        known.insert(standing.subject.clone(), last.clone());
        let (name, queue) = (receiver.name.clone(), queue.clone());
        if messages.is_empty() {
            return self.settle(Settled { receiver: name, subject: standing.subject.clone(), last });
        }
        for message in messages {
            let waiting = Waiting { subject: standing.subject.clone(), message, since: self.outside.now() };
            if let Some(Waiting { subject, message, .. }) = queue.push(waiting) {
                tracing::warn!(receiver = %name, result = message.result, "a notification gave its room to newer ones");
                self.outside.ended(&name, End::Dropped);
                self.settle(Settled { receiver: name.clone(), subject, last: message.last() });
            }
        }
        self.outside.queued(&name, queue.count());
    }

    /// Remembers what needs no further care. Without a memory there is nothing to add to: it begins as a whole.
    fn settle(&mut self, Settled { receiver, subject, last }: Settled) {
        if let Some(subjects) = self.told.get_mut(&receiver)
            && subjects.get(&subject) != Some(&last)
        {
            subjects.insert(subject, last);
            self.is_saved = false;
        }
    }

    /// Brings the memory to the disk, if it has changed. What cannot be written is tried again with the next view.
    async fn save(&mut self) {
        if self.is_saved {
            return;
        }
        let (outside, told): (_, BTreeMap<_, _>) = (self.outside.clone(), self.told.clone());
        let saved = spawn_blocking(move || outside.save(&told)).await.unwrap_or_else(|error| Err(error.to_string()));
        self.is_saved = saved.is_ok();
        if let Err(why) = &saved
            && !self.has_complained
        {
            tracing::warn!("what was notified cannot be kept for a restart: {why}");
        }
        self.has_complained = saved.is_err();
    }
}

#[cfg(test)]
mod tests;
