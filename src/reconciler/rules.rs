//! The policy file: read when it changes, and believed only where nobody but root and this process' user could have
//! written it. It judges nothing.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use super::paths;
use crate::manifest::{self, Source};
use crate::model::policy::{Guarded, HostPath, Policy, PolicyFile, Standing, Writers};
use crate::policy;

/// More than any policy needs.
const BYTES_MAX: u64 = 1 << 20;

/// Where the policy is, as the command line and the configuration say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Whether it was asked for by name, so that it must be there.
    pub is_required: bool,
    /// Places of the host that no general exception means: sockets and directories of Evenkeel and the engine.
    pub guarded: Vec<Guarded>,
}

/// The policy as it stands, and what is wrong with the file if anything is.
pub struct Rules {
    place: Place,
    /// The file must be in none of them: whoever writes manifests would write the policy.
    sources: Vec<Source>,
    standing: Standing,
    trouble: Option<String>,
    /// What the operator may not have meant.
    doubts: Vec<String>,
    /// That a source is free to choose what it may have.
    unrestricted: Option<String>,
}

impl Rules {
    /// The rules at `place`, not read yet: until then nothing new is made.
    pub fn new(place: Place, sources: Vec<Source>) -> Self {
        Self { place, sources, standing: Standing::unread(), trouble: None, doubts: Vec::new(), unrestricted: None }
    }

    /// Reads the file. What is broken leaves the last good rules in force; where there are none, nothing new is made.
    pub fn read(&mut self) -> &Standing {
        let (standing, trouble) = match read(&self.place.file, &self.sources) {
            Ok(Some(rules)) => (Some(self.in_force(rules)), None),
            Ok(None) if !self.place.is_required && !matches!(self.standing, Standing::InForce(_)) => {
                (Some(Standing::Absent), None)
            }
            Ok(None) => (None, Some(format!("{} does not exist", self.place.file.display()))),
            Err(why) => (None, Some(why)),
        };
        if self.trouble != trouble
            && let Some(trouble) = &trouble
        {
            tracing::error!("the policy cannot be read: {trouble}");
        }
        let standing = standing.unwrap_or_else(|| self.kept(trouble.as_deref().unwrap_or_default()));
        if standing != self.standing {
            tell(&standing, &self.place.file);
        }
        self.trouble = trouble;
        self.standing = standing;
        self.doubt();
        &self.standing
    }

    /// What is wrong with the file, and what the operator may not have meant by it.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.warning().into_iter().chain(self.doubts.iter().cloned())
    }

    /// What is wrong with the file, and what follows from it.
    pub fn warning(&self) -> Option<String> {
        let trouble = self.trouble.as_ref()?;
        let meanwhile = match &self.standing {
            Standing::InForce(_) => "the last good one stays in force",
            Standing::Absent | Standing::Broken(_) => "nothing new is made until it can",
        };
        Some(format!("the policy cannot be read, {meanwhile}: {trouble}"))
    }

    /// That whoever writes the manifests of a source can choose a wider level than another one's. It holds for as long as the
    /// operator trusts them, so it is not told at each plan.
    pub fn unrestricted(&self) -> Option<&String> {
        self.unrestricted.as_ref()
    }

    /// The file, to be watched.
    pub fn file(&self) -> &Path {
        &self.place.file
    }

    fn in_force(&self, rules: PolicyFile) -> Standing {
        let file = self.place.file.display().to_string();
        let writers = self.sources.iter().map(writers).collect();
        Standing::InForce(Arc::new(Policy { file, rules, guarded: self.place.guarded.clone(), writers }))
    }

    /// Tells what the operator may not have meant, once.
    fn doubt(&mut self) {
        let (doubts, unrestricted) = match &self.standing {
            Standing::InForce(policy) => {
                let paths = paths::resolve(policy::paths_of_rules(&policy.rules));
                (policy::pushed(policy, &paths), policy::unrestricted(policy))
            }
            Standing::Absent | Standing::Broken(_) => (Vec::new(), None),
        };
        let told: Vec<&String> = self.doubts.iter().chain(&self.unrestricted).collect();
        let new = doubts.iter().chain(&unrestricted).filter(|doubt| !told.contains(doubt));
        new.for_each(|doubt| tracing::warn!("{doubt}"));
        self.doubts = doubts;
        self.unrestricted = unrestricted;
    }

    fn kept(&self, why: &str) -> Standing {
        match &self.standing {
            Standing::InForce(policy) => Standing::InForce(policy.clone()),
            Standing::Absent | Standing::Broken(_) => Standing::Broken(why.into()),
        }
    }
}

/// What is the writers' of a source, as it is now.
fn writers(source: &Source) -> Writers {
    let real = fs::canonicalize(&source.dir).ok();
    let checkout = real.as_deref().and_then(manifest::checkout);
    let dirs = real.iter().chain(&checkout).map(|dir| dir.display().to_string()).collect();
    Writers { source: source.dir.display().to_string(), namespace: source.namespace.clone(), dirs }
}

fn tell(standing: &Standing, file: &Path) {
    let file = file.display();
    match standing {
        Standing::Absent => {
            tracing::info!(
                "there is no policy ({file}): every namespace is privileged, its containers may have anything"
            );
        }
        Standing::InForce(policy) => {
            let (default, named) = (policy.rules.default, policy.rules.namespaces.len());
            tracing::info!("the policy {file} is in force: {named} namespaces are named, others are {default}");
        }
        Standing::Broken(_) => tracing::error!("nothing new is made until the policy {file} can be read"),
    }
}

/// The rules in a file; none when there is no file.
fn read(file: &Path, sources: &[Source]) -> Result<Option<PolicyFile>, String> {
    let name = file.display().to_string();
    let file = std::path::absolute(file).map_err(|error| format!("{name}: {error}"))?;
    let real = match paths::lead(&file) {
        HostPath::Real { path, loose: None, .. } => PathBuf::from(path),
        HostPath::Real { loose: Some(directory), .. } => {
            return Err(format!(
                "{name} could be put in place by others than root: they can change the directory {directory}"
            ));
        }
        HostPath::Missing => return Ok(None),
        HostPath::Unknown(why) => return Err(format!("{name}: {why}")),
    };
    let within = |source: &&Source| fs::canonicalize(&source.dir).is_ok_and(|dir| real.starts_with(dir));
    if let Some(source) = sources.iter().find(within) {
        let source = source.dir.display();
        return Err(format!("{name} is inside the source {source}: whoever writes manifests would write the policy"));
    }
    let Some(text) = believed(&real).map_err(|why| format!("{name} {why}"))? else { return Ok(None) };
    let rules: PolicyFile = manifest::settings::read(&name, &text).map_err(|problems| {
        let problems = problems.iter().map(ToString::to_string);
        problems.collect::<Vec<_>>().join("\n")
    })?;
    let flaws = policy::flaws(&rules, &paths::resolve(policy::paths_of_rules(&rules)));
    if flaws.is_empty() { Ok(Some(rules)) } else { Err(format!("{name}: {}", flaws.join("; "))) }
}

/// The text of a file that is root's or this process' user's, and that nobody else can write.
fn believed(real: &Path) -> Result<Option<String>, String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = match rustix::fs::open(real, flags, Mode::empty()) {
        Ok(opened) => File::from(opened),
        Err(error) if std::io::Error::from(error).kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot be opened: {error}")),
    };
    // Asked of the open file, so that nothing can take its place between the look and the reading.
    let seen = opened.metadata().map_err(|error| format!("cannot be looked at: {error}"))?;
    if !seen.is_file() {
        return Err("is not a regular file".into());
    }
    if !paths::is_trusted(seen.uid()) {
        return Err(format!("belongs to user {}: it must be root's (chown root)", seen.uid()));
    }
    if seen.mode() & 0o022 != 0 {
        return Err("can be written by its group or by others (chmod go-w)".into());
    }
    let mut text = String::new();
    let read = opened.take(BYTES_MAX + 1).read_to_string(&mut text);
    match read {
        Ok(count) if count as u64 > BYTES_MAX => Err(format!("is larger than {BYTES_MAX} bytes")),
        Ok(_) => Ok(Some(text)),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const GOOD: &str = "default: baseline\nnamespaces: {ops: {level: privileged}}\n";

    /// A directory with a policy file `policy.yaml` in it, or not yet, and a source beside it.
    struct World {
        dir: tempfile::TempDir,
    }

    impl World {
        fn new() -> Self {
            let world = Self { dir: tempfile::tempdir().unwrap() };
            fs::create_dir(world.path("source")).unwrap();
            world
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn write(&self, text: &str) {
            fs::write(self.path("policy.yaml"), text).unwrap();
            self.chmod("policy.yaml", 0o644);
        }

        fn chmod(&self, name: &str, mode: u32) {
            fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
        }

        fn rules(&self, file: &str, is_required: bool) -> Rules {
            let place = Place { file: self.path(file), is_required, guarded: Vec::new() };
            let source = Source { dir: self.path("source"), namespace: None, variables: BTreeMap::new() };
            Rules::new(place, vec![source])
        }

        /// Why the file is not believed, when nothing good was read before.
        fn refusal(&self, file: &str) -> String {
            let mut rules = self.rules(file, false);
            let Standing::Broken(why) = rules.read().clone() else { panic!("{:?}", rules.standing) };
            assert!(
                rules.warning().unwrap().starts_with("the policy cannot be read, nothing new is made until it can")
            );
            why
        }
    }

    #[test]
    fn without_a_file_there_is_no_policy_unless_one_was_asked_for() {
        let world = World::new();
        assert_eq!(*world.rules("policy.yaml", false).read(), Standing::Absent);
        assert_eq!(world.rules("policy.yaml", false).warning(), None);
        let mut asked_for = world.rules("policy.yaml", true);
        assert!(matches!(asked_for.read(), Standing::Broken(why) if why.ends_with("policy.yaml does not exist")));
    }

    #[test]
    fn the_last_good_policy_stays_whatever_becomes_of_its_file() {
        let world = World::new();
        world.write(GOOD);
        let mut rules = world.rules("policy.yaml", false);
        let good = rules.read().clone();
        assert!(matches!(&good, Standing::InForce(_)) && rules.warning().is_none());
        for spoil in [
            |w: &World| w.write("default: [\n"),
            |w: &World| w.chmod("policy.yaml", 0o666),
            |w: &World| {
                fs::remove_file(w.path("policy.yaml")).unwrap();
            },
        ] {
            spoil(&world);
            assert_eq!(*rules.read(), good);
            assert!(
                rules.warning().unwrap().starts_with("the policy cannot be read, the last good one stays in force: ")
            );
        }
        world.write("default: restricted\n");
        assert_ne!(*rules.read(), good);
        assert_eq!(rules.warning(), None);
    }

    #[test]
    fn a_file_that_others_could_have_written_is_not_believed() {
        let world = World::new();
        world.write(GOOD);
        world.chmod("policy.yaml", 0o664);
        assert!(world.refusal("policy.yaml").ends_with("can be written by its group or by others (chmod go-w)"));
        world.chmod("policy.yaml", 0o644);
        fs::create_dir(world.path("open")).unwrap();
        world.chmod("open", 0o777);
        fs::copy(world.path("policy.yaml"), world.path("open/policy.yaml")).unwrap();
        assert!(world.refusal("open/policy.yaml").contains("could be put in place by others than root"));
        std::os::unix::fs::symlink(world.path("open/policy.yaml"), world.path("link.yaml")).unwrap();
        assert!(world.refusal("link.yaml").contains("could be put in place by others than root"));
        if std::os::unix::fs::chown(world.path("policy.yaml"), Some(12_345), None).is_ok() {
            assert!(world.refusal("policy.yaml").ends_with("belongs to user 12345: it must be root's (chown root)"));
        }
    }

    #[test]
    fn a_file_within_a_source_is_not_believed_by_whatever_name() {
        let world = World::new();
        world.write(GOOD);
        fs::rename(world.path("policy.yaml"), world.path("source/policy.yaml")).unwrap();
        std::os::unix::fs::symlink(world.path("source/policy.yaml"), world.path("link.yaml")).unwrap();
        for file in ["source/policy.yaml", "link.yaml", "source/../source/policy.yaml"] {
            assert!(world.refusal(file).ends_with("whoever writes manifests would write the policy"), "{file}");
        }
    }

    #[test]
    fn an_exception_inside_of_the_checkout_of_a_source_is_told_and_the_policy_is_in_force() {
        let world = World::new();
        fs::create_dir_all(world.path(".git/objects")).unwrap();
        fs::create_dir_all(world.path(".git/refs")).unwrap();
        fs::write(world.path(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::create_dir(world.path("static")).unwrap();
        let path = world.path("static").display().to_string();
        world.write(&format!("namespaces: {{shop: {{exceptions: {{hostPaths: [{{path: {path}}}]}}}}}}\n"));
        let mut rules = world.rules("policy.yaml", false);
        assert!(matches!(rules.read(), Standing::InForce(_)));
        let told: Vec<String> = rules.warnings().collect();
        assert!(matches!(&*told, [doubt] if doubt.contains(&path)), "{told:?}");
    }

    #[test]
    fn what_is_no_policy_is_told_with_its_place() {
        let world = World::new();
        world.write("default: baseline\nnamespace: {}\n");
        assert!(world.refusal("policy.yaml").contains("policy.yaml:2:1: error: "));
        world.write(&"#".repeat(BYTES_MAX as usize + 1));
        assert!(world.refusal("policy.yaml").contains("is larger than"));
        fs::create_dir(world.path("folder")).unwrap();
        assert!(world.refusal("folder").ends_with("is not a regular file"));
    }
}
