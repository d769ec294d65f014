//! What an environment must have: a variable that a program cannot start without is told before anything starts.

use std::collections::BTreeMap;

use super::{World, gates, template_at, wrong};
use crate::manifest::diagnostic::Problems;
use crate::manifest::dotenv::is_env_name;
use crate::manifest::objects::Object;
use crate::manifest::suggest;
use crate::model::name::{Key, Kind};
use crate::model::spec::{EnvValue, Template};

/// That every name in `requiredEnv` is set, and not to nothing. Values are never shown.
pub fn environment(world: &World<'_>, object: &Object, template: &Template, problems: &mut Problems) {
    if template.required_env.is_empty() {
        return;
    }
    // A Job that takes its environment from the Deployment that it is a gate of.
    let inherits = !template.names_an_image() && template.env.is_empty() && template.env_from.is_empty();
    let from = if inherits { ward(world, &object.key) } else { Some(template) };
    let Some(set) = from.and_then(|from| variables(world, &object.key, from)) else { return };
    let names = template.required_env.iter().enumerate();
    // What is no name, or is there twice, is told already.
    for (index, name) in names.filter(|(i, name)| is_env_name(name) && !template.required_env[..*i].contains(name)) {
        let at = template_at(object).field("requiredEnv").item(index);
        match set.get(name) {
            Some(true) => {}
            Some(false) => {
                wrong(problems, at, format!("the variable '{name}' is required, and is set to nothing"));
            }
            None => {
                let hint = match suggest::nearest(name, set.keys().map(String::as_str)) {
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
    let key = gates::wards(world, job).next()?;
    world.objects.list.get(key)?.spec.template()
}

/// The names that a container will have in its environment by its manifest, and whether they hold anything. None when a content
/// that it takes is missing, which is told already.
fn variables(world: &World<'_>, own: &Key, template: &Template) -> Option<BTreeMap<String, bool>> {
    let mut set = BTreeMap::new();
    for from in &template.env_from {
        for (kind, name) in [(Kind::Secret, &from.secret), (Kind::ConfigMap, &from.config_map)] {
            let Some(name) = name else { continue };
            let content = world.contents.get(&own.sibling(kind, name))?;
            let entries = content.entries.iter();
            set.extend(entries.map(|(key, value)| (format!("{}{key}", from.prefix), !value.expose().is_empty())));
        }
    }
    for (name, value) in &template.env {
        let holds = match value {
            EnvValue::Text(text) => !text.is_empty(),
            EnvValue::Secret(of) => holds(world, &own.sibling(Kind::Secret, &of.secret), &of.key)?,
            EnvValue::ConfigMap(of) => holds(world, &own.sibling(Kind::ConfigMap, &of.config_map), &of.key)?,
        };
        set.insert(name.clone(), holds);
    }
    Some(set)
}

fn holds(world: &World<'_>, content: &Key, key: &str) -> Option<bool> {
    Some(!world.contents.get(content)?.entries.get(key)?.expose().is_empty())
}
