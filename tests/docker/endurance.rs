//! A large host for a long time: `scripts/endurance`. How much memory the controller takes for 500 containers, and whether it
//! takes more after an hour in which something happens all the time.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::{Bench, Deployment, Engine, Process, object, run};
use crate::systems::host::Host;

const DEPLOYMENTS: usize = 50;
const REPLICAS: usize = 10;
/// What a service unit may set as `MemoryMax`, with room for a large pass.
const LIMIT_MIB: f64 = 64.0;
/// How long it goes on by default, in minutes: EVENKEEL_TEST_MINUTES.
const MINUTES: u64 = 60;

fn minutes() -> u64 {
    std::env::var("EVENKEEL_TEST_MINUTES").ok().and_then(|minutes| minutes.parse().ok()).unwrap_or(MINUTES)
}

fn deployment(number: usize, image: &str) -> String {
    let web = Deployment::new(&format!("d{number}"), image).replicas(REPLICAS).spec("progressDeadline", "5m");
    web.template("readinessProbe", "{httpGet: {port: 8080, path: /healthz}, period: 5s}").to_string()
}

fn mib(process: &Process, what: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    line.trim_matches([':', '\t', ' ']).trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
}

/// Lets one Deployment change its image, and another one lose a replica.
fn disturb(bench: &Bench, turn: usize, images: &[String]) {
    let (updated, hit) = (turn % DEPLOYMENTS, (turn * 7 + 3) % DEPLOYMENTS);
    let image = &images[(turn / DEPLOYMENTS + 1) % images.len()];
    bench.write(&format!("d{updated}.yaml"), &deployment(updated, image));
    if let Some(victim) = bench.running(&format!("d{hit}")).first() {
        bench.engine.docker(&["kill", victim.id()]);
    }
}

/// The engine's bridge has room for 1,023 containers, a subnet of our own choice for 254 addresses.
const NETWORK: &str = "{subnets: [10.88.0.0/22]}";

#[test]
#[ignore = "minutes: scripts/endurance"]
fn five_hundred_containers_fit_into_the_memory_of_the_unit() {
    run(Engine::own(26), "unit", |bench| {
        let declare = |image| {
            (0..DEPLOYMENTS).for_each(|number| bench.write(&format!("d{number}.yaml"), &deployment(number, image)));
        };
        bench.write("network.yaml", &object("Network", "default", NETWORK));
        declare("evenkeel-demo:1");
        let host = Host::boot(bench);
        host.types("/src/deploy/install --source /srv/shop");
        host.types("evenkeel apply --wait --timeout 15m");
        assert_eq!(host.types("docker ps --quiet").lines().count(), DEPLOYMENTS * REPLICAS);
        // Each Deployment has a rollout at once, and people look meanwhile.
        declare("evenkeel-demo:3");
        host.types("evenkeel apply && for look in 'get all' 'plan' 'events' 'describe deployment/d7 -n shop'; do evenkeel $look | tail -n 3; done");
        declare("evenkeel-demo:1");
        host.types("evenkeel apply --wait --timeout 15m");
        let now = host.shows("MemoryCurrent").parse::<f64>().unwrap() / f64::from(1 << 20);
        println!(
            "500 containers: {now:.1} MiB of the unit's {} MiB",
            host.shows("MemoryMax").parse::<u64>().unwrap() >> 20
        );
        assert_eq!(host.shows("NRestarts"), "0", "it went over its limit");
    });
}

#[test]
#[ignore = "an hour: scripts/endurance"]
fn memory_stays_what_it_was_with_500_containers() {
    run(Engine::shared(26), "five_hundred", |bench| {
        let images = [bench.app_image("1", &[]), bench.app_image("2", &[])];
        bench.write("network.yaml", &object("Network", "default", NETWORK));
        (0..DEPLOYMENTS).for_each(|number| bench.write(&format!("d{number}.yaml"), &deployment(number, &images[0])));
        let began = Instant::now();
        let controller = bench.start_controller();
        while bench.applied() != 0 {
            assert!(began.elapsed() < Duration::from_secs(900), "500 containers are not ready");
        }
        println!("500 containers ready after {:.0} s", began.elapsed().as_secs_f64());
        let minutes = minutes();
        let (began, mut early, mut turn) = (Instant::now(), 0.0, 0);
        while began.elapsed() < Duration::from_secs(60 * minutes) {
            disturb(bench, turn, &images);
            turn += 1;
            assert_eq!(bench.applied(), 0, "turn {turn}");
            let now = mib(&controller, "VmRSS");
            // A tenth of the time, for what grows until it is full: events, revisions, caches.
            if early == 0.0 && began.elapsed() >= Duration::from_secs(6 * minutes) {
                early = now;
            }
            if turn % 10 == 1 {
                println!("{:>5.0} s, turn {turn}: {now:.1} MiB", began.elapsed().as_secs_f64());
            }
        }
        let (late, peak) = (mib(&controller, "VmRSS"), mib(&controller, "VmHWM"));
        println!("{turn} turns: {early:.1} MiB, then {late:.1} MiB, {peak:.1} MiB at most (limit {LIMIT_MIB} MiB)");
        assert!(late <= early * 1.1, "{early:.1} MiB became {late:.1} MiB");
        assert!(peak <= LIMIT_MIB, "{peak:.1} MiB");
        assert_eq!(bench.all_containers().len(), DEPLOYMENTS * REPLICAS);
    });
}
