//! Watches manifests and the files that they read, and rings. It reads no content and decides nothing; waiting until
//! a change is complete is for the one who reads.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Config, ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::scope::{Scope, fingerprint};
use super::{Interest, Reason, Wake};

/// How often to see whether a root was replaced or mounted, and to look at what cannot be watched.
const CHECK: Duration = Duration::from_secs(2);
/// How soon to see that after an event; also keeps a storm of events from becoming a storm of looks.
const CHECK_AFTER_EVENT: Duration = Duration::from_millis(100);
/// After how many checks to try again to watch what could not be watched.
const RETRY: u32 = 15;

/// Watches `paths` for ever and rings [`Reason::Files`] when something in them changes: directories with all that is in
/// them or without, and single files. `paths` is asked again every two seconds, so what it names may change and need not exist.
pub async fn watch(paths: impl Fn() -> Vec<Interest>, wake: Wake) -> Infallible {
    let mut watching = Watching::new(wake, add);
    loop {
        let paths = paths();
        // A root on a dead network mount may block for long; that must not hold up a thread of the runtime.
        let check = tokio::task::spawn_blocking(move || watching.check(paths));
        watching = check.await.expect("a check does not panic and is not cancelled");
        tokio::select! {
            () = sleep(CHECK) => {}
            () = watching.nudge.notified() => sleep(CHECK_AFTER_EVENT).await,
        }
    }
}

/// Adds a directory to a watcher; an argument so that a test can refuse.
type Add = fn(&mut RecommendedWatcher, &Path, RecursiveMode) -> notify::Result<()>;

fn add(watcher: &mut RecommendedWatcher, dir: &Path, mode: RecursiveMode) -> notify::Result<()> {
    watcher.watch(dir, mode)
}

/// The watches in force.
struct Watching {
    wake: Wake,
    add: Add,
    /// Asks for a check soon.
    nudge: Arc<Notify>,
    /// Set when the watcher says that it misses something, such as a new sub-directory beyond the limit.
    broken: Arc<AtomicBool>,
    scope: Scope,
    /// Dropping it ends its watches.
    _watcher: Option<RecommendedWatcher>,
    /// The fingerprints of directories that cannot be watched.
    unwatched: BTreeMap<PathBuf, u64>,
    checks_to_retry: u32,
    complained: bool,
}

impl Watching {
    fn new(wake: Wake, add: Add) -> Self {
        Self {
            wake,
            add,
            nudge: Arc::default(),
            broken: Arc::default(),
            scope: Scope::default(),
            _watcher: None,
            unwatched: BTreeMap::new(),
            checks_to_retry: 0,
            complained: false,
        }
    }

    /// Brings the watches in line with `paths` and looks at what cannot be watched.
    fn check(mut self, paths: Vec<Interest>) -> Self {
        let scope = Scope::of(paths);
        self.checks_to_retry = self.checks_to_retry.saturating_sub(1);
        let retry = !self.unwatched.is_empty() && self.checks_to_retry == 0;
        if scope != self.scope || retry || self.broken.swap(false, Ordering::Relaxed) {
            self.watch(scope);
            // What changed before the watches were in place rang no bell.
            self.wake.ring(Reason::Files);
        } else if self.looks_different() {
            self.wake.ring(Reason::Files);
        }
        self
    }

    /// Replaces all watches. That is rare, and simpler than telling which of them still see something.
    fn watch(&mut self, scope: Scope) {
        let mut watcher =
            RecommendedWatcher::new(self.listener(scope.clone()), Config::default().with_follow_symlinks(false));
        self.unwatched.clear();
        for (dir, watched) in &scope.dirs {
            let mode = if watched.whole { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
            let added = match &mut watcher {
                Ok(watcher) => (self.add)(watcher, dir, mode).map_err(|error| reason(&error)),
                Err(error) => Err(reason(error)),
            };
            if let Err(reason) = added {
                self.unwatched.insert(dir.clone(), fingerprint(dir, watched.whole));
                self.complain(dir, &reason);
            }
        }
        self.complained &= !self.unwatched.is_empty();
        self.checks_to_retry = RETRY;
        self.scope = scope;
        self._watcher = watcher.ok();
    }

    /// What happens on an event, in the watcher's own thread.
    fn listener(&self, scope: Scope) -> impl Fn(notify::Result<notify::Event>) + Send + use<> {
        let (wake, nudge, broken) = (self.wake.clone(), self.nudge.clone(), self.broken.clone());
        move |event| {
            let matters = match &event {
                Ok(event) => {
                    event.need_rescan() || is_change(event.kind) && event.paths.iter().any(|path| scope.covers(path))
                }
                Err(_) => {
                    broken.store(true, Ordering::Relaxed);
                    true
                }
            };
            if matters {
                wake.ring(Reason::Files);
                nudge.notify_one();
            }
        }
    }

    /// Says once that something cannot be watched.
    fn complain(&mut self, dir: &Path, reason: &str) {
        if !self.complained {
            let (dir, interval) = (dir.display(), CHECK.as_secs());
            tracing::warn!("cannot watch {dir}, so it is looked at every {interval}s: {reason}");
        }
        self.complained = true;
    }

    /// Whether something changed in a directory that cannot be watched.
    fn looks_different(&mut self) -> bool {
        let mut different = false;
        for (dir, seen) in &mut self.unwatched {
            let now = fingerprint(dir, self.scope.dirs.get(dir).is_some_and(|dir| dir.whole));
            different |= std::mem::replace(seen, now) != now;
        }
        different
    }
}

/// Whether an event is a change. Reading is not, else our own look at the files would ask for the next one.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}

/// Why a directory cannot be watched, with the way out.
fn reason(error: &notify::Error) -> String {
    const EMFILE: i32 = 24;
    match &error.kind {
        ErrorKind::MaxFilesWatch => {
            "the limit of inotify watches is reached; raise it with `sysctl fs.inotify.max_user_watches=524288`".into()
        }
        ErrorKind::Io(cause) if cause.raw_os_error() == Some(EMFILE) => {
            "the limit of inotify instances is reached; raise it with `sysctl fs.inotify.max_user_instances=1024`"
                .into()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A watched directory `root` with `a.yaml` in it, and beside it a watched file `secret` and a watched folder `context`.
    struct World {
        dir: tempfile::TempDir,
        wake: Wake,
    }

    impl World {
        async fn new(add: Add) -> Self {
            let world = Self { dir: tempfile::tempdir().unwrap(), wake: Wake::new() };
            fs::create_dir(world.path("root")).unwrap();
            fs::write(world.path("root/a.yaml"), "1").unwrap();
            fs::create_dir_all(world.path("context/below")).unwrap();
            fs::write(world.path("secret"), "1").unwrap();
            let paths = ["root", "secret"].map(|path| Interest::Whole(world.path(path)));
            let paths: Vec<_> = paths.into_iter().chain([Interest::Folder(world.path("context"))]).collect();
            let mut watching = Watching::new(world.wake.clone(), add).check(paths.clone());
            world.wake.take();
            tokio::spawn(async move {
                loop {
                    tokio::select! {
                        () = sleep(Duration::from_millis(100)) => {}
                        () = watching.nudge.notified() => {}
                    }
                    watching = watching.check(paths.clone());
                }
            });
            world
        }

        fn path(&self, path: &str) -> PathBuf {
            self.dir.path().join(path)
        }

        async fn rings(&self) -> bool {
            let rung = tokio::time::timeout(Duration::from_secs(5), self.wake.wait()).await.is_ok();
            self.calm().await;
            rung
        }

        /// Waits until what is still under way has rung.
        async fn calm(&self) {
            while tokio::time::timeout(Duration::from_millis(250), self.wake.wait()).await.is_ok() {}
        }

        async fn stays_silent(&self) -> bool {
            tokio::time::timeout(Duration::from_millis(400), self.wake.wait()).await.is_err()
        }
    }

    #[tokio::test]
    async fn a_change_in_a_directory_or_of_a_file_rings() {
        let world = World::new(add).await;
        fs::write(world.path("root/a.yaml"), "2").unwrap();
        assert!(world.rings().await, "edit");
        fs::create_dir(world.path("root/new")).unwrap();
        assert!(world.rings().await, "new folder");
        fs::write(world.path("root/new/b.yaml"), "1").unwrap();
        assert!(world.rings().await, "file in the new folder");
        fs::write(world.path("draft"), "2").unwrap();
        world.calm().await;
        fs::rename(world.path("draft"), world.path("secret")).unwrap();
        assert!(world.rings().await, "replaced file");
        fs::remove_file(world.path("secret")).unwrap();
        assert!(world.rings().await, "removed file");
    }

    #[tokio::test]
    async fn reading_and_strangers_ring_no_bell() {
        let world = World::new(add).await;
        fs::read(world.path("root/a.yaml")).unwrap();
        fs::read_dir(world.path("root")).unwrap().count();
        fs::write(world.path("stranger"), "1").unwrap();
        assert!(world.stays_silent().await);
    }

    #[tokio::test]
    async fn a_folder_is_watched_without_what_is_below() {
        let world = World::new(add).await;
        fs::write(world.path("context/below/x"), "1").unwrap();
        assert!(world.stays_silent().await, "below");
        fs::write(world.path("context/x"), "1").unwrap();
        assert!(world.rings().await, "in it");
        fs::remove_dir_all(world.path("context")).unwrap();
        assert!(world.rings().await, "gone");
    }

    #[tokio::test]
    async fn a_replaced_root_is_watched_again() {
        let world = World::new(add).await;
        fs::rename(world.path("root"), world.path("old")).unwrap();
        assert!(world.rings().await, "gone");
        fs::create_dir(world.path("root")).unwrap();
        assert!(world.rings().await, "back");
        fs::write(world.path("root/c.yaml"), "1").unwrap();
        assert!(world.rings().await, "file in the new root");
        fs::write(world.path("old/a.yaml"), "3").unwrap();
        assert!(world.stays_silent().await, "the old root matters no more");
    }

    #[tokio::test]
    async fn what_cannot_be_watched_is_looked_at() {
        let world = World::new(|_, _, _| Err(notify::Error::new(ErrorKind::MaxFilesWatch))).await;
        assert!(world.stays_silent().await);
        fs::write(world.path("root/a.yaml"), "2").unwrap();
        assert!(world.rings().await, "edit");
        fs::write(world.path("secret"), "22").unwrap();
        assert!(world.rings().await, "file");
    }

    #[test]
    fn a_limit_is_explained_with_the_way_out() {
        assert!(reason(&notify::Error::new(ErrorKind::MaxFilesWatch)).contains("sysctl fs.inotify.max_user_watches="));
        let instances = notify::Error::new(ErrorKind::Io(std::io::Error::from_raw_os_error(24)));
        assert!(reason(&instances).contains("sysctl fs.inotify.max_user_instances="));
    }
}
