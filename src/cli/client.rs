//! The client's end of the Unix socket: one connection per question. It prints nothing.

use std::io::ErrorKind;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::failure::Failure;
use crate::model::command::Refusal;

/// The longest line that is read: a view of thousands of objects.
const LINE_MAX: usize = 256 * 1024 * 1024;

/// Asks the daemon.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the daemon that listens on `socket`.
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_path_buf() }
    }

    /// What a path says.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.whole(self.send(Method::GET, path, Vec::new()).await?).await
    }

    /// What comes of a command.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(|error| Failure::new(error.to_string()))?;
        self.whole(self.send(Method::POST, path, body).await?).await
    }

    /// The lines of a path that goes on.
    pub async fn lines<T: DeserializeOwned>(&self, path: &str) -> Result<LineReader<T>, Failure> {
        let response = self.send(Method::GET, path, Vec::new()).await?;
        Ok(LineReader { body: response.into_body(), buffer: Vec::new(), item: PhantomData })
    }

    /// A response that is not a refusal.
    async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Response<Incoming>, Failure> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.unreachable(&error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(error))?;
        // Ends with the connection; a broken one shows in the response.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "evenkeel")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Failure::new(format!("cannot ask for {path}: {error}")))?;
        let response = sender.send_request(request).await.map_err(|error| self.broken(error))?;
        if response.status().is_success() { Ok(response) } else { Err(self.refused(response).await) }
    }

    async fn whole<T: DeserializeOwned>(&self, response: Response<Incoming>) -> Result<T, Failure> {
        let bytes = response.into_body().collect().await.map_err(|error| self.broken(error))?.to_bytes();
        understand(&bytes)
    }

    async fn refused(&self, response: Response<Incoming>) -> Failure {
        let status = response.status();
        let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => Failure::new(refusal.message),
            Err(_) => Failure::new(format!("the daemon answers {status}: {}", String::from_utf8_lossy(&body))),
        }
    }

    fn unreachable(&self, error: &std::io::Error) -> Failure {
        let socket = self.socket.display();
        match error.kind() {
            ErrorKind::PermissionDenied => Failure::new(format!("you may not connect to {socket}"))
                .hint("run it as root, or as a member of the group that owns the socket"),
            _ => Failure::new(format!("no daemon answers on {socket}: {error}")).hint(
                "start it with `evenkeel run --source DIR` (or `systemctl start evenkeel`), or name its socket with --socket",
            ),
        }
    }

    fn broken(&self, error: hyper::Error) -> Failure {
        Failure::new(format!("the connection to the daemon on {} broke: {error}", self.socket.display()))
            .hint("look at its log; what was asked may or may not have been done")
    }
}

/// Lines of JSON as they come.
pub struct LineReader<T> {
    body: Incoming,
    buffer: Vec<u8>,
    item: PhantomData<T>,
}

impl<T: DeserializeOwned> LineReader<T> {
    /// The next line; none when the daemon has ended them or is gone. May be dropped while it waits without losing anything.
    pub async fn next(&mut self) -> Result<Option<T>, Failure> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return understand(&line).map(Some);
            }
            if self.buffer.len() > LINE_MAX {
                return Err(Failure::new("the daemon sent a line without an end"));
            }
            match self.body.frame().await {
                None | Some(Err(_)) => return Ok(None),
                Some(Ok(frame)) => self.buffer.extend(frame.into_data().unwrap_or_default()),
            }
        }
    }
}

fn understand<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        Failure::new(format!("the daemon's answer is not understood: {error}"))
            .hint("the daemon and this command are of different versions: compare with `evenkeel version`")
    })
}
