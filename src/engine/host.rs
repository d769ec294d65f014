//! Where the engine is: what `DOCKER_HOST` and its companions say. It connects to nothing.

use std::fmt;
use std::path::PathBuf;

use super::EngineError;
use crate::model::observed::Fault;

const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A Unix socket.
    Unix(PathBuf),
    /// Plain TCP: `host:port`.
    Tcp(String),
    /// TCP with TLS, in both directions certified.
    Tls {
        /// `host:port`.
        address: String,
        /// The directory of `ca.pem`, `cert.pem` and `key.pem`.
        certificates: PathBuf,
    },
}

impl Host {
    /// What the environment says, as for the docker command: `DOCKER_HOST`, `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`.
    pub fn from_env() -> Result<Host, EngineError> {
        Host::from_variables(environment).map_err(|message| EngineError {
            attempted: "find the Docker Engine".into(),
            message,
            fault: Fault::Unavailable,
        })
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Host, String> {
        let Some(host) = variable("DOCKER_HOST") else {
            return Ok(Host::Unix(DEFAULT_SOCKET.into()));
        };
        let secured = variable("DOCKER_TLS_VERIFY").is_some();
        let certificates = || {
            let configuration = || docker_config_of(&variable);
            variable("DOCKER_CERT_PATH")
                .map(PathBuf::from)
                .or_else(configuration)
                .ok_or("DOCKER_TLS_VERIFY is set, but neither DOCKER_CERT_PATH nor HOME says where certificates are")
        };
        match host.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Host::Unix(path.into())),
            Some(("tcp" | "https", rest)) if secured => {
                Ok(Host::Tls { address: address(rest, 2376)?, certificates: certificates()? })
            }
            Some(("https", rest)) => Ok(Host::Tls { address: address(rest, 2376)?, certificates: certificates()? }),
            Some(("tcp" | "http", rest)) => Ok(Host::Tcp(address(rest, 2375)?)),
            _ => Err(format!(
                "DOCKER_HOST is '{host}', which is none of unix:///PATH, tcp://HOST:PORT and https://HOST:PORT"
            )),
        }
    }
}

/// Where the docker command keeps its certificates and registry credentials: `DOCKER_CONFIG`, or `.docker` at home.
pub(super) fn docker_config() -> Option<PathBuf> {
    docker_config_of(&environment)
}

fn docker_config_of(variable: &impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".docker"));
    variable("DOCKER_CONFIG").map(PathBuf::from).or_else(home)
}

/// As for the docker command, an empty variable is none.
#[allow(clippy::disallowed_methods, reason = "where the engine is, is the environment's to say, as for docker")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// `host:port` of the rest of an address, with the port that the docker command would use when there is none.
fn address(rest: &str, default_port: u16) -> Result<String, String> {
    let authority = rest.trim_end_matches('/');
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match authority {
        "" => Err("DOCKER_HOST names no host".into()),
        _ if authority.contains(['/', '@', '?']) => Err("DOCKER_HOST has more than a host and a port".into()),
        _ if has_port => Ok(authority.to_owned()),
        _ => Ok(format!("{authority}:{default_port}")),
    }
}

/// As in `DOCKER_HOST`.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Unix(path) => write!(f, "unix://{}", path.display()),
            Host::Tcp(address) | Host::Tls { address, .. } => write!(f, "tcp://{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(variables: &[(&str, &str)]) -> Result<Host, String> {
        Host::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_default_is_the_usual_socket() {
        assert_eq!(host(&[]).unwrap().to_string(), "unix:///var/run/docker.sock");
    }

    #[test]
    fn docker_host_names_a_socket_or_a_port() {
        assert_eq!(host(&[("DOCKER_HOST", "unix:///run/x.sock")]), Ok(Host::Unix("/run/x.sock".into())));
        assert_eq!(host(&[("DOCKER_HOST", "tcp://10.0.0.1:2375")]), Ok(Host::Tcp("10.0.0.1:2375".into())));
        assert_eq!(host(&[("DOCKER_HOST", "tcp://box")]), Ok(Host::Tcp("box:2375".into())));
    }

    #[test]
    fn tls_takes_its_certificates_from_the_path_given_or_the_home() {
        let tls = |path: &str| Host::Tls { address: "box:2376".into(), certificates: path.into() };
        let base = [("DOCKER_HOST", "tcp://box:2376"), ("DOCKER_TLS_VERIFY", "1"), ("HOME", "/root")];
        assert_eq!(host(&base), Ok(tls("/root/.docker")));
        assert_eq!(host(&[&base[..], &[("DOCKER_CERT_PATH", "/certs")]].concat()), Ok(tls("/certs")));
        assert!(host(&base[..2]).unwrap_err().contains("DOCKER_CERT_PATH"));
    }

    #[test]
    fn what_cannot_be_reached_is_said_at_once() {
        for wrong in ["ssh://box", "box:2375", "unix://relative", "tcp://", "tcp://a/b", "tcp://me:secret@box"] {
            let message = host(&[("DOCKER_HOST", wrong)]).unwrap_err();
            assert!(message.contains("DOCKER_HOST"), "{wrong}: {message}");
        }
    }
}
