//! What was probably meant.
//!
//! Owns the guess. Knows nothing of where the words come from.

/// The nearest of `known` to `word`, as a hint, if one is near enough to be meant.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, known).map(|near| format!("did you mean `{near}`?"))
}

/// The nearest of `known` to `word`.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > 100 {
        return None;
    }
    let plain = word.to_lowercase().replace('-', "_");
    let distance = |candidate: &str| strsim::damerau_levenshtein(&plain, &candidate.to_lowercase().replace('-', "_"));
    // One slip in three letters is a slip; more is another word.
    let most = |candidate: &str| word.chars().count().max(candidate.chars().count()).div_ceil(3).min(3);
    let scored = known.into_iter().map(|candidate| (distance(candidate), candidate));
    scored.filter(|(d, candidate)| *d <= most(candidate)).min().map(|(_, candidate)| candidate)
}

/// Keys that people bring along from other tools, and what does the job here. The words on the right are keys that are
/// only suggested where they are known.
const FOREIGN: [(&str, &str); 36] = [
    ("services", "vms"),
    ("machines", "vms"),
    ("virtual_machines", "vms"),
    ("domains", "vms"),
    ("version", "name"),
    ("variables", "vars"),
    ("variable", "vars"),
    ("storage", "volumes"),
    ("ram", "memory"),
    ("mem", "memory"),
    ("mem_limit", "memory"),
    ("memory_mb", "memory"),
    ("vcpu", "cpus"),
    ("vcpus", "cpus"),
    ("cores", "cpus"),
    ("cpu_count", "cpus"),
    ("count", "replicas"),
    ("scale", "replicas"),
    ("kernel", "boot"),
    ("needs", "depends_on"),
    ("after", "depends_on"),
    ("requires", "depends_on"),
    ("volumes", "disks"),
    ("network", "networks"),
    ("interfaces", "networks"),
    ("os", "image"),
    ("box", "image"),
    ("base", "image"),
    ("userdata", "cloud_init"),
    ("user_data", "cloud_init"),
    ("command", "cloud_init"),
    ("environment", "cloud_init"),
    ("cidr", "subnet"),
    ("ipv4_address", "ip"),
    ("mac_address", "mac"),
    ("test", "exec"),
];

/// A hint for a key that means something elsewhere.
pub(crate) fn foreign_key(key: &str, known: &[&str]) -> Option<String> {
    if key == "version" {
        return Some("a compose file of vmcompose has no version; remove the key".to_owned());
    }
    let plain = key.to_lowercase();
    let (_, ours) = FOREIGN.iter().find(|(theirs, ours)| *theirs == plain && known.contains(ours))?;
    Some(match *ours {
        "cloud_init" => format!("a vm has no `{key}`; its guest is set up with `cloud_init`"),
        ours => format!("here this is called `{ours}`"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_guessed_and_another_word_is_not() {
        let known = ["memory", "cpus", "depends_on", "networks", "ip"];
        for (word, near) in [
            ("memry", Some("memory")),
            ("Memory", Some("memory")),
            ("depends-on", Some("depends_on")),
            ("dependson", Some("depends_on")),
            ("network", Some("networks")),
            ("id", Some("ip")),
            ("banana", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, known), near, "{word}");
        }
    }
}
