//! From a seed to a schedule. It only chooses; what the choices mean is elsewhere.

use super::chance::Chance;
use super::schedule::{Edit, Schedule, Turn};
use super::shop::{BAD, Cron, Deployment, FIT, GOOD, MOVED_TO_A_BAD_ONE, Shop, UNFIT};

const STRATEGIES: [(usize, &str); 6] = [
    (5, "type: RollingUpdate, maxSurge: 1, maxUnavailable: 0"),
    (2, "type: RollingUpdate, maxSurge: 0, maxUnavailable: 1"),
    (2, "type: RollingUpdate, maxSurge: 1, maxUnavailable: 1"),
    (1, "type: RollingUpdate, maxSurge: 2, maxUnavailable: 0, delay: 3s"),
    (1, "type: RollingUpdate, maxSurge: 3, maxUnavailable: 2"),
    (1, "type: Recreate"),
];

/// Every Deployment has a check: without one, a program that is not ready yet has its name by right.
const CHECKS: [(usize, &str); 4] = [
    (4, "readinessProbe: {httpGet: {port: http}, period: 1s}"),
    (2, "readinessProbe: {httpGet: {port: http}, period: 2s}\nlivenessProbe: {httpGet: {port: http}, period: 3s}"),
    (
        1,
        "startupProbe: {httpGet: {port: http}, period: 1s, failureThreshold: 20}\nreadinessProbe: {httpGet: {port: http}, period: 1s}",
    ),
    (1, "healthCheck: {command: [check], interval: 1s, retries: 3}"),
];

const NAMES: [(&str, &str); 3] = [("shop", "web"), ("shop", "api"), ("stage", "web")];

const ACCIDENTS: [(usize, &str); 8] = [
    (3, "crash"),
    (3, "docker kill"),
    (3, "docker rm"),
    (2, "docker stop"),
    (1, "docker pause"),
    (1, "docker unpause"),
    (1, "hang"),
    (1, "docker start"),
];

const CALLS: [(usize, &str); 12] = [
    (3, "create"),
    (4, "start"),
    (3, "stop"),
    (3, "remove"),
    (3, "connect"),
    (2, "disconnect"),
    (2, "list"),
    (1, "inspect"),
    (1, "update"),
    (1, "pull"),
    (1, "create network"),
    (1, "networks"),
];

const FAULTS: [(usize, &str); 13] = [
    (3, "error"),
    (2, "timeout"),
    (2, "timeout after effect"),
    (1, "silence"),
    (1, "silence after effect"),
    (3, "crash before"),
    (3, "crash after"),
    (2, "stale list"),
    (1, "lost events"),
    (1, "doubled events"),
    (1, "engine restart"),
    (1, "engine crash"),
    (1, "error 3 times"),
];

const PAUSES: [(usize, &str); 7] =
    [(3, "100ms"), (4, "500ms"), (4, "1s"), (4, "3s"), (3, "8s"), (2, "25s"), (1, "70s")];

/// The schedule of a seed.
pub fn schedule(seed: u64) -> Schedule {
    let mut chance = Chance::new(seed);
    let shop = shop(&mut chance);
    let mut turns = Vec::new();
    for _ in 0..2 + chance.below(9) {
        turns.push(turn(&mut chance, &shop));
        if chance.percent(75) {
            turns.push(Turn::Say(format!("run for {}", chance.weighted(&PAUSES))));
        }
    }
    Schedule { seed, shop, turns }
}

fn shop(chance: &mut Chance) -> Shop {
    let count = 1 + chance.below(NAMES.len());
    let mut deployments: Vec<Deployment> = NAMES[..count].iter().map(|name| deployment(chance, *name)).collect();
    let job = chance.percent(30).then(|| chance.one(&["task:1", "task:2", "task:bad"]).to_string());
    if job.is_some() && chance.percent(30) {
        deployments[0].uses.push("dependsOn: [{job: task}]".into());
    }
    if count > 1 && chance.percent(20) {
        deployments[1].uses.push("dependsOn: [{deployment: web, condition: Available}]".into());
    }
    rules(chance, &mut deployments, job.is_some());
    let cron = chance.percent(20).then(|| Cron {
        policy: chance.one(&["Allow", "Forbid", "Replace"]),
        image: chance.one(&["task:1", "task:2", "task:bad", "task:long"]),
        quiesce: if count > 1 { chance.weighted(&[(3, ""), (1, "web")]) } else { "" },
        suspended: false,
    });
    Shop { deployments, job, cron, config: 1, secret: 1 }
}

/// Some have a gate before or after, and the two of one namespace may belong together.
fn rules(chance: &mut Chance, deployments: &mut [Deployment], is_job: bool) {
    for deployment in deployments.iter_mut() {
        match chance.below(100) {
            0..15 => deployment.rules.push(FIT),
            // One runs when its dependencies are met, and is none itself.
            15..25 if is_job && deployment.namespace == "shop" && !deployment.waits() => {
                deployment.rules.push("gates: {before: [{job: task}]}");
            }
            _ => {}
        }
    }
    if deployments.len() > 1 && chance.percent(20) {
        deployments[..2].iter_mut().for_each(|deployment| deployment.rules.push("releaseGroup: both"));
    }
}

fn deployment(chance: &mut Chance, (namespace, name): (&'static str, &'static str)) -> Deployment {
    let uses = [
        (25, "networks: [back, default]"),
        (25, "mounts: [{configMap: conf, path: /etc/conf}]"),
        (20, "mounts: [{volume: files, path: /srv}]"),
        (25, "envFrom: [{secret: word}]"),
    ];
    let mut uses: Vec<String> =
        uses.iter().filter(|(share, _)| chance.percent(*share)).map(|(_, l)| l.to_string()).collect();
    // One line for each field: the second kind of mount gives way.
    if uses.iter().filter(|line| line.starts_with("mounts")).count() > 1 {
        uses.retain(|line| !line.contains("volume"));
    }
    let image = if chance.percent(92) { chance.one(&GOOD) } else { chance.one(&BAD) };
    let mut deployment = Deployment {
        namespace,
        name,
        replicas: chance.weighted(&[(3, 1), (4, 2), (3, 3), (1, 0)]),
        strategy: chance.weighted(&STRATEGIES),
        image: String::new(),
        check: chance.weighted(&CHECKS),
        color: 1,
        memory: 64,
        restart: chance.weighted(&[(6, "Always"), (1, "OnFailure"), (1, "Never")]),
        on_failure: chance.weighted(&[(5, "Rollback"), (1, "Pause")]),
        suspended: false,
        uses,
        rules: Vec::new(),
        present: true,
        was_flaky: false,
        is_two_bad: false,
    };
    deployment.take_image(image);
    deployment
}

fn turn(chance: &mut Chance, shop: &Shop) -> Turn {
    let number = chance.below(shop.deployments.len());
    let deployment = &shop.deployments[number];
    let depended_on = shop.deployments.iter().any(|d| d.uses.iter().any(|line| line.contains("deployment: web")));
    let depended_on = depended_on || shop.cron.as_ref().is_some_and(|cron| !cron.quiesce.is_empty());
    match chance.below(100) {
        0..30 => Turn::Edit(number, edit(chance)),
        30..34 => Turn::Config(chance.below(4) as u32),
        34..38 => Turn::Secret(chance.below(4) as u32),
        38..40 => Turn::Job(chance.one(&["task:1", "task:2", "task:bad"]).to_string()),
        40..41 => Turn::Cron(chance.percent(50)),
        // What another one depends on stays declared.
        41..45 => Turn::Remove(if depended_on { 1 } else { number }),
        45..50 => Turn::Return(number),
        50..65 => Turn::Say(accident(chance, deployment)),
        65..68 => {
            Turn::Say(format!("docker disconnect {}.default {}", deployment.namespace, one_of(chance, deployment)))
        }
        68..72 => Turn::Say(engine(chance)),
        72..76 => Turn::Say("controller crash".into()),
        76..79 => Turn::Say("controller start".into()),
        79..80 => Turn::Say("lose state".into()),
        80..82 => Turn::Say(format!("disk full for {}", chance.one(&["1s", "10s", "90s"]))),
        82..90 => Turn::Say(fault(chance, deployment)),
        90..96 => Turn::Say(request(chance, deployment)),
        96..98 => Turn::Say(format!("registry {}", chance.one(&["down", "fine", "rate-limited", "slow 15s"]))),
        _ => Turn::Say(
            chance.one(&["image app:1 ready after 3s", MOVED_TO_A_BAD_ONE, "image app:missing ready"]).to_string(),
        ),
    }
}

fn edit(chance: &mut Chance) -> Edit {
    match chance.below(20) {
        0..6 => Edit::Image(chance.one(&GOOD).to_string()),
        6..8 => Edit::Image(chance.one(&BAD).to_string()),
        8 => Edit::Image(UNFIT.into()),
        9..13 => Edit::Replicas(chance.below(4)),
        13 => Edit::Strategy(chance.weighted(&STRATEGIES)),
        14 => Edit::OnFailure(chance.one(&["Rollback", "Pause"])),
        15..17 => Edit::Color(chance.below(4) as u32),
        17 => Edit::Memory(chance.one(&[32, 64, 128])),
        18 => Edit::Restart(chance.one(&["Always", "OnFailure", "Never"])),
        _ => Edit::Suspend(chance.percent(40)),
    }
}

/// Any of its containers, or all of them.
fn one_of(chance: &mut Chance, deployment: &Deployment) -> String {
    let slot = chance.one(&["0", "1", "2", "*"]);
    format!("{}.{}.*.{slot}", deployment.namespace, deployment.name)
}

fn accident(chance: &mut Chance, deployment: &Deployment) -> String {
    format!("{} {}", chance.weighted(&ACCIDENTS), one_of(chance, deployment))
}

fn engine(chance: &mut Chance) -> String {
    format!("engine {} for {}", chance.one(&["restart", "crash"]), chance.one(&["1s", "5s", "40s"]))
}

fn fault(chance: &mut Chance, deployment: &Deployment) -> String {
    let call = chance.weighted(&CALLS);
    let target = match call {
        "list" | "networks" | "pull" | "create network" => "*".into(),
        _ if chance.percent(50) => "*".into(),
        _ => deployment.containers(),
    };
    format!("fail {call} {target} with {}", chance.weighted(&FAULTS))
}

fn request(chance: &mut Chance, deployment: &Deployment) -> String {
    let what =
        chance.weighted(&[(3, "undo"), (3, "restart"), (2, "pause"), (2, "resume"), (1, "retry"), (1, "undo to 1")]);
    format!("request {} {what}", deployment.key())
}
