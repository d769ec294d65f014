//! What Prometheus and a supervisor read: `/metrics`, `/healthz` and `/readyz` over TCP, and nothing else there.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel::metrics::{ActionResult, Metrics};
use evenkeel::model::action::{Call, Stop};
use evenkeel::model::observed::ContainerId;
use evenkeel::model::time::Span;
use evenkeel::model::view::{Detail, View};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::daemon::parts;
use crate::view::{busy, calm, key};

/// Answers of a daemon that shows `view`: status line and body by path.
async fn answers(view: View, metrics: Metrics, paths: &[&str]) -> BTreeMap<String, (u16, String)> {
    let (_views, parts) = parts(view, metrics);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(evenkeel::server::serve_scrapes(listener, parts, std::future::pending()));
    let mut answers = BTreeMap::new();
    for path in paths {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        answers.insert(path.to_string(), (status, body.to_string()));
    }
    answers
}

fn counted() -> Metrics {
    let metrics = Metrics::new();
    let container = ContainerId("c".into());
    let stop = Call::Stop(Stop { container, name: "x".into(), pre_stop: vec![], grace: Span::secs(30) });
    let pull = Call::Pull { image: "shop/web:2".into(), platform: None, secrets: vec![] };
    metrics.pass(Span::millis(3));
    metrics.action(&stop, ActionResult::Success, Span::millis(700));
    metrics.action(&pull, ActionResult::Timeout, Span::secs(90));
    metrics.action(&pull, ActionResult::Success, Span::secs(4));
    busy().events.iter().for_each(|event| metrics.event(event));
    busy().events.iter().for_each(|event| metrics.rollout(event, Span::secs(42)));
    metrics.probe_failure();
    metrics.store_write_error();
    metrics
}

/// `/metrics` without what differs from run to run.
async fn exposition(view: View) -> String {
    let (status, text) = answers(view, counted(), &["/metrics"]).await.remove("/metrics").unwrap();
    assert_eq!(status, 200);
    let changing = |line: &&str| !line.starts_with("process_") && !line.contains("_bucket");
    text.lines().filter(changing).map(|line| format!("{line}\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_what_the_view_tells() {
    insta::assert_snapshot!(exposition(busy()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_gone_leaves_no_series_behind() {
    assert!(exposition(busy()).await.contains(r#"name="api""#));
    assert!(!exposition(calm()).await.contains(r#"name="api""#));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_keep_the_rules_that_promtool_checks() {
    let (_, text) = answers(busy(), counted(), &["/metrics"]).await.remove("/metrics").unwrap();
    let mut helped = BTreeSet::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["#", "HELP", name, ..] => assert!(helped.insert(name.to_string()), "{name} is there twice"),
            ["#", "TYPE", name, kind] => {
                assert!(helped.contains(name), "{name} has no help");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
                assert!(!name.ends_with("_count") && !name.ends_with("_sum") && !name.contains("__"), "{name}");
                assert!(name.starts_with("evenkeel_") || name.starts_with("process_"), "{name}");
            }
            _ => {}
        }
    }
    assert!(helped.len() > 40, "{}", helped.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_readiness_are_told_and_nothing_of_the_socket_is_served() {
    let paths = ["/healthz", "/readyz", "/v1/view", "/"];
    let well = answers(calm(), Metrics::new(), &paths).await;
    assert_eq!(well["/healthz"], (200, "ok\n".into()));
    assert_eq!(well["/readyz"], (200, "ok\n".into()));
    assert_eq!((well["/v1/view"].0, well["/"].0), (404, 404));
    let mut view = calm();
    view.engine.connected = false;
    view.engine.message = "connection refused".into();
    view.at = crate::view::ago(90);
    let ill = answers(view, Metrics::new(), &paths).await;
    assert_eq!(ill["/healthz"], (503, "no pass for 90 s\n".into()));
    assert_eq!(ill["/readyz"], (503, "the engine does not answer: connection refused\n".into()));
}

/// `promtool check metrics`, where it is installed.
#[tokio::test(flavor = "multi_thread")]
async fn promtool_has_nothing_to_say() {
    let (_, text) = answers(busy(), counted(), &["/metrics"]).await.remove("/metrics").unwrap();
    let mut command = tokio::process::Command::new("promtool");
    command.args(["check", "metrics"]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let Ok(mut child) = command.stderr(std::process::Stdio::piped()).spawn() else {
        eprintln!("promtool is not installed: skipped");
        return;
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_revision_of_the_manifest_counts_whatever_was_chosen_in_its_place() {
    let mut view = busy();
    let Detail::Deployment { revisions, pinned, .. } =
        &mut view.objects.get_mut(&key("deployment/shop/api")).unwrap().detail
    else {
        panic!("it is a Deployment");
    };
    *pinned = true;
    (revisions[0].wanted, revisions[1].wanted) = (true, false);
    let metrics = &answers(view, Metrics::new(), &["/metrics"]).await["/metrics"].1;
    let rejected = "evenkeel_deployment_revision_rejected{name=\"api\",namespace=\"shop\"} 1\n";
    assert!(metrics.contains(rejected), "{metrics}");
}
