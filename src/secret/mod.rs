//! Secrets: reading their values from where the file says they are, once per run and only when a run needs them.
//!
//! Owns the providers, one file each where one needs it, and the values that were read: nobody else keeps one. What it
//! says of a failure has the secret's name and its provider's, never a value. Knows nothing of what values are for.

mod command;
mod error;
mod file;
mod vault;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

pub use error::{Fault, SecretError};

use crate::model::{Secret, SecretFrom, SecretValue};
use crate::names::SecretName;

/// The secrets of a project, and the values of those that were read.
#[derive(Default)]
pub struct Secrets {
    declared: BTreeMap<SecretName, Secret>,
    environment: BTreeMap<String, String>,
    known: Mutex<BTreeMap<SecretName, SecretValue>>,
}

impl Secrets {
    /// The secrets that a file declares. `environment` has the variables that it may name.
    pub fn new(declared: BTreeMap<SecretName, Secret>, environment: BTreeMap<String, String>) -> Self {
        Self { declared, environment, known: Mutex::default() }
    }

    /// The values of these secrets. Those that were not read yet are read now, side by side; all that cannot be read is
    /// told at once.
    pub fn values(&self, names: &BTreeSet<SecretName>) -> Result<BTreeMap<SecretName, SecretValue>, Vec<SecretError>> {
        let unread: Vec<&SecretName> = names.iter().filter(|name| !self.known().contains_key(*name)).collect();
        let read: Vec<(SecretName, Result<SecretValue, SecretError>)> = thread::scope(|scope| {
            let started: Vec<_> = unread.iter().map(|name| (*name, scope.spawn(|| self.read(name)))).collect();
            let ended = |(name, thread): (&SecretName, thread::ScopedJoinHandle<'_, _>)| {
                (name.clone(), thread.join().expect("reading a secret does not panic"))
            };
            started.into_iter().map(ended).collect()
        });
        let mut errors = Vec::new();
        for (name, value) in read {
            match value {
                Ok(value) => drop(self.known().insert(name, value)),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let known = self.known();
        Ok(names.iter().filter_map(|name| Some((name.clone(), known.get(name)?.clone()))).collect())
    }

    /// A text in which every value that was read is hidden: for words that come from elsewhere, such as a guest's.
    pub fn mask(&self, text: &str) -> String {
        // Shorter ones would hide half of every text and tell what they are by what is missing.
        const SHORTEST: usize = 4;
        let known = self.known();
        let mut values: Vec<&str> = known
            .values()
            .filter_map(|value| std::str::from_utf8(value.expose()).ok())
            .flat_map(|value| std::iter::once(value.trim()).chain(value.lines().map(str::trim)))
            .filter(|value| value.len() >= SHORTEST)
            .collect();
        // A value may be the beginning of another one.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.into_iter().fold(text.to_owned(), |text, value| text.replace(value, "***"))
    }

    fn read(&self, name: &SecretName) -> Result<SecretValue, SecretError> {
        let Some(secret) = self.declared.get(name) else {
            return Err(SecretError { name: name.clone(), provider: "none", fault: Fault::Undeclared });
        };
        let read = match &secret.from {
            SecretFrom::Environment(variable) => match self.environment.get(variable) {
                Some(value) => Ok(value.as_bytes().to_vec()),
                None => Err(Fault::Unset { variable: variable.clone() }),
            },
            SecretFrom::File { path, insecure } => file::read(path, *insecure),
            SecretFrom::Command { words, folder } => command::run(words, folder, secret.timeout.0),
            SecretFrom::Sops { path, key } => command::sops(path, key, secret.timeout.0),
            SecretFrom::Vault(field) => vault::read(field, &self.environment, secret.timeout.0),
        };
        let fault = |fault| SecretError { name: name.clone(), provider: secret.from.provider(), fault };
        let value = read.map_err(fault)?;
        if value.is_empty() {
            return Err(fault(Fault::Empty));
        }
        Ok(SecretValue::new(value))
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<SecretName, SecretValue>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Variables of the environment may be secrets as well.
        f.debug_struct("Secrets").field("declared", &self.declared).finish_non_exhaustive()
    }
}
