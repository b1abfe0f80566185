//! Which rows are meant: `--filter` as Compose has it.
//!
//! Owns how several filters go together. Knows nothing of what is filtered.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::{Filter, LABEL};

/// Whether a row passes: for each key one of its filters, of labels all. `says` is what the row says to a key.
pub(super) fn passes(filters: &[Filter], says: impl Fn(&str) -> Vec<String>) -> bool {
    let keys: BTreeSet<&str> = filters.iter().map(|filter| filter.key).collect();
    keys.into_iter().all(|key| {
        let said = says(key);
        let holds = |filter: &&Filter| said.iter().any(|said| filter.fits(said));
        let mut of = filters.iter().filter(|filter| filter.key == key);
        if key == LABEL { of.all(|filter| holds(&filter)) } else { of.any(|filter| holds(&filter)) }
    })
}

/// What labels say: each by its key, and with its value.
pub(super) fn labels(labels: &BTreeMap<String, String>) -> Vec<String> {
    labels.iter().flat_map(|(key, value)| [key.clone(), format!("{key}={value}")]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_each_key_and_every_label() {
        let filter = |key, value: &str| Filter { key, value: value.to_owned() };
        let says = |key: &str| match key {
            "name" => vec!["db".to_owned()],
            _ => vec!["tier".to_owned(), "tier=data".to_owned(), "x".to_owned()],
        };
        assert!(passes(&[], says));
        assert!(passes(&[filter("name", "web"), filter("name", "d*")], says));
        assert!(!passes(&[filter("name", "db"), filter("label", "tier=web")], says));
        assert!(passes(&[filter("label", "tier"), filter("label", "x")], says));
        assert!(!passes(&[filter("label", "tier"), filter("label", "y")], says));
    }
}
