//! Long plays: a controller that dies a hundred thousand times, and one that lives for a month. Whatever is left behind
//! would pile up: containers, networks, files of the state directory, memory.

use std::fs;
use std::path::Path;

use crate::schedules::chance::Chance;
use crate::support::scenario::file::Scenario;
use crate::support::scenario::stage::Stage;
use crate::support::scenario::step::parse_step;
use crate::support::sim::calls::FaultMode;

/// Two Deployments, one of which crashes now and then, a Job, and what they are configured with.
const WORLD: &str = r#"
image web:1 ready after 1s
image web:2 ready after 1s
image web:bad exits with 1 after 300ms
image api:1 ready after 1s, exits with 3 after 40m
image task:1 exits with 0 after 1s
image task:2 exits with 0 after 1s
allow accidents
--- manifests/web.yaml
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  minReady: 1s
  progressDeadline: 30s
  revisionHistoryLimit: 3
  template:
    image: web:1
    ports: [{name: http, port: 80}]
    drain: 1s
    readinessProbe: {httpGet: {port: http}, period: 10s}
    envFrom: [{configMap: settings}]
    mounts: [{volume: data, path: /data}]
---
apiVersion: evenkeel.dev/v1
kind: Volume
metadata: {name: data, namespace: shop}
--- manifests/api.yaml
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec: {minReady: 1s, template: {image: "api:1", drain: 0s}}
--- manifests/task.yaml
apiVersion: evenkeel.dev/v1
kind: Job
metadata: {name: task, namespace: shop}
spec: {template: {image: "task:1"}}
--- manifests/settings.yaml
apiVersion: evenkeel.dev/v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
spec: {data: {COLOUR: c0}}
--- script
run for 1s
"#;

/// The most containers that there may be at any time: two Deployments with a surge, old and new, and runs of the Job.
const CONTAINERS: usize = 12;
/// The most files and directories of the state directory, and bytes in them, the journals left out.
const FILES: usize = 80;
const BYTES: u64 = 400_000;
/// The two journals have two files each, of a mebibyte and a line.
const JOURNALS: u64 = 4 * (1 << 20) + 100_000;
/// How often what has happened is forgotten, in cycles.
const FORGET_EVERY: u64 = 200;

/// How often it is told how far it is, in cycles.
const TELL_EVERY: u64 = 5_000;

/// What is changed next: which file, from what, to what.
struct Changes {
    web: &'static str,
    task: &'static str,
    colour: u64,
}

impl Changes {
    /// Edits something, so that there is something to do.
    async fn edit(&mut self, stage: &mut Stage, chance: &mut Chance) -> Result<(), String> {
        let line = match chance.below(4) {
            0 | 1 => {
                let to = chance.one(&["web:1", "web:2", "web:bad"]);
                let from = std::mem::replace(&mut self.web, to);
                format!("edit manifests/web.yaml s/image: {from}/image: {to}/")
            }
            2 => {
                let to = if self.task == "task:1" { "task:2" } else { "task:1" };
                let from = std::mem::replace(&mut self.task, to);
                format!("edit manifests/task.yaml s/{from}/{to}/")
            }
            _ => {
                self.colour += 1;
                format!("edit manifests/settings.yaml s/c{}/c{}/", self.colour - 1, self.colour)
            }
        };
        play(stage, &line).await
    }

    /// Brings everything to what completes.
    async fn make_good(&mut self, stage: &mut Stage) -> Result<(), String> {
        let from = std::mem::replace(&mut self.web, "web:1");
        self.colour += 1;
        play(stage, &format!("edit manifests/web.yaml s/image: {from}/image: web:1/")).await?;
        // Another configuration, because the revision may be one that was rejected for its crash.
        play(stage, &format!("edit manifests/settings.yaml s/c{}/c{}/", self.colour - 1, self.colour)).await?;
        play(stage, "run until converged within 30m").await
    }
}

async fn play(stage: &mut Stage, line: &str) -> Result<(), String> {
    let played = stage.play(line, &parse_step(line)?).await;
    let wrongs = stage.invariants.take();
    played.map_err(|problem| format!("{line}: {problem}"))?;
    if wrongs.is_empty() { Ok(()) } else { Err(format!("{line}: {}", wrongs.join("; "))) }
}

/// What there is, if it is not too much.
fn bounded(stage: &Stage) -> Result<String, String> {
    let (containers, networks) = stage.sim.with(|world| (world.containers.len(), world.networks.len()));
    let (files, bytes, journals) = size(&stage.path("state"));
    let found = format!(
        "{containers} containers, {networks} networks, {files} files with {bytes} bytes, and {journals} in journals"
    );
    let few = containers <= CONTAINERS && networks <= 4 && files <= FILES && bytes <= BYTES && journals <= JOURNALS;
    if few { Ok(found) } else { Err(format!("too much is left: {found}")) }
}

/// Files and directories below, and the bytes of the files: those of journals apart.
fn size(dir: &Path) -> (usize, u64, u64) {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.fold((0, 0, 0), |(files, bytes, journals), entry| {
        let below = size(&entry.path());
        let own = entry.metadata().map_or(0, |data| if data.is_file() { data.len() } else { 0 });
        let is_journal = entry.path().extension().is_some_and(|end| end == "jsonl");
        let (plain, journal) = if is_journal { (0, own) } else { (own, 0) };
        (files + 1 + below.0, bytes + plain + below.1, journals + journal + below.2)
    })
}

/// The memory of this process, in KiB.
fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Plays something that ends with what it has to say.
fn in_virtual_time(long: impl Future<Output = Result<String, String>>) -> Result<bool, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let said = runtime.block_on(long);
    match &said {
        Ok(said) => println!("{said}"),
        Err(problem) => println!("failed: {problem}"),
    }
    Ok(said.is_ok())
}

/// A controller that dies at a random call, again and again, while things are changed: nothing is left behind.
pub fn crashes(count: u64, seed: u64) -> Result<bool, String> {
    in_virtual_time(async move {
        let mut chance = Chance::new(seed);
        let mut stage = Stage::set(&Scenario::parse("endurance", WORLD)?).await?;
        stage.invariants.expect_trouble();
        let mut changes = Changes { web: "web:1", task: "task:1", colour: 0 };
        let began = std::time::Instant::now();
        for cycle in 1..=count {
            let mode = chance.one(&[FaultMode::CrashBefore, FaultMode::CrashAfter]);
            let at = stage.sim.calls().made.len() + chance.below(30);
            stage.sim.calls().faults.insert(at, mode);
            if chance.percent(30) {
                changes.edit(&mut stage, &mut chance).await?;
            }
            while stage.sim.calls().made.len() <= at {
                play(&mut stage, "run for 500ms").await?;
            }
            bounded(&stage).map_err(|problem| format!("crash {cycle} of seed {seed}: {problem}"))?;
            if cycle % FORGET_EVERY == 0 || cycle == count {
                changes
                    .make_good(&mut stage)
                    .await
                    .map_err(|problem| format!("crash {cycle} of seed {seed}: {problem}"))?;
                stage.forget();
            }
            if cycle % TELL_EVERY == 0 && cycle < count {
                println!("{cycle} of {count} crashes, after {} s: {}", began.elapsed().as_secs(), bounded(&stage)?);
            }
        }
        Ok(format!("{count} crashes, seed {seed}: {}", bounded(&stage)?))
    })
}

/// A controller that lives for so many days, in which something happens every hour: its memory stays what it was.
pub fn days(count: u64) -> Result<bool, String> {
    in_virtual_time(async move {
        let mut chance = Chance::new(count);
        let mut stage = Stage::set(&Scenario::parse("endurance", WORLD)?).await?;
        let mut changes = Changes { web: "web:1", task: "task:1", colour: 0 };
        let mut early = 0;
        for day in 1..=count {
            for hour in 0..24 {
                changes.edit(&mut stage, &mut chance).await?;
                play(&mut stage, "run for 30m").await?;
                if hour % 6 == 0 {
                    play(&mut stage, "docker kill shop.web.*").await?;
                }
                play(&mut stage, "run for 30m").await?;
                bounded(&stage).map_err(|problem| format!("day {day}: {problem}"))?;
                stage.forget();
            }
            changes.make_good(&mut stage).await.map_err(|problem| format!("day {day}: {problem}"))?;
            // A tenth of the time, and two days at least, for what grows until it is full: events, revisions.
            if day == (count / 10).max(2) {
                early = memory();
            }
        }
        let late = memory();
        let said = format!("{count} days: {}; {early} KiB, then {late} KiB", bounded(&stage)?);
        if late <= early + early / 10 { Ok(said) } else { Err(said) }
    })
}
