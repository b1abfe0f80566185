//! What a guest would be told in vain: cloud-init would pass it over, or fail at it minutes later.
//!
//! Owns these checks of `cloud_init`, each at its place. Looks into no user-data.

use std::collections::BTreeMap;

use crate::compose::decode::At;
use crate::compose::diagnostic::Diagnostic;
use crate::compose::place::Place;
use crate::compose::schema::cloud_init::{CloudInit, UserData};
use crate::compose::suggest;
use crate::seed;

/// Checks what single keys say.
pub(super) fn check(given: &CloudInit, mistakes: &mut Vec<Diagnostic>) {
    let mut accounts: BTreeMap<&str, Place> = BTreeMap::new();
    for user in &given.users {
        if let Some(first) = accounts.insert(&user.name, user.name.place) {
            let twice = Diagnostic::error(format!("account `{}` is given twice", user.name.value));
            mistakes.push(twice.at(user.name.place, "given again here").and(first, "first given here"));
        }
    }
    for package in &given.packages {
        if package.is_empty() || package.contains(char::is_whitespace) {
            let not = Diagnostic::error(format!("`{}` is not the name of a package", package.value));
            mistakes
                .push(not.at(package.place, "no name").hint("write one package per item: `packages: [git, nginx]`"));
        }
    }
    for certificate in &given.ca_certs {
        let whole = ["-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"];
        if !whole.iter().all(|line| certificate.contains(line)) {
            let not = Diagnostic::error("not a certificate in PEM form");
            let hint = "it begins with `-----BEGIN CERTIFICATE-----`; paste the whole text of the file";
            mistakes.push(not.at(certificate.place, "no certificate").hint(hint));
        }
    }
    let parts = given.user_data.iter().flat_map(|UserData(parts)| parts).chain(&given.parts);
    parts.filter_map(|part| part.content_type.as_ref()).for_each(|kind| content_type(kind, mistakes));
    if let Some(At { value: serde_json::Value::Object(entries), place }) = &given.meta_data
        && let Some(key) = ["instance-id", "instance_id"].into_iter().find(|key| entries.contains_key(*key))
    {
        let ours = Diagnostic::error(format!("`{key}` is vmcompose's to set: a guest is set up anew when it changes"));
        mistakes.push(ours.at(*place, format!("remove `{key}`")));
    }
}

fn content_type(kind: &At<String>, mistakes: &mut Vec<Diagnostic>) {
    let known = || seed::CONTENT_TYPES.iter().copied();
    let name = kind.split(';').next().unwrap_or_default().trim();
    if known().any(|known| known == name) || name.starts_with("multipart/") {
        return;
    }
    let unknown =
        Diagnostic::error(format!("cloud-init knows no content type `{}`; it would pass the part over", kind.value));
    let near = suggest::did_you_mean(name, known());
    let hint = near.unwrap_or_else(|| format!("it knows {}", crate::compose::decode::listed(seed::CONTENT_TYPES)));
    mistakes.push(unknown.at(kind.place, "not known").hint(hint));
}
