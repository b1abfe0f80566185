//! The project's SSH key, and what is remembered of its guests' own keys: files of this user's, one folder for each
//! project and hypervisor.
//!
//! Owns where they are and how they are made: the private half is there whole, readable by its owner alone, or it is not
//! there. What it lets into is recorded on the hypervisor, not here.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey};

use crate::error::Error;
use crate::model::Digest;
use crate::names::{ProjectName, VmName};

const PRIVATE: &str = "id_ed25519";
const PUBLIC: &str = "id_ed25519.pub";
const KNOWN_HOSTS: &str = "known_hosts";

/// The files of a project on one hypervisor.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    /// Of all projects.
    all: PathBuf,
    project: ProjectName,
    folder: PathBuf,
}

impl Keys {
    /// Those of `project` on the hypervisor `uri`. Makes nothing.
    pub(super) fn of(project: &ProjectName, uri: &str) -> Result<Self, Error> {
        let all = state_folder()?.join("keys");
        // A URI may hold characters that a file name cannot.
        let digest = Digest::of(&Sha256::digest(uri.as_bytes()).into());
        let folder = all.join(format!("{project}-{digest}"));
        Ok(Self { all, project: project.clone(), folder })
    }

    /// The public half of the key, where there is one.
    pub(super) fn public(&self) -> Result<Option<String>, Error> {
        read(&self.folder.join(PRIVATE))
    }

    /// The public half of the key, which is made where there is none.
    pub(super) fn make(&self) -> Result<String, Error> {
        if let Some(public) = self.public()? {
            return Ok(public);
        }
        let path = self.folder.join(PRIVATE);
        self.create(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
        // Of two that made one at once, one was first: what is there now is the key.
        let public = self.public()?.ok_or_else(|| vanished(&path))?;
        let beside = self.folder.join(PUBLIC);
        fs::write(&beside, format!("{public}\n")).map_err(|source| Error::Io { path: beside, source })?;
        Ok(public)
    }

    /// The private half to a public one: this project's on any hypervisor, because one has several URIs.
    pub(super) fn private(&self, public: &str) -> Option<PathBuf> {
        let prefix = format!("{}-", self.project);
        let others = fs::read_dir(&self.all).into_iter().flatten().filter_map(Result::ok);
        let others = others.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
        let folders = std::iter::once(self.folder.clone()).chain(others.map(|entry| entry.path()));
        let mut paths = folders.map(|folder| folder.join(PRIVATE));
        paths.find(|path| read(path).is_ok_and(|found| found.is_some_and(|found| same_key(&found, public))))
    }

    /// Where the private half would have to be.
    pub(super) fn place(&self) -> PathBuf {
        self.folder.join(PRIVATE)
    }

    /// The file in which ssh remembers the host key of a vm. What is older than `made`, in seconds since 1970, is the key
    /// of another vm that had the name, and forgotten.
    pub(super) fn known_hosts(&self, vm: &VmName, made: Option<u64>) -> Result<PathBuf, Error> {
        let folder = self.folder.join(KNOWN_HOSTS);
        private_folder(&folder).map_err(|source| Error::Io { path: folder.clone(), source })?;
        let path = folder.join(vm.as_str());
        let written = fs::metadata(&path).and_then(|file| file.modified()).ok();
        let made = made.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
        if written.zip(made).is_some_and(|(written, made)| written < made) {
            self.forget(vm);
        }
        Ok(path)
    }

    /// Forgets the host key of a vm that is made anew. What cannot be removed is asked about by ssh.
    pub(super) fn forget(&self, vm: &VmName) {
        let _ = fs::remove_file(self.folder.join(KNOWN_HOSTS).join(vm.as_str()));
    }

    /// Removes all of it.
    pub(super) fn remove(&self) -> Result<(), Error> {
        match fs::remove_dir_all(&self.folder) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(Error::Io { path: self.folder.clone(), source })
            }
            _ => Ok(()),
        }
    }

    fn create(&self, path: &Path) -> io::Result<()> {
        private_folder(&self.folder)?;
        let comment = format!("vmcompose project {}", self.project);
        let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).map_err(io::Error::other)?;
        key.set_comment(comment);
        let text = key.to_openssh(LineEnding::LF).map_err(io::Error::other)?;
        // Two threads or processes may make it at once: each through a file of its own.
        let own = format!("{PRIVATE}.{}-{:?}.new", std::process::id(), thread::current().id());
        let new = self.folder.join(own);
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            // A link is made only where nothing is: whoever comes second keeps what the first one made.
            match fs::hard_link(&new, path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                linked => linked,
            }?;
            File::open(&self.folder)?.sync_all()
        };
        let written = write();
        let _ = fs::remove_file(&new);
        written
    }
}

/// The user's own private key to one of these public ones, where ssh keeps it by default and nobody has to be asked for a
/// password.
pub(super) fn of_user(authorized: &[String]) -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("HOME")?).join(".ssh");
    of_folder(&folder, authorized)
}

fn of_folder(folder: &Path, authorized: &[String]) -> Option<PathBuf> {
    let files = fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let mut public: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "pub")).collect();
    public.sort();
    let fits = |private: &PathBuf| {
        let Some(key) = fs::read_to_string(private).ok().and_then(|text| PrivateKey::from_openssh(text).ok()) else {
            return false;
        };
        let own = key.public_key().to_openssh();
        !key.is_encrypted() && own.is_ok_and(|own| authorized.iter().any(|public| same_key(&own, public)))
    };
    public.into_iter().map(|path| path.with_extension("")).find(fits)
}

/// What a key is called by ssh: `SHA256:…`.
pub(super) fn fingerprint(public: &str) -> String {
    PublicKey::from_openssh(public).map_or_else(|_| "?".to_owned(), |key| key.fingerprint(HashAlg::Sha256).to_string())
}

fn same_key(a: &str, b: &str) -> bool {
    let data = |text: &str| PublicKey::from_openssh(text).ok().map(|key| key.key_data().clone());
    data(a).is_some_and(|a| Some(a) == data(b))
}

/// The public half of a private key in a file.
fn read(path: &Path) -> Result<Option<String>, Error> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Io { path: path.to_owned(), source }),
    };
    let public = PrivateKey::from_openssh(&text).and_then(|key| key.public_key().to_openssh());
    public.map(Some).map_err(|_| Error::Missing {
        what: format!("`{}` is not a private key", path.display()),
        hint: "put the right one back; or move it away, and the next `up` makes one for the vms that are new"
            .to_owned(),
    })
}

fn vanished(path: &Path) -> Error {
    Error::Io { path: path.to_owned(), source: io::ErrorKind::NotFound.into() }
}

fn private_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).recursive(true).create(folder)
}

/// Where this user's programs keep what must survive (XDG Base Directory Specification).
fn state_folder() -> Result<PathBuf, Error> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || absolute("HOME").map(|home| home.join(".local/state"));
    let folder = absolute("XDG_STATE_HOME").or_else(home).ok_or_else(|| Error::Missing {
        what: "there is no folder for the project's SSH key".to_owned(),
        hint: "set XDG_STATE_HOME or HOME; or give keys of your own, with `ssh: {authorized_keys: …}`".to_owned(),
    })?;
    Ok(folder.join("vmcompose"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn keys(folder: &tempfile::TempDir, name: &str) -> Keys {
        let all = folder.path().join("keys");
        let project = ProjectName::new("shop").expect("legal");
        Keys { folder: all.join(name), all, project }
    }

    #[test]
    fn a_key_is_made_once_and_found_again_by_its_public_half() {
        let folder = tempfile::tempdir().expect("a folder");
        let here = keys(&folder, "shop-1");
        assert_eq!(here.public().expect("readable"), None);
        let public = here.make().expect("made");
        assert_eq!(here.make().expect("there"), public);
        assert!(public.starts_with("ssh-ed25519 ") && public.ends_with(" vmcompose project shop"), "{public}");
        let mode = fs::metadata(here.place()).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // Another URI of the same hypervisor finds it, another key is not taken for it.
        let there = keys(&folder, "shop-2");
        assert_eq!(there.private(&public), Some(here.place()));
        let other = there.make().expect("made");
        assert_eq!(there.private(&other), Some(there.place()));
        here.remove().expect("removed");
        assert_eq!(there.private(&public), None);
    }

    #[test]
    fn of_many_at_once_one_makes_the_key_and_all_have_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let here = keys(&folder, "shop-1");
        let made: BTreeSet<String> = thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(|| here.make().expect("made"))).collect();
            all.into_iter().map(|one| one.join().expect("it ends")).collect()
        });
        assert_eq!(made.len(), 1, "{made:?}");
        let left = fs::read_dir(folder.path().join("keys/shop-1")).expect("a folder").map(|file| file.expect("a file"));
        let left: BTreeSet<_> = left.map(|file| file.file_name()).collect();
        assert_eq!(left, BTreeSet::from([PRIVATE.into(), PUBLIC.into()]));
    }

    #[test]
    fn a_host_key_is_forgotten_when_the_vm_is_younger() {
        let folder = tempfile::tempdir().expect("a folder");
        let here = keys(&folder, "shop-1");
        let vm = VmName::new("db").expect("legal");
        let path = here.known_hosts(&vm, None).expect("a path");
        fs::write(&path, "key").expect("written");
        assert!(here.known_hosts(&vm, Some(1)).expect("a path").exists());
        let later = UNIX_EPOCH.elapsed().expect("after 1970").as_secs() + 60;
        assert!(!here.known_hosts(&vm, Some(later)).expect("a path").exists());
    }

    #[test]
    fn a_key_of_the_users_own_is_found_where_it_lets_in() {
        let folder = tempfile::tempdir().expect("a folder");
        let public = keys(&folder, "shop-1").make().expect("made");
        let ssh = folder.path().join("keys/shop-1");
        fs::write(ssh.join("stray.pub"), "no key").expect("written");
        assert_eq!(of_folder(&ssh, std::slice::from_ref(&public)), Some(ssh.join(PRIVATE)));
        let other = keys(&folder, "shop-2").make().expect("made");
        assert_eq!(of_folder(&ssh, &[other]), None);
        assert_eq!(of_folder(&folder.path().join("absent"), &[public]), None);
    }

    #[test]
    fn what_is_no_key_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let here = keys(&folder, "shop-1");
        here.make().expect("made");
        fs::write(here.place(), "garbage").expect("written");
        assert!(here.make().expect_err("no key").to_string().contains("is not a private key"));
    }
}
