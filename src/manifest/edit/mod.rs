//! Another image for one object, written into its manifest: which value of which file has to change, and whether what
//! comes out is valid and differs in nothing else. It changes no file: [`super::write`] does.

mod change;
mod followed;
mod scalar;
mod several;
#[cfg(test)]
mod tests;
mod variable;
mod wish;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use several::{images, write};
pub use wish::Wish;

use super::diagnostic::{Diagnostic, Problems, Spot};
use super::documents::{self, Document};
use super::file::Pos;
use super::host::Host;
use super::objects::{self, Object, Objects};
use super::tree::{Entry, Node};
use super::write::{self, WriteError};
use super::{Contexts, Snapshot, Source};
use crate::model::name::{Key, Kind};
use crate::model::revision::ContentHasher;
use crate::model::secret::SecretBytes;
use change::Change;

/// A source with its files as they were read.
pub struct Opened {
    /// The source.
    pub source: Source,
    /// Its files.
    pub snapshot: Snapshot,
}

/// Why a manifest is not edited.
#[derive(Debug)]
pub enum Refusal {
    /// The source is invalid, or would be.
    Invalid(Vec<Diagnostic>),
    /// The value cannot be put where it belongs.
    Impossible(Box<Diagnostic>),
}

impl From<Box<Diagnostic>> for Refusal {
    fn from(problem: Box<Diagnostic>) -> Self {
        Self::Impossible(problem)
    }
}

/// A variable whose value changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value so far.
    pub before: String,
    /// Its new value.
    pub after: String,
}

/// A change of one value, checked and not written yet.
#[derive(Debug)]
pub struct Edit {
    /// Whose image it is.
    pub object: Key,
    /// The image so far, with its variables put in.
    pub before: String,
    /// The new image.
    pub after: String,
    /// Where the value stands that changes.
    pub spot: Spot,
    /// The variable that this value is, if it is one.
    pub variable: Option<Variable>,
    /// Which other objects change with it.
    pub also: BTreeSet<Key>,
    /// The sources that have the file, by their numbers among those that were given.
    pub sources: Vec<usize>,
    file: Option<Rewrite>,
}

/// A file of a source with its bytes before and after.
#[derive(Debug)]
struct Rewrite {
    dir: PathBuf,
    path: PathBuf,
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Edit {
    /// Whether anything changes; what is wanted may be there already.
    pub fn is_change(&self) -> bool {
        self.file.is_some()
    }

    /// Writes the file, unless somebody has changed it since it was read.
    pub fn write(&self) -> Result<(), WriteError> {
        let Some(Rewrite { dir, path, before, after }) = &self.file else { return Ok(()) };
        write::replace(dir, path, before, after)
    }
}

/// The objects of a source that have an image, and what is wrong with its manifests.
pub fn candidates(opened: &Opened) -> (BTreeSet<Key>, Vec<Diagnostic>) {
    let Read { objects, problems, .. } = Read::of(opened);
    let all = objects.list.into_keys().chain(objects.flawed.into_keys());
    let with_image = all.filter(|key| Kind::WORKLOADS.contains(&key.kind)).collect();
    (with_image, problems.into_sorted())
}

/// The change that gives an object of the source number `of` another image. With `literal` a variable in its text is
/// replaced too. All sources are given, because others may have the same file.
pub fn image(opened: &[Opened], of: usize, key: &Key, wish: &Wish, literal: bool) -> Result<Edit, Refusal> {
    let read = Read::of(&opened[of]);
    let Some(found) = read.image(key) else {
        return Err(read.without_image(key));
    };
    let Image { object, entry, present } = found;
    let text = entry.value.text().unwrap_or_default();
    let wanted = match (present, wish) {
        (Some(present), _) => wish.at(present),
        (None, Wish::Whole(image)) if literal => image.clone(),
        (None, _) => return Err(Refusal::Invalid(read.problems.into_sorted())),
    };
    if let Some(why) = followed::contradiction(key, &found, &wanted) {
        return Err(why.into());
    }
    let is_there = if literal { text == wanted } else { present == Some(&wanted) };
    let of_variable = match literal || is_there {
        true => None,
        false => variable::change(&opened[of], &read, object, entry, &wanted)?,
    };
    let change = of_variable.unwrap_or_else(|| Change {
        document: read.raw(object).clone(),
        path: IMAGE.map(String::from).into(),
        value: wanted.clone(),
        variable: None,
    });
    let mut edit = Edit {
        object: key.clone(),
        before: present.unwrap_or(text).into(),
        after: wanted,
        spot: change.spot(),
        variable: change.described(),
        also: BTreeSet::new(),
        sources: Vec::new(),
        file: None,
    };
    if !is_there {
        edit.file = Some(change.rewrite(&opened[of])?);
    }
    for (index, path) in sharing(opened, of, &change.document.path) {
        check(&opened[index], &path, index == of, &change, &mut edit)?;
        edit.sources.push(index);
    }
    Ok(edit)
}

/// Where an image stands in a manifest.
const IMAGE: [&str; 3] = ["spec", "template", "image"];

/// What a source says, with and without its variables put in.
struct Read {
    raw: Vec<Document>,
    objects: Objects,
    problems: Problems,
}

impl Read {
    fn of(Opened { source, snapshot }: &Opened) -> Self {
        let mut problems = Problems::default();
        let mut host = Host::new(source, snapshot);
        // Said below.
        let raw = documents::read(source, snapshot, &mut Problems::default()).list;
        let documents = documents::read(source, snapshot, &mut problems);
        let objects = objects::build(documents, &mut host, &mut problems);
        Self { raw, objects, problems }
    }

    /// An object, even one whose manifest has mistakes.
    fn object(&self, key: &Key) -> Option<&Object> {
        self.objects.list.get(key).or_else(|| self.objects.flawed.get(key).map(|(object, _)| object))
    }

    /// The manifest of an object as it is written.
    fn raw(&self, object: &Object) -> &Document {
        let Document { path, root, .. } = &object.document;
        let same = |raw: &&Document| raw.path == *path && raw.root.pos == root.pos;
        self.raw.iter().find(same).expect("an object comes from a document")
    }

    /// Why an object has no image that could be set.
    fn without_image(self, key: &Key) -> Refusal {
        let object = self.objects.list.get(key);
        let Some(template) = object.and_then(|object| entry_at(&object.document.root, &IMAGE[..2])) else {
            return Refusal::Invalid(self.problems.into_sorted());
        };
        let document = &object.expect("it has a template").document;
        let why = match template.value.entry("build") {
            Some(build) => problem(
                document,
                build.key_pos,
                format!("the image of {key} is built, so there is none to set"),
                "edit what it is built from, or write an image in the place of build",
            ),
            None => problem(
                document,
                template.key_pos,
                format!("{key} names no image: it takes that of the Deployment whose gate it is"),
                "set the image of the Deployment",
            ),
        };
        why.into()
    }

    /// The image of an object, if its manifest has one.
    fn image(&self, key: &Key) -> Option<Image<'_>> {
        let object = self.object(key)?;
        let entry = entry_at(&self.raw(object).root, &IMAGE)?;
        let present = entry_at(&object.document.root, &IMAGE)?.value.scalar().filter(|scalar| !scalar.is_null())?;
        let present = (!present.broken).then_some(present.text.as_str());
        Some(Image { object, entry, present })
    }
}

/// The image of an object.
#[derive(Clone, Copy)]
struct Image<'r> {
    object: &'r Object,
    /// As it is written.
    entry: &'r Entry,
    /// With its variables put in, if they are set.
    present: Option<&'r str>,
}

fn entry_at<'n>(root: &'n Node, path: &[impl AsRef<str>]) -> Option<&'n Entry> {
    let (last, way) = path.split_last()?;
    let node = way.iter().try_fold(root, |node, field| node.field(field.as_ref()))?;
    node.entry(last.as_ref())
}

/// A mistake at a place of a manifest.
fn problem(document: &Document, pos: Pos, message: impl AsRef<str>, hint: &str) -> Box<Diagnostic> {
    let mut problem = Diagnostic::error(document.file.spot(pos), message);
    problem.hint(hint);
    Box::new(problem)
}

/// The sources that have a file of the source number `of`, and where in them: one directory can serve several
/// namespaces.
fn sharing(opened: &[Opened], of: usize, path: &Path) -> Vec<(usize, PathBuf)> {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    let file = real(&opened[of].source.dir.join(path));
    let place = |(index, other): (usize, &Opened)| {
        if index == of {
            return Some((of, path.to_path_buf()));
        }
        let inside = file.as_ref()?.strip_prefix(real(&other.source.dir)?).ok()?.to_path_buf();
        other.snapshot.files.contains_key(&inside).then_some((index, inside))
    };
    opened.iter().enumerate().filter_map(place).collect()
}

/// Loads a source with the edited file at `path`, and adds what changes in it.
fn check(opened: &Opened, path: &Path, is_its: bool, change: &Change, edit: &mut Edit) -> Result<(), Refusal> {
    let Opened { source, snapshot } = opened;
    let mut snapshot = snapshot.clone();
    if let Some(file) = &edit.file {
        snapshot.files.insert(path.into(), file.after.clone());
    }
    // Content ids are thrown away again, so any key will do.
    let hasher = ContentHasher::new(SecretBytes::new(Vec::new()));
    if let Err(problems) = super::load(source, &snapshot, &hasher, &Contexts::default()) {
        return Err(Refusal::Invalid(problems));
    }
    let (before, after) = (Read::of(opened), Read::of(&Opened { source: source.clone(), snapshot }));
    let changed = changed(&before.objects, &after.objects);
    edit.also.extend(changed.into_iter().filter(|key| key.kind != Kind::Namespace && *key != edit.object));
    let image = after.image(&edit.object).and_then(|image| image.present);
    if is_its && image != Some(&edit.after) {
        // Such as a default that stands in for an empty value.
        let message = format!("with this value the image would be '{}'", image.unwrap_or_default());
        let hint = "--literal replaces the text with the image as given";
        return Err(problem(&change.document, change.value_pos(), message, hint).into());
    }
    Ok(())
}

/// The objects whose manifests say something else.
fn changed(before: &Objects, after: &Objects) -> BTreeSet<Key> {
    fn values(objects: &Objects) -> impl Iterator<Item = (&Key, &serde_json::Value)> {
        let flawed = objects.flawed.iter().map(|(key, (object, _))| (key, &object.value));
        objects.list.iter().map(|(key, object)| (key, &object.value)).chain(flawed)
    }
    let before: BTreeMap<_, _> = values(before).collect();
    values(after).filter(|(key, value)| before.get(key) != Some(value)).map(|(key, _)| key.clone()).collect()
}
