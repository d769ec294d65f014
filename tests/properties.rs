//! What is true of every plan, whatever the world. Each test is a sentence about `evenkeel::plan::plan`, tried on worlds
//! that are made at random: some Deployments, an update or a change of scale, accidents, and passes of which only a part
//! is carried out.
// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]
// One property is about the time that a plan takes.
#![allow(clippy::disallowed_methods)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use evenkeel::model::action::{Action, Call, Confirmation};
use evenkeel::model::observed::{ContainerId, Observed};
use evenkeel::model::revision::template_hash;
use evenkeel::model::spec::{DeploymentSpec, JobSpec};
use evenkeel::model::status::{Plan, ProbePurpose};
use proptest::prelude::*;
use proptest::sample::Index;
use support::sim::app::App;
use support::world::Passes;

/// A Deployment before and after a change.
#[derive(Debug, Clone)]
struct Case {
    before: Shape,
    after: Shape,
}

#[derive(Debug, Clone, PartialEq)]
struct Shape {
    replicas: u32,
    tag: u32,
    surge: u32,
    unavailable: u32,
    recreate: bool,
    min_ready: u64,
    probed: bool,
}

impl Shape {
    fn spec(&self) -> DeploymentSpec {
        let kind = if self.recreate { "Recreate" } else { "RollingUpdate" };
        let mut template =
            serde_json::json!({"image": format!("app:{}", self.tag), "drain": "1s", "ports": [{"port": 80}]});
        if self.probed {
            template["readinessProbe"] = serde_json::json!({"httpGet": {"port": 80}});
        }
        serde_json::from_value(serde_json::json!({
            "replicas": self.replicas,
            "strategy": {"type": kind, "maxSurge": self.surge, "maxUnavailable": self.unavailable},
            "minReady": format!("{}ms", self.min_ready),
            "template": template,
        }))
        .unwrap()
    }

    fn floor(&self) -> usize {
        if self.recreate { 0 } else { self.replicas.saturating_sub(self.unavailable) as usize }
    }

    fn ceiling(&self) -> usize {
        (if self.recreate { self.replicas } else { self.replicas + self.surge }) as usize
    }
}

fn shape() -> impl Strategy<Value = Shape> {
    let budget = prop_oneof![Just((1, 0)), Just((0, 1)), Just((1, 1)), Just((2, 0)), Just((3, 2))];
    (0..4u32, 1..4u32, budget, prop::bool::weighted(0.1), prop_oneof![Just(0), Just(1_000)], any::<bool>()).prop_map(
        |(replicas, tag, (surge, unavailable), recreate, min_ready, probed)| Shape {
            replicas,
            tag,
            surge,
            unavailable,
            recreate,
            min_ready,
            probed,
        },
    )
}

fn cases() -> impl Strategy<Value = Vec<Case>> {
    let case = (shape(), shape()).prop_map(|(before, after)| Case { before, after });
    prop::collection::vec(case, 1..3)
}

/// Something that befalls a container, and how much of a plan is carried out, in which order.
#[derive(Clone)]
struct Turn {
    /// A container that somebody removes. Not what counts as the revision's fault: three crashes would roll it back.
    removed: Option<Index>,
    share: Vec<(bool, u16)>,
}

/// On one line, because a failing case shows dozens.
impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let order: Vec<_> =
            self.share.iter().map(|(wanted, order)| if *wanted { i32::from(*order) } else { -1 }).collect();
        f.write_str(&format!("{:?} {order:?}", self.removed))
    }
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let removed = prop::option::weighted(0.1, any::<Index>());
    let share = prop::collection::vec((prop::bool::weighted(0.6), any::<u16>()), 8);
    prop::collection::vec((removed, share).prop_map(|(removed, share)| Turn { removed, share }), 0..40)
}

fn name(index: usize) -> String {
    format!("web{index}")
}

/// The Deployments before their change, all at rest.
fn at_rest(cases: &[Case]) -> Passes {
    let mut passes = Passes::new();
    for (index, case) in cases.iter().enumerate() {
        passes.declare(&name(index), case.before.spec());
    }
    passes.world.foreign_container("somebody", &[], None, App::default()).unwrap();
    passes.converge();
    passes
}

/// The same with the change declared and not yet begun.
fn changed(cases: &[Case]) -> Passes {
    let mut passes = at_rest(cases);
    for (index, case) in cases.iter().enumerate() {
        passes.declare(&name(index), case.after.spec());
    }
    passes
}

fn remove_one(passes: &mut Passes, which: &Index) {
    let ours: Vec<ContainerId> =
        passes.world.containers.values().filter(|c| c.name.starts_with("shop.")).map(|c| c.id.clone()).collect();
    if !ours.is_empty() {
        passes.world.remove_by_force(&ours[which.index(ours.len())]).unwrap();
    }
}

/// Carries out a part of a plan, in another order.
fn act_in_part(passes: &mut Passes, plan: &Plan, share: &[(bool, u16)]) {
    let mut part: Vec<(u16, &Action)> = Vec::new();
    for (index, action) in plan.actions.iter().enumerate() {
        let (wanted, order) = share[index % share.len()];
        if wanted {
            part.push((order, action));
        }
    }
    part.sort_by_key(|(order, _)| *order);
    part.into_iter().for_each(|(_, action)| passes.act(action));
}

/// Plays the turns, lets `look` judge each plan with the world that it was made for, and then comes to rest.
fn play(passes: &mut Passes, turns: &[Turn], mut look: impl FnMut(&Passes, &Plan)) {
    for turn in turns {
        if let Some(which) = &turn.removed {
            remove_one(passes, which);
        }
        let plan = passes.plan();
        look(passes, &plan);
        act_in_part(passes, &plan, &turn.share);
        passes.pass_time(&plan);
    }
    for _ in 0..2_000 {
        let plan = passes.plan();
        look(passes, &plan);
        plan.actions.iter().for_each(|action| passes.act(action));
        if passes.is_at_rest(&plan) {
            return;
        }
        passes.pass_time(&plan);
    }
    let plan = passes.decide();
    panic!("it does not come to rest: {:#?}\n{:#?}", plan.actions, plan.status);
}

/// A plan in words, without ids.
fn words(plan: &Plan) -> BTreeSet<String> {
    plan.actions.iter().map(|action| format!("{}: {} ({})", action.object, action.call, action.cause)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, max_shrink_iters: 150, ..ProptestConfig::default() })]

    #[test]
    fn the_plan_of_a_converged_world_is_empty_and_changes_no_history(cases in cases()) {
        let mut passes = at_rest(&cases);
        let before = passes.history.clone();
        // The time in which a revision has still to prove itself goes by.
        passes.world.advance(passes.world.now + 3_600_000);
        prop_assert!(passes.plan().history.is_merely_later(&before));
        for _ in 0..3 {
            let before = passes.history.clone();
            let plan = passes.plan();
            prop_assert!(plan.actions.is_empty(), "{:#?}", words(&plan));
            prop_assert_eq!(&plan.history, &before);
            prop_assert!(plan.events.is_empty());
            passes.world.advance(passes.world.now + 3_600_000);
        }
    }

    #[test]
    fn the_same_inputs_give_the_same_plan(cases in cases(), turns in turns()) {
        play(&mut changed(&cases), &turns, |passes, plan| {
            // `plan` was made from the history before it; the next one is made twice from the same.
            let (once, again) = (passes.decide(), passes.decide());
            assert_eq!(once, again);
            assert!(plan.history == passes.history);
        });
    }

    #[test]
    fn a_revision_has_the_hash_of_what_it_is_made_from(cases in cases(), turns in turns(), restarted in any::<bool>()) {
        let mut passes = changed(&cases);
        passes.history.deployments.values_mut().for_each(|history| history.restarts += u64::from(restarted));
        play(&mut passes, &turns, |_, plan| {
            for revision in plan.history.deployments.values().flat_map(|history| &history.revisions) {
                let hash = template_hash(&revision.template, &revision.contents, revision.restarts);
                assert_eq!(revision.template_hash, hash, "revision {}", revision.number);
            }
        });
    }

    #[test]
    fn no_action_is_on_what_is_not_ours(cases in cases(), turns in turns()) {
        let mut passes = changed(&cases);
        let somebody = passes.world.by_name("somebody").unwrap().id.clone();
        let likeness = passes.world.likeness(&somebody);
        play(&mut passes, &turns, |passes, plan| {
            let observed = passes.observed();
            for action in &plan.actions {
                if let Some(id) = action.call.container() {
                    assert!(observed.containers.contains_key(id), "{}", action.call);
                }
                if let Call::CreateContainer(spec) = &action.call {
                    assert!(!observed.foreign_names.contains(&spec.name));
                }
            }
        });
        prop_assert_eq!(passes.world.likeness(&somebody), likeness);
    }

    #[test]
    fn no_two_actions_have_the_same_target(cases in cases(), turns in turns()) {
        play(&mut changed(&cases), &turns, |_, plan| {
            let targets: BTreeSet<String> = plan.actions.iter().map(|action| action.call.target()).collect();
            assert_eq!(targets.len(), plan.actions.len(), "{:#?}", words(plan));
        });
    }

    #[test]
    fn never_more_replicas_run_than_replicas_and_surge(cases in cases(), turns in turns()) {
        play(&mut changed(&cases), &turns, |passes, plan| {
            for (index, case) in cases.iter().enumerate() {
                let starts = starts(plan, &name(index));
                // What ran before a change of scale may be more than what is allowed now: then nothing starts.
                let running = passes.running(&name(index));
                let ceiling = case.after.ceiling();
                assert!(starts == 0 || running + starts <= ceiling, "{running} + {starts} > {ceiling}: {:#?}", words(plan));
            }
        });
    }

    #[test]
    fn a_ready_replica_is_taken_away_only_while_enough_others_stay(cases in cases(), turns in turns()) {
        play(&mut changed(&cases), &turns, |passes, plan| {
            for (index, case) in cases.iter().enumerate() {
                let taken = taken(passes, plan, &name(index));
                let ready = passes.reachable(&name(index));
                let floor = case.after.floor();
                assert!(taken == 0 || ready - taken >= floor, "{ready} - {taken} < {floor}: {:#?}", words(plan));
            }
        });
    }

    #[test]
    fn any_part_of_a_plan_in_any_order_still_leads_to_the_same_end(cases in cases(), turns in turns()) {
        let (mut straight, mut winding) = (changed(&cases), changed(&cases));
        straight.converge();
        play(&mut winding, &turns, |_, _| {});
        for (index, case) in cases.iter().enumerate() {
            let end = |passes: &Passes| (passes.ready(&name(index)), passes.running(&name(index)));
            prop_assert_eq!(end(&winding), end(&straight));
            prop_assert_eq!(end(&winding).0, case.after.replicas as usize);
        }
        let names = |passes: &Passes| {
            passes.world.containers.values().map(|c| c.name.clone()).collect::<BTreeSet<_>>()
        };
        prop_assert_eq!(names(&winding).len(), names(&straight).len());
    }

    #[test]
    fn the_order_of_container_ids_does_not_matter(cases in cases(), steps in 0..12usize) {
        let mut passes = changed(&cases);
        for _ in 0..steps {
            let plan = passes.plan();
            plan.actions.iter().for_each(|action| passes.act(action));
            passes.pass_time(&plan);
        }
        let observed = passes.observed();
        let now = support::sim::world::World::timestamp(passes.world.now);
        // Without what is remembered by id: that would have to be renamed too.
        let mut history = passes.history.clone();
        for deployment in history.deployments.values_mut() {
            deployment.retiring.clear();
            deployment.restarted.clear();
            deployment.ready_since.clear();
            deployment.judged.clear();
        }
        let plan = |observed: &Observed| words(&evenkeel::plan::plan(&passes.desired, observed, &history, now));
        prop_assert_eq!(plan(&observed), plan(&mirrored(&observed)));
    }

    #[test]
    fn a_job_is_started_once_for_a_revision_whatever_part_of_a_plan_is_carried_out(turns in turns()) {
        let mut passes = Passes::new();
        let ends = App { ends: Some(support::sim::app::Ending { after: 300, code: 0, runs: 9 }), ..App::default() };
        passes.world.push("app:1", ends);
        let spec: JobSpec = serde_json::from_value(serde_json::json!({"template": {"image": "app:1"}})).unwrap();
        passes.declare_job("migrate", spec);
        let calm: Vec<Turn> = turns.into_iter().map(|turn| Turn { removed: None, ..turn }).collect();
        play(&mut passes, &calm, |_, _| {});
        prop_assert_eq!(passes.world.starts.values().sum::<u32>(), 1);
    }
}

/// Its name is about to go, and may be gone by the time that another one has lost its own.
#[test]
fn a_replica_whose_name_is_being_taken_away_takes_nobody_s_place() {
    let shape = |tag| Shape { replicas: 2, tag, surge: 1, unavailable: 0, recreate: false, min_ready: 0, probed: true };
    let mut passes = at_rest(&[Case { before: shape(1), after: shape(2) }]);
    passes.declare(&name(0), shape(2).spec());
    let slow = (0..50).find_map(|_| {
        let plan = passes.plan();
        let slow = plan.actions.iter().find(|action| takes_a_name(action)).cloned();
        if slow.is_none() {
            plan.actions.iter().for_each(|action| passes.act(action));
            passes.pass_time(&plan);
        }
        slow
    });
    let slow = slow.expect("an old replica is retired");
    passes.declare(&name(0), shape(1).spec());
    let observed = Observed { in_flight: [slow.call.target()].into(), ..passes.observed() };
    let now = support::sim::world::World::timestamp(passes.world.now);
    let plan = evenkeel::plan::plan(&passes.desired, &observed, &passes.history, now);
    assert!(!plan.actions.iter().any(takes_a_name), "{} is under way, and {:#?} is planned", slow.call, words(&plan));
}

#[test]
fn liveness_is_not_checked_from_the_pass_on_that_takes_a_replica_off_its_network() {
    let template = serde_json::json!({
        "image": "app:1",
        "ports": [{"port": 80}],
        "readinessProbe": {"httpGet": {"port": 80}},
        "livenessProbe": {"httpGet": {"port": 80}},
    });
    let mut passes = Passes::new();
    passes.declare("web", serde_json::from_value(serde_json::json!({"template": template})).unwrap());
    let is_taken = |action: &Action| matches!(action.call, Call::Reconnect(_));
    let plan = (0..50).find_map(|_| {
        let plan = passes.plan();
        plan.actions.iter().for_each(|action| passes.act(action));
        passes.pass_time(&plan);
        plan.actions.iter().any(is_taken).then_some(plan)
    });
    let plan = plan.expect("it is given its name");
    let checked = |plan: &Plan| -> Vec<(ProbePurpose, bool)> {
        plan.probes.iter().map(|task| (task.purpose, task.address.is_some())).collect()
    };
    assert_eq!(checked(&plan), [(ProbePurpose::Readiness, true), (ProbePurpose::Liveness, false)]);
    passes.converge();
    assert_eq!(checked(&passes.decide()), [(ProbePurpose::Readiness, true), (ProbePurpose::Liveness, true)]);
}

/// The first free slot is another one once a container that was on its way out is gone.
#[test]
fn what_only_a_source_declared_that_is_gone_is_removed_when_somebody_confirms_it() {
    let mut passes = Passes::new();
    passes.declare("web", serde_json::from_value(serde_json::json!({"template": {"image": "app:1"}})).unwrap());
    passes.converge();
    passes.desired.deployments.clear();
    passes.desired.dropped_sources = vec!["srv-shop".into()];
    let plan = passes.plan();
    assert!(plan.actions.is_empty(), "{:?}", words(&plan));
    let held = plan.held.first().unwrap();
    assert_eq!(held.reason, "1 of 1 workloads would be removed, and the source srv-shop is not configured any more");
    let confirmation = Confirmation { namespace: held.namespace.clone(), id: held.id.clone() };
    passes.history = evenkeel::plan::confirm(&plan.held, &confirmation, &passes.history).unwrap();
    passes.converge();
    assert_eq!(passes.world.containers.len(), 0);
}

#[test]
fn a_replica_that_is_being_created_is_not_missed_a_second_time() {
    let shape = Shape { replicas: 4, tag: 1, surge: 1, unavailable: 0, recreate: false, min_ready: 0, probed: false };
    let passes = at_rest(&[Case { before: shape.clone(), after: shape }]);
    let mut observed = passes.observed();
    observed.containers.pop_first();
    let now = support::sim::world::World::timestamp(passes.world.now);
    let created = |observed: &Observed| -> Vec<String> {
        let plan = evenkeel::plan::plan(&passes.desired, observed, &passes.history, now);
        let creates = plan.actions.iter().filter(|action| matches!(action.call, Call::CreateContainer(_)));
        creates.map(|action| action.call.target()).collect()
    };
    let missed = created(&observed);
    let [target] = &missed[..] else { panic!("one is missed: {missed:?}") };
    let (name, _) = target.rsplit_once('.').unwrap();
    observed.in_flight = [format!("{name}.9")].into();
    assert_eq!(created(&observed), Vec::<String>::new(), "slot 9 is being created");
}

fn takes_a_name(action: &Action) -> bool {
    matches!(&action.call, Call::Reconnect(connection) if connection.aliases.is_empty())
}

/// Replicas of a Deployment that a plan starts.
fn starts(plan: &Plan, deployment: &str) -> usize {
    let of_it = plan.actions.iter().filter(|action| action.object == support::world::key(deployment));
    of_it.filter(|action| matches!(action.call, Call::Start { .. })).count()
}

/// Replicas of a Deployment that answer and that a plan stops, restarts or takes the names from.
fn taken(passes: &Passes, plan: &Plan, deployment: &str) -> usize {
    let of_it = plan.actions.iter().filter(|action| action.object == support::world::key(deployment));
    let taken = of_it.filter_map(|action| match &action.call {
        Call::Stop(stop) | Call::Restart(stop) => Some(&stop.container),
        Call::Reconnect(connection) if takes_a_name(action) => Some(&connection.container),
        _ => None,
    });
    // One whose name is gone serves nobody any more: it was counted when it was allowed to lose it.
    taken.filter(|id| passes.world.containers.get(*id).is_some_and(|c| passes.is_reachable(c))).count()
}

/// The same snapshot with the ids of containers in the opposite order.
fn mirrored(observed: &Observed) -> Observed {
    let ids: Vec<&ContainerId> = observed.containers.keys().collect();
    let other: BTreeMap<&ContainerId, &ContainerId> = ids.iter().copied().zip(ids.iter().rev().copied()).collect();
    let containers = observed.containers.values().map(|container| {
        let id = other[&container.id].clone();
        (id.clone(), evenkeel::model::observed::Container { id, ..container.clone() })
    });
    Observed { containers: containers.collect(), ..observed.clone() }
}
