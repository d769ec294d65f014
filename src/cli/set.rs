//! `evenkeel set image`: another image in the manifest of an object, and the wait until that has come about.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use super::apply::{self, Synced};
use super::args::{Machine, Reach, SetupArgs, parse_name, parse_span};
use super::client::Client;
use super::failure::{Exit, Failure};
use super::follow::{self, Progress, Report};
use super::object::Wanted;
use super::screen::{Screen, lines};
use super::settings::Settings;
use super::validate;
use crate::manifest::edit::{self, Edit, Opened, Refusal, Wish};
use crate::manifest::write::{self, Turn, WriteError};
use crate::manifest::{Diagnostic, Source, snapshot};
use crate::model::command::Answer;
use crate::model::name::{Key, Kind, Name};
use crate::model::text::printable;
use crate::model::time::Span;
use crate::model::view::View;
use crate::server::wire::{ImageSetBody, Snapshot};

/// How often a directory that another command is editing is tried again.
const ATTEMPTS: u32 = 100;

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// The kinds that have an image.
const KINDS: [Kind; 3] = Kind::WORKLOADS;

/// Change a value in a manifest.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evenkeel set image deployment/web registry.example/shop/web:sha-1a2b --wait
  evenkeel set image deployment/web :sha-1a2b -n staging       the same repository, another tag")]
pub struct Set {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Image(Image),
}

impl Set {
    /// Edits, and with `--wait` waits.
    pub async fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        match &self.what {
            What::Image(image) => image.run(screen).await,
        }
    }
}

/// Change the image in an object's manifest, and nothing else in it.
///
/// The file keeps its comments and layout, and is written only if the result is valid. Where the image has a variable, such
/// as web:${TAG}, the variable's value in the Namespace is changed. Exits 0 when it is written or there already, 1 when it
/// cannot be, 5 when the manifests are invalid or would be; with --wait 0 when it is rolled out, 2 when it was rolled back,
/// 3 when it is stalled, 4 when it is not over in time.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evenkeel set image deployment/web registry.example/shop/web:sha-1a2b --wait --timeout 5m
  evenkeel set image deployment/web :sha-1a2b -n staging       the same repository, another tag
  evenkeel set image job/migrate @sha256:…                     the same repository, a digest
  evenkeel set image web web:2 --source manifests              without a daemon")]
struct Image {
    /// KIND/NAME or the NAME of a Deployment, Job or CronJob.
    #[arg(value_name = "KIND/NAME")]
    what: String,
    /// The image; :TAG or @DIGEST alone means the present repository.
    image: String,
    /// The namespace of the object [default: all].
    #[arg(long, short = 'n', value_name = "NAMESPACE", value_parser = parse_name)]
    namespace: Option<Name>,
    /// Replace the text of the image as it is, variables in it included.
    #[arg(long)]
    literal: bool,
    /// Wait until it is rolled out.
    #[arg(long, short)]
    wait: bool,
    /// How long to wait.
    #[arg(long, value_name = "SPAN", value_parser = parse_span, default_value = "10m")]
    timeout: Span,
    /// The result for machines, at the end; what happens on the way goes to standard error.
    #[arg(long, short)]
    output: Option<Machine>,
    #[command(flatten)]
    setup: SetupArgs,
    #[command(flatten)]
    reach: Reach,
}

impl Image {
    async fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        let wish = Wish::parse(&self.image).map_err(|why| self.no_image(&why))?;
        let words = [self.what.clone()];
        let wanted = Wanted::parse(&words, self.namespace.as_ref())?;
        let client = Client::new(&self.reach.socket);
        let sources = self.sources(&client).await?;
        let turn = turn(&sources).await?;
        let edit = self.edit(&sources, &wanted, &wish, screen).await?;
        let shared: Vec<Source> = edit.sources.iter().map(|index| sources[*index].clone()).collect();
        if self.wait {
            // Whoever cannot wait to the end does not begin.
            let seen: Snapshot = client.get("/v1/view").await?;
            apply::chosen(&shared, seen.view.sources)?;
        }
        edit.write().map_err(unwritten)?;
        drop(turn);
        note(&client, &edit).await;
        let mut report = Report::new(screen, self.output);
        tell(&edit, &mut report)?;
        let exit = match self.wait {
            true => self.follow(&client, &shared, &edit, &mut report, screen).await?,
            false => Exit::Done,
        };
        report.conclude(exit)
    }

    /// The sources of the arguments; those of the daemon when none is named.
    async fn sources(&self, client: &Client) -> Result<Vec<Source>, Failure> {
        let settings = Settings::read(&self.setup)?;
        if !settings.setup.sources.is_empty() {
            return Ok(settings.setup.sources);
        }
        let seen: Snapshot = client.get("/v1/view").await.map_err(|failure| {
            Failure::new(format!("no directory of manifests is named, and {}", failure.message))
                .hint("write --source DIR, or --config FILE with `sources`, or start the daemon")
        })?;
        let sources = seen.view.sources.into_iter().map(|state| Source {
            dir: state.dir.into(),
            namespace: state.namespace,
            variables: state.variables,
        });
        Ok(sources.collect())
    }

    /// The edit, checked and not written.
    async fn edit(&self, sources: &[Source], wanted: &Wanted, wish: &Wish, screen: &Screen) -> Result<Edit, Failure> {
        let (mut opened, mut found, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        for source in sources {
            let read = validate::read(source).await?;
            let snapshot = read.unwrap_or_else(|mistakes| {
                problems.extend(mistakes);
                snapshot::Snapshot::default()
            });
            let source = Opened { source: source.clone(), snapshot };
            let (keys, mistakes) = edit::candidates(&source);
            found.extend(keys.into_iter().map(|key| (key, opened.len())));
            problems.extend(mistakes);
            opened.push(source);
        }
        let keys: BTreeSet<&Key> = found.iter().map(|(key, _)| key).collect();
        let key = match wanted.among(keys.into_iter(), &KINDS) {
            // It may be in what could not be read.
            Err(_) if !problems.is_empty() => return Err(self.invalid(&problems, screen)?),
            other => other?,
        };
        let of: Vec<usize> = found.iter().filter(|(other, _)| other == key).map(|(_, index)| *index).collect();
        let [of] = of[..] else { return Err(declared_twice(key, of.iter().map(|index| &sources[*index]))) };
        match edit::image(&opened, of, key, wish, self.literal) {
            Ok(edit) => Ok(edit),
            Err(Refusal::Invalid(problems)) => Err(self.invalid(&problems, screen)?),
            Err(Refusal::Impossible(problem)) => {
                validate::print_problems(Exit::Error, &[&problem], self.output, screen)?;
                screen.note(&format!("{}\n", lines(&problem.to_string())));
                Err(Failure::new(format!("the image of {key} is as it was")))
            }
        }
    }

    /// Prints what is wrong, or would be.
    fn invalid(&self, problems: &[Diagnostic], screen: &Screen) -> Result<Failure, Failure> {
        validate::print_problems(Exit::Invalid, &problems, self.output, screen)?;
        Ok(validate::invalid(problems, screen).hint("nothing was changed"))
    }

    fn no_image(&self, why: &str) -> Failure {
        let failure = Failure::new(format!("'{}' is not an image: {why}", self.image));
        match self.image.split_once('=') {
            // As in kubectl, where a container has to be named.
            Some((_, image)) => failure.hint(format!("write the image alone: {image}")),
            None => failure.hint("write IMAGE:TAG, or :TAG or @DIGEST for the present repository"),
        }
    }

    /// Waits until the daemon has rolled the edit out.
    async fn follow(
        &self,
        client: &Client,
        sources: &[Source],
        edit: &Edit,
        report: &mut Report<'_>,
        screen: &Screen,
    ) -> Result<Exit, Failure> {
        let following = async {
            let synced = match apply::sync(client, sources, report).await? {
                Ok(synced) => synced,
                Err(source) => {
                    validate::print_problems(Exit::Invalid, &source.problems, self.output, screen)?;
                    return Err(apply::invalid(&source, screen));
                }
            };
            follow::views(client, report, |snapshot| judge(edit, &synced, &snapshot.view)).await
        };
        follow::within(Some(self.timeout), screen, following).await
    }
}

/// Has the daemon note in its release log who did it. Without a daemon there is none, and whoever commits it is told.
async fn note(client: &Client, edit: &Edit) {
    if edit.is_change() {
        let change = format!("image {} -> {}", edit.before, edit.after);
        let noted: Result<Answer, Failure> =
            client.post("/v1/image-set", &ImageSetBody { key: edit.object.clone(), change }).await;
        // It is done either way.
        drop(noted);
    }
}

/// Waits until no other command edits these sources.
async fn turn(sources: &[Source]) -> Result<Turn, Failure> {
    for _ in 0..ATTEMPTS {
        match write::turn(sources.iter().map(|source| source.dir.as_path())) {
            Some(turn) => return Ok(turn),
            None => tokio::time::sleep(PAUSE).await,
        }
    }
    Err(Failure::new("another command is editing these manifests").hint("try again when it is done"))
}

fn declared_twice<'s>(key: &Key, sources: impl Iterator<Item = &'s Source>) -> Failure {
    let dirs: Vec<String> = sources.map(|source| source.dir.display().to_string()).collect();
    Failure::new(format!("{key} is declared in several sources: {}", dirs.join(", ")))
        .hint("remove it from all but one, or give each source a namespace of its own")
}

fn unwritten(error: WriteError) -> Failure {
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

/// Says what was changed, and puts it into the result for machines.
fn tell(edit: &Edit, report: &mut Report<'_>) -> Result<(), Failure> {
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
    let mut told = json!({
        "object": object,
        "changed": edit.is_change(),
        "before": before,
        "image": after,
        "file": spot.file,
        "line": spot.line,
        "also": also,
    });
    if let Some(one) = variable {
        told["variable"] = json!({"name": one.name, "before": one.before, "after": one.after});
    }
    if let serde_json::Value::Object(fields) = told {
        report.result.extend(fields);
    }
    Ok(())
}

/// How far what was changed is rolled out.
fn judge(edit: &Edit, synced: &Synced, view: &View) -> Result<Progress, Failure> {
    if !synced.is_seen(view) {
        return Ok(follow::unless_blind(view, Progress::default()));
    }
    let rolled_out = |key: &&Key| KINDS.contains(&key.kind);
    let waited: BTreeSet<&Key> = edit.also.iter().filter(rolled_out).chain([&edit.object]).collect();
    if let Some(key) = waited.iter().find(|key| !view.objects.contains_key(**key)) {
        let sentences = [(key.to_string(), format!("{key} is not seen yet"))].into();
        return Ok(Progress { sentences, ..Progress::default() });
    }
    let declared = view.objects[&edit.object].declared.value();
    match declared["template"]["image"].as_str() {
        Some(image) if image == edit.after => {}
        // To call it done would be to speak of something else.
        Some(image) => {
            return Err(Failure::new(format!("{} asks for {image} by now: somebody has changed it", edit.object)));
        }
        None => return Err(Failure::new(format!("{} is not declared any more", edit.object))),
    }
    let objects = view.objects.iter().filter(|(key, _)| waited.contains(key));
    Ok(follow::unless_blind(view, follow::progress(objects)))
}
