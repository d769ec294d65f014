//! `evenkeel run`: the daemon. It puts the rooms together: the loop, the socket, `/metrics`, and signals.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use futures_util::stream::{self, StreamExt};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::args::SetupArgs;
use super::failure::{Exit, Failure};
use super::heap;
use super::logging::{self, LogFormat};
use super::settings::{self, Settings};
use super::supervisor;
use crate::engine::{Docker, EngineError, LogRange};
use crate::metrics::Metrics;
use crate::model::command::Command;
use crate::model::observed::ContainerId;
use crate::model::view::View;
use crate::reconciler::clock::Clock;
use crate::reconciler::{self, Desk};
use crate::server::socket::{Socket, SocketError};
use crate::server::{self, Envelope, Lines, LogQuery, Logs, Parts};

/// How many commands may wait; each is answered in one pass.
const COMMANDS: usize = 32;

/// How long replies under way may take at the end; a watch would go on for ever.
const LAST_REPLIES: Duration = Duration::from_secs(1);

/// Watch directories of manifests, and keep Docker as they say.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evenkeel run --source /srv/shop
  evenkeel run --source /srv/app=production --source /srv/app-staging=staging
  evenkeel run --config /etc/evenkeel/evenkeel.yaml

SIGTERM and SIGINT stop the daemon and nothing else: containers go on running. SIGHUP makes it look now.")]
pub struct Run {
    #[command(flatten)]
    setup: SetupArgs,
    /// The socket for the command line [default: /run/evenkeel/evenkeel.sock].
    #[arg(long, value_name = "PATH", env = "EVENKEEL_SOCKET", hide_env_values = true)]
    socket: Option<PathBuf>,
    /// The group that may use the socket, by name or number: its members command the daemon [default: the daemon's own].
    #[arg(long, value_name = "GROUP")]
    socket_group: Option<String>,
    /// Where /metrics, /healthz and /readyz are served, or `off` [default: 127.0.0.1:9790].
    #[arg(long, value_name = "ADDRESS")]
    metrics_listen: Option<String>,
    /// How the log is written [default: text].
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
    /// What is logged: error, warn, info, debug or trace, or a filter by module [default: info].
    #[arg(long, value_name = "LEVEL", env = "EVENKEEL_LOG", hide_env_values = true)]
    log_level: Option<String>,
}

impl Run {
    /// Runs until a signal.
    pub async fn run(&self) -> Result<Exit, Failure> {
        let mut settings = Settings::found(&self.setup)?;
        settings.need_source()?;
        let format = self.log_format.or(settings.log_format).unwrap_or(LogFormat::Text);
        logging::start(format, self.log_level.as_deref().or(settings.log_level.as_deref()).unwrap_or("info"))?;
        if let Some(socket) = &self.socket {
            settings.socket.clone_from(socket);
            settings.setup.policy.guarded.push(settings::own_socket(socket));
        }
        if let Some(group) = &self.socket_group {
            settings.socket_group = Some(group.clone());
        }
        if let Some(address) = &self.metrics_listen {
            settings.metrics_listen.clone_from(address);
        }
        for source in &mut settings.setup.sources {
            source.dir = absolute(&source.dir)?;
        }
        daemon(settings).await
    }
}

async fn daemon(settings: Settings) -> Result<Exit, Failure> {
    let socket = Socket::claim(&settings.socket, settings.socket_group.as_deref()).await.map_err(not_claimed)?;
    let scrapes = listen(&settings.metrics_listen).await?;
    let instance = settings.setup.settings.instance.clone();
    let metrics = Arc::new(Metrics::new());
    // Like the loop's, it does not follow a jump of the host's clock: ages and /healthz compare the two.
    let clock = Clock::new();
    let (views, seen) = watch::channel(Arc::new(View::starting(instance.clone(), clock.now())));
    let (commands, received) = mpsc::channel::<Envelope>(COMMANDS);
    // The loop has its own: reading a log never waits for what the loop does.
    let engine = Docker::connect(instance).map_err(|error| Failure::new(error.to_string()))?;
    let parts = Parts {
        views: seen.clone(),
        commands: commands.clone(),
        logs: Arc::new(EngineLogs(Arc::new(engine))),
        metrics: metrics.clone(),
        clock: Arc::new(move || clock.now()),
    };
    let (stop, stopped) = watch::channel(false);
    let told = tokio::spawn(supervisor::tell(seen.clone(), clock));
    let kept_small = tokio::spawn(heap::give_back_at_rest(seen));
    let (listener, file) = socket.into_parts();
    let mut servers = vec![tokio::spawn(server::serve_socket(listener, parts.clone(), ended(stopped.clone())))];
    servers.extend(scrapes.map(|listener| tokio::spawn(server::serve_scrapes(listener, parts, ended(stopped)))));
    let signals = tokio::spawn(obey_signals(commands));
    let desk = Desk { views, commands: received, metrics };
    let result = reconciler::run(settings.setup, desk, settings.receivers).await;
    signals.abort();
    told.abort();
    kept_small.abort();
    supervisor::ending();
    // Nobody listens to it when all servers have ended already.
    let _ = stop.send(true);
    finish(servers).await;
    drop(file);
    result.map(|()| Exit::Done).map_err(|error| Failure::new(error.to_string()))
}

/// Passes signals on: SIGTERM and SIGINT end the loop, SIGHUP makes it look.
async fn obey_signals(commands: mpsc::Sender<Envelope>) -> Result<(), std::io::Error> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    loop {
        let command = tokio::select! {
            _ = terminate.recv() => Command::Shutdown,
            _ = interrupt.recv() => Command::Shutdown,
            _ = hang_up.recv() => Command::Sync,
        };
        let (reply, _) = oneshot::channel();
        if commands.send((command, reply)).await.is_err() {
            return Ok(());
        }
    }
}

/// Ends when `stopped` says so, or when nobody is left to say it.
async fn ended(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Lets replies under way end, for a moment.
async fn finish(servers: Vec<JoinHandle<()>>) {
    for mut server in servers {
        if tokio::time::timeout(LAST_REPLIES, &mut server).await.is_err() {
            server.abort();
        }
    }
}

async fn listen(address: &str) -> Result<Option<TcpListener>, Failure> {
    if address == "off" {
        return Ok(None);
    }
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::new(format!("cannot serve metrics on {address}: {error}"))
            .hint("choose another address with --metrics-listen, or switch it off with --metrics-listen off")
    })?;
    if let Ok(at) = listener.local_addr()
        && !at.ip().to_canonical().is_loopback()
    {
        tracing::warn!(
            "metrics are served on {at}: whoever reaches that address reads the names of all objects, images and sources, without a password; keep it to a trusted network, or use 127.0.0.1 and a proxy"
        );
    }
    Ok(Some(listener))
}

fn not_claimed(error: SocketError) -> Failure {
    let hint = match &error {
        SocketError::InUse(_) => "stop the other daemon, or give this one its own --socket, --state-dir and --instance",
        SocketError::NoGroup(_) => "create it (groupadd --system NAME), or name another one with --socket-group",
        SocketError::NotASocket(_) => "choose another path with --socket",
        SocketError::Refused { .. } => "run it as root, or choose another path with --socket",
    };
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Failure::new(format!("{error}{cause}")).hint(hint)
}

fn absolute(dir: &std::path::Path) -> Result<PathBuf, Failure> {
    std::path::absolute(dir).map_err(|error| Failure::new(format!("{} is not a path: {error}", dir.display())))
}

/// Logs as the engine has them.
struct EngineLogs(Arc<Docker>);

impl Logs for EngineLogs {
    fn lines(&self, container: &ContainerId, query: &LogQuery) -> Lines {
        let (engine, container) = (self.0.clone(), container.clone());
        let LogQuery { follow, tail, since, until } = *query;
        let range = LogRange { follow, tail, since, until };
        let opening = async move {
            match engine.log(&container, range).await {
                Ok(lines) => lines,
                Err(error) => stream::once(async { Err(error) }).boxed(),
            }
        };
        stream::once(opening).flatten().map(|line| line.map_err(|error: EngineError| error.to_string())).boxed()
    }
}
