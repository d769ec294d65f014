//! A daemon without a reconciler: the real server on a temporary socket, a view that the test sets, and answers that it
//! chooses. And the real binary, run against it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use evenkeel::metrics::Metrics;
use evenkeel::model::command::{Answer, Command, Reply};
use evenkeel::model::observed::ContainerId;
use evenkeel::model::view::View;
use evenkeel::server::socket::Socket;
use evenkeel::server::{self, Envelope, Lines, LogQuery, Logs, Parts};
use futures_util::{StreamExt, stream};
use tokio::sync::{mpsc, watch};

use crate::view::NOW;

/// What a test's daemon answers to a command.
type Answering = Box<dyn Fn(&Command) -> Reply + Send>;

pub struct Daemon {
    pub views: watch::Sender<Arc<View>>,
    pub asked: Arc<Mutex<Vec<Command>>>,
    pub dir: tempfile::TempDir,
}

/// Logs of three lines, one of them hostile.
struct FakeLogs;

impl Logs for FakeLogs {
    fn lines(&self, container: &ContainerId, query: &LogQuery) -> Lines {
        let all = [format!("hello from {container}"), String::new(), "evil \u{1b}[2J\u{9b}5n".to_string()];
        let all = if query.until.is_some() {
            [format!("the run before of {container}"), "its last word".into(), String::new()]
        } else {
            all
        };
        let skip = query.tail.map_or(0, |tail| all.len().saturating_sub(tail as usize));
        let lines = stream::iter(all.into_iter().skip(skip).map(Ok).collect::<Vec<_>>());
        if query.follow { lines.chain(stream::pending()).boxed() } else { lines.boxed() }
    }
}

impl Daemon {
    /// A daemon that shows `view` and refuses every command.
    pub async fn showing(view: View) -> Self {
        Self::answering(view, |_| Err(evenkeel::model::command::Refusal::impossible("not in this test"))).await
    }

    /// A daemon that shows `view` and answers commands.
    pub async fn answering(view: View, answer: impl Fn(&Command) -> Reply + Send + 'static) -> Self {
        Self::answering_in(tempfile::tempdir().unwrap(), view, answer).await
    }

    /// The same with its socket in `dir`.
    pub async fn answering_in(
        dir: tempfile::TempDir,
        view: View,
        answer: impl Fn(&Command) -> Reply + Send + 'static,
    ) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (commands, received) = mpsc::channel(8);
        let (views, parts) = parts(view, Metrics::new());
        tokio::spawn(answer_all(received, asked.clone(), parts.views.clone(), Box::new(answer)));
        let parts = Parts { commands, ..parts };
        let (listener, file) = Socket::claim(&dir.path().join("evenkeel.sock"), None).await.unwrap().into_parts();
        tokio::spawn(async move {
            let _file = file;
            server::serve_socket(listener, parts, std::future::pending()).await
        });
        Self { views, asked, dir }
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("evenkeel.sock")
    }

    /// What the binary says to these words, with its exit code.
    pub async fn says(&self, words: &str) -> String {
        says(words, &self.socket()).await
    }

    /// The same while the test changes the view; the binary is killed after `limit`.
    pub fn start(&self, words: &str) -> tokio::process::Child {
        command(words, &self.socket()).spawn().unwrap()
    }
}

/// What a server needs to show `view`; nobody answers commands.
pub fn parts(view: View, metrics: Metrics) -> (watch::Sender<Arc<View>>, Parts) {
    let (views, seen) = watch::channel(Arc::new(view));
    let parts = Parts {
        views: seen,
        commands: mpsc::channel(1).0,
        logs: Arc::new(FakeLogs),
        metrics: Arc::new(metrics),
        clock: Arc::new(|| NOW),
    };
    (views, parts)
}

async fn answer_all(
    mut received: mpsc::Receiver<Envelope>,
    asked: Arc<Mutex<Vec<Command>>>,
    views: watch::Receiver<Arc<View>>,
    answer: Answering,
) {
    while let Some((command, reply)) = received.recv().await {
        // What it shows is what it has decided last; nobody is asked for more.
        if matches!(command, Command::Look) {
            let view = views.borrow().clone();
            let (sources, pass, started_at) = (view.sources.clone(), view.passes, view.started_at);
            let _ = reply.send(Ok(Answer::Synced { sources, pass, started_at }));
            continue;
        }
        let answered = answer(&command);
        asked.lock().unwrap().push(command);
        let _ = reply.send(answered);
    }
}

fn command(words: &str, socket: &Path) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command
        .args(words.split_whitespace())
        .env("EVENKEEL_SOCKET", socket)
        .env("COLUMNS", "100")
        .env("DOCKER_CONFIG", socket.parent().unwrap())
        .env_remove("EVENKEEL_CONFIG")
        .env_remove("EVENKEEL_STATE_DIR")
        .env_remove("SSL_CERT_FILE")
        .env_remove("SSL_CERT_DIR")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// What the binary says to these words, with its exit code; paths of the test are made the same everywhere.
pub async fn says(words: &str, socket: &Path) -> String {
    says_with(words, socket, None).await
}

/// The same with a variable in its environment.
pub async fn says_with(words: &str, socket: &Path, variable: Option<(&str, String)>) -> String {
    let output = command(words, socket).envs(variable).output().await.unwrap();
    let text = |bytes: Vec<u8>| {
        let dir = socket.parent().unwrap().display().to_string();
        String::from_utf8(bytes).unwrap().replace(&dir, "[dir]")
    };
    let (out, err) = (text(output.stdout), text(output.stderr));
    let err = if err.is_empty() { String::new() } else { format!("--- stderr\n{err}") };
    let words = text(words.as_bytes().to_vec());
    format!("$ evenkeel {words}\n{out}{err}--- exit {}\n", output.status.code().unwrap())
}
