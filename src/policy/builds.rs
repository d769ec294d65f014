//! Contexts of images: what is in them ends up in an image, which whoever uses it can read.

use super::Judge;
use super::paths::{Nature, is_at_or_below, plain};
use crate::model::build::ImageBuild;

/// The field that asks for it.
const FIELD: &str = "template.build.context";

impl Judge<'_> {
    /// Judges what an image is built from. A context has no links in its path, and is only ever read there: it cannot become
    /// another one on the way.
    pub(super) fn build(&mut self, build: &ImageBuild) {
        self.variables();
        let Some(context) = plain(&build.context) else {
            return self.refuse(FIELD, "build-context", format!("'{}' is not an absolute path", build.context), None);
        };
        // A whole system can be a git checkout. What its operator has not meant by that is not in it.
        let checkout = build.checkout.as_deref().filter(|root| matches!(self.nature(root), Nature::Ordinary));
        let inside = [Some(build.source.as_str()), checkout];
        let nature = self.nature(&context);
        let is_inside = inside.into_iter().flatten().any(|base| is_at_or_below(&context, base));
        let mut excepted = self.exceptions.build_contexts.iter().filter_map(|path| self.meant_by(path));
        let is_excepted = match nature {
            Nature::Ordinary => excepted.any(|base| is_at_or_below(&context, &base)),
            Nature::Socket(_) | Nature::System(_) => excepted.any(|base| base == context),
        };
        if is_inside && self.is_of_source(&context, build) || is_excepted {
            return;
        }
        let what = match nature {
            Nature::Socket(what) | Nature::System(what) => format!(": it is or contains a part of the system, {what}"),
            Nature::Ordinary => String::new(),
        };
        let why = format!("reads {context}, which is neither in the source nor in its git checkout{what}");
        self.refuse(FIELD, "build-context", why, Some(format!("`buildContexts: [{context}]`")));
    }

    /// Whether a context that is inside of the source or its checkout holds no more of the system than the source does.
    fn is_of_source(&self, context: &str, build: &ImageBuild) -> bool {
        is_at_or_below(context, &build.source) || matches!(self.nature(context), Nature::Ordinary)
    }
}
