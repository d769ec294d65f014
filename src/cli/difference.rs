//! What differs between two revisions of a Deployment, for `rollout history --diff`. It compares and asks nobody; of
//! Secrets it knows no more than the ids of their contents.

use serde_json::{Value, json};

use super::output;
use super::screen::{Paint, Tone};
use crate::model::name::Key;
use crate::model::revision::Checkout;
use crate::model::text::printable;
use crate::model::view::RevisionParts;

/// Up to so many characters old and new stand on one line.
const LINE_MAX: usize = 100;

/// One field, item or content that is not the same; none where it is not there.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    path: String,
    from: Option<Value>,
    to: Option<Value>,
}

/// Everything that differs: the image first, then what surrounds it, the fields of the template by their paths in the
/// manifest, and contents.
pub fn between(from: &RevisionParts, to: &RevisionParts) -> Vec<Difference> {
    let (mut old, mut new) = (from.template.value(), to.template.value());
    let mut found = Vec::new();
    compare("spec.template.image", take(&mut old, "image"), take(&mut new, "image"), &mut found);
    compare("digest", Some(json!(from.digest)), Some(json!(to.digest)), &mut found);
    let commit = |commit: &Option<Checkout>| commit.as_ref().map(|commit| json!(commit.to_string()));
    compare("commit", commit(&from.commit), commit(&to.commit), &mut found);
    compare("restarts", Some(json!(from.restarts)), Some(json!(to.restarts)), &mut found);
    compare("spec.template", Some(old), Some(new), &mut found);
    let names = from.contents.keys().chain(to.contents.keys().filter(|name| !from.contents.contains_key(*name)));
    for name in names {
        let id = |parts: &RevisionParts| parts.contents.get(name).map(|id| json!(id));
        compare(name, id(from), id(to), &mut found);
    }
    found
}

fn take(template: &mut Value, field: &str) -> Option<Value> {
    template.as_object_mut().and_then(|fields| fields.remove(field))
}

/// Goes as deep as both sides have the same shape.
fn compare(path: &str, from: Option<Value>, to: Option<Value>, found: &mut Vec<Difference>) {
    match (from, to) {
        (from, to) if from == to => {}
        (Some(Value::Object(from)), Some(Value::Object(to))) => {
            let added = to.keys().filter(|name| !from.contains_key(*name));
            for name in from.keys().chain(added) {
                compare(&format!("{path}{}", field(name)), from.get(name).cloned(), to.get(name).cloned(), found);
            }
        }
        (Some(Value::Array(from)), Some(Value::Array(to))) => compare_items(path, &from, &to, found),
        (from, to) => found.push(Difference { path: path.into(), from, to }),
    }
}

/// Items at their places where there are as many of them; else those that one side has and the other has not.
fn compare_items(path: &str, from: &[Value], to: &[Value], found: &mut Vec<Difference>) {
    if from.len() == to.len() {
        for (index, (from, to)) in from.iter().zip(to).enumerate() {
            compare(&format!("{path}[{index}]"), Some(from.clone()), Some(to.clone()), found);
        }
        return;
    }
    for (index, item) in surplus(from, to) {
        found.push(Difference { path: format!("{path}[{index}]"), from: Some(item), to: None });
    }
    for (index, item) in surplus(to, from) {
        found.push(Difference { path: format!("{path}[{index}]"), from: None, to: Some(item) });
    }
}

/// The items of a list that the other one has not, or less often, with their places.
fn surplus(list: &[Value], other: &[Value]) -> Vec<(usize, Value)> {
    let mut left: Vec<&Value> = other.iter().collect();
    let mut extra = Vec::new();
    for (index, item) in list.iter().enumerate() {
        match left.iter().position(|known| *known == item) {
            Some(at) => drop(left.remove(at)),
            None => extra.push((index, item.clone())),
        }
    }
    extra
}

/// `.name`, or `["a.name"]` where a dot or the like would be taken for something else.
fn field(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match !name.is_empty() && name.chars().all(is_plain) {
        true => format!(".{name}"),
        false => format!("[{}]", json!(name)),
    }
}

/// For people: a line for each difference, or one for each side of it where they are long.
pub fn text(key: &Key, from: &RevisionParts, to: &RevisionParts, paint: Paint) -> String {
    let differences = between(from, to);
    if differences.is_empty() {
        return format!("Revisions {} and {} of {key} do not differ.\n", from.number, to.number);
    }
    let head = paint.paint(Tone::Strong, &format!("{key}: revision {} -> {}", from.number, to.number));
    let lines: String = differences.iter().map(|difference| line(difference, paint)).collect();
    format!("{head}\n{lines}")
}

fn line(difference: &Difference, paint: Paint) -> String {
    let Difference { path, from, to } = difference;
    let (path, from, to) = (printable(path), side(from.as_ref()), side(to.as_ref()));
    let short = format!("{path}: {from} -> {to}\n");
    if short.chars().count() <= LINE_MAX {
        return short;
    }
    let (from, to) = (paint.paint(Tone::Bad, &format!("- {from}")), paint.paint(Tone::Good, &format!("+ {to}")));
    format!("{path}:\n  {from}\n  {to}\n")
}

/// A text as it is, unless it could be taken for something else; anything else as JSON.
fn side(value: Option<&Value>) -> String {
    match value {
        None => "(none)".into(),
        Some(Value::String(text)) if is_plain(text) => text.clone(),
        Some(value) => printable(&value.to_string()),
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && printable(text) == text && !text.starts_with(['"', '{', '[', '('])
}

/// For machines: both revisions, and the differences with `from` and `to` where there is something.
pub fn value(key: &Key, from: &RevisionParts, to: &RevisionParts) -> Value {
    let differences = between(from, to).into_iter().map(|difference| {
        let mut value = json!({"path": difference.path});
        for (side, what) in [("from", difference.from), ("to", difference.to)] {
            if let Some(what) = what {
                value[side] = what;
            }
        }
        value
    });
    json!({
        "apiVersion": output::API_VERSION,
        "kind": "RevisionDifference",
        "object": key,
        "from": revision(from),
        "to": revision(to),
        "differences": differences.collect::<Vec<_>>(),
    })
}

fn revision(parts: &RevisionParts) -> Value {
    let mut value = json!({"number": parts.number, "id": parts.id, "createdAt": parts.created_at});
    output::times(&mut value);
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::revision::ContentId;
    use crate::model::time::Timestamp;
    use crate::model::view::Declaration;

    fn parts(number: u64, template: Value) -> RevisionParts {
        RevisionParts {
            number,
            id: format!("r{number}"),
            created_at: Timestamp(0),
            commit: None,
            digest: "sha256:1".into(),
            restarts: 0,
            template: Declaration::of(&template),
            taken_over: false,
            contents: [("secret/db".to_string(), ContentId("s-1".into()))].into(),
        }
    }

    fn said(from: &RevisionParts, to: &RevisionParts) -> String {
        let key = Key::try_from("deployment/shop/web".to_string()).unwrap();
        text(&key, from, to, Paint::OFF)
    }

    #[test]
    fn every_field_that_differs_is_told_by_its_path_with_old_and_new() {
        let from = parts(
            3,
            json!({
                "image": "web:3", "args": ["serve", "--port", "80"], "drain": "5s",
                "env": {"LEVEL": "info", "OLD": "", "URL": {"secret": "db", "key": "url"}},
                "labels": {"a.b/c": "1"}, "mounts": [{"path": "/a", "volume": "a"}, {"path": "/b", "volume": "b"}],
            }),
        );
        let to = RevisionParts {
            digest: "sha256:2".into(),
            restarts: 1,
            contents: [
                ("secret/db".to_string(), ContentId("s-2".into())),
                ("configmap/web".to_string(), ContentId("c-1".into())),
            ]
            .into(),
            ..parts(
                4,
                json!({
                    "image": "web:4", "args": ["serve", "--port", "81"], "drain": "5s", "user": "1000",
                    "env": {"LEVEL": "debug\nloud", "URL": "postgres://plain"},
                    "labels": {"a.b/c": "2"}, "mounts": [{"path": "/b", "volume": "b"}],
                }),
            )
        };
        insta::assert_snapshot!(said(&from, &to), @r#"
        deployment/shop/web: revision 3 -> 4
        spec.template.image: web:3 -> web:4
        digest: sha256:1 -> sha256:2
        restarts: 0 -> 1
        spec.template.args[2]: 80 -> 81
        spec.template.env.LEVEL: info -> "debug\nloud"
        spec.template.env.OLD: "" -> (none)
        spec.template.env.URL: {"key":"url","secret":"db"} -> postgres://plain
        spec.template.labels["a.b/c"]: 1 -> 2
        spec.template.mounts[0]: {"path":"/a","volume":"a"} -> (none)
        spec.template.user: (none) -> 1000
        secret/db: s-1 -> s-2
        configmap/web: (none) -> c-1
        "#);
        assert_eq!(said(&from, &from), "Revisions 3 and 3 of deployment/shop/web do not differ.\n");
    }

    #[test]
    fn an_item_that_was_put_between_others_is_the_only_difference() {
        let from = parts(1, json!({"args": ["a", "b", "b"]}));
        let to = parts(2, json!({"args": ["a", "x", "b", "b"]}));
        insta::assert_snapshot!(said(&from, &to), @r"
        deployment/shop/web: revision 1 -> 2
        spec.template.args[1]: (none) -> x
        ");
    }

    #[test]
    fn what_is_long_has_a_line_for_each_side() {
        let long = |c: &str| format!("registry.example/shop/web@sha256:{}", c.repeat(64));
        let from = RevisionParts { digest: long("a"), ..parts(1, json!({})) };
        let to = RevisionParts { digest: long("b"), ..parts(2, json!({})) };
        let expected = format!("deployment/shop/web: revision 1 -> 2\ndigest:\n  - {}\n  + {}\n", long("a"), long("b"));
        assert_eq!(said(&from, &to), expected);
    }
}
