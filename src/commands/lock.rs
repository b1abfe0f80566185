//! One run per project and hypervisor, and one adoption per hypervisor.
//!
//! Owns the lock file, and asking for the lock that lies on the hypervisor besides. The kernel releases the first when its
//! holder ends, however it ends; a file that is left then means nothing without the lock. Runs of other machines, and of
//! other users, have files of their own, and are kept off by the second.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::backend::libvirt::{Claim, Claimed, Holder, Libvirt, Locked};
use crate::error::Error;
use crate::model::Digest;
use crate::names::ProjectName;
use crate::render::output;

/// Held for as long as it lives.
pub(super) struct Lock {
    file: File,
    path: PathBuf,
    claim: Option<Claim>,
}

impl Lock {
    /// Cancelled when somebody else has the lock all the same.
    pub(super) fn lost(&self) -> CancellationToken {
        self.claim.as_ref().map(|claim| claim.lost().clone()).unwrap_or_default()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.claim.take());
        // Removed while it is still held: whoever waits for it sees that it holds a file that is no longer there.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

/// Takes the lock of `project` on a hypervisor, or says who has it.
pub(super) fn take(project: &ProjectName, hypervisor: &Libvirt) -> Result<Lock, Error> {
    let path = place_of(&project.to_string(), hypervisor)?;
    let here = lock(&path, &holder().words()).map_err(|source| Error::Io { path, source })?;
    claimed(here.map_err(|holder| Error::Locked { holder })?, &Locked::Project(project.clone()), hypervisor)
}

/// Takes the lock of adoption on a hypervisor. It is held for moments, so that one on this machine is waited for.
pub(super) fn adoption(hypervisor: &Libvirt) -> Result<Lock, Error> {
    // No project's name has a dot in it.
    let path = place_of("all.adoption", hypervisor)?;
    let words = holder().words();
    loop {
        let failed = |source| Error::Io { path: path.clone(), source };
        match lock(&path, &words).map_err(failed)? {
            Ok(here) => return claimed(here, &Locked::Adoption, hypervisor),
            Err(_) => await_end(&path).map_err(failed)?,
        }
    }
}

/// Waits until nobody holds the lock of a file.
fn await_end(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(file) => file.lock_shared(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The file that a lock is on this machine.
fn place_of(name: &str, hypervisor: &Libvirt) -> Result<PathBuf, Error> {
    let folder = folder().map_err(|(path, source)| Error::Io { path, source })?;
    // A URI may hold characters that a file name cannot.
    let key = Digest::of(&Sha256::digest(hypervisor.uri().as_bytes()).into());
    Ok(folder.join(format!("{name}-{key}.lock")))
}

/// The same lock, with that on the hypervisor.
fn claimed(mut here: Lock, locked: &Locked, hypervisor: &Libvirt) -> Result<Lock, Error> {
    let holder = Holder { place: place(&here.file), ..holder() };
    let waiting = |other: &str| {
        output::note(&format!(
            "the lock of {locked} on the hypervisor is held by {other}, which gives no sign of life; \
             waiting half a minute to be sure"
        ));
    };
    match hypervisor.claim(locked, &holder, waiting)? {
        Claimed::Ours(claim) => here.claim = Some(claim),
        Claimed::Theirs(holder) => return Err(Error::Locked { holder }),
        // Then this machine's own lock is all there is.
        Claimed::Impossible => {}
    }
    Ok(here)
}

/// This process.
fn holder() -> Holder {
    Holder {
        process: std::process::id(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        since: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        place: String::new(),
    }
}

/// This very file, since this machine was started.
fn place(file: &File) -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let number = file.metadata().map(|data| format!("{}:{}", data.dev(), data.ino())).unwrap_or_default();
    format!("{}:{number}", boot.trim())
}

fn lock(path: &Path, words: &str) -> io::Result<Result<Lock, String>> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match file.try_lock() {
        // Its last holder has removed it since it was opened.
        Ok(()) if !is_at(&file, path) => lock(path, words),
        Ok(()) => {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{words}")?;
            Ok(Ok(Lock { file, path: path.to_owned(), claim: None }))
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder)?;
            let holder = holder.trim();
            Ok(Err(if holder.is_empty() { "it is just starting".to_owned() } else { holder.to_owned() }))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether this is the file that is at this place now.
fn is_at(file: &File, path: &Path) -> bool {
    let number = |data: fs::Metadata| (data.dev(), data.ino());
    matches!((file.metadata().map(number), fs::metadata(path).map(number)), (Ok(own), Ok(there)) if own == there)
}

/// A folder of this user's alone. The system's runtime folder where there is one; else below the one for temporary
/// files, where somebody else could have made it first, and is then refused.
fn folder() -> Result<PathBuf, (PathBuf, io::Error)> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let own = fs::metadata("/proc/self").map(|process| process.uid()).unwrap_or_default();
    let path = match runtime {
        Some(runtime) => runtime.join("vmcompose"),
        None => std::env::temp_dir().join(format!("vmcompose-{own}")),
    };
    let made = fs::DirBuilder::new().mode(0o700).recursive(true).create(&path);
    let whose = made.and_then(|()| fs::symlink_metadata(&path));
    match whose {
        Ok(folder) if folder.is_dir() && folder.uid() == own => Ok(path),
        Ok(_) => Err((path, io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to somebody else"))),
        Err(error) => Err((path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("shop.lock");
        let held = lock(&path, "somebody").expect("a file").expect("free");
        let holder = lock(&path, "somebody else").expect("a file").map(|_| ()).expect_err("held");
        assert_eq!(holder, "somebody");
        drop(held);
        assert!(!path.exists());
        drop(lock(&path, "somebody").expect("a file").expect("free again"));
    }

    #[test]
    fn of_many_who_want_it_one_has_it_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("shop.lock");
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let Ok(Ok(held)) = lock(&path, "somebody") else { continue };
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0, "two at once");
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(held);
                    }
                });
            }
        });
        assert!(!path.exists());
    }
}
