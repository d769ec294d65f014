//! Removing what is no longer declared: containers, then networks; never volumes. Brakes hold what looks like a mistake.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::build::{self, files_of};
use super::needs;
use super::networks::{self, waiting};
use super::quiet;
use super::readiness::is_named;
use super::restarts::may_restart;
use super::retire::{self, Gap};
use super::upkeep;
use super::world::{Decided, World};
use crate::model::action::{Call, Confirmation};
use crate::model::container::label;
use crate::model::history::{Confirmed, DeploymentHistory, History, Rollout};
use crate::model::name::{Key, Kind, Name};
use crate::model::observed::{Container, ContainerState};
use crate::model::spec::Template;
use crate::model::status::Severity;
use crate::model::text::{hex, listed};
use crate::model::view::HeldPrune;

/// A change may remove this many workloads of a namespace without being asked about (product: more than three is held).
const FREE: usize = 3;

/// Workloads that exist or are remembered and are not declared.
pub fn orphans(world: World, past: &History) -> BTreeSet<Key> {
    let living = world.by_owner.keys().map(|key| (*key).clone());
    let remembered = past.deployments.keys().chain(past.jobs.keys()).chain(past.cron_jobs.keys()).cloned();
    living.chain(remembered).filter(|key| !world.desired.declares(key)).collect()
}

/// The removals that wait for a person: more than half of a namespace's workloads, and more than three; and all of them, be
/// they ever so few, when a source is not configured any more.
pub fn held(world: World, past: &History, orphans: &BTreeSet<Key>) -> Vec<HeldPrune> {
    let mut by_namespace: BTreeMap<&Name, Vec<&Key>> = BTreeMap::new();
    for key in orphans {
        by_namespace.entry(&key.namespace).or_default().push(key);
    }
    let held = by_namespace.into_iter().filter_map(|(namespace, removed)| {
        let of_it = |key: &Key| key.namespace == *namespace;
        let declared = world.desired.templates().filter(|(key, _)| of_it(key)).count();
        let unconfirmed = removed.iter().any(|key| !past.confirmed.contains(*key));
        let large = removed.len() > FREE && removed.len() > declared;
        let dropped = world.desired.dropped_sources.join(", ");
        let is_dropped = declared == 0 && !dropped.is_empty();
        let count = format!("{} of {} workloads would be removed", removed.len(), removed.len() + declared);
        ((large || is_dropped) && unconfirmed).then(|| HeldPrune {
            namespace: namespace.clone(),
            id: id(&removed),
            reason: if is_dropped {
                format!("{count}, and the source {dropped} is not configured any more")
            } else {
                count
            },
            removes: removed.into_iter().cloned().collect(),
        })
    });
    held.collect()
}

/// What a person confirms by, so that another set of removals wants another confirmation.
fn id(removed: &[&Key]) -> String {
    let text: Vec<String> = removed.iter().map(ToString::to_string).collect();
    hex(&Sha256::digest(text.join("\n").as_bytes()), 8)
}

/// Confirms a held removal, or says why not.
pub fn confirm(held: &[HeldPrune], confirmation: &Confirmation, history: &History) -> Result<History, String> {
    let of_it = held.iter().find(|held| held.namespace == confirmation.namespace);
    let Some(found) = of_it else {
        return Err(format!("no removal is held in namespace {}", confirmation.namespace));
    };
    if found.id != confirmation.id {
        return Err(format!(
            "no removal with this id is held in namespace {}: the id is mistyped, or what would be removed has changed since; \
             `evenkeel prune` shows what is held",
            confirmation.namespace
        ));
    }
    let mut history = history.clone();
    history.confirmed.extend(found.removes.iter().cloned());
    Ok(history)
}

/// Confirmations that still matter.
pub fn still_confirmed(confirmed: &Confirmed, orphans: &BTreeSet<Key>) -> Confirmed {
    confirmed.intersection(orphans).cloned().collect()
}

/// One step of removing a workload; `true` when nothing of it is left and it can be forgotten.
pub fn remove(world: World, key: &Key, past: &History, history: &mut DeploymentHistory) -> (Decided, bool) {
    let mut decided = Decided::default();
    let containers = world.containers(key);
    history.retiring.retain(|id, _| containers.iter().any(|container| container.id == *id));
    if containers.is_empty() {
        decided.tell(world, key, Severity::Normal, "Pruned", "it is no longer declared, and nothing of it is left");
    } else if key.kind == Kind::Deployment && history.retiring.is_empty() {
        // A Job's removal has no memory: it is told when it is over.
        let what = match containers.len() {
            1 => "its container is".into(),
            count => format!("its {count} containers are"),
        };
        decided.tell(world, key, Severity::Normal, "Pruning", format!("it is no longer declared: {what} removed"));
    }
    for container in containers {
        let template = run_template(past, container).unwrap_or_else(|| template(history, container));
        let begun = || retire::begin(history, container, "it is no longer declared");
        let mut retirement = history.retiring.get(&container.id).cloned().unwrap_or_else(begun);
        // Nobody reaches a run by name.
        retirement.drain &= key.kind == Kind::Deployment;
        let gap = Gap::of_removal(key, container);
        retire::leave(world, &mut decided, key, container, &template, &mut retirement, gap);
        history.retiring.insert(container.id.clone(), retirement);
    }
    decided.status = super::networks::waiting("being removed: it is no longer declared".into());
    decided.status.phase = "Terminating".into();
    (decided, containers.is_empty())
}

/// Starts what ended of a workload whose removal is held: until that is confirmed, it may well be a mistake.
pub fn keep_alive(world: World, key: &Key, history: &mut DeploymentHistory) -> Decided {
    let mut decided = Decided::default();
    if quiet::lasts(history) {
        bring_back(world, &mut decided, key, history);
    } else {
        name_anew(world, &mut decided, key, history);
    }
    for container in world.containers(key) {
        let ended = matches!(container.state, ContainerState::Exited(_));
        // An address of before may belong to somebody else by now. Its names stay: nobody could tell when to give them back.
        let places = build::places(world, key, &template(history, container));
        let attach = upkeep::missing_network(&places, container, true);
        let served = match &history.rollout {
            Rollout::Complete { revision, .. } => *revision == container.revision,
            // In the middle of a change, those that have the names serve, of whatever revision they are; and what is on no network
            // was about to get them back, and that failed.
            Rollout::New | Rollout::Progressing { .. } | Rollout::RollingBack { .. } | Rollout::Stalled { .. } => {
                is_named(container) || attach.is_some()
            }
        };
        if history.paused || !ended || !served || history.retiring.contains_key(&container.id) {
            continue;
        }
        if !may_restart(world, &mut decided, history, container, "") {
            continue;
        }
        if !needs::is_free_for(world, &mut decided, container, &template(history, container)) {
            continue;
        }
        let start = || Call::Start {
            container: container.id.clone(),
            name: container.name.clone(),
            files: files_of(world, key, history, container),
        };
        let attach = attach.or_else(|| upkeep::reset(&places, container, true));
        decided.act(world, key, attach.unwrap_or_else(start), KEPT);
    }
    decided
}

/// Who has served may have lost its name a moment before, because it was to be checked anew or replaced. Nobody checks it any
/// more: if none has the name, all that serve as they are get it back.
fn name_anew(world: World, decided: &mut Decided, key: &Key, history: &DeploymentHistory) {
    let served = match &history.rollout {
        Rollout::Complete { revision, .. } => Some(revision),
        _ => history.newest_completed(|_| true).map(|(_, revision)| &revision.id),
    };
    let runs = |container: &&&Container| matches!(container.state, ContainerState::Running { .. });
    let running = world.containers(key).iter().filter(runs);
    if running.clone().any(|container| is_named(container)) {
        return;
    }
    for container in running.filter(|container| served == Some(&container.revision)) {
        if let Some(call) = names_back(world, key, history, container) {
            decided.act(world, key, call, KEPT);
        }
    }
}

/// The call that gives a running container its networks and names again, where it lacks some.
fn names_back(world: World, key: &Key, history: &DeploymentHistory, container: &Container) -> Option<Call> {
    let places = build::places(world, key, &template(history, container));
    upkeep::missing_network(&places, container, true).or_else(|| upkeep::name_again(&places, container))
}

const KEPT: &str = "its removal is held, so it is kept alive";

/// What was quiet for a run is kept alive as it was before: it runs, and has its names. No manifest says any more how to
/// check it, and it was ready when they were taken.
fn bring_back(world: World, decided: &mut Decided, key: &Key, history: &mut DeploymentHistory) {
    history.retiring.clear();
    let mut all_back = true;
    for container in world.containers(key) {
        let (id, name) = (container.id.clone(), container.name.clone());
        let call = match &container.state {
            ContainerState::Paused => Some(Call::Unpause { container: id, name }),
            ContainerState::Running { .. } => names_back(world, key, history, container),
            ContainerState::Created { .. }
            | ContainerState::Restarting { .. }
            | ContainerState::Exited(_)
            | ContainerState::Removing => None,
        };
        all_back &= call.is_none() && matches!(container.state, ContainerState::Running { .. });
        if let Some(call) = call {
            decided.act(world, key, call, KEPT);
        }
    }
    (history.quiet, history.woken_at) = (!all_back, None);
}

/// Removes what is half removed: a container that the engine could not get rid of at once cannot be started any more, whatever
/// becomes of its workload.
pub fn dead(world: World) -> Decided {
    let mut decided = Decided::default();
    for (id, dead) in &world.observed.dead {
        let call = Call::Remove { container: id.clone(), name: dead.name.clone() };
        decided.act(world, &dead.owner, call, "its removal was broken off half-way");
    }
    decided
}

/// The template of an orphan's container: for its drain and grace. When it is unknown, the defaults apply.
fn template(history: &DeploymentHistory, container: &Container) -> Template {
    let known = history.revisions.iter().find(|revision| revision.id == container.revision);
    known.map_or_else(
        || {
            serde_json::from_value(serde_json::json!({"image": container.image}))
                .expect("an image is all that a template needs")
        },
        |revision| (*revision.template).clone(),
    )
}

/// The template of a Job's or CronJob's run.
fn run_template(past: &History, container: &Container) -> Option<Template> {
    let own = past.jobs.get(&container.owner).into_iter().flat_map(|job| &job.runs);
    let scheduled = past.cron_jobs.get(&container.owner).into_iter().flat_map(|known| &known.runs);
    let mut runs = own.chain(scheduled.filter_map(|run| run.job.as_ref()));
    runs.find(|run| run.revision == container.revision).map(|run| (*run.template).clone())
}

/// Removes networks of ours that are no longer declared and that nothing of ours uses.
pub fn networks(world: World) -> BTreeMap<Key, Decided> {
    let mut decisions = BTreeMap::new();
    for network in world.observed.networks.values() {
        let name = |label: &str| network.labels.get(label).and_then(|text| Name::new(text.as_str()).ok());
        let (Some(namespace), Some(own)) = (name(label::NAMESPACE), name(label::NAME)) else {
            continue;
        };
        let key = Key::new(Kind::Network, namespace, own);
        if world.desired.declares(&key) || !networks::is_ours(world, &network.labels, &key) {
            continue;
        }
        let mut decided = Decided::default();
        let users = networks::users(world, &network.name);
        if users.is_empty() {
            decided.status = waiting("being removed: it is no longer declared".into());
            let call = Call::RemoveNetwork { id: network.id.clone(), name: network.name.clone() };
            decided.act(world, &key, call, "it is no longer declared, and nothing uses it");
        } else {
            decided.status =
                waiting(format!("no longer declared, but used by {}", listed(users.iter(), networks::USERS_NAMED)));
        }
        decided.status.phase = "Terminating".into();
        decisions.insert(key, decided);
    }
    decisions
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::desired::{Declared, Desired};
    use crate::model::observed::Observed;
    use crate::model::time::Timestamp;

    fn web(namespace: &str, number: usize) -> Key {
        let name = |text: &str| Name::new(text).unwrap();
        Key::new(Kind::Deployment, name(namespace), name(&format!("web{number}")))
    }

    /// What is held of namespace `shop` where so many Deployments that it had are not declared any more and so many others are,
    /// and whether all of it is confirmed but what `unconfirmed` says.
    fn held_of(removed: usize, declared: usize, dropped: &[&str], unconfirmed: usize) -> Option<String> {
        let spec = json!({"template": {"image": "web:1", "hostNetwork": true}});
        let spec = || Declared::bare(serde_json::from_value(spec.clone()).unwrap());
        let all = (0..declared).map(|number| web("shop", number)).chain((0..9).map(|number| web("other", number)));
        let desired = Desired {
            deployments: all.map(|key| (key, spec())).collect(),
            dropped_sources: dropped.iter().map(ToString::to_string).collect(),
            ..Desired::default()
        };
        let gone: Vec<Key> = (declared..declared + removed).map(|number| web("shop", number)).collect();
        let history = History {
            deployments: gone.iter().map(|key| (key.clone(), DeploymentHistory::default())).collect(),
            confirmed: gone.iter().skip(unconfirmed).cloned().collect(),
            ..History::default()
        };
        let plan = super::super::plan(&desired, &Observed::default(), &history, Timestamp(1_000_000));
        let held = plan.held.first().map(|held| {
            assert_eq!((held.namespace.as_str(), &held.removes), ("shop", &gone));
            held.reason.clone()
        });
        assert!(plan.held.len() <= 1, "{:?}", plan.held);
        held
    }

    #[test]
    fn more_than_three_and_more_than_half_are_held_and_the_last_of_a_source_that_is_not_configured_any_more() {
        let (old, would) = ("/srv/old", |count: &str| Some(format!("{count} workloads would be removed")));
        assert_eq!(held_of(3, 0, &[], 9), None);
        assert_eq!(held_of(4, 0, &[], 9), would("4 of 4"));
        assert_eq!(held_of(4, 3, &[], 9), would("4 of 7"));
        assert_eq!(held_of(4, 4, &[], 9), None);
        let of_dropped =
            "1 of 1 workloads would be removed, and the source /srv/old, /srv/older is not configured any more";
        assert_eq!(held_of(1, 0, &[old, "/srv/older"], 9), Some(of_dropped.into()));
        assert_eq!(held_of(1, 1, &[old], 9), None);
        assert_eq!(held_of(4, 3, &[old], 9), would("4 of 7"));
    }

    #[test]
    fn what_is_confirmed_goes_unless_something_else_would_go_with_it() {
        assert_eq!(held_of(5, 0, &["/srv/old"], 0), None);
        assert!(held_of(5, 0, &[], 1).is_some());
    }

    #[test]
    fn a_confirmation_counts_for_the_removals_that_it_was_asked_for() {
        let name = |text: &str| Name::new(text).unwrap();
        let web = Key::new(Kind::Deployment, name("shop"), name("web"));
        let held = |id: &str| {
            let (namespace, id, reason) = (name("shop"), id.to_string(), String::new());
            vec![HeldPrune { namespace, id, reason, removes: vec![web.clone()] }]
        };
        let asked = Confirmation { namespace: name("shop"), id: id(&[&web]) };
        let confirmed = confirm(&held(&asked.id), &asked, &History::default()).unwrap().confirmed;
        assert_eq!(confirmed, Confirmed::from([web.clone()]));
        let other = Key::new(Kind::Deployment, name("shop"), name("api"));
        let refused = confirm(&held(&id(&[&web, &other])), &asked, &History::default()).unwrap_err();
        let expected = "no removal with this id is held in namespace shop: the id is mistyped, or what would be removed has changed";
        assert!(refused.starts_with(expected), "{refused}");
        assert!(!refused.contains(&id(&[&web, &other])), "the id is to be read with what it removes: {refused}");
    }
}
