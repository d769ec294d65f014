//! Manifests of up to a MiB that stay just within the limits of a source (50,000 values, 2,000 documents), so that every rule
//! looks at all of them: one that costs the square of their number shows here. What exceeds a limit is refused early and costs little.

use crate::targets::large::{HEAD, document, fill};

/// Names with parts: two values each.
const FIELDS: usize = 24_500;
/// Texts in a list.
const ITEMS: usize = 49_000;

/// A name for people, and the text.
type Text = (&'static str, String);

/// The manifests.
pub fn manifests(size: usize) -> Vec<Text> {
    [alone(size), repeated(size), between(size)].into_iter().flatten().collect()
}

/// `count` parts with a number in the place of each `#`, as far as they have room.
fn some(part: &str, count: usize, size: usize) -> String {
    let mut text = String::new();
    for number in 0..count {
        let next = part.replace('#', &format!("{number:05}"));
        if text.len() + next.len() > size {
            break;
        }
        text.push_str(&next);
    }
    text
}

fn template(rest: &str) -> String {
    document("Deployment", &format!("{{template: {{image: 'web:1', {rest}}}}}"))
}

/// What stands in one object.
fn alone(size: usize) -> Vec<Text> {
    let size = size - 1_000;
    let fields = |field: &str, part: &str| template(&format!("{field}: {{{}}}", some(part, FIELDS, size)));
    let items =
        |field: &str, part: &str, values: usize| template(&format!("{field}: [{}]", some(part, ITEMS / values, size)));
    let data = |part: &str| document("ConfigMap", &format!("{{data: {{{}}}}}", some(part, FIELDS, size)));
    let variables = |part: &str| document("Namespace", &format!("{{variables: {{{}}}}}", some(part, FIELDS, size)));
    let gates = |part: &str, values: usize| {
        let gates = some(part, ITEMS / values, size);
        document("Deployment", &format!("{{template: {{image: 'web:1'}}, gates: {{after: [{gates}]}}}}"))
    };
    let quiesce = document(
        "CronJob",
        &format!(
            "{{schedule: '@daily', template: {{image: 'web:1', dependsOn: [{}]}}, quiesce: [{}]}}",
            some("{deployment: d#}, ", 10_000, size / 2),
            some("a#, ", 15_000, size / 2)
        ),
    );
    let lines = some("{port: 1, hostPort: 2#}, ", 9_500, size).replace("90}, ", "90},\n  ");
    vec![
        ("many data", data("a#: b, ")),
        ("many data with wrong keys", data("'a #': b, ")),
        ("many variables", variables("a#: b, ")),
        ("many variables with wrong names", variables("'a #': b, ")),
        ("many env", fields("env", "A#: b, ")),
        ("many env with wrong names", fields("env", "'A #': b, ")),
        ("many env of a key", fields("env", "A#: {configMap: c, key: k}, ")),
        ("many env and one mistake", fields("args: [[]], env", "A#: b, ")),
        ("many labels", fields("labels", "a#: b, ")),
        ("many reserved labels", fields("labels", "evenkeel.dev/#: b, ")),
        ("many hosts", fields("extraHosts", "h#: 1.1.1.1, ")),
        ("many wrong hosts", fields("extraHosts", "h#: x, ")),
        ("many sysctls", fields("sysctls", "a.#: b, ")),
        ("many wrong sysctls", fields("sysctls", "a#: b, ")),
        ("many wrong ulimits", fields("ulimits", "nofilf#: 1, ")),
        (
            "many unknown options of logs",
            fields("logging: {driver: json-file, options", "max-filf#: b, ").replace("}}}\n", "}}}}\n"),
        ),
        ("many unknown fields", template(&some("imagePullPolicz#: b, ", FIELDS, size))),
        ("many unknown long fields", template(&some(&format!("{}#: b, ", "imagePullPolicz".repeat(4)), FIELDS, size))),
        ("many wrong values", items("ports", "{port: x#}, ", 3)),
        ("many required env", items("requiredEnv", "A#, ", 1)),
        ("many wrong capabilities", items("capabilities: {add", "NET_ADMIM#, ", 1).replace("]}}\n", "]}}}\n")),
        ("many groups", items("groupAdd", "a#, ", 1)),
        ("many arguments", items("args", "a#, ", 1)),
        ("many aliases", items("networks: [{name: default, aliases", "a#, ", 1).replace("]}}\n", "]}]}}\n")),
        (
            "many aliases in lines",
            items("networks: [{name: default, aliases", "a#, ", 1)
                .replace("00, ", "00,\n  ")
                .replace("]}}\n", "]}]}}\n"),
        ),
        ("many host ports", items("ports", "{port: 1, hostPort: 2#}, ", 5)),
        ("many host ports in lines", template(&format!("ports: [{lines}]"))),
        ("many mounts", items("mounts", "{tmpfs: {}, path: /p#}, ", 5)),
        ("many volumes", items("mounts", "{volume: v#, path: /p#}, ", 5)),
        ("many networks", items("networks", "n#, ", 1)),
        ("many dependencies", items("dependsOn", "{job: j#}, ", 3)),
        ("many pull secrets", items("imagePullSecrets", "s#, ", 1)),
        ("many gates", gates("{job: j#}, ", 3)),
        ("many gates by a port's name", gates("{tcpSocket: {port: x#}}, ", 4)),
        ("many quiesced", quiesce),
        (
            "a Secret with many files",
            document("Secret", &format!("{{files: {{{}}}}}", some("a#: /nowhere/#, ", FIELDS, size))),
        ),
        (
            "a Secret with many files of variables",
            document("Secret", &format!("{{envFiles: [{}]}}", some("/nowhere/#, ", ITEMS, size))),
        ),
        ("many numbers", items("args: [], ports", "{port: 99999999999999999999}, ", 3)),
        ("a long number", template(&format!("hostname: {}", fill("9", size)))),
        ("a deep list", format!("a: {}", fill(&format!("- {}x{}\n", fill("[", 60), fill("]", 60)), size))),
    ]
}

/// What aliases and defaults repeat.
fn repeated(size: usize) -> Vec<Text> {
    let half = fill("x", size / 2);
    let quoted = some("'?a#'? ", 140, 1_000);
    let wrong = |number: usize| format!("  ? \"{number}{quoted}\"\n  : b\n");
    let wrong: String = (0..100).map(wrong).collect();
    vec![
        ("a long text repeated", format!("- &a {half}\n{}", fill("- *a\n", size / 2))),
        ("a long name repeated", format!("- &a {{{}: b}}\n{}", fill("x", 1_000), fill("- *a\n", size / 2))),
        ("a long key repeated", format!("- ? &a \"{half}\"\n  : b\n{}", fill("- *a : b\n", size / 2))),
        (
            "a Secret with many quotes",
            format!("{HEAD}kind: Secret\nmetadata: {{name: web}}\nx: {}\nspec:\n{wrong}", fill("y", size * 8 / 10)),
        ),
        (
            "a Secret with many mistakes at its end",
            format!(
                "{HEAD}kind: Secret\nmetadata: {{name: web}}\nx: {}\nspec:\n{}",
                fill("y", size * 9 / 10),
                some("  'a b#': b\n", 100, size)
            ),
        ),
        (
            "defaults in a long text",
            document("ConfigMap", &format!("{{data: {{a: '{}{}'}}}}", fill("${A:-", size / 2), fill("}", size / 10))),
        ),
        (
            "short defaults",
            document("ConfigMap", &format!("{{data: {{a: '{}'}}}}", fill("${A:-${A:-${A:-${A:-x}}}}", size))),
        ),
    ]
}

/// What stands in one object about others.
fn between(size: usize) -> Vec<Text> {
    let size = size - 2_000;
    let content = |part: &str| {
        format!(
            "{HEAD}kind: ConfigMap\nmetadata: {{name: c}}\nspec: {{data: {{{}}}}}\n---\n",
            some(part, 12_000, size / 2)
        )
    };
    let user = |rest: &str| {
        format!("{HEAD}kind: Deployment\nmetadata: {{name: web}}\nspec: {{template: {{image: 'web:1', {rest}}}}}\n")
    };
    let documents = |kind: &str, spec: &str, count: usize| {
        some(&format!("{HEAD}kind: {kind}\nmetadata: {{name: w#}}\nspec: {spec}\n---\n"), count, size)
    };
    let namespace = format!(
        "{HEAD}kind: Namespace\nmetadata: {{name: default}}\nspec: {{variables: {{{}}}}}\n---\n",
        some("A#: b, ", 12_000, size / 2)
    );
    let files = |text: &dyn Fn(usize) -> String, each: usize, count: usize| -> String {
        let file = |file: usize| {
            format!("=== f{file}.yaml\n{}", (0..each).map(|one| text(file * each + one)).collect::<String>())
        };
        let mut all = String::new();
        for next in (0..count.div_ceil(each)).map(file) {
            if all.len() + next.len() > size {
                break;
            }
            all.push_str(&next);
        }
        all
    };
    let named = |kind: &str, name: usize, spec: &str| {
        format!("{HEAD}kind: {kind}\nmetadata: {{name: w{name}}}\nspec: {spec}\n---\n")
    };
    let chain =
        |name: usize| named("Job", name, &format!("{{template: {{image: a, dependsOn: [{{job: w{}}}]}}}}", name + 1));
    let big = format!("=== big.txt\n{}\n", fill("x", size / 2));
    vec![
        (
            "variables of many, for many",
            format!("{namespace}{}", documents("ConfigMap", "{data: {a: '${A00001}'}}", 1_600)),
        ),
        (
            "variables that are not set, of many",
            format!("{namespace}{}", documents("ConfigMap", "{data: {a: '${B00001}${B0}'}}", 900)),
        ),
        (
            "many keys that are not there",
            format!(
                "{}{}",
                content("k#: b, "),
                user(&format!("env: {{{}}}", some("A#: {configMap: c, key: l#}, ", 4_000, size / 2)))
            ),
        ),
        (
            "many keys",
            format!(
                "{}{}",
                content("k#: b, "),
                user(&format!("env: {{{}}}", some("A#: {configMap: c, key: k#}, ", 4_000, size / 2)))
            ),
        ),
        (
            "many env from many",
            format!(
                "{}{}",
                content("k#: b, "),
                user(&format!("envFrom: [{}]", some("{configMap: c, prefix: p#}, ", 4_500, size / 2)))
            ),
        ),
        (
            "many env from many, with wrong keys",
            format!(
                "{}{}",
                content("9#: b, "),
                user(&format!("envFrom: [{}]", fill("{configMap: c}, ", size / 2))).replace(", ]", "]")
            ),
        ),
        (
            "many required of many",
            format!(
                "{}{}",
                content("k#: b, "),
                user(&format!("envFrom: [{{configMap: c}}], requiredEnv: [{}]", some("l#, ", 20_000, size / 2)))
            ),
        ),
        (
            "many that require of many",
            format!(
                "{}{}",
                content("k#: b, "),
                documents(
                    "Deployment",
                    "{template: {image: a, envFrom: [{configMap: c}], requiredEnv: [k00001]}}",
                    900
                )
            ),
        ),
        (
            "many that have an environment of many",
            format!(
                "{}{}",
                content("k#: b, "),
                documents("Deployment", "{template: {image: a, envFrom: [{configMap: c}]}}", 900)
            ),
        ),
        ("files with many Deployments", files(&|name| named("Deployment", name, "{template: {image: a}}"), 20, 2_000)),
        ("files with many ConfigMaps", files(&|name| named("ConfigMap", name, "{}"), 20, 2_000)),
        ("files with many Jobs", files(&|name| named("Job", name, "{template: {image: a}}"), 20, 2_000)),
        ("files with many Networks", files(&|name| named("Network", name, "{}"), 20, 2_000)),
        ("files with many Namespaces", files(&|name| named("Namespace", name, "{variables: {A: b}}"), 20, 2_000)),
        ("files with many unknown kinds", files(&|name| named("Deploymend", name, "{}"), 20, 2_000)),
        (
            "files with a mistake in each document",
            files(&|name| named("Deployment", name, "{template: {image: a, agrs: []}}"), 20, 2_000),
        ),
        (
            "files with many mistakes between objects",
            files(&|name| named("Deployment", name, "{template: {image: a, networks: [x]}}"), 20, 2_000),
        ),
        ("a chain", files(&chain, 20, 2_000)),
        (
            "a circle of many",
            files(&chain, 20, 1_900)
                + &format!(
                    "=== g.yaml\n{}",
                    named(
                        "Job",
                        1_900,
                        &format!("{{template: {{image: a, dependsOn: [{}]}}}}", some("{job: w1}, ", 3_000, size / 5))
                    )
                ),
        ),
        (
            "Jobs without images",
            files(&|name| named("Job", name, "{template: {}}"), 20, 1_000)
                + &files(
                    &|name| {
                        named(
                            "Deployment",
                            name,
                            &format!("{{template: {{image: a}}, gates: {{before: [{{job: w{name}}}]}}}}"),
                        )
                    },
                    20,
                    1_000,
                )
                .replace("=== f", "=== g"),
        ),
        (
            "a gate and dependencies",
            document(
                "Deployment",
                &format!(
                    "{{template: {{image: a, dependsOn: [{}]}}, gates: {{after: [{}]}}}}",
                    some("{job: j#}, ", 7_000, size / 2),
                    some("{job: k#}, ", 7_000, size / 2)
                ),
            ),
        ),
        (
            "a large file for many keys",
            format!(
                "{big}=== c.yaml\n{}",
                document("ConfigMap", &format!("{{files: {{{}}}}}", some("a#: big.txt, ", 24_000, size / 2)))
            ),
        ),
        (
            "a large file for many ConfigMaps",
            format!("{big}=== c.yaml\n{}", documents("ConfigMap", "{files: {a: big.txt}}", 900)),
        ),
        (
            "names of many ConfigMaps' files",
            files(
                &|name| {
                    format!(
                        "{HEAD}kind: ConfigMap\nmetadata: {{name: w{name}}}\nspec: {{files: {{a: a{name}.yaml, b: '${{B}}{name}.yaml', c: '${{C}}.yaml'}}}}\n---\n"
                    )
                },
                4,
                2_000,
            ),
        ),
        (
            "ports of the host",
            files(
                &|name| named("Deployment", name, "{template: {image: a, hostNetwork: true, ports: [{port: 80}]}}"),
                20,
                1_700,
            ),
        ),
    ]
}
