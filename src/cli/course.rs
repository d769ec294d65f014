//! What commands that edit manifests have in common: where those are, and whether, how long and with which words it is waited
//! until an edit is rolled out.

use clap::Args;

use super::apply;
use super::args::{Machine, Reach, SetupArgs, parse_span};
use super::client::Client;
use super::edits;
use super::failure::{Exit, Failure};
use super::follow::{self, Report};
use super::screen::Screen;
use crate::manifest::Source;
use crate::manifest::edit::Edit;
use crate::model::time::Span;

/// How an edit goes on.
#[derive(Debug, Args)]
pub struct Course {
    /// Wait until it is rolled out.
    #[arg(long, short)]
    pub wait: bool,
    /// How long to wait.
    #[arg(long, value_name = "SPAN", value_parser = parse_span, default_value = "10m")]
    timeout: Span,
    /// The result for machines, at the end; what happens on the way goes to standard error.
    #[arg(long, short)]
    pub output: Option<Machine>,
    #[command(flatten)]
    pub setup: SetupArgs,
    #[command(flatten)]
    pub reach: Reach,
}

impl Course {
    /// Waits until the daemon has rolled the edits out.
    pub async fn follow(
        &self,
        client: &Client,
        sources: &[Source],
        edits: &[&Edit],
        report: &mut Report<'_>,
        screen: &Screen,
    ) -> Result<Exit, Failure> {
        let following = async {
            let synced = apply::synced(client, sources, report, screen).await?;
            follow::views(client, report, |snapshot| edits::judge(edits, &synced, &snapshot.view)).await
        };
        follow::within(Some(self.timeout), screen, following).await
    }
}
