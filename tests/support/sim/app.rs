//! Applications: how the program in an image behaves once it runs. Pure data and its grammar; it knows no engine.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel::model::time::Span;

/// Milliseconds, of virtual time or between two points of it.
pub type Millis = u64;

/// What an image brings: how its program behaves, and what Docker reads from its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// How long after its start it answers; none: never.
    pub ready_after: Option<Millis>,
    /// When it ends by itself, if it does.
    pub ends: Option<Ending>,
    /// How long after its start it stops answering while it goes on running.
    pub hangs_after: Option<Millis>,
    /// How long it takes to end after its stop signal; none: it ignores the signal.
    pub stops_after: Option<Millis>,
    /// The code that it exits with after its stop signal.
    pub stop_code: i64,
    /// Why it cannot even be started: exit code and the engine's words.
    pub start_error: Option<(i64, String)>,
    /// The image's own health check.
    pub health_check: Option<HealthCheck>,
    /// Paths that the image declares as volumes.
    pub volumes: BTreeSet<String>,
    /// The image's labels, which the engine merges into the container's.
    pub labels: BTreeMap<String, String>,
    /// How long it takes to pull.
    pub pull: Millis,
    /// What it writes to its log before it ends by itself.
    pub last_words: Vec<String>,
    /// When it ends by itself as the container of a Job.
    pub job_ends: Option<Ending>,
    /// Paths and gRPC services that it answers with an error.
    pub fails_at: BTreeSet<String>,
    /// Whether it listens on its own loopback only.
    pub hides: bool,
    /// What its program is made for, if not for the host.
    pub platform: Option<String>,
}

/// When a program ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// How long after its start.
    pub after: Millis,
    /// With which code.
    pub code: i64,
    /// In how many of its first runs.
    pub runs: u32,
}

/// Docker's health check, with its defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Time from the start, or from the end of a check, to the next check.
    pub interval: Millis,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
    /// Time after the start in which failures do not count.
    pub start_period: Millis,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self { interval: 30_000, retries: 3, start_period: 0 }
    }
}

impl Default for App {
    /// A program that answers at once and ends soon after SIGTERM.
    fn default() -> Self {
        Self {
            ready_after: Some(0),
            ends: None,
            hangs_after: None,
            stops_after: Some(50),
            stop_code: 0,
            start_error: None,
            health_check: None,
            volumes: BTreeSet::new(),
            labels: BTreeMap::new(),
            pull: 1_000,
            last_words: Vec::new(),
            job_ends: None,
            fails_at: BTreeSet::new(),
            hides: false,
            platform: None,
        }
    }
}

/// One line for each phrase, for error messages and for people who write scenarios.
pub const PHRASES: &str = "\
ready [after 2s] | never ready | exits with CODE [after 2s] [once|twice|N times] | hangs after 30s | ignores SIGTERM |
stops after 2s | stops with CODE | has no entrypoint | is not executable | has a health check [every 5s] [N retries] |
declares volume /path | has label KEY=VALUE | takes 5s to pull | says TEXT | as a job exits with CODE [after 2s] [once|twice|N times] | fails at /path |
listens on loopback only | is for linux/arm64";

impl App {
    /// How it ends when the engine stops all, and kills what takes longer than `grace`.
    pub fn code_at_shutdown(&self, grace: Millis) -> i64 {
        match self.stops_after {
            Some(after) if after < grace => self.stop_code,
            _ => 137,
        }
    }

    /// What it does as the container of an object of this kind.
    pub fn of_a(&self, kind: Option<&str>) -> App {
        let ends = self.job_ends.clone().filter(|_| matches!(kind, Some("job" | "cronjob")));
        App { ends: ends.or_else(|| self.ends.clone()), ..self.clone() }
    }

    /// What its program is made for.
    pub fn platform(&self) -> &str {
        self.platform.as_deref().unwrap_or(PLATFORM)
    }

    /// Reads phrases with commas between them, such as `ready after 2s, ignores SIGTERM`.
    pub fn parse(text: &str) -> Result<App, String> {
        let mut app = App::default();
        if text.replace("as a job exits with", "").contains("exits with") && !text.contains("ready") {
            // Who crashes on boot, or is a job, never answers.
            app.ready_after = None;
        }
        for phrase in text.split(',').map(str::trim).filter(|phrase| !phrase.is_empty()) {
            app.learn(phrase)?;
        }
        Ok(app)
    }

    fn learn(&mut self, phrase: &str) -> Result<(), String> {
        let words: Vec<&str> = phrase.split_whitespace().collect();
        match words[..] {
            ["ready"] => self.ready_after = Some(0),
            ["ready", "after", time] => self.ready_after = Some(millis(time)?),
            ["never", "ready"] => self.ready_after = None,
            ["exits", "with", code, ref rest @ ..] => self.ends = Some(ending(code, rest)?),
            ["hangs", "after", time] => self.hangs_after = Some(millis(time)?),
            ["ignores", "SIGTERM"] => self.stops_after = None,
            ["stops", "after", time] => self.stops_after = Some(millis(time)?),
            ["stops", "with", code] => self.stop_code = number(code)?,
            // The kernel refuses it as soon as it is started.
            ["is", "for", platform] => {
                (self.ready_after, self.ends) = (None, Some(Ending { after: 1, code: 1, runs: u32::MAX }));
                (self.platform, self.last_words) = (Some(platform.into()), vec![NOT_FOR_THIS_HOST.into()]);
            }
            ["has", "no", "entrypoint"] => self.start_error = Some((127, NO_ENTRYPOINT.into())),
            ["is", "not", "executable"] => self.start_error = Some((126, NOT_EXECUTABLE.into())),
            ["has", "a", "health", "check", ref rest @ ..] => self.health_check = Some(health_check(rest)?),
            ["declares", "volume", path] => drop(self.volumes.insert(path.into())),
            ["has", "label", label] => {
                let (key, value) = label.split_once('=').ok_or("a label is KEY=VALUE")?;
                self.labels.insert(key.into(), value.into());
            }
            ["takes", time, "to", "pull"] => self.pull = millis(time)?,
            ["as", "a", "job", "exits", "with", code, ref rest @ ..] => self.job_ends = Some(ending(code, rest)?),
            ["listens", "on", "loopback", "only"] => self.hides = true,
            ["fails", "at", path] => drop(self.fails_at.insert(path.into())),
            ["says", ..] => self.last_words.push(phrase["says".len()..].trim().trim_matches('"').into()),
            _ => return Err(format!("'{phrase}' is not something that an image can do; it can be:\n{PHRASES}")),
        }
        Ok(())
    }
}

/// What the simulated engine's host runs.
pub const PLATFORM: &str = "linux/amd64";

const NOT_FOR_THIS_HOST: &str = "exec /app: exec format error";
const NO_ENTRYPOINT: &str =
    "failed to create task: OCI runtime create failed: exec: \"/app\": stat /app: no such file or directory";
const NOT_EXECUTABLE: &str = "failed to create task: OCI runtime create failed: exec: \"/app\": permission denied";

fn ending(code: &str, rest: &[&str]) -> Result<Ending, String> {
    let (after, times) = match rest {
        ["after", time, times @ ..] => (millis(time)?, times),
        times => (50, times),
    };
    let runs = match times {
        [] => u32::MAX,
        ["once"] => 1,
        ["twice"] => 2,
        [n, "times"] => number(n)?,
        _ => return Err(format!("'{}' is not once, twice or N times", times.join(" "))),
    };
    Ok(Ending { after, code: number(code)?, runs })
}

fn health_check(mut rest: &[&str]) -> Result<HealthCheck, String> {
    let mut check = HealthCheck::default();
    loop {
        rest = match rest {
            [] => return Ok(check),
            ["every", time, more @ ..] => {
                check.interval = millis(time)?;
                more
            }
            [n, "retries", more @ ..] => {
                check.retries = number(n)?;
                more
            }
            _ => return Err(format!("'{}' is not a detail of a health check", rest.join(" "))),
        };
    }
}

/// Milliseconds in a time such as `2s` or `1m30s`.
pub fn millis(text: &str) -> Result<Millis, String> {
    Span::try_from(text.to_string()).map(|span| span.0)
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("'{text}' is not a number"))
}
