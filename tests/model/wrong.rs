//! Controllers that are wrong on purpose, each in one way: the production plan, with one thing about it spoilt. They show
//! that the search can fail.

use evenkeel::model::action::{Action, Call, Stop, container_target};
use evenkeel::model::desired::Desired;
use evenkeel::model::history::{DeploymentHistory, History, Outcome, Rollout};
use evenkeel::model::job::JobState;
use evenkeel::model::name::{Key, Kind};
use evenkeel::model::observed::{ContainerId, ContainerState, Exit, Fault, Observed};
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
    forgetting_runs(plan(desired, observed, history, now), observed, |_, _| true)
}

/// Does so with what ran before it was started itself, as if nobody could know how that went.
pub fn forgetting_at_a_crash(desired: &Desired, observed: &Observed, history: &History, now: Timestamp) -> Plan {
    let is_older = |_: &ContainerId, exit: &Exit| exit.started_at < observed.watched_since;
    forgetting_runs(plan(desired, observed, history, now), observed, is_older)
}

/// Does so where the engine did not answer, as if it had not done what it was asked for.
pub fn forgetting_at_a_timeout(desired: &Desired, observed: &Observed, history: &History, now: Timestamp) -> Plan {
    let failure = |id: &ContainerId| observed.failures.get(&container_target(id));
    let is_unanswered = |id: &ContainerId, _: &Exit| failure(id).is_some_and(|f| f.fault == Fault::Timeout);
    forgetting_runs(plan(desired, observed, history, now), observed, is_unanswered)
}

fn forgetting_runs(mut plan: Plan, observed: &Observed, which: impl Fn(&ContainerId, &Exit) -> bool) -> Plan {
    for container in observed.containers.values().filter(|c| c.owner.kind == Kind::Job) {
        let ContainerState::Exited(exit) = &container.state else { continue };
        let call = Call::Remove { container: container.id.clone(), name: container.name.clone() };
        if !which(&container.id, exit) || observed.in_flight.contains(&call.target()) {
            continue;
        }
        let runs = plan.history.jobs.get_mut(&container.owner).into_iter().flat_map(|job| &mut job.runs);
        runs.filter(|run| run.revision == container.revision).for_each(|run| run.state = JobState::Pending);
        let (object, cause, downtime) = (container.owner.clone(), "it has ended".into(), None);
        plan.actions.push(Action { object, cause, downtime, call });
    }
    plan
}

/// Does nothing for a Deployment while the rollout of another one is under way: two that begin together wait for each other.
pub fn one_rollout_at_a_time(desired: &Desired, observed: &Observed, history: &History, now: Timestamp) -> Plan {
    let mut plan = plan(desired, observed, history, now);
    let is_under_way = |(_, known): &(&Key, &DeploymentHistory)| matches!(known.rollout, Rollout::Progressing { .. });
    let under_way = plan.history.deployments.iter().filter(is_under_way).map(|(key, _)| key.clone());
    let under_way: Vec<Key> = under_way.collect();
    let may_act = |object: &Key| object.kind != Kind::Deployment || under_way.iter().all(|other| other == object);
    plan.actions.retain(|action| may_act(&action.object));
    plan
}
