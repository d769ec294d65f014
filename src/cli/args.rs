//! Arguments that several subcommands share, and how their text is understood.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::model::name::{Instance, Name};
use crate::model::time::Span;

/// Where the daemon listens unless it is told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/evenkeel/evenkeel.sock";

/// Where the daemon keeps its history unless it is told otherwise.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/evenkeel";

/// Where the policy is unless it is told otherwise; there need not be one.
pub const DEFAULT_POLICY: &str = "/etc/evenkeel/policy.yaml";

/// The configuration file of the service; there need not be one.
pub const DEFAULT_CONFIG: &str = "/etc/evenkeel/evenkeel.yaml";

/// A directory of manifests, as `DIR` or `DIR=NAMESPACE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceArg {
    /// The directory.
    pub dir: PathBuf,
    /// The one namespace that its manifests may be in, whether they name it or none.
    pub namespace: Option<Name>,
}

/// Understands `DIR` and `DIR=NAMESPACE`. What follows the last `=` is part of the path if there is a `/` in it.
pub fn parse_source(text: &str) -> Result<SourceArg, String> {
    let (dir, namespace) = match text.rsplit_once('=') {
        Some((dir, namespace)) if !namespace.contains('/') => (dir, Some(Name::new(namespace)?)),
        _ => (text, None),
    };
    if dir.is_empty() {
        return Err("the directory is missing: write DIR or DIR=NAMESPACE".into());
    }
    Ok(SourceArg { dir: dir.into(), namespace })
}

/// A name of an object or namespace.
pub fn parse_name(text: &str) -> Result<Name, String> {
    Name::new(text)
}

/// A span of time: `10s`, `1m 30s`.
pub fn parse_span(text: &str) -> Result<Span, String> {
    Span::try_from(text.to_string())
}

/// What the daemon and the offline commands work on.
#[derive(Debug, Clone, Default, Args)]
pub struct SetupArgs {
    /// A directory of manifests; may be given several times. With =NAMESPACE its manifests are in that namespace
    /// unless they name one.
    #[arg(long, short = 's', value_name = "DIR[=NAMESPACE]", value_parser = parse_source)]
    pub source: Vec<SourceArg>,
    /// A configuration file with sources and settings; flags win over it, and --source replaces its sources [default where
    /// neither is given: /etc/evenkeel/evenkeel.yaml if it is there, or the daemon's sources].
    #[arg(long, value_name = "FILE", env = "EVENKEEL_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// Where history is kept [default: /var/lib/evenkeel].
    #[arg(long, value_name = "DIR", env = "EVENKEEL_STATE_DIR", hide_env_values = true)]
    pub state_dir: Option<PathBuf>,
    /// Whose containers these are: two instances can share one engine [default: evenkeel].
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub instance: Option<Instance>,
    /// The range that networks take their subnets from, a /24 each [default: 10.201.0.0/16].
    #[arg(long, value_name = "CIDR")]
    pub subnet_pool: Option<String>,
    /// What the containers of each namespace may have; root's file, outside of all sources. Without one they may have
    /// anything [default: /etc/evenkeel/policy.yaml if it is there].
    #[arg(long, value_name = "FILE", env = "EVENKEEL_POLICY", hide_env_values = true)]
    pub policy: Option<PathBuf>,
}

/// How to reach the daemon.
#[derive(Debug, Clone, Args)]
pub struct Reach {
    /// The daemon's socket.
    #[arg(long, value_name = "PATH", env = "EVENKEEL_SOCKET", hide_env_values = true, default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
}

/// Which namespace is meant.
#[derive(Debug, Clone, Default, Args)]
pub struct Scope {
    /// Only this namespace [default: all].
    #[arg(long, short = 'n', value_name = "NAMESPACE", value_parser = parse_name)]
    pub namespace: Option<Name>,
    /// All namespaces (the default when -n is not given).
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    pub all_namespaces: bool,
}

/// Output for machines, or for a wide screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// A table with more columns.
    Wide,
}

/// Output for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Machine {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_directory_with_or_without_a_namespace() {
        let namespace = |text: &str| parse_source(text).unwrap().namespace.map(|name| name.to_string());
        assert_eq!(namespace("/srv/app"), None);
        assert_eq!(namespace("/srv/app=staging"), Some("staging".into()));
        assert_eq!(namespace("/srv/a=b/app"), None, "an = in the middle of a path");
        assert_eq!(parse_source("/srv/a=b/app=staging").unwrap().dir, PathBuf::from("/srv/a=b/app"));
        assert!(parse_source("=staging").is_err());
        assert!(parse_source("/srv/app=Not_A_Name").is_err());
    }
}
