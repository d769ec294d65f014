//! The house rules that a compiler does not know: who may import what, where each dependency lives, what a decision
//! may not touch, and how long things may get. Each offence is printed as `src/plan/mod.rs:12: what is wrong`.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests and their helpers may")]

#[path = "tidy/source.rs"]
mod source;

use std::path::Path;

use source::{Source, line, sources, words};

/// What each room may import. A room that is not listed here is an offence of its own.
const ROOMS: [(&str, &[&str]); 16] = [
    ("model", &["model"]),
    ("policy", &["policy", "model"]),
    ("plan", &["plan", "policy", "model"]),
    ("manifest", &["manifest", "model"]),
    ("engine", &["engine", "policy", "model"]),
    ("probe", &["probe", "model"]),
    ("registry", &["registry", "model"]),
    ("store", &["store", "model"]),
    ("wake", &["wake", "model"]),
    ("notification", &["notification", "model"]),
    ("metrics", &["metrics", "model"]),
    (
        "reconciler",
        &[
            "reconciler",
            "model",
            "policy",
            "plan",
            "manifest",
            "engine",
            "probe",
            "registry",
            "store",
            "wake",
            "notification",
            "metrics",
            "server",
        ],
    ),
    ("server", &["server", "model", "metrics"]),
    ("cli", &["cli", "model", "manifest", "engine", "notification", "metrics", "reconciler", "server"]),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// Where each dependency may be used: rooms or files below `src`. An empty list means everywhere but in `plan` and, for
/// what [`IMPURE`] names, `model`. Cargo.toml says why each is there.
const HOMES: [(&str, &[&str]); 37] = [
    ("tokio", &[]),
    ("futures_util", &[]),
    ("bollard", &["engine"]),
    ("log", &["engine"]),
    ("serde", &[]),
    ("serde_json", &[]),
    ("schemars", &["model", "manifest", "cli"]),
    ("granit_parser", &["manifest/yaml"]),
    ("strsim", &["manifest"]),
    ("humantime", &["model"]),
    ("croner", &["model/schedule"]),
    ("chrono", &["model/schedule"]),
    ("chrono_tz", &["model/schedule"]),
    ("regex", &["model/tags"]),
    ("semver", &["model/tags"]),
    ("sha1", &["manifest"]),
    ("sha2", &["model", "store", "manifest", "plan", "reconciler", "registry"]),
    ("hmac", &["model"]),
    ("getrandom", &["store"]),
    ("base64", &["engine", "registry", "reconciler/encoding"]),
    ("notify", &["wake"]),
    ("tar", &["manifest/context"]),
    ("prometheus", &["metrics"]),
    ("axum", &["server"]),
    ("hyper", &["cli", "probe", "notification", "registry", "engine", "server"]),
    ("hyper_util", &["cli", "probe", "notification", "registry", "engine", "server"]),
    ("hyper_rustls", &["notification", "registry"]),
    ("h2", &["probe"]),
    ("tower_service", &["engine", "server"]),
    ("http_body_util", &["cli", "probe", "notification", "registry"]),
    (
        "rustix",
        &[
            "engine/headroom",
            "manifest/door",
            "reconciler/paths",
            "reconciler/rules",
            "server/socket",
            "probe/inside",
            "cli/doctor",
        ],
    ),
    ("clap", &["cli", "main"]),
    ("clap_complete", &["cli"]),
    ("sd_notify", &["cli"]),
    ("libc", &["cli"]),
    ("tracing", &[]),
    ("thiserror", &[]),
];

/// Further homes: a dependency that only starts something up.
const STARTERS: [(&str, &[&str]); 1] = [("tracing_subscriber", &["cli", "main"])];

/// What decisions and plain data may not know: clocks, chance, the outside world, waiting, telling.
const IMPURE: [&str; 19] = [
    "tokio",
    "futures_util",
    "tracing",
    "rand",
    "getrandom",
    "async",
    "std::fs",
    "std::env",
    "std::io",
    "std::process",
    "std::thread",
    "Mutex",
    "RwLock",
    "OnceLock",
    "SystemTime",
    "Instant",
    "println!",
    "eprintln!",
    "dbg!",
];

/// Names of registries: none is built in. (The engine knows Docker's own, as the engine's protocol wants it.)
const REGISTRIES: [&str; 6] = ["ghcr.io", "quay.io", "gcr.io", "crates.io", "npmjs", "pypi"];

/// The most lines of a file, tests not counted.
const FILE_MAX: usize = 400;
/// Files that may be longer, because they are one list.
const LISTS: [&str; 1] = ["src/model/spec/template.rs"];
/// The most lines of a function, tests not counted.
const FUNCTION_MAX: usize = 80;

/// Where a file stands below `src`, without `.rs` and `/mod`: `plan/rollout`, `plan`, `main`.
fn place(source: &Source) -> String {
    let below = source.path.strip_prefix("src").unwrap_or(&source.path).with_extension("");
    below.to_string_lossy().trim_end_matches("/mod").to_string()
}

/// The room that a file belongs to.
fn room(source: &Source) -> String {
    place(source).split('/').next().unwrap_or_default().to_string()
}

fn offence(source: &Source, line: usize, what: impl std::fmt::Display) -> String {
    format!("{}:{line}: {what}", source.path.display())
}

/// Rooms that a file imports, with the line: `crate::x`, `crate::{x, y}`, and `evenkeel::x` in the binary.
fn imports(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for root in ["crate", "evenkeel"] {
        for at in words(&source.code, root) {
            let Some(tail) = source.code[at + root.len()..].strip_prefix("::") else { continue };
            for name in first_segments(tail) {
                found.push((line(&source.code, at), name));
            }
        }
    }
    found
}

/// The names that a path begins with: one, or those of a group.
fn first_segments(path: &str) -> Vec<String> {
    let name = |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let (mut depth, mut names, mut start) = (0, Vec::new(), 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' | ',' if depth == 0 => {
                names.push(name(&group[start..at]));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn import_offences(source: &Source) -> Vec<String> {
    let room = room(source);
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        return vec![offence(
            source,
            1,
            format!("{room} is no room of this house; say in tests/tidy.rs what it may import"),
        )];
    };
    let is_room = |name: &str| ROOMS.iter().any(|(room, _)| *room == name);
    let wrong = imports(source).into_iter().filter(|(_, name)| is_room(name) && !allowed.contains(&name.as_str()));
    wrong
        .map(|(line, name)| offence(source, line, format!("{room} may import {}, not {name}", only(&room, allowed))))
        .collect()
}

/// `model only`, `model, plan`: what a room may import beside itself.
fn only(room: &str, allowed: &[&str]) -> String {
    match allowed.iter().copied().filter(|name| *name != room).collect::<Vec<_>>()[..] {
        [] => "nothing of ours".into(),
        [one] => format!("{one} only"),
        ref several => several.join(", "),
    }
}

fn dependency_offences(source: &Source) -> Vec<String> {
    let place = place(source);
    let at_home = |homes: &[&str]| {
        homes.is_empty() || homes.iter().any(|home| place == *home || place.starts_with(&format!("{home}/")))
    };
    let homes = HOMES.iter().chain(&STARTERS).filter(|(_, homes)| !at_home(homes));
    homes.flat_map(|(name, homes)| uses(source, name, &format!("{name} lives in {}", homes.join(", ")))).collect()
}

/// Uses of a crate: `name::…` that is no part of a longer path.
fn uses(source: &Source, name: &str, what: &str) -> Vec<String> {
    let used = words(&source.code, name).filter(|at| source.code[at + name.len()..].starts_with("::"));
    used.map(|at| offence(source, line(&source.code, at), what)).collect()
}

fn purity_offences(source: &Source) -> Vec<String> {
    let room = room(source);
    if !["plan", "policy", "model"].contains(&room.as_str()) {
        return Vec::new();
    }
    let found = IMPURE.iter().flat_map(|word| words(&source.shipped, word).map(move |at| (at, word)));
    found.map(|(at, word)| offence(source, line(&source.shipped, at), format!("{room} is pure: no {word}"))).collect()
}

fn shape_offences(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    if !source.text.starts_with("//! ") {
        found.push(offence(source, 1, "the first line says what the file is: `//! …`"));
    }
    let is_list = LISTS.iter().any(|list| source.path == Path::new(list));
    if source.shipped_lines() > FILE_MAX && !is_list {
        let lines = source.shipped_lines();
        found.push(offence(source, 1, format!("{lines} lines without tests; a file has at most {FILE_MAX}")));
    }
    for (name, line, length) in source.functions() {
        if length > FUNCTION_MAX {
            found.push(offence(
                source,
                line,
                format!("{name} has {length} lines; a function has at most {FUNCTION_MAX}"),
            ));
        }
    }
    found
}

fn word_offences(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for word in ["TODO", "FIXME"] {
        let at = source.text.match_indices(word).map(|(at, _)| at);
        found.extend(at.map(|at| offence(source, line(&source.text, at), format!("{word}: do it, or write an issue"))));
    }
    for at in source.shipped.match_indices(".unwrap()").map(|(at, _)| at) {
        found.push(offence(
            source,
            line(&source.shipped, at),
            "unwrap outside of tests: expect(\"why it cannot happen\")",
        ));
    }
    for name in REGISTRIES {
        let at = source.shipped_strings.match_indices(name).map(|(at, _)| at);
        found.extend(at.map(|at| offence(source, line(&source.text, at), format!("{name}: no registry is built in"))));
    }
    found
}

fn all_offences(source: &Source) -> Vec<String> {
    let rules = [import_offences, dependency_offences, purity_offences, shape_offences, word_offences];
    rules.iter().flat_map(|rule| rule(source)).collect()
}

#[test]
fn the_house_is_tidy() {
    let mut offences: Vec<String> = sources("src").iter().flat_map(all_offences).collect();
    for source in ["tests", "examples"].iter().flat_map(|dir| sources(dir)) {
        // This file has to name what it forbids.
        if source.path != Path::new("tests/tidy.rs") {
            offences.extend(word_offences(&Source {
                shipped: String::new(),
                shipped_strings: String::new(),
                ..source
            }));
        }
    }
    assert!(offences.is_empty(), "{} offences:\n{}", offences.len(), offences.join("\n"));
}

#[test]
fn every_dependency_has_a_home() {
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let (_, rest) = manifest.split_once("\n[dependencies]\n").expect("Cargo.toml has dependencies");
    let section = rest.split("\n[").next().expect("split gives at least one part");
    let names = section.lines().filter_map(|line| line.split_once(" = ")).filter(|(name, _)| !name.starts_with('#'));
    for name in names.map(|(name, _)| name.replace('-', "_")) {
        let known = HOMES.iter().chain(&STARTERS).any(|(known, _)| *known == name);
        assert!(known, "Cargo.toml: {name} has no home; say in tests/tidy.rs where it may be used");
    }
}

/// The offences of a text that stands at `path`.
fn offences_of(path: &str, text: &str) -> Vec<String> {
    all_offences(&Source::new(Path::new(path), format!("//! A file.\n{text}")))
}

#[test]
fn offences_are_found_where_they_are() {
    let cases = [
        ("src/plan/mod.rs", "use crate::store::Store;", "src/plan/mod.rs:2: plan may import policy, model, not store"),
        (
            "src/wake/x.rs",
            "use crate::{model::{a, b}, plan::c};",
            "src/wake/x.rs:2: wake may import model only, not plan",
        ),
        ("src/store/x.rs", "\nfn f() { notify::watch() }", "src/store/x.rs:3: notify lives in wake"),
        ("src/plan/x.rs", "pub async fn f() {}", "src/plan/x.rs:2: plan is pure: no async"),
        ("src/model/x.rs", "use std::fs::read;", "src/model/x.rs:2: model is pure: no std::fs"),
        (
            "src/cli/x.rs",
            "fn f() { g().unwrap() }",
            "src/cli/x.rs:2: unwrap outside of tests: expect(\"why it cannot happen\")",
        ),
        ("src/cli/x.rs", "const X: &str = \"ghcr.io\";", "src/cli/x.rs:2: ghcr.io: no registry is built in"),
        (
            "src/attic/x.rs",
            "",
            "src/attic/x.rs:1: attic is no room of this house; say in tests/tidy.rs what it may import",
        ),
    ];
    for (path, text, expected) in cases {
        assert_eq!(offences_of(path, text), [expected], "{text}");
    }
    let long = format!("fn f() {{\n{}}}", "    g();\n".repeat(80));
    assert_eq!(offences_of("src/cli/x.rs", &long), ["src/cli/x.rs:2: f has 82 lines; a function has at most 80"]);
    let lines = "// a line\n".repeat(400);
    assert_eq!(
        offences_of("src/cli/x.rs", &lines),
        ["src/cli/x.rs:1: 401 lines without tests; a file has at most 400"]
    );
}

#[test]
fn comments_strings_and_tests_are_no_offence() {
    let texts = [
        "// use crate::store::Store; x.unwrap() ghcr.io\n/* async */",
        "const A: &str = \"crate::store::x tokio::y async\";",
        "const A: &str = r#\"say \"async\" .unwrap()\"#; const B: char = '\"'; const C: &str = \"\";",
        "fn f<'a>(x: &'a str) -> char { '\\'' }",
        "#[cfg(test)]\nmod tests {\n    fn f() { x.unwrap(); \"ghcr.io\" }\n}",
    ];
    for text in texts {
        assert_eq!(offences_of("src/plan/x.rs", text), [""; 0], "{text}");
    }
    let long_test = format!("#[cfg(test)]\nmod tests {{\n{}}}", "    // Why.\n    g();\n\n".repeat(500));
    assert_eq!(offences_of("src/plan/x.rs", &long_test), [""; 0]);
}
