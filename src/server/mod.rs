//! The doors for people and Prometheus: the Unix socket that the command line speaks to, and `/metrics`, `/healthz` and
//! `/readyz` over TCP. It shows views and passes commands on; it decides nothing and knows no Docker.

mod admission;
pub mod api;
mod connection;
mod peer;
pub mod scrape;
pub mod socket;
pub mod wire;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use admission::Room;
use futures_util::Stream;
use peer::Peer;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};

use crate::metrics::Metrics;
use crate::model::command::{Command, Reply};
use crate::model::observed::ContainerId;
use crate::model::time::Timestamp;
use crate::model::view::View;

/// Commands, and people and programs that follow the view or a log; each log takes a connection to the engine too.
const SOCKET: Room = Room { connections: 128, lifetime: None };

/// A few Prometheus servers and supervisors. Anybody on the host may connect, and reads no more than one answer at a time.
const SCRAPES: Room = Room { connections: 32, lifetime: Some(Duration::from_secs(60)) };

/// A command on its way to the reconciler, with where to answer.
pub type Envelope = (Command, oneshot::Sender<Reply>);

/// A clock, as an argument: nothing here reads the time by itself.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Lines of a container's log, as they come; an error ends them.
pub type Lines = Pin<Box<dyn Stream<Item = Result<String, String>> + Send>>;

/// Where container logs come from.
pub trait Logs: Send + Sync + 'static {
    /// The lines of a container's log, oldest first, as the container wrote them (the reader makes them printable).
    fn lines(&self, container: &ContainerId, query: &LogQuery) -> Lines;
}

/// Which lines of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogQuery {
    /// Go on with new lines until the container ends.
    pub follow: bool,
    /// Only this many of the last lines.
    pub tail: Option<u32>,
    /// Only lines from then on.
    pub since: Option<Timestamp>,
    /// Only lines from before then.
    pub until: Option<Timestamp>,
}

/// What the servers need from the rest of the house.
#[derive(Clone)]
pub struct Parts {
    /// What to show.
    pub views: watch::Receiver<Arc<View>>,
    /// Where commands go.
    pub commands: mpsc::Sender<Envelope>,
    /// Where logs come from.
    pub logs: Arc<dyn Logs>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What time it is.
    pub clock: Clock,
}

/// Serves the Unix socket until `stop`, then lets replies under way end.
pub async fn serve_socket(listener: UnixListener, parts: Parts, stop: impl Future<Output = ()> + Send + 'static) {
    let peer = |stream: &UnixStream| Some(Peer::of(stream));
    admission::serve(listener, SOCKET, api::router(parts), peer, stop).await;
}

/// Serves `/metrics`, `/healthz` and `/readyz` until `stop`.
pub async fn serve_scrapes(listener: TcpListener, parts: Parts, stop: impl Future<Output = ()> + Send + 'static) {
    admission::serve(listener, SCRAPES, scrape::router(parts), |_| None, stop).await;
}
