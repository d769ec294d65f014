//! The language of the scripts: every line that can be written, and what it means. It plays nothing.
//!
//! A line is words, so the grammar is a `match` on them; its order is the order of `docs` in tests/scenarios/README.md.

use evenkeel::model::action::Request;
use evenkeel::model::name::{Key, Name};
use evenkeel::model::observed::{DiskSpace, Fault};
use evenkeel::model::quantity::Memory;

use super::expectation::{Expectation, is_numbered, parse_expectation};
use crate::support::sim::app::{App, Millis, millis};
use crate::support::sim::calls::FaultMode;
use crate::support::sim::image::Mood;

/// Something about the world outside Evenkeel. Written above the first section, or in the script when it changes.
#[derive(Debug, Clone)]
pub enum World {
    /// The registry has an image.
    Image { reference: String, app: App },
    /// The engine has an image that no registry knows.
    LocalImage { reference: String, app: App },
    /// Somebody else's container, running.
    ForeignContainer { name: String, networks: Vec<String>, port: Option<u16> },
    /// Somebody else's network.
    ForeignNetwork { name: String, subnet: Option<String> },
    /// Somebody else's volume.
    ForeignVolume { name: String },
    /// How the registry is today.
    Registry(Mood),
    /// The same for too many requests, and after how long it may be asked again.
    RetryAfter(Millis),
    /// The registry wants this password from now on.
    Password(String),
    /// A tag is gone from the registry.
    Forget(String),
    /// How long nothing must need an image before it is removed; without this line, a day.
    Grace(Millis),
    /// A path of the host that containers may mount.
    HostPath(String),
    /// Memory that the host has left, in bytes.
    HostMemory(u64),
    /// How full the file system of the engine's data root is.
    HostDisk(DiskSpace),
    /// Whether Evenkeel may enter a container's network.
    Entry(bool),
    /// A directory of manifests; without any, `manifests` is the one.
    Source { dir: String, namespace: Option<Name>, variables: Vec<(String, String)> },
    /// An invariant that this scenario may break, because it is about breaking it.
    Allow(Allowance),
}

/// An invariant that a scenario may break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allowance {
    /// Fewer ready replicas than the strategy promises, and names that lead to nobody.
    Downtime,
    /// More containers than replicas and surge.
    Crowd,
    /// Names that lead to nobody, or to somebody who no longer answers, because the script itself takes replicas away.
    /// What the controller stops, drains and starts is still watched.
    Accidents,
    /// Other words for how something ended, where a fault keeps from being seen how: nobody was there, or its log cannot be read.
    OtherWords,
    /// A Job that runs again, because what remembers that it has run is lost on the way. No scenario says so itself.
    Repeats,
}

/// A line of a script.
#[derive(Debug, Clone)]
pub enum Step {
    World(Box<World>),
    Run {
        until: Option<Expectation>,
        within: Millis,
    },
    Expect(Expectation),
    Edit {
        file: String,
        from: String,
        to: String,
    },
    Add {
        file: String,
        from: String,
    },
    Delete {
        file: String,
    },
    Empty {
        dir: String,
    },
    Unmount {
        dir: String,
    },
    Mount {
        dir: String,
    },
    Unconfigure {
        dir: String,
    },
    Accident {
        verb: Verb,
        container: String,
    },
    RemoveImage {
        reference: String,
    },
    RemoveVolume {
        name: String,
    },
    TagImage {
        reference: String,
        name: String,
    },
    Disconnect {
        container: String,
        network: String,
    },
    Rename {
        container: String,
        to: String,
    },
    Update {
        container: String,
        what: String,
        value: String,
    },
    Engine {
        graceful: bool,
        down: Millis,
    },
    Controller(Process),
    CrashAtWrite {
        number: u32,
        path: String,
    },
    LoseState,
    LoseHistory,
    /// Cuts a file of the state directory in the middle.
    Damage {
        path: String,
    },
    FullDisk(Millis),
    Request {
        key: Key,
        request: Request,
    },
    Confirm(Name),
    Fail {
        call: String,
        target: String,
        mode: FaultMode,
        times: u32,
    },
    Mark,
}

/// What befalls a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Crash,
    Hang,
    Unhang,
    Unplug,
    Spoil,
    Mute,
    Kill,
    Stop,
    Start,
    Remove,
    Pause,
    Unpause,
}

/// What becomes of the controller's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    Start,
    Stop,
    Crash,
}

/// How long the engine is away unless a line says otherwise.
const ENGINE_DOWN: Millis = 3_000;

/// Reads a line above the first section.
pub fn parse_world(text: &str) -> Result<World, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        ["image", reference, ..] => {
            Ok(World::Image { reference: reference.into(), app: App::parse(after(text, &["image", reference]))? })
        }
        ["local", "image", reference, ..] => Ok(World::LocalImage {
            reference: reference.into(),
            app: App::parse(after(text, &["local", "image", reference]))?,
        }),
        ["foreign", "container", name, ref rest @ ..] => foreign_container(name, rest),
        ["foreign", "network", name] => Ok(World::ForeignNetwork { name: name.into(), subnet: None }),
        ["foreign", "network", name, subnet] => {
            Ok(World::ForeignNetwork { name: name.into(), subnet: Some(subnet.into()) })
        }
        ["foreign", "volume", name] => Ok(World::ForeignVolume { name: name.into() }),
        ["registry", "fine"] => Ok(World::Registry(Mood::Fine)),
        ["registry", "down"] => Ok(World::Registry(Mood::Down)),
        ["registry", "unauthorized"] => Ok(World::Registry(Mood::Unauthorized)),
        ["registry", "rate-limited"] => Ok(World::Registry(Mood::RateLimited)),
        ["registry", "rate-limited", "for", time] => Ok(World::RetryAfter(millis(time)?)),
        ["images", "are", "removed", "after", time] => Ok(World::Grace(millis(time)?)),
        ["registry", "wants", password] => Ok(World::Password(password.into())),
        ["registry", "forgets", reference] => Ok(World::Forget(reference.into())),
        ["registry", "slow", time] => Ok(World::Registry(Mood::Slow(millis(time)?))),
        ["containers", "can", "be", "entered"] => Ok(World::Entry(true)),
        ["containers", "cannot", "be", "entered"] => Ok(World::Entry(false)),
        ["host", "memory", size] => Ok(World::HostMemory(bytes(size)?)),
        ["host", "disk", free, "of", total] => {
            Ok(World::HostDisk(DiskSpace { free: bytes(free)?, total: bytes(total)? }))
        }
        ["host", "path", path] => Ok(World::HostPath(path.into())),
        ["source", dir, ref rest @ ..] => source(dir, rest),
        ["allow", "downtime"] => Ok(World::Allow(Allowance::Downtime)),
        ["allow", "crowd"] => Ok(World::Allow(Allowance::Crowd)),
        ["allow", "accidents"] => Ok(World::Allow(Allowance::Accidents)),
        ["allow", "other", "words"] => Ok(World::Allow(Allowance::OtherWords)),
        _ => Err(format!("'{text}' says nothing about the world that is understood; see tests/scenarios/README.md")),
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    Memory::try_from(text.to_string()).map(|size| size.0)
}

fn foreign_container(name: &str, mut rest: &[&str]) -> Result<World, String> {
    let (mut networks, mut port) = (Vec::new(), None);
    loop {
        rest = match rest {
            [] => return Ok(World::ForeignContainer { name: name.into(), networks, port }),
            ["on", network, more @ ..] => {
                networks.push(network.to_string());
                more
            }
            ["port", number, more @ ..] => {
                port = Some(number.parse().map_err(|_| format!("'{number}' is not a port"))?);
                more
            }
            _ => return Err(format!("'{}' is not 'on NETWORK' or 'port NUMBER'", rest.join(" "))),
        };
    }
}

fn source(dir: &str, rest: &[&str]) -> Result<World, String> {
    let (namespace, variables) = match rest {
        ["namespace", namespace, more @ ..] => (Some(Name::new(*namespace)?), more),
        more => (None, more),
    };
    let pair = |text: &&str| {
        let pair = text.split_once('=').map(|(name, value)| (name.to_string(), value.to_string()));
        pair.ok_or_else(|| format!("'{text}' is not NAME=VALUE"))
    };
    let variables = variables.iter().map(pair).collect::<Result<_, _>>()?;
    Ok(World::Source { dir: dir.into(), namespace, variables })
}

/// Reads a line of the script.
pub fn parse_step(text: &str) -> Result<Step, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        ["run", "for", time] => Ok(Step::Run { until: None, within: millis(time)? }),
        ["run", "until", ref what @ .., "within", time] => {
            Ok(Step::Run { until: Some(parse_expectation(&what.join(" "))?), within: millis(time)? })
        }
        ["expect", ..] => Ok(Step::Expect(parse_expectation(after(text, &["expect"]))?)),
        ["edit", file, ..] => edit(file, after(text, &["edit", file])),
        ["add", file, "as", from] => Ok(Step::Add { file: from.into(), from: file.into() }),
        ["delete", file] => Ok(Step::Delete { file: file.into() }),
        ["empty", dir] => Ok(Step::Empty { dir: dir.into() }),
        ["unmount", dir] => Ok(Step::Unmount { dir: dir.into() }),
        ["mount", dir] => Ok(Step::Mount { dir: dir.into() }),
        ["unconfigure", dir] => Ok(Step::Unconfigure { dir: dir.into() }),
        ["crash", container] => accident(Verb::Crash, container),
        ["hang", container] => accident(Verb::Hang, container),
        ["unhang", container] => accident(Verb::Unhang, container),
        ["spoil", container] => accident(Verb::Spoil, container),
        ["mute", container] => accident(Verb::Mute, container),
        ["unplug", container] => accident(Verb::Unplug, container),
        ["docker", "kill", container] => accident(Verb::Kill, container),
        ["docker", "stop", container] => accident(Verb::Stop, container),
        ["docker", "start", container] => accident(Verb::Start, container),
        ["docker", "rm", container] => accident(Verb::Remove, container),
        ["docker", "tag", reference, name] => Ok(Step::TagImage { reference: reference.into(), name: name.into() }),
        ["docker", "rmi", reference] => Ok(Step::RemoveImage { reference: reference.into() }),
        ["docker", "volume", "rm", name] => Ok(Step::RemoveVolume { name: name.into() }),
        ["docker", "pause", container] => accident(Verb::Pause, container),
        ["docker", "unpause", container] => accident(Verb::Unpause, container),
        ["docker", "disconnect", network, container] => {
            Ok(Step::Disconnect { container: container.into(), network: network.into() })
        }
        ["docker", "rename", container, to] => Ok(Step::Rename { container: container.into(), to: to.into() }),
        ["docker", "update", container, setting] => {
            let (what, value) = setting.split_once('=').ok_or("a setting is memory=64Mi, cpu=0.5 or restart=Never")?;
            Ok(Step::Update { container: container.into(), what: what.into(), value: value.into() })
        }
        ["engine", how @ ("restart" | "crash"), ref rest @ ..] => {
            let down = match rest {
                [] => ENGINE_DOWN,
                ["for", time] => millis(time)?,
                _ => return Err("an engine restarts or crashes, perhaps 'for 10s'".into()),
            };
            Ok(Step::Engine { graceful: how == "restart", down })
        }
        ["controller", "start"] => Ok(Step::Controller(Process::Start)),
        ["controller", "stop"] => Ok(Step::Controller(Process::Stop)),
        ["controller", "crash"] => Ok(Step::Controller(Process::Crash)),
        ["controller", "crash", "at", "write", number, "of", path] => {
            let number = number.parse().map_err(|_| format!("'{number}' is not a number"))?;
            Ok(Step::CrashAtWrite { number, path: path.into() })
        }
        ["lose", "state"] => Ok(Step::LoseState),
        ["lose", "history"] => Ok(Step::LoseHistory),
        ["damage", path] => Ok(Step::Damage { path: path.into() }),
        ["disk", "full", "for", time] => Ok(Step::FullDisk(millis(time)?)),
        ["request", key, ref what @ ..] => {
            Ok(Step::Request { key: Key::try_from(key.to_string())?, request: request(what)? })
        }
        ["confirm", namespace] => Ok(Step::Confirm(Name::new(namespace)?)),
        ["fail", ..] => fail(after(text, &["fail"])),
        ["mark"] => Ok(Step::Mark),
        _ => parse_world(text).map(|line| Step::World(Box::new(line))).map_err(|_| {
            format!("'{text}' is not a line of a script that is understood; see tests/scenarios/README.md")
        }),
    }
}

fn accident(verb: Verb, container: &str) -> Result<Step, String> {
    Ok(Step::Accident { verb, container: container.into() })
}

/// `s/from/to/` with any character in place of `/`.
fn edit(file: &str, expression: &str) -> Result<Step, String> {
    let wrong = || format!("'{expression}' is not s/OLD/NEW/");
    let rest = expression.strip_prefix('s').ok_or_else(wrong)?;
    let separator = rest.chars().next().ok_or_else(wrong)?;
    match rest.split(separator).collect::<Vec<_>>()[..] {
        ["", from, to, ""] => {
            Ok(Step::Edit { file: file.into(), from: from.replace("\\n", "\n"), to: to.replace("\\n", "\n") })
        }
        _ => Err(wrong()),
    }
}

fn request(words: &[&str]) -> Result<Request, String> {
    match words {
        ["pause"] => Ok(Request::Pause),
        ["resume"] => Ok(Request::Resume),
        ["restart"] => Ok(Request::Restart),
        ["retry"] => Ok(Request::Retry),
        ["run", "now"] => Ok(Request::RunNow),
        ["undo"] => Ok(Request::Undo { to: None }),
        ["undo", "to", n] => {
            Ok(Request::Undo { to: Some(n.parse().map_err(|_| format!("'{n}' is not a revision's number"))?) })
        }
        _ => Err(format!("'{}' is not pause, resume, restart, retry, run now, undo or undo to N", words.join(" "))),
    }
}

/// `fail create shop.web.* with error 3 times`. The call may be two words: `create network`.
fn fail(text: &str) -> Result<Step, String> {
    let (what, how) = text.split_once(" with ").ok_or("say how it fails: 'fail create shop.web.* with error'")?;
    let (call, target) = what.rsplit_once(' ').ok_or("say which call on what fails: 'create shop.web.*'")?;
    if is_numbered(target) {
        return Err(format!("'{target}' says which revision, and a call cannot be known by that: 'shop.web.*'"));
    }
    let words: Vec<&str> = how.split_whitespace().collect();
    let (mode, times) = match words[..] {
        [ref mode @ .., n, "times"] => (mode.to_vec(), n.parse().map_err(|_| format!("'{n}' is not a number"))?),
        ref mode => (mode.to_vec(), 1),
    };
    let mode = match mode[..] {
        ["error"] => FaultMode::Error(Fault::Unavailable),
        ["refusal"] => FaultMode::Error(Fault::Invalid),
        ["half", "removed"] => FaultMode::HalfRemoved,
        ["timeout"] => FaultMode::Timeout { effect: false },
        ["timeout", "after", "effect"] => FaultMode::Timeout { effect: true },
        ["silence"] => FaultMode::Silence { effect: false },
        ["silence", "after", "effect"] => FaultMode::Silence { effect: true },
        ["crash", "before"] => FaultMode::CrashBefore,
        ["crash", "during"] => FaultMode::CrashDuring,
        ["crash", "after"] => FaultMode::CrashAfter,
        ["stale", "list"] => FaultMode::StaleList,
        ["lost", "events"] => FaultMode::EventsLost,
        ["partial", "list"] => FaultMode::PartialList,
        ["empty", "list"] => FaultMode::EmptyList,
        ["doubled", "events"] => FaultMode::EventsDoubled,
        ["late", "events"] => FaultMode::EventsLate,
        ["engine", "restart"] => FaultMode::EngineRestart { graceful: true },
        ["engine", "crash"] => FaultMode::EngineRestart { graceful: false },
        _ => return Err(format!("'{how}' is not a way to fail")),
    };
    Ok(Step::Fail { call: call.into(), target: target.into(), mode, times })
}

/// What follows these words in `text`.
pub fn after<'a>(text: &'a str, words: &[&str]) -> &'a str {
    words.iter().fold(text, |rest, word| rest.trim_start().strip_prefix(word).unwrap_or(rest)).trim()
}
