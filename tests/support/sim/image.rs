//! Images of the simulated engine, and the registry that it pulls from.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel::model::observed::Fault;
use evenkeel::model::registry::{Answer, Tagged};
use evenkeel::model::revision::ImageId;
use evenkeel::model::secret::SecretBytes;
use evenkeel::model::tags::Selection;
use sha2::{Digest, Sha256};

use super::app::{App, Millis};
use super::calls::matches_pattern;
use super::world::{Refusal, World, refuse};

/// An image in the engine's store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub id: ImageId,
    /// `repository@sha256:…`; empty for one that never saw a registry.
    pub digests: Vec<String>,
    pub app: App,
    /// Whether it was built here by Evenkeel, or left on the way to such an image.
    pub is_built: bool,
    /// The step before, of one that was built.
    pub parent: Option<ImageId>,
}

/// What a registry says, by what it was asked for.
pub type Answers = BTreeMap<Selection, Answer>;

/// What the registry has, and how it is today.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    /// Tags, and digests, to images.
    pub images: BTreeMap<String, Image>,
    pub mood: Mood,
    /// How often it was asked for a manifest.
    pub asked: u64,
    /// The password that it wants, if any.
    pub password: Option<String>,
    /// How long it wants to be left alone when it has had too many requests.
    pub retry_after: Option<Millis>,
}

/// How the registry is today.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mood {
    #[default]
    Fine,
    Down,
    /// Wants other credentials (401).
    Unauthorized,
    /// Too many requests (429).
    RateLimited,
    /// Every pull takes this long.
    Slow(Millis),
}

impl World {
    /// Puts an image into the registry; a tag that was there moves.
    pub fn push(&mut self, reference: &str, app: App) {
        let image = image(reference, app, true);
        let digest = image.digests[0].clone();
        self.registry.images.insert(with_tag(reference), image.clone());
        self.registry.images.insert(digest, image);
    }

    /// Puts an image into the engine's own store, as a build does; a tag that was there moves.
    pub fn build(&mut self, reference: &str, app: App) {
        let image = image(reference, app, false);
        self.tags.insert(with_tag(reference), image.id.clone());
        self.images.insert(image.id.clone(), image);
        self.tell("image tag", None);
    }

    /// Gives an image of the engine's own store another name, as a person does.
    pub fn tag_image(&mut self, reference: &str, name: &str) -> Result<(), String> {
        let id = self.image(reference).map(|image| image.id.clone()).ok_or(format!("no such image: {reference}"))?;
        self.tags.insert(with_tag(name), id);
        self.tell("image tag", None);
        Ok(())
    }

    /// Removes an image from the engine's own store, with its tags.
    pub fn remove_image(&mut self, reference: &str) -> Result<(), String> {
        let by_pattern = || {
            let mut images = self.images.values();
            images.find(|image| image.digests.iter().any(|digest| matches_pattern(reference, digest)))
        };
        let found = self.image(reference).or_else(by_pattern);
        let id = found.map(|image| image.id.clone()).ok_or(format!("no such image: {reference}"))?;
        self.tags.retain(|_, tagged| *tagged != id);
        self.images.remove(&id);
        self.tell("image untag", None);
        Ok(())
    }

    /// What the engine has under a reference, digest or id.
    pub fn image(&self, name: &str) -> Option<&Image> {
        let by_id = self.images.get(&ImageId(name.to_string()));
        let by_tag = self.tags.get(&with_tag(name)).and_then(|id| self.images.get(id));
        by_id.or(by_tag).or_else(|| self.images.values().find(|image| image.digests.contains(&with_tag(name))))
    }

    /// How many images without a name builds have left.
    pub fn nameless_images(&self) -> usize {
        let is_named = |image: &&Image| self.tags.values().any(|tagged| *tagged == image.id);
        self.images.values().filter(|image| image.is_built && !is_named(image)).count()
    }

    /// How long pulling takes now: the image's own time, or the registry's when it is slow.
    pub fn pull_time(&self, reference: &str) -> Millis {
        let known = self.registry.images.get(&with_tag(reference));
        match self.registry.mood {
            Mood::Slow(time) => time,
            Mood::Fine if known.is_some_and(|image| self.image(&with_tag(reference)) == Some(image)) => 14,
            Mood::Fine => known.map_or(20, |image| image.app.pull),
            Mood::Down | Mood::Unauthorized | Mood::RateLimited => 20,
        }
    }

    /// Takes a tag out of the registry. What it led to can still be had by its digest.
    pub fn forget(&mut self, reference: &str) -> Result<(), String> {
        let known = self.registry.images.remove(&with_tag(reference));
        known.map(drop).ok_or_else(|| format!("the registry has no {reference}"))
    }

    /// What the registry says of some tags of a repository to who comes with these passwords.
    pub fn ask(
        &self,
        repository: &str,
        selections: &BTreeSet<Selection>,
        passwords: &[SecretBytes],
    ) -> Result<Answers, Refusal> {
        self.open(passwords)?;
        let prefix = format!("{repository}:");
        let tags: Vec<String> =
            self.registry.images.keys().filter_map(|key| key.strip_prefix(&prefix)).map(String::from).collect();
        let answer = |selection: &Selection| match selection.newest(&tags) {
            Some(tag) => {
                let digest = self.registry.images[&format!("{prefix}{tag}")].digests[0].clone();
                let digest = digest.split_once('@').map_or(String::new(), |(_, digest)| digest.to_string());
                Answer::Found(Tagged { tag: tag.into(), digest })
            }
            None => Answer::None { among: (!matches!(selection, Selection::Tag(_))).then_some(tags.len()) },
        };
        Ok(selections.iter().map(|selection| (selection.clone(), answer(selection))).collect())
    }

    /// Whether the registry answers who comes with these passwords.
    fn open(&self, passwords: &[SecretBytes]) -> Result<(), Refusal> {
        let offered = |wanted: &String| passwords.iter().any(|password| password.expose() == wanted.as_bytes());
        let is_shut = self.registry.password.as_ref().is_some_and(|wanted| !offered(wanted));
        match self.registry.mood {
            Mood::Down => refuse(500, Fault::Unavailable, "dial tcp 10.0.0.9:443: connect: connection refused"),
            Mood::Unauthorized => refuse(500, Fault::Unauthorized, "unauthorized: authentication required"),
            Mood::RateLimited => {
                refuse(500, Fault::RateLimited, "toomanyrequests: You have reached your pull rate limit")
            }
            Mood::Fine | Mood::Slow(_) if is_shut => {
                refuse(500, Fault::Unauthorized, "unauthorized: authentication required")
            }
            Mood::Fine | Mood::Slow(_) => Ok(()),
        }
    }

    /// Pulls an image; a tag that has moved is followed.
    pub fn pull(
        &mut self,
        reference: &str,
        platform: Option<&str>,
        passwords: &[SecretBytes],
    ) -> Result<Option<ImageId>, Refusal> {
        self.registry.asked += 1;
        let reference = with_tag(reference);
        self.open(passwords)?;
        let Some(image) = self.registry.images.get(&reference).cloned() else {
            let words = format!("manifest for {reference} not found: manifest unknown");
            return refuse(404, Fault::ImageMissing, words);
        };
        if !reference.contains('@') {
            self.tags.insert(reference, image.id.clone());
        }
        let (id, found) = (image.id.clone(), image.app.platform().to_owned());
        let known = self.images.get_mut(&id);
        let is_new = known.is_none();
        match known {
            Some(known) => {
                let digests = image.digests.into_iter().filter(|digest| !known.digests.contains(digest));
                known.digests.extend(digests.collect::<Vec<_>>());
            }
            None => drop(self.images.insert(id.clone(), image)),
        }
        self.tell("image pull", None);
        // It is here all the same.
        if let Some(wanted) = platform.filter(|wanted| *wanted != found) {
            return refuse(200, Fault::Invalid, unfit(wanted, &found));
        }
        Ok(is_new.then_some(id))
    }

    /// Removes an image that was brought as these references, unless something else needs it, and then the steps to it that
    /// nothing needs any more.
    pub fn remove_brought(
        &mut self,
        id: &ImageId,
        references: &BTreeSet<String>,
        steps: &BTreeSet<ImageId>,
    ) -> Result<(), Refusal> {
        if self.images.contains_key(id) {
            self.remove_named(id, references)?;
        }
        let needed: BTreeSet<ImageId> = self.images.values().filter_map(|image| image.parent.clone()).collect();
        let is_named = |id: &ImageId| self.tags.values().any(|tagged| tagged == id);
        let free: Vec<&ImageId> = steps.iter().filter(|step| !needed.contains(step) && !is_named(step)).collect();
        free.into_iter().for_each(|step| drop(self.images.remove(step)));
        Ok(())
    }

    /// As Evenkeel's door does it: name by name, if all of them are covered by what it was brought as.
    fn remove_named(&mut self, id: &ImageId, references: &BTreeSet<String>) -> Result<(), Refusal> {
        let ours: BTreeSet<String> = references.iter().map(|reference| with_tag(reference)).collect();
        let covers = |name: &String| match name.contains('@') {
            true => ours.iter().any(|ours| repository(ours) == repository(name)),
            false => ours.contains(name),
        };
        let names = self.names_of(id);
        if let Some(other) = names.iter().find(|name| !covers(name)) {
            return refuse(409, Fault::Conflict, format!("it is also {other}, which is not Evenkeel's"));
        }
        if self.images.values().any(|image| image.parent.as_ref() == Some(id)) {
            return refuse(409, Fault::Conflict, "another image was built on it");
        }
        let nameless = [id.0.clone()];
        for name in if names.is_empty() { &nameless[..] } else { &names } {
            self.delete_image(name).or_else(|no| if no.status == 404 { Ok(()) } else { Err(no) })?;
        }
        Ok(())
    }

    /// Tags, then digests.
    fn names_of(&self, id: &ImageId) -> Vec<String> {
        let tags = self.tags.iter().filter(|(_, tagged)| *tagged == id).map(|(tag, _)| tag.clone());
        tags.chain(self.images.get(id).into_iter().flat_map(|image| image.digests.clone())).collect()
    }

    /// Takes a name of an image away and with the last one the image; by its id, all names, if they are of one repository. With
    /// the last tag of a repository its digests go too. Never by force: what a container uses keeps its last name.
    pub fn delete_image(&mut self, name: &str) -> Result<(), Refusal> {
        let Some(id) = self.image(name).map(|image| image.id.clone()) else {
            return refuse(404, Fault::ImageMissing, format!("No such image: {name}"));
        };
        let names = self.names_of(&id);
        let user = self.containers.values().find(|container| container.image == id);
        if let Some(user) = user.filter(|_| are_single(&names)) {
            let words = format!("conflict: unable to delete image, it is being used by container {}", user.name);
            return refuse(409, Fault::Conflict, words);
        }
        let gone: Vec<String> = if name == id.0 {
            if !are_single(&names) {
                let words =
                    "conflict: unable to delete (must be forced) - image is referenced in multiple repositories";
                return refuse(409, Fault::Conflict, words);
            }
            names.clone()
        } else {
            let name = with_tag(name);
            let is_last = !name.contains('@')
                && !names.iter().any(|n| *n != name && !n.contains('@') && repository(n) == repository(&name));
            let with_it = |n: &&String| is_last && n.contains('@') && repository(n) == repository(&name);
            names.iter().filter(with_it).cloned().chain([name.clone()]).collect()
        };
        gone.iter().for_each(|name| drop(self.tags.remove(name)));
        if let Some(image) = self.images.get_mut(&id) {
            image.digests.retain(|digest| !gone.contains(digest));
        }
        if self.names_of(&id).is_empty() {
            self.images.remove(&id);
        }
        self.tell("image delete", None);
        Ok(())
    }
}

/// Whether an image has at most one tag, and digests of its repository alone.
fn are_single(names: &[String]) -> bool {
    let mut tags = names.iter().filter(|name| !name.contains('@'));
    let first = tags.next().or(names.first());
    let digests: BTreeSet<&str> = names.iter().filter(|name| name.contains('@')).map(|name| repository(name)).collect();
    let is_of_one = || digests.len() == 1 && first.is_some_and(|first| digests.contains(repository(first)));
    names.len() <= 1 || tags.next().is_none() && is_of_one()
}

/// What the engine says of an image of another platform than the one that is asked for.
pub(super) fn unfit(wanted: &str, found: &str) -> String {
    format!("the image was found but does not match the specified platform: wanted {wanted}, actual: {found}")
}

/// An image whose id and digest follow from its name and behaviour, so that two runs of a scenario have the same.
fn image(reference: &str, app: App, pushed: bool) -> Image {
    // One for the host's own platform is known by all else.
    let behaviour = format!("{app:?}").replace(", platform: None", "");
    let hash = |what: &str| {
        let digest = Sha256::digest(format!("{what} {reference} {behaviour}").as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let repository = repository(reference);
    let digests = if pushed { vec![format!("{repository}@sha256:{}", hash("manifest"))] } else { Vec::new() };
    let id = ImageId(format!("sha256:{}", hash("image")));
    Image { id, digests, app, is_built: false, parent: None }
}

/// `reference` with `:latest` if it has neither tag nor digest.
fn with_tag(reference: &str) -> String {
    if let Some((_, digest)) = reference.split_once('@') {
        // A tag beside a digest says nothing.
        return format!("{}@{digest}", repository(reference));
    }
    match repository(reference) != reference || reference.starts_with("sha256:") {
        true => reference.to_string(),
        false => format!("{reference}:latest"),
    }
}

/// The part before tag and digest; a registry's port is not a tag.
fn repository(reference: &str) -> &str {
    let name = reference.split('@').next().unwrap_or(reference);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}
