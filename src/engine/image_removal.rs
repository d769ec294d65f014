//! Removing an image that was brought here: name by name, after a fresh look at it, and never by force.

use std::collections::BTreeSet;

use bollard::query_parameters::RemoveImageOptionsBuilder;

use super::EngineError;
use super::client::{CALL, Client};
use super::images;
use super::reference::{DOCKER_HUB, Reference};
use crate::model::observed::Fault;
use crate::model::revision::ImageId;

/// Removes the names that an image was brought as, and with the last of them the image. Returns its size.
pub(super) async fn remove(client: &Client, id: &ImageId, references: &BTreeSet<String>) -> Result<u64, EngineError> {
    let Some(found) = images::inspect(client, &id.0).await? else { return Ok(0) };
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

/// Takes one name away; one that is gone is a success.
async fn forget(client: &Client, name: &str) -> Result<(), EngineError> {
    let (wanted, options) = (name.to_owned(), RemoveImageOptionsBuilder::default().force(false).build());
    match client.call(CALL, |api| async move { api.remove_image(&wanted, Some(options), None).await }).await {
        Err(failed) if failed.is(404) => Ok(()),
        Err(failed) => Err(failed.attempting(format!("remove image {name}"))),
        Ok(_) => Ok(()),
    }
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
