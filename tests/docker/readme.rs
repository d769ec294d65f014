//! The README's five minutes, line by line as a reader would type them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::{Bench, Process, evenkeel_binary, eventually, on_an_engine_of_its_own};

on_an_engine_of_its_own! {
    fn the_readmes_five_minutes_are_true(bench) {
        bench.load_image("DEMO");
        let quickstart = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/quickstart");
        for entry in fs::read_dir(quickstart).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            bench.write(&format!("quickstart/{name}"), &fs::read_to_string(&path).unwrap());
        }
        let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
        let lines = commands(&readme);
        assert!(lines.len() > 10, "the README has its five minutes: {lines:?}");
        let mut daemons = Vec::new();
        for line in lines {
            eprintln!("$ {line}");
            match line.strip_suffix(" &") {
                Some(daemon) => daemons.push(start(bench, daemon)),
                None => follow(bench, line),
            }
        }
    }
}

/// The lines of the `sh` blocks of "Five minutes", but for the build.
fn commands(readme: &str) -> Vec<&str> {
    let from = readme.find("## Five minutes").expect("the section is there");
    let to = readme[from + 2..].find("\n## ").expect("another follows") + from;
    let blocks = readme[from..to].split("```").skip(1).step_by(2);
    let lines = blocks.filter_map(|block| block.strip_prefix("sh\n")).flat_map(str::lines);
    lines.filter(|line| !line.starts_with("make ")).collect()
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
    // `exec`, so that ending the shell ends what it became.
    let process = Process::start(&mut shell(bench, &format!("exec {line}")), &bench.directory().join("daemon.log"));
    eventually("the daemon answers", Duration::from_secs(10), || bench.try_evenkeel(&["get", "all"]));
    process
}

fn follow(bench: &Bench, line: &str) {
    let output = shell(bench, line).output().expect("bash can be run");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    eprintln!("{out}{err}");
    // `plan` says by its exit code that there are changes.
    let fine = output.status.success() || line.starts_with("evenkeel plan") && output.status.code() == Some(2);
    assert!(fine, "{line}: {}", output.status);
}
