//! The README's five minutes and the how-tos, line by line as a reader would type them, and every command of all other pages.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::notifications::Webhook;
use crate::support::reader::{CURL, commands, statements};
use crate::support::registry::{PASSWORD, USER};
use crate::support::{Bench, Deployment, Reader, Registry, object, on_an_engine_of_its_own};
use crate::systems::hub;

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
        for command in commands(&readme[..from]).iter().chain(&commands(&readme[to..])) {
            assert!(REST_OF_README.iter().any(|(known, _)| command.starts_with(known)), "who tests {command}?");
        }
        type_along(Reader::new(bench), bench.directory(), &readme[from..to]);
    }

    fn every_line_of_the_how_tos_works(bench) {
        bench.load_image("DEMO");
        hub(bench, &["nginx:1.22", "caddy:2"]);
        let registry = Registry::private(bench);
        registry.push("evenkeel-demo:1", "shop/app:1.4");
        // CI has committed something that the host does not have yet.
        let mut ci = Reader::new(bench);
        ci.types("git init --quiet --initial-branch main ci && git init --quiet --initial-branch main . && git remote add origin ./ci");
        let commit = "git -C ci add . && git -C ci -c user.name=a -c user.email=a@b commit --quiet --allow-empty --message";
        ci.types(&format!("{commit} first && git fetch --quiet && git checkout --quiet --track origin/main"));
        let pulled = "apiVersion: evenkeel.dev/v1\nkind: Namespace\nmetadata: {name: ci}\n";
        write(&bench.directory().join("ci/manifests/ci/namespace.yaml"), pulled);
        ci.types(&format!("{commit} second"));
        let reader = Reader::new(bench)
            .with("registry.example.com", &registry.address)
            .with("'ci'", &format!("'{USER}'"))
            .with("'pa55'", &format!("'{PASSWORD}'"))
            .with("curl ", CURL);
        type_along(reader, bench.directory(), &fs::read_to_string(root().join("docs/howto.md")).unwrap());
        assert!(bench.manifests.join("ci/namespace.yaml").exists(), "the commit has been pulled");
    }

    fn every_command_of_the_other_pages_works(bench) {
        let registry = Registry::open(bench);
        let webhook = Webhook::start(bench);
        let checkout = checkout(bench, &registry);
        fs::write(bench.directory().join("evenkeel.yaml"), webhook.config()).unwrap();
        let mut operator = Reader::new(bench);
        operator.types("evenkeel run --source checkout/manifests &");
        operator.types("evenkeel apply --wait --timeout 2m");
        let mut reader = Reader::new(bench).at(&checkout);
        let (mut elsewhere, mut typed) = (BTreeSet::new(), 0);
        for line in other_pages().iter().flat_map(|page| commands(page)) {
            match ELSEWHERE.iter().find(|(known, _)| line.starts_with(known)) {
                Some((known, _)) => drop(elsewhere.insert(*known)),
                None => {
                    reader.types(&here(bench, &line));
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

/// Where the commands of README's other sections are tested.
const REST_OF_README: [(&str, &str); 3] = [
    ("make demo", "tests/docker/demo.rs"),
    ("docker run -d --name evenkeel", "tests/docker/in_a_container.rs"),
    ("make ", "the targets of the tests, which are these"),
];

/// Commands that no engine of its own is enough for, and where they are tested.
const ELSEWHERE: [(&str, &str); 5] = [
    ("make build", "the tests have built the program; `make test` begins with it"),
    ("sudo deploy/install", "it needs a host with systemd: systems/host.rs boots one"),
    (
        "install -d -m 700 /var/lib/evenkeel",
        "a rebuilt machine: tests/docker/history.rs goes the same way with its own directory",
    ),
    ("cp -a BACKUP/sources", "the same"),
    ("systemctl start evenkeel", "the same host"),
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
    let mut author = Reader::new(bench).at(&origin);
    author.types(&format!("git init --quiet . && {commit} first && git clone --quiet . ../checkout"));
    fs::write(origin.join("manifests/web.yaml"), web.replicas(1).to_string()).unwrap();
    author.types(&format!("{commit} second"));
    bench.directory().join("checkout")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Does what a page says: writes the files that it shows, and types its commands.
fn type_along(mut reader: Reader, directory: &Path, page: &str) {
    let steps = steps(page);
    assert!(steps.len() > 10, "the page has something to type");
    for step in steps {
        match step {
            Step::File { path, text } => write(&directory.join(path), &reader.reads(text)),
            Step::Command(line) => reader.types(&line),
        }
    }
}

enum Step<'a> {
    /// Another block under a line that is a path and a colon.
    File { path: &'a str, text: &'a str },
    /// A command of a `sh` block.
    Command(String),
}

fn steps(page: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let parts: Vec<&str> = page.split("```").collect();
    for pair in parts.chunks(2) {
        let [prose, block] = pair else { break };
        let (language, text) = block.split_once('\n').unwrap_or_default();
        if language == "sh" {
            // The build was the test's own.
            steps.extend(statements(text).into_iter().filter(|line| !line.starts_with("make ")).map(Step::Command));
        } else if let Some(path) = named(prose) {
            steps.push(Step::File { path, text });
        }
    }
    steps
}

/// The path of `` `PATH`: ``, if that is the last line of some prose.
fn named(prose: &str) -> Option<&str> {
    prose.trim_end().lines().last()?.strip_prefix('`')?.strip_suffix("`:")
}

fn write(path: &Path, text: &str) {
    eprintln!("writing {}", path.display());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
