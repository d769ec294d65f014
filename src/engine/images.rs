//! What the engine has under an image's reference. Pulling is next door.

use std::collections::BTreeSet;

use bollard::models::{ImageConfig, ImageInspect, ImageSummary};
use bollard::query_parameters::ListImagesOptionsBuilder;

use super::EngineError;
use super::client::{CALL, Client};
use crate::model::container::label;
use crate::model::name::Instance;
use crate::model::observed::{Image, ImageState};
use crate::model::platform::Platform;
use crate::model::revision::ImageId;

pub(super) async fn image(client: &Client, instance: &Instance, reference: &str) -> Result<ImageState, EngineError> {
    let found = inspect(client, reference).await?.and_then(|found| present(instance, found));
    Ok(found.map_or(ImageState::Missing, ImageState::Present))
}

/// The ids of all images, those between the steps of a build included.
pub(super) async fn ids(client: &Client) -> Result<BTreeSet<ImageId>, EngineError> {
    Ok(all(client).await?.into_iter().map(|found| ImageId(found.id)).collect())
}

/// All images, those between the steps of a build included.
pub(super) async fn all(client: &Client) -> Result<Vec<ImageSummary>, EngineError> {
    let options = ListImagesOptionsBuilder::default().all(true).build();
    let found = client.call(CALL, |api| async move { api.list_images(Some(options)).await }).await;
    found.map_err(|failed| failed.attempting("list images"))
}

/// None when there is no such image.
pub(super) async fn inspect(client: &Client, reference: &str) -> Result<Option<ImageInspect>, EngineError> {
    let wanted = reference.to_owned();
    match client.call(CALL, |api| async move { api.inspect_image(&wanted).await }).await {
        Err(failed) if failed.is(404) => Ok(None),
        Err(failed) => Err(failed.attempting(format!("look up image {reference}"))),
        Ok(found) => Ok(Some(found)),
    }
}

/// Whether an image's labels say that this instance has built it.
pub(super) fn is_built_by(instance: &Instance, config: Option<&ImageConfig>) -> bool {
    let labels = config.and_then(|config| config.labels.as_ref());
    labels.is_some_and(|labels| {
        labels.contains_key(label::BUILD) && labels.get(label::INSTANCE).is_some_and(|of| of == instance.as_str())
    })
}

fn present(instance: &Instance, found: ImageInspect) -> Option<Image> {
    let is_ours = is_built_by(instance, found.config.as_ref());
    let platform = platform(&found);
    let config = found.config.unwrap_or_default();
    let check = config.healthcheck.and_then(|check| check.test).unwrap_or_default();
    Some(Image {
        id: ImageId(found.id?),
        tags: found.repo_tags.unwrap_or_default(),
        digests: found.repo_digests.unwrap_or_default(),
        has_health_check: check.first().is_some_and(|word| !word.is_empty() && word != "NONE"),
        volumes: config.volumes.unwrap_or_default().into_iter().collect(),
        platform,
        is_ours,
    })
}

/// What its programs are made for.
pub(super) fn platform(found: &ImageInspect) -> Platform {
    let [os, architecture, variant] =
        [&found.os, &found.architecture, &found.variant].map(|part| part.clone().unwrap_or_default());
    Platform { os, architecture, variant }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_images_volumes_and_health_check_are_known() {
        let found = serde_json::json!({
            "Id": "sha256:aa", "RepoDigests": ["r/web@sha256:bb"],
            "Config": {"Volumes": {"/data": {}}, "Healthcheck": {"Test": ["CMD", "/check"]}},
        });
        let image = present(&Instance::new("evenkeel").unwrap(), serde_json::from_value(found).unwrap()).unwrap();
        assert!(image.has_health_check && image.volumes.contains("/data"));
        assert_eq!(image.digests, ["r/web@sha256:bb"]);
    }

    #[test]
    fn a_health_check_of_none_is_none() {
        let found = serde_json::json!({"Id": "sha256:aa", "Config": {"Healthcheck": {"Test": ["NONE"]}}});
        assert!(
            !present(&Instance::new("evenkeel").unwrap(), serde_json::from_value(found).unwrap())
                .unwrap()
                .has_health_check
        );
    }
}
