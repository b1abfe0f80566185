//! Machines that somebody else made: written down, adopted, changed as far as that is ours to do, and let go of. On libvirt's
//! test driver, and, where `VMCOMPOSE_TEST_QEMU` is set, on guests that run.

mod rivals;

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::desk::{Desk, URI};
use crate::support::qemu::{Run, Stack, enabled};
use virt::domain::Domain;
use virt_sys::{VIR_DOMAIN_AFFECT_CONFIG, VIR_DOMAIN_XML_INACTIVE};

/// Domains of the test's own, gone when it ends.
struct Strangers<'a> {
    desk: &'a Desk,
    names: Vec<String>,
}

impl<'a> Strangers<'a> {
    /// One that is off and one that runs, with more to them than a compose file can say.
    fn new(desk: &'a Desk) -> Self {
        let strangers =
            Self { desk, names: ["web", "Data_Base"].map(|name| format!("{}-{name}", desk.project)).into() };
        let keeper = desk.keeper.as_ref().expect("online");
        for (name, more) in strangers.names.iter().zip(["current='1'", ""]) {
            let xml = format!(
                "<domain type='test'><name>{name}</name><memory unit='MiB'>64</memory>
                 <currentMemory unit='MiB'>32</currentMemory><vcpu {more}>2</vcpu><os><type>hvm</type></os>
                 <cputune><shares>77</shares></cputune><devices>
                 <disk type='file' device='disk'><source file='/guest/{name}.img'/><target dev='sda' bus='scsi'/></disk>
                 <interface type='network'><mac address='52:54:00:00:00:01'/><source network='default'/></interface>
                 </devices></domain>"
            );
            Domain::define_xml(keeper, &xml).expect("defined");
        }
        strangers.domain(0).create().expect("started");
        strangers
    }

    fn domain(&self, index: usize) -> Domain {
        Domain::lookup_by_name(self.desk.keeper.as_ref().expect("online"), &self.names[index]).expect("it is there")
    }

    fn definition(&self, index: usize) -> String {
        self.domain(index).get_xml_desc(VIR_DOMAIN_XML_INACTIVE).expect("a definition")
    }
}

impl Drop for Strangers<'_> {
    fn drop(&mut self) {
        for name in &self.names {
            if let Ok(domain) = Domain::lookup_by_name(self.desk.keeper.as_ref().expect("online"), name) {
                let _ = domain.destroy();
                let _ = domain.undefine();
            }
        }
    }
}

#[track_caller]
fn says(run: &Run, words: &[&str]) {
    let text = format!("{}\n{}", run.stdout, run.stderr);
    let squeezed = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in words {
        assert!(squeezed.contains(words), "`{words}` is not in:\n{text}");
    }
}

#[test]
fn what_somebody_else_made_is_written_down_adopted_and_let_go_of() {
    let desk = Desk::online("");
    fs::remove_file(desk.path().join("vmcompose.yaml")).expect("the folder has no file");
    let strangers = Strangers::new(&desk);
    let (web, base) = (strangers.names[0].as_str(), strangers.names[1].as_str());
    let before = [strangers.definition(0), strangers.definition(1)];

    let printed = desk.run(&["import", web, base]).expect(0);
    says(&printed, &["nothing was changed", "import --adopt"]);
    assert_eq!(
        printed.stdout,
        format!(
            "# Machines of {URI} that vmcompose did not make.
# It starts and stops them with the others; what they consist of stays as it is. `down` stops them and
# lets them go: neither their definitions nor their disks are ever deleted.
name: {}
vms:
  data-base:
    boot: {{existing: {base}, start: false}}
    # it was off; without `start: false`, `up` starts it
    cpus: 2
    memory: 32MiB
    max_memory: 64MiB
    # its own: disk sda: /guest/{base}.img
    # its own: interface 52:54:00:00:00:01: network default
  web:
    boot: {{existing: {web}}}
    cpus: 1
    max_cpus: 2
    memory: 32MiB
    max_memory: 64MiB
    # its own: disk sda: /guest/{web}.img
    # its own: interface 52:54:00:00:00:01: network default
",
            desk.project
        )
    );
    // Nobody adopts by accident.
    let file = desk.path().join("vmcompose.yaml");
    fs::write(&file, &printed.stdout).expect("written");
    for command in ["plan", "up"] {
        says(&desk.run(&[command]).expect(8), &["none of the project's", "nothing was changed", "import --adopt"]);
    }
    assert_eq!([strangers.definition(0), strangers.definition(1)], before);
    says(&desk.run(&["import", "--adopt", web, "--out", "vmcompose.yaml"]).expect(1), &["is there already"]);
    says(
        &desk.run(&["import", &format!("{web}s")]).expect(1),
        &["there is no machine", &format!("did you mean `{web}`")],
    );

    says(&desk.run(&["import", "--adopt", web, base]).expect(0), &["2 vms adopted"]);
    desk.run(&["plan", "--exit-code"]).expect(0);
    desk.run(&["up", "--yes"]).expect(0);
    assert_eq!([without_record(&strangers.definition(0)), without_record(&strangers.definition(1))], before);
    says(&desk.run(&["import", "--adopt", web]).expect(8), &["is of project", "already"]);
    says(&desk.run(&["ps", "-a"]).expect(0), &["data-base stopped", "web running"]);
    says(&desk.run(&["ls", "-a"]).expect(0), &[&desk.project]);

    // What the file can say of one is changed in its definition; all else stays as its maker had it.
    let text = fs::read_to_string(&file).expect("readable");
    let text =
        text.replace("cpus: 1\n", "cpus: 2\n").replace("    memory: 32MiB", "    autostart: true\n    memory: 48MiB");
    fs::write(&file, text.replace(", start: false", "")).expect("written");
    let plan = desk.run(&["plan", "--exit-code"]).expect(10);
    says(&plan, &["cpus 1 → 2", "memory 32MiB → 48MiB", "autostart false → true", "~ vm `data-base`"]);
    desk.run(&["up", "--yes"]).expect(0);
    desk.run(&["plan", "--exit-code"]).expect(0);
    assert!(strangers.domain(1).is_active().expect("a state"), "the file no longer says that it rests");
    let changed = without_record(&strangers.definition(0));
    let (memory, cpus) = ("<currentMemory unit='KiB'>49152</currentMemory>", "<vcpu placement='static'>2</vcpu>");
    let expected = before[0].replace("<currentMemory unit='KiB'>32768</currentMemory>", memory);
    assert_eq!(changed, expected.replace("<vcpu placement='static' current='1'>2</vcpu>", cpus));

    // What it cannot do is refused before anything is done.
    says(&desk.run(&["up", "--yes", "--replace", "web"]).expect(8), &["cannot be made anew", "did not make"]);
    let snapshot = desk.run(&["snapshot", "create", "s"]).expect(8);
    says(&snapshot, &["vmcompose did not make", "its disks are not known"]);
    assert!(!snapshot.stderr.contains("memory"), "that is no reason: {}", snapshot.stderr);
    let anew = desk.run(&["plan", "--force-recreate", "--exit-code"]).expect(0);
    says(&anew, &["not made anew, because vmcompose did not make it: `data-base`, `web`"]);
    let drifted = strangers.domain(0);
    drifted.set_memory_flags(40 << 10, VIR_DOMAIN_AFFECT_CONFIG).expect("set");
    says(&desk.run(&["plan"]).expect(0), &["was changed by somebody else", "memory 40MiB → 48MiB"]);
    desk.run(&["up", "--yes"]).expect(0);

    says(&desk.run(&["plan", "--destroy"]).expect(0), &["- vm `web` release", "2 to release", "all its disks"]);
    says(&desk.run(&["down"]).expect(0), &["2 vms released"]);
    assert_eq!(without_record(&strangers.definition(0)), strangers.definition(0), "nothing is recorded any more");
    assert!(!strangers.domain(0).is_active().expect("a state"));
    assert_eq!(desk.run(&["ls", "-aq"]).expect(0).stdout.lines().filter(|line| *line == desk.project).count(), 0);
    desk.run(&["down"]).expect(0);
    // The name that the file has for it is the one that it gets again.
    fs::write(&file, fs::read_to_string(&file).expect("readable").replace("  web:", "  front:")).expect("written");
    desk.run(&["import", "--adopt", web, base]).expect(0);
    says(&desk.run(&["plan"]).expect(0), &["vm `front`", "boot.existing.start false → true"]);
    desk.run(&["up"]).expect(0);
    desk.run(&["plan", "--exit-code"]).expect(0);
    desk.run(&["down"]).expect(0);
}

/// A definition without what vmcompose recorded with it.
fn without_record(xml: &str) -> String {
    let Some((head, rest)) = xml.split_once("  <metadata>") else { return xml.to_owned() };
    let (_, tail) = rest.split_once("</metadata>\n").expect("its end");
    format!("{head}{tail}")
}

#[test]
fn machines_may_be_replicas_and_the_file_can_be_printed_and_read_again() {
    let text = "vms: { m: { replicas: 2, boot: { existing: 'm-{{ index }}' }, cpus: 1, memory: 64MiB } }\n";
    let desk = Desk::offline(text);
    let printed = desk.run(&["config"]).expect(0).stdout;
    assert!(printed.contains("existing: m-2"), "{printed}");
    fs::write(desk.path().join("vmcompose.yaml"), &printed).expect("written");
    assert_eq!(desk.run(&["config"]).expect(0).stdout, printed);
}

#[test]
fn a_run_of_adoption_that_fails_is_undone() {
    use crate::support::{faulty::Faulty, project};
    use vmcompose::backend::Hypervisor as _;
    use vmcompose::execute::{self, Options, Outcome};
    use vmcompose::model::Boot;
    use vmcompose::plan::adoption::adoption;
    use vmcompose::state::DesiredState;

    let domain = |name| {
        format!("<domain type='test'><name>{name}</name><memory>65536</memory><os><type>hvm</type></os></domain>")
    };
    let world = crate::support::World::holding(&[domain("a"), domain("b")].concat());
    let shop = project("shop");
    let spec = |name: &str| crate::support::vm(name, Boot::Existing { machine: name.to_owned(), start: false });
    let mut desired = DesiredState::nothing(&shop);
    for vm in ["a", "b"].map(spec) {
        let spec = vmcompose::model::Spec::Vm(Box::new(vm));
        desired.specs.insert(spec.id(), spec);
    }
    let hypervisor = world.connect();
    let plan = adoption(&desired, &crate::support::observe(&hypervisor, &shop));
    let faulty = std::sync::Arc::new(Faulty::new(hypervisor).failing([1]));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let (events, stream) = execute::channel();
    let outcome =
        runtime.block_on(execute::execute(&plan, std::sync::Arc::clone(&faulty), &Options::default(), events));
    drop(stream);
    assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
    assert!(faulty.log().iter().any(|line| line.starts_with("release vm")), "{:?}", faulty.log());
    assert!(faulty.observe(&shop).expect("a look").resources.is_empty());
}

/// Somebody at the real hypervisor.
#[track_caller]
fn virsh(line: &str) -> String {
    let output = Command::new("virsh").args(["-q", "-c", "qemu:///system"]).args(line.split(' ')).output();
    let output = output.expect("virsh runs");
    assert!(output.status.success(), "virsh {line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Gone with their files when the test ends.
struct Machines(Vec<String>);

impl Drop for Machines {
    fn drop(&mut self) {
        for name in &self.0 {
            for step in ["destroy", "undefine"] {
                let _ = Command::new("virsh").args(["-q", "-c", "qemu:///system", step, name]).output();
            }
        }
    }
}

fn pid(machine: &str) -> String {
    fs::read_to_string(format!("/run/libvirt/qemu/{machine}.pid")).expect("it runs")
}

#[test]
fn guests_that_run_notice_nothing_of_it() {
    if !enabled() {
        return;
    }
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose-examples/quickstart/guest");
    let folder = tempfile::tempdir_in("/var/tmp").expect("a folder");
    let file = folder.path().join("vmcompose.yaml");
    let disk = folder.path().join("disk.qcow2");
    let made = Command::new("qemu-img").args(["create", "-q", "-f", "qcow2"]).arg(&disk).arg("8M").status();
    assert!(made.expect("qemu-img runs").success());
    let stack = Stack::new(&[&file]);
    let names = ["kernel", "disk"].map(|name| format!("{}-old.{name}", stack.project()));
    let machines = Machines(names.to_vec());
    let os = [
        format!("<kernel>{0}/vmlinuz</kernel><initrd>{0}/initrd.img</initrd>", guest.display()),
        "<boot dev='hd'/>".to_owned(),
    ];
    let device = format!(
        "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{}'/><target dev='hda' bus='ide'/></disk>",
        disk.display()
    );
    for ((name, os), device) in machines.0.iter().zip(os).zip(["", &device]) {
        let xml = format!(
            "<domain type='qemu'><name>{name}</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
             <os><type machine='pc'>hvm</type>{os}</os><devices>{device}</devices></domain>"
        );
        let path = folder.path().join("domain.xml");
        fs::write(&path, xml).expect("written");
        virsh(&format!("define {}", path.display()));
        virsh(&format!("start {name}"));
    }
    let before: Vec<String> = machines.0.iter().map(|name| pid(name)).collect();
    let defined = virsh(&format!("dumpxml --inactive {}", machines.0[1]));

    let (first, second, out) = (&machines.0[0], &machines.0[1], file.display().to_string());
    says(&stack.run(&["import", "--adopt", "--out", &out, first, second]).expect(0), &["2 vms adopted"]);
    stack.run(&["plan", "--exit-code"]).expect(0);
    stack.run(&["up"]).expect(0);
    assert_eq!(machines.0.iter().map(|name| pid(name)).collect::<Vec<_>>(), before, "the same emulators");
    assert_eq!(without_record(&virsh(&format!("dumpxml --inactive {second}"))), defined);

    let stats = stack.run(&["stats", "--format", "json"]).expect(0).stdout;
    let stats: serde_json::Value = serde_json::from_str(&stats).expect("json");
    let counted = stats["vms"].as_array().expect("a list");
    assert!(counted.len() == 2 && counted.iter().all(|row| row["memory_bytes"].is_u64()), "{stats}");

    // Started and stopped with the project; more memory than it was started with takes a reboot, and nothing else changes.
    let text = fs::read_to_string(&file).expect("readable");
    fs::write(&file, text.replacen("memory: 128MiB", "memory: 144MiB\n    stop_grace_period: 0s", 1)).expect("written");
    says(&stack.run(&["plan"]).expect(0), &["↻ vm `old-disk`", "memory 128MiB → 144MiB", "effect reboot"]);
    stack.run(&["up", "--yes"]).expect(0);
    stack.run(&["plan", "--exit-code"]).expect(0);
    let more = without_record(&virsh(&format!("dumpxml --inactive {second}")));
    assert_eq!(more, defined.replace("'KiB'>131072<", "'KiB'>147456<"));
    assert_ne!(pid(second), before[1]);
    assert_eq!(pid(first), before[0]);
    stack.run(&["stop", "old-kernel", "--timeout", "0s"]).expect(0);
    assert_eq!(virsh(&format!("domstate {first}")).trim(), "shut off");

    says(&stack.run(&["down"]).expect(0), &["2 vms released"]);
    assert!(disk.exists(), "it is not ours");
    assert!(!virsh(&format!("dumpxml --inactive {second}")).contains("vmcompose"));
}
