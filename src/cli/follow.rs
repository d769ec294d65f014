//! Waiting with a person watching: a line for every change of what is waited for, and the exit code at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::{sleep, timeout};

use super::args::Machine;
use super::client::{Client, LineReader};
use super::failure::{Exit, Failure};
use super::output;
use super::screen::{Screen, lines};
use super::standing::{self, Standing};
use crate::model::name::Key;
use crate::model::text::listed;
use crate::model::time::Span;
use crate::model::view::{ObjectView, View};
use crate::server::wire::Snapshot;

/// The shortest time between two looks at the screen: what comes and goes within it helps nobody.
const CALM: Duration = Duration::from_millis(500);
/// How long a daemon that has stopped may take to come back: a restart by a person, or by systemd.
const ABSENCE: Duration = Duration::from_secs(60);
/// Where the views are.
const VIEWS: &str = "/v1/view/watch";
/// How many unfinished things are named.
const NAMED: usize = 10;

/// How far it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// A sentence for each thing that is waited for, by its name.
    pub sentences: BTreeMap<String, String>,
    /// The things among them that are on their way.
    pub unfinished: BTreeSet<String>,
    /// The things among them that have failed.
    pub failed: BTreeSet<String>,
    /// Whether the newest manifests cannot be read, because something else is changing them.
    pub held: bool,
    /// How the command exits; none while it goes on.
    pub exit: Option<Exit>,
}

/// Where a waiting command speaks: a line for every change, and for machines the result at the end.
pub struct Report<'a> {
    screen: &'a Screen,
    format: Option<Machine>,
    /// What was said of each thing, by its name.
    told: BTreeMap<String, String>,
    /// What was last on its way.
    unfinished: BTreeSet<String>,
    /// What had failed then.
    failed: BTreeSet<String>,
    /// Whether something else was changing the manifests then.
    pub held: bool,
    /// What else the result has.
    pub result: Map<String, Value>,
}

impl<'a> Report<'a> {
    /// A report for people, or with a format for machines.
    pub fn new(screen: &'a Screen, format: Option<Machine>) -> Self {
        Self {
            screen,
            format,
            told: BTreeMap::new(),
            unfinished: BTreeSet::new(),
            failed: BTreeSet::new(),
            held: false,
            result: Map::new(),
        }
    }

    /// Says something on the way. Standard output is the result's where a machine reads it.
    pub fn say(&self, sentence: &str) -> Result<(), Failure> {
        match self.format {
            None => self.screen.print(&lines(sentence)),
            Some(_) => {
                self.screen.note(&lines(sentence));
                Ok(())
            }
        }
    }

    /// Says what has changed.
    pub fn tell(&mut self, sentences: BTreeMap<String, String>) -> Result<(), Failure> {
        for (_, sentence) in sentences.iter().filter(|(name, sentence)| self.told.get(*name) != Some(*sentence)) {
            self.say(sentence)?;
        }
        self.told = sentences;
        Ok(())
    }

    /// Says how far it is.
    fn progress(&mut self, progress: Progress) -> Result<(), Failure> {
        (self.unfinished, self.failed, self.held) = (progress.unfinished, progress.failed, progress.held);
        self.tell(progress.sentences)
    }

    /// Prints the result for machines; a person has read it already, save for what was not finished in time.
    pub fn conclude(mut self, exit: Exit) -> Result<Exit, Failure> {
        // However long somebody is ready to wait for it, it is the same trouble.
        let exit = if exit == Exit::TimedOut && self.held { Exit::Held } else { exit };
        if exit == Exit::TimedOut && !self.unfinished.is_empty() {
            self.screen.note(&format!("not finished: {}", listed(self.unfinished.iter(), NAMED)));
            self.result.insert("unfinished".into(), json!(self.unfinished));
            if !self.failed.is_empty() {
                self.screen.note(&format!("failed: {}", listed(self.failed.iter(), NAMED)));
                self.result.insert("failed".into(), json!(self.failed));
            }
        }
        if let Some(format) = self.format {
            self.result.insert("result".into(), exit.word().into());
            self.result.insert("objects".into(), json!(self.told));
            self.screen.print(&output::render(&Value::Object(self.result), format))?;
        }
        Ok(exit)
    }
}

/// Follows the views until `judge` says that it is over. A daemon that is restarted meanwhile goes on with its work, and
/// the wait with it.
pub async fn views(
    client: &Client,
    report: &mut Report<'_>,
    mut judge: impl FnMut(&Snapshot) -> Result<Progress, Failure>,
) -> Result<Exit, Failure> {
    let mut views = client.lines::<Snapshot>(VIEWS).await?;
    let mut is_fresh = false;
    loop {
        // Before its first pass a daemon knows of nothing, and everything would seem to be gone.
        let seen = |snapshot: &Snapshot| match is_fresh && snapshot.view.passes == 0 {
            true => Ok(unless_blind(&snapshot.view, Progress::default())),
            false => judge(snapshot),
        };
        if let Some(exit) = until_gone(&mut views, report, seen).await? {
            return Ok(exit);
        }
        report.say("the daemon has stopped: waiting for it to be started again")?;
        views = returned(client).await?;
        is_fresh = true;
        report.say("the daemon is back")?;
    }
}

/// The views of a daemon that has stopped, once another has taken its place.
async fn returned(client: &Client) -> Result<LineReader<Snapshot>, Failure> {
    let coming = async {
        loop {
            match client.lines::<Snapshot>(VIEWS).await {
                Ok(views) => return views,
                Err(_) => sleep(CALM).await,
            }
        }
    };
    timeout(ABSENCE, coming).await.map_err(|_| {
        Failure::new(format!("the daemon has stopped, and has not come back for {} s", ABSENCE.as_secs()))
            .hint("what it was doing goes on when it is started again")
    })
}

/// Follows the views until `judge` says that it is over; none if they end before.
async fn until_gone(
    views: &mut LineReader<Snapshot>,
    report: &mut Report<'_>,
    mut judge: impl FnMut(&Snapshot) -> Result<Progress, Failure>,
) -> Result<Option<Exit>, Failure> {
    let mut unsaid: Option<Progress> = None;
    let mut calm = pin!(sleep(Duration::ZERO));
    loop {
        tokio::select! {
            snapshot = views.next() => {
                let Some(snapshot) = snapshot? else { break };
                let progress = judge(&snapshot)?;
                if let Some(exit) = progress.exit {
                    report.progress(progress)?;
                    return Ok(Some(exit));
                }
                unsaid = Some(progress);
            }
            () = &mut calm, if unsaid.is_some() => {
                report.progress(unsaid.take().unwrap_or_default())?;
                calm.set(sleep(CALM));
            }
        }
    }
    if let Some(progress) = unsaid {
        report.progress(progress)?;
    }
    Ok(None)
}

/// While the engine does not answer, nothing is known to have come about: how things stood before ends no wait.
pub fn unless_blind(view: &View, mut progress: Progress) -> Progress {
    let engine = &view.engine;
    if !engine.connected {
        let sentence = match engine.message.as_str() {
            "" => "the engine has not answered yet".into(),
            message => format!("the engine does not answer: {message}"),
        };
        progress.sentences.insert("engine".into(), sentence);
        progress.exit = None;
    }
    if let Some(trouble) = view.warnings.first() {
        progress.sentences.insert("evenkeel".into(), trouble.message.clone());
    }
    progress
}

/// Ends `waiting` after `limit`; what the daemon does goes on.
pub async fn within(
    limit: Option<Span>,
    screen: &Screen,
    waiting: impl Future<Output = Result<Exit, Failure>>,
) -> Result<Exit, Failure> {
    let Some(limit) = limit else { return waiting.await };
    match timeout(limit.std(), waiting).await {
        Ok(end) => end,
        Err(_) => {
            screen.note(&format!("timed out after {limit}; the daemon goes on with it"));
            Ok(Exit::TimedOut)
        }
    }
}

/// The progress of several objects together. It is over when each has arrived or failed: what waits for something that has
/// failed counts as failed itself, and what waits for anything else still comes to its own end.
pub fn progress<'a>(objects: impl Iterator<Item = (&'a Key, &'a ObjectView)>) -> Progress {
    let mut progress = Progress::default();
    let mut worst = Exit::Done;
    for (key, object) in objects {
        let standing = standing::of(key, object);
        match standing {
            Standing::RolledBack(_) if worst == Exit::Done => worst = Exit::RolledBack,
            Standing::Stalled(_) => worst = Exit::Stalled,
            Standing::RolledBack(_) | Standing::Moving(_) | Standing::Done(_) => {}
        }
        match standing {
            Standing::Moving(_) => drop(progress.unfinished.insert(key.to_string())),
            Standing::RolledBack(_) | Standing::Stalled(_) => drop(progress.failed.insert(key.to_string())),
            Standing::Done(_) => {}
        }
        progress.sentences.insert(key.to_string(), standing.text().into());
    }
    progress.exit = progress.unfinished.is_empty().then_some(worst);
    progress
}
