//! A host that boots: systemd, Docker as Debian packages it, and Evenkeel as `deploy/install` puts it there. It is a container
//! with all rights, so that it can be rebooted and its plug be pulled. What the unit allows, who may command it and in what order
//! things come back is seen only where a unit is a unit.

use std::fs;
use std::path::Path;
use std::process::Output;

use super::{SOON, repository};
use crate::support::registry::tool;
use crate::support::{Bench, Deployment, Engine, eventually, object, run};

/// One of these.
pub struct Host<'a> {
    bench: &'a Bench,
    id: String,
}

impl<'a> Host<'a> {
    /// One with the sources of a release in `/src`, a demo application in its engine and manifests in `/srv/shop`.
    pub fn boot(bench: &'a Bench) -> Self {
        for kind in ["HOST", "CONTROLLER"] {
            bench.load_image(kind);
        }
        let program = bench.directory().join("evenkeel").display().to_string();
        let made = bench.engine.docker(&["create", "evenkeel:local"]);
        bench.engine.docker(&["cp", &format!("{}:/evenkeel", made.trim()), &program]);
        bench.engine.docker(&["rm", made.trim()]);
        let volumes = [
            format!("{}:/src/deploy:ro", repository("deploy").display()),
            format!("{program}:/src/evenkeel:ro"),
            format!("{}:/src/demo.tar:ro", tool("DEMO").display()),
            format!("{}:/srv/shop:ro", bench.manifests.display()),
            // An overlay does not lie on another.
            "/var/lib/docker".into(),
        ];
        let nothing: Vec<String> =
            unmounted_controllers().iter().map(|controller| format!("/sys/fs/cgroup/{controller}")).collect();
        let mut arguments = vec!["--privileged", "--cgroupns", "private", "--hostname", "vps"];
        volumes.iter().for_each(|volume| arguments.extend(["--volume", volume]));
        ["/run", "/run/lock"].iter().for_each(|path| arguments.extend(["--tmpfs", path]));
        nothing.iter().for_each(|path| arguments.extend(["--tmpfs", path]));
        arguments.push("evenkeel-test/host:1");
        let host = Host { bench, id: bench.run_foreign(&arguments) };
        host.is_up();
        host.types("docker load --quiet --input /src/demo.tar");
        host
    }

    #[track_caller]
    fn is_up(&self) {
        eventually("the host has booted", SOON, || self.tries("systemctl is-system-running && docker info").map(drop));
    }

    fn outcome(&self, line: &str) -> Output {
        let docker = self.bench.engine.programs().join("docker");
        let mut command = self.bench.engine.command(docker);
        command.args(["exec", &self.id, "bash", "-c", line]).output().expect("docker can be run")
    }

    fn tries(&self, line: &str) -> Result<String, String> {
        let output = self.outcome(line);
        let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        if output.status.success() { Ok(out + &err) } else { Err(out + &err) }
    }

    /// A command that succeeds; what it prints.
    #[track_caller]
    pub fn types(&self, line: &str) -> String {
        let said = self.tries(line).unwrap_or_else(|said| panic!("{line}: {said}"));
        eprintln!("# {line}\n{said}");
        said
    }

    /// A command that is refused; what it prints.
    #[track_caller]
    fn is_refused(&self, line: &str) -> String {
        let said = self.tries(line).expect_err(line);
        eprintln!("# {line} (refused)\n{said}");
        said
    }

    /// What runs, and since when.
    fn containers(&self) -> String {
        self.types("docker inspect --format '{{.Id}} {{.State.StartedAt}}' $(docker ps --quiet --no-trunc) | sort")
    }

    /// What runs; since when does not matter.
    fn ids(&self) -> String {
        self.types("docker ps --quiet --no-trunc | sort")
    }

    /// What systemd says of the service.
    pub fn shows(&self, property: &str) -> String {
        self.types(&format!("systemctl show evenkeel --property {property} --value")).trim().to_string()
    }

    /// Waits until systemd has started the service again, `times` times in all.
    #[track_caller]
    fn was_started_again(&self, times: u32) {
        eventually("systemd has started it again", SOON, || {
            let (count, state) = (self.shows("NRestarts"), self.shows("ActiveState"));
            if count == times.to_string() && state == "active" { Ok(()) } else { Err(format!("{state}, {count}")) }
        });
    }

    #[track_caller]
    fn is_as_declared(&self) {
        self.types("evenkeel apply --wait --timeout 2m");
    }
}

/// Controllers of cgroups of the first generation that nobody here has mounted. systemd would, for the whole machine, whose engines
/// then do not find out any more what was out of memory; it does not where something is mounted already.
fn unmounted_controllers() -> Vec<String> {
    let cgroups = Path::new("/sys/fs/cgroup");
    if cgroups.join("cgroup.controllers").exists() {
        return Vec::new();
    }
    let known = fs::read_to_string("/proc/cgroups").unwrap();
    let known = known.lines().filter_map(|line| line.split_whitespace().next().filter(|name| !name.starts_with('#')));
    let together = ["cpu,cpuacct", "net_cls,net_prio"];
    known.chain(together).filter(|name| !cgroups.join(name).exists()).map(str::to_string).collect()
}

/// A Deployment that needs what the unit leaves the daemon: a Secret's file of another owner, and a probe of its own loopback.
fn manifests(bench: &Bench) {
    let image = "evenkeel-demo:1";
    bench.write("secret.yaml", &object("Secret", "login", "{envFiles: [/etc/shop/login.env]}"));
    bench.write("volume.yaml", &object("Volume", "data", "{}"));
    let web = Deployment::new("web", image)
        .replicas(2)
        .template("env", "{LISTEN: 127.0.0.1}")
        .template("readinessProbe", "{httpGet: {port: 8080, path: /healthz, host: 127.0.0.1}, period: 200ms}")
        .template(
            "mounts",
            "[{secret: login, path: /login, uid: 1000, gid: 1000, mode: '0400'}, {volume: data, path: /data}]",
        );
    bench.write("web.yaml", &web.to_string());
}

fn installed(host: &Host) {
    host.types(
        "install -D -m 600 /dev/stdin /etc/shop/login.env <<< PASSWORD=c4nary && chown 1234 /etc/shop/login.env",
    );
    assert!(host.is_refused("/src/deploy/install --source /srv/nowhere").contains("/srv/nowhere is no directory"));
    assert!(host.is_refused("evenkeel version").contains("not found"), "nothing was installed");
    assert!(host.types("/src/deploy/install").contains("Name your directories of manifests"));
    host.types("/src/deploy/uninstall --purge");
    assert!(host.types("/src/deploy/install --source /srv/shop").contains("It runs"));
    host.is_as_declared();
    let found = host.types("evenkeel doctor");
    for check in ["daemon: version", "state files:", "engine: version 20.10", "limits: memory and CPU can be limited"] {
        assert!(found.contains(&format!("ok    {check}")), "{check}");
    }
    assert_eq!(host.shows("MemoryMax"), (128 << 20).to_string());
    assert!(host.types("systemctl status evenkeel").contains("as declared"));
    let environment = host.types("tr '\\0' '\\n' </proc/$(systemctl show evenkeel --property MainPID --value)/environ");
    assert!(environment.contains("HOME=/root\n"), "it finds root's docker login");
    // Its group may command it, and nobody else.
    host.types("useradd ops");
    assert!(host.is_refused("su ops -c 'evenkeel get all'").contains("a member of the group that owns the socket"));
    host.types("usermod --append --groups evenkeel ops && su ops -c 'evenkeel get all'");
}

/// Killed, frozen, and in the place of another version: no container notices.
fn served_through_the_troubles_of_its_process(host: &Host) {
    let before = host.containers();
    host.types("systemctl kill --signal KILL --kill-whom main evenkeel");
    host.was_started_again(1);
    host.types(
        "install -D /dev/stdin /run/systemd/system/evenkeel.service.d/quick.conf <<< $'[Service]\\nWatchdogSec=4s'",
    );
    host.types("systemctl daemon-reload && systemctl restart evenkeel");
    host.types("systemctl kill --signal STOP --kill-whom main evenkeel");
    host.was_started_again(1);
    assert!(host.types("journalctl --unit evenkeel").contains("Watchdog timeout"));
    assert!(host.is_refused("/src/deploy/install --source /srv/other").contains("stays as it is"));
    assert!(host.types("/src/deploy/install").contains(" -> "), "it says what it replaces, and by what");
    host.is_as_declared();
    assert_eq!(host.containers(), before);
}

/// The host goes down in an orderly way, and by its plug.
fn came_back_with_the_host(host: &Host) {
    let before = host.ids();
    for way in ["stop", "kill"] {
        host.bench.engine.docker(&[way, &host.id]);
        host.bench.engine.docker(&["start", &host.id]);
        host.is_up();
        eventually("the service is up", SOON, || host.tries("evenkeel get all").map(drop));
        host.is_as_declared();
        assert_eq!(host.ids(), before, "{way}: something was made anew");
    }
}

fn taken_off(host: &Host) {
    let before = host.containers();
    let said = host.is_refused("/src/deploy/uninstall --purge");
    assert!(said.contains("these containers are left") && said.contains("shop.web."), "{said}");
    assert!(said.contains("systemctl stop evenkeel\n"), "what would make them anew is told first: {said}");
    // It runs again.
    host.is_as_declared();
    assert!(host.types("/src/deploy/uninstall").contains("These containers run on: shop.web."));
    assert!(host.is_refused("systemctl status evenkeel").contains("could not be found"));
    host.types("/src/deploy/install");
    host.is_as_declared();
    assert_eq!(host.containers(), before, "it goes on where it ended");
    // Nobody knows what is left while the engine is down.
    host.types("systemctl stop docker.socket docker");
    assert!(host.is_refused("/src/deploy/uninstall --purge").contains("the engine does not answer"));
    host.types("systemctl start docker && systemctl stop evenkeel && docker rm --force $(docker ps --all --quiet)");
    host.types("/src/deploy/uninstall --purge");
    host.is_refused("ls /etc/evenkeel || ls /var/lib/evenkeel || getent group evenkeel");
    assert!(host.types("docker volume ls").contains("shop.data"), "volumes stay");
}

#[test]
#[ignore = "minutes: make systems"]
fn a_host_from_its_installation_to_the_end() {
    run(Engine::own(26), "host", |bench| {
        manifests(bench);
        let host = Host::boot(bench);
        installed(&host);
        served_through_the_troubles_of_its_process(&host);
        came_back_with_the_host(&host);
        taken_off(&host);
    });
}
