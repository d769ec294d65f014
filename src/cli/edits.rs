//! Edits of manifests by commands: the sources that are meant, the wait until nobody else edits them, what is said of an edit,
//! and how far it is rolled out. Which value changes, `manifest::edit` knows.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::time::Duration;

use serde_json::json;

use super::apply::Synced;
use super::args::SetupArgs;
use super::client::Client;
use super::failure::{Exit, Failure};
use super::follow::{self, Progress, Report};
use super::settings::Settings;
use crate::manifest::Source;
use crate::manifest::edit::Edit;
use crate::manifest::write::{self, Turn, WriteError};
use crate::model::command::Answer;
use crate::model::name::{Key, Kind};
use crate::model::text::printable;
use crate::model::view::{Detail, View};
use crate::server::wire::{ImageSetBody, Snapshot};

/// How often a directory that another command is editing is tried again.
const ATTEMPTS: u32 = 100;

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// The kinds that have an image.
pub const KINDS: [Kind; 3] = Kind::WORKLOADS;

/// The sources of the arguments; those of the daemon when none is named.
pub async fn sources(setup: &SetupArgs, client: &Client) -> Result<Vec<Source>, Failure> {
    let settings = Settings::read(setup)?;
    if !settings.setup.sources.is_empty() {
        return Ok(settings.setup.sources);
    }
    let seen = seen(client).await?;
    Ok(watched_by(&seen.view).collect())
}

/// The sources that a daemon watches.
pub fn watched_by(view: &View) -> impl Iterator<Item = Source> {
    view.sources.iter().map(|state| Source {
        dir: state.dir.clone().into(),
        namespace: state.namespace.clone(),
        variables: state.variables.clone(),
    })
}

/// What the daemon shows, which is asked because nothing is named.
pub async fn seen(client: &Client) -> Result<Snapshot, Failure> {
    client.get("/v1/view").await.map_err(|failure| {
        Failure::new(format!("no directory of manifests is named, and {}", failure.message))
            .hint("write --source DIR, or --config FILE with `sources`, or start the daemon")
    })
}

/// Has the daemon note in its release log who did it. Without a daemon there is none, and whoever commits it is told.
pub async fn note(client: &Client, edit: &Edit) {
    if edit.is_change() {
        let change = format!("image {} -> {}", edit.before, edit.after);
        let body = ImageSetBody { key: edit.object.clone(), change, image: Some(edit.after.clone()) };
        let noted: Result<Answer, Failure> = client.post("/v1/image-set", &body).await;
        // It is done either way.
        drop(noted);
    }
}

/// Waits until no other command edits these sources.
pub async fn turn(sources: &[Source]) -> Result<Turn, Failure> {
    for _ in 0..ATTEMPTS {
        match write::turn(sources.iter().map(|source| source.dir.as_path())) {
            Some(turn) => return Ok(turn),
            None => tokio::time::sleep(PAUSE).await,
        }
    }
    Err(Failure::held("another command is editing these manifests"))
}

/// One object is declared once.
pub fn declared_twice<'s>(key: &Key, sources: impl Iterator<Item = &'s Source>) -> Failure {
    let dirs: Vec<String> = sources.map(|source| source.dir.display().to_string()).collect();
    Failure::new(format!("{key} is declared in several sources: {}", dirs.join(", ")))
        .hint("remove it from all but one, or give each source a namespace of its own")
}

/// Why a file was not written, and the way out.
pub fn unwritten(error: WriteError) -> Failure {
    let hint = match &error {
        WriteError::Changed(_) => "nothing was written; try again",
        WriteError::NotIts { .. } => {
            "nothing was written; edit the file itself, or make it a regular file of the source"
        }
        WriteError::Disk { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
            "run it as the owner of the file, who may write in its folder"
        }
        WriteError::Disk { .. } => "try again when the disk is well",
    };
    Failure::new(error.to_string()).hint(hint)
}

/// Says what was changed.
pub fn say(edit: &Edit, report: &Report<'_>) -> Result<(), Failure> {
    let Edit { object, before, after, spot, variable, also, .. } = edit;
    let place = printable(&spot.brief());
    report.say(&match (edit.is_change(), variable) {
        (false, _) => format!("{object}: image {after} unchanged ({place})"),
        (true, None) => format!("{object}: image {before} -> {after} ({place})"),
        (true, Some(one)) => {
            format!("{object}: image {before} -> {after}, by {} {} -> {} ({place})", one.name, one.before, one.after)
        }
    })?;
    for other in also {
        report.say(&match variable {
            Some(one) => format!("{other} changes too: its manifest uses {}", one.name),
            None => format!("{other} changes too: it has the same manifest"),
        })?;
    }
    Ok(())
}

/// The same for machines.
pub fn told(edit: &Edit) -> serde_json::Map<String, serde_json::Value> {
    let mut told = json!({
        "object": edit.object,
        "changed": edit.is_change(),
        "before": edit.before,
        "image": edit.after,
        "file": edit.spot.file,
        "line": edit.spot.line,
        "also": edit.also,
    });
    if let Some(one) = &edit.variable {
        told["variable"] = json!({"name": one.name, "before": one.before, "after": one.after});
    }
    match told {
        serde_json::Value::Object(fields) => fields,
        _ => unreachable!("it was written as an object"),
    }
}

/// How far what was changed is rolled out.
pub fn judge(edits: &[&Edit], synced: &Synced, view: &View) -> Result<Progress, Failure> {
    if !synced.is_seen(view) {
        return Ok(follow::unless_blind(view, Progress::default()));
    }
    let rolled_out = |key: &&Key| KINDS.contains(&key.kind);
    let also = edits.iter().flat_map(|edit| &edit.also).filter(rolled_out);
    let waited: BTreeSet<&Key> = also.chain(edits.iter().map(|edit| &edit.object)).collect();
    if let Some(key) = waited.iter().find(|key| !view.objects.contains_key(**key)) {
        let sentences = [(key.to_string(), format!("{key} is not seen yet"))].into();
        return Ok(Progress { sentences, ..Progress::default() });
    }
    for edit in edits {
        is_still_asked_for(edit, view)?;
    }
    let objects = view.objects.iter().filter(|(key, _)| waited.contains(key));
    let mut progress = follow::progress(objects);
    if progress.exit == Some(Exit::Done) {
        let chosen = |edit: &&Edit| Some((edit.object.to_string(), chosen_against(edit, view)?));
        let chosen: Vec<_> = edits.iter().filter_map(chosen).collect();
        progress.exit = Some(if chosen.is_empty() { Exit::Done } else { Exit::Stalled });
        progress.sentences.extend(chosen);
    }
    Ok(follow::unless_blind(view, progress))
}

/// What runs by somebody's choice in place of the image that was asked for: that is at rest, and not what was asked for.
fn chosen_against(edit: &Edit, view: &View) -> Option<String> {
    let object = &view.objects[&edit.object];
    let runs = object.status.revision.as_ref().filter(|revision| revision.image != edit.after)?;
    let Detail::Deployment { pinned: true, revisions, .. } = &object.detail else { return None };
    let asked = revisions.iter().rev().find(|revision| revision.image == edit.after);
    let to = asked.map(|revision| format!(" --to {}", revision.number)).unwrap_or_default();
    let (key, number, image) = (&edit.object, runs.number, &runs.image);
    Some(format!(
        "{key} stays at revision {number} ({image}), which was chosen: `evenkeel rollout undo {key}{to}` takes it to {}",
        edit.after
    ))
}

/// To call it done would be to speak of something else.
fn is_still_asked_for(edit: &Edit, view: &View) -> Result<(), Failure> {
    let declared = view.objects[&edit.object].declared.value();
    match declared["template"]["image"].as_str() {
        Some(image) if image == edit.after => Ok(()),
        Some(image) => Err(Failure::new(format!("{} asks for {image} by now: somebody has changed it", edit.object))),
        None => Err(Failure::new(format!("{} is not declared any more", edit.object))),
    }
}
