//! The rules of an image policy: one way to follow an image, and an image that can be followed.

use super::wrong;
use crate::manifest::diagnostic::Problems;
use crate::manifest::image::repository;
use crate::manifest::place::At;
use crate::model::spec::{INTERVAL_MIN, ImagePolicy, Template};

/// A policy says in one way what is followed, and leaves nothing of `image` without a meaning.
pub fn check(at: At<'_>, template: &Template, problems: &mut Problems) {
    let Some(policy) = &template.image_policy else { return };
    let (image, at) = (at.field("image"), at.field("imagePolicy"));
    let ImagePolicy { semver, pattern, order, digest, interval } = policy;
    let tags = if semver.is_some() { "semver" } else { "pattern" };
    match (semver.is_some() || pattern.is_some(), digest) {
        (true, Some(_)) => {
            wrong(problems, at.key("digest"), format!("{tags} and digest exclude each other"))
                .hint(format!("{tags} follows the digest of the tag that it finds, too; remove 'digest'"));
        }
        (false, None) => {
            wrong(problems, at, "exactly one of semver, pattern, digest is needed");
        }
        (true, None) | (false, Some(_)) => {}
    }
    match (pattern, semver, order) {
        (Some(_), None, None) => {
            wrong(problems, at.key("pattern"), "pattern needs order, or semver: which of two tags is newer?")
                .hint("order: Numerical, or order: Alphabetical");
        }
        (_, Some(_), Some(_)) => {
            wrong(problems, at.key("order"), "semver and order exclude each other").hint("versions have an order");
        }
        (None, None, Some(_)) => {
            wrong(problems, at.key("order"), "order needs pattern");
        }
        (_, _, None) | (Some(_), None, Some(_)) => {}
    }
    if *interval < INTERVAL_MIN {
        wrong(problems, at.field("interval"), format!("interval must be at least {INTERVAL_MIN}"))
            .hint("registries limit how often they may be asked");
    }
    if template.image.is_empty() {
        wrong(problems, at, "imagePolicy needs an image to follow").hint("image: REPOSITORY, such as shop/web");
    }
    let repository = repository(&template.image);
    if template.image.contains('@') {
        wrong(problems, image, "an image with a digest always stays the same, so imagePolicy has nothing to follow")
            .hint("remove the digest, or imagePolicy");
    } else if repository != template.image && digest.is_none() {
        wrong(problems, image, format!("imagePolicy finds the tag by {tags}, so the image has none of its own"))
            .hint(format!("write image: {repository}"));
    }
}
