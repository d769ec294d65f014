//! Settings of the daemon and the offline commands: flags, then the configuration file, then defaults.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::args::{DEFAULT_SOCKET, DEFAULT_STATE_DIR, SetupArgs};
use super::failure::{Exit, Failure};
use super::logging::LogFormat;
use crate::manifest::Source;
use crate::model::desired;
use crate::model::name::Name;
use crate::reconciler::Setup;

/// Where `/metrics` is served unless it is told otherwise.
const DEFAULT_METRICS_LISTEN: &str = "127.0.0.1:9790";

/// The fields of the configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct ConfigFile {
    sources: Vec<ConfigSource>,
    instance: Option<Name>,
    subnet_pool: Option<String>,
    state_dir: Option<PathBuf>,
    socket: Option<PathBuf>,
    metrics_listen: Option<String>,
    log_format: Option<LogFormat>,
    log_level: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ConfigSource {
    dir: PathBuf,
    namespace: Option<Name>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
}

/// All settings, defaults filled in.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the loop works on.
    pub setup: Setup,
    /// Where the daemon listens.
    pub socket: PathBuf,
    /// Where `/metrics` is served, or `off`.
    pub metrics_listen: String,
    /// How the log is written, if the file says so.
    pub log_format: Option<LogFormat>,
    /// What is logged, if the file says so.
    pub log_level: Option<String>,
}

impl Settings {
    /// The settings that flags and the configuration file give.
    pub fn read(args: &SetupArgs) -> Result<Self, Failure> {
        let file = match &args.config {
            Some(path) => read_file(path)?,
            None => ConfigFile::default(),
        };
        let defaults = desired::Settings::default();
        let subnet_pool = args.subnet_pool.clone().or(file.subnet_pool).unwrap_or(defaults.subnet_pool);
        check_pool(&subnet_pool)?;
        let base = args.config.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        Ok(Self {
            setup: Setup {
                settings: desired::Settings {
                    instance: args.instance.clone().or(file.instance).unwrap_or(defaults.instance),
                    subnet_pool,
                },
                sources: sources(args, file.sources, base),
                state_dir: args.state_dir.clone().or(file.state_dir).unwrap_or_else(|| DEFAULT_STATE_DIR.into()),
            },
            socket: file.socket.unwrap_or_else(|| DEFAULT_SOCKET.into()),
            metrics_listen: file.metrics_listen.unwrap_or_else(|| DEFAULT_METRICS_LISTEN.into()),
            log_format: file.log_format,
            log_level: file.log_level,
        })
    }

    /// Refuses settings that name no source.
    pub fn need_source(&self) -> Result<(), Failure> {
        if self.setup.sources.is_empty() {
            return Err(Failure::new("no directory of manifests is named")
                .hint("write --source DIR, or --config FILE with `sources`"));
        }
        Ok(())
    }
}

/// The sources of the flags; those of the file, relative to the file, when there are none.
fn sources(args: &SetupArgs, file: Vec<ConfigSource>, base: &Path) -> Vec<Source> {
    let of_flag = |source: &super::args::SourceArg| Source {
        dir: source.dir.clone(),
        namespace: source.namespace.clone(),
        variables: BTreeMap::new(),
    };
    if !args.source.is_empty() {
        return args.source.iter().map(of_flag).collect();
    }
    let of_file = |source: ConfigSource| Source {
        dir: base.join(source.dir),
        namespace: source.namespace,
        variables: source.variables,
    };
    file.into_iter().map(of_file).collect()
}

fn read_file(path: &Path) -> Result<ConfigFile, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?;
    understand(path, &text)
}

fn understand(path: &Path, text: &str) -> Result<ConfigFile, Failure> {
    let wrong = |message: String| Failure::new(message).exit(Exit::Invalid);
    let tree: serde_json::Value =
        serde_json::from_str(text).map_err(|error| wrong(format!("{}: {error}", path.display())))?;
    serde_json::from_value(tree).map_err(|error| {
        // serde names the field and those that there are: `unknown field `x`, expected one of …`.
        let text = error.to_string();
        match text.split_once(", expected") {
            Some((what, known)) => {
                wrong(format!("{}: {what}", path.display())).hint(format!("expected{}", known.replace('`', "")))
            }
            None => wrong(format!("{}: {text}", path.display())),
        }
    })
}

/// A pool is a private range from which /24s are taken.
fn check_pool(text: &str) -> Result<(), Failure> {
    let wrong = |reason: &str| {
        Failure::new(format!("the subnet pool '{text}' {reason}")).hint("write an IPv4 range such as 10.201.0.0/16")
    };
    let (address, bits) = text.split_once('/').ok_or_else(|| wrong("is not in CIDR form"))?;
    let address: Ipv4Addr = address.parse().map_err(|_| wrong("does not begin with an IPv4 address"))?;
    let bits: u32 = bits.parse().map_err(|_| wrong("does not end with a number of bits"))?;
    if !(8..=24).contains(&bits) {
        return Err(wrong("must have between 8 and 24 bits"));
    }
    if u32::from(address) & (u32::MAX >> bits) != 0 {
        return Err(wrong("has address bits beyond its prefix"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("evenkeel.yaml");
        std::fs::write(
            &path,
            r#"{"sources": [{"dir": "shop", "namespace": "shop"}], "instance": "one", "stateDir": "/s"}"#,
        )
        .unwrap();
        let mut args = SetupArgs { config: Some(path), ..SetupArgs::default() };
        let settings = Settings::read(&args).unwrap();
        assert_eq!(settings.setup.sources[0].dir, dir.path().join("shop"), "relative to the file");
        assert_eq!(settings.setup.settings.instance.as_str(), "one");
        assert_eq!(settings.setup.settings.subnet_pool, "10.201.0.0/16");
        assert_eq!(settings.setup.state_dir, PathBuf::from("/s"));
        args.state_dir = Some("/flag".into());
        assert_eq!(Settings::read(&args).unwrap().setup.state_dir, PathBuf::from("/flag"));
    }

    #[test]
    fn an_unknown_field_of_the_file_is_an_error_that_names_the_known_ones() {
        let failure = understand(Path::new("c.yaml"), r#"{"sorces": []}"#).unwrap_err();
        assert_eq!(failure.exit, Exit::Invalid);
        assert!(failure.message.contains("sorces") && failure.hint.contains("sources"), "{failure}");
    }

    #[test]
    fn a_subnet_pool_is_a_range() {
        assert!(check_pool("10.201.0.0/16").is_ok());
        for wrong in ["10.201.0.0", "10.201.0.1/16", "10.201.0.0/30", "fd00::/48", "x/16", "10.0.0.0/7"] {
            assert!(check_pool(wrong).is_err(), "{wrong}");
        }
    }
}
