//! `evenkeel run-now`: a run of a CronJob outside of its schedule, and with `--wait` how it ended.

use clap::Args;

use super::age;
use super::args::{Machine, Reach, Scope, parse_span};
use super::client::Client;
use super::failure::{Exit, Failure};
use super::follow::{self, Progress, Report};
use super::object::Wanted;
use super::screen::{Screen, lines};
use crate::model::action::Request;
use crate::model::command::Answer;
use crate::model::name::{Key, Kind};
use crate::model::text::last_word;
use crate::model::time::{Span, Timestamp};
use crate::model::view::{Detail, RunView, RunWord, View};
use crate::server::wire::{RequestBody, Snapshot};

/// Run a CronJob now, outside of its schedule.
///
/// Refused while another run is under way, unless its concurrencyPolicy says otherwise. With --wait it exits 0 when the run
/// ended well, 3 when it failed, 4 when it is not over in time.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evenkeel run-now cronjob/backup
  evenkeel run-now backup -n shop --wait --timeout 30m     before a migration")]
pub struct RunNow {
    /// KIND/NAME, KIND NAME, or the NAME of a CronJob.
    #[arg(value_name = "KIND/NAME", required = true, num_args = 1..=2)]
    what: Vec<String>,
    #[command(flatten)]
    scope: Scope,
    /// Wait for its end.
    #[arg(long)]
    wait: bool,
    /// How long to wait [default: until it is over].
    #[arg(long, value_name = "SPAN", value_parser = parse_span, requires = "wait")]
    timeout: Option<Span>,
    /// The result for machines, at the end; what happens on the way goes to standard error.
    #[arg(long, short, requires = "wait")]
    output: Option<Machine>,
    #[command(flatten)]
    reach: Reach,
}

impl RunNow {
    /// Asks for the run, and with `--wait` follows it.
    pub async fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        let client = Client::new(&self.reach.socket);
        let snapshot: Snapshot = client.get("/v1/view").await?;
        let wanted = Wanted::parse(&self.what, self.scope.namespace.as_ref())?;
        let key = wanted.find(&snapshot.view, &[Kind::CronJob])?.0.clone();
        let body = RequestBody { key: key.clone(), request: Request::RunNow };
        let answer: Answer = client.post("/v1/request", &body).await?;
        let Answer::Done { message } = answer else { return Ok(Exit::Done) };
        if !self.wait {
            screen.print(&lines(&message))?;
            return Ok(Exit::Done);
        }
        let mut report = Report::new(screen, self.output);
        report.tell([(key.to_string(), message)].into())?;
        let asked_at = snapshot.now;
        let waiting = follow::views(&client, &mut report, |snapshot| judge(&snapshot.view, &key, asked_at));
        let exit = follow::within(self.timeout, screen, waiting).await?;
        report.conclude(exit)
    }
}

/// How far the run is that was asked for at `asked_at`, by the daemon's clock.
fn judge(view: &View, key: &Key, asked_at: Timestamp) -> Result<Progress, Failure> {
    let Some(object) = view.objects.get(key) else { return Err(Failure::new(format!("{key} is gone"))) };
    let Detail::CronJob { runs, .. } = &object.detail else { return Ok(Progress::default()) };
    let run = runs.iter().find(|run| run.by_hand && run.scheduled_at >= asked_at);
    let (sentence, exit) = match run {
        Some(run) => (sentence(run, &object.status.waiting), exit(run)),
        None => ("it has not begun".into(), None),
    };
    let sentences = [(key.to_string(), format!("{key}: {sentence}"))].into();
    Ok(follow::unless_blind(view, Progress { sentences, exit, ..Progress::default() }))
}

fn sentence(run: &RunView, waiting: &[String]) -> String {
    let id = &run.id;
    match run.result {
        RunWord::Waiting => match waiting.first() {
            Some(first) => format!("run {id} waits for {first}"),
            None => format!("run {id} begins"),
        },
        RunWord::Running => format!("run {id} is under way"),
        RunWord::Retrying => {
            let why = if run.reason.is_empty() { String::new() } else { format!(" ({})", run.reason) };
            format!("run {id} failed at its attempt {}{why} and is tried again", run.attempt.saturating_add(1))
        }
        RunWord::Succeeded => {
            let took = run.started_at.zip(run.finished_at).map(|(start, end)| age::span(end.since(start)));
            format!("run {id} ended well after {}", took.unwrap_or_default())
        }
        RunWord::Replaced => format!("run {id} was stopped: {}", run.reason),
        RunWord::Failed | RunWord::Unknown => {
            let last = last_word(&run.last_log).map(|line| format!("; its log ends with: {line}")).unwrap_or_default();
            format!("run {id} failed: {}{last}", run.reason)
        }
    }
}

fn exit(run: &RunView) -> Option<Exit> {
    match run.result {
        RunWord::Waiting | RunWord::Running | RunWord::Retrying => None,
        RunWord::Succeeded => Some(Exit::Done),
        RunWord::Failed | RunWord::Replaced | RunWord::Unknown => Some(Exit::Stalled),
    }
}
