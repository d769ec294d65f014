//! Follows the engine's events for ever and rings. It knows no engine: the one who wires it passes the call in.

use std::convert::Infallible;
use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use tokio::time::sleep;

use super::{Reason, Wake};

/// The wait after the first of several failures in a row; each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait between two attempts: an engine that comes back is noticed within this time.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Calls `changed` again and again, with the mark that it last returned, and rings [`Reason::Engine`] for every change.
///
/// `changed` waits until something happened. It rings too whenever the stream is opened and whenever it breaks, because
/// something may have happened meanwhile that no event will tell. A run of failures is logged when it begins and when
/// it ends.
pub async fn follow<Mark, Error, Changed>(wake: Wake, mut changed: impl FnMut(Option<Mark>) -> Changed) -> Infallible
where
    Mark: Clone,
    Error: Display,
    Changed: Future<Output = Result<Mark, Error>>,
{
    let mut mark = None;
    let mut wait = FIRST_WAIT;
    let mut failing = false;
    wake.ring(Reason::Engine);
    loop {
        match changed(mark.clone()).await {
            Ok(newer) => {
                if failing {
                    tracing::info!("following the engine's events again");
                }
                (mark, wait, failing) = (Some(newer), FIRST_WAIT, false);
                wake.ring(Reason::Engine);
            }
            Err(error) => {
                if !failing {
                    tracing::warn!(%error, "lost the engine's events; trying again");
                }
                failing = true;
                wake.ring(Reason::Engine);
                sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
                wake.ring(Reason::Engine);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::time::Instant;

    use super::*;

    /// Runs `follow` for `span` of virtual time on a script of replies, then silence; returns when each call came
    /// (milliseconds) and the mark that it was given.
    async fn calls(script: Vec<Result<u32, &'static str>>, span: Duration) -> Vec<(u128, Option<u32>)> {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let seen = calls.clone();
        let start = Instant::now();
        let mut script = script.into_iter();
        let following = follow(Wake::new(), move |mark: Option<u32>| {
            seen.lock().unwrap().push((start.elapsed().as_millis(), mark));
            let reply = script.next();
            async move {
                match reply {
                    Some(reply) => reply,
                    None => std::future::pending().await,
                }
            }
        });
        assert!(tokio::time::timeout(span, following).await.is_err());
        Arc::into_inner(calls).expect("the task is gone").into_inner().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn each_change_continues_from_the_last_mark() {
        let calls = calls(vec![Ok(1), Ok(2)], Duration::from_secs(1)).await;
        assert_eq!(calls, [(0, None), (0, Some(1)), (0, Some(2))]);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_wait_longer_each_time_up_to_five_seconds_and_keep_the_mark() {
        let script =
            vec![Ok(7), Err("down"), Err("down"), Err("down"), Err("down"), Err("down"), Err("down"), Err("down")];
        let calls = calls(script, Duration::from_secs(60)).await;
        let times: Vec<u128> = calls.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [0, 0, 200, 600, 1400, 3000, 6200, 11200, 16200]);
        assert!(calls[1..].iter().all(|(_, mark)| *mark == Some(7)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_starts_the_waits_anew() {
        let calls = calls(vec![Err("down"), Err("down"), Ok(1), Err("down")], Duration::from_secs(60)).await;
        let times: Vec<u128> = calls.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [0, 200, 600, 600, 800]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_rings_when_it_connects_and_when_the_stream_breaks() {
        let wake = Wake::new();
        let bell = wake.clone();
        tokio::spawn(follow(wake, |_: Option<()>| async {
            sleep(Duration::from_secs(10)).await;
            Err::<(), _>("broken")
        }));
        let start = Instant::now();
        let mut rings = Vec::new();
        for _ in 0..3 {
            bell.wait().await;
            rings.push(start.elapsed().as_millis());
        }
        assert_eq!(rings, [0, 10_000, 10_200]);
    }
}
