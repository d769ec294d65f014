//! The first revision of a Deployment on a rebuilt machine: what last completed, whatever the manifests ask for by now. It
//! decides which revision that is; the steps are those of every rollout.

use std::collections::BTreeMap;

use super::build;
use super::deployment;
use super::follow;
use super::headroom::Promised;
use super::holdings::Holdings;
use super::images;
use super::policy;
use super::world::{Decided, World, index, wards};
use crate::model::action::pull_target;
use crate::model::build::is_built;
use crate::model::desired::{Declared, Desired};
use crate::model::history::{DeploymentHistory, History, Outcome, Revision};
use crate::model::last_good::GoodRevision;
use crate::model::name::{Key, Kind, Name};
use crate::model::observed::{Fault, ImageState, Observed};
use crate::model::registry::{Choice, in_short};
use crate::model::revision::{Contents, ImageId, TemplateHash, revision_id, template_hash};
use crate::model::spec::{DeploymentSpec, Template};
use crate::model::status::Severity;
use crate::model::time::Timestamp;
use crate::model::wish::Pin;

/// What last completed of Deployments that have no history.
pub fn awaited<'a>(desired: &'a Desired, history: &'a History) -> impl Iterator<Item = &'a GoodRevision> {
    desired.last_good.iter().filter(|(key, _)| desired.declares(key) && !history.knows(key)).map(|(_, good)| good)
}

/// What would be brought back, in sentences for people.
pub fn announced(desired: &Desired, observed: &Observed, history: &History, now: Timestamp) -> Vec<String> {
    let by_owner = index(observed);
    let (holdings, promised) = (Holdings::of(desired, observed, history, &by_owner), Promised::default());
    let follows = follow::follows(desired, observed, history, now);
    let desired = &*follow::effective(desired, &follows);
    let (by_owner, wards, holdings, promised, follows) = (&by_owner, &wards(desired), &holdings, &promised, &follows);
    let world = World { desired, observed, now, by_owner, wards, holdings, promised, follows, gone: &BTreeMap::new() };
    let nothing = DeploymentHistory::default();
    let sentence = |(key, declared): (&Key, &Declared<DeploymentSpec>)| {
        let known = history.deployments.get(key).unwrap_or(&nothing);
        let (good, contents) = lost(world, key, &declared.spec, known)?;
        let hash = template_hash(&good.template, &contents, known.restarts);
        let pin = pinned(world, key, &declared.spec, known, &hash);
        let is_led_on = led_on(world, key, known, good, &hash).is_some();
        Some(format!("{key}: {}", words(key, good, pin.is_some() && !is_led_on)))
    };
    desired.deployments.iter().filter_map(sentence).collect()
}

/// Brings what last completed back, where nothing else is known of a Deployment: no revision, no container. `true` while its
/// image is still to come: until then the manifest's revision waits.
pub fn come_back(
    world: World,
    decided: &mut Decided,
    key: &Key,
    spec: &DeploymentSpec,
    history: &mut DeploymentHistory,
) -> bool {
    let Some((good, contents)) = lost(world, key, spec, history) else { return false };
    let hash = template_hash(&good.template, &contents, history.restarts);
    let exact = Template { image: good.reference().into(), ..(*good.template).clone() };
    let resolution = images::carry(world, history.resolution.as_ref(), &hash, None);
    let resolution = images::resolve(world, decided, key, &exact, resolution);
    history.resolution = Some(resolution.clone());
    let Some(image) = resolution.image else { return true };
    record(world, decided, key, spec, history, good, (hash, contents, image));
    // Where the image is followed, what is newer comes after it: what is chosen is known from the next pass on.
    let is_followed = history.choice.is_some();
    if is_followed {
        decided.wake(world.now);
    }
    is_followed
}

/// What last completed of a Deployment of which nothing else is known, with its contents; none where it cannot be.
fn lost<'a>(
    world: World<'a>,
    key: &Key,
    spec: &DeploymentSpec,
    history: &DeploymentHistory,
) -> Option<(&'a GoodRevision, Contents)> {
    let good = world.desired.last_good.get(key)?;
    if spec.suspend || !history.revisions.is_empty() || !world.containers(key).is_empty() {
        return None;
    }
    let contents = build::contents(world, key, &good.template);
    let is_possible = needs(key, &good.template).iter().all(|needed| world.desired.declares(needed))
        && policy::template_refusals(world, key, &good.template, &contents).is_empty()
        && !is_lost(world, good);
    is_possible.then_some((good, contents))
}

/// The manifest's template, where it is another one than that which comes back.
fn pinned(
    world: World,
    key: &Key,
    spec: &DeploymentSpec,
    history: &DeploymentHistory,
    back: &TemplateHash,
) -> Option<TemplateHash> {
    let wanted = follow::manifest_hash_of(world, key, history);
    let wanted =
        wanted.unwrap_or_else(|| deployment::hash(spec, &build::contents(world, key, &spec.template), history));
    (wanted != *back).then_some(wanted)
}

/// What is done, for people.
fn words(key: &Key, good: &GoodRevision, is_pinned: bool) -> String {
    let next = good.revision.saturating_add(1);
    let waits = format!(
        "; what its manifest asks for now waits until it changes, or `evenkeel rollout undo {key} --to {next}` goes to it"
    );
    format!(
        "nothing is left of it but the note that revision {} ({}) completed at {}: that comes back{}",
        good.revision,
        in_short(&good.template.image),
        good.completed_at,
        if is_pinned { waits.as_str() } else { "" }
    )
}

/// Everything that must be declared for a container of a template.
fn needs(key: &Key, template: &Template) -> Vec<Key> {
    let contents = build::contents_of(template).map(|(kind, name)| key.sibling(kind, name));
    let volumes = template.mounts.iter().filter_map(|mount| mount.volume.as_ref());
    let volumes = volumes.map(|name| key.sibling(Kind::Volume, name));
    let networks = template.networks.iter().map(|network| key.sibling(Kind::Network, network.name()));
    let is_on_default = template.networks.is_empty() && !template.host_network;
    let default = Name::new("default").ok().filter(|_| is_on_default);
    let default = default.map(|name| key.sibling(Kind::Network, &name));
    let others = template.depends_on.iter().filter_map(|dependency| dependency.key(key));
    contents.chain(volumes).chain(networks).chain(default).chain(others).collect()
}

/// Whether the registry says that it does not have the image any more: it never comes back there, unlike a tag. Or whether it
/// was built here, and from what is not there any more.
fn is_lost(world: World, good: &GoodRevision) -> bool {
    let image = good.reference();
    if is_built(image) && !world.desired.builds.contains_key(image) {
        return world.observed.images.get(image) == Some(&ImageState::Missing);
    }
    let target = pull_target(&images::tagged(good.reference()));
    good.digest.is_some() && world.failure(&target).is_some_and(|failure| failure.fault == Fault::ImageMissing)
}

/// Records the revision, and pins it where the manifest asks for another one.
fn record(
    world: World,
    decided: &mut Decided,
    key: &Key,
    spec: &DeploymentSpec,
    history: &mut DeploymentHistory,
    good: &GoodRevision,
    (template_hash, contents, image): (TemplateHash, Contents, ImageId),
) {
    let id = revision_id(&template_hash, &image);
    history.revisions.push(Revision {
        number: good.revision,
        id: id.clone(),
        template_hash: template_hash.clone(),
        template: good.template.clone(),
        taken_over: false,
        contents,
        restarts: history.restarts,
        image,
        digest: good.digest.clone(),
        commit: good.commit.clone(),
        created_at: world.now,
        outcome: Outcome::Pending,
        failure: None,
        gates: BTreeMap::new(),
        // What last completed of each member is the best that is known of what its release group was at rest with.
        rested_at: spec.release_group.as_ref().map(|_| world.now),
    });
    history.choice = led_on(world, key, history, good, &template_hash);
    let pin = pinned(world, key, spec, history, &template_hash).filter(|_| history.choice.is_none());
    let message = words(key, good, pin.is_some());
    history.pin =
        pin.map(|template| Pin { revision: id, template, lapses: false, restored: !good.chosen, failed: None });
    decided.tell(world, key, Severity::Warning, "LastGoodRestored", message);
}

/// Where the manifest follows the image and has changed in nothing else: what its policy had chosen, and goes on from.
fn led_on(
    world: World,
    key: &Key,
    history: &DeploymentHistory,
    good: &GoodRevision,
    hash: &TemplateHash,
) -> Option<Choice> {
    let written = follow::written_with(world, key, &good.template.image)?;
    let contents = build::contents(world, key, &written);
    let is_same = template_hash(&written, &contents, history.restarts) == *hash;
    follow::choice_of(world, key, &good.template.image).filter(|_| is_same)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use std::sync::Arc;

    use super::*;
    use crate::model::action::Call;
    use crate::model::build::ImageBuild;
    use crate::model::observed::{Failure, Image};

    const GOOD: &str = "web@sha256:1";
    const NOW: Timestamp = Timestamp(1_000_000);

    fn key() -> Key {
        Key::new(Kind::Deployment, Name::new("shop").unwrap(), Name::new("web").unwrap())
    }

    /// A Deployment of which revision 4 with this template completed, and whose manifest asks for `web:2` by now.
    fn desired(good: Value) -> Desired {
        let mut desired = Desired::default();
        let spec = json!({"template": {"image": "web:2", "hostNetwork": true}});
        desired.deployments.insert(key(), Declared::bare(serde_json::from_value(spec).unwrap()));
        let good = json!({"revision": 4, "completedAt": "yesterday", "digest": GOOD, "template": good});
        desired.last_good.insert(key(), serde_json::from_value(good).unwrap());
        desired
    }

    fn good() -> Value {
        json!({"image": "web:1", "hostNetwork": true})
    }

    /// An engine that has no image.
    fn nothing() -> Observed {
        let images = ["web:1", "web:2", GOOD].map(|image| (image.to_string(), ImageState::Missing));
        Observed { images: images.into(), ..Observed::default() }
    }

    fn pulled(desired: &Desired, observed: &Observed) -> Vec<String> {
        let plan = crate::plan::plan(desired, observed, &History::default(), NOW);
        let images = plan.actions.into_iter().filter_map(|action| match action.call {
            Call::Pull { image, .. } => Some(image),
            _ => None,
        });
        images.collect()
    }

    #[test]
    fn what_last_completed_is_pulled_by_its_digest_and_the_manifests_image_waits() {
        let desired = desired(good());
        assert_eq!(pulled(&desired, &nothing()), [GOOD]);
        assert!(super::super::images_of_interest(&desired, &History::default()).contains(GOOD));
    }

    #[test]
    fn an_image_without_a_digest_is_taken_by_its_tag() {
        let mut desired = desired(good());
        desired.last_good.get_mut(&key()).unwrap().digest = None;
        assert_eq!(pulled(&desired, &nothing()), ["web:1"]);
    }

    #[test]
    fn where_it_cannot_be_the_manifests_revision_is_started() {
        for field in [
            json!({"envFrom": [{"secret": "gone"}]}),
            json!({"mounts": [{"path": "/x", "volume": "gone"}]}),
            json!({"hostNetwork": false, "networks": ["gone"]}),
            json!({"hostNetwork": false}),
            json!({"dependsOn": [{"deployment": "gone"}]}),
        ] {
            let mut template = good();
            template.as_object_mut().unwrap().extend(field.as_object().unwrap().clone());
            assert_eq!(pulled(&desired(template), &nothing()), ["web:2"], "{field}");
        }
    }

    #[test]
    fn nothing_comes_back_of_what_is_suspended() {
        let mut desired = desired(good());
        desired.deployments.get_mut(&key()).unwrap().spec.suspend = true;
        assert_eq!(pulled(&desired, &nothing()), Vec::<String>::new());
    }

    #[test]
    fn what_was_built_here_comes_back_while_it_is_here_or_can_be_built() {
        const BUILT: &str = "evenkeel.local/shop:0123456789abcdef";
        let found = Image {
            id: ImageId("sha256:abc".into()),
            tags: vec![BUILT.into()],
            digests: vec![],
            has_health_check: false,
            volumes: [].into(),
            platform: Default::default(),
            is_ours: true,
        };
        let build = ImageBuild {
            image: BUILT.into(),
            context: "/app".into(),
            source: "/manifests".into(),
            checkout: None,
            dockerfile: "Dockerfile".into(),
            args: BTreeMap::new(),
            target: None,
            platform: None,
            content: "0".into(),
        };
        for (is_here, can_be_built, comes_back) in
            [(true, false, true), (false, true, true), (true, true, true), (false, false, false)]
        {
            let mut desired = desired(json!({"image": BUILT, "hostNetwork": true}));
            desired.last_good.get_mut(&key()).unwrap().digest = None;
            if can_be_built {
                desired.builds.insert(BUILT.into(), build.clone());
            }
            let mut observed = nothing();
            let state = if is_here { ImageState::Present(found.clone()) } else { ImageState::Missing };
            observed.images.insert(BUILT.into(), state);
            let plan = crate::plan::plan(&desired, &observed, &History::default(), NOW);
            let is_back = plan.history.deployments[&key()].revisions.iter().any(|revision| revision.number == 4);
            let is_built = plan.actions.iter().any(|action| matches!(action.call, Call::Build { .. }));
            assert_eq!(is_back || is_built, comes_back, "here: {is_here}, can be built: {can_be_built}");
            assert!(!is_built || !is_here);
        }
    }

    #[test]
    fn a_digest_that_the_registry_has_lost_is_not_waited_for_and_other_trouble_is() {
        for (fault, pull) in [(Fault::ImageMissing, "web:2"), (Fault::Unauthorized, GOOD), (Fault::Unavailable, GOOD)] {
            let failure = Failure {
                count: 1,
                at: Timestamp(0),
                fault,
                message: String::new(),
                ending: false,
                cut: None,
                output: vec![],
            };
            let observed = Observed { failures: [(pull_target(GOOD), failure)].into(), ..nothing() };
            assert_eq!(pulled(&desired(good()), &observed), [pull], "{fault:?}");
        }
    }

    #[test]
    fn it_keeps_its_number_and_is_pinned_only_where_the_manifest_asks_for_something_else() {
        let id = ImageId("sha256:abc".into());
        let found = Image {
            id,
            tags: vec![],
            digests: vec![GOOD.into()],
            has_health_check: false,
            volumes: [].into(),
            platform: Default::default(),
            is_ours: false,
        };
        for (asked, pinned) in [("web:2", true), ("web:1", false)] {
            let mut desired = desired(good());
            Arc::make_mut(&mut desired.deployments.get_mut(&key()).unwrap().spec.template).image = asked.into();
            let mut observed = nothing();
            observed.images.insert(GOOD.into(), ImageState::Present(found.clone()));
            let plan = crate::plan::plan(&desired, &observed, &History::default(), NOW);
            let history = &plan.history.deployments[&key()];
            assert_eq!((history.revisions[0].number, history.pin.is_some()), (4, pinned), "{asked}");
            assert_eq!(history.revisions[0].image.0, "sha256:abc");
            let again = crate::plan::plan(&desired, &observed, &plan.history, NOW);
            assert!(!again.events.iter().any(|event| event.reason == "LastGoodRestored"), "told once");
        }
    }
}
