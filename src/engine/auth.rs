//! Which credentials go to which registry: those that were handed over, then those of `~/.docker/config.json` and its
//! helpers. The engine itself never reads that file. No credential is ever part of a message.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use bollard::auth::DockerCredentials;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;

use super::reference::{DOCKER_HUB, Reference};
use super::{Credentials, EngineError, Logins};
use crate::model::secret::{Login, REDACTED, SHORTEST, SecretBytes};

/// Docker Hub's name in files that the docker command writes.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
/// How long a credential helper may think.
const HELPER_LIMIT: Duration = Duration::from_secs(15);
/// The most that is read of a configuration file or of a helper's answer.
const READ_MAX: usize = 1 << 20;

/// What to try with a registry, in order.
#[derive(Default)]
pub(super) struct Candidates {
    /// Credentials; when there are none, the registry is asked without.
    pub(super) credentials: Vec<DockerCredentials>,
    /// What kept others from being found, for people.
    pub(super) trouble: Option<String>,
}

impl From<Candidates> for Logins {
    fn from(Candidates { credentials, trouble }: Candidates) -> Self {
        let secret = |text: String| SecretBytes::new(text.into_bytes());
        let login = |found: DockerCredentials| match found {
            DockerCredentials { identitytoken: Some(token), .. } => Some(Login::Token(secret(token))),
            DockerCredentials { username: Some(username), password: Some(password), .. } => {
                Some(Login::Password { username, password: secret(password) })
            }
            _ => None,
        };
        Logins { logins: credentials.into_iter().filter_map(login).collect(), trouble }
    }
}

/// The secrets of some credentials, to keep them out of what engines and registries say: those of the host are no Secret's.
pub(super) struct Unsaid(Vec<String>);

impl Unsaid {
    /// Those of these credentials.
    pub(super) fn of<'a>(credentials: impl IntoIterator<Item = &'a DockerCredentials>) -> Self {
        let secrets = |found: &DockerCredentials| [found.password.clone(), found.identitytoken.clone()];
        let secrets = credentials.into_iter().flat_map(secrets).flatten();
        Self(secrets.filter(|secret| secret.len() >= SHORTEST).collect())
    }

    /// The error without them.
    pub(super) fn clean(&self, error: EngineError) -> EngineError {
        let message = self.0.iter().fold(error.message, |message, secret| message.replace(secret.as_str(), REDACTED));
        EngineError { message, ..error }
    }
}

/// The credentials for an image's registry; `docker_config` is where the docker command keeps its own.
pub(super) async fn candidates(image: &str, handed_over: &[Credentials], docker_config: Option<&Path>) -> Candidates {
    let Some(registry) = Reference::parse(image).map(|reference| reference.registry()) else {
        return Candidates::default();
    };
    let named = handed_over.iter().filter(|given| !given.server.is_empty() && host(&given.server) == registry);
    let for_any = handed_over.iter().filter(|given| given.server.is_empty());
    let mut credentials: Vec<_> = named.chain(for_any).filter_map(|given| plain(registry, given)).collect();
    match configured(registry, docker_config).await {
        Ok(found) => {
            credentials.extend(found);
            Candidates { credentials, trouble: None }
        }
        Err(trouble) => Candidates { credentials, trouble: Some(trouble) },
    }
}

/// The credentials for all registries, by the names that a build knows them by: which of them it begins with is written in its
/// Dockerfile. One that is for any registry is for none here.
pub(super) async fn all(
    handed_over: &[Credentials],
    docker_config: Option<&Path>,
) -> BTreeMap<String, DockerCredentials> {
    let mut found = BTreeMap::new();
    // What keeps others from being found is told by the registry that refuses.
    if let Ok(Some(config)) = read_config(docker_config).await {
        for server in config.auths.keys().chain(config.cred_helpers.keys()) {
            if let Ok(Some(credentials)) = config.credentials(host(server)).await {
                found.insert(server_address(host(server)), credentials);
            }
        }
    }
    let named = handed_over.iter().filter(|given| !given.server.is_empty());
    for given in named {
        let registry = host(&given.server);
        found.extend(plain(registry, given).map(|credentials| (server_address(registry), credentials)));
    }
    found
}

fn plain(registry: &str, given: &Credentials) -> Option<DockerCredentials> {
    let password = std::str::from_utf8(given.password.expose()).ok()?;
    Some(with_password(registry, &given.username, password))
}

fn with_password(registry: &str, username: &str, password: &str) -> DockerCredentials {
    DockerCredentials {
        username: Some(username.to_owned()),
        password: Some(password.to_owned()),
        serveraddress: Some(server_address(registry)),
        ..DockerCredentials::default()
    }
}

fn with_token(registry: &str, token: String) -> DockerCredentials {
    DockerCredentials {
        identitytoken: Some(token),
        serveraddress: Some(server_address(registry)),
        ..DockerCredentials::default()
    }
}

fn server_address(registry: &str) -> String {
    if registry == DOCKER_HUB { DOCKER_HUB_KEY.into() } else { registry.into() }
}

/// The host of a registry, however it was written: `https://index.docker.io/v1/` is `docker.io`.
fn host(server: &str) -> &str {
    let rest = server.strip_prefix("https://").or(server.strip_prefix("http://")).unwrap_or(server);
    match rest.split('/').next().unwrap_or(rest) {
        "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => DOCKER_HUB,
        host => host,
    }
}

// ---- ~/.docker/config.json ----

/// The host's own logins for registries, as far as they can be read. It holds none of them.
pub struct HostLogins {
    /// The docker command's configuration; none where there is no home directory.
    pub file: Option<PathBuf>,
    /// Whether there is one for each registry that it names; or why it cannot be read.
    pub logins: Result<Vec<HostLogin>, String>,
}

/// Whether there is a login for a registry.
pub struct HostLogin {
    /// The registry.
    pub registry: String,
    /// Whether there is one, or why it cannot be had.
    pub found: Result<bool, String>,
}

/// Looks for the host's own logins, and asks its credential helpers for them.
pub async fn host_logins() -> HostLogins {
    logins_in(super::host::docker_config().as_deref()).await
}

async fn logins_in(directory: Option<&Path>) -> HostLogins {
    let file = directory.map(|directory| directory.join("config.json"));
    let config = match read_config(directory).await {
        Ok(config) => config.unwrap_or_default(),
        Err(why) => return HostLogins { file, logins: Err(why) },
    };
    let named: BTreeSet<&str> =
        config.auths.keys().chain(config.cred_helpers.keys()).map(|server| host(server)).collect();
    let mut logins = Vec::new();
    for registry in named {
        let found = config.credentials(registry).await.map(|found| found.is_some());
        logins.push(HostLogin { registry: registry.to_owned(), found });
    }
    HostLogins { file, logins: Ok(logins) }
}

/// The parts of the docker command's configuration that hold credentials. No `Debug`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DockerConfig {
    auths: BTreeMap<String, Auth>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase", default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

/// The user names and passwords in the text of a Docker `config.json`; none if it is not one.
pub fn credentials_of(config: &[u8]) -> Vec<Credentials> {
    let config: DockerConfig = serde_json::from_slice(config).unwrap_or_default();
    let found = config.auths.iter().filter_map(|(server, auth)| {
        let login = auth.read(host(server))?;
        let (username, password) = (login.username?, login.password?);
        Some(Credentials { server: server.clone(), username, password: SecretBytes::new(password.into_bytes()) })
    });
    found.collect()
}

async fn configured(registry: &str, directory: Option<&Path>) -> Result<Option<DockerCredentials>, String> {
    match read_config(directory).await? {
        Some(config) => config.credentials(registry).await,
        None => Ok(None),
    }
}

async fn read_config(directory: Option<&Path>) -> Result<Option<DockerConfig>, String> {
    let Some(directory) = directory else { return Ok(None) };
    let path = directory.join("config.json");
    let text = match tokio::fs::read(&path).await {
        Ok(text) if text.len() <= READ_MAX => text,
        Ok(_) => return Err(format!("{} is too large", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
    };
    // The parser's words could quote the file, so only the place is told.
    let config = serde_json::from_slice(&text)
        .map_err(|error| format!("{} is not valid (line {})", path.display(), error.line()))?;
    Ok(Some(config))
}

impl DockerConfig {
    async fn credentials(&self, registry: &str) -> Result<Option<DockerCredentials>, String> {
        let helper = self.cred_helpers.iter().find(|(server, _)| host(server) == registry).map(|(_, helper)| helper);
        if let Some(helper) = helper.or(self.creds_store.as_ref()).filter(|helper| !helper.is_empty())
            && let Some(found) = ask_helper(helper, registry).await?
        {
            return Ok(Some(found));
        }
        Ok(self.auths.iter().find(|(server, _)| host(server) == registry).and_then(|(_, auth)| auth.read(registry)))
    }
}

impl Auth {
    fn read(&self, registry: &str) -> Option<DockerCredentials> {
        if let Some(token) = self.identitytoken.clone().filter(|token| !token.is_empty()) {
            return Some(with_token(registry, token));
        }
        if let (Some(username), Some(password)) = (&self.username, &self.password) {
            return Some(with_password(registry, username, password));
        }
        let decoded = base64::engine::general_purpose::STANDARD.decode(self.auth.as_ref()?.trim()).ok()?;
        let decoded = String::from_utf8(decoded).ok()?;
        let (username, password) = decoded.split_once(':')?;
        Some(with_password(registry, username, password.trim_end_matches('\0')))
    }
}

// ---- docker-credential-NAME ----

/// A helper's answer. No `Debug`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// None when the helper knows nothing of that registry.
async fn ask_helper(helper: &str, registry: &str) -> Result<Option<DockerCredentials>, String> {
    let program = format!("docker-credential-{helper}");
    if !helper.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        return Err("the name of the credential helper in config.json is not a program's name".into());
    }
    let answer = tokio::time::timeout(HELPER_LIMIT, run(&program, &server_address(registry))).await;
    let answer = answer.map_err(|_| format!("{program} did not answer within {} s", HELPER_LIMIT.as_secs()))?;
    let Some(answer) = answer.map_err(|error| format!("{program} cannot be run: {error}"))? else { return Ok(None) };
    let answer: Answer = serde_json::from_slice(&answer).map_err(|_| format!("{program} gave no valid answer"))?;
    Ok(Some(match answer.username.as_str() {
        "<token>" => with_token(registry, answer.secret),
        username => with_password(registry, username, &answer.secret),
    }))
}

/// Its standard output; none when it says that it has nothing, by failing.
async fn run(program: &str, input: &str) -> std::io::Result<Option<Vec<u8>>> {
    let mut child = tokio::process::Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that answers without reading closes the pipe; its answer counts.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output = child.wait_with_output().await?;
    Ok((output.status.success() && output.stdout.len() <= READ_MAX).then_some(output.stdout))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::SecretBytes;

    fn config(text: &str) -> DockerConfig {
        serde_json::from_str(text).unwrap()
    }

    fn given(server: &str, username: &str) -> Credentials {
        Credentials { server: server.into(), username: username.into(), password: SecretBytes::new(b"p".to_vec()) }
    }

    #[test]
    fn a_secret_with_a_docker_configuration_gives_its_logins() {
        let found = credentials_of(br#"{"auths": {"registry.example:5000": {"auth": "bWU6c2VjcmV0"}}}"#);
        let [login] = &found[..] else { panic!("{} logins", found.len()) };
        assert_eq!((login.server.as_str(), login.username.as_str()), ("registry.example:5000", "me"));
        assert_eq!(login.password.expose(), b"secret");
        assert!(credentials_of(b"no json").is_empty());
    }

    #[tokio::test]
    async fn auths_are_found_however_the_registry_is_written() {
        // user:pass and user:p:q
        let config = config(
            r#"{"auths": {"https://index.docker.io/v1/": {"auth": "dXNlcjpwYXNz"}, "ghcr.io": {"auth": "dXNlcjpwOnE="},
                "https://r.example:5000/v2/": {"identitytoken": "T"}, "empty": {}}}"#,
        );
        let hub = config.credentials("docker.io").await.unwrap().unwrap();
        assert_eq!((hub.username.as_deref(), hub.password.as_deref()), (Some("user"), Some("pass")));
        assert_eq!(hub.serveraddress.as_deref(), Some(DOCKER_HUB_KEY));
        assert_eq!(config.credentials("ghcr.io").await.unwrap().unwrap().password.as_deref(), Some("p:q"));
        let token = config.credentials("r.example:5000").await.unwrap().unwrap();
        assert_eq!((token.identitytoken.as_deref(), token.password), (Some("T"), None));
        assert!(config.credentials("empty").await.unwrap().is_none());
        assert!(config.credentials("elsewhere").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_helper_that_is_not_there_is_told_without_a_crash() {
        let config = config(r#"{"credHelpers": {"ghcr.io": "no-such-helper"}, "credsStore": "../evil"}"#);
        assert!(config.credentials("ghcr.io").await.err().unwrap().contains("docker-credential-no-such-helper"));
        assert!(config.credentials("other").await.err().unwrap().contains("not a program's name"));
    }

    #[tokio::test]
    async fn a_build_gets_those_of_every_registry_that_is_named() {
        let dir = tempfile::tempdir().unwrap();
        // user:pass
        let config = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "dXNlcjpwYXNz"}, "ghcr.io": {"auth": "dXNlcjpwYXNz"}}}"#;
        std::fs::write(dir.path().join("config.json"), config).unwrap();
        let found = all(&[given("", "any"), given("https://ghcr.io", "ours")], Some(dir.path())).await;
        let users: Vec<_> = found.iter().map(|(server, login)| (server.as_str(), login.username.as_deref())).collect();
        assert_eq!(users, [("ghcr.io", Some("ours")), (DOCKER_HUB_KEY, Some("user"))]);
        assert!(all(&[], None).await.is_empty());
    }

    #[tokio::test]
    async fn it_is_said_which_registries_have_a_login_and_which_cannot_be_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let config = r#"{"auths": {"ghcr.io": {"auth": "dXNlcjpwYXNz"}, "empty": {}}, "credHelpers": {"ecr": "no-such-helper"}}"#;
        std::fs::write(dir.path().join("config.json"), config).unwrap();
        let found = logins_in(Some(dir.path())).await.logins.unwrap();
        let told: Vec<_> = found.iter().map(|one| (one.registry.as_str(), one.found.clone().ok())).collect();
        assert_eq!(told, [("ecr", None), ("empty", Some(false)), ("ghcr.io", Some(true))]);
        std::fs::write(dir.path().join("config.json"), "{\"auths\": dXNlcjpwYXNz").unwrap();
        let why = logins_in(Some(dir.path())).await.logins.err().unwrap();
        assert!(why.ends_with("is not valid (line 1)"), "{why}");
        assert!(logins_in(None).await.logins.unwrap().is_empty());
    }

    #[tokio::test]
    async fn handed_over_credentials_go_to_their_own_registry_only() {
        let handed_over = [given("", "any"), given("https://ghcr.io", "right"), given("evil.example", "wrong")];
        let found = candidates("ghcr.io/acme/web:1", &handed_over, None).await.credentials;
        let users: Vec<_> = found.iter().filter_map(|found| found.username.as_deref()).collect();
        assert_eq!(users, ["right", "any"]);
    }
}
