//! A schedule: a small world and what happens to it, in the order of happening. It is written as a scenario, in the words
//! of tests/scenarios/README.md, so that whatever is found can be kept. It plays nothing and decides nothing.

use std::fmt::Write;

use super::shop::{Deployment, IMAGES, LAST, LAST_JOB, MOVED_TO_A_BAD_ONE, Shop};

/// What a seed makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub seed: u64,
    pub shop: Shop,
    pub turns: Vec<Turn>,
}

/// Something that happens. Deployments are named by their number in the shop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// A manifest is changed.
    Edit(usize, Edit),
    /// What the ConfigMap or the Secret says is changed.
    Config(u32),
    Secret(u32),
    /// The job gets another image.
    Job(String),
    /// The CronJob is suspended, or not any more.
    Cron(bool),
    /// A manifest is removed, or is there again as it was at first.
    Remove(usize),
    Return(usize),
    /// Any other line of a script, which changes no manifest.
    Say(String),
}

/// A change of one line of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    Image(String),
    Replicas(usize),
    Strategy(&'static str),
    OnFailure(&'static str),
    Color(u32),
    Memory(u32),
    Restart(&'static str),
    Suspend(bool),
}

/// How long nothing happens before everything must have come to rest.
const QUIET: &str = "12m";

impl Schedule {
    /// The scenario's file. The line `mark` divides what happens and the quiet after it from the last change, which brings
    /// every Deployment to an image that was never used before.
    pub fn text(&self) -> String {
        let mut shop = self.shop.clone();
        let mut script = String::from("run for 40s\n");
        for turn in &self.turns {
            self.write(turn, &mut shop, &mut script);
        }
        self.quiet(&mut shop, &mut script);
        self.last_change(&mut shop, &mut script);
        format!("{}--- script\n{script}", self.head())
    }

    /// The shop after all turns.
    pub fn shop_in_the_end(&self) -> Shop {
        let (mut shop, mut script) = (self.shop.clone(), String::new());
        self.turns.iter().for_each(|turn| self.write(turn, &mut shop, &mut script));
        shop
    }

    fn head(&self) -> String {
        let mut text = format!("# Found by the random schedule of seed {}.\nallow accidents\n{IMAGES}", self.seed);
        // A Deployment that is quiet for a run does not serve.
        if self.shop.cron.as_ref().is_some_and(|cron| !cron.quiesce.is_empty()) {
            text.push_str("allow downtime\n");
        }
        text.push_str("foreign container neighbour\nforeign volume theirs\n\n");
        let _ = write!(text, "--- manifests/base.yaml\n{}\n", self.shop.base());
        let _ = write!(text, "--- host/word.env\n{}\n\n", self.shop.secret_text());
        if let Some(image) = &self.shop.job {
            let _ = write!(text, "--- manifests/task.yaml\n{}\n", Shop::job_manifest(image));
        }
        if let Some(cron) = &self.shop.cron {
            let _ = write!(text, "--- manifests/tick.yaml\n{}\n", cron.manifest());
        }
        for (number, deployment) in self.shop.deployments.iter().enumerate() {
            let manifest = deployment.manifest();
            let _ = write!(text, "--- {}\n{manifest}\n", deployment.file());
            if self.turns.contains(&Turn::Return(number)) {
                let _ = write!(text, "--- {}\n{manifest}\n", deployment.spare());
            }
        }
        text
    }

    /// Writes a turn's lines; one that changes nothing has none.
    fn write(&self, turn: &Turn, shop: &mut Shop, script: &mut String) {
        match turn {
            Turn::Edit(number, edit) => change(&mut shop.deployments[*number], edit, script),
            Turn::Config(level) => {
                let before = shop.config_line();
                shop.config = *level;
                replace("manifests/base.yaml", &before, &shop.config_line(), script);
            }
            Turn::Secret(word) => {
                let before = shop.secret_text();
                shop.secret = *word;
                replace("host/word.env", &before, &shop.secret_text(), script);
            }
            Turn::Job(image) => {
                if let Some(job) = &mut shop.job {
                    let before = std::mem::replace(job, image.clone());
                    replace("manifests/task.yaml", &format!("image: {before}"), &format!("image: {image}"), script);
                }
            }
            Turn::Cron(suspended) => {
                if let Some(cron) = &mut shop.cron {
                    let before = cron.suspend_line();
                    cron.suspended = *suspended;
                    replace("manifests/tick.yaml", &before, &cron.suspend_line(), script);
                }
            }
            Turn::Remove(number) => {
                let deployment = &mut shop.deployments[*number];
                if std::mem::replace(&mut deployment.present, false) {
                    let _ = writeln!(script, "delete {}", deployment.file());
                }
            }
            Turn::Return(number) => {
                let first = &self.shop.deployments[*number];
                if !shop.deployments[*number].present {
                    let _ = writeln!(script, "add {} as {}", first.spare(), first.file());
                    shop.deployments[*number] = first.clone();
                }
            }
            Turn::Say(line) => {
                if *line == MOVED_TO_A_BAD_ONE {
                    shop.deployments.iter_mut().for_each(|deployment| deployment.is_two_bad = true);
                }
                let _ = writeln!(script, "{line}");
            }
        }
    }

    fn quiet(&self, shop: &mut Shop, script: &mut String) {
        let says = |start: &str| self.turns.iter().any(|t| matches!(t, Turn::Say(line) if line.starts_with(start)));
        if says("disk full") {
            // No controller starts before that, and nothing that is asked for can be written down.
            script.push_str("run for 90s\n");
        }
        if says("controller crash") {
            // One that has just started cannot be asked for anything yet.
            script.push_str("controller start\nrun for 30s\n");
        }
        if says("registry") {
            script.push_str("registry fine\n");
        }
        // Nothing is at rest while it begins something every minute.
        self.write(&Turn::Cron(true), shop, script);
        for deployment in &shop.deployments {
            if says(&format!("request {} pause", deployment.key())) {
                let _ = writeln!(script, "request {} resume", deployment.key());
            }
        }
        let _ = writeln!(script, "run for {QUIET}\nmark");
    }

    fn last_change(&self, shop: &mut Shop, script: &mut String) {
        // Whoever depends on the job waits for one that ends well.
        if shop.job.as_ref().is_some_and(|image| image != LAST_JOB) {
            self.write(&Turn::Job(LAST_JOB.into()), shop, script);
        }
        for deployment in shop.deployments.iter_mut().filter(|deployment| deployment.present) {
            change(deployment, &Edit::Suspend(false), script);
            change(deployment, &Edit::Image(LAST.into()), script);
        }
        for deployment in &shop.deployments {
            let (key, pattern) = (deployment.key(), deployment.containers());
            if deployment.present {
                let (wanted, image) = (deployment.replicas, &deployment.image);
                let _ = writeln!(script, "run until {key} is Complete within 15m");
                let _ = writeln!(script, "run until converged within 10m\nexpect {wanted} ready of {key}");
                let _ = writeln!(script, "expect {wanted} containers like {pattern}");
                if wanted > 0 {
                    let _ = writeln!(script, "expect image of {pattern} is {image}");
                }
            } else {
                let _ = writeln!(script, "run until no {key} within 15m\nexpect 0 containers like {pattern}");
            }
        }
    }
}

fn change(deployment: &mut Deployment, edit: &Edit, script: &mut String) {
    if !deployment.present {
        return;
    }
    let before = deployment.changeable();
    match edit {
        Edit::Image(image) => deployment.take_image(image),
        Edit::Replicas(replicas) => deployment.replicas = *replicas,
        Edit::Strategy(strategy) => deployment.strategy = strategy,
        Edit::OnFailure(word) => deployment.on_failure = word,
        Edit::Color(color) => deployment.color = *color,
        Edit::Memory(memory) => deployment.memory = *memory,
        Edit::Restart(policy) => deployment.restart = policy,
        Edit::Suspend(suspended) => deployment.suspended = *suspended,
    }
    for (old, new) in before.iter().zip(deployment.changeable()) {
        replace(&deployment.file(), old, &new, script);
    }
}

fn replace(file: &str, old: &str, new: &str, script: &mut String) {
    if old != new {
        let _ = writeln!(script, "edit {file} s|{old}|{new}|");
    }
}
