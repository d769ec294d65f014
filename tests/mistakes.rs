//! The mistakes that the tests must find: `tests/mistakes/NAME.patch` puts one into the code. Here each patch still fits the
//! code as it is, and docs/mistakes.md lists them all; `scripts/mistakes` plays them. `UPDATE_MISTAKES=1` writes the list.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests and their helpers may")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a patch says of itself before its first change.
struct Mistake {
    name: String,
    path: PathBuf,
    mistake: String,
    history: String,
    found_by: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All of them, by name.
fn mistakes() -> Vec<Mistake> {
    let entries = fs::read_dir(root().join("tests/mistakes")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(read).collect()
}

fn read(path: PathBuf) -> Mistake {
    let text = fs::read_to_string(&path).unwrap();
    let word = |word: &str| {
        let line = text.lines().take(3).find_map(|line| line.strip_prefix(word)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("{}: its first lines do not say '{word}: …'", path.display())).to_owned()
    };
    let (mistake, history, found_by) = (word("Mistake"), word("History"), word("Found by"));
    Mistake { name: path.file_stem().unwrap().to_string_lossy().into(), path, mistake, history, found_by }
}

#[test]
fn every_patch_still_fits_the_code() {
    let git = |path: &Path| Command::new("git").args(["apply", "--check"]).arg(path).current_dir(root()).output();
    let unfit: Vec<String> = mistakes()
        .iter()
        .filter_map(|mistake| {
            let output = git(&mistake.path).expect("git can be run");
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            (!output.status.success()).then(|| format!("{}: {why}", mistake.name))
        })
        .collect();
    assert!(unfit.is_empty(), "the code has changed; make the same mistake in it as it is now:\n{}", unfit.join("\n"));
}

#[test]
fn every_patch_changes_production_code_and_names_a_test_that_cargo_runs() {
    for mistake in mistakes() {
        let text = fs::read_to_string(&mistake.path).unwrap();
        let changed: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("+++ b/")).collect();
        assert!(!changed.is_empty() && changed.iter().all(|path| path.starts_with("src/")), "{}", mistake.name);
        let command = mistake.found_by.rsplit_once("cargo test --").map(|(before, _)| before);
        assert!(command.is_some_and(|before| before.is_empty() || before.starts_with("SCENARIO=")), "{}", mistake.name);
    }
}

#[test]
fn the_documentation_lists_them_all() {
    let path = root().join("docs/mistakes.md");
    let expected = list(&mistakes());
    if std::env::var_os("UPDATE_MISTAKES").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "docs/mistakes.md is another list: UPDATE_MISTAKES=1 cargo test --test mistakes");
}

fn list(mistakes: &[Mistake]) -> String {
    let row = |m: &Mistake| format!("| {} | {} | {} | `{}` |\n", m.name, m.mistake, m.history, m.found_by);
    let rows: String = mistakes.iter().map(row).collect();
    format!(
        "# Mistakes that the tests find\n\n\
         Controllers of this kind have made them. Each is a patch in `tests/mistakes` that makes it again in this code;\n\
         `make mistakes` applies them one by one to a copy, and the named test must fail with it and pass without it.\n\
         `scripts/mistakes NAME` plays one. (This list is written by `UPDATE_MISTAKES=1 cargo test --test mistakes`.)\n\n\
         {} of them:\n\n\
         | name | mistake | made by, or known from | found by |\n|---|---|---|---|\n{rows}",
        mistakes.len()
    )
}
