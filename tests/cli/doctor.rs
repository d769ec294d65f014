//! `doctor` against an engine that answers what the test says, without one, and with and without a daemon.

use std::path::Path;

use axum::Json;
use axum::Router;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use evenkeel::model::command::Refusal;
use evenkeel::model::view::SourceState;
use serde_json::{Value, json};

use crate::daemon::{Daemon, says_with};
use crate::view::calm;

/// The engine's answers: `info` as the test says, one network that takes the whole of Evenkeel's pool but for three, and a
/// container of somebody else that logs without end.
async fn engine(socket: &Path, info: Value) {
    let answer = move |uri: Uri| {
        let info = info.clone();
        async move { answered(uri.path(), info) }
    };
    let listener = tokio::net::UnixListener::bind(socket).unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
}

fn answered(path: &str, info: Value) -> Response {
    let last = path.trim_start_matches('/').split('/').skip_while(|part| part.starts_with("v1.")).collect::<Vec<_>>();
    match last[..] {
        ["_ping"] => ([("api-version", "1.45")], "OK").into_response(),
        ["version"] => {
            Json(json!({"Version": "26.1.5", "ApiVersion": "1.45", "MinAPIVersion": "1.24"})).into_response()
        }
        ["info"] => Json(info).into_response(),
        ["networks"] => {
            let subnets = (0..253).map(|number| json!({"Subnet": format!("10.201.{number}.0/24")})).collect::<Vec<_>>();
            Json(json!([{"Id": "n1", "Name": "app", "Driver": "bridge", "IPAM": {"Config": subnets}}])).into_response()
        }
        ["containers", "json"] => Json(json!([{"Id": "c1", "Names": ["/db"], "State": "running"}])).into_response(),
        ["containers", "c1", "json"] => {
            let host_config = json!({"LogConfig": {"Type": "json-file", "Config": {}}});
            Json(json!({"Id": "c1", "Name": "/db", "HostConfig": host_config})).into_response()
        }
        _ => panic!("nobody asks for {path}"),
    }
}

fn info() -> Value {
    json!({"ID": "e1", "SystemTime": "2020-01-01T00:00:00Z", "DockerRootDir": "/nowhere", "LoggingDriver": "json-file",
        "LiveRestoreEnabled": false, "MemoryLimit": true, "Warnings": ["WARNING: No swap limit support"]})
}

const WEB: &str = "apiVersion: evenkeel.dev/v1\nkind: Network\nmetadata: {name: web, namespace: shop}\n";

/// A daemon with a source that is valid and one that is not there, on a host with a login for a registry and a helper that is not
/// there.
async fn daemon() -> Daemon {
    let (dir, mut view) = (tempfile::tempdir().unwrap(), calm());
    let source = dir.path().join("shop");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("web.yaml"), WEB).unwrap();
    let logins =
        r#"{"auths": {"ghcr.io": {"auth": "dXNlcjpwYXNz"}}, "credHelpers": {"registry.example": "no-such-helper"}}"#;
    std::fs::write(dir.path().join("config.json"), logins).unwrap();
    view.sources[0].dir = source.display().to_string();
    let gone = SourceState { dir: dir.path().join("gone").display().to_string(), ..view.sources[0].clone() };
    view.sources.truncate(1);
    view.sources.push(gone);
    Daemon::answering_in(dir, view, |_| Err(Refusal::impossible("not in this test"))).await
}

/// What `doctor` says, without what depends on the machine that the test runs on.
async fn doctor(words: &str, daemon: &Daemon) -> String {
    let host = format!("unix://{}", daemon.dir.path().join("docker.sock").display());
    let state = daemon.dir.path().join("state");
    let line = format!("doctor --state-dir {} {words}", state.display());
    let said = says_with(&line, &daemon.socket(), Some(("DOCKER_HOST", host))).await;
    let mut kept = String::new();
    let mut skips = false;
    for line in said.lines() {
        let is_way_out = line.starts_with("      ");
        if !is_way_out {
            let own = ["  clock: ", "  state directory's disk: ", "  policy: "];
            skips = own.iter().any(|check| line.contains(check));
        }
        if !skips {
            // How far a fixed time lies back is another number every second.
            let is_clock = line.contains("engine's clock: ");
            let line = if is_clock { "warn  engine's clock: is [long] behind this host's" } else { line };
            // The manifest was written a moment ago.
            let age = line.find(", changed ").zip(line.find(" ago"));
            kept += &age.map_or(line.to_owned(), |(begin, end)| format!("{}{}", &line[..begin], &line[end + 4..]));
            kept.push('\n');
        }
    }
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn what_troubles_a_host_is_told_with_the_way_out() {
    let daemon = daemon().await;
    engine(&daemon.dir.path().join("docker.sock"), info()).await;
    insta::assert_snapshot!(doctor("", &daemon).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_and_an_engine_that_do_not_answer_are_failures_with_the_way_out() {
    let daemon = daemon().await;
    std::fs::remove_file(daemon.socket()).unwrap();
    insta::assert_snapshot!(doctor("", &daemon).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_for_machines_have_a_verdict_and_the_same_exit_code() {
    let daemon = daemon().await;
    let words = |said: &str| {
        let text = &said[said.find('{').unwrap()..=said.rfind('}').unwrap()];
        let found: Value = serde_json::from_str(text).unwrap();
        let findings = found["findings"].as_array().unwrap().iter();
        findings
            .map(|one| (one["check"].as_str().unwrap().to_owned(), one["verdict"].as_str().unwrap().to_owned()))
            .collect()
    };
    let said = doctor("-o json", &daemon).await;
    let findings: Vec<(String, String)> = words(&said);
    assert!(findings.contains(&("engine".into(), "fail".into())), "{said}");
    assert!(findings.contains(&("daemon".into(), "ok".into())) && said.ends_with("--- exit 1\n"), "{said}");
    engine(&daemon.dir.path().join("docker.sock"), info()).await;
    let said = doctor("-o json", &daemon).await;
    let findings = words(&said);
    assert!(findings.contains(&("live-restore".into(), "warn".into())), "{said}");
    assert!(findings.iter().all(|(_, verdict)| verdict != "fail") == said.ends_with("--- exit 0\n"), "{said}");
}
