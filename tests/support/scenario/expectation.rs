//! What a script can wait for and expect, and how it is checked against the engine and the view. It changes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use evenkeel::model::name::{Key, Name};
use evenkeel::model::view::{Detail, SourcePhase, View};

use super::names::Names;
use crate::support::sim::calls::{CallRecord, matches_pattern};
use crate::support::sim::client::owner;
use crate::support::sim::container::Container;
use crate::support::sim::world::World;

/// Something that holds or does not hold.
#[derive(Debug, Clone)]
pub enum Expectation {
    /// Nothing to do, nothing under way, every object settled.
    Converged,
    /// An object's phase.
    Phase { key: Key, phase: String },
    /// No object of that key is known.
    Unknown { key: Key },
    /// Replicas whose program answers, whatever Evenkeel thinks.
    Ready { count: usize, key: Key },
    /// Containers, perhaps only those in a state.
    Containers { count: usize, state: Option<String>, pattern: String },
    /// An object's message: all of it, or words in it.
    Message { key: Key, text: String, whole: bool },
    /// What is told of one of its revisions.
    Reason { key: Key, text: String },
    /// An event was told, perhaps with a sort of failure.
    Event { reason: String, failure: Option<String>, key: Option<Key>, happened: bool },
    /// An object's condition.
    Condition { kind: String, key: Key, holds: bool },
    /// Whether it waits for what will not come about without a person.
    Blocked { key: Key, holds: bool },
    /// Replicas that run what is wanted, as people are told.
    Updated { count: u32, key: Key },
    /// What a name leads to.
    Addresses { count: usize, name: String, network: String },
    /// The changing calls since the last mark, by name.
    Calls { counts: BTreeMap<String, usize> },
    /// How often the registry was asked about tags since the last mark.
    Asked { count: usize },
    /// Whether the engine has an image.
    OnHost { reference: String, there: bool },
    /// How many images without a name builds have left.
    Nameless { count: usize },
    /// What all these containers were made from.
    Image { pattern: String, reference: String },
    /// An environment variable of all these containers.
    Env { pattern: String, name: String, value: String },
    /// Limits and restart policy of all these containers.
    Setting { pattern: String, what: String, value: String },
    /// How often a job's containers were started.
    Runs { count: u32, key: Key },
    /// How many attempts of its newest revision's gates have their last words kept.
    GateLogs { count: usize, key: Key },
    /// How many contents of ConfigMaps and Secrets the state directory keeps.
    Contents { count: usize },
    /// Actions that failed last time, as people are told.
    Failing { count: usize },
    /// Whether a volume is there.
    Volume { name: String, there: bool },
    /// Whether a network is there.
    Network { name: String, there: bool },
    /// Which manifests are in force.
    Source { phase: SourcePhase },
    /// A problem of the newest manifests.
    Problem { text: String },
    /// Whether a brake holds a removal.
    Held { namespace: Name, held: bool },
    /// A warning that belongs to no object.
    Warning { text: String },
}

/// Phases that an object passes through.
const PASSING: [&str; 7] = ["Unknown", "Quiesced", "Progressing", "RollingBack", "Waiting", "Active", "Degraded"];

impl Expectation {
    /// Whether it may hold for a moment only, which a play that goes another way can miss.
    pub fn is_of_a_moment(&self) -> bool {
        match self {
            Self::Containers { .. } | Self::Event { .. } | Self::Addresses { .. } | Self::Ready { .. } => true,
            Self::Condition { .. } | Self::Message { .. } | Self::Blocked { .. } | Self::Updated { .. } => true,
            Self::Phase { phase, .. } => PASSING.contains(&phase.as_str()),
            _ => false,
        }
    }

    /// Whether it may come true without the engine changing and without anything new being shown.
    pub fn comes_with_time(&self) -> bool {
        matches!(
            self,
            Self::Ready { .. }
                | Self::Calls { .. }
                | Self::Asked { .. }
                | Self::GateLogs { .. }
                | Self::Contents { .. }
        )
    }

    /// Whether it is about the words in which something is told.
    pub fn is_of_words(&self) -> bool {
        matches!(self, Self::Message { .. } | Self::Reason { .. })
    }

    /// Whether it tells revisions apart, or knows what happened: neither outlives the state directory.
    pub fn is_of_history(&self) -> bool {
        match self {
            Self::Containers { pattern, .. } | Self::Image { pattern, .. } | Self::Env { pattern, .. } => {
                is_numbered(pattern)
            }
            Self::Setting { pattern, .. } => is_numbered(pattern),
            Self::Event { .. } | Self::Reason { .. } | Self::Condition { .. } => true,
            _ => false,
        }
    }
}

/// Whether a pattern of containers says which revision: only a transcript calls them that.
pub fn is_numbered(pattern: &str) -> bool {
    pattern.split('.').any(|part| part.starts_with('r') && part[1..].parse::<u32>().is_ok())
}

/// Where an expectation looks.
pub struct Scene<'a> {
    pub world: &'a World,
    pub view: &'a View,
    pub names: &'a Names,
    pub instance: &'a Name,
    /// Calls since the last mark.
    pub calls: &'a [CallRecord],
    /// The state directory.
    pub state: &'a Path,
}

/// Reads an expectation.
pub fn parse_expectation(text: &str) -> Result<Expectation, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let key = |text: &str| Key::try_from(text.to_string());
    let number = |text: &str| text.parse::<usize>().map_err(|_| format!("'{text}' is not a number"));
    match words[..] {
        ["converged"] => Ok(Expectation::Converged),
        ["source", "is", ref phase @ ..] => Ok(Expectation::Source { phase: source_phase(&phase.join(" "))? }),
        ["no", object] if object.contains('/') => Ok(Expectation::Unknown { key: key(object)? }),
        [count, "ready", "of", object] => Ok(Expectation::Ready { count: number(count)?, key: key(object)? }),
        ["blocked", object] => Ok(Expectation::Blocked { key: key(object)?, holds: true }),
        ["not", "blocked", object] => Ok(Expectation::Blocked { key: key(object)?, holds: false }),
        [count, "updated", "of", object] => {
            let count = u32::try_from(number(count)?).map_err(|error| error.to_string())?;
            Ok(Expectation::Updated { count, key: key(object)? })
        }
        [count, "containers", "like", pattern] => {
            Ok(Expectation::Containers { count: number(count)?, state: None, pattern: pattern.into() })
        }
        [count, state, "containers", "like", pattern] => {
            Ok(Expectation::Containers { count: number(count)?, state: Some(state.into()), pattern: pattern.into() })
        }
        ["history", "of", object, "contains", ..] => Ok(Expectation::Reason {
            key: key(object)?,
            text: text.split_once(" contains ").map(|(_, rest)| rest.trim().to_string()).unwrap_or_default(),
        }),
        ["message", "of", object, "contains", ..] => Ok(Expectation::Message {
            key: key(object)?,
            text: text.split_once(" contains ").map(|(_, text)| text.trim().to_string()).unwrap_or_default(),
            whole: false,
        }),
        ["message", "of", object, "is", ..] => Ok(Expectation::Message {
            key: key(object)?,
            text: text.split_once(" is ").map(|(_, text)| text.trim().to_string()).unwrap_or_default(),
            whole: true,
        }),
        ["event", reason] => event(reason, None, None, true),
        ["event", reason, "on", object] => event(reason, None, Some(key(object)?), true),
        ["event", reason, "for", failure, "on", object] => event(reason, Some(failure), Some(key(object)?), true),
        ["no", "event", reason] => event(reason, None, None, false),
        ["condition", kind, "of", object] => {
            Ok(Expectation::Condition { kind: kind.into(), key: key(object)?, holds: true })
        }
        ["no", "condition", kind, "of", object] => {
            Ok(Expectation::Condition { kind: kind.into(), key: key(object)?, holds: false })
        }
        [count, "addresses", "of", name, "on", network] => {
            Ok(Expectation::Addresses { count: number(count)?, name: name.into(), network: network.into() })
        }
        ["calls", "since", "mark:", ..] => {
            Ok(Expectation::Calls { counts: call_counts(text.split_once(':').map_or("", |(_, counts)| counts))? })
        }
        ["registry", "asked", count, "times", "since", "mark"] => Ok(Expectation::Asked { count: number(count)? }),
        ["image", reference] => Ok(Expectation::OnHost { reference: reference.into(), there: true }),
        ["no", "image", reference] => Ok(Expectation::OnHost { reference: reference.into(), there: false }),
        [count, "images", "without", "a", "name"] => Ok(Expectation::Nameless { count: number(count)? }),
        ["image", "of", pattern, "is", reference] => {
            Ok(Expectation::Image { pattern: pattern.into(), reference: reference.into() })
        }
        ["env", name, "of", pattern, "is", value] => {
            Ok(Expectation::Env { pattern: pattern.into(), name: name.into(), value: value.into() })
        }
        [what @ ("memory" | "cpu" | "restart"), "of", pattern, "is", value] => {
            Ok(Expectation::Setting { pattern: pattern.into(), what: what.into(), value: value.into() })
        }
        [count, "logs", "of", "gates", "of", object] => {
            Ok(Expectation::GateLogs { count: number(count)?, key: key(object)? })
        }
        [count, "actions", "failing"] => Ok(Expectation::Failing { count: number(count)? }),
        [count, "contents", "kept"] => Ok(Expectation::Contents { count: number(count)? }),
        [count, "runs", "of", object] => Ok(Expectation::Runs { count: number(count)? as u32, key: key(object)? }),
        ["volume", name] => Ok(Expectation::Volume { name: name.into(), there: true }),
        ["no", "volume", name] => Ok(Expectation::Volume { name: name.into(), there: false }),
        ["network", name] => Ok(Expectation::Network { name: name.into(), there: true }),
        ["no", "network", name] => Ok(Expectation::Network { name: name.into(), there: false }),
        ["problem", "contains", ..] => {
            Ok(Expectation::Problem { text: text["problem contains".len()..].trim().into() })
        }
        ["warning", "contains", ..] => {
            Ok(Expectation::Warning { text: text["warning contains".len()..].trim().into() })
        }
        ["held", namespace] => Ok(Expectation::Held { namespace: Name::new(namespace)?, held: true }),
        ["nothing", "held", "in", namespace] => Ok(Expectation::Held { namespace: Name::new(namespace)?, held: false }),
        [object, "is", phase] => Ok(Expectation::Phase { key: key(object)?, phase: phase.into() }),
        _ => Err(format!("'{text}' is not something to expect; see tests/scenarios/README.md")),
    }
}

fn event(reason: &str, failure: Option<&str>, key: Option<Key>, happened: bool) -> Result<Expectation, String> {
    Ok(Expectation::Event { reason: reason.into(), failure: failure.map(String::from), key, happened })
}

fn source_phase(text: &str) -> Result<SourcePhase, String> {
    match text {
        "loaded" => Ok(SourcePhase::Loaded),
        "last good" => Ok(SourcePhase::LastGood),
        "unknown" => Ok(SourcePhase::Unknown),
        other => Err(format!("a source is 'loaded', 'last good' or 'unknown', not '{other}'")),
    }
}

/// `create 1, start 1`, or `none`.
fn call_counts(text: &str) -> Result<BTreeMap<String, usize>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty() && *part != "none");
    parts
        .map(|part| {
            let (name, count) = part.rsplit_once(' ').ok_or_else(|| format!("'{part}' is not CALL NUMBER"))?;
            let count = count.parse().map_err(|_| format!("'{count}' is not a number"))?;
            Ok((name.to_string(), count))
        })
        .collect()
}

impl Expectation {
    /// Whether it holds now; if not, what there is instead.
    pub fn check(&self, scene: &Scene) -> Result<(), String> {
        let is = |holds: bool, instead: String| if holds { Ok(()) } else { Err(instead) };
        match self {
            Expectation::Converged => {
                let view = scene.view;
                let statuses: Vec<String> = view
                    .objects
                    .iter()
                    .map(|(key, object)| format!("{key} is {} ({})", object.status.phase, object.status.message))
                    .collect();
                let steps: Vec<&String> = view.plan.iter().map(|step| &step.action).collect();
                is(view.converged, format!("it has not converged: {statuses:#?}, next {steps:?}"))
            }
            Expectation::Phase { key, phase } => {
                let status = scene.view.objects.get(key).map(|object| &object.status);
                let is_it = status.is_some_and(|status| status.phase == *phase);
                is(is_it, status.map_or("it is not known".into(), |s| format!("it is {}: {}", s.phase, s.message)))
            }
            Expectation::Unknown { key } => is(!scene.view.objects.contains_key(key), "it is known".into()),
            Expectation::Ready { count, key } => {
                let ready = scene.of(key).filter(|c| c.serves(scene.world.now)).count();
                is(ready == *count, format!("{ready} are ready"))
            }
            Expectation::Containers { count, state, pattern } => {
                let fitting = scene.like(pattern).into_iter();
                let fitting: Vec<_> =
                    fitting.filter(|c| state.as_ref().is_none_or(|state| c.state_word() == state)).collect();
                let all: Vec<String> = scene
                    .like("*")
                    .iter()
                    .map(|c| format!("{} {}", scene.names.show(&c.name), c.state_word()))
                    .collect();
                is(fitting.len() == *count, format!("there are {} such, of {all:?}", fitting.len()))
            }
            Expectation::Reason { key, text } => {
                let Some(Detail::Deployment { revisions, .. }) =
                    scene.view.objects.get(key).map(|object| &object.detail)
                else {
                    return is(false, format!("{key} is not known"));
                };
                let told: Vec<&String> = revisions
                    .iter()
                    .flat_map(|revision| [&revision.reason].into_iter().chain(&revision.last_log))
                    .collect();
                is(told.iter().any(|line| line.contains(text)), format!("its revisions tell {told:?}"))
            }
            Expectation::Message { key, text, whole } => {
                let message = scene.view.objects.get(key).map(|object| object.status.message.clone());
                let message = scene.names.show(&message.unwrap_or_default());
                is(if *whole { message == *text } else { message.contains(text) }, format!("it is '{message}'"))
            }
            Expectation::Event { reason, failure, key, happened } => {
                let fits = |event: &&evenkeel::model::status::Event| {
                    let of = event.failure.map(|failure| failure.word());
                    event.reason == *reason
                        && failure.as_ref().is_none_or(|failure| of == Some(failure))
                        && key.as_ref().is_none_or(|key| *key == event.object)
                };
                let told = scene.view.events.iter().find(fits);
                is(
                    told.is_some() == *happened,
                    told.map_or("there is none".into(), |e| format!("there is: {}", e.message)),
                )
            }
            Expectation::Condition { kind, key, holds } => {
                let status = scene.view.objects.get(key).map(|object| &object.status);
                let all: Vec<_> = status.into_iter().flat_map(|status| &status.conditions).collect();
                let found = all.iter().any(|condition| condition.kind == *kind && condition.status);
                is(found == *holds, format!("its conditions are {all:?}"))
            }
            Expectation::Blocked { key, holds } => {
                let status = scene.view.objects.get(key).map(|object| &object.status);
                let is_blocked = status.map(|status| status.blocked);
                is(is_blocked == Some(*holds), format!("it waits for {:?}", status.map(|status| &status.waiting)))
            }
            Expectation::Updated { count, key } => {
                let replicas = scene.view.objects.get(key).and_then(|object| object.status.replicas);
                is(replicas.is_some_and(|replicas| replicas.updated == *count), format!("there are {replicas:?}"))
            }
            Expectation::Addresses { count, name, network } => {
                let found = scene.world.resolve(network, name);
                is(found.len() == *count, format!("it leads to {}", found.len()))
            }
            Expectation::Calls { counts } => {
                let mut made: BTreeMap<String, usize> = BTreeMap::new();
                for call in scene.calls.iter().filter(|call| call.changes) {
                    *made.entry(call.name.to_string()).or_default() += 1;
                }
                is(made == *counts, format!("there were {made:?}"))
            }
            Expectation::OnHost { reference, there } => {
                let all: Vec<_> = scene.world.tags.keys().collect();
                let found = scene.world.image(&scene.names.image(reference));
                is(found.is_some() == *there, format!("there are {all:?}"))
            }
            Expectation::Nameless { count } => {
                let nameless = scene.world.nameless_images();
                is(nameless == *count, format!("there are {nameless}"))
            }
            Expectation::Asked { count } => {
                let asked = scene.calls.iter().filter(|call| call.name == "ask").count();
                is(asked == *count, format!("it was asked {asked} times"))
            }
            Expectation::Image { pattern, reference } => scene.all_like(pattern, |container| {
                // What is pulled by its digest has no tag in the engine.
                let reference = scene.names.image(reference);
                let known = scene.world.image(&reference).or_else(|| scene.world.registry.images.get(&reference));
                let wanted = known.map(|image| &image.id);
                is(wanted == Some(&container.image), format!("{} runs {}", container.name, container.reference))
            }),
            Expectation::Env { pattern, name, value } => scene.all_like(pattern, |container| {
                let found = container.env.get(name);
                is(found == Some(value), format!("{} has {found:?}", container.name))
            }),
            Expectation::Setting { pattern, what, value } => scene.all_like(pattern, |container| {
                let found = setting(container, what);
                is(found == *value, format!("{} has {found}", container.name))
            }),
            Expectation::Runs { count, key } => {
                let prefix = format!("{}.{}.", key.namespace, key.name);
                let runs: u32 = scene.world.starts.iter().filter(|(n, _)| n.starts_with(&prefix)).map(|(_, n)| n).sum();
                is(runs == *count, format!("there were {runs}"))
            }
            Expectation::GateLogs { count, key } => {
                let Some(Detail::Deployment { revisions, .. }) =
                    scene.view.objects.get(key).map(|object| &object.detail)
                else {
                    return is(false, format!("{key} is not known"));
                };
                let newest = revisions.iter().rfind(|revision| !revision.gates.is_empty());
                let gates = newest.into_iter().flat_map(|revision| &revision.gates);
                let logs = gates.flat_map(|gate| gate.earlier.iter().map(|a| &a.last_log).chain([&gate.last_log]));
                let found = logs.filter(|log| !log.is_empty()).count();
                is(found == *count, format!("there are {found}"))
            }
            Expectation::Failing { count } => {
                let all: Vec<&String> = scene.view.failures.iter().map(|failure| &failure.target).collect();
                is(all.len() == *count, format!("there are {all:?}"))
            }
            Expectation::Contents { count } => {
                let kept = std::fs::read_dir(scene.state.join("contents")).map_or(0, Iterator::count);
                is(kept == *count, format!("there are {kept}"))
            }
            Expectation::Volume { name, there } => is(
                scene.world.volumes.contains_key(name) == *there,
                format!("there are {:?}", scene.world.volumes.keys()),
            ),
            Expectation::Network { name, there } => {
                let all: Vec<_> = scene.world.networks.values().map(|network| &network.name).collect();
                is(scene.world.network(name).is_some() == *there, format!("there are {all:?}"))
            }
            Expectation::Source { phase } => {
                let states: Vec<_> = scene.view.sources.iter().map(|s| (s.state, s.message.clone())).collect();
                is(scene.view.sources.iter().any(|source| source.state == *phase), format!("they are {states:?}"))
            }
            Expectation::Problem { text } => {
                let problems = scene.view.sources.iter().flat_map(|source| &source.problems);
                let problems: Vec<String> = problems.map(|problem| problem.rendered.clone()).collect();
                let messages = scene.view.sources.iter().map(|source| source.message.clone());
                let all: Vec<String> = problems.into_iter().chain(messages).collect();
                is(all.iter().any(|problem| problem.contains(text)), format!("there are {all:?}"))
            }
            Expectation::Held { namespace, held } => {
                let there = scene.view.held.iter().any(|prune| prune.namespace == *namespace);
                is(there == *held, format!("held are {:?}", scene.view.held))
            }
            Expectation::Warning { text } => {
                let all = &scene.view.warnings;
                is(all.iter().any(|warning| warning.message.contains(text)), format!("there are {all:?}"))
            }
        }
    }
}

fn setting(container: &Container, what: &str) -> String {
    let limits = &container.adjustable.limits;
    match what {
        "memory" => limits.memory.map_or("none".into(), |memory| memory.to_string()),
        "cpu" => limits.cpu.map_or("none".into(), |cpu| cpu.to_string()),
        _ => format!("{:?}", container.adjustable.restart_policy),
    }
}

impl<'a> Scene<'a> {
    /// Our containers of an object.
    fn of(&self, key: &'a Key) -> impl Iterator<Item = &'a Container> {
        let (world, instance) = (self.world, self.instance.clone());
        world.containers.values().filter(move |c| owner(world, &c.id, &instance).as_ref() == Some(key))
    }

    /// Containers whose name, as the transcript shows it, fits; those that are being removed count no more.
    pub fn like(&self, pattern: &str) -> Vec<&'a Container> {
        let all = self.world.containers.values().filter(|c| c.is_there());
        all.filter(|c| matches_pattern(pattern, &self.names.show(&c.name))).collect()
    }

    fn all_like(&self, pattern: &str, check: impl Fn(&Container) -> Result<(), String>) -> Result<(), String> {
        let fitting = self.like(pattern);
        if fitting.is_empty() {
            return Err(format!("no container is like {pattern}"));
        }
        fitting.into_iter().try_for_each(check)
    }
}
