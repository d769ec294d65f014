//! Removing an image that was brought here: name by name, after a fresh look at it, and never by force. What a build has left
//! on the way to it goes with it.

use std::collections::BTreeSet;

use bollard::models::{ImageInspect, ImageSummary};
use bollard::query_parameters::{RemoveImageOptions, RemoveImageOptionsBuilder};

use super::EngineError;
use super::client::{CALL, Client};
use super::images;
use super::reference::{DOCKER_HUB, Reference};
use super::steps::is_nameless;
use crate::model::build::is_built;
use crate::model::name::Instance;
use crate::model::observed::Fault;
use crate::model::revision::ImageId;

/// Removes the names that an image was brought as, with the last of them the image, and then the steps that are left of its
/// build. Returns its size.
pub(super) async fn remove(
    client: &Client,
    instance: &Instance,
    id: &ImageId,
    references: &BTreeSet<String>,
    steps: &BTreeSet<ImageId>,
) -> Result<u64, EngineError> {
    let size = match images::inspect(client, &id.0).await? {
        Some(found) => remove_found(client, instance, id, references, found).await?,
        None => 0,
    };
    remove_steps(client, steps).await?;
    Ok(size)
}

async fn remove_found(
    client: &Client,
    instance: &Instance,
    id: &ImageId,
    references: &BTreeSet<String>,
    found: ImageInspect,
) -> Result<u64, EngineError> {
    if references.iter().any(|reference| is_built(reference)) && !images::is_built_by(instance, found.config.as_ref()) {
        return Err(conflict(id, "it is named as one that was built here, and its labels do not say so".into()));
    }
    let names: Vec<String> =
        found.repo_tags.unwrap_or_default().into_iter().chain(found.repo_digests.unwrap_or_default()).collect();
    let is_ours = |name: &&String| references.iter().any(|reference| covers(reference, name));
    if let Some(other) = names.iter().find(|name| !is_ours(name)) {
        return Err(conflict(id, format!("it is also {other}, which is not Evenkeel's")));
    }
    let all = images::all(client).await?;
    if let Some(child) = all.iter().find(|image| image.parent_id == id.0) {
        let name = child.repo_tags.first().unwrap_or(&child.id);
        return Err(conflict(id, format!("{name} was built on it")));
    }
    // With the last tag of a repository its digests go too, and with the last name the image.
    let nameless = [id.0.clone()];
    for name in if names.is_empty() { &nameless[..] } else { &names } {
        forget(client, name).await?;
    }
    match images::inspect(client, &id.0).await? {
        None => Ok(u64::try_from(found.size.unwrap_or_default()).unwrap_or_default()),
        Some(_) => Err(conflict(id, "the engine keeps it, because something needs it".into())),
    }
}

/// Removes the images between the steps of a build that have no name, and that nothing else is built on: the last one first.
async fn remove_steps(client: &Client, steps: &BTreeSet<ImageId>) -> Result<(), EngineError> {
    if steps.is_empty() {
        return Ok(());
    }
    let mut all = images::all(client).await?;
    let is_free = |image: &ImageSummary, all: &[ImageSummary]| {
        let is_step = is_nameless(image) && steps.contains(&ImageId(image.id.clone()));
        is_step && !all.iter().any(|other| other.parent_id == image.id)
    };
    while let Some(at) = all.iter().position(|image| is_free(image, &all)) {
        let step = all.swap_remove(at);
        match forget(client, &step.id).await {
            // Somebody's container was made from it.
            Err(error) if error.fault == Fault::Conflict => {}
            other => other?,
        }
    }
    Ok(())
}

/// Takes one name away; one that is gone is a success.
async fn forget(client: &Client, name: &str) -> Result<(), EngineError> {
    let (wanted, options) = (name.to_owned(), options());
    match client.call(CALL, |api| async move { api.remove_image(&wanted, Some(options), None).await }).await {
        Err(failed) if failed.is(404) => Ok(()),
        Err(failed) => Err(failed.attempting(format!("remove image {name}"))),
        Ok(_) => Ok(()),
    }
}

/// What an image was built on is not ours only because that image is.
fn options() -> RemoveImageOptions {
    RemoveImageOptionsBuilder::default().force(false).noprune(true).build()
}

/// Whether what an image was brought as includes one of the names that the engine has for it: the tag, and whatever digest of
/// the same repository.
fn covers(reference: &str, name: &str) -> bool {
    let (Some(reference), Some(named)) = (Reference::parse(reference), Reference::parse(name)) else { return false };
    let is_digest = |version: &str| version.contains(':');
    let same = familiar(reference.repository) == familiar(named.repository);
    same && (is_digest(named.version) || reference.version == named.version)
}

/// A repository as the engine lists it.
fn familiar(repository: &str) -> &str {
    let hub = repository.strip_prefix(DOCKER_HUB).and_then(|rest| rest.strip_prefix('/'));
    hub.map_or(repository, |rest| rest.strip_prefix("library/").unwrap_or(rest))
}

fn conflict(id: &ImageId, message: String) -> EngineError {
    EngineError { attempted: format!("remove image {id}"), message, fault: Fault::Conflict }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_was_brought_as_is_its_own_tag_and_its_repositorys_digests() {
        for (reference, name, expected) in [
            ("r.example/web:1", "r.example/web:1", true),
            ("r.example/web:1", "r.example/web:latest", false),
            ("r.example/web:1", "r.example/web@sha256:aa", true),
            ("r.example/web@sha256:aa", "r.example/web@sha256:aa", true),
            ("r.example/web:1@sha256:aa", "r.example/web:1", false),
            ("r.example/web:1", "other/web:1", false),
            ("docker.io/library/web:1", "web:1", true),
            ("docker.io/shop/web:1", "shop/web:1", true),
            ("web", "web:latest", true),
        ] {
            assert_eq!(covers(reference, name), expected, "{reference} {name}");
        }
    }
}
