//! Faults between the controller and a real engine, and of the engine itself: at every request of every story that changes
//! something, and at some that look. `make test` plays a sample that another commit shuffles anew; `make chaos` plays all; `scripts/chaos` plays one again. Start reading
//! in [`story`], then [`play`].

mod campaign;
mod neighbours;
mod play;
mod point;
mod service;
mod story;
mod witness;

use campaign::{Campaign, sample};
use play::Play;
use point::Point;

use crate::support::{Engine, Fault, attempt, commit};

/// How many plays of a sample there are on one generation.
const SAMPLED_AT_CALLS: usize = 5;
const SAMPLED_OF_THE_ENGINE: usize = 1;
/// Plays side by side on one engine. They wait far more than they compute.
const SIDE_BY_SIDE: usize = 4;
/// The size of the engine's disk in MiB, when that is to be filled.
const DISK: &str = "300";

/// Engines that may be killed and filled.
fn own_engine(generation: u32, live: bool) -> Engine {
    let options: &[&str] = if live { &["--disk", DISK, "--live-restore"] } else { &["--disk", DISK] };
    Engine::own_with(generation, options)
}

fn at_calls(generation: u32) -> Campaign {
    let engines = vec![Engine::shared(generation)];
    Campaign { engines, side_by_side: SIDE_BY_SIDE, faults: Fault::AT_CALLS.to_vec(), live: false }
}

fn of_the_engine(generation: u32, live: bool) -> Campaign {
    let engines = vec![own_engine(generation, live)];
    Campaign { engines, side_by_side: 1, faults: Fault::OF_THE_ENGINE.to_vec(), live }
}

/// So many points, or as many as `EVENKEEL_CHAOS_COUNT` says.
fn play_sample(campaign: &Campaign, count: usize) {
    let asked = std::env::var("EVENKEEL_CHAOS_COUNT").ok().and_then(|text| text.parse().ok());
    let seed = std::env::var("EVENKEEL_CHAOS_SEED").ok().filter(|seed| !seed.is_empty()).unwrap_or_else(commit);
    let (points, count) = (campaign.points(), asked.unwrap_or(count));
    println!("a sample of {count} by EVENKEEL_CHAOS_SEED={seed}");
    campaign.play(&sample(&points, &format!("{seed} {}", campaign.engines[0].generation), count), points.len());
}

fn play_all(campaign: &Campaign) {
    let points = campaign.points();
    campaign.play(&points, points.len());
}

mod a_sample_of_faults_at_calls {
    use super::*;

    #[test]
    fn on_engine_20() {
        play_sample(&at_calls(20), SAMPLED_AT_CALLS);
    }

    #[test]
    fn on_engine_26() {
        play_sample(&at_calls(26), SAMPLED_AT_CALLS);
    }
}

mod a_sample_of_faults_of_the_engine {
    use super::*;

    #[test]
    fn on_engine_20() {
        play_sample(&of_the_engine(20, false), SAMPLED_OF_THE_ENGINE);
    }

    #[test]
    fn on_engine_26() {
        play_sample(&of_the_engine(26, true), SAMPLED_OF_THE_ENGINE);
    }
}

/// `make chaos`: hours.
mod every_fault {
    use super::*;

    #[test]
    #[ignore = "hours: make chaos"]
    fn at_calls_of_engine_20() {
        play_all(&at_calls(20));
    }

    #[test]
    #[ignore = "hours: make chaos"]
    fn at_calls_of_engine_26() {
        play_all(&at_calls(26));
    }

    #[test]
    #[ignore = "hours: make chaos"]
    fn of_engine_20() {
        play_all(&of_the_engine(20, false));
        play_all(&of_the_engine(20, true));
    }

    #[test]
    #[ignore = "hours: make chaos"]
    fn of_engine_26() {
        play_all(&of_the_engine(26, false));
        play_all(&of_the_engine(26, true));
    }
}

/// `scripts/chaos STORY KIND ORDINAL FAULT [live]`: one point again, as often as it takes to see it.
mod one_point {
    use super::*;

    fn play(generation: u32) {
        let words =
            std::env::var("EVENKEEL_CHAOS_POINT").expect("EVENKEEL_CHAOS_POINT is STORY KIND ORDINAL FAULT [live]");
        let point = Point::parse(&words).unwrap_or_else(|problem| panic!("{problem}"));
        let engine = match Fault::OF_THE_ENGINE.contains(&point.fault) {
            true => own_engine(generation, point.live),
            false => Engine::shared(generation),
        };
        let played = attempt(engine.lend(), &words, |bench| Play::run(bench, point.story, Some(&point)));
        match played {
            Ok(played) => println!("it ended well; struck: {}", played.struck.as_deref().unwrap_or("not reached")),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    #[test]
    #[ignore = "one point: scripts/chaos"]
    fn on_engine_20() {
        play(20);
    }

    #[test]
    #[ignore = "one point: scripts/chaos"]
    fn on_engine_26() {
        play(26);
    }
}

#[test]
fn a_point_is_replayed_by_its_own_words() {
    for words in ["update post-containers-start 2 kill-after", "job get-events 1 engine-restart live"] {
        assert_eq!(Point::parse(words).map(|point| point.to_string()).as_deref(), Ok(words));
    }
    assert!(Point::parse("update post-containers-start 2 hiccup").is_err());
}
