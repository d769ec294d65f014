//! One repository, a developer who pushes to it, and checkouts on the host that pull from it, with real git.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::{copy, edit};
use crate::support::Process;

/// A clone. Everybody has a name and no settings of the machine.
pub struct Checkout {
    pub directory: PathBuf,
}

impl Checkout {
    #[track_caller]
    pub fn git(&self, arguments: &[&str]) {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .current_dir(&self.directory)
            .args(arguments)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", &self.directory);
        for role in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{role}_NAME"), "Somebody")
                .env(format!("GIT_{role}_EMAIL"), "somebody@example.org");
        }
        command
    }

    #[track_caller]
    pub fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    /// What `version.env` says; empty while git has taken it away.
    pub fn version(&self) -> String {
        let text = fs::read_to_string(self.directory.join("version.env")).unwrap_or_default();
        text.trim().trim_start_matches("TAG=").to_string()
    }

    /// What `app.yaml` says.
    pub fn release(&self) -> String {
        let text = fs::read_to_string(self.directory.join("app.yaml")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.trim().strip_prefix("RELEASE: "));
        line.unwrap_or_default().trim_matches('"').to_string()
    }

    /// A fast-forward that does not come to write `file`: the filter of its content never answers. (It ends with the checkout.)
    pub fn stuck_merge(&self, to: &str, file: &str) -> Process {
        fs::write(self.directory.join(".git/info/attributes"), format!("{file} filter=stuck\n")).unwrap();
        let filter = format!("while [ -e {}/.git/info/attributes ]; do sleep 0.1; done", self.directory.display());
        self.git(&["config", "filter.stuck.smudge", &filter]);
        Process::start(&mut self.command(&["merge", "--ff-only", to]), &self.directory.with_extension("git.log"))
    }

    /// What a person does after that: the lock goes, and the files stay as they are.
    pub fn unlock(&self) {
        self.git(&["config", "--remove-section", "filter.stuck"]);
        fs::remove_file(self.directory.join(".git/info/attributes")).unwrap();
        fs::remove_file(self.directory.join(".git/index.lock")).unwrap();
    }
}

/// Who writes the code and pushes it.
pub struct Developer {
    pub checkout: Checkout,
    /// The repository that everybody pushes to and pulls from.
    pub origin: PathBuf,
}

impl Developer {
    /// The repository with the branches `main` and `staging`, of the example's files.
    pub fn new(directory: &Path, example: &Path, secrets: &Path) -> Self {
        let checkout = Checkout { directory: directory.join("developer") };
        let origin = directory.join("origin.git");
        copy(example, &checkout.directory);
        let namespaces = checkout.directory.join("namespaces.yaml");
        for namespace in ["production", "staging"] {
            let ours = secrets.join(format!("{namespace}.env"));
            edit(&namespaces, &format!("/etc/tecket/{namespace}.env"), &ours.display().to_string());
        }
        let app = checkout.directory.join("app.yaml");
        edit(&app, "    env:\n", "    env:\n      RELEASE: \"1\"\n");
        edit(&app, "spec:\n  gates:", "spec:\n  minReady: 1s\n  gates:");
        checkout.git(&["init", "--quiet", "--initial-branch", "main"]);
        checkout.commit("Version 1");
        checkout.git(&["clone", "--quiet", "--bare", ".", &origin.display().to_string()]);
        checkout.git(&["remote", "add", "origin", &origin.display().to_string()]);
        checkout.git(&["push", "--quiet", "origin", "main", "main:staging", "main:hotfix"]);
        checkout.git(&["fetch", "--quiet"]);
        Developer { checkout, origin }
    }

    /// A checkout of a branch on the host.
    pub fn clone_of(&self, name: &str, branch: &str) -> Checkout {
        let directory = self.origin.with_file_name(name);
        let (from, to) = (self.origin.display().to_string(), directory.display().to_string());
        self.checkout.git(&["clone", "--quiet", "--branch", branch, &from, &to]);
        Checkout { directory }
    }

    /// One commit that changes two files which belong together, and pushes them.
    pub fn release(&self, branch: &str, version: &str, change: impl FnOnce(&Path)) {
        self.checkout.git(&["checkout", "--quiet", "-B", branch, &format!("origin/{branch}")]);
        let (directory, old) = (&self.checkout.directory, self.checkout.version());
        edit(&directory.join("version.env"), &format!("TAG={old}"), &format!("TAG={version}"));
        edit(&directory.join("app.yaml"), &format!("RELEASE: \"{old}\""), &format!("RELEASE: \"{version}\""));
        change(directory);
        self.checkout.commit(&format!("Version {version}"));
        self.checkout.git(&["push", "--quiet", "--force", "origin", branch]);
    }

    /// The same in the place of the branch's last commit.
    pub fn release_instead(&self, branch: &str, version: &str) {
        self.checkout.git(&["push", "--quiet", "--force", "origin", &format!("origin/{branch}~1:{branch}")]);
        self.checkout.git(&["fetch", "--quiet"]);
        self.release(branch, version, |_| ());
    }
}
