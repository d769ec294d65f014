//! Contents of ConfigMaps and Secrets, as they were when a revision used them, and their rendered files. What has an id
//! is never changed, only removed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::disk::{Access, Disk, PRIVATE, PRIVATE_DIR, is_file_name};
use super::error::StoreError;
use crate::model::container::Files;
use crate::model::name::Kind;
use crate::model::revision::{Content, ContentHasher, ContentId};
use crate::model::secret::SecretBytes;

/// The directory with a directory for each content.
pub(super) const CONTENTS: &str = "contents";
/// The directory with a directory for each rendering of a content.
pub(super) const FILES: &str = "files";

/// The permission bits of a rendered directory: a container's user may be anybody. On the host the state directory
/// above it keeps everybody else out.
const RENDERED_DIR: u32 = 0o755;

/// The contents on disk.
pub(super) struct Contents {
    hasher: ContentHasher,
    /// Contents that this process has written or checked, so that putting them again costs nothing.
    known: BTreeSet<ContentId>,
}

impl Contents {
    pub(super) fn new(hasher: ContentHasher) -> Self {
        Self { hasher, known: BTreeSet::new() }
    }

    /// Writes a content unless it is there. One that is damaged is written anew.
    pub(super) fn put(&mut self, disk: &Disk, id: &ContentId, content: &Content) -> Result<(), StoreError> {
        let dir = content_dir(disk, id)?;
        if self.known.contains(id) && dir.is_dir() {
            return Ok(());
        }
        if !self.matches(id, content) {
            return Err(StoreError::unusable(&dir, "its id is not that of the content to be kept in it"));
        }
        if self.get(disk, id).is_err() {
            if dir.exists() {
                disk.discard(&dir)?;
            }
            disk.build(&dir, PRIVATE_DIR, |dir| write_all(disk, dir, content, PRIVATE))?;
        }
        self.known.insert(id.clone());
        Ok(())
    }

    /// A content, checked against its id.
    pub(super) fn get(&self, disk: &Disk, id: &ContentId) -> Result<Content, StoreError> {
        let dir = content_dir(disk, id)?;
        if !dir.is_dir() {
            return Err(StoreError::unusable(&dir, "there is no such content"));
        }
        let mut entries = BTreeMap::new();
        for key in disk.names(&dir)? {
            let value = disk.read(&dir.join(&key))?.unwrap_or_default();
            entries.insert(key, SecretBytes::new(value));
        }
        let content = Content { entries };
        match self.matches(id, &content) {
            true => Ok(content),
            false => Err(StoreError::unusable(&dir, "the content is damaged: it does not match its id")),
        }
    }

    /// The contents of Secrets that are kept and whole.
    pub(super) fn secrets(&self, disk: &Disk) -> BTreeMap<ContentId, Content> {
        let names = disk.names(&disk.path(CONTENTS)).unwrap_or_default();
        let ids = names.into_iter().map(ContentId).filter(ContentId::is_secret);
        ids.filter_map(|id| Some((id.clone(), self.get(disk, &id).ok()?))).collect()
    }

    /// Renders a content; the path of the directory, or of the one file that is asked for.
    pub(super) fn render(&self, disk: &Disk, files: &Files) -> Result<PathBuf, StoreError> {
        let mode = files.mode & 0o777;
        check_name(&disk.path(FILES), &files.content.0)?;
        let name = format!("{}-{mode:04o}-{}-{}", files.content, files.uid, files.gid);
        let dir = disk.path(FILES).join(name);
        if !dir.is_dir() {
            let content = self.get(disk, &files.content)?;
            let access = Access { mode, owner: Some((files.uid, files.gid)) };
            disk.build(&dir, RENDERED_DIR, |dir| write_all(disk, dir, &content, access))?;
        }
        let Some(key) = &files.key else { return Ok(dir) };
        check_name(&dir, key)?;
        match dir.join(key) {
            file if file.is_file() => Ok(file),
            _ => Err(StoreError::unusable(&dir, format!("there is no key '{key}'"))),
        }
    }

    /// Removes all contents and renderings but those of `keep`.
    pub(super) fn keep(&mut self, disk: &Disk, keep: &BTreeSet<ContentId>) -> Result<(), StoreError> {
        self.known.retain(|id| keep.contains(id));
        let kept = |id: Option<&str>| id.is_some_and(|id| keep.contains(&ContentId(id.into())));
        let (contents, files) = (disk.path(CONTENTS), disk.path(FILES));
        disk.sweep(&contents)?;
        disk.sweep(&files)?;
        for name in disk.names(&contents)?.iter().filter(|name| !kept(Some(name))) {
            disk.discard(&contents.join(name))?;
        }
        for name in disk.names(&files)?.iter().filter(|name| !kept(rendered_id(name))) {
            disk.discard(&files.join(name))?;
        }
        Ok(())
    }

    fn matches(&self, id: &ContentId, content: &Content) -> bool {
        [Kind::ConfigMap, Kind::Secret].into_iter().any(|kind| self.hasher.id(kind, content) == *id)
    }
}

fn content_dir(disk: &Disk, id: &ContentId) -> Result<PathBuf, StoreError> {
    let dir = disk.path(CONTENTS);
    check_name(&dir, &id.0)?;
    Ok(dir.join(&id.0))
}

/// The content that a rendered directory's name tells: all but mode, user and group.
fn rendered_id(name: &str) -> Option<&str> {
    name.rsplitn(4, '-').nth(3)
}

fn write_all(disk: &Disk, dir: &Path, content: &Content, access: Access) -> Result<(), StoreError> {
    for (key, value) in &content.entries {
        check_name(dir, key)?;
        disk.create(&dir.join(key), value.expose(), access)?;
    }
    Ok(())
}

/// Keys come from manifests; as file names they must not lead anywhere else.
fn check_name(dir: &Path, name: &str) -> Result<(), StoreError> {
    match is_file_name(name) {
        true => Ok(()),
        false => Err(StoreError::unusable(dir, format!("{name:?} cannot be a file's name"))),
    }
}
