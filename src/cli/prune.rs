//! `evenkeel prune`: removals that a brake holds, and letting them happen.

use clap::{Args, Subcommand};

use super::args::{Reach, parse_name};
use super::client::Client;
use super::failure::{Exit, Failure};
use super::screen::{Screen, Tone, lines};
use crate::model::action::Confirmation;
use crate::model::command::Answer;
use crate::model::name::Name;
use crate::model::text::printable;
use crate::model::view::HeldPrune;
use crate::server::wire::Snapshot;

/// Show removals that are held, and confirm them.
///
/// A change that would remove more than half of a namespace's workloads (and more than three), or all that a source
/// declared, is held until somebody confirms it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evenkeel prune                            what is held, and why
  evenkeel prune confirm shop 3f9a2c71d0    let it happen, exactly as shown")]
pub struct Prune {
    #[command(subcommand)]
    step: Option<Step>,
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
            None => show(&Client::new(&self.reach.socket), screen).await,
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
}

async fn show(client: &Client, screen: &Screen) -> Result<Exit, Failure> {
    let snapshot: Snapshot = client.get("/v1/view").await?;
    if snapshot.view.held.is_empty() {
        screen.print("No removal is held.")?;
    }
    for held in &snapshot.view.held {
        screen.print(&text(held, screen))?;
    }
    Ok(Exit::Done)
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
