//! An image with a variable in it: which value of which Namespace has to change so that another image comes out.

use super::change::Change;
use super::{Opened, Read, problem};
use crate::manifest::diagnostic::Diagnostic;
use crate::manifest::documents::Document;
use crate::manifest::objects::Object;
use crate::manifest::substitute::{self, Use};
use crate::manifest::tree::Entry;
use crate::model::name::{Key, Kind};

/// The way out of everything here.
const LITERAL: &str = "--literal replaces the whole text with the image as given";

/// The change of the one variable in `entry` that makes `image` of it; none when no variable stands there.
pub fn change(
    opened: &Opened,
    read: &Read,
    object: &Object,
    entry: &Entry,
    image: &str,
) -> Result<Option<Change>, Box<Diagnostic>> {
    let text = entry.value.text().unwrap_or_default();
    let uses = substitute::uses(text);
    let raw = read.raw(object);
    let refuse = |message: String, hint: String| problem(raw, entry.value.pos, message, &hint);
    let one = match &uses[..] {
        [] => return Ok(None),
        [one] => one,
        several => {
            let names: Vec<&str> = several.iter().map(|one| one.name.as_str()).collect();
            let message = format!("the image has more than one variable ({}): which is meant?", names.join(", "));
            return Err(refuse(message, format!("edit their values in the Namespace; {LITERAL}")));
        }
    };
    let Some(value) = fitting(text, one, image) else {
        let message = format!("'{image}' does not fit the text around the variable '{}'", one.name);
        return Err(refuse(message, LITERAL.into()));
    };
    if opened.source.variables.contains_key(&one.name) {
        let message = format!(
            "the variable '{}' is set by the configuration of the source, which wins over its Namespace",
            one.name
        );
        return Err(refuse(message, format!("change it there; {LITERAL}")));
    }
    let (document, held) = match declared(read, object, &one.name) {
        Ok(found) => found,
        Err(why) => return Err(refuse(why, format!("set it in 'variables' of the Namespace; {LITERAL}"))),
    };
    if !substitute::uses(held.value.text().unwrap_or_default()).is_empty() {
        let message = format!("the value of '{}' has a variable itself", one.name);
        return Err(problem(document, held.value.pos, message, LITERAL));
    }
    let path = vec!["spec".into(), "variables".into(), one.name.clone()];
    Ok(Some(Change { document: document.clone(), path, value: value.into(), variable: Some(one.name.clone()) }))
}

/// What the variable has to be so that `image` comes out.
fn fitting<'i>(text: &str, one: &Use, image: &'i str) -> Option<&'i str> {
    let (before, after) = (&text[..one.range.start], &text[one.range.end..]);
    image.strip_prefix(before)?.strip_suffix(after)
}

/// Where the Namespace of `object` sets a variable, or why it does not.
fn declared<'r>(read: &'r Read, object: &Object, name: &str) -> Result<(&'r Document, &'r Entry), String> {
    let namespace = &object.key.namespace;
    let key = Key::new(Kind::Namespace, namespace.clone(), namespace.clone());
    let Some(declared) = read.object(&key) else {
        return Err(format!("the variable '{name}' is set by no Namespace '{namespace}' of this source"));
    };
    let document = read.raw(declared);
    let spec = document.root.field("spec");
    let entry = spec.and_then(|spec| spec.field("variables")).and_then(|variables| variables.entry(name));
    entry.map(|entry| (document, entry)).ok_or_else(|| {
        let place = document.at().spot().brief();
        match spec.is_some_and(|spec| spec.field("variablesFrom").is_some()) {
            true => format!(
                "the variable '{name}' is not in 'variables' of the Namespace in {place}; is it in one of its files?"
            ),
            false => format!("the variable '{name}' is not in 'variables' of the Namespace in {place}"),
        }
    })
}
