//! Volumes: listed and created. There is nothing here that removes or changes one.

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::ListVolumesOptions;

use super::EngineError;
use super::client::{CALL, Client};
use super::create::unordered;
use crate::model::action::VolumeCreate;
use crate::model::observed::Volume;

pub(super) async fn volumes(client: &Client) -> Result<Vec<Volume>, EngineError> {
    let found = client.call(CALL, |api| async move { api.list_volumes(None::<ListVolumesOptions>).await }).await;
    let found = found.map_err(|failed| failed.attempting("list volumes"))?;
    let volume = |found: bollard::models::Volume| Volume {
        name: found.name,
        labels: found.labels.into_iter().collect(),
        driver: found.driver,
        options: found.options.into_iter().collect(),
    };
    Ok(found.volumes.unwrap_or_default().into_iter().map(volume).collect())
}

/// The engine answers with the existing volume when there is one, whatever its options: the next look compares them.
pub(super) async fn create(client: &Client, wanted: &VolumeCreate) -> Result<(), EngineError> {
    let request = VolumeCreateRequest {
        name: Some(wanted.name.clone()),
        driver: Some(wanted.driver.clone()),
        driver_opts: Some(unordered(&wanted.options)),
        labels: Some(unordered(&wanted.labels)),
        ..VolumeCreateRequest::default()
    };
    let created = client.call(CALL, |api| async move { api.create_volume(request).await }).await;
    created.map(drop).map_err(|failed| failed.attempting(format!("create volume {}", wanted.name)))
}
