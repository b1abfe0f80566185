//! Which proxy stands between here and a server, by the variables that other programs follow too.
//!
//! Owns their meaning, which is curl's: one proxy for each scheme, and names in `NO_PROXY` that stand for all below them.
//! Knows nothing of requests.

use ureq::Proxy;

/// The proxy for a URL. `variable` is the environment.
pub(super) fn of(url: &str, variable: impl Fn(&str) -> Option<String>) -> Option<Proxy> {
    let either = |lower: &str| {
        let given = |name: &str| variable(name).filter(|text| !text.trim().is_empty());
        given(lower).or_else(|| given(&lower.to_ascii_uppercase()))
    };
    let scheme = if url.starts_with("https:") { "https_proxy" } else { "http_proxy" };
    let proxy = Proxy::new(either(scheme).or_else(|| either("all_proxy"))?.trim()).ok()?;
    let mut built = Proxy::builder(proxy.protocol()).host(proxy.host()).port(proxy.port());
    if let Some(user) = proxy.username() {
        built = built.username(user);
    }
    if let Some(password) = proxy.password() {
        built = built.password(password);
    }
    let without = either("no_proxy").unwrap_or_default();
    for name in without.split([',', ' ']).filter(|name| !name.is_empty()) {
        let name = name.trim_start_matches("*.").trim_start_matches('.');
        built = built.no_proxy(name).no_proxy(&format!(".{name}"));
    }
    built.build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(url: &str, variables: &[(&str, &str)]) -> Option<(String, u16)> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned());
        let proxy = of(url, variable)?;
        let bypassed = proxy.is_no_proxy(&url.parse().expect("a URL"));
        (!bypassed).then(|| (proxy.host().to_owned(), proxy.port()))
    }

    #[test]
    fn each_scheme_has_its_proxy() {
        let both = [("http_proxy", "http://plain:3128"), ("HTTPS_PROXY", "http://u:p@safe:3129")];
        assert_eq!(through("http://h/x", &both), Some(("plain".to_owned(), 3128)));
        assert_eq!(through("https://h/x", &both), Some(("safe".to_owned(), 3129)));
        assert_eq!(through("https://h/x", &both[..1]), None);
        assert_eq!(through("http://h/x", &[("ALL_PROXY", "http://all")]), Some(("all".to_owned(), 80)));
        assert_eq!(through("http://h/x", &[("http_proxy", " "), ("HTTP_PROXY", "up:8")]), Some(("up".to_owned(), 8)));
    }

    #[test]
    fn names_without_a_proxy_stand_for_all_below_them() {
        for without in ["example.org", ".example.org", "*.example.org", "localhost, example.org", "*"] {
            let variables = [("http_proxy", "http://p"), ("no_proxy", without)];
            for host in ["example.org", "mirror.example.org", "EXAMPLE.org"] {
                assert_eq!(through(&format!("http://{host}/x"), &variables), None, "{host} without {without}");
            }
            if without != "*" {
                assert!(through("http://badexample.org/x", &variables).is_some(), "{without}");
            }
        }
    }
}
