//! The engine's events, as a hint to look again. They are read as they come and merged, because the engine drops what a
//! slow reader does not take. What they say about a container is never used.

#![allow(clippy::disallowed_types, reason = "the engine's client wants unordered maps")]

use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::models::{EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::{Stream, StreamExt};

use super::client::{CALL, Client};
use super::errors::Failed;
use super::{EngineError, EventMark, rfc3339};
use crate::model::observed::ContainerId;

/// Nothing of `exec_*` (each health check is three events), `oom` (a storm in some containers) and `mount`.
const ACTIONS: [&str; 20] = [
    "create",
    "start",
    "restart",
    "die",
    "stop",
    "pause",
    "unpause",
    "destroy",
    "rename",
    "update",
    "health_status",
    "connect",
    "disconnect",
    "remove",
    "pull",
    "tag",
    "untag",
    "delete",
    "import",
    "load",
];
const TYPES: [&str; 4] = ["container", "network", "volume", "image"];

/// An event after a time this quiet is told at once: it may be the end of a replica.
const QUIET: Duration = Duration::from_millis(100);
/// In less quiet times, events that come this close together are one.
const TOGETHER: Duration = Duration::from_millis(15);
/// But not for longer than this, and not more than this many.
const TOGETHER_MAX: Duration = Duration::from_millis(100);
const TOUCHED_MAX: usize = 1000;
/// A stream this silent may be dead: it is opened again where it was left.
const SILENT_MAX: Duration = Duration::from_secs(120);

type Events = Pin<Box<dyn Stream<Item = Result<EventMessage, bollard::errors::Error>> + Send>>;

/// The open stream between two waits, so that nothing is missed there.
#[derive(Default)]
pub(super) struct Following {
    open: Mutex<Option<Open>>,
}

struct Open {
    /// The latest event that was heard.
    nanos: i64,
    /// When somebody last waited for one.
    left_at: tokio::time::Instant,
    stream: Events,
}

impl Following {
    /// Waits for events after `since` and merges them. Without a mark it returns at once with the engine's present time:
    /// whoever then looks, and waits from there, misses nothing.
    pub(super) async fn changed(&self, client: &Client, since: Option<EventMark>) -> Result<EventMark, EngineError> {
        let result = match since {
            Some(mark) => self.next(client, mark.nanos).await,
            None => now(client).await.map(|nanos| EventMark { nanos, beyond_containers: true, touched: Vec::new() }),
        };
        result.map_err(|failed| failed.attempting("follow the engine's events"))
    }

    #[allow(clippy::disallowed_methods, reason = "how long to gather events is no decision")]
    async fn next(&self, client: &Client, since: i64) -> Result<EventMark, Failed> {
        let (mut stream, left_at) = match self.take(since) {
            Some(open) => (open.stream, Some(open.left_at)),
            None => (follow(client, since).await?, None),
        };
        let first = loop {
            match tokio::time::timeout(SILENT_MAX, stream.next()).await {
                Ok(Some(event)) => break event.map_err(|error| client.failed(error))?,
                Ok(None) => return Err(Failed::Unreachable("the engine ended the stream of events".into())),
                Err(_) => stream = follow(client, since).await?,
            }
        };
        let mut heard = Heard::new(since);
        heard.add(first);
        let came_at = tokio::time::Instant::now();
        let stop_at = match left_at {
            Some(left_at) if came_at.duration_since(left_at) > QUIET => came_at,
            _ => came_at + TOGETHER_MAX,
        };
        while heard.touched.len() < TOUCHED_MAX {
            let pause = TOGETHER.min(stop_at.saturating_duration_since(tokio::time::Instant::now()));
            match tokio::time::timeout(pause, stream.next()).await {
                Ok(Some(event)) => heard.add(event.map_err(|error| client.failed(error))?),
                // The end of the stream is for the next wait to find.
                Ok(None) | Err(_) => break,
            }
        }
        *self.lock() = Some(Open { nanos: heard.nanos, left_at: tokio::time::Instant::now(), stream });
        Ok(heard.mark())
    }

    /// The open stream, if it stands where the caller does.
    fn take(&self, since: i64) -> Option<Open> {
        self.lock().take().filter(|open| open.nanos == since)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The engine's own clock, which is the one that stamps its events.
async fn now(client: &Client) -> Result<i64, Failed> {
    let found = client.call(CALL, |api| async move { api.info().await }).await?;
    let time = found.system_time.unwrap_or_default();
    rfc3339::nanos(&time).ok_or_else(|| Failed::Unreachable(format!("the engine's time is unreadable: {time}")))
}

async fn follow(client: &Client, since: i64) -> Result<Events, Failed> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let filters = HashMap::from([("type", words(&TYPES)), ("event", words(&ACTIONS))]);
    // The engine includes the moment itself.
    let after = since.saturating_add(1);
    let since = format!("{}.{:09}", after.div_euclid(1_000_000_000), after.rem_euclid(1_000_000_000));
    let options = EventsOptionsBuilder::default().since(&since).filters(&filters).build();
    Ok(Box::pin(client.session().await?.calls.events(Some(options))))
}

/// Events merged.
struct Heard {
    nanos: i64,
    beyond_containers: bool,
    touched: BTreeSet<ContainerId>,
}

impl Heard {
    fn new(since: i64) -> Self {
        Self { nanos: since, beyond_containers: false, touched: BTreeSet::new() }
    }

    fn add(&mut self, event: EventMessage) {
        self.nanos = self.nanos.max(event.time_nano.unwrap_or(0));
        let actor = event.actor.unwrap_or_default();
        match event.typ {
            Some(EventMessageTypeEnum::CONTAINER) => self.touched.extend(actor.id.map(ContainerId)),
            // Joining and leaving does not change the network but the container.
            Some(EventMessageTypeEnum::NETWORK)
                if matches!(event.action.as_deref(), Some("connect" | "disconnect")) =>
            {
                let container = actor.attributes.and_then(|mut attributes| attributes.remove("container"));
                self.touched.extend(container.map(ContainerId));
            }
            _ => self.beyond_containers = true,
        }
    }

    fn mark(self) -> EventMark {
        EventMark {
            nanos: self.nanos,
            beyond_containers: self.beyond_containers,
            touched: self.touched.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(events: &[(&str, &str, &str, i64)]) -> EventMark {
        let mut heard = Heard::new(5);
        for (typ, action, container, nanos) in events {
            let event = serde_json::json!({
                "Type": typ, "Action": action, "timeNano": nanos,
                "Actor": {"ID": container, "Attributes": {"container": container}},
            });
            heard.add(serde_json::from_value(event).unwrap());
        }
        heard.mark()
    }

    #[test]
    fn events_merge_into_the_containers_to_look_at_again() {
        let mark =
            heard(&[("container", "die", "b", 9), ("container", "update", "a", 7), ("network", "connect", "b", 8)]);
        let touched = vec![ContainerId("a".into()), ContainerId("b".into())];
        assert_eq!(mark, EventMark { nanos: 9, beyond_containers: false, touched });
    }

    #[test]
    fn a_new_network_volume_or_image_is_beyond_containers() {
        for (typ, action) in [("network", "create"), ("volume", "create"), ("image", "pull")] {
            assert!(heard(&[(typ, action, "x", 6)]).beyond_containers, "{typ}");
        }
        assert!(!heard(&[("network", "connect", "x", 6)]).beyond_containers);
    }

    #[test]
    fn the_mark_never_goes_back() {
        assert_eq!(heard(&[("container", "start", "a", 1)]).nanos, 5);
    }
}
