//! `evenkeel logs`: what the replicas of an object write, each line with its replica's name.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use clap::Args;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Duration, Instant, interval};

use super::args::{Reach, Scope, parse_span};
use super::client::Client;
use super::failure::{Exit, Failure};
use super::object::Wanted;
use super::screen::{Screen, Tone};
use crate::model::name::Kind;
use crate::model::status::ContainerStatus;
use crate::model::text::printable;
use crate::model::time::{Span, Timestamp};
use crate::model::view::View;
use crate::server::wire::{LogLine, Snapshot};

/// Colours that tell replicas apart.
const TONES: [Tone; 3] = [Tone::Good, Tone::Busy, Tone::Strong];

/// How soon to read on where a log has ended and its replica runs.
const AGAIN: Duration = Duration::from_millis(500);

/// How many lines may wait for the screen.
const QUEUE: usize = 1000;

/// Show the logs of an object's replicas.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evenkeel logs deployment/web                     all replicas
  evenkeel logs web -f --tail 20                   go on with new lines, and with new replicas
  evenkeel logs job/migrate
  evenkeel logs web --previous --tail 20           why the replicas were restarted
  evenkeel logs cronjob/backup                     the runs that are kept
  evenkeel logs shop.web.3f9a2c71d0.0 --since 10m  one replica (see `evenkeel get replicas`)")]
pub struct Logs {
    /// KIND/NAME, KIND NAME, the NAME of a Deployment, Job or CronJob, or the name of a replica.
    #[arg(value_name = "KIND/NAME|REPLICA", required = true, num_args = 1..=2)]
    what: Vec<String>,
    #[command(flatten)]
    scope: Scope,
    /// Go on with new lines, until interrupted.
    #[arg(long, short)]
    follow: bool,
    /// What each replica wrote in its runs before the present one; of one that does not run, all that it wrote.
    #[arg(long, short, conflicts_with_all = ["follow", "since"])]
    previous: bool,
    /// Only this many of the last lines of each replica.
    #[arg(long, value_name = "N")]
    tail: Option<u32>,
    /// Only lines of this last span, such as 10m.
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    since: Option<Span>,
    #[command(flatten)]
    reach: Reach,
}

/// The number of a run, and a line that it wrote; none when its lines have ended.
type Written = Result<(usize, Option<String>), Failure>;

impl Logs {
    /// Prints what there is, and with `--follow` goes on.
    pub async fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        let client = Client::new(&self.reach.socket);
        if self.follow {
            return self.go_on(&client, screen).await;
        }
        let snapshot: Snapshot = client.get("/v1/view").await?;
        let replicas = self.replicas(&snapshot.view)?;
        if replicas.is_empty() {
            screen.note("It has no containers; `evenkeel describe` may say why.");
        }
        let width = if replicas.len() > 1 { widest(&replicas) } else { 0 };
        if self.previous {
            return self.before(&client, &replicas, width, screen).await;
        }
        for (number, replica) in replicas.iter().enumerate() {
            let mut lines = client.lines::<LogLine>(&self.path(&replica.id, self.tail, self.since)).await?;
            while let Some(line) = lines.next().await? {
                screen.print(&prefixed(number, &replica.name, width, &text(line)?, screen))?;
            }
        }
        Ok(Exit::Done)
    }

    /// Prints what the replicas wrote in their runs before the present one.
    async fn before(
        &self,
        client: &Client,
        replicas: &[&ContainerStatus],
        width: usize,
        screen: &Screen,
    ) -> Result<Exit, Failure> {
        let mut is_silent = true;
        for (number, replica) in replicas.iter().enumerate() {
            let until = match (replica.state.as_str(), replica.ended_at) {
                // It runs for the first time.
                ("Running", None) => continue,
                // To the end of that millisecond.
                ("Running", Some(end)) => format!("&until={}", end.0 + 1),
                _ => String::new(),
            };
            let mut lines = client.lines::<LogLine>(&(self.path(&replica.id, None, None) + &until)).await?;
            let mut last = VecDeque::new();
            while let Some(line) = lines.next().await? {
                last.push_back(text(line)?);
                // The engine's last lines would be those of the present run.
                if self.tail.is_some_and(|tail| last.len() > tail as usize) {
                    last.pop_front();
                }
            }
            is_silent &= last.is_empty();
            for line in last {
                screen.print(&prefixed(number, &replica.name, width, &line, screen))?;
            }
        }
        if is_silent && !replicas.is_empty() {
            screen.note(
                "Nothing was written before: none of these containers was started twice. What a revision that failed wrote \
                 last, `evenkeel rollout history KIND/NAME --revision N` shows.",
            );
        }
        Ok(Exit::Done)
    }

    /// Reads all replicas at once, and joins new ones as they come.
    #[allow(clippy::disallowed_methods, reason = "how long ago a log ended is no decision")]
    async fn go_on(&self, client: &Client, screen: &Screen) -> Result<Exit, Failure> {
        let mut views = client.lines::<Snapshot>("/v1/view/watch").await?;
        let (sender, mut written) = mpsc::channel::<Written>(QUEUE);
        let mut readers = Readers::default();
        let mut again = interval(AGAIN);
        let mut seen: Option<Snapshot> = None;
        loop {
            tokio::select! {
                snapshot = views.next() => {
                    seen = Some(snapshot?.ok_or_else(|| Failure::new("the daemon has stopped"))?);
                }
                _ = again.tick() => {}
                Some(line) = written.recv() => {
                    let (number, line) = line?;
                    match line {
                        None => readers.end(number),
                        Some(line) => {
                            readers.hear(number);
                            let name = &readers.names[number];
                            screen.print(&prefixed(number, name, readers.width(), &line, screen))?;
                        }
                    }
                    continue;
                }
            }
            let Some(snapshot) = &seen else { continue };
            let replicas = self.replicas(&snapshot.view)?;
            let first = readers.names.is_empty();
            for replica in readers.missing(&replicas) {
                // A replica that comes later is shown from its first line, another run from where the last ended.
                let tail = self.tail.filter(|_| first);
                let since = readers.heard.get(&replica.id).map(|at| Span::millis(at.elapsed().as_millis() as u64));
                let path = self.path(&replica.id, tail, since.or(self.since));
                let reading = read(client.clone(), path, readers.names.len(), sender.clone());
                readers.begin(replica, tokio::spawn(reading).abort_handle());
            }
            if readers.open.is_empty() && self.is_over(&snapshot.view)? {
                return Ok(Exit::Done);
            }
        }
    }

    /// The containers that are meant, those that never started left out.
    fn replicas<'a>(&self, view: &'a View) -> Result<Vec<&'a ContainerStatus>, Failure> {
        let all = || view.objects.values().flat_map(|object| &object.status.containers);
        if let [name] = &self.what[..]
            && let Some(replica) = all().find(|replica| replica.name == *name)
        {
            return Ok(vec![replica]);
        }
        if let [name] = &self.what[..]
            && name.contains('.')
        {
            // No object has a dot in its name, and every replica has.
            return Err(Failure::new(format!("there is no replica '{name}' (any more)"))
                .hint("`evenkeel get replicas` lists those that are there"));
        }
        let wanted = Wanted::parse(&self.what, self.scope.namespace.as_ref())?;
        let (_, object) = wanted.find(view, &Kind::WORKLOADS)?;
        Ok(object.status.containers.iter().filter(|replica| replica.state != "Created").collect())
    }

    /// Whether nothing more will be written: a Job that has ended, or a replica by its name that has.
    fn is_over(&self, view: &View) -> Result<bool, Failure> {
        if let [name] = &self.what[..]
            && name.contains('.')
        {
            return Ok(self.replicas(view)?.iter().all(|replica| replica.state != "Running"));
        }
        let (key, object) = Wanted::parse(&self.what, self.scope.namespace.as_ref())?.find(view, &Kind::WORKLOADS)?;
        Ok(key.kind == Kind::Job && matches!(object.status.phase.as_str(), "Complete" | "Failed" | "Unknown"))
    }

    fn path(&self, id: &str, tail: Option<u32>, since: Option<Span>) -> String {
        let mut path = format!("/v1/logs?container={id}&follow={}", self.follow);
        if let Some(tail) = tail {
            path.push_str(&format!("&tail={tail}"));
        }
        if let Some(since) = since {
            path.push_str(&format!("&ago={}", since.0));
        }
        path
    }
}

/// The replicas that are read: the log of a run ends with it, and the next run goes on in the same log.
#[derive(Default)]
struct Readers {
    /// The replica of each reader, by its number.
    names: Vec<String>,
    ids: Vec<String>,
    /// Replicas that are being read, since when each runs, and how to end that.
    open: BTreeMap<String, (Option<Timestamp>, AbortHandle)>,
    /// When a replica was last heard, or its log ended.
    heard: BTreeMap<String, Instant>,
}

#[allow(clippy::disallowed_methods, reason = "when a log was read is no decision")]
impl Readers {
    /// Those that nobody reads: never yet, or not since they run again. An engine may leave the reader of a run waiting
    /// that is over.
    fn missing<'a>(&self, replicas: &[&'a ContainerStatus]) -> Vec<&'a ContainerStatus> {
        let is_missing = |replica: &&&ContainerStatus| {
            let runs = replica.state == "Running";
            match self.open.get(&replica.id) {
                Some((since, _)) => runs && *since != replica.since,
                None => runs || !self.heard.contains_key(&replica.id),
            }
        };
        replicas.iter().filter(is_missing).copied().collect()
    }

    fn begin(&mut self, replica: &ContainerStatus, reader: AbortHandle) {
        if let Some((_, stale)) = self.open.insert(replica.id.clone(), (replica.since, reader)) {
            stale.abort();
        }
        self.heard.entry(replica.id.clone()).or_insert_with(Instant::now);
        self.ids.push(replica.id.clone());
        self.names.push(replica.name.clone());
    }

    fn hear(&mut self, number: usize) {
        self.heard.insert(self.ids[number].clone(), Instant::now());
    }

    fn end(&mut self, number: usize) {
        self.open.remove(&self.ids[number]);
        self.hear(number);
    }

    fn width(&self) -> usize {
        let distinct: BTreeSet<&String> = self.names.iter().collect();
        let widest = distinct.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        if distinct.len() > 1 { widest } else { 0 }
    }
}

/// Reads the lines of one run until they end.
async fn read(client: Client, path: String, number: usize, sender: mpsc::Sender<Written>) {
    let reading = async {
        let mut lines = client.lines::<LogLine>(&path).await?;
        while let Some(line) = lines.next().await? {
            if sender.send(Ok((number, Some(text(line)?)))).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    };
    // The screen is gone already if this cannot be sent.
    let _ = sender.send(reading.await.map(|()| (number, None))).await;
}

fn text(line: LogLine) -> Result<String, Failure> {
    match line {
        LogLine::Line(text) => Ok(text),
        LogLine::Error(message) => Err(Failure::new(message)),
    }
}

fn widest(replicas: &[&ContainerStatus]) -> usize {
    replicas.iter().map(|replica| replica.name.chars().count()).max().unwrap_or(0)
}

fn prefixed(number: usize, name: &str, width: usize, line: &str, screen: &Screen) -> String {
    // An empty line is a line too.
    let line = format!("{}\n", printable(line));
    if width == 0 {
        return line;
    }
    let name = screen.out.paint(TONES[number % TONES.len()], &format!("{:<width$}", printable(name)));
    format!("{name} | {line}")
}
