//! Mounts in the engine's words. Always `Mounts` and never `Binds`, with which a missing source on the host would become
//! an empty directory of root's.

use bollard::models::{Mount, MountTmpfsOptions, MountType};

use super::{Provided, limits};
use crate::model::container::{Files, MountSource, MountSpec};

pub(super) fn mounts(mounts: &[MountSpec], provided: &Provided) -> Result<Vec<Mount>, String> {
    mounts.iter().map(|mount| self::mount(mount, provided)).collect()
}

fn mount(mount: &MountSpec, provided: &Provided) -> Result<Mount, String> {
    let (typ, source, tmpfs_options) = match &mount.source {
        MountSource::Volume(name) => (MountType::VOLUME, Some(name.clone()), None),
        MountSource::HostPath(path) => (MountType::BIND, Some(path.clone()), None),
        MountSource::Files(files) => (MountType::BIND, Some(rendered(files, &mount.path, provided)?), None),
        MountSource::Tmpfs { size, mode } => (MountType::TMPFS, None, Some(tmpfs(*size, *mode))),
    };
    Ok(Mount {
        target: Some(mount.path.clone()),
        source,
        typ: Some(typ),
        read_only: Some(mount.read_only),
        tmpfs_options,
        ..Mount::default()
    })
}

fn rendered(files: &Files, path: &str, provided: &Provided) -> Result<String, String> {
    let place = provided.files.get(files).ok_or_else(|| format!("the files for {path} were not written"))?;
    place.to_str().map(str::to_owned).ok_or_else(|| format!("the place of the files for {path} is not text"))
}

fn tmpfs(size: Option<u64>, mode: Option<u32>) -> MountTmpfsOptions {
    MountTmpfsOptions { size_bytes: size.map(limits::bytes), mode: mode.map(i64::from), ..Default::default() }
}
