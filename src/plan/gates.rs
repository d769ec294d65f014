//! What has to go well around a rollout: a Deployment asks for its gates one after the other, and learns how they went.
//! A gate's Job runs when it is asked for, by the rules of every Job: once for its template, image and configuration.
//!
//! Only the manifest's own revision passes gates: what somebody goes back to has served before.

use super::build;
use super::deployment;
use super::jobs::Asked;
use super::needs;
use super::replica::{Replica, find, last_words};
use super::taken_over;
use super::world::{Decided, World};
use crate::model::cron::{CronJobHistory, CronRun};
use crate::model::gate::{GateRecord, GateResult};
use crate::model::history::{DeploymentHistory, History, Revision, Rollout};
use crate::model::job::{JobRun, JobState};
use crate::model::name::{Key, Kind, Name};
use crate::model::observed::{ContainerState, ProbeResult};
use crate::model::revision::{ImageId, RevisionId};
use crate::model::spec::{DeploymentSpec, Gate};
use crate::model::status::{ProbePurpose, ProbeTask, Severity};

/// The side of a rollout that a gate is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Before a replica is made, or stopped for it.
    Before,
    /// Once all new replicas are available.
    After,
}

/// What a gate is remembered by.
pub fn title(side: Side, gate: &Gate) -> String {
    match side {
        Side::Before => gate.title(),
        Side::After => format!("{} afterwards", gate.title()),
    }
}

/// Every gate with its number on its side.
pub fn all(spec: &DeploymentSpec) -> impl Iterator<Item = (Side, u8, &Gate)> {
    let before = (0..).zip(&spec.gates.before).map(|(number, gate)| (Side::Before, number, gate));
    before.chain((0..).zip(&spec.gates.after).map(|(number, gate)| (Side::After, number, gate)))
}

/// What the gates that are Jobs are remembered by, with the Jobs.
pub fn titles(spec: &DeploymentSpec) -> impl Iterator<Item = (String, &Name)> {
    all(spec).filter_map(|(side, _, gate)| Some((title(side, gate), gate.job.as_ref()?)))
}

/// The revision that has gates to pass: one that is being reached for the first time, and that nobody chose.
pub fn gated(history: &DeploymentHistory) -> Option<&Revision> {
    let Rollout::Progressing { to, .. } = &history.rollout else { return None };
    let chosen = history.pin.is_some();
    find(history, to).filter(|revision| !chosen && !revision.is_completed())
}

/// Whether a revision is what the manifest asks for now. While the image of a newer one is not known, it is not, and the
/// Job that takes image and configuration from the manifest is a later one's.
pub fn is_the_manifests(
    world: World,
    key: &Key,
    spec: &DeploymentSpec,
    history: &DeploymentHistory,
    revision: &Revision,
) -> bool {
    let contents = build::contents(world, key, &spec.template);
    deployment::hash(spec, &contents, history) == revision.template_hash
}

/// Writes down what the gates found that were asked for.
pub fn record(
    world: World,
    decided: &mut Decided,
    past: &History,
    key: &Key,
    spec: &DeploymentSpec,
    replicas: &[Replica],
    history: &mut DeploymentHistory,
) {
    let asked = gated(history).filter(|revision| !revision.gates.is_empty());
    let current = asked.filter(|revision| is_the_manifests(world, key, spec, history, revision));
    let Some(id) = current.map(|revision| revision.id.clone()) else { return };
    let Some(revision) = history.revisions.iter_mut().find(|revision| revision.id == id) else { return };
    let was_out = was_out(replicas, revision);
    for (side, number, gate) in all(spec) {
        let asked = revision.gates.get_mut(&title(side, gate)).filter(|record| !record.is_passed());
        let Some(record) = asked else { continue };
        if let Some(run) = gate.object(key).and_then(|of| run(world, past, &of, &revision.image, record)) {
            record.earlier.clone_from(&run.earlier);
        }
        let result = match gate.object(key) {
            Some(of) if of.kind == Kind::CronJob => ran(world, past, &of, gate, record),
            // What is out came past the gates before it: if nobody knows how its Job ended, the history was lost since.
            Some(of) if side == Side::Before && was_out && is_unknown(world, past, &of, &revision.image) => {
                Some(GateResult { at: world.now, failure: None, last_log: Vec::new() })
            }
            Some(of) => outcome(world, past, &of, &revision.image, record.again_after),
            None => checked(world, replicas, &id, number, gate),
        };
        let failure = |result: &Option<GateResult>| result.as_ref().map(|result| result.failure.clone());
        if let Some(why) = unmade(replicas, &id, number).filter(|_| result.is_none() && side == Side::After) {
            decided.wait(format!("its gate {}: {why}", gate.title()));
        }
        // A check goes on where there is nothing to go back to: that it fails at another replica too, or otherwise, is no news.
        let still_fails = gate.object(key).is_none() && is_failed(&result) && is_failed(&record.result);
        if failure(&result) == failure(&record.result) || still_fails {
            continue;
        }
        if let Some(GateResult { failure, .. }) = &result {
            let passed = || format!("revision {} passed its gate: {}", revision.number, gate.title());
            match failure {
                None => decided.tell(world, key, Severity::Normal, "GatePassed", passed()),
                Some(failure) => decided.tell(world, key, Severity::Warning, "GateFailed", failure.clone()),
            }
        }
        record.result = result;
    }
}

fn is_failed(result: &Option<GateResult>) -> bool {
    result.as_ref().is_some_and(|result| result.failure.is_some())
}

/// What a check found at every new replica; none while one of them has not answered.
fn checked(world: World, replicas: &[Replica], id: &RevisionId, number: u8, gate: &Gate) -> Option<GateResult> {
    let new = replicas.iter().filter(|replica| replica.container.revision == *id && !replica.retiring);
    let mut all_well = true;
    for replica in new {
        // One that is not ready (again, after a restart of the engine) is not asked: it would blame the revision for its start.
        if !replica.readiness.is_ready() {
            all_well = false;
            continue;
        }
        match replica.container.probes.gates.get(&number) {
            Some(ProbeResult::Success) => {}
            Some(ProbeResult::Failure { message }) => {
                let failure = format!("its gate {} failed at {}: {message}", gate.title(), replica.container.name);
                let last_log = replica.container.last_log.clone();
                return Some(GateResult { at: world.now, failure: Some(failure), last_log });
            }
            Some(ProbeResult::Unknown { .. } | ProbeResult::Unmade { .. }) | None => all_well = false,
        }
    }
    all_well.then(|| GateResult { at: world.now, failure: None, last_log: Vec::new() })
}

/// Why a check could not be made at some new replica.
fn unmade<'a>(replicas: &'a [Replica], id: &RevisionId, number: u8) -> Option<&'a str> {
    let mut new = replicas.iter().filter(|replica| replica.container.revision == *id && !replica.retiring);
    new.find_map(|replica| {
        let ProbeResult::Unmade { message } = replica.container.probes.gates.get(&number)? else { return None };
        Some(message.as_str())
    })
}

/// The checks that a rollout has come to, of every new replica.
pub fn probes(key: &Key, spec: &DeploymentSpec, history: &DeploymentHistory, replicas: &[Replica]) -> Vec<ProbeTask> {
    let Some(revision) = gated(history).filter(|revision| !revision.gates.is_empty()) else { return Vec::new() };
    let is_open = |side, gate| revision.gates.get(&title(side, gate)).is_some_and(|record| !record.is_passed());
    let checks = all(spec).filter(|(side, _, gate)| is_open(*side, gate));
    let is_asked = |r: &&Replica| r.container.revision == revision.id && !r.retiring && r.readiness.is_ready();
    let new = || replicas.iter().filter(is_asked);
    let tasks = checks.filter_map(|(_, number, gate)| Some((number, gate, gate.probe()?)));
    let tasks = tasks.flat_map(|(number, gate, probe)| {
        new().filter_map(move |replica| {
            let task = deployment::task(replica, ProbePurpose::Gate(number), &probe, false, &revision.template)?;
            Some(if gate.by_name { by_name(task, replica, &key.name) } else { task })
        })
    });
    tasks.collect()
}

/// The same check by the Deployment's name, from within the replica's network: as its neighbours come to it.
fn by_name(task: ProbeTask, replica: &Replica, name: &Name) -> ProbeTask {
    let process = replica.container.process;
    ProbeTask { address: task.address.filter(|_| process.is_some()), process, name: Some(name.clone()), ..task }
}

/// Whether a run of a CronJob has ended well lately, or that which was begun because none had; none while it goes on.
fn ran(world: World, past: &History, cron_job: &Key, gate: &Gate, record: &GateRecord) -> Option<GateResult> {
    let history = past.cron_jobs.get(cron_job)?;
    if is_recent(history, gate, record) {
        return Some(GateResult { at: world.now, failure: None, last_log: Vec::new() });
    }
    let run = run_since(history, record)?;
    let (why, last_log) = match &run.job.as_ref()?.state {
        JobState::Failed { reason, last_log, .. } => (format!("{reason}{}", last_words(last_log)), last_log.clone()),
        JobState::Unknown { .. } => ("nobody knows how its run ended".into(), Vec::new()),
        JobState::Succeeded { last_log, .. } => {
            return Some(GateResult { at: world.now, failure: None, last_log: last_log.clone() });
        }
        JobState::Pending | JobState::Started { .. } | JobState::Retrying { .. } => return None,
    };
    let failure = format!("its gate cronjob {} failed: {why}", cron_job.name);
    Some(GateResult { at: world.now, failure: Some(failure), last_log })
}

/// The run that was begun since a gate asked for one. What a newer run has taken the place of tells nothing.
pub fn run_since<'a>(history: &'a CronJobHistory, record: &GateRecord) -> Option<&'a CronRun> {
    history.runs.iter().find(|run| !run.replaced && run.scheduled_at >= record.asked_at)
}

/// A rollout that begins again comes to its gates again: what ran before that is no longer lately.
pub fn come_anew(spec: &DeploymentSpec, history: &mut DeploymentHistory, to: &RevisionId) {
    let Some(revision) = history.revisions.iter_mut().find(|revision| revision.id == *to) else { return };
    let of_runs: Vec<String> =
        all(spec).filter(|(.., gate)| gate.cron_job.is_some()).map(|(side, _, gate)| title(side, gate)).collect();
    revision.gates.retain(|title, record| record.result.is_some() || !of_runs.contains(title));
}

/// Whether a run has ended well lately, as of when the rollout came to the gate.
pub fn is_recent(history: &CronJobHistory, gate: &Gate, record: &GateRecord) -> bool {
    history.last_success.is_some_and(|at| at + gate.within >= record.asked_at)
}

/// The run that a Job or CronJob has made or makes for a gate.
fn run<'a>(world: World, past: &'a History, of: &Key, image: &ImageId, record: &GateRecord) -> Option<&'a JobRun> {
    match of.kind {
        Kind::CronJob => run_since(past.cron_jobs.get(of)?, record)?.job.as_ref(),
        _ => job_run(world, past, of, image),
    }
}

/// The run of a gate's Job, once it has come to that.
fn job_run<'a>(world: World, past: &'a History, job: &Key, image: &ImageId) -> Option<&'a JobRun> {
    let declared = world.desired.jobs.get(job)?;
    let history = past.jobs.get(job)?;
    let run = history.runs.last().filter(|_| Asked::of(world, job, &declared.spec).is_entered(history))?;
    // Where the image is the Deployment's, a run with the one before it says nothing.
    (declared.spec.image_of.is_none() || run.image == *image).then_some(run)
}

/// Whether nobody knows how the run of a gate's Job went.
fn is_unknown(world: World, past: &History, job: &Key, image: &ImageId) -> bool {
    job_run(world, past, job, image).is_some_and(|run| matches!(run.state, JobState::Unknown { .. }))
}

/// Whether a replica of a revision was started before that is remembered: the history was lost since.
fn was_out(replicas: &[Replica], revision: &Revision) -> bool {
    let own = replicas.iter().map(|replica| replica.container).filter(|container| container.revision == revision.id);
    let mut older = own.filter(|container| taken_over::is_unremembered(Some(revision), container));
    older.any(|container| !matches!(container.state, ContainerState::Created { .. }))
}

/// How the run of a gate's Job went; none while it has not ended. Unknown is no end: a person decides.
fn outcome(world: World, past: &History, job: &Key, image: &ImageId, again_after: Option<u32>) -> Option<GateResult> {
    let run = job_run(world, past, job, image)?;
    let (failure, last_log) = match &run.state {
        JobState::Succeeded { last_log, .. } => (None, last_log),
        JobState::Failed { .. } if again_after == Some(run.attempt) => return None,
        JobState::Failed { reason, last_log, .. } => {
            (Some(format!("its gate job {} failed: {reason}{}", job.name, last_words(last_log))), last_log)
        }
        JobState::Pending | JobState::Started { .. } | JobState::Retrying { .. } | JobState::Unknown { .. } => {
            return None;
        }
    };
    Some(GateResult { at: world.now, failure, last_log: last_log.clone() })
}

/// Why a revision cannot pass, if one of its gates has failed.
pub fn failure(history: &DeploymentHistory, to: &RevisionId) -> Option<String> {
    let results = find(history, to)?.gates.values().filter_map(|record| record.result.as_ref());
    results.filter_map(|result| result.failure.clone()).next()
}

/// The first gate of one side that a revision has not passed yet.
fn next<'a>(spec: &'a DeploymentSpec, revision: &Revision, side: Side) -> Option<(String, &'a Gate)> {
    let passed = |title: &String| revision.gates.get(title).is_some_and(GateRecord::is_passed);
    let mut of_side = all(spec).filter(|(of, ..)| *of == side).map(|(.., gate)| (title(side, gate), gate));
    of_side.find(|(title, _)| !passed(title))
}

/// Whether the gates before its first replica are passed by the revision that is being reached; none is asked for.
pub fn are_passed_before(spec: &DeploymentSpec, history: &DeploymentHistory) -> bool {
    gated(history).is_none_or(|revision| next(spec, revision, Side::Before).is_none())
}

/// Whether all gates of one side are passed; if not, the next one is asked for.
pub fn open(
    world: World,
    decided: &mut Decided,
    past: &History,
    key: &Key,
    spec: &DeploymentSpec,
    history: &mut DeploymentHistory,
    side: Side,
) -> bool {
    let Some(revision) = gated(history) else { return true };
    let Some((title, gate)) = next(spec, revision, side) else { return true };
    if !is_the_manifests(world, key, spec, history, revision) {
        let number = revision.number;
        decided.wait(format!("the manifest's newest image: until it is known, revision {number} passes no gates"));
        return false;
    }
    let id = revision.id.clone();
    if !revision.gates.contains_key(&title) {
        if !needs::dependencies_met(world, decided, past, key, &revision.template) {
            return false;
        }
        let number = revision.number;
        let message = format!("revision {number} comes to its gate: {}", gate.title());
        decided.tell(world, key, Severity::Normal, "GateReached", message);
        if let Some(revision) = history.revisions.iter_mut().find(|revision| revision.id == id) {
            revision.gates.insert(
                title,
                GateRecord { asked_at: world.now, result: None, again_after: None, earlier: Vec::new() },
            );
        }
        // Its Job is decided with the memory of before this pass: at once, again.
        decided.wake(world.now);
    }
    let title = gate.title();
    // Where there is nothing to go back to, or nobody knows whether it has run, a person decides.
    let stuck = match failure(history, &id) {
        Some(_) => Some(format!("which failed: `evenkeel rollout retry {key}` runs it again")),
        None => stuck(world, past, key, gate, history.rollout.revision().and_then(|id| find(history, id))),
    };
    decided.blocked |= stuck.is_some();
    decided.wait(match stuck {
        Some(why) => format!("its gate {title}, {why}"),
        None => format!("its gate {title}"),
    });
    false
}

/// Why the Job that a gate is does not come to its end by itself, and the way out.
fn stuck(world: World, past: &History, key: &Key, gate: &Gate, revision: Option<&Revision>) -> Option<String> {
    let job = key.sibling(Kind::Job, gate.job.as_ref()?);
    if world.desired.jobs.get(&job)?.spec.suspend {
        return Some("which its manifest suspends".into());
    }
    is_unknown(world, past, &job, &revision?.image).then(|| {
        let Key { name, namespace, .. } = &job;
        format!("of which nobody knows whether it has run: `evenkeel rollout retry job/{name} -n {namespace}` runs it")
    })
}
