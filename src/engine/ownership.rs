//! Ours or theirs: what a container's name and labels say together. It asks nobody and changes nothing.

use std::collections::BTreeMap;

use crate::model::container::label;
use crate::model::name::{Instance, Key, Kind, Name, Slot, container_name};
use crate::model::revision::{RevisionId, TemplateHash};

/// Tells ours from theirs for every implementation of the engine.
#[derive(Debug, Clone)]
pub struct Ownership {
    /// This instance.
    pub instance: Instance,
}

/// What a container of ours was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The workload that it belongs to.
    pub owner: Key,
    /// Its revision.
    pub revision: RevisionId,
    /// Its template's hash.
    pub template: TemplateHash,
    /// Its slot, or a job's attempt.
    pub slot: Slot,
}

/// Whose a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// This instance's: its labels say so, and its name is the one that they imply.
    Ours,
    /// It has the labels of a container of this workload and another name: somebody has taken it out of Evenkeel's hands, or
    /// copied it. It is left alone, and told of.
    Renamed(Key),
    /// Anybody's.
    Foreign,
}

impl Ownership {
    /// Whose the container called `name` with these labels is.
    pub fn whose<'a>(&self, name: &str, labels: impl Labels<'a>) -> Whose {
        match self.labelled(labels) {
            Some((_, implied)) if implied == name => Whose::Ours,
            Some((identity, _)) => Whose::Renamed(identity.owner),
            None => Whose::Foreign,
        }
    }

    /// What the container called `name` with these labels was made for; none when it is not ours.
    ///
    /// Labels alone prove nothing: an image can bring them along, and a person can copy them. So the name must be the
    /// one that they imply, which only one container on the engine can have.
    pub fn identity<'a>(&self, name: &str, labels: impl Labels<'a>) -> Option<Identity> {
        self.labelled(labels).and_then(|(identity, implied)| (implied == name).then_some(identity))
    }

    /// What labels of this instance say, and the name that they imply.
    fn labelled<'a>(&self, labels: impl Labels<'a>) -> Option<(Identity, String)> {
        let text = |key| labels.label(key);
        if text(label::INSTANCE)? != self.instance.as_str() {
            return None;
        }
        let kind = Kind::WORKLOADS.into_iter().find(|kind| text(label::KIND) == Some(kind.word()))?;
        let owner = Key::new(kind, Name::new(text(label::NAMESPACE)?).ok()?, Name::new(text(label::NAME)?).ok()?);
        let revision = text(label::REVISION)?;
        let slot: Slot = text(label::SLOT)?.parse().ok()?;
        let implied = container_name(&self.instance, &owner.namespace, &owner.name, revision, slot);
        let identity = Identity {
            owner,
            revision: RevisionId(revision.to_owned()),
            template: TemplateHash(text(label::TEMPLATE).unwrap_or_default().to_owned()),
            slot,
        };
        Some((identity, implied))
    }

    /// Whether a network or volume with these labels is ours and was made from the specification that `wanted` carries.
    pub fn same_spec<'a, 'b>(&self, labels: impl Labels<'a>, wanted: impl Labels<'b>) -> bool {
        labels.label(label::INSTANCE) == Some(self.instance.as_str())
            && labels.label(label::SPEC) == wanted.label(label::SPEC)
    }
}

/// Labels, in whichever map they come.
pub trait Labels<'a>: Copy {
    /// The label's value.
    fn label(self, key: &str) -> Option<&'a str>;
}

impl<'a> Labels<'a> for &'a BTreeMap<String, String> {
    fn label(self, key: &str) -> Option<&'a str> {
        self.get(key).map(String::as_str)
    }
}

#[allow(
    clippy::disallowed_types,
    reason = "the engine's client decodes into them; they are looked up in, never walked"
)]
impl<'a> Labels<'a> for &'a std::collections::HashMap<String, String> {
    fn label(self, key: &str) -> Option<&'a str> {
        self.get(key).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(instance: &str) -> BTreeMap<String, String> {
        let pairs = [
            (label::INSTANCE, instance),
            (label::KIND, "deployment"),
            (label::NAMESPACE, "shop"),
            (label::NAME, "web"),
            (label::REVISION, "3f9a2c71d0"),
            (label::TEMPLATE, "0011223344"),
            (label::SLOT, "2"),
        ];
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn ours() -> Ownership {
        Ownership { instance: Name::new("evenkeel").unwrap() }
    }

    #[test]
    fn a_container_is_ours_by_its_labels_and_the_name_that_they_imply() {
        let identity = ours().identity("shop.web.3f9a2c71d0.2", &labels("evenkeel")).unwrap();
        assert_eq!(identity.owner.to_string(), "deployment/shop/web");
        assert_eq!(identity.slot, 2);
        assert_eq!(ours().whose("shop.web.3f9a2c71d0.2", &labels("evenkeel")), Whose::Ours);
        // The engine's client has them in another map.
        let answer = bollard::models::Volume { labels: labels("evenkeel").into_iter().collect(), ..Default::default() };
        assert_eq!(ours().identity("shop.web.3f9a2c71d0.2", &answer.labels), Some(identity));
    }

    #[test]
    fn a_place_is_as_it_was_asked_for_when_it_is_ours_and_of_the_same_specification() {
        let place = |instance: &str, spec: &str| {
            BTreeMap::from(
                [(label::INSTANCE, instance), (label::SPEC, spec)].map(|(k, v)| (k.to_owned(), v.to_owned())),
            )
        };
        let wanted = place("evenkeel", "1");
        let same = |live: BTreeMap<String, String>| ours().same_spec(&live, &wanted);
        assert!(same(wanted.clone()));
        assert!(!same(place("evenkeel", "2")) && !same(place("other", "1")) && !same(BTreeMap::new()));
    }

    #[test]
    fn labels_that_an_image_brought_along_make_nothing_ours() {
        assert_eq!(ours().identity("somebody-elses", &labels("evenkeel")), None);
        let owner: Key = Key::try_from("deployment/shop/web".to_string()).unwrap();
        assert_eq!(ours().whose("somebody-elses", &labels("evenkeel")), Whose::Renamed(owner));
        assert_eq!(ours().whose("somebody-elses", &labels("other")), Whose::Foreign);
    }

    #[test]
    fn another_instance_is_not_ours() {
        assert_eq!(ours().identity("shop.web.3f9a2c71d0.2", &labels("other")), None);
        assert_eq!(ours().identity("other.shop.web.3f9a2c71d0.2", &labels("other")), None);
    }

    #[test]
    fn a_missing_label_makes_it_foreign_rather_than_a_crash() {
        for key in [label::KIND, label::NAMESPACE, label::NAME, label::REVISION, label::SLOT] {
            let mut labels = labels("evenkeel");
            labels.remove(key);
            assert_eq!(ours().identity("shop.web.3f9a2c71d0.2", &labels), None, "{key}");
        }
    }
}
