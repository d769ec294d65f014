//! `evenkeel prune`: removals that a brake holds, and letting them happen.

use clap::{Args, Subcommand};
use serde_json::json;

use super::args::{Machine, Reach, parse_name};
use super::client::Client;
use super::failure::{Exit, Failure};
use super::output;
use super::screen::{Screen, Tone, lines};
use crate::model::action::Confirmation;
use crate::model::command::Answer;
use crate::model::name::Name;
use crate::model::text::printable;
use crate::model::view::HeldPrune;
use crate::server::wire::Snapshot;

/// Show removals that are held, and confirm them.
///
/// A change that would remove more than half of a namespace's workloads, and more than three, is held until somebody
/// confirms it; so is the removal of all of them when a source is not configured any more.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evenkeel prune                            what is held, and why
  evenkeel prune confirm shop 3f9a2c71d0    let it happen, exactly as shown")]
pub struct Prune {
    #[command(subcommand)]
    step: Option<Step>,
    /// Another format than text.
    #[arg(long, short)]
    output: Option<Machine>,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Subcommand)]
enum Step {
    /// Let a held removal happen.
    Confirm {
        /// The namespace.
        #[arg(value_parser = parse_name)]
        namespace: Name,
        /// The id that `evenkeel prune` shows; it changes when what would be removed changes.
        id: String,
        #[command(flatten)]
        reach: Reach,
    },
}

impl Prune {
    /// Shows, or confirms.
    pub async fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        match &self.step {
            None => self.show(screen).await,
            Some(Step::Confirm { namespace, id, reach }) => {
                let confirmation = Confirmation { namespace: namespace.clone(), id: id.clone() };
                let answer = Client::new(&reach.socket).post("/v1/confirm", &confirmation).await?;
                if let Answer::Done { message } = answer {
                    screen.print(&lines(&message))?;
                }
                Ok(Exit::Done)
            }
        }
    }

    async fn show(&self, screen: &Screen) -> Result<Exit, Failure> {
        let snapshot: Snapshot = Client::new(&self.reach.socket).get("/v1/view").await?;
        let held = &snapshot.view.held;
        if let Some(format) = self.output {
            screen.print(&output::render(&output::list(held.iter().map(|held| json!(held)).collect()), format))?;
        } else if held.is_empty() {
            screen.print("No removal is held.")?;
        } else {
            held.iter().try_for_each(|held| screen.print(&text(held, screen)))?;
        }
        Ok(Exit::Done)
    }
}

fn text(held: &HeldPrune, screen: &Screen) -> String {
    let title = format!("namespace {}: {}", held.namespace, printable(&held.reason));
    let removes: String = held.removes.iter().map(|key| format!("  - {key}\n")).collect();
    format!(
        "{}\n{removes}Let it happen with: evenkeel prune confirm {} {}\n",
        screen.out.paint(Tone::Strong, &title),
        held.namespace,
        printable(&held.id)
    )
}
