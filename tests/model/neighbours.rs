//! That Deployments do not disturb each other: a pass over all of them decides for each what a pass over it alone would decide,
//! and what is done for one changes no container of the other.
//!
//! This is why two Deployments need not be tried in every order of both. Where that holds, what happens to one in any run of
//! both is a run of it alone, with the same crashes and restarts, and some passes in which it has nothing to decide; and each
//! alone is searched to its end. That it holds is looked at in every state that is reached with both: one's calls take
//! effect in every order and part, while the other goes through its whole course pass by pass; and the reverse. One thing
//! they share: a container can get an address that one of the other Deployment has left and wants back. The one whose calls
//! take effect in every order is given each of those; that both do it to each other at a time is not tried.

use evenkeel::model::action::Action;
use evenkeel::model::desired::Desired;
use evenkeel::model::history::History;
use evenkeel::model::name::Key;
use evenkeel::model::observed::Observed;
use evenkeel::model::status::{Plan, ProbeTask, Status};

use crate::state::{Event, State};
use crate::town::Town;

/// How a plan differs from what would be decided for each house alone.
pub fn disturbed(town: &Town, state: &State, plan: &Plan) -> Option<String> {
    if town.houses.len() < 2 {
        return None;
    }
    let alone: Vec<&Desired> = town.alone.iter().map(|manifests| &manifests[state.edit]).collect();
    let plans: Vec<Plan> = alone.iter().map(|desired| decide(town, state, desired)).collect();
    let of_nobody = plan.actions.iter().find(|action| !alone.iter().any(|desired| desired.declares(&action.object)));
    if let Some(action) = of_nobody {
        return Some(format!("'{}' is for no Deployment", action.call));
    }
    if plan.wake_at != plans.iter().filter_map(|plan| plan.wake_at).min() {
        return Some("both together are looked at again at another time than each alone".into());
    }
    let probes: Vec<&ProbeTask> = plans.iter().flat_map(|plan| &plan.probes).collect();
    if plan.probes.len() != probes.len() || probes.into_iter().any(|probe| !plan.probes.contains(probe)) {
        return Some("other probes are made than for each alone".into());
    }
    let mut parts = town.houses.iter().zip(alone).zip(&plans);
    parts.find_map(|((house, desired), alone)| {
        let what = difference(desired, plan, alone)?;
        Some(format!("{}: what is decided is not what would be if it were alone: {what}", house.key))
    })
}

/// A container of somebody else that has changed because of what was done for one object.
pub fn touched(before: &State, event: Event, after: &State) -> Option<String> {
    let Event::Effect { number, .. } = event else { return None };
    let action = &before.under_way[number].action;
    let own = format!("{}.{}.", action.object.namespace, action.object.name);
    let mut others = before.world.containers.values().filter(|container| !container.name.starts_with(&own));
    let changed = others.find(|other| !before.world.containers.is_shared(&after.world.containers, &other.id))?;
    Some(format!("'{}' changes {}", action.call, changed.name))
}

/// What a pass would decide if there were nothing but what these manifests declare.
fn decide(town: &Town, state: &State, desired: &Desired) -> Plan {
    let seen = state.seen(desired);
    let own = |owner: &Key| desired.declares(owner);
    let containers = seen.containers.into_iter().filter(|(_, container)| own(&container.owner)).collect();
    let History { deployments, jobs, .. } = &*state.history;
    let deployments = deployments.iter().filter(|(key, _)| own(key)).map(|(key, known)| (key.clone(), known.clone()));
    let jobs = jobs.iter().filter(|(key, _)| own(key)).map(|(key, known)| (key.clone(), known.clone()));
    let history = History { deployments: deployments.collect(), jobs: jobs.collect(), ..History::default() };
    (town.planner)(desired, &Observed { containers, ..seen }, &history, state.now())
}

/// What of the plan for both is not as in that for one, of what that one declares.
fn difference(desired: &Desired, both: &Plan, alone: &Plan) -> Option<String> {
    let actions: Vec<&Action> = both.actions.iter().filter(|action| desired.declares(&action.object)).collect();
    if actions.iter().copied().ne(&alone.actions) {
        let calls = |actions: &[&Action]| actions.iter().map(|action| action.call.to_string()).collect::<Vec<_>>();
        let of_one: Vec<&Action> = alone.actions.iter().collect();
        return Some(format!("{:?} instead of {:?}", calls(&actions), calls(&of_one)));
    }
    let deployments = both.history.deployments.iter().filter(|(key, _)| desired.declares(key));
    let jobs = both.history.jobs.iter().filter(|(key, _)| desired.declares(key));
    if deployments.ne(&alone.history.deployments) || jobs.ne(&alone.history.jobs) {
        return Some("another memory".into());
    }
    let differs = |(key, status): &(&Key, &Status)| both.status.get(key).map(standing) != Some(standing(status));
    let (key, _) = alone.status.iter().find(differs)?;
    Some(format!("{key} stands otherwise"))
}

/// What is told of an object. That something waits in vain is not told in a pass that changed what anything waits for.
fn standing(status: &Status) -> Status {
    Status { blocked: false, ..status.clone() }
}
