//! This host: the state directory, disks, and who keeps the clock right. Each `look` reads, each judgement is pure.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};

use super::finding::Finding;
use crate::engine::Host;
use crate::reconciler::offline;

/// The most files of the state directory that are opened.
const FILES_MAX: usize = 20_000;
/// Below this, in bytes, history can soon not be written.
const SCARCE: u64 = 100 << 20;
/// Below this, in bytes, or below a tenth, somebody should make room.
const LITTLE: u64 = 2 << 30;

/// What there is of the state directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateDir {
    path: PathBuf,
    /// What is wrong with the directory itself, if it cannot be looked into.
    trouble: Option<Trouble>,
    owner: u32,
    /// Who looks.
    user: u32,
    mode: u32,
    writable: bool,
    files: usize,
    /// Files that cannot be read.
    unreadable: Vec<PathBuf>,
    /// What the daemon would say of files of the history that it cannot use.
    damaged: Vec<String>,
    /// Files that were damaged and set aside by the daemon.
    set_aside: Vec<PathBuf>,
}

/// Why a directory cannot be looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trouble {
    Missing,
    NoDirectory,
    Closed,
    Other(String),
}

/// Looks at the state directory.
pub fn look(path: &Path) -> StateDir {
    let user = rustix::process::geteuid().as_raw();
    let mut found = StateDir { path: path.to_path_buf(), user, ..StateDir::default() };
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_dir() => found.trouble = Some(Trouble::NoDirectory),
        Ok(metadata) => {
            (found.owner, found.mode) = (metadata.uid(), metadata.mode() & 0o7777);
            found.writable =
                rustix::fs::accessat(CWD, path, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_ok();
            found.trouble = fs::read_dir(path).err().map(|error| trouble(&error));
            walk(path, &mut found);
            if found.trouble.is_none() && found.unreadable.is_empty() {
                found.damaged = offline::damage(path);
            }
        }
        Err(error) => found.trouble = Some(trouble(&error)),
    }
    found
}

fn trouble(error: &std::io::Error) -> Trouble {
    match error.kind() {
        ErrorKind::NotFound => Trouble::Missing,
        ErrorKind::PermissionDenied => Trouble::Closed,
        _ => Trouble::Other(error.to_string()),
    }
}

/// Opens every file, and reads nothing of it. Links are not followed.
fn walk(dir: &Path, found: &mut StateDir) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            match fs::read_dir(&path) {
                Ok(_) => walk(&path, found),
                Err(_) => found.unreadable.push(path),
            }
        } else if metadata.is_file() && found.files < FILES_MAX {
            found.files += 1;
            if path.to_string_lossy().contains(".broken-") {
                found.set_aside.push(path);
            } else if File::open(&path).is_err_and(|error| error.kind() != ErrorKind::NotFound) {
                found.unreadable.push(path);
            }
        }
    }
}

/// What to think of it.
pub fn state(found: &StateDir) -> Vec<Finding> {
    let check = "state directory";
    let path = found.path.display();
    match &found.trouble {
        Some(Trouble::Missing) => {
            let message = format!("{path} does not exist");
            let way_out = "the daemon makes it when it starts; if it has run before, see whether --state-dir is the daemon's, or \
                a disk is not mounted";
            return vec![Finding::warn(check, message, way_out)];
        }
        Some(Trouble::NoDirectory) => {
            return vec![Finding::fail(
                check,
                format!("{path} is not a directory"),
                "name another one with --state-dir",
            )];
        }
        Some(Trouble::Closed) => {
            let message = format!("you may not look into {path}");
            return vec![Finding::warn(check, message, "run this as the daemon's user, usually: sudo evenkeel doctor")];
        }
        Some(Trouble::Other(why)) => {
            return vec![Finding::fail(
                check,
                format!("{path} cannot be read: {why}"),
                "see whether its disk is well: dmesg",
            )];
        }
        None => {}
    }
    let mut findings = vec![access(found)];
    if let Some(first) = found.unreadable.first() {
        let message = format!("{} of its files cannot be read, such as {}", found.unreadable.len(), first.display());
        findings.push(Finding::fail(
            "state files",
            message,
            format!("chown -R {} {path}; then see dmesg", found.owner),
        ));
    } else if let Some(first) = found.damaged.first() {
        let message = format!("{} are damaged: {first}", found.damaged.len());
        let way_out = "stop the daemon and take them from a backup of the state directory; one that starts with them as they are sets \
            them aside, and what they knew of history, pins and rejected revisions is lost";
        findings.push(Finding::fail("state files", message, way_out));
    } else {
        findings.push(Finding::ok("state files", format!("all {} can be read", found.files)));
    }
    if let Some(first) = found.set_aside.first() {
        let message = format!("{} were damaged and set aside, such as {}", found.set_aside.len(), first.display());
        let way_out = "see whether its disk is well (dmesg), and remove them when you have looked at them";
        findings.push(Finding::warn("damaged state", message, way_out));
    }
    findings
}

fn access(found: &StateDir) -> Finding {
    let (check, path) = ("state directory", found.path.display());
    if !found.writable {
        let message =
            format!("{path} cannot be written (it belongs to user {}, and you are {})", found.owner, found.user);
        return Finding::fail(
            check,
            message,
            "run this as the daemon's user, or see whether the disk is mounted read-only",
        );
    }
    if found.owner != found.user {
        let message = format!("{path} belongs to user {}, and you are {}", found.owner, found.user);
        return Finding::warn(check, message, format!("if the daemon runs as you do: chown -R {} {path}", found.user));
    }
    if found.mode & 0o077 != 0 {
        let message =
            format!("{path} can be entered by others (mode {:03o}), and contents of Secrets are in it", found.mode);
        return Finding::warn(check, message, format!("chmod 700 {path} (the daemon does so when it starts)"));
    }
    Finding::ok(check, format!("{path} is there, private and writable"))
}

/// Room on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    free: u64,
    size: u64,
    free_files: u64,
    files: u64,
}

/// The room on the disk of a directory, or of the nearest one above it that is there.
pub fn space(check: &'static str, dir: &Path) -> Option<Finding> {
    let dir = dir.ancestors().find(|dir| dir.is_dir())?;
    let found = rustix::fs::statvfs(dir).ok()?;
    let unit = found.f_frsize;
    let (free, size) = (found.f_bavail.saturating_mul(unit), found.f_blocks.saturating_mul(unit));
    Some(enough(check, dir, Room { free, size, free_files: found.f_favail, files: found.f_files }))
}

/// The same of the engine's data, where the engine is on this host.
pub fn space_of_engine(at: &Host, root: &str) -> Option<Finding> {
    let is_here = matches!(at, Host::Unix(_)) && Path::new(root).is_dir();
    is_here.then(|| space("engine's disk", Path::new(root))).flatten()
}

fn enough(check: &'static str, dir: &Path, room: Room) -> Finding {
    let mib = room.free >> 20;
    let percent = if room.size == 0 { 0 } else { u128::from(room.free) * 100 / u128::from(room.size) };
    let message = format!("{mib} MiB free at {} ({percent} %)", dir.display());
    let way_out = "make room: docker system df and du -xh / | sort -h | tail say what takes it; docker image prune and \
        journalctl --vacuum-size=200M give some back";
    // Some file systems count no files.
    let few_files = room.files > 0 && room.free_files < room.files / 20;
    if room.free < SCARCE {
        return Finding::fail(check, message, way_out);
    }
    if few_files {
        let message = format!("room for only {} more files at {}", room.free_files, dir.display());
        return Finding::warn(
            check,
            message,
            "remove directories of many small files: du --inodes -x / | sort -n | tail",
        );
    }
    if room.free < LITTLE || percent < 10 {
        return Finding::warn(check, message, way_out);
    }
    Finding::ok(check, message)
}

/// What shows that the clock is kept right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimeKeepers {
    /// Whether systemd-timesyncd says that it has set the clock.
    is_synchronised: bool,
    /// Programs that keep the clock right and run.
    programs: Vec<String>,
}

/// Programs that keep the clock right, as the kernel shortens their names.
const KEEPERS: [&str; 7] = ["chronyd", "ntpd", "openntpd", "ntpsec", "systemd-timesyn", "ptp4l", "phc2sys"];

/// Looks for it.
pub fn time_keepers() -> TimeKeepers {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = processes.filter_map(|entry| fs::read_to_string(entry.path().join("comm")).ok());
    let mut programs: Vec<String> =
        names.map(|name| name.trim().to_owned()).filter(|name| KEEPERS.contains(&name.as_str())).collect();
    programs.sort();
    programs.dedup();
    TimeKeepers { is_synchronised: Path::new("/run/systemd/timesync/synchronized").exists(), programs }
}

/// What to think of it. Evenkeel itself counts spans of time with a clock that nobody sets; schedules and ages need the right time.
pub fn clock(found: &TimeKeepers) -> Finding {
    let check = "clock";
    if found.is_synchronised {
        return Finding::ok(check, "it is synchronised (systemd-timesyncd)");
    }
    match found.programs.first() {
        Some(name) if name.starts_with("systemd") => {
            Finding::warn(check, "systemd-timesyncd runs and has not set it yet", "see: timedatectl timesync-status")
        }
        Some(name) => Finding::ok(check, format!("{name} keeps it right")),
        None => Finding::warn(
            check,
            "nothing is seen that keeps it right: CronJobs begin at the wrong time when it drifts",
            "timedatectl set-ntp true, or install chrony; in a container or a virtual machine the host may do it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict::{self, Fail, Ok, Warn};
    use super::*;

    fn verdicts(found: &StateDir) -> Vec<Verdict> {
        state(found).iter().map(|finding| finding.verdict).collect()
    }

    fn well() -> StateDir {
        StateDir { path: "/state".into(), mode: 0o700, writable: true, files: 3, ..StateDir::default() }
    }

    #[test]
    fn a_state_directory_is_judged_by_owner_mode_and_files() {
        assert_eq!(verdicts(&well()), [Ok, Ok]);
        assert_eq!(verdicts(&StateDir { mode: 0o755, ..well() }), [Warn, Ok]);
        assert_eq!(verdicts(&StateDir { owner: 7, ..well() }), [Warn, Ok]);
        assert_eq!(verdicts(&StateDir { writable: false, ..well() }), [Fail, Ok]);
        assert_eq!(verdicts(&StateDir { unreadable: vec!["x".into()], ..well() }), [Ok, Fail]);
        assert_eq!(verdicts(&StateDir { damaged: vec!["x".into()], ..well() }), [Ok, Fail]);
        assert_eq!(verdicts(&StateDir { set_aside: vec!["x".into()], ..well() }), [Ok, Ok, Warn]);
        for (trouble, verdict) in [
            (Trouble::Missing, Warn),
            (Trouble::Closed, Warn),
            (Trouble::NoDirectory, Fail),
            (Trouble::Other("x".into()), Fail),
        ] {
            assert_eq!(verdicts(&StateDir { trouble: Some(trouble), ..well() }), [verdict]);
        }
    }

    #[test]
    fn what_is_on_the_disk_is_seen_as_it_is() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        assert_eq!(look(&path).trouble, Some(Trouble::Missing));
        fs::create_dir_all(path.join("objects/shop")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
        fs::write(path.join("objects/shop/deployment.web.json"), "{}").unwrap();
        fs::write(path.join("objects/shop/deployment.web.json.broken-1"), "{").unwrap();
        let found = look(&path);
        assert_eq!((found.mode, found.writable, found.files, found.owner), (0o750, true, 2, found.user));
        assert_eq!(found.set_aside, [path.join("objects/shop/deployment.web.json.broken-1")]);
        assert!(found.damaged[0].contains("deployment.web.json is not used: "), "{:?}", found.damaged);
        fs::write(dir.path().join("file"), "").unwrap();
        assert_eq!(look(&dir.path().join("file")).trouble, Some(Trouble::NoDirectory));
    }

    #[test]
    fn room_is_judged_by_bytes_by_share_and_by_files() {
        let gib = 1 << 30;
        let of = |free, size, free_files| {
            enough("disk", Path::new("/"), Room { free, size, free_files, files: 1000 }).verdict
        };
        assert_eq!(of(50 * gib, 100 * gib, 900), Ok);
        assert_eq!(of(9 * gib, 100 * gib, 900), Warn);
        assert_eq!(of(gib, 4 * gib, 900), Warn);
        assert_eq!(of(SCARCE - 1, 4 * gib, 900), Fail);
        assert_eq!(of(50 * gib, 100 * gib, 49), Warn);
        assert!(space("disk", Path::new("/nowhere/at/all")).is_some(), "the nearest directory above is looked at");
    }

    #[test]
    fn a_clock_is_right_if_somebody_keeps_it_so() {
        let kept = |is_synchronised, programs: &[&str]| {
            clock(&TimeKeepers { is_synchronised, programs: programs.iter().map(ToString::to_string).collect() })
                .verdict
        };
        assert_eq!(kept(true, &["systemd-timesyn"]), Ok);
        assert_eq!(kept(false, &["chronyd"]), Ok);
        assert_eq!(kept(false, &["systemd-timesyn"]), Warn);
        assert_eq!(kept(false, &[]), Warn);
    }
}
