//! Which object a person means by `deployment/web`, `deploy web` or `web -n shop`. It only looks at what there is.

use super::failure::Failure;
use crate::manifest;
use crate::model::name::{Key, Kind, Name};
use crate::model::view::{ObjectView, View};

/// An object as a person names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its kind, if named.
    pub kind: Option<Kind>,
    /// Its namespace, if named.
    pub namespace: Option<Name>,
    /// Its name.
    pub name: Name,
}

impl Wanted {
    /// Understands `KIND/NAME`, `KIND/NAMESPACE/NAME`, `KIND NAME` and `NAME`.
    pub fn parse(words: &[String], namespace: Option<&Name>) -> Result<Self, Failure> {
        let parts: Vec<&str> = words.iter().flat_map(|word| word.split('/')).collect();
        let (kind, own_namespace, name) = match parts[..] {
            [name] => (None, None, name),
            [kind, name] => (Some(parse_kind(kind)?), None, name),
            [kind, namespace, name] => (Some(parse_kind(kind)?), Some(parse_name(namespace)?), name),
            _ => return Err(Failure::new(format!("'{}' is not an object", words.join(" "))).hint("write KIND/NAME")),
        };
        Ok(Self { kind, namespace: own_namespace.or(namespace.cloned()), name: parse_name(name)? })
    }

    /// Understands what names one object or several: `KIND/NAME …`, `KIND NAME …` or `NAME`.
    pub fn parse_all(words: &[String], namespace: Option<&Name>) -> Result<Vec<Self>, Failure> {
        let whole = words.iter().filter(|word| word.contains('/')).count();
        match words {
            [kind, names @ ..] if whole == 0 && !names.is_empty() => {
                names.iter().map(|name| Self::parse(&[kind.clone(), name.clone()], namespace)).collect()
            }
            _ if whole > 0 && whole < words.len() => {
                let message = format!("'{}' names some with their kind and some without", words.join(" "));
                Err(Failure::new(message).hint("write KIND/NAME for each, or KIND NAME NAME"))
            }
            _ => words.iter().map(|word| Self::parse(std::slice::from_ref(word), namespace)).collect(),
        }
    }

    /// The object, if exactly one fits. Without a kind, `kinds` are tried in their order.
    pub fn find<'a>(&self, view: &'a View, kinds: &[Kind]) -> Result<(&'a Key, &'a ObjectView), Failure> {
        let key = self.among(view.objects.keys(), kinds)?;
        Ok(view.objects.get_key_value(key).expect("it is one of them"))
    }

    /// The one of `known` that is meant, if exactly one fits. Without a kind, `kinds` are tried in their order.
    pub fn among<'a>(&self, known: impl Iterator<Item = &'a Key>, kinds: &[Kind]) -> Result<&'a Key, Failure> {
        let kinds = match self.kind {
            Some(kind) if !kinds.contains(&kind) => return Err(wrong_kind(kind, kinds)),
            Some(kind) => vec![kind],
            None => kinds.to_vec(),
        };
        let known: Vec<&Key> = known.filter(|key| kinds.contains(&key.kind)).collect();
        let of_kind = |kind: Kind| -> Vec<&Key> { known.iter().copied().filter(|key| self.fits(key, kind)).collect() };
        let found = kinds.iter().map(|kind| of_kind(*kind)).find(|found| !found.is_empty()).unwrap_or_default();
        match found[..] {
            [] => Err(self.missing(&known)),
            [one] => Ok(one),
            _ => Err(self.ambiguous(found.into_iter())),
        }
    }

    /// Whether the key fits, whether or not the object still exists.
    pub fn is(&self, key: &Key) -> bool {
        self.fits(key, self.kind.unwrap_or(key.kind))
    }

    fn fits(&self, key: &Key, kind: Kind) -> bool {
        key.kind == kind && key.name == self.name && self.namespace.as_ref().is_none_or(|name| *name == key.namespace)
    }

    fn missing(&self, known: &[&Key]) -> Failure {
        let what = match self.kind {
            Some(kind) => format!("{kind} '{}'", self.name),
            None => format!("'{}'", self.name),
        };
        let place = self.namespace.as_ref().map(|name| format!(" in namespace {name}")).unwrap_or_default();
        let here = known.iter().filter(|key| self.namespace.as_ref().is_none_or(|name| *name == key.namespace));
        let here: Vec<&Key> = here.copied().collect();
        let near = manifest::nearest(self.name.as_str(), here.iter().map(|key| key.name.as_str()));
        let near = here.iter().find(|key| Some(key.name.as_str()) == near);
        let elsewhere = known.iter().find(|key| key.name == self.name);
        let hint = match (near, elsewhere, &here[..]) {
            (_, Some(key), _) => format!("namespace {} has {key}", key.namespace),
            (Some(key), ..) => format!("did you mean {key}?"),
            (None, None, []) => "there is none of that kind; `evenkeel get sources` shows what is watched".into(),
            (None, None, some) => format!("there are: {}", listed(some)),
        };
        Failure::new(format!("there is no {what}{place}")).hint(hint)
    }

    fn ambiguous<'a>(&self, keys: impl Iterator<Item = &'a Key>) -> Failure {
        let namespaces: Vec<String> = keys.map(|key| key.namespace.to_string()).collect();
        Failure::new(format!("'{}' exists in several namespaces: {}", self.name, namespaces.join(", ")))
            .hint(format!("say which one: -n {}", namespaces.first().map_or("NAMESPACE", String::as_str)))
    }
}

/// A few of many objects.
fn listed(keys: &[&Key]) -> String {
    const LISTED: usize = 10;
    let mut names: Vec<String> = keys.iter().take(LISTED).map(ToString::to_string).collect();
    names.extend((keys.len() > LISTED).then(|| format!("… ({} in all)", keys.len())));
    names.join(", ")
}

/// A kind by any of the words that kubectl users type.
pub fn parse_kind(word: &str) -> Result<Kind, Failure> {
    parse_kind_or(word, &[])
}

/// The same where a command also knows `others`: the hint of a slip names them too.
pub fn parse_kind_or(word: &str, others: &[&str]) -> Result<Kind, Failure> {
    Kind::from_word(word).ok_or_else(|| {
        let known: Vec<&str> = others.iter().copied().chain(Kind::ALL.map(Kind::word)).collect();
        let hint = match manifest::nearest(word, known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("the kinds are {}", known.join(", ")),
        };
        Failure::new(format!("unknown kind '{word}'")).hint(hint)
    })
}

fn parse_name(text: &str) -> Result<Name, Failure> {
    Name::new(text).map_err(|reason| Failure::new(format!("'{text}' is not a name: {reason}")))
}

fn wrong_kind(kind: Kind, kinds: &[Kind]) -> Failure {
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
    Failure::new(format!("this command does not work on a {kind}")).hint(format!("it works on {}", kinds.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Wanted, Failure> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        Wanted::parse(&words, Some(&Name::new("shop").unwrap()))
    }

    #[test]
    fn an_object_is_named_as_in_kubectl() {
        let web = parse(&["deployment/web"]).unwrap();
        assert_eq!((web.kind, web.name.as_str()), (Some(Kind::Deployment), "web"));
        assert_eq!(web.namespace, Some(Name::new("shop").unwrap()));
        assert_eq!(parse(&["deploy", "web"]).unwrap(), web);
        assert_eq!(parse(&["web"]).unwrap().kind, None);
        assert_eq!(parse(&["job/other/web"]).unwrap().namespace, Some(Name::new("other").unwrap()));
        assert!(parse(&["pod/web"]).unwrap_err().hint.contains("deployment"));
        assert_eq!(parse(&["deploymant/web"]).unwrap_err().hint, "did you mean deployment?");
        assert!(parse(&["a/b/c/d"]).is_err());
    }

    #[test]
    fn several_are_named_as_in_kubectl() {
        let parse = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            let all = Wanted::parse_all(&words, None).map_err(|failure| failure.message)?;
            Ok(all.into_iter().map(|one| (one.kind, one.name.to_string())).collect::<Vec<_>>())
        };
        let (deployment, job) = (Some(Kind::Deployment), Some(Kind::Job));
        assert_eq!(parse(&["deploy/web", "job/seed"]), Ok(vec![(deployment, "web".into()), (job, "seed".into())]));
        assert_eq!(parse(&["deploy", "web", "api"]), Ok(vec![(deployment, "web".into()), (deployment, "api".into())]));
        assert_eq!(parse(&["web"]), Ok(vec![(None, "web".into())]));
        let mixed: Result<_, String> = parse(&["deploy/web", "api"]);
        assert_eq!(mixed, Err("'deploy/web api' names some with their kind and some without".into()));
    }
}
