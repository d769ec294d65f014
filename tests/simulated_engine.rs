//! The simulated engine keeps a real engine's rules. Each test is one fact of the engine.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests and their helpers may")]

mod support;

use std::collections::BTreeMap;

use evenkeel::engine::{Engine, Provided};
use evenkeel::model::action::{Connection, NetworkCreate, VolumeCreate};
use evenkeel::model::container::{Attachment, ContainerSpec, label};
use evenkeel::model::desired::Desired;
use evenkeel::model::name::Name;
use evenkeel::model::observed::{Container, ContainerId, ContainerState, Fault, Health, Observed};
use evenkeel::model::spec::{RestartPolicy, Template};
use evenkeel::model::time::Span;
use evenkeel::policy::{self, Approved, Ground, Judged};
use support::sim::Sim;
use support::sim::app::App;
use support::sim::calls::FaultMode;
use support::sim::image::Mood;
use tokio::time::{Duration, sleep, timeout};

fn template(image: &str) -> Template {
    serde_json::from_value(serde_json::json!({"image": image, "ports": [{"port": 80}]})).unwrap()
}

fn spec(name: &str, image: &str) -> ContainerSpec {
    let slot = name.rsplit('.').next().unwrap();
    let labels = [
        (label::INSTANCE, "evenkeel"),
        (label::KIND, "deployment"),
        (label::NAMESPACE, "shop"),
        (label::NAME, "web"),
        (label::REVISION, "aaaa"),
        (label::TEMPLATE, "bbbb"),
        (label::SLOT, slot),
    ];
    ContainerSpec {
        name: name.into(),
        labels: labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
        image: image.into(),
        template: template(image),
        env: vec![],
        networks: vec![Attachment { network: "shop.app".into(), aliases: Default::default(), address: None }],
        mounts: vec![],
        restart_policy: RestartPolicy::Always,
    }
}

/// An engine with a network, an image that behaves as `app` says, and the container shop.web.aaaa.0 of it, created.
async fn world(app: &str) -> (Sim, ContainerId) {
    let sim = Sim::new("evenkeel");
    sim.with(|world| world.build("web:1", App::parse(app).unwrap()));
    sim.create_network(free(&network("shop.app", "10.89.0.0/24"))).await.unwrap();
    let id = create(&sim, "shop.web.aaaa.0").await;
    (sim, id)
}

fn network(name: &str, subnet: &str) -> NetworkCreate {
    NetworkCreate {
        name: name.into(),
        labels: BTreeMap::new(),
        driver: "bridge".into(),
        internal: false,
        subnets: vec![subnet.into()],
        options: BTreeMap::new(),
    }
}

/// Anything, where there is no policy.
fn free<T: Judged>(subject: &T) -> Approved<'_, T> {
    let (desired, observed) = (Desired::default(), Observed::default());
    let namespace = Name::new("shop").unwrap();
    policy::approve(Ground::of(&desired, &observed), &namespace, subject).unwrap_or_else(|_| panic!("it is refused"))
}

async fn create(sim: &Sim, name: &str) -> ContainerId {
    sim.create(free(&spec(name, "web:1")), &Provided::default()).await.unwrap();
    sim.with(|world| world.by_name(name).unwrap().id.clone())
}

async fn look(sim: &Sim, id: &ContainerId) -> Container {
    sim.inspect(id).await.unwrap().expect("it is there")
}

async fn secs(n: u64) {
    sleep(Duration::from_secs(n)).await;
}

#[tokio::test(start_paused = true)]
async fn calls_take_the_time_that_they_take_on_a_real_engine() {
    let (sim, id) = world("ready").await;
    let before = sim.now();
    sim.start(&id).await.unwrap();
    assert_eq!(sim.now() - before, 160);
}

#[tokio::test(start_paused = true)]
async fn creating_a_container_of_ours_twice_is_a_success_and_a_foreign_name_a_conflict() {
    let (sim, id) = world("ready").await;
    assert_eq!(create(&sim, "shop.web.aaaa.0").await, id);
    sim.with(|world| world.foreign_container("shop.web.aaaa.1", &[], None, App::default())).unwrap();
    let error = sim.create(free(&spec("shop.web.aaaa.1", "web:1")), &Provided::default()).await.unwrap_err();
    assert_eq!(error.fault, Fault::Conflict);
}

#[tokio::test(start_paused = true)]
async fn a_container_of_another_instance_is_not_ours() {
    let (sim, id) = world("ready").await;
    let other = sim.as_seen_by("other");
    assert_eq!(other.inspect(&id).await.unwrap(), None);
    assert_ne!(other.list().await.unwrap()[0].whose, evenkeel::engine::Whose::Ours);
}

#[tokio::test(start_paused = true)]
async fn a_crashing_program_is_restarted_with_growing_pauses() {
    let (sim, id) = world("exits with 3 after 1s").await;
    sim.start(&id).await.unwrap();
    sleep(Duration::from_millis(1_050)).await;
    assert_eq!(look(&sim, &id).await.state, ContainerState::Restarting { exit_code: 3, out_of_memory: false });
    secs(10).await;
    // Runs of 1 s with pauses of 0.1, 0.2, 0.4, 0.8, 1.6 s: the sixth run ends at 9.1 s, its pause of 3.2 s is not over.
    assert_eq!(look(&sim, &id).await.restart_count, 5);
}

#[tokio::test(start_paused = true)]
async fn a_program_that_crashes_twice_stays_up_the_third_time() {
    let (sim, id) = world("exits with 1 after 1s twice").await;
    sim.start(&id).await.unwrap();
    secs(60).await;
    let container = look(&sim, &id).await;
    assert!(matches!(container.state, ContainerState::Running { .. }));
    assert_eq!(container.restart_count, 2);
}

#[tokio::test(start_paused = true)]
async fn stopping_waits_for_the_program_and_kills_it_after_the_grace() {
    let (sim, id) = world("ignores SIGTERM").await;
    sim.start(&id).await.unwrap();
    let before = sim.now();
    sim.stop(&id, Span::secs(5)).await.unwrap();
    assert_eq!(sim.now() - before, 5_001);
    let ContainerState::Exited(exit) = look(&sim, &id).await.state else { panic!("it runs") };
    assert_eq!(exit.code, 137);
    secs(60).await;
    assert!(matches!(look(&sim, &id).await.state, ContainerState::Exited(_)), "a stopped one stays stopped");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_does_not_cancel_a_stop() {
    let (sim, id) = world("stops after 3s").await;
    sim.start(&id).await.unwrap();
    assert!(timeout(Duration::from_secs(1), sim.stop(&id, Span::secs(10))).await.is_err());
    secs(3).await;
    assert!(matches!(look(&sim, &id).await.state, ContainerState::Exited(_)));
}

#[tokio::test(start_paused = true)]
async fn a_missing_entrypoint_leaves_the_container_created_and_no_policy_retries() {
    let (sim, id) = world("has no entrypoint").await;
    let error = sim.start(&id).await.unwrap_err();
    assert_eq!(error.fault, Fault::Invalid);
    secs(60).await;
    let ContainerState::Created { error: Some(error) } = look(&sim, &id).await.state else { panic!("not created") };
    assert_eq!(error.exit_code, 127);
}

#[tokio::test(start_paused = true)]
async fn health_is_first_checked_after_one_interval() {
    let (sim, id) = world("ready after 1s, has a health check every 5s").await;
    sim.start(&id).await.unwrap();
    secs(4).await;
    assert_eq!(look(&sim, &id).await.health, Health::Starting);
    secs(2).await;
    assert_eq!(look(&sim, &id).await.health, Health::Healthy);
    sim.with(|world| world.hang(&id, true)).unwrap();
    secs(16).await;
    assert!(matches!(look(&sim, &id).await.health, Health::Unhealthy { .. }));
}

#[tokio::test(start_paused = true)]
async fn an_address_is_the_lowest_free_one_and_is_used_again_at_once() {
    let (sim, first) = world("ready").await;
    sim.start(&first).await.unwrap();
    let second = create(&sim, "shop.web.aaaa.1").await;
    sim.start(&second).await.unwrap();
    let address = |container: &Container| container.networks["shop.app"].address.unwrap().to_string();
    assert_eq!(address(&look(&sim, &first).await), "10.89.0.2");
    assert_eq!(address(&look(&sim, &second).await), "10.89.0.3");
    sim.stop(&first, Span::secs(1)).await.unwrap();
    let third = create(&sim, "shop.web.aaaa.2").await;
    sim.start(&third).await.unwrap();
    assert_eq!(address(&look(&sim, &third).await), "10.89.0.2");
}

#[tokio::test(start_paused = true)]
async fn reconnecting_keeps_the_address_and_changes_the_names() {
    let (sim, id) = world("ready").await;
    sim.start(&id).await.unwrap();
    assert!(sim.with(|world| world.resolve("shop.app", "web")).is_empty());
    let connection = Connection {
        container: id.clone(),
        name: "shop.web.aaaa.0".into(),
        network: "shop.app".into(),
        aliases: ["web".to_string()].into(),
        address: None,
    };
    sim.reconnect(&connection).await.unwrap();
    let found = sim.with(|world| world.resolve("shop.app", "web"));
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [("10.89.0.2".parse().unwrap(), id)]);
}

#[tokio::test(start_paused = true)]
async fn a_network_in_use_cannot_be_removed() {
    let (sim, id) = world("ready").await;
    sim.start(&id).await.unwrap();
    let network = sim.networks().await.unwrap()[0].id.clone();
    assert_eq!(sim.remove_network(&network).await.unwrap_err().fault, Fault::Conflict);
    sim.stop(&id, Span::secs(1)).await.unwrap();
    sim.remove_network(&network).await.unwrap();
    assert!(sim.start(&id).await.unwrap_err().message.contains("not found"), "it knew the network by its id");
}

#[tokio::test(start_paused = true)]
async fn subnets_must_not_overlap_and_the_own_pools_end_at_thirty() {
    let (sim, _) = world("ready").await;
    let error = sim.create_network(free(&network("shop.other", "10.89.0.128/25"))).await.unwrap_err();
    assert_eq!(error.fault, Fault::Conflict);
    for n in 0..30 {
        sim.with(|world| world.foreign_network(&format!("n{n}"), None)).unwrap();
    }
    sim.with(|world| world.foreign_network("one too many", None)).unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_host_port_is_taken_at_the_start_and_free_after_the_stop() {
    let sim = Sim::new("evenkeel");
    sim.with(|world| {
        world.build("web:1", App::default());
        world.foreign_container("proxy", &[], Some(8080), App::default()).unwrap();
    });
    let mut wanted = spec("shop.web.aaaa.0", "web:1");
    wanted.networks.clear();
    wanted.template =
        serde_json::from_value(serde_json::json!({"image": "web:1", "ports": [{"port": 80, "hostPort": 8080}]}))
            .unwrap();
    sim.create(free(&wanted), &Provided::default()).await.unwrap();
    let id = sim.with(|world| world.by_name("shop.web.aaaa.0").unwrap().id.clone());
    let error = sim.start(&id).await.unwrap_err();
    assert_eq!(error.fault, Fault::Conflict);
    let proxy = sim.with(|world| world.by_name("proxy").unwrap().id.clone());
    sim.stop(&proxy, Span::secs(1)).await.unwrap();
    sim.start(&id).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_volume_is_created_once_and_what_is_asked_later_is_ignored() {
    let (sim, _) = world("ready").await;
    let volume = |driver: &str| VolumeCreate {
        name: "shop.data".into(),
        labels: BTreeMap::new(),
        driver: driver.into(),
        options: BTreeMap::new(),
    };
    sim.create_volume(free(&volume("local"))).await.unwrap();
    sim.create_volume(free(&volume("nfs"))).await.unwrap();
    assert_eq!(sim.volumes().await.unwrap()[0].driver, "local");
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_moves_leaves_running_containers_on_the_old_image() {
    let (sim, id) = world("ready").await;
    sim.start(&id).await.unwrap();
    let before = look(&sim, &id).await.image;
    sim.with(|world| world.push("web:1", App::parse("ready after 2s").unwrap()));
    sim.pull("web:1", None, &[], &|_| {}).await.unwrap();
    assert_eq!(look(&sim, &id).await.image, before);
    assert_ne!(sim.with(|world| world.image("web:1").unwrap().id.clone()), before);
}

#[tokio::test(start_paused = true)]
async fn a_pull_fails_as_the_registry_is_today() {
    let (sim, _) = world("ready").await;
    let mut faults = Vec::new();
    for mood in [Mood::Fine, Mood::Down, Mood::Unauthorized, Mood::RateLimited] {
        sim.with(|world| world.registry.mood = mood);
        faults.push(sim.pull("nowhere:1", None, &[], &|_| {}).await.unwrap_err().fault);
    }
    assert_eq!(faults, [Fault::ImageMissing, Fault::Unavailable, Fault::Unauthorized, Fault::RateLimited]);
}

#[tokio::test(start_paused = true)]
async fn an_engine_restart_brings_back_what_was_running_and_a_crash_does_not() {
    for (graceful, back) in [(true, true), (false, false)] {
        let (sim, id) = world("ready").await;
        sim.start(&id).await.unwrap();
        sim.with(|world| world.power_down(graceful, 3_000));
        assert_eq!(sim.list().await.unwrap_err().fault, Fault::Unavailable);
        secs(4).await;
        assert_eq!(matches!(look(&sim, &id).await.state, ContainerState::Running { .. }), back, "graceful: {graceful}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_that_was_stopped_by_hand_stays_stopped_over_an_engine_restart() {
    let (sim, id) = world("ready").await;
    sim.start(&id).await.unwrap();
    sim.stop(&id, Span::secs(1)).await.unwrap();
    sim.with(|world| world.power_down(true, 3_000));
    secs(4).await;
    assert!(matches!(look(&sim, &id).await.state, ContainerState::Exited(_)));
}

#[tokio::test(start_paused = true)]
async fn changed_returns_what_happened_since_the_mark() {
    let (sim, id) = world("exits with 0 after 5s").await;
    sim.start(&id).await.unwrap();
    let mark = sim.changed(None).await.unwrap();
    assert_eq!(mark.touched, std::slice::from_ref(&id));
    sim.with(|world| world.foreign_network("n", None)).unwrap();
    assert!(sim.changed(Some(mark)).await.unwrap().beyond_containers);
    sim.with(|world| world.power_down(true, 1_000));
    assert!(sim.changed(None).await.is_err(), "the stream breaks with the engine");
}

#[tokio::test(start_paused = true)]
async fn a_fault_by_the_index_of_the_call_has_the_effect_that_it_says() {
    for (mode, fails, created) in [
        (FaultMode::Error(Fault::Unavailable), true, false),
        (FaultMode::Timeout { effect: false }, true, false),
        (FaultMode::Timeout { effect: true }, true, true),
    ] {
        let sim = Sim::new("evenkeel");
        sim.with(|world| world.build("web:1", App::default()));
        sim.calls().faults.insert(0, mode);
        let outcome = sim.create(free(&spec("shop.web.aaaa.0", "web:1")), &Provided::default()).await;
        assert_eq!(outcome.is_err(), fails, "{mode:?}");
        assert_eq!(sim.with(|world| world.by_name("shop.web.aaaa.0").is_some()), created, "{mode:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_after_the_effect_leaves_the_effect_and_ends_the_process() {
    let engine = Sim::new("evenkeel");
    engine.with(|world| world.build("web:1", App::default()));
    let (process, life) = engine.for_a_new_process();
    engine.calls().faults.insert(0, FaultMode::CrashAfter);
    process.create(free(&spec("shop.web.aaaa.0", "web:1")), &Provided::default()).await.unwrap_err();
    assert!(life.is_over() && engine.calls().crashed);
    assert!(engine.with(|world| world.by_name("shop.web.aaaa.0").is_some()));
    process.create(free(&spec("shop.web.aaaa.1", "web:1")), &Provided::default()).await.unwrap_err();
    assert!(engine.with(|world| world.by_name("shop.web.aaaa.1").is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_stale_list_is_the_one_before() {
    let (sim, id) = world("ready").await;
    let before = sim.list().await.unwrap();
    sim.start(&id).await.unwrap();
    let next = sim.calls().made.len();
    sim.calls().faults.insert(next, FaultMode::StaleList);
    assert_eq!(sim.list().await.unwrap(), before);
    assert_ne!(sim.list().await.unwrap(), before);
}

#[tokio::test(start_paused = true)]
async fn lost_events_are_lost_and_the_list_still_tells() {
    let (sim, id) = world("ready").await;
    let mark = sim.changed(None);
    let next = sim.calls().made.len();
    sim.calls().faults.insert(next, FaultMode::EventsLost);
    sim.start(&id).await.unwrap();
    assert!(timeout(Duration::from_millis(500), mark).await.is_err());
    assert!(matches!(look(&sim, &id).await.state, ContainerState::Running { .. }));
}
