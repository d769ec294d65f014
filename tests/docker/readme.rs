//! The README's five minutes and the how-tos, line by line as a reader would type them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{Bench, Process, evenkeel_binary, eventually, on_an_engine_of_its_own};

on_an_engine_of_its_own! {
    fn the_readmes_five_minutes_are_true(bench) {
        bench.load_image("DEMO");
        let quickstart = root().join("manifests/quickstart");
        for entry in fs::read_dir(quickstart).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            bench.write(&format!("quickstart/{name}"), &fs::read_to_string(&path).unwrap());
        }
        let readme = fs::read_to_string(root().join("README.md")).unwrap();
        let from = readme.find("## Five minutes").expect("the section is there");
        let to = readme[from + 2..].find("\n## ").expect("another follows") + from;
        type_along(bench, &readme[from..to]);
    }

    fn every_line_of_the_how_tos_works(bench) {
        bench.load_image("DEMO");
        type_along(bench, &fs::read_to_string(root().join("docs/howto.md")).unwrap());
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Does what a page says: writes the files that it shows, and types its commands.
fn type_along(bench: &Bench, page: &str) {
    let (mut daemons, mut typed) = (Vec::new(), 0);
    for step in steps(page) {
        match step {
            Step::File { path, text } => write(&bench.directory().join(path), text),
            Step::Command(line) => match line.strip_suffix(" &") {
                Some(daemon) => daemons.push(start(bench, daemon)),
                None => follow(bench, line),
            },
        }
        typed += 1;
    }
    assert!(typed > 10, "the page has something to type");
}

enum Step<'a> {
    /// A `yaml` block under a line that is a path and a colon.
    File { path: &'a str, text: &'a str },
    /// A line of a `sh` block.
    Command(&'a str),
}

fn steps(page: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let parts: Vec<&str> = page.split("```").collect();
    for pair in parts.chunks(2) {
        let [prose, block] = pair else { break };
        if let Some(lines) = block.strip_prefix("sh\n") {
            // The build was the test's own.
            steps.extend(lines.lines().filter(|line| !line.starts_with("make ")).map(Step::Command));
        } else if let (Some(text), Some(path)) = (block.strip_prefix("yaml\n"), named(prose)) {
            steps.push(Step::File { path, text });
        }
    }
    steps
}

/// The path of `` `PATH`: ``, if that is the last line of some prose.
fn named(prose: &str) -> Option<&str> {
    prose.trim_end().lines().last()?.strip_prefix('`')?.strip_suffix("`:")
}

fn write(path: &PathBuf, text: &str) {
    eprintln!("writing {}", path.display());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn shell(bench: &Bench, line: &str) -> std::process::Command {
    let mut command = bench.engine.command(Path::new("/bin/bash"));
    let binaries = evenkeel_binary();
    let path = format!("{}:{}", binaries.parent().unwrap().display(), std::env::var("PATH").unwrap());
    command.args(["-c", line]).current_dir(bench.directory()).env("PATH", path);
    command.env("EVENKEEL_SOCKET", bench.socket()).env("EVENKEEL_STATE_DIR", bench.state_directory());
    command
}

/// A line that ends in `&`: it runs until the test is over, and the next line is typed when it answers.
fn start(bench: &Bench, line: &str) -> Process {
    eprintln!("$ {line} &");
    // `exec`, so that ending the shell ends what it became.
    let process = Process::start(&mut shell(bench, &format!("exec {line}")), &bench.directory().join("daemon.log"));
    eventually("the daemon answers", Duration::from_secs(10), || bench.try_evenkeel(&["get", "all"]));
    process
}

fn follow(bench: &Bench, line: &str) {
    eprintln!("$ {line}");
    let output = shell(bench, line).output().expect("bash can be run");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    eprintln!("{out}{err}");
    // `plan` says by its exit code that there are changes.
    let fine = output.status.success() || line.starts_with("evenkeel plan") && output.status.code() == Some(2);
    assert!(fine, "{line}: {}", output.status);
}
