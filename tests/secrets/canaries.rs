//! The canaries: texts that are part of one secret each and of nothing else, and the files that they are in.

use std::collections::BTreeMap;

use base64::Engine as _;

/// What no Secret holds, and therefore goes wherever gossip goes.
pub const PLANTED: &str = "planted-canary";

/// A canary: a piece of text that is part of one secret and of nothing else.
pub fn canary(number: usize) -> String {
    format!("canary{number:02}sesame")
}

/// How many there are.
pub const CANARIES: usize = 40;

/// The lines of dotenv that give a value, and the value.
fn dotenv() -> Vec<(String, String)> {
    let plain = |n: usize| (canary(n), canary(n));
    let single = |n: usize| (format!("'{} # $HOME'", canary(n)), format!("{} # $HOME", canary(n)));
    let escaped = |n: usize| (format!("\"a \\\"{}\\\"\\tb\"", canary(n)), format!("a \"{}\"\tb", canary(n)));
    let lines = |n: usize| (format!("\"one\\n{}\\nthree\"", canary(n)), format!("one\n{}\nthree", canary(n)));
    let url =
        |n: usize| (format!("postgres://root:{}@db/app", canary(n)), format!("postgres://root:{}@db/app", canary(n)));
    let long = |n: usize| (canary(n).repeat(40), canary(n).repeat(40));
    vec![plain(0), single(1), escaped(2), lines(3), url(4), long(5), plain(6), plain(7), plain(8), plain(9)]
}

/// Files that Secrets take as they are: name and content.
fn files() -> Vec<(&'static str, String)> {
    let c = canary;
    vec![
        ("tls.key", format!("-----BEGIN KEY-----\n{}\n{}\n-----END KEY-----\n", c(10), c(11))),
        ("token", c(12)),
        ("settings.json", format!("{{\"password\": \"{}\",\n \"nested\": {{\"key\": \"{}\"}}}}\n", c(13), c(14))),
        ("windows.ini", format!("[a]\r\nkey={}\r\n", c(15))),
    ]
}

/// A Docker configuration with two logins, and what the engine is given of them.
fn docker_config() -> (String, [String; 2]) {
    // ann:canary16sesame
    let encoded = "YW5uOmNhbmFyeTE2c2VzYW1l";
    let text = format!(
        r#"{{"auths": {{"a.example": {{"auth": "{encoded}"}}, "b.example": {{"username": "bob", "password": "{}"}}}}}}"#,
        canary(17)
    );
    (text, [canary(16), canary(17)])
}

/// The files on the host, by their name under `host/`.
pub fn host_files() -> BTreeMap<String, String> {
    let env = dotenv().iter().enumerate().map(|(n, (line, _))| format!("export KEY_{n}={line}\n")).collect();
    let mut found: BTreeMap<String, String> = files().into_iter().map(|(name, text)| (name.into(), text)).collect();
    found.insert("web.env".into(), env);
    found.insert("config.json".into(), docker_config().0);
    found.insert("login.env".into(), format!("username={}\npassword={}\n", canary(18), canary(19)));
    let jobs = (20..24).map(|n| format!("KEY_{n}={}\n", canary(n))).collect();
    found.insert("job.env".into(), jobs);
    let lines = |from, to| (from..to).map(|n| format!("KEY_{n}={}\n", canary(n))).collect::<String>();
    found.insert("cron.env".into(), lines(28, 30));
    found.insert("gate.env".into(), lines(30, 32));
    found.insert("builder.env".into(), format!("server=b.example\nusername=builder\npassword={}\n", canary(32)));
    found.insert("latin.ini".into(), String::new());
    // A Secret of somebody who writes values where paths belong, with every sign that YAML and variables know.
    found.insert("pasted.yaml".into(), pasted());
    found.insert("half.env".into(), half());
    // These four are changed half-way.
    found.insert("first.env".into(), (24..28).map(|n| format!("KEY_{n}={}\n", canary(n))).collect());
    found
}

/// Manifests of Secrets with the values in them, each wrong in another way.
fn pasted() -> String {
    let c = canary(34);
    let value = |value: String| {
        format!(
            "apiVersion: evenkeel.dev/v1\nkind: Secret\nmetadata: {{name: pasted}}\nspec:\n  files:\n    password: {value}\n---\n"
        )
    };
    let signs = ["!", "*", "&", "@", "%", "|", "- ", "\"\\", "{", "x: ", "pa${", "pa${A^", "${A:?", "[", "'"];
    let signed = signs.map(|sign| value(format!("{sign}{c}")));
    let pem = value(format!("|\n-----BEGIN KEY-----\n{c}\n-----END KEY-----"));
    let wrong = format!("kind: Secert\nspec: {{stringData: {c}}}\n---\nkind: ConfigMap\nspec: {{no: {PLANTED}}}\n");
    let wrong = wrong.replace("kind:", "apiVersion: evenkeel.dev/v1\nmetadata: {name: pasted}\nkind:");
    signed.concat() + &pem + &wrong
}

/// A file of variables that was written by hand, and wrongly.
fn half() -> String {
    let c = canary(35);
    format!("{c}\nA {c}=1\nB=1\nB={c}\nC='{c}' {c}\nD=\"{c}\n")
}

/// What is not UTF-8, in a file with one more line.
pub fn latin() -> Vec<u8> {
    [b"# caf\xe9\nkey=".as_slice(), canary(33).as_bytes(), b"\n"].concat()
}

/// Values in the forms in which programs hand them on: encoded, and with what nobody sees between the letters.
fn in_disguise() -> Vec<String> {
    let whole = [0, 6, 18, 20, 28].map(canary);
    let encoded = whole.iter().map(|value| base64::engine::general_purpose::STANDARD.encode(value));
    let unseen = whole.iter().map(|value| value.replacen("sesame", "\u{200b}ses\u{1b}\u{200d}ame", 1));
    let escaped = format!("postgres%3A%2F%2Froot%3A{}%40db%2Fapp", canary(4));
    encoded.chain(unseen).chain([escaped, canary(4), format!("key={}", canary(33))]).collect()
}

/// The whole values that the world repeats, as somebody who was given them would.
pub fn known_outside() -> Vec<String> {
    let values = dotenv().into_iter().map(|(_, value)| value);
    let lines = files().into_iter().flat_map(|(_, text)| text.lines().map(String::from).collect::<Vec<_>>());
    let values = values.chain(lines).chain(docker_config().1).chain([docker_config().0]);
    let quoted = dotenv().into_iter().map(|(_, value)| format!("{value:?}"));
    let values = values.chain(quoted).chain((18..33).map(canary)).chain(in_disguise());
    values.chain([PLANTED.to_string()]).collect()
}
