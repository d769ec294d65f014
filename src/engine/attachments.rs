//! Containers on networks: attached, and attached anew under another name with the same address, which open
//! connections survive.

use std::net::Ipv4Addr;

use bollard::models::{EndpointIpamConfig, EndpointSettings, NetworkConnectRequest, NetworkDisconnectRequest};

use super::client::{CALL, Client};
use super::containers::present;
use super::errors::Failed;
use super::{EngineError, Ownership};
use crate::model::action::Connection;

/// Attached already is a success; whether with the right aliases is seen on the next look.
pub(super) async fn connect(client: &Client, connection: &Connection) -> Result<(), EngineError> {
    let attempted = format!("connect {} to {}", connection.name, connection.network);
    match attach(client, connection, connection.address).await {
        Err(failed) if failed.is(403) && failed.says("already exists in network") => Ok(()),
        other => other.map_err(|failed| failed.attempting(attempted)),
    }
}

/// Must not be cancelled between its two calls: the container would be left without this network until the next look.
pub(super) async fn reconnect(
    client: &Client,
    ownership: &Ownership,
    connection: &Connection,
) -> Result<(), EngineError> {
    let attempted = format!("reconnect {} to {}", connection.name, connection.network);
    let container = present(client, ownership, &connection.container, &attempted).await?;
    let held = container.networks.get(&connection.network).and_then(|endpoint| endpoint.address);
    let address = connection.address.or(held);
    match detach(client, connection).await {
        Err(failed) if !failed.says("is not connected to") => return Err(failed.attempting(attempted)),
        _ => {}
    }
    let attached = match attach(client, connection, address).await {
        // The network does not let an address be chosen, or somebody was quicker to take it: on the network with another
        // address is better than not on it.
        Err(failed) if address.is_some() && matches!(failed, Failed::Refused { .. }) => {
            attach(client, connection, None).await
        }
        other => other,
    };
    attached.map_err(|failed| failed.attempting(attempted))
}

async fn attach(client: &Client, connection: &Connection, address: Option<Ipv4Addr>) -> Result<(), Failed> {
    let ipam_config = address
        .map(|address| EndpointIpamConfig { ipv4_address: Some(address.to_string()), ..EndpointIpamConfig::default() });
    let request = NetworkConnectRequest {
        container: connection.container.0.clone(),
        endpoint_config: Some(EndpointSettings {
            aliases: Some(connection.aliases.iter().cloned().collect()),
            ipam_config,
            ..EndpointSettings::default()
        }),
    };
    let network = connection.network.clone();
    client.call(CALL, |api| async move { api.connect_network(&network, request).await }).await
}

async fn detach(client: &Client, connection: &Connection) -> Result<(), Failed> {
    let request = NetworkDisconnectRequest { container: connection.container.0.clone(), force: None };
    let network = connection.network.clone();
    client.call(CALL, |api| async move { api.disconnect_network(&network, request).await }).await
}
