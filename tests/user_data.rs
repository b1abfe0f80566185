//! User-data is looked over before a vm boots with it: what is found, and on which line.

use vmcompose::seed::{Severity, check};

/// Each problem as a person would read it, one per line.
fn problems(user_data: &str) -> Vec<String> {
    let told = |problem: vmcompose::seed::Problem| {
        let mark = if problem.severity == Severity::Error { "error" } else { "warning" };
        let hint = problem.hint.map(|hint| format!(" [{hint}]")).unwrap_or_default();
        format!("{}: {mark}: {}{hint}", problem.line, problem.message)
    };
    check(user_data.as_bytes()).into_iter().map(told).collect()
}

fn fine(user_data: &str) {
    assert_eq!(problems(user_data), Vec::<String>::new(), "{user_data}");
}

#[test]
fn what_cloud_init_takes_is_fine() {
    fine("#cloud-config\npackages: [curl]\n");
    fine("#cloud-config\r\npackages:\r\n- curl\r\n");
    fine("\n\n#Cloud-Config\n{\"runcmd\": [\"ls\", [\"sh\", \"-c\", \"true\"]]}\n");
    fine("#cloud-config\n");
    fine("#!/bin/sh\n: unbalanced {[\n");
    fine("#cloud-boothook\nanything");
    fine("#part-handler\nanything");
    fine("#include\n# a comment\nhttps://example.org/a\n\nfile:///etc/b\n");
    fine("#cloud-config-archive\n- type: text/cloud-config\n  content: a\n");
    fine("## template: jinja\n#cloud-config\nhostname: {{ v1.local_hostname }}\n");
    fine("Content-Type: multipart/mixed; boundary=\"b\"\nMIME-Version: 1.0\n\n--b--\n");
    fine("mime-version: 1.0\nContent-Type: multipart/mixed\n");
    assert_eq!(check(b"\x1f\x8b\x08\x00\xff\xfe"), Vec::new());
}

#[test]
fn a_config_with_everything_is_fine() {
    fine(
        "#cloud-config
users:
  - default
  - {name: ada, ssh_authorized_keys: [k], sudo: false, groups: [a]}
ssh_pwauth: no
write_files:
  - {path: /a, content: x, permissions: 0644}
  - {path: /b, content: !!binary aGk=, encoding: gz+b64, permissions: '0600', defer: true}
runcmd:
  - [sleep, 5]
  - &again echo
  - *again
  - \"echo a: b\"
  -
mounts: [[/dev/vdb, /srv]]
locale: false
package_upgrade: \"true\"
merge_how: [{name: list, settings: [append]}]
",
    );
}

#[test]
fn a_first_line_that_cloud_init_does_not_know_is_told_with_what_was_meant() {
    assert_eq!(
        problems("#cloud_config\npackages: [a]"),
        [
            "1: error: `#cloud_config` is not a first line that cloud-init knows; it would ignore everything [did you mean `#cloud-config`?]"
        ]
    );
    for near in ["# cloud-config", "cloud-config", "#cloudconfig", "#clod-config", "#cloud-confyg"] {
        assert!(problems(near)[0].ends_with("[did you mean `#cloud-config`?]"), "{near}: {:?}", problems(near));
    }
    for yaml in ["packages:\n- a", "---\npackages: [a]", "\nruncmd: [a]"] {
        assert!(problems(yaml)[0].ends_with("[write `#cloud-config` on the first line]"), "{yaml}");
    }
    assert!(problems("\nruncmd: [a]")[0].starts_with("2: "));
    assert!(problems("hello")[0].ends_with("[user-data begins with `#cloud-config`, or with `#!` and a program]"));
    assert_eq!(problems(" \n"), ["1: error: user-data is empty"]);
    assert_eq!(
        problems("\u{feff}#cloud-config\n"),
        ["1: error: user-data begins with a byte order mark [save it as UTF-8 without one]"]
    );
    assert_eq!(check(b"#!/bin/sh\n\n\xff")[0].line, 3);
}

#[test]
fn what_is_not_yaml_is_told_with_its_line() {
    let found = problems("#cloud-config\npackages:\n  - a\n - b\n");
    assert!(found.len() == 1 && found[0].starts_with("4: error: cloud-config is not YAML: "), "{found:?}");
    let found = problems("#cloud-config\nruncmd:\n\t- a\n");
    assert!(found.len() == 1 && found[0].starts_with("3: error: cloud-config is not YAML: "), "{found:?}");
    assert_eq!(problems("#cloud-config\n- a\n"), ["2: error: cloud-config must be a mapping of keys; this is a list"]);
}

#[test]
fn a_key_that_no_module_knows_is_told_with_the_nearest() {
    assert_eq!(
        problems("#cloud-config\n\nruncmds: [a]\npackage: [a]\nfrobnicate: 1\n"),
        [
            "3: warning: `runcmds` is not a key of cloud-config; the guest ignores it [did you mean `runcmd`?]",
            "4: warning: `package` is not a key of cloud-config; the guest ignores it [did you mean `packages`?]",
            "5: warning: `frobnicate` is not a key of cloud-config; the guest ignores it",
        ]
    );
}

#[test]
fn a_key_that_is_there_twice_is_told() {
    assert_eq!(
        problems("#cloud-config\nruncmd: [a]\npackages: [b]\nruncmd: [c]\n"),
        ["4: warning: `runcmd` is there twice, first on line 2; the guest takes the last alone [put them together]"]
    );
}

#[test]
fn a_command_must_be_a_text_or_a_list_of_texts() {
    assert_eq!(
        problems(
            "#cloud-config\nruncmd:\n  - echo a: b\n  - 5\n  - [systemctl, yes]\n  - [chmod, 0644, /f]\n  - [[a]]\n"
        ),
        [
            "3: error: `runcmd[0]` must be a text or a list of texts; this is a mapping [a command with `: ` in it must be in quotes]",
            "4: error: `runcmd[1]` must be a text or a list of texts; this is a number [put it in quotes]",
            "5: warning: `yes` in `runcmd[2]` is a truth value, not a text; the guest writes it as `True` or `False` [put it in quotes]",
            "6: warning: `0644` in `runcmd[3]` is a number to the guest, which writes it in another way [put it in quotes]",
            "7: error: `runcmd[4]` must be a list of texts; this is a list",
        ]
    );
    assert_eq!(
        problems("#cloud-config\nbootcmd: |\n  ls\n"),
        ["2: error: `bootcmd` must be a list of commands; this is a text [begin each line with `- `]"]
    );
}

#[test]
fn a_file_needs_an_absolute_path_and_a_text() {
    assert_eq!(
        problems(
            "#cloud-config
write_files:
  - content: a
  - {path: etc/a, content: 1, permissions: 644}
  - {path: /b, contents: a, encoding: hex}
  - /c
"
        ),
        [
            "3: error: `write_files[0]` has no `path`",
            "4: error: `write_files[1].path` must be absolute; this is `etc/a`",
            "4: error: `write_files[1].content` must be a text; this is a number [put it in quotes, or write it after `|`]",
            "4: error: `write_files[1].permissions` is the decimal number 644, not the octal one that it looks like [write `'0644'`]",
            "5: warning: `contents` is not a key of a file; the guest ignores it [did you mean `content`?]",
            "5: error: `hex` is not an encoding that cloud-init knows [write `b64` or `gz+b64`, or leave it out]",
            "6: error: `write_files[3]` must be a mapping with `path` and `content`; this is a text",
        ]
    );
}

#[test]
fn the_forms_of_other_keys() {
    assert_eq!(
        problems(
            "#cloud-config
hostname: 22:22
package_update: maybe
packages: curl
mounts: [/dev/vdb]
ssh_authorized_keys: ssh-ed25519 AAAA
growpart: auto
users:
  - {nam: ada, ssh_authorized_keys: k}
  - 1
"
        ),
        [
            "2: error: `hostname` must be a text; this is a number [put it in quotes]",
            "3: error: `package_update` must be `true` or `false`; this is a text",
            "4: error: `packages` must be a list; this is a text",
            "5: error: `mounts[0]` must be a list; this is a text",
            "6: error: `ssh_authorized_keys` must be a list; this is a text",
            "7: error: `growpart` must be a mapping; this is a text",
            "9: warning: `nam` is not a key of a user; the guest ignores it [did you mean `name`?]",
            "9: error: `users[0].ssh_authorized_keys` must be a list of keys; this is a text",
            "9: error: `users[0]` has no `name`",
            "10: error: `users[1]` must be a name or a mapping with `name`; this is a number",
        ]
    );
}

#[test]
fn includes_templates_and_archives_are_looked_at_as_far_as_they_go() {
    assert_eq!(problems("#include\nhttps://a\n/etc/b\n"), ["3: error: `/etc/b` is not a URL"]);
    assert_eq!(
        problems("## template: jinja\npackages: [a]\n"),
        [
            "2: error: nothing says what the template becomes [after `## template: jinja` write `#cloud-config` or `#!/bin/sh`]"
        ]
    );
    assert_eq!(
        problems("#cloud-config-archive\na: b\n"),
        ["1: error: `#cloud-config-archive` must be followed by a list"]
    );
}

#[test]
fn hostile_text_ends_in_an_error_at_once() {
    let deep = format!("#cloud-config\nruncmd: {}", "[".repeat(100_000));
    assert!(problems(&deep)[0].starts_with("2: error: cloud-config is not YAML: "), "{:?}", problems(&deep));
    let wide = format!("#cloud-config\nruncmd: [{}]", "a,".repeat(200_000));
    assert!(problems(&wide)[0].contains("more than can be looked at"));
    // Aliases are not followed, so that a bomb of them stays small.
    fine("#cloud-config\nruncmd: &a [[b]]\nbootcmd: [*a, *a]\nmounts: [*a]\n");
}
