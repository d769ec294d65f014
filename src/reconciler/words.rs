//! What a container said last: whose words are worth reading, and which of them. It remembers nothing.

use futures_util::stream::{self, StreamExt};
use tokio::time::timeout;

use super::look::{INSPECT_DEADLINE, INSPECTIONS};
use super::redact::Redactor;
use crate::engine::Engine;
use crate::model::observed::{Container, ContainerId, ContainerState, Health};
use crate::model::time::{Span, Timestamp};

/// A run that is no older than this has only just begun.
const FRESH: Span = Span::secs(10);
/// Log lines that are kept of a container in trouble.
const LOG_LINES: u32 = 20;

/// The last words of some containers.
pub async fn hear<E: Engine>(
    engine: &E,
    containers: Vec<(ContainerId, Option<Timestamp>)>,
    redactor: &Redactor,
) -> Vec<(ContainerId, Vec<String>)> {
    let heard = stream::iter(containers).map(|(id, until)| async move {
        let words = last_words(engine, &id, until, redactor).await;
        (id, words)
    });
    heard.buffered(INSPECTIONS).collect().await
}

/// A log that cannot be read (another driver, a full disk) is no reason to look away from the container.
pub(super) async fn last_words<E: Engine>(
    engine: &E,
    id: &ContainerId,
    until: Option<Timestamp>,
    redactor: &Redactor,
) -> Vec<String> {
    let lines = timeout(INSPECT_DEADLINE.std(), engine.last_log(id, LOG_LINES, until)).await;
    let lines = lines.unwrap_or(Ok(Vec::new())).unwrap_or_default();
    lines.iter().map(|line| redactor.clean(line)).collect()
}

/// Until when what a container says tells how it is, if not until now: one that has only just been started again says that it
/// starts, and why the run before ended is what that one said last.
pub(super) fn last_said(container: &Container, now: Timestamp) -> Option<Timestamp> {
    let (ContainerState::Running { since }, Some(ended_at)) = (&container.state, container.ended_at) else {
        return None;
    };
    // The engine notes both times a moment after they were.
    let between = ended_at + Span(since.since(ended_at).0 / 2);
    (now.since(*since) < FRESH && ended_at < *since).then_some(between)
}

/// Whether a container is as dead as when its last words were heard.
pub(super) fn has_nothing_to_add(known: &Container, container: &Container) -> bool {
    let is_dead = matches!(container.state, ContainerState::Exited(_));
    is_dead && known.state == container.state && !known.last_log.is_empty()
}

/// Whether it has been started again since it was last seen to run: what the run before said may be why.
pub(super) fn runs_anew(known: &Container, container: &Container) -> bool {
    let since = |container: &Container| match container.state {
        ContainerState::Running { since } => Some(since),
        _ => None,
    };
    since(known).is_some_and(|before| since(container).is_some_and(|now| now != before))
}

/// Whether its words may tell why it is not well.
pub(super) fn in_trouble(container: &Container) -> bool {
    match &container.state {
        ContainerState::Exited(_) | ContainerState::Restarting { .. } => true,
        ContainerState::Running { .. } => {
            matches!(container.health, Health::Unhealthy { .. } | Health::Starting) || container.restart_count > 0
        }
        ContainerState::Created { .. } | ContainerState::Paused | ContainerState::Removing => false,
    }
}
