//! What the daemon is given: sources, the policy file, and the host's logins for registries. It reads them as the daemon would,
//! changes nothing, and shows no login.

use std::path::Path;

use super::finding::Finding;
use crate::cli::age;
use crate::cli::plan::counted;
use crate::cli::validate;
use crate::engine::{HostLogin, HostLogins};
use crate::manifest::{self, Contexts, Diagnostic, Loaded, Snapshot, Source};
use crate::model::name::Name;
use crate::model::policy::Standing;
use crate::model::revision::ContentHasher;
use crate::model::secret::SecretBytes;
use crate::model::source::called;
use crate::model::time::Timestamp;
use crate::model::view::View;
use crate::reconciler::rules::{Place, Rules};

const SOURCE: &str = "source";
const POLICY: &str = "policy";
const LOGINS: &str = "registry logins";

/// What to think of each source, and of all of them together. `view` is what the daemon shows, if it answers.
pub async fn sources(named: &[Source], view: Option<&View>, now: Timestamp) -> Vec<Finding> {
    if named.is_empty() {
        let message = "none is named, and the daemon that could tell does not answer";
        return vec![Finding::warn(SOURCE, message, "name them: --config FILE with `sources`, or --source DIR")];
    }
    // Content ids are thrown away again, so any key will do.
    let (hasher, contexts) = (ContentHasher::new(SecretBytes::new(Vec::new())), Contexts::default());
    let (mut loaded, mut findings) = (Vec::new(), Vec::new());
    for (source, read) in named.iter().zip(validate::read_all(named).await) {
        let read = match read {
            Err(why) => {
                findings.push(held(source, &why, now));
                continue;
            }
            Ok(Err(mistakes)) => {
                findings.push(unreadable(source, &mistakes));
                continue;
            }
            Ok(Ok(snapshot)) => snapshot,
        };
        match manifest::load(source, &read, &hasher, &contexts) {
            Ok(objects) => {
                findings.push(valid(source, &read, &objects, view, now));
                loaded.push((source, objects));
            }
            Err(problems) => findings.push(invalid(&label(source), &problems)),
        }
    }
    let pairs: Vec<(&Source, &Loaded)> = loaded.iter().map(|(source, objects)| (*source, objects)).collect();
    if let Err(problems) = manifest::merge(&pairs) {
        findings.push(invalid("what they declare together", &problems));
    }
    findings
}

fn held(source: &Source, why: &str, now: Timestamp) -> Finding {
    let since = manifest::held_since(&source.dir).map(|since| format!(", for {}", age::since(since, now)));
    let message = format!("{} is held{}: {why}", label(source), since.unwrap_or_default());
    let way_out = "wait until git is done; if none runs, finish or undo what it has begun (git status says what). What was in force \
        stays in force";
    Finding::warn(SOURCE, message, way_out)
}

fn unreadable(source: &Source, mistakes: &[Diagnostic]) -> Finding {
    let why = mistakes.first().map_or("it cannot be read", |mistake| mistake.message.as_str());
    let dir = source.dir.display();
    let way_out = format!(
        "see whether it is there, mounted and readable: ls -la {dir}; or name another one in the configuration. What was in \
         force stays in force"
    );
    Finding::fail(SOURCE, why, way_out)
}

fn invalid(what: &str, problems: &[Diagnostic]) -> Finding {
    let first = problems.first().map(|first| format!(", first {}: {}", first.spot.brief(), first.message));
    let message = format!("{what}: {}{}", counted(problems.len(), "problem"), first.unwrap_or_default());
    Finding::fail(SOURCE, message, "evenkeel validate shows all of them, with the same flags or configuration as here")
}

fn valid(source: &Source, read: &Snapshot, objects: &Loaded, view: Option<&View>, now: Timestamp) -> Finding {
    let commit = read.commit.as_ref().map(|commit| format!(", {}", commit.in_words())).unwrap_or_default();
    let message = format!(
        "{}: {}, all valid{commit}, changed {} ago",
        label(source),
        counted(objects.desired.keys().len(), "object"),
        age::since(read.changed_at, now)
    );
    match view {
        Some(view) if !is_watched(source, view) => {
            let way_out =
                "restart it, if the configuration has changed: systemctl restart evenkeel (containers go on running)";
            Finding::warn(SOURCE, format!("{message}; the daemon does not watch it"), way_out)
        }
        Some(_) | None => Finding::ok(SOURCE, message),
    }
}

fn is_watched(source: &Source, view: &View) -> bool {
    let real = |dir: &Path| std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_path_buf());
    let of = |(dir, namespace): (&Path, Option<&Name>)| (real(dir), namespace.cloned());
    let own = of((&source.dir, source.namespace.as_ref()));
    view.sources.iter().any(|state| of((Path::new(&state.dir), state.namespace.as_ref())) == own)
}

fn label(source: &Source) -> String {
    called(source.dir.display(), source.namespace.as_ref())
}

/// What to think of the policy file: whether it is there, nobody but root could have written it, and it can be understood.
pub fn policy(place: &Place, sources: &[Source]) -> Vec<Finding> {
    let file = place.file.display().to_string();
    let mut rules = Rules::new(place.clone(), sources.to_vec());
    let standing = rules.read().clone();
    if let Some(warning) = rules.warning() {
        let way_out = "mend the file; it must be root's, in directories that are root's, and in no source";
        return vec![Finding::fail(POLICY, warning, way_out)];
    }
    let found = match standing {
        Standing::InForce(policy) => {
            let named = counted(policy.rules.namespaces.len(), "namespace");
            format!("{file} is root's and valid: {named} named, others are {}", policy.rules.default)
        }
        Standing::Absent | Standing::Broken(_) => format!("there is none ({file}): containers may have anything"),
    };
    let doubts = rules.warnings().chain(rules.unrestricted().cloned());
    let way_out = format!("docs/security.md says what counts; the policy is {file}");
    let doubts = doubts.map(|doubt| Finding::warn(POLICY, doubt, way_out.as_str()));
    std::iter::once(Finding::ok(POLICY, found)).chain(doubts).collect()
}

/// What to think of the host's logins for registries.
pub fn logins(found: &HostLogins) -> Vec<Finding> {
    let Some(file) = &found.file else {
        return vec![Finding::ok(LOGINS, "there is no home directory to look into: registries are asked without")];
    };
    let file = file.display();
    match &found.logins {
        Err(why) => {
            let way_out =
                format!("make it readable for the daemon's user, or write it anew: docker login REGISTRY ({file})");
            vec![Finding::fail(LOGINS, format!("{why}: registries are asked without"), way_out)]
        }
        Ok(logins) if logins.is_empty() => {
            vec![Finding::ok(
                LOGINS,
                format!("none in {file}: registries are asked without, or with a manifest's imagePullSecrets"),
            )]
        }
        Ok(logins) => logins.iter().map(login).collect(),
    }
}

fn login(HostLogin { registry, found }: &HostLogin) -> Finding {
    let again = format!("docker login {registry}, as the daemon's user");
    match found {
        Ok(true) => Finding::ok(LOGINS, format!("there is one for {registry}, and it can be read")),
        Ok(false) => Finding::warn(LOGINS, format!("{registry} is named, and has none: it is asked without"), again),
        Err(why) => Finding::fail(LOGINS, format!("the one for {registry} cannot be had: {why}"), again),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn source(dir: &Path) -> Source {
        Source { dir: dir.to_path_buf(), namespace: None, variables: Default::default() }
    }

    async fn told(dir: &Path) -> (Verdict, String) {
        let now = Timestamp(i64::from(u32::MAX) * 1000);
        let found = sources(&[source(dir)], None, now).await.remove(0);
        (found.verdict, found.message.replace(&dir.display().to_string(), "DIR"))
    }

    #[tokio::test]
    async fn each_source_is_told_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let missing = told(&dir.path().join("nowhere")).await;
        assert_eq!(missing, (Verdict::Fail, "source directory DIR does not exist".into()));
        let (verdict, message) = told(dir.path()).await;
        assert!(verdict == Verdict::Fail && message.contains("DIR"), "{message}");
        std::fs::write(dir.path().join("a.yaml"), "kind: Nothing\n").unwrap();
        let (verdict, message) = told(dir.path()).await;
        assert!(
            verdict == Verdict::Fail && message.contains("DIR: ") && message.contains("first DIR/a.yaml:1"),
            "{message}"
        );
        let web = "apiVersion: evenkeel.dev/v1\nkind: Network\nmetadata: {name: web, namespace: shop}\n";
        std::fs::write(dir.path().join("a.yaml"), web).unwrap();
        let (verdict, message) = told(dir.path()).await;
        assert!(verdict == Verdict::Ok && message.starts_with("DIR: "), "{message}");
        assert!(message.contains(", all valid, changed ") && message.ends_with(" ago"), "{message}");
        std::fs::create_dir(dir.path().join(".git")).unwrap();
        std::fs::write(dir.path().join(".git/index.lock"), "").unwrap();
        let (verdict, message) = told(dir.path()).await;
        assert!(verdict == Verdict::Warn && message.starts_with("DIR is held, for "), "{message}");
        let nothing = sources(&[], None, Timestamp(0)).await;
        assert_eq!(nothing[0].verdict, Verdict::Warn);
    }

    #[tokio::test]
    async fn a_source_that_the_daemon_does_not_watch_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let web = "apiVersion: evenkeel.dev/v1\nkind: Network\nmetadata: {name: web, namespace: shop}\n";
        std::fs::write(dir.path().join("a.yaml"), web).unwrap();
        let found = sources(&[source(dir.path())], Some(&View::default()), Timestamp(0)).await;
        assert!(found[0].verdict == Verdict::Warn && found[0].message.contains("does not watch it"), "{found:?}");
    }

    #[test]
    fn the_policy_is_absent_broken_or_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.yaml");
        let place = |is_required| Place { file: file.clone(), is_required, guarded: Vec::new() };
        let verdict = |is_required| policy(&place(is_required), &[])[0].verdict;
        assert_eq!((verdict(false), verdict(true)), (Verdict::Ok, Verdict::Fail));
        std::fs::write(&file, "defolt: baseline\n").unwrap();
        assert_eq!(verdict(false), Verdict::Fail);
        std::fs::write(&file, "namespaces: {infra: {level: privileged}}\n").unwrap();
        let beside = source(Path::new("/srv/shop"));
        let verdicts = |source: Source| {
            let found = policy(&place(false), &[source]);
            found.iter().map(|finding| finding.verdict).collect::<Vec<_>>()
        };
        assert_eq!(verdicts(beside.clone()), [Verdict::Ok, Verdict::Warn], "it can declare the namespace infra");
        assert_eq!(verdicts(Source { namespace: Some(Name::new("shop").unwrap()), ..beside }), [Verdict::Ok]);
        std::fs::write(&file, "default: baseline\n").unwrap();
        let within = policy(&place(false), &[source(dir.path())]);
        assert!(within[0].verdict == Verdict::Fail && within[0].message.contains("inside the source"), "{within:?}");
    }

    #[test]
    fn a_login_is_there_or_not_and_never_shown() {
        let of = |logins| {
            let found = logins_of(logins);
            found.iter().map(|finding| finding.verdict).collect::<Vec<_>>()
        };
        fn logins_of(found: Result<Vec<HostLogin>, String>) -> Vec<Finding> {
            logins(&HostLogins { file: Some("/root/.docker/config.json".into()), logins: found })
        }
        let one = |found| Ok(vec![HostLogin { registry: "ghcr.io".into(), found }]);
        assert_eq!(of(Ok(Vec::new())), [Verdict::Ok]);
        assert_eq!(of(Err("config.json cannot be read".into())), [Verdict::Fail]);
        assert_eq!(of(one(Ok(true))), [Verdict::Ok]);
        assert_eq!(of(one(Ok(false))), [Verdict::Warn]);
        assert_eq!(of(one(Err("docker-credential-x cannot be run".into()))), [Verdict::Fail]);
    }
}
