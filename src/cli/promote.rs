//! `evenkeel promote`: what runs in one namespace, and has proven itself there, becomes the image of another one, by digest.

use clap::Args;
use serde_json::{Value, json};

use super::apply;
use super::args::parse_name;
use super::client::Client;
use super::course::Course;
use super::edits;
use super::failure::{self, Exit, Failure};
use super::follow::Report;
use super::opening;
use super::screen::{Screen, lines};
use super::validate;
use crate::manifest::Source;
use crate::manifest::edit::{self, Edit, Refusal, Wish};
use crate::model::name::{Key, Kind, Name};
use crate::model::registry::in_short;
use crate::model::view::{Detail, ObjectView, OutcomeWord, RevisionView, View};
use crate::server::wire::Snapshot;

/// Bring what runs in one namespace to another, by digest.
///
/// For each Deployment that is in both, the manifest of the second gets the very image that the first one runs: by its digest,
/// so that a tag that moves changes nothing. Only a revision that has completed counts. The manifests are edited as by `set
/// image`, all or none of them. Exits like `set image`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evenkeel promote staging production --dry-run              what would change
  evenkeel promote staging production --wait --timeout 10m   all that both have
  evenkeel promote staging production deployment/web         this one")]
pub struct Promote {
    /// The namespace that runs it.
    #[arg(value_parser = parse_name)]
    from: Name,
    /// The namespace that gets it.
    #[arg(value_parser = parse_name)]
    to: Name,
    /// These Deployments alone: NAME or deployment/NAME [default: all that both namespaces have].
    #[arg(value_name = "DEPLOYMENT", value_parser = parse_deployment)]
    deployments: Vec<Name>,
    /// Write nothing, and say what would be written.
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    #[command(flatten)]
    course: Course,
}

fn parse_deployment(text: &str) -> Result<Name, String> {
    let name = match text.split_once('/') {
        Some(("deployment" | "deployments" | "deploy", name)) => name,
        Some(_) => return Err("only Deployments are promoted: write deployment/NAME".into()),
        None => text,
    };
    Name::new(name)
}

impl Promote {
    /// Looks what runs, edits, and with `--wait` waits.
    pub async fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        failure::told(self.promote(screen).await, self.course.output, screen)
    }

    async fn promote(&self, screen: &Screen) -> Result<Exit, Failure> {
        if self.from == self.to {
            return Err(Failure::new("both namespaces are the same").hint("write promote FROM TO"));
        }
        let client = Client::new(&self.course.reach.socket);
        let seen: Snapshot = client.get("/v1/view").await?;
        let promoted = self.promoted(&seen.view)?;
        let sources = edits::sources(&self.course.setup, &client).await?;
        let turn = edits::turn(&sources).await?;
        let all = self.edits(&sources, &client, promoted, screen).await?;
        let shared: std::collections::BTreeSet<usize> = all.iter().flat_map(|edit| edit.sources.clone()).collect();
        let shared: Vec<Source> = shared.into_iter().map(|index| sources[index].clone()).collect();
        if self.course.wait {
            // Whoever cannot wait to the end does not begin.
            apply::chosen(&shared, seen.view.sources)?;
        }
        if !self.dry_run {
            edit::write(&all).map_err(|(written, error)| half_written(written, error))?;
        }
        drop(turn);
        let mut report = Report::new(screen, self.course.output);
        for edit in &all {
            if !self.dry_run {
                edits::note(&client, edit).await;
            }
            edits::say(edit, &report)?;
        }
        if self.dry_run {
            report.say("nothing was written: --dry-run")?;
        }
        let told: Vec<Value> = all.iter().map(|edit| Value::Object(edits::told(edit))).collect();
        report.result.insert("promoted".into(), json!(told));
        report.result.insert("dryRun".into(), self.dry_run.into());
        let exit = match self.course.wait {
            true => self.course.follow(&client, &shared, &all.iter().collect::<Vec<_>>(), &mut report, screen).await?,
            false => Exit::Done,
        };
        report.conclude(exit)
    }

    /// The Deployments to change, with the image of each.
    fn promoted(&self, view: &View) -> Result<Vec<(Key, Wish)>, Failure> {
        let of = |namespace: &Name, name: &Name| Key::new(Kind::Deployment, namespace.clone(), name.clone());
        let declared = |key: &Key| view.objects.get(key).filter(|object| !object.declared.value().is_null());
        let names: Vec<Name> = match self.deployments[..] {
            [] => {
                let all = view.objects.keys().filter(|key| key.kind == Kind::Deployment && key.namespace == self.from);
                let both = all.filter(|key| declared(key).is_some() && declared(&of(&self.to, &key.name)).is_some());
                both.map(|key| key.name.clone()).collect()
            }
            _ => self.deployments.clone(),
        };
        if names.is_empty() {
            let message = format!("no Deployment is in both namespaces, {} and {}", self.from, self.to);
            return Err(Failure::new(message).hint("evenkeel get deployments shows what there is"));
        }
        let one = |name: Name| {
            let (from, to) = (of(&self.from, &name), of(&self.to, &name));
            let missing = |key: &Key| Failure::new(format!("{key} is not declared"));
            let source = declared(&from).ok_or_else(|| missing(&from))?;
            let target = declared(&to).ok_or_else(|| missing(&to))?;
            if !target.declared.value()["template"]["imagePolicy"].is_null() {
                let message = format!("{to} follows its image by an imagePolicy, which a promotion would contradict");
                return Err(Failure::new(message).hint("remove imagePolicy from its manifest, and promote again"));
            }
            let image = proven(&from, source)?;
            let wish = Wish::parse(&image).map_err(|why| Failure::new(format!("{from} runs {image}: {why}")))?;
            Ok((to, wish))
        };
        names.into_iter().map(one).collect()
    }

    /// The edits, checked together and not written.
    async fn edits(
        &self,
        sources: &[Source],
        client: &Client,
        promoted: Vec<(Key, Wish)>,
        screen: &Screen,
    ) -> Result<Vec<Edit>, Failure> {
        let opening = opening::open(sources, client).await;
        let problems = &opening.problems;
        if !problems.is_empty() {
            return Err(validate::unchanged(problems, screen));
        }
        let mut wishes = Vec::new();
        for (key, wish) in promoted {
            match opening.holder(&key)? {
                Some(of) => wishes.push((of, key, wish)),
                None => return Err(Failure::new(format!("the manifest of {key} is in none of these sources"))),
            }
        }
        edit::images(opening.opened, &wishes, &self.from).map_err(|refusal| match refusal {
            Refusal::Invalid(problems) => validate::unchanged(&problems, screen),
            Refusal::Impossible(problem) => {
                screen.note(&format!("{}\n", lines(&problem.to_string())));
                Failure::new("nothing was promoted").problems(&[&problem])
            }
        })
    }
}

/// The very image that a Deployment runs, if its revision has completed and a registry has the image: with its tag, for people.
fn proven(key: &Key, object: &ObjectView) -> Result<String, Failure> {
    let Detail::Deployment { revisions, .. } = &object.detail else {
        return Err(Failure::new(format!("{key} is not a Deployment")));
    };
    let current = revisions.iter().find(|revision| revision.current);
    let phase = object.status.phase.as_str();
    let current = match current.filter(|current| current.outcome == OutcomeWord::Completed) {
        Some(current) if matches!(phase, "Complete" | "Paused" | "Suspended") => current,
        Some(_) | None => {
            let message = format!("{key} is {phase}: only what has completed, and is well, is promoted");
            let why = object.status.message.clone();
            let failure = Failure::new(if why.is_empty() { message } else { format!("{message} ({why})") });
            return Err(failure.hint(format!("evenkeel rollout status {key} waits for it")));
        }
    };
    exact(current).ok_or_else(|| {
        let message = format!("{key} runs {}, which no registry has", in_short(&current.image));
        Failure::new(message)
            .hint("push it to a registry; what was only built on this machine has no digest to promote")
    })
}

/// The image with the registry's digest, and its tag where that is of the same repository.
fn exact(revision: &RevisionView) -> Option<String> {
    let (repository, digest) = revision.digest.split_once('@')?;
    let named = revision.image.split('@').next().unwrap_or_default();
    let tag = named.strip_prefix(repository).and_then(|rest| rest.strip_prefix(':'));
    let tag = tag.filter(|tag| !tag.contains('/')).map(|tag| format!(":{tag}")).unwrap_or_default();
    Some(format!("{repository}{tag}@{digest}"))
}

fn half_written(written: usize, error: crate::manifest::write::WriteError) -> Failure {
    let failure = edits::unwritten(error);
    match written {
        0 => failure,
        count => failure.hint(format!("{count} files are written already: see `git diff`, and run it again")),
    }
}
