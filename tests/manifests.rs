//! Manifests in: what is wrong is told as its `.txt` says, what is right loads.
//!
//! A case is a `.yaml` file or a folder in `tests/manifests/wrong` or `right`. To add one, write it and run
//! `UPDATE=1 cargo test --test manifests`; then read the `.txt` that appears. A first line such as
//! `# source: namespace=shop TAG=1.4` gives the source a namespace and variables.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests and their helpers may")]

#[path = "support/example.rs"]
mod example;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use evenkeel::manifest::{self, Contexts, Loaded, Snapshot, Source, snapshot};
use evenkeel::model::name::Name;
use evenkeel::model::revision::ContentHasher;
use evenkeel::model::secret::SecretBytes;
use proptest::prelude::*;

fn hasher() -> ContentHasher {
    ContentHasher::new(SecretBytes::new(vec![7; 32]))
}

/// The cases of a folder, by name.
fn cases(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.is_dir() || path.extension().is_some_and(|extension| extension == "yaml"));
    cases.sort();
    cases
}

/// A copy of a case in a directory of its own, outside of any git repository.
fn copy(case: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy_into(case, &dir.path().join(case.file_name().unwrap()));
    dir
}

fn copy_into(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        copy_into(&path, &to.join(path.file_name().unwrap()));
    }
}

/// The source that the case's first line describes.
fn source(dir: &Path, case: &Path) -> Source {
    let mut source = Source { dir: dir.into(), namespace: None, variables: BTreeMap::new() };
    let first = if case.is_dir() { case.join("source") } else { case.into() };
    let text = fs::read_to_string(first).unwrap_or_default();
    let settings = text.lines().next().and_then(|line| line.strip_prefix("# source: ")).unwrap_or_default();
    for (name, value) in settings.split_whitespace().filter_map(|setting| setting.split_once('=')) {
        match name {
            "namespace" => source.namespace = Some(Name::new(value).unwrap()),
            _ => drop(source.variables.insert(name.into(), value.into())),
        }
    }
    source
}

/// Loads a case; what is wrong is the text of the screen.
fn load(case: &Path) -> Result<Loaded, String> {
    load_from(case, source(Path::new(""), case))
}

/// The same as a source with a namespace and variables; its directory is that of a copy.
fn load_from(case: &Path, source: Source) -> Result<Loaded, String> {
    let dir = copy(case);
    let name = case.file_name().unwrap();
    let root = if case.is_dir() { dir.path().join(name) } else { dir.path().to_path_buf() };
    let source = Source { dir: root.clone(), ..source };
    let snapshot =
        snapshot::read(&root).map_err(|error| error.to_string().replace(&root.display().to_string(), "DIR"))?;
    manifest::load(&source, &snapshot, &hasher(), &Contexts::default()).map_err(|problems| {
        let screen: Vec<String> = problems.iter().map(|problem| format!("{problem}\n")).collect();
        screen.join("\n").replace(&format!("{}/", root.display()), "").replace(&root.display().to_string(), "DIR")
    })
}

#[test]
fn every_wrong_manifest_is_told_as_its_text_says() {
    let mut wrong = Vec::new();
    for case in cases("tests/manifests/wrong") {
        let told = load(&case).err().unwrap_or_else(|| "it loads, although it should not\n".into());
        let expected = case.with_extension("txt");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&expected, &told).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != told {
            wrong.push(format!("{}:\n{told}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "told differently (UPDATE=1 rewrites the texts):\n{}", wrong.join("\n"));
}

#[test]
fn every_right_manifest_loads() {
    for case in cases("tests/manifests/right") {
        if let Err(told) = load(&case) {
            panic!("{}:\n{told}", case.display());
        }
    }
}

#[test]
fn no_secret_is_ever_told() {
    for case in cases("tests/manifests/wrong") {
        let told = fs::read_to_string(case.with_extension("txt")).unwrap_or_default();
        assert!(!told.contains("hunter2"), "{}:\n{told}", case.display());
    }
}

/// A manifest with most of what a manifest can have.
fn whole() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests/right/everything.yaml")).unwrap()
}

fn load_text(files: &[(&str, &[u8])]) -> Result<Loaded, Vec<manifest::Diagnostic>> {
    let files = files.iter().map(|(path, bytes)| (PathBuf::from(path), bytes.to_vec())).collect();
    let source = Source { dir: PathBuf::new(), namespace: None, variables: BTreeMap::new() };
    manifest::load(&source, &Snapshot::of(files), &hasher(), &Contexts::default())
}

/// What a ConfigMap with this key, whose value is a file of so many bytes, comes to.
fn config_map(key: &str, bytes: usize) -> Result<Vec<u8>, String> {
    let spec = serde_json::json!({"files": {key: "big.bin"}});
    let manifest =
        format!("apiVersion: evenkeel.dev/v1\nkind: ConfigMap\nmetadata: {{name: a, namespace: shop}}\nspec: {spec}\n");
    let loaded = load_text(&[("a.yaml", manifest.as_bytes()), ("big.bin", &vec![b'x'; bytes])]);
    let loaded =
        loaded.map_err(|problems| problems.iter().map(|problem| problem.message.as_str()).collect::<String>())?;
    let id = &loaded.desired.contents.values().next().unwrap().spec;
    Ok(loaded.contents[id].entries[key].expose().to_vec())
}

/// What comes of a tab is often another mistake a line further: the tab is told, and where.
#[test]
fn a_tab_that_indents_is_told_at_its_place_whatever_it_leads_to() {
    let told = |spec: &str| {
        let text =
            format!("apiVersion: evenkeel.dev/v1\nkind: Volume\nmetadata: {{name: a, namespace: shop}}\n{spec}\n");
        let problems = load_text(&[("a.yaml", text.as_bytes())]).err().unwrap_or_default();
        problems.iter().map(|one| format!("{}:{}: {}", one.spot.line, one.spot.column, one.message)).collect::<Vec<_>>()
    };
    for (spec, place) in [
        ("spec:\n\texternal: true", "5:1"),
        ("spec:\n  external: true\n\tname: b", "6:1"),
        ("spec:\n  labels:\n  \ta: b\n  \tc: d", "6:3"),
        ("spec:\n  labels:\n    a: b\n\tname: b", "7:1"),
    ] {
        assert_eq!(told(spec), [format!("{place}: YAML allows no tabs for indentation")], "{spec:?}");
    }
    // Within a text and behind a field it is one like any other space.
    for right in ["spec:\n  labels:\n    a: |\n      b\n      \tc", "spec:\n  external:\tfalse"] {
        assert_eq!(told(right), [""; 0], "{right:?}");
    }
}

#[test]
fn a_key_is_what_can_be_a_files_name() {
    for right in ["a", "a.b_c-D9", ".hidden", "a..b", &"k".repeat(253)] {
        assert_eq!(config_map(right, 3), Ok(b"xxx".to_vec()), "{right:?}");
    }
    for wrong in ["", ".", "..", "..a", "a/b", "a b", "\u{e9}", &"k".repeat(254)] {
        assert_eq!(config_map(wrong, 3), Err("this is not a key".into()), "{wrong:?}");
    }
}

#[test]
fn keys_and_values_have_a_mebibyte_together() {
    let limit = 1024 * 1024;
    assert_eq!(config_map("key", limit - 3).map(|value| value.len()), Ok(limit - 3));
    assert_eq!(config_map("key", limit - 2), Err("configmap/shop/a has more than 1 MiB".into()));
}

/// The check and the types are made from one source, so what passes the one never fails the other.
fn check_agrees_with_types(bytes: &[u8]) {
    let problems = load_text(&[("a.yaml", bytes)]).err().unwrap_or_default();
    let apart = problems.iter().find(|problem| problem.message.contains("is not what its schema says"));
    assert!(apart.is_none(), "{}", apart.unwrap());
}

fn keys(loaded: &Loaded) -> Vec<String> {
    let desired = &loaded.desired;
    let mut keys: Vec<String> = desired.deployments.keys().map(ToString::to_string).collect();
    keys.extend(desired.jobs.keys().map(ToString::to_string));
    keys.extend(desired.cron_jobs.keys().map(ToString::to_string));
    keys.extend(desired.volumes.keys().map(ToString::to_string));
    keys.extend(desired.contents.keys().map(ToString::to_string));
    keys
}

#[test]
fn a_truncated_manifest_never_declares_more_than_the_whole() {
    let text = whole();
    let all = keys(&load_text(&[("a.yaml", text.as_bytes())]).map_err(|e| format!("{}", e[0])).unwrap());
    let ends = (0..text.len()).filter(|end| end % 7 == 0 || text.as_bytes()[end - 1] == b'\n');
    for end in ends {
        if let Ok(part) = load_text(&[("a.yaml", &text.as_bytes()[..end])]) {
            // A name may be cut short, but then it is one object fewer that has the whole name.
            assert!(keys(&part).len() <= all.len(), "at byte {end}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_files_never_changes_the_result(order in Just(vec!["a", "b", "c", "d", "e", "f"]).prop_shuffle()) {
        // Each document under a name that sorts elsewhere.
        let text = whole();
        let documents: Vec<&str> = text.split("\n---\n").collect();
        let files = |names: &[&str]| -> BTreeMap<PathBuf, Vec<u8>> {
            documents.chunks(documents.len().div_ceil(names.len())).zip(names)
                .map(|(part, name)| (PathBuf::from(format!("{name}.yaml")), part.join("\n---\n").into_bytes())).collect()
        };
        let source = Source { dir: PathBuf::new(), namespace: None, variables: BTreeMap::new() };
        let load = |names: &[&str]| manifest::load(&source, &Snapshot::of(files(names)), &hasher(), &Contexts::default()).ok().unwrap();
        let (one, other) = (load(&["a", "b", "c", "d", "e", "f"]), load(&order));
        let placeless = |loaded: &Loaded| {
            let mut desired = loaded.desired.clone();
            desired.deployments.values_mut().for_each(|declared| declared.place.clear());
            desired.jobs.values_mut().for_each(|declared| declared.place.clear());
            desired.cron_jobs.values_mut().for_each(|declared| declared.place.clear());
            desired.volumes.values_mut().for_each(|declared| declared.place.clear());
            desired.networks.values_mut().for_each(|declared| declared.place.clear());
            desired.contents.values_mut().for_each(|declared| declared.place.clear());
            desired
        };
        prop_assert_eq!(placeless(&one), placeless(&other));
    }

    #[test]
    fn no_bytes_make_it_panic(edits in prop::collection::vec((0usize..6000, any::<u8>()), 1..20)) {
        let mut bytes = whole().into_bytes();
        for (at, byte) in edits {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        check_agrees_with_types(&bytes);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[-a-z:{}\\[\\]&*!|>'\"#%@` \n\t$,?~0-9]{0,200}") {
        let _ = load_text(&[("a.yaml", text.as_bytes())]);
    }

    #[test]
    fn a_value_that_is_replaced_is_taken_or_told(at in 0usize..2000, value in prop::sample::select(vec![
        "0", "-1", "1", "99999999999", "1.5", "1e3", "true", "null", "~", "\"\"", "a", "A_b", "/", "[]", "{}", "[a]",
        "{a: b}", "{secret: a, key: b}", "{name: data}", "10s", "5Mi", "0444", "1-2", "\"${TAG}\"", "\"${PORT}\"", "$$",
    ])) {
        let text = whole();
        let colons: Vec<usize> = text.match_indices(": ").map(|(at, _)| at + 2).collect();
        let start = colons[at % colons.len()];
        let end = text[start..].find([',', '}', '\n']).map_or(text.len(), |length| start + length);
        check_agrees_with_types(format!("{}{value}{}", &text[..start], &text[end..]).as_bytes());
    }

    #[test]
    fn a_line_that_is_left_out_or_doubled_never_makes_it_panic(line in 0usize..300, twice in any::<bool>()) {
        let text = whole();
        let mut lines: Vec<&str> = text.lines().collect();
        let line = line % lines.len();
        if twice { lines.insert(line, lines[line]) } else { let _ = lines.remove(line); }
        check_agrees_with_types(lines.join("\n").as_bytes());
    }
}

/// Loads `text` and says how long it took.
fn timed(text: &str) -> (String, std::time::Duration) {
    #[allow(clippy::disallowed_methods, reason = "the test measures real time")]
    let start = std::time::Instant::now();
    let told = match load_text(&[("a.yaml", text.as_bytes())]) {
        Ok(_) => "it loads".into(),
        Err(problems) => problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; "),
    };
    (told, start.elapsed())
}

/// A debug build is some ten times slower than a release build.
const PATIENCE: u128 = if cfg!(debug_assertions) { 1000 } else { 100 };

#[test]
fn an_alias_bomb_is_refused_at_once() {
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_string();
    for (one, next) in ('a'..='y').zip('b'..='z') {
        bomb.push_str(&format!("{next}: &{next} [{}]\n", vec![format!("*{one}"); 10].join(",")));
    }
    let (told, time) = timed(&bomb);
    println!("alias bomb: {time:?}");
    assert!(told.contains("too many values"), "{told}");
    assert!(time.as_millis() < PATIENCE, "{time:?}");
}

#[test]
fn two_hundred_deployments_are_read_in_no_time() {
    let parts: Vec<String> = (0..200)
        .map(|number| {
            APP.replace("name: app", &format!("name: app-{number}"))
                .replace("${TAG}", "1")
                .replace("\"${PORT}\"", &format!("{}", 3000 + number))
        })
        .collect();
    let (told, time) = timed(&parts.join("---\n"));
    println!("200 Deployments: {time:?}");
    assert_eq!(told, "it loads");
    assert!(time.as_millis() < PATIENCE, "{time:?}");
}

#[test]
fn deep_nesting_is_refused_at_once() {
    let mut block = String::new();
    for depth in 0..1000 {
        block.push_str(&format!("{}a:\n", " ".repeat(depth)));
    }
    for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000), "? ".repeat(100_000), block] {
        let (told, time) = timed(&text);
        assert!(told.contains("nested deeper"), "{told}");
        println!("{}: {time:?}", text.chars().take(8).collect::<String>().replace('\n', "\\n"));
        assert!(time.as_millis() < PATIENCE, "{time:?}");
    }
}

#[test]
fn a_megabyte_of_anything_is_read_in_no_time() {
    let size = 1 << 20;
    let fill = |part: &str| part.repeat(size / part.len());
    for text in [
        format!("a: [{}]", fill("a,")),
        format!("a: {{{}}}", fill("a: 1,")),
        format!("a: \"{}\"", fill("${A}")),
        format!("a: \"{}\"", fill("${A:-")),
        format!("a: {}", fill("x")),
        fill("a: &a 1\n"),
        fill("---\na: 1\n"),
        fill("*a "),
        fill("- - - - - - -\n"),
        fill("\"a\": "),
        fill("a "),
        fill("<<: [*a]\n"),
        fill("\r"),
        fill("#\n"),
        fill("%TAG ! x\n"),
        fill("!a "),
        fill("&a "),
        format!("a: |\n{}", fill(" x\n")),
        format!(
            "apiVersion: evenkeel.dev/v1\nkind: ConfigMap\nmetadata: {{name: a}}\nspec: {{data: {{{}}}}}",
            fill("\"${A}\": \"${A}\",")
        ),
        format!(
            "apiVersion: evenkeel.dev/v1\nkind: Secret\nmetadata: {{name: a}}\nspec: {{files: {{{}}}}}",
            fill("a: b,")
        ),
    ] {
        let (told, time) = timed(&text);
        let shown: String = told.chars().take(200).collect();
        println!("{time:?}\t{}\t{shown}", text.chars().take(30).collect::<String>().replace('\n', "\\n"));
        assert!(time.as_millis() < 20 * PATIENCE, "{time:?} for {}", text.chars().take(60).collect::<String>());
    }
}

/// Loads one text as a source with a namespace.
fn in_namespace(dir: &str, namespace: &str, text: &str) -> (Source, Loaded) {
    let source = Source { dir: dir.into(), namespace: Name::new(namespace).ok(), variables: BTreeMap::new() };
    let files = [(PathBuf::from("a.yaml"), text.as_bytes().to_vec())].into();
    let loaded = manifest::load(&source, &Snapshot::of(files), &hasher(), &Contexts::default());
    (source, loaded.unwrap_or_else(|problems| panic!("{}", problems[0])))
}

fn merge(sources: &[(Source, Loaded)]) -> Result<Loaded, String> {
    let sources: Vec<(&Source, &Loaded)> = sources.iter().map(|(source, loaded)| (source, loaded)).collect();
    let told = |problems: Vec<manifest::Diagnostic>| problems.iter().map(|p| format!("{p}\n")).collect::<String>();
    manifest::merge(&sources).map_err(told)
}

const APP: &str = "apiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: {name: app}\nspec: {template: {image: \"app:${TAG}\", ports: [{port: 80, hostPort: \"${PORT}\"}]}}\n";

fn environment(name: &str, variables: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1\nkind: Namespace\nmetadata: {{name: {name}}}\nspec: {{variables: {{{variables}}}}}\n---\n"
    )
}

#[test]
fn one_directory_serves_two_namespaces_with_their_own_variables() {
    let text =
        environment("production", "TAG: v1, PORT: '3000'") + &environment("staging", "TAG: v2, PORT: '3001'") + APP;
    let sources = [in_namespace("m", "production", &text), in_namespace("m", "staging", &text)];
    let all = merge(&sources).unwrap();
    let images: Vec<String> = all.desired.images().into_iter().collect();
    assert_eq!(images, ["app:v1", "app:v2"]);
    let namespaces: Vec<&str> = all.desired.namespaces.keys().map(Name::as_str).collect();
    assert_eq!(namespaces, ["production", "staging"]);
    assert_eq!(all.desired.networks.len(), 2, "each namespace has its network default");
}

#[test]
fn sources_that_claim_the_same_are_told_where() {
    let production = environment("production", "TAG: v1, PORT: '3000'") + APP;
    let staging = environment("staging", "TAG: v1, PORT: '3000'") + APP;
    let port = merge(&[in_namespace("one", "production", &production), in_namespace("two", "staging", &staging)]);
    insta::assert_snapshot!(port.err().unwrap(), @r#"
    two/a.yaml:9:69: error: port 3000 of the host (127.0.0.1, tcp) would be used by Deployment 'app' of namespace 'production' too
     9 | spec: {template: {image: "app:${TAG}", ports: [{port: 80, hostPort: "${PORT}"}]}}
       |                                                                     ^^^^^^^^^
    hint: the other one is in one/a.yaml:9
    "#);
    let object =
        merge(&[in_namespace("one", "production", &production), in_namespace("two", "production", &production)]);
    let told = object.err().unwrap();
    assert!(
        told.contains("two/a.yaml:8:18: error: Deployment 'app' of namespace 'production' is declared twice"),
        "{told}"
    );
}

#[test]
fn a_diagnostic_is_plain_data_for_other_programs() {
    let problems =
        load_text(&[("a.yaml", b"apiVersion: evenkeel.dev/v1\nkind: Volum\nmetadata: {name: data}\nspec: {}\n")])
            .err()
            .unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&problems).unwrap(), @r#"
    [
      {
        "file": "a.yaml",
        "line": 2,
        "column": 7,
        "width": 5,
        "sourceLine": "kind: Volum",
        "severity": "error",
        "message": "there is no kind 'Volum'",
        "hint": "did you mean 'Volume'?"
      }
    ]
    "#);
}

#[test]
fn what_a_manifest_says_is_what_is_desired() {
    let loaded = load_text(&[("a.yaml", whole().as_bytes())]).ok().unwrap();
    let backend = loaded.desired.deployments.iter().find(|(key, _)| key.name.as_str() == "backend").unwrap().1;
    insta::assert_snapshot!(serde_json::to_string_pretty(&backend.spec.template.env).unwrap(), @r#"
    {
      "DEBUG": "false",
      "EMPTY": "",
      "LEVEL": {
        "configMap": "backend",
        "key": "LOG_LEVEL"
      },
      "MODE": "012",
      "NODE_ENV": "production",
      "PORT": "3000",
      "RATIO": "1.50"
    }
    "#);
    assert_eq!(backend.spec.template.ports[0].port, 3001);
    assert_eq!(backend.place, "a.yaml:94");
    let db = loaded.desired.deployments.iter().find(|(key, _)| key.name.as_str() == "db").unwrap().1;
    assert_eq!(db.spec.template.logging.as_ref().unwrap().driver, "json-file", "the namespace's default");
    let content = loaded.contents.values().next().unwrap();
    let text = String::from_utf8(content.entries["app.conf"].expose().to_vec()).unwrap();
    assert_eq!(text, "listen 3001;\nhost $host;\nprice 5$;\n");
}

#[test]
fn a_secrets_content_changes_its_id_and_its_file_is_watched() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.env"), "A=hunter2\n").unwrap();
    let text = "apiVersion: evenkeel.dev/v1\nkind: Secret\nmetadata: {name: a}\nspec: {envFiles: [./a.env]}\n";
    let source = Source { dir: dir.path().into(), namespace: None, variables: BTreeMap::new() };
    let snapshot = Snapshot::of([(PathBuf::from("a.yaml"), text.as_bytes().to_vec())].into());
    let id = || {
        let loaded = manifest::load(&source, &snapshot, &hasher(), &Contexts::default()).ok().unwrap();
        assert_eq!(loaded.external, [dir.path().join("a.env")].into());
        loaded.desired.contents.into_values().next().unwrap().spec.0
    };
    let first = id();
    assert!(first.starts_with("s-"));
    assert_eq!(first, id());
    fs::write(dir.path().join("a.env"), "A=hunter3\n").unwrap();
    assert_ne!(first, id());
}

#[test]
fn every_folder_of_examples_loads() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    let examples = fs::read_dir(root.join("examples")).unwrap().map(|entry| entry.unwrap().path());
    for folder in examples.filter(|path| path.is_dir()).chain([root.join("quickstart")]) {
        for source in example::sources(&folder) {
            if let Err(told) = load_from(&folder, source) {
                panic!("{}:\n{told}", folder.display());
            }
        }
    }
}
