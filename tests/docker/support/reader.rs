//! A reader of a page: takes the commands of its `sh` blocks and types them in a shell beside the engine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::engine::text;
use super::{Bench, Process, eventually};

/// How `curl ` is typed here: an answer that is an error is one.
pub const CURL: &str = "curl --fail --silent --show-error ";

/// A reader who types along. The daemons that a page starts run as long as its reader is there.
pub struct Reader<'a> {
    bench: &'a Bench,
    directory: PathBuf,
    replaced: Vec<(String, String)>,
    daemons: Vec<Process>,
}

impl<'a> Reader<'a> {
    /// One whose shell is in the bench's directory.
    pub fn new(bench: &'a Bench) -> Self {
        Reader { bench, directory: bench.directory().to_path_buf(), replaced: Vec::new(), daemons: Vec::new() }
    }

    /// The same, whose shell is elsewhere.
    pub fn at(mut self, directory: &Path) -> Self {
        self.directory = directory.to_path_buf();
        self
    }

    /// The same, who reads `here` wherever the page says `there`.
    pub fn with(mut self, there: &str, here: &str) -> Self {
        self.replaced.push((there.to_string(), here.to_string()));
        self
    }

    /// A text of the page as it is here.
    pub fn reads(&self, text: &str) -> String {
        self.replaced.iter().fold(text.to_string(), |text, (there, here)| text.replace(there, here))
    }

    /// Types a command, which must succeed.
    pub fn types(&mut self, command: &str) {
        let line = self.reads(command);
        if let Some(directory) = line.strip_prefix("cd ") {
            eprintln!("$ {line}");
            self.directory = self.directory.join(directory);
        } else if let Some(daemon) = line.strip_suffix(" &") {
            self.starts(daemon);
        } else {
            self.follows(&line);
        }
    }

    /// A line that ends in `&`: it runs until the test is over, and the next line is typed when it answers.
    fn starts(&mut self, line: &str) {
        eprintln!("$ {line} &");
        // `exec`, so that ending the shell ends what it became.
        let mut command = self.shell(&format!("exec {line}"));
        let mut daemon = Process::start(&mut command, &self.bench.directory().join("controller.log"));
        eventually("the daemon answers", Duration::from_secs(10), || {
            assert!(daemon.ended().is_none(), "the daemon has ended:\n{}", daemon.output());
            self.bench.try_evenkeel(&["get", "all"])
        });
        self.daemons.push(daemon);
    }

    fn follows(&self, line: &str) {
        eprintln!("$ {line}");
        let output = self.shell(line).output().expect("bash can be run");
        eprintln!("{}{}", text(&output.stdout), text(&output.stderr));
        // `plan` says by its exit code that there are changes.
        let fine = output.status.success() || line.starts_with("evenkeel plan") && output.status.code() == Some(2);
        assert!(fine, "{line}: {}", output.status);
    }

    fn shell(&self, line: &str) -> Command {
        let bench = self.bench;
        let mut command = bench.engine.command("/bin/bash");
        command.args(["-c", line]).current_dir(&self.directory).env("PATH", bench.search_path());
        command
            .env("EVENKEEL_CONFIG", bench.settings())
            .env("EVENKEEL_SOCKET", bench.socket())
            .env("EVENKEEL_STATE_DIR", bench.state_directory());
        command
    }
}

/// The commands of a page's `sh` blocks.
pub fn commands(page: &str) -> Vec<String> {
    blocks(page).concat()
}

/// The same, block by block.
pub fn blocks(page: &str) -> Vec<Vec<String>> {
    page.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n")).map(statements).collect()
}

/// The commands of a block: its lines, where those that belong together (a loop, a line that ends in a backslash) are one.
pub fn statements(block: &str) -> Vec<String> {
    let (mut statements, mut begun) = (Vec::new(), String::new());
    for line in block.lines().filter(|line| !line.is_empty()) {
        begun += line;
        match is_whole(&begun) {
            true => statements.push(std::mem::take(&mut begun)),
            false => begun.push('\n'),
        }
    }
    assert!(begun.is_empty(), "this does not end: {begun}");
    statements
}

fn is_whole(text: &str) -> bool {
    let read = Command::new("bash").args(["-n", "-c", text]).stderr(Stdio::null()).status();
    !text.ends_with('\\') && read.expect("bash can be run").success()
}

/// The commands in a page's running text: codes that begin with one of these programs.
pub fn spoken<'a>(page: &'a str, programs: &[&str]) -> Vec<&'a str> {
    let prose = page.split("```").step_by(2);
    let codes = prose.flat_map(|text| text.split('`').skip(1).step_by(2));
    codes.filter(|code| code.split_once(' ').is_some_and(|(program, _)| programs.contains(&program))).collect()
}
