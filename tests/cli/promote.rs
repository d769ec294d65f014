//! `promote`: what of one namespace reaches the manifests of another, and what is refused with nothing written.

use std::fs;

use evenkeel::model::command::{Answer, Reply};
use evenkeel::model::declaration::Declaration;
use evenkeel::model::view::{OutcomeWord, View};
use serde_json::json;

use crate::daemon::Daemon;
use crate::view::{calm, complete_with, key};

const NAMESPACE: &str = "\
apiVersion: evenkeel.dev/v1
kind: Namespace
metadata: {name: production}
spec:
  variables:
    TAG: \"1.3.0\"   # promoted
";

const WEB: &str = "\
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: web, namespace: production}
spec:
  template:
    image: r.example/shop/web:1.3.0   # a person promotes it
";

const API: &str = "\
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: api, namespace: production}
spec:
  template: {image: 'r.example/shop/api:${TAG}'}
---
apiVersion: evenkeel.dev/v1
kind: Job
metadata: {name: migrate, namespace: production}
spec:
  template: {image: 'r.example/shop/api:${TAG}', args: [migrate]}
";

fn digest(letter: &str) -> String {
    format!("sha256:{}", letter.repeat(64))
}

/// Staging runs other versions than production, which is declared in files.
fn staged() -> View {
    let mut view = calm();
    view.objects.clear();
    let image = |name: &str, tag: &str, letter: &str| {
        let repository = format!("r.example/shop/{name}");
        complete_with(&format!("{repository}:{tag}"), &format!("{repository}@{}", digest(letter)))
    };
    for (object, tag, letter) in [
        ("staging/web", "1.4.0", "a"),
        ("staging/api", "1.4.1", "b"),
        ("staging/extra", "9.0.0", "c"),
        ("production/web", "1.3.0", "d"),
        ("production/api", "1.3.0", "e"),
        ("production/old", "0.1.0", "f"),
    ] {
        let name = object.split('/').nth(1).unwrap();
        view.objects.insert(key(&format!("deployment/{object}")), image(name, tag, letter));
    }
    view
}

async fn daemon(mut view: View, files: &[(&str, &str)]) -> Daemon {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("shop")).unwrap();
    for (file, text) in files {
        fs::write(dir.path().join("shop").join(file), text).unwrap();
    }
    view.sources[0].dir = dir.path().join("shop").display().to_string();
    let synced = view.clone();
    let (pass, started_at) = (view.passes, view.started_at);
    let answer = move |_: &_| -> Reply { Ok(Answer::Synced { sources: synced.sources.clone(), pass, started_at }) };
    Daemon::answering_in(dir, view, answer).await
}

const SHOP: [(&str, &str); 3] = [("namespace.yaml", NAMESPACE), ("web.yaml", WEB), ("api.yaml", API)];

fn text(daemon: &Daemon, file: &str) -> String {
    fs::read_to_string(daemon.dir.path().join("shop").join(file)).unwrap()
}

fn is_untouched(daemon: &Daemon, files: &[(&str, &str)]) -> bool {
    files.iter().all(|(file, before)| text(daemon, file) == *before)
}

/// Digests of one letter, in short.
fn brief(said: &str) -> String {
    ["a", "b", "c", "d"]
        .iter()
        .fold(said.to_string(), |said, letter| said.replace(&letter.repeat(64), &letter.repeat(4)))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_both_namespaces_have_is_promoted_by_digest() {
    let daemon = daemon(staged(), &SHOP).await;
    let mut said = daemon.says("promote staging production --dry-run").await;
    assert!(is_untouched(&daemon, &SHOP));
    said += &daemon.says("promote staging production").await;
    said += &daemon.says("promote staging production -o json").await;
    insta::assert_snapshot!(brief(&said));
    let web = format!("r.example/shop/web:1.4.0@{}", digest("a"));
    assert_eq!(text(&daemon, "web.yaml"), WEB.replace("r.example/shop/web:1.3.0", &web));
    assert_eq!(text(&daemon, "api.yaml"), API, "its variable was changed");
    let tag = format!("1.4.1@{}", digest("b"));
    assert_eq!(text(&daemon, "namespace.yaml"), NAMESPACE.replace("1.3.0", &tag));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_deployment_can_be_promoted_alone_and_waited_for() {
    let mut view = staged();
    let web = format!("r.example/shop/web:1.4.0@{}", digest("a"));
    view.objects.get_mut(&key("deployment/production/web")).unwrap().declared =
        Declaration::of(&json!({"template": {"image": web}}));
    let daemon = daemon(view, &SHOP).await;
    insta::assert_snapshot!(brief(&daemon.says("promote staging production deployment/web --wait --timeout 2s").await));
    assert!(is_untouched(&daemon, &[SHOP[0], SHOP[2]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_proven_is_not_promoted() {
    let change = |change: fn(&mut View)| {
        let mut view = staged();
        change(&mut view);
        view
    };
    fn web(view: &mut View) -> &mut evenkeel::model::view::ObjectView {
        view.objects.get_mut(&key("deployment/staging/web")).unwrap()
    }
    fn revision(view: &mut View) -> &mut evenkeel::model::view::RevisionView {
        let evenkeel::model::view::Detail::Deployment { revisions, .. } = &mut web(view).detail else { unreachable!() };
        &mut revisions[0]
    }
    let mut said = String::new();
    for (view, words) in [
        (change(|view| web(view).status.phase = "Progressing".into()), "staging production"),
        (change(|view| web(view).status.phase = "RolledBack".into()), "staging production"),
        (change(|view| revision(view).outcome = OutcomeWord::Pending), "staging production web"),
        (change(|view| revision(view).digest = digest("d")), "staging production web"),
        (
            change(|view| {
                view.objects.get_mut(&key("deployment/production/web")).unwrap().declared = Declaration::of(
                    &json!({"template": {"image": "r.example/shop/web", "imagePolicy": {"semver": "*"}}}),
                );
            }),
            "staging production",
        ),
        (staged(), "staging production extra"),
        (staged(), "staging nowhere"),
        (staged(), "staging staging"),
        (staged(), "staging production job/migrate"),
    ] {
        let daemon = daemon(view, &SHOP).await;
        said += &daemon.says(&format!("promote {words}")).await;
        assert!(is_untouched(&daemon, &SHOP), "{words}");
    }
    insta::assert_snapshot!(brief(&said));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_of_two_images_takes_no_digest_of_one() {
    let web = WEB.replace("web:1.3.0", "web:${TAG}");
    let files = [SHOP[0], ("web.yaml", web.as_str()), SHOP[2]];
    let both = daemon(staged(), &files).await;
    let mut said = both.says("promote staging production").await;
    said += &both.says("promote staging production api").await;
    let told = both.says("promote staging production api -o json").await;
    assert!(told.contains("\"result\": \"error\"") && told.contains("\"problems\": [\n    {\n"), "{told}");
    assert!(is_untouched(&both, &files));
    insta::assert_snapshot!(brief(&said));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_serves_both_namespaces_is_not_promoted() {
    let shared = WEB.replace(", namespace: production", "");
    let mut view = staged();
    let mut staging = view.sources[0].clone();
    (view.sources[0].namespace, staging.namespace) =
        (Some("production".to_string().try_into().unwrap()), Some("staging".to_string().try_into().unwrap()));
    let daemon = daemon(view, &[("web.yaml", &shared)]).await;
    daemon.views.send_modify(|view| {
        let mut changed = (**view).clone();
        staging.dir.clone_from(&changed.sources[0].dir);
        changed.sources.push(staging);
        *view = changed.into();
    });
    let said = daemon.says("promote staging production web").await;
    let told = daemon.says("promote staging production web -o json").await;
    assert!(told.contains("\"result\": \"error\""), "{told}");
    assert_eq!(text(&daemon, "web.yaml"), shared);
    insta::assert_snapshot!(brief(&said));
}
