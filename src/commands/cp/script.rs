//! What is done in the guest: four scripts for any shell, and what each is given.
//!
//! Owns the rules for targets: into a folder that is there, else under the name that is given. Needs `tar` in the guest
//! for folders, and nothing that a small system lacks for files.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::channel::Channel;
use super::local::{self, What};
use crate::error::Error;
use crate::render::terminal;

/// Writes a file: `$1` where to, `$2` its own name, `$3` its mode, `$4` its length. It is there whole, or as it was.
const PUT_FILE: &str = r#"set -e
case $1 in */) test -d "$1" || { echo "$1: there is no such folder" >&2; exit 1; } ;; esac
t=$1; if [ -d "$t" ]; then t=${t%/}/$2; fi
if [ -L "$t" ]; then t=$(readlink -f "$t"); fi
if [ -d "$t" ]; then echo "$t: is a folder" >&2; exit 1; fi
n=$t.vmcompose-$$; trap 'rm -f "$n"' EXIT
(umask 077; cat > "$n")
test "$(wc -c < "$n")" -eq "$4" || { echo "what arrived is not all of it" >&2; exit 1; }
chmod "$3" "$n"; mv -f "$n" "$t""#;

/// Unpacks a folder: `$1` where to, `$2` its own name or nothing where only its contents are meant, `$3` its mode.
const PUT_FOLDER: &str = r#"set -e
t=$1; if [ -d "$t" ]; then if [ -n "$2" ]; then t=${t%/}/$2; fi; fi
if [ ! -d "$t" ]; then mkdir "$t"; m=$3; fi
cd "$t"; tar -xpof -
if [ -n "$m" ]; then chmod "$m" .; fi"#;

/// Unpacks an archive of the user's in a folder that is there.
const UNPACK: &str = r#"cd "$1" && tar -xpof -"#;

/// Packs what is at `$1` under its own name. Named by itself, a link to a file means the file.
const PACK: &str = r#"if [ -L "$1" ] && [ -f "$1" ]; then h=h; fi
cd "$(dirname "$1")" && tar -c${h}f - "$(basename "$1")""#;

/// Says on a line of its own what is at `$1`, and sends it. Named by itself, a link means what it leads to.
const GET: &str = r#"set -e
if [ ! -e "$1" ]; then echo "$1: there is no such file or folder" >&2; exit 1; fi
if [ -d "$1" ]; then echo "folder $(stat -L -c %a "$1") 0"; cd "$1"; tar -cf - .
else test -r "$1" || { echo "$1: permission denied" >&2; exit 1; }
echo "file $(stat -L -c '%a %s' "$1")"; cat "$1"; fi"#;

/// A path of the guest: `~/` is the folder of the account, where scripts begin anyway.
fn path(text: &str) -> &str {
    match text {
        "~" | "~/" => ".",
        text => text.strip_prefix("~/").unwrap_or(text),
    }
}

/// Copies a file of this machine.
pub(super) fn put_file(channel: &Channel<'_>, from: &Path, name: &str, to: &str) -> Result<(), Error> {
    let unreadable = |source| Error::Io { path: from.to_owned(), source };
    let mut file = File::open(from).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    let (mode, length) = (format!("{:o}", about.permissions().mode() & 0o7777), about.len());
    channel.send(PUT_FILE, &[path(to), name, &mode, &length.to_string()], |guest| {
        // A file that grows is copied as long as it was.
        io::copy(&mut (&mut file).take(length), guest).map_err(|source| Error::Io { path: from.to_owned(), source })?;
        Ok(())
    })
}

/// Copies a folder of this machine.
pub(super) fn put_folder(channel: &Channel<'_>, from: &Path, name: &str, to: &str) -> Result<(), Error> {
    let about = from.metadata().map_err(|source| Error::Io { path: from.to_owned(), source })?;
    let mode = format!("{:o}", about.permissions().mode() & 0o7777);
    channel.send(PUT_FOLDER, &[path(to), name, &mode], |guest| {
        local::pack(from, guest).map_err(|source| Error::Io { path: from.to_owned(), source })
    })
}

/// Unpacks an archive from stdin.
pub(super) fn unpack(channel: &Channel<'_>, to: &str) -> Result<(), Error> {
    channel.send(UNPACK, &[path(to)], |guest| {
        let copied = io::copy(&mut io::stdin().lock(), guest);
        copied.map(|_| ()).map_err(|source| Error::Io { path: "stdin".into(), source })
    })
}

/// Writes an archive to stdout.
pub(super) fn pack(channel: &Channel<'_>, from: &str) -> Result<(), Error> {
    channel.receive(PACK, &[path(from)], |guest| {
        let copied = terminal::pass(guest);
        copied.map_err(|source| Error::Io { path: "stdout".into(), source })
    })
}

/// Copies what is there in the guest, and hands it to `put`.
pub(super) fn get(
    channel: &Channel<'_>,
    from: &str,
    put: impl FnOnce(What, &mut dyn Read) -> Result<(), Error>,
) -> Result<(), Error> {
    channel.receive(GET, &[path(from)], |guest| {
        let mut guest = BufReader::new(guest);
        let mut line = String::new();
        let broken = |source| Error::Io { path: from.into(), source };
        (&mut guest).take(100).read_line(&mut line).map_err(broken)?;
        let what = What::read(&line).ok_or_else(|| broken(io::ErrorKind::UnexpectedEof.into()))?;
        put(what, &mut guest)?;
        // What pads an archive is of no use, but has to be taken.
        io::copy(&mut guest, &mut io::sink()).map(|_| ()).map_err(broken)
    })
}
