//! Where a container's image comes from: it is pulled or built, and not both.

use super::wrong;
use crate::manifest::diagnostic::Problems;
use crate::manifest::place::At;
use crate::model::build::is_built;
use crate::model::spec::Template;

/// Checks a template's image.
pub fn check(at: At<'_>, template: &Template, problems: &mut Problems) {
    if is_built(&template.image) {
        let message = format!("'{}' is the name of an image that is built here, and is never pulled", template.image);
        wrong(problems, at.field("image"), message).hint("write build: {context: DIRECTORY} in its place");
    }
    let Some(build) = &template.build else { return };
    if !template.image.is_empty() {
        let image = at.key("image").spot();
        let message = format!("image and build exclude each other; image is at {}:{}", image.brief(), image.column);
        wrong(problems, at.key("build"), message).hint("remove one of them: an image is pulled, or it is built here");
    }
    if at.key("imagePullPolicy").is_written() {
        let message = "imagePullPolicy is for an image that is pulled, and this one is built";
        wrong(problems, at.key("imagePullPolicy"), message)
            .hint("remove it: an image is built when what it is built from changes");
    }
    if let Some(target) = build.target.as_ref().filter(|target| !is_stage(target)) {
        let message = format!("'{target}' is not the name of a stage, nor its number");
        wrong(problems, at.field("build").field("target"), message).hint("as in the Dockerfile: FROM … AS NAME");
    }
}

fn is_stage(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.chars().all(legal)
}
