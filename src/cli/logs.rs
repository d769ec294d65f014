//! `evenkeel logs`: what the replicas of an object write, each line with its replica's name.

use std::collections::BTreeSet;

use clap::Args;
use tokio::sync::mpsc;

use super::args::{Reach, Scope, parse_span};
use super::client::Client;
use super::failure::{Exit, Failure};
use super::object::Wanted;
use super::screen::{Screen, Tone};
use crate::model::name::Kind;
use crate::model::status::ContainerStatus;
use crate::model::text::printable;
use crate::model::time::Span;
use crate::model::view::View;
use crate::server::wire::{LogLine, Snapshot};

/// Colours that tell replicas apart.
const TONES: [Tone; 3] = [Tone::Good, Tone::Busy, Tone::Strong];

/// How many lines may wait for the screen.
const QUEUE: usize = 1000;

/// Show the logs of an object's replicas.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evenkeel logs deployment/web                     all replicas
  evenkeel logs web -f --tail 20                   go on with new lines, and with new replicas
  evenkeel logs job/migrate
  evenkeel logs shop.web.3f9a2c71d0.0 --since 10m  one replica (see `evenkeel get replicas`)")]
pub struct Logs {
    /// KIND/NAME, KIND NAME, the NAME of a Deployment or Job, or the name of a replica.
    #[arg(value_name = "KIND/NAME|REPLICA", required = true, num_args = 1..=2)]
    what: Vec<String>,
    #[command(flatten)]
    scope: Scope,
    /// Go on with new lines, until interrupted.
    #[arg(long, short)]
    follow: bool,
    /// Only this many of the last lines of each replica.
    #[arg(long, value_name = "N")]
    tail: Option<u32>,
    /// Only lines of this last span, such as 10m.
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    since: Option<Span>,
    #[command(flatten)]
    reach: Reach,
}

/// A line, and the number of the replica that wrote it.
type Written = Result<(usize, String), Failure>;

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
        for (number, replica) in replicas.iter().enumerate() {
            let mut lines = client.lines::<LogLine>(&self.path(&replica.id, self.tail)).await?;
            while let Some(line) = lines.next().await? {
                screen.print(&prefixed(number, &replica.name, width, &text(line)?, screen))?;
            }
        }
        Ok(Exit::Done)
    }

    /// Reads all replicas at once, and joins new ones as they come.
    async fn go_on(&self, client: &Client, screen: &Screen) -> Result<Exit, Failure> {
        let mut views = client.lines::<Snapshot>("/v1/view/watch").await?;
        let (sender, mut written) = mpsc::channel::<Written>(QUEUE);
        let mut known: BTreeSet<String> = BTreeSet::new();
        let mut names: Vec<String> = Vec::new();
        loop {
            tokio::select! {
                snapshot = views.next() => {
                    let Some(snapshot) = snapshot? else { return Err(Failure::new("the daemon has stopped")) };
                    let first = names.is_empty();
                    for replica in self.replicas(&snapshot.view)? {
                        if known.insert(replica.id.clone()) {
                            // A replica that comes later is shown from its first line.
                            let tail = if first { self.tail } else { None };
                            tokio::spawn(read(client.clone(), self.path(&replica.id, tail), names.len(), sender.clone()));
                            names.push(replica.name.clone());
                        }
                    }
                }
                Some(line) = written.recv() => {
                    let (number, line) = line?;
                    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
                    screen.print(&prefixed(number, &names[number], width, &line, screen))?;
                }
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
        let (_, object) = wanted.find(view, &[Kind::Deployment, Kind::Job])?;
        Ok(object.status.containers.iter().filter(|replica| replica.state != "Created").collect())
    }

    fn path(&self, id: &str, tail: Option<u32>) -> String {
        let mut path = format!("/v1/logs?container={id}&follow={}", self.follow);
        if let Some(tail) = tail {
            path.push_str(&format!("&tail={tail}"));
        }
        if let Some(since) = self.since {
            path.push_str(&format!("&ago={}", since.0));
        }
        path
    }
}

/// Reads one replica's lines until they end.
async fn read(client: Client, path: String, number: usize, sender: mpsc::Sender<Written>) {
    let reading = async {
        let mut lines = client.lines::<LogLine>(&path).await?;
        while let Some(line) = lines.next().await? {
            if sender.send(Ok((number, text(line)?))).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    };
    if let Err(failure) = reading.await {
        // The screen is gone already if this cannot be sent.
        let _ = sender.send(Err(failure)).await;
    }
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
