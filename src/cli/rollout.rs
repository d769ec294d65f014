//! `evenkeel rollout`: watch, steer and take back the updates of a Deployment.

use clap::{Args, Subcommand};
use serde_json::json;

use super::apply;
use super::args::{Machine, Reach, Scope, parse_span};
use super::client::Client;
use super::difference;
use super::failure::{Exit, Failure};
use super::follow::{self, Progress, Report};
use super::object::Wanted;
use super::output;
use super::past::{job_table, revision_table};
use super::screen::{Screen, lines};
use super::sheet;
use super::standing;
use crate::model::action::Request;
use crate::model::command::Answer;
use crate::model::name::{Key, Kind};
use crate::model::time::{Span, Timestamp};
use crate::model::view::{Detail, ObjectView, RevisionView, SourcePhase, View};
use crate::server::wire::{RequestBody, Snapshot};

/// Watch, steer and take back updates.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evenkeel rollout status deployment/web          wait until it is over
  evenkeel rollout history web
  evenkeel rollout history web --revision 4       with its gates and what they said
  evenkeel rollout history web --diff 3 4         what differs between the two
  evenkeel rollout undo web                       back to what completed before
  evenkeel rollout undo web --to 4
  evenkeel rollout restart web                    replace all replicas, one step at a time")]
pub struct Rollout {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, Subcommand)]
enum Step {
    /// Say how a rollout stands, and wait for its end.
    ///
    /// Exits 0 when it is done, 2 when it was rolled back, 3 when it is stalled or paused half-way, 4 when it is not over in
    /// time, 5 when its newest manifests are invalid, 6 while git is changing them.
    Status(Status),
    /// List the revisions of a Deployment or Job.
    History(History),
    /// Go back to an earlier revision, until the manifest's template changes.
    Undo(Undo),
    /// Replace all replicas, one step at a time.
    Restart(Target),
    /// Stop changing it: what runs stays.
    Pause(Target),
    /// Go on after a pause.
    Resume(Target),
    /// Try a rejected revision or a failed Job again.
    Retry(Target),
}

/// The object that is meant.
#[derive(Debug, Args)]
struct Target {
    /// KIND/NAME, KIND NAME, or the NAME of a Deployment or Job.
    #[arg(value_name = "KIND/NAME", required = true, num_args = 1..=2)]
    what: Vec<String>,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Args)]
struct Status {
    #[command(flatten)]
    target: Target,
    /// Wait for the end; --wait=false says how it stands and exits 4 when it is not over.
    #[arg(long, num_args = 0..=1, default_value_t = true, default_missing_value = "true", require_equals = true)]
    #[arg(action = clap::ArgAction::Set)]
    wait: bool,
    /// How long to wait [default: until it is over].
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    timeout: Option<Span>,
    /// The result for machines, at the end; what happens on the way goes to standard error.
    #[arg(long, short)]
    output: Option<Machine>,
}

#[derive(Debug, Args)]
struct History {
    #[command(flatten)]
    target: Target,
    /// All about one revision: its gates too, with what they said.
    #[arg(long, value_name = "NUMBER")]
    revision: Option<u64>,
    /// What differs between two revisions, old -> new: image, digest, commit, every field of the template by its path in
    /// the manifest, and which ConfigMaps and Secrets (never their values). An option, as --revision is: a word in its
    /// place would name an object.
    #[arg(long, num_args = 2, value_names = ["A", "B"], action = clap::ArgAction::Set, conflicts_with = "revision")]
    diff: Vec<u64>,
    /// Another format than a table.
    #[arg(long, short)]
    output: Option<Machine>,
}

#[derive(Debug, Args)]
struct Undo {
    #[command(flatten)]
    target: Target,
    /// The number of the revision to go back to [default: the newest completed one before the present].
    #[arg(long, value_name = "NUMBER", alias = "to-revision")]
    to: Option<u64>,
}

impl Rollout {
    /// Does what the subcommand says.
    pub async fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        match &self.step {
            Step::Status(status) => status.run(screen).await,
            Step::History(history) => history.run(screen).await,
            Step::Undo(undo) => undo.target.request(Request::Undo { to: undo.to }, screen).await,
            Step::Restart(target) => target.request(Request::Restart, screen).await,
            Step::Pause(target) => target.request(Request::Pause, screen).await,
            Step::Resume(target) => target.request(Request::Resume, screen).await,
            Step::Retry(target) => target.request(Request::Retry, screen).await,
        }
    }
}

impl Target {
    fn client(&self) -> Client {
        Client::new(&self.reach.socket)
    }

    fn find<'a>(&self, view: &'a View, kinds: &[Kind]) -> Result<(&'a Key, &'a ObjectView), Failure> {
        Wanted::parse(&self.what, self.scope.namespace.as_ref())?.find(view, kinds)
    }

    /// Asks something of the object, and says what came of it.
    async fn request(&self, request: Request, screen: &Screen) -> Result<Exit, Failure> {
        let client = self.client();
        // What was edited a moment ago would otherwise count as an edit after what is asked for.
        let snapshot = apply::looked(&client).await?;
        let kinds: &[Kind] = match request {
            Request::Retry => &[Kind::Deployment, Kind::Job],
            Request::RunNow => &[Kind::CronJob],
            Request::Pause | Request::Resume | Request::Restart | Request::Undo { .. } => &[Kind::Deployment],
        };
        let key = self.find(&snapshot.view, kinds)?.0.clone();
        let body = RequestBody { key, request };
        if let Answer::Done { message } = client.post("/v1/request", &body).await? {
            screen.print(&lines(&message))?;
        }
        Ok(Exit::Done)
    }
}

impl Status {
    async fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        let client = self.target.client();
        let mut report = Report::new(screen, self.output);
        // Whoever asks right after an edit means that edit.
        let snapshot = apply::looked(&client).await?;
        let exit = if self.wait {
            let waiting = follow::views(&client, &mut report, |snapshot| self.judge(&snapshot.view));
            follow::within(self.timeout, screen, waiting).await?
        } else {
            let progress = self.judge(&snapshot.view)?;
            report.held = progress.held;
            report.tell(progress.sentences)?;
            progress.exit.unwrap_or(Exit::TimedOut)
        };
        report.conclude(exit)
    }

    fn judge(&self, view: &View) -> Result<Progress, Failure> {
        let (key, object) = self.target.find(view, &[Kind::Deployment, Kind::Job])?;
        let standing = standing::of(key, object);
        let sentences = [(key.to_string(), standing.text().to_string())].into();
        let progress = Progress { sentences, exit: standing.exit(), ..Progress::default() };
        Ok(follow::unless_blind(view, unless_outdated(view, key, progress)))
    }
}

/// What its sources say newly and what is not in force is told as well: as long as that is so, an object is not what its
/// manifest asks for, however well it runs.
fn unless_outdated(view: &View, key: &Key, mut progress: Progress) -> Progress {
    for source in view.sources.iter().filter(|source| source.declares.contains(key) && !source.is_current()) {
        progress.sentences.insert(format!("source {}", source.dir), source.trouble());
        if progress.exit == Some(Exit::Done) {
            let sentence = format!("{key} is as its manifests in force ask, which are not the newest");
            progress.sentences.insert(key.to_string(), sentence);
        }
        let is_at_rest = progress.exit == Some(Exit::Done) || progress.held;
        progress.held |= source.held && is_at_rest;
        progress.exit = match progress.exit {
            // What is new is about to come into force.
            Some(Exit::Done) if source.state == SourcePhase::Loaded => None,
            Some(Exit::Done) if source.held => Some(Exit::Held),
            Some(Exit::Done) => Some(Exit::Invalid),
            other => other,
        };
    }
    progress
}

impl History {
    async fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        let snapshot: Snapshot = self.target.client().get("/v1/view").await?;
        // A Job's revisions have no numbers.
        let is_about_one = self.revision.is_some() || !self.diff.is_empty();
        let kinds: &[Kind] = if is_about_one { &[Kind::Deployment] } else { &[Kind::Deployment, Kind::Job] };
        let (key, object) = self.target.find(&snapshot.view, kinds)?;
        let (table, values) = match &object.detail {
            Detail::Deployment { revisions, .. } => {
                if let [from, to] = self.diff[..] {
                    return self.diff(screen, key, from, to).await;
                }
                if let Some(number) = self.revision {
                    return self.one(screen, key, revisions, number, snapshot.now);
                }
                (revision_table(revisions, snapshot.now), revisions.iter().map(|revision| json!(revision)).collect())
            }
            Detail::Job { revisions, .. } => {
                (job_table(revisions, snapshot.now), revisions.iter().map(|revision| json!(revision)).collect())
            }
            _ => return Ok(Exit::Done),
        };
        let mut values: Vec<_> = values;
        values.iter_mut().for_each(output::times);
        screen.print(&match self.output {
            None => table.render(screen.out),
            Some(format) => output::render(&output::list(values), format),
        })?;
        Ok(Exit::Done)
    }

    fn one(
        &self,
        screen: &Screen,
        key: &Key,
        revisions: &[RevisionView],
        number: u64,
        now: Timestamp,
    ) -> Result<Exit, Failure> {
        let found = pick(key, revisions, |revision| revision.number, number)?;
        let text = match self.output {
            None => sheet::revision(found, now, screen.out),
            Some(format) => {
                let mut value = json!(found);
                output::times(&mut value);
                output::render(&value, format)
            }
        };
        screen.print(&text)?;
        Ok(Exit::Done)
    }

    async fn diff(&self, screen: &Screen, key: &Key, from: u64, to: u64) -> Result<Exit, Failure> {
        let answer = self.target.client().get(&format!("/v1/revisions?key={key}")).await?;
        let Answer::Revisions { revisions } = answer else {
            return Err(Failure::new("the daemon's answer tells of no revisions")
                .hint("the daemon and this command are of different versions: compare with `evenkeel version`"));
        };
        let find = |number| pick(key, &revisions, |revision| revision.number, number);
        let (from, to) = (find(from)?, find(to)?);
        if let Some(unknown) = [from, to].into_iter().find(|revision| revision.taken_over) {
            let number = unknown.number;
            return Err(Failure::new(format!("nobody remembers what revision {number} of {key} was made from"))
                .hint("it ran when the history was lost; `docker inspect` of its containers shows what they are"));
        }
        screen.print(&match self.output {
            None => difference::text(key, from, to, screen.out),
            Some(format) => output::render(&difference::value(key, from, to), format),
        })?;
        Ok(Exit::Done)
    }
}

/// The revision of that number, or those that there are.
fn pick<'a, T>(key: &Key, revisions: &'a [T], number_of: impl Fn(&T) -> u64, number: u64) -> Result<&'a T, Failure> {
    revisions.iter().find(|revision| number_of(revision) == number).ok_or_else(|| {
        let known: Vec<String> = revisions.iter().map(|revision| number_of(revision).to_string()).collect();
        let known = if known.is_empty() { "none yet".into() } else { known.join(", ") };
        Failure::new(format!("{key} has no revision {number}: it has {known}"))
    })
}
