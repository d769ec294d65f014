//! The archive of a context, as the engine takes it. It is hashed while it is made, and only whole if it is what was asked
//! for.

use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::walk::{self, Entry, What};
use super::{FileHash, Trouble, hash, list, settled};
use crate::manifest::door;

/// Writes the archive of the context at `root`, which has no links in its path, if its content is `wanted`. An error says
/// why not, in words that continue "the context …"; the archive has no end then, so that nobody takes it for whole.
///
/// Everything belongs to root in it, as with `docker build`; permission bits and times are kept.
pub fn pack(root: &Path, dockerfile: &str, wanted: &str, to: impl Write) -> Result<(), String> {
    let changed = || "changed before it was sent; it is looked at again".to_owned();
    write(root, dockerfile, wanted, to).map_err(|failed| match failed {
        Failed::Here(Trouble::Wrong(why)) => why,
        Failed::Here(Trouble::Unsettled(why)) => format!("is being changed: {why}"),
        Failed::Here(Trouble::Dockerfile(_) | Trouble::Ignore(..)) | Failed::Changed => changed(),
        Failed::There(error) => format!("could not be sent: {error}"),
    })
}

enum Failed {
    Here(Trouble),
    Changed,
    There(io::Error),
}

impl From<Trouble> for Failed {
    fn from(trouble: Trouble) -> Self {
        Failed::Here(trouble)
    }
}

fn write(root: &Path, dockerfile: &str, wanted: &str, to: impl Write) -> Result<(), Failed> {
    settled(root)?;
    let entries = list(root, dockerfile)?;
    // An archive that is dropped ends itself, as if it were whole.
    let mut archive = tar::Builder::new(Valve { to, is_open: true });
    let content = append_all(&mut archive, root, &entries);
    let is_wanted = content.and_then(|content| if content == wanted { Ok(()) } else { Err(Failed::Changed) });
    let outcome = is_wanted.and_then(|()| Ok(settled(root)?));
    archive.get_mut().is_open = outcome.is_ok();
    outcome?;
    archive.finish().map_err(Failed::There)
}

/// Appends all entries. Their hash, as they were appended.
fn append_all(archive: &mut tar::Builder<impl Write>, root: &Path, entries: &[Entry]) -> Result<String, Failed> {
    let mut hashes = Vec::new();
    for entry in entries {
        hashes.extend(append(archive, root, entry)?);
    }
    let mut hashes = hashes.into_iter();
    Ok(hash(entries, |_| Ok(hashes.next().expect("every file was hashed when it was appended")))?)
}

/// Appends an entry. Of a file, the hash of what was appended.
fn append(archive: &mut tar::Builder<impl Write>, root: &Path, entry: &Entry) -> Result<Option<FileHash>, Failed> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(u64::try_from(entry.traces.modified.0).unwrap_or_default());
    header.set_size(0);
    match &entry.what {
        What::Folder => {
            header.set_entry_type(tar::EntryType::Directory);
            archive.append_data(&mut header, &entry.path, io::empty()).map_err(Failed::There)?;
        }
        What::Link(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            archive.append_link(&mut header, &entry.path, target).map_err(Failed::There)?;
        }
        What::File => {
            header.set_size(entry.traces.size);
            let path = root.join(&entry.path);
            let file = door::open(&path, Some(root)).map_err(|why| walk::refused(&path, why))?;
            let mut hashing = Hashing { from: file.take(entry.traces.size), hash: Sha256::new(), read: 0 };
            archive.append_data(&mut header, &entry.path, &mut hashing).map_err(Failed::There)?;
            if hashing.read != entry.traces.size {
                return Err(Failed::Changed);
            }
            return Ok(Some(hashing.hash.finalize().into()));
        }
    }
    Ok(None)
}

/// Lets through what is written, until it is closed.
struct Valve<W> {
    to: W,
    is_open: bool,
}

impl<W: Write> Write for Valve<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_open { self.to.write(bytes) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Hashes what is read through it.
struct Hashing<R> {
    from: R,
    hash: Sha256,
    read: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(buffer)?;
        self.hash.update(&buffer[..length]);
        self.read += length as u64;
        Ok(length)
    }
}
