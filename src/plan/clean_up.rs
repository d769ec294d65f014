//! Images that nothing needs any more: those that Evenkeel itself has brought are removed, after a while. An image that was
//! there before, that any container uses, that a manifest asks for, or that a kept revision may need, stays.
//!
//! What was pulled and what was built here is told alike (`Observed::arrivals`), and cleaned up by the same rules.

use std::collections::BTreeSet;

use super::images;
use super::world::{Decided, World};
use crate::model::action::Call;
use crate::model::build::is_built;
use crate::model::cron::CronJobHistory;
use crate::model::history::History;
use crate::model::image::{Arrival, Brought, BroughtImage, Steps};
use crate::model::observed::{Image, ImageState};
use crate::model::registry;
use crate::model::revision::ImageId;

/// Decides about all images that were brought. `history` is what is remembered after this pass.
pub fn clean_up(world: World, brought: &Brought, history: &History) -> (Brought, Decided) {
    let (mut after, mut decided) = (brought.clone(), Decided::default());
    let settings = world.desired.settings.images;
    if !settings.is_on {
        return (after, decided);
    }
    world.observed.arrivals.iter().for_each(|arrival| note(&mut after, arrival));
    built(world).for_each(|arrival| note(&mut after, &arrival));
    // What a source would say that cannot be read, or what a reference leads to, nobody knows.
    let Some(needed) = needed(world, history).filter(|_| world.desired.unknown_sources.is_empty()) else {
        return (after, decided);
    };
    let cached = cached(world, &after, &needed);
    after.retain(|id, image| {
        if needed.contains(id) {
            image.unused_since = None;
            return true;
        }
        let due = *image.unused_since.get_or_insert(world.now) + settings.grace;
        match world.observed.images.get(&id.0) {
            // Somebody was faster, or it was removed here; then what its build has left is to go too.
            Some(ImageState::Missing) if image.steps.is_empty() || world.observed.departed.contains(id) => {
                return false;
            }
            Some(ImageState::Missing) => remove(world, &mut decided, id, image, &cached),
            // Under another name it is somebody's.
            Some(ImageState::Present(found)) if has_another_name(found, image) => {}
            Some(ImageState::Present(_)) if due <= world.now => remove(world, &mut decided, id, image, &cached),
            Some(ImageState::Present(_)) => decided.wake(due),
            // From now on it is looked at.
            None => decided.wake(due.max(world.now)),
        }
        true
    });
    (after, decided)
}

/// The steps of images that stay: the builder has them in its cache for the next build.
fn cached(world: World, brought: &Brought, needed: &BTreeSet<ImageId>) -> BTreeSet<ImageId> {
    let grace = world.desired.settings.images.grace;
    let is_due = |image: &BroughtImage| image.unused_since.is_some_and(|since| since + grace <= world.now);
    let staying = brought.iter().filter(|(id, image)| needed.contains(*id) || !is_due(image));
    staying.flat_map(|(_, image)| image.steps.clone()).collect()
}

/// Images that are asked for and whose labels say that they were built here, also where nobody saw their build end: the call or
/// the process was cut off, or the memory of it was lost. What they were built on is nobody's then.
fn built<'w>(world: World<'w>) -> impl Iterator<Item = Arrival> + 'w {
    world.desired.templates().filter(|(_, template)| is_built(&template.image)).filter_map(move |(key, template)| {
        let ImageState::Present(found) = world.observed.images.get(&template.image)? else { return None };
        let (id, reference, object) = (found.id.clone(), template.image.clone(), key.clone());
        found.is_ours.then(|| Arrival { id, reference, object, at: world.now, steps: Steps::default() })
    })
}

/// Notes an image that has come. Of what its build has found there, those are ours that an earlier build of ours has left.
fn note(brought: &mut Brought, arrival: &Arrival) {
    let is_ours = |step: &&ImageId| brought.values().any(|image| image.steps.contains(step));
    let reused: Vec<ImageId> = arrival.steps.reused.iter().filter(is_ours).cloned().collect();
    let known = brought.entry(arrival.id.clone()).or_insert_with(|| BroughtImage {
        references: BTreeSet::new(),
        object: arrival.object.clone(),
        at: arrival.at,
        steps: BTreeSet::new(),
        unused_since: None,
    });
    known.references.insert(arrival.reference.clone());
    known.steps.extend(arrival.steps.made.iter().cloned().chain(reused));
}

fn has_another_name(found: &Image, image: &BroughtImage) -> bool {
    found.tags.iter().any(|tag| !image.references.iter().any(|reference| names(reference, tag)))
}

fn remove(world: World, decided: &mut Decided, id: &ImageId, image: &BroughtImage, cached: &BTreeSet<ImageId>) {
    let steps = image.steps.difference(cached).cloned().collect();
    let references = image.references.clone();
    let call = Call::RemoveImage { id: id.clone(), references, steps };
    let grace = world.desired.settings.images.grace;
    decided.act(world, &image.object, call, format!("nothing has needed it for {grace}"));
}

/// Whether what an image was brought as is this tag of it.
fn names(reference: &str, tag: &str) -> bool {
    // What was brought by its digest was given no tag.
    if reference.contains('@') {
        return false;
    }
    let (repository, version) = registry::parts(reference);
    let familiar = registry::familiar(repository);
    format!("{familiar}:{}", version.unwrap_or("latest")) == tag
}

/// Every image that something needs; none if that cannot be told now.
fn needed(world: World, history: &History) -> Option<BTreeSet<ImageId>> {
    let mut needed: BTreeSet<ImageId> = world.observed.foreign_images.clone();
    needed.extend(world.observed.containers.values().map(|container| container.image.clone()));
    let asked_for = world.desired.images();
    let returning = world.desired.last_good.values().map(|good| good.reference().to_owned());
    for reference in asked_for.into_iter().chain(returning.filter(|_| is_new(history))) {
        match world.observed.images.get(&images::tagged(&reference))? {
            ImageState::Present(image) => drop(needed.insert(image.id.clone())),
            ImageState::Missing => {}
        }
    }
    let revisions = history.deployments.values().flat_map(|known| &known.revisions).map(|revision| &revision.image);
    let resolved = history.deployments.values().filter_map(|known| known.resolution.as_ref()?.image.as_ref());
    let jobs = history.jobs.values().filter_map(|job| job.runs.last()).map(|run| &run.image);
    let cron_jobs = history.cron_jobs.values().flat_map(CronJobHistory::under_way).filter_map(|run| run.job.as_ref());
    needed.extend(revisions.chain(resolved).chain(jobs).chain(cron_jobs.map(|run| &run.image)).cloned());
    Some(needed)
}

/// Whether this is a machine that was rebuilt, whose last good revisions are still to come back.
fn is_new(history: &History) -> bool {
    history.deployments.values().all(|known| known.revisions.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::model::desired::{Declared, Desired};
    use crate::model::history::DeploymentHistory;
    use crate::model::image::CleanUp;
    use crate::model::name::{Key, Kind, Name};
    use crate::model::observed::Observed;
    use crate::model::time::{Span, Timestamp};
    use crate::plan::world::wards;

    const NOW: Timestamp = Timestamp(1_000_000_000);

    fn key() -> Key {
        Key::new(Kind::Deployment, Name::new("shop").unwrap(), Name::new("web").unwrap())
    }

    fn id(number: usize) -> ImageId {
        ImageId(format!("sha256:{number}"))
    }

    /// What is so about one of the images.
    #[derive(Debug, Clone, Copy)]
    struct Fate {
        is_brought: bool,
        is_kept_by_a_revision: bool,
        is_asked_for: bool,
        is_used_by_a_stranger: bool,
        has_another_name: bool,
        unused_for: Option<u64>,
    }

    fn fate() -> impl Strategy<Value = Fate> {
        let bools = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
        (bools, proptest::option::of(0_u64..100)).prop_map(|(bools, unused_for)| {
            let (is_brought, is_kept_by_a_revision, is_asked_for, is_used_by_a_stranger, has_another_name) = bools;
            Fate {
                is_brought,
                is_kept_by_a_revision,
                is_asked_for,
                is_used_by_a_stranger,
                has_another_name,
                unused_for,
            }
        })
    }

    /// Everything that is removed of images with these fates.
    fn removed(fates: &[Fate], settings: CleanUp, change: impl Fn(&mut Desired, &mut Observed)) -> Vec<usize> {
        let (mut desired, mut observed, mut brought) = (Desired::default(), Observed::default(), Brought::new());
        let mut revisions = Vec::new();
        desired.settings.images = settings;
        for (number, fate) in fates.iter().enumerate() {
            let (id, name) = (id(number), format!("web:{number}"));
            let other = fate.has_another_name.then(|| format!("mine:{number}"));
            let tags = [Some(name.clone()), other].into_iter().flatten().collect();
            let found = Image {
                id: id.clone(),
                tags,
                digests: Vec::new(),
                has_health_check: false,
                volumes: BTreeSet::new(),
                platform: Default::default(),
                is_ours: false,
            };
            observed.images.insert(id.0.clone(), ImageState::Present(found.clone()));
            observed.images.insert(name.clone(), ImageState::Present(found));
            if fate.is_brought {
                let unused_since = fate.unused_for.map(|minutes| NOW - Span::secs(60 * minutes));
                let image = BroughtImage {
                    references: [name.clone()].into(),
                    object: key(),
                    at: NOW,
                    steps: BTreeSet::new(),
                    unused_since,
                };
                brought.insert(id.clone(), image);
            }
            if fate.is_kept_by_a_revision {
                revisions.push(json!({
                    "number": number, "id": format!("r{number}"), "templateHash": "t", "template": {"image": name},
                    "contents": {}, "image": id.0, "digest": null, "createdAt": 1, "outcome": "pending",
                }));
            }
            if fate.is_asked_for {
                let spec = json!({"template": {"image": name, "hostNetwork": true}});
                let web = key().sibling(Kind::Deployment, &Name::new(format!("web{number}")).unwrap());
                desired.deployments.insert(web, Declared::bare(serde_json::from_value(spec).unwrap()));
            }
            if fate.is_used_by_a_stranger {
                observed.foreign_images.insert(id);
            }
        }
        change(&mut desired, &mut observed);
        let known: DeploymentHistory = serde_json::from_value(json!({"revisions": revisions})).unwrap();
        let history = History { deployments: [(key(), known)].into(), ..History::default() };
        let (_, decided) = cleaned(&desired, &observed, &brought, &history);
        let ids = decided.actions.iter().map(|action| match &action.call {
            Call::RemoveImage { id, .. } => id.clone(),
            other => panic!("{other}"),
        });
        let numbers = ids.map(|id| id.0.trim_start_matches("sha256:").parse().unwrap());
        numbers.collect()
    }

    fn cleaned(desired: &Desired, observed: &Observed, brought: &Brought, history: &History) -> (Brought, Decided) {
        let (by_owner, holdings, promised, follows) =
            (BTreeMap::new(), Default::default(), Default::default(), BTreeMap::new());
        let (by_owner, wards, holdings, promised, follows) =
            (&by_owner, &wards(desired), &holdings, &promised, &follows);
        let world =
            World { desired, observed, now: NOW, by_owner, wards, holdings, promised, follows, gone: &BTreeMap::new() };
        clean_up(world, brought, history)
    }

    const AN_HOUR: CleanUp = CleanUp { is_on: true, grace: Span::secs(3600) };

    proptest! {
        #[test]
        fn what_is_removed_was_brought_and_is_needed_by_nobody(fates in proptest::collection::vec(fate(), 0..12)) {
            let expected = fates.iter().enumerate().filter(|(_, fate)| {
                let needed = fate.is_kept_by_a_revision || fate.is_asked_for || fate.is_used_by_a_stranger;
                let is_due = fate.unused_for.is_some_and(|minutes| minutes >= 60);
                fate.is_brought && !needed && !fate.has_another_name && is_due
            });
            let expected: BTreeSet<usize> = expected.map(|(number, _)| number).collect();
            let found: BTreeSet<usize> = removed(&fates, AN_HOUR, |_, _| ()).into_iter().collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn where_something_is_not_known_nothing_is_removed(fates in proptest::collection::vec(fate(), 0..12)) {
            let off = CleanUp { is_on: false, ..AN_HOUR };
            prop_assert!(removed(&fates, off, |_, _| ()).is_empty());
            let unread = |desired: &mut Desired, _: &mut Observed| desired.unknown_sources.push("it is gone".into());
            prop_assert!(removed(&fates, AN_HOUR, unread).is_empty());
            let unseen = |desired: &mut Desired, _: &mut Observed| {
                let spec = json!({"template": {"image": "not-looked-up", "hostNetwork": true}});
                desired.deployments.insert(key(), Declared::bare(serde_json::from_value(spec).unwrap()));
            };
            prop_assert!(removed(&fates, AN_HOUR, unseen).is_empty());
        }
    }

    #[test]
    fn a_plan_shows_what_is_due_now_and_nothing_of_tomorrow() {
        let steps = |unused_for: u64| {
            let (mut desired, mut observed) = (Desired::default(), Observed::default());
            desired.settings.images = AN_HOUR;
            let (tags, volumes) = (vec!["web:1".to_string()], BTreeSet::new());
            let found = Image {
                id: id(1),
                tags,
                digests: Vec::new(),
                has_health_check: false,
                volumes,
                platform: Default::default(),
                is_ours: false,
            };
            observed.images.insert(id(1).0, ImageState::Present(found));
            let unused_since = Some(NOW - Span::secs(60 * unused_for));
            let image = BroughtImage {
                references: ["web:1".into()].into(),
                object: key(),
                at: NOW,
                steps: BTreeSet::new(),
                unused_since,
            };
            let history = History { images: [(id(1), image)].into(), ..History::default() };
            let first = crate::plan::plan(&desired, &observed, &history, NOW);
            crate::plan::forecast(&desired, &observed, &history, NOW, &first).steps.len()
        };
        assert_eq!((steps(59), steps(60)), (0, 1));
    }

    #[test]
    fn what_is_asked_for_and_has_our_labels_is_noted_although_nobody_saw_its_build_end() {
        let name = "evenkeel.local/shop:1";
        for is_ours in [true, false] {
            let (mut desired, mut observed) = (Desired::default(), Observed::default());
            let spec = json!({"template": {"image": name, "hostNetwork": true}});
            desired.deployments.insert(key(), Declared::bare(serde_json::from_value(spec).unwrap()));
            let (tags, volumes) = (vec![name.to_string()], BTreeSet::new());
            let digests = Vec::new();
            let platform = Default::default();
            let found = Image { id: id(1), tags, digests, has_health_check: false, volumes, platform, is_ours };
            observed.images.insert(name.into(), ImageState::Present(found));
            let (brought, _) = cleaned(&desired, &observed, &Brought::new(), &History::default());
            assert_eq!(brought.get(&id(1)).map(|image| image.references.contains(name)), is_ours.then_some(true));
        }
    }

    #[test]
    fn the_steps_of_a_build_go_with_the_last_image_that_was_built_on_them_and_nobody_elses_do() {
        let (mut desired, mut observed, mut brought) = (Desired::default(), Observed::default(), Brought::new());
        desired.settings.images = AN_HOUR;
        // The second build has found 10 of the first one's and 11 of somebody's in the cache.
        for (number, made, reused) in [(1, vec![10], vec![]), (2, vec![20], vec![10, 11])] {
            let steps =
                Steps { made: made.into_iter().map(id).collect(), reused: reused.into_iter().map(id).collect() };
            let reference = format!("evenkeel.local/shop:{number}");
            observed.arrivals.push(Arrival { id: id(number), reference, object: key(), at: NOW, steps });
            observed.images.insert(id(number).0, ImageState::Missing);
        }
        let going = |brought: &Brought, observed: &Observed| {
            let (_, decided) = cleaned(&desired, observed, brought, &History::default());
            let steps = |call: &Call| match call {
                Call::RemoveImage { steps, .. } => steps.iter().map(ToString::to_string).collect::<Vec<_>>(),
                other => panic!("{other}"),
            };
            decided.actions.iter().map(|action| steps(&action.call)).collect::<Vec<_>>()
        };
        (brought, _) = cleaned(&desired, &observed, &brought, &History::default());
        observed.arrivals.clear();
        let since = |minutes: u64| Some(NOW - Span::secs(60 * minutes));
        brought.get_mut(&id(1)).unwrap().unused_since = since(61);
        assert_eq!(going(&brought, &observed)[0], Vec::<String>::new(), "the second one still has it");
        brought.get_mut(&id(2)).unwrap().unused_since = since(61);
        assert_eq!(going(&brought, &observed)[1], ["sha256:10", "sha256:20"]);
        observed.departed = [id(1), id(2)].into();
        assert!(going(&brought, &observed).is_empty());
    }

    #[test]
    fn what_last_completed_keeps_its_image_on_a_machine_that_was_rebuilt_until_it_has_come_back() {
        let mut desired = Desired::default();
        desired.settings.images = AN_HOUR;
        let good = json!({"revision": 4, "completedAt": "yesterday", "digest": null, "template": {"image": "web:1"}});
        desired.last_good.insert(key(), serde_json::from_value(good).unwrap());
        let found = Image {
            id: id(1),
            tags: vec!["web:1".into()],
            digests: Vec::new(),
            has_health_check: false,
            volumes: BTreeSet::new(),
            platform: Default::default(),
            is_ours: false,
        };
        let images = [id(1).0, "web:1".into()].map(|name| (name, ImageState::Present(found.clone())));
        let observed = Observed { images: images.into(), ..Observed::default() };
        let image = BroughtImage {
            references: ["web:1".into()].into(),
            object: key(),
            at: NOW,
            steps: BTreeSet::new(),
            unused_since: Some(NOW - Span::secs(3600)),
        };
        let brought: Brought = [(id(1), image)].into();
        let removals = |known: serde_json::Value| {
            let known: DeploymentHistory = serde_json::from_value(json!({"revisions": known})).unwrap();
            let history = History { deployments: [(key(), known)].into(), ..History::default() };
            cleaned(&desired, &observed, &brought, &history).1.actions.len()
        };
        let another = json!([{
            "number": 5, "id": "r5", "templateHash": "t", "template": {"image": "web:2"}, "contents": {}, "image": "sha256:2",
            "digest": null, "createdAt": 1, "outcome": "pending",
        }]);
        assert_eq!((removals(json!([])), removals(another)), (0, 1));
    }

    #[test]
    fn a_tag_is_ours_however_its_repository_was_written() {
        for (reference, tag, expected) in [
            ("web:1", "web:1", true),
            ("docker.io/library/web:1", "web:1", true),
            ("web", "web:latest", true),
            ("web:1", "web:2", false),
            ("web:1@sha256:aa", "web:1", false),
        ] {
            assert_eq!(names(reference, tag), expected, "{reference} {tag}");
        }
    }
}
