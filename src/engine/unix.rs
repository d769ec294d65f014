//! The engine's Unix socket, with connections that are used again: bollard opens one for each call, which costs both sides
//! more than many a call does.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::errors::Error;
use bollard::{BollardRequest, ClientVersion, Docker};
use hyper::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::UnixStream;

/// How long a connection waits for its next call: within a pass, but not from one pass at rest to the next.
const IDLE: Duration = Duration::from_secs(2);
/// How many wait; more are only open while they are busy.
const IDLE_MAX: usize = 8;

/// A client of the engine that listens on `socket`.
pub(super) fn connect(socket: &Path, limit: u64, version: &ClientVersion) -> Result<Docker, Error> {
    if !socket.exists() {
        return Err(Error::SocketNotFoundError(socket.display().to_string()));
    }
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_MAX)
        .build(Socket(socket.to_path_buf()));
    let transport = move |request: BollardRequest| {
        let answer = client.request(request);
        async move { answer.await.map_err(Error::from) }
    };
    // The host of the address is only there because HTTP wants one.
    Docker::connect_with_custom_transport(transport, Some("http://docker"), limit, version)
}

/// Connects to the socket, whatever the address says.
#[derive(Clone)]
struct Socket(PathBuf);

impl tower_service::Service<Uri> for Socket {
    type Response = TokioIo<UnixStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let socket = self.0.clone();
        Box::pin(async move { UnixStream::connect(socket).await.map(TokioIo::new) })
    }
}
