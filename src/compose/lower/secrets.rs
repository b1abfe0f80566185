//! Secrets: where they come from, and which files of a guest they become.
//!
//! Owns the defaults of both. Reads no secret: whether one is there is known when a run needs it.

use std::collections::BTreeMap;

use super::{Declared, Instance, Scope, subject, unknown};
use crate::compose::decode::{At, alternatives};
use crate::compose::diagnostic::Diagnostic;
use crate::compose::place::Place;
use crate::compose::schema::secret::{
    LongSecretUse, LongSops, LongVault, Secret as File, SecretUse, Sops, Vault, Words,
};
use crate::compose::schema::vm::Vm;
use crate::model::cloud_init::SecretFile;
use crate::model::secret::VaultField;
use crate::model::{Secret, SecretFrom};
use crate::names::SecretName;

const PROVIDERS: [&str; 5] = ["environment", "file", "command", "sops", "vault"];
/// Where Vault's own server has its key-value store.
const MOUNT: &str = "secret";

/// Where the values of all secrets come from.
pub(super) fn sources(
    scope: &Scope<'_>,
    declared: &[Declared<SecretName, File>],
    mistakes: &mut Vec<Diagnostic>,
) -> BTreeMap<SecretName, Secret> {
    let source = |secret: &Declared<SecretName, File>| {
        let from = from(scope, secret, mistakes)?;
        let timeout = secret.spec.timeout.as_ref().map_or(Secret::TIMEOUT, |timeout| timeout.value);
        Some((secret.name.clone(), Secret { name: secret.name.clone(), from, timeout }))
    };
    declared.iter().filter_map(source).collect()
}

fn from(scope: &Scope<'_>, secret: &Declared<SecretName, File>, mistakes: &mut Vec<Diagnostic>) -> Option<SecretFrom> {
    let File { environment, file, command, sops, vault, insecure, timeout: _ } = &secret.spec;
    let insecure_file = insecure.as_ref().is_some_and(|flag| flag.value);
    let given = [
        environment.as_ref().map(|name| (name.place, SecretFrom::Environment(name.value.clone()))),
        file.as_ref().map(|path| (path.place, SecretFrom::File { path: scope.path(path), insecure: insecure_file })),
        command.as_ref().map(|At { value: Words(words), place }| {
            (*place, SecretFrom::Command { words: words.clone(), folder: scope.folder(*place) })
        }),
        sops.as_ref().map(|At { value: Sops(LongSops { file, key }), place }| {
            (*place, SecretFrom::Sops { path: scope.path(file), key: key.0.clone() })
        }),
        vault.as_ref().map(|At { value: Vault(long), place }| (*place, SecretFrom::Vault(field(long, mistakes)))),
    ];
    let mut given: Vec<(Place, SecretFrom)> = given.into_iter().flatten().collect();
    if let (Some(flag), None) = (insecure, file) {
        let useless = Diagnostic::error("`insecure` says something about a `file` only");
        mistakes.push(useless.at(flag.place, "there is no `file`"));
    }
    if let [(first, _), (second, _), ..] = given[..] {
        let several = Diagnostic::error(format!("secret `{}` comes from several places", secret.name));
        mistakes.push(several.at(second, "from here").and(first, "or from here?").hint("keep one of them"));
    }
    if given.is_empty() {
        let nowhere = Diagnostic::error(format!("secret `{}` comes from nowhere", secret.name));
        let hint = format!("write one of {}", alternatives(&PROVIDERS));
        mistakes.push(nowhere.at(secret.place, "no source").hint(hint).unless_wrong_within(secret.within));
    }
    given.pop().map(|(_, from)| from)
}

fn field(long: &LongVault, mistakes: &mut Vec<Diagnostic>) -> VaultField {
    let address = long.address.as_ref();
    let web = |address: &&At<String>| ["http://", "https://"].iter().any(|scheme| address.starts_with(scheme));
    if let Some(address) = address.filter(|address| !web(address)) {
        let not = Diagnostic::error(format!("`{}` is not the address of a server", address.value));
        mistakes.push(not.at(address.place, "begins with `http://` or `https://`"));
    }
    VaultField {
        address: address.map(|address| address.value.clone()),
        namespace: long.namespace.clone(),
        mount: long.mount.clone().unwrap_or_else(|| MOUNT.to_owned()),
        path: long.path.clone(),
        field: long.field.clone(),
    }
}

/// The secrets that become files of a vm.
pub(super) fn files(
    instance: &Instance<Vm>,
    declared: &[Declared<SecretName, File>],
    mistakes: &mut Vec<Diagnostic>,
) -> Vec<SecretFile> {
    let Some(given) = &instance.spec.cloud_init else { return Vec::new() };
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    let mut files = Vec::new();
    for SecretUse(wish) in &given.secrets {
        let Some(secret) = declared.iter().find(|secret| secret.name.as_str() == wish.source.value) else {
            let known = declared.iter().map(|secret| secret.name.as_str());
            mistakes.push(unknown("secret", &wish.source, &subject(instance), known));
            continue;
        };
        let path = path(wish, mistakes);
        let place = wish.target.as_ref().map_or(wish.source.place, |target| target.place);
        if let Some(first) = places.insert(path.clone(), place) {
            let twice = Diagnostic::error(format!("{} gets two secrets as `{path}`", subject(instance)));
            mistakes.push(twice.at(place, "the second").and(first, "the first").hint("give one a `target`"));
        }
        files.push(SecretFile {
            source: secret.name.clone(),
            path,
            owner: owner(wish, mistakes),
            mode: mode(wish.mode.as_ref(), mistakes),
        });
    }
    files
}

fn path(wish: &LongSecretUse, mistakes: &mut Vec<Diagnostic>) -> String {
    let credential = wish.credential == Some(true);
    let folder = if credential { SecretFile::CREDENTIALS } else { SecretFile::FOLDER };
    let Some(target) = &wish.target else { return format!("{folder}/{}", wish.source.value) };
    let whole = target.starts_with('/');
    let legal = |c: char| !c.is_control();
    let simple = !target.is_empty() && !target.contains('/') && !matches!(target.as_str(), "." | "..");
    if !target.chars().all(legal) || !(simple || whole && !target.ends_with('/')) {
        let not = Diagnostic::error(format!("`{}` names no file of the guest", target.value));
        mistakes.push(not.at(target.place, "neither a name nor an absolute path"));
    } else if whole && credential {
        let both = Diagnostic::error("a credential has a name, not a path: services ask for it by that");
        mistakes.push(both.at(target.place, "a path").hint("write the name that `LoadCredential=` has"));
    }
    if whole { target.value.clone() } else { format!("{folder}/{}", target.value) }
}

fn owner(wish: &LongSecretUse, mistakes: &mut Vec<Diagnostic>) -> Option<String> {
    let legal = |name: &str| {
        !name.is_empty()
            && !name.starts_with('-')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
    };
    let parts = |owner: &At<String>| owner.split(':').map(str::to_owned).collect::<Vec<_>>();
    for part in [&wish.owner, &wish.uid, &wish.gid].into_iter().flatten() {
        if !parts(part).iter().all(|name| legal(name)) || parts(part).len() > 2 {
            let not = Diagnostic::error(format!("`{}` is not an owner", part.value));
            mistakes.push(not.at(part.place, "expected `user` or `user:group`, by name or number"));
        }
    }
    if let (Some(owner), Some(number)) = (&wish.owner, wish.uid.as_ref().or(wish.gid.as_ref())) {
        let both = Diagnostic::error("`owner` says what `uid` and `gid` say");
        mistakes.push(both.at(number.place, "said again").and(owner.place, "said already"));
    }
    let by_number = || {
        let number = |part: &Option<At<String>>| part.as_ref().map_or("0", |part| part.value.as_str()).to_owned();
        (wish.uid.is_some() || wish.gid.is_some()).then(|| format!("{}:{}", number(&wish.uid), number(&wish.gid)))
    };
    wish.owner.as_ref().map(|owner| owner.value.clone()).or_else(by_number)
}

fn mode(mode: Option<&At<String>>, mistakes: &mut Vec<Diagnostic>) -> String {
    let Some(mode) = mode else { return SecretFile::MODE.to_owned() };
    let octal = (3..=4).contains(&mode.len()) && mode.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    if !octal {
        let not = Diagnostic::error(format!("`{}` are not permissions", mode.value));
        mistakes.push(not.at(mode.place, "three or four octal digits").hint("write `mode: \"0400\"`"));
    }
    mode.value.clone()
}
