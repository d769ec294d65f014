//! The paths of the Unix socket: views, events and logs out; commands in. It passes on and decides nothing.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Query, State};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream::{self, Stream, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};
use tokio::time::MissedTickBehavior;

use super::connection;
use super::peer::Peer;
use super::wire::{Events, ImageSetBody, LogLine, RequestBody};
use super::{LogQuery, Parts};
use crate::model::action::Confirmation;
use crate::model::command::{Command, Refusal, RefusalKind, Reply};
use crate::model::name::Key;
use crate::model::observed::ContainerId;
use crate::model::status::Event;
use crate::model::time::{Span, Timestamp};
use crate::model::view::View;

/// The largest body of a command, in bytes; the longest honest one is a few hundred.
const BODY_MAX: usize = 16 * 1024;

/// The shortest time between two lines of a watch: a busy rollout changes the view faster than a person reads.
const WATCH_PERIOD: Duration = Duration::from_millis(100);

/// How long a command may take; a read of all sources is the longest.
const COMMAND_DEADLINE: Duration = Duration::from_secs(60);

/// How long the pass after a command may take to show.
const NEXT_PASS: Duration = Duration::from_millis(500);

/// The paths of the Unix socket.
pub fn router(parts: Parts) -> Router {
    Router::new()
        .route("/v1/view", get(view))
        .route("/v1/view/watch", get(watch_view))
        .route("/v1/events", get(events))
        .route("/v1/events/watch", get(watch_events))
        .route("/v1/revisions", get(revisions))
        .route("/v1/logs", get(logs))
        .route("/v1/releases", get(releases))
        .route("/v1/image-set", post(image_set))
        .route("/v1/sync", post(sync))
        .route("/v1/look", post(look))
        .route("/v1/request", post(request))
        .route("/v1/confirm", post(confirm))
        .fallback(|| async { refuse(Refusal::not_found("this version of Evenkeel's daemon does not have that path")) })
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn(connection::answer))
        .with_state(parts)
}

/// How long a daemon that has just started may take until it has something to show.
const FIRST_PASS: Duration = Duration::from_secs(5);

/// Waits for the first pass: before it, everything would seem to be undeclared.
async fn first_pass(views: &mut watch::Receiver<Arc<View>>) {
    let passed = views.wait_for(|view| view.passes > 0 || !view.engine.message.is_empty());
    // Later than that, whatever there is to see is shown.
    let _ = tokio::time::timeout(FIRST_PASS, passed).await;
}

async fn view(State(mut parts): State<Parts>) -> Response {
    first_pass(&mut parts.views).await;
    // Serialised from the shared view: the reconciler never waits for a slow reader.
    let view = parts.views.borrow().clone();
    Json(SnapshotRef { now: (parts.clock)(), view: &view }).into_response()
}

async fn watch_view(State(mut parts): State<Parts>) -> Response {
    first_pass(&mut parts.views).await;
    let clock = parts.clock.clone();
    ndjson(changes(parts.views).map(move |view| line(&SnapshotRef { now: clock(), view: &view })))
}

/// A [`Snapshot`](super::wire::Snapshot) that borrows its view.
#[derive(Serialize)]
struct SnapshotRef<'a> {
    now: crate::model::time::Timestamp,
    view: &'a View,
}

async fn events(State(parts): State<Parts>) -> Json<Events> {
    let events = parts.views.borrow().events.to_vec();
    Json(Events { now: (parts.clock)(), events })
}

async fn watch_events(State(parts): State<Parts>) -> Response {
    let clock = parts.clock.clone();
    let news = changes(parts.views).scan(None, |last: &mut Option<Event>, view| {
        let fresh = newer(&view.events, last.as_ref()).to_vec();
        *last = fresh.last().cloned().or(last.take());
        std::future::ready(Some(fresh))
    });
    ndjson(news.enumerate().filter_map(move |(number, events)| {
        // The first line also says that there is nothing yet.
        let worth = number == 0 || !events.is_empty();
        std::future::ready(worth.then(|| line(&Events { now: clock(), events })))
    }))
}

/// The events after `last`; all of them when it is forgotten already.
fn newer<'a>(events: &'a [Event], last: Option<&Event>) -> &'a [Event] {
    let seen = last.and_then(|last| events.iter().rposition(|event| event == last));
    &events[seen.map_or(0, |position| position + 1)..]
}

/// The view now, and every later one, not more often than [`WATCH_PERIOD`]; at once when nothing is under way any more,
/// because that is what most wait for.
fn changes(views: watch::Receiver<Arc<View>>) -> impl Stream<Item = Arc<View>> + Send {
    let mut period = tokio::time::interval(WATCH_PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::unfold((views, period, true), |(mut views, mut period, first)| async move {
        if !first {
            views.changed().await.ok()?;
        }
        tokio::select! {
            _ = period.tick() => {}
            _ = views.wait_for(|view| view.in_flight.is_empty()) => {}
        }
        let view = views.borrow_and_update().clone();
        Some((view, (views, period, false)))
    })
}

/// The query of `/v1/logs`.
#[derive(Debug, Deserialize)]
struct LogsQuery {
    container: String,
    #[serde(default)]
    follow: bool,
    tail: Option<u32>,
    /// How long ago, in milliseconds.
    ago: Option<u64>,
    /// Before when, in milliseconds since 1970.
    until: Option<i64>,
}

async fn logs(State(parts): State<Parts>, Query(query): Query<LogsQuery>) -> Response {
    // Only containers of ours: the socket's group need not be able to read everybody's logs.
    let known = parts.views.borrow().objects.values().any(|object| has(&object.status.containers, &query.container));
    if !known {
        return refuse(Refusal::not_found(format!("no container of Evenkeel's has the id {}", query.container)));
    }
    let since = query.ago.map(|millis| (parts.clock)() - Span::millis(millis));
    let wanted = LogQuery { follow: query.follow, tail: query.tail, since, until: query.until.map(Timestamp) };
    let lines = parts.logs.lines(&ContainerId(query.container), &wanted);
    ndjson(lines.map(|item| match item {
        Ok(text) => line(&LogLine::Line(text)),
        Err(message) => line(&LogLine::Error(message)),
    }))
}

fn has(containers: &[crate::model::status::ContainerStatus], id: &str) -> bool {
    containers.iter().any(|container| container.id == id)
}

/// The query of `/v1/revisions`.
#[derive(Debug, Deserialize)]
struct RevisionsQuery {
    key: Key,
}

async fn revisions(State(parts): State<Parts>, Query(query): Query<RevisionsQuery>) -> Response {
    command(&parts, Command::Revisions(query.key)).await
}

async fn sync(State(parts): State<Parts>) -> Response {
    command(&parts, Command::Sync).await
}

async fn look(State(parts): State<Parts>) -> Response {
    command(&parts, Command::Look).await
}

async fn releases(State(parts): State<Parts>) -> Response {
    command(&parts, Command::Releases).await
}

/// Who has connected.
type From = ConnectInfo<Peer>;

async fn image_set(
    State(parts): State<Parts>,
    ConnectInfo(Peer { name: by, .. }): From,
    Json(ImageSetBody { key, change, image }): Json<ImageSetBody>,
) -> Response {
    command(&parts, Command::ImageSet { key, change, image, by }).await
}

async fn request(
    State(parts): State<Parts>,
    ConnectInfo(Peer { name: by, .. }): From,
    Json(RequestBody { key, request }): Json<RequestBody>,
) -> Response {
    let response = command(&parts, Command::Request { key, request, by }).await;
    seen(parts, response).await
}

async fn confirm(
    State(parts): State<Parts>,
    ConnectInfo(Peer { name: by, .. }): From,
    Json(confirmation): Json<Confirmation>,
) -> Response {
    let response = command(&parts, Command::Confirm { confirmation, by }).await;
    seen(parts, response).await
}

/// Holds a success back until the view shows the pass that acted on it: a `rollout status` right after a
/// `rollout restart` must not read how things stood before.
async fn seen(mut parts: Parts, response: Response) -> Response {
    if response.status().is_success() {
        let before = parts.views.borrow().passes;
        // A pass that does not come soon (no engine, say) is no reason to keep a person waiting.
        let _ = tokio::time::timeout(NEXT_PASS, parts.views.wait_for(|view| view.passes > before)).await;
    }
    response
}

async fn command(parts: &Parts, command: Command) -> Response {
    match ask(parts, command).await {
        Ok(answer) => Json(answer).into_response(),
        Err(refusal) => refuse(refusal),
    }
}

/// Passes a command on and waits for its answer.
pub async fn ask(parts: &Parts, command: Command) -> Reply {
    let stopping = || Refusal::unavailable("the daemon is stopping");
    let asked = async {
        let (reply, answer) = oneshot::channel();
        parts.commands.send((command, reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    };
    tokio::time::timeout(COMMAND_DEADLINE, asked).await.unwrap_or_else(|_| {
        Err(Refusal::unavailable("the daemon did not answer in time; it may still do what was asked"))
    })
}

fn refuse(refusal: Refusal) -> Response {
    let status = match refusal.kind {
        RefusalKind::NotFound => StatusCode::NOT_FOUND,
        RefusalKind::Impossible => StatusCode::CONFLICT,
        RefusalKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(refusal)).into_response()
}

/// One line of newline-delimited JSON.
fn line(value: &impl Serialize) -> Bytes {
    let mut bytes = serde_json::to_vec(value).expect("what goes over the wire is plain data");
    bytes.push(b'\n');
    bytes.into()
}

fn ndjson(lines: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let body = Body::from_stream(lines.map(Ok::<_, Infallible>));
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}
