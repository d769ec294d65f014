//! Forty secrets, by every way in which a container, a pull, a build or a webhook can be given one, in a world that gossips: the
//! engine, the registry and the programs repeat all of them in everything they say. None may reach a log, a label, an event, a
//! metric, a status, a plan, a notification or a state file. One more, which no Secret holds, must be found in each of them.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests and their helpers may")]

#[path = "../support/mod.rs"]
mod support;

mod canaries;
mod engine;
mod sinks;
mod story;
mod webhooks;

use std::fs;

use base64::Engine as _;

use canaries::{CANARIES, PLANTED, canary, host_files, known_outside, latin};
use sinks::{Log, Sinks};
use story::{STORY, WORLD};
use support::scenario::file::Scenario;
use support::scenario::stage::Stage;
use support::scenario::step::parse_step;

async fn told() -> Sinks {
    let host: String = host_files().iter().map(|(name, text)| format!("--- host/{name}\n{text}\n")).collect();
    let world = WORLD.replace("--- script", &format!("{host}--- script"));
    let mut stage = Stage::set(&Scenario::parse("secrets", &world).unwrap()).await.unwrap();
    fs::write(stage.path("host/latin.ini"), latin()).unwrap();
    // Nobody can repeat a secret before the manifests are read and somebody was given it.
    stage.play("run for 500ms", &parse_step("run for 500ms").unwrap()).await.unwrap();
    assert!(stage.view().sources[0].in_force(), "{:?}", stage.view().sources[0].problems);
    stage.sim.with(|world| world.gossip = known_outside());
    let mut sinks = Sinks::default();
    for line in STORY.lines().filter(|line| !line.is_empty()) {
        let times = match line.strip_prefix("run for ").and_then(|rest| rest.strip_suffix('s')) {
            Some(seconds) => seconds.parse::<u32>().unwrap() * 2,
            None => 1,
        };
        let line = if line.starts_with("run for") { "run for 500ms" } else { line };
        for _ in 0..times {
            stage.play(line, &parse_step(line).unwrap()).await.unwrap();
            sinks.look(&mut stage);
        }
        sinks.plan(&stage).await;
        sinks.answers(&stage).await;
    }
    sinks
}

#[test]
fn no_secret_is_told_and_a_planted_leak_is_found_everywhere() {
    let log = Log::default();
    let guard = log.listen();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let mut sinks = runtime.block_on(told());
    let views = std::mem::take(&mut sinks.views);
    let (sent, heads) = webhooks::told_of(views);
    sinks.take("notifications", sent);
    drop(guard);
    sinks.take("logs", log.text());

    for number in (0..CANARIES).filter(|number| !webhooks::CANARIES.contains(number)) {
        let text = canary(number);
        let encoded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(&text);
        // Also where it was cut.
        let leaks = [&text[.."canary00ses".len()], &encoded].map(|text| sinks.leaks(text)).concat();
        assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    }
    for number in webhooks::CANARIES {
        assert!(heads.contains(&canary(number)), "the webhook is called with its secrets");
        assert_eq!(sinks.leaks(&canary(number)), [""; 0]);
    }
    let planted = [
        "errors of plans",
        "events",
        "labels",
        "logs",
        "notifications",
        "plans",
        "release log",
        "revisions",
        "sources",
        "state files",
        "views",
    ];
    assert_eq!(sinks.with(PLANTED), planted);
    assert!(sinks.all.values().all(|all| !all.is_empty()));
    let missing: Vec<&str> = HAPPENED.into_iter().filter(|reason| !sinks.all["events"].contains(reason)).collect();
    assert_eq!(missing, [""; 0], "what was to happen has not");
}

/// What the story is about: of each of it an event tells.
const HAPPENED: [&str; 13] = [
    "Built",
    "BuildFailed",
    "PullFailed",
    "CreateFailed",
    "StartFailed",
    "GatePassed",
    "GateFailed",
    "JobFailed",
    "Quiesced",
    "QuiesceEnded",
    "Healing",
    "RunRequested",
    "RolledBack",
];

/// Whether everything that is to be looked for is somewhere, and everything that was to happen has happened.
#[test]
fn every_canary_is_somewhere() {
    let held: String = host_files().into_values().collect::<String>() + &String::from_utf8_lossy(&latin());
    let elsewhere = [16].into_iter().chain(webhooks::CANARIES).chain(engine::CANARIES);
    let elsewhere: Vec<usize> = elsewhere.collect();
    let missing: Vec<usize> = (0..CANARIES).filter(|n| !held.contains(&canary(*n)) && !elsewhere.contains(n)).collect();
    assert_eq!(missing, [0; 0]);
}
