//! History as files, one per object. It keeps what it is given and interprets none of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::disk::{Disk, PRIVATE_DIR, parent};
use super::envelope;
use super::error::StoreError;
use crate::model::history::History;
use crate::model::name::{Key, Kind, Name};

/// The directory with a directory for each namespace.
pub(super) const OBJECTS: &str = "objects";
/// The file with the removals that a person has confirmed.
const CONFIRMED: &str = "confirmed.json";

/// The file with the images that Evenkeel has brought.
const IMAGES: &str = "images.json";

/// The file with the Jobs that were removed.
const REMOVED_JOBS: &str = "removed-jobs.json";

/// What the files are known to hold.
#[derive(Default)]
pub(super) struct Objects {
    /// Each file's checksum; none while its last write is not known to have reached the disk.
    written: BTreeMap<PathBuf, Option<String>>,
}

/// Reads all files. What cannot be read is handed to `reject`, which makes a warning of it.
pub(super) fn load(disk: &Disk, mut reject: impl FnMut(&Path, &str) -> String) -> (History, Objects, Vec<String>) {
    let mut loading = Loading { disk, history: History::default(), objects: Objects::default(), warnings: Vec::new() };
    for (path, key) in loading.files() {
        if let Err(reason) = loading.object(&path, &key) {
            loading.warnings.push(reject(&path, &reason));
        }
    }
    loading.history.confirmed = loading.whole(CONFIRMED, &mut reject);
    loading.history.images = loading.whole(IMAGES, &mut reject);
    loading.history.removed_jobs = loading.whole(REMOVED_JOBS, &mut reject);
    (loading.history, loading.objects, loading.warnings)
}

/// A load under way.
struct Loading<'a> {
    disk: &'a Disk,
    history: History,
    objects: Objects,
    warnings: Vec<String>,
}

impl Loading<'_> {
    /// The files of objects. Others are left alone.
    fn files(&mut self) -> Vec<(PathBuf, Key)> {
        let objects = self.disk.path(OBJECTS);
        let mut files = Vec::new();
        for namespace in self.names(&objects).into_iter().filter_map(|name| Name::new(name).ok()) {
            let dir = objects.join(namespace.as_str());
            for file in self.names(&dir) {
                files.extend(key_of(&namespace, &file).map(|key| (dir.join(&file), key)));
            }
        }
        files
    }

    fn names(&mut self, dir: &Path) -> Vec<String> {
        self.disk.names(dir).unwrap_or_else(|error| {
            self.warnings.push(format!("{error}; the history in it starts anew"));
            Vec::new()
        })
    }

    fn object(&mut self, path: &Path, key: &Key) -> Result<(), String> {
        let subject = key.to_string();
        match key.kind {
            Kind::Deployment => {
                let object = self.read(path, &subject)?;
                self.history.deployments.extend(object.map(|object| (key.clone(), object)));
            }
            Kind::Job => {
                let object = self.read(path, &subject)?;
                self.history.jobs.extend(object.map(|object| (key.clone(), object)));
            }
            Kind::CronJob => {
                let object = self.read(path, &subject)?;
                self.history.cron_jobs.extend(object.map(|object| (key.clone(), object)));
            }
            Kind::Namespace | Kind::Network | Kind::Volume | Kind::ConfigMap | Kind::Secret => {}
        }
        Ok(())
    }

    /// A file that is about many objects.
    fn whole<T: DeserializeOwned + Default>(
        &mut self,
        file: &str,
        reject: &mut impl FnMut(&Path, &str) -> String,
    ) -> T {
        let path = self.disk.path(file);
        let read = self.read(&path, file).unwrap_or_else(|reason| {
            self.warnings.push(reject(&path, &reason));
            None
        });
        read.unwrap_or_default()
    }

    fn read<T: DeserializeOwned>(&mut self, path: &Path, subject: &str) -> Result<Option<T>, String> {
        let Some(bytes) = self.disk.read(path).map_err(|error| error.to_string())? else { return Ok(None) };
        let (checksum, object) = envelope::open(subject, &bytes)?;
        self.objects.written.insert(path.into(), Some(checksum));
        Ok(Some(object))
    }
}

impl Objects {
    /// Writes what changed and removes what is gone. After an error it knows which files are uncertain.
    pub(super) fn save(&mut self, disk: &Disk, history: &History) -> Result<(), StoreError> {
        let mut saving =
            Saving { disk, gone: self.written.keys().cloned().collect(), changed: Vec::new(), contents: Vec::new() };
        for (key, object) in &history.deployments {
            saving.write(&mut self.written, &file_of(key), &key.to_string(), object)?;
        }
        for (key, object) in &history.jobs {
            saving.write(&mut self.written, &file_of(key), &key.to_string(), object)?;
        }
        for (key, object) in &history.cron_jobs {
            saving.write(&mut self.written, &file_of(key), &key.to_string(), object)?;
        }
        if !history.confirmed.is_empty() {
            saving.write(&mut self.written, Path::new(CONFIRMED), CONFIRMED, &history.confirmed)?;
        }
        if !history.images.is_empty() {
            saving.write(&mut self.written, Path::new(IMAGES), IMAGES, &history.images)?;
        }
        if !history.removed_jobs.is_empty() {
            saving.write(&mut self.written, Path::new(REMOVED_JOBS), REMOVED_JOBS, &history.removed_jobs)?;
        }
        saving.finish(&mut self.written)
    }
}

/// A save under way.
struct Saving<'a> {
    disk: &'a Disk,
    /// Files of objects that have not been met.
    gone: BTreeSet<PathBuf>,
    /// Files that have a new content, with its checksum.
    changed: Vec<(PathBuf, String)>,
    /// The new contents.
    contents: Vec<(PathBuf, Vec<u8>)>,
}

impl Saving<'_> {
    fn write(
        &mut self,
        written: &mut BTreeMap<PathBuf, Option<String>>,
        file: &Path,
        subject: &str,
        object: &impl Serialize,
    ) -> Result<(), StoreError> {
        let path = self.disk.path(file);
        self.gone.remove(&path);
        let (checksum, bytes) =
            envelope::seal(subject, object).map_err(|error| StoreError::unusable(&path, error.to_string()))?;
        if written.get(&path).is_some_and(|known| known.as_ref() == Some(&checksum)) {
            return Ok(());
        }
        self.make_room(parent(&path))?;
        written.insert(path.clone(), None);
        self.contents.push((path.clone(), bytes));
        self.changed.push((path, checksum));
        Ok(())
    }

    /// Makes the directory of a namespace.
    fn make_room(&self, dir: &Path) -> Result<(), StoreError> {
        if dir.is_dir() {
            return Ok(());
        }
        self.disk.create_dir(dir, PRIVATE_DIR)?;
        self.disk.sync(parent(dir))
    }

    /// Writes what is new, removes what is gone and brings all names to the disk; only then is anything known to be written.
    fn finish(self, written: &mut BTreeMap<PathBuf, Option<String>>) -> Result<(), StoreError> {
        self.disk.replace_all(&self.contents)?;
        for path in &self.gone {
            self.disk.remove_file(path)?;
        }
        let changed = self.changed.iter().map(|(path, _)| path).chain(&self.gone);
        let dirs: BTreeSet<&Path> = changed.map(|path| parent(path)).collect();
        for dir in dirs {
            self.disk.sync(dir)?;
        }
        for dir in self.gone.iter().map(|path| parent(path)).filter(|dir| *dir != self.disk.root()) {
            // A namespace's directory that stays costs nothing.
            let _ = self.disk.remove_empty_dir(dir);
        }
        written.retain(|path, _| !self.gone.contains(path));
        written.extend(self.changed.into_iter().map(|(path, checksum)| (path, Some(checksum))));
        Ok(())
    }
}

/// Where an object's file stands: `objects/shop/deployment.web.json`. Names hold no dots, so no two objects meet.
fn file_of(key: &Key) -> PathBuf {
    [OBJECTS, key.namespace.as_str(), &format!("{}.{}.json", key.kind, key.name)].iter().collect()
}

/// Whose file it is.
fn key_of(namespace: &Name, file: &str) -> Option<Key> {
    let (kind, name) = file.strip_suffix(".json")?.split_once('.')?;
    let kind = Kind::ALL.into_iter().find(|known| known.word() == kind)?;
    Some(Key::new(kind, namespace.clone(), Name::new(name).ok()?))
}
