//! Volumes: listed and created. There is nothing here that removes or changes one.

use bollard::models;
use bollard::query_parameters::ListVolumesOptions;

use super::EngineError;
use super::client::{CALL, Client};
use super::create::unordered;
use crate::model::action::VolumeCreate;
use crate::model::observed::Volume;

pub(super) async fn volumes(client: &Client) -> Result<Vec<Volume>, EngineError> {
    let found = client.call(CALL, |api| async move { api.list_volumes(None::<ListVolumesOptions>).await }).await;
    let found = found.map_err(|failed| failed.attempting("list volumes"))?;
    Ok(found.volumes.unwrap_or_default().into_iter().map(volume).collect())
}

fn volume(found: models::Volume) -> Volume {
    Volume {
        name: found.name,
        labels: found.labels.into_iter().collect(),
        driver: found.driver,
        options: found.options.into_iter().collect(),
    }
}

/// The engine answers with the existing volume when there is one, whatever its options: the next look compares them.
pub(super) async fn create(client: &Client, wanted: &VolumeCreate) -> Result<(), EngineError> {
    let request = request(wanted);
    let created = client.call(CALL, |api| async move { api.create_volume(request).await }).await;
    created.map(drop).map_err(|failed| failed.attempting(format!("create volume {}", wanted.name)))
}

fn request(wanted: &VolumeCreate) -> models::VolumeCreateRequest {
    models::VolumeCreateRequest {
        name: Some(wanted.name.clone()),
        driver: Some(wanted.driver.clone()),
        driver_opts: Some(unordered(&wanted.options)),
        labels: Some(unordered(&wanted.labels)),
        ..models::VolumeCreateRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_volume_is_asked_for_as_it_is_declared_and_read_as_it_is() {
        let (labels, options) = (json!({"evenkeel.dev/name": "data"}), json!({"type": "tmpfs", "o": "size=64m"}));
        let wanted = VolumeCreate {
            name: "shop.data".into(),
            labels: serde_json::from_value(labels.clone()).unwrap(),
            driver: "local".into(),
            options: serde_json::from_value(options.clone()).unwrap(),
        };
        let asked = json!({"Name": "shop.data", "Driver": "local", "DriverOpts": options, "Labels": labels});
        assert_eq!(serde_json::to_value(request(&wanted)).unwrap(), asked);
        let answer = json!({
            "Name": "shop.data", "Driver": "local", "Options": options, "Labels": labels, "Mountpoint": "/x", "Scope": "local",
        });
        let VolumeCreate { name, labels, driver, options } = wanted;
        assert_eq!(volume(serde_json::from_value(answer).unwrap()), Volume { name, labels, driver, options });
    }
}
