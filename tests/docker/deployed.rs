//! What `deploy/` brings to a host, with the parts that it meets there: a real Prometheus that scrapes a live daemon, has the
//! alerts and is asked what the dashboard asks; and the rights that the systemd unit leaves the daemon.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::registry::tool;
use crate::support::{Bench, Deployment, Process, eventually, object, on_each_engine};

const SOON: Duration = Duration::from_secs(30);
const ROLLED_BACK: i32 = 2;

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)
}

/// A Secret and a ConfigMap.
fn configuration(bench: &Bench) {
    let secret = bench.directory().join("login.env");
    fs::write(&secret, "PASSWORD=c4nary\n").unwrap();
    bench.write("login.yaml", &object("Secret", "login", &format!("{{envFiles: ['{}']}}", secret.display())));
    bench.write("page.yaml", &object("ConfigMap", "page", "{data: {index.html: hello}}"));
}

/// A Deployment that has both, as a variable and as files: what is compared with them may not change over a restart.
fn configured(name: &str, image: &str) -> Deployment {
    let deployment = Deployment::new(name, image).template("env", "{PASSWORD: {secret: login, key: PASSWORD}}");
    deployment.template("mounts", "[{configMap: page, path: /page}, {secret: login, path: /run/login}]")
}

/// A Prometheus beside the engine, with the alerts, that scrapes the daemon each second.
struct Prometheus<'a> {
    bench: &'a Bench,
    address: String,
    _process: Process,
}

impl<'a> Prometheus<'a> {
    fn start(bench: &'a Bench) -> Self {
        let directory = bench.directory().join("prometheus");
        fs::create_dir_all(&directory).unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\nscrape_configs:\n  - job_name: evenkeel\n    static_configs: [{{targets: ['{}']}}]\n",
            deploy("alerts.yaml").display(),
            bench.metrics_address()
        );
        fs::write(directory.join("prometheus.yml"), config).unwrap();
        let address = format!("127.0.0.1:{}", bench.free_port());
        let mut command = bench.engine.command(tool("PROMTOOL").with_file_name("prometheus"));
        command.current_dir(&directory).arg("--config.file=prometheus.yml").arg("--storage.tsdb.path=data");
        command.arg(format!("--web.listen-address={address}"));
        let process = Process::start(&mut command, &directory.join("log"));
        let prometheus = Prometheus { bench, address, _process: process };
        prometheus.finds("up{job=\"evenkeel\"} == 1");
        prometheus
    }

    /// The samples of an expression, or why it is none.
    fn ask(&self, expression: &str) -> Result<Vec<Value>, String> {
        let query: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.bench.get(&format!("http://{}/api/v1/query?query={query}", self.address))?;
        let answer: Value = serde_json::from_str(&answer).map_err(|error| format!("{error}: {answer}"))?;
        answer["data"]["result"].as_array().cloned().ok_or_else(|| format!("{expression}: {answer}"))
    }

    /// Waits until the expression has a sample.
    #[track_caller]
    fn finds(&self, expression: &str) {
        eventually(expression, SOON, || match self.ask(expression)?.is_empty() {
            true => Err("nothing".into()),
            false => Ok(()),
        });
    }
}

/// What the panels of the dashboard ask, with its variables filled in.
fn questions() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(deploy("dashboard.json")).unwrap()).unwrap();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap().replace("$__rate_interval", "1m");
            let expression = expression.replace("$instance", ".*").replace("$namespace", ".*");
            found.push((panel["title"].to_string(), expression));
        }
    }
    found
}

on_each_engine! {
    fn a_prometheus_sees_an_update_and_a_rollback_and_raises_the_alert(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &[]));
        let sick = bench.app_image("3", &["ENV NEVER_READY=1"]);
        let web = |image: &str| Deployment::new("web", image).replicas(2).spec("progressDeadline", "3s").to_string();
        let _controller = bench.start_controller();
        bench.apply("web.yaml", &web(&one));
        let prometheus = Prometheus::start(bench);
        prometheus.finds("evenkeel_deployment_replicas_available{namespace=\"shop\", name=\"web\"} == 2");
        prometheus.finds("evenkeel_object_phase{kind=\"deployment\", name=\"web\", phase=\"Complete\"} == 1");

        bench.apply("web.yaml", &web(&two));
        prometheus.finds("evenkeel_rollouts_total{result=\"complete\"} >= 1");
        prometheus.finds("evenkeel_deployment_revision{name=\"web\"} == 2");
        assert_eq!(prometheus.ask("ALERTS{alertstate=\"firing\"}").unwrap(), Vec::<Value>::new());

        bench.write("web.yaml", &web(&sick));
        assert_eq!(bench.applied(), ROLLED_BACK);
        prometheus.finds("evenkeel_rollouts_total{result=\"rolled_back\"} == 1");
        prometheus.finds("ALERTS{alertname=\"EvenkeelRolledBack\", alertstate=\"firing\", namespace=\"shop\", name=\"web\"}");
        prometheus.finds("evenkeel_deployment_replicas_available{namespace=\"shop\", name=\"web\"} == 2");

        // Each question of the dashboard is one that Prometheus understands, and most have an answer by now.
        let (mut answered, questions) = (0, questions());
        for (panel, expression) in &questions {
            let samples = prometheus.ask(expression).unwrap_or_else(|error| panic!("{panel}: {error}"));
            answered += usize::from(!samples.is_empty());
        }
        assert!(answered * 3 > questions.len() * 2, "{answered} of {} have an answer", questions.len());

        bench.apply("web.yaml", &web(&two));
        prometheus.finds("absent(ALERTS{alertstate=\"firing\"})");
    }

    fn another_version_of_evenkeel_restarts_none_of_fifty_containers(bench) {
        let image = bench.app_image("1", &[]);
        configuration(bench);
        for number in 0..5 {
            let name = format!("web{number}");
            bench.write(&format!("{name}.yaml"), &configured(&name, &image).replicas(10).to_string());
        }
        let daemon = bench.start_controller();
        assert_eq!(bench.applied(), 0);
        let ids = || bench.all_containers().iter().map(|c| (c.id().to_string(), c.started_at().to_string())).collect::<Vec<_>>();
        let before = ids();
        assert_eq!(before.len(), 50);
        assert!(daemon.terminate(SOON).success());

        assert_eq!(written_by_tomorrow(&bench.state_directory()), 5);
        let (daemon, recorder) = bench.start_recorded_controller();
        assert_eq!(bench.applied(), 0);
        let changed: Vec<_> = recorder.calls().into_iter().filter(|call| !call.reads()).collect();
        assert!(changed.is_empty(), "{changed:?}");
        assert!(!daemon.output().contains("set aside"), "{}", daemon.output());
        assert_eq!(ids(), before);
    }

    fn a_copy_of_the_state_that_was_made_in_the_middle_of_an_update_is_a_backup(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &[]));
        configuration(bench);
        let daemon = bench.start_controller();
        bench.apply("web.yaml", &configured("web", &one).replicas(3).to_string());
        bench.write("web.yaml", &configured("web", &two).replicas(3).to_string());
        eventually("the update has begun", SOON, || bench.has_begun("web", &two));
        let (state, copy) = (bench.state_directory(), bench.directory().join("copy"));
        copy_as_it_is_written(&state, &copy);
        assert_eq!(bench.applied(), 0);
        let ids = || bench.running("web").iter().map(|c| c.id().to_string()).collect::<Vec<_>>();
        let before = ids();
        daemon.kill();

        fs::remove_dir_all(&state).unwrap();
        fs::rename(&copy, &state).unwrap();
        let _daemon = bench.start_controller();
        assert_eq!(bench.applied(), 0);
        assert_eq!(ids(), before, "something was replaced");
        let history = bench.evenkeel(&["rollout", "history", "web", "-n", "shop"]);
        assert!(history.lines().any(|line| line.starts_with("2*")), "{history}");
        bench.evenkeel(&["rollout", "undo", "web", "-n", "shop"]);
        bench.settled("web", 3, &one, SOON);
    }

    fn the_rights_that_the_unit_leaves_are_enough(bench) {
        let image = bench.app_image("1", &["ENV LISTEN=127.0.0.1"]);
        let unit = fs::read_to_string(deploy("evenkeel.service")).unwrap();
        let set = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).expect("the unit has one");
        let bound: String = set.split(' ').map(|name| format!(",+{}", name.trim_start_matches("CAP_").to_lowercase())).collect();
        // A Secret's file of somebody else, and files of other owners in the container.
        let secret = bench.directory().join("secret.env");
        fs::write(&secret, "PASSWORD=c4nary\n").unwrap();
        fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(&secret, Some(1234), Some(1234)).unwrap();
        bench.write("secret.yaml", &object("Secret", "login", &format!("{{envFiles: ['{}']}}", secret.display())));
        let (plain, log) = bench.controller_through(&bench.engine.socket);
        let mut command = Command::new("setpriv");
        command.arg(format!("--bounding-set=-all{bound}")).arg("--no-new-privs").arg(plain.get_program()).args(plain.get_args());
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?)))).process_group(0);
        let _controller = Process::start(&mut command, &log);
        eventually("it answers", SOON, || bench.try_evenkeel(&["get", "deployments"]));
        let agent = Deployment::new("agent", &image)
            .template("readinessProbe", "{httpGet: {port: 8080, path: /healthz, host: 127.0.0.1}, period: 200ms}")
            .template("mounts", "[{secret: login, path: /login, uid: 1000, gid: 1000, mode: '0400'}]");
        bench.apply("agent.yaml", &agent.to_string());
        bench.settled("agent", 1, &image, SOON);
    }
}

/// A file that is being written goes when it gets its name, perhaps as it is copied: none of the copy's.
fn copy_as_it_is_written(state: &Path, copy: &Path) {
    let done = Command::new("cp").arg("-a").args([state, copy]).output().unwrap();
    let complaints = String::from_utf8_lossy(&done.stderr);
    let is_whole = !complaints.is_empty() && complaints.lines().all(|line| line.contains("/.tmp-"));
    assert!(done.status.success() || is_whole, "{complaints}");
}

/// The files of the history, written as by a version that knows more: a field more in each object.
fn written_by_tomorrow(state: &Path) -> usize {
    let mut open = vec![state.join("objects")];
    let mut written = 0;
    while let Some(folder) = open.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let (_, object) = text.trim_end().split_once(",\"object\":{").expect("a file of the history");
            let object = format!("{{\"ofTomorrow\":[1],{}", object.strip_suffix('}').unwrap());
            let (kind, name) = path.file_stem().unwrap().to_str().unwrap().split_once('.').unwrap();
            let subject = format!("{kind}/{}/{name}", folder.file_name().unwrap().to_str().unwrap());
            let digest = Sha256::new().chain_update(subject).chain_update("\n").chain_update(&object).finalize();
            let checksum: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            fs::write(&path, format!("{{\"version\":1,\"checksum\":\"{checksum}\",\"object\":{object}}}\n")).unwrap();
            written += 1;
        }
    }
    written
}

#[test]
fn the_alerts_fire_when_they_should() {
    for arguments in [["check", "rules"], ["test", "rules"]] {
        let file = if arguments[0] == "check" { "alerts.yaml" } else { "alerts.test.yaml" };
        let output = Command::new(tool("PROMTOOL")).args(arguments).arg(deploy(file)).output().unwrap();
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
