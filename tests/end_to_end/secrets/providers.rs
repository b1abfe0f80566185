//! Every provider: what it gives, and what is said where it gives nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use vmcompose::model::secret::VaultField;
use vmcompose::model::{Secret, SecretFrom};
use vmcompose::secret::Secrets;
use vmcompose::units::Span;

use super::{name, variables, write};
use crate::server::{Fate, Server};

const VALUE: &str = "MaRkEr-7f3q9z";

fn secrets(from: SecretFrom, environment: &[(&str, &str)]) -> Secrets {
    limited(from, environment, Secret::TIMEOUT)
}

fn limited(from: SecretFrom, environment: &[(&str, &str)], timeout: Span) -> Secrets {
    let secret = Secret { name: name("db"), from, timeout };
    Secrets::new(BTreeMap::from([(name("db"), secret)]), variables(environment))
}

/// The value, or what is said instead with its hint.
fn read(secrets: &Secrets) -> Result<Vec<u8>, (String, Option<String>)> {
    match secrets.values(&BTreeSet::from([name("db")])) {
        Ok(values) => Ok(values[&name("db")].expose().to_vec()),
        Err(errors) => {
            let [error] = &errors[..] else { panic!("{errors:?}") };
            assert!(!format!("{error} {error:?} {secrets:?}").contains(VALUE));
            Err((error.to_string(), error.fault.hint()))
        }
    }
}

fn value(secrets: &Secrets) -> Vec<u8> {
    read(secrets).unwrap_or_else(|(error, _)| panic!("{error}"))
}

fn refusal(secrets: &Secrets) -> String {
    read(secrets).map(|value| String::from_utf8_lossy(&value).into_owned()).expect_err("it has to be refused").0
}

// --- environment, file ---------------------------------------------------------------------------

#[test]
fn a_variable_is_taken_as_it_is() {
    let from = || SecretFrom::Environment("DB".to_owned());
    assert_eq!(value(&secrets(from(), &[("DB", "a b\n")])), b"a b\n");
    let unset = read(&secrets(from(), &[("OTHER", VALUE)])).expect_err("it is not there");
    assert_eq!(unset.0, "cannot read secret `db` (from `environment`): the variable `DB` is not set");
    assert_eq!(unset.1.as_deref(), Some("set it for this run: `DB=… vmcompose up`, or in `.env`"));
    assert_eq!(refusal(&secrets(from(), &[("DB", "")])), "cannot read secret `db` (from `environment`): it is empty");
}

#[test]
fn a_file_is_taken_byte_by_byte_if_nobody_else_reads_it() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("token");
    let from = |insecure| SecretFrom::File { path: path.clone(), insecure };
    let bytes = b"\x00\xff\r\n\n";
    write(&path, bytes, 0o400);
    assert_eq!(value(&secrets(from(false), &[])), bytes);
    for mode in [0o640, 0o604, 0o620, 0o601] {
        write_over(&path, mode);
        let (error, hint) = read(&secrets(from(false), &[])).expect_err("others may read it");
        assert!(error.ends_with(&format!("token` can be read by others (its mode is {mode:04o})")), "{error}");
        assert!(hint.expect("a way out").contains("`insecure: true`"));
        assert_eq!(value(&secrets(from(true), &[])), bytes);
    }
}

fn write_over(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permitted");
}

#[test]
fn a_file_that_is_none_or_too_long_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let of = |path: PathBuf| refusal(&secrets(SecretFrom::File { path, insecure: true }, &[]));
    assert!(of(folder.path().join("gone")).contains("No such file"), "{}", of(folder.path().join("gone")));
    assert!(of(folder.path().to_owned()).contains("is a directory"), "{}", of(folder.path().to_owned()));
    write(&folder.path().join("long"), &vec![b'x'; (1 << 20) + 1], 0o600);
    assert!(of(folder.path().join("long")).ends_with("it is longer than 1024 KiB"));
}

// --- command, sops -------------------------------------------------------------------------------

fn shell(script: &str, timeout: Span) -> Secrets {
    let words = ["sh", "-c", script].map(str::to_owned).to_vec();
    limited(SecretFrom::Command { words, folder: PathBuf::from("/") }, &[], timeout)
}

#[test]
fn a_command_gives_what_it_prints_but_for_the_last_line_break() {
    let of = |script: &str| value(&shell(script, Secret::TIMEOUT));
    assert_eq!(of("echo a; echo; pwd"), b"a\n\n/");
    assert_eq!(of("printf a; echo not this >&2"), b"a");
    // More than a pipe holds, on both streams, and no reader of its input.
    let much = of("head -c 200000 /dev/zero >&2; head -c 200000 /dev/zero | tr '\\0' x; cat");
    assert_eq!(much.len(), 200_000);
}

#[test]
fn a_command_that_fails_is_quoted_by_its_complaint_alone() {
    // The command itself is no secret, so it has the value in two parts.
    let halves = format!("{}\"\"{}", &VALUE[..4], &VALUE[4..]);
    let of = |script: &str| refusal(&shell(&script.replace("VALUE", &halves), Secret::TIMEOUT));
    assert_eq!(
        of("echo VALUE; echo first >&2; printf 'gpg: no\\033key\\n\\n' >&2; exit 3"),
        "cannot read secret `db` (from `command`): `sh` ended with exit code 3: gpg: no key"
    );
    assert!(of("echo VALUE; kill -9 $$").ends_with("`sh` was ended by signal 9"));
    assert!(of("true").ends_with("it is empty"));
    assert!(of("head -c 3000000 /dev/zero").ends_with("it is longer than 1024 KiB"));
    let none = SecretFrom::Command { words: vec!["no-such-program".to_owned()], folder: PathBuf::new() };
    let none = refusal(&secrets(none, &[]));
    assert!(
        none.starts_with("cannot read secret `db` (from `command`): cannot run `no-such-program`: No such"),
        "{none}"
    );
}

#[test]
fn a_command_that_takes_too_long_is_ended_with_all_it_started() {
    let folder = TempDir::new().expect("a folder");
    let alive = folder.path().join("alive");
    let script = format!("(sleep 61; touch {0}) & echo $! > {0}; wait", alive.display());
    let began = Instant::now();
    let late = refusal(&shell(&script, Span(Duration::from_millis(700))));
    assert!(late.ends_with("`sh` gave no answer within 700ms"), "{late}");
    assert!(began.elapsed() < Duration::from_secs(30));
    let child = std::fs::read_to_string(&alive).expect("its number");
    // A process that was killed is gone, or waits for somebody to notice.
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
    let gone = || state().rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'));
    let deadline = Instant::now() + Duration::from_secs(10);
    while !gone() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert!(gone(), "{}", state());
}

// --- vault ---------------------------------------------------------------------------------------

const PATH: &str = "/v1/team%20kv/data/shop/db";

fn field(server: Option<&Server>) -> SecretFrom {
    SecretFrom::Vault(VaultField {
        address: server.map(|server| server.url("/")),
        namespace: None,
        mount: "team kv".to_owned(),
        path: "shop/db".to_owned(),
        field: "password".to_owned(),
    })
}

fn answer(fields: &str) -> String {
    format!(r#"{{"request_id": "x", "data": {{"data": {fields}, "metadata": {{"version": 3}}}}}}"#)
}

#[test]
fn vault_is_asked_as_its_own_program_asks_it() {
    let server = Server::new();
    server.put(PATH, answer(&format!(r#"{{"password": "{VALUE}", "port": 5432}}"#)).as_bytes(), "1");
    let home = TempDir::new().expect("a folder");
    let home_path = home.path().display().to_string();
    let given = [("VAULT_TOKEN", "hvs.one"), ("VAULT_NAMESPACE", "team"), ("HOME", &home_path)];
    assert_eq!(value(&secrets(field(Some(&server)), &given)), VALUE.as_bytes());
    write(&home.path().join(".vault-token"), b"hvs.two\n", 0o600);
    let left = [("VAULT_ADDR", server.url("")), ("HOME", home_path.clone())];
    let left: Vec<(&str, &str)> = left.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(value(&secrets(field(None), &left)), VALUE.as_bytes());
    let asked = server.requests(PATH);
    let header = |n: usize, name: &str| asked[n].headers.get(name).map(String::as_str);
    assert_eq!((header(0, "x-vault-token"), header(0, "x-vault-namespace")), (Some("hvs.one"), Some("team")));
    assert_eq!((header(1, "x-vault-token"), header(1, "x-vault-namespace")), (Some("hvs.two"), None));
}

#[test]
fn what_vault_refuses_is_told_without_its_answer() {
    let server = Server::new();
    let token = [("VAULT_TOKEN", "hvs.one")];
    let said = |status: u16, body: &str| {
        server.put(PATH, body.as_bytes(), "1");
        let fates = if status == 200 { Vec::new() } else { vec![Fate::Status(status)] };
        server.fates(PATH, &fates);
        let said = refusal(&secrets(field(Some(&server)), &token));
        said.rsplit_once("answered ").expect("an answer").1.to_owned()
    };
    assert_eq!(said(403, ""), "403: it does not let this token read `shop/db` in `team kv`");
    assert_eq!(said(404, ""), "404: there is no `shop/db` in `team kv`, or its last version is deleted");
    assert_eq!(said(503, ""), "503: it is sealed");
    assert_eq!(said(500, ""), "500");
    assert_eq!(said(307, ""), "307: it is elsewhere");
    let other = answer(&format!(r#"{{"user": "{VALUE}", "url": "{VALUE}"}}"#));
    assert_eq!(said(200, &other), "without a field `password` in `shop/db` in `team kv`; there are `url`, `user`");
    assert_eq!(said(200, VALUE), "with something that is not Vault's");
    assert_eq!(said(200, r#"{"data": null}"#), "without a field `password` in `shop/db` in `team kv`; there are none");
}

#[test]
fn vault_needs_an_address_and_a_token_and_an_answer() {
    let (no_address, hint) = read(&secrets(field(None), &[("VAULT_TOKEN", VALUE)])).expect_err("no address");
    assert_eq!(no_address, "cannot read secret `db` (from `vault`): the address of Vault is not known");
    assert_eq!(hint.as_deref(), Some("set `VAULT_ADDR`, or write `address` beside `path`"));
    let (server, address) = (Server::new(), ("VAULT_ADDR", "http://127.0.0.1:1"));
    assert!(refusal(&secrets(field(None), &[address])).ends_with("a token for Vault is not known"));
    let nobody = refusal(&secrets(field(None), &[address, ("VAULT_TOKEN", VALUE)]));
    assert!(nobody.contains("`http://127.0.0.1:1` answered nothing: "), "{nobody}");
    server.put(PATH, b"", "1");
    server.fates(PATH, &[Fate::Silent]);
    let silent = limited(field(Some(&server)), &[("VAULT_TOKEN", "t")], Span(Duration::from_millis(300)));
    assert!(refusal(&silent).ends_with("gave no answer within 300ms"), "{}", refusal(&silent));
}

// --- all of them ---------------------------------------------------------------------------------

#[test]
fn all_that_cannot_be_read_is_told_at_once_and_what_was_read_is_not_read_again() {
    let folder = TempDir::new().expect("a folder");
    let count = folder.path().join("count");
    let script = format!("echo x >> {}; echo {VALUE}", count.display());
    let words = ["sh", "-c", &script].map(str::to_owned).to_vec();
    let from = |called: &str| match called {
        "read" => SecretFrom::Command { words: words.clone(), folder: PathBuf::new() },
        called => SecretFrom::Environment(called.to_uppercase()),
    };
    let declared = ["read", "one", "two"]
        .map(|called| (name(called), Secret { name: name(called), from: from(called), timeout: Secret::TIMEOUT }));
    let secrets = Secrets::new(BTreeMap::from(declared), BTreeMap::new());
    let all = ["read", "one", "two", "undeclared"].map(name).into();
    let errors: Vec<String> =
        secrets.values(&all).expect_err("three of four").iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "cannot read secret `one` (from `environment`): the variable `ONE` is not set",
            "cannot read secret `two` (from `environment`): the variable `TWO` is not set",
            "cannot read secret `undeclared` (from `none`): the file does not declare it",
        ]
    );
    assert_eq!(secrets.values(&[name("read")].into()).expect("read")[&name("read")].expose(), VALUE.as_bytes());
    assert_eq!(std::fs::read_to_string(&count).expect("counted"), "x\n");
}

#[test]
fn values_that_were_read_are_hidden_in_words_from_elsewhere() {
    let from = |called: &str| Secret {
        name: name(called),
        from: SecretFrom::Environment(called.to_uppercase()),
        timeout: Secret::TIMEOUT,
    };
    let declared = ["long", "short", "lines"].map(|called| (name(called), from(called)));
    let given = [("LONG", "hunter2hunter2"), ("SHORT", "abc"), ("LINES", "-----\nline one\nhunter2\n")];
    let secrets = Secrets::new(BTreeMap::from(declared), variables(&given));
    let said = "psql: hunter2hunter2 is wrong, so is abc; line one";
    assert_eq!(secrets.mask(said), said, "nothing is known yet");
    secrets.values(&["long", "short", "lines"].map(name).into()).expect("read");
    assert_eq!(secrets.mask(said), "psql: *** is wrong, so is abc; ***");
}
