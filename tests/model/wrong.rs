//! Controllers that are wrong on purpose, each in one way: the production plan, with one thing about it spoilt. They show
//! that the search can fail.

use evenkeel::model::action::{Action, Call, Stop};
use evenkeel::model::desired::Desired;
use evenkeel::model::history::{History, Outcome, Rollout};
use evenkeel::model::job::JobState;
use evenkeel::model::name::Kind;
use evenkeel::model::observed::{ContainerState, Observed};
use evenkeel::model::status::Plan;
use evenkeel::model::time::{Span, Timestamp};
use evenkeel::plan::plan;

/// Stops every old replica as soon as a new revision is on its way, whatever is promised.
pub fn without_a_budget(desired: &Desired, observed: &Observed, history: &History, now: Timestamp) -> Plan {
    let mut plan = plan(desired, observed, history, now);
    for container in observed.containers.values() {
        let Some(deployment) = plan.history.deployments.get(&container.owner) else { continue };
        let Rollout::Progressing { to, .. } = &deployment.rollout else { continue };
        let (id, name) = (container.id.clone(), container.name.clone());
        let call = Call::Stop(Stop { container: id, name, pre_stop: Vec::new(), grace: Span::secs(1) });
        let is_busy = observed.in_flight.contains(&call.target());
        let runs = matches!(container.state, ContainerState::Running { .. });
        if runs && container.revision != *to && !is_busy {
            plan.actions.retain(|action| action.call.target() != call.target());
            let (object, cause, downtime) = (container.owner.clone(), "it is old".into(), None);
            plan.actions.push(Action { object, cause, downtime, call });
        }
    }
    plan
}

/// Takes a revision that failed for one that was never tried, as soon as it has gone back.
pub fn without_a_memory_of_failures(desired: &Desired, observed: &Observed, history: &History, now: Timestamp) -> Plan {
    let mut plan = plan(desired, observed, history, now);
    for deployment in plan.history.deployments.values_mut() {
        let is_back = matches!(deployment.rollout, Rollout::Complete { .. });
        for revision in deployment.revisions.iter_mut().filter(|_| is_back) {
            if matches!(revision.outcome, Outcome::Rejected { .. }) {
                revision.outcome = Outcome::Pending;
            }
        }
    }
    plan
}

/// Never gives a replica its name.
pub fn without_names(desired: &Desired, observed: &Observed, history: &History, now: Timestamp) -> Plan {
    let mut plan = plan(desired, observed, history, now);
    plan.actions.retain(|action| !matches!(action.call, Call::Reconnect(_)));
    plan
}

/// Removes a job's container when it has ended, and with it what tells that it ran.
pub fn without_a_ledger(desired: &Desired, observed: &Observed, history: &History, now: Timestamp) -> Plan {
    let mut plan = plan(desired, observed, history, now);
    for job in plan.history.jobs.values_mut() {
        job.runs.iter_mut().filter(|run| matches!(run.state, JobState::Succeeded { .. })).for_each(|run| {
            run.state = JobState::Pending;
        });
    }
    for container in observed.containers.values().filter(|c| c.owner.kind == Kind::Job) {
        let call = Call::Remove { container: container.id.clone(), name: container.name.clone() };
        let ended = matches!(container.state, ContainerState::Exited(_));
        if ended && !observed.in_flight.contains(&call.target()) {
            let (object, cause, downtime) = (container.owner.clone(), "it has ended".into(), None);
            plan.actions.push(Action { object, cause, downtime, call });
        }
    }
    plan
}
