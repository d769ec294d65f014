//! The policy file: read when it changes, and believed only where nobody but root and this process' user could have
//! written it. It judges nothing.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use super::paths;
use crate::manifest;
use crate::model::policy::{Guarded, HostPath, Policy, PolicyFile, Standing};
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
    /// Directories that the file must not be in: whoever writes manifests would write the policy.
    sources: Vec<PathBuf>,
    standing: Standing,
    trouble: Option<String>,
}

impl Rules {
    /// The rules at `place`, not read yet: until then nothing new is made.
    pub fn new(place: Place, sources: Vec<PathBuf>) -> Self {
        Self { place, sources, standing: Standing::unread(), trouble: None }
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
        &self.standing
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

    /// The file, to be watched.
    pub fn file(&self) -> &Path {
        &self.place.file
    }

    fn in_force(&self, rules: PolicyFile) -> Standing {
        let file = self.place.file.display().to_string();
        Standing::InForce(Arc::new(Policy { file, rules, guarded: self.place.guarded.clone() }))
    }

    fn kept(&self, why: &str) -> Standing {
        match &self.standing {
            Standing::InForce(policy) => Standing::InForce(policy.clone()),
            Standing::Absent | Standing::Broken(_) => Standing::Broken(why.into()),
        }
    }
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
fn read(file: &Path, sources: &[PathBuf]) -> Result<Option<PolicyFile>, String> {
    let name = file.display().to_string();
    let file = std::path::absolute(file).map_err(|error| format!("{name}: {error}"))?;
    let real = match paths::lead(&file) {
        HostPath::Real { path, loose: None } => PathBuf::from(path),
        HostPath::Real { loose: Some(directory), .. } => {
            return Err(format!(
                "{name} could be put in place by others than root: they can change the directory {directory}"
            ));
        }
        HostPath::Missing => return Ok(None),
        HostPath::Unknown(why) => return Err(format!("{name}: {why}")),
    };
    let within = |source: &&PathBuf| fs::canonicalize(source).is_ok_and(|source| real.starts_with(source));
    if let Some(source) = sources.iter().find(within) {
        let source = source.display();
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
