//! The image that somebody asks for, whole or in part. It knows no manifest.

use crate::manifest::image;

/// The image that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// This one.
    Whole(String),
    /// The present repository with this `:TAG` or `@DIGEST`.
    Same(String),
}

impl Wish {
    /// Understands an image, `:TAG` and `@DIGEST`; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.starts_with([':', '@']) {
            true => image::check(&format!("image{text}")).map(|()| Self::Same(text.into())),
            false => image::check(text).map(|()| Self::Whole(text.into())),
        }
    }

    /// The same without a tag, where a digest says which image it is.
    pub fn without_tag(&self) -> Option<Self> {
        let Self::Whole(image) = self else { return None };
        let (named, digest) = image.split_once('@')?;
        let repository = image::repository(named);
        (repository != named).then(|| Self::Whole(format!("{repository}@{digest}")))
    }

    /// The image where the present one is `present`.
    pub fn at(&self, present: &str) -> String {
        match self {
            Self::Whole(image) => image.clone(),
            Self::Same(rest) => format!("{}{rest}", image::repository(present)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_or_a_digest_alone_means_the_present_repository() {
        let at = |text: &str| Wish::parse(text).unwrap().at("localhost:5000/web:1");
        assert_eq!(at("api:2"), "api:2");
        assert_eq!(at(":2"), "localhost:5000/web:2");
        let digest = format!("@sha256:{}", "a".repeat(64));
        assert_eq!(at(&digest), format!("localhost:5000/web{digest}"));
        assert_eq!(at(&format!(":2{digest}")), format!("localhost:5000/web:2{digest}"));
    }

    #[test]
    fn what_is_no_image_is_refused_with_the_part_that_is_wrong() {
        for (text, part) in
            [("Web:1", "lower case"), (":", "tag"), (":a b", "spaces"), ("@sha256:ab", "digest"), ("", "empty")]
        {
            assert!(Wish::parse(text).unwrap_err().contains(part), "{text}: {:?}", Wish::parse(text));
        }
    }
}
