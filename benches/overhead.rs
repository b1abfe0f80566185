//! What vmcompose costs over libvirt itself: twelve vms in three waves on real QEMU, brought up by the binary and by the
//! shortest program that makes the same calls in the best order, in turn, in one run. The ratio is the figure.
//!
//! The direct program is given everything for free: the XML that vmcompose made, the files, the addresses. It starts
//! each vm the moment the vms that it waits for answer, and asks them every 20 ms.
//!
//! The journal's share is named beside it: the same entries on the same disk, one after the other, with nothing between them. In a
//! run they are written side by side, so that it costs less there.
//!
//! Run as root with `cargo bench --bench overhead`; needs the quickstart's guest (`make guest`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use virt::connect::Connect;
use virt::domain::Domain;
use virt::network::Network;
use virt::storage_pool::StoragePool;
use virt::storage_vol::StorageVol;
use virt::stream::Stream;
use vmcompose::execute::journal::file::{Header, Journals};
use vmcompose::execute::journal::{Entry, Place, Recorder as _};
use vmcompose::names::ProjectName;
use vmcompose::plan::{Plan, StepId};

const URI: &str = "qemu:///system";
const PROJECT: &str = "bench-overhead";
const ROUNDS: usize = 3;
const TIERS: [&str; 3] = ["one", "two", "three"];

fn main() {
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose-examples/quickstart/guest");
    assert!(guest.join("vmlinuz").exists(), "run `make guest` first");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("vmcompose.yaml");
    fs::write(&file, compose(&guest)).expect("written");

    vmcompose(&file, "up"); // Warm caches, and a look at what it makes.
    let recipe = Recipe::read(&guest);
    vmcompose(&file, "down");

    let (mut ours, mut direct) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        ours.push(vmcompose(&file, "up"));
        vmcompose(&file, "down");
        direct.push(timed(|| recipe.up()));
        recipe.down();
        let (ours, direct) = (ours[round - 1].as_secs_f64(), direct[round - 1].as_secs_f64());
        say(&format!("round {round}: vmcompose {ours:.2} s, direct {direct:.2} s, ratio {:.3}", ours / direct));
    }
    let (ours, direct, journal) = (median(ours), median(direct), journal().as_secs_f64());
    say(&format!("median: vmcompose {ours:.2} s, direct {direct:.2} s, ratio {:.3}", ours / direct));
    say(&format!("journal: {journal:.3} s, which is {:.1} % of the run at most", 100.0 * journal / ours));
}

/// Writes down what one such run writes down, and forgets it.
fn journal() -> Duration {
    // Two pools, a kernel and an initrd, a network that is defined and started, and so are twelve vms.
    const OPERATIONS: usize = 2 + 2 + 2 + 2 * 12;
    let project: ProjectName = PROJECT.parse().expect("legal");
    let plan = Plan {
        project: project.clone(),
        waves: Vec::new(),
        unchanged: Vec::new(),
        orphans: Vec::new(),
        adopted: Vec::new(),
        kept: Vec::new(),
    };
    timed(|| {
        let journals = Journals::of_this_user().expect("a folder");
        let file = journals.begin(&Header::now(&project, URI, "bench"), &plan).expect("written");
        for n in 0..OPERATIONS {
            let place = Place(StepId(n), 0);
            file.record(&Entry::Begun(place)).expect("written");
            file.record(&Entry::Applied(place)).expect("written");
        }
        file.remove().expect("removed");
    })
}

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("stdout is open");
}

fn compose(guest: &Path) -> String {
    let mut text = format!("name: {PROJECT}\nnetworks: {{ net: {{}} }}\nvms:\n");
    for (n, tier) in TIERS.iter().enumerate() {
        let after = if n == 0 { String::new() } else { format!("    depends_on: [{}]\n", TIERS[n - 1]) };
        let _ = write!(
            text,
            "  {tier}:\n    replicas: 4\n    memory: 160MiB\n    networks: [net]\n{after}    boot: {{ kernel: {0}/vmlinuz, \
             initrd: {0}/initrd.img, cmdline: console=ttyS0 quiet no_timer_check }}\n    healthcheck: {{ http: {{ port: 80, path: \
             /healthz }}, interval: 1s }}\n",
            guest.display()
        );
    }
    text
}

fn vmcompose(file: &Path, verb: &str) -> Duration {
    timed(|| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmcompose"));
        let output = command.args(["-c", URI, "--progress", "quiet", "-f"]).arg(file).arg(verb).output();
        let output = output.expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    })
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(mut all: Vec<Duration>) -> f64 {
    all.sort();
    all[all.len() / 2].as_secs_f64()
}

/// All that has to be made, as libvirt wants it.
struct Recipe {
    /// Name in the pool, and the file with the bytes.
    images: Vec<(String, PathBuf)>,
    network: (String, String),
    vms: Vec<(String, String, Ipv4Addr)>,
}

fn connect() -> Connect {
    Connect::open(Some(URI)).expect("libvirt runs")
}

impl Recipe {
    /// Reads back what vmcompose made.
    fn read(guest: &Path) -> Self {
        let conn = connect();
        let pool = StoragePool::lookup_by_name(&conn, "vmcompose-images").expect("the pool");
        let volumes = pool.list_all_volumes(0).expect("volumes");
        let names = volumes.iter().map(|volume| volume.get_name().expect("a name"));
        let ours = names.filter(|name| name.starts_with(PROJECT));
        let images = ours.map(|name| {
            let file = if name.contains("vmlinuz") { "vmlinuz" } else { "initrd.img" };
            (name, guest.join(file))
        });
        let images = images.collect();
        let name = format!("{PROJECT}-net");
        let network = Network::lookup_by_name(&conn, &name).expect("the network");
        let network_xml = network.get_xml_desc(virt::sys::VIR_NETWORK_XML_INACTIVE).expect("xml");
        let addresses = reserved(&network_xml);
        let mut vms = Vec::new();
        for tier in TIERS {
            for replica in 1..=4 {
                let domain = Domain::lookup_by_name(&conn, &format!("{PROJECT}-{tier}-{replica}")).expect("a domain");
                let xml = domain.get_xml_desc(virt::sys::VIR_DOMAIN_XML_INACTIVE).expect("xml");
                vms.push((tier.to_owned(), xml, addresses[&format!("{tier}-{replica}")]));
            }
        }
        Self { images, network: (name, network_xml), vms }
    }

    fn up(&self) {
        thread::scope(|scope| {
            for (name, file) in &self.images {
                scope.spawn(move || upload(name, file));
            }
            scope.spawn(|| {
                Network::define_xml(&connect(), &self.network.1).expect("defined").create().expect("started")
            });
        });
        let healthy = (Mutex::new(BTreeMap::<&str, usize>::new()), Condvar::new());
        thread::scope(|scope| {
            for (tier, xml, ip) in &self.vms {
                let healthy = &healthy;
                scope.spawn(move || {
                    let before = TIERS.iter().position(|t| t == tier).and_then(|n| n.checked_sub(1)).map(|n| TIERS[n]);
                    let guard = healthy.0.lock().expect("no panic");
                    let waits = |open: &mut BTreeMap<&str, usize>| {
                        before.is_some_and(|before| open.get(before).copied().unwrap_or(0) < 4)
                    };
                    drop(healthy.1.wait_while(guard, waits).expect("no panic"));
                    Domain::define_xml(&connect(), xml).expect("defined").create().expect("started");
                    while !answers(*ip) {
                        thread::sleep(Duration::from_millis(20));
                    }
                    *healthy.0.lock().expect("no panic").entry(tier).or_default() += 1;
                    healthy.1.notify_all();
                });
            }
        });
    }

    fn down(&self) {
        let conn = connect();
        for domain in conn.list_all_domains(0).expect("domains") {
            if domain.get_name().expect("a name").starts_with(PROJECT) {
                domain.destroy().expect("destroyed");
                domain.undefine().expect("undefined");
            }
        }
        let network = Network::lookup_by_name(&conn, &self.network.0).expect("the network");
        network.destroy().expect("destroyed");
        network.undefine().expect("undefined");
        let pool = StoragePool::lookup_by_name(&conn, "vmcompose-images").expect("the pool");
        for (name, _) in &self.images {
            StorageVol::lookup_by_name(&pool, name).expect("the volume").delete(0).expect("deleted");
        }
    }
}

/// Addresses by host name, from a network's DHCP reservations.
fn reserved(network: &str) -> BTreeMap<String, Ipv4Addr> {
    let document = roxmltree::Document::parse(network).expect("xml");
    let hosts = document.descendants().filter(|node| node.has_tag_name("host") && node.has_attribute("mac"));
    let pair = |host: roxmltree::Node<'_, '_>| {
        let ip = host.attribute("ip").expect("an address").parse().expect("an address");
        (host.attribute("name").expect("a name").to_owned(), ip)
    };
    hosts.map(pair).collect()
}

fn upload(name: &str, file: &Path) {
    let conn = connect();
    let bytes = fs::read(file).expect("readable");
    let pool = StoragePool::lookup_by_name(&conn, "vmcompose-images").expect("the pool");
    let xml = format!(
        "<volume><name>{name}</name><capacity>{}</capacity><target><format type='raw'/></target></volume>",
        bytes.len()
    );
    let volume = StorageVol::create_xml(&pool, &xml, 0).expect("created");
    let stream = Stream::new(&conn, 0).expect("a stream");
    volume.upload(&stream, 0, bytes.len() as u64, 0).expect("begun");
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let sent = stream.send(&rest[..rest.len().min(1 << 18)]).expect("sent");
        rest = &rest[sent..];
    }
    stream.finish().expect("finished");
}

/// Whether the guest's page says that it is ready.
fn answers(ip: Ipv4Addr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from((ip, 80)), Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(format!("GET /healthz HTTP/1.0\r\nHost: {ip}\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}
