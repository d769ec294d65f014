//! What a supervisor such as systemd is told, where there is one: that the daemon is up, how it stands in a line, that it is
//! well, and that it ends. Without the environment of a supervisor all of this does nothing.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::model::view::View;
use crate::reconciler::clock::Clock;

/// How often it is looked at when no supervisor waits for a sign of life.
const SELDOM: Duration = Duration::from_secs(60);

/// Tells that the daemon is up, and goes on telling how it is. A loop that makes no passes gives no sign of life, and is restarted.
pub(super) async fn tell(mut views: watch::Receiver<Arc<View>>, clock: Clock) {
    notify(&[NotifyState::Ready]);
    // Half of what it waits for, as systemd wants it.
    let watchdog = sd_notify::watchdog_enabled().map(|patience| patience / 2);
    let every = watchdog.unwrap_or(SELDOM).max(Duration::from_millis(1));
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = String::new();
    loop {
        tokio::select! {
            _ = tick.tick() => if watchdog.is_some() && views.borrow().healthy(clock.now()).is_ok() {
                notify(&[NotifyState::Watchdog]);
            },
            changed = views.changed() => if changed.is_err() { return },
        }
        let line = line(&views.borrow());
        if line != said {
            notify(&[NotifyState::Status(&line)]);
            said = line;
        }
    }
}

/// Tells that the daemon ends because it was asked to.
pub(super) fn ending() {
    notify(&[NotifyState::Stopping]);
}

/// How the daemon stands, for `systemctl status`.
fn line(view: &View) -> String {
    match view.ready() {
        Err(_) if view.passes == 0 && view.engine.message.is_empty() => "starting".into(),
        Err(why) => why.lines().next().unwrap_or_default().to_string(),
        Ok(()) if view.converged => format!("{} objects, as declared", view.objects.len()),
        Ok(()) => format!("{} objects, not yet as declared", view.objects.len()),
    }
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!("the supervisor cannot be told: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_wrong_before_it_counts() {
        let mut view = View::default();
        assert_eq!(line(&view), "starting");
        view.engine.message = "connection refused\nand more".into();
        assert_eq!(line(&view), "the engine does not answer: connection refused");
        (view.engine.connected, view.passes, view.converged) = (true, 1, true);
        assert_eq!(line(&view), "0 objects, as declared");
        view.converged = false;
        assert_eq!(line(&view), "0 objects, not yet as declared");
    }
}
