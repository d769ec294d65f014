//! What a context is, what is sent of it, and what never is.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

/// A context with these files, by path and text, and its directory.
struct Folder {
    dir: tempfile::TempDir,
    contexts: Contexts,
}

impl Folder {
    fn of(files: &[(&str, &str)]) -> Self {
        let folder = Self { dir: tempfile::tempdir().unwrap(), contexts: Contexts::default() };
        files.iter().for_each(|(path, text)| folder.write(path, text));
        folder
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("app").join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read_with(&self, dockerfile: &str) -> Result<Context, Trouble> {
        self.contexts.read(&Asked { directory: self.path(""), dockerfile: dockerfile.into() })
    }

    fn read(&self) -> Context {
        self.read_with("Dockerfile").unwrap()
    }

    fn content(&self) -> String {
        self.read().content
    }

    /// What is sent if it is `wanted`: paths with what they are, or why nothing is.
    fn packed(&self, dockerfile: &str, wanted: &str) -> Result<Vec<String>, String> {
        let mut archive = Vec::new();
        let root = fs::canonicalize(self.path("")).unwrap();
        let outcome = pack(&root, dockerfile, wanted, &mut archive);
        // Two blocks of nothing end an archive.
        assert_eq!(archive.ends_with(&[0; 1024]), outcome.is_ok(), "whole only if it is what was asked for");
        outcome?;
        let mut archive = tar::Archive::new(&archive[..]);
        let described = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let link = entry.link_name().unwrap().map(|link| format!(" → {}", link.display())).unwrap_or_default();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            format!("{} {:o}{link} {text}", entry.path().unwrap().display(), header.mode().unwrap())
                .trim_end()
                .to_owned()
        });
        Ok(described.collect())
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_hash_follows_all_that_is_let_in_and_nothing_else() {
    let folder =
        Folder::of(&[("Dockerfile", "FROM a\n"), ("src/main.js", "1"), (".dockerignore", "*.log\n"), ("a.log", "1")]);
    set_mode(&folder.path("src/main.js"), 0o644);
    let mut seen = std::collections::BTreeSet::from([folder.content()]);
    for (change, is_another) in [
        (Box::new(|f: &Folder| f.write("a.log", "2")) as Box<dyn Fn(&Folder)>, false),
        (Box::new(|f| f.write("src/main.js", "2")), true),
        (Box::new(|f| set_mode(&f.path("src/main.js"), 0o755)), true),
        (Box::new(|f| fs::rename(f.path("src/main.js"), f.path("src/b.js")).unwrap()), true),
        (Box::new(|f| symlink("b.js", f.path("src/link")).unwrap()), true),
        (Box::new(|f| fs::create_dir(f.path("empty")).unwrap()), true),
        (Box::new(|f| f.write("Dockerfile", "FROM b\n")), true),
        (Box::new(|f| drop(std::os::unix::net::UnixListener::bind(f.path("socket")).unwrap())), false),
    ] {
        change(&folder);
        assert_eq!(seen.insert(folder.content()), is_another, "{seen:?}");
    }
}

#[test]
fn a_new_release_builds_nobodys_images_anew() {
    let folder = Folder::of(&[("Dockerfile", "FROM a\n"), ("src/main.js", "1")]);
    for (path, mode) in [("Dockerfile", 0o644), ("src/main.js", 0o755), ("src", 0o755)] {
        set_mode(&folder.path(path), mode);
    }
    symlink("main.js", folder.path("src/link")).unwrap();
    // If this changes, an upgrade builds every image and replaces every container of it. Do not update it: mend the code.
    assert_eq!(folder.content(), "e272f80013c2787e02ca2292f03e84235c59eca22750e37a9ee3714f6bc89917");
}

#[test]
fn what_is_sent_is_what_was_hashed_or_nothing_is() {
    let folder = Folder::of(&[
        ("Dockerfile", "FROM a\n"),
        ("src/main.js", "1"),
        (".dockerignore", "Dockerfile\n*.log\n"),
        ("a.log", "1"),
    ]);
    symlink("/etc/passwd", folder.path("src/link")).unwrap();
    for path in ["Dockerfile", "src/main.js", ".dockerignore"] {
        set_mode(&folder.path(path), 0o644);
    }
    set_mode(&folder.path("src"), 0o755);
    let content = folder.content();
    let sent = folder.packed("Dockerfile", &content).unwrap();
    assert_eq!(
        sent,
        [
            ".dockerignore 644 Dockerfile\n*.log",
            "Dockerfile 644 FROM a",
            "src 755",
            "src/link 777 → /etc/passwd",
            "src/main.js 644 1",
        ],
        "the engine needs the Dockerfile whatever is left out, and takes it away itself"
    );
    folder.write("src/main.js", "2");
    assert_eq!(folder.packed("Dockerfile", &content).unwrap_err(), "changed before it was sent; it is looked at again");
}

#[test]
fn a_dockerfile_may_have_an_ignore_file_of_its_own() {
    let folder = Folder::of(&[
        ("docker/web.Dockerfile", "FROM a\n"),
        ("docker/web.Dockerfile.dockerignore", "*\n!src/*.js\n"),
        (".dockerignore", "src\n"),
        ("src/main.js", "1"),
        ("src/readme", "1"),
        ("Dockerfile", "FROM b\n"),
    ]);
    let paths = |dockerfile: &str| -> Vec<String> {
        let content = folder.read_with(dockerfile).unwrap().content;
        let sent = folder.packed(dockerfile, &content).unwrap();
        sent.iter().filter_map(|line| line.split(' ').next()).map(String::from).collect()
    };
    assert_eq!(paths("docker/web.Dockerfile"), ["docker", "docker/web.Dockerfile", "src", "src/main.js"]);
    assert_eq!(
        paths("Dockerfile"),
        [".dockerignore", "Dockerfile", "docker", "docker/web.Dockerfile", "docker/web.Dockerfile.dockerignore"]
    );
}

#[test]
fn a_look_at_what_has_not_changed_reads_no_file() {
    let folder = Folder::of(&[("Dockerfile", "FROM a\n"), ("a", "1")]);
    folder.contexts.at(Timestamp(i64::MAX / 2));
    let before = folder.content();
    let known = |folder: &Folder| folder.contexts.lock().files.values().next().unwrap().len();
    assert_eq!(known(&folder), 2);
    // Only what is remembered can tell this.
    for (_, hash) in folder.contexts.lock().files.values_mut().next().unwrap().values_mut() {
        *hash = [0; 32];
    }
    assert_ne!(folder.content(), before);
    folder.write("a", "22");
    folder.write("Dockerfile", "FROM b\n");
    let contexts = Contexts::default();
    let asked = Asked { directory: folder.path(""), dockerfile: "Dockerfile".into() };
    assert_eq!(folder.content(), contexts.read(&asked).unwrap().content, "what has changed is read");
    assert_eq!(contexts.lock().files.values().next().unwrap().len(), 0, "nor is anything trusted before its time");
}

#[test]
fn what_cannot_be_a_context_says_why() {
    let folder = Folder::of(&[("Dockerfile", "FROM a\n"), ("folder/x", "1")]);
    let why = |directory: &str, dockerfile: &str| {
        let asked = Asked { directory: folder.path(directory), dockerfile: dockerfile.into() };
        folder.contexts.read(&asked).unwrap_err()
    };
    assert_eq!(why("nowhere", "Dockerfile"), Trouble::Wrong("does not exist".into()));
    assert_eq!(why("Dockerfile", "Dockerfile"), Trouble::Wrong("is not a directory".into()));
    assert_eq!(why("", "web.Dockerfile"), Trouble::Dockerfile("does not exist".into()));
    assert_eq!(why("", "folder"), Trouble::Dockerfile("is not a regular file".into()));
    symlink("Dockerfile", folder.path("link")).unwrap();
    assert_eq!(why("", "link"), Trouble::Dockerfile("is not a regular file".into()));
    folder.write(".dockerignore", "a\n[\n");
    assert!(matches!(why("", "Dockerfile"), Trouble::Ignore(_, Mistake { line: 2, .. })));
    fs::create_dir(folder.path(".git")).unwrap();
    fs::write(folder.path(".git/index.lock"), "").unwrap();
    assert!(matches!(why("", "Dockerfile"), Trouble::Unsettled(_)));
}

#[test]
fn no_link_leads_a_look_out_of_the_context() {
    let folder = Folder::of(&[("Dockerfile", "FROM a\n")]);
    fs::create_dir(folder.dir.path().join("secret")).unwrap();
    fs::write(folder.dir.path().join("secret/key"), "1").unwrap();
    symlink("../secret", folder.path("link")).unwrap();
    symlink("../secret/key", folder.path("key")).unwrap();
    let before = folder.content();
    fs::write(folder.dir.path().join("secret/key"), "2").unwrap();
    fs::write(folder.dir.path().join("secret/other"), "2").unwrap();
    assert_eq!(folder.content(), before, "a link is where it leads and not what is there");
    assert!(folder.packed("Dockerfile", &before).unwrap().iter().any(|entry| entry.contains("→ ../secret")));
    // An ignore file is read, so it may not lead out either.
    symlink("../secret/key", folder.path(".dockerignore")).unwrap();
    assert!(matches!(folder.read_with("Dockerfile"), Err(Trouble::Wrong(why)) if why.contains("leads out")));
}
