//! What a build leaves on the way: an image without a name for each step, each the parent of the next one, and one for each
//! stage. Which of them are a build's own is told by what the builder says and by what was not there before. It removes none.

use std::collections::{BTreeMap, BTreeSet};

use bollard::models::ImageSummary;

use super::client::Client;
use super::images;
use crate::model::image::Steps;
use crate::model::revision::ImageId;

/// The images without a name on the way to `image`, and to the `results` of the other stages.
pub(super) async fn left(
    client: &Client,
    image: &ImageId,
    results: &BTreeSet<ImageId>,
    before: &BTreeSet<ImageId>,
) -> Steps {
    // If they cannot be looked at now, they are nobody's.
    let all = images::all(client).await.unwrap_or_default();
    of(&all, image, results, before)
}

fn of(all: &[ImageSummary], image: &ImageId, results: &BTreeSet<ImageId>, before: &BTreeSet<ImageId>) -> Steps {
    let known: BTreeMap<&str, &ImageSummary> = all.iter().map(|found| (found.id.as_str(), found)).collect();
    let parent = |id: &str| known.get(id).map(|found| found.parent_id.as_str());
    let ends = results.iter().filter(|result| *result != image).map(|result| result.0.as_str());
    let mut next: Vec<&str> = ends.chain(parent(&image.0)).collect();
    let mut found = BTreeSet::new();
    // As far as the first image with a name: that is somebody's.
    while let Some(id) = next.pop() {
        if known.get(id).is_some_and(|step| is_nameless(step)) && found.insert(ImageId(id.into())) {
            next.extend(parent(id));
        }
    }
    let (reused, made) = found.into_iter().partition(|id| before.contains(id));
    Steps { made, reused }
}

/// Whether an image has neither a tag nor a digest by which somebody pulled it.
pub(super) fn is_nameless(image: &ImageSummary) -> bool {
    image.repo_tags.iter().chain(&image.repo_digests).all(|name| name.starts_with("<none>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(id: &str, parent: &str, tag: &str, digest: &str) -> ImageSummary {
        let names = |name: &str| if name.is_empty() { Vec::new() } else { vec![name.to_string()] };
        let (id, parent_id) = (id.to_string(), parent.to_string());
        ImageSummary { id, parent_id, repo_tags: names(tag), repo_digests: names(digest), ..ImageSummary::default() }
    }

    fn ids(ids: &[&str]) -> BTreeSet<ImageId> {
        ids.iter().map(|id| ImageId((*id).into())).collect()
    }

    #[test]
    fn the_steps_of_a_build_end_where_somebodys_image_begins() {
        let all = [
            image("base", "older", "base:1", ""),
            image("older", "", "<none>:<none>", ""),
            image("copy", "base", "<none>:<none>", "<none>@<none>"),
            image("run", "copy", "<none>:<none>", "<none>@<none>"),
            image("web", "run", "evenkeel.local/shop:1", ""),
            image("tool", "", "<none>:<none>", "tool@sha256:aa"),
            image("compiled", "tool", "<none>:<none>", ""),
            image("somebodys", "copy", "<none>:<none>", ""),
        ];
        let found =
            of(&all, &ImageId("web".into()), &ids(&["compiled", "tool", "base", "web"]), &ids(&["base", "copy"]));
        assert_eq!(found, Steps { made: ids(&["compiled", "run"]), reused: ids(&["copy"]) });
    }
}
