//! What may be booted from, by its bytes; and what is refused, in words.

use std::fs;
use std::path::PathBuf;

use vmcompose::image::{Digests, Fault, disk, inspect, inspect_known};
use vmcompose::model::{ImageFormat, ImageRole, ImageSource};
use vmcompose::units::Bytes;

use crate::bench::{Bench, local, name, noise, packed, qcow2, raw, request, sha256, with_checksum};
use crate::server::Server;

/// A qcow2 header with one field changed.
fn changed(at: usize, field: &[u8]) -> Vec<u8> {
    let mut bytes = qcow2(0);
    bytes[at..at + field.len()].copy_from_slice(field);
    bytes
}

fn written(bench: &Bench, name: &str, bytes: &[u8]) -> PathBuf {
    let path = bench.folder.path().join(name);
    fs::write(&path, bytes).expect("written");
    path
}

fn refusal(file: &str, bytes: &[u8]) -> String {
    let bench = Bench::new();
    let path = written(&bench, file, bytes);
    let fault = disk(&path).expect_err(file).to_string();
    fault.replace(&format!("`{}`", path.display()), "it")
}

#[test]
fn good_images_are_taken_with_their_format_and_size() {
    let bench = Bench::new();
    let mut gpt = vec![0; 4 << 20];
    gpt[512..520].copy_from_slice(b"EFI PART");
    for (file, bytes, format, size) in [
        ("a.qcow2", qcow2(0), ImageFormat::Qcow2, 10 << 30),
        ("ubuntu.img", qcow2(0), ImageFormat::Qcow2, 10 << 30),
        ("a.raw", raw(1 << 20), ImageFormat::Raw, 1 << 20),
        ("a.img", raw(1 << 20), ImageFormat::Raw, 1 << 20),
        ("gpt", gpt, ImageFormat::Raw, 4 << 20),
    ] {
        let disk = disk(&written(&bench, file, &bytes)).expect(file);
        assert_eq!((disk.format, disk.virtual_size), (format, Bytes(size)), "{file}");
    }
}

#[test]
fn a_name_that_says_otherwise_is_refused() {
    let html = b"<!DOCTYPE html>\n<html><head><title>404</title></head></html>";
    for (file, bytes, words) in [
        ("x.qcow2", raw(4096), "is named like a qcow2 image, but is a raw image"),
        ("x.qcow2", html.to_vec(), "is named like a qcow2 image, but is an HTML page"),
        ("x.qcow2", packed("gz", b"x"), "is named like a qcow2 image, but is packed with gzip"),
        ("x.qcow2", noise(4096), "is named like a qcow2 image, but is not"),
        ("x.raw", qcow2(0), "is named like a raw image, but is a qcow2 image"),
        ("x.qcow2.xz", qcow2(0), "is named like an xz file, but is a qcow2 image"),
        ("x.img.gz", html.to_vec(), "is named like a gzip file, but is an HTML page"),
    ] {
        assert_eq!(refusal(file, &bytes), format!("cannot be used: it {words}"), "{file}");
    }
}

#[test]
fn what_is_no_disk_is_refused() {
    let mut tar = vec![0; 4096];
    tar[257..262].copy_from_slice(b"ustar");
    for (file, bytes, words) in [
        ("x.img", b"<html>log in</html>".to_vec(), "is an HTML page, not a qcow2 or raw disk image"),
        ("x.img", b"Not found\n".to_vec(), "is text, not a qcow2 or raw disk image"),
        ("x.img", tar, "is a tar archive, not a qcow2 or raw disk image"),
        ("x.vmdk", b"KDMV\x01\0\0\0".to_vec(), "is a VMDK image, not a qcow2 or raw disk image"),
        ("x.img", noise(4096), "has no boot signature: it starts with neither an MBR nor a GPT"),
        ("x.raw", vec![0; 4096], "has no boot signature: it starts with neither an MBR nor a GPT"),
    ] {
        assert_eq!(refusal(file, &bytes), format!("cannot be used: it {words}"), "{file}");
    }
    assert_eq!(refusal("x.img", b""), "is empty: it has no bytes");
}

#[test]
fn qcow2_images_that_point_elsewhere_are_refused() {
    let mut backed = changed(8, &0x200u64.to_be_bytes());
    backed[16..20].copy_from_slice(&11u32.to_be_bytes());
    backed[0x200..0x20b].copy_from_slice(b"/etc/shadow");
    for (bytes, words) in [
        (backed, "is a qcow2 image that needs another file, its backing file `/etc/shadow`"),
        (changed(8, &u64::MAX.to_be_bytes()), "is a qcow2 image that needs another file, its backing file"),
        (changed(72, &4u64.to_be_bytes()), "is a qcow2 image that keeps its data in another file"),
        (changed(72, &(1u64 << 40).to_be_bytes()), "is a qcow2 image that needs unknown features (0x10000000000)"),
        (changed(72, &1u64.to_be_bytes()), "is a qcow2 image that is marked as not closed after its last use"),
        (changed(72, &2u64.to_be_bytes()), "is a qcow2 image that is marked as corrupt"),
        (changed(32, &2u32.to_be_bytes()), "is an encrypted qcow2 image"),
        (changed(4, &1u32.to_be_bytes()), "is a qcow2 image of version 1; versions 2 and 3 are supported"),
        (changed(4, &4u32.to_be_bytes()), "is a qcow2 image of version 4; versions 2 and 3 are supported"),
        (changed(20, &40u32.to_be_bytes()), "is not a valid qcow2 image: its cluster size is wrong"),
        (changed(24, &0u64.to_be_bytes()), "is not a valid qcow2 image: its virtual size is wrong"),
        (changed(100, &96u32.to_be_bytes()), "is not a valid qcow2 image: its header length is wrong"),
        (changed(40, &(1u64 << 40).to_be_bytes()), "is a qcow2 image that was cut short"),
        (qcow2(0)[..50].to_vec(), "is a qcow2 image that was cut short"),
    ] {
        assert_eq!(refusal("x.qcow2", &bytes), format!("cannot be used: it {words}"));
    }
}

#[test]
fn features_that_qemu_has_today_are_taken() {
    let bench = Bench::new();
    // A compression type other than the default, and extended L2 entries.
    let both = changed(72, &0x18u64.to_be_bytes());
    disk(&written(&bench, "x.qcow2", &both)).expect("known features");
    // Version 2 has no feature bits: what stands there is something else.
    let mut second = changed(4, &2u32.to_be_bytes());
    second[72..80].copy_from_slice(&u64::MAX.to_be_bytes());
    disk(&written(&bench, "y.qcow2", &second)).expect("version 2");
}

#[test]
fn what_the_tools_of_qemu_write_is_taken() {
    let bench = Bench::new();
    let path = bench.folder.path().join("made.qcow2");
    for options in ["compat=0.10", "compat=1.1", "compat=1.1,compression_type=zstd,extended_l2=on,cluster_size=128k"] {
        let made = std::process::Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2", "-o", options])
            .arg(&path)
            .arg("3G")
            .status();
        let Ok(status) = made else { return };
        assert!(status.success(), "{options}");
        assert_eq!(disk(&path).expect(options).virtual_size, Bytes::gib(3), "{options}");
    }
    let overlay = bench.folder.path().join("overlay.qcow2");
    let made = std::process::Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"])
        .args([&path, &overlay])
        .status();
    assert!(made.expect("it was there before").success());
    let fault = disk(&overlay).expect_err("it needs the other").to_string();
    assert!(fault.contains(&format!("its backing file `{}`", path.display())), "{fault}");
}

#[test]
fn a_downloaded_page_is_no_image_and_is_not_kept() {
    let (server, mut bench) = (Server::new(), Bench::new());
    server.put("/debian.qcow2", b"<html>please log in</html>", "1");
    let error = bench.fetch(request(&server.url("/debian.qcow2"))).expect_err("a page");
    assert_eq!(
        error,
        format!(
            "image `debian` cannot be used: `{}` is named like a qcow2 image, but is an HTML page",
            server.url("/debian.qcow2")
        )
    );
    bench.assert_untouched();
    server.put("/empty.qcow2", b"", "1");
    let error = bench.fetch(request(&server.url("/empty.qcow2"))).expect_err("empty");
    assert!(error.starts_with("image `debian` is empty"), "{error}");
    bench.assert_untouched();
}

#[test]
fn what_is_inside_a_packed_file_is_looked_at_too() {
    let (server, mut bench) = (Server::new(), Bench::new());
    server.put("/page.qcow2.gz", &packed("gz", b"<html></html>"), "1");
    server.put("/raw.xz", &packed("xz", &noise(4096)), "1");
    server.put("/cut.zst", &packed("zst", &qcow2(9999))[..3000], "1");
    for (path, words) in [
        ("/page.qcow2.gz", "is named like a qcow2 image, but is an HTML page"),
        ("/raw.xz", "has no boot signature"),
        ("/cut.zst", "cannot be unpacked"),
    ] {
        let error = bench.fetch(request(&server.url(path))).expect_err(path);
        assert!(error.contains(words), "{error}");
        bench.assert_untouched();
    }
}

#[test]
fn local_files_are_checked_and_unpacked_into_the_cache() {
    let mut bench = Bench::new();
    let image = qcow2(5000);
    let plain = written(&bench, "plain.qcow2", &image);
    assert_eq!(bench.fetch(local(&plain)), Ok(plain.clone()), "used where it is");
    let wrong = with_checksum("http://unused", &format!("sha256:{}", "0".repeat(64)));
    let mut checked = local(&plain);
    checked.checksum = wrong.checksum;
    assert!(bench.fetch(checked.clone()).expect_err("wrong").contains("has the wrong checksum"));
    checked.checksum = Some(format!("sha256:{}", sha256(&image)).parse().expect("a checksum"));
    assert_eq!(bench.fetch(checked), Ok(plain));

    let small = written(&bench, "small.qcow2.xz", &packed("xz", &image));
    let unpacked = bench.fetch(local(&small)).expect("unpacked");
    assert!(fs::read(&unpacked).expect("there") == image && unpacked.starts_with(bench.cache.root()));
    assert_eq!(bench.fetch(local(&small)), Ok(unpacked));
    // Another file under the same name is another image.
    fs::write(&small, packed("xz", &qcow2(1))).expect("written");
    let other = bench.fetch(local(&small)).expect("unpacked");
    assert!(fs::read(other).expect("there") == qcow2(1));
}

#[test]
fn inspecting_refuses_what_cannot_boot_and_leaves_kernels_alone() {
    let bench = Bench::new();
    let junk = written(&bench, "junk", &noise(4096));
    let source = |role| ImageSource { name: name("debian"), path: junk.clone(), role };
    let inspected = |role| inspect(&[(name("debian"), source(role))].into());
    let errors = inspected(ImageRole::Disk).expect_err("no boot signature");
    assert!(errors[0].to_string().starts_with("image `debian` cannot be used: "), "{}", errors[0]);
    let kernel = inspected(ImageRole::Kernel).expect("a kernel").remove(&name("debian")).expect("one");
    assert_eq!((kernel.format, kernel.length), (ImageFormat::Raw, Bytes(4096)));
    assert_eq!(kernel.digest.to_string(), sha256(&noise(4096))[..12]);
    let missing = ImageSource { path: "/nowhere/x".into(), ..source(ImageRole::Disk) };
    let errors = inspect(&[(name("debian"), missing)].into()).expect_err("missing");
    assert_eq!(errors[0].to_string(), "image `debian` cannot be read: `/nowhere/x`: no such file");
    assert!(matches!(errors[0].fault, Fault::Unreadable { .. }));
}

#[test]
fn what_a_file_adds_up_to_is_remembered_until_it_changes() {
    let bench = Bench::new();
    let digests = Digests::of(&bench.cache);
    let path = written(&bench, "disk.qcow2", &qcow2(0));
    let source = ImageSource { name: name("debian"), path: path.clone(), role: ImageRole::Disk };
    let sources = [(name("debian"), source)].into();
    let digest = || inspect_known(&sources, &digests).expect("good").remove(&name("debian")).expect("one").digest;
    let remembered = || fs::read_dir(bench.cache.root().join("digests")).map_or(0, Iterator::count);

    let first = digest();
    assert_eq!(remembered(), 0, "a file that has just been changed may change again within the same tick");
    fs::write(&path, qcow2(1)).expect("written");
    let second = digest();
    assert_ne!(first, second, "the same moment, other bytes");

    settle(&path);
    assert_eq!(digest(), second);
    assert_eq!(remembered(), 1);
    // What is remembered is used: the file below says something that the disk does not.
    let note =
        fs::read_dir(bench.cache.root().join("digests")).expect("there").next().expect("one").expect("one").path();
    let text = fs::read_to_string(&note).expect("text").replace(&second.to_string(), "ffffffffffff");
    fs::write(&note, text).expect("written");
    assert_eq!(digest().to_string(), "ffffffffffff");
    // And is not when the file has changed, even when its times were set back.
    fs::write(&path, qcow2(0)).expect("written");
    assert_eq!(digest(), first);
}

/// Waits until the last change of a file is so long ago that it counts as settled.
fn settle(path: &std::path::Path) {
    use std::os::unix::fs::MetadataExt as _;
    let changed = fs::metadata(path).expect("there").ctime();
    let now = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        i64::try_from(since.as_secs()).expect("not for a while")
    };
    while now() <= changed + 3 {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}
