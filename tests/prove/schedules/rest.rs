//! What is true after a long quiet, whatever came before: nothing moves, and what runs is what the status says. It looks.

use std::collections::BTreeSet;

use evenkeel::model::name::{DEFAULT_INSTANCE, Key, Name};
use evenkeel::model::view::View;

use super::shop::{Cron, Deployment, Shop};
use crate::support::scenario::stage::Stage;
use crate::support::sim::app::Millis;
use crate::support::sim::client::owner;
use crate::support::sim::container::Container;
use crate::support::sim::world::World;

/// For how long nothing may have been changed any more.
const STILL: Millis = 180_000;
/// What every content of the secret begins with.
const SECRET: &str = "canary-";

/// What is not as it should be at rest.
pub fn look(stage: &mut Stage, shop: &Shop) -> Vec<String> {
    let view = stage.view();
    let problems = view.sources.iter().flat_map(|source| &source.problems);
    if let Some(problem) = problems.map(|problem| &problem.rendered).next() {
        return vec![format!("the schedule's manifests are wrong: {problem}")];
    }
    let mut found = moves(stage, shop);
    let instance = Name::new(DEFAULT_INSTANCE).expect("the default instance is a name");
    stage.sim.with(|world| {
        for deployment in &shop.deployments {
            found.extend(standing(world, &view, deployment, &instance));
        }
        found.extend(undeclared(world, shop, &instance));
        found.extend(kept_of_the_cron_job(world, &instance));
        found.extend(told_secret(world, &view));
    });
    found
}

/// Objects whose changes go on for ever by right: nothing completed yet, so it is tried again and again, or what completed
/// ends again and again.
fn restless(shop: &Shop) -> BTreeSet<String> {
    let bad = shop.deployments.iter().filter(|d| d.present && !d.settles());
    bad.map(|deployment| format!("{}.{}.", deployment.namespace, deployment.name)).collect()
}

fn moves(stage: &Stage, shop: &Shop) -> Vec<String> {
    let (now, restless) = (stage.sim.now(), restless(shop));
    let calls = stage.sim.calls();
    let late = calls.made.iter().filter(|call| call.changes && call.at + STILL > now);
    let late = late.filter(|call| call.name != "pull" && !restless.iter().any(|start| call.target.starts_with(start)));
    late.map(|call| format!("not at rest: {} {} at {} ms", call.name, call.target, call.at)).take(3).collect()
}

/// A Deployment whose status says that it is settled has exactly its replicas, all of them ready and named.
fn standing(world: &World, view: &View, deployment: &Deployment, instance: &Name) -> Vec<String> {
    let key = Key::try_from(deployment.key()).expect("a schedule's key is well-formed");
    let containers: Vec<&Container> = of(world, &key, instance).collect();
    if !deployment.present {
        let gone = containers.is_empty() && !view.objects.contains_key(&key);
        return if gone { Vec::new() } else { vec![format!("{key} is not declared, and still there")] };
    }
    let Some(status) = view.objects.get(&key).map(|object| &object.status) else {
        return vec![format!("{key} is declared, and unknown")];
    };
    let phase = status.phase.as_str();
    match phase {
        "Suspended" | "Stalled" => Vec::new(),
        "Complete" | "RolledBack" => settled(world, deployment, &containers),
        _ if !deployment.settles() => Vec::new(),
        _ if deployment.waits() => Vec::new(),
        // Without a liveness check nobody asks for what hangs to be started again.
        _ if containers.iter().any(|c| c.hung) && !deployment.check.contains("liveness") => Vec::new(),
        _ => vec![format!("{key} is {phase} after a long quiet: {}", status.message)],
    }
}

fn settled(world: &World, deployment: &Deployment, containers: &[&Container]) -> Vec<String> {
    let (key, wanted) = (deployment.key(), deployment.replicas);
    let ready = containers.iter().filter(|c| c.serves(world.now)).count();
    let named = containers.iter().filter(|c| c.endpoints.values().all(|endpoint| !endpoint.aliases.is_empty())).count();
    let mut found = Vec::new();
    if ready != wanted || containers.len() != wanted {
        found.push(format!(
            "{key} is settled with {ready} ready of {} containers, {wanted} are wanted",
            containers.len()
        ));
    } else if named != wanted {
        found.push(format!("{key} is settled with {named} of {wanted} replicas that have all their names"));
    }
    found
}

/// Nothing of ours is there that belongs to nothing that is declared.
fn undeclared(world: &World, shop: &Shop, instance: &Name) -> Vec<String> {
    let declared: BTreeSet<String> = shop.deployments.iter().filter(|d| d.present).map(Deployment::key).collect();
    let is_declared =
        |key: &Key| declared.contains(&key.to_string()) || ["job/shop/task", Cron::KEY].contains(&&*key.to_string());
    let ours = world.containers.values().filter_map(|c| Some((c, owner(world, &c.id, instance)?)));
    ours.filter(|(_, key)| !is_declared(key)).map(|(c, key)| format!("{} of {key} is left over", c.name)).collect()
}

/// Of runs that have ended only so many stay.
fn kept_of_the_cron_job(world: &World, instance: &Name) -> Option<String> {
    let key = Key::try_from(Cron::KEY.to_string()).expect("the key is well-formed");
    let kept = of(world, &key, instance).count();
    (kept > Cron::KEPT).then(|| format!("{kept} containers of {key} are left"))
}

/// No word of a secret is in what is told, nor in a label.
fn told_secret(world: &World, view: &View) -> Vec<String> {
    let view = serde_json::to_string(view).expect("a view can be written");
    let told = view.contains(SECRET).then(|| "the view tells a secret".to_string());
    let labels = world.containers.values().filter(|c| c.labels.values().any(|value| value.contains(SECRET)));
    told.into_iter().chain(labels.map(|c| format!("a label of {} tells a secret", c.name))).collect()
}

fn of<'a>(world: &'a World, key: &'a Key, instance: &'a Name) -> impl Iterator<Item = &'a Container> {
    let there = world.containers.values().filter(|c| c.is_there());
    there.filter(move |c| owner(world, &c.id, instance).as_ref() == Some(key))
}
