//! A plan without a daemon: load, observe, plan, and nothing else. It writes nothing and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use super::clock::Clock;
use super::look::{Hints, Looker};
use super::redact::Redactor;
use super::rules::Rules;
use super::{Setup, paths};
use crate::engine::Engine;
use crate::manifest::{self, Contexts, Diagnostic, Loaded, ReadError, Snapshot, Source, Spot};
use crate::model::desired::Desired;
use crate::model::name::Key;
use crate::model::policy::{HostPath, Refusal, Standing};
use crate::model::status::Status;
use crate::model::text::listed;
use crate::model::view::PlanStep;
use crate::plan::{self, Ahead};
use crate::policy;
use crate::store::{KeptSource, Peek, Store, source_name};

/// What the next pass would do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outlook {
    /// The whole way: every step, in order, if each one succeeds.
    pub steps: Vec<PlanStep>,
    /// How every object stands.
    pub status: BTreeMap<Key, Status>,
    /// What the policy refuses.
    pub refused: BTreeMap<Key, Vec<Refusal>>,
    /// What is worth knowing beside it: history that cannot be read, a manifest's warning.
    pub warnings: Vec<String>,
}

/// Why there is no plan.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OfflineError {
    /// Manifests are wrong.
    #[error("the manifests are invalid")]
    Invalid(Vec<Diagnostic>),
    /// Something is in the middle of changing a source.
    #[error("{0}")]
    Held(String),
    /// A source cannot be read, the engine does not answer, …
    #[error("{message}")]
    Unavailable {
        /// What was attempted and what came of it.
        message: String,
        /// What to do about it; may be empty.
        hint: String,
    },
}

/// The plan for these sources against the engine as it is. History is read from the state directory if it is there;
/// a running daemon does not mind.
pub async fn plan<E: Engine>(setup: &Setup, engine: &E) -> Result<Outlook, OfflineError> {
    let mut snapshots = Vec::new();
    for source in &setup.sources {
        snapshots.push(read_settled(&source.dir).await?);
    }
    let mut looker = Looker::default();
    let (owned, now) = (setup.clone(), Clock::new().now());
    // The engine takes its time for the containers: meanwhile the manifests are read.
    let reading = tokio::task::spawn_blocking(move || read(&owned, &snapshots));
    let ((), told) = tokio::join!(looker.look_early(engine), reading);
    let Told { peek, merged } = told.expect("reading ends")?;
    let Peek { history, secrets, sources, last_good, is_new, mut warnings, .. } = peek;
    let last_good = last_good.into_iter().flat_map(|last_good| last_good.deployments).collect();
    let (policy, policy_warnings) = policy_of(setup);
    // The daemon would ask before it removes what only those declared.
    let dropped_sources = others(&setup.sources, &sources);
    let desired = Desired { settings: setup.settings.clone(), policy, dropped_sources, last_good, ..merged.desired };
    let images = plan::images_of_interest(&desired, &history);
    let redactor = Redactor::new(merged.contents.iter().chain(&secrets));
    let observed = looker.look(engine, &Hints::default(), &images, &BTreeSet::new(), &redactor, now).await;
    let mut observed = observed.map_err(|error| OfflineError::Unavailable {
        message: redactor.clean(&error.to_string()),
        hint: "is the Docker Engine running, and may you use its socket? DOCKER_HOST names another one".into(),
    })?;
    if matches!(desired.policy, Standing::InForce(_)) {
        let wanted = policy::paths_of_interest(&desired, observed.volumes.values());
        observed.host_paths = Some(paths::resolve(wanted));
    }
    if is_new {
        let dir = setup.state_dir.display();
        warnings.push(match observed.containers.is_empty() {
            true => format!("there is no history in {dir} yet: what uses a Secret or ConfigMap will get other revisions than these"),
            false => format!(
                "there is no history in {dir}, although containers of this instance run: is it the daemon's --state-dir?"
            ),
        });
    }
    warnings.extend(plan::brought_back(&desired, &observed, &history, now));
    warnings.extend(absent(&desired));
    // Nobody has probed: what has its name was ready when it got it.
    plan::assume_ready(&mut observed);
    let plan = plan::plan(&desired, &observed, &history, now);
    // What the host has left matters only to what is ahead, and takes a call to the engine. If it cannot be known, nobody waits for it.
    if !plan.actions.is_empty() || !plan.history.is_merely_later(&history) {
        observed.headroom = engine.identify().await.map(|_| engine.headroom()).unwrap_or_default();
    }
    let Ahead { steps, shortages } = plan::forecast(&desired, &observed, &history, now, &plan);
    warnings.extend(shortages.iter().map(|(key, shortage)| format!("{key} would wait for {}", shortage.message)));
    let steps: Vec<PlanStep> = steps.into_iter().map(PlanStep::from).collect();
    let held = plan.held.iter().map(|held| {
        let confirm = format!("evenkeel prune confirm {} {}", held.namespace, held.id);
        format!("a removal in namespace {} is held ({}); confirm with: {confirm}", held.namespace, held.reason)
    });
    let seen = &observed;
    let waiting = plan.held.iter().flat_map(|held| {
        held.removes.iter().map(move |key| PlanStep {
            object: key.clone(),
            action: format!("remove {key}, once it is confirmed"),
            cause: format!("it is no longer declared, and {}", held.reason),
            downtime: plan::cost_of_removal(key, seen),
        })
    });
    let removes = steps.iter().any(|step| !desired.declares(&step.object)) || !plan.held.is_empty();
    let unnamed = if removes { unnamed(&desired.dropped_sources) } else { None };
    Ok(Outlook {
        steps: steps.into_iter().chain(waiting).collect(),
        status: plan.status,
        refused: plan.refused,
        warnings: warnings.into_iter().chain(policy_warnings).chain(unnamed).chain(held).collect(),
    })
}

/// What manifests and the state directory say.
struct Told {
    peek: Peek,
    merged: Loaded,
}

fn read(setup: &Setup, snapshots: &[Snapshot]) -> Result<Told, OfflineError> {
    let peek = Store::peek(&setup.state_dir).map_err(|error| OfflineError::Unavailable {
        message: error.to_string(),
        hint: "plan reads the history with the rights of the daemon: run it as the same user, or with sudo".into(),
    })?;
    let (mut loaded, mut problems) = (Vec::new(), Vec::new());
    for (source, snapshot) in setup.sources.iter().zip(snapshots) {
        match manifest::load(source, snapshot, &peek.hasher, &Contexts::default()) {
            Ok(one) => loaded.push((source, one)),
            Err(mut found) => problems.append(&mut found),
        }
    }
    if !problems.is_empty() {
        return Err(OfflineError::Invalid(problems));
    }
    let borrowed: Vec<_> = loaded.iter().map(|(source, one)| (*source, one)).collect();
    let merged = manifest::merge(&borrowed).map_err(OfflineError::Invalid)?;
    Ok(Told { peek, merged })
}

/// The sources that the daemon has read and that are not named here.
fn others(named: &[Source], known: &[KeptSource]) -> Vec<String> {
    let name = |source: &Source| {
        let dir = std::path::absolute(&source.dir).unwrap_or_else(|_| source.dir.clone());
        source_name(&dir.display().to_string())
    };
    let named: BTreeSet<String> = named.iter().map(name).collect();
    known.iter().filter(|source| !named.contains(&source.file)).map(|source| source.dir.clone()).collect()
}

/// A warning of them, if there are any.
fn unnamed(others: &[String]) -> Option<String> {
    (!others.is_empty()).then(|| {
        let which = others.join(" and ");
        format!(
            "the daemon has also read {which}, not named here: what only that declares counts as removed. Name every \
             --source that the daemon watches"
        )
    })
}

/// The policy as it stands, and what is wrong with its file if anything is.
fn policy_of(setup: &Setup) -> (Standing, Vec<String>) {
    let mut rules = Rules::new(setup.policy.clone(), setup.sources.clone());
    let standing = rules.read().clone();
    (standing, rules.warnings().collect())
}

/// What the policy refuses of manifests, as far as that can be told without an engine and without looking at the host:
/// by object, and what is wrong with the policy's file.
pub fn refusals(setup: &Setup, desired: Desired) -> (BTreeMap<Key, Vec<Refusal>>, Vec<String>) {
    let (policy, warnings) = policy_of(setup);
    let desired = Desired { settings: setup.settings.clone(), policy, ..desired };
    (plan::refusals(&desired), warnings)
}

/// A warning of paths of the host that containers mount and that are not on this machine, if there are any: an engine makes no
/// container without them. Whether this machine is the engine's, nobody knows here.
pub fn absent(desired: &Desired) -> Option<String> {
    let mut users: BTreeMap<&str, BTreeSet<&Key>> = BTreeMap::new();
    for (key, template) in desired.templates() {
        let mounted = template.mounts.iter().filter_map(|mount| mount.host_path.as_deref());
        for path in mounted {
            users.entry(path).or_default().insert(key);
        }
    }
    let leads = paths::resolve(users.keys().map(|path| (*path).to_owned()).collect());
    users.retain(|path, _| leads.get(*path) == Some(&HostPath::Missing));
    if users.is_empty() {
        return None;
    }
    let of = |keys: &BTreeSet<&Key>| keys.iter().map(ToString::to_string).collect::<Vec<_>>();
    let told: Vec<String> =
        users.iter().map(|(path, keys)| format!("{path} (of {})", listed(of(keys).iter(), NAMED))).collect();
    let told = listed(told.iter(), NAMED);
    Some(format!("hostPath that is not on this machine: {told}. It must be on the host before the container is made"))
}

/// How many paths, and how many users of each, are named.
const NAMED: usize = 10;

/// Reads a directory, waiting a little for a git operation or an editor to finish.
async fn read_settled(dir: &Path) -> Result<Snapshot, OfflineError> {
    let mut held = String::new();
    for _ in 0..20 {
        match manifest::snapshot::read(dir) {
            Err(ReadError::Unsettled(why)) => held = why,
            Ok(snapshot) => return Ok(snapshot),
            Err(ReadError::Unreadable(why)) => {
                let dir = Spot::file(dir.display().to_string());
                return Err(OfflineError::Invalid(vec![Diagnostic::error(dir, why)]));
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(OfflineError::Held(format!("source {}: {held}", dir.display())))
}

/// What a daemon that starts could not use of the history in its state directory, in words. It changes nothing.
pub fn damage(state_dir: &Path) -> Vec<String> {
    Store::peek(state_dir).map_or_else(|error| vec![error.to_string()], |peek| peek.warnings)
}
