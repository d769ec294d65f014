//! The README's five minutes and the how-tos, line by line as a reader would type them, and every command of all other pages.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::notifications::Webhook;
use crate::support::{
    Bench, Deployment, Process, Registry, evenkeel_binary, eventually, object, on_an_engine_of_its_own,
};

on_an_engine_of_its_own! {
    fn the_readmes_five_minutes_are_true(bench) {
        bench.load_image("DEMO");
        let quickstart = root().join("manifests/quickstart");
        for entry in fs::read_dir(quickstart).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            bench.write(&format!("quickstart/{name}"), &fs::read_to_string(&path).unwrap());
        }
        let readme = fs::read_to_string(root().join("README.md")).unwrap();
        let from = readme.find("## Five minutes").expect("the section is there");
        let to = readme[from + 2..].find("\n## ").expect("another follows") + from;
        type_along(bench, &readme[from..to]);
    }

    fn every_line_of_the_how_tos_works(bench) {
        bench.load_image("DEMO");
        type_along(bench, &fs::read_to_string(root().join("docs/howto.md")).unwrap());
    }

    fn every_command_of_the_other_pages_works(bench) {
        let registry = Registry::open(bench);
        let webhook = Webhook::start(bench);
        let checkout = checkout(bench, &registry);
        fs::write(bench.directory().join("evenkeel.yaml"), webhook.config()).unwrap();
        let _daemon = start(bench, "evenkeel run --source checkout/manifests");
        follow(bench, "evenkeel apply --wait --timeout 2m");
        let (mut elsewhere, mut typed) = (BTreeSet::new(), 0);
        for line in other_pages().iter().flat_map(|page| commands(page)) {
            match ELSEWHERE.iter().find(|(known, _)| line.starts_with(known)) {
                Some((known, _)) => drop(elsewhere.insert(*known)),
                None => {
                    follow_in(bench, &checkout, &here(bench, &line));
                    typed += 1;
                }
            }
        }
        assert!(typed > 5, "the pages have something to type");
        assert_eq!(elsewhere, ELSEWHERE.iter().map(|(known, _)| *known).collect(), "all of them are on some page");
        assert!(webhook.is_told(), "the test notification has come");
        assert!(fs::read_to_string(checkout.join("manifests/web.yaml")).unwrap().contains(":sha-1a2b"));
        let promoted = fs::read_to_string(checkout.join("manifests/production.yaml")).unwrap();
        assert!(promoted.contains(&format!("/shop/api:2@{}", registry.digest("shop/api:2"))), "{promoted}");
    }
}

/// Commands that no engine of its own is enough for, and where they are tested.
const ELSEWHERE: [(&str, &str); 5] = [
    ("make build", "the tests have built the program; `make test` begins with it"),
    ("sudo deploy/install", "it needs root and systemd: tests/deploy.rs runs it with stand-ins for both"),
    (
        "install -d -m 700 /var/lib/evenkeel",
        "a rebuilt machine: tests/docker/history.rs goes the same way with its own directory",
    ),
    ("cp -a BACKUP/sources", "the same"),
    ("systemctl start evenkeel", "it needs systemd: tests/docker/deployed.rs shows what its unit leaves the daemon"),
];

/// A command as it is typed here: the remote host is this one, `/etc/evenkeel` the test's directory, and `deploy` the reader's own.
fn here(bench: &Bench, line: &str) -> String {
    let line = line.strip_prefix("ssh deploy@host ").unwrap_or(line);
    let line = line.replace("/etc/evenkeel/", &format!("{}/", bench.directory().display()));
    format!("deploy() {{ echo deployed; }}; {line}")
}

/// Every page but the how-tos.
fn other_pages() -> Vec<String> {
    let entries = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    pages.retain(|path| !path.ends_with("howto.md"));
    pages.sort();
    pages.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// The lines of a page's `sh` blocks.
fn commands(page: &str) -> Vec<String> {
    let blocks = page.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    blocks.flat_map(str::lines).map(String::from).collect()
}

/// A clone, one commit behind, of what the pages speak of.
fn checkout(bench: &Bench, registry: &Registry) -> PathBuf {
    bench.load_image("DEMO");
    for tag in ["sha-0f9e", "sha-1a2b"] {
        bench.engine.docker(&["tag", "evenkeel-demo:1", &format!("shop/web:{tag}")]);
    }
    let [old, new] = ["1", "2"].map(|tag| registry.push(&format!("evenkeel-demo:{tag}"), &format!("shop/api:{tag}")));
    let web = Deployment::new("web", "shop/web:sha-0f9e");
    let api = |namespace: &str, image: &str| {
        Deployment::new("api", image).to_string().replace("namespace: shop", &format!("namespace: {namespace}"))
    };
    let origin = bench.directory().join("origin");
    let job = "{schedule: '30 2 * * *', template: {image: 'evenkeel-demo:1', args: [job, --print, written]}}";
    for (file, text) in [
        ("web.yaml", web.to_string()),
        ("backup.yaml", object("CronJob", "backup", job)),
        ("staging.yaml", api("staging", &new)),
        ("production.yaml", api("production", &old)),
    ] {
        write(&origin.join("manifests").join(file), &text);
    }
    let commit = "git add . && git -c user.name=a -c user.email=a@b commit --quiet --message";
    follow_in(bench, &origin, &format!("git init --quiet . && {commit} first && git clone --quiet . ../checkout"));
    fs::write(origin.join("manifests/web.yaml"), web.replicas(1).to_string()).unwrap();
    follow_in(bench, &origin, &format!("{commit} second"));
    bench.directory().join("checkout")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Does what a page says: writes the files that it shows, and types its commands.
fn type_along(bench: &Bench, page: &str) {
    let (mut daemons, mut typed) = (Vec::new(), 0);
    for step in steps(page) {
        match step {
            Step::File { path, text } => write(&bench.directory().join(path), text),
            Step::Command(line) => match line.strip_suffix(" &") {
                Some(daemon) => daemons.push(start(bench, daemon)),
                None => follow(bench, line),
            },
        }
        typed += 1;
    }
    assert!(typed > 10, "the page has something to type");
}

enum Step<'a> {
    /// A `yaml` block under a line that is a path and a colon.
    File { path: &'a str, text: &'a str },
    /// A line of a `sh` block.
    Command(&'a str),
}

fn steps(page: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let parts: Vec<&str> = page.split("```").collect();
    for pair in parts.chunks(2) {
        let [prose, block] = pair else { break };
        if let Some(lines) = block.strip_prefix("sh\n") {
            // The build was the test's own.
            steps.extend(lines.lines().filter(|line| !line.starts_with("make ")).map(Step::Command));
        } else if let (Some(text), Some(path)) = (block.strip_prefix("yaml\n"), named(prose)) {
            steps.push(Step::File { path, text });
        }
    }
    steps
}

/// The path of `` `PATH`: ``, if that is the last line of some prose.
fn named(prose: &str) -> Option<&str> {
    prose.trim_end().lines().last()?.strip_prefix('`')?.strip_suffix("`:")
}

fn write(path: &PathBuf, text: &str) {
    eprintln!("writing {}", path.display());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn shell(bench: &Bench, line: &str) -> std::process::Command {
    let mut command = bench.engine.command(Path::new("/bin/bash"));
    let binaries = evenkeel_binary();
    let path = format!("{}:{}", binaries.parent().unwrap().display(), std::env::var("PATH").unwrap());
    command.args(["-c", line]).current_dir(bench.directory()).env("PATH", path);
    command
        .env("EVENKEEL_CONFIG", bench.settings())
        .env("EVENKEEL_SOCKET", bench.socket())
        .env("EVENKEEL_STATE_DIR", bench.state_directory());
    command
}

/// A line that ends in `&`: it runs until the test is over, and the next line is typed when it answers.
fn start(bench: &Bench, line: &str) -> Process {
    eprintln!("$ {line} &");
    // `exec`, so that ending the shell ends what it became.
    let process = Process::start(&mut shell(bench, &format!("exec {line}")), &bench.directory().join("daemon.log"));
    eventually("the daemon answers", Duration::from_secs(10), || bench.try_evenkeel(&["get", "all"]));
    process
}

fn follow(bench: &Bench, line: &str) {
    follow_in(bench, bench.directory(), line);
}

fn follow_in(bench: &Bench, directory: &Path, line: &str) {
    eprintln!("$ {line}");
    let output = shell(bench, line).current_dir(directory).output().expect("bash can be run");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    eprintln!("{out}{err}");
    // `plan` says by its exit code that there are changes.
    let fine = output.status.success() || line.starts_with("evenkeel plan") && output.status.code() == Some(2);
    assert!(fine, "{line}: {}", output.status);
}
