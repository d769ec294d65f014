//! Delivery to one receiver: one message after the other, each with patience, so that the order is kept and no other
//! receiver waits.

use std::sync::Arc;

use hyper::StatusCode;
use tokio::time::sleep;

use super::format::{Sender, body};
use super::message::Message;
use super::post::{Answer, post};
use super::queue::{Queue, Waiting};
use super::receiver::{Receiver, Target};
use super::{End, Outside, Settled};
use crate::model::time::{Span, Timestamp};

/// The pause after the first attempt; each further one is twice as long.
const FIRST_PAUSE: Span = Span::secs(5);
/// The longest pause of our own choice.
const LONGEST_PAUSE: Span = Span::secs(300);
/// For so long a message is worth another attempt.
const WORTH: Span = Span::secs(3_600);

/// How one attempt went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The receiver has it.
    Delivered(String),
    /// It will not take it: another attempt would end the same.
    Refused(String),
    /// It may take it later, after so long if it said so.
    Trouble(String, Option<Span>),
}

/// Delivers what is in a queue, for ever.
pub async fn work(
    receiver: Receiver,
    sender: Sender,
    queue: Arc<Queue>,
    outside: Arc<dyn Outside>,
    settled: impl Fn(Settled),
) {
    loop {
        let waiting = queue.next().await;
        let end = deliver(&receiver, &sender, &outside, &waiting).await;
        queue.done();
        outside.ended(&receiver.name, end);
        outside.queued(&receiver.name, queue.count());
        settled(Settled { receiver: receiver.name.clone(), subject: waiting.subject, last: waiting.message.last() });
    }
}

/// Delivers one message, or gives it up.
async fn deliver(receiver: &Receiver, sender: &Sender, outside: &Arc<dyn Outside>, waiting: &Waiting) -> End {
    let (name, message) = (&receiver.name, &waiting.message);
    let mut pause = FIRST_PAUSE;
    for number in 1.. {
        let (why, after) = match attempt(receiver, sender, outside, message).await {
            Attempt::Delivered(_) if number == 1 => return End::Delivered,
            Attempt::Delivered(_) => {
                tracing::info!(receiver = %name, "a notification was delivered at attempt {number}");
                return End::Delivered;
            }
            Attempt::Refused(why) => {
                tracing::warn!(receiver = %name, result = message.result, "a notification is refused: {why}");
                return End::Failed;
            }
            Attempt::Trouble(why, after) => (why, after),
        };
        let next = pause.max(after.unwrap_or_default());
        if is_over(waiting.since, outside.now(), next) {
            tracing::warn!(receiver = %name, result = message.result, "a notification is given up after {number} attempts: {why}");
            return End::Failed;
        }
        match number {
            1 => tracing::warn!(receiver = %name, "a notification is tried again, at first in {next}: {why}"),
            _ => tracing::debug!(receiver = %name, number, "a notification is tried again in {next}: {why}"),
        }
        sleep(next.std()).await;
        pause = Span(pause.0.saturating_mul(2)).min(LONGEST_PAUSE);
    }
    unreachable!("attempts are not counted to their end")
}

/// Whether a message would be too old at the next attempt.
fn is_over(since: Timestamp, now: Timestamp, pause: Span) -> bool {
    (now + pause).since(since) > WORTH
}

/// One attempt.
pub async fn attempt(receiver: &Receiver, sender: &Sender, outside: &Arc<dyn Outside>, message: &Message) -> Attempt {
    // A file may stand on a disk that does not answer: that holds up nobody else.
    let reading = tokio::task::spawn_blocking({
        let (receiver, outside) = (receiver.clone(), outside.clone());
        move || receiver.target(&|path| outside.read(path))
    });
    let target = match reading.await {
        Ok(Ok(target)) => target,
        Ok(Err(why)) => return Attempt::Trouble(why, None),
        Err(_) => return Attempt::Trouble("its files cannot be read".into(), None),
    };
    match post(&target, body(message, sender, receiver.format)).await {
        Ok(answer) => judge(&target, answer),
        Err(why) => Attempt::Trouble(format!("{}: {why}", target.host()), None),
    }
}

fn judge(target: &Target, answer: Answer) -> Attempt {
    let status = answer.status;
    let words = if answer.words.is_empty() { String::new() } else { format!(": {}", answer.words) };
    let said = format!("{} answered {status}{words}", target.host());
    match status {
        _ if status.is_success() => Attempt::Delivered(said),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Attempt::Trouble(said, answer.retry_after)
        }
        _ if status.is_server_error() => Attempt::Trouble(said, answer.retry_after),
        _ if status.is_redirection() => Attempt::Refused(format!("{said}; redirects are not followed")),
        _ => Attempt::Refused(said),
    }
}
