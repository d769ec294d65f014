//! The container list as the house sees it: whose a container is, and a fingerprint of all that may matter about it.

use std::collections::BTreeSet;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum, EndpointSettings, PortSummaryTypeEnum};
use bollard::query_parameters::ListContainersOptionsBuilder;

use super::client::{CALL, Client};
use super::inspect::{short, volume};
use super::ownership::Identity;
use super::{EngineError, Listed, Ownership, Whose};
use crate::model::container::Adjustable;
use crate::model::observed::{
    Container, ContainerId, ContainerState, Endpoint, ForeignPort, Health, NetworkId, Probes,
};
use crate::model::revision::ImageId;
use crate::model::spec::Protocol;
use crate::model::time::Timestamp;

pub(super) async fn list(client: &Client, ownership: &Ownership) -> Result<Vec<Listed>, EngineError> {
    // No label filter: the names of foreign containers matter, since they may be in our way.
    let options = ListContainersOptionsBuilder::default().all(true).build();
    let found = client.call(CALL, |api| async move { api.list_containers(Some(options)).await }).await;
    let found = found.map_err(|failed| failed.attempting("list containers"))?;
    Ok(found.into_iter().filter_map(|summary| listed(summary, ownership)).collect())
}

/// None for a container that is just being made or removed and has no id or name yet.
fn listed(summary: ContainerSummary, ownership: &Ownership) -> Option<Listed> {
    let name = own_name(summary.names.as_deref()?)?.to_owned();
    let whose = summary.labels.as_ref().map_or(Whose::Foreign, |labels| ownership.whose(&name, labels));
    let image = ImageId(summary.image_id.clone().unwrap_or_default());
    let host_ports = match whose {
        Whose::Ours => Vec::new(),
        Whose::Renamed(_) | Whose::Foreign => host_ports(&summary, &name),
    };
    Some(Listed { fingerprint: fingerprint(&summary), id: ContainerId(summary.id?), name, whose, image, host_ports })
}

pub(super) async fn outline(
    client: &Client,
    ownership: &Ownership,
    id: &ContainerId,
) -> Result<Option<Container>, EngineError> {
    let filters = [("id", vec![id.0.clone()])].into();
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let found = client.call(CALL, |api| async move { api.list_containers(Some(options)).await }).await;
    let found = found.map_err(|failed| failed.attempting(format!("list {}", short(id))))?;
    Ok(found.into_iter().filter_map(|summary| outlined(summary, ownership)).find(|container| container.id == *id))
}

/// What does not run is shown as paused: neither its exit code nor why it did not start is known, and it may be started again.
fn outlined(summary: ContainerSummary, ownership: &Ownership) -> Option<Container> {
    let name = own_name(summary.names.as_deref()?)?.to_owned();
    let Identity { owner, revision, template, slot } =
        ownership.identity(&name, &summary.labels.unwrap_or_default())?;
    let created_at = Timestamp(summary.created.unwrap_or_default().saturating_mul(1000));
    let state = match summary.state.unwrap_or(ContainerSummaryStateEnum::EMPTY) {
        ContainerSummaryStateEnum::RUNNING | ContainerSummaryStateEnum::STOPPING => {
            ContainerState::Running { since: created_at }
        }
        ContainerSummaryStateEnum::RESTARTING => ContainerState::Restarting { exit_code: 0, out_of_memory: false },
        ContainerSummaryStateEnum::PAUSED
        | ContainerSummaryStateEnum::CREATED
        | ContainerSummaryStateEnum::EXITED
        | ContainerSummaryStateEnum::EMPTY => ContainerState::Paused,
        ContainerSummaryStateEnum::REMOVING | ContainerSummaryStateEnum::DEAD => ContainerState::Removing,
    };
    let networks = summary.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    Some(Container {
        id: ContainerId(summary.id?),
        name,
        owner,
        revision,
        template,
        slot,
        image: ImageId(summary.image_id.unwrap_or_default()),
        reference: summary.image.unwrap_or_default(),
        state,
        dead: false,
        process: None,
        health: Health::None,
        restart_count: 0,
        ended_at: None,
        created_at,
        networks: networks.into_iter().map(|(network, settings)| (network, unnamed(settings))).collect(),
        adjustable: Adjustable::default(),
        published: Vec::new(),
        volumes: summary.mounts.unwrap_or_default().into_iter().filter_map(volume).collect(),
        probes: Probes::default(),
        last_log: Vec::new(),
    })
}

fn unnamed(settings: EndpointSettings) -> Endpoint {
    Endpoint {
        network: NetworkId(settings.network_id.unwrap_or_default()),
        address: settings.ip_address.and_then(|address| address.parse().ok()),
        fixed: None,
        aliases: BTreeSet::new(),
    }
}

/// The ports of the host that it has: the list tells those of running containers.
fn host_ports(summary: &ContainerSummary, container: &str) -> Vec<ForeignPort> {
    let ports = summary.ports.iter().flatten().filter_map(|published| {
        let protocol = match published.typ {
            Some(PortSummaryTypeEnum::UDP) => Protocol::Udp,
            Some(PortSummaryTypeEnum::SCTP) => Protocol::Sctp,
            Some(PortSummaryTypeEnum::TCP | PortSummaryTypeEnum::EMPTY) | None => Protocol::Tcp,
        };
        let address = published.ip.as_ref()?.parse().ok()?;
        Some(ForeignPort { container: container.to_owned(), address, port: published.public_port?, protocol })
    });
    ports.collect()
}

/// Its own name; links of other containers to it are listed as `/other/alias`.
fn own_name(names: &[String]) -> Option<&str> {
    names.iter().filter_map(|name| name.strip_prefix('/')).find(|name| !name.contains('/'))
}

/// State, health or exit code, image and endpoints. An endpoint has a new id after each start, so a restart that nobody
/// saw shows too. Why a start failed is not in the list: whoever starts a container has to inspect it afterwards.
fn fingerprint(summary: &ContainerSummary) -> String {
    let state = summary.state.as_ref().map(|state| state.to_string()).unwrap_or_default();
    let networks = summary.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let mut endpoints: Vec<String> = networks
        .into_iter()
        .flat_map(|networks| networks.values())
        .map(|endpoint| {
            let text = |part: &Option<String>| part.clone().unwrap_or_default();
            format!("{} {} {}", text(&endpoint.network_id), text(&endpoint.endpoint_id), text(&endpoint.ip_address))
        })
        .collect();
    endpoints.sort_unstable();
    let word = summary.status.as_deref().map(parenthesised).unwrap_or_default();
    format!("{state} {word} {} {}", summary.image_id.as_deref().unwrap_or_default(), endpoints.join(","))
}

/// `healthy` of `Up 5 minutes (healthy)`, `137` of `Exited (137) 2 hours ago`: what does not change with time alone.
fn parenthesised(status: &str) -> &str {
    let inside = status.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    inside.map(|(word, _)| word).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::Name;

    fn summary(state: &str, status: &str, endpoint: &str) -> ContainerSummary {
        serde_json::from_value(serde_json::json!({
            "Id": "0123", "Names": ["/other/link", "/web"], "ImageID": "sha256:aa", "State": state, "Status": status,
            "Labels": {"a": "b"},
            "NetworkSettings": {"Networks": {
                "b": {"NetworkID": "n2", "EndpointID": endpoint, "IPAddress": "10.0.0.2"},
                "a": {"NetworkID": "n1", "EndpointID": "e1", "IPAddress": ""},
            }},
        }))
        .unwrap()
    }

    #[test]
    fn a_fingerprint_does_not_change_with_time_alone() {
        let young = fingerprint(&summary("running", "Up 2 seconds (healthy)", "e2"));
        assert_eq!(young, "running healthy sha256:aa n1 e1 ,n2 e2 10.0.0.2");
        assert_eq!(young, fingerprint(&summary("running", "Up 5 minutes (healthy)", "e2")));
    }

    #[test]
    fn a_fingerprint_changes_with_health_exit_code_and_every_restart() {
        let healthy = fingerprint(&summary("running", "Up 2 seconds (healthy)", "e2"));
        for (state, status, endpoint) in [
            ("running", "Up 2 seconds (unhealthy)", "e2"),
            ("running", "Up 2 seconds (health: starting)", "e2"),
            ("running", "Up 2 seconds (healthy)", "e3"),
            ("exited", "Exited (1) 2 seconds ago", "e2"),
            ("exited", "Exited (2) 2 seconds ago", "e2"),
        ] {
            assert_ne!(healthy, fingerprint(&summary(state, status, endpoint)), "{status} {endpoint}");
        }
    }

    #[test]
    fn a_foreign_container_is_listed_by_its_own_name_with_the_host_ports_that_it_has() {
        let ownership = Ownership { instance: Name::new("evenkeel").unwrap() };
        let mut summary = summary("running", "Up", "e");
        let ports = serde_json::json!([
            {"PrivatePort": 53, "PublicPort": 5353, "IP": "127.0.0.1", "Type": "udp"},
            {"PrivatePort": 80, "Type": "tcp"},
        ]);
        summary.ports = Some(serde_json::from_value(ports).unwrap());
        let listed = listed(summary, &ownership).unwrap();
        assert_eq!((listed.name.as_str(), listed.whose), ("web", Whose::Foreign));
        let address = std::net::Ipv4Addr::LOCALHOST.into();
        let port = ForeignPort { container: "web".into(), address, port: 5353, protocol: Protocol::Udp };
        assert_eq!(listed.host_ports, [port]);
    }
}
