//! Thirty-two secrets, by every way in which a container or a pull can be given one, in a world that gossips: the engine,
//! the registry and the programs repeat all of them in everything they say. None may reach a log, a label, an event, a
//! metric, a status, a plan or a state file. One more, which no Secret holds, must be found in each of them.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests and their helpers may")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use evenkeel::manifest::Source;
use evenkeel::metrics::Metrics;
use evenkeel::model::command::Command;
use evenkeel::model::desired::Settings;
use evenkeel::model::name::Key;
use evenkeel::reconciler::rules::Place;
use evenkeel::reconciler::{Setup, offline};
use support::scenario::file::Scenario;
use support::scenario::stage::Stage;
use support::scenario::step::parse_step;

/// What no Secret holds, and therefore goes wherever gossip goes.
const PLANTED: &str = "planted-canary";

/// A canary: a piece of text that is part of one secret and of nothing else.
fn canary(number: usize) -> String {
    format!("canary{number:02}sesame")
}

/// How many there are.
const CANARIES: usize = 32;

/// The lines of dotenv that give a value, and the value.
fn dotenv() -> Vec<(String, String)> {
    let plain = |n: usize| (canary(n), canary(n));
    let single = |n: usize| (format!("'{} # $HOME'", canary(n)), format!("{} # $HOME", canary(n)));
    let escaped = |n: usize| (format!("\"a \\\"{}\\\"\\tb\"", canary(n)), format!("a \"{}\"\tb", canary(n)));
    let lines = |n: usize| (format!("\"one\\n{}\\nthree\"", canary(n)), format!("one\n{}\nthree", canary(n)));
    let url =
        |n: usize| (format!("postgres://root:{}@db/app", canary(n)), format!("postgres://root:{}@db/app", canary(n)));
    let long = |n: usize| (canary(n).repeat(40), canary(n).repeat(40));
    vec![plain(0), single(1), escaped(2), lines(3), url(4), long(5), plain(6), plain(7), plain(8), plain(9)]
}

/// Files that Secrets take as they are: name and content.
fn files() -> Vec<(&'static str, String)> {
    let c = canary;
    vec![
        ("tls.key", format!("-----BEGIN KEY-----\n{}\n{}\n-----END KEY-----\n", c(10), c(11))),
        ("token", c(12)),
        ("settings.json", format!("{{\"password\": \"{}\",\n \"nested\": {{\"key\": \"{}\"}}}}\n", c(13), c(14))),
        ("windows.ini", format!("[a]\r\nkey={}\r\n", c(15))),
    ]
}

/// A Docker configuration with two logins, and what the engine is given of them.
fn docker_config() -> (String, [String; 2]) {
    // ann:canary16sesame
    let encoded = "YW5uOmNhbmFyeTE2c2VzYW1l";
    let text = format!(
        r#"{{"auths": {{"a.example": {{"auth": "{encoded}"}}, "b.example": {{"username": "bob", "password": "{}"}}}}}}"#,
        canary(17)
    );
    (text, [canary(16), canary(17)])
}

/// The files on the host, by their name under `host/`.
fn host_files() -> BTreeMap<String, String> {
    let env = dotenv().iter().enumerate().map(|(n, (line, _))| format!("export KEY_{n}={line}\n")).collect();
    let mut found: BTreeMap<String, String> = files().into_iter().map(|(name, text)| (name.into(), text)).collect();
    found.insert("web.env".into(), env);
    found.insert("config.json".into(), docker_config().0);
    found.insert("login.env".into(), format!("username={}\npassword={}\n", canary(18), canary(19)));
    let jobs = (20..24).map(|n| format!("KEY_{n}={}\n", canary(n))).collect();
    found.insert("job.env".into(), jobs);
    // These four are changed half-way.
    found.insert("first.env".into(), (24..28).map(|n| format!("KEY_{n}={}\n", canary(n))).collect());
    found
}

/// The whole values that the world repeats, as somebody who was given them would.
fn known_outside() -> Vec<String> {
    let values = dotenv().into_iter().map(|(_, value)| value);
    let lines = files().into_iter().flat_map(|(_, text)| text.lines().map(String::from).collect::<Vec<_>>());
    let values = values.chain(lines).chain(docker_config().1).chain([docker_config().0]);
    let quoted = dotenv().into_iter().map(|(_, value)| format!("{value:?}"));
    values.chain(quoted).chain((18..28).map(canary)).chain([PLANTED.to_string()]).collect()
}

const WORLD: &str = r#"
image web:1 ready after 2s
image web:2 exits with 3 after 1s, says "about to fail"
image web:3 ready after 1s
image web:4 has a health check every 1s 1 retries, never ready
image web:5 has no entrypoint
image migrate:1 exits with 1 after 1s
allow downtime
--- manifests/web.yaml
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  minReady: 1s
  progressDeadline: 20s
  template:
    image: web:1
    imagePullSecrets: [login, config]
    ports: [{name: http, port: 80}]
    drain: 1s
    labels: {planted: planted-canary}
    lifecycle: {preStop: {exec: {command: [flush]}}}
    readinessProbe: {httpGet: {port: http}, period: 1s}
    env: {ONE: {secret: env, key: KEY_0}}
    envFrom: [{secret: env, prefix: ALL_}, {secret: changing}]
    mounts: [{secret: files, path: /run/secrets}, {secret: env, path: /run/env}]
---
apiVersion: evenkeel.dev/v1
kind: Job
metadata: {name: migrate, namespace: shop}
spec: {template: {image: "migrate:1", envFrom: [{secret: job}]}}
--- manifests/secrets.yaml
apiVersion: evenkeel.dev/v1
kind: Secret
metadata: {name: env, namespace: shop}
spec: {envFiles: [../host/web.env]}
---
apiVersion: evenkeel.dev/v1
kind: Secret
metadata: {name: changing, namespace: shop}
spec: {envFiles: [../host/first.env]}
---
apiVersion: evenkeel.dev/v1
kind: Secret
metadata: {name: files, namespace: shop}
spec: {files: {tls.key: ../host/tls.key, token: ../host/token, settings.json: ../host/settings.json, windows.ini: ../host/windows.ini}}
---
apiVersion: evenkeel.dev/v1
kind: Secret
metadata: {name: login, namespace: shop}
spec: {envFiles: [../host/login.env]}
---
apiVersion: evenkeel.dev/v1
kind: Secret
metadata: {name: config, namespace: shop}
spec: {files: {config.json: ../host/config.json}}
---
apiVersion: evenkeel.dev/v1
kind: Secret
metadata: {name: job, namespace: shop}
spec: {envFiles: [../host/job.env]}
--- script
run for 1s
"#;

/// Everything that can go wrong, one after the other.
const STORY: &str = "
fail pull web:* with error
fail create network shop.default with error
fail create shop.web.* with error
fail start shop.web.* with refusal
fail list * with error
fail inspect shop.web.* with error
fail log shop.web.* with timeout
run for 60s
edit manifests/web.yaml s/web:1/web:2/
run for 60s
edit manifests/web.yaml s/web:2/web:4/
fail exec shop.web.* with error
fail stop shop.web.* with error
fail remove shop.web.* with error
run for 60s
edit manifests/web.yaml s/web:4/web:5/
run for 60s
edit host/first.env s/canary24sesame/another1/
edit host/first.env s/canary25sesame/another2/
edit host/first.env s/canary26sesame/another3/
edit host/first.env s/canary27sesame/another4/
edit manifests/web.yaml s/web:5/web:3/
fail disconnect shop.web.* with error
fail connect shop.web.* with error
run for 60s
edit host/job.env s/KEY_20=/KEY 20 = \"/
run for 10s
edit host/login.env s/password=/password'=/
run for 10s
controller crash
controller start
run for 10s
edit manifests/secrets.yaml s/job.env/nowhere.env/
edit manifests/web.yaml s/KEY_0/KEY_99/
run for 10s
engine crash
run for 20s
";

/// What a log writes to.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// All that came out, by where.
#[derive(Default)]
struct Sinks(BTreeMap<&'static str, String>);

impl Sinks {
    fn take(&mut self, sink: &'static str, text: impl AsRef<str>) {
        let all = self.0.entry(sink).or_default();
        // What stays the same for a while need not be kept again.
        if !all.ends_with(text.as_ref()) {
            all.push_str(text.as_ref());
        }
    }

    /// Takes in what the stage shows at this moment.
    fn look(&mut self, stage: &mut Stage) {
        let view = stage.view();
        self.take("views", serde_json::to_string(&*view).unwrap());
        self.take("events", serde_json::to_string(&*view.events).unwrap());
        let metrics = Metrics::new();
        view.events.iter().for_each(|event| metrics.event(event));
        self.take("metrics", metrics.render(&view).unwrap());
        let labels = stage.sim.with(|world| {
            let containers = world.containers.values().map(|c| format!("{} {:?} {:?}\n", c.name, c.labels, c.spec));
            containers
                .chain(world.networks.values().map(|n| format!("{} {:?}\n", n.name, n.labels)))
                .collect::<String>()
        });
        self.take("labels", labels);
        let mut files = String::new();
        read_all(&stage.path("state"), &mut files);
        self.take("state files", files);
    }

    async fn plan(&mut self, stage: &Stage) {
        let source = Source { dir: stage.path("manifests"), namespace: None, variables: BTreeMap::new() };
        let policy = Place { file: stage.path("policy.yaml"), is_required: false, guarded: Vec::new() };
        let (settings, state_dir) = (Settings::default(), stage.path("state"));
        let setup = Setup { settings, sources: vec![source], state_dir, policy };
        match offline::plan(&setup, &stage.sim).await {
            Ok(outlook) => self.take("plans", format!("{outlook:?}")),
            Err(error) => self.take("errors of plans", format!("{error:?}")),
        }
    }

    /// What `rollout history --diff` is made of.
    async fn revisions(&mut self, stage: &Stage) {
        let web = Key::try_from("deployment/shop/web".to_string()).unwrap();
        if let Some(Ok(answer)) = stage.ask(Command::Revisions(web)).await {
            self.take("revisions", serde_json::to_string(&answer).unwrap());
        }
    }

    /// The places with this text, and a piece of each.
    fn leaks(&self, text: &str) -> Vec<String> {
        let piece = |(sink, all): (&&str, &String)| {
            let at = all.find(text)?;
            let before: String = all[..at].chars().rev().take(200).collect();
            Some(format!("{sink}: …{}{text}…", before.chars().rev().collect::<String>()))
        };
        self.0.iter().filter_map(piece).collect()
    }

    fn with(&self, text: &str) -> Vec<&'static str> {
        self.0.iter().filter(|(_, all)| all.contains(text)).map(|(sink, _)| *sink).collect()
    }
}

/// Names and contents of the state directory, but for the contents of Secrets themselves and the files made of them,
/// which a rollback needs, and which only their owner can reach.
fn read_all(dir: &Path, into: &mut String) {
    let mut entries: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        into.push_str(&path.display().to_string());
        if path.is_file() {
            into.push_str(&String::from_utf8_lossy(&fs::read(&path).unwrap()));
        } else if !path.ends_with("state/contents") && !path.ends_with("state/files") {
            read_all(&path, into);
        }
    }
}

async fn told() -> Sinks {
    let host: String = host_files().iter().map(|(name, text)| format!("--- host/{name}\n{text}\n")).collect();
    let world = WORLD.replace("--- script", &format!("{host}--- script"));
    let mut stage = Stage::set(&Scenario::parse("secrets", &world).unwrap()).await.unwrap();
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
        sinks.revisions(&stage).await;
    }
    sinks
}

#[test]
fn no_secret_is_told_and_a_planted_leak_is_found_everywhere() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone());
    let guard = tracing::subscriber::set_default(subscriber.finish());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let mut sinks = runtime.block_on(told());
    drop(guard);
    sinks.take("logs", String::from_utf8_lossy(&log.0.lock().unwrap()));

    let leaks: Vec<String> = (0..CANARIES).flat_map(|number| sinks.leaks(&canary(number))).collect();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    assert_eq!(sinks.with(PLANTED), ["events", "labels", "logs", "plans", "revisions", "state files", "views"]);
    assert!(sinks.0.values().all(|all| !all.is_empty()));
}
