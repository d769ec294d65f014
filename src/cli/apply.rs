//! `evenkeel apply`: have the daemon look now, and wait until what the manifests say has come about.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;

use super::args::{Machine, Reach, SetupArgs, parse_span};
use super::client::Client;
use super::failure::{self, Exit, Failure};
use super::follow::{self, Progress, Report};
use super::plan::counted;
use super::screen::{Screen, lines};
use super::settings::Settings;
use super::{output, validate};
use crate::manifest::Source;
use crate::model::command::Answer;
use crate::model::name::{Key, Name};
use crate::model::source::called;
use crate::model::time::{Span, Timestamp};
use crate::model::view::{ObjectView, SourcePhase, SourceState, View};
use crate::server::wire::Snapshot;

/// How long a source may stay in the middle of a change before `apply` gives up on it.
const SETTLING: u32 = 40;

/// The pause between two looks at such a source.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(250);

/// Have the daemon look at its sources now, and wait until they are converged.
///
/// The daemon picks changes up by itself; this is for scripts that want to know how it went. Exits 0 when everything
/// is as declared, 2 when something was rolled back, 3 when something is stalled, paused half-way or held, 4 when it is not
/// over in time, 5 when the manifests are invalid or cannot come into force, 6 while git is changing them.
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
    /// The result for machines, at the end; what happens on the way goes to standard error.
    #[arg(long, short)]
    output: Option<Machine>,
    #[command(flatten)]
    reach: Reach,
}

impl Apply {
    /// Checks, asks, and with `--wait` waits.
    pub async fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        failure::told(self.apply(screen).await, self.output, screen)
    }

    async fn apply(&self, screen: &Screen) -> Result<Exit, Failure> {
        let sources = Settings::read(&self.setup)?.setup.sources;
        let checked = if sources.is_empty() { Ok(()) } else { validate::check(&sources).await?.map(|_| ()) };
        if let Err(problems) = checked {
            return Err(validate::invalid(&problems, screen));
        }
        let client = Client::new(&self.reach.socket);
        let mut report = Report::new(screen, self.output);
        let applying = async {
            let synced = synced(&client, &sources, &mut report, screen).await?;
            synced.sources.iter().try_for_each(|source| report.say(&in_force(source)))?;
            report.result.insert("sources".into(), synced.sources.iter().map(output::source).collect());
            if !self.wait {
                return Ok(Exit::Done);
            }
            follow::views(&client, &mut report, |snapshot| judge(&synced, &snapshot.view)).await
        };
        let exit = follow::within(Some(self.timeout), screen, applying).await?;
        report.conclude(exit)
    }
}

/// The chosen sources as the daemon has them in force, and the pass from which on that is seen.
pub struct Synced {
    /// The sources.
    pub sources: Vec<SourceState>,
    /// The pass.
    pub pass: u64,
    /// When the daemon was started.
    pub started_at: Timestamp,
}

impl Synced {
    /// Whether a view was decided with these sources or with what came after them.
    pub fn is_seen(&self, view: &View) -> bool {
        match view.started_at == self.started_at {
            true => view.passes >= self.pass,
            // A daemon reads its sources when it starts, so another one than this knows of no older ones.
            false => view.passes > 0 && view.sources.iter().all(|source| source.state != SourcePhase::Reading),
        }
    }
}

/// Has the daemon read its sources, until the chosen ones are in force; where one is invalid, its mistakes are printed.
pub async fn synced(
    client: &Client,
    wanted: &[Source],
    report: &mut Report<'_>,
    screen: &Screen,
) -> Result<Synced, Failure> {
    sync(client, wanted, report).await?.map_err(|source| invalid(&source, screen))
}

/// The same, or the source that is invalid.
async fn sync(
    client: &Client,
    wanted: &[Source],
    report: &mut Report<'_>,
) -> Result<Result<Synced, SourceState>, Failure> {
    for _ in 0..SETTLING {
        let Answer::Synced { sources, pass, started_at } = client.post("/v1/sync", &()).await? else {
            return Err(Failure::new("the daemon's answer is not understood"));
        };
        let sources = chosen(wanted, sources)?;
        if let Some(source) = sources.iter().find(|source| !source.problems.is_empty()) {
            return Ok(Err(source.clone()));
        }
        let troubled = sources.iter().filter(|source| !source.is_current());
        report.held = troubled.clone().any(|source| source.held);
        let trouble: BTreeMap<String, String> = troubled.map(|source| (source.dir.clone(), source.trouble())).collect();
        if trouble.is_empty() {
            return Ok(Ok(Synced { sources, pass, started_at }));
        }
        report.tell(trouble)?;
        tokio::time::sleep(PAUSE).await;
    }
    let synced: Snapshot = client.get("/v1/view").await?;
    let stuck = chosen(wanted, synced.view.sources)?.into_iter().find(|source| !source.is_current());
    let reason = stuck.as_ref().map_or_else(|| "try again".into(), SourceState::trouble);
    let message = format!("the manifests are not in force: {reason}");
    Err(match stuck.is_some_and(|source| source.held) {
        true => Failure::held(message),
        false => Failure::new(message).exit(Exit::Invalid),
    })
}

/// Has the daemon look at its sources, and waits for the first view that it decided with what it found there. One that cannot
/// decide anything for now (its engine or its state directory is in trouble) is not waited for.
pub async fn looked(client: &Client) -> Result<Snapshot, Failure> {
    // A daemon of before an upgrade does not know the question; what it shows is good enough.
    let Ok(Answer::Synced { sources, pass, started_at }) = client.post("/v1/look", &()).await else {
        return client.get("/v1/view").await;
    };
    let synced = Synced { sources, pass, started_at };
    let mut looks = 0;
    loop {
        let snapshot: Snapshot = client.get("/v1/view").await?;
        let view = &snapshot.view;
        looks += 1;
        if synced.is_seen(view) || !view.engine.connected || !view.warnings.is_empty() || looks == LOOKS {
            return Ok(snapshot);
        }
        tokio::time::sleep(PAUSE / 5).await;
    }
}

/// How often it is looked whether the daemon has decided.
const LOOKS: u32 = 100;

/// The states of the sources that are meant: all of the daemon's when none is named.
pub fn chosen(wanted: &[Source], watched: Vec<SourceState>) -> Result<Vec<SourceState>, Failure> {
    if wanted.is_empty() {
        return Ok(watched);
    }
    let real = |dir: &Path| std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let is = |source: &Source, state: &SourceState| {
        let is_its = source.namespace.is_none() || source.namespace == state.namespace;
        is_its && real(&source.dir) == real(Path::new(&state.dir))
    };
    if let Some(nowhere) = wanted.iter().find(|source| !watched.iter().any(|state| is(source, state))) {
        return Err(unwatched(nowhere, &watched));
    }
    // A directory may be several sources, each with another namespace: named without one, all of them are meant.
    Ok(watched.into_iter().filter(|state| wanted.iter().any(|source| is(source, state))).collect())
}

fn unwatched(source: &Source, watched: &[SourceState]) -> Failure {
    let watched: Vec<String> = watched.iter().map(|state| called(&state.dir, state.namespace.as_ref())).collect();
    let wanted = called(source.dir.display(), source.namespace.as_ref());
    Failure::new(format!("the daemon does not watch {wanted}")).hint(match watched[..] {
        [] => "it watches nothing; start it with --source".into(),
        _ => format!("it watches {}", watched.join(", ")),
    })
}

/// Prints every mistake that the daemon has found, and says how many there are.
fn invalid(source: &SourceState, screen: &Screen) -> Failure {
    for problem in &source.problems {
        screen.note(&format!("{}\n", lines(&problem.rendered)));
    }
    let count = counted(source.problems.len(), "problem");
    let in_force = match source.in_force() {
        true => "its last good state stays in force",
        false => "nothing of it is in force, and what runs is left alone",
    };
    let message = format!("source {} is invalid: {count}; {in_force}", source.dir);
    Failure::new(message).exit(Exit::Invalid).problems(&source.problems)
}

/// What is in force of a source, for people.
pub fn in_force(source: &SourceState) -> String {
    let objects = counted(source.declares.len(), "object");
    format!("source {}: generation {} with {objects} is in force", source.dir, source.generation)
}

fn judge(synced: &Synced, view: &View) -> Result<Progress, Failure> {
    if !synced.is_seen(view) {
        return Ok(follow::unless_blind(view, Progress::default()));
    }
    // Newer manifests may have come meanwhile; what is waited for is what those declare now.
    let dirs: Vec<(&str, _)> = synced.sources.iter().map(|source| (source.dir.as_str(), &source.namespace)).collect();
    let current = view.sources.iter().filter(|source| dirs.contains(&(source.dir.as_str(), &source.namespace)));
    let declared: std::collections::BTreeSet<_> = current.flat_map(|source| &source.declares).collect();
    if let Some(key) = declared.iter().find(|key| !view.objects.contains_key(**key)) {
        let sentences = [(key.to_string(), format!("{key} is not seen yet"))].into();
        return Ok(Progress { sentences, ..Progress::default() });
    }
    let mut progress = follow::progress(view.objects.iter().filter(|(key, _)| declared.contains(key)));
    // What the brake holds keeps its networks, so those do not leave either before somebody confirms it.
    let is_held = |key: &Key| view.held.iter().any(|held| held.namespace == key.namespace);
    for (key, _) in leaving(view, &synced.sources).filter(|(key, _)| !is_held(key)) {
        let sentence = format!("{key} is no longer declared and being removed");
        progress.sentences.insert(key.to_string(), sentence);
        progress.unfinished.insert(key.to_string());
        progress.exit = None;
    }
    for held in view.held.iter().filter(|held| is_meant(&held.namespace, &synced.sources, &view.sources)) {
        let count = counted(held.removes.len(), "object");
        let sentence = format!(
            "in namespace {} the removal of {count} is held: {} (see `evenkeel prune`)",
            held.namespace, held.reason
        );
        progress.sentences.insert(format!("prune/{}", held.namespace), sentence);
        // A rollback is told by its own sentence; that a person has to act is the worse news.
        progress.exit = progress.exit.map(|_| Exit::Stalled);
    }
    Ok(follow::unless_blind(view, progress))
}

/// What is on its way out of the namespaces that are meant.
fn leaving<'a>(view: &'a View, chosen: &'a [SourceState]) -> impl Iterator<Item = (&'a Key, &'a ObjectView)> {
    let leaves = |(key, object): &(&Key, &ObjectView)| {
        object.status.phase == "Terminating" && is_meant(&key.namespace, chosen, &view.sources)
    };
    view.objects.iter().filter(leaves)
}

/// Whether a namespace is one of the chosen sources, or nobody's any more: what was declared there was perhaps theirs.
fn is_meant(namespace: &Name, chosen: &[SourceState], all: &[SourceState]) -> bool {
    let has = |source: &SourceState| source.declares.iter().any(|key| key.namespace == *namespace);
    chosen.iter().any(has) || !all.iter().any(has)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state(dir: &str, namespace: &str) -> SourceState {
        let state = json!({
            "dir": dir, "namespace": namespace, "state": "Loaded", "message": "", "problems": [], "loadedAt": null,
            "digest": "", "generation": 1, "declares": [],
        });
        serde_json::from_value(state).unwrap()
    }

    #[test]
    fn a_directory_without_a_namespace_means_every_source_that_it_is() {
        let watched =
            || vec![state("/none/shop", "production"), state("/none/other", "a"), state("/none/shop", "staging")];
        let chosen = |namespace: Option<&str>| {
            let namespace = namespace.map(|name| Name::new(name).unwrap());
            let source = Source { dir: "/none/shop".into(), namespace, variables: BTreeMap::new() };
            let chosen = chosen(&[source], watched()).map_err(|failure| failure.message)?;
            Ok::<_, String>(chosen.iter().map(|state| state.namespace.clone().unwrap().to_string()).collect::<Vec<_>>())
        };
        assert_eq!(chosen(None), Ok(vec!["production".into(), "staging".into()]));
        assert_eq!(chosen(Some("staging")), Ok(vec!["staging".into()]));
        assert_eq!(chosen(Some("test")), Err("the daemon does not watch /none/shop=test".into()));
    }
}
