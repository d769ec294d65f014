//! Tecket: production and staging side by side, each from its own checkout of one repository, driven by git.

pub mod checkouts;

use std::fs;
use std::time::Duration;

use self::checkouts::{Checkout, Developer};
use super::{SOON, TOOLS, applied, copy, edit, hub, repository, request, run_now};
use crate::support::{Bench, Container, Engine, Process, eventually, on_an_engine_of_its_own, run, throughout};

/// Long enough for a source that says less to be believed.
const A_WHILE: Duration = Duration::from_secs(7);

/// Both environments and the controller's way to them.
struct Tecket<'a> {
    bench: &'a Bench,
    developer: Developer,
    production: Checkout,
    staging: Checkout,
}

impl<'a> Tecket<'a> {
    /// One repository with two branches, two checkouts, and the secrets of each elsewhere.
    fn new(bench: &'a Bench) -> Self {
        // What the Dockerfile begins with.
        bench.engine.docker(&["tag", TOOLS, "node:18-slim"]);
        let secrets = bench.directory().join("secrets");
        copy(&repository("manifests/examples/tecket/example-secrets"), &secrets);
        let developer = Developer::new(bench.directory(), &repository("manifests/examples/tecket"), &secrets);
        let production = developer.clone_of("production", "main");
        let staging = developer.clone_of("staging", "staging");
        Tecket { bench, developer, production, staging }
    }

    fn controller(&self) -> Process {
        let source = |checkout: &Checkout, namespace| format!("{}={namespace}", checkout.directory.display());
        self.bench.start_controller_of(&[source(&self.production, "production"), source(&self.staging, "staging")])
    }

    /// The script of the example, as a person runs it in a checkout; its exit code.
    fn deploy(&self, checkout: &Checkout) -> i32 {
        let mut command = self.bench.engine.command(checkout.directory.join("deploy"));
        command.env("PATH", self.bench.search_path()).env("EVENKEEL_SOCKET", self.bench.socket());
        let output = command.output().unwrap();
        eprintln!("deploy:\n{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        output.status.code().unwrap()
    }

    #[track_caller]
    fn applied(&self, code: i32) {
        assert_eq!(applied(self.bench), code);
    }

    /// The running container of an object of an environment.
    #[track_caller]
    fn container(&self, namespace: &str, object: &str) -> Container {
        let mut running = self.bench.running(object);
        running.retain(|container| container.label("evenkeel.dev/namespace") == namespace);
        assert_eq!(running.len(), 1, "{namespace}/{object}");
        running.remove(0)
    }

    /// The version that answers on an environment's port of the host.
    fn version(&self, namespace: &str) -> Result<String, String> {
        self.bench.get(&format!("http://127.0.0.1:{}/healthz", port(namespace))).map(|text| text.trim().to_string())
    }

    #[track_caller]
    fn serves(&self, namespace: &str, version: &str) {
        let wanted = format!("version {version}");
        eventually(&format!("{namespace} serves {wanted}"), SOON, || match self.version(namespace)? {
            is if is == wanted => Ok(()),
            is => Err(is),
        });
    }

    fn tickets(&self, namespace: &str) -> String {
        let (status, text) = request(self.bench, "GET", &format!("http://127.0.0.1:{}/tickets", port(namespace)), "");
        assert_eq!(status, 200, "{text}");
        text
    }

    fn file(&self, namespace: &str, title: &str) {
        let url = format!("http://127.0.0.1:{}/tickets", port(namespace));
        assert_eq!(request(self.bench, "POST", &url, title).0, 201);
    }

    /// As the database itself says.
    fn sql(&self, namespace: &str, query: &str) -> String {
        let database = self.container(namespace, "db");
        let password = format!("--password=example-{namespace}-password");
        let command =
            ["mariadb", "--host=127.0.0.1", "--user=tecket", &password, "--skip-column-names", "tecket", "-e", query];
        self.bench.engine.docker(&[&["exec", database.id()], &command[..]].concat()).trim().replace('\n', " ")
    }

    /// Each image's migrations have run once, in this order.
    #[track_caller]
    fn migrated(&self, namespace: &str, versions: &str) {
        assert_eq!(self.sql(namespace, "SELECT version FROM migration_runs ORDER BY id"), versions, "{namespace}");
    }

    /// Every commit changes two files that belong together: the version that one makes the image of is the release in the
    /// other, in every revision that was ever made of them.
    #[track_caller]
    fn nothing_was_ever_applied_half(&self, namespace: &str, releases: &[&str]) {
        let history = self.bench.evenkeel(&["rollout", "history", "app", "-n", namespace]);
        let numbers = history.lines().filter_map(|line| line.split([' ', '*']).next()?.parse::<u64>().ok());
        let last = numbers.max().unwrap();
        let mut found = vec!["1".to_string()];
        for revision in 2..=last {
            let revision = revision.to_string();
            let told = self.bench.evenkeel(&["rollout", "history", "app", "-n", namespace, "--diff", "1", &revision]);
            let release = told.lines().find_map(|line| line.strip_prefix("spec.template.env.RELEASE: 1 -> "));
            let image = told.lines().find_map(|line| line.strip_prefix("  + evenkeel.local/"));
            let (Some(release), Some(image)) = (release, image) else { panic!("{namespace}: {told}") };
            assert_eq!(self.version_of(&format!("evenkeel.local/{image}")), release, "{namespace}: {told}");
            found.push(release.to_string());
        }
        assert_eq!(found, releases, "{namespace}:\n{history}");
    }

    /// Of what sources an image is.
    fn version_of(&self, image: &str) -> String {
        let each = "{{range .Config.Env}}{{println .}}{{end}}";
        let variables = self.bench.engine.docker(&["image", "inspect", "--format", each, image]);
        let version = variables.lines().find_map(|line| line.strip_prefix("VERSION="));
        version.expect("the Dockerfile sets it").to_string()
    }
}

fn port(namespace: &str) -> u16 {
    if namespace == "production" { 3000 } else { 3001 }
}

fn deployed_side_by_side(tecket: &Tecket) {
    tecket.applied(0);
    for namespace in ["production", "staging"] {
        tecket.serves(namespace, "1");
        // It is tried once only, so the database was healthy when it began.
        tecket.migrated(namespace, "1");
        let environment = tecket.container(namespace, "app").0["Config"]["Env"].to_string();
        assert!(environment.contains(&format!("SESSION_KEY=example-{namespace}-session-key")), "{environment}");
    }
    assert_eq!(tecket.tickets("production"), "[]", "production is not seeded");
    assert!(tecket.tickets("staging").contains("the printer is on fire"), "staging is");
    tecket.file("production", "a customer's ticket");
    assert!(!tecket.tickets("staging").contains("customer"), "they share nothing");
}

/// A fast-forward, pulled while there is no controller.
fn fast_forwarded(tecket: &Tecket, controller: Process) -> Process {
    let staging = tecket.container("staging", "app");
    tecket.developer.release("main", "2", |_| ());
    controller.kill();
    tecket.production.git(&["pull", "--ff-only"]);
    assert_eq!(tecket.version("production").as_deref(), Ok("version 1"), "what runs goes on");
    let controller = tecket.controller();
    tecket.applied(0);
    tecket.serves("production", "2");
    tecket.migrated("production", "1 2");
    assert_eq!(tecket.container("staging", "app").id(), staging.id(), "staging is not concerned");
    controller
}

fn merged_forced_and_switched(tecket: &Tecket) {
    let Tecket { developer, staging, .. } = tecket;
    // A merge: somebody has committed on the host.
    fs::write(staging.directory.join("NOTES"), "tried on the host\n").unwrap();
    staging.commit("Notes of a trial");
    developer.release("staging", "3", |_| ());
    staging.git(&["pull", "--no-rebase", "--no-edit"]);
    tecket.applied(0);
    tecket.serves("staging", "3");
    // A forced update: what was pulled before is not history any more.
    developer.release_instead("staging", "4");
    staging.git(&["fetch"]);
    staging.git(&["reset", "--hard", "origin/staging"]);
    tecket.applied(0);
    tecket.serves("staging", "4");
    // Another branch, with the version that production has and other code: an image belongs to its environment.
    developer.release("hotfix", "2", |sources| {
        edit(&sources.join("app/server.js"), "[200, `version", "[200, `hotfix, version")
    });
    staging.git(&["fetch"]);
    staging.git(&["checkout", "hotfix"]);
    tecket.applied(0);
    assert_eq!(tecket.version("staging").as_deref(), Ok("hotfix, version 2"));
    tecket.serves("production", "2");
    developer.release("hotfix", "5", |sources| {
        edit(&sources.join("app/server.js"), "[200, `hotfix, version", "[200, `version")
    });
    staging.git(&["pull", "--ff-only"]);
    tecket.applied(0);
    tecket.serves("staging", "5");
    tecket.migrated("staging", "1 3 4 2 5");
}

/// git is killed when one of two files that belong together is written, and leaves its lock behind.
fn interrupted(tecket: &Tecket) {
    let production = &tecket.production;
    let before = tecket.container("production", "app");
    tecket.developer.release("main", "6", |_| ());
    production.git(&["fetch"]);
    let unchanged = || {
        let now = tecket.container("production", "app");
        if now.id() == before.id() && now.started_at() == before.started_at() {
            Ok(())
        } else {
            Err(now.name().to_string())
        }
    };
    let stuck = production.stuck_merge("origin/main", "version.env");
    eventually("one file is new", SOON, || match production.release() {
        release if release == "6" => Ok(()),
        release => Err(release),
    });
    assert_ne!(production.version(), "6", "the other one is not");
    throughout("nothing changes while git is in the middle", A_WHILE, unchanged);
    stuck.kill();
    throughout("nothing changes while its lock is there", A_WHILE, unchanged);
    let told = tecket.bench.evenkeel(&["describe", "sources"]);
    assert!(told.contains("index.lock"), "{told}");
    production.unlock();
    throughout("nothing changes when its lock is gone", A_WHILE, unchanged);
    let told = tecket.bench.evenkeel(&["describe", "sources"]);
    assert!(told.contains("git was interrupted"), "{told}");
    production.git(&["reset", "--hard", "@{upstream}"]);
    tecket.applied(0);
    tecket.serves("production", "6");
    tecket.migrated("production", "1 2 6");
}

/// A version that cannot be built, and one that crashes at its start: the port has one owner, so the old container is started
/// again. The next one is well.
fn failed_gone_back_and_mended(tecket: &Tecket) {
    let (before, tickets) = (tecket.container("production", "app"), tecket.tickets("production"));
    let dockerfile = fs::read_to_string(tecket.production.directory.join("app/Dockerfile")).unwrap();
    tecket.developer.release("main", "6-broken", |sources| {
        fs::write(sources.join("app/Dockerfile"), format!("{dockerfile}RUN echo no such module && false\n")).unwrap();
    });
    assert_eq!(tecket.deploy(&tecket.production), 3);
    let told = tecket.bench.evenkeel(&["describe", "deployment/app", "-n", "production"]);
    assert!(told.contains("no such module"), "{told}");
    assert_eq!(tecket.container("production", "app").started_at(), before.started_at(), "what runs goes on");
    let server = fs::read_to_string(tecket.production.directory.join("app/server.js")).unwrap();
    tecket.developer.release("main", "7", |sources| {
        fs::write(sources.join("app/Dockerfile"), dockerfile).unwrap();
        fs::write(sources.join("app/server.js"), "throw new Error('there is no such module');\n").unwrap();
    });
    assert_eq!(tecket.deploy(&tecket.production), 2);
    tecket.serves("production", "6");
    assert_eq!(tecket.container("production", "app").id(), before.id());
    let told = tecket.bench.evenkeel(&["describe", "deployment/app", "-n", "production"]);
    assert!(told.contains("there is no such module"), "{told}");
    assert_eq!(tecket.tickets("production"), tickets);
    tecket.developer.release("main", "8", |sources| fs::write(sources.join("app/server.js"), server).unwrap());
    assert_eq!(tecket.deploy(&tecket.production), 0);
    tecket.serves("production", "8");
    tecket.migrated("production", "1 2 6 7 8");
    assert_eq!(tecket.tickets("production"), tickets);
}

fn dumped_drilled_and_restored(tecket: &Tecket) {
    let checksum = || tecket.sql("production", "CHECKSUM TABLE tickets").split_whitespace().last().unwrap().to_string();
    let (tickets, before) = (tecket.tickets("production"), checksum());
    run_now(tecket.bench, "cronjob/backup", "production");
    tecket.file("production", "written after the dump");
    tecket.sql("production", "DELETE FROM tickets WHERE title LIKE '%customer%'");
    assert_ne!(checksum(), before);
    run_now(tecket.bench, "cronjob/restore-drill", "production");
    let told = tecket.bench.evenkeel(&["logs", "cronjob/restore-drill", "-n", "production"]);
    assert!(told.contains(&format!("1 tickets, checksum {before}")), "{before}: {told}");
    assert_ne!(checksum(), before, "the drill touches nothing");
    run_now(tecket.bench, "cronjob/restore", "production");
    tecket.applied(0);
    tecket.serves("production", "8");
    assert_eq!((tecket.tickets("production"), checksum()), (tickets, before));
}

fn restarted_without_a_controller(tecket: &Tecket, controller: Process) -> Process {
    let all = || ["production", "staging"].map(|n| (tecket.tickets(n), tecket.container(n, "app").id().to_string()));
    let before = all();
    assert!(controller.terminate(SOON).success());
    tecket.bench.engine.shut_down();
    tecket.bench.engine.start_again();
    tecket.serves("production", "8");
    tecket.serves("staging", "5");
    assert_eq!(all(), before);
    let controller = tecket.controller();
    tecket.applied(0);
    assert_eq!(all(), before, "nothing was replaced");
    controller
}

/// The controller is lost, and with it all that it knew. What uses a Secret is replaced then, the databases too; whether a
/// migration has run with this Secret a person has to say.
fn all_lost_but_the_engine(tecket: &Tecket, controller: Process) {
    let all = || ["production", "staging"].map(|namespace| tecket.tickets(namespace));
    let before = all();
    controller.kill();
    fs::remove_dir_all(tecket.bench.state_directory()).unwrap();
    let _controller = tecket.controller();
    tecket.applied(3);
    tecket.serves("production", "8");
    tecket.serves("staging", "5");
    assert_eq!(all(), before);
    tecket.migrated("production", "1 2 6 7 8");
    for namespace in ["production", "staging"] {
        tecket.bench.evenkeel(&["rollout", "retry", "job/migrate", "-n", namespace]);
    }
    tecket.applied(0);
    assert_eq!(all(), before);
    tecket.migrated("production", "1 2 6 7 8 8");
}

#[test]
fn the_core_of_tecket() {
    run(Engine::own(26), "tecket", |bench| {
        hub(bench, &["mariadb:10.11"]);
        let tecket = Tecket::new(bench);
        let controller = tecket.controller();
        deployed_side_by_side(&tecket);
        let _controller = fast_forwarded(&tecket, controller);
        assert!(tecket.tickets("production").contains("a customer's ticket"));
        tecket.nothing_was_ever_applied_half("production", &["1", "2"]);
    });
}

on_an_engine_of_its_own! {
    #[ignore = "minutes: make systems"]
    fn tecket_from_two_checkouts_to_a_restored_backup(bench) {
        hub(bench, &["mariadb:10.11"]);
        let tecket = Tecket::new(bench);
        let controller = tecket.controller();
        deployed_side_by_side(&tecket);
        let controller = fast_forwarded(&tecket, controller);
        merged_forced_and_switched(&tecket);
        interrupted(&tecket);
        failed_gone_back_and_mended(&tecket);
        dumped_drilled_and_restored(&tecket);
        let controller = restarted_without_a_controller(&tecket, controller);
        tecket.nothing_was_ever_applied_half("production", &["1", "2", "6", "7", "8"]);
        tecket.nothing_was_ever_applied_half("staging", &["1", "3", "4", "2", "5"]);
        all_lost_but_the_engine(&tecket, controller);
    }
}
