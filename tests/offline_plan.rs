//! What `evenkeel plan` says, on the simulated engine: what an update costs, and what comes back on a machine that was built
//! anew.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests and their helpers may")]

mod support;

use std::collections::BTreeMap;

use evenkeel::manifest::Source;
use evenkeel::model::desired::Settings;
use evenkeel::reconciler::Setup;
use evenkeel::reconciler::offline::{self, Outlook};
use evenkeel::reconciler::rules::Place;
use support::scenario::file::Scenario;
use support::scenario::stage::Stage;
use support::scenario::step::parse_step;

/// An update that fails, and a machine of which nothing is left but what last completed.
const REBUILT: &str = "
image web:1 ready after 2s
image web:2 exits with 1 after 300ms
allow downtime
allow accidents
--- manifests/web.yaml
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  minReady: 1s
  template:
    image: web:1
    ports: [{name: http, port: 80}]
    drain: 0s
    readinessProbe: {httpGet: {port: http}, period: 1s}
--- script
run until converged within 2m
edit manifests/web.yaml s/web:1/web:2/
run until deployment/shop/web is RolledBack within 10m
run until converged within 2m
controller stop
docker rm shop.web.*.*
docker rmi web:1
docker rmi web:2
lose history
--- transcript
";

/// What a container mounts of the host, there and not.
const MOUNTS: &str = "
image web:1 ready after 1s
host path /

--- manifests/web.yaml
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    image: web:1
    mounts:
    - {hostPath: /, path: /host, readOnly: true}
    - {hostPath: /nowhere/at/all, path: /data}
--- script
run for 1s
--- transcript
";

#[tokio::test(start_paused = true)]
async fn a_plan_warns_of_a_host_path_that_is_not_there() {
    let told = planned(&played(MOUNTS).await).await.warnings;
    let warning = "hostPath that is not on this machine: /nowhere/at/all (of deployment/shop/web). It must be on the host before \
                   the container is made";
    assert!(told.iter().any(|told| told == warning), "{told:#?}");
}

/// What `plan` says of the manifests and the state directory of a stage.
async fn planned(stage: &Stage) -> Outlook {
    let source = Source { dir: stage.path("manifests"), namespace: None, variables: BTreeMap::new() };
    let policy = Place { file: stage.path("policy.yaml"), is_required: false, guarded: Vec::new() };
    let setup = Setup { settings: Settings::default(), sources: vec![source], state_dir: stage.path("state"), policy };
    offline::plan(&setup, &stage.sim).await.unwrap()
}

/// A stage after the script of a scenario.
async fn played(text: &str) -> Stage {
    let scenario = Scenario::parse("plan", text).unwrap();
    let mut stage = Stage::set(&scenario).await.unwrap();
    for line in &scenario.script {
        stage.play(&line.text, &line.step).await.unwrap();
    }
    stage
}

/// One replica that writes alone, and an edit that the controller has not seen.
const STOP_FIRST: &str = "
image db:1 ready after 1s
image db:2 ready after 1s
allow downtime
--- manifests/db.yaml
apiVersion: evenkeel.dev/v1
kind: Volume
metadata: {name: data, namespace: shop}
spec: {accessMode: ReadWriteOncePod}
---
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: db, namespace: shop}
spec:
  minReady: 10s
  template:
    image: db:1
    ports: [{name: db, port: 5432}]
    mounts: [{volume: data, path: /data}]
    drain: 5s
    terminationGracePeriod: 1m
    readinessProbe: {tcpSocket: {port: db}, period: 1s}
--- script
run until converged within 2m
controller stop
edit manifests/db.yaml s/db:1/db:2/
--- transcript
";

#[tokio::test(start_paused = true)]
async fn a_plan_says_for_how_long_nothing_serves_and_why() {
    let outlook = planned(&played(STOP_FIRST).await).await;
    let costs: Vec<&str> = outlook.steps.iter().filter_map(|step| step.downtime.as_deref()).collect();
    let [cost] = costs[..] else { panic!("{costs:?}") };
    // What drains and minReady take is certain, what the programs take is not.
    let expected = "nothing serves deployment/shop/db for 15s, and while the old replica ends (at most 1m) and the new one starts: ";
    assert!(cost.starts_with(expected) && cost.contains("volume data"), "{cost}");
}

/// Two replicas that all stop before the first new one starts, on a host that has no memory for one more beside them.
const RECREATED: &str = "
image web:1 ready after 1s
image web:2 ready after 1s
host memory 64Mi
allow downtime
--- manifests/web.yaml
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  strategy: {type: Recreate}
  minReady: 1s
  template:
    image: web:1
    ports: [{name: http, port: 80}]
    resources: {requests: {memory: 512Mi}}
    drain: 0s
    readinessProbe: {httpGet: {port: http}, period: 1s}
--- script
run until converged within 2m
controller stop
edit manifests/web.yaml s/web:1/web:2/
--- transcript
";

#[tokio::test(start_paused = true)]
async fn a_plan_says_that_nothing_serves_where_all_replicas_go_at_once() {
    let outlook = planned(&played(RECREATED).await).await;
    let costs: Vec<&str> = outlook.steps.iter().filter_map(|step| step.downtime.as_deref()).collect();
    assert!(costs.iter().all(|cost| cost.starts_with("nothing serves deployment/shop/web for 1s")), "{costs:?}");
    assert_eq!(costs.len(), 2, "one for each that stops");
    assert_eq!(outlook.warnings, [""; 0], "what stops first asks for no room");
}

#[tokio::test(start_paused = true)]
async fn a_plan_warns_of_what_would_wait_for_memory_though_it_is_not_the_first_step() {
    let text = RECREATED.replace("strategy: {type: Recreate}", "progressDeadline: 5m");
    let outlook = planned(&played(&text).await).await;
    let [warning] = &outlook.warnings[..] else { panic!("{:?}", outlook.warnings) };
    let expected = "deployment/shop/web would wait for memory on the host: one more replica asks for 512Mi, and 64Mi are available";
    assert!(warning.starts_with(expected), "{warning}");
    assert!(outlook.steps.iter().all(|step| step.downtime.is_none()));
}

/// Checks after a rollout, two of them of one program.
const CHECKED: &str = "
image web:1 ready after 1s
image web:2 ready after 1s
--- manifests/web.yaml
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  minReady: 1s
  gates:
    after:
      - {httpGet: {port: http, path: /health}}
      - {exec: {command: [psql, -c, select 1]}}
      - {exec: {command: [psql, -c, select 2]}}
      - {tcpSocket: {port: http}, byName: true}
  template:
    image: web:1
    ports: [{name: http, port: 80}]
    drain: 0s
    readinessProbe: {httpGet: {port: http}, period: 1s}
--- script
run until converged within 2m
controller stop
edit manifests/web.yaml s/web:1/web:2/
--- transcript
";

#[tokio::test(start_paused = true)]
async fn a_plan_names_the_checks_after_a_rollout_each_once() {
    let outlook = planned(&played(CHECKED).await).await;
    let checks = outlook.steps.iter().filter(|step| step.action.starts_with("check "));
    let told: Vec<String> = checks.map(|step| format!("{}: {}", step.action, step.cause)).collect();
    let because = "a gate of revision 2 after its rollout";
    let expected = [
        "check GET /health at port http at each new replica",
        "check command psql -c select 1 at each new replica",
        "check command psql -c select 2 at each new replica",
        "check TCP connection to port http by name",
    ];
    assert_eq!(told, expected.map(|check| format!("{check}: {because}")));
}

#[tokio::test(start_paused = true)]
async fn a_plan_says_what_comes_back_in_place_of_the_manifests_revision() {
    let mut stage = played(REBUILT).await;
    let outlook = planned(&stage).await;
    let digest = outlook.steps.iter().find_map(|step| step.action.strip_prefix("pull ")).unwrap();
    assert!(digest.starts_with("web@sha256:"), "not by its tag, which may lead elsewhere: {digest}");
    let [warning] = &outlook.warnings[..] else { panic!("{:?}", outlook.warnings) };
    let (before, after) = warning.split_once(" completed at ").unwrap();
    assert_eq!(before, "deployment/shop/web: nothing is left of it but the note that revision 1 (web:1)");
    let (_, after) = after.split_once(": ").unwrap();
    assert_eq!(
        after,
        "that comes back; what its manifest asks for now waits until it changes, or `evenkeel rollout undo \
         deployment/shop/web --to 2` goes to it"
    );
    stage.play("controller start", &parse_step("controller start").unwrap()).await.unwrap();
    stage.play("", &parse_step("run until converged within 5m").unwrap()).await.unwrap();
    stage.play("", &parse_step("expect 2 ready of deployment/shop/web").unwrap()).await.unwrap();
    assert!(planned(&stage).await.warnings.is_empty(), "it is told as long as it is to come");
}

/// An update whose migration is under way.
const MIGRATING: &str = "
image web:1 ready after 2s, as a job exits with 0
image web:2 ready after 2s, as a job exits with 0 after 10m
--- manifests/web.yaml
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  minReady: 1s
  gates: {before: [{job: migrate}]}
  template:
    image: web:1
    ports: [{name: http, port: 80}]
    drain: 0s
    readinessProbe: {httpGet: {port: http}, period: 1s}
---
apiVersion: evenkeel.dev/v1
kind: Job
metadata: {name: migrate, namespace: shop}
spec: {template: {args: [migrate]}}
--- script
run until converged within 2m
edit manifests/web.yaml s/web:1/web:2/
run until 1 running containers like shop.migrate.* within 1m
controller stop
--- transcript
";

#[tokio::test(start_paused = true)]
async fn while_a_gates_job_runs_a_plan_says_what_comes_after_it() {
    let outlook = planned(&played(MIGRATING).await).await;
    let steps: Vec<&str> = outlook.steps.iter().filter_map(|step| step.action.split(' ').next()).collect();
    let web = |word: &str| outlook.steps.iter().any(|step| step.action.starts_with(&format!("{word} shop.web.")));
    assert!(["create", "start", "stop"].into_iter().all(web), "{steps:?}");
}
