//! Secrets in Vault, or in what speaks its language: the key-value store, version 2.
//!
//! Owns the request and what its answers mean. Address and token come from where Vault's own program takes them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::{Zeroize as _, Zeroizing};

use super::error::Fault;
use super::file::LONGEST;
use crate::model::secret::VaultField;

#[derive(Deserialize)]
struct Answer {
    data: Option<Version>,
}

/// One version of a secret; a deleted one has no data.
#[derive(Deserialize)]
struct Version {
    data: Option<Map<String, Value>>,
}

pub(super) fn read(
    field: &VaultField,
    environment: &BTreeMap<String, String>,
    timeout: Duration,
) -> Result<Vec<u8>, Fault> {
    let given = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
    let address = field.address.clone().or_else(|| given("VAULT_ADDR")).ok_or(Fault::NoVault {
        what: "the address of Vault",
        hint: "set `VAULT_ADDR`, or write `address` beside `path`",
    })?;
    let token = token(environment)
        .ok_or(Fault::NoVault { what: "a token for Vault", hint: "run `vault login`, or set `VAULT_TOKEN`" })?;
    let address = address.trim_end_matches('/').to_owned();
    let url = format!("{address}/v1/{}/data/{}", encoded(&field.mount), encoded(&field.path));
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        // A token is for the server that it was meant for, and for no other that this one names.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("vmcompose/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut request = agent.get(&url).header("X-Vault-Token", token.as_str()).header("X-Vault-Request", "true");
    if let Some(namespace) = field.namespace.clone().or_else(|| given("VAULT_NAMESPACE")) {
        request = request.header("X-Vault-Namespace", namespace);
    }
    let refused = |answer: String, hint| Fault::Vault { address: address.clone(), answer, hint };
    let mut response = request.call().map_err(|error| unreachable(&error, &address, timeout))?;
    let status = response.status().as_u16();
    let mut bytes = response
        .body_mut()
        .with_config()
        .limit(LONGEST as u64)
        .read_to_vec()
        .map_err(|error| unreachable(&error, &address, timeout))?;
    let answer = value(status, &bytes, field).map_err(|(answer, hint)| refused(answer, hint));
    bytes.zeroize();
    answer
}

fn unreachable(error: &ureq::Error, address: &str, limit: Duration) -> Fault {
    let answer = match error {
        ureq::Error::Timeout(_) => return Fault::Late { what: address.to_owned(), limit },
        ureq::Error::Io(error) => format!("nothing: {}", error.to_string().to_lowercase()),
        ureq::Error::HostNotFound => "nothing: its name cannot be resolved".to_owned(),
        error => format!("nothing that can be read: {error}"),
    };
    Fault::Vault { address: address.to_owned(), answer, hint: None }
}

/// From the environment, else where `vault login` leaves it.
fn token(environment: &BTreeMap<String, String>) -> Option<Zeroizing<String>> {
    let given = environment.get("VAULT_TOKEN").cloned();
    let left = || std::fs::read_to_string(Path::new(environment.get("HOME")?).join(".vault-token")).ok();
    given.or_else(left).map(|token| Zeroizing::new(token.trim().to_owned())).filter(|token| !token.is_empty())
}

type Refusal = (String, Option<&'static str>);

fn value(status: u16, bytes: &[u8], field: &VaultField) -> Result<Vec<u8>, Refusal> {
    let place = format!("`{}` in `{}`", field.path, field.mount);
    match status {
        200 => {}
        400 | 403 => {
            let hint = "the token may have expired (`vault token lookup`), or may not read this path";
            return Err((format!("{status}: it does not let this token read {place}"), Some(hint)));
        }
        404 => {
            let hint = "`mount` is where the key-value store is, `path` what is below it; it has to be of version 2";
            return Err((format!("404: there is no {place}, or its last version is deleted"), Some(hint)));
        }
        503 => return Err(("503: it is sealed".to_owned(), Some("`vault operator unseal`"))),
        301..=308 => return Err((format!("{status}: it is elsewhere"), Some("write the address that it is at"))),
        status => return Err((format!("{status}"), None)),
    }
    // What is wrong with the answer is not quoted: it is a secret.
    let answer: Answer =
        serde_json::from_slice(bytes).map_err(|_| ("with something that is not Vault's".to_owned(), None))?;
    let fields = answer.data.and_then(|version| version.data).unwrap_or_default();
    match fields.get(&field.field) {
        Some(Value::String(text)) => Ok(text.clone().into_bytes()),
        Some(Value::Null) | None => {
            let names: Vec<String> = fields.keys().map(|name| format!("`{name}`")).collect();
            let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Err((format!("without a field `{}` in {place}; there are {there}", field.field), None))
        }
        Some(other) => Ok(other.to_string().into_bytes()),
    }
}

/// A path within a URL: its slashes stay.
fn encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let encode = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    path.trim_matches('/').bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_encoded_but_for_its_slashes() {
        assert_eq!(encoded("/team a/db?x#y/"), "team%20a/db%3Fx%23y");
    }
}
