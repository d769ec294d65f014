//! What `deploy/` holds for a host: it names metrics and commands that there are, it installs and uninstalls what it says, and
//! the daemon tells its supervisor what the unit waits for. (tests/docker/deployed.rs has the rest: on real engines, with a real
//! Prometheus.)

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests and their helpers may")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_evenkeel");

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)
}

fn text(file: &str) -> String {
    fs::read_to_string(deploy(file)).unwrap()
}

/// Words that begin with `prefix` and go on with letters, digits and `_`.
fn words(text: &str, prefix: &str) -> BTreeSet<String> {
    let end = |rest: &str| rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    text.match_indices(prefix).map(|(at, _)| text[at..at + end(&text[at..])].to_string()).collect()
}

#[test]
fn alerts_and_dashboard_name_metrics_that_there_are() {
    let names = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/metrics/names.rs")).unwrap();
    let known: BTreeSet<String> =
        names.split('"').filter(|part| part.starts_with("evenkeel_")).map(String::from).collect();
    for file in ["alerts.yaml", "alerts.test.yaml", "dashboard.json"] {
        let named = words(&text(file), "evenkeel_");
        let base = |name: &String| {
            ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s)).unwrap_or(name).to_string()
        };
        let unknown: Vec<&String> =
            named.iter().filter(|name| !known.contains(*name) && !known.contains(&base(name))).collect();
        assert!(named.len() > 10 && unknown.is_empty(), "{file} names metrics that there are not: {unknown:?}");
    }
}

#[test]
fn each_alert_has_a_test_and_names_commands_that_there_are() {
    let (alerts, tests) = (text("alerts.yaml"), text("alerts.test.yaml"));
    for alert in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname=\"{alert}\"")), "{alert} has no test in alerts.test.yaml");
    }
    let mut commands: BTreeSet<&str> = BTreeSet::new();
    for (at, _) in alerts.match_indices(" evenkeel ") {
        let word = alerts[at + " evenkeel ".len()..].split(|c: char| !c.is_ascii_lowercase() && c != '-').next();
        // `journalctl -u evenkeel -n 50` is no command of ours.
        commands.extend(word.filter(|word| !word.starts_with('-')));
    }
    assert!(commands.len() > 5, "{commands:?}");
    for command in commands {
        let output = Command::new(BINARY).args([command, "--help"]).output().unwrap();
        assert!(output.status.success(), "alerts.yaml names `evenkeel {command}`, which is no command");
    }
}

#[test]
fn each_panel_of_the_dashboard_asks_something_and_says_what() {
    let dashboard: serde_json::Value = serde_json::from_str(&text("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert!(!panel["targets"].as_array().unwrap().is_empty(), "{}", panel["title"]);
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{}", panel["title"]);
    }
    assert!(panels.len() > 10);
}

fn run(program: &Path, args: &[&str]) -> Output {
    Command::new(program).args(args).output().unwrap()
}

/// Standard error of a command that must exit so.
#[track_caller]
fn told(output: &Output, success: bool) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.success(), success, "{}\n{text}", output.status);
    text
}

#[test]
fn what_is_installed_is_complete_is_upgraded_in_place_and_goes_again() {
    let root = tempfile::tempdir().unwrap();
    let place = |path: &str| root.path().join(path);
    let (target, sources) = (root.path().to_str().unwrap(), place("srv/shop"));
    fs::create_dir_all(&sources).unwrap();
    let source = format!("{}=shop", sources.display());
    let (install, uninstall) = (deploy("install"), deploy("uninstall"));
    let misnamed = format!("{}=My Shop", sources.display());
    let refused = told(&run(&install, &["--root", target, "--binary", BINARY, "--source", &misnamed]), false);
    assert!(refused.contains("'My Shop' is no name of a namespace"), "{refused}");
    told(&run(&install, &["--root", target, "--binary", BINARY, "--source", &source]), true);
    let installed = [
        "usr/local/bin/evenkeel",
        "etc/systemd/system/evenkeel.service",
        "usr/local/share/bash-completion/completions/evenkeel",
    ];
    installed.iter().for_each(|path| assert!(place(path).is_file(), "{path}"));
    // The configuration is one that the daemon takes, and names the source.
    let config = place("etc/evenkeel/evenkeel.yaml");
    let shown = run(Path::new(BINARY), &["validate", "--config", config.to_str().unwrap()]);
    assert!(told(&shown, false).contains("holds no manifest"), "{}", told(&shown, false));

    // Over what is there: the program is new, what the operator wrote stays.
    let own = format!("{}# mine\n", fs::read_to_string(&config).unwrap());
    fs::write(&config, &own).unwrap();
    fs::write(place(installed[0]), "an older one").unwrap();
    told(&run(&install, &["--root", target, "--binary", BINARY]), true);
    assert_eq!(fs::read_to_string(&config).unwrap(), own);
    assert_eq!(fs::read(place(installed[0])).unwrap(), fs::read(BINARY).unwrap());
    fs::write(place(installed[1]), "an older one").unwrap();
    let refused = told(&run(&install, &["--root", target, "--binary", BINARY, "--source", &source]), false);
    assert!(refused.contains("write the sources into it"), "{refused}");
    assert_eq!(fs::read_to_string(place(installed[1])).unwrap(), "an older one", "who is refused touches nothing");

    told(&run(&uninstall, &["--root", target]), true);
    installed.iter().for_each(|path| assert!(!place(path).exists(), "{path}"));
    assert!(config.exists(), "the configuration is the operator's");
    told(&run(&uninstall, &["--root", target, "--purge"]), true);
    assert!(!config.exists());
}

/// On a host whose service runs. Nothing is taken off it: every command of the script that could do so comes after the refusal.
#[test]
fn what_is_not_taken_off_while_containers_are_left_runs_again_and_the_way_out_leads_there() {
    for (docker, why) in [("echo shop.web.r1.0", "these containers are left"), ("exit 1", "the engine does not answer")]
    {
        let host = tempfile::tempdir().unwrap();
        let calls = host.path().join("calls");
        let note = format!("echo $(basename $0) $1 >>{}", calls.display());
        for (name, does) in [
            ("id", "echo 0"),
            ("docker", docker),
            ("systemctl", "[ $1 != is-active ] || echo active"),
            ("rm", "exit 1"),
        ] {
            let program = host.path().join(name);
            fs::write(&program, format!("#!/bin/sh\n{note}\n{does}\n")).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = format!("{}:/usr/bin:/bin", host.path().display());
        let refused = Command::new(deploy("uninstall")).arg("--purge").env("PATH", path).output().unwrap();
        let told = told(&refused, false);
        assert!(told.contains(why), "{told}");
        if docker != "exit 1" {
            let way_out = "systemctl stop evenkeel\n  docker rm -f shop.web.r1.0";
            assert!(told.contains(way_out), "{told}");
        }
        // What makes containers anew is stopped before anybody looks at what is left, and what ran runs again.
        let calls = fs::read_to_string(calls).unwrap();
        let expected = ["id -u", "systemctl is-active", "systemctl stop", "docker ps", "systemctl start"];
        assert_eq!(calls.lines().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_program_that_does_not_run_and_an_unknown_flag_install_nothing() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().to_str().unwrap();
    let text = told(&run(&deploy("install"), &["--root", target, "--binary", "/dev/null"]), false);
    assert!(text.contains("/dev/null does not run on this machine"), "{text}");
    let text = told(&run(&deploy("install"), &["--root", target, "--sources", "a"]), false);
    assert!(text.contains("--sources is not known"), "{text}");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn the_configuration_that_comes_with_it_lacks_nothing_but_a_source() {
    let config = deploy("evenkeel.yaml");
    let text = told(&run(Path::new(BINARY), &["run", "--config", config.to_str().unwrap()]), false);
    assert!(text.contains("no directory of manifests is named"), "{text}");
}

/// Ends it, whatever comes.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A supervisor's end of the socket, and a daemon that tells it how it is. No engine answers.
fn supervised(dir: &Path) -> (UnixDatagram, Daemon) {
    let socket = UnixDatagram::bind(dir.join("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    fs::create_dir(dir.join("source")).unwrap();
    let mut command = Command::new(BINARY);
    command.args(["run", "--metrics-listen", "off", "--source"]).arg(dir.join("source"));
    command.arg("--state-dir").arg(dir.join("state")).arg("--socket").arg(dir.join("s"));
    command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    command.env("NOTIFY_SOCKET", dir.join("notify")).env("WATCHDOG_USEC", "400000").env_remove("WATCHDOG_PID");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    (socket, Daemon(command.spawn().unwrap()))
}

/// The next messages, until one is this; the socket's own deadline ends the wait.
#[track_caller]
fn hears(socket: &UnixDatagram, wanted: impl Fn(&str) -> bool) -> String {
    let mut heard = Vec::new();
    loop {
        let mut bytes = [0; 4096];
        let length = socket.recv(&mut bytes).unwrap_or_else(|error| panic!("{error}; heard so far: {heard:?}"));
        let text = String::from_utf8_lossy(&bytes[..length]).trim().to_string();
        if wanted(&text) {
            return text;
        }
        heard.push(text);
    }
}

#[test]
fn a_supervisor_hears_that_the_daemon_is_up_how_it_is_that_it_lives_and_that_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, daemon) = supervised(dir.path());
    hears(&socket, |text| text == "READY=1");
    hears(&socket, |text| text.starts_with("STATUS=the engine does not answer"));
    hears(&socket, |text| text == "WATCHDOG=1");
    hears(&socket, |text| text == "WATCHDOG=1");
    assert!(Command::new("kill").arg(daemon.0.id().to_string()).status().unwrap().success());
    hears(&socket, |text| text == "STOPPING=1");
}
