//! The state directory as its users see it, and under every failure of the disk.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::model::build::SeenContext;
use crate::model::cron::{CronJobHistory, CronRun};
use crate::model::history::{DeploymentHistory, Outcome, Revision, Rollout};
use crate::model::job::{JobHistory, JobRun, JobState, RemovedJob};
use crate::model::last_good::GoodRevision;
use crate::model::name::{Key, Kind, Name};
use crate::model::release::{Release, Step};
use crate::model::revision::{Commit, ImageId, RevisionId, TemplateHash};
use crate::model::status::Severity;
use crate::model::time::Timestamp;
use crate::model::told::{Last, Told};

fn key(kind: Kind, name: &str) -> Key {
    Key::new(kind, Name::new("shop").unwrap(), Name::new(name).unwrap())
}

/// A Deployment's history that differs by `number`.
fn deployment(number: u64) -> DeploymentHistory {
    let template = serde_json::json!({
        "image": "shop/web:1", "env": {"A": "text", "B": {"secret": "s", "key": "k"}}, "ports": [{"port": 80}],
        "resources": {"limits": {"cpu": "500m", "memory": "512Mi"}}, "mounts": [{"path": "/x", "volume": "v"}],
    });
    let revision = Revision {
        failure: None,
        gates: BTreeMap::new(),
        rested_at: None,
        number,
        id: RevisionId(format!("r{number}")),
        template_hash: TemplateHash("t1".into()),
        template: serde_json::from_value(template).unwrap(),
        taken_over: false,
        contents: BTreeMap::from([("secret/s".to_string(), ContentId("s-1".into()))]),
        restarts: 0,
        image: ImageId("sha256:1".into()),
        digest: None,
        commit: None,
        created_at: Timestamp(1),
        outcome: Outcome::Completed { at: Timestamp(2) },
    };
    let rollout = Rollout::Complete { revision: revision.id.clone(), monitored: None };
    DeploymentHistory { revisions: vec![revision], rollout, restarts: number, ..DeploymentHistory::default() }
}

fn history(deployments: &[(&str, u64)]) -> History {
    let deployment = |(name, number): &(&str, u64)| (key(Kind::Deployment, name), deployment(*number));
    History { deployments: deployments.iter().map(deployment).collect(), ..History::default() }
}

fn open(dir: &tempfile::TempDir) -> Store {
    Store::open(dir.path()).unwrap()
}

/// A gate that lets changes pass `budget` times and fails for ever after, like the end of the process or a full disk.
/// The first write beyond it leaves half of its file.
fn failing_after(budget: usize) -> Gate {
    let done = AtomicUsize::new(0);
    Arc::new(move |operation, path| match operation.changes() {
        true if done.fetch_add(1, Ordering::SeqCst) >= budget => {
            if operation == Operation::Sync && path.is_file() {
                let length = fs::metadata(path)?.len();
                File::options().write(true).open(path)?.set_len(length / 2)?;
            }
            Err(io::ErrorKind::StorageFull.into())
        }
        _ => Ok(()),
    })
}

/// A gate that notes what passes, with paths relative to `dir`.
fn noting(dir: &Path) -> (Gate, Arc<Mutex<Vec<String>>>) {
    let (dir, notes) = (dir.to_path_buf(), Arc::<Mutex<Vec<String>>>::default());
    let shared = notes.clone();
    let gate = move |operation: Operation, path: &Path| {
        if operation.changes() {
            let path = path.strip_prefix(&dir).unwrap_or(path).display();
            hold(&shared).push(format!("{operation} {path}"));
        }
        Ok(())
    };
    (Arc::new(gate), notes)
}

#[test]
fn history_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = history(&[("web", 1), ("api", 2)]);
    let run = JobRun {
        revision: RevisionId("r1".into()),
        template_hash: TemplateHash("t1".into()),
        template: deployment(1).revisions.remove(0).template,
        contents: BTreeMap::new(),
        image: ImageId("sha256:1".into()),
        digest: Some("web@sha256:2".into()),
        commit: Commit::parse(&"1".repeat(40)).map(Into::into),
        created_at: Timestamp(3),
        attempt: 0,
        state: JobState::Started { at: Timestamp(3) },
        taken_over: false,
        earlier: Vec::new(),
    };
    let job = JobHistory { runs: vec![run.clone()], resolution: None, choice: None };
    history.removed_jobs.insert(key(Kind::Job, "old"), RemovedJob { at: Timestamp(4), history: job.clone() });
    history.jobs.insert(key(Kind::Job, "web"), job);
    let scheduled = CronRun {
        scheduled_at: Timestamp(2),
        by_hand: true,
        replaced: false,
        backoff_limit: 1,
        active_deadline: None,
        resolution: None,
        job: Some(run),
    };
    let cron_job = CronJobHistory {
        counts_by: Some("@daily UTC".into()),
        through: Timestamp(2),
        last_scheduled: Some(Timestamp(1)),
        last_success: None,
        runs: vec![scheduled],
        choice: None,
    };
    history.cron_jobs.insert(key(Kind::CronJob, "web"), cron_job);
    history.confirmed.insert(key(Kind::Deployment, "old"));
    open(&dir).save(&history).unwrap();
    assert_eq!(open(&dir).load(), (history.clone(), vec![]));
    let peek = Store::peek(dir.path()).unwrap();
    assert_eq!((peek.history, peek.warnings), (history, vec![]));
}

#[test]
fn only_what_changed_is_written_synced_and_then_named() {
    let dir = tempfile::tempdir().unwrap();
    open(&dir).save(&history(&[("api", 1), ("old", 1), ("web", 1)])).unwrap();
    let (gate, notes) = noting(dir.path());
    let store = Store::open_gated(dir.path(), gate).unwrap();
    store.load();
    hold(&notes).clear();
    store.save(&history(&[("api", 1), ("web", 2)])).unwrap();
    let expected = [
        "write objects/shop/.tmp-deployment.web.json",
        "sync objects/shop/.tmp-deployment.web.json",
        "rename to objects/shop/deployment.web.json",
        "remove objects/shop/deployment.old.json",
        "sync objects/shop",
    ];
    assert_eq!(*hold(&notes), expected);
    store.save(&history(&[("api", 1), ("web", 2)])).unwrap();
    assert_eq!(hold(&notes).len(), expected.len(), "nothing changed, nothing was written");
}

#[test]
fn what_is_not_kept_on_disk_costs_no_write() {
    let dir = tempfile::tempdir().unwrap();
    let (gate, notes) = noting(dir.path());
    let store = Store::open_gated(dir.path(), gate).unwrap();
    let mut history = history(&[("web", 1)]);
    store.save(&history).unwrap();
    hold(&notes).clear();
    let web = history.deployments.get_mut(&key(Kind::Deployment, "web")).unwrap();
    web.ready_since.insert(crate::model::observed::ContainerId("c1".into()), Timestamp(9));
    store.save(&history).unwrap();
    assert_eq!(*hold(&notes), [""; 0]);
}

#[test]
fn a_crash_at_any_write_leaves_each_object_old_or_new() {
    let (before, after) =
        (history(&[("gone", 1), ("same", 1), ("web", 1)]), history(&[("new", 1), ("same", 1), ("web", 2)]));
    for budget in 0.. {
        let dir = tempfile::tempdir().unwrap();
        open(&dir).save(&before).unwrap();
        let store = Store::open_gated(dir.path(), failing_after(budget)).unwrap();
        store.load();
        let saved = store.save(&after).is_ok();
        drop(store);

        let store = open(&dir);
        let (found, warnings) = store.load();
        assert_eq!(warnings, [""; 0], "after {budget}");
        for name in ["gone", "new", "same", "web"].map(|name| key(Kind::Deployment, name)) {
            let found = found.deployments.get(&name);
            let known = [before.deployments.get(&name), after.deployments.get(&name)];
            assert!(known.contains(&found), "{name} after {budget}: {found:?}");
        }
        store.save(&after).unwrap();
        assert_eq!(open_again(store, &dir).load().0, after);
        if saved {
            assert_eq!(budget, 8, "two objects of three steps each, one removal, one directory");
            return;
        }
    }
}

fn open_again(store: Store, dir: &tempfile::TempDir) -> Store {
    drop(store);
    open(dir)
}

#[test]
fn a_state_directory_that_is_removed_is_made_again_with_its_key_and_its_lock() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("state");
    let store = Store::open(&root).unwrap();
    store.save(&history(&[("web", 1)])).unwrap();
    let key = fs::read(root.join(key::KEY)).unwrap();
    fs::remove_dir_all(&root).unwrap();
    store.save(&history(&[("web", 1)])).unwrap();
    assert_eq!(fs::read(root.join(key::KEY)).unwrap(), key, "no secret gets another id");
    assert!(Store::open(&root).is_err(), "it is still held");
    drop(store);
    assert_eq!(Store::open(&root).unwrap().load().0, history(&[("web", 1)]));
}

#[test]
fn a_state_directory_that_is_emptied_is_filled_again_and_says_until_then_that_the_history_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    store.save(&history(&[("web", 1)])).unwrap();
    assert!(!store.is_lost());
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    assert!(store.is_lost());
    let kept = Kept { files: [].into(), commit: None, contexts: vec![], secrets: [].into(), host_files: [].into() };
    store.save_snapshot("/srv/shop", &kept).unwrap();
    assert!(store.keeps_snapshot("/srv/shop") && !store.keeps_snapshot("/srv/other"));
    assert!(store.is_lost(), "the history is not written yet");
    store.save(&history(&[("web", 1)])).unwrap();
    assert!(!store.is_lost());
    drop(store);
    assert_eq!(open(&dir).load().0, history(&[("web", 1)]));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        match path.is_dir() {
            true => copy(&path, &to),
            false => assert!(fs::copy(&path, &to).is_ok()),
        }
    }
}

#[test]
fn a_state_directory_that_is_replaced_by_an_older_one_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let (root, backup) = (dir.path().join("state"), dir.path().join("backup"));
    let store = Store::open(&root).unwrap();
    let mut old = history(&[("api", 1), ("web", 1)]);
    old.confirmed.insert(key(Kind::Deployment, "old"));
    store.save(&old).unwrap();
    copy(&root, &backup);
    store.save(&history(&[("web", 2)])).unwrap();
    fs::remove_dir_all(&root).unwrap();
    fs::rename(&backup, &root).unwrap();
    assert!(store.is_lost());
    store.save(&history(&[("web", 2)])).unwrap();
    assert!(!store.is_lost());
    assert!(Store::open(&root).is_err(), "it is held");
    drop(store);
    assert_eq!(Store::open(&root).unwrap().load().0, history(&[("web", 2)]), "nothing of the older one is left");
}

#[test]
fn a_state_directory_that_is_replaced_by_another_process_s_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("state");
    let store = Store::open(&root).unwrap();
    fs::remove_dir_all(&root).unwrap();
    let other = Store::open(&root).unwrap();
    let key = fs::read(root.join(key::KEY)).unwrap();
    assert!(store.save(&history(&[("web", 1)])).unwrap_err().to_string().contains("process"));
    assert_eq!(fs::read(root.join(key::KEY)).unwrap(), key);
    assert_eq!(other.load().0, History::default());
}

#[test]
fn a_failed_write_is_made_up_for_by_the_next_save() {
    for failing in 0..9 {
        let dir = tempfile::tempdir().unwrap();
        drop(open(&dir));
        let done = AtomicUsize::new(0);
        let gate: Gate = Arc::new(move |operation, _| {
            let fails = operation.changes() && done.fetch_add(1, Ordering::SeqCst) == failing;
            if fails { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        });
        let store = Store::open_gated(dir.path(), gate).unwrap();
        let history = history(&[("api", 1), ("web", 1)]);
        let first = store.save(&history).unwrap_err();
        store.save(&history).unwrap();
        assert_eq!(open_again(store, &dir).load(), (history, vec![]), "{failing}: {first}");
    }
}

#[test]
fn a_full_disk_is_named_with_the_file_and_leaves_no_litter() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(&dir));
    let full: Gate = Arc::new(|operation, _| match operation {
        Operation::Sync => Err(io::Error::from_raw_os_error(28)),
        _ => Ok(()),
    });
    let store = Store::open_gated(dir.path(), full).unwrap();
    fs::create_dir(dir.path().join("objects/shop")).unwrap();
    let error = store.save(&history(&[("web", 1)])).unwrap_err().to_string();
    assert!(error.starts_with("sync /") && error.contains("deployment.web.json"), "{error}");
    assert!(error.contains("No space left on device"), "{error}");
    assert_eq!(fs::read_dir(dir.path().join("objects/shop")).unwrap().count(), 0);
}

#[test]
fn damaged_files_are_set_aside_with_a_warning_and_the_rest_is_read() {
    type Damage = fn(Vec<u8>) -> Vec<u8>;
    let damages: [(&str, Damage); 5] = [
        ("empty", |_| vec![]),
        ("torn", |bytes| bytes[..bytes.len() / 2].to_vec()),
        ("not text", |_| vec![0xff; 4096]),
        ("another form", |_| b"{\"version\":1,\"checksum\":\"\",\"object\":[]}\n".to_vec()),
        ("newer", |bytes| String::from_utf8(bytes).unwrap().replace("\"version\":1", "\"version\":2").into_bytes()),
    ];
    for (what, damage) in damages {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("objects/shop/deployment.web.json");
        open(&dir).save(&history(&[("api", 1), ("web", 1)])).unwrap();
        fs::write(&file, damage(fs::read(&file).unwrap())).unwrap();
        let store = open(&dir);
        let (found, warnings) = store.load();
        assert_eq!(found, history(&[("api", 1)]), "{what}");
        assert!(warnings.len() == 1 && warnings[0].contains("deployment.web.json is not used: "), "{warnings:?}");
        assert!(file.with_file_name("deployment.web.json.broken-1").exists() && !file.exists(), "{what}");
        assert_eq!(open_again(store, &dir).load(), (history(&[("api", 1)]), vec![]), "warned once");
    }
}

#[test]
fn only_a_few_damaged_versions_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        let store = open(&dir);
        store.save(&history(&[("web", 1)])).unwrap();
        fs::write(dir.path().join("objects/shop/deployment.web.json"), "{").unwrap();
        open_again(store, &dir).load();
    }
    assert_eq!(fs::read_dir(dir.path().join("objects/shop")).unwrap().count(), BROKEN_MAX as usize);
}

#[test]
fn peeking_changes_nothing_and_needs_no_state_directory() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    assert_eq!(Store::peek(&missing).unwrap().history, History::default());
    assert!(!missing.exists());
    let held = open(&dir);
    held.save(&history(&[("web", 1)])).unwrap();
    fs::write(dir.path().join("objects/shop/deployment.api.json"), "{").unwrap();
    let peek = Store::peek(dir.path()).unwrap();
    assert_eq!(peek.history, history(&[("web", 1)]));
    assert_eq!(peek.warnings.len(), 1);
    assert!(dir.path().join("objects/shop/deployment.api.json").exists());
    let secret = content(&[("k", b"v")]);
    assert_eq!(peek.hasher.id(Kind::Secret, &secret), held.hasher().id(Kind::Secret, &secret));
}

#[test]
fn a_second_process_is_refused_and_told_who_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(&dir);
    let Err(refused) = Store::open(dir.path()) else { panic!("two at once") };
    let expected = format!("state directory {} is in use by process {} on ", dir.path().display(), std::process::id());
    assert!(refused.to_string().starts_with(&expected), "{refused}");
    drop(first);
    open(&dir);
}

#[test]
fn a_directory_of_somebody_else_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.txt"), "").unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::Foreign { .. })));
    assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    // What only looks like ours: its key is none.
    fs::create_dir(dir.path().join("objects")).unwrap();
    fs::write(dir.path().join("key"), "of my house").unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::Foreign { .. })));
    assert_eq!(fs::read(dir.path().join("key")).unwrap(), b"of my house");
}

#[test]
fn sources_of_earlier_runs_are_known_until_they_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    for source in ["/srv/a", "/srv/b"] {
        store.save_snapshot(source, &kept(&BTreeMap::from([("web.yaml".into(), b"x".to_vec())]))).unwrap();
    }
    let others = store.other_sources(&["/srv/b".into(), "/srv/c".into()]);
    assert_eq!(others, [KeptSource { file: source_name("/srv/a"), dir: "/srv/a".into() }]);
    store.forget_source(&others[0].file).unwrap();
    assert_eq!(store.other_sources(&["/srv/b".into()]), []);
    assert_eq!(store.load_snapshot("/srv/a"), None);
}

#[test]
fn a_source_of_an_earlier_run_is_called_by_the_name_of_its_file_where_that_does_not_say_more() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let named =
        |source: &str| store.other_sources(&[]).into_iter().find(|kept| kept.file == source_name(source)).unwrap().dir;
    let file = |source: &str| dir.path().join("sources").join(format!("{}.json", source_name(source)));
    // As an older release wrote it, and one that was damaged.
    let (_, older) = envelope::seal("/srv/old", &BTreeMap::from([("web.yaml", "x")])).unwrap();
    fs::write(file("/srv/old"), older).unwrap();
    assert_eq!(named("/srv/old"), source_name("/srv/old"));
    let commit = Commit::parse(&"1".repeat(40));
    let with_commit = Kept { commit, ..kept(&BTreeMap::from([("web.yaml".into(), b"x".to_vec())])) };
    store.save_snapshot("/srv/new", &with_commit).unwrap();
    assert_eq!(named("/srv/new"), "/srv/new");
    let text = fs::read_to_string(file("/srv/new")).unwrap().replace("web.yaml", "api.yaml");
    fs::write(file("/srv/new"), text).unwrap();
    assert_eq!(named("/srv/new"), source_name("/srv/new"));
}

fn last_good(source: &str, image: &str) -> LastGood {
    let mut history = deployment(7);
    history.revisions[0].digest = Some(format!("{image}@sha256:1"));
    history.revisions[0].commit = Commit::parse(&"1".repeat(40)).map(Into::into);
    let good = GoodRevision::of(&history).unwrap();
    LastGood {
        source: SourceName { dir: source.into(), namespace: None },
        deployments: BTreeMap::from([(key(Kind::Deployment, "web"), good)]),
    }
}

#[test]
fn what_last_completed_can_be_read_by_people_and_comes_back_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (last_good("/srv/shop", "shop/web"), last_good("/srv/shop", "shop/web-two"));
    for budget in 0.. {
        let store = open(&dir);
        store.save_last_good(&old).unwrap();
        drop(store);
        let store = Store::open_gated(dir.path(), failing_after(budget)).unwrap();
        let saved = store.save_last_good(&new).is_ok();
        let found = open_again(store, &dir).last_good();
        assert!(found == [new.clone()] || !saved && found == [old.clone()], "after {budget}");
        if saved {
            break;
        }
    }
    let store = open(&dir);
    let name = source_name("/srv/shop");
    let file = dir.path().join(format!("sources/{name}.last-good.lock"));
    let text = fs::read_to_string(&file).unwrap();
    for line in [
        "\"source\": \"/srv/shop\",",
        "\"digest\": \"shop/web-two@sha256:1\",",
        "\"completedAt\": \"1970-01-01T00:00:00Z\",",
    ] {
        assert!(text.lines().any(|found| found.trim() == line), "{line} in {text}");
    }
    fs::rename(&file, dir.path().join("sources/other.last-good.lock")).unwrap();
    assert_eq!(store.last_good(), [], "of another source");
    fs::write(&file, text.replace("web-two", "web-six")).unwrap();
    assert_eq!(store.last_good(), [], "changed by hand");
    fs::write(&file, text).unwrap();
    assert_eq!(store.last_good(), std::slice::from_ref(&new));
    let namespace = Some(Name::new("staging").unwrap());
    let staging = LastGood { source: SourceName { namespace, ..new.source.clone() }, ..old };
    store.save_last_good(&staging).unwrap();
    assert_eq!(store.last_good(), [new, staging], "one directory for two namespaces");
    store.forget_source(&name).unwrap();
    assert_eq!(store.last_good(), []);
}

/// Files of a source that is in no checkout and builds nothing.
fn kept(files: &BTreeMap<PathBuf, Vec<u8>>) -> Kept {
    Kept { files: files.clone(), commit: None, contexts: Vec::new(), secrets: BTreeMap::new(), host_files: [].into() }
}

#[test]
fn what_a_backup_keeps_of_sources_is_the_beginning_of_a_state_directory() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("state");
    let store = Store::open(&root).unwrap();
    let (files, good) = (BTreeMap::from([("web.yaml".into(), b"x".to_vec())]), last_good("/srv/shop", "shop/web"));
    store.save_snapshot("/srv/shop", &kept(&files)).unwrap();
    store.save_last_good(&good).unwrap();
    drop(store);
    let rebuilt = dir.path().join("rebuilt");
    fs::create_dir(&rebuilt).unwrap();
    fs::rename(root.join("sources"), rebuilt.join("sources")).unwrap();
    fs::write(rebuilt.join("sources/notes.txt"), "").unwrap();
    assert!(matches!(Store::open(&rebuilt), Err(StoreError::Foreign { .. })), "somebody else's sources");
    fs::remove_file(rebuilt.join("sources/notes.txt")).unwrap();
    let store = Store::open(&rebuilt).unwrap();
    assert_eq!(store.last_good(), [good]);
    assert_eq!(store.load_snapshot("/srv/shop").unwrap().files, files);
    assert_eq!(store.load().0, History::default());
}

#[test]
fn last_good_files_without_a_commit_are_read_and_written_as_ever() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let file = dir.path().join("sources").join(format!("{}.json", source_name("/srv/shop")));
    let ever = BTreeMap::from([("commit", "x"), ("files", "y"), ("web.yaml", "z")]);
    let (_, bytes) = envelope::seal("/srv/shop", &ever).unwrap();
    fs::write(&file, &bytes).unwrap();
    let found = store.load_snapshot("/srv/shop").unwrap();
    assert_eq!((found.files.len(), &found.commit), (3, &None));
    store.save_snapshot("/srv/shop", &found).unwrap();
    // Beside a hidden file, which every version passes over.
    let (_, written): (_, BTreeMap<String, String>) = envelope::open("/srv/shop", &fs::read(&file).unwrap()).unwrap();
    let hidden = |name: &str| name.starts_with('.');
    assert!(written.iter().all(|(name, text)| hidden(name) || ever.get(name.as_str()) == Some(&text.as_str())));
    assert_eq!(store.load_snapshot("/srv/shop"), Some(found));
}

#[test]
fn a_backup_without_the_lock_is_still_a_state_directory() {
    let dir = tempfile::tempdir().unwrap();
    let history = history(&[("web", 1)]);
    open(&dir).save(&history).unwrap();
    fs::remove_file(dir.path().join("lock")).unwrap();
    assert_eq!(open(&dir).load(), (history, vec![]));
}

#[test]
fn nobody_else_may_look_into_the_state_directory() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("a/b/state");
    let store = Store::open(&state).unwrap();
    let (id, content) = put(&store, Kind::Secret, &[("k", b"v")]);
    store.put_contents([(&id, &content)]).unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(state.clone()), mode(state.join("key"))), (0o700, 0o600));
    let dir = state.join("contents").join(&id.0);
    assert_eq!((mode(dir.clone()), mode(dir.join("k"))), (0o700, 0o600));
}

#[test]
fn the_key_is_made_once_and_a_wrong_one_is_replaced_with_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let secret = content(&[("k", b"v")]);
    let id = |store: &Store| store.hasher().id(Kind::Secret, &secret);
    let first = id(&open(&dir));
    assert_eq!(id(&open(&dir)), first);
    fs::write(dir.path().join("key"), "short").unwrap();
    let store = open(&dir);
    assert_ne!(id(&store), first);
    assert!(store.load().1[0].contains("it is not a key"));
}

#[test]
fn a_key_that_cannot_be_read_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(&dir));
    let before = fs::read(dir.path().join("key")).unwrap();
    let gate: Gate = Arc::new(|operation, path| match operation {
        Operation::Read if path.ends_with("key") => Err(io::Error::from_raw_os_error(5)),
        _ => Ok(()),
    });
    assert!(Store::open_gated(dir.path(), gate).is_err());
    assert_eq!(fs::read(dir.path().join("key")).unwrap(), before);
}

fn content(entries: &[(&str, &[u8])]) -> Content {
    Content { entries: entries.iter().map(|(k, v)| (k.to_string(), SecretBytes::new(v.to_vec()))).collect() }
}

fn put(store: &Store, kind: Kind, entries: &[(&str, &[u8])]) -> (ContentId, Content) {
    let content = content(entries);
    let id = store.hasher().id(kind, &content);
    store.put_contents([(&id, &content)]).unwrap();
    (id, content)
}

fn files(content: &ContentId, key: Option<&str>) -> Files {
    Files { content: content.clone(), key: key.map(Into::into), mode: 0o400, uid: 1000, gid: 1001 }
}

#[test]
fn a_content_comes_back_as_it_was_put() {
    let dir = tempfile::tempdir().unwrap();
    let (gate, notes) = noting(dir.path());
    let store = Store::open_gated(dir.path(), gate).unwrap();
    let (id, content) = put(&store, Kind::ConfigMap, &[("nginx.conf", b"a"), ("bytes", &[0, 255])]);
    assert!(store.content(&id).unwrap() == content);
    let (empty, nothing) = put(&store, Kind::Secret, &[]);
    assert!(store.content(&empty).unwrap() == nothing);
    hold(&notes).clear();
    store.put_contents([(&id, &content)]).unwrap();
    assert_eq!(*hold(&notes), [""; 0], "it is there already");
    fs::remove_dir_all(dir.path().join("contents").join(&id.0)).unwrap();
    store.put_contents([(&id, &content)]).unwrap();
    assert!(store.content(&id).unwrap() == content, "somebody has removed it");
    assert!(
        store.content(&ContentId("c-none".into())).is_err_and(|error| error.to_string().contains("no such content"))
    );
}

#[test]
fn a_damaged_content_is_not_given_out_and_is_mended_by_the_next_put() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let (id, content) = put(&store, Kind::Secret, &[("k", b"v")]);
    fs::write(dir.path().join("contents").join(&id.0).join("k"), "w").unwrap();
    assert!(store.content(&id).is_err_and(|error| error.to_string().contains("damaged")));
    let store = open_again(store, &dir);
    store.put_contents([(&id, &content)]).unwrap();
    assert!(store.content(&id).unwrap() == content);
}

#[test]
fn the_secrets_that_are_kept_whole_are_known() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    put(&store, Kind::ConfigMap, &[("k", b"1")]);
    let (damaged, _) = put(&store, Kind::Secret, &[("k", b"2")]);
    fs::write(dir.path().join("contents").join(&damaged.0).join("k"), "w").unwrap();
    let (kept, content) = put(&store, Kind::Secret, &[("k", b"3")]);
    assert!(store.secrets() == BTreeMap::from([(kept, content)]));
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    for wrong in ["../x", "a/b", "..", ".", "", "a\0b", ".tmp-x", &"x".repeat(300)] {
        let content = content(&[(wrong, b"v")]);
        let id = store.hasher().id(Kind::ConfigMap, &content);
        assert!(store.put_contents([(&id, &content)]).is_err(), "{wrong:?}");
        assert!(store.content(&ContentId(wrong.into())).is_err(), "{wrong:?}");
        assert!(store.render(&files(&ContentId(wrong.into()), None)).is_err(), "{wrong:?}");
    }
    let (id, _) = put(&store, Kind::ConfigMap, &[("k", b"v")]);
    assert!(store.render(&files(&id, Some("../../key"))).is_err());
    assert!(fs::read_dir(dir.path().join("contents")).unwrap().count() == 1);
}

#[test]
fn rendered_files_have_the_mode_and_owner_that_were_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let (id, _) = put(&store, Kind::Secret, &[("a", b"1"), ("b", b"2")]);
    let owner = fs::metadata(dir.path()).unwrap();
    // Another owner takes privileges.
    let (uid, gid) = if owner.uid() == 0 { (1000, 1001) } else { (owner.uid(), owner.gid()) };
    let rendered = store.render(&Files { uid, gid, ..files(&id, None) }).unwrap();
    assert_eq!(rendered, dir.path().join(format!("files/{id}-0400-{uid}-{gid}")));
    assert_eq!(fs::metadata(&rendered).unwrap().permissions().mode() & 0o777, 0o755);
    let file = store.render(&Files { uid, gid, ..files(&id, Some("b")) }).unwrap();
    assert_eq!((file.clone(), fs::read(&file).unwrap()), (rendered.join("b"), b"2".to_vec()));
    let found = fs::metadata(&file).unwrap();
    assert_eq!((found.permissions().mode() & 0o777, found.uid(), found.gid()), (0o400, uid, gid));
    let missing = store.render(&Files { uid, gid, ..files(&id, Some("c")) });
    assert!(missing.is_err_and(|error| error.to_string().contains("there is no key 'c'")));
}

#[test]
fn a_crash_at_any_write_leaves_no_half_content_and_no_half_rendering() {
    for budget in 0.. {
        let dir = tempfile::tempdir().unwrap();
        drop(open(&dir));
        let store = Store::open_gated(dir.path(), failing_after(budget)).unwrap();
        let content = content(&[("a", b"1"), ("b", b"2")]);
        let id = store.hasher().id(Kind::ConfigMap, &content);
        let asked = Files { mode: 0o444, uid: 0, gid: 0, ..files(&id, None) };
        let owner = fs::metadata(dir.path()).unwrap();
        let asked = Files { uid: owner.uid(), gid: owner.gid(), ..asked };
        let done = store.put_contents([(&id, &content)]).and_then(|()| store.render(&asked));
        let store = open_again(store, &dir);
        assert!(store.content(&id).is_ok_and(|found| found == content) || done.is_err(), "after {budget}");
        store.put_contents([(&id, &content)]).unwrap();
        let rendered = store.render(&asked).unwrap();
        assert_eq!(fs::read_dir(&rendered).unwrap().count(), 2, "after {budget}");
        assert_eq!(fs::read(rendered.join("b")).unwrap(), b"2");
        store.keep_contents(&BTreeSet::from([id])).unwrap();
        assert_eq!(fs::read_dir(dir.path().join("contents")).unwrap().count(), 1, "no litter after {budget}");
        assert_eq!(fs::read_dir(dir.path().join("files")).unwrap().count(), 1, "no litter after {budget}");
        if done.is_ok() {
            assert!(budget > 10, "the test saw every write");
            return;
        }
    }
}

#[test]
fn contents_that_are_not_kept_go_with_their_renderings() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let (kept, _) = put(&store, Kind::ConfigMap, &[("k", b"1")]);
    let (gone, content) = put(&store, Kind::ConfigMap, &[("k", b"2")]);
    let owner = fs::metadata(dir.path()).unwrap();
    let asked = |id| Files { uid: owner.uid(), gid: owner.gid(), ..files(id, None) };
    let (kept_files, gone_files) = (store.render(&asked(&kept)).unwrap(), store.render(&asked(&gone)).unwrap());
    store.keep_contents(&BTreeSet::from([kept.clone()])).unwrap();
    assert!(store.content(&kept).is_ok() && kept_files.exists());
    assert!(store.content(&gone).is_err() && !gone_files.exists());
    store.put_contents([(&gone, &content)]).unwrap();
    assert!(store.content(&gone).is_ok(), "it may come back");
}

#[test]
fn the_last_good_files_of_a_source_come_back_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = |text: &[u8]| BTreeMap::from([(PathBuf::from("a/b.yaml"), text.to_vec())]);
    let commit = Commit::parse(&"1".repeat(40)).unwrap();
    let seen = SeenContext {
        directory: "/srv/app".into(),
        dockerfile: "Dockerfile".into(),
        root: "/srv/releases/1".into(),
        content: "0123".into(),
    };
    let (before, after) = (
        kept(&snapshot(b"old")),
        Kept {
            files: snapshot(&[0, 255]),
            commit: Some(commit),
            contexts: vec![seen],
            secrets: BTreeMap::new(),
            host_files: [].into(),
        },
    );
    for budget in 0.. {
        let store = open(&dir);
        store.save_snapshot("/srv/shop=prod", &before).unwrap();
        drop(store);
        let store = Store::open_gated(dir.path(), failing_after(budget)).unwrap();
        let saved = store.save_snapshot("/srv/shop=prod", &after).is_ok();
        let found = open_again(store, &dir).load_snapshot("/srv/shop=prod").unwrap();
        assert!(found == after || !saved && found == before, "after {budget}");
        if saved {
            break;
        }
    }
    let store = open(&dir);
    assert_eq!(store.load_snapshot("/srv/shop-prod"), None, "another source");
    let file = fs::read_dir(dir.path().join("sources")).unwrap().next().unwrap().unwrap().path();
    fs::write(&file, &fs::read(&file).unwrap()[..20]).unwrap();
    assert_eq!(store.load_snapshot("/srv/shop=prod"), None, "torn");
}

fn event(message: &str) -> Event {
    Event {
        at: Timestamp(1),
        object: key(Kind::Deployment, "web"),
        severity: Severity::Normal,
        reason: "Tested".into(),
        message: message.into(),
        failure: None,
    }
}

#[test]
fn events_are_remembered_in_order_and_a_torn_line_spoils_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    store.append_events(&[event("1"), event("2")]).unwrap();
    let path = dir.path().join("events.jsonl");
    let torn = [fs::read(&path).unwrap(), b"{\"at\":12,\"obj\xff".to_vec()].concat();
    fs::write(&path, torn).unwrap();
    let store = open_again(store, &dir);
    store.append_events(&[event("3")]).unwrap();
    store.append_events(&[event("4")]).unwrap();
    assert_eq!(store.events(), ["1", "2", "3", "4"].map(event));
}

#[test]
fn events_take_a_limited_room_and_the_newest_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let long = "x".repeat(10_000);
    for number in 0..1000 {
        store.append_events(&[event(&format!("{number} {long}"))]).unwrap();
    }
    let events = store.events();
    assert!(events.last().unwrap().message.starts_with("999 "));
    assert!((100..=220).contains(&events.len()), "{}", events.len());
}

#[test]
fn what_was_told_comes_back_and_a_damaged_file_is_as_good_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.load_told(), None);
    let last = Last { result: "RolledBack".into(), of: "r2".into(), bad: true };
    let told = Told::from([("ops".to_string(), [("deployment/shop/web".to_string(), last)].into())]);
    store.save_told(&told).unwrap();
    assert_eq!(store.load_told(), Some(told));
    let file = dir.path().join("told.json");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.truncate(bytes.len() / 2);
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(store.load_told(), None);
}

#[test]
fn the_release_log_is_kept_beside_the_events_and_a_torn_line_spoils_no_other() {
    let release = |id: &str| Release {
        id: id.into(),
        at: Timestamp(1),
        object: key(Kind::Deployment, "web").into(),
        step: Step::RolloutStarted,
        by: "alice".into(),
        revision: None,
        back_to: None,
        wanted: None,
        reason: String::new(),
    };
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    store.append_releases(&["1", "2"].map(release)).unwrap();
    let path = dir.path().join("releases.jsonl");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 20]).unwrap();
    let store = open_again(store, &dir);
    store.append_events(&[event("1")]).unwrap();
    store.append_releases(&["3"].map(release)).unwrap();
    assert_eq!(store.releases(), ["1", "3"].map(release));
    let long = Release { reason: "x".repeat(10_000), ..release("long") };
    for _ in 0..500 {
        store.append_releases(std::slice::from_ref(&long)).unwrap();
    }
    assert!((100..=220).contains(&store.releases().len()), "{}", store.releases().len());
    assert_eq!(store.events(), [event("1")]);
}
