//! What an environment must have: a variable that a program cannot start without is told before anything starts.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use super::template::ENV_FROM_MAX;
use super::{World, template_at, wrong};
use crate::manifest::diagnostic::Problems;
use crate::manifest::dotenv::is_env_name;
use crate::manifest::objects::Object;
use crate::manifest::suggest;
use crate::model::name::{Key, Kind};
use crate::model::revision::Content;
use crate::model::spec::{EnvValue, Template};

/// That every name in `requiredEnv` is set, and not to nothing. Values are never shown.
pub fn environment<'w>(world: &World<'w>, object: &Object, template: &'w Template, problems: &mut Problems) {
    if template.required_env.is_empty() {
        return;
    }
    // A Job that takes its environment from the Deployment that it is a gate of.
    let inherits = !template.names_an_image() && template.env.is_empty() && template.env_from.is_empty();
    let from = if inherits { ward(world, &object.key) } else { Some(template) };
    let Some(set) = from.and_then(|from| Environment::of(world, &object.key, from)) else { return };
    let names = template.required_env.iter().enumerate();
    let mut seen = BTreeSet::new();
    // What is no name, or is there twice, is told already.
    for (index, name) in names.filter(|(_, name)| is_env_name(name) && seen.insert(*name)) {
        let at = template_at(object).field("requiredEnv").item(index);
        match set.holds(name) {
            Some(true) => {}
            Some(false) => {
                wrong(problems, at, format!("the variable '{name}' is required, and is set to nothing"));
            }
            None => {
                let near = problems.unless_full(|| set.nearest(name).map(str::to_owned));
                let hint = match near {
                    Some(near) => format!("'{near}' is set: is it that one?"),
                    None => "set it in 'env', or as a key of a Secret or ConfigMap that 'envFrom' names".into(),
                };
                wrong(problems, at, format!("the variable '{name}' is required, and is not set")).hint(hint);
            }
        }
    }
}

/// The template of the only Deployment that a Job is a gate of, if that has no mistake.
fn ward<'w>(world: &World<'w>, job: &Key) -> Option<&'w Template> {
    let key = world.wards.get(job)?.first()?;
    world.objects.list.get(*key)?.spec.template()
}

/// The variables that a container will have by its manifest.
struct Environment<'w> {
    env: BTreeMap<&'w str, bool>,
    /// The names of some of its variables, once one is not set.
    known: OnceCell<Vec<String>>,
    /// Contents whose keys become variables, each with what stands before its keys; a later one wins.
    from: Vec<(&'w str, &'w Content)>,
}

impl<'w> Environment<'w> {
    /// None when a content that it takes is missing, which is told already.
    fn of(world: &World<'w>, own: &Key, template: &'w Template) -> Option<Self> {
        let mut from = Vec::new();
        for taken in template.env_from.iter().take(ENV_FROM_MAX) {
            for (kind, name) in [(Kind::Secret, &taken.secret), (Kind::ConfigMap, &taken.config_map)] {
                let Some(name) = name else { continue };
                from.push((taken.prefix.as_str(), world.contents.get(&own.sibling(kind, name))?));
            }
        }
        let mut env = BTreeMap::new();
        for (name, value) in &template.env {
            let holds = match value {
                EnvValue::Text(text) => !text.is_empty(),
                EnvValue::Secret(of) => holds(world, &own.sibling(Kind::Secret, &of.secret), &of.key)?,
                EnvValue::ConfigMap(of) => holds(world, &own.sibling(Kind::ConfigMap, &of.config_map), &of.key)?,
            };
            env.insert(name.as_str(), holds);
        }
        Some(Self { env, from, known: OnceCell::new() })
    }

    /// Whether a variable holds anything, if it is set.
    fn holds(&self, name: &str) -> Option<bool> {
        let taken = || {
            let mut found = self.from.iter().rev().filter_map(|(prefix, content)| {
                let value = content.entries.get(name.strip_prefix(prefix)?)?;
                Some(!value.expose().is_empty())
            });
            found.next()
        };
        self.env.get(name).copied().or_else(taken)
    }

    /// The variable that is most likely meant by one that is not set.
    fn nearest(&self, name: &str) -> Option<&str> {
        let known = self.known.get_or_init(|| {
            let taken = self.from.iter().flat_map(|(prefix, content)| {
                content.entries.keys().take(suggest::KNOWN_MAX).map(move |key| format!("{prefix}{key}"))
            });
            self.env.keys().map(|name| (*name).to_owned()).chain(taken).take(suggest::KNOWN_MAX).collect()
        });
        suggest::nearest(name, known.iter().map(String::as_str))
    }
}

fn holds(world: &World<'_>, content: &Key, key: &str) -> Option<bool> {
    Some(!world.contents.get(content)?.entries.get(key)?.expose().is_empty())
}
