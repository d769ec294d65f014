//! The daemon's Unix socket, from both ends: an input is what a client sends, byte for byte, and also what a client
//! might be answered.

use std::cell::RefCell;
use std::sync::Arc;

use evenkeel::metrics::Metrics;
use evenkeel::model::command::{Answer, Refusal};
use evenkeel::model::name::{DEFAULT_INSTANCE, Name};
use evenkeel::model::observed::ContainerId;
use evenkeel::model::time::Timestamp;
use evenkeel::model::view::View;
use evenkeel::server::wire::{Events, LogLine, Snapshot};
use evenkeel::server::{Lines, LogQuery, Logs, Parts, serve_socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Duration, timeout};

/// Sends the input to a daemon, and reads it as each sort of answer.
pub fn try_input(bytes: &[u8]) {
    RUNTIME.with_borrow(|runtime| runtime.block_on(send(bytes)));
    read_as::<Snapshot>(bytes);
    read_as::<Events>(bytes);
    read_as::<LogLine>(bytes);
    read_as::<Answer>(bytes);
    read_as::<Refusal>(bytes);
}

/// What is understood can be written and is understood again as the same.
fn read_as<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq>(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(bytes) else { return };
    let text = serde_json::to_vec(&value).unwrap();
    assert!(serde_json::from_slice::<T>(&text).is_ok_and(|again| again == value), "it reads otherwise");
}

thread_local! {
    /// One runtime for all inputs, in virtual time: a watch that never ends is given up at once.
    static RUNTIME: RefCell<Runtime> = RefCell::new(
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap(),
    );
}

/// A daemon without containers has no logs.
struct NoLogs;

impl Logs for NoLogs {
    fn lines(&self, _: &ContainerId, _: &LogQuery) -> Lines {
        Box::pin(futures_util::stream::empty())
    }
}

async fn send(bytes: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("evenkeel.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let (commands, mut asked) = mpsc::channel::<evenkeel::server::Envelope>(8);
    let view = View { passes: 1, ..View::starting(Name::new(DEFAULT_INSTANCE).unwrap(), Timestamp(0)) };
    let (_views, watched) = watch::channel(Arc::new(view));
    let clock = Arc::new(|| Timestamp(1));
    let parts = Parts { views: watched, commands, logs: Arc::new(NoLogs), metrics: Arc::new(Metrics::new()), clock };
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(serve_socket(listener, parts, async move { drop(stopped.await) }));
    let obeying = tokio::spawn(async move {
        while let Some((_, reply)) = asked.recv().await {
            let _ = reply.send(Ok(Answer::Done { message: "done".into() }));
        }
    });
    talk(&socket, bytes).await;
    drop(stop);
    serving.abort();
    assert!(!serving.await.is_err_and(|error| error.is_panic()), "the server panicked");
    obeying.abort();
}

/// Says it, and listens until nothing more comes.
async fn talk(socket: &std::path::Path, bytes: &[u8]) {
    let Ok(mut stream) = UnixStream::connect(socket).await else { return };
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let said = async {
        // A daemon may hang up on nonsense before it has heard all of it, and need not listen to what is too long.
        let _ = writer.write_all(bytes).await;
        let _ = writer.shutdown().await;
    };
    let heard = reader.read_to_end(&mut answer);
    let _ = timeout(Duration::from_secs(90), async { tokio::join!(said, heard) }).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "an answer that is no HTTP");
}
