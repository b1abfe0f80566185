//! Secrets in the compose file: what is meant by it, and that it is printed as it was written.

use std::path::Path;

use tempfile::TempDir;
use vmcompose::compose::{self, Parsed, Request};
use vmcompose::model::cloud_init::{CloudInit, SecretFile};
use vmcompose::model::secret::{PasswordHash, VaultField, reference};
use vmcompose::model::{Secret, SecretFrom, Surroundings};
use vmcompose::names::VmName;
use vmcompose::units::Span;

use super::name;

fn parse(folder: &Path, text: &str) -> Parsed {
    std::fs::write(folder.join("vmcompose.yaml"), text).expect("written");
    let request = Request { directory: folder.to_owned(), ..Request::default() };
    let sources = compose::gather(&request).expect("read");
    compose::parse(&sources, &request, &Surroundings::default()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn parsed(text: &str) -> Parsed {
    parse(TempDir::new().expect("a folder").path(), text)
}

fn told(parsed: &Parsed) -> CloudInit {
    *parsed.project.vms[&VmName::new("db").expect("a legal name")].cloud_init.clone().expect("it is told something")
}

const SOURCES: &str = "\
secrets:
  a: { environment: A, timeout: 2m }
  b: { file: keys/b, insecure: true }
  c: { command: [pass, show, c] }
  d: { sops: enc.yaml }
  e: { sops: { file: enc.yaml, key: [db, password] } }
  f: { vault: kv/shop/db#password }
  g: { vault: { path: shop/db, field: password, address: 'https://vault:8200', namespace: team } }
images: { os: os.qcow2 }
vms: { db: { image: os } }
";

#[test]
fn every_source_is_taken_as_it_is_meant() {
    let folder = TempDir::new().expect("a folder");
    let project = parse(folder.path(), SOURCES).project;
    let at = |path: &str| folder.path().join(path);
    let vault = |address: Option<&str>, namespace: Option<&str>, mount: &str| {
        SecretFrom::Vault(VaultField {
            address: address.map(str::to_owned),
            namespace: namespace.map(str::to_owned),
            mount: mount.to_owned(),
            path: "shop/db".to_owned(),
            field: "password".to_owned(),
        })
    };
    let words = ["pass", "show", "c"].map(str::to_owned).to_vec();
    let sops = |key: &[&str]| SecretFrom::Sops {
        path: at("enc.yaml"),
        key: key.iter().map(|part| (*part).to_owned()).collect(),
    };
    let expected = [
        ("a", SecretFrom::Environment("A".to_owned())),
        ("b", SecretFrom::File { path: at("keys/b"), insecure: true }),
        ("c", SecretFrom::Command { words, folder: folder.path().to_owned() }),
        ("d", sops(&[])),
        ("e", sops(&["db", "password"])),
        ("f", vault(None, None, "kv")),
        ("g", vault(Some("https://vault:8200"), Some("team"), "secret")),
    ];
    let timeout = |called| if called == "a" { Span::secs(120) } else { Secret::TIMEOUT };
    let expected =
        expected.map(|(called, from)| (name(called), Secret { name: name(called), from, timeout: timeout(called) }));
    assert_eq!(project.secrets, expected.into());
}

fn with(cloud_init: &str) -> String {
    let secrets = "secrets: { a: { environment: A }, b-c: { environment: B } }";
    format!("{secrets}\nimages: {{ os: os.qcow2 }}\nvms:\n  db:\n    image: os\n    cloud_init:\n{cloud_init}")
}

#[test]
fn files_have_their_places_owners_and_modes() {
    let told = told(&parsed(&with(
        "      secrets:\n        - a\n        - { source: a, target: other, uid: '103' }\n        - { source: b-c, target: \
         /etc/key, owner: 'postgres:ssl', mode: '0440' }\n        - { source: a, credential: true }\n        - { source: \
         b-c, target: tls, credential: true, gid: '7' }\n",
    )));
    let file = |source: &str, path: &str, owner: Option<&str>, mode: &str| SecretFile {
        source: name(source),
        path: path.to_owned(),
        owner: owner.map(str::to_owned),
        mode: mode.to_owned(),
    };
    assert_eq!(
        told.secrets,
        [
            file("a", "/run/secrets/a", None, "0400"),
            file("a", "/run/secrets/other", Some("103:0"), "0400"),
            file("b-c", "/etc/key", Some("postgres:ssl"), "0440"),
            file("a", "/run/credstore/a", None, "0400"),
            file("b-c", "/run/credstore/tls", Some("0:7"), "0400"),
        ]
    );
}

#[test]
fn a_template_writes_a_reference_and_is_printed_as_a_template() {
    let text = with(
        "      user_data: \"#!/bin/sh\\necho {{ secrets.a }}\\n\"\n      runcmd: [[echo, \"{{ secrets['b-c'] }}\"], \"echo ${{ \
         secrets.a ~ project.name }}\"]\n      users: [{ name: ada, password_hash: \"{{ secrets.a }}\" }]\n      config: { chpasswd: { \
         list: \"root:{{ secrets.a }}\" } }\n      write_files: [{ path: /f, content: \"{% raw %}{{ secrets.a }}{% endraw %}\" \
         }]\n",
    );
    let folder = TempDir::new().expect("a folder");
    let first = parse(folder.path(), &text);
    let told = told(&first);
    let (a, b) = (reference(&name("a")), reference(&name("b-c")));
    assert_eq!(told.user_data[0].content, format!("#!/bin/sh\necho {a}\n"));
    assert_eq!(told.users[0].password_hash.as_ref().map(PasswordHash::expose), Some(a.as_str()));
    assert_eq!(told.config["chpasswd"]["list"], format!("root:{a}"));
    assert_eq!(told.write_files[0].content, "{{ secrets.a }}", "what is the guest's own is no reference");
    assert_eq!(told.asks_for(), [name("a"), name("b-c")].into());
    let printed = serde_yaml::to_string(&first.resolved()).expect("printed");
    for shown in ["echo {{ secrets.a }}", "{{ secrets[\"b-c\"] }}", "root:{{ secrets.a }}"] {
        assert!(printed.contains(shown), "{shown} is not in\n{printed}");
    }
    assert!(!printed.contains(&a) && !printed.contains(&b));
}

#[test]
fn a_file_with_user_data_knows_secrets_only_where_it_is_a_template() {
    let folder = TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("run"), "#!/bin/sh\necho ${{ secrets.a }}\n").expect("written");
    let content = |key: &str| {
        let parsed = parse(folder.path(), &with(&format!("      user_data: {{ {key}: run }}\n")));
        told(&parsed).user_data[0].content.clone()
    };
    assert_eq!(content("file"), "#!/bin/sh\necho ${{ secrets.a }}\n");
    assert_eq!(content("template"), format!("#!/bin/sh\necho ${}\n", reference(&name("a"))));
}

#[test]
fn vars_cannot_carry_a_secret_to_where_it_is_seen() {
    let folder = TempDir::new().expect("a folder");
    let text = with("      {}\n").replace("image: os", "image: os\n    labels: { x: \"{{ vars.seen }}\" }");
    let text = format!("vars: {{ seen: \"{{{{ secrets.a }}}}\" }}\n{text}");
    std::fs::write(folder.path().join("vmcompose.yaml"), text).expect("written");
    let request = Request { directory: folder.path().to_owned(), ..Request::default() };
    let sources = compose::gather(&request).expect("read");
    let mistakes = compose::parse(&sources, &request, &Surroundings::default()).expect_err("refused").to_string();
    assert!(mistakes.contains("`secrets` cannot be used here"), "{mistakes}");
}
