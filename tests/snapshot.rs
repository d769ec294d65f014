//! Reading a source directory: what is read, what is passed over, and what means "wait" or "look here".

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests and their helpers may")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use evenkeel::manifest::{ReadError, Snapshot, snapshot};
use tempfile::TempDir;

const VOLUME: &str = "apiVersion: evenkeel.dev/v1\nkind: Volume\nmetadata: {name: a}\n";

/// A directory with these files.
fn dir(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    files.iter().for_each(|(path, text)| write(dir.path(), path, text));
    dir
}

fn write(dir: &Path, path: &str, text: &str) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn names(snapshot: &Snapshot) -> Vec<String> {
    snapshot.files.keys().map(|path| path.display().to_string()).collect()
}

fn read(dir: &TempDir) -> Snapshot {
    snapshot::read(dir.path()).unwrap()
}

#[test]
fn manifests_of_all_folders_are_read_and_nothing_else() {
    let dir = dir(&[
        ("web.yaml", VOLUME),
        ("sub/deep/db.yml", VOLUME),
        ("Upper.YAML", VOLUME),
        (".hidden.yaml", "}"),
        (".git-not/config.yaml", "}"),
        (".#web.yaml", "}"),
        ("#web.yaml#", "}"),
        ("web.yaml~", "}"),
        (".web.yaml.swp", "}"),
        ("4913", "}"),
        ("README.md", "}"),
        ("script.sh", "}"),
    ]);
    assert_eq!(names(&read(&dir)), ["Upper.YAML", "sub/deep/db.yml", "web.yaml"]);
}

#[test]
fn two_reads_of_the_same_files_are_the_same_and_any_change_shows() {
    let dir = dir(&[("a.yaml", VOLUME), ("b.yaml", VOLUME)]);
    let first = read(&dir);
    assert_eq!(first, read(&dir));
    assert_eq!(first.digest(), read(&dir).digest());
    fs::rename(dir.path().join("a.yaml"), dir.path().join("c.yaml")).unwrap();
    assert_ne!(first.digest(), read(&dir).digest());
    fs::rename(dir.path().join("c.yaml"), dir.path().join("a.yaml")).unwrap();
    assert_eq!(first.digest(), read(&dir).digest());
    write(dir.path(), "a.yaml", &VOLUME[1..]);
    assert_ne!(first.digest(), read(&dir).digest());
}

#[test]
fn a_file_that_rsync_is_writing_says_nothing_but_shows_that_it_is_at_work() {
    let dir = dir(&[("a.yaml", VOLUME), (".b.yaml.Sah2uK", "kin")]);
    let before = read(&dir);
    write(dir.path(), ".b.yaml.Sah2uK", "kind: ");
    let after = read(&dir);
    assert_eq!((names(&before), before.digest()), (names(&after), after.digest()));
    assert_eq!([before, after].map(|snapshot| snapshot.beside[Path::new(".b.yaml.Sah2uK")]), [3, 6]);
}

#[test]
fn a_fifo_does_not_block_the_reader() {
    let dir = dir(&[
        ("a.yaml", VOLUME),
        ("c.yaml", "kind: ConfigMap\nspec: {files: {a: pipe, b: folder}}"),
        ("folder/x", ""),
    ]);
    for name in ["b.yaml", "pipe"] {
        assert!(Command::new("mkfifo").arg(dir.path().join(name)).status().unwrap().success());
    }
    let snapshot = read(&dir);
    assert_eq!(names(&snapshot), ["a.yaml", "c.yaml"]);
    assert_eq!(snapshot.refused[Path::new("pipe")], "is not a regular file");
    assert_eq!(snapshot.refused[Path::new("folder")], "is not a regular file");
}

#[test]
fn links_that_leave_the_directory_are_refused() {
    let outside = dir(&[("secret.yaml", VOLUME), ("folder/x.yaml", VOLUME)]);
    let dir = dir(&[
        ("a.yaml", VOLUME),
        ("c.yaml", "kind: ConfigMap\nspec: {files: {a: hosts, b: up/etc/hosts, c: ok}}"),
        ("x", "x"),
    ]);
    let link = |to: &Path, name: &str| symlink(to, dir.path().join(name)).unwrap();
    link(&outside.path().join("secret.yaml"), "b.yaml");
    link(&outside.path().join("folder"), "folder");
    link(Path::new("/etc/hosts"), "hosts");
    link(Path::new("/"), "up");
    link(Path::new("gone.yaml"), "d.yaml");
    link(Path::new("x"), "ok");
    let snapshot = read(&dir);
    assert_eq!(names(&snapshot), ["a.yaml", "c.yaml", "ok"]);
    let refused: Vec<String> =
        snapshot.refused.iter().map(|(path, why)| format!("{}: {}", path.display(), &why[..16])).collect();
    assert_eq!(
        refused,
        [
            "b.yaml: leads out of the",
            "d.yaml: is a link that l",
            "folder: leads out of the",
            "hosts: leads out of the",
            "up: leads out of the",
            "up/etc/hosts: leads out of the",
        ]
    );
}

#[test]
fn links_inside_the_directory_are_followed_but_not_in_circles() {
    // As Kubernetes mounts a ConfigMap: the files are links through `..data`, which is swapped.
    let dir = dir(&[("..2026_a/a.yaml", VOLUME), ("sub/b.yaml", VOLUME)]);
    symlink("..2026_a", dir.path().join("..data")).unwrap();
    symlink("..data/a.yaml", dir.path().join("a.yaml")).unwrap();
    symlink("..", dir.path().join("sub/up")).unwrap();
    let snapshot = read(&dir);
    assert_eq!(names(&snapshot), ["a.yaml", "sub/b.yaml"]);
    assert_eq!(snapshot.refused[Path::new("sub/up")], "leads back to itself");
}

#[test]
fn a_source_that_is_itself_a_link_is_read_where_it_leads() {
    let dir = dir(&[("rev-1/a.yaml", VOLUME)]);
    symlink("rev-1", dir.path().join("current")).unwrap();
    assert_eq!(names(&snapshot::read(&dir.path().join("current")).unwrap()), ["a.yaml"]);
}

#[test]
fn nothing_is_never_read_as_nothing_desired() {
    let empty = dir(&[("README.md", ""), (".hidden.yaml", VOLUME)]);
    let unreadable = |path: &Path| match snapshot::read(path) {
        Err(ReadError::Unreadable(why)) => why.replace(&empty.path().display().to_string(), "DIR"),
        other => panic!("{other:?}"),
    };
    assert_eq!(unreadable(empty.path()), "DIR holds no manifest (.yaml or .yml); nothing is changed because of that");
    assert_eq!(unreadable(&empty.path().join("gone")), "source directory DIR/gone does not exist");
    assert_eq!(unreadable(&empty.path().join("README.md")), "source directory DIR/README.md is not a directory");
}

#[test]
fn an_operation_of_git_means_wait() {
    let dir = dir(&[(".git/HEAD", ""), ("deploy/a.yaml", VOLUME)]);
    let deploy = dir.path().join("deploy");
    assert!(snapshot::read(&deploy).is_ok());
    write(dir.path(), ".git/index.lock", "");
    match snapshot::read(&deploy) {
        Err(ReadError::Unsettled(why)) => assert!(why.contains("git is changing the files"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn limits_are_kept_before_anything_is_read() {
    let dir = dir(&[("a.yaml", VOLUME)]);
    // Sparse: it would be a terabyte if it were read.
    fs::File::create(dir.path().join("b.yaml")).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(read(&dir).refused[Path::new("b.yaml")], "is larger than 1 MiB");
    fs::remove_file(dir.path().join("b.yaml")).unwrap();
    let deep = (0..20).map(|_| "d").collect::<Vec<_>>().join("/");
    write(dir.path(), &format!("{deep}/c.yaml"), VOLUME);
    assert!(read(&dir).refused.values().any(|why| why.contains("deeper")));
    for number in 0..17 {
        fs::File::create(dir.path().join(format!("{number}.yaml"))).unwrap().set_len(1 << 20).unwrap();
    }
    let why = snapshot::read(dir.path()).unwrap_err().to_string();
    assert!(why.ends_with("has more than 16 MiB of manifests"), "{why}");
}

#[test]
fn too_many_files_are_a_mistake_of_the_directory() {
    let many = tempfile::tempdir().unwrap();
    for number in 0..snapshot::ENTRIES_MAX + 1 {
        fs::write(many.path().join(format!("{number}.txt")), "").unwrap();
    }
    let why = snapshot::read(many.path()).unwrap_err().to_string();
    assert!(why.contains("more than 20000 files"), "{why}");
}

#[test]
fn more_paths_with_variables_than_can_be_compared_are_a_mistake_of_the_directory() {
    let text = |count: usize| {
        let files: Vec<String> = (0..count).map(|number| format!("k{number}: './${{ENV}}/{number}'")).collect();
        format!("kind: ConfigMap\nspec: {{files: {{{}}}}}\n", files.join(", "))
    };
    let dir = dir(&[("a.yaml", &text(200)), ("b.yaml", &text(200))]);
    assert!(read(&dir).refused.is_empty(), "each is counted once");
    write(dir.path(), "b.yaml", &text(201));
    let why = snapshot::read(dir.path()).unwrap_err().to_string();
    assert!(why.ends_with("has more than 200 paths of ConfigMap files with variables in them"), "{why}");
}

#[test]
fn files_that_a_manifest_names_belong_to_the_snapshot() {
    let text = "kind: ConfigMap\nspec:\n  files: {a: ../conf/a.conf, b: './${ENV}.conf', c: prometheus.yml, d: ../../etc/passwd}\n---\nkind: Namespace\nspec: {variablesFrom: [{file: .env}]}\n---\nkind: Secret\nspec: {files: {k: secret.key}, envFiles: [secret.env]}\n";
    let dir = dir(&[
        ("shop/a.yaml", text),
        ("conf/a.conf", "a"),
        ("conf/other.conf", "a"),
        ("shop/prod.conf", "p"),
        ("shop/test.conf", "t"),
        ("shop/prometheus.yml", "global: {}"),
        ("shop/.env", "A=1"),
        ("shop/secret.key", "hunter2"),
        ("shop/secret.env", "A=hunter2"),
    ]);
    let snapshot = read(&dir);
    assert_eq!(
        names(&snapshot),
        ["conf/a.conf", "shop/.env", "shop/a.yaml", "shop/prod.conf", "shop/prometheus.yml", "shop/test.conf"]
    );
    assert!(!snapshot.files.values().any(|bytes| bytes.windows(7).any(|part| part == b"hunter2")));
}
