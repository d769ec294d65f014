//! The READMEs of the examples as a reader would type them, with their manifests and stand-ins as in the tests of the systems.
//! The image of the systems' parts stands for `node:18-slim` too.

use std::collections::BTreeSet;
use std::fs;

use super::bot_mox::{self, BotMox};
use super::tecket::checkouts::Developer;
use super::{TOOLS, copy, hub, hubnity, nomadnet, repository};
use crate::support::reader::{CURL, blocks, commands, spoken};
use crate::support::{Bench, Reader, on_an_engine_of_its_own};

/// The programs whose names make a code in the running text a command.
const PROGRAMS: [&str; 5] = ["docker", "evenkeel", "kill", "node", "systemctl"];

/// What a README says and no reader of these types here, and where it is tested.
type Elsewhere = [(&'static str, &'static str)];

const HUBNITY: &Elsewhere = &[("systemctl restart docker", "hubnity.rs shuts the engine down and starts it again")];
const TECKET: &Elsewhere = &[
    ("kill -9", "tecket.rs kills git while one of two files is written"),
    ("evenkeel rollout retry job/migrate", "tecket.rs loses the state directory first"),
];
const BOT_MOX: &Elsewhere = &[("systemctl restart docker", "bot_mox.rs shuts the engine down and starts it again")];
const NOMADNET: &Elsewhere = &[
    ("evenkeel validate", "nomadnet.rs validates the manifests with the variable missing"),
    (
        "evenkeel set image deployment/users",
        "nomadnet.rs does it with an image that fails like this one, and it is to fail",
    ),
    ("node main.js --smoke", "what the Job does"),
    ("kill -STOP", "it wants a process: nomadnet.rs takes the one of `users`"),
];

on_an_engine_of_its_own! {
    #[ignore = "minutes: make systems"]
    fn the_readme_of_hubnity_is_true(bench) {
        hub(bench, &["postgres:15", "redis:7", "nginx:1.22"]);
        hubnity::manifests(bench);
        let page = page("hubnity");
        let mut reader = reader(bench, "hubnity");
        type_all(&mut reader, &commands(&page), &[]);
        type_all(&mut reader, &spoken(&page, &PROGRAMS), HUBNITY);
    }

    #[ignore = "minutes: make systems"]
    fn the_readme_of_tecket_is_true(bench) {
        hub(bench, &["mariadb:10.11"]);
        let secrets = bench.directory().join("secrets");
        let developer = Developer::new(bench.directory(), &repository("manifests/examples/tecket"), &secrets);
        let page = page("tecket");
        let mut reader = reader(bench, "tecket")
            .with("git@example.org:tecket.git", &developer.origin.display().to_string())
            .with("/srv/tecket", &bench.directory().join("srv").display().to_string());
        type_all(&mut reader, &commands(&page), &[]);
        type_all(&mut reader, &spoken(&page, &PROGRAMS), TECKET);
    }

    #[ignore = "minutes: make systems"]
    fn the_readme_of_bot_mox_is_true_on_a_laptop(bench) {
        bot_mox::parts(bench);
        copy(&repository("manifests/examples/bot-mox"), &bench.manifests);
        bot_mox::quicken(bench);
        let page = page("bot-mox");
        let mut reader = reader(bench, "bot-mox");
        type_all(&mut reader, &blocks(&page)[0], &[]);
        let local: Vec<_> = spoken(&page, &PROGRAMS).into_iter().filter(|command| is_local(command)).collect();
        type_all(&mut reader, &local, &[]);
    }

    #[ignore = "minutes: make systems"]
    fn the_readme_of_bot_mox_is_true_on_a_server(bench) {
        let system = BotMox::new(bench, "production", "http://localhost/", "sha-4f2a91c");
        // The passwords of one's own.
        let secrets = bench.directory().join("secrets");
        fs::copy(secrets.join("registry.env"), bench.manifests.join("example-secrets/registry.env")).unwrap();
        // CI has pushed what runs, and what is promoted.
        system.release("1", &["sha-4f2a91c"], |_| ());
        system.release("2", &["sha-1a2b3c4"], |_| ());
        let page = page("bot-mox");
        let mut reader = reader(bench, "bot-mox");
        type_all(&mut reader, &blocks(&page)[1..].concat(), &[]);
        let others: Vec<_> = spoken(&page, &PROGRAMS).into_iter().filter(|command| !is_local(command)).collect();
        type_all(&mut reader, &others, BOT_MOX);
    }

    #[ignore = "minutes: make systems"]
    fn the_readme_of_nomadnet_is_true(bench) {
        bench.load_image("SYSTEMS");
        nomadnet::manifests(bench);
        let page = page("nomadnet");
        let mut reader = reader(bench, "nomadnet");
        type_all(&mut reader, &commands(&page), &[]);
        type_all(&mut reader, &spoken(&page, &PROGRAMS), NOMADNET);
    }
}

fn page(example: &str) -> String {
    fs::read_to_string(repository("manifests/examples").join(example).join("README.md")).unwrap()
}

/// A reader of an example, whose manifests and secrets are in the bench's directory.
fn reader<'a>(bench: &'a Bench, example: &str) -> Reader<'a> {
    bench.engine.docker(&["tag", TOOLS, "node:18-slim"]);
    // The page makes this directory itself.
    let secrets = bench.directory().join("secrets");
    if secrets.exists() {
        fs::remove_dir_all(&secrets).unwrap();
    }
    Reader::new(bench)
        .with(&format!("manifests/examples/{example}"), "manifests")
        .with(&format!("/etc/{example}"), &secrets.display().to_string())
        .with("…/", "manifests/")
        .with("curl ", CURL)
}

fn is_local(command: &str) -> bool {
    command.contains("-n local")
}

/// Types all of these but what is tested elsewhere.
fn type_all(reader: &mut Reader, commands: &[impl AsRef<str>], elsewhere: &Elsewhere) {
    let mut left_out = BTreeSet::new();
    for command in commands.iter().map(AsRef::as_ref) {
        match elsewhere.iter().find(|(known, _)| command.starts_with(known)) {
            Some((known, _)) => drop(left_out.insert(*known)),
            None => reader.types(command),
        }
    }
    assert!(commands.len() > left_out.len(), "there was something to type");
    assert_eq!(left_out, elsewhere.iter().map(|(known, _)| *known).collect(), "all of them are on the page");
}
