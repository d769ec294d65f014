//! A real Docker Engine behind the trait. Each method names the file where it is done.

use super::auth::Unsaid;
use super::client::{CALL, Client};
use super::events::Following;
use super::headroom::Gauge;
use super::inspect::Look;
use super::*;
use crate::model::name::Instance;

/// A Docker Engine. It need not be there yet, and may go and come back: each call tries to reach it.
pub struct Docker {
    client: Client,
    ownership: Ownership,
    following: Following,
    gauge: Gauge,
    /// Where the docker command keeps its registry credentials.
    docker_config: Option<PathBuf>,
}

impl Docker {
    /// The engine that the environment names (`DOCKER_HOST`, `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`), by default the one
    /// at `/var/run/docker.sock`. Nothing is asked of it yet: an error is about the environment.
    pub fn connect(instance: Instance) -> Result<Docker, EngineError> {
        Ok(Docker::at(Host::from_env()?, host::docker_config(), instance))
    }

    /// The engine at `host`, with the registry credentials of the directory `docker_config`.
    pub fn at(host: Host, docker_config: Option<PathBuf>, instance: Instance) -> Docker {
        let (client, following, gauge) = (Client::new(host), Following::default(), Gauge::default());
        Docker { client, ownership: Ownership { instance }, following, gauge, docker_config }
    }

    /// The way to the engine, for what is beside the trait.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// What the engine is. One older than 20.10 is refused, here and by every other call.
    pub async fn version(&self) -> Result<EngineVersion, EngineError> {
        let found = self.client.call(CALL, |api| async move { api.version().await }).await;
        let found = found.map_err(|failed| failed.attempting("ask the engine for its version"))?;
        let platform = Platform {
            os: found.os.unwrap_or_default(),
            architecture: found.arch.unwrap_or_default(),
            variant: String::new(),
        };
        let (version, api) = (found.version.unwrap_or_default(), found.api_version.unwrap_or_default());
        Ok(EngineVersion { version, api, platform })
    }
}

impl Engine for Docker {
    async fn identify(&self) -> Result<EngineIdentity, EngineError> {
        let version = self.version().await?;
        let info = self.client.call(client::CALL, |calls| async move { calls.info().await }).await;
        let info = info.map_err(|failed| failed.attempting("ask for the engine's id"))?;
        self.gauge.meet(self.client.host(), &info);
        Ok(EngineIdentity { id: info.id.unwrap_or_default(), version })
    }

    fn headroom(&self) -> Headroom {
        self.gauge.read()
    }

    async fn logins(&self, image: &str, handed_over: &[Credentials]) -> Logins {
        auth::candidates(image, handed_over, self.docker_config.as_deref()).await.into()
    }

    async fn list(&self) -> Result<Vec<Listed>, EngineError> {
        list::list(&self.client, &self.ownership).await
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<Container>, EngineError> {
        match inspect::look(&self.client, &self.ownership, id).await? {
            Look::Ours(container) => Ok(Some(*container)),
            Look::Gone | Look::Foreign => Ok(None),
        }
    }

    async fn outline(&self, id: &ContainerId) -> Result<Option<Container>, EngineError> {
        list::outline(&self.client, &self.ownership, id).await
    }

    async fn networks(&self) -> Result<Vec<Network>, EngineError> {
        networks::networks(&self.client).await
    }

    async fn volumes(&self) -> Result<Vec<Volume>, EngineError> {
        volumes::volumes(&self.client).await
    }

    async fn image(&self, reference: &str) -> Result<ImageState, EngineError> {
        images::image(&self.client, &self.ownership.instance, reference).await
    }

    async fn last_log(
        &self,
        id: &ContainerId,
        lines: u32,
        until: Option<Timestamp>,
    ) -> Result<Vec<String>, EngineError> {
        logs::last(&self.client, id, lines, until).await
    }

    async fn pull(
        &self,
        image: &str,
        platform: Option<&str>,
        credentials: &[Credentials],
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Option<ImageId>, EngineError> {
        let found = auth::candidates(image, credentials, self.docker_config.as_deref()).await;
        let unsaid = Unsaid::of(&found.credentials);
        let before = images::ids(&self.client).await?;
        let pulled = pull::pull(&self.client, image, platform, found, progress).await;
        pulled.map_err(|error| unsaid.clean(error))?;
        // If it cannot be looked at now, it is nobody's.
        let now = images::image(&self.client, &self.ownership.instance, image).await.unwrap_or(ImageState::Missing);
        Ok(match now {
            ImageState::Present(image) => Some(image.id).filter(|id| !before.contains(id)),
            ImageState::Missing => None,
        })
    }

    async fn remove_image(
        &self,
        id: &ImageId,
        references: &BTreeSet<String>,
        steps: &BTreeSet<ImageId>,
    ) -> Result<u64, EngineError> {
        image_removal::remove(&self.client, &self.ownership.instance, id, references, steps).await
    }

    async fn build(
        &self,
        build: Approved<'_, ImageBuild>,
        context: Context,
        credentials: &[Credentials],
        output: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Built, EngineError> {
        let known = auth::all(credentials, self.docker_config.as_deref()).await;
        let unsaid = Unsaid::of(known.values());
        let built = build::build(&self.client, &self.ownership.instance, &build, context, known, output).await;
        built.map_err(|error| unsaid.clean(error))
    }

    async fn create_network(&self, network: Approved<'_, NetworkCreate>) -> Result<(), EngineError> {
        networks::create(&self.client, &self.ownership, &network).await
    }

    async fn remove_network(&self, id: &NetworkId) -> Result<(), EngineError> {
        networks::remove(&self.client, id).await
    }

    async fn create_volume(&self, volume: Approved<'_, VolumeCreate>) -> Result<(), EngineError> {
        volumes::create(&self.client, &volume).await
    }

    async fn create(&self, spec: Approved<'_, ContainerSpec>, provided: &Provided) -> Result<(), EngineError> {
        containers::create(&self.client, &spec, provided).await
    }

    async fn connect(&self, connection: &Connection) -> Result<(), EngineError> {
        attachments::connect(&self.client, connection).await
    }

    async fn reconnect(&self, connection: &Connection) -> Result<(), EngineError> {
        attachments::reconnect(&self.client, &self.ownership, connection).await
    }

    async fn start(&self, id: &ContainerId) -> Result<(), EngineError> {
        containers::start(&self.client, id).await
    }

    async fn exec(&self, id: &ContainerId, command: &[String], limit: Span) -> Result<(), EngineError> {
        containers::exec(&self.client, id, command, limit).await
    }

    async fn probe(&self, id: &ContainerId, command: &[String], limit: Span) -> Result<Option<Ended>, EngineError> {
        containers::probe(&self.client, id, command, limit).await
    }

    async fn stop(&self, id: &ContainerId, grace: Span) -> Result<(), EngineError> {
        containers::stop(&self.client, &self.ownership, id, grace).await
    }

    async fn restart(&self, id: &ContainerId, grace: Span) -> Result<(), EngineError> {
        containers::restart(&self.client, &self.ownership, id, grace).await
    }

    async fn pause(&self, id: &ContainerId) -> Result<(), EngineError> {
        containers::pause(&self.client, &self.ownership, id).await
    }

    async fn unpause(&self, id: &ContainerId) -> Result<(), EngineError> {
        containers::unpause(&self.client, id).await
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), EngineError> {
        containers::remove(&self.client, &self.ownership, id).await
    }

    async fn update(&self, id: &ContainerId, adjustable: &Adjustable) -> Result<(), EngineError> {
        containers::update(&self.client, &self.ownership, id, adjustable).await
    }

    async fn changed(&self, since: Option<EventMark>) -> Result<EventMark, EngineError> {
        self.following.changed(&self.client, since).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::{UnixListener, UnixStream};

    use super::*;
    use crate::model::spec::{Limits, Requests, RestartPolicy};

    /// What was asked of it, a request line each.
    type Asked = Arc<Mutex<Vec<String>>>;

    /// An engine that says of every container that it is somebody else's, and agrees to everything that is asked.
    async fn serve(listener: UnixListener, asked: Asked) {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, asked.clone()));
        }
    }

    async fn answer(stream: UnixStream, asked: Asked) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut request = String::new();
        stream.read_line(&mut request).await?;
        let mut line = String::new();
        while stream.read_line(&mut line).await? > 2 {
            line.clear();
        }
        let is_look = request.contains("/json ");
        let body = if is_look { r#"{"Id":"stranger","Name":"/shop.web.0","Config":{"Labels":{}}}"# } else { "" };
        if !request.contains("/_ping") {
            asked.lock().unwrap().push(request.trim_end().to_owned());
        }
        let status = if request.starts_with("GET") { "200 OK" } else { "204 No Content" };
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n");
        let length =
            if request.starts_with("GET") { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
        stream.write_all(format!("{head}{length}\r\n{body}").as_bytes()).await
    }

    #[tokio::test]
    async fn what_has_become_somebody_elses_is_looked_at_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("engine.sock");
        let asked = Asked::default();
        tokio::spawn(serve(UnixListener::bind(&socket).unwrap(), asked.clone()));
        let engine = Docker::at(Host::Unix(socket), None, Instance::new("evenkeel").unwrap());
        let id = ContainerId("stranger".into());
        let adjustable = Adjustable {
            limits: Limits::default(),
            requests: Requests::default(),
            restart_policy: RestartPolicy::Always,
        };
        let connection = Connection {
            container: id.clone(),
            name: "shop.web.0".into(),
            network: "shop.default".into(),
            aliases: BTreeSet::new(),
            address: None,
        };
        let outcomes = [
            ("stop", engine.stop(&id, Span::secs(1)).await),
            ("restart", engine.restart(&id, Span::secs(1)).await),
            ("pause", engine.pause(&id).await),
            ("remove", engine.remove(&id).await),
            ("update", engine.update(&id, &adjustable).await),
            ("reconnect", engine.reconnect(&connection).await),
        ];
        for (call, outcome) in outcomes {
            let error = outcome.expect_err(call);
            assert_eq!(
                (error.fault, error.message.as_str()),
                (Fault::Conflict, "it is not ours any more, so it was left alone")
            );
        }
        let looks = vec!["GET /v1.45/containers/stranger/json HTTP/1.1".to_owned(); 6];
        assert_eq!(*asked.lock().unwrap(), looks);
    }
}
