//! `evenkeel set image`: another image in the manifest of an object, and the wait until that has come about.

use clap::{Args, Subcommand};

use super::apply;
use super::args::parse_name;
use super::client::Client;
use super::course::Course;
use super::edits;
use super::failure::{self, Exit, Failure};
use super::follow::Report;
use super::object::Wanted;
use super::opening;
use super::screen::{Screen, lines};
use super::validate;
use crate::manifest::Source;
use crate::manifest::edit::{self, Edit, Refusal, Wish};
use crate::model::name::Name;
use crate::server::wire::Snapshot;

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
            What::Image(image) => failure::told(image.run(screen).await, image.course.output, screen),
        }
    }
}

/// Change the image in an object's manifest, and nothing else in it.
///
/// The file keeps its comments and layout, and is written only if the result is valid. Where the image has a variable, such
/// as web:${TAG}, the variable's value in the Namespace is changed. Exits 0 when it is written or there already, 1 when it
/// cannot be, 5 when the manifests are invalid or would be, 6 while git or another command is changing them; with --wait 0 when it is rolled out, 2 when it was rolled back,
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
    #[command(flatten)]
    course: Course,
}

impl Image {
    async fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        let wish = Wish::parse(&self.image).map_err(|why| self.no_image(&why))?;
        let words = [self.what.clone()];
        let wanted = Wanted::parse(&words, self.namespace.as_ref())?;
        let client = Client::new(&self.course.reach.socket);
        let sources = edits::sources(&self.course.setup, &client).await?;
        let turn = edits::turn(&sources).await?;
        let edit = self.edit(&sources, &client, &wanted, &wish, screen).await?;
        let shared: Vec<Source> = edit.sources.iter().map(|index| sources[*index].clone()).collect();
        if self.course.wait {
            // Whoever cannot wait to the end does not begin.
            let seen: Snapshot = client.get("/v1/view").await?;
            apply::chosen(&shared, seen.view.sources)?;
        }
        edit.write().map_err(edits::unwritten)?;
        drop(turn);
        edits::note(&client, &edit).await;
        let mut report = Report::new(screen, self.course.output);
        edits::say(&edit, &report)?;
        report.result.extend(edits::told(&edit));
        let exit = match self.course.wait {
            true => self.course.follow(&client, &shared, &[&edit], &mut report, screen).await?,
            false => Exit::Done,
        };
        report.conclude(exit)
    }

    /// The edit, checked and not written.
    async fn edit(
        &self,
        sources: &[Source],
        client: &Client,
        wanted: &Wanted,
        wish: &Wish,
        screen: &Screen,
    ) -> Result<Edit, Failure> {
        let opening = opening::open(sources, client).await;
        let key = &match opening.meant(wanted) {
            // It may be in what could not be read.
            Err(_) if !opening.problems.is_empty() => return Err(validate::unchanged(&opening.problems, screen)),
            other => other?,
        };
        let Some(of) = opening.holder(key)? else {
            return Err(Failure::new(format!("the manifest of {key} is in none of these sources")));
        };
        match edit::image(&opening.opened, of, key, wish, self.literal) {
            Ok(edit) => Ok(edit),
            Err(Refusal::Invalid(problems)) => Err(validate::unchanged(&problems, screen)),
            Err(Refusal::Impossible(problem)) => {
                screen.note(&format!("{}\n", lines(&problem.to_string())));
                Err(Failure::new(format!("the image of {key} is as it was")).problems(&[&problem]))
            }
        }
    }

    fn no_image(&self, why: &str) -> Failure {
        let failure = Failure::new(format!("'{}' is not an image: {why}", self.image));
        match self.image.split_once('=') {
            // As in kubectl, where a container has to be named.
            Some((_, image)) => failure.hint(format!("write the image alone: {image}")),
            None => failure.hint("write IMAGE:TAG, or :TAG or @DIGEST for the present repository"),
        }
    }
}
