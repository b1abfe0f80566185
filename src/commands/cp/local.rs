//! Files and folders of this machine: packed for the way, and put where they belong.
//!
//! Owns that a file is there whole or not at all, and that nothing out of a guest gets past the folder it is meant for.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// What comes out of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A file of this mode and length.
    File { mode: u32, length: u64 },
    /// A folder of this mode, as an archive of what is in it.
    Folder { mode: u32 },
}

impl What {
    /// Reads the line that stands before it.
    pub(super) fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.strip_suffix('\n')?.split(' ').collect();
        let [kind, mode, length] = words.as_slice() else { return None };
        let mode = u32::from_str_radix(mode, 8).ok()?;
        match *kind {
            "file" => Some(Self::File { mode, length: length.parse().ok()? }),
            "folder" => Some(Self::Folder { mode }),
            _ => None,
        }
    }
}

/// The name that a path gives to a copy; nothing where only the contents of a folder are meant.
pub(super) fn name_of(path: &Path) -> io::Result<String> {
    let text = path.to_string_lossy();
    if text == "." || text.ends_with("/.") {
        return Ok(String::new());
    }
    let whole = if path.file_name().is_some() { path.to_owned() } else { path.canonicalize()? };
    Ok(whole.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default())
}

/// Writes an archive of what is in a folder. Links stay links.
pub(super) fn pack(folder: &Path, to: &mut dyn Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(to);
    archive.follow_symlinks(false);
    archive.append_dir_all("", folder)?;
    archive.finish()
}

/// Puts what came out of a guest, where it is called `name`, at `to`: into a folder that is there, else under that name.
pub(super) fn put(what: What, from: &mut dyn Read, name: &str, to: &Path) -> Result<(), Error> {
    let target = if to.is_dir() && !name.is_empty() { to.join(name) } else { to.to_owned() };
    let cannot = |source| Error::Io { path: target.clone(), source };
    match what {
        What::File { mode, length } => put_file(from, &target, to, mode, length).map_err(cannot),
        What::Folder { mode } => put_folder(from, &target, mode).map_err(cannot),
    }
}

fn put_file(from: &mut dyn Read, target: &Path, asked: &Path, mode: u32, length: u64) -> io::Result<()> {
    if asked.to_string_lossy().ends_with('/') && !asked.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "there is no such folder"));
    }
    if target.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
    }
    let new = beside(target);
    let mut write = || {
        let mut file = File::create_new(&new)?;
        let written = io::copy(from, &mut file)?;
        // A file that grew meanwhile is longer than it was, and one of the kernel's has no length.
        if written < length {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the copy was cut short"));
        }
        file.set_permissions(Permissions::from_mode(mode & 0o777))?;
        fs::rename(&new, target)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })
}

fn beside(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".vmcompose-{}", std::process::id()));
    target.with_file_name(name)
}

/// The archive comes from a guest, whom nobody trusts: it is unpacked below the folder and nowhere else.
fn put_folder(from: &mut dyn Read, target: &Path, mode: u32) -> io::Result<()> {
    let new = !target.is_dir();
    if new {
        fs::create_dir(target)?;
    }
    let mut archive = tar::Archive::new(from);
    archive.set_overwrite(true);
    archive.unpack(target)?;
    if new {
        fs::set_permissions(target, Permissions::from_mode(mode & 0o777))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_before_the_bytes_says_what_they_are() {
        assert_eq!(What::read("file 640 12\n"), Some(What::File { mode: 0o640, length: 12 }));
        assert_eq!(What::read("folder 755 0\n"), Some(What::Folder { mode: 0o755 }));
        for line in ["", "file 640 12", "file 8 1\n", "socket 777 0\n", "file 640\n"] {
            assert_eq!(What::read(line), None, "{line:?}");
        }
    }

    #[test]
    fn a_file_goes_into_a_folder_that_is_there_or_gets_the_name_that_is_given() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = What::File { mode: 0o640, length: 3 };
        put(file, &mut &b"abc"[..], "name", folder.path()).expect("copied");
        put(file, &mut &b"abc"[..], "name", &folder.path().join("other")).expect("copied");
        for name in ["name", "other"] {
            let path = folder.path().join(name);
            assert_eq!(fs::read(&path).expect("there"), b"abc");
            assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o640);
        }
        let nowhere = put(file, &mut &b"abc"[..], "name", &folder.path().join("none/"));
        assert!(nowhere.expect_err("no folder").to_string().contains("there is no such folder"));
    }

    #[test]
    fn a_copy_that_was_cut_short_leaves_what_was_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("name");
        fs::write(&path, "before").expect("written");
        let cut = put(What::File { mode: 0o640, length: 9 }, &mut &b"abc"[..], "name", &path);
        assert!(cut.expect_err("cut").to_string().contains("cut short"));
        assert_eq!(fs::read(&path).expect("there"), b"before");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn a_folder_is_the_same_after_the_way_and_an_archive_stays_inside() {
        let folder = tempfile::tempdir().expect("a folder");
        let source = folder.path().join("source");
        fs::create_dir_all(source.join("deep")).expect("made");
        fs::write(source.join("deep/run"), "#!/bin/sh\n").expect("written");
        fs::set_permissions(source.join("deep/run"), Permissions::from_mode(0o750)).expect("set");
        std::os::unix::fs::symlink("deep/run", source.join("link")).expect("made");
        let mut archive = Vec::new();
        pack(&source, &mut archive).expect("packed");
        let target = folder.path().join("target");
        put(What::Folder { mode: 0o700 }, &mut archive.as_slice(), "source", &target).expect("unpacked");
        assert_eq!(fs::read_link(target.join("link")).expect("a link"), PathBuf::from("deep/run"));
        assert_eq!(fs::metadata(target.join("deep/run")).expect("there").permissions().mode() & 0o777, 0o750);

        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().expect("gnu").name[..9].copy_from_slice(b"../escape");
        header.set_size(1);
        header.set_mode(0o644);
        header.set_cksum();
        let mut evil = tar::Builder::new(Vec::new());
        evil.append(&header, &b"x"[..]).expect("appended");
        let evil = evil.into_inner().expect("packed");
        // The crate leaves such an entry out.
        put(What::Folder { mode: 0o700 }, &mut evil.as_slice(), "", &target).expect("unpacked");
        assert!(!folder.path().join("escape").exists());
    }

    #[test]
    fn a_copy_has_the_name_of_what_is_copied() {
        let name = |path: &str| name_of(Path::new(path)).expect("a name");
        assert_eq!([name("a/b"), name("a/b/"), name("a/."), name(".")], ["b", "b", "", ""]);
        assert_eq!(name("src/.."), name(env!("CARGO_MANIFEST_DIR")));
    }
}
