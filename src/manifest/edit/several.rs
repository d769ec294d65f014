//! Several images at once: each change is made on top of the others, and all are checked together before any is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Edit, IMAGE, Opened, Read, Refusal, Rewrite, Wish, entry_at, image, problem, sharing};
use crate::manifest::image::repository;
use crate::manifest::write::{self, WriteError};
use crate::model::name::{Key, Kind};

/// The changes that give several objects another image, each with the number of its source. What else changes with them, such
/// as what shares a variable, must not get the digest of another repository, and nothing in the namespace `not_in` may change.
pub fn images(
    mut opened: Vec<Opened>,
    wishes: &[(usize, Key, Wish)],
    not_in: &crate::model::name::Name,
) -> Result<Vec<Edit>, Refusal> {
    let mut edits = Vec::new();
    for (of, key, wish) in wishes {
        let edit = match image(&opened, *of, key, wish, false) {
            Ok(edit) => edit,
            // Where the text has its own `@`, the tag has no place in it.
            Err(Refusal::Impossible(why)) => match wish.without_tag() {
                Some(wish) => image(&opened, *of, key, &wish, false).map_err(|_| Refusal::Impossible(why))?,
                None => return Err(Refusal::Impossible(why)),
            },
            Err(invalid) => return Err(invalid),
        };
        edits.push(edit);
        apply(&mut opened, *of, edits.last().expect("it was just pushed"));
    }
    for (edit, (of, key, _)) in edits.iter().zip(wishes) {
        check(&opened, *of, key, edit, &edits, not_in)?;
    }
    Ok(edits)
}

/// Puts a change into what was read, for those that come after it.
fn apply(opened: &mut [Opened], of: usize, edit: &Edit) {
    let Some(Rewrite { path, after, .. }) = &edit.file else { return };
    for (index, path) in sharing(opened, of, path) {
        opened[index].snapshot.files.insert(path, after.clone());
    }
}

/// Whether an object has the image in the end that it was to get, and what changes with it has none that is another's.
fn check(
    opened: &[Opened],
    of: usize,
    key: &Key,
    edit: &Edit,
    all: &[Edit],
    not_in: &crate::model::name::Name,
) -> Result<(), Refusal> {
    let read = Read::of(&opened[of]);
    let refuse = |key: &Key, message: String, hint: &str| {
        let object = read.object(key).or_else(|| read.object(&edit.object)).expect("what was edited is there");
        let document = read.raw(object);
        let at = entry_at(&document.root, &IMAGE).map_or(document.root.pos, |entry| entry.value.pos);
        Err(Refusal::Impossible(problem(document, at, message, hint)))
    };
    let present = |key: &Key| read.image(key).and_then(|image| image.present.map(String::from));
    let through = match &edit.variable {
        Some(variable) => format!("they share the variable '{}'", variable.name),
        None => "they share a manifest".into(),
    };
    let hint = "give each a variable of its own, or write the images themselves";
    if present(key).as_ref() != Some(&edit.after) {
        let other = all.iter().find(|other| other.object != *key && other.also.contains(key));
        let other = other.map_or("another".into(), |other| other.object.to_string());
        return refuse(key, format!("{key} and {other} cannot get different images: {through}"), hint);
    }
    for also in edit.also.iter().filter(|also| !all.iter().any(|edit| edit.object == **also)) {
        if also.namespace == *not_in {
            return refuse(key, format!("{also} would change too, where the image comes from: {through}"), hint);
        }
        let with_image = Kind::WORKLOADS.contains(&also.kind);
        let Some(its) = present(also).filter(|_| with_image) else { continue };
        if repository(&its) != repository(&edit.after) && its.contains('@') {
            let message = format!("{also} would get a digest that is not of its own image, {its}: {through}");
            return refuse(also, message, hint);
        }
    }
    Ok(())
}

/// Writes the files of several changes, each file once. Stops at the first that cannot be written; says how many were.
pub fn write(edits: &[Edit]) -> Result<(), (usize, WriteError)> {
    let mut files: BTreeMap<PathBuf, Rewrite> = BTreeMap::new();
    for Rewrite { dir, path, before, after } in edits.iter().filter_map(|edit| edit.file.as_ref()) {
        let real = std::fs::canonicalize(dir.join(path)).unwrap_or_else(|_| dir.join(path));
        let fresh = || Rewrite { dir: dir.clone(), path: path.clone(), before: before.clone(), after: Vec::new() };
        files.entry(real).or_insert_with(fresh).after.clone_from(after);
    }
    for (written, file) in files.values().enumerate() {
        let Rewrite { dir, path, before, after } = file;
        write::replace(dir, Path::new(path), before, after).map_err(|error| (written, error))?;
    }
    Ok(())
}
