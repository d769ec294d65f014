//! `evenkeel plan` on a machine that was built anew: nothing runs, the history is gone, and the newest manifests ask for what
//! has failed. What last completed is noted, and the plan says that this is what comes back.

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

const WORLD: &str = "
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

/// What `plan` says of the manifests and the state directory of a stage.
async fn planned(stage: &Stage) -> Outlook {
    let source = Source { dir: stage.path("manifests"), namespace: None, variables: BTreeMap::new() };
    let policy = Place { file: stage.path("policy.yaml"), is_required: false, guarded: Vec::new() };
    let setup = Setup { settings: Settings::default(), sources: vec![source], state_dir: stage.path("state"), policy };
    offline::plan(&setup, &stage.sim).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_plan_says_what_comes_back_in_place_of_the_manifests_revision() {
    let scenario = Scenario::parse("rebuilt", WORLD).unwrap();
    let mut stage = Stage::set(&scenario).await.unwrap();
    for line in &scenario.script {
        stage.play(&line.text, &line.step).await.unwrap();
    }
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
