//! Secrets that sing when they are told: every word of a scenario's files that begins with `canary-`. Only the engine and the
//! stored contents of a Secret may hold one. It reads what is told, and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::file::Scenario;
use crate::support::sim::calls::CallRecord;
use crate::support::sim::world::World;

/// How such a word begins.
const CANARY: &str = "canary-";
/// Where a Secret's content is kept, for containers that are made later.
const KEPT: [&str; 2] = ["contents", "files"];

/// The words of a scenario.
#[derive(Debug, Default)]
pub struct Canaries(BTreeSet<String>);

impl Canaries {
    /// Those of a scenario; most have none.
    pub fn of(scenario: &Scenario) -> Self {
        let is_part = |c: char| !c.is_ascii_alphanumeric() && c != '-';
        // What the script writes into a file becomes secret then.
        let texts = scenario.files.values().chain(scenario.script.iter().map(|line| &line.text));
        let words = texts.flat_map(|text| text.split(is_part));
        Self(words.filter(|word| word.starts_with(CANARY)).map(str::to_owned).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of them that stand in these files by now: where everything is forgotten, nobody knows what was secret before.
    pub fn of_now(&self, files: impl Iterator<Item = String>) -> Self {
        let text: String = files.collect();
        Self(self.0.iter().filter(|canary| text.contains(canary.as_str())).cloned().collect())
    }

    /// Where which of them is told, of these texts.
    pub fn found_in<'a>(&self, told: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<String> {
        let found = told.into_iter().flat_map(|(place, text)| {
            let sung = self.0.iter().filter(|canary| text.contains(canary.as_str()));
            sung.map(move |canary| format!("the secret {canary} is in {place}"))
        });
        found.collect()
    }
}

/// The labels of everything, in words.
pub fn labels(world: &World) -> String {
    let containers = world.containers.values().map(|container| &container.labels);
    let networks = world.networks.values().map(|network| &network.labels);
    let volumes = world.volumes.values().map(|volume| &volume.labels);
    let all: Vec<&BTreeMap<String, String>> = containers.chain(networks).chain(volumes).collect();
    format!("{all:?}")
}

/// All calls, in words.
pub fn calls(made: &[CallRecord]) -> String {
    made.iter().map(|call| format!("{} {} {} {:?}\n", call.name, call.target, call.detail, call.ended)).collect()
}

/// What happened, without what the script itself says.
pub fn happened(transcript: &str) -> String {
    transcript.lines().filter(|line| !line.contains(" > ")).map(|line| format!("{line}\n")).collect()
}

/// What the state directory says, but for the contents that are kept there.
pub fn state(dir: &Path) -> String {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let told = entries.filter(|entry| !KEPT.iter().any(|kept| entry.file_name() == *kept)).map(|entry| {
        let path = entry.path();
        let text = if path.is_dir() {
            state(&path)
        } else {
            String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned()
        };
        format!("{}\n{text}\n", path.display())
    });
    told.collect()
}
