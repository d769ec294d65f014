//! Decisions: one pure function from what should be, what is and what has been to what to do now.
//!
//! No clock, no I/O, no async, no logging, no chance: whatever a decision needs is an argument, whatever it has to say is
//! in the [`Plan`]. No action in a plan depends on another action of the same plan, so any subset in any order is safe;
//! the next pass sees the result and plans the next bit. Start with [`plan`], then `deployment`, `rollout` (the phases)
//! and `converge` (the steps).

mod adopt;
mod blame;
mod budget;
mod build;
mod clean_up;
mod converge;
mod cron;
mod deployment;
mod follow;
mod forecast;
mod gates;
mod headroom;
mod holdings;
mod images;
mod inquiries;
mod jobs;
mod last_good;
mod monitor;
mod needs;
mod networks;
mod policy;
mod prune;
mod purpose;
mod quiet;
mod readiness;
mod rebuilt;
mod releases;
mod replica;
mod request;
mod restarts;
mod retire;
mod rollout;
mod runs;
mod slots;
mod stalled;
mod status;
mod stay;
mod strategy;
mod taken_over;
mod unmade;
mod upkeep;
mod volumes;
mod wards;
mod world;

use std::collections::BTreeSet;

use crate::model::desired::Desired;
use crate::model::history::History;
use crate::model::name::{Key, Kind};
use crate::model::observed::Observed;
use crate::model::revision::ContentId;
use crate::model::status::{Condition, Plan, Status};
use crate::model::time::Timestamp;

pub use forecast::{Ahead, Step, assume_ready, forecast};
pub use images::of_interest as images_of_interest;
pub use policy::declared as refusals;
pub use prune::confirm;
pub use rebuilt::announced as brought_back;
pub use request::request;
pub use wards::wards;

use headroom::Promised;
use holdings::Holdings;
use world::{Decided, World, index};

/// Decides what to do now.
pub fn plan(desired: &Desired, observed: &Observed, history: &History, now: Timestamp) -> Plan {
    let by_owner = index(observed);
    let holdings = Holdings::of(desired, observed, history, &by_owner);
    let follows = follow::follows(desired, observed, history, now);
    // From here on a chosen image is one that the manifest has written.
    let desired = &*follow::effective(desired, &follows);
    let promised = Promised::of(desired, observed, history);
    let wards = world::wards(desired);
    let (by_owner, wards, holdings, promised) = (&by_owner, &wards, &holdings, &promised);
    let gone = &volumes::gone(desired, observed, history);
    let world = World { desired, observed, now, by_owner, wards, holdings, promised, follows: &follows, gone };
    let mut plan = Plan::default();
    places(world, &mut plan);
    contents(world, &mut plan);
    for (key, declared) in &desired.jobs {
        let (after, decided) = jobs::job(world, key, declared, history);
        plan.history.jobs.insert(key.clone(), after);
        take(world, &mut plan, key, decided);
    }
    for (key, declared) in &desired.cron_jobs {
        let (after, decided) = cron::cron_job(world, key, declared, history);
        plan.history.cron_jobs.insert(key.clone(), after);
        take(world, &mut plan, key, decided);
    }
    for (key, declared) in &desired.deployments {
        let (after, decided) = deployment::deployment(world, key, declared, history);
        plan.history.deployments.insert(key.clone(), after);
        take(world, &mut plan, key, decided);
    }
    removals(world, history, &mut plan);
    let (brought, clean_up) = clean_up::clean_up(world, &history.images, &plan.history);
    plan.history.images = brought;
    for decided in [clean_up, prune::dead(world)] {
        plan.actions.extend(decided.actions);
        plan.wake_at = [plan.wake_at, decided.wake_at].into_iter().flatten().min();
    }
    if needs::is_newly_met(desired, history, &plan.history) || releases::has_news(desired, history, &plan.history) {
        // What waited for it is decided with the memory of before this pass: at once, again.
        plan.wake_at = Some(now);
        // Nor does anybody wait in vain before that.
        plan.status.values_mut().for_each(|status| status.blocked = false);
    }
    registries(world, &mut plan);
    let actions = images::one_each(std::mem::take(&mut plan.actions));
    plan.actions = holdings::one_writer(desired, observed, holdings, actions);
    plan
}

/// The contents that anything remembered may still need: what the store must keep.
pub fn contents_in_use(desired: &Desired, history: &History) -> BTreeSet<ContentId> {
    let declared = desired.contents.values().map(|content| content.spec.clone());
    let revisions = history.deployments.values().flat_map(|deployment| &deployment.revisions);
    let revisions = revisions.flat_map(|revision| revision.contents.values().cloned());
    let runs = history.jobs.values().flat_map(|job| &job.runs);
    let scheduled = history.cron_jobs.values().flat_map(|cron_job| &cron_job.runs).filter_map(|run| run.job.as_ref());
    let runs = runs.chain(scheduled).flat_map(|run| run.contents.values().cloned());
    declared.chain(revisions).chain(runs).collect()
}

/// Whether something runs of which nobody remembers what it was made from: its contents may be any that are kept.
pub fn has_unremembered(observed: &Observed, history: &History) -> bool {
    observed.containers.values().filter(|container| container.owner.kind == Kind::Deployment).any(|container| {
        let known = history.deployments.get(&container.owner);
        let revision = known.and_then(|known| known.revisions.iter().find(|known| known.id == container.revision));
        revision.is_none_or(|revision| revision.taken_over)
    })
}

/// Networks and volumes: the places where containers live.
fn places(world: World, plan: &mut Plan) {
    let mut pool = networks::Pool::new(world);
    for (key, declared) in &world.desired.networks {
        let decided = networks::network(world, &mut pool, key, declared);
        take(world, plan, key, decided);
    }
    for (key, declared) in &world.desired.volumes {
        let decided = volumes::volume(world, key, declared);
        take(world, plan, key, decided);
    }
}

fn contents(world: World, plan: &mut Plan) {
    for key in world.desired.contents.keys() {
        plan.status.insert(key.clone(), networks::ready(""));
    }
    for name in world.desired.namespaces.keys() {
        plan.status.insert(Key::new(Kind::Namespace, name.clone(), name.clone()), networks::ready(""));
    }
}

/// What registries are asked, and how it stands with the images that are followed there.
fn registries(world: World, plan: &mut Plan) {
    let (inquiries, due) = inquiries::inquiries(world);
    plan.inquiries = inquiries;
    plan.wake_at = [plan.wake_at, due].into_iter().flatten().min();
    for key in world.follows.keys() {
        if let (Some(status), Some((followed, condition))) = (plan.status.get_mut(key), follow::status(world, key)) {
            status.image_policy = Some(followed);
            status.conditions.push(condition);
        }
    }
}

/// What is no longer declared goes, unless a source is unknown (it may be declared there) or the brake holds it.
fn removals(world: World, past: &History, plan: &mut Plan) {
    let orphans = prune::orphans(world, past);
    // With an unknown source nobody can say what would be removed, so there is nothing to confirm.
    let known = world.desired.unknown_sources.is_empty();
    plan.held = if known { prune::held(world, past, &orphans) } else { Vec::new() };
    plan.history.confirmed = prune::still_confirmed(&past.confirmed, &orphans);
    let mut gone = Vec::new();
    let frozen = world.desired.unknown_sources.first().map(|why| format!("not removed: {why}"));
    for key in &orphans {
        let held = plan.held.iter().find(|held| held.namespace == key.namespace);
        let held = held.map(|held| {
            format!("{}; confirm with: evenkeel prune confirm {} {}", held.reason, held.namespace, held.id)
        });
        match frozen.clone().or(held) {
            Some(why) => hold(world, past, plan, key, why),
            None if remove(world, past, plan, key) => gone.push(key.clone()),
            None => {}
        }
    }
    plan.history.removed_jobs = jobs::still_removed(world, past, &gone);
    if world.desired.unknown_sources.is_empty() {
        for (key, decided) in prune::networks(world) {
            take(world, plan, &key, decided);
        }
    }
}

/// An undeclared workload that is left exactly as it is, remembered too.
fn hold(world: World, past: &History, plan: &mut Plan, key: &Key, why: String) {
    keep_history(past, plan, key);
    let phase = if world.desired.unknown_sources.is_empty() { "PruneHeld" } else { "Unknown" };
    let condition = Condition { kind: "PruneHeld".into(), status: true, reason: phase.into(), message: why.clone() };
    let held = plan.history.deployments.get_mut(key).filter(|_| phase == "PruneHeld");
    let mut decided = held.map(|history| prune::keep_alive(world, key, history)).unwrap_or_default();
    let as_it_is = status::undeclared(world, &plan.history, key);
    decided.status = Status { phase: phase.into(), message: why, conditions: vec![condition], ..as_it_is };
    take(world, plan, key, decided);
}

/// One step of a removal; whether nothing is left.
fn remove(world: World, past: &History, plan: &mut Plan, key: &Key) -> bool {
    let mut history = past.deployments.get(key).cloned().unwrap_or_default();
    let (decided, gone) = prune::remove(world, key, past, &mut history);
    if gone {
        // Its confirmation goes with the next pass: without it, one that was cut off here would have to be asked for again.
        plan.events.extend(decided.events);
        return true;
    }
    keep_history(past, plan, key);
    // A Job has no name to take away and nothing to drain, so only a Deployment's way out is remembered.
    if key.kind == Kind::Deployment {
        plan.history.deployments.insert(key.clone(), history);
    }
    take(world, plan, key, decided);
    false
}

fn keep_history(past: &History, plan: &mut Plan, key: &Key) {
    if let Some(history) = past.deployments.get(key) {
        plan.history.deployments.insert(key.clone(), history.clone());
    }
    if let Some(history) = past.jobs.get(key) {
        plan.history.jobs.insert(key.clone(), history.clone());
    }
    if let Some(history) = past.cron_jobs.get(key) {
        plan.history.cron_jobs.insert(key.clone(), history.clone());
    }
}

/// What nothing serves any more once an object is removed, if something does.
pub fn cost_of_removal(key: &Key, observed: &Observed) -> Option<String> {
    let mut own = observed.containers.values().filter(|container| container.owner == *key);
    own.find_map(|container| retire::Gap::of_removal(key, container).downtime)
}

/// Adds one object's decision to the plan.
fn take(world: World, plan: &mut Plan, key: &Key, mut decided: Decided) {
    if !decided.refused.is_empty() {
        decided.status = status::refused(decided.status, &decided.refused);
        plan.refused.insert(key.clone(), decided.refused);
    }
    if let Some(shortage) = decided.shortage {
        decided.status.conditions.push(status::short(&shortage));
        plan.shortages.insert(key.clone(), shortage);
    }
    decided.status.conditions.extend(world.observed.renamed.get(key).map(status::renamed));
    plan.actions.extend(decided.actions);
    plan.events.extend(decided.events);
    plan.probes.extend(decided.probes);
    plan.wake_at = [plan.wake_at, decided.wake_at].into_iter().flatten().min();
    plan.retell_at = [plan.retell_at, decided.retell_at].into_iter().flatten().min();
    plan.status.insert(key.clone(), decided.status);
}
