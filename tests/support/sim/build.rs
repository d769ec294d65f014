//! Building in the simulated engine: what a Dockerfile's few words mean here. An image behaves as the one that its last stage
//! begins with.
//!
//! `FROM IMAGE [AS NAME]` of the registry or the engine, or a stage before; `RUN echo WORDS` says them; `RUN sleep 5s` takes
//! time; `RUN exit 3` fails; `COPY PATH …` fails where the context has no such file; other lines do nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use evenkeel::model::build::ImageBuild;
use evenkeel::model::image::{Built, Steps};
use evenkeel::model::observed::Fault;
use evenkeel::model::revision::ImageId;
use evenkeel::model::secret::SecretBytes;
use sha2::{Digest, Sha256};

use super::app::{App, Millis, millis};
use super::image::{Image, Mood};
use super::world::{Refusal, World, refuse};

/// What a step takes that says nothing about it.
const STEP: Millis = 100;

/// A build as its Dockerfile tells it.
pub struct Script {
    steps: Vec<Step>,
    files: BTreeSet<String>,
    /// A hash of the context.
    content: String,
    image: String,
}

struct Step {
    words: String,
    kind: Kind,
}

enum Kind {
    From { image: String, stage: Option<String> },
    Say(String),
    Sleep(Millis),
    Fail(i64),
    Copy(String),
    Nothing,
}

impl Script {
    /// Reads the archive of a context.
    pub fn of(build: &ImageBuild, archive: &[u8]) -> Result<Script, Refusal> {
        let mut files = BTreeMap::new();
        let mut tar = tar::Archive::new(archive);
        for entry in tar.entries().expect("a whole archive") {
            let mut entry = entry.expect("a whole archive");
            let path = entry.path().expect("a path").display().to_string();
            let mut text = String::new();
            // What is not text says nothing here.
            let _ = entry.read_to_string(&mut text);
            files.insert(path, text);
        }
        let Some(dockerfile) = files.get(&build.dockerfile) else {
            let words = format!("Cannot locate specified Dockerfile: {}", build.dockerfile);
            return refuse(500, Fault::Invalid, words);
        };
        let steps = steps(dockerfile, build.target.as_deref())?;
        let content = Sha256::digest(format!("{files:?}")).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Script { steps, files: files.into_keys().collect(), content, image: build.image.clone() })
    }

    /// What it says, step by step, and how long each takes: as far as it comes.
    pub fn output(&self) -> Vec<(String, Millis)> {
        let mut said = Vec::new();
        for (number, step) in self.steps.iter().enumerate() {
            said.push((format!("Step {}/{} : {}", number + 1, self.steps.len(), step.words), STEP));
            match &step.kind {
                Kind::Say(words) => said.push((words.clone(), 0)),
                Kind::Sleep(time) => said.push((String::new(), *time)),
                Kind::Fail(_) => break,
                Kind::From { .. } | Kind::Copy(_) | Kind::Nothing => {}
            }
        }
        said.retain(|(words, time)| !words.is_empty() || *time > 0);
        said
    }
}

fn steps(dockerfile: &str, target: Option<&str>) -> Result<Vec<Step>, Refusal> {
    let (mut steps, mut stages) = (Vec::new(), Vec::new());
    let lines = dockerfile.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let kind = match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["FROM", image] => Kind::From { image: image.into(), stage: None },
            ["FROM", image, "AS", stage] => Kind::From { image: image.into(), stage: Some(stage.into()) },
            ["RUN", "echo", ..] => Kind::Say(line["RUN echo".len()..].trim().into()),
            ["RUN", "sleep", time] => Kind::Sleep(millis(time).expect("a time")),
            ["RUN", "exit", code] => Kind::Fail(code.parse().expect("an exit code")),
            ["COPY", from, _] if !from.starts_with('-') => Kind::Copy(from.into()),
            ["RUN" | "COPY" | "ARG" | "ENV" | "CMD" | "LABEL" | "WORKDIR" | "USER", ..] => Kind::Nothing,
            _ => {
                let word = line.split_whitespace().next().unwrap_or_default();
                let words = format!("dockerfile parse error line {number}: unknown instruction: {word}");
                return refuse(400, Fault::Invalid, words);
            }
        };
        if let Kind::From { stage, .. } = &kind {
            if target.is_some() && stages.last() == Some(&target.map(String::from)) {
                return Ok(steps);
            }
            stages.push(stage.clone());
        }
        steps.push(Step { words: line.into(), kind });
    }
    match target {
        Some(target) if stages.last() != Some(&Some(target.to_string())) => {
            refuse(400, Fault::Invalid, format!("failed to reach build target {target} in Dockerfile"))
        }
        _ => Ok(steps),
    }
}

impl World {
    /// Carries a build out: the image is there at its end, under its name. Built again after it was removed it is another one.
    /// Each stage leaves an image without a name, the same one for the same steps; the last one's is what it was built on.
    pub fn run_build(&mut self, script: &Script, passwords: &[SecretBytes]) -> Result<Built, Refusal> {
        let mut stages: BTreeMap<String, App> = BTreeMap::new();
        let mut last = None;
        for step in &script.steps {
            match &step.kind {
                Kind::From { image, stage } => {
                    let app = match stages.get(image) {
                        Some(app) => app.clone(),
                        None => self.begin_with(image, passwords)?,
                    };
                    stages.extend(stage.iter().map(|stage| (stage.clone(), app.clone())));
                    last = Some(app);
                }
                Kind::Fail(code) => {
                    let words = format!("The command '/bin/sh -c exit {code}' returned a non-zero code: {code}");
                    return refuse(200, Fault::Invalid, words);
                }
                Kind::Copy(path) if *path != "." && !script.files.iter().any(|file| file == path) => {
                    let words = format!(
                        "COPY failed: file not found in build context or excluded by .dockerignore: stat {path}: file does not exist"
                    );
                    return refuse(200, Fault::Invalid, words);
                }
                Kind::Copy(_) | Kind::Say(_) | Kind::Sleep(_) | Kind::Nothing => {}
            }
        }
        let Some(app) = last else { return refuse(400, Fault::Invalid, "file with no instructions in Dockerfile") };
        let (steps, parent) = self.leave_steps(script, &app);
        if let Some(there) = self.image(&script.image) {
            // Every step is in the builder's cache.
            let id = there.id.clone();
            self.tell("image tag", None);
            return Ok(Built { id, steps });
        }
        let builds = self.builds.entry(script.image.clone()).or_insert(0);
        *builds += 1;
        let id = Sha256::digest(format!("{} {} {builds}", script.image, script.content));
        let id = id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let id = ImageId(format!("sha256:{id}"));
        self.tags.insert(script.image.clone(), id.clone());
        let image = Image { id: id.clone(), digests: Vec::new(), app, is_built: true, parent };
        self.images.insert(id.clone(), image);
        self.tell("image tag", None);
        Ok(Built { id, steps })
    }

    /// Puts what each stage ends with into the store. Returns what was made and reused, and the last one's.
    fn leave_steps(&mut self, script: &Script, app: &App) -> (Steps, Option<ImageId>) {
        let (mut steps, mut last) = (Steps::default(), None);
        for stage in script.steps.chunk_by(|_, next| !matches!(next.kind, Kind::From { .. })) {
            let words: Vec<&str> = stage.iter().map(|step| step.words.as_str()).collect();
            let digest = Sha256::digest(words.join("\n"));
            let id = ImageId(format!("sha256:{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()));
            let image = Image { id: id.clone(), digests: Vec::new(), app: app.clone(), is_built: true, parent: None };
            let was_there = self.images.insert(id.clone(), image).is_some();
            if was_there { &mut steps.reused } else { &mut steps.made }.insert(id.clone());
            last = Some(id);
        }
        (steps, last)
    }

    /// The base image: the engine's own if it has it, else pulled.
    fn begin_with(&mut self, reference: &str, passwords: &[SecretBytes]) -> Result<App, Refusal> {
        if self.image(reference).is_none() {
            self.pull(reference, None, passwords)?;
        }
        Ok(self.image(reference).expect("it was just pulled").app.clone())
    }

    /// How long the base images of a build take to be had.
    pub fn base_time(&self, script: &Script) -> Millis {
        let bases = script.steps.iter().filter_map(|step| match &step.kind {
            Kind::From { image, .. } => Some(image),
            Kind::Say(_) | Kind::Sleep(_) | Kind::Fail(_) | Kind::Copy(_) | Kind::Nothing => None,
        });
        let missing = bases.filter(|image| self.image(image).is_none());
        missing
            .map(|image| if matches!(self.registry.mood, Mood::Slow(_)) { 1000 } else { self.pull_time(image) })
            .sum()
    }
}
