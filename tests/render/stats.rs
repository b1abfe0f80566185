//! `stats`, `top` and `images` in their formats.

use vmcompose::cli::TableFormat;
use vmcompose::model::{Digest, ImageFormat};
use vmcompose::names::{ImageName, VmName};
use vmcompose::render::Palette;
use vmcompose::render::stats::{Processes, VmUsage, stats};
use vmcompose::render::table::State;
use vmcompose::render::used_images::{UsedImage, images};

use crate::fixtures::project;
use crate::golden;

fn usage() -> Vec<VmUsage> {
    let busy = VmUsage {
        vm: VmName::new("db").unwrap(),
        state: State::Running,
        cpu_percent: Some(112.5),
        cpus: 2,
        memory_bytes: Some(734_003_200),
        memory_limit_bytes: 2 << 30,
        disk_read_bytes: Some(52_428_800),
        disk_written_bytes: Some(1023),
        network_received_bytes: Some(20_480),
        network_sent_bytes: Some(0),
    };
    let off = VmUsage {
        vm: VmName::new("web-1").unwrap(),
        state: State::Stopped,
        cpu_percent: None,
        cpus: 1,
        memory_bytes: None,
        memory_limit_bytes: 1 << 30,
        disk_read_bytes: None,
        disk_written_bytes: None,
        network_received_bytes: None,
        network_sent_bytes: None,
    };
    vec![busy, off]
}

#[test]
fn what_vms_take_is_told_in_each_format() {
    for (name, format) in [("txt", TableFormat::Table), ("json", TableFormat::Json), ("yaml", TableFormat::Yaml)] {
        golden(&format!("stats.{name}"), &stats(&project(), &usage(), format, &Palette::PLAIN));
    }
}

#[test]
fn processes_are_read_from_what_ps_says_and_their_arguments_stay_together() {
    let said = "  PID USER     COMMAND\n    1 root     {init} /bin/sh /init\n  138 postgres qemu-ga -m\u{1b}[2J x\n";
    let processes = Processes::read(VmName::new("db").unwrap(), said);
    let table = processes.text(TableFormat::Table, &Palette::PLAIN);
    assert_eq!(
        table,
        "PID   USER       COMMAND\n1     root       {init} /bin/sh /init\n138   postgres   qemu-ga -m [2J x\n"
    );
    golden("top.json", &processes.text(TableFormat::Json, &Palette::PLAIN));
}

#[test]
fn images_are_told_with_who_is_on_them() {
    let debian = UsedImage {
        image: ImageName::new("debian").unwrap(),
        digest: Digest::new("51349501a3d1"),
        format: Some(ImageFormat::Qcow2),
        size_bytes: Some(219_676_672),
        vms: vec![VmName::new("db").unwrap(), VmName::new("web-1").unwrap()],
    };
    let golden_image = ImageName::new("golden").unwrap();
    let own = UsedImage { image: golden_image, digest: None, format: None, size_bytes: None, vms: Vec::new() };
    for (name, format) in [("txt", TableFormat::Table), ("json", TableFormat::Json)] {
        golden(&format!("images.{name}"), &images(&project(), &[debian.clone(), own.clone()], format, &Palette::PLAIN));
    }
}
