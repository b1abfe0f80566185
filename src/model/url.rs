//! URLs of boot media, legal by construction, and safe to show.
//!
//! Owns which part of a URL may be seen: a password before the host or a token in the query never is. Knows nothing of
//! HTTP.

use std::fmt;
use std::str::FromStr;

/// An absolute `http` or `https` URL (RFC 3986). Its `Display` and `Debug` leave out what may be secret.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Url(String);

/// Why a text is not a URL that can be downloaded from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Another scheme, or none.
    #[error("`{0}` does not start with `http://` or `https://`")]
    Scheme(String),
    /// There is no host in it.
    #[error("`{0}` names no host")]
    Host(String),
    /// A character that must be percent-encoded.
    #[error("a URL must not have `{}` in it; write it percent-encoded", .0.escape_default())]
    Character(char),
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        // The scheme and the host are the same in either case (RFC 3986, 6.2.2.1); only the scheme is looked at here.
        let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
        let rest = if lower.starts_with("https://") {
            &text[8..]
        } else if lower.starts_with("http://") {
            &text[7..]
        } else {
            return Err(UrlError::Scheme(without_secrets(text)));
        };
        if let Some(wrong) = text.chars().find(|c| !c.is_ascii_graphic() || "<>\"{}|\\^`".contains(*c)) {
            return Err(UrlError::Character(wrong));
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        if host.is_empty() || host.starts_with(':') {
            return Err(UrlError::Host(without_secrets(text)));
        }
        // A fragment is never sent, so it makes no difference to what is downloaded.
        Ok(Self(text.split('#').next().unwrap_or_default().to_owned()))
    }
}

impl Url {
    /// All of it, with what may be secret.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is protected on its way.
    pub fn is_https(&self) -> bool {
        self.0.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
    }

    /// Path and query apart, both without user and password. The query may still be secret.
    pub fn parts(&self) -> (String, Option<String>) {
        let shown = without_user(&self.0);
        match shown.split_once('?') {
            Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
            None => (shown, None),
        }
    }

    /// The last part of the path, percent-decoded, made of letters, digits, `.`, `-` and `_` only.
    pub fn file_name(&self) -> String {
        let path = self.0.split('?').next().unwrap_or_default();
        let after_host = path.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
        let last = after_host.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
        plain(&percent_decoded(last))
    }
}

/// Makes a file name of a text: no separators, no leading dot, not too long for a file system.
pub fn plain(text: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = text.chars().map(legal).collect();
    let name = name.trim_start_matches('.');
    // The end counts: it tells the format.
    let name = &name[name.len().saturating_sub(100)..];
    if name.is_empty() { "image".to_owned() } else { name.to_owned() }
}

fn percent_decoded(text: &str) -> String {
    let hex = |byte: u8| char::from(byte).to_digit(16);
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = (bytes.get(at + 1).copied().and_then(hex), bytes.get(at + 2).copied().and_then(hex));
        if let (b'%', (Some(high), Some(low))) = (bytes[at], pair) {
            decoded.push(u8::try_from(high * 16 + low).unwrap_or_default());
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn without_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

fn without_secrets(text: &str) -> String {
    let shown = without_user(text);
    match shown.split_once('?') {
        Some((path, _)) => format!("{path}?…"),
        None => shown,
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&without_secrets(&self.0))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().expect("legal")
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        let url = url("https://me:hunter2@example.org/a.qcow2?token=s3cret#x");
        for shown in [url.to_string(), format!("{url:?}")] {
            assert!(!shown.contains("hunter2") && !shown.contains("s3cret"), "{shown}");
        }
        assert_eq!(url.parts(), ("https://example.org/a.qcow2".to_owned(), Some("token=s3cret".to_owned())));
        let error = "ftp://me:hunter2@example.org/".parse::<Url>().expect_err("another scheme").to_string();
        assert_eq!(error, "`ftp://example.org/` does not start with `http://` or `https://`");
    }

    #[test]
    fn file_names_are_plain() {
        for (text, name) in [
            ("https://h/x/debian-12.qcow2", "debian-12.qcow2"),
            ("https://h/x/a%20b%2Fc.img?y=/z", "a_b_c.img"),
            ("https://h/..", "image"),
            ("https://h/%2e%2e%2fetc", "_etc"),
            ("https://h", "image"),
            ("https://h/dir/", "dir"),
            ("https://h/100%", "100_"),
        ] {
            assert_eq!(url(text).file_name(), name, "{text}");
        }
        assert_eq!(url(&format!("https://h/{}.qcow2", "a".repeat(300))).file_name().len(), 100);
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in ["", "debian:12", "file:///etc/passwd", "https://", "http:///x", "https://u@/x", "https://h/a b"] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
        assert!(url("HTTPS://Example.org/").is_https() && !url("http://h/").is_https());
    }
}
