//! Formats: a message as the body of a request. Pure; receivers may rely on every field of the JSON one.

use serde::Serialize;
use serde_json::json;

use super::message::{Message, Object, RevisionRef, Tone};
use crate::model::name::DEFAULT_INSTANCE;
use crate::model::text::shortened;

/// The version of the JSON body: fields are added to it and never taken away.
const API_VERSION: &str = "evenkeel.dev/v1";
/// The log lines of a chat message: more would hide the sentence above them.
const CHAT_LINES: usize = 10;
/// The longest reason or log line of a chat message, in characters.
const CHAT_WIDTH: usize = 300;

/// How a body is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// Every field, for programs.
    #[default]
    Json,
    /// `{"text": …}`, as Slack and what is compatible with it take it.
    Slack,
}

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The instance of Evenkeel.
    pub instance: String,
    /// The host's name.
    pub host: String,
}

/// The JSON body.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    api_version: &'static str,
    kind: &'static str,
    at: String,
    instance: &'a str,
    host: &'a str,
    object: &'a Object,
    result: &'a str,
    /// Whether somebody should look.
    bad: bool,
    reason: &'a str,
    message: &'a str,
    revision: Option<&'a RevisionRef>,
    last_log: &'a [String],
}

/// A message as a body.
pub fn body(message: &Message, sender: &Sender, format: Format) -> String {
    match format {
        Format::Json => json_body(message, sender),
        Format::Slack => json!({"text": text(message, sender)}).to_string(),
    }
}

fn json_body(message: &Message, sender: &Sender) -> String {
    let body = Body {
        api_version: API_VERSION,
        kind: "Notification",
        at: message.at.to_string(),
        instance: &sender.instance,
        host: &sender.host,
        object: &message.object,
        result: message.result,
        bad: message.tone == Tone::Bad,
        reason: &message.reason,
        message: &message.message,
        revision: message.revision.as_ref(),
        last_log: &message.last_log,
    };
    serde_json::to_string(&body).expect("a message is plain data")
}

/// What a person reads in one glance: what, where, why, and the last words.
fn text(message: &Message, sender: &Sender) -> String {
    let sign = if message.tone == Tone::Bad { ":red_circle:" } else { ":large_green_circle:" };
    let Object { kind, namespace, name } = &message.object;
    let name = if namespace.is_empty() { name.clone() } else { format!("{namespace}/{name}") };
    let instance = match sender.instance.as_str() {
        DEFAULT_INSTANCE => String::new(),
        other => format!(" ({other})"),
    };
    let mut text = format!(
        "{sign} *{}* {} {} on {}{instance}\n{}",
        message.result,
        escaped(kind),
        escaped(&name),
        escaped(&sender.host),
        escaped(&message.message)
    );
    for line in message.reason.lines() {
        text += &format!("\n> {}", escaped(&shortened(line, CHAT_WIDTH)));
    }
    let lines = &message.last_log[message.last_log.len().saturating_sub(CHAT_LINES)..];
    if !lines.is_empty() {
        // A fence within the log would end the block.
        let lines: Vec<String> =
            lines.iter().map(|line| escaped(&shortened(line, CHAT_WIDTH)).replace("```", "'''")).collect();
        text += &format!("\n```\n{}\n```", lines.join("\n"));
    }
    text
}

/// The three characters that mean something to Slack: without this, a log line could mention everybody in a channel.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::{Key, Kind, Name};
    use crate::model::time::Timestamp;

    fn sender() -> Sender {
        Sender { instance: DEFAULT_INSTANCE.into(), host: "web1".into() }
    }

    fn rolled_back() -> Message {
        let name = |name| Name::new(name).unwrap();
        let key = Key::new(Kind::Deployment, name("shop"), name("web"));
        let sentence = "revision 2 (shop:2) failed and was rolled back to revision 1 (shop:1)";
        let at = Timestamp(1_795_855_422_000);
        let message = Message::new(at, (&key).into(), "RolledBack", Tone::Bad, sentence);
        let message = message.of_revision("3f9a", Some(2), "shop:2").because("shop.web.3f9a.0 exited with 7");
        message.with_log(&["boot <!channel> & ```".to_string(), "told to crash\u{1b}[2J".to_string()])
    }

    #[test]
    fn the_json_body_is_what_the_documentation_says() {
        insta::assert_snapshot!(body(&rolled_back(), &sender(), Format::Json), @r#"{"apiVersion":"evenkeel.dev/v1","kind":"Notification","at":"2026-11-28T08:43:42Z","instance":"evenkeel","host":"web1","object":{"kind":"Deployment","namespace":"shop","name":"web"},"result":"RolledBack","bad":true,"reason":"shop.web.3f9a.0 exited with 7","message":"revision 2 (shop:2) failed and was rolled back to revision 1 (shop:1)","revision":{"number":2,"image":"shop:2"},"lastLog":["boot <!channel> & ```","told to crash[2J"]}"#);
    }

    #[test]
    fn the_chat_text_is_read_in_one_glance_and_can_mention_nobody() {
        let body: serde_json::Value = serde_json::from_str(&body(&rolled_back(), &sender(), Format::Slack)).unwrap();
        assert_eq!(body.as_object().unwrap().len(), 1);
        insta::assert_snapshot!(body["text"].as_str().unwrap(), @r"
        :red_circle: *RolledBack* Deployment shop/web on web1
        revision 2 (shop:2) failed and was rolled back to revision 1 (shop:1)
        > shop.web.3f9a.0 exited with 7
        ```
        boot &lt;!channel&gt; &amp; '''
        told to crash[2J
        ```
        ");
    }

    #[test]
    fn a_body_is_bounded_however_long_a_log_is() {
        let lines: Vec<String> = (0..1_000).map(|n| format!("{n} {}", "ü".repeat(100_000))).collect();
        let message = rolled_back().because(&lines[0]).with_log(&lines);
        for format in [Format::Json, Format::Slack] {
            assert!(body(&message, &sender(), format).len() < 64 << 10);
        }
        assert!(message.last_log.last().unwrap().starts_with("999 "), "the last lines are the ones that count");
    }
}
