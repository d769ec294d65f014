//! Networks: listed, created and removed. Nothing is ever changed in one: the engine cannot.

use bollard::models::{Ipam, IpamConfig, Network as EngineNetwork, NetworkCreateRequest};

use super::client::{CALL, Client};
use super::create::unordered;
use super::{EngineError, Ownership};
use crate::model::action::NetworkCreate;
use crate::model::observed::{Fault, Network, NetworkId};

pub(super) async fn networks(client: &Client) -> Result<Vec<Network>, EngineError> {
    let found = all(client).await.map_err(|failed| failed.attempting("list networks"))?;
    Ok(found.into_iter().filter_map(network).collect())
}

async fn all(client: &Client) -> Result<Vec<EngineNetwork>, super::errors::Failed> {
    client.call(CALL, |api| async move { api.list_networks(None).await }).await
}

fn network(found: EngineNetwork) -> Option<Network> {
    let configs = found.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    Some(Network {
        id: NetworkId(found.id?),
        name: found.name?,
        labels: found.labels.unwrap_or_default().into_iter().collect(),
        driver: found.driver.unwrap_or_default(),
        subnets: configs.into_iter().filter_map(|config| config.subnet).collect(),
    })
}

/// Creates it, unless the same one of ours is there. Engine 20.10 lets two networks have one name, so it is looked for
/// before, and after: of those that were created at once only the oldest stays. Each one who sees several removes them,
/// also another's: the one who looks last sees all of them.
pub(super) async fn create(client: &Client, ownership: &Ownership, wanted: &NetworkCreate) -> Result<(), EngineError> {
    let attempted = format!("create network {}", wanted.name);
    let taken = || EngineError {
        attempted: attempted.clone(),
        message: format!("there is another network called {}", wanted.name),
        fault: Fault::Conflict,
    };
    let named = || async {
        let found = all(client).await.map_err(|failed| failed.attempting(&attempted))?;
        Ok::<_, EngineError>(found.into_iter().filter(|found| found.name.as_deref() == Some(&wanted.name)).collect())
    };
    let ours =
        |found: &EngineNetwork| found.labels.as_ref().is_some_and(|labels| ownership.same_spec(labels, &wanted.labels));
    let before: Vec<EngineNetwork> = named().await?;
    if !before.is_empty() {
        return if before.iter().all(ours) { Ok(()) } else { Err(taken()) };
    }
    let request = request(wanted);
    let created = client.call(CALL, |api| async move { api.create_network(request).await }).await;
    let created = match created {
        Ok(created) => NetworkId(created.id),
        // Somebody was quicker: whether it was us is seen on the next look.
        Err(failed) if failed.is(409) => return if named().await?.iter().all(ours) { Ok(()) } else { Err(taken()) },
        Err(failed) => return Err(failed.attempting(attempted)),
    };
    let mut after: Vec<EngineNetwork> = named().await?;
    after.sort_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
    let (oldest, newer) = after.split_first().map_or((None, &[][..]), |(oldest, newer)| (Some(oldest), newer));
    for extra in newer.iter().filter(|found| ours(found) || found.id.as_ref() == Some(&created.0)) {
        let id = NetworkId(extra.id.clone().unwrap_or_default());
        match remove(client, &id).await {
            Err(error) if error.fault != Fault::Conflict => return Err(error),
            // In use already: it stays, and is seen on the next look.
            _ => {}
        }
    }
    if oldest.is_none_or(ours) { Ok(()) } else { Err(taken()) }
}

fn request(wanted: &NetworkCreate) -> NetworkCreateRequest {
    let config = |subnet: &String| IpamConfig { subnet: Some(subnet.clone()), ..IpamConfig::default() };
    NetworkCreateRequest {
        name: wanted.name.clone(),
        driver: Some(wanted.driver.clone()),
        internal: Some(wanted.internal),
        ipam: Some(Ipam {
            driver: Some("default".into()),
            config: Some(wanted.subnets.iter().map(config).collect()),
            options: None,
        }),
        enable_ipv6: wanted.subnets.iter().any(|subnet| subnet.contains(':')).then_some(true),
        options: Some(unordered(&wanted.options)),
        labels: Some(unordered(&wanted.labels)),
        ..NetworkCreateRequest::default()
    }
}

/// One that is gone is a success; one in use is a conflict.
pub(super) async fn remove(client: &Client, id: &NetworkId) -> Result<(), EngineError> {
    let wanted = id.0.clone();
    match client.call(CALL, |api| async move { api.remove_network(&wanted).await }).await {
        Err(failed) if failed.is(404) => Ok(()),
        other => other.map_err(|failed| failed.attempting(format!("remove network {id}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_created_with_its_own_subnets() {
        let wanted = NetworkCreate {
            name: "shop.app".into(),
            labels: [("evenkeel.dev/spec".to_owned(), "1".to_owned())].into(),
            driver: "bridge".into(),
            internal: true,
            subnets: vec!["10.89.1.0/24".into(), "fd00:1::/64".into()],
            options: [("com.docker.network.driver.mtu".to_owned(), "1400".to_owned())].into(),
        };
        let expected = serde_json::json!({
            "Name": "shop.app", "Driver": "bridge", "Internal": true, "EnableIPv6": true,
            "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.89.1.0/24"}, {"Subnet": "fd00:1::/64"}]},
            "Options": {"com.docker.network.driver.mtu": "1400"}, "Labels": {"evenkeel.dev/spec": "1"},
        });
        assert_eq!(serde_json::to_value(request(&wanted)).unwrap(), expected);
    }
}
