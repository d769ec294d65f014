//! What a container needs before it can be made or started: networks, volumes, what only one can have, its dependencies.

use std::collections::BTreeSet;

use super::build::{attachments, volume_name};
use super::holdings::{self, Place, Thing, foreign_holder};
use super::jobs::Asked;
use super::releases;
use super::replica::find;
use super::world::{self, Decided, World};
use crate::model::action::network_target;
use crate::model::desired::Desired;
use crate::model::history::{DeploymentHistory, History, Revision, Rollout};
use crate::model::job::JobState;
use crate::model::name::{Key, Kind, Name};
use crate::model::observed::Container;
use crate::model::revision::RevisionId;
use crate::model::spec::{DeploymentSpec, Template};

/// Whether all networks and volumes of a template are there; if not, it says which are waited for.
pub fn places_exist(world: World, decided: &mut Decided, owner: &Key, template: &Template) -> bool {
    await_places(world, decided, owner, template, |_| false)
}

/// The same for a container that is only created: the start alone needs its networks, so they may still be on their way.
/// A volume must be there, because the engine would make one, without its labels.
pub fn places_come(world: World, decided: &mut Decided, owner: &Key, template: &Template) -> bool {
    let comes = |network: &str| world.observed.in_flight.contains(&network_target(network));
    await_places(world, decided, owner, template, comes)
}

fn await_places(
    world: World,
    decided: &mut Decided,
    owner: &Key,
    template: &Template,
    comes: impl Fn(&str) -> bool,
) -> bool {
    let networks = attachments(world, owner, template).into_iter().map(|attachment| attachment.network);
    let networks: Vec<String> = networks.collect();
    let foreign: Vec<&String> = networks.iter().filter(|name| is_foreign(world, name)).collect();
    let missing_networks: Vec<&String> =
        networks.iter().filter(|name| !world.observed.networks.contains_key(*name)).collect();
    let volumes = template.mounts.iter().filter_map(|mount| mount.volume.as_ref());
    let volumes = volumes.map(|volume| volume_name(world, owner, volume));
    let missing_volumes: Vec<String> = volumes.filter(|name| !world.observed.volumes.contains_key(name)).collect();
    for name in &missing_networks {
        decided.wait(format!("network {name}"));
    }
    for name in &foreign {
        decided.wait(format!("network {name}, which exists and is not Evenkeel's"));
    }
    for name in &missing_volumes {
        let is_gone = world.gone.contains_key(name);
        decided.wait(format!("volume {name}{}", if is_gone { ", which is gone" } else { "" }));
        decided.blocked |= is_gone;
    }
    missing_networks.iter().all(|name| comes(name)) && foreign.is_empty() && missing_volumes.is_empty()
}

/// Whether no other object of ours has what only one can have and the template asks for; if one has, it says which.
pub fn is_free(world: World, decided: &mut Decided, owner: &Key, template: &Template) -> bool {
    let Some(Place { owner: holder, thing, .. }) = holdings::holder(world, owner, template) else { return true };
    decided.wait(match thing {
        Thing::Port(_, number) => format!("host port {number}, which {holder} still publishes"),
        Thing::Address(network, address) => format!("address {address} on network {network}, which {holder} still has"),
        Thing::Volume(name) => format!("volume {name}, which {holder} still writes to"),
    });
    false
}

/// The same for one container, which shares a volume for one writer with no other of its object either.
pub fn is_free_for(world: World, decided: &mut Decided, container: &Container, template: &Template) -> bool {
    if !is_free(world, decided, &container.owner, template) {
        return false;
    }
    let is_written = holdings::is_written(world, container, template);
    if is_written {
        decided.wait("its volume, which has one writer, and another container of it still writes to");
    }
    !is_written
}

/// Says which container that is not ours has a host port of the template, and the way out: the engine says only that somebody has.
pub fn tell_foreign_holder(world: World, decided: &mut Decided, template: &Template) {
    let Some(held) = foreign_holder(world.observed, template) else { return };
    let (name, port) = (&held.container, held.port);
    let is_renamed = world.observed.renamed.values().any(|names| names.contains(name));
    let why = match is_renamed {
        true => {
            format!("one of ours that somebody has renamed, so it is left alone: `docker rm -f {name}` frees the port")
        }
        false => format!("not Evenkeel's: stop it (`docker stop {name}`), or choose another hostPort"),
    };
    decided.wait_above_all(format!("host port {port}, which the container {name} has, {why}"));
}

/// Whether somebody else's network has the name of one that is to be ours: nothing of ours joins it.
fn is_foreign(world: World, name: &str) -> bool {
    let Some(live) = world.observed.networks.get(name) else { return false };
    let called = |(key, declared): &(&Key, &crate::model::desired::Declared<crate::model::spec::NetworkSpec>)| {
        !declared.spec.external && world.desired.network_name(key) == name
    };
    world
        .desired
        .networks
        .iter()
        .find(called)
        .is_some_and(|(key, _)| !super::networks::is_ours(world, &live.labels, key))
}

/// Whether everything in `dependsOn` is in the state that is asked for; if not, it says what is waited for.
pub fn dependencies_met(
    world: World,
    decided: &mut Decided,
    history: &History,
    owner: &Key,
    template: &Template,
) -> bool {
    let mut met = true;
    if let Some(member) = releases::stalled_member(world, history, owner) {
        decided.blocked = true;
        decided.wait(format!("deployment {} of its release group, which has stalled", member.name));
        met = false;
    }
    for key in template.depends_on.iter().filter_map(|dependency| dependency.key(owner)) {
        let waiting = match key.kind {
            Kind::Job => job_standing(decided, job_state(world, history, &key), &key.name),
            _ if deployment_is_available(world, history, &key) && !is_halfway(world, history, owner, &key) => None,
            _ => {
                let stuck = why_stuck(world, history, &key, &mut BTreeSet::new());
                decided.blocked |= stuck.is_some();
                let why = stuck.map(|why| format!(", which {why}")).unwrap_or_default();
                Some(format!("deployment {} to be available{why}", key.name))
            }
        };
        if let Some(waiting) = waiting {
            decided.wait(waiting);
            met = false;
        }
    }
    met
}

/// Why a Deployment will not become available before a person acts, or a new manifest comes; none while it is on its way.
fn why_stuck(world: World, past: &History, key: &Key, seen: &mut BTreeSet<Key>) -> Option<String> {
    let spec = &world.desired.deployments.get(key)?.spec;
    let history = past.deployments.get(key)?;
    match &history.rollout {
        Rollout::Stalled { .. } => return Some("has stalled".into()),
        Rollout::Progressing { failed_at: Some(_), .. } => return Some("has failed".into()),
        Rollout::New | Rollout::Progressing { .. } | Rollout::RollingBack { .. } | Rollout::Complete { .. } => {}
    }
    if spec.suspend || history.paused {
        return Some(if spec.suspend { "is suspended" } else { "is paused" }.into());
    }
    if !seen.insert(key.clone()) {
        return None;
    }
    let mut depends_on = spec.template.depends_on.iter().filter_map(|dependency| dependency.key(key));
    depends_on.find_map(|dependency| match dependency.kind {
        Kind::Job => matches!(job_state(world, past, &dependency)?, JobState::Failed { .. } | JobState::Unknown { .. })
            .then(|| format!("waits for job {}, which has failed or is unknown", dependency.name)),
        _ if deployment_is_available(world, past, &dependency) => None,
        _ => why_stuck(world, past, &dependency, seen)
            .map(|why| format!("waits for deployment {}, which {why}", dependency.name)),
    })
}

/// How something stands that others wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Course {
    OnItsWay,
    /// Where they wait for it to be.
    Done,
    /// Where they wait in vain.
    Stuck,
}

fn course(history: &History, key: &Key) -> Course {
    match key.kind {
        Kind::Job => match history.jobs.get(key).and_then(|job| job.runs.last()).map(|run| &run.state) {
            Some(JobState::Succeeded { .. }) => Course::Done,
            Some(JobState::Failed { .. } | JobState::Unknown { .. }) => Course::Stuck,
            Some(JobState::Pending | JobState::Started { .. } | JobState::Retrying { .. }) | None => Course::OnItsWay,
        },
        Kind::CronJob => match history.cron_jobs.get(key) {
            Some(known) if known.under_way().next().is_none() => Course::Done,
            Some(_) | None => Course::OnItsWay,
        },
        _ => match history.deployments.get(key).map(|known| &known.rollout) {
            Some(Rollout::Complete { .. }) => Course::Done,
            Some(Rollout::Stalled { .. } | Rollout::Progressing { failed_at: Some(_), .. }) => Course::Stuck,
            Some(Rollout::New | Rollout::Progressing { .. } | Rollout::RollingBack { .. }) | None => Course::OnItsWay,
        },
    }
}

/// Whether a pass has brought something to where others wait for it to be, or to where they wait in vain, or away from there.
pub fn is_newly_met(desired: &Desired, before: &History, after: &History) -> bool {
    let dependencies =
        desired.templates().flat_map(|(owner, template)| template.depends_on.iter().filter_map(|d| d.key(owner)));
    let is_declared = |job: &Key| desired.jobs.contains_key(job) || desired.cron_jobs.contains_key(job);
    let gates = world::wards(desired).into_keys().filter(is_declared);
    let mut awaited = dependencies.chain(gates);
    awaited.any(|key| match (course(before, &key), course(after, &key)) {
        (Course::Done, Course::OnItsWay) => false,
        (before, after) => before != after,
    })
}

/// Whether as many replicas as declared have been ready for `minReady`, and none of them is about to be replaced.
fn deployment_is_available(world: World, history: &History, key: &Key) -> bool {
    let (Some(declared), Some(remembered)) = (world.desired.deployments.get(key), history.deployments.get(key)) else {
        return false;
    };
    if !is_settled(world, history, key, &declared.spec, remembered) {
        return false;
    }
    let available = available(world, key, remembered, declared.spec.min_ready);
    available >= declared.spec.replicas
}

/// Whether a Deployment is where it will stay: one that is being updated, or will be in this very pass, may take a part of its
/// replicas away, or all of them. What nobody moves at present is taken as it is.
fn is_settled(world: World, past: &History, key: &Key, spec: &DeploymentSpec, history: &DeploymentHistory) -> bool {
    let revision = match &history.rollout {
        Rollout::New => return false,
        Rollout::Progressing { .. } | Rollout::RollingBack { .. } => return history.paused || spec.suspend,
        Rollout::Stalled { .. } => return true,
        Rollout::Complete { revision, .. } => revision,
    };
    history.paused || spec.suspend || runs_what_is_asked(world, past, key, spec, history, revision)
}

/// Whether a Deployment is held before it runs what its manifest asks for, and its release group waits for that: what comes after
/// it in the group stays behind it, or the group would be left half forward.
fn is_halfway(world: World, past: &History, owner: &Key, key: &Key) -> bool {
    // Most are in none, and what is asked for takes hashes to tell.
    if !releases::are_together(world, owner, key) {
        return false;
    }
    let Some((declared, history)) = world.desired.deployments.get(key).zip(past.deployments.get(key)) else {
        return false;
    };
    match &history.rollout {
        Rollout::Complete { revision, .. } => !runs_what_is_asked(world, past, key, &declared.spec, history, revision),
        Rollout::New | Rollout::Progressing { .. } | Rollout::RollingBack { .. } | Rollout::Stalled { .. } => true,
    }
}

/// Whether a Deployment that is complete need not move.
fn runs_what_is_asked(
    world: World,
    past: &History,
    key: &Key,
    spec: &DeploymentSpec,
    history: &DeploymentHistory,
    revision: &RevisionId,
) -> bool {
    let contents = super::build::contents(world, key, &spec.template);
    let wanted = super::deployment::hash(spec, &contents, history);
    // What somebody has gone back to, or was gone back to by itself, stays until the manifest asks for something new.
    let pinned = history.pin.as_ref().is_some_and(|pin| pin.template == wanted && pin.revision == *revision);
    let known = history.revisions.iter().rev().find(|known| known.template_hash == wanted);
    let runs = find(history, revision).is_some_and(|running| running.template_hash == wanted);
    let stays_back = || {
        let setback = releases::setback(world, past, key, spec, history);
        setback.is_some_and(|setback| setback.to.as_ref() == Some(revision))
    };
    pinned || history.pin.is_none() && (runs || known.is_some_and(Revision::is_rejected) || stays_back())
}

fn available(world: World, key: &Key, history: &DeploymentHistory, min_ready: crate::model::time::Span) -> u32 {
    let containers = world.containers(key);
    let available = containers.iter().filter(|container| {
        let since = history.ready_since.get(&container.id);
        !history.retiring.contains_key(&container.id) && since.is_some_and(|since| *since + min_ready <= world.as_of())
    });
    available.count() as u32
}

/// What is waited for of a Job that is not complete, and the way out if it will not be by itself.
fn job_standing(decided: &mut Decided, state: Option<&JobState>, name: &Name) -> Option<String> {
    match state {
        Some(JobState::Succeeded { .. }) => None,
        Some(JobState::Failed { .. } | JobState::Unknown { .. }) => {
            decided.blocked = true;
            let way_out = format!("`evenkeel rollout retry job/{name}` runs it again");
            Some(format!("job {name} to be complete; it failed or is unknown: {way_out}"))
        }
        Some(JobState::Pending | JobState::Started { .. } | JobState::Retrying { .. }) | None => {
            Some(format!("job {name} to be complete"))
        }
    }
}

/// What became of the declared revision of a Job; none while it has not come to it.
fn job_state<'a>(world: World, history: &'a History, key: &Key) -> Option<&'a JobState> {
    let declared = world.desired.jobs.get(key)?;
    let history = history.jobs.get(key)?;
    let is_entered = Asked::of(world, key, &declared.spec).is_entered(history);
    history.runs.last().filter(|_| is_entered).map(|run| &run.state)
}
