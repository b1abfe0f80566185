//! One HTTP request, and whether its answer is the one that was wanted.

use std::time::Instant;

use regex::Regex;
use serde_json::Value;
use ureq::http::Request;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::{left, network_words, target};
use crate::backend::Attempt;
use crate::model::health::{Http, Tls};

/// As much of an answer as is looked at, in bytes.
const MOST: u64 = 1 << 20;

/// Makes the request. What is asked is what is judged: no redirect is followed, no proxy of this user's comes between.
pub(super) fn request(http: &Http, attempt: &Attempt, deadline: Instant) -> Result<(), String> {
    let (host, _) = target(http.host.as_deref(), http.port, attempt)?;
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(left(deadline)))
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .tls_config(tls_config(http.tls.as_ref())?)
        .user_agent(concat!("vmcompose/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let scheme = if http.tls.is_some() { "https" } else { "http" };
    let slash = if http.path.starts_with('/') { "" } else { "/" };
    let mut request = Request::builder()
        .method(http.method.as_deref().unwrap_or("GET"))
        .uri(format!("{scheme}://{host}:{}{slash}{}", http.port, http.path));
    for (name, value) in &http.headers {
        request = request.header(name, value);
    }
    let request = request.body(()).map_err(|error| format!("no request can be made of this: {error}"))?;
    let mut response = agent.run(request).map_err(|error| http_words(&error))?;
    if !http.expects(response.status().as_u16()) {
        return Err(format!("HTTP {}", response.status()));
    }
    if http.body.is_none() && http.json.is_empty() {
        return Ok(());
    }
    let body = response.body_mut().with_config().limit(MOST).lossy_utf8(true).read_to_string();
    judge(http, &body.map_err(|error| http_words(&error))?)
}

fn judge(http: &Http, body: &str) -> Result<(), String> {
    if let Some(text) = &http.body {
        let wanted = Regex::new(text).map_err(|error| format!("`{text}` is not a regular expression: {error}"))?;
        if !wanted.is_match(body) {
            return Err(format!("the body does not match `{text}`: {}", beginning(body)));
        }
    }
    if http.json.is_empty() {
        return Ok(());
    }
    let found: Value =
        serde_json::from_str(body).map_err(|error| format!("the body is not JSON ({error}): {}", beginning(body)))?;
    for (path, wanted) in &http.json {
        match at(&found, path) {
            Some(value) if same(value, wanted) => {}
            Some(value) => return Err(format!("`{path}` is {}, not {wanted}", beginning(&value.to_string()))),
            None => return Err(format!("the body has no `{path}`: {}", beginning(body))),
        }
    }
    Ok(())
}

/// The value at a path of keys and numbers, such as `checks.0.ok`.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, part| match value {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        other => other.get(part),
    })
}

/// A number is the same however it is written: `1` and `1.0`.
fn same(found: &Value, wanted: &Value) -> bool {
    let (found_number, wanted_number) = (found.as_f64(), wanted.as_f64());
    found == wanted || found_number.is_some_and(|number| wanted_number.map(f64::to_bits) == Some(number.to_bits()))
}

/// The beginning of what came, on one line.
fn beginning(text: &str) -> String {
    const MOST: usize = 80;
    let line: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST).collect();
    if text.trim().chars().count() > MOST { format!("`{line}…`") } else { format!("`{line}`") }
}

fn tls_config(tls: Option<&Tls>) -> Result<TlsConfig, String> {
    let Some(tls) = tls else { return Ok(TlsConfig::default()) };
    let config = TlsConfig::builder().disable_verification(tls.insecure);
    let Some(path) = &tls.ca else { return Ok(config.root_certs(RootCerts::PlatformVerifier).build()) };
    let unreadable = |reason: String| format!("cannot read the authorities in `{}`: {reason}", path.display());
    let pem = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
            Ok(_) => None,
            Err(error) => Some(Err(unreadable(error.to_string()))),
        })
        .collect::<Result<_, _>>()?;
    if certificates.is_empty() {
        return Err(unreadable("there is no certificate in it".to_owned()));
    }
    Ok(config.root_certs(RootCerts::new_with_certs(&certificates)).build())
}

fn http_words(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => network_words(error),
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::HostNotFound => "the host's name cannot be resolved".to_owned(),
        ureq::Error::ConnectionFailed => "connection failed".to_owned(),
        ureq::Error::Protocol(error) => format!("no HTTP: {error}"),
        ureq::Error::BodyExceedsLimit(_) => "the body is longer than 1 MiB".to_owned(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn http(change: impl FnOnce(&mut Http)) -> Http {
        let mut http = Http::get(None, 80, "/".to_owned());
        change(&mut http);
        http
    }

    #[test]
    fn a_body_is_searched() {
        let wanted = http(|http| http.body = Some("(?i)ready: yes".to_owned()));
        assert_eq!(judge(&wanted, "all\nREADY: yes\n"), Ok(()));
        let said = judge(&wanted, "ready:\tno").expect_err("no match");
        assert_eq!(said, "the body does not match `(?i)ready: yes`: `ready: no`");
    }

    #[test]
    fn values_of_json_are_found_by_their_path() {
        let body = r#"{"status": "ok", "checks": [{"ok": true, "n": 1.0}]}"#;
        let wanted = |path: &str, value: Value| http(|http| drop(http.json.insert(path.to_owned(), value)));
        assert_eq!(judge(&wanted("status", json!("ok")), body), Ok(()));
        assert_eq!(judge(&wanted("checks.0.ok", json!(true)), body), Ok(()));
        assert_eq!(judge(&wanted("checks.0.n", json!(1)), body), Ok(()));
        assert_eq!(judge(&wanted("status", json!("up")), body), Err("`status` is `\"ok\"`, not \"up\"".to_owned()));
        assert!(judge(&wanted("checks.1.ok", json!(true)), body).expect_err("absent").contains("no `checks.1.ok`"));
        assert!(judge(&wanted("status", json!("ok")), "<html>").expect_err("no json").contains("not JSON"));
    }
}
