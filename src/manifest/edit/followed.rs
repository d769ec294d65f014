//! What an `imagePolicy` leaves of an image to be set: whatever it finds by itself would mean nothing. It changes nothing.

use super::{Diagnostic, Document, IMAGE, Image, entry_at, problem};
use crate::manifest::image::repository;
use crate::model::name::Key;

/// Why this image cannot stand beside the object's policy: its tag is found by the policy, or its digest is.
pub(super) fn contradiction(key: &Key, image: &Image<'_>, wanted: &str) -> Option<Box<Diagnostic>> {
    let document: &Document = &image.object.document;
    let policy =
        entry_at(&document.root, &IMAGE[..2])?.value.entry("imagePolicy").filter(|policy| !policy.value.is_null())?;
    let way = ["semver", "pattern"].into_iter().find(|way| policy.value.field(way).is_some());
    let (message, hint) = match way {
        Some(way) if repository(wanted) != wanted => (
            format!(
                "the image of {key} is followed by its imagePolicy, which finds the tag by {way}: '{wanted}' would mean nothing"
            ),
            format!(
                "change {way} so that it takes the one that you mean, or remove imagePolicy and set the image again"
            ),
        ),
        None if wanted.contains('@') => (
            format!(
                "the image of {key} is followed by its imagePolicy, which finds the digest: '{wanted}' would not move"
            ),
            "set a tag alone, which is followed then, or remove imagePolicy and set the image again".to_owned(),
        ),
        Some(_) | None => return None,
    };
    Some(problem(document, policy.key_pos, message, &hint))
}
