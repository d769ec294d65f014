//! The systems of `manifests/examples` as a person would run them: from nothing, updated, failing and going back, through a
//! restart of the engine and the loss of the controller, backed up and restored, with their data looked at before and after.
//! Each test has an engine of its own, because the manifests name fixed host ports and images of Docker Hub. The latter are
//! stand-ins of Debian's packages, from `tests/systems/images`; what the manifests say is run as it stands, but for the
//! edits that a test shows (shorter times, another directory of secrets).

mod bot_mox;
pub mod host;
mod hubnity;
mod nomadnet;
mod readmes;
mod tecket;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{Bench, Counted, Load, Process, eventually};

/// Long, because all systems start at once on few cores.
const SOON: Duration = Duration::from_secs(120);
/// With what programs outside of the engine's images are run.
const TOOLS: &str = "evenkeel-test/systems:1";

/// A folder of this repository.
fn repository(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}

/// Replaces a text that must be there once, in one step.
#[track_caller]
fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert_eq!(text.matches(from).count(), 1, "'{from}' in {}", file.display());
    let part = file.with_extension("part~");
    fs::write(&part, text.replace(from, to)).unwrap();
    fs::rename(part, file).unwrap();
}

/// Available at once when ready: the ten seconds of `minReady` in each of many Deployments are not what is tested.
fn hasten(file: &Path) {
    let text = fs::read_to_string(file).unwrap();
    let documents = text.split("---\n").map(|document| match document.contains("kind: Deployment") {
        true => document.replacen("\nspec:\n", "\nspec:\n  minReady: 1s\n", 1),
        false => document.to_string(),
    });
    fs::write(file, documents.collect::<Vec<_>>().join("---\n")).unwrap();
}

/// The images of Docker Hub that the manifests name.
pub fn hub(bench: &Bench, images: &[&str]) {
    bench.load_image("SYSTEMS");
    for image in images {
        let name = image.split(':').next().unwrap();
        build(bench, image, &repository("tests/systems/images").join(name), &[]);
    }
}

fn build(bench: &Bench, image: &str, context: &Path, options: &[&str]) {
    let context = context.display().to_string();
    bench.engine.docker(&[&["build", "--quiet", "--tag", image], options, &[&*context]].concat());
}

/// A request from the host: the status and the body.
fn request(bench: &Bench, method: &str, url: &str, body: &str) -> (u16, String) {
    let script = "const [method, url, body] = process.argv.slice(1);
        fetch(url, { method, body: body || undefined })
          .then(async (answer) => console.log(`${answer.status} ${await answer.text()}`))
          .catch((error) => console.log(`0 ${error.cause}`))";
    let said =
        bench.engine.docker(&["run", "--rm", "--network", "host", TOOLS, "node", "-e", script, method, url, body]);
    let (status, text) = said.split_once(' ').unwrap();
    (status.parse().unwrap(), text.trim_end().to_string())
}

/// A command in the only running container of an object.
#[track_caller]
fn exec(bench: &Bench, object: &str, command: &[&str]) -> String {
    let running = bench.running(object);
    assert_eq!(running.len(), 1, "{object}");
    bench.engine.docker(&[&["exec", running[0].id()], command].concat()).trim().to_string()
}

/// Waits for what all sources declare: the exit code of `apply --wait`.
fn applied(bench: &Bench) -> i32 {
    let (code, out, err) = bench.evenkeel_outcome(&["apply", "--wait", "--timeout", "8m"]);
    eprintln!("apply: {code}\n{out}{err}");
    code
}

fn ids(bench: &Bench, object: &str) -> Vec<String> {
    bench.running(object).iter().map(|container| container.id().to_string()).collect()
}

/// Runs a CronJob now, to its end, which has to be a good one.
#[track_caller]
fn run_now(bench: &Bench, cron_job: &str, namespace: &str) {
    bench.evenkeel(&["run-now", cron_job, "-n", namespace, "--wait", "--timeout", "8m"]);
}

/// The controller is killed when the update of `object` to `image`, whose version is 2, has begun; another one ends it, and whoever
/// makes requests has noticed nothing.
fn killed_in_an_update(bench: &Bench, controller: Process, load: Load, object: &str, image: &str) -> Process {
    eventually("the update has begun", SOON, || bench.has_begun(object, image));
    controller.kill();
    let controller = bench.start_controller();
    assert_eq!(applied(bench), 0, "the update");
    let counted = load.stop();
    nobody_noticed("update", &counted);
    assert!(counted.of_version("2") > 0, "{counted:?}");
    controller
}

#[track_caller]
fn nobody_noticed(what: &str, counted: &Counted) {
    eprintln!("{what}: {}", counted.0);
    assert_eq!(counted.failed(), 0, "{what}: {counted:?}");
    assert!(counted.requests() > 500, "{what}: {counted:?}");
}
