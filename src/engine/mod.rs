//! Docker: the only door. The trait says what the rest of the house may ask of an engine; [`docker`] asks a real one,
//! and the tests' simulated engine implements the same trait. Nothing here decides anything.

mod attachments;
mod auth;
mod build;
mod client;
mod containers;
mod create;
mod devices;
mod docker;
mod errors;
mod events;
mod headroom;
mod host;
mod image_removal;
mod images;
mod inspect;
mod limits;
mod list;
mod log_stream;
mod logs;
mod mounts;
mod networks;
mod ownership;
mod pull;
mod reference;
mod rfc3339;
mod start_words;
mod steps;
mod survey;
mod unix;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::path::PathBuf;

use tokio::sync::mpsc;

use crate::model::action::{Connection, NetworkCreate, VolumeCreate};
use crate::model::build::ImageBuild;
use crate::model::container::{Adjustable, ContainerSpec, Files};
use crate::model::image::Built;
use crate::model::observed::{
    Container, ContainerId, Fault, ForeignPort, Headroom, ImageState, Network, NetworkId, Volume,
};
use crate::model::platform::Platform;
use crate::model::revision::ImageId;
use crate::model::secret::{Login, SecretBytes};
use crate::model::time::{Span, Timestamp};
use crate::policy::Approved;

pub use auth::{HostLogin, HostLogins, credentials_of, host_logins};
pub use docker::Docker;
pub use host::Host;
pub use log_stream::{LogRange, LogStream};
pub use ownership::{Identity, Labels, Ownership, Whose};
pub use survey::{Pool, Survey};

/// What the rest of the house may ask of a Docker engine. Each method is one API call unless its text says otherwise,
/// each has a deadline, and each may be repeated: an effect that is already there is a success. What makes something
/// new takes it only as the policy approved it.
pub trait Engine: Send + Sync + 'static {
    /// Who the engine is: asked on every new connection. One without an id (a simulated one) is shared with nobody.
    fn identify(&self) -> impl Future<Output = Result<EngineIdentity, EngineError>> + Send {
        async { Ok(EngineIdentity::default()) }
    }
    /// What the engine's host has left: no call, it is read here, if this is that host. Known once [`Engine::identify`] was
    /// answered.
    fn headroom(&self) -> Headroom {
        Headroom::default()
    }
    /// What opens an image's registry: of what is handed over, and of the docker command's own. No call of the engine's.
    fn logins(&self, image: &str, handed_over: &[Credentials]) -> impl Future<Output = Logins> + Send {
        let _ = (image, handed_over);
        async { Logins::default() }
    }
    /// Lists all containers: `GET /containers/json?all=1`, the one call of a pass that has nothing to do.
    fn list(&self) -> impl Future<Output = Result<Vec<Listed>, EngineError>> + Send;
    /// Everything about one container: `GET /containers/{id}/json`. `None` when there is no such container, or it is
    /// not ours (labels of another instance, or a name that its labels do not imply). Probes and log are left empty.
    fn inspect(&self, id: &ContainerId) -> impl Future<Output = Result<Option<Container>, EngineError>> + Send;

    /// What a list alone says of a container of this instance, for one that does not answer an inspection: whose it is, whether
    /// it runs, its addresses and volumes. Its names, limits and exit code are not known. None if it is gone or not ours.
    fn outline(&self, id: &ContainerId) -> impl Future<Output = Result<Option<Container>, EngineError>> + Send;
    /// All networks: `GET /networks`.
    fn networks(&self) -> impl Future<Output = Result<Vec<Network>, EngineError>> + Send;
    /// All volumes: `GET /volumes`.
    fn volumes(&self) -> impl Future<Output = Result<Vec<Volume>, EngineError>> + Send;
    /// What the engine has under a reference or id: `GET /images/{name}/json`.
    fn image(&self, reference: &str) -> impl Future<Output = Result<ImageState, EngineError>> + Send;
    /// The last lines of a container's log, or of what it had said until then, control characters removed:
    /// `GET /containers/{id}/logs`.
    fn last_log(
        &self,
        id: &ContainerId,
        lines: u32,
        until: Option<Timestamp>,
    ) -> impl Future<Output = Result<Vec<String>, EngineError>> + Send;

    /// Pulls an image; `progress` gets a line for people now and then. Its deadline is one without any progress. Returns the
    /// image if the engine had not had it before, under any name.
    fn pull(
        &self,
        image: &str,
        platform: Option<&str>,
        credentials: &[Credentials],
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> impl Future<Output = Result<Option<ImageId>, EngineError>> + Send;
    /// Builds an image from a context; `output` gets every line that is said meanwhile. Its deadline is one without a word.
    /// Returns what is in the engine now, with the images that are left between the steps.
    fn build(
        &self,
        build: Approved<ImageBuild>,
        context: Context,
        credentials: &[Credentials],
        output: &(dyn Fn(String) + Send + Sync),
    ) -> impl Future<Output = Result<Built, EngineError>> + Send;
    /// Removes an image that was brought as `references`, never by force, and those of `steps` that have no name and that
    /// nothing else is built on. One that has another name, that another image was built on, that a container uses, or that
    /// is named as one that was built here and is not labelled so, is a conflict; one that is gone a success. Returns its size
    /// in bytes, what it shares with other images included.
    fn remove_image(
        &self,
        id: &ImageId,
        references: &BTreeSet<String>,
        steps: &BTreeSet<ImageId>,
    ) -> impl Future<Output = Result<u64, EngineError>> + Send;
    /// Creates a network. One of ours with that name and spec is a success; a foreign one is a conflict.
    fn create_network(&self, network: Approved<NetworkCreate>) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Removes a network; one that is gone is a success.
    fn remove_network(&self, id: &NetworkId) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Creates a volume.
    fn create_volume(&self, volume: Approved<VolumeCreate>) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Creates a container attached to the first of its networks. One of ours with that name is a success.
    fn create(
        &self,
        spec: Approved<ContainerSpec>,
        provided: &Provided,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Attaches a container to a network.
    fn connect(&self, connection: &Connection) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Detaches and attaches in two calls, keeping the address so that open connections survive. If the network does
    /// not let an address be chosen (an external one), any address is taken.
    fn reconnect(&self, connection: &Connection) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Starts a container.
    fn start(&self, id: &ContainerId) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Runs a command in a container and waits for its end, for at most `limit`. Neither its failure is an error, nor
    /// that it takes longer, nor that the container cannot run it (it ended, it is paused).
    fn exec(
        &self,
        id: &ContainerId,
        command: &[String],
        limit: Span,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Runs a command in a container as a check. None when it does not end within `limit`, or the container cannot run it.
    fn probe(
        &self,
        id: &ContainerId,
        command: &[String],
        limit: Span,
    ) -> impl Future<Output = Result<Option<Ended>, EngineError>> + Send;
    /// Stops a container with its own stop signal; waits for it.
    fn stop(&self, id: &ContainerId, grace: Span) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Stops and starts a container.
    fn restart(&self, id: &ContainerId, grace: Span) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Suspends the processes of a container; suspended already is a success.
    fn pause(&self, id: &ContainerId) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Resumes a paused container.
    fn unpause(&self, id: &ContainerId) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Removes a stopped container with its anonymous volumes; one that is gone is a success. Never forced.
    fn remove(&self, id: &ContainerId) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Changes limits, requests and restart policy in place, and looks whether they did change.
    fn update(&self, id: &ContainerId, adjustable: &Adjustable)
    -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Waits until something happened in the engine that may matter, then returns; an error when the stream breaks.
    /// `since` is where the last wait ended, so that nothing between two waits is lost. Without it, it returns at once
    /// with the engine's present time: look then, and wait from there. After an error anything may have happened.
    fn changed(&self, since: Option<EventMark>) -> impl Future<Output = Result<EventMark, EngineError>> + Send;
}

/// How a command in a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code.
    pub code: i64,
    /// The last line that it wrote.
    pub words: String,
}

/// How far the engine's events were read, in its own clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventMark {
    /// Nanoseconds since 1970 of the last event read.
    pub nanos: i64,
    /// Networks, volumes or images changed too, so those must be listed again.
    pub beyond_containers: bool,
    /// Containers with an event, anybody's: to be inspected again, because a list does not show everything (an `update`,
    /// a second crash with the same exit code).
    pub touched: Vec<ContainerId>,
}

/// A line of the container list, anybody's container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub whose: Whose,
    /// The image that it was made from.
    pub image: ImageId,
    /// Changes whenever an inspect would say something else (state, health, image, endpoints), and not with time alone.
    /// Not with limits, and not with why a start failed: after an action of one's own on it, inspect.
    pub fingerprint: String,
    /// The host ports that it has while it runs.
    pub host_ports: Vec<ForeignPort>,
}

/// What a container gets that must not stand in a plan: values of secrets, and where the store rendered files.
/// No `Debug`.
#[derive(Default)]
pub struct Provided {
    /// The environment, every source resolved, in order and without doubles.
    pub env: Vec<(String, SecretBytes)>,
    /// The host's path of every rendered content.
    pub files: BTreeMap<Files, PathBuf>,
}

/// The context of a build on its way to the engine: a tar archive in pieces. An error is its end before it is whole, so that
/// nothing is built of a part.
pub struct Context(pub mpsc::Receiver<io::Result<Vec<u8>>>);

impl Context {
    /// The next piece; none at the end.
    pub async fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        self.0.recv().await
    }
}

/// Credentials of a registry. No `Debug`.
#[derive(Clone)]
pub struct Credentials {
    /// The registry's host, with a port if it has one; empty for any.
    pub server: String,
    /// The user.
    pub username: String,
    /// The password.
    pub password: SecretBytes,
}

/// What opens a registry. No `Debug`.
#[derive(Default)]
pub struct Logins {
    /// What to try, in order.
    pub logins: Vec<Login>,
    /// What kept others from being found, for people.
    pub trouble: Option<String>,
}

/// An engine call that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{attempted}: {message}")]
pub struct EngineError {
    /// What was attempted: `start shop.web.3f9a2c71d0.0`.
    pub attempted: String,
    /// What the engine said, printable.
    pub message: String,
    /// What the loop does next.
    pub fault: Fault,
}

/// Who an engine is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineIdentity {
    /// Its own id, the same as long as its data root lives.
    pub id: String,
    /// How it calls itself.
    pub version: EngineVersion,
}

/// How an engine calls itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineVersion {
    /// Such as `26.1.5`.
    pub version: String,
    /// Such as `1.45`.
    pub api: String,
    /// What its host runs by itself.
    pub platform: Platform,
}
