//! A source that is read while a tool changes it: every prefix of the system calls of git, rsync, tar, cp, sed, vim and
//! dd (tests/traces, recorded by scripts/record-traces), and manifests cut at every byte. The real controller reads it,
//! in virtual time; nothing that both states declare may be stopped or removed.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests and their helpers may")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use evenkeel::manifest::{self, Contexts, Snapshot, Source};
use evenkeel::model::command::Command;
use evenkeel::model::name::{Key, Kind};
use evenkeel::model::revision::ContentHasher;
use evenkeel::model::secret::SecretBytes;
use evenkeel::model::view::SourceState;
use support::parallel::on_all_cores;
use support::scenario::file::Scenario;
use support::scenario::stage::Stage;
use support::scenario::step::parse_step;

/// Shorter than a state that says less has to stay.
const PAUSE: &str = "run for 4s";
/// Longer than a state that says less has to stay, and than the controller waits before it reads a refused one again.
const LONG: &str = "run for 12s";
/// As good as for ever: longer than an interrupted git is waited for, and than any of these updates takes.
const FOR_EVER: &str = "run for 1m";

/// The tools that take a file away before they write what takes its place.
const DELETE_FIRST: [&str; 3] = ["rsync", "tar", "vim-rename"];

/// A change of the tree: the words of a line of a trace.
type Change = Vec<String>;

fn traces() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces")
}

/// Every trace: its name, the pair of trees, and the changes.
fn recorded() -> Vec<(String, String, Vec<Change>)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(traces()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let pair = name.rsplit_once('-').expect("a trace is called TOOL-PAIR").1.to_string();
        let lines = fs::read_to_string(path).unwrap();
        (name, pair, lines.lines().filter(|line| !line.starts_with('#')).map(words).collect())
    };
    paths.iter().map(read).collect()
}

/// `write web.yaml 0 "text"`: the last word may be a JSON text, in which each character is a byte.
fn words(line: &str) -> Change {
    let (plain, text) = line.split_once(" \"").map_or((line, None), |(plain, rest)| (plain, Some(format!("\"{rest}"))));
    let text = text.map(|text| serde_json::from_str::<String>(&text).unwrap());
    plain.split(' ').map(String::from).chain(text).collect()
}

/// Does to the tree what the tool did.
fn apply(root: &Path, change: &Change) {
    // The trees are kept without their repositories.
    if change[1].starts_with(".git/") {
        fs::create_dir_all(root.join(".git")).unwrap();
    }
    let words: Vec<&str> = change.iter().map(String::as_str).collect();
    match words[..] {
        ["rename", LOCK, ".git/index"] => end_git(root),
        ["create", path] => drop(fs::File::options().append(true).create(true).open(root.join(path)).unwrap()),
        ["truncate", path, size] => {
            fs::File::options().write(true).open(root.join(path)).unwrap().set_len(size.parse().unwrap()).unwrap();
        }
        ["write", path, offset, text] => {
            let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
            let mut file = fs::File::options().write(true).open(root.join(path)).unwrap();
            file.seek(SeekFrom::Start(offset.parse().unwrap())).unwrap();
            file.write_all(&bytes).unwrap();
        }
        ["rename", from, to] => fs::rename(root.join(from), root.join(to)).unwrap(),
        ["link", from, to] => fs::hard_link(root.join(from), root.join(to)).unwrap(),
        ["unlink", path] => fs::remove_file(root.join(path)).unwrap(),
        ["mkdir", path] => fs::create_dir(root.join(path)).unwrap(),
        ["rmdir", path] => fs::remove_dir_all(root.join(path)).unwrap(),
        _ => panic!("no change of a tree: {words:?}"),
    }
}

/// What git holds while it changes files, and puts in the place of its list of them at the end.
const LOCK: &str = ".git/index.lock";

/// Puts the lock in the place of git's list of the files, as git does at the end. The traces leave out what is in it: like
/// git's, it has the inode and the times of each file, so it is the same when nothing was written.
fn end_git(root: &Path) {
    let mut list: Vec<String> = tree(root)
        .into_keys()
        // A commit that is older than what a trace records is the first thing in it.
        .filter(|name| !name.starts_with(".git/") && name != "notes.md")
        .map(|name| {
            let metadata = fs::metadata(root.join(&name)).unwrap();
            format!("{name} {} {}.{}", metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
        })
        .collect();
    list.sort();
    fs::write(root.join(LOCK), list.join("\n")).unwrap();
    fs::rename(root.join(LOCK), root.join(".git/index")).unwrap();
}

/// The files of a tree, by their path in it.
fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                files.insert(name, fs::read_to_string(path).unwrap());
            }
        }
    }
    files
}

/// How many replicas each Deployment of a source should have; nothing if it is invalid or in the middle of a change.
fn declared(root: &Path) -> Option<BTreeMap<Key, usize>> {
    let snapshot: Snapshot = manifest::snapshot::read(root).ok()?;
    let source = Source { dir: root.into(), namespace: None, variables: BTreeMap::new() };
    let loaded =
        manifest::load(&source, &snapshot, &ContentHasher::new(SecretBytes::new(vec![1])), &Contexts::default())
            .ok()?;
    let deployments = loaded.desired.deployments.iter();
    Some(deployments.map(|(key, declared)| (key.clone(), declared.spec.replicas as usize)).collect())
}

/// The Deployments of both trees, with the fewer replicas.
fn in_both(pair: &str) -> BTreeMap<Key, usize> {
    let [before, after] = ["before", "after"].map(|state| declared(&traces().join(pair).join(state)).unwrap());
    before.into_iter().filter_map(|(key, n)| Some((key.clone(), n.min(*after.get(&key)?)))).collect()
}

/// A controller that has converged on these files.
async fn converged(files: &BTreeMap<String, String>) -> Stage {
    let images =
        ["web", "api", "db", "zoo", "worker"].map(|name| format!("image {name}:1 ready\nimage {name}:2 ready\n"));
    let sections: String = files.iter().map(|(path, text)| format!("--- manifests/{path}\n{text}")).collect();
    let job = "image migrate:1 exits with 0 after 1s\nimage migrate:2 exits with 0 after 1s";
    let text = format!("{}{job}\n{sections}--- script\nrun for 1s\n", images.concat());
    let mut stage = Stage::set(&Scenario::parse("a partial source", &text).unwrap()).await.unwrap();
    play(&mut stage, "run until converged within 5m").await;
    play(&mut stage, "mark").await;
    stage
}

async fn play(stage: &mut Stage, line: &str) {
    if let Err(problem) = stage.play(line, &parse_step(line).unwrap()).await {
        panic!("{line}: {problem}\n{}", stage.journal.text);
    }
}

/// What is wrong: a broken invariant, or fewer replicas that answer than wanted.
fn harm(stage: &Stage, wanted: &BTreeMap<Key, usize>) -> Vec<String> {
    let mut found = stage.invariants.take();
    for (key, replicas) in wanted {
        let prefix = format!("{}.{}.", key.namespace, key.name);
        let ready = stage.sim.with(|world| {
            world.containers.values().filter(|c| c.name.starts_with(&prefix) && c.serves(world.now)).count()
        });
        if key.kind == Kind::Deployment && ready < *replicas {
            found.push(format!("{key} has {ready} of {replicas} replicas"));
        }
    }
    found
}

/// How many calls that change something were made so far.
fn changes(stage: &Stage) -> usize {
    stage.sim.calls().made.iter().filter(|call| call.changes).count()
}

fn in_virtual_time<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.unwrap().block_on(future)
}

#[test]
fn a_tool_that_pauses_after_each_of_its_calls_harms_nothing() {
    let mut problems = Vec::new();
    for (name, pair, trace) in recorded() {
        let (files, wanted) = (tree(&traces().join(&pair).join("before")), in_both(&pair));
        in_virtual_time(async {
            let mut stage = converged(&files).await;
            for (number, change) in trace.iter().enumerate() {
                apply(&stage.path("manifests"), change);
                stage.files_changed().unwrap();
                play(&mut stage, PAUSE).await;
                let found = harm(&stage, &wanted);
                problems.extend(found.iter().map(|what| format!("{name} after call {}: {what}", number + 1)));
            }
            play(&mut stage, "run for 2m").await;
            problems.extend(harm(&stage, &wanted).iter().map(|what| format!("{name} at the end: {what}")));
        });
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

/// One of so many prefixes is left for ever, counted from the whole; all of them if EVERY_PREFIX is set, as in `make test`.
fn stride() -> usize {
    if std::env::var_os("EVERY_PREFIX").is_some() { 1 } else { 3 }
}

/// What came of a tool that was killed after some of its calls.
struct Left {
    found: Vec<String>,
    is_idle: bool,
    is_edit: bool,
}

/// Leaves this prefix of a trace for ever.
fn killed_after(name: &str, pair: &str, trace: &[Change]) -> Left {
    let (files, both) = (tree(&traces().join(pair).join("before")), in_both(pair));
    in_virtual_time(async {
        let mut stage = converged(&files).await;
        let before = changes(&stage);
        let root = stage.path("manifests");
        trace.iter().for_each(|change| apply(&root, change));
        stage.files_changed().unwrap();
        let declared = declared(&root);
        play(&mut stage, FOR_EVER).await;
        let is_idle = changes(&stage) == before;
        let kept = |key: &Key| declared.as_ref().is_none_or(|declared| declared.contains_key(key));
        let wanted: BTreeMap<Key, usize> = both.clone().into_iter().filter(|(key, _)| kept(key)).collect();
        let mut found = harm(&stage, &wanted);
        if declared.is_none() && !is_idle {
            found.push("an invalid or unsettled state changed something".into());
        }
        let is_edit = wanted.len() < both.len();
        if is_edit && !DELETE_FIRST.iter().any(|tool| name.starts_with(tool)) {
            found.push("an object was left out".into());
        }
        Left { found, is_idle, is_edit }
    })
}

/// A tool that is killed leaves its prefix for ever. Where git is at work, nothing happens. Elsewhere each file is whole
/// or refused, and an object that no file declares any more cannot be told from one that somebody took out: those alone
/// go. Only tools that take a file away before they write it anew leave such a state.
#[test]
fn a_tool_that_is_killed_harms_nothing_that_is_still_declared() {
    let recorded = recorded();
    let prefixes: Vec<(&str, &str, &[Change])> = recorded
        .iter()
        .flat_map(|(name, pair, trace)| {
            let lengths = (1..=trace.len()).rev().step_by(stride());
            lengths.map(move |length| (name.as_str(), pair.as_str(), &trace[..length]))
        })
        .collect();
    let left: Vec<(String, Left)> = on_all_cores(&prefixes, |(name, pair, trace)| {
        (format!("{name} killed after call {}", trace.len()), killed_after(name, pair, trace))
    });
    let count = |is: fn(&Left) -> bool| left.iter().filter(|(_, left)| is(left)).count();
    let (unchanged, edits) = (count(|left| left.is_idle), count(|left| left.is_edit));
    println!(
        "{} prefixes: {unchanged} changed nothing, {edits} left an object out and were taken for an edit",
        left.len()
    );
    let problems: Vec<String> =
        left.iter().flat_map(|(place, left)| left.found.iter().map(move |what| format!("{place}: {what}"))).collect();
    assert!(
        left.len() == prefixes.len() && problems.is_empty(),
        "{} problems:\n{}",
        problems.len(),
        problems.join("\n")
    );
}

/// A git that is killed while it writes files, and a person who takes its lock away.
async fn unlocked_after(stage: &mut Stage, trace: &[Change]) {
    let root = stage.path("manifests");
    for change in trace {
        apply(&root, change);
    }
    stage.files_changed().unwrap();
    play(stage, PAUSE).await;
    fs::remove_file(root.join(LOCK)).unwrap();
    stage.files_changed().unwrap();
    play(stage, FOR_EVER).await;
}

/// Whether git has its lock after these calls, and has written a file since it took it.
fn is_amid(trace: &[Change]) -> bool {
    let since = trace.iter().rposition(|change| change[1] == LOCK && change[0] == "create");
    since.is_some_and(|at| {
        let later = &trace[at + 1..];
        !later.is_empty() && later.iter().all(|change| !change[1].starts_with(".git/"))
    })
}

/// A controller that has seen this checkout at rest.
async fn at_rest(files: &BTreeMap<String, String>) -> Stage {
    let mut stage = converged(files).await;
    let root = stage.path("manifests");
    fs::create_dir_all(root.join(".git")).unwrap();
    end_git(&root);
    stage.files_changed().unwrap();
    play(&mut stage, PAUSE).await;
    stage
}

#[test]
fn the_lock_of_a_killed_git_that_somebody_takes_away_lets_no_half_through() {
    let recorded = recorded();
    let prefixes: Vec<(&str, &str, &[Change], &[Change])> = recorded
        .iter()
        .flat_map(|(name, pair, trace)| {
            let lengths = (1..=trace.len()).filter(|length| is_amid(&trace[..*length])).step_by(stride());
            lengths.map(move |length| (name.as_str(), pair.as_str(), &trace[..length], &trace[length..]))
        })
        .collect();
    assert!(prefixes.len() > 20, "{} places where git writes", prefixes.len());
    let problems: Vec<String> = on_all_cores(&prefixes, |(name, pair, trace, rest)| {
        let files = tree(&traces().join(pair).join("before"));
        in_virtual_time(async {
            let mut stage = at_rest(&files).await;
            let before = changes(&stage);
            unlocked_after(&mut stage, trace).await;
            // A look at how it stands lets nothing through either.
            stage.ask(Command::Look).await;
            play(&mut stage, PAUSE).await;
            let held = changes(&stage) == before;
            // Somebody does its work again.
            let root = stage.path("manifests");
            fs::write(root.join(LOCK), "").unwrap();
            rest.iter().for_each(|change| apply(&root, change));
            stage.files_changed().unwrap();
            play(&mut stage, "run for 2m").await;
            let at_the_end =
                [stage.view().sources.iter().all(SourceState::is_current), harm(&stage, &in_both(pair)).is_empty()];
            let place = format!("{name} killed after call {}", trace.len());
            (!held || at_the_end != [true; 2]).then(|| format!("{place}: held {held}, at the end {at_the_end:?}"))
        })
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

/// The controller sees a new version of `web` with git's lock there, and then without it; `end` is what happens in between.
async fn half_a_pull(end: impl FnOnce(&Path)) -> (Stage, usize) {
    let mut stage = at_rest(&tree(&traces().join("update/before"))).await;
    let (before, root) = (changes(&stage), stage.path("manifests"));
    fs::write(root.join(LOCK), "").unwrap();
    stage.files_changed().unwrap();
    play(&mut stage, PAUSE).await;
    end(&root);
    stage.files_changed().unwrap();
    play(&mut stage, LONG).await;
    (stage, before)
}

fn update_web(root: &Path) {
    fs::copy(traces().join("update/after/web.yaml"), root.join("web.yaml")).unwrap();
}

#[test]
fn what_an_interrupted_git_has_left_waits_for_git_or_for_a_person() {
    in_virtual_time(async {
        let interrupted = |root: &Path| {
            update_web(root);
            fs::remove_file(root.join(LOCK)).unwrap();
        };
        let (mut stage, before) = half_a_pull(interrupted).await;
        let source = stage.view().sources[0].clone();
        assert!(source.message.starts_with("git was interrupted: its lock is gone"), "{}", source.message);
        assert_eq!(changes(&stage), before);
        stage.ask(Command::Sync).await;
        play(&mut stage, LONG).await;
        assert!(stage.view().sources[0].is_current() && changes(&stage) > before, "a person takes it as it is");

        let (mut stage, before) = half_a_pull(interrupted).await;
        let root = stage.path("manifests");
        fs::copy(traces().join("update/before/web.yaml"), root.join("web.yaml")).unwrap();
        stage.files_changed().unwrap();
        play(&mut stage, LONG).await;
        assert!(stage.view().sources[0].is_current(), "the files are again what is in force");
        update_web(&root);
        stage.files_changed().unwrap();
        play(&mut stage, LONG).await;
        assert!(changes(&stage) > before, "a later edit is an edit");
    });
}

#[test]
fn a_lock_that_a_new_controller_finds_is_as_good_as_one_that_it_saw_come() {
    for stays in [PAUSE, FOR_EVER] {
        in_virtual_time(async {
            let mut stage = at_rest(&tree(&traces().join("update/before"))).await;
            let (before, root) = (changes(&stage), stage.path("manifests"));
            play(&mut stage, "controller stop").await;
            fs::write(root.join(LOCK), "").unwrap();
            update_web(&root);
            play(&mut stage, "controller start").await;
            play(&mut stage, stays).await;
            fs::remove_file(root.join(LOCK)).unwrap();
            stage.files_changed().unwrap();
            play(&mut stage, FOR_EVER).await;
            assert_eq!(changes(&stage), before, "the lock was there to {stays}");
            fs::copy(traces().join("update/before/web.yaml"), root.join("web.yaml")).unwrap();
            stage.files_changed().unwrap();
            play(&mut stage, LONG).await;
            assert!(stage.view().sources[0].is_current() && changes(&stage) == before);
        });
    }
}

#[test]
fn a_git_that_ends_well_or_only_looks_holds_nothing() {
    in_virtual_time(async {
        let ended = |root: &Path| {
            update_web(root);
            end_git(root);
        };
        let (mut stage, before) = half_a_pull(ended).await;
        assert!(stage.view().sources[0].is_current() && changes(&stage) > before);
        let (mut stage, before) = half_a_pull(|root| fs::remove_file(root.join(LOCK)).unwrap()).await;
        assert!(stage.view().sources[0].is_current() && changes(&stage) == before);
    });
}

#[test]
fn a_manifest_cut_at_any_byte_changes_nothing_while_it_may_still_be_written() {
    for (pair, file) in [("update", "web.yaml"), ("update", "api.yaml"), ("move", "all.yaml")] {
        let files = tree(&traces().join(pair).join("before"));
        let text = files[file].clone();
        in_virtual_time(async {
            let mut stage = converged(&files).await;
            let (before, path) = (changes(&stage), stage.path("manifests").join(file));
            for length in (0..text.len()).rev() {
                fs::write(&path, &text.as_bytes()[..length]).unwrap();
                stage.files_changed().unwrap();
                // Within a line it stays refused; at the end of one it may be an edit, after a while.
                let within = !text[..length].ends_with('\n');
                play(&mut stage, if within { LONG } else { PAUSE }).await;
                assert_eq!(changes(&stage), before, "{pair}/{file} cut at byte {length}\n{}", stage.journal.text);
            }
            fs::write(&path, &text).unwrap();
            stage.files_changed().unwrap();
            play(&mut stage, "run for 1m").await;
            assert_eq!(changes(&stage), before, "whole again");
            assert_eq!(stage.invariants.take(), Vec::<String>::new());
        });
    }
}
