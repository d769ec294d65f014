//! `evenkeel log`: the release log, oldest first.

use clap::Args;
use serde_json::Value;

use super::age;
use super::args::{Machine, Reach, Scope, parse_span};
use super::client::Client;
use super::failure::{Exit, Failure};
use super::object::Wanted;
use super::output;
use super::screen::{Screen, Tone};
use super::table::{Table, cell, toned};
use crate::model::command::Answer;
use crate::model::name::Kind;
use crate::model::registry::in_short;
use crate::model::release::{Release, Step};
use crate::model::time::{Span, Timestamp};
use crate::server::wire::Snapshot;

/// Show the release log: what was rolled out, taken back and asked for, and by whom.
///
/// What Jobs came to is in it too, images that could not be built, and manifests that nothing was applied from.
/// It outlives the daemon and is longer than `events`. The lines of a container are shown by `logs`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evenkeel log                          everything that is kept, oldest first
  evenkeel log deployment/web           that of one object
  evenkeel log -n shop --since 7d       that of a namespace in the last week
  evenkeel log -o json                  for machines")]
pub struct Log {
    /// KIND/NAME or KIND NAME [default: every object].
    #[arg(value_name = "KIND/NAME", num_args = 0..=2)]
    what: Vec<String>,
    #[command(flatten)]
    scope: Scope,
    /// Only what is not older: 30m, 24h, 7d.
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    since: Option<Span>,
    /// Another format than a table.
    #[arg(long, short)]
    output: Option<Machine>,
    #[command(flatten)]
    reach: Reach,
}

impl Log {
    /// Asks and prints.
    pub async fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        let wanted = match self.what[..] {
            [] => None,
            _ => Some(Wanted::parse(&self.what, self.scope.namespace.as_ref())?),
        };
        let client = Client::new(&self.reach.socket);
        let Answer::Releases { now, releases } = client.get("/v1/releases").await? else {
            return Err(Failure::new("the daemon answered something else than its release log"));
        };
        if let Some(wanted) = &wanted
            && !releases.iter().any(|release| release.object.key().is_some_and(|key| wanted.is(key)))
        {
            // Nothing of it: is there such an object at all?
            let snapshot: Snapshot = client.get("/v1/view").await?;
            wanted.find(&snapshot.view, &Kind::ALL)?;
        }
        let chosen = releases.iter().filter(|release| self.is_chosen(wanted.as_ref(), release, now));
        match self.output {
            Some(format) => screen.print(&output::render(&output::list(chosen.map(value).collect()), format))?,
            None => {
                let table = table(chosen, now);
                match table.is_empty() {
                    true => screen.note("Nothing in the release log."),
                    false => screen.print(&table.render(screen.out))?,
                }
            }
        }
        Ok(Exit::Done)
    }

    fn is_chosen(&self, wanted: Option<&Wanted>, release: &Release, now: Timestamp) -> bool {
        let is_meant = match wanted {
            Some(wanted) => release.object.key().is_some_and(|key| wanted.is(key)),
            // What a source holds back may be of any namespace, unless it has one.
            None => match (&self.scope.namespace, release.object.namespace()) {
                (Some(wanted), Some(own)) => wanted == own,
                (None, _) | (_, None) => true,
            },
        };
        is_meant && self.since.is_none_or(|since| release.at >= now - since)
    }
}

fn table<'a>(releases: impl Iterator<Item = &'a Release>, now: Timestamp) -> Table {
    let mut table = Table::new(vec!["AGE", "OBJECT", "RESULT", "BY", "REVISION", "IMAGE", "REASON"]);
    for release in releases {
        let of = release.revision.as_ref();
        table.row(vec![
            cell(age::since(release.at, now)),
            cell(release.object.to_string()),
            toned(format!("{:?}", release.step), tone(release.step)),
            cell(&release.by),
            cell(of.filter(|_| release.step.is_of_a_rollout()).map(|of| of.number.to_string()).unwrap_or_default()),
            cell(of.map(|revision| in_short(&revision.image)).unwrap_or_default()),
            cell(reason(release)),
        ]);
    }
    table
}

/// Why, and what runs instead.
fn reason(release: &Release) -> String {
    match &release.back_to {
        Some(back) if release.reason.is_empty() => format!("to revision {} ({})", back.number, in_short(&back.image)),
        Some(back) => format!("{}; to revision {} ({})", release.reason, back.number, in_short(&back.image)),
        None => release.reason.clone(),
    }
}

fn tone(step: Step) -> Tone {
    match step {
        Step::RolloutComplete | Step::JobComplete | Step::SourceValid => Tone::Good,
        Step::RolloutStarted | Step::JobStarted => Tone::Busy,
        Step::Superseded => Tone::Dim,
        Step::RollbackStarted
        | Step::RolledBack
        | Step::RolloutFailed
        | Step::Stalled
        | Step::JobFailed
        | Step::JobUnknown
        | Step::BuildFailed
        | Step::SourceInvalid
        | Step::NotDone => Tone::Bad,
        Step::Paused
        | Step::Resumed
        | Step::RestartRequested
        | Step::UndoRequested
        | Step::RetryRequested
        | Step::RunRequested
        | Step::ImageSet
        | Step::RemovalConfirmed => Tone::Plain,
    }
}

/// An entry for machines.
fn value(release: &Release) -> Value {
    let mut value = serde_json::json!(release);
    output::times(&mut value);
    value
}
