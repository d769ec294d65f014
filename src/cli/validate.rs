//! `evenkeel validate`: every mistake in the manifests, at once. It needs no daemon and no engine.

use std::fmt;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::args::{Machine, SetupArgs};
use super::failure::{self, Exit, Failure};
use super::output;
use super::plan::counted;
use super::screen::{Screen, lines};
use super::settings::Settings;
use crate::manifest::{self, Contexts, Diagnostic, Loaded, ReadError, Source, Spot, snapshot};
use crate::model::desired::Desired;
use crate::model::name::Key;
use crate::model::policy::Refusal;
use crate::model::revision::ContentHasher;
use crate::model::secret::SecretBytes;
use crate::reconciler::offline;

/// How often a directory that is in the middle of a change is looked at again.
const ATTEMPTS: u32 = 20;

/// The pause between two looks.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Check manifests. No daemon and no engine is needed.
///
/// Exits 0 when all are valid, 5 when some are not or the policy refuses something, 6 while git is changing some and the others
/// are valid. A hostPath that is
/// not on this machine is a warning. Where paths of the host lead is not looked at: `evenkeel plan` on the host does that.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evenkeel validate --source manifests
  evenkeel validate --source /srv/shop=production --source /srv/shop-staging=staging
  evenkeel validate -s manifests -o json     problems for machines, also with exit code 5")]
pub struct Validate {
    #[command(flatten)]
    setup: SetupArgs,
    /// Another format than text.
    #[arg(long, short)]
    output: Option<Machine>,
}

impl Validate {
    /// Checks and prints.
    pub async fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        failure::told(self.validate(screen).await, self.output, screen)
    }

    async fn validate(&self, screen: &Screen) -> Result<Exit, Failure> {
        let settings = Settings::found(&self.setup)?;
        settings.need_source()?;
        let checked = check(&settings.setup.sources).await?;
        let refused = checked.as_ref().map(|desired| judge(&settings, desired, screen)).unwrap_or_default();
        // It may be the wrong machine to look at: nothing is invalid for that.
        let absent = checked.as_ref().ok().and_then(offline::absent);
        absent.iter().for_each(|warning| screen.warn(warning));
        if let Some(format) = self.output {
            let problems = checked.as_ref().err().cloned().unwrap_or_default();
            let valid = problems.is_empty() && refused.is_empty();
            let tree = json!({"valid": valid, "problems": problems, "refused": refused, "warnings": absent.as_slice()});
            screen.print(&output::render(&tree, format))?;
            return Ok(if valid { Exit::Done } else { Exit::Invalid });
        }
        let desired = checked.map_err(|problems| invalid(&problems, screen))?;
        if !refused.is_empty() {
            refused.iter().for_each(|refused| screen.note(&lines(&refused.to_string())));
            let message = format!("the policy refuses {}", counted(refused.len(), "thing"));
            return Err(Failure::new(message).exit(Exit::Invalid));
        }
        let sources = counted(settings.setup.sources.len(), "source");
        screen.print(&format!("{} in {sources}, all valid", counted(count(&desired), "object")))?;
        Ok(Exit::Done)
    }
}

/// Something that the policy refuses.
#[derive(Serialize)]
struct Refused {
    /// Where the manifest stands.
    place: String,
    /// The object that asks for it.
    object: Key,
    /// What, why, and the way out.
    #[serde(flatten)]
    refusal: Refusal,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: error: {}: {}", self.place, self.object, self.refusal)
    }
}

/// What the policy refuses of valid manifests.
fn judge(settings: &Settings, desired: &Desired, screen: &Screen) -> Vec<Refused> {
    let (refused, warnings) = offline::refusals(&settings.setup, desired.clone());
    warnings.iter().for_each(|warning| screen.warn(warning));
    let each = refused.into_iter().flat_map(|(object, refusals)| {
        let place = place(desired, &object);
        refusals.into_iter().map(move |refusal| Refused { place: place.clone(), object: object.clone(), refusal })
    });
    each.collect()
}

/// Where the manifest of an object stands; its name where it is implied.
fn place(desired: &Desired, key: &Key) -> String {
    let deployment = desired.deployments.get(key).map(|declared| &declared.place);
    let job = desired.jobs.get(key).map(|declared| &declared.place);
    let job = job.or(desired.cron_jobs.get(key).map(|declared| &declared.place));
    let network = desired.networks.get(key).map(|declared| &declared.place);
    let volume = desired.volumes.get(key).map(|declared| &declared.place);
    let place = deployment.or(job).or(network).or(volume).filter(|place| !place.is_empty());
    place.cloned().unwrap_or_else(|| key.to_string())
}

/// The objects of sources, or every mistake in them.
pub async fn check(sources: &[Source]) -> Result<Result<Desired, Vec<Diagnostic>>, Failure> {
    // Content ids are thrown away again, so any key will do.
    let hasher = ContentHasher::new(SecretBytes::new(Vec::new()));
    let contexts = Contexts::default();
    let (mut loaded, mut problems, mut held) = (Vec::new(), Vec::new(), Vec::new());
    for (source, read) in sources.iter().zip(read_all(sources).await) {
        let load = |snapshot| manifest::load(source, &snapshot, &hasher, &contexts);
        match read.map(|read| read.and_then(load)) {
            Ok(Ok(objects)) => loaded.push((source, objects)),
            Ok(Err(mistakes)) => problems.extend(mistakes),
            Err(why) => held.push((source, why)),
        }
    }
    if !problems.is_empty() {
        // Mistakes stay when the change beside them is finished: they are the worse news.
        let unread =
            |(source, why): (&Source, String)| Diagnostic::error(spot(source), format!("it was not read: {why}"));
        problems.extend(held.into_iter().map(unread));
        return Ok(Err(problems));
    }
    if let Some((_, why)) = held.into_iter().next() {
        return Err(Failure::held(why));
    }
    let pairs: Vec<(&Source, &Loaded)> = loaded.iter().map(|(source, objects)| (*source, objects)).collect();
    Ok(manifest::merge(&pairs).map(|merged| merged.desired))
}

/// A directory as it was read; one that cannot be read is a mistake too.
type Read = Result<snapshot::Snapshot, Vec<Diagnostic>>;

/// Reads directories. Those that are being changed are given some time, all of them the same; why one still is being changed, is
/// its error.
pub async fn read_all(sources: &[Source]) -> Vec<Result<Read, String>> {
    let mut all: Vec<Result<Read, String>> = sources.iter().map(read_once).collect();
    for _ in 1..ATTEMPTS {
        if all.iter().all(Result::is_ok) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        for (read, source) in all.iter_mut().zip(sources).filter(|(read, _)| read.is_err()) {
            *read = read_once(source);
        }
    }
    all
}

fn read_once(source: &Source) -> Result<Read, String> {
    match snapshot::read(&source.dir) {
        Ok(snapshot) => Ok(Ok(snapshot)),
        Err(ReadError::Unsettled(reason)) => Err(reason),
        Err(ReadError::Unreadable(reason)) => Ok(Err(vec![Diagnostic::error(spot(source), reason)])),
    }
}

/// A source as the place of a mistake.
fn spot(source: &Source) -> Spot {
    Spot::file(source.dir.display().to_string())
}

/// Prints every mistake, and says how many there are.
pub fn invalid(problems: &[Diagnostic], screen: &Screen) -> Failure {
    for problem in problems {
        screen.note(&format!("{}\n", lines(&problem.to_string())));
    }
    let message = format!("the manifests are invalid: {}", counted(problems.len(), "problem"));
    Failure::new(message).exit(Exit::Invalid).problems(&problems)
}

/// The same of a command that would have changed them.
pub fn unchanged(problems: &[Diagnostic], screen: &Screen) -> Failure {
    invalid(problems, screen).hint("nothing was changed")
}

fn count(desired: &Desired) -> usize {
    // Namespaces that are merely used count too: they are what the rest lives in.
    desired.namespaces.len()
        + desired.networks.len()
        + desired.volumes.len()
        + desired.jobs.len()
        + desired.cron_jobs.len()
        + desired.deployments.len()
        + desired.contents.len()
}
