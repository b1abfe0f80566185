//! `--filter KEY=VALUE`: which rows of a table are meant.
//!
//! Owns the form, and which keys and words each command knows. What a row says to a key is the commands' business.

/// What a row must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Of what.
    pub key: &'static str,
    /// What it must say; `*` stands for anything.
    pub value: String,
}

/// A key, and the words that it can have; any where there are none.
type Key = (&'static str, &'static [&'static str]);

const NAME: Key = ("name", &[]);
/// The key of which every filter must hold.
pub const LABEL: &str = "label";
const STATUS: Key = ("status", &["running", "paused", "saved", "stopped", "crashed", "missing"]);
const HEALTH: Key = ("health", &["healthy", "starting", "unhealthy", "unknown", "none"]);

/// What `ps` knows.
pub(super) fn of_vms(text: &str) -> Result<Filter, String> {
    Filter::read(text, &[NAME, STATUS, HEALTH, (LABEL, &[]), ("image", &[])])
}

/// What `ls` knows.
pub(super) fn of_projects(text: &str) -> Result<Filter, String> {
    Filter::read(text, &[NAME, STATUS, HEALTH])
}

/// What `images` knows.
pub(super) fn of_images(text: &str) -> Result<Filter, String> {
    Filter::read(text, &[NAME, ("vm", &[]), ("format", &["qcow2", "raw"])])
}

/// What `network list` knows.
pub(super) fn of_networks(text: &str) -> Result<Filter, String> {
    let modes = ("mode", ["nat", "isolated", "routed", "bridge", "direct"].as_slice());
    Filter::read(text, &[NAME, ("status", &["running", "stopped"]), modes, ("vm", &[])])
}

/// What `volume list` knows.
pub(super) fn of_volumes(text: &str) -> Result<Filter, String> {
    let kinds = ("kind", ["volume", "disk"].as_slice());
    Filter::read(text, &[NAME, kinds, ("used", &["yes", "no"]), ("vm", &[]), ("pool", &[])])
}

impl Filter {
    fn read(text: &str, keys: &[Key]) -> Result<Self, String> {
        let known = || keys.iter().map(|(key, _)| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        let (key, value) =
            text.split_once('=').ok_or_else(|| format!("it has the form KEY=VALUE, with {}", known()))?;
        let (key, words) =
            keys.iter().find(|(known, _)| *known == key).ok_or_else(|| format!("it is by {}", known()))?;
        if words.is_empty() || words.contains(&value) {
            return Ok(Self { key, value: value.to_owned() });
        }
        Err(format!("`{key}` is one of {}", words.join(", ")))
    }

    /// Whether something says this.
    pub fn fits(&self, said: &str) -> bool {
        matches(&self.value, said)
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text
            .strip_prefix(start)
            .is_some_and(|text| (0..=text.len()).any(|at| text.get(at..).is_some_and(|text| matches(rest, text)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text) in [("db", "db"), ("api-*", "api-12"), ("*", ""), ("*-1", "web-1"), ("a*b*c", "aXbbYc")] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("db", "db2"), ("api-*", "ap"), ("*-1", "web-11"), ("", "a")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_filter_that_can_never_hold_is_told() {
        assert!(of_vms("state=running").is_err_and(|words| words.contains("`status`")));
        assert!(of_vms("status=up").is_err_and(|words| words.contains("running")));
        assert!(of_vms("running").is_err_and(|words| words.contains("KEY=VALUE")));
        assert_eq!(of_vms("label=tier=data"), Ok(Filter { key: LABEL, value: "tier=data".to_owned() }));
    }
}
