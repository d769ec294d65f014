//! What a container gets that must not stand in a plan: environment with secrets resolved, files rendered, credentials.

use std::collections::BTreeMap;

use crate::engine::{Credentials, EngineError, Provided, credentials_of};
use crate::model::container::{ContainerSpec, EnvSource, MountSource};
use crate::model::observed::Fault;
use crate::model::revision::{Content, ContentId};
use crate::model::secret::SecretBytes;
use crate::store::{Store, StoreError};

/// Resolves a container's environment and files.
pub fn provide(store: &Store, spec: &ContainerSpec) -> Result<Provided, EngineError> {
    let failed = |error: StoreError| unavailable(format!("create {}", spec.name), error.to_string());
    let mut provided = Provided { env: environment(store, spec)?, ..Provided::default() };
    for mount in &spec.mounts {
        if let MountSource::Files(files) = &mount.source {
            provided.files.insert(files.clone(), store.render(files).map_err(failed)?);
        }
    }
    Ok(provided)
}

/// Every source in order; a later one wins, and each name comes once.
fn environment(store: &Store, spec: &ContainerSpec) -> Result<Vec<(String, SecretBytes)>, EngineError> {
    let attempted = || format!("create {}", spec.name);
    let content = |id: &ContentId| store.content(id).map_err(|error| unavailable(attempted(), error.to_string()));
    let mut variables: BTreeMap<String, SecretBytes> = BTreeMap::new();
    for source in &spec.env {
        match source {
            EnvSource::Text { name, value } => {
                variables.insert(name.clone(), SecretBytes::new(value.clone().into_bytes()));
            }
            EnvSource::Key { name, content: id, key } => {
                let value = content(id)?.entries.remove(key);
                let value = value.ok_or_else(|| unavailable(attempted(), format!("{id} has no key {key}")))?;
                variables.insert(name.clone(), value);
            }
            EnvSource::AllKeys { content: id, prefix } => {
                let entries = content(id)?.entries.into_iter();
                variables.extend(entries.map(|(key, value)| (format!("{prefix}{key}"), value)));
            }
        }
    }
    Ok(variables.into_iter().collect())
}

/// The credentials in Secrets: `username`, `password` and perhaps `server`, or a Docker `config.json`.
pub fn credentials(store: &Store, secrets: &[ContentId]) -> Result<Vec<Credentials>, EngineError> {
    let mut found = Vec::new();
    for id in secrets {
        let content =
            store.content(id).map_err(|error| unavailable("read registry credentials".into(), error.to_string()))?;
        found.extend(plain(&content));
        let config = ["config.json", ".dockerconfigjson"].iter().find_map(|key| content.entries.get(*key));
        found.extend(config.map(|config| credentials_of(config.expose())).unwrap_or_default());
    }
    Ok(found)
}

fn plain(content: &Content) -> Option<Credentials> {
    let text = |key: &str| {
        let value = content.entries.get(key)?;
        std::str::from_utf8(value.expose()).ok().map(|text| text.trim_end_matches(['\r', '\n']).to_string())
    };
    Some(Credentials {
        server: text("server").unwrap_or_default(),
        username: text("username")?,
        password: SecretBytes::new(text("password")?.into_bytes()),
    })
}

fn unavailable(attempted: String, message: String) -> EngineError {
    EngineError { attempted, message, fault: Fault::Unavailable }
}
