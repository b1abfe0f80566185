//! The names that cloud-config knows, and the form of the commonest.
//!
//! Owns the list: the keys of all modules of cloud-init 22 to 25, and those of cloud-init itself (its documentation,
//! "Module reference" and "Base configuration"). Knows nothing of the text that is checked.

/// The form that a value must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Not known here.
    Any,
    /// A text; a number or a truth value is a mistake.
    Text,
    /// A truth value.
    Truth,
    /// A list.
    List,
    /// A mapping.
    Mapping,
    /// A list of commands.
    Commands,
    /// A list of files.
    Files,
    /// A list of lists.
    Rows,
    /// A list of texts.
    Texts,
    /// Accounts.
    Users,
}

const KNOWN: &[(&str, Form)] = &[
    ("allow_public_ssh_keys", Form::Truth),
    ("ansible", Form::Mapping),
    ("apk_repos", Form::Mapping),
    ("apt", Form::Mapping),
    ("apt_pipelining", Form::Any),
    ("apt_reboot_if_required", Form::Truth),
    ("apt_update", Form::Truth),
    ("apt_upgrade", Form::Truth),
    ("authkey_hash", Form::Text),
    ("autoinstall", Form::Mapping),
    ("bootcmd", Form::Commands),
    ("byobu_by_default", Form::Any),
    ("ca-certs", Form::Mapping),
    ("ca_certs", Form::Mapping),
    ("chef", Form::Mapping),
    ("chpasswd", Form::Mapping),
    ("cloud_config_modules", Form::List),
    ("cloud_final_modules", Form::List),
    ("cloud_init_modules", Form::List),
    ("create_hostname_file", Form::Truth),
    ("datasource", Form::Mapping),
    ("datasource_list", Form::List),
    ("debug", Form::Any),
    ("def_log_file", Form::Text),
    ("device_aliases", Form::Mapping),
    ("disable_ec2_metadata", Form::Truth),
    ("disable_root", Form::Truth),
    ("disable_root_opts", Form::Text),
    ("disk_setup", Form::Mapping),
    ("drivers", Form::Mapping),
    ("fan", Form::Mapping),
    ("final_message", Form::Text),
    ("fqdn", Form::Text),
    ("fs_setup", Form::List),
    ("groups", Form::Any),
    ("growpart", Form::Mapping),
    ("grub-dpkg", Form::Mapping),
    ("grub_dpkg", Form::Mapping),
    ("hostname", Form::Text),
    ("keyboard", Form::Mapping),
    ("landscape", Form::Mapping),
    ("launch-index", Form::Any),
    ("locale", Form::Any),
    ("locale_configfile", Form::Text),
    ("log_cfgs", Form::List),
    ("lxd", Form::Mapping),
    ("manage_etc_hosts", Form::Any),
    ("manage_resolv_conf", Form::Truth),
    ("manual_cache_clean", Form::Truth),
    ("mcollective", Form::Mapping),
    ("merge_how", Form::Any),
    ("merge_type", Form::Any),
    ("migrate", Form::Truth),
    ("mount_default_fields", Form::List),
    ("mounts", Form::Rows),
    ("network", Form::Mapping),
    ("no_ssh_fingerprints", Form::Truth),
    ("ntp", Form::Any),
    ("output", Form::Mapping),
    ("package_reboot_if_required", Form::Truth),
    ("package_update", Form::Truth),
    ("package_upgrade", Form::Truth),
    ("packages", Form::List),
    ("password", Form::Text),
    ("phone_home", Form::Mapping),
    ("power_state", Form::Mapping),
    ("prefer_fqdn_over_hostname", Form::Truth),
    ("preserve_hostname", Form::Truth),
    ("puppet", Form::Mapping),
    ("random_seed", Form::Mapping),
    ("reporting", Form::Mapping),
    ("resize_rootfs", Form::Any),
    ("resolv_conf", Form::Mapping),
    ("rh_subscription", Form::Mapping),
    ("rpi", Form::Mapping),
    ("rsyslog", Form::Any),
    ("runcmd", Form::Commands),
    ("salt_minion", Form::Mapping),
    ("snap", Form::Mapping),
    ("spacewalk", Form::Mapping),
    ("ssh", Form::Mapping),
    ("ssh_authorized_keys", Form::Texts),
    ("ssh_deletekeys", Form::Truth),
    ("ssh_fp_console_blacklist", Form::Texts),
    ("ssh_genkeytypes", Form::Texts),
    ("ssh_import_id", Form::Texts),
    ("ssh_key_console_blacklist", Form::Texts),
    ("ssh_keys", Form::Mapping),
    ("ssh_publish_hostkeys", Form::Mapping),
    ("ssh_pwauth", Form::Any),
    ("ssh_quiet_keygen", Form::Truth),
    ("swap", Form::Mapping),
    ("system_info", Form::Mapping),
    ("timezone", Form::Text),
    ("ubuntu_advantage", Form::Mapping),
    ("ubuntu_pro", Form::Mapping),
    ("updates", Form::Mapping),
    ("user", Form::Any),
    ("users", Form::Users),
    ("vendor_data", Form::Mapping),
    ("vendor_data2", Form::Mapping),
    ("wireguard", Form::Mapping),
    ("write_files", Form::Files),
    ("yum_repo_dir", Form::Text),
    ("yum_repos", Form::Mapping),
    ("zypper", Form::Mapping),
];

/// The keys of one entry of `write_files`.
pub(super) const FILE: &[&str] = &["append", "content", "defer", "encoding", "owner", "path", "permissions", "source"];

/// The ways to write the content of a file.
pub(super) const ENCODINGS: &[&str] =
    &["b64", "base64", "gz", "gz+b64", "gz+base64", "gzip", "gzip+b64", "gzip+base64", "text/plain"];

/// The keys of one entry of `users`.
pub(super) const USER: &[&str] = &[
    "create_groups",
    "doas",
    "expiredate",
    "gecos",
    "groups",
    "hashed_passwd",
    "homedir",
    "inactive",
    "lock-passwd",
    "lock_passwd",
    "name",
    "no-create-home",
    "no-log-init",
    "no-user-group",
    "no_create_home",
    "no_log_init",
    "no_user_group",
    "passwd",
    "plain_text_passwd",
    "primary-group",
    "primary_group",
    "selinux-user",
    "selinux_user",
    "shell",
    "snapuser",
    "ssh-authorized-keys",
    "ssh-import-id",
    "ssh_authorized_keys",
    "ssh_import_id",
    "ssh_redirect_user",
    "sudo",
    "system",
    "uid",
];

impl Form {
    /// Whether it is a list of something.
    pub(super) fn is_list(self) -> bool {
        matches!(self, Self::List | Self::Commands | Self::Files | Self::Rows | Self::Texts | Self::Users)
    }
}

/// The form of a key's value; `None` where no module knows the key.
pub(super) fn form(key: &str) -> Option<Form> {
    KNOWN.iter().find(|(known, _)| *known == key).map(|(_, form)| *form)
}

pub(super) fn is_known(key: &str) -> bool {
    form(key).is_some()
}

/// The name that someone may have meant: at most a third of its letters are wrong.
pub(super) fn nearest<'a>(name: &str, among: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |known: &&str| strsim::damerau_levenshtein(name, known);
    among.min_by_key(distance).filter(|known| strsim::damerau_levenshtein(name, known) <= (known.len() / 3).max(1))
}

pub(super) fn all() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|(key, _)| *key)
}
