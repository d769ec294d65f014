//! Inputs of up to a MiB that cost as much as they can, made for each door: deep, many, long, repeated, wrong throughout. What
//! a door takes from others is never larger, or refused by its length.

use serde_json::Value;

/// A name for people, and the bytes.
pub type Input = (String, Vec<u8>);

/// The large inputs of a door. `corpus` is what they grow from, and `size` what each has about.
pub fn inputs(door: &str, corpus: &[Vec<u8>], size: usize) -> Vec<Input> {
    let shapes = match door {
        "manifest" => manifests(size),
        "dotenv" => dotenv(size),
        "ignore" => ignore(size),
        "substitution" => substitution(size),
        "quantities" => words(size, &["1", "1h", "1h ", "9.", "a", "a-", "deployment/", "-", "\u{fc}"], ""),
        "reference" => words(size, &["a", "a/", "a:", "@sha256:a", "1.", "$", "${A}", "[:", "localhost:5000/"], ""),
        "ownership" => {
            words(size, &["a=b\n", "name:web\n", "=\n", "namespace:a.b\n", "x", "=", "a:\u{fc}\n"], "shop.web.r.0\n")
        }
        "state" => states(size),
        "engine" => engines(size),
        "socket" => sockets(size),
        _ => Vec::new(),
    };
    let grown = corpus.iter().enumerate().flat_map(|(number, input)| grown(number, input, size));
    shapes.into_iter().chain(grown).collect()
}

/// A part again and again.
pub fn fill(part: &str, size: usize) -> String {
    part.repeat(size / part.len().max(1))
}

/// With a number in the place of each `#`.
fn counted(part: &str, size: usize) -> String {
    let mut text = String::with_capacity(size);
    for number in 0.. {
        let next = part.replace('#', &number.to_string());
        if text.len() + next.len() > size {
            break;
        }
        text.push_str(&next);
    }
    text
}

/// As many files as a source may have.
fn files(text: &str, size: usize) -> String {
    const FILES: usize = 2_000;
    let comment = format!("# {}\n", "x".repeat((size / FILES).saturating_sub(text.len() + 20)));
    let numbered = |number: usize| format!("=== f#.yaml\n{text}").replace('#', &number.to_string());
    (0..FILES).map(|number| numbered(number) + &comment).collect()
}

/// What costs more memory than the rest may, and is not ours to mend: the engine's client makes structures of hundreds of bytes of
/// each empty object in an answer. Such an answer comes from the engine alone, which is root's.
pub fn is_beyond_us(door: &str, input: &str) -> bool {
    door == "engine" && (input.contains("many {} in ") || input == "i: many networks")
}

fn words(size: usize, parts: &[&str], before: &str) -> Vec<Input> {
    let named = |part: &&str| (format!("{part:?} repeated"), format!("{before}{}", fill(part, size)).into_bytes());
    parts.iter().map(named).collect()
}

/// As they are told and tried.
pub fn named(inputs: impl IntoIterator<Item = (&'static str, String)>) -> Vec<Input> {
    inputs.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect()
}

/// How every manifest begins.
pub const HEAD: &str = "apiVersion: evenkeel.dev/v1\n";

/// A manifest of one kind.
pub fn document(kind: &str, spec: &str) -> String {
    format!("{HEAD}kind: {kind}\nmetadata: {{name: web, namespace: shop}}\nspec: {spec}\n")
}

fn manifests(size: usize) -> Vec<Input> {
    let deployment = |field: &str, part: &str, (open, close): (&str, &str)| {
        document(
            "Deployment",
            &format!("{{template: {{image: 'web:1', {field}: {open}{}{close}}}}}", counted(part, size)),
        )
    };
    let each = |kind: &str, spec: &str| {
        counted(&format!("{HEAD}kind: {kind}\nmetadata: {{name: w#}}\nspec: {spec}\n---\n"), size)
    };
    let (map, list) = (("{", "}"), ("[", "]"));
    let variable = "x".repeat(size / 4);
    let growing = format!(
        "{HEAD}kind: Namespace\nmetadata: {{name: shop}}\nspec: {{variables: {{A: {variable}}}}}\n---\n{}",
        document("Deployment", &format!("{{template: {{image: 'web:1', env: {{{}}}}}}}", counted("A#: '${A}', ", 600)))
    );
    named([
        ("brackets", fill("[", size)),
        ("braces", fill("{a: ", size)),
        ("dashes", fill("- ", size)),
        ("a list", format!("a: [{}]", fill("a,", size))),
        ("a map", format!("a: {{{}}}", counted("a#: 1,", size))),
        ("a list of lists", format!("a: [{}]", fill("[],", size))),
        ("a list of maps", format!("a: [{}]", fill("{a: 1},", size))),
        ("a repeated key", fill("a: 1\n", size)),
        ("a repeated key in braces", format!("a: {{{}}}", fill("a: 1,", size))),
        ("documents", fill("---\na: 1\n", size)),
        ("empty documents", fill("---\n", size)),
        ("anchors", fill("- &a 1\n", size)),
        ("aliases", format!("- &a [b]\n{}", fill("- *a\n", size))),
        ("aliases of many", format!("- &a [{}]\n{}", fill("b,", 1_000), fill("- *a\n", size))),
        ("anchors in anchors", counted("- &a# [*a#]\n", size)),
        ("merges", format!("a: &a {{b: 1}}\nc:\n  <<: [{}]\n", fill("*a,", size))),
        ("tags", fill("- !a b\n", size)),
        ("complex keys", fill("? a\n: b\n", size)),
        ("one long line", format!("a: {}", fill("x", size))),
        ("one long text of escapes", format!("a: \"{}\"", fill("\\u0041", size))),
        ("a folded text", format!("a: >\n{}", fill("  x\n\n", size))),
        ("carriage returns", fill("\r", size)),
        ("comments", fill("#\n", size)),
        ("directives", fill("%TAG ! x\n", size)),
        ("quotes", fill("'' ", size)),
        ("not closed", format!("a: \"{}", fill("x\n", size))),
        ("lines of a Secret", format!("kind: Secret\n{}", fill("a b: c\n", size))),
        ("a Secret with mistakes", document("Secret", &format!("{{files: {{{}}}}}", counted("a#: !b c, ", size)))),
        ("env", deployment("env", "A#: b, ", map)),
        ("env of secrets", deployment("env", "A#: {secret: s, key: k}, ", map)),
        ("wrong env", deployment("env", "A#: [], ", map)),
        ("ports", deployment("ports", "{port: 80, name: p#}, ", list)),
        ("mounts", deployment("mounts", "{volume: v#, path: /p#}, ", list)),
        ("unknown fields", deployment("labels: {}, x", "{a#: b}, ", list)),
        ("labels", deployment("labels", "a#: b, ", map)),
        ("arguments", deployment("args", "'#', ", list)),
        ("hosts", deployment("extraHosts", "h#: 192.0.2.1, ", map)),
        ("Deployments", each("Deployment", "{template: {image: 'web:1'}}")),
        ("Deployments that wait for each other", each("Deployment", "{dependsOn: [w#], template: {image: 'web:1'}}")),
        ("Jobs", each("Job", "{template: {image: 'web:1'}}")),
        ("CronJobs", each("CronJob", "{schedule: '@daily', template: {image: 'web:1'}}")),
        ("ConfigMaps", each("ConfigMap", "{data: {a: b}}")),
        ("Secrets without files", each("Secret", "{files: {a: /nowhere/#}}")),
        ("Networks", each("Network", "{}")),
        ("Volumes", each("Volume", "{}")),
        ("Networks with subnets", each("Network", "{subnets: [10.0.0.0/24]}")),
        ("unknown kinds", each("Deploymend", "{}")),
        ("wrong documents", each("Deployment", "{tamplate: {}}")),
        ("data", document("ConfigMap", &format!("{{data: {{{}}}}}", counted("a#: b, ", size)))),
        ("long data", document("ConfigMap", &format!("{{data: {{a: '{}'}}}}", fill("x", size * 9 / 10)))),
        ("variables that are not set", document("ConfigMap", &format!("{{data: {{a: '{}'}}}}", fill("${A}", size)))),
        ("defaults in defaults", document("ConfigMap", &format!("{{data: {{a: '{}'}}}}", fill("${A:-", size)))),
        ("braces after dollars", document("ConfigMap", &format!("{{data: {{a: '{}'}}}}", fill("$${", size)))),
        ("a variable that grows", growing),
        ("files", files("a: 1\n", size)),
        (
            "files with Deployments",
            files(&document("Deployment", "{template: {image: 'web:1'}}").replace("web,", "w#,"), size),
        ),
    ])
}

fn dotenv(size: usize) -> Vec<Input> {
    named([
        ("variables", counted("A#=b\n", size)),
        ("a variable twice", fill("A=b\n", size)),
        ("a long value", format!("A={}", fill("x", size))),
        ("a long value in quotes", format!("A=\"{}\"", fill("\\n", size))),
        ("an open quote", format!("A=\"{}", fill("x\n", size))),
        ("open quotes", fill("A='\n", size)),
        ("no signs", fill("x\n", size)),
        ("spaces", fill(" ", size)),
        ("comments", fill(" # x\n", size)),
        ("exports", counted("export A# = 'b' # c\n", size)),
        ("text after quotes", fill("A='b' c\n", size)),
        ("characters", fill("\u{fc}", size)),
    ])
}

fn ignore(size: usize) -> Vec<Input> {
    let repeated = [
        "a\n",
        "*\n",
        "**/",
        "**/\n",
        "*a",
        "!a\n",
        "?",
        "[a-",
        "[a]",
        "[a]\n",
        "\\",
        "/",
        "#\n",
        "a/b/**/c\n",
        "!**/*\n",
        "{a,",
        "\u{fc}",
    ];
    words(size, &repeated, "")
}

fn substitution(size: usize) -> Vec<Input> {
    let long = "x".repeat(size / 2);
    let mut inputs = words(
        size,
        &["${A}", "${B}", "${A:-", "${A:-b}", "$$", "$", "${", "}", "${A:?x}", "${A^}", "${:", "\u{fc}", "\"", "\n"],
        "b\n",
    );
    inputs.extend(named([
        ("a long variable, often", format!("{long}\n{}", fill("${A}", 100))),
        ("a long variable, very often", format!("{long}\n{}", fill("${A}", size / 2))),
        ("a long variable in a default", format!("{long}\n{}", fill("${EMPTY:-${A}}", 1_000))),
    ]));
    inputs
}

const LETTERS: [&str; 12] = ["D", "J", "C", "I", "S", "d", "j", "c", "i", "e", "k", "t"];

fn states(size: usize) -> Vec<Input> {
    let of = |part: &str| {
        LETTERS.map(|letter| (format!("{letter} of {part:?}"), format!("{letter}{}", fill(part, size)).into_bytes()))
    };
    let arrays = |letter: &str, part: &str| {
        (format!("{letter}: a list of {part}"), format!("{letter}[{}]", list_of(part, size)).into_bytes())
    };
    let mut inputs: Vec<Input> =
        ["x", "[", "{\"a\":", "\n", "{}\n", "\"\\u0041"].iter().flat_map(|part| of(part)).collect();
    inputs.push(arrays("C", "\"deployment/shop/web\""));
    inputs
        .push(("C: many keys".into(), format!("C[{}\"job/shop/x\"]", counted("\"job/shop/x#\",", size)).into_bytes()));
    inputs.push(arrays("I", "{}"));
    let event = r#"{"at":1,"object":"deployment/shop/web","severity":"Warning","reason":"X","message":"m"}"#;
    inputs.push(("events".into(), format!("e{}", fill(&format!("{event}\n"), size)).into_bytes()));
    inputs.push((
        "a source of many files".into(),
        format!("S{{{}\"z\": \"\"}}", counted("\"f#\":\"\",", size)).into_bytes(),
    ));
    inputs
}

fn list_of(part: &str, size: usize) -> String {
    let mut list = fill(&format!("{part},"), size);
    list.pop();
    list
}

fn engines(size: usize) -> Vec<Input> {
    let shapes = ["x", "[", "{\"a\":", "{}\n", "\n", "\"", "0", " "];
    let calls = ["l", "i", "n", "v", "g", "o", "e", "p", "r", "L", "I", "P", "O"];
    let raw = calls.iter().flat_map(|call| {
        shapes.map(|part| (format!("{call} of {part:?}"), format!("{call}{}", fill(part, size)).into_bytes()))
    });
    let object = |call: &str, before: &str, part: &str, after: &str| {
        (
            format!("{call}: many {part} in {before}"),
            format!("{call}{before}{}{after}", list_of(part, size)).into_bytes(),
        )
    };
    let frame = |length: usize| {
        let mut frames = b"o".to_vec();
        while frames.len() + 8 + length < size {
            frames.extend([1, 0, 0, 0]);
            frames.extend(u32::try_from(length).expect("it is short").to_be_bytes());
            frames.extend(vec![b'x'; length]);
        }
        frames
    };
    raw.chain([
        object("l", "[", "{}", "]"),
        object("n", "[", "{}", "]"),
        object(
            "v",
            "{\"Volumes\":[",
            "{\"Name\":\"\",\"Driver\":\"\",\"Mountpoint\":\"\",\"Labels\":{},\"Options\":{}}",
            "]}",
        ),
        object("l", "[{\"Ports\":[", "{\"PrivatePort\":1}", "]}]"),
        object("i", "{\"Mounts\":[", "{}", "]}"),
        object("i", "{\"Config\":{\"Env\":[", "\"\"", "]}}"),
        object("i", "{\"State\":{\"Health\":{\"Log\":[", "{}", "]}}}"),
        object("g", "{\"RepoTags\":[", "\"\"", "]}"),
        (
            "i: many labels".into(),
            format!("i{{\"Config\":{{\"Labels\":{{{}\"z\":\"\"}}}}}}", counted("\"l#\":\"\",", size)).into_bytes(),
        ),
        (
            "i: many networks".into(),
            format!("i{{\"NetworkSettings\":{{\"Networks\":{{{}\"z\":{{}}}}}}}}", counted("\"l#\":{},", size))
                .into_bytes(),
        ),
        ("empty frames".into(), frame(0)),
        ("short frames".into(), frame(1)),
        ("long frames".into(), frame(60_000)),
    ])
    .collect()
}

fn sockets(size: usize) -> Vec<Input> {
    let post = |path: &str, body: String| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        (format!("a long body to {path}"), (head + &body).into_bytes())
    };
    let mut inputs = words(size, &["x", "\r\n", "[", "{\"a\":", "{}", "GET /v1/view HTTP/1.1\r\nHost: x\r\n\r\n"], "");
    inputs.extend(named([
        ("a long path", format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", fill("a/", size))),
        ("a long query", format!("GET /v1/logs?{} HTTP/1.1\r\nHost: x\r\n\r\n", fill("a=b&", size))),
        ("many headers", format!("GET /v1/view HTTP/1.1\r\nHost: x\r\n{}\r\n", fill("A: b\r\n", size))),
        ("a long header", format!("GET /v1/view HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", fill("b", size))),
        ("many events", format!("{{\"events\":[{}]}}", list_of("{}", size))),
        ("many revisions", format!("{{\"type\":\"revisions\",\"revisions\":[{}]}}", list_of("{}", size))),
    ]));
    inputs.push(post("/v1/request", format!("\"{}\"", fill("x", size))));
    inputs.push(post("/v1/request", format!("[{}]", list_of("[]", size))));
    inputs.push(post(
        "/v1/image-set",
        format!("{{\"key\":\"deployment/shop/web\",\"change\":\"{}\",\"by\":\"x\"}}", fill("x", size)),
    ));
    inputs.push(post("/v1/confirm", fill("{\"a\":", size)));
    inputs
}

/// An input of the corpus in large: its longest line again and again, and where there is JSON in it, its largest list and its
/// longest text.
fn grown(number: usize, input: &[u8], size: usize) -> Vec<Input> {
    let mut inputs = vec![(format!("corpus {number} repeated"), input.repeat(size / input.len().max(1)))];
    let longest = input.split_inclusive(|byte| *byte == b'\n').max_by_key(|line| line.len()).unwrap_or_default();
    if longest.len() < input.len() && !longest.is_empty() {
        let start = input.windows(longest.len()).position(|part| part == longest).unwrap_or_default();
        let many = longest.repeat(size / longest.len());
        let (before, after) = (&input[..start], &input[start + longest.len()..]);
        inputs.push((format!("corpus {number} with a line repeated"), [before, &many, after].concat()));
    }
    let at = input.iter().position(|byte| matches!(byte, b'{' | b'[')).unwrap_or(input.len());
    if let Ok(json) = serde_json::from_slice::<Value>(&input[at..]) {
        for (what, pointer) in [("list", widest(&json, String::new())), ("text", longest_text(&json, String::new()))] {
            let Some((_, pointer)) = pointer else { continue };
            let mut large = json.clone();
            match large.pointer_mut(&pointer) {
                Some(Value::Array(items)) => {
                    let item = items.first().cloned().unwrap_or_default();
                    let each = item.to_string().len() + 1;
                    *items = vec![item; size / each];
                }
                Some(Value::String(text)) => *text = fill("x", size),
                _ => continue,
            }
            let bytes = [&input[..at], large.to_string().as_bytes()].concat();
            inputs.push((format!("corpus {number} with a long {what} at {pointer}"), bytes));
        }
    }
    inputs
}

/// The list with the most items, and where it is.
fn widest(json: &Value, place: String) -> Option<(usize, String)> {
    let own = json.as_array().filter(|items| !items.is_empty()).map(|items| (items.len(), place.clone()));
    inside(json, &place).filter_map(|(value, place)| widest(value, place)).chain(own).max_by_key(|(count, _)| *count)
}

/// The longest text, and where it is.
fn longest_text(json: &Value, place: String) -> Option<(usize, String)> {
    let own = json.as_str().map(|text| (text.len(), place.clone()));
    inside(json, &place)
        .filter_map(|(value, place)| longest_text(value, place))
        .chain(own)
        .max_by_key(|(length, _)| *length)
}

fn inside<'v>(json: &'v Value, place: &str) -> impl Iterator<Item = (&'v Value, String)> {
    let place = place.to_owned();
    let items = json.as_array().into_iter().flatten().enumerate().map(|(index, value)| (index.to_string(), value));
    let fields = json.as_object().into_iter().flatten();
    let fields = fields.map(|(name, value)| (name.replace('~', "~0").replace('/', "~1"), value));
    items.chain(fields).map(move |(step, value)| (value, format!("{place}/{step}"))).collect::<Vec<_>>().into_iter()
}
