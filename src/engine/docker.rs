//! A real Docker Engine behind the trait. Each method is a line that names the file where it is done.

use super::*;
use crate::model::name::Instance;

/// A Docker Engine. It need not be there yet: each call tries to reach it.
pub struct Docker {
    #[expect(dead_code, reason = "the bodies follow")]
    ownership: Ownership,
}

impl Docker {
    /// The engine that the environment names (`DOCKER_HOST`, `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`), by default the one
    /// at `/var/run/docker.sock`. Nothing is asked of it yet; the error is about the environment only.
    pub fn connect(instance: Instance) -> Result<Docker, EngineError> {
        Ok(Docker { ownership: Ownership { instance } })
    }

    /// What the engine is. Refuses one that is too old.
    pub async fn version(&self) -> Result<EngineVersion, EngineError> {
        later("ask for the version")
    }
}

fn later<T>(attempted: &str) -> Result<T, EngineError> {
    Err(EngineError { attempted: attempted.into(), message: "not built yet".into(), fault: Fault::Unavailable })
}

impl Engine for Docker {
    async fn list(&self) -> Result<Vec<Listed>, EngineError> {
        later("list")
    }
    async fn inspect(&self, _: &ContainerId) -> Result<Option<Container>, EngineError> {
        later("inspect")
    }
    async fn networks(&self) -> Result<Vec<Network>, EngineError> {
        later("networks")
    }
    async fn volumes(&self) -> Result<Vec<Volume>, EngineError> {
        later("volumes")
    }
    async fn image(&self, _: &str) -> Result<ImageState, EngineError> {
        later("image")
    }
    async fn last_log(&self, _: &ContainerId, _: u32) -> Result<Vec<String>, EngineError> {
        later("log")
    }
    async fn pull(
        &self,
        _: &str,
        _: Option<&str>,
        _: &[Credentials],
        _: &(dyn Fn(String) + Send + Sync),
    ) -> Result<(), EngineError> {
        later("pull")
    }
    async fn create_network(&self, _: &NetworkCreate) -> Result<(), EngineError> {
        later("create network")
    }
    async fn remove_network(&self, _: &NetworkId) -> Result<(), EngineError> {
        later("remove network")
    }
    async fn create_volume(&self, _: &VolumeCreate) -> Result<(), EngineError> {
        later("create volume")
    }
    async fn create(&self, _: &ContainerSpec, _: &Provided) -> Result<(), EngineError> {
        later("create")
    }
    async fn connect(&self, _: &Connection) -> Result<(), EngineError> {
        later("connect")
    }
    async fn reconnect(&self, _: &Connection) -> Result<(), EngineError> {
        later("reconnect")
    }
    async fn start(&self, _: &ContainerId) -> Result<(), EngineError> {
        later("start")
    }
    async fn exec(&self, _: &ContainerId, _: &[String], _: Span) -> Result<(), EngineError> {
        later("exec")
    }
    async fn stop(&self, _: &ContainerId, _: Span) -> Result<(), EngineError> {
        later("stop")
    }
    async fn restart(&self, _: &ContainerId, _: Span) -> Result<(), EngineError> {
        later("restart")
    }
    async fn unpause(&self, _: &ContainerId) -> Result<(), EngineError> {
        later("unpause")
    }
    async fn remove(&self, _: &ContainerId) -> Result<(), EngineError> {
        later("remove")
    }
    async fn update(&self, _: &ContainerId, _: &Adjustable) -> Result<(), EngineError> {
        later("update")
    }
    async fn changed(&self, _: Option<EventMark>) -> Result<EventMark, EngineError> {
        later("follow events")
    }
}
