//! `evenkeel plan`: what the next pass would do, why, and whether it is free of downtime. It needs no daemon.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;

use super::args::{Machine, Reach, SetupArgs};
use super::client::Client;
use super::edits;
use super::failure::{self, Exit, Failure};
use super::image_policy;
use super::output;
use super::screen::{Paint, Screen, Tone, phase_tone};
use super::settings::Settings;
use super::validate;
use crate::engine::Docker;
use crate::model::name::{Key, Kind};
use crate::model::policy::Refusal;
use crate::model::status::{PINNED, Status};
use crate::model::text::printable;
use crate::model::view::PlanStep;
use crate::reconciler::offline::{self, OfflineError, Outlook};

/// Show what would be done, and why. Nothing is changed, and no daemon is needed where sources are named.
///
/// Exits 0 when there is nothing to do, 2 when there is, 1 on an error or when the policy refuses something, 6 while git is
/// changing the manifests.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evenkeel plan                                 of the service on this host
  evenkeel plan --source /srv/shop              what, why, and whether it is free of downtime
  evenkeel plan --source /srv/shop=staging -o json
  evenkeel plan --config /etc/evenkeel/evenkeel.yaml

The steps are the whole way ahead if each one succeeds. The daemon decides anew after each of them, by what it sees.")]
pub struct Plan {
    #[command(flatten)]
    setup: SetupArgs,
    /// Another format than text.
    #[arg(long, short)]
    output: Option<Machine>,
    #[command(flatten)]
    reach: Reach,
}

impl Plan {
    /// Plans and prints.
    pub async fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        failure::told(self.plan(screen).await, self.output, screen)
    }

    async fn plan(&self, screen: &Screen) -> Result<Exit, Failure> {
        let settings = self.settings().await?;
        let instance = settings.setup.settings.instance.clone();
        let engine = Docker::connect(instance).map_err(|error| Failure::new(error.to_string()))?;
        let outlook = offline::plan(&settings.setup, &engine).await.map_err(|error| refused(error, screen))?;
        outlook.warnings.iter().for_each(|warning| screen.warn(warning));
        screen.print(&match self.output {
            Some(format) => output::render(&tree(&outlook), format),
            None => text(&outlook, screen.out),
        })?;
        Ok(match (outlook.refused.is_empty(), outlook.steps.is_empty()) {
            (false, _) => Exit::Error,
            (true, false) => Exit::Changes,
            (true, true) => Exit::Done,
        })
    }
}

impl Plan {
    /// The settings of the arguments, or of the service's file; with the sources and the instance of the daemon, where none of them
    /// names any.
    async fn settings(&self) -> Result<Settings, Failure> {
        let mut settings = Settings::found(&self.setup)?;
        if settings.setup.sources.is_empty() {
            let seen = edits::seen(&Client::new(&self.reach.socket)).await?;
            settings.setup.sources = edits::watched_by(&seen.view).collect();
            if self.setup.instance.is_none() {
                settings.setup.settings.instance = seen.view.instance.clone();
            }
        }
        settings.need_source()?;
        Ok(settings)
    }
}

fn refused(error: OfflineError, screen: &Screen) -> Failure {
    match error {
        // As with every planner: 0 nothing, 2 changes, 1 error. Only what passes by itself is told apart.
        OfflineError::Invalid(diagnostics) => validate::invalid(&diagnostics, screen).exit(Exit::Error),
        OfflineError::Held(message) => Failure::held(message),
        OfflineError::Unavailable { message, hint } => Failure::new(message).hint(hint),
    }
}

fn tree(outlook: &Outlook) -> serde_json::Value {
    let mut status: BTreeMap<String, serde_json::Value> =
        outlook.status.iter().map(|(key, status)| (key.to_string(), json!(status))).collect();
    status.values_mut().for_each(output::times);
    let interrupted = outlook.steps.iter().any(|step| step.downtime.is_some());
    let refused: BTreeMap<String, &Vec<Refusal>> =
        outlook.refused.iter().map(|(key, refused)| (key.to_string(), refused)).collect();
    json!({
        "actions": outlook.steps,
        "downtime": interrupted,
        "refused": refused,
        "status": status,
        "warnings": outlook.warnings,
    })
}

/// The plan for people: by object, each step with its cause.
pub fn text(outlook: &Outlook, paint: Paint) -> String {
    let mut steps: BTreeMap<&Key, Vec<&PlanStep>> = BTreeMap::new();
    for step in &outlook.steps {
        steps.entry(&step.object).or_default().push(step);
    }
    let waiting = outlook.status.iter().filter(|(_, status)| !status.waiting.is_empty()).map(|(key, _)| key);
    // A change of a network or volume that cannot be made.
    let held = outlook.status.iter().filter(|(key, status)| is_place(key) && status.phase == "Degraded");
    let held = held.map(|(key, _)| key);
    // What is not as declared although there is no step for it.
    let unlike = outlook.status.iter().filter(|(_, status)| !is_as_declared(status)).map(|(key, _)| key);
    let keys: std::collections::BTreeSet<&Key> =
        steps.keys().copied().chain(waiting).chain(held).chain(unlike).chain(outlook.refused.keys()).collect();
    let mut text: String = keys.into_iter().map(|key| object(key, steps.get(key), outlook, paint)).collect();
    text.push_str(&summary(outlook, paint));
    text
}

/// Whether an object is where its manifest wants it, or left alone as it says. A CronJob is, whether a run is under way or
/// not; a Deployment that stays at another revision than its manifest's is not.
fn is_as_declared(status: &Status) -> bool {
    let pinned = status.conditions.iter().any(|condition| condition.kind == PINNED);
    let phase = status.phase.as_str();
    matches!(phase, "Complete" | "Ready" | "Suspended" | "Scheduled" | "Active") && status.waiting.is_empty() && !pinned
}

fn is_place(key: &Key) -> bool {
    matches!(key.kind, Kind::Network | Kind::Volume)
}

fn object(key: &Key, steps: Option<&Vec<&PlanStep>>, outlook: &Outlook, paint: Paint) -> String {
    let mut text = paint.paint(Tone::Strong, &key.to_string());
    let status = outlook.status.get(key);
    if let Some(status) = status {
        // What is refused is told below, each thing by itself.
        let told = status.message.is_empty() || outlook.refused.contains_key(key);
        let message = if told { String::new() } else { format!(": {}", status.message) };
        text.push_str(&format!("  {}{}", paint.paint(phase_tone(&status.phase), &status.phase), printable(&message)));
    }
    text.push('\n');
    if let Some(followed) = status.and_then(|status| status.image_policy.as_ref()) {
        let chosen = image_policy::chosen(followed).unwrap_or_else(|| "nothing yet".into());
        let line = printable(&format!("image of {}, by {}: {chosen}", followed.repository, followed.policy));
        text.push_str(&format!("  {}\n", paint.paint(Tone::Dim, &line)));
    }
    for step in steps.into_iter().flatten() {
        text.push_str(&format!("  {}\n      because {}\n", printable(&step.action), printable(&step.cause)));
        if let Some(downtime) = &step.downtime {
            let downtime = printable(downtime);
            text.push_str(&format!("      {}\n", paint.paint(Tone::Bad, &format!("downtime: {downtime}"))));
        }
    }
    for refusal in outlook.refused.get(key).into_iter().flatten() {
        let refusal = printable(&format!("refused: {refusal}"));
        text.push_str(&format!("  {}\n", paint.paint(Tone::Bad, &refusal)));
    }
    for reason in status.into_iter().flat_map(|status| &status.waiting) {
        text.push_str(&format!("  {}\n", paint.paint(Tone::Dim, &format!("waiting for {}", printable(reason)))));
    }
    text.push('\n');
    text
}

fn summary(outlook: &Outlook, paint: Paint) -> String {
    let interrupting = outlook.steps.iter().filter(|step| step.downtime.is_some()).count();
    match (outlook.steps.len(), interrupting) {
        (0, _) => {
            let unlike = outlook.status.values().filter(|status| !is_as_declared(status)).count();
            let rest = counted(outlook.status.len() - unlike, "object");
            match unlike {
                0 => format!("Nothing to do: {rest} as declared.\n"),
                _ => format!("Nothing to do now: {rest} as declared, {unlike} not (above).\n"),
            }
        }
        (steps, 0) => {
            let free = paint.paint(Tone::Good, "free of downtime");
            format!("{}, {free}.\n", counted(steps, "step"))
        }
        (steps, n) => {
            let warning = paint.paint(Tone::Bad, &format!("{n} with downtime"));
            format!("{}, {warning}.\n", counted(steps, "step"))
        }
    }
}

/// `1 step`, `2 steps`.
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::Name;
    use crate::model::status::Condition;

    fn outlook(kind: Kind, phase: &str, conditions: Vec<Condition>) -> Outlook {
        let key = Key::new(kind, Name::new("shop").unwrap(), Name::new("it").unwrap());
        let message = if conditions.is_empty() { String::new() } else { conditions[0].message.clone() };
        let status = Status { phase: phase.into(), message, conditions, ..Status::default() };
        Outlook { status: [(key, status)].into(), ..Outlook::default() }
    }

    #[test]
    fn a_cron_job_is_as_declared_whether_a_run_is_under_way_or_not() {
        for phase in ["Scheduled", "Active", "Suspended"] {
            let text = text(&outlook(Kind::CronJob, phase, Vec::new()), Paint::OFF);
            assert_eq!(text, "Nothing to do: 1 object as declared.\n", "{phase}");
        }
    }

    #[test]
    fn a_deployment_that_stays_at_a_chosen_revision_is_not_as_declared() {
        let message = "stays at revision 1, which was chosen, until the manifest's template changes".to_string();
        let (kind, reason) = (PINNED.to_string(), "OtherRevisionChosen".to_string());
        let pinned = outlook(Kind::Deployment, "Complete", vec![Condition { kind, status: true, reason, message }]);
        insta::assert_snapshot!(text(&pinned, Paint::OFF), @"
        deployment/shop/it  Complete: stays at revision 1, which was chosen, until the manifest's template changes

        Nothing to do now: 0 objects as declared, 1 not (above).
        ");
    }
}
