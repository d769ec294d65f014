//! What an engine says of itself and of its host, for `doctor`. It only asks; what to think of it is not said here.

use bollard::models::{ContainerInspectResponse, SystemInfo};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};

use super::client::{CALL, Client};
use super::{Docker, Engine, EngineError, EngineVersion, Whose, rfc3339};
use crate::model::text::printable;
use crate::model::time::Timestamp;

/// The most containers that are looked at one by one.
const LOOKED_AT: usize = 100;

/// What an engine says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// How it calls itself.
    pub version: EngineVersion,
    /// What its clock says.
    pub time: Option<Timestamp>,
    /// Where its data is, on its host.
    pub root: String,
    /// Whether containers go on running while it is restarted.
    pub live_restore: bool,
    /// The log driver of containers that name none.
    pub log_driver: String,
    /// What it warns of.
    pub warnings: Vec<String>,
    /// Whether it can limit memory.
    pub limits_memory: bool,
    /// The ranges that networks without a subnet get theirs from.
    pub pools: Vec<Pool>,
    /// The subnets of all networks.
    pub subnets: Vec<String>,
    /// Running containers of others whose log has no size limit, by name.
    pub boundless: Vec<String>,
}

/// A range of addresses, cut into networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// In CIDR form.
    pub base: String,
    /// The prefix length of each network.
    pub size: u8,
}

impl Docker {
    /// Asks for all of it, in as many calls as there are running containers of others, and a few more.
    pub async fn survey(&self) -> Result<Survey, EngineError> {
        let version = self.version().await?;
        let info = self.client().call(CALL, |api| async move { api.info().await }).await;
        let info = info.map_err(|failed| failed.attempting("ask the engine what it is"))?;
        let subnets = self.networks().await?.into_iter().flat_map(|network| network.subnets).collect();
        let boundless = self.boundless().await?;
        Ok(Survey { version, subnets, boundless, ..described(info) })
    }

    async fn boundless(&self) -> Result<Vec<String>, EngineError> {
        let client = self.client();
        let options = ListContainersOptionsBuilder::default().build();
        let running = client.call(CALL, |api| async move { api.list_containers(Some(options)).await }).await;
        let running = running.map_err(|failed| failed.attempting("list running containers"))?;
        let ours: Vec<_> =
            self.list().await?.into_iter().filter(|one| one.whose == Whose::Ours).map(|one| one.id.0).collect();
        let others = running.into_iter().filter_map(|one| one.id).filter(|id| !ours.contains(id));
        let mut found = Vec::new();
        for id in others.take(LOOKED_AT) {
            found.extend(inspect(client, &id).await?.as_ref().and_then(without_limit));
        }
        found.sort();
        Ok(found)
    }
}

/// None when it has gone meanwhile.
async fn inspect(client: &Client, id: &str) -> Result<Option<ContainerInspectResponse>, EngineError> {
    let asked = |api: bollard::Docker| {
        let id = id.to_owned();
        async move { api.inspect_container(&id, None::<InspectContainerOptions>).await }
    };
    match client.call(CALL, asked).await {
        Ok(found) => Ok(Some(found)),
        Err(failed) if failed.is(404) => Ok(None),
        Err(failed) => Err(failed.attempting("look at a container")),
    }
}

/// The name of a container that may log without end. The engine's own defaults are in it: it got them when it was made.
fn without_limit(found: &ContainerInspectResponse) -> Option<String> {
    let log = found.host_config.as_ref()?.log_config.as_ref()?;
    let has_limit = log.config.as_ref().is_some_and(|options| options.contains_key("max-size"));
    let is_boundless = log.typ.as_deref() == Some("json-file") && !has_limit;
    is_boundless.then(|| printable(found.name.as_deref().unwrap_or_default().trim_start_matches('/')))
}

fn described(info: SystemInfo) -> Survey {
    let pool = |found: bollard::models::SystemInfoDefaultAddressPools| {
        Some(Pool { base: found.base?, size: u8::try_from(found.size?).ok()? })
    };
    Survey {
        time: info.system_time.as_deref().and_then(rfc3339::timestamp),
        root: info.docker_root_dir.unwrap_or_default(),
        live_restore: info.live_restore_enabled.unwrap_or_default(),
        log_driver: info.logging_driver.unwrap_or_default(),
        warnings: info.warnings.unwrap_or_default().iter().map(|warning| printable(warning)).collect(),
        limits_memory: info.memory_limit.unwrap_or_default(),
        pools: info.default_address_pools.unwrap_or_default().into_iter().filter_map(pool).collect(),
        ..Survey::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_file_without_a_size_is_boundless_and_nothing_else() {
        let container = |driver: &str, options: serde_json::Value| -> ContainerInspectResponse {
            let log = serde_json::json!({"Type": driver, "Config": options});
            serde_json::from_value(serde_json::json!({"Name": "/db", "HostConfig": {"LogConfig": log}})).unwrap()
        };
        let none = serde_json::json!({});
        assert_eq!(without_limit(&container("json-file", none.clone())), Some("db".into()));
        assert_eq!(without_limit(&container("json-file", serde_json::json!({"max-size": "10m"}))), None);
        assert_eq!(without_limit(&container("local", none)), None);
    }
}
