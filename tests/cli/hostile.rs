//! A world that wants to take over the terminal: whatever a container, an image, an engine or a manifest may say is full of
//! control characters. None may reach the screen, in any format.

use evenkeel::model::view::View;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::daemon::Daemon;
use crate::view::busy;

/// Colours, a title, a cleared screen, a line written over, hidden and reversed text.
pub const EVIL: &str = "\u{1b}[31m\u{1b}]0;owned\u{7}\u{9b}2J\r\u{8}\u{202e}\u{200b}\u{2066}evil";

/// The view with the evil text in every place that takes any text.
fn poisoned(view: &View) -> (View, usize) {
    let mut tree = serde_json::to_value(view).unwrap();
    let mut places = Vec::new();
    leaves(&tree, String::new(), &mut places);
    let mut spoilt = 0;
    for place in places {
        let before = tree.pointer(&place).unwrap().clone();
        *tree.pointer_mut(&place).unwrap() = Value::from(format!("{}{EVIL}", before.as_str().unwrap()));
        match serde_json::from_value::<View>(tree.clone()) {
            Ok(_) => spoilt += 1,
            // A name, a word out of a few, a time: such a text would not get through the daemon's door.
            Err(_) => *tree.pointer_mut(&place).unwrap() = before,
        }
    }
    (serde_json::from_value(tree).unwrap(), spoilt)
}

/// Where the texts are.
fn leaves(tree: &Value, place: String, places: &mut Vec<String>) {
    match tree {
        Value::String(_) => places.push(place),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| leaves(item, format!("{place}/{index}"), places))
        }
        Value::Object(fields) => fields.iter().for_each(|(name, field)| {
            leaves(field, format!("{place}/{}", name.replace('~', "~0").replace('/', "~1")), places);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Characters that a terminal or a reader's eye would obey.
pub fn obeyed(text: &str) -> Vec<char> {
    let hidden =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    text.chars().filter(|c| c.is_control() && *c != '\n' || hidden(*c)).collect()
}

const COMMANDS: [&str; 24] = [
    "get",
    "get -o wide",
    "get -o json",
    "get -o yaml",
    "get replicas -o wide",
    "get replicas -o json",
    "get sources -o wide",
    "get sources -o yaml",
    "describe deployment/web -n shop",
    "describe deployment/api -n shop",
    "describe deployment/web -n shop -o json",
    "describe job/seed -n shop",
    "describe network/default -n shop",
    "describe secret/tokens -n shop",
    "describe sources",
    "describe ns/shop",
    "events",
    "events -o json",
    "rollout history deployment/web -n shop",
    "rollout history deployment/api -n shop -o yaml",
    "rollout status deployment/api -n shop --timeout 1s",
    "rollout undo deployment/web -n shop",
    "prune -o json",
    "logs deployment/web -n shop --tail 3",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_control_character_of_the_world_reaches_the_screen() {
    let (view, spoilt) = poisoned(&busy());
    assert!(spoilt > 100, "{spoilt} places took the evil text");
    let daemon = Daemon::showing(view).await;
    let mut evil = 0;
    for command in COMMANDS.into_iter().chain(["prune"]) {
        let said = daemon.says(command).await;
        let obeyed = obeyed(&said);
        assert!(obeyed.is_empty(), "{command} lets through {obeyed:?}: {said:?}");
        evil += usize::from(said.contains("evil"));
    }
    assert!(evil > 15, "only {evil} commands show what the world says");
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_it_while_events_are_followed() {
    let mut view = busy();
    // They are no part of the view that others read.
    std::sync::Arc::make_mut(&mut view.events).iter_mut().for_each(|event| event.message.push_str(EVIL));
    let daemon = Daemon::showing(view).await;
    for format in ["", " -o json", " -o yaml"] {
        let mut child = daemon.start(&format!("events --watch{format}"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = String::new();
        while !said.contains("evil") {
            let next = tokio::time::timeout(std::time::Duration::from_secs(20), lines.next_line());
            said += &next.await.unwrap().unwrap().unwrap();
        }
        assert!(obeyed(&said).is_empty(), "{format}: {said:?}");
    }
}
