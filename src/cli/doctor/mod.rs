//! `evenkeel doctor`: what could trouble Evenkeel on this host, each with the way out. It needs no daemon and changes nothing.
//!
//! [`host`] and the engine say what there is; [`engine`], and in `host` each `judge`, say what to think of it and are pure. [`given`]
//! reads what the daemon is given.

mod engine;
mod finding;
mod given;
mod host;
mod pools;

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::args::{Machine, Reach, SetupArgs};
use super::client::Client;
use super::edits;
use super::failure::{Exit, Failure};
use super::output;
use super::screen::Screen;
use super::settings::Settings;
use crate::engine::{Docker, Host, host_logins};
use crate::model::view::View;
use crate::reconciler::clock;
use crate::server::wire::Snapshot;

use finding::{Finding, Verdict};

/// How long the engine and the daemon may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Check this host, its Docker Engine, the daemon, and what the daemon is given.
///
/// Each line is ok, warn or fail, and what is not ok comes with a way out. Nothing is changed, and no daemon is needed: one that
/// does not answer is a finding. Run it as the daemon's user, usually root, with the flags or the configuration file of `run`.
/// Exits 1 when something fails, else 0.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sudo evenkeel doctor
  sudo evenkeel doctor --config /etc/evenkeel/evenkeel.yaml
  evenkeel doctor -o json               findings for machines")]
pub struct Doctor {
    #[command(flatten)]
    setup: SetupArgs,
    /// Another format than text.
    #[arg(long, short)]
    output: Option<Machine>,
    #[command(flatten)]
    reach: Reach,
}

impl Doctor {
    /// Looks, prints, and says whether anything fails.
    pub async fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        let findings = self.findings().await?;
        match self.output {
            Some(format) => screen.print(&output::render(&json!({"findings": findings}), format))?,
            None => {
                for finding in &findings {
                    screen.print(&finding.text(screen.out))?;
                }
            }
        }
        let fails = findings.iter().any(|finding| finding.verdict == Verdict::Fail);
        Ok(if fails { Exit::Error } else { Exit::Done })
    }

    async fn findings(&self) -> Result<Vec<Finding>, Failure> {
        let settings = Settings::found(&self.setup)?;
        let state_dir = &settings.setup.state_dir;
        let (daemon, view) = self.daemon().await;
        let mut findings = vec![daemon];
        let mut sources = settings.setup.sources.clone();
        if sources.is_empty() {
            sources = view.iter().flat_map(edits::watched_by).collect();
        }
        findings.extend(given::sources(&sources, view.as_ref(), clock::now()).await);
        findings.extend(given::policy(&settings.setup.policy, &sources));
        // A helper that hangs is given its time, one after the other.
        findings.extend(given::logins(&host_logins().await));
        findings.extend(host::state(&host::look(state_dir)));
        findings.extend(host::space("state directory's disk", state_dir));
        findings.push(host::clock(&host::time_keepers()));
        let at = Host::from_env().map_err(|error| Failure::new(error.to_string()))?;
        let docker = Docker::at(at.clone(), None, settings.setup.settings.instance.clone());
        let asked_at = clock::now();
        let surveyed = tokio::time::timeout(PATIENCE, docker.survey()).await;
        let pool = &settings.setup.settings.subnet_pool;
        match surveyed {
            Ok(Ok(survey)) => {
                findings.extend(engine::judge(&survey, asked_at, clock::now(), pool));
                findings.extend(host::space_of_engine(&at, &survey.root));
            }
            Ok(Err(error)) => findings.push(engine::unreachable(&at, &error.to_string())),
            Err(_) => findings.push(engine::unreachable(&at, &format!("no answer for {} s", PATIENCE.as_secs()))),
        }
        Ok(findings)
    }

    /// Whether the daemon answers, and is of this version; and what it shows.
    async fn daemon(&self) -> (Finding, Option<View>) {
        let asked = tokio::time::timeout(PATIENCE, Client::new(&self.reach.socket).get::<Snapshot>("/v1/view")).await;
        let own = env!("CARGO_PKG_VERSION");
        let finding = match &asked {
            Ok(Ok(Snapshot { view, .. })) if view.version == own => {
                Finding::ok("daemon", format!("version {own} answers on {}", self.reach.socket.display()))
            }
            Ok(Ok(Snapshot { view, .. })) => {
                let message = format!("the daemon is of version {}, and this program of {own}", view.version);
                Finding::warn("daemon", message, "restart it: systemctl restart evenkeel (containers go on running)")
            }
            Ok(Err(failure)) => {
                let way_out = match failure.hint.as_str() {
                    "" => "look at its log: journalctl -u evenkeel",
                    hint => hint,
                };
                Finding::fail("daemon", failure.message.as_str(), way_out)
            }
            Err(_) => {
                let message = format!("the daemon does not answer within {} s", PATIENCE.as_secs());
                Finding::fail("daemon", message, "look at its log (journalctl -u evenkeel) and at /healthz")
            }
        };
        (finding, asked.ok().and_then(Result::ok).map(|snapshot| snapshot.view))
    }
}
