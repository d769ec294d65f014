//! How a Deployment or Job stands, in words. It reads what was decided and decides nothing.

use std::collections::BTreeSet;

use super::replica::{Replica, find};
use super::world::{Decided, World};
use crate::model::cron::{CronJobHistory, CronRun, run_id};
use crate::model::history::{DeploymentHistory, History, Outcome, Rollout};
use crate::model::job::{JobHistory, JobState};
use crate::model::name::{Key, Kind};
use crate::model::observed::{Container, ContainerState};
use crate::model::policy::Refusal;
use crate::model::revision::RevisionId;
use crate::model::spec::{CronJobSpec, DeploymentSpec, JobSpec};
use crate::model::status::{Condition, ContainerStatus, PINNED, RENAMED, Replicas, RevisionSummary, Shortage, Status};
use crate::model::text::printable;
use crate::model::time::Timestamp;

/// How a Deployment stands. `unresolved`: the manifest makes no revision yet, because its image is not known.
pub fn deployment(
    unresolved: bool,
    spec: &DeploymentSpec,
    history: &DeploymentHistory,
    replicas: &[Replica],
    decided: &Decided,
) -> Status {
    let current = history.rollout.revision();
    let counts = counts(spec, history, replicas, current);
    let revision = current.and_then(|id| find(history, id));
    let phase = match &decided.trouble {
        Some(_) => "Degraded",
        // What runs is well, but it is not what the manifest asks for.
        None if unresolved && history.pin.is_none() && phase(spec, history, counts) == "Complete" => "Waiting",
        None if decided.quiet.is_some() => "Quiesced",
        None if decided.set_back.is_some() && phase(spec, history, counts) == "Complete" => "RolledBack",
        None => phase(spec, history, counts),
    };
    // No replica is of a revision that is not known yet.
    let updated = if unresolved && history.pin.is_none() { 0 } else { counts.updated };
    let counts = Replicas { updated, ..counts };
    let is_new = |replica: &&Replica| replica.available && Some(&replica.container.revision) == current;
    let message = message(history, decided, phase, counts.desired, staying(history, replicas).filter(is_new).count());
    Status {
        phase: phase.into(),
        conditions: conditions(history, counts, phase, &message).into_iter().chain(stays_pinned(history)).collect(),
        message,
        replicas: Some(counts),
        revision: revision.map(|revision| RevisionSummary {
            number: revision.number,
            id: revision.id.to_string(),
            image: revision.template.image.clone(),
        }),
        waiting: decided.waiting.clone(),
        blocked: decided.blocked,
        build_output: decided.build_output.clone(),
        containers: replicas.iter().map(|replica| container_of(history, replica)).collect(),
        image_policy: None,
    }
}

fn counts(
    spec: &DeploymentSpec,
    history: &DeploymentHistory,
    replicas: &[Replica],
    current: Option<&RevisionId>,
) -> Replicas {
    let staying = || staying(history, replicas);
    Replicas {
        desired: spec.replicas,
        current: staying().count() as u32,
        updated: staying().filter(|r| r.runs() && Some(&r.container.revision) == current).count() as u32,
        ready: staying().filter(|r| r.serves()).count() as u32,
        available: staying().filter(|r| r.available || r.is_trusted()).count() as u32,
    }
}

/// The replicas that are not on their way out.
fn staying<'a>(history: &'a DeploymentHistory, replicas: &'a [Replica]) -> impl Iterator<Item = &'a Replica<'a>> {
    replicas.iter().filter(|replica| !history.retiring.contains_key(&replica.container.id))
}

fn phase(spec: &DeploymentSpec, history: &DeploymentHistory, counts: Replicas) -> &'static str {
    if spec.suspend {
        return "Suspended";
    }
    if history.paused {
        return "Paused";
    }
    match &history.rollout {
        Rollout::New => "Waiting",
        Rollout::Progressing { .. } => "Progressing",
        Rollout::RollingBack { .. } => "RollingBack",
        Rollout::Stalled { .. } => "Stalled",
        Rollout::Complete { .. } if counts.available < counts.desired => "Degraded",
        Rollout::Complete { revision, .. } if wanted_is_rejected(history, revision) => "RolledBack",
        Rollout::Complete { .. } => "Complete",
    }
}

/// Whether the revision that is asked for was rejected, and another one runs in its place.
fn wanted_is_rejected(history: &DeploymentHistory, running: &RevisionId) -> bool {
    history.rejected_wish().is_some_and(|revision| revision.id != *running)
}

/// Said behind what holds an edit up.
const EDIT_WAITS: &str = "; its manifest asks for another revision, which waits until that has ended";

fn message(history: &DeploymentHistory, decided: &Decided, phase: &str, desired: u32, available: usize) -> String {
    let whose = if history.pin.is_some() { ", which was chosen," } else { "" };
    let reason = history.rejected_wish().and_then(|revision| match &revision.outcome {
        Outcome::Rejected { reason, .. } => Some(format!("revision {}{whose} was rejected: {reason}", revision.number)),
        Outcome::Pending | Outcome::Completed { .. } | Outcome::Superseded { .. } => None,
    });
    let waiting = decided.waiting.first().map(|first| format!("waiting for {first}"));
    let text = match (&history.rollout, phase) {
        (_, "Suspended") => "suspended by its manifest".into(),
        (_, "Paused") if history.is_behind_its_manifest() => {
            "paused by `rollout pause`; its manifest asks for another revision, which waits for `rollout resume`".into()
        }
        (_, "Paused") => "paused by `rollout pause`".into(),
        (Rollout::Stalled { reason, .. }, _) => {
            format!("{reason}; nothing more is tried until its manifest changes, or `evenkeel rollout undo` or `retry`")
        }
        (_, "Quiesced") => {
            let waits = if history.is_behind_its_manifest() { EDIT_WAITS } else { "" };
            format!("{}{waits}", decided.quiet.as_deref().unwrap_or_default())
        }
        _ if decided.trouble.is_some() => decided.trouble.clone().unwrap_or_default(),
        (_, "RolledBack" | "RollingBack") => reason.or_else(|| decided.set_back.clone()).unwrap_or_default(),
        (_, "Complete") => waiting.or_else(|| pinned(history)).unwrap_or_default(),
        _ => waiting
            .or_else(|| trouble(decided))
            .unwrap_or_else(|| format!("{available} of {desired} updated replicas are available")),
    };
    printable(&text)
}

/// That what runs is not what the manifest asks for, because another revision was chosen.
fn pinned(history: &DeploymentHistory) -> Option<String> {
    let pin = history.pin.as_ref()?;
    let wanted = history.asked_for();
    let revision = find(history, &pin.revision).filter(|revision| Some(&revision.id) != wanted.as_ref())?;
    let why = match pin.failed {
        None => "which was chosen",
        Some(_) => "because the one that was chosen failed",
    };
    Some(format!("stays at revision {}, {why}, until the manifest's template changes", revision.number))
}

/// The condition that says so, whatever else there is to say.
fn stays_pinned(history: &DeploymentHistory) -> Option<Condition> {
    // What stalled has come to no revision that it could stay at.
    let message = pinned(history).filter(|_| !matches!(history.rollout, Rollout::Stalled { .. }))?;
    Some(Condition { kind: PINNED.into(), status: true, reason: "OtherRevisionChosen".into(), message })
}

/// What the next action is about, when nothing is waited for.
fn trouble(decided: &Decided) -> Option<String> {
    decided.actions.first().map(|action| format!("{}: {}", action.call, action.cause))
}

fn conditions(history: &DeploymentHistory, counts: Replicas, phase: &str, message: &str) -> Vec<Condition> {
    let condition = |kind: &str, status: bool, reason: &str, message: &str| Condition {
        kind: kind.into(),
        status,
        reason: reason.into(),
        message: message.into(),
    };
    let enough = counts.available >= counts.desired;
    let available = format!("{} of {} replicas are available", counts.available, counts.desired);
    // A first revision that failed is tried on, and nobody should wait for that.
    let failed = matches!(history.rollout, Rollout::Progressing { failed_at: Some(_), .. });
    let phase = if failed { "RolloutFailed" } else { phase };
    let under_way = matches!(history.rollout, Rollout::Progressing { .. } | Rollout::RollingBack { .. });
    let moving = phase == "Waiting" || under_way && !failed;
    let degraded = failed || matches!(phase, "RolledBack" | "RollingBack" | "Stalled" | "Degraded");
    vec![
        condition("Available", enough, if enough { "MinimumReplicasAvailable" } else { "ReplicasMissing" }, &available),
        condition("Progressing", moving, phase, if moving { message } else { "" }),
        condition(
            "Degraded",
            degraded,
            if phase == "Complete" { "AsDeclared" } else { phase },
            if degraded { message } else { "" },
        ),
    ]
}

fn container_of(history: &DeploymentHistory, replica: &Replica) -> ContainerStatus {
    container(
        replica.container,
        replica.serves(),
        history.retiring.contains_key(&replica.container.id),
        restarts_of(Some(history), replica.container),
        replica.readiness.message(),
    )
}

/// The engine's restarts, and ours.
fn restarts_of(history: Option<&DeploymentHistory>, container: &Container) -> u32 {
    let ours = history.and_then(|history| history.restarted.get(&container.id)).map_or(0, |restarts| restarts.count);
    container.restart_count.saturating_add(ours)
}

fn container(container: &Container, ready: bool, retiring: bool, restarts: u32, message: &str) -> ContainerStatus {
    let (state, since) = state(&container.state);
    ContainerStatus {
        name: container.name.clone(),
        id: container.id.to_string(),
        revision: container.revision.to_string(),
        state: state.into(),
        ready,
        retiring,
        restarts,
        since,
        ended_at: container.ended_at,
        address: container.networks.values().find_map(|endpoint| endpoint.address),
        message: printable(message),
        last_log: if ready { Vec::new() } else { container.last_log.clone() },
    }
}

fn state(state: &ContainerState) -> (&'static str, Option<Timestamp>) {
    match state {
        ContainerState::Created { error: None } => ("Created", None),
        ContainerState::Created { error: Some(_) } => ("StartFailed", None),
        ContainerState::Running { since } => ("Running", Some(*since)),
        ContainerState::Paused => ("Paused", None),
        ContainerState::Restarting { .. } => ("Restarting", None),
        ContainerState::Exited(exit) => ("Exited", Some(exit.finished_at)),
        ContainerState::Removing => ("Removing", None),
    }
}

/// The status of an object of which the policy does not allow something: that is told before anything else, unless a
/// person or a rollback has to do with how it stands. What runs as declared still does.
pub fn refused(status: Status, refused: &[Refusal]) -> Status {
    let text = refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let reasons = refused.first().map_or("", |refusal| refusal.rule.as_str());
    let condition =
        Condition { kind: "Refused".into(), status: true, reason: camel_case(reasons), message: printable(&text) };
    let stays = ["Complete", "Ready", "Running", "RolledBack", "RollingBack", "Stalled", "Paused", "Suspended"];
    let keeps = stays.contains(&status.phase.as_str());
    let message = match status.phase.as_str() {
        "Complete" | "Ready" | "Running" => format!("it is left as it is, but the policy would refuse it now: {text}"),
        _ if keeps => status.message,
        _ => format!("refused by the policy: {text}"),
    };
    Status {
        phase: if keeps { status.phase } else { "Refused".into() },
        message: printable(&message),
        conditions: status.conditions.into_iter().chain([condition]).collect(),
        ..status
    }
}

/// The condition of an object that waits for the host.
pub fn short(shortage: &Shortage) -> Condition {
    Condition {
        kind: "HostShort".into(),
        status: true,
        reason: shortage.reason.into(),
        message: shortage.message.clone(),
    }
}

/// The condition of an object with containers that somebody has renamed.
pub fn renamed(names: &BTreeSet<String>) -> Condition {
    let names: Vec<String> = names.iter().map(|name| printable(name)).collect();
    let message = format!(
        "{} has the labels of one of its containers and another name, so it is left alone; as long as it runs, its host \
         ports are taken and its names on its networks may lead to it: `docker rm -f {}` ends that",
        names.join(", "),
        names.join(" ")
    );
    Condition { kind: RENAMED.into(), status: true, reason: "ContainerRenamed".into(), message }
}

/// `engine-socket` → `EngineSocket`, as the reasons of conditions are written.
fn camel_case(rule: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    rule.split('-').map(word).collect()
}

/// What there is of a workload that is not declared and left as it is.
pub fn undeclared(world: World, past: &History, key: &Key) -> Status {
    let containers = world.containers(key);
    let running = containers.iter().filter(|c| matches!(c.state, ContainerState::Running { .. })).count() as u32;
    let counts =
        Replicas { desired: 0, current: containers.len() as u32, updated: 0, ready: running, available: running };
    Status {
        replicas: (key.kind == Kind::Deployment).then_some(counts),
        containers: containers
            .iter()
            .map(|c| container(c, super::readiness::is_named(c), false, restarts_of(past.deployments.get(key), c), ""))
            .collect(),
        ..Status::default()
    }
}

/// How a Job stands.
pub fn job(world: World, key: &Key, spec: &JobSpec, history: &JobHistory, decided: &Decided) -> Status {
    let run = history.runs.last();
    let waiting = decided.waiting.first().map(|first| format!("waiting for {first}"));
    let (phase, message) = match run.map(|run| &run.state) {
        _ if spec.suspend => ("Suspended", "suspended by its manifest".to_string()),
        None | Some(JobState::Pending) => ("Waiting", waiting.unwrap_or_default()),
        Some(JobState::Started { .. }) => ("Running", waiting.unwrap_or_default()),
        Some(JobState::Retrying { .. }) => ("Retrying", waiting.unwrap_or_default()),
        Some(JobState::Succeeded { .. }) => ("Complete", waiting.unwrap_or_default()),
        Some(JobState::Failed { reason, .. }) => ("Failed", reason.clone()),
        Some(JobState::Unknown { .. }) => {
            let name = &key.name;
            let message = format!(
                "whether it has run is not known, because its container or the history was lost: check what it did, then \
                 `evenkeel rollout retry job/{name} -n {}` runs it again",
                key.namespace
            );
            ("Unknown", message)
        }
    };
    let done = phase == "Complete";
    let bad = matches!(phase, "Failed" | "Unknown");
    let condition = |kind: &str, status: bool| Condition {
        kind: kind.into(),
        status,
        reason: phase.into(),
        message: printable(&message),
    };
    Status {
        phase: phase.into(),
        conditions: vec![condition("Complete", done), condition("Failed", bad)],
        message: printable(&message),
        replicas: None,
        revision: run.map(|run| RevisionSummary {
            number: 0,
            id: run.revision.to_string(),
            image: run.template.image.clone(),
        }),
        waiting: decided.waiting.clone(),
        blocked: decided.blocked,
        build_output: decided.build_output.clone(),
        containers: world.containers(key).iter().map(|c| container(c, false, false, 0, "")).collect(),
        image_policy: None,
    }
}

/// How a CronJob stands. Waiting for its time is where it should be, and so is a run that is under way.
pub fn cron_job(world: World, key: &Key, spec: &CronJobSpec, history: &CronJobHistory, decided: &Decided) -> Status {
    let under_way = history.under_way().map(|run| run_id(run.scheduled_at).to_string()).collect::<Vec<_>>();
    let waiting = decided.waiting.first().map(|first| format!("waiting for {first}"));
    let (phase, message) = match &decided.trouble {
        Some(trouble) => ("Degraded", trouble.clone()),
        None if !under_way.is_empty() && history.under_way().all(CronRun::has_not_begun) => {
            ("Waiting", waiting.unwrap_or_default())
        }
        None if !under_way.is_empty() => ("Active", waiting.unwrap_or_else(|| format!("run {}", under_way.join(", ")))),
        None if spec.suspend => ("Suspended", "suspended by its manifest".into()),
        None => ("Scheduled", format!("{} ({})", spec.schedule, spec.time_zone)),
    };
    let newest = history.runs.iter().rev().find(|run| run.is_over()).and_then(|run| run.job.as_ref());
    let failure = newest.and_then(|job| match &job.state {
        JobState::Failed { reason, .. } => Some(format!("run {}: {reason}", job.revision)),
        JobState::Unknown { .. } => Some(format!("run {}: its container vanished", job.revision)),
        JobState::Succeeded { .. } | JobState::Pending | JobState::Started { .. } | JobState::Retrying { .. } => None,
    });
    let condition = Condition {
        kind: "LastRunFailed".into(),
        status: failure.is_some(),
        reason: if failure.is_some() { "RunFailed" } else { "AsDeclared" }.into(),
        message: printable(&failure.unwrap_or_default()),
    };
    Status {
        phase: phase.into(),
        conditions: vec![condition],
        message: printable(&message),
        replicas: None,
        revision: None,
        waiting: decided.waiting.clone(),
        blocked: decided.blocked,
        build_output: decided.build_output.clone(),
        containers: world.containers(key).iter().map(|c| container(c, false, false, 0, "")).collect(),
        image_policy: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How something in this phase stands where the policy refuses it.
    fn refused_in(phase: &str) -> Status {
        let status = Status { phase: phase.into(), message: "as it was".into(), ..Status::default() };
        let refusal = Refusal {
            field: "template.mounts".into(),
            rule: "engine-socket".into(),
            level: None,
            why: "mounts the engine's socket".into(),
            way_out: "change it".into(),
        };
        refused(status, &[refusal])
    }

    #[test]
    fn what_a_person_or_a_rollback_has_to_do_with_is_told_before_what_the_policy_refuses() {
        for (phase, shown, message) in [
            ("Complete", "Complete", "it is left as it is, but the policy would refuse it now: "),
            ("Paused", "Paused", "as it was"),
            ("RolledBack", "RolledBack", "as it was"),
            ("Waiting", "Refused", "refused by the policy: "),
        ] {
            let status = refused_in(phase);
            assert_eq!(status.phase, shown);
            assert!(status.message.starts_with(message), "{phase}: {}", status.message);
            let condition = status.conditions.last().unwrap();
            assert_eq!((condition.kind.as_str(), condition.reason.as_str()), ("Refused", "EngineSocket"));
        }
    }
}
