//! What must hold in every state of the small world and at every step of it. It looks, and says what is broken.

use evenkeel::model::action::{Action, Call};
use evenkeel::model::history::Outcome;
use evenkeel::model::name::Key;
use evenkeel::model::observed::ContainerId;
use evenkeel::model::revision::RevisionId;
use evenkeel::model::status::{Plan, Status};

use crate::state::{Event, Left, State, UnderWay};
use crate::support::sim::container::Container;
use crate::town::{House, IMAGES, Town, task};

/// What is wrong with what a pass decided.
pub fn of_a_plan(state: &State, plan: &Plan) -> Option<String> {
    plan.actions.iter().find_map(|action| tried_again(state, action))
}

/// A rejected revision gets no new container and no start, until its manifest changes: it never does here.
fn tried_again(state: &State, action: &Action) -> Option<String> {
    let revision = match &action.call {
        Call::CreateContainer(spec) => spec.labels.get(evenkeel::model::container::label::REVISION)?.clone(),
        Call::Start { container, .. } => revision_of(&state.world.containers[container])?.to_string(),
        _ => return None,
    };
    let is_rejected = state.rejected.contains(&RevisionId(revision));
    is_rejected.then(|| format!("'{}': its revision was rejected, and is tried again", action.call))
}

fn revision_of(container: &Container) -> Option<&str> {
    container.name.rsplit('.').nth(1)
}

/// What is wrong with a step from one state to the next.
pub fn of_a_step(town: &Town, before: &State, event: Event, after: &State) -> Option<String> {
    let of_the_step = match event {
        Event::Effect { number, .. } => of_an_effect(town, before, &before.under_way[number]),
        _ => None,
    };
    of_the_step.or_else(|| volumes_stay(before, after)).or_else(|| jobs_run_once(after))
}

fn of_an_effect(town: &Town, state: &State, under_way: &UnderWay) -> Option<String> {
    let house = town.house(&under_way.action.object)?;
    match &under_way.action.call {
        Call::Stop(stop) | Call::Restart(stop) => enough_stay(state, house, under_way, &stop.container),
        Call::Reconnect(c) if c.aliases.is_empty() => enough_stay(state, house, under_way, &c.container),
        Call::Start { container, .. } => not_too_many_run(state, house, container),
        _ => None,
    }
}

/// What clients can reach is taken away only while enough others stay. A restart of the engine is its own doing: what was
/// decided before it is not judged by what it took, and what it started again has no name until it was seen ready.
fn enough_stay(state: &State, house: &House, under_way: &UnderWay, id: &ContainerId) -> Option<String> {
    let container = state.world.containers.get(id).filter(|c| is_reachable(state, c))?;
    if under_way.decided_at != state.left.restarts || container.revivals > 0 && !under_way.was_ready {
        return None;
    }
    let others = reachable(state, &house.key) - 1;
    let (call, floor) = (&under_way.action.call, house.floor);
    (others < floor).then(|| {
        format!("'{call}' takes {} away and leaves {others} that can be reached, {floor} are promised", container.name)
    })
}

fn not_too_many_run(state: &State, house: &House, id: &ContainerId) -> Option<String> {
    let is_told_to_stop = |c: &Container| {
        let is_stop = |u: &UnderWay| matches!(&u.action.call, Call::Stop(stop) if stop.container == c.id);
        c.stopped_by_call || state.under_way.iter().any(is_stop) || has_failed(state, c)
    };
    let runs = |c: &&Container| c.id != *id && c.is_alive() && !is_told_to_stop(c);
    let running = of(state, &house.key).filter(runs).count();
    let ceiling = house.ceiling;
    let starts = state.world.containers.get(id).is_some_and(|c| !c.is_alive());
    (starts && running >= ceiling).then(|| format!("a start while {running} run, at most {ceiling} are allowed"))
}

/// A stop that failed was asked for all the same.
fn has_failed(state: &State, container: &Container) -> bool {
    state.failures.contains_key(&evenkeel::model::action::container_target(&container.id))
}

fn volumes_stay(before: &State, after: &State) -> Option<String> {
    let gone = before.world.volumes.iter().find(|(name, volume)| after.world.volumes.get(*name) != Some(*volume));
    gone.map(|(name, _)| format!("volume {name} is not what it was"))
}

/// A revision of a job is started at most once, whatever its attempts are called.
fn jobs_run_once(state: &State) -> Option<String> {
    let of_job = |revision: &&str| {
        let starts = state.world.starts.iter().filter(|(name, _)| name.starts_with(&format!("{revision}.")));
        starts.map(|(_, count)| count).sum::<u32>()
    };
    let jobs = state.world.starts.keys().filter(|name| name.starts_with("shop.task."));
    let mut revisions = jobs.filter_map(|name| Some(name.rsplit_once('.')?.0));
    let twice = revisions.find(|revision| of_job(revision) > 1)?;
    Some(format!("the job {twice} was started {} times", of_job(&twice)))
}

/// What is wrong with a state in which nothing has gone wrong yet.
pub fn of_a_calm_state(town: &Town, state: &State, at_first: Left) -> Option<String> {
    if state.left != at_first || state.edit == 0 {
        return None;
    }
    let short = town.houses.iter().find(|house| reachable(state, &house.key) < house.floor)?;
    let (key, floor) = (&short.key, short.floor);
    Some(format!("{key}: {} can be reached, {floor} are promised", reachable(state, key)))
}

/// Whether a state is one to stay in: nothing under way or to come, and every object as its manifest wants it.
pub fn is_at_rest(town: &Town, state: &State, plan: &Plan) -> bool {
    let quiet = state.under_way.is_empty() && plan.actions.is_empty() && plan.wake_at.is_none();
    let is_complete = |key: &Key| plan.status.get(key).is_some_and(|status| status.phase == "Complete");
    let job_ended =
        plan.status.get(&task()).is_none_or(|s| ["Complete", "Failed", "Unknown"].contains(&s.phase.as_str()));
    quiet
        && job_ended
        && town.houses.iter().all(|house| is_home(state, plan, house, !house.waits || is_complete(&task())))
}

fn is_home(state: &State, plan: &Plan, house: &House, may_go_on: bool) -> bool {
    let Some(Status { phase, .. }) = plan.status.get(&house.key) else { return false };
    let running: Vec<&Container> = of(state, &house.key).filter(|c| c.is_alive()).collect();
    if !may_go_on && !has_ever_completed(state, &house.key) {
        // The engine took the job of the very first revision: nothing was there that could stay.
        return running.is_empty() && phase != "Stalled";
    }
    let is_whole = running.len() == house.replicas && running.iter().all(|c| is_reachable(state, c));
    let image = IMAGES[state.edit];
    let is_right = match (may_go_on, image) {
        (true, "app:bad") => phase == "RolledBack",
        (true, _) => phase == "Complete" && running.iter().all(|c| c.reference == image || c.app_is(state, image)),
        // The engine took the job: what was there stays.
        (false, _) => phase != "Stalled",
    };
    is_whole && is_right
}

fn has_ever_completed(state: &State, key: &Key) -> bool {
    let mut revisions = state.history.deployments.get(key).into_iter().flat_map(|known| &known.revisions);
    revisions.any(|revision| matches!(revision.outcome, Outcome::Completed { .. }))
}

impl Container {
    fn app_is(&self, state: &State, image: &str) -> bool {
        state.world.image(image).is_some_and(|found| found.id == self.image)
    }
}

fn reachable(state: &State, key: &Key) -> usize {
    of(state, key).filter(|c| is_reachable(state, c)).count()
}

fn is_reachable(state: &State, container: &Container) -> bool {
    container.serves(state.world.now) && container.endpoints.values().any(|endpoint| !endpoint.aliases.is_empty())
}

fn of<'a>(state: &'a State, key: &Key) -> impl Iterator<Item = &'a Container> {
    let prefix = format!("{}.{}.", key.namespace, key.name);
    state.world.containers.values().filter(move |c| c.name.starts_with(&prefix))
}
