//! `evenkeel apply`: have the daemon look now, and wait until what the manifests say has come about.

use clap::Args;

use super::args::{Reach, SetupArgs, parse_span};
use super::client::Client;
use super::failure::{Exit, Failure};
use super::follow::{self, Progress};
use super::plan::counted;
use super::screen::{Screen, lines};
use super::settings::Settings;
use super::validate;
use crate::manifest::Source;
use crate::model::command::Answer;
use crate::model::time::Span;
use crate::model::view::{SourcePhase, SourceState, View};
use crate::server::wire::Snapshot;

/// How long a source may stay in the middle of a change before `apply` gives up on it.
const SETTLING: u32 = 40;

/// The pause between two looks at such a source.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(250);

/// Have the daemon look at its sources now, and wait until they are converged.
///
/// The daemon picks changes up by itself; this is for scripts that want to know how it went. Exits 0 when everything
/// is as declared, 2 when something was rolled back, 3 when something is stalled, 4 when it is not over in time,
/// 5 when the manifests are invalid.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  git pull && evenkeel apply --wait
  evenkeel apply --wait --timeout 5m --source /srv/shop   only what that source declares")]
pub struct Apply {
    #[command(flatten)]
    setup: SetupArgs,
    /// Wait until everything is as declared.
    #[arg(long, short)]
    wait: bool,
    /// How long to wait.
    #[arg(long, value_name = "SPAN", value_parser = parse_span, default_value = "10m")]
    timeout: Span,
    #[command(flatten)]
    reach: Reach,
}

impl Apply {
    /// Checks, asks, and with `--wait` waits.
    pub async fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        let sources = Settings::read(&self.setup)?.setup.sources;
        if !sources.is_empty() {
            validate::check(&sources).await?.map_err(|problems| validate::invalid(&problems, screen))?;
        }
        let client = Client::new(&self.reach.socket);
        let applying = async {
            let synced = sync(&client, &sources, screen).await?;
            if self.wait { wait(&client, &synced, screen).await } else { Ok(Exit::Done) }
        };
        follow::within(Some(self.timeout), screen, applying).await
    }
}

/// The chosen sources as the daemon has them in force, and the pass from which on that is seen.
struct Synced {
    sources: Vec<SourceState>,
    pass: u64,
}

/// Has the daemon read its sources, until the chosen ones are in force.
async fn sync(client: &Client, wanted: &[Source], screen: &Screen) -> Result<Synced, Failure> {
    for _ in 0..SETTLING {
        let Answer::Synced { sources, pass } = client.post("/v1/sync", &()).await? else {
            return Err(Failure::new("the daemon's answer is not understood"));
        };
        let sources = chosen(wanted, sources)?;
        if let Some(source) = sources.iter().find(|source| !source.problems.is_empty()) {
            return Err(invalid(source, screen));
        }
        if sources.iter().all(|source| source.state == SourcePhase::Loaded) {
            sources.iter().try_for_each(|source| screen.print(&in_force(source)))?;
            return Ok(Synced { sources, pass });
        }
        tokio::time::sleep(PAUSE).await;
    }
    let synced: Snapshot = client.get("/v1/view").await?;
    let stuck = synced.view.sources.iter().find(|source| source.state != SourcePhase::Loaded);
    let reason = stuck.map(|source| format!("{} is {}: {}", source.dir, source.state.word(), source.message));
    Err(Failure::new(format!("the manifests are not in force: {}", reason.unwrap_or_else(|| "try again".into()))))
}

/// The states of the sources that are meant: all of the daemon's when none is named.
fn chosen(wanted: &[Source], watched: Vec<SourceState>) -> Result<Vec<SourceState>, Failure> {
    if wanted.is_empty() {
        return Ok(watched);
    }
    let one = |source: &Source| {
        let dir = std::fs::canonicalize(&source.dir).unwrap_or_else(|_| source.dir.clone());
        let is = |state: &&SourceState| {
            let watched = std::fs::canonicalize(&state.dir).unwrap_or_else(|_| state.dir.clone().into());
            watched == dir && (source.namespace.is_none() || source.namespace == state.namespace)
        };
        watched.iter().find(is).cloned().ok_or_else(|| unwatched(source, &watched))
    };
    wanted.iter().map(one).collect()
}

fn unwatched(source: &Source, watched: &[SourceState]) -> Failure {
    let name = |dir: &str, namespace: Option<&crate::model::name::Name>| match namespace {
        Some(namespace) => format!("{dir}={namespace}"),
        None => dir.to_string(),
    };
    let watched: Vec<String> = watched.iter().map(|state| name(&state.dir, state.namespace.as_ref())).collect();
    let wanted = name(&source.dir.display().to_string(), source.namespace.as_ref());
    Failure::new(format!("the daemon does not watch {wanted}")).hint(match watched[..] {
        [] => "it watches nothing; start it with --source".into(),
        _ => format!("it watches {}", watched.join(", ")),
    })
}

fn invalid(source: &SourceState, screen: &Screen) -> Failure {
    for problem in &source.problems {
        screen.note(&format!("{}\n", lines(&problem.rendered)));
    }
    let count = counted(source.problems.len(), "problem");
    Failure::new(format!("source {} is invalid: {count}; its last good state stays in force", source.dir))
        .exit(Exit::Invalid)
}

fn in_force(source: &SourceState) -> String {
    let objects = counted(source.declares.len(), "object");
    format!("source {}: generation {} with {objects} is in force", source.dir, source.generation)
}

async fn wait(client: &Client, synced: &Synced, screen: &Screen) -> Result<Exit, Failure> {
    follow::views(client, screen, |snapshot| judge(synced, &snapshot.view)).await
}

fn judge(synced: &Synced, view: &View) -> Result<Progress, Failure> {
    if view.passes < synced.pass {
        return Ok(follow::unless_blind(view, Progress::default()));
    }
    // Newer manifests may have come meanwhile; what is waited for is what those declare now.
    let dirs: Vec<(&str, _)> = synced.sources.iter().map(|source| (source.dir.as_str(), &source.namespace)).collect();
    let current = view.sources.iter().filter(|source| dirs.contains(&(source.dir.as_str(), &source.namespace)));
    let declared: std::collections::BTreeSet<_> = current.flat_map(|source| &source.declares).collect();
    if let Some(key) = declared.iter().find(|key| !view.objects.contains_key(**key)) {
        return Ok(Progress { sentences: [(key.to_string(), format!("{key} is not seen yet"))].into(), exit: None });
    }
    let progress = follow::progress(view.objects.iter().filter(|(key, _)| declared.contains(key)));
    Ok(follow::unless_blind(view, progress))
}
