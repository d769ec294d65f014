//! Names that are the same in every run: a revision's hash becomes `r1`, `r2` … in the order of appearance, and that of an
//! image that is built `b1`, `b2` …, which people can read. It changes only text.

use std::collections::BTreeMap;

/// The hashes that were seen, with what stands for them.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Hash to `r1`, counted for each object.
    revisions: BTreeMap<String, String>,
    counts: BTreeMap<String, u32>,
}

impl Names {
    /// Learns the revision in a container's name such as `shop.web.3f9a2c71d0.0`.
    pub fn learn(&mut self, container: &str) {
        if let Some((namespace, tag)) =
            container.strip_prefix("evenkeel.local/").and_then(|image| image.split_once(':'))
        {
            return self.learn_build(namespace, tag);
        }
        let parts: Vec<&str> = container.rsplitn(3, '.').collect();
        let [_slot, revision, owner] = parts[..] else { return };
        if revision.len() != 10 || !is_hex(revision) || self.revisions.contains_key(revision) {
            return;
        }
        let count = self.counts.entry(owner.to_string()).or_insert(0);
        *count += 1;
        self.revisions.insert(revision.to_string(), format!("r{count}"));
    }

    fn learn_build(&mut self, namespace: &str, tag: &str) {
        if !is_hex(tag) || self.revisions.contains_key(tag) {
            return;
        }
        let count = self.counts.entry(format!("the builds of {namespace}")).or_insert(0);
        *count += 1;
        self.revisions.insert(tag.to_string(), format!("b{count}"));
    }

    /// An image as the script names it, `evenkeel.local/shop:b2`, by the name that it has.
    pub fn image(&self, shown: &str) -> String {
        let parts = shown.rsplit_once(':').filter(|_| shown.starts_with("evenkeel.local/"));
        let known = parts.and_then(|(name, tag)| {
            let hash = self.revisions.iter().find(|(hash, short)| *short == tag && hash.len() == 16);
            hash.map(|(hash, _)| format!("{name}:{hash}"))
        });
        known.unwrap_or_else(|| shown.to_string())
    }

    /// `text` with every known hash replaced, and every other long one shortened away.
    pub fn show(&self, text: &str) -> String {
        let mut shown = String::new();
        let mut run = String::new();
        for c in text.chars().chain(std::iter::once('\0')) {
            if c.is_ascii_hexdigit() {
                run.push(c);
                continue;
            }
            let hidden = if is_hex(&run) && run.len() >= 20 { Some("…") } else { None };
            shown.push_str(self.revisions.get(&run).map(String::as_str).or(hidden).unwrap_or(&run));
            run.clear();
            if c != '\0' {
                shown.push(c);
            }
        }
        shown
    }
}

fn is_hex(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
}
