//! `set image`: what becomes of the file, what is said of it, and how the wait for it ends.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use evenkeel::model::command::{Answer, Command, Reply};
use evenkeel::model::declaration::Declaration;
use evenkeel::model::view::{Detail, ProblemView, SourcePhase, SourceState, View};
use serde_json::json;

use crate::daemon::{Daemon, says};
use crate::view::{busy, calm, key};
use crate::waiting::{rolled_back, web_alone};

const NAMESPACE: &str = "\
apiVersion: evenkeel.dev/v1
kind: Namespace
metadata: {name: shop}
spec:
  variables:
    TAG: main-latest   # CI sets it
";

const WEB: &str = "\
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: web, namespace: shop}

# Ours, and every byte of it.
spec:
  template:
    image:   \"shop/web:1\"   # set by CI
---
apiVersion: evenkeel.dev/v1
kind: Job
metadata: {name: migrate, namespace: shop}
spec: {template: {image: shop/web:1, args: [migrate]}}
";

const API: &str = "\
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: NAME, namespace: shop}
spec:
  template: {image: 'shop/api:${TAG}'}
";

/// Manifests of a shop.
fn shop() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    dir
}

fn write(dir: &Path) {
    fs::create_dir_all(dir.join("shop/apps")).unwrap();
    for (file, text) in [
        ("namespace.yaml", NAMESPACE.to_string()),
        ("apps/web.yaml", WEB.to_string()),
        ("apps/api.yaml", API.replace("NAME", "api")),
        ("apps/worker.yaml", API.replace("NAME", "worker")),
    ] {
        fs::write(dir.join("shop").join(file), text).unwrap();
    }
}

/// What `set image` says without a daemon. `[dir]` stands for the directory of the test.
async fn set(dir: &Path, words: &str) -> String {
    let words = format!("set image {words} --source {}/shop", dir.display());
    says(&words, &dir.join("evenkeel.sock")).await
}

fn text(dir: &Path, file: &str) -> String {
    fs::read_to_string(dir.join("shop").join(file)).unwrap()
}

#[tokio::test]
async fn an_image_is_set_and_every_other_byte_stays() {
    let dir = shop();
    insta::assert_snapshot!(set(dir.path(), "deployment/web shop/web:2").await, @r"
    $ evenkeel set image deployment/web shop/web:2 --source [dir]/shop
    deployment/shop/web: image shop/web:1 -> shop/web:2 ([dir]/shop/apps/web.yaml:8)
    --- exit 0
    ");
    assert_eq!(text(dir.path(), "apps/web.yaml"), WEB.replacen("shop/web:1", "shop/web:2", 1));
    insta::assert_snapshot!(set(dir.path(), "job/migrate :2 -o json").await, @r#"
    $ evenkeel set image job/migrate :2 -o json --source [dir]/shop
    {
      "also": [],
      "before": "shop/web:1",
      "changed": true,
      "file": "[dir]/shop/apps/web.yaml",
      "image": "shop/web:2",
      "line": 13,
      "object": "job/shop/migrate",
      "objects": {},
      "result": "done"
    }
    --- stderr
    job/shop/migrate: image shop/web:1 -> shop/web:2 ([dir]/shop/apps/web.yaml:13)
    --- exit 0
    "#);
    assert_eq!(text(dir.path(), "apps/web.yaml"), WEB.replace("shop/web:1", "shop/web:2"));
    insta::assert_snapshot!(set(dir.path(), "web :2").await, @r"
    $ evenkeel set image web :2 --source [dir]/shop
    deployment/shop/web: image shop/web:2 unchanged ([dir]/shop/apps/web.yaml:8)
    --- exit 0
    ");
    fs::write(dir.path().join("shop/apps/web.yaml"), WEB.replace('\n', "\r\n")).unwrap();
    let said = set(dir.path(), "web :3 -n shop").await;
    assert!(said.ends_with("--- exit 0\n"), "{said}");
    assert_eq!(text(dir.path(), "apps/web.yaml"), WEB.replacen("shop/web:1", "shop/web:3", 1).replace('\n', "\r\n"));
    let names = fs::read_dir(dir.path().join("shop/apps")).unwrap().count();
    assert_eq!(names, 3, "nothing is left beside the manifests");
}

#[tokio::test]
async fn the_variable_of_an_image_is_set_and_what_uses_it_is_named() {
    let dir = shop();
    insta::assert_snapshot!(set(dir.path(), "api shop/api:sha-1a2b").await, @r"
    $ evenkeel set image api shop/api:sha-1a2b --source [dir]/shop
    deployment/shop/api: image shop/api:main-latest -> shop/api:sha-1a2b, by TAG main-latest -> sha-1a2b ([dir]/shop/namespace.yaml:6)
    deployment/shop/worker changes too: its manifest uses TAG
    --- exit 0
    ");
    assert_eq!(text(dir.path(), "namespace.yaml"), NAMESPACE.replace("main-latest", "sha-1a2b"));
    insta::assert_snapshot!(set(dir.path(), "api :2 -o json").await, @r#"
    $ evenkeel set image api :2 -o json --source [dir]/shop
    {
      "also": [
        "deployment/shop/worker"
      ],
      "before": "shop/api:sha-1a2b",
      "changed": true,
      "file": "[dir]/shop/namespace.yaml",
      "image": "shop/api:2",
      "line": 6,
      "object": "deployment/shop/api",
      "objects": {},
      "result": "done",
      "variable": {
        "after": "2",
        "before": "sha-1a2b",
        "name": "TAG"
      }
    }
    --- stderr
    deployment/shop/api: image shop/api:sha-1a2b -> shop/api:2, by TAG sha-1a2b -> 2 ([dir]/shop/namespace.yaml:6)
    deployment/shop/worker changes too: its manifest uses TAG
    --- exit 0
    "#);
    assert_eq!(text(dir.path(), "namespace.yaml"), NAMESPACE.replace("main-latest", "\"2\""));
    insta::assert_snapshot!(set(dir.path(), "api shop/other:2").await, @r"
    $ evenkeel set image api shop/other:2 --source [dir]/shop
    --- stderr
    [dir]/shop/apps/api.yaml:5:21: error: 'shop/other:2' does not fit the text around the variable 'TAG'
     5 |   template: {image: 'shop/api:${TAG}'}
       |                     ^^^^^^^^^^^^^^^^^
    hint: --literal replaces the whole text with the image as given

    error: the image of deployment/shop/api is as it was
    --- exit 1
    ");
    insta::assert_snapshot!(set(dir.path(), "api shop/other:2 --literal").await, @r"
    $ evenkeel set image api shop/other:2 --literal --source [dir]/shop
    deployment/shop/api: image shop/api:2 -> shop/other:2 ([dir]/shop/apps/api.yaml:5)
    --- exit 0
    ");
    assert_eq!(text(dir.path(), "apps/api.yaml"), API.replace("NAME", "api").replace("api:${TAG}", "other:2"));
}

const FOLLOWED: &str = "\
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: NAME, namespace: shop}
spec:
  template:
    image: shop/NAME
    imagePolicy: POLICY
";

#[tokio::test]
async fn where_a_policy_finds_the_tag_none_can_be_set() {
    let dir = shop();
    let follow = |name: &str, image: &str, policy: &str| {
        let text = FOLLOWED.replace("shop/NAME", image).replace("NAME", name).replace("POLICY", policy);
        fs::write(dir.path().join(format!("shop/apps/{name}.yaml")), &text).unwrap();
        text
    };
    let ranged = follow("ranged", "shop/ranged", "{semver: '>=1.4 <2'}");
    let numbered = follow("numbered", "shop/numbered", "{pattern: 'main-([0-9]+)', order: Numerical}");
    let moving = follow("moving", "shop/moving:edge", "{digest: Follow}");
    let digest = format!("@sha256:{}", "0123".repeat(16));
    let mut said = String::new();
    for words in ["ranged :1.4.2".to_string(), format!("numbered {digest}"), format!("moving {digest}")] {
        said += &set(dir.path(), &words).await;
    }
    for (file, before) in [("ranged", &ranged), ("numbered", &numbered), ("moving", &moving)] {
        assert_eq!(&text(dir.path(), &format!("apps/{file}.yaml")), before);
    }
    // Another tag is followed from then on, and another repository is looked through.
    said += &set(dir.path(), "moving :stable").await;
    said += &set(dir.path(), "ranged shop/other").await;
    assert_eq!(text(dir.path(), "apps/moving.yaml"), moving.replace(":edge", ":stable"));
    assert_eq!(text(dir.path(), "apps/ranged.yaml"), ranged.replace("image: shop/ranged", "image: shop/other"));
    insta::assert_snapshot!(said);
}

#[tokio::test]
async fn variables_of_the_configuration_win_and_are_not_overruled_in_vain() {
    let dir = shop();
    let config = dir.path().join("evenkeel.yaml");
    fs::write(&config, "sources: [{dir: shop, variables: {TAG: '7'}}]\n").unwrap();
    let words = format!("set image api :8 --config {}", config.display());
    insta::assert_snapshot!(says(&words, &dir.path().join("evenkeel.sock")).await, @r"
    $ evenkeel set image api :8 --config [dir]/evenkeel.yaml
    --- stderr
    [dir]/shop/apps/api.yaml:5:21: error: the variable 'TAG' is set by the configuration of the source, which wins over its Namespace
     5 |   template: {image: 'shop/api:${TAG}'}
       |                     ^^^^^^^^^^^^^^^^^
    hint: change it there; --literal replaces the whole text with the image as given

    error: the image of deployment/shop/api is as it was
    --- exit 1
    ");
    assert_eq!(text(dir.path(), "namespace.yaml"), NAMESPACE);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_nothing_is_written() {
    let dir = shop();
    let mut said = String::new();
    for words in [
        "web Shop/Web:1",
        "web web=shop/web:2",
        "deployment/wep :2",
        "job/seed :2",
        "deployment/web :2 -n staging",
        "network/web :2",
    ] {
        said.push_str(&set(dir.path(), words).await);
    }
    fs::write(dir.path().join("shop/apps/db.yaml"), "kind: Deployment\n").unwrap();
    said.push_str(&set(dir.path(), "web :2").await);
    said.push_str(&set(dir.path(), "db :2 -o json").await);
    insta::assert_snapshot!(said);
    assert_eq!(text(dir.path(), "apps/web.yaml"), WEB);
}

#[tokio::test]
async fn a_link_is_not_written_through() {
    let dir = shop();
    fs::create_dir(dir.path().join("shop/.common")).unwrap();
    let (real, link) = (dir.path().join("shop/.common/web.yaml"), dir.path().join("shop/apps/web.yaml"));
    fs::rename(&link, &real).unwrap();
    symlink("../.common/web.yaml", &link).unwrap();
    insta::assert_snapshot!(set(dir.path(), "web :2").await, @r"
    $ evenkeel set image web :2 --source [dir]/shop
    --- stderr
    error: [dir]/shop/apps/web.yaml is a link, to ../.common/web.yaml: it is not written through
    hint: nothing was written; edit the file itself, or make it a regular file of the source
    --- exit 1
    ");
    assert_eq!(fs::read_to_string(real).unwrap(), WEB);
}

#[tokio::test]
async fn one_directory_of_two_namespaces_changes_in_both() {
    let dir = shop();
    fs::remove_file(dir.path().join("shop/namespace.yaml")).unwrap();
    for file in ["api", "worker"] {
        fs::remove_file(dir.path().join(format!("shop/apps/{file}.yaml"))).unwrap();
    }
    let anywhere = WEB.replace(", namespace: shop", "");
    fs::write(dir.path().join("shop/apps/web.yaml"), &anywhere).unwrap();
    let shop = dir.path().join("shop");
    let words = format!("--source {0}=production --source {0}=staging", shop.display());
    let socket = dir.path().join("evenkeel.sock");
    let ambiguous = says(&format!("set image web :2 {words}"), &socket).await;
    let done = says(&format!("set image web :2 -n staging {words}"), &socket).await;
    insta::assert_snapshot!(format!("{ambiguous}{done}"), @r"
    $ evenkeel set image web :2 --source [dir]/shop=production --source [dir]/shop=staging
    --- stderr
    error: 'web' exists in several namespaces: production, staging
    hint: say which one: -n production
    --- exit 1
    $ evenkeel set image web :2 -n staging --source [dir]/shop=production --source [dir]/shop=staging
    deployment/staging/web: image shop/web:1 -> shop/web:2 ([dir]/shop/apps/web.yaml:8)
    deployment/production/web changes too: it has the same manifest
    --- exit 0
    ");
    assert_eq!(text(dir.path(), "apps/web.yaml"), anywhere.replacen("shop/web:1", "shop/web:2", 1));
}

#[tokio::test]
async fn without_a_source_and_without_a_daemon_the_way_out_is_said() {
    let dir = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(says("set image web :2", &dir.path().join("evenkeel.sock")).await, @r"
    $ evenkeel set image web :2
    --- stderr
    error: no directory of manifests is named, and no daemon answers on [dir]/evenkeel.sock: No such file or directory (os error 2)
    hint: write --source DIR, or --config FILE with `sources`, or start the daemon
    --- exit 1
    ");
}

/// A daemon that watches the shop, and shows `view` of it with this image.
async fn watching(mut view: View, image: &str) -> Daemon {
    view.objects.get_mut(&key("deployment/shop/web")).unwrap().declared =
        Declaration::of(&json!({"template": {"image": image}}));
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    view.sources[0].dir = dir.path().join("shop").display().to_string();
    let synced = view.clone();
    let (pass, started_at) = (view.passes, view.started_at);
    let answer = move |_: &_| -> Reply { Ok(Answer::Synced { sources: synced.sources.clone(), pass, started_at }) };
    Daemon::answering_in(dir, view, answer).await
}

/// A daemon with the shop and the checkout of another namespace, which git is changing. It has that one's objects in force
/// under these keys.
async fn beside_a_locked_one(declares: &[&str]) -> Daemon {
    let mut view = calm();
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    let prod = dir.path().join("prod");
    fs::create_dir_all(prod.join(".git")).unwrap();
    fs::write(prod.join(".git/index.lock"), "").unwrap();
    fs::write(prod.join("web.yaml"), WEB.replace("namespace: shop", "namespace: prod")).unwrap();
    view.sources.truncate(1);
    view.sources[0].dir = dir.path().join("shop").display().to_string();
    let other = SourceState {
        dir: prod.display().to_string(),
        declares: declares.iter().map(|one| key(one)).collect(),
        ..view.sources[0].clone()
    };
    view.sources.insert(0, other);
    Daemon::answering_in(dir, view, |_| Ok(Answer::Noted)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_git_changes_is_in_the_way_only_of_what_it_may_say() {
    let daemon = beside_a_locked_one(&["deployment/prod/web"]).await;
    let said = daemon.says("set image deployment/web :2 -n shop").await;
    assert!(said.contains("image shop/web:1 -> shop/web:2") && said.ends_with("--- exit 0\n"), "{said}");
    let said = daemon.says("set image api :2").await;
    assert!(said.ends_with("--- exit 0\n"), "only one has it: {said}");
    for words in ["deployment/web :3 -n prod", "deployment/new :3 -n shop"] {
        let said = daemon.says(&format!("set image {words}")).await;
        let prod = daemon.dir.path().join("prod").display().to_string();
        for part in ["/prod is in the way: git is changing the files", "--source DIR", "--- exit 6"] {
            assert!(said.replace(&prod, "/prod").contains(part), "{said}");
        }
    }
    let said = daemon.says("set image web :3").await;
    assert!(said.contains("'web' exists in several namespaces"), "{said}");
    assert!(text(daemon.dir.path(), "apps/web.yaml").contains("\"shop/web:2\""));
    // It is being moved from one to the other, or so it seems.
    let daemon = beside_a_locked_one(&["deployment/shop/web"]).await;
    let said = daemon.says("set image deployment/web :2 -n shop").await;
    assert!(said.contains("is in the way"), "{said}");
}

#[tokio::test]
async fn without_a_daemon_an_object_must_be_named_in_full_beside_what_git_changes() {
    let dir = shop();
    let prod = dir.path().join("prod");
    fs::create_dir_all(prod.join(".git")).unwrap();
    fs::write(prod.join(".git/index.lock"), "").unwrap();
    let words = |what: &str| format!("{what} --source {}", prod.display());
    let said = set(dir.path(), &words("web :2")).await;
    assert!(said.contains("prod is in the way"), "{said}");
    let said = set(dir.path(), &words("deployment/web :2 -n shop")).await;
    assert!(said.ends_with("--- exit 0\n"), "{said}");
    // An edit of the one would be one of the other.
    fs::create_dir_all(dir.path().join("shop/.git")).unwrap();
    fs::rename(prod.join(".git/index.lock"), dir.path().join("shop/.git/index.lock")).unwrap();
    let said = says(
        &format!("set image deployment/web :3 -n shop --source {0}/shop --source {0}/shop/apps", dir.path().display()),
        &dir.path().join("evenkeel.sock"),
    )
    .await;
    assert!(said.contains("is in the way"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_as_the_rollout_does() {
    let stalled = || {
        let mut view = web_alone();
        let status = &mut view.objects.get_mut(&key("deployment/shop/web")).unwrap().status;
        status.phase = "Stalled".into();
        status.message = "revision 1 does not become ready either".into();
        view
    };
    let mut said = String::new();
    for view in [calm(), rolled_back(), stalled(), web_alone()] {
        let daemon = watching(view, "shop/web:2").await;
        said.push_str(&daemon.says("set image web :2 --wait --timeout 1s").await);
        assert!(text(daemon.dir.path(), "apps/web.yaml").contains("\"shop/web:2\"   # set by CI"));
        said.push_str(&daemon.says("set image web :2 --wait --timeout 1s -o json").await);
    }
    insta::assert_snapshot!(said);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_is_told_of_a_change_for_its_release_log_and_not_of_none() {
    let daemon = watching(calm(), "shop/web:2").await;
    for _ in 0..2 {
        let said = daemon.says("set image web :2").await;
        assert!(said.ends_with("--- exit 0\n"), "{said}");
    }
    let asked = daemon.asked.lock().unwrap();
    let [Command::ImageSet { key: object, change, image, by }] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((object, change.as_str()), (&key("deployment/shop/web"), "image shop/web:1 -> shop/web:2"));
    assert_eq!(image.as_deref(), Some("shop/web:2"));
    assert!(!by.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_with_5_when_the_daemon_finds_the_manifests_invalid() {
    let mut view = web_alone();
    view.sources[0].state = SourcePhase::LastGood;
    view.sources[0].problems = vec![ProblemView { rendered: "a.yaml:1:1: error: no".into(), ..ProblemView::default() }];
    let said = watching(view, "shop/web:2").await.says("set image web :2 --wait").await;
    assert!(said.contains("a.yaml:1:1: error: no") && said.ends_with("--- exit 5\n"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_image_of_somebody_else_is_not_called_done() {
    let daemon = watching(calm(), "shop/web:3").await;
    insta::assert_snapshot!(daemon.says("set image web :2 --wait").await, @r"
    $ evenkeel set image web :2 --wait
    deployment/shop/web: image shop/web:1 -> shop/web:2 ([dir]/shop/apps/web.yaml:8)
    --- stderr
    error: deployment/shop/web asks for shop/web:3 by now: somebody has changed it
    --- exit 1
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_image_that_somebody_chose_is_not_called_done() {
    let mut view = calm();
    let web = view.objects.get_mut(&key("deployment/shop/web")).unwrap();
    let Detail::Deployment { pinned, revisions, .. } = &mut web.detail else { panic!("it is one") };
    *pinned = true;
    let known: Vec<_> = revisions.iter().map(|revision| (revision.number, revision.image.clone())).collect();
    let (number, image) = known.last().unwrap();
    web.status.revision.as_mut().unwrap().image = "shop/web:1".into();
    let daemon = watching(view, image).await;
    let said = daemon.says(&format!("set image web {image} --wait --timeout 2s")).await;
    assert!(said.contains("(shop/web:1), which was chosen: `evenkeel rollout undo"), "{said}");
    assert!(said.contains(&format!("--to {number}` takes it to {image}")) && said.ends_with("--- exit 3\n"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_cannot_wait_to_the_end_does_not_begin() {
    let daemon = Daemon::showing(busy()).await;
    write(daemon.dir.path());
    let source = format!("--source {}/shop", daemon.dir.path().display());
    insta::assert_snapshot!(daemon.says(&format!("set image web :2 --wait {source}")).await, @r"
    $ evenkeel set image web :2 --wait --source [dir]/shop
    --- stderr
    error: the daemon does not watch [dir]/shop
    hint: it watches /srv/shop, /srv/staging=staging
    --- exit 1
    ");
    assert_eq!(text(daemon.dir.path(), "apps/web.yaml"), WEB);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_variables_of_the_daemons_source_count() {
    let mut view = calm();
    let SourceState { variables, .. } = &mut view.sources[0];
    variables.insert("TAG".into(), "7".into());
    let daemon = watching(view, "shop/web:2").await;
    let said = daemon.says("set image api :8").await;
    assert!(said.contains("'TAG' is set by the configuration of the source"), "{said}");
    assert_eq!(text(daemon.dir.path(), "namespace.yaml"), NAMESPACE);
}
