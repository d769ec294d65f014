//! How connections are let in: so many at once, and none that asks for nothing. It knows no path and no view.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::Response;
use axum::serve::Listener;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tower_service::Service as _;

use super::peer::Peer;

/// How long a client may take for the head of a request, the next one of its connection too.
const HEAD: Duration = Duration::from_secs(30);

/// How long the last answer of a connection whose time is over may take.
const LAST_ANSWER: Duration = Duration::from_secs(10);

/// What a listener puts up with.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// How many connections it has at once. Whoever comes beyond that waits in the kernel's queue, which costs no descriptor.
    pub connections: u32,
    /// How long a connection goes on; none where a client may follow what changes.
    pub lifetime: Option<Duration>,
}

/// Serves `listener` until `stop`, then lets answers under way end. `peer` says who has connected.
pub async fn serve<L: Listener>(
    mut listener: L,
    room: Room,
    router: Router,
    peer: impl Fn(&L::Io) -> Option<Peer>,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(room.connections as usize));
    let (end, ended) = watch::channel(false);
    let mut stop = pin!(stop);
    loop {
        let next = async { (places.clone().acquire_owned().await, listener.accept().await) };
        let (place, io) = tokio::select! {
            () = &mut stop => break,
            (place, (io, _)) = next => (place, io),
        };
        let asked = Asked { router: router.clone(), peer: peer(&io) };
        let ended = ended.clone();
        tokio::spawn(async move {
            attend(io, room, asked, ended).await;
            drop(place);
        });
    }
    drop(listener);
    // Nobody hears it when no connection is left.
    let _ = end.send(true);
    // All places are free once all connections have ended.
    let _ = places.acquire_many(room.connections).await;
}

/// Answers one connection until its client, its lifetime or the server ends it.
async fn attend<Io>(io: Io, room: Room, asked: Asked, mut ended: watch::Receiver<bool>)
where
    Io: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), asked));
    let over = async {
        match room.lifetime {
            Some(lifetime) => sleep(lifetime).await,
            None => std::future::pending().await,
        }
    };
    // What breaks a connection is the client's business.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = ended.wait_for(|ended| *ended) => {}
        () = over => {}
    }
    connection.as_mut().graceful_shutdown();
    match room.lifetime {
        // Whoever reads no answer does not keep its place for that.
        Some(_) => drop(timeout(LAST_ANSWER, connection).await),
        None => drop(connection.await),
    }
}

/// What answers the requests of one connection.
struct Asked {
    router: Router,
    peer: Option<Peer>,
}

impl Service<Request<Incoming>> for Asked {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        if let Some(peer) = &self.peer {
            request.extensions_mut().insert(ConnectInfo(peer.clone()));
        }
        let mut router = self.router.clone();
        // A router is always ready.
        Box::pin(async move { router.call(request).await })
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, Bytes};
    use axum::routing::get;
    use futures_util::{StreamExt, stream};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{UnixListener, UnixStream};

    use super::*;

    const SHORT: &[u8] = b"GET /short HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    const LONG: &[u8] = b"GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

    /// A server in virtual time: `/short` is answered at once, `/long` in three days.
    fn serving(room: Room) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let long = || async {
            let days = stream::iter(0..3).then(|day| async move {
                sleep(Duration::from_secs(86_400)).await;
                Ok::<_, Infallible>(Bytes::from(format!("day {day}\n")))
            });
            Response::new(Body::from_stream(days))
        };
        let router = Router::new().route("/short", get(|| async { "here\n" })).route("/long", get(long));
        tokio::spawn(serve(listener, room, router, |_| None, std::future::pending()));
        (dir, socket)
    }

    async fn asking(socket: &std::path::Path, request: &[u8]) -> UnixStream {
        let mut stream = UnixStream::connect(socket).await.unwrap();
        stream.write_all(request).await.unwrap();
        stream
    }

    async fn answer(mut stream: UnixStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    /// Whether the server has closed a connection.
    fn is_closed(stream: &UnixStream) -> bool {
        matches!(stream.try_read(&mut [0; 1]), Ok(0))
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_beyond_the_limit_waits_until_who_asks_for_nothing_is_sent_away() {
        let (_dir, socket) = serving(Room { connections: 2, lifetime: None });
        let silent = asking(&socket, b"").await;
        let slow = asking(&socket, b"GET /short HTT").await;
        let mut third = asking(&socket, SHORT).await;
        assert!(timeout(HEAD / 2, third.read_u8()).await.is_err(), "it has a place beside both");
        assert!(answer(third).await.ends_with("here\n"));
        for stream in [silent, slow] {
            stream.readable().await.unwrap();
            assert!(is_closed(&stream));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_follows_what_changes_may_be_silent_for_days() {
        let (_dir, socket) = serving(Room { connections: 1, lifetime: None });
        assert!(answer(asking(&socket, LONG).await).await.contains("day 2"));
    }

    #[tokio::test(start_paused = true)]
    async fn where_nothing_is_followed_no_answer_takes_for_ever() {
        let (_dir, socket) = serving(Room { connections: 1, lifetime: Some(Duration::from_secs(60)) });
        let long = asking(&socket, LONG).await;
        assert!(answer(asking(&socket, SHORT).await).await.ends_with("here\n"));
        assert!(!answer(long).await.contains("day 0"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_to_stop_lets_answers_end_and_waits_for_nobody_who_asks_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let router = Router::new().route("/short", get(|| async { "here\n" }));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        let room = Room { connections: 8, lifetime: None };
        let server = tokio::spawn(serve(listener, room, router, |_| None, stopped));
        let silent = asking(&dir.path().join("s"), b"").await;
        assert!(answer(asking(&dir.path().join("s"), SHORT).await).await.ends_with("here\n"));
        drop(stop);
        timeout(Duration::from_secs(1), server).await.unwrap().unwrap();
        assert!(is_closed(&silent));
    }
}
