//! `evenkeel notify`: whether notifications arrive. It needs no daemon.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::args::{SetupArgs, parse_name};
use super::failure::{Exit, Failure};
use super::plan::counted;
use super::screen::Screen;
use super::settings::Settings;
use crate::model::name::Name;
use crate::model::text::printable;
use crate::notification::{self, Receiver, Sender};
use crate::reconciler::herald::Alone;
use crate::reconciler::host;

/// Notifications: see whether they arrive.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evenkeel notify test --config /etc/evenkeel/evenkeel.yaml
  evenkeel notify test --config /etc/evenkeel/evenkeel.yaml --name ops")]
pub struct Notify {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Send a test message now, and say what came back. No daemon is needed.
    ///
    /// Each receiver of the configuration file gets one, once, whatever it wants to be told. Exits 0 when all have it, 1 when
    /// one has not, 5 when the configuration is invalid.
    Test {
        /// The configuration file that names the receivers under `notifications`.
        #[arg(long, value_name = "FILE", env = "EVENKEEL_CONFIG", hide_env_values = true)]
        config: Option<PathBuf>,
        /// Only this receiver [default: all].
        #[arg(long, value_name = "NAME", value_parser = parse_name)]
        name: Option<Name>,
    },
}

impl Notify {
    /// Sends, and says what came back.
    pub async fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        let What::Test { config, name } = &self.what;
        let Some(config) = config else {
            return Err(Failure::new("no configuration file is named").hint("write --config FILE"));
        };
        let settings = Settings::read(&SetupArgs { config: Some(config.clone()), ..SetupArgs::default() })?;
        let receivers = chosen(settings.receivers, name.as_ref(), &config.display().to_string())?;
        let instance = settings.setup.settings.instance.to_string();
        let sender = Sender { instance, host: host::name() };
        let mut failed = 0;
        for receiver in &receivers {
            match notification::test(receiver, &sender, Arc::new(Alone)).await {
                Ok(said) => screen.print(&format!("{}: delivered: {}", receiver.name, printable(&said)))?,
                Err(why) => {
                    failed += 1;
                    screen.note(&format!("{}: not delivered: {}", receiver.name, printable(&why)));
                }
            }
        }
        match failed {
            0 => Ok(Exit::Done),
            _ => Err(Failure::new(format!("{} did not get it", counted(failed, "receiver")))),
        }
    }
}

/// The receivers that are meant.
fn chosen(mut receivers: Vec<Receiver>, name: Option<&Name>, config: &str) -> Result<Vec<Receiver>, Failure> {
    if receivers.is_empty() {
        return Err(Failure::new(format!("{config} names no receiver"))
            .hint("write notifications: [{name: ops, urlFile: /etc/evenkeel/webhook-url}]"));
    }
    let names: Vec<String> = receivers.iter().map(|receiver| receiver.name.clone()).collect();
    receivers.retain(|receiver| name.is_none_or(|name| name.as_str() == receiver.name));
    match (receivers.is_empty(), name) {
        (true, Some(name)) => {
            Err(Failure::new(format!("{config} names no receiver '{name}'"))
                .hint(format!("it names {}", names.join(", "))))
        }
        _ => Ok(receivers),
    }
}
