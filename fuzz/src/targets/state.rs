//! Files of the state directory, as a crash, a full disk or a curious person may leave them.
//!
//! An input's first letter says which file it is; a capital one gives it the right checksum, so that what is inside is
//! read and not only refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use evenkeel::model::action::Request;
use evenkeel::model::desired::Desired;
use evenkeel::model::history::History;
use evenkeel::model::observed::Observed;
use evenkeel::model::revision::ContentId;
use evenkeel::model::time::Timestamp;
use evenkeel::plan;
use evenkeel::store::Store;
use sha2::{Digest, Sha256};

use super::manifest::load_and_plan;

const SOURCE: &str = "/srv/manifests";

/// Opens a state directory with that file, reads all of it, plans with it, and writes it back.
pub fn try_input(bytes: &[u8]) {
    let Some((letter, content)) = bytes.split_first() else { return };
    let Some((file, subject)) = place(letter.to_ascii_lowercase()) else { return };
    let content = if letter.is_ascii_uppercase() { sealed(subject, content) } else { content.to_vec() };
    let dir = directory();
    lay(dir.path(), &file, &content);
    read(dir.path());
}

/// In memory where there is such a place: the store waits for the disk after each write.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory can be made")
}

/// The file that a letter stands for, and what it is about.
fn place(letter: u8) -> Option<(PathBuf, &'static str)> {
    match letter {
        b'd' => Some(("objects/shop/deployment.web.json".into(), "deployment/shop/web")),
        b'j' => Some(("objects/shop/job.migrate.json".into(), "job/shop/migrate")),
        b'c' => Some(("confirmed.json".into(), "confirmed.json")),
        b'i' => Some(("images.json".into(), "images.json")),
        b's' => Some((format!("sources/srv-manifests-{}.json", hex(&Sha256::digest(SOURCE)[..5])).into(), SOURCE)),
        b'e' => Some(("events.jsonl".into(), "")),
        b'k' => Some(("key".into(), "")),
        b't' => Some(("contents/s-0123456789abcdef01234567/password".into(), "")),
        _ => None,
    }
}

fn sealed(subject: &str, object: &[u8]) -> Vec<u8> {
    let object = String::from_utf8_lossy(object);
    let checksum = Sha256::new().chain_update(subject).chain_update("\n").chain_update(object.as_bytes()).finalize();
    let checksum = hex(&checksum[..16]);
    format!("{{\"version\":1,\"checksum\":\"{checksum}\",\"object\":{object}}}\n").into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lay(dir: &Path, file: &Path, content: &[u8]) {
    let path = dir.join(file);
    fs::create_dir_all(path.parent().expect("every file is below the directory")).unwrap();
    fs::write(path, content).unwrap();
    // A directory that was in use has its lock, else it is taken for somebody else's.
    fs::write(dir.join("lock"), "").unwrap();
}

fn read(dir: &Path) {
    let store = Store::open(dir).expect("a damaged file is no reason not to start");
    let (history, _warnings) = store.load();
    plan_with(&history);
    store.save(&history).expect("what was read can be written");
    let (again, warnings) = store.load();
    assert_eq!((again, warnings), (history, Vec::new()), "what was written reads otherwise");
    store.events();
    store.load_snapshot(SOURCE);
    // Whatever is in its place, a content that does not match its id is none.
    assert!(store.content(&ContentId("s-0123456789abcdef01234567".into())).is_err());
}

const MANIFEST: &str = "apiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec: {template: {image: 'shop/web:1'}}\n---\napiVersion: evenkeel.dev/v1\nkind: Job\nmetadata: {name: migrate, namespace: shop}\nspec: {template: {image: 'app:1'}}\n---\napiVersion: evenkeel.dev/v1\nkind: CronJob\nmetadata: {name: backup, namespace: shop}\nspec: {schedule: '@daily', template: {image: 'app:1'}}\n";

/// Twice, as passes follow each other: with the objects declared, and with nothing declared any more.
fn plan_with(history: &History) {
    let declared = load_and_plan(BTreeMap::from([("a.yaml".into(), MANIFEST.into())])).expect("it is right").desired;
    for desired in [declared, Desired::default()] {
        let observed = Observed::default();
        let first = plan::plan(&desired, &observed, history, Timestamp(1_800_000_000_000));
        plan::plan(&desired, &observed, &first.history, Timestamp(1_800_000_001_000));
        for key in history.deployments.keys().chain(history.jobs.keys()).chain(history.cron_jobs.keys()) {
            let requests = [
                Request::Pause,
                Request::Resume,
                Request::Restart,
                Request::Retry,
                Request::RunNow,
                Request::Undo { to: None },
            ];
            for request in requests {
                // Whether it makes sense is not the point here.
                drop(plan::request(&desired, history, key, &request, Timestamp(1_800_000_000_500)));
            }
        }
    }
}
