//! `evenkeel version`: of this program, and of the daemon and the engine if they answer.

use clap::Args;
use serde_json::json;

use super::args::{Machine, Reach};
use super::client::Client;
use super::failure::{Exit, Failure};
use super::output;
use super::screen::{Screen, lines};
use crate::server::wire::Snapshot;

/// Print the versions of this program, and of the daemon and engine if they answer.
#[derive(Debug, Args)]
pub struct Version {
    /// Another format than text.
    #[arg(long, short)]
    output: Option<Machine>,
    #[command(flatten)]
    reach: Reach,
}

impl Version {
    /// Prints. A daemon that does not answer is no error here.
    pub async fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        let own = env!("CARGO_PKG_VERSION");
        let daemon =
            Client::new(&self.reach.socket).get::<Snapshot>("/v1/view").await.ok().map(|snapshot| snapshot.view);
        if let Some(format) = self.output {
            let running =
                daemon.map(|view| json!({"version": view.version, "instance": view.instance, "engine": view.engine}));
            screen.print(&output::render(&json!({"version": own, "daemon": running}), format))?;
            return Ok(Exit::Done);
        }
        screen.print(&format!("evenkeel {own}"))?;
        if let Some(view) = daemon {
            let engine = match view.engine.version.as_str() {
                "" => "unknown".into(),
                version if !view.engine.connected => format!("does not answer; it was {version}"),
                version => format!("{version} (API {})", view.engine.api),
            };
            screen.print(&lines(&format!("daemon   {}\nengine   {engine}", view.version)))?;
        }
        Ok(Exit::Done)
    }
}
