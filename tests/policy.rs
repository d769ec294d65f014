//! What a policy refuses and what it lets pass: every case of `tests/policy`, from its manifest to the last step of the
//! plan. What the files say is told in `tests/policy/README.md`.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests and their helpers may")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use evenkeel::manifest::{self, Contexts, Source, snapshot};
use evenkeel::model::action::Call;
use evenkeel::model::desired::Desired;
use evenkeel::model::name::{Key, Kind, Name};
use evenkeel::model::observed::{Image, ImageState, Network, NetworkId, Observed, Volume};
use evenkeel::model::policy::{Guarded, HostPath, Policy, PolicyFile, Refusal, Standing, Writers};
use evenkeel::model::revision::{ContentHasher, ImageId};
use evenkeel::model::secret::SecretBytes;
use evenkeel::model::time::Timestamp;
use evenkeel::{plan, policy};

const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/policy");

/// One block of a file.
#[derive(Default)]
struct Case {
    name: String,
    level: String,
    exceptions: Vec<String>,
    links: BTreeMap<String, String>,
    /// Links that were there when files were read, and are not any more.
    former: BTreeMap<String, String>,
    missing: BTreeSet<String>,
    loose: BTreeSet<String>,
    pushed: Vec<String>,
    routes: BTreeSet<String>,
    volumes: Vec<Volume>,
    networks: Vec<Network>,
    is_pulled: bool,
    refused: Vec<(String, String)>,
    documents: Vec<String>,
}

fn cases(file: &str) -> Vec<Case> {
    let text = fs::read_to_string(Path::new(DIR).join(file)).unwrap();
    text.split("\n=== ").skip(1).map(case).collect()
}

fn case(text: &str) -> Case {
    let (name, rest) = text.split_once('\n').unwrap();
    let mut parts = rest.split("---\n").map(str::to_owned);
    let head = parts.next().unwrap();
    let mut case = Case { name: name.into(), level: "baseline".into(), documents: parts.collect(), ..Case::default() };
    for line in head.lines().filter(|line| !line.is_empty()) {
        let (word, rest) = line.split_once(' ').unwrap();
        match (word, rest.split(' ').collect::<Vec<_>>().as_slice()) {
            ("level", [level]) => case.level = (*level).into(),
            ("exception", _) => case.exceptions.push(rest.into()),
            ("link", [from, "->", to]) => drop(case.links.insert((*from).into(), (*to).into())),
            ("was", [from, "->", to]) => drop(case.former.insert((*from).into(), (*to).into())),
            ("missing", [path]) => drop(case.missing.insert((*path).into())),
            ("pushed", [path]) => case.pushed.push((*path).into()),
            ("route", [subnet]) => drop(case.routes.insert((*subnet).into())),
            ("loose", [path]) => drop(case.loose.insert((*path).into())),
            ("volume", [name, rest @ ..]) => case.volumes.push(volume(name, rest)),
            ("network", [name, rest @ ..]) => case.networks.push(network(name, rest)),
            ("image", ["present"]) => case.is_pulled = true,
            ("refused", [rule, field @ ..]) => case.refused.push(((*rule).into(), field.join(" "))),
            _ => panic!("{name}: what does '{line}' mean?"),
        }
    }
    case
}

/// The labels of something of a namespace, if it is one's; and the rest of the words.
fn owned<'a>(words: &'a [&'a str]) -> (BTreeMap<String, String>, &'a [&'a str]) {
    match words {
        ["of", namespace, rest @ ..] => {
            let labels = [("evenkeel.dev/instance", "evenkeel"), ("evenkeel.dev/namespace", namespace)];
            (labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(), rest)
        }
        rest => (BTreeMap::new(), rest),
    }
}

fn volume(name: &str, words: &[&str]) -> Volume {
    let (labels, rest) = owned(words);
    let mut options: BTreeMap<String, String> =
        rest.iter().map(|word| word.split_once('=').unwrap()).map(|(k, v)| (k.into(), v.into())).collect();
    let driver = options.remove("driver").unwrap();
    Volume { name: name.into(), labels, driver, options }
}

fn network(name: &str, words: &[&str]) -> Network {
    let (labels, _) = owned(words);
    Network { id: NetworkId(name.into()), name: name.into(), labels, driver: "bridge".into(), subnets: Vec::new() }
}

impl Case {
    /// What its manifest declares, with the policy; what is wrong with it where the manifest itself is refused.
    fn desired(&self, host: &Path) -> Result<Desired, String> {
        let source = host.join("source");
        fs::create_dir_all(&source).unwrap();
        for context in ["source/app", "app"] {
            fs::create_dir_all(host.join(context)).unwrap();
        }
        let contexts = ["source/app/Dockerfile", "app/Dockerfile"].map(|file| (file, "FROM web:1\n"));
        for (file, text) in [("other.env", "PASSWORD=p\n"), ("other.txt", "words\n"), ("source/own.env", "A=b\n")]
            .into_iter()
            .chain(contexts)
        {
            fs::write(host.join(file), text).unwrap();
        }
        let on_host = |text: &str| text.replace("/HOST", host.to_str().unwrap());
        for (from, to) in &self.former {
            let _ = fs::remove_file(on_host(from));
            std::os::unix::fs::symlink(on_host(to), on_host(from)).unwrap();
        }
        fs::write(source.join("case.yaml"), on_host(&self.manifest())).unwrap();
        let source = Source { dir: source, namespace: Some(name("shop")), variables: BTreeMap::new() };
        let hasher = ContentHasher::new(SecretBytes::new(Vec::new()));
        let loaded = manifest::load(&source, &snapshot::read(&source.dir).unwrap(), &hasher, &Contexts::default());
        let loaded = loaded.map_err(|problems| problems[0].message.clone())?;
        Ok(Desired { policy: self.policy(on_host), ..loaded.desired })
    }

    fn manifest(&self) -> String {
        let header = "apiVersion: evenkeel.dev/v1\n";
        let template = self.documents[0].trim().lines().filter(|line| *line != "{}");
        let template: String = template.map(|line| format!("    {line}\n")).collect();
        let image = if template.contains("build:") { "" } else { "    image: web:1\n" };
        let web = format!("{header}kind: Deployment\nmetadata: {{name: web}}\nspec:\n  template:\n{image}");
        let further = self.documents[1..].iter().map(|document| format!("---\n{header}{document}\n"));
        format!("{web}{template}{}", further.collect::<String>())
    }

    fn policy(&self, on_host: impl Fn(&str) -> String) -> Standing {
        let exceptions = self.exceptions.iter().map(|line| format!("      {}\n", on_host(line))).collect::<String>();
        let exceptions = if exceptions.is_empty() { " {}\n".into() } else { format!("\n{exceptions}") };
        let text = format!("namespaces:\n  shop:\n    level: {}\n    exceptions:{exceptions}", self.level);
        let rules =
            manifest::settings::read("policy.yaml", &text).unwrap_or_else(|p| panic!("{}: {}", self.name, p[0]));
        assert_eq!(policy::flaws(&rules, &BTreeMap::new()), Vec::<String>::new(), "{}", self.name);
        let guarded =
            |path: &str, is_socket| Guarded { path: path.into(), what: "a place of its own".into(), is_socket };
        let guarded = vec![
            guarded("/opt/engine/api", true),
            guarded("/run/evenkeel/evenkeel.sock", true),
            guarded("/opt/state", false),
        ];
        let file = "/etc/evenkeel/policy.yaml".into();
        let writers = vec![Writers { source: "shop".into(), namespace: Some(name("shop")), dirs: self.pushed.clone() }];
        Standing::InForce(Arc::new(Policy { file, rules, guarded, writers }))
    }

    fn observed(&self, desired: &Desired) -> Observed {
        let paths = policy::paths_of_interest(desired, self.volumes.iter());
        Observed {
            volumes: self.volumes.iter().map(|volume| (volume.name.clone(), volume.clone())).collect(),
            networks: self.networks.iter().map(|network| (network.name.clone(), network.clone())).collect(),
            host_subnets: self.routes.clone(),
            images: desired.images().into_iter().map(|image| (image, self.image())).collect(),
            host_paths: Some(paths.into_iter().map(|path| (path.clone(), self.lead(&path))).collect()),
            ..Observed::default()
        }
    }

    fn image(&self) -> ImageState {
        if !self.is_pulled {
            return ImageState::Missing;
        }
        ImageState::Present(Image {
            id: ImageId("sha256:1".into()),
            tags: Vec::new(),
            digests: Vec::new(),
            has_health_check: false,
            volumes: BTreeSet::new(),
            platform: Default::default(),
            is_ours: false,
        })
    }

    /// Where a path leads on the case's host.
    fn lead(&self, path: &str) -> HostPath {
        let mut at = String::new();
        let (mut loose, mut links) = (None, Vec::new());
        let mut ahead: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        while let Some(part) = ahead.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => at.truncate(at.rfind('/').unwrap_or(0)),
                part => at = format!("{at}/{part}"),
            }
            let var_run = (at == "/var/run").then(|| "/run".to_owned());
            if let Some(target) = self.links.get(&at).cloned().or(var_run) {
                links.push(std::mem::take(&mut at));
                ahead.extend(target.split('/').rev().map(str::to_owned));
            }
            if self.missing.contains(&at) {
                return HostPath::Missing;
            }
            if self.loose.contains(&at) && !ahead.is_empty() {
                loose = Some(at.clone());
            }
        }
        HostPath::Real { path: if at.is_empty() { "/".into() } else { at }, loose, links }
    }
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// What is refused of a case, by rule and field, and what would be made to the end of the plan.
struct Outcome {
    refused: BTreeMap<Key, Vec<Refusal>>,
    made: Vec<Call>,
}

fn play(case: &Case, desired: &Desired) -> Outcome {
    let (observed, history, now) = (case.observed(desired), Default::default(), Timestamp(1_000_000));
    let plan = plan::plan(desired, &observed, &history, now);
    let calls =
        plan::forecast(desired, &observed, &history, now, &plan).steps.into_iter().filter_map(|step| match step {
            plan::Step::Act(action) => Some(action.call),
            plan::Step::Check(_) => None,
        });
    Outcome { refused: plan.refused, made: calls.collect() }
}

/// What is wrong with the outcome of an escape.
fn mistakes(case: &Case) -> Vec<String> {
    let host = tempfile::tempdir().unwrap();
    let desired = match case.desired(&host.path().canonicalize().unwrap()) {
        Ok(desired) => desired,
        Err(problem) => {
            let expected = case.refused.iter().any(|(rule, text)| rule == "manifest" && problem.contains(text));
            return if expected { Vec::new() } else { vec![format!("the manifest: {problem}")] };
        }
    };
    let Outcome { refused, made } = play(case, &desired);
    let mut found: Vec<(String, String)> =
        refused.values().flatten().map(|refusal| (refusal.rule.clone(), refusal.field.clone())).collect();
    let mut mistakes = Vec::new();
    for (rule, field) in &case.refused {
        match found.iter().position(|(other, at)| other == rule && at.starts_with(field.as_str())) {
            Some(at) => drop(found.remove(at)),
            None => mistakes.push(format!("not refused: {rule} {field}")),
        }
    }
    mistakes.extend(found.iter().map(|(rule, field)| format!("refused without being asked: {rule} {field}")));
    let of_refused = |call: &&Call| {
        let names = refused.keys().map(|key| (key.kind, format!("shop.{}", key.name)));
        names.into_iter().any(|(kind, name)| match (kind, call) {
            (Kind::Network, Call::CreateNetwork(network)) => network.name == name,
            (Kind::Volume, Call::CreateVolume(volume)) => volume.name == name,
            (Kind::Deployment, Call::CreateContainer(_) | Call::Pull { .. } | Call::Build { .. }) => true,
            _ => false,
        })
    };
    mistakes.extend(made.iter().find(of_refused).map(|call| format!("it comes to: {call}")));
    mistakes
}

#[test]
fn every_escape_is_refused_for_its_reason_and_nothing_is_made() {
    let cases = cases("escapes.txt");
    let wrong = cases.iter().flat_map(|case| mistakes(case).into_iter().map(|wrong| format!("{}: {wrong}", case.name)));
    let wrong: Vec<String> = wrong.collect();
    assert!(cases.len() >= 100 && cases.iter().all(|case| !case.refused.is_empty()), "{} escapes", cases.len());
    assert!(wrong.is_empty(), "of {} escapes:\n{}", cases.len(), wrong.join("\n"));
}

#[test]
fn what_is_harmless_comes_to_a_container() {
    let mut wrong = Vec::new();
    for case in cases("harmless.txt") {
        let host = tempfile::tempdir().unwrap();
        let desired = case.desired(&host.path().canonicalize().unwrap());
        let desired = desired.unwrap_or_else(|problem| panic!("{}: {problem}", case.name));
        let Outcome { refused, made } = play(&case, &desired);
        let refused: Vec<String> = refused.values().flatten().map(ToString::to_string).collect();
        if !refused.is_empty() || !made.iter().any(|call| matches!(call, Call::CreateContainer(_))) {
            wrong.push(format!("{}: {refused:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_share_is_refused_for_what_it_may_be_and_other_options_for_what_they_can_do() {
    let host = tempfile::tempdir().unwrap();
    for (name, words) in [
        ("the host's export by NFS", "'shop.data' is a mount of ':/', which may be this host's"),
        ("a share by SMB", "'shop.data' is a mount of '//127.0.0.1/c', which may be this host's"),
        ("a disk as a volume", "'shop.data' has options that can mount anything (type 'ext4', device '/dev/sda1')"),
    ] {
        let case = cases("escapes.txt").into_iter().find(|case| case.name == name).unwrap();
        let refused = play(&case, &case.desired(host.path()).unwrap()).refused;
        let told: Vec<String> = refused.values().flatten().map(ToString::to_string).collect();
        assert!(matches!(&*told, [why] if why.contains(words)), "{name}: {told:?}");
    }
}

/// The same manifests, where nobody says what is allowed.
#[test]
fn without_a_policy_nothing_is_refused() {
    for case in cases("escapes.txt") {
        let host = tempfile::tempdir().unwrap();
        let Ok(desired) = case.desired(&host.path().canonicalize().unwrap()) else { continue };
        let desired = Desired { policy: Standing::Absent, ..desired };
        let refused = play(&case, &desired).refused;
        assert!(refused.is_empty(), "{}: {refused:?}", case.name);
    }
}

#[test]
fn a_policy_that_cannot_be_read_lets_nothing_new_be_made() {
    for case in cases("harmless.txt") {
        let host = tempfile::tempdir().unwrap();
        let desired = case.desired(&host.path().canonicalize().unwrap()).unwrap();
        let desired = Desired { policy: Standing::Broken("it is torn".into()), ..desired };
        let made = play(&case, &desired).made;
        assert!(made.is_empty(), "{}: {made:?}", case.name);
    }
}

#[test]
fn the_policy_that_the_documentation_shows_is_one() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/security.md")).unwrap();
    let (_, example) = text.split_once("```yaml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let rules: PolicyFile = manifest::settings::read("policy.yaml", example).unwrap();
    assert_eq!(policy::flaws(&rules, &BTreeMap::new()), [""; 0]);
    assert_eq!(rules.namespaces.len(), 3);
}
