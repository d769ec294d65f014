//! One trouble has one exit code, whichever command meets it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use evenkeel::model::command::{Answer, Reply};
use evenkeel::model::declaration::Declaration;
use evenkeel::model::view::{SourcePhase, View};
use serde_json::json;

use crate::daemon::{Daemon, says};
use crate::view::{calm, key};
use crate::waiting::web_alone;

const WEB: &str = "\
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {image: 'shop/web:1'}}
";

/// A checkout that git is in the middle of changing.
fn held(dir: &Path) -> String {
    let shop = dir.join("shop");
    fs::create_dir_all(shop.join(".git")).unwrap();
    fs::write(shop.join(".git/index.lock"), "").unwrap();
    fs::write(shop.join("web.yaml"), WEB).unwrap();
    shop.display().to_string()
}

/// The result that a machine reads of what was said.
fn result(said: &str) -> serde_json::Value {
    let (_, out) = said.split_once('\n').unwrap();
    let (out, _) = out.split_once("--- stderr\n").unwrap();
    serde_json::from_str(out).unwrap_or_else(|why| panic!("{why}: {said}"))
}

/// A view of it, in which all that is in force has come about.
fn view(dir: &str, state: SourcePhase) -> View {
    let mut view = View { objects: calm().objects, ..web_alone() };
    let web = view.objects.get_mut(&key("deployment/shop/web")).unwrap();
    web.declared = Declaration::of(&json!({"template": {"image": "shop/web:1"}}));
    let source = &mut view.sources[0];
    (source.dir, source.state, source.held) = (dir.into(), state, true);
    source.message = "git is changing the files".into();
    view
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_git_is_changing_exits_with_6_whatever_meets_it() {
    let dir = tempfile::tempdir().unwrap();
    let source = held(dir.path());
    let no_daemon = dir.path().join("nobody.sock");
    for words in ["validate", "plan", "apply", "apply --wait", "set image deployment/web :2"] {
        let said = says(&format!("{words} --source {source}"), &no_daemon).await;
        assert!(said.ends_with("--- exit 6\n") && said.contains("git is changing the files"), "{said}");
        let said = says(&format!("{words} --source {source} -o json"), &no_daemon).await;
        assert_eq!((&result(&said)["result"], &result(&said)["problems"]), (&json!("held"), &json!([])), "{said}");
    }
    for state in [SourcePhase::Loaded, SourcePhase::LastGood] {
        let dir = tempfile::tempdir().unwrap();
        let source = held(dir.path());
        let view = view(&source, state);
        let (sources, pass, started_at) = (view.sources.clone(), view.passes, view.started_at);
        let answer = move |_: &_| -> Reply { Ok(Answer::Synced { sources: sources.clone(), pass, started_at }) };
        let daemon = Arc::new(Daemon::answering_in(dir, view, answer).await);
        let asked = [
            // Of the sources that the daemon has, where none is named.
            "plan",
            "apply",
            "apply --wait",
            "apply --wait --timeout 1s",
            "apply -o json",
            "apply --wait --timeout 1s -o json",
            "set image deployment/web :2 -n shop -o json",
            "rollout status web -n shop --wait=false",
            "rollout status web -n shop --timeout 1s",
            "set image deployment/web :2 -n shop",
        ];
        let asked = asked.map(|words| {
            let daemon = daemon.clone();
            tokio::spawn(async move { daemon.says(words).await })
        });
        for said in asked {
            let said = said.await.unwrap();
            assert!(said.ends_with("--- exit 6\n") && said.contains("git is changing the files"), "{state:?}: {said}");
            if said.contains("-o json\n") {
                assert_eq!(result(&said)["result"], "held", "{state:?}: {said}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_the_daemon_cannot_read_is_invalid_for_a_machine_too() {
    let dir = tempfile::tempdir().unwrap();
    let source = held(dir.path());
    let mut view = view(&source, SourcePhase::LastGood);
    (view.sources[0].held, view.sources[0].message) = (false, "permission denied".into());
    let (sources, pass, started_at) = (view.sources.clone(), view.passes, view.started_at);
    let answer = move |_: &_| -> Reply { Ok(Answer::Synced { sources: sources.clone(), pass, started_at }) };
    let said = Daemon::answering_in(dir, view, answer).await.says("apply -o json").await;
    assert!(said.ends_with("--- exit 5\n") && said.contains("permission denied"), "{said}");
    assert_eq!(result(&said)["result"], "invalid", "{said}");
}

#[tokio::test]
async fn mistakes_are_told_beside_a_source_that_git_is_changing() {
    let dir = tempfile::tempdir().unwrap();
    let (held, no_daemon) = (held(dir.path()), dir.path().join("nobody.sock"));
    for name in ["before", "after"] {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join("web.yaml"), "kind: Deployment\nsped: {}\n").unwrap();
    }
    let at = dir.path().display();
    let sources = format!("--source {at}/before --source {held} --source {at}/after");
    for command in ["validate", "apply"] {
        let said = says(&format!("{command} {sources}"), &no_daemon).await;
        for told in ["before/web.yaml:", "after/web.yaml:", "shop: error: it was not read: git is changing the files"] {
            assert!(said.contains(told), "{told}: {said}");
        }
        assert!(said.ends_with("--- exit 5\n"), "{said}");
    }
}

#[tokio::test]
async fn what_is_invalid_exits_with_5_and_with_1_where_a_plan_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("web.yaml"), "kind: Deployment\nsped: {}\n").unwrap();
    let (source, no_daemon) = (dir.path().display().to_string(), dir.path().join("nobody.sock"));
    for (words, code) in [("validate", 5), ("apply", 5), ("apply --wait", 5), ("set image web :2", 5), ("plan", 1)] {
        let said = says(&format!("{words} --source {source}"), &no_daemon).await;
        assert!(said.ends_with(&format!("--- exit {code}\n")), "{said}");
        let said = says(&format!("{words} --source {source} -o json"), &no_daemon).await;
        match words {
            "validate" => assert!(said.contains("\"valid\": false"), "{said}"),
            _ => {
                let word = if code == 5 { "invalid" } else { "error" };
                let result = result(&said);
                assert_eq!(
                    (&result["result"], result["problems"].as_array().map(Vec::is_empty)),
                    (&json!(word), Some(false)),
                    "{said}"
                );
            }
        }
    }
}
