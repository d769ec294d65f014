//! The registry room against servers on 127.0.0.1 that say what real registries say: challenges and tokens, pages, limits,
//! manifests without a digest. What is asked, how often, and with whose credentials, is written down.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests and their helpers may")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use evenkeel::model::observed::Fault;
use evenkeel::model::registry::{Answer, Tagged};
use evenkeel::model::secret::{Login, SecretBytes};
use evenkeel::model::spec::TagOrder;
use evenkeel::model::tags::Selection;
use evenkeel::model::time::Span;
use evenkeel::registry::{Https, Question, Registries};

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A request: its first line, and its `Authorization`.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// A server that answers each request as `answer` says, from its first line and its authorization.
fn serve(answer: impl Fn(&str, &str) -> String + Send + Sync + 'static) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Asked::default();
    let (noted, answer) = (asked.clone(), Arc::new(answer));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (noted, answer) = (noted.clone(), answer.clone());
            std::thread::spawn(move || converse(&stream, &noted, answer.as_ref()));
        }
    });
    (address, asked)
}

fn converse(stream: &TcpStream, asked: &Asked, answer: &dyn Fn(&str, &str) -> String) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut lines, mut line) = (Vec::new(), String::new());
        while reader.read_line(&mut line).unwrap_or(0) > 2 {
            lines.push(std::mem::take(&mut line));
        }
        let Some(first) = lines.first().map(|first| first.trim_end_matches(" HTTP/1.1\r\n").to_string()) else {
            return;
        };
        let header = |name: &str| {
            let own = lines.iter().find_map(|line| line.to_lowercase().starts_with(name).then(|| line.clone()));
            own.map(|line| line.split_once(':').unwrap().1.trim().to_string()).unwrap_or_default()
        };
        let body = header("content-length").parse().unwrap_or(0);
        std::io::copy(&mut std::io::Read::take(&mut reader, body), &mut std::io::sink()).unwrap();
        let authorization = header("authorization");
        let reply = answer(&first, &authorization);
        asked.lock().unwrap().push((first, authorization));
        let mut writer = stream;
        if reply.is_empty() || writer.write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}

fn reply(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

/// A manifest's headers.
fn manifest() -> String {
    reply("200 OK", &format!("Docker-Content-Digest: {DIGEST}\r\n"), "")
}

fn password() -> Login {
    Login::Password { username: "robot".into(), password: SecretBytes::new(b"s3cret".to_vec()) }
}

fn question(repository: String, selections: &[Selection], logins: Vec<Login>) -> Question {
    Question { repository, selections: selections.iter().cloned().collect::<BTreeSet<_>>(), logins }
}

fn tag(tag: &str) -> Selection {
    Selection::Tag(tag.into())
}

fn version(range: &str) -> Selection {
    Selection::Version { range: range.into(), pattern: None }
}

fn found(tag: &str) -> Answer {
    Answer::Found(Tagged { tag: tag.into(), digest: DIGEST.into() })
}

fn requests(asked: &Asked) -> Vec<String> {
    asked.lock().unwrap().iter().map(|(first, _)| first.clone()).collect()
}

#[tokio::test]
async fn a_digest_costs_one_head_and_the_newest_tag_one_page_more() {
    let (address, asked) = serve(|first, _| match first {
        "GET /v2/shop/web/tags/list?n=1000" => reply("200 OK", "", r#"{"tags": ["1.4.0", "1.5.0", "latest"]}"#),
        _ => manifest(),
    });
    let selections = [tag("stable"), version(">=1"), version("<1.5"), version(">=2")];
    let told = Https::default().ask(&question(format!("{address}/shop/web"), &selections, vec![])).await.unwrap();
    assert_eq!(told[&selections[0]], found("stable"));
    assert_eq!(told[&selections[1]], found("1.5.0"));
    assert_eq!(told[&selections[2]], found("1.4.0"));
    assert_eq!(told[&selections[3]], Answer::None { among: Some(3) });
    let heads = [
        "HEAD /v2/shop/web/manifests/stable",
        "HEAD /v2/shop/web/manifests/1.4.0",
        "HEAD /v2/shop/web/manifests/1.5.0",
    ];
    let mut made = requests(&asked);
    assert_eq!(made.remove(0), "GET /v2/shop/web/tags/list?n=1000");
    assert_eq!(made.iter().map(String::as_str).collect::<BTreeSet<_>>(), heads.into());
    assert_eq!(made.len(), 3, "each tag is asked for once");
}

#[tokio::test]
async fn all_pages_are_read_and_none_of_another_host() {
    let (address, asked) = serve(|first, _| match first {
        "GET /v2/web/tags/list?n=1000" => {
            reply("200 OK", "Link: </v2/web/tags/list?n=1000&last=b-9>; rel=\"next\"\r\n", r#"{"tags": ["b-9"]}"#)
        }
        "GET /v2/web/tags/list?n=1000&last=b-9" => {
            reply("200 OK", "Link: <http://127.0.0.1:1/v2/x>; rel=\"next\"\r\n", r#"{"tags": ["b-10"]}"#)
        }
        _ => manifest(),
    });
    let selection = Selection::Pattern { pattern: r"b-(\d+)".into(), order: TagOrder::Numerical };
    let told = Https::default()
        .ask(&question(format!("{address}/web"), std::slice::from_ref(&selection), vec![]))
        .await
        .unwrap();
    assert_eq!((told[&selection].clone(), requests(&asked).len()), (found("b-10"), 3));
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_used_until_it_is_refused() {
    let accepted = Arc::new(Mutex::new("one"));
    let (tokens, token_requests) = {
        let accepted = accepted.clone();
        serve(move |_, authorization| match authorization {
            "Basic cm9ib3Q6czNjcmV0" => {
                reply("200 OK", "", &format!("{{\"token\": \"{}\"}}", accepted.lock().unwrap()))
            }
            _ => reply("401 Unauthorized", "", r#"{"details": "incorrect username or password"}"#),
        })
    };
    let wanted = accepted.clone();
    let (address, asked) = serve(move |_, authorization| {
        if authorization == format!("Bearer {}", wanted.lock().unwrap()) {
            return manifest();
        }
        let scope = "repository:shop/web:pull";
        let challenge =
            format!("Www-Authenticate: Bearer realm=\"http://{tokens}/token\",service=\"r\",scope=\"{scope}\"\r\n");
        reply("401 Unauthorized", &challenge, "")
    });
    let https = Https::default();
    let wrong = Login::Password { username: "robot".into(), password: SecretBytes::new(b"old".to_vec()) };
    let ask = || question(format!("{address}/shop/web"), &[tag("1")], vec![wrong.clone(), password()]);
    for _ in 0..3 {
        assert_eq!(https.ask(&ask()).await.unwrap()[&tag("1")], found("1"));
    }
    assert_eq!((requests(&asked).len(), requests(&token_requests).len()), (4, 2), "the wrong one, then the right one");
    let first = &requests(&token_requests)[0];
    assert_eq!(first, "GET /token?scope=repository%3Ashop%2Fweb%3Apull&service=r");
    *accepted.lock().unwrap() = "two";
    assert_eq!(https.ask(&ask()).await.unwrap()[&tag("1")], found("1"));
}

/// A registry that takes a login as its own token, and refuses one that is not good any more without saying what it wants.
fn strict(accepted: &'static str) -> (String, Asked) {
    let (tokens, _) = serve(|_, authorization| {
        let token = authorization.strip_prefix("Basic ").unwrap_or("nobody");
        reply("200 OK", "", &format!("{{\"token\": \"{token}\"}}"))
    });
    serve(move |first, authorization| match authorization {
        "" => {
            let challenge = format!("Www-Authenticate: Bearer realm=\"http://{tokens}/token\",service=\"r\"\r\n");
            reply("401 Unauthorized", &challenge, "")
        }
        // It stops taking the first login after the tag 1.
        "Bearer cm9ib3Q6czNjcmV0" if first.ends_with("/1") => manifest(),
        _ if authorization == format!("Bearer {accepted}") => manifest(),
        _ => reply("403 Forbidden", "", r#"{"errors": [{"code": "DENIED"}]}"#),
    })
}

fn robot(password: &str) -> Login {
    Login::Password { username: "robot".into(), password: SecretBytes::new(password.into()) }
}

#[tokio::test]
async fn a_token_that_is_forbidden_is_given_up_and_so_is_one_of_another_login() {
    // Of robot with the password new.
    let (address, asked) = strict("cm9ib3Q6bmV3");
    let https = Https::default();
    let ask = |wanted: &str, logins| question(format!("{address}/shop/web"), &[tag(wanted)], logins);
    assert_eq!(https.ask(&ask("1", vec![password()])).await.unwrap()[&tag("1")], found("1"));
    let error = https.ask(&ask("2", vec![password()])).await.unwrap_err();
    assert_eq!(error.fault, Fault::Unauthorized);
    let authorizations = || asked.lock().unwrap().drain(..).map(|(_, sent)| sent).collect::<Vec<_>>();
    let old = "Bearer cm9ib3Q6czNjcmV0".to_string();
    let none = String::new;
    assert_eq!(authorizations(), [none(), old.clone(), old.clone(), none(), old.clone()], "it is tried anew, once");
    let both = || vec![password(), robot("new")];
    assert_eq!(https.ask(&ask("1", both())).await.unwrap()[&tag("1")], found("1"));
    assert_eq!(authorizations(), [none(), old.clone()]);
    assert_eq!(https.ask(&ask("2", both())).await.unwrap()[&tag("2")], found("2"), "the next one is let in");
    let new = "Bearer cm9ib3Q6bmV3".to_string();
    assert_eq!(authorizations(), [old.clone(), none(), old, new.clone()]);
    assert_eq!(https.ask(&ask("2", vec![robot("new")])).await.unwrap()[&tag("2")], found("2"));
    assert_eq!(authorizations(), [none(), new]);
}

#[tokio::test]
async fn what_a_login_opened_is_not_used_once_it_is_taken_away() {
    let (address, asked) = strict("");
    let https = Https::default();
    let ask = |logins| question(format!("{address}/shop/web"), &[tag("1")], logins);
    assert_eq!(https.ask(&ask(vec![password()])).await.unwrap()[&tag("1")], found("1"));
    asked.lock().unwrap().clear();
    let error = https.ask(&ask(vec![])).await.unwrap_err();
    assert_eq!(error.fault, Fault::Unauthorized);
    assert!(asked.lock().unwrap().iter().all(|(_, sent)| !sent.contains("cm9ib3Q6czNjcmV0")));
}

#[tokio::test]
async fn basic_authentication_is_answered_and_never_sent_unasked() {
    let (address, asked) = serve(|_, authorization| match authorization {
        "Basic cm9ib3Q6czNjcmV0" => manifest(),
        _ => reply("401 Unauthorized", "Www-Authenticate: Basic realm=\"r\"\r\n", ""),
    });
    let told = Https::default().ask(&question(format!("{address}/web"), &[tag("1")], vec![password()])).await.unwrap();
    assert_eq!(told[&tag("1")], found("1"));
    assert_eq!(asked.lock().unwrap()[0].1, "", "first without");
    let error = Https::default().ask(&question(format!("{address}/web"), &[tag("1")], vec![])).await.unwrap_err();
    assert_eq!(error.fault, Fault::Unauthorized);
    assert!(error.message.contains("it wants a user and a password, and there is none for it"), "{error}");
}

#[tokio::test]
async fn what_is_not_there_is_an_answer_and_trouble_is_none() {
    for (status, headers, body, fault, words, retry_after) in [
        (
            "429 Too Many Requests",
            "Retry-After: 90\r\n",
            r#"{"errors": [{"message": "slow down"}]}"#,
            Fault::RateLimited,
            "429 Too Many Requests: slow down",
            Some(Span::secs(90)),
        ),
        ("503 Service Unavailable", "", "<html>", Fault::Unavailable, "503 Service Unavailable", None),
        (
            "403 Forbidden",
            "",
            r#"{"errors": [{"message": "denied for robot with s3cret"}]}"#,
            Fault::Unauthorized,
            "403 Forbidden",
            None,
        ),
        (
            "307 Temporary Redirect",
            "Location: http://127.0.0.1:1/\r\n",
            "",
            Fault::Unavailable,
            "307 Temporary Redirect",
            None,
        ),
        ("200 OK", "", "no json", Fault::Unavailable, "its list of tags is not understood", None),
    ] {
        let (address, _) = serve(move |_, _| reply(status, headers, body));
        let asked = question(format!("{address}/web"), &[version("*")], vec![password()]);
        let error = Https::default().ask(&asked).await.unwrap_err();
        assert_eq!((error.fault, error.retry_after), (fault, retry_after), "{status}");
        assert!(
            error.message.starts_with(&format!("registry {address}: ")) && error.message.contains(words),
            "{error}"
        );
        assert!(!error.message.contains("s3cret"), "{error}");
    }
    let (address, _) = serve(|_, _| reply("404 Not Found", "", r#"{"errors": [{"code": "NAME_UNKNOWN"}]}"#));
    let selections = [tag("1"), version("*")];
    let told = Https::default().ask(&question(format!("{address}/web"), &selections, vec![])).await.unwrap();
    assert!(told.values().all(|answer| *answer == Answer::None { among: None }));
    let (address, _) = serve(|_, _| String::new());
    let error = Https::default().ask(&question(format!("{address}/web"), &[tag("1")], vec![])).await.unwrap_err();
    assert!(error.fault == Fault::Unavailable && error.message.contains("it cannot be reached"), "{error}");
}

#[tokio::test]
async fn a_manifest_without_a_digest_is_hashed_and_a_wrong_one_is_not_taken() {
    let (address, _) = serve(|first, _| match first.starts_with("HEAD") {
        true => reply("200 OK", "", ""),
        false => reply("200 OK", "", "{}"),
    });
    let told = Https::default().ask(&question(format!("{address}/web"), &[tag("1")], vec![])).await.unwrap();
    let digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a".to_string();
    assert_eq!(told[&tag("1")], Answer::Found(Tagged { tag: "1".into(), digest }));
    let (address, _) = serve(|_, _| reply("200 OK", "Docker-Content-Digest: sha256:../../x\r\n", ""));
    let error = Https::default().ask(&question(format!("{address}/web"), &[tag("1")], vec![])).await.unwrap_err();
    assert!(error.message.contains("not one of sha256"), "{error}");
}

#[tokio::test]
async fn no_credential_goes_where_the_connection_is_not_safe() {
    let (address, asked) =
        serve(|_, _| reply("401 Unauthorized", "Www-Authenticate: Bearer realm=\"http://evil.example/token\"\r\n", ""));
    let asked_for = question(format!("{address}/web"), &[tag("1")], vec![password()]);
    let error = Https::default().ask(&asked_for).await.unwrap_err();
    assert!(error.message.contains("not given over https"), "{error}");
    assert_eq!(asked.lock().unwrap().len(), 1);
}
