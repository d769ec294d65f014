//! A scenario's file: where it is, and its sections with files, a script, and the transcript that is expected. Text in, text
//! out; it plays nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::step::{Step, World, parse_step, parse_world};

/// A scenario as its file says it.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The file, for messages.
    pub path: String,
    /// The world before anything runs, each with its line.
    pub world: Vec<(usize, World)>,
    /// Files under the scenario's own directory, by their relative path.
    pub files: BTreeMap<String, String>,
    /// What happens, each with its line and its text.
    pub script: Vec<Line>,
    /// What is expected to be told.
    pub transcript: String,
    /// Everything before the transcript, so that the file can be written anew.
    before_transcript: String,
}

/// A line of the script.
#[derive(Debug, Clone)]
pub struct Line {
    pub number: usize,
    pub text: String,
    pub step: Step,
}

/// The files of the scenarios whose name contains one of `wanted`, which have commas between them, by name.
pub fn paths(wanted: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let entries = fs::read_dir(folder).expect("tests/scenarios is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    let is_wanted = |name: &str| wanted.split(',').any(|part| name.contains(part));
    paths.retain(|path| path.file_stem().is_some_and(|name| is_wanted(&name.to_string_lossy())));
    paths.sort();
    paths
}

/// How a section begins: `--- script`. A bare `---` is YAML's own.
const SECTION: &str = "--- ";

impl Scenario {
    /// Reads a scenario, or reports every line that is wrong: `first-start.txt:12: …`.
    pub fn parse(path: &str, text: &str) -> Result<Scenario, String> {
        let mut problems = Vec::new();
        let mut scenario = Scenario {
            path: path.into(),
            world: Vec::new(),
            files: BTreeMap::new(),
            script: Vec::new(),
            transcript: String::new(),
            before_transcript: String::new(),
        };
        let mut section = String::new();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            if let Some(name) = line.strip_prefix(SECTION) {
                section = name.trim().to_string();
                if is_file(&section) && scenario.files.insert(section.clone(), String::new()).is_some() {
                    problems.push(format!("{path}:{number}: the file {section} is there twice"));
                }
                if !is_file(&section) && section != "script" && section != "transcript" {
                    problems.push(format!(
                        "{path}:{number}: a section is 'script', 'transcript' or a file such as 'manifests/web.yaml'"
                    ));
                }
            } else if let Err(problem) = scenario.take(&section, number, line) {
                problems.push(format!("{path}:{number}: {problem}"));
            }
            if section != "transcript" {
                scenario.before_transcript.push_str(line);
                scenario.before_transcript.push('\n');
            }
        }
        if scenario.script.is_empty() {
            problems.push(format!("{path}: there is no script: write a section '--- script'"));
        }
        if problems.is_empty() { Ok(scenario) } else { Err(problems.join("\n")) }
    }

    fn take(&mut self, section: &str, number: usize, line: &str) -> Result<(), String> {
        let text = line.trim();
        let is_empty = text.is_empty() || text.starts_with('#');
        match section {
            "" if is_empty => {}
            "" => self.world.push((number, parse_world(text)?)),
            "script" if is_empty => {}
            "script" => self.script.push(Line { number, text: text.into(), step: parse_step(text)? }),
            "transcript" => {
                self.transcript.push_str(line);
                self.transcript.push('\n');
            }
            file => {
                let content = self.files.entry(file.to_string()).or_default();
                content.push_str(line);
                content.push('\n');
            }
        }
        Ok(())
    }

    /// The whole file with another transcript.
    pub fn with_transcript(&self, transcript: &str) -> String {
        format!("{}\n--- transcript\n{transcript}", self.before_transcript.trim_end_matches('\n'))
    }
}

fn is_file(section: &str) -> bool {
    section.contains('/') && !section.contains("..") && !section.starts_with('/')
}
