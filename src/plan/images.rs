//! Images: which one a template means, and whether it must be pulled or built first. The answer is kept, so that every replica
//! of a revision runs the same image even when the tag moves.

use std::collections::{BTreeMap, BTreeSet};

use super::follow;
use super::headroom;
use super::rebuilt;
use super::world::{Decided, World};
use crate::model::action::{Action, Call, pull_target};
use crate::model::build::is_built;
use crate::model::cron::CronJobHistory;
use crate::model::desired::Desired;
use crate::model::history::History;
use crate::model::name::{Key, Kind};
use crate::model::observed::{Failure, Fault, Image, ImageState};
use crate::model::platform::Platform;
use crate::model::registry::is_of_repository;
use crate::model::revision::{ContentId, ImageId, TemplateHash};
use crate::model::spec::{ImagePullPolicy, Template};
use crate::model::time::{Span, Timestamp};
use crate::model::wish::Resolution;
use crate::policy as rules;

/// Of an image that was built from what is no longer there.
const UNBUILDABLE: &str =
    "it was built here and is no longer on this host, and what it was built from has changed since";

/// How soon it is tried again to pull an image by a tag that has led to another one.
const TAG_TRIED_AGAIN: Span = Span::secs(300);

/// Every image that the next plan wants to know about: references of manifests, and images of revisions that may be
/// started again.
pub fn of_interest(desired: &Desired, history: &History) -> BTreeSet<String> {
    let effective = follow::effective_before(desired, history);
    let mut images: BTreeSet<String> = effective.images().iter().map(|image| tagged(image)).collect();
    images.extend(rebuilt::awaited(desired, history).map(|good| tagged(good.reference())));
    for deployment in history.deployments.values() {
        let active = deployment.rollout.revision();
        let active = deployment.revisions.iter().find(|revision| Some(&revision.id) == active);
        images.extend(active.map(|revision| revision.image.0.clone()));
        images.extend(active.and_then(|revision| by_tag(&revision.template, revision.digest.as_ref())));
        // What was built here may have been built again.
        let built = active.map(|revision| &revision.template.image).filter(|image| is_built(image));
        images.extend(built.cloned());
    }
    // Those that are perhaps removed.
    let unused = history.images.iter().filter(|(_, image)| image.unused_since.is_some());
    images.extend(unused.map(|(id, _)| id.0.clone()));
    let runs = history.jobs.values().filter_map(|job| job.runs.last());
    let scheduled = history.cron_jobs.values().flat_map(CronJobHistory::under_way).filter_map(|run| run.job.as_ref());
    for run in runs.chain(scheduled) {
        images.insert(run.image.0.clone());
        images.extend(by_tag(&run.template, run.digest.as_ref()));
    }
    images
}

/// What has to be pulled by its tag, because no digest of it is known: it matters then where that leads.
fn by_tag(template: &Template, digest: Option<&String>) -> Option<String> {
    digest.is_none().then(|| tagged(&template.image))
}

/// The reference with a tag: without one, Docker would pull every tag there is.
pub fn tagged(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains(':') || last.contains('@') { image.into() } else { format!("{image}:latest") }
}

/// The policy that applies: Always for `latest`, IfNotPresent for the rest, unless the template says otherwise. An image that
/// is built here is named by its content: another content is another image.
pub fn policy(template: &Template) -> ImagePullPolicy {
    if is_built(&template.image) {
        return ImagePullPolicy::IfNotPresent;
    }
    let latest = tagged(&template.image).ends_with(":latest");
    template.image_pull_policy.unwrap_or(if latest { ImagePullPolicy::Always } else { ImagePullPolicy::IfNotPresent })
}

/// What is known about a template's image: the earlier resolution if it is for this template, else a new one.
/// `adopted` is the image that running containers of this very template have, for when the history was lost.
pub fn carry(
    world: World,
    earlier: Option<&Resolution>,
    template: &TemplateHash,
    adopted: Option<ImageId>,
) -> Resolution {
    match earlier {
        Some(resolution) if resolution.template == *template => resolution.clone(),
        _ => Resolution { template: template.clone(), seen_at: world.now, image: adopted },
    }
}

/// Resolves `template`'s image, pulling or building it if the policy says so. While it is unresolved it says what it waits for.
pub fn resolve(
    world: World,
    decided: &mut Decided,
    object: &Key,
    template: &Template,
    resolution: Resolution,
) -> Resolution {
    if resolution.image.is_some() {
        return resolution;
    }
    if let Some(why) = follow::unchosen(world, object) {
        decided.wait(why);
        return resolution;
    }
    let image = tagged(&template.image);
    let fresh = world.observed.pulled.get(&image).is_some_and(|at| *at >= resolution.seen_at);
    let present = world.observed.images.get(&image);
    // The registry has it for no other platform than the image on this host, or does not have it at all, as one that was made
    // here: that is all there is, and the engine refuses it.
    let pulled = world.failure(&pull_target(&image));
    let pulled = pulled.filter(|failed| failed.at >= resolution.seen_at).map(|failed| failed.fault);
    let is_unfit = pulled == Some(Fault::Invalid);
    let is_all = |found: &Image| is_unfit || pulled == Some(Fault::ImageMissing) || found.digests.is_empty();
    match (policy(template), present) {
        (_, None) => look_up(world, decided),
        (ImagePullPolicy::Always, Some(ImageState::Present(found))) if fresh || is_unfit => {
            return Resolution { image: Some(found.id.clone()), ..resolution };
        }
        (ImagePullPolicy::IfNotPresent, Some(ImageState::Present(found))) if is_all(found) || fits(template, found) => {
            return Resolution { image: Some(found.id.clone()), ..resolution };
        }
        (ImagePullPolicy::Never, Some(ImageState::Present(found))) => {
            return Resolution { image: Some(found.id.clone()), ..resolution };
        }
        (ImagePullPolicy::IfNotPresent, Some(ImageState::Present(found))) => {
            let wanted = template.platform.as_deref().unwrap_or_default();
            let cause = format!("the image on this host is for {}, and {wanted} is wanted", found.platform);
            get(world, decided, object, template, (image, None), &cause);
            decided.wait_above_all(format!("another image: {cause}"));
        }
        (ImagePullPolicy::Never, Some(ImageState::Missing)) => {
            decided.wait(format!("image {image}: it is not on this host, and imagePullPolicy is Never"));
        }
        (ImagePullPolicy::Always | ImagePullPolicy::IfNotPresent, Some(_)) => {
            let cause = match policy(template) {
                ImagePullPolicy::Always => "imagePullPolicy is Always",
                ImagePullPolicy::IfNotPresent | ImagePullPolicy::Never => "the image is not on this host",
            };
            get(world, decided, object, template, (image, None), cause);
        }
    }
    resolution
}

/// Whether an image is for the platform that the template asks for, if it asks for one.
fn fits(template: &Template, found: &Image) -> bool {
    template.platform.as_ref().is_none_or(|wanted| Platform::of(wanted).is(&found.platform))
}

/// That a replica's image is for another platform than the engine's host, which may run it all the same by emulation.
pub fn foreign_platform(world: World, image: &ImageId) -> Option<String> {
    let Some(ImageState::Present(found)) = world.observed.images.get(&image.0) else { return None };
    let (own, host) = (&found.platform, &world.observed.platform);
    (!host.is(own)).then(|| format!("its image is for {own}, and this engine runs {host}"))
}

/// One pull or build for each image, with the credentials of everybody who wants it: two would only wait for each other.
pub fn one_each(actions: Vec<Action>) -> Vec<Action> {
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    let mut merged: Vec<Action> = Vec::with_capacity(actions.len());
    for mut action in actions {
        if let Some(secrets) = credentials(&mut action.call).cloned() {
            let at = *first.entry(action.call.target()).or_insert(merged.len());
            if let Some(known) = merged.get_mut(at).and_then(|action| credentials(&mut action.call)) {
                known.extend(secrets.into_iter().filter(|secret| !known.contains(secret)).collect::<Vec<_>>());
                continue;
            }
        }
        merged.push(action);
    }
    merged
}

/// The credentials of a call that gets an image.
fn credentials(call: &mut Call) -> Option<&mut Vec<ContentId>> {
    match call {
        Call::Pull { secrets, .. } | Call::Build { secrets, .. } => Some(secrets),
        _ => None,
    }
}

/// Pulls or builds an image that is not here: the one with that id, or whatever the reference leads to.
fn get(
    world: World,
    decided: &mut Decided,
    object: &Key,
    template: &Template,
    (reference, id): (String, Option<&ImageId>),
    cause: &str,
) -> bool {
    if let Some(nowhere) = nowhere(world, &reference, id) {
        decided.wait(format!("{}{}", nowhere.reason, nowhere.way_out));
        decided.blocked = true;
        nowhere.again.into_iter().for_each(|again| decided.wake(again));
        return false;
    }
    let (call, waits) = match world.desired.builds.get(&reference).cloned() {
        Some(build) => {
            let call = Call::Build { build, secrets: secrets(world, object, template) };
            (call, format!("image {reference} to be built"))
        }
        None => {
            let waits = format!("image {reference} to be pulled");
            (pull(world, object, reference, template), waits)
        }
    };
    if !headroom::disk_for(world, decided, &call) {
        return false;
    }
    decided.wait(waits);
    if let Some(failure) = world.failure(&call.target()).filter(|failure| is_broken(failure)) {
        // It may go well another time (a package's server was down, an image is pushed for this platform), but nobody should
        // wait for that.
        decided.blocked = true;
        decided.build_output.clone_from(&failure.output);
    }
    decided.act(world, object, call, cause);
    false
}

/// Whether a build failed for what it is built from, or a pull for the platform, and not for trouble with the engine, a registry or the disk.
fn is_broken(failure: &Failure) -> bool {
    failure.fault == Fault::Invalid
}

/// The next look includes the image, because now it is of interest; it comes at once.
fn look_up(world: World, decided: &mut Decided) {
    decided.wake(world.now);
}

/// The image that a template's reference means now, if it is built here and the one that was known by it is gone: the same
/// content, built again, is another image to the engine.
pub fn built_again(world: World, template: &Template, id: &ImageId) -> Option<ImageId> {
    let is_gone = world.observed.images.get(&id.0) == Some(&ImageState::Missing);
    match world.observed.images.get(&template.image) {
        Some(ImageState::Present(found)) if is_gone && is_built(&template.image) => Some(found.id.clone()),
        _ => None,
    }
}

/// Whether the image of a revision is here; if not, it is pulled by its digest, or built if it can be.
pub fn ensure(
    world: World,
    decided: &mut Decided,
    object: &Key,
    template: &Template,
    image: &ImageId,
    digest: Option<&String>,
) -> bool {
    match world.observed.images.get(&image.0) {
        Some(ImageState::Present(_)) => true,
        None => {
            look_up(world, decided);
            false
        }
        Some(ImageState::Missing) if built_again(world, template, image).is_some() => true,
        Some(ImageState::Missing) => {
            let from = (source(template, digest), Some(image));
            get(world, decided, object, template, from, "the revision's image is no longer on this host")
        }
    }
}

/// Why the image of a revision, which is no longer here, can be had from nowhere, if that is so.
pub fn lost(world: World, template: &Template, image: &ImageId, digest: Option<&String>) -> Option<String> {
    let is_missing = world.observed.images.get(&image.0) == Some(&ImageState::Missing);
    if !is_missing || built_again(world, template, image).is_some() {
        return None;
    }
    nowhere(world, &source(template, digest), Some(image)).map(|nowhere| nowhere.reason)
}

/// What a revision's image is pulled by.
fn source(template: &Template, digest: Option<&String>) -> String {
    digest.cloned().unwrap_or_else(|| tagged(&template.image))
}

/// That an image can be had from nowhere.
struct Nowhere {
    reason: String,
    /// For people, after the reason.
    way_out: &'static str,
    /// When that may be otherwise, without anybody changing the manifests.
    again: Option<Timestamp>,
}

/// Whether the image with that id can be had from nowhere: it was built from what is no longer there, or its tag was pulled a
/// short while ago and led to another one.
fn nowhere(world: World, reference: &str, id: Option<&ImageId>) -> Option<Nowhere> {
    if is_built(reference) && !world.desired.builds.contains_key(reference) {
        let reason = format!("image {reference}: {UNBUILDABLE}");
        return Some(Nowhere { reason, way_out: "", again: None });
    }
    let id = id?;
    let Some(ImageState::Present(found)) = world.observed.images.get(reference) else { return None };
    let again = *world.observed.pulled.get(reference)? + TAG_TRIED_AGAIN;
    let reason = format!(
        "image {reference}: the one that was to be used ({id}) is no longer on this host, and the registry has another one of \
         that name"
    );
    let nowhere = Nowhere { reason, way_out: ": `evenkeel rollout restart` takes that", again: Some(again) };
    (found.id != *id && again > world.now).then_some(nowhere)
}

/// Notes the registry's digest of a revision's image, where it was not known yet: after the history was lost, the image may be
/// looked up only now.
pub fn learn_digest(world: World, template: &Template, image: &ImageId, digest: &mut Option<String>) {
    if digest.is_none() {
        *digest = digest_of(world, template, image);
    }
}

/// The image as found in the engine, by reference or id.
pub fn found<'a>(world: World<'a>, template: &Template, id: &ImageId) -> Option<&'a Image> {
    let by_reference = world.observed.images.get(&tagged(&template.image));
    let by_id = world.observed.images.get(&id.0);
    [by_reference, by_id].into_iter().flatten().find_map(|state| match state {
        ImageState::Present(image) if image.id == *id => Some(image),
        ImageState::Present(_) | ImageState::Missing => None,
    })
}

/// The registry's digest of the image with that id, if the engine has it from one.
pub fn digest_of(world: World, template: &Template, id: &ImageId) -> Option<String> {
    found(world, template, id).and_then(|image| digest(template, image))
}

/// The registry's digest of an image, for pulling exactly it again: the one of the template's own repository first.
pub fn digest(template: &Template, image: &Image) -> Option<String> {
    let own = image.digests.iter().find(|digest| is_of_repository(digest, &template.image));
    own.or(image.digests.first()).cloned()
}

/// Paths that the image declares as volumes and no mount covers: their content would be lost with the container.
pub fn uncovered_volumes(template: &Template, image: &Image) -> Vec<String> {
    let covered = |path: &String| {
        template.mounts.iter().any(|mount| mount.path.trim_end_matches('/') == path.trim_end_matches('/'))
    };
    image.volumes.iter().filter(|path| !covered(path)).cloned().collect()
}

/// What to create a container from: the written reference while it means this very image, else the image's id.
pub fn reference(world: World, template: &Template, id: &ImageId) -> String {
    let tag = tagged(&template.image);
    match world.observed.images.get(&tag) {
        Some(ImageState::Present(image)) if image.id == *id => tag,
        _ if built_again(world, template, id).is_some() => template.image.clone(),
        _ => id.0.clone(),
    }
}

fn pull(world: World, object: &Key, image: String, template: &Template) -> Call {
    Call::Pull { image, platform: template.platform.clone(), secrets: secrets(world, object, template) }
}

/// The Secrets with credentials for a template's image; none where the policy refuses them, or the variables that may be in its name.
pub fn allowed_secrets(world: World, object: &Key, template: &Template) -> Option<Vec<ContentId>> {
    let call = pull(world, object, template.image.clone(), template);
    let is_refused = !rules::refusals(world.ground(), &object.namespace, &call).is_empty();
    match call {
        Call::Pull { secrets, .. } if !is_refused => Some(secrets),
        _ => None,
    }
}

/// Credentials are those of today, whatever the revision: a rotated password must not make an old revision unreachable.
fn secrets(world: World, object: &Key, template: &Template) -> Vec<ContentId> {
    let secrets = template.image_pull_secrets.iter();
    let secrets = secrets.filter_map(|name| world.desired.contents.get(&object.sibling(Kind::Secret, name)));
    secrets.map(|secret| secret.spec.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observed::Observed;
    use crate::model::time::Timestamp;
    use crate::plan::headroom::Promised;
    use crate::plan::holdings::Holdings;

    /// What a container of the image `sha256:1` is made from, where its tag leads to this image.
    fn made_from(tagged: &str) -> String {
        let image = Image {
            id: ImageId(tagged.into()),
            tags: vec!["web:1".into()],
            digests: vec![],
            has_health_check: false,
            volumes: [].into(),
            platform: Default::default(),
            is_ours: false,
        };
        let desired = Desired::default();
        let observed =
            Observed { images: [("web:1".to_string(), ImageState::Present(image))].into(), ..Observed::default() };
        let (by_owner, holdings, promised) = (BTreeMap::new(), Holdings::default(), Promised::default());
        let (follows, gone, now) = (BTreeMap::new(), BTreeMap::new(), Timestamp(0));
        let (desired, observed) = (&desired, &observed);
        let wards = crate::plan::world::wards(desired);
        let (by_owner, wards, holdings, promised, follows, gone) =
            (&by_owner, &wards, &holdings, &promised, &follows, &gone);
        let world = World { desired, observed, now, by_owner, wards, holdings, promised, follows, gone };
        let template: Template = serde_json::from_value(serde_json::json!({"image": "web:1"})).unwrap();
        reference(world, &template, &ImageId("sha256:1".into()))
    }

    #[test]
    fn a_container_is_made_from_the_tag_that_people_know_while_it_means_its_image() {
        assert_eq!(made_from("sha256:1"), "web:1");
        assert_eq!(made_from("sha256:2"), "sha256:1");
    }
}
