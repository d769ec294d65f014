//! Settings of the daemon and the offline commands: flags, then the configuration file, then defaults.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::args::{DEFAULT_CONFIG, DEFAULT_POLICY, DEFAULT_SOCKET, DEFAULT_STATE_DIR, SetupArgs};
use super::failure::{Exit, Failure};
use super::logging::LogFormat;
use super::notifications::{self, ConfigReceiver};
use crate::engine::Host;
use crate::manifest::{self, Source};
use crate::model::desired;
use crate::model::image::CleanUp;
use crate::model::name::Name;
use crate::model::policy::Guarded;
use crate::model::quantity::Memory;
use crate::model::time::Span;
use crate::notification::Receiver;
use crate::reconciler::Setup;
use crate::reconciler::rules::Place;

/// Where `/metrics` is served unless it is told otherwise.
const DEFAULT_METRICS_LISTEN: &str = "127.0.0.1:9790";

/// The configuration file of the daemon.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct ConfigFile {
    /// Directories of manifests.
    sources: Vec<ConfigSource>,
    /// Whose containers these are. Default: evenkeel.
    instance: Option<Name>,
    /// The range that networks take their subnets from. Default: 10.201.0.0/16.
    subnet_pool: Option<String>,
    /// How much of the disk must be free before an image is pulled, such as 2Gi; 0 for never mind. Default: 5 % of the file
    /// system of the engine's data root, at most 4Gi.
    min_free_disk: Option<Memory>,
    /// What becomes of images that nothing needs any more.
    images: ConfigImages,
    /// Where history is kept. Default: /var/lib/evenkeel.
    state_dir: Option<PathBuf>,
    /// What the containers of each namespace may have. Default: /etc/evenkeel/policy.yaml, if it is there.
    policy: Option<PathBuf>,
    /// The socket for the command line. Default: /run/evenkeel/evenkeel.sock.
    socket: Option<PathBuf>,
    /// The group that may use the socket, by name or number. Default: the daemon's own.
    socket_group: Option<String>,
    /// Where /metrics, /healthz and /readyz are served, or `off`. Default: 127.0.0.1:9790.
    metrics_listen: Option<String>,
    /// How the log is written: text or json. Default: text.
    log_format: Option<LogFormat>,
    /// What is logged: error, warn, info, debug or trace. Default: info.
    log_level: Option<String>,
    /// Webhooks that are told what comes of rollouts, Jobs and trouble.
    notifications: Vec<ConfigReceiver>,
}

/// What becomes of images that nothing needs any more.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct ConfigImages {
    /// Whether images are removed that Evenkeel itself has pulled, and that no container uses, no manifest asks for and no kept
    /// revision has. Default: true.
    clean_up: bool,
    /// How long nothing must have needed an image before it is removed. Default: 24h.
    grace: Span,
}

impl Default for ConfigImages {
    fn default() -> Self {
        let CleanUp { is_on, grace } = CleanUp::default();
        Self { clean_up: is_on, grace }
    }
}

/// A directory of manifests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ConfigSource {
    /// The directory; a relative one is relative to this file.
    dir: PathBuf,
    /// The namespace of its manifests. Default: what each of them names.
    namespace: Option<Name>,
    /// Variables for `${NAME}`; they win over those of a Namespace.
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
    /// The group that may connect there, if another than the daemon's own.
    pub socket_group: Option<String>,
    /// Where `/metrics` is served, or `off`.
    pub metrics_listen: String,
    /// How the log is written, if the file says so.
    pub log_format: Option<LogFormat>,
    /// What is logged, if the file says so.
    pub log_level: Option<String>,
    /// Who is told what comes of it.
    pub receivers: Vec<Receiver>,
}

impl Settings {
    /// The same; where neither a source nor a file is named, those of the file that the service reads, if it is there.
    pub fn found(args: &SetupArgs) -> Result<Self, Failure> {
        Self::found_at(args, Path::new(DEFAULT_CONFIG))
    }

    fn found_at(args: &SetupArgs, file: &Path) -> Result<Self, Failure> {
        let is_named = args.config.is_some() || !args.source.is_empty();
        // One that is not there is no configuration; one that may not be read is an error, and no reason to do something else.
        match is_named || matches!(file.try_exists(), Ok(false)) {
            true => Self::read(args),
            false => Self::read(&SetupArgs { config: Some(file.into()), ..args.clone() }),
        }
    }

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
        let state_dir = args.state_dir.clone().or(file.state_dir).unwrap_or_else(|| DEFAULT_STATE_DIR.into());
        let socket = file.socket.unwrap_or_else(|| DEFAULT_SOCKET.into());
        let asked_for = args.policy.clone().or(file.policy);
        let sources = sources(args, file.sources, base);
        refuse_twice(&sources)?;
        let config = args.config.as_deref().unwrap_or(Path::new(""));
        let receivers = notifications::receivers(file.notifications, config, base)?;
        Ok(Self {
            setup: Setup {
                policy: Place {
                    is_required: asked_for.is_some(),
                    file: asked_for.unwrap_or_else(|| DEFAULT_POLICY.into()),
                    guarded: guarded(&state_dir, &socket),
                },
                settings: desired::Settings {
                    instance: args.instance.clone().or(file.instance).unwrap_or(defaults.instance),
                    subnet_pool,
                    min_free_disk: file.min_free_disk.map(|size| size.0),
                    images: CleanUp { is_on: file.images.clean_up, grace: file.images.grace },
                },
                sources,
                state_dir,
            },
            socket,
            socket_group: file.socket_group,
            metrics_listen: file.metrics_listen.unwrap_or_else(|| DEFAULT_METRICS_LISTEN.into()),
            log_format: file.log_format,
            log_level: file.log_level,
            receivers,
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

/// Places of Evenkeel and the engine that no general exception of a policy means.
fn guarded(state_dir: &Path, socket: &Path) -> Vec<Guarded> {
    let state = Guarded { path: text(state_dir), what: "Evenkeel's history and secrets".into(), is_socket: false };
    let engine = match Host::from_env() {
        Ok(Host::Unix(path)) => {
            Some(Guarded { path: text(&path), what: "the engine's socket".into(), is_socket: true })
        }
        Ok(Host::Tcp(_) | Host::Tls { .. }) | Err(_) => None,
    };
    [state, own_socket(socket)].into_iter().chain(engine).collect()
}

/// Whoever has the socket commands the daemon.
pub fn own_socket(socket: &Path) -> Guarded {
    Guarded { path: text(socket), what: "Evenkeel's own socket".into(), is_socket: true }
}

fn text(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()).display().to_string()
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

/// The same source twice would clash with itself in every object.
fn refuse_twice(sources: &[Source]) -> Result<(), Failure> {
    let real = |source: &Source| std::fs::canonicalize(&source.dir).unwrap_or_else(|_| source.dir.clone());
    for (index, source) in sources.iter().enumerate() {
        let same = |other: &&Source| other.namespace == source.namespace && real(other) == real(source);
        if let Some(other) = sources[..index].iter().find(same) {
            let mut message = format!("the source {} is given twice", source.dir.display());
            if other.dir != source.dir {
                message.push_str(&format!(", also as {}", other.dir.display()));
            }
            return Err(Failure::new(message).hint("give it once, or each time with another =NAMESPACE"));
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<ConfigFile, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?;
    manifest::settings::read(&path.display().to_string(), &text).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::new(format!("the configuration is invalid\n{}", problems.join("\n"))).exit(Exit::Invalid)
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
    use crate::notification::{Format, Place, Wish};

    fn read(text: &str) -> (tempfile::TempDir, Result<Settings, Failure>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("evenkeel.yaml");
        std::fs::write(&path, text).unwrap();
        let settings = Settings::read(&SetupArgs { config: Some(path), ..SetupArgs::default() });
        (dir, settings)
    }

    #[test]
    fn the_file_wins_over_defaults_and_its_directories_are_relative_to_it() {
        let text = "instance: one\nminFreeDisk: 2Gi\nimages: {grace: 1h}\nsources:\n- dir: shop\n  namespace: shop\n  variables: {TAG: '1.4'}\nlogFormat: json\n";
        let (dir, settings) = read(text);
        let settings = settings.unwrap();
        let source = &settings.setup.sources[0];
        assert_eq!(source.dir, dir.path().join("shop"));
        assert_eq!(source.variables["TAG"], "1.4");
        assert_eq!(settings.setup.settings.instance.as_str(), "one");
        assert_eq!(settings.setup.settings.subnet_pool, "10.201.0.0/16");
        assert_eq!(settings.setup.settings.min_free_disk, Some(2 << 30));
        assert_eq!(settings.setup.settings.images, CleanUp { is_on: true, grace: Span::secs(3600) });
        assert_eq!(settings.log_format, Some(LogFormat::Json));
    }

    #[test]
    fn the_file_of_the_service_counts_where_nothing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("evenkeel.yaml");
        let sources = |args: &SetupArgs| Settings::found_at(args, &path).unwrap().setup.sources.len();
        assert_eq!(sources(&SetupArgs::default()), 0, "there is none");
        std::fs::write(&path, "sources: [{dir: a}, {dir: b}]\n").unwrap();
        assert_eq!(sources(&SetupArgs::default()), 2);
        let source = super::super::args::parse_source("/flag").unwrap();
        assert_eq!(sources(&SetupArgs { source: vec![source], ..SetupArgs::default() }), 1);
        let other = dir.path().join("other.yaml");
        std::fs::write(&other, "").unwrap();
        assert_eq!(sources(&SetupArgs { config: Some(other), ..SetupArgs::default() }), 0);
    }

    #[test]
    fn flags_win_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("evenkeel.yaml");
        std::fs::write(&path, "stateDir: /file\nsources: [{dir: /file}]\n").unwrap();
        let source = super::super::args::parse_source("/flag=shop").unwrap();
        let state_dir = Some("/flag".into());
        let args = SetupArgs { config: Some(path), source: vec![source], state_dir, ..SetupArgs::default() };
        let setup = Settings::read(&args).unwrap().setup;
        assert_eq!(setup.state_dir, PathBuf::from("/flag"));
        assert_eq!(setup.sources.len(), 1);
        assert_eq!(setup.sources[0].dir, PathBuf::from("/flag"));
    }

    #[test]
    fn a_source_is_given_once_unless_its_namespaces_differ() {
        let (dir, settings) = read("sources: [{dir: ., namespace: a}, {dir: ., namespace: b}]\n");
        assert_eq!(settings.unwrap().setup.sources.len(), 2);
        drop(dir);
        let (_dir, settings) = read("sources: [{dir: /proc}, {dir: /proc/../proc}]\n");
        let message = settings.unwrap_err().message;
        assert_eq!(message, "the source /proc/../proc is given twice, also as /proc");
    }

    #[test]
    fn an_empty_file_changes_nothing() {
        let (_dir, settings) = read("# nothing yet\n");
        assert_eq!(settings.unwrap().metrics_listen, DEFAULT_METRICS_LISTEN);
    }

    #[test]
    fn every_mistake_in_the_file_is_reported_with_its_place() {
        let (dir, settings) = read("sorces: []\nlogFormat: xml\n");
        let failure = settings.unwrap_err();
        assert_eq!(failure.exit, Exit::Invalid);
        insta::assert_snapshot!(failure.message.replace(&dir.path().display().to_string(), "[dir]"), @r"
        the configuration is invalid
        [dir]/evenkeel.yaml:1:1: error: this file has no field 'sorces'
         1 | sorces: []
           | ^^^^^^
        hint: did you mean 'sources'?
        [dir]/evenkeel.yaml:2:12: error: logFormat cannot be the text 'xml'
         2 | logFormat: xml
           |            ^^^
        hint: it is one of: text, json
        ");
    }

    #[test]
    fn receivers_are_read_and_their_files_are_relative_to_the_file() {
        let text = "notifications:\n- {name: ops, urlFile: url, headersFile: /headers, format: slack, on: all}\n- {name: log, url: 'http://127.0.0.1:1/x'}\n";
        let (dir, settings) = read(text);
        let receivers = settings.unwrap().receivers;
        assert!(matches!(&receivers[0].place, Place::File(file) if *file == dir.path().join("url")));
        assert_eq!(receivers[0].headers_file, Some("/headers".into()));
        assert_eq!((receivers[0].format, receivers[0].wish), (Format::Slack, Wish::All));
        assert_eq!((receivers[1].format, receivers[1].wish), (Format::Json, Wish::Failures));
    }

    #[test]
    fn no_mistake_about_a_receiver_shows_its_url() {
        let url = "https://hooks.example/T0/s3cret";
        let mut said = String::new();
        for wrong in [
            format!("notifications: [{{name: ops, url: {url}, fromat: slack}}]"),
            format!("notifications:\n- name: ops\n  url: {url}\n  on: sometimes"),
            format!("notifications:\n- {url}"),
            format!("notifications: {url}"),
            format!("notifcations: [{{name: ops, url: {url}}}]"),
            format!("notifications:\n- name: ops\n  url: [{url}]"),
            format!("notifications:\n- name: ops\n  url: '{url}\n"),
            format!("notifications:\n- name: ops\n  format: {url}"),
            format!("{{notifications: [{{name: ops,\n  url: {url}, on: x}}]}}"),
            format!("notifications: [{{name: ops, url: {url}, urlFile: x}}]"),
            format!("notifications: [{{name: ops, url: {url} and more}}]"),
            format!("notifications: [{{name: ops, url: {}}}]", &url[8..]),
            format!("notifications: [{{name: ops, url: {url}}}, {{name: ops, url: {url}}}]"),
            "notifications: [{name: ops}]".into(),
        ] {
            let (dir, settings) = read(&wrong);
            let failure = settings.unwrap_err();
            assert_eq!(failure.exit, Exit::Invalid, "{wrong}");
            said += &format!("{failure}\n\n").replace(&dir.path().display().to_string(), "[dir]");
        }
        assert!(!said.contains("s3cret"), "{said}");
        insta::assert_snapshot!(said, @r"
        error: the configuration is invalid
        [dir]/evenkeel.yaml:1:67: error: notifications[0] has no field 'fromat'
         1 | notifications: …
           |                 ^
        hint: did you mean 'format'?

        error: the configuration is invalid
        [dir]/evenkeel.yaml:4:7: error: notifications[0].on cannot be a text
         4 |   on: …
           |       ^
        hint: it is one of: failures, all

        error: the configuration is invalid
        [dir]/evenkeel.yaml:2:3: error: notifications[0] must be {name}, not a text
         2 | …
           |  ^

        error: the configuration is invalid
        [dir]/evenkeel.yaml:1:16: error: notifications must be a list, not a text
         1 | notifications: …
           |                ^

        error: the configuration is invalid
        [dir]/evenkeel.yaml:1:1: error: this file has no field 'notifcations'
         1 | notifcations: …
           | ^^^^^^^^^^^^
        hint: did you mean 'notifications'?

        error: the configuration is invalid
        [dir]/evenkeel.yaml:3:8: error: notifications[0].url must be text, not a list
         3 |   url: …
           |        ^

        error: the configuration is invalid
        [dir]/evenkeel.yaml:4:1: error: not valid YAML: invalid indentation in multiline quoted scalar
         4 | …
           | ^

        error: the configuration is invalid
        [dir]/evenkeel.yaml:3:11: error: notifications[0].format cannot be a text
         3 |   format: …
           |           ^
        hint: it is one of: json, slack

        error: the configuration is invalid
        [dir]/evenkeel.yaml:2:45: error: notifications[0].on cannot be a text
         2 |   url: …
           |         ^
        hint: it is one of: failures, all

        error: [dir]/evenkeel.yaml: notifications[0] (ops): url and urlFile exclude each other
        hint: keep urlFile: a URL usually holds a secret

        error: [dir]/evenkeel.yaml: notifications[0] (ops): url: one URL is expected, and nothing else
        hint: write https://HOST/…, or a urlFile

        error: [dir]/evenkeel.yaml: notifications[0] (ops): url: this is not a URL
        hint: write https://HOST/…, or a urlFile

        error: [dir]/evenkeel.yaml: notifications[1] (ops): this name is given twice
        hint: give each receiver a name of its own

        error: [dir]/evenkeel.yaml: notifications[0] (ops): where it is to be told is missing
        hint: write urlFile: /etc/evenkeel/webhook-url
        ");
    }

    #[test]
    fn a_subnet_pool_is_a_range() {
        assert!(check_pool("10.201.0.0/16").is_ok());
        for wrong in ["10.201.0.0", "10.201.0.1/16", "10.201.0.0/30", "fd00::/48", "x/16", "10.0.0.0/7"] {
            assert!(check_pool(wrong).is_err(), "{wrong}");
        }
    }
}
