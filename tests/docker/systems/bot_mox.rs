//! Bot-Mox: Caddy in front of a frontend and an API, Supabase's core and MinIO behind, released by tags of a private registry.

use std::fs;
use std::path::PathBuf;

use super::{SOON, TOOLS, build, copy, edit, exec, hasten, hub, ids, nobody_noticed, repository, request, run_now};
use crate::support::registry::{PASSWORD, USER};
use crate::support::{Bench, Engine, Load, Process, Registry, eventually, on_an_engine_of_its_own, run};

const CHECKED: [&str; 5] = ["api/v1/health", "", "storage/v1/status", "rest/v1/notes", "auth/v1/health"];

/// The system on a bench: an environment's manifests, and where its images come from.
pub(super) struct BotMox<'a> {
    bench: &'a Bench,
    registry: Registry<'a>,
    environment: &'static str,
    url: &'static str,
}

impl<'a> BotMox<'a> {
    /// The manifests as they are in the example, with shorter times, the secrets elsewhere and the registry here.
    pub(super) fn new(bench: &'a Bench, environment: &'static str, url: &'static str, tag: &str) -> Self {
        parts(bench);
        let registry = Registry::private(bench);
        let (example, secrets) = (repository("manifests/examples/bot-mox"), bench.directory().join("secrets"));
        copy(&example, &bench.manifests);
        copy(&example.join("example-secrets"), &secrets);
        let credentials = format!("server={}\nusername={USER}\npassword='{PASSWORD}'\n", registry.address);
        fs::write(secrets.join("registry.env"), credentials).unwrap();
        let environments = bench.manifests.join("environments.yaml");
        let text = fs::read_to_string(&environments).unwrap();
        let text = text
            .replace("SECRETS: /etc/bot-mox", &format!("SECRETS: {}", secrets.display()))
            .replace("SECRETS: ./example-secrets", &format!("SECRETS: {}", secrets.display()))
            .replace("TAG: sha-4f2a91c", &format!("TAG: {tag}"))
            .replace("SITE: bot-mox.example", "SITE: 'http://localhost, https://localhost'")
            .replace("TLS: ops@bot-mox.example", "TLS: internal");
        fs::write(&environments, text).unwrap();
        let app = bench.manifests.join("app.yaml");
        for image in ["api", "frontend"] {
            edit(
                &app,
                &format!("registry.example/bot-mox/{image}:"),
                &format!("{}/bot-mox/{image}:", registry.address),
            );
        }
        quicken(bench);
        BotMox { bench, registry, environment, url }
    }

    /// What CI does for a commit: both images are built, here with an edit of the sources, and pushed under a tag.
    pub(super) fn release(&self, version: &str, tags: &[&str], change: impl FnOnce(PathBuf)) {
        let sources = self.bench.directory().join(format!("sources-{version}"));
        copy(&repository("manifests/examples/bot-mox"), &sources);
        change(sources.clone());
        let (node, version_argument) = (format!("NODE={TOOLS}"), format!("VERSION={version}"));
        for image in ["api", "frontend"] {
            let name = format!("ci/{image}:{version}");
            let base = if image == "api" { &*node } else { "CADDY=caddy:2" };
            build(self.bench, &name, &sources.join(image), &["--build-arg", base, "--build-arg", &version_argument]);
            for tag in tags {
                self.registry.push(&name, &format!("bot-mox/{image}:{tag}"));
            }
        }
    }

    fn controller(&self) -> Process {
        self.bench.start_controller_of(&[format!("{}={}", self.bench.manifests.display(), self.environment)])
    }

    fn evenkeel(&self, words: &[&str]) -> (i32, String) {
        let (code, out, err) = self.bench.evenkeel_outcome(words);
        eprintln!("{}: {code}\n{out}{err}", words.join(" "));
        (code, format!("{out}{err}"))
    }

    fn applied(&self) -> i32 {
        self.evenkeel(&["apply", "--wait", "--timeout", "4m"]).0
    }

    /// What a person does with a tag that CI has pushed.
    fn promote(&self, tag: &str) -> i32 {
        self.evenkeel(&["set", "image", "deployment/api", tag, "-n", self.environment, "--wait", "--timeout", "4m"]).0
    }

    #[track_caller]
    fn get(&self, path: &str) -> String {
        let (status, text) = request(self.bench, "GET", &format!("{}{path}", self.url), "");
        assert_eq!(status, 200, "{path}: {text}");
        text
    }

    #[track_caller]
    fn post(&self, path: &str, body: &str) {
        let (status, text) = request(self.bench, "POST", &format!("{}{path}", self.url), body);
        assert!((200..300).contains(&status), "{path}: {status} {text}");
    }

    /// All that a deploy is checked by answers, with the version that is asked for in front and behind.
    #[track_caller]
    fn serves(&self, version: &str) {
        eventually("everything answers through Caddy", SOON, || {
            for path in CHECKED {
                let (status, text) = request(self.bench, "GET", &format!("{}{path}", self.url), "");
                if status != 200 {
                    return Err(format!("{path}: {status} {text}"));
                }
            }
            Ok(())
        });
        let health = self.get("api/v1/health");
        assert!(health.contains(&format!("\"version\":\"{version}\",\"database\":\"up\"")), "{health}");
        let page = self.get("");
        assert!(page.contains(&format!("version {version}<")), "{page}");
        let words = ["run", "--rm", "--network", "host", &format!("ci/api:{version}"), "node", "/srv/websocket.js"];
        let echoed = self.bench.engine.docker(&[&words[..], &[&format!("{}ws", self.url), "hello"]].concat());
        assert_eq!(echoed.trim(), format!("{version}: hello"));
        let minio = self.bench.running("minio").remove(0).address(None);
        self.bench.get(&format!("http://{minio}:9000/minio/health/ready")).unwrap();
    }

    fn write(&self, note: &str, file: &str) {
        self.post("api/v1/notes", note);
        self.post("api/v1/files/plan.txt", file);
    }

    /// What users have: notes in the database, as the API and as PostgREST see them, and a file in MinIO.
    fn data(&self) -> [String; 3] {
        ["api/v1/notes", "rest/v1/notes", "api/v1/files/plan.txt"].map(|path| self.get(path))
    }

    fn sql(&self, query: &str) -> Vec<String> {
        let psql = ["psql", "-U", "postgres", "-d", "botmox", "--tuples-only", "--no-align", "--command", query];
        exec(self.bench, "db", &psql).lines().map(str::to_string).collect()
    }

    /// How many dumps of the database there are.
    fn dumps(&self) -> usize {
        let volume = format!("{}:/backups", self.bench.engine_name(self.environment, "backups"));
        let listed = self.bench.engine.docker(&["run", "--rm", "--volume", &volume, TOOLS, "ls", "/backups/database"]);
        listed.lines().filter(|name| name.ends_with(".dump")).count()
    }

    /// The containers of what is released, which only a new release may replace.
    fn released(&self) -> Vec<String> {
        [ids(self.bench, "api"), ids(self.bench, "frontend")].concat()
    }
}

/// The images of others that the manifests name.
pub(super) fn parts(bench: &Bench) {
    hub(bench, &["postgres:15", "caddy:2"]);
    for (image, folder, target) in [
        ("postgrest/postgrest:v12.2.0", "supabase", "postgrest"),
        ("supabase/gotrue:v2.158.1", "supabase", "gotrue"),
        ("supabase/storage-api:v1.10.1", "supabase", "storage-api"),
        ("minio/minio:RELEASE.2024-08-17T01-24-54Z", "minio", "minio"),
        ("minio/mc:RELEASE.2024-08-17T11-33-50Z", "minio", "mc"),
    ] {
        build(bench, image, &repository("tests/systems/images").join(folder), &["--target", target]);
    }
}

pub(super) fn quicken(bench: &Bench) {
    for file in ["app.yaml", "edge.yaml", "supabase.yaml", "minio.yaml"] {
        hasten(&bench.manifests.join(file));
    }
}

/// Before anything runs, CI asks whether the manifests are right, for both profiles and without a secret or a daemon.
fn dry_run(system: &BotMox) {
    let config = system.bench.manifests.join(".ci.yaml").display().to_string();
    let (code, told, error) = system.bench.bare_outcome(&["validate", "--config", &config]);
    assert_eq!(code, 0, "{told}{error}");
    let (code, steps) = plan(system);
    assert_eq!(code, 2, "{steps}");
    assert!(steps.contains("deployment/production/api"), "{steps}");
    let slip = system.bench.manifests.join("app.yaml");
    edit(&slip, "requiredEnv: [DATABASE_URL, STORAGE_URL]", "requiredEnv: [DATABASE_URL, STORAGE_URL, MAIL_URL]");
    let (code, told, error) = system.bench.bare_outcome(&["validate", "--config", &config]);
    assert_eq!(code, 5, "{told}{error}");
    assert!(format!("{told}{error}").contains("the variable 'MAIL_URL' is required, and is not set"), "{told}{error}");
    edit(&slip, ", MAIL_URL]", "]");
}

fn plan(system: &BotMox) -> (i32, String) {
    let (bench, source) = (system.bench, format!("{}={}", system.bench.manifests.display(), system.environment));
    let state = bench.state_directory().display().to_string();
    let (code, out, error) =
        bench.bare_outcome(&["plan", "--source", &source, "--state-dir", &state, "--instance", &bench.instance]);
    (code, format!("{out}{error}"))
}

/// Nothing may take the machine away from the rest.
fn everything_is_limited(bench: &Bench) {
    for container in bench.all_containers() {
        let host = &container.0["HostConfig"];
        let (memory, cpu) = (host["Memory"].as_i64().unwrap(), host["NanoCpus"].as_i64().unwrap());
        assert!(memory > 0 && cpu > 0, "{}: {memory} bytes, {cpu} CPU", container.name());
    }
    let data = bench.engine.docker(&["network", "inspect", &bench.engine_name("production", "data")]);
    assert!(data.contains("\"Internal\": true"), "{data}");
}

/// With the certificate of Caddy's own authority, on the other of its ports.
fn serves_https(bench: &Bench) {
    let script = "fetch('https://localhost/').then((answer) => console.log(answer.status))";
    let words =
        ["run", "--rm", "--network", "host", "--env", "NODE_TLS_REJECT_UNAUTHORIZED=0", TOOLS, "node", "-e", script];
    assert_eq!(bench.engine.docker(&words).trim(), "200");
}

/// A release with a migration, with the controller killed in the middle of it; nobody notices either.
fn a_good_tag(system: &BotMox, controller: Process) -> Process {
    let bench = system.bench;
    system.release("2", &["sha-2", "main-latest"], |sources| {
        let notes =
            "  'CREATE TABLE notes (id bigserial PRIMARY KEY, text text NOT NULL); GRANT SELECT ON notes TO anon',\n";
        edit(&sources.join("api/api.js"), notes, &format!("{notes}  'ALTER TABLE notes ADD COLUMN author text',\n"));
    });
    let dumps = system.dumps();
    let load = Load::start_with(
        bench,
        &format!("{}api/v1/notes", system.url),
        &["1", "2"],
        &["--connections", "4", "--rate", "50"],
    );
    assert_eq!(system.evenkeel(&["set", "image", "deployment/api", ":sha-2", "-n", "production"]).0, 0);
    let image = system.registry.reference("bot-mox/api:sha-2");
    eventually("the update has begun", SOON, || bench.has_begun("api", &image));
    controller.kill();
    let controller = system.controller();
    assert_eq!(system.applied(), 0, "the update");
    let counted = load.stop();
    nobody_noticed("update", &counted);
    assert!(counted.of_version("2") > 0, "{counted:?}");
    system.serves("2");
    assert_eq!(system.dumps(), dumps + 1, "a backup before the migration");
    assert_eq!(system.sql("SELECT id, version FROM migrations ORDER BY id"), ["1|1", "2|2"]);
    controller
}

/// Three ways to be bad, and each goes back to what served before, which is checked.
fn bad_tags(system: &BotMox) {
    let before = ids(system.bench, "api");
    let load = Load::start_with(
        system.bench,
        &format!("{}api/v1/notes", system.url),
        &["2", "3", "4"],
        &["--connections", "4", "--rate", "50"],
    );
    // The bundle has no first page: the API is all right, and goes back with the frontend.
    system.release("3", &["sha-3"], |sources| {
        fs::rename(sources.join("frontend/www/index.html"), sources.join("frontend/www/home.html")).unwrap();
    });
    assert_eq!(system.promote(":sha-3"), 2, "it is rolled back");
    system.serves("2");
    // The health check is content, a client is not.
    system.release("4", &["sha-4"], |sources| {
        edit(
            &sources.join("api/api.js"),
            "    accept(request, socket);\n",
            "    return socket.end('HTTP/1.1 501 No\\r\\n\\r\\n');\n",
        );
    });
    assert_eq!(system.promote(":sha-4"), 2, "it is rolled back");
    system.serves("2");
    nobody_noticed("bad tags", &load.stop());
    let told = system.evenkeel(&["describe", "deployment/api", "-n", "production"]).1;
    assert!(told.contains("501 instead of a WebSocket"), "{told}");
    assert_ne!(ids(system.bench, "api"), before, "these replicas had been replaced, and were started again");
    // Its migration fails: nothing was touched for it.
    let (before, dumps) = (system.released(), system.dumps());
    system.release("5", &["sha-5"], |sources| {
        let notes = "GRANT SELECT ON notes TO anon',\n";
        edit(
            &sources.join("api/api.js"),
            notes,
            &format!("{notes}  '',\n  'ALTER TABLE note ADD COLUMN title text',\n"),
        );
    });
    assert_eq!(system.promote(":sha-5"), 2, "it is rejected");
    assert_eq!(system.released(), before, "what served was not touched");
    assert_eq!(system.dumps(), dumps + 1, "a backup before the migration");
    assert_eq!(system.promote(":sha-2"), 0, "what runs is asked for again");
    assert_eq!(system.released(), before, "nothing was replaced for it");
    system.serves("2");
    let log = system.evenkeel(&["log", "-n", "production"]).1;
    assert!(!log.contains("[redacted]"), "there is nothing secret in\n{log}");
    for word in ["ImageSet", "RolloutComplete", "RolledBack", "sha-3", "sha-5", "relation \"note\" does not exist"] {
        assert!(log.contains(word), "no {word} in\n{log}");
    }
}

fn backed_up_and_restored(system: &BotMox) {
    let before = system.data();
    run_now(system.bench, "cronjob/backup-database", system.environment);
    run_now(system.bench, "cronjob/backup-objects", system.environment);
    system.write("written after the backup", "another plan");
    system.sql("DELETE FROM notes WHERE text = 'the first note'");
    assert_ne!(system.data(), before);
    run_now(system.bench, "cronjob/restore-drill", system.environment);
    assert_ne!(system.data(), before, "a drill changes nothing");
    run_now(system.bench, "cronjob/restore-database", system.environment);
    run_now(system.bench, "cronjob/restore-objects", system.environment);
    assert_eq!(system.applied(), 0);
    system.serves("2");
    assert_eq!(system.data(), before);
}

fn restarted_without_a_controller(system: &BotMox, controller: Process) {
    let (before, containers) = (system.data(), system.released());
    assert!(controller.terminate(SOON).success());
    system.bench.engine.shut_down();
    system.bench.engine.start_again();
    system.serves("2");
    assert_eq!(system.data(), before);
    let _controller = system.controller();
    assert_eq!(system.applied(), 0);
    assert_eq!(system.released(), containers, "nothing was replaced");
    let (code, steps) = plan(system);
    assert_eq!(code, 0, "{steps}");
}

fn from_nothing(system: &BotMox) -> Process {
    dry_run(system);
    system.release("1", &["sha-1"], |_| ());
    let controller = system.controller();
    assert_eq!(system.applied(), 0, "deployed from nothing");
    system.serves("1");
    serves_https(system.bench);
    controller
}

#[test]
fn the_core_of_bot_mox() {
    run(Engine::own(20), "bot_mox", |bench| {
        let system = BotMox::new(bench, "production", "http://localhost/", "sha-1");
        let controller = from_nothing(&system);
        system.write("the first note", "a plan");
        let _controller = a_good_tag(&system, controller);
        // Each row has a column more since.
        let [note, same_note, file] = system.data();
        assert!(note.contains("the first note") && same_note.contains("the first note"), "{note} {same_note}");
        assert_eq!(file, "a plan");
    });
}

on_an_engine_of_its_own! {
    #[ignore = "minutes: make systems"]
    fn bot_mox_from_nothing_to_a_restored_backup(bench) {
        let system = BotMox::new(bench, "production", "http://localhost/", "sha-1");
        let controller = from_nothing(&system);
        everything_is_limited(bench);
        system.write("the first note", "a plan");
        let controller = a_good_tag(&system, controller);
        bad_tags(&system);
        backed_up_and_restored(&system);
        restarted_without_a_controller(&system, controller);
    }

    #[ignore = "minutes: make systems"]
    fn the_local_profile_follows_a_tag_that_moves(bench) {
        let system = BotMox::new(bench, "local", "http://localhost:8080/", "sha-1");
        system.release("1", &["main-latest"], |_| ());
        let _controller = system.controller();
        assert_eq!(system.applied(), 0, "deployed from nothing");
        system.serves("1");
        system.write("the first note", "a plan");
        let data = system.data();
        system.release("2", &["main-latest"], |_| ());
        for name in ["api", "frontend"] {
            let deployment = format!("deployment/{name}");
            assert_eq!(system.evenkeel(&["rollout", "restart", &deployment, "-n", "local"]).0, 0);
            assert_eq!(system.evenkeel(&["rollout", "status", &deployment, "-n", "local", "--timeout", "2m"]).0, 0);
        }
        system.serves("2");
        assert_eq!(system.data(), data);
    }
}
