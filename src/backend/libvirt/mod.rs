//! libvirt: the backend that talks to a real hypervisor, or to libvirt's own test driver.
//!
//! The only place that knows libvirt. A call comes in as a plain value, takes one of a few connections, looks whose the
//! object is, and becomes XML and calls. What goes in is in the files by kind of object (`vms`, `networks`, `storage`,
//! `volumes`, `upload`), what comes out in `observe` and `probe`; `names` says what everything is called, `record` whose
//! it is. No handle of libvirt's outlives a call, and nothing here decides what should be done.

mod adopted;
mod agent;
mod by_hand;
mod capabilities;
mod cards;
mod claim;
mod cloud_init;
mod connections;
mod console;
mod console_log;
mod counters;
mod entrance;
mod error;
mod events;
mod evidence;
mod grow;
mod guest;
mod hardware;
mod host;
mod host_network;
mod inventory;
mod live;
mod machine_seen;
mod merge;
mod names;
mod network_seen;
mod network_xml;
mod networks;
mod observe;
mod others;
mod parameters;
mod plug;
mod pools;
mod ports;
mod probe;
mod projects;
mod provision;
mod record;
mod seeds;
mod seen;
mod shares;
mod snapshots;
mod stillness;
mod storage;
mod stores;
mod strangers;
pub mod survey;
mod templates;
mod transfer;
mod update;
mod upload;
mod versions;
mod vms;
mod volumes;
mod xml;

pub use self::by_hand::by_hand;
pub use self::claim::{Claim, Claimed, Holder, Locked};

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use virt::connect::Connect;

use self::connections::Connections;
pub use self::console::{Console, Heard};
pub use self::guest::{FileMode, GuestFile};
use self::host::{Offer, Place};
use self::names::Stored;
use self::storage::Turns;
pub use self::versions::Versions;
use crate::backend::{Attempt, Change, Exhibit, Health, Hypervisor, HypervisorError, Notices, Ran, Stranger};
use crate::model::{Network, Spec};
use crate::names::{ProjectName, VmName};
use crate::plan::Operation;
use crate::secret::Secrets;
use crate::state::{self, ActualState};

/// A hypervisor behind libvirt.
pub struct Libvirt {
    connections: Arc<Connections>,
    place: Place,
    turns: Turns,
    offer: OnceLock<Offer>,
    ability: OnceLock<Option<Box<state::Offer>>>,
    secrets: Arc<Secrets>,
}

/// What an operation needs besides itself: a connection, where that leads, whose turn it is, and for whom it is done.
#[derive(Clone, Copy)]
struct Call<'a> {
    connect: &'a Connect,
    place: &'a Place,
    turns: &'a Turns,
    secrets: &'a Secrets,
    project: &'a ProjectName,
    /// What came of it, where somebody wants to know.
    change: Option<&'a Cell<Change>>,
}

impl Call<'_> {
    /// The end of an operation that found everything as it shall be.
    #[expect(clippy::unnecessary_wraps, reason = "it stands where operations end")]
    fn nothing(self) -> Result<(), HypervisorError> {
        if let Some(change) = self.change {
            change.set(Change::None);
        }
        Ok(())
    }
}

impl Libvirt {
    /// Connects. `None` is libvirt's own choice: `LIBVIRT_DEFAULT_URI`, its configuration file, what it finds.
    ///
    /// Fails with [`crate::backend::ErrorKind::Unreachable`]. Switches off libvirt's habit of printing errors itself,
    /// for the whole process.
    pub fn connect(uri: Option<&str>) -> Result<Self, HypervisorError> {
        let connections = Arc::new(Connections::open(uri)?);
        let place = connections.with(|connect| Place::of(connect, connections.uri()))?;
        let (offer, ability) = (OnceLock::new(), OnceLock::new());
        Ok(Self { connections, place, turns: Turns::default(), offer, ability, secrets: Arc::default() })
    }

    /// The same with secrets for the guests that get some. Their values are hidden in all that it says.
    #[must_use]
    pub fn with_secrets(self, secrets: Arc<Secrets>) -> Self {
        Self { secrets, ..self }
    }

    /// The URI of the hypervisor, as libvirt reports it.
    pub fn uri(&self) -> String {
        self.connections.uri().to_owned()
    }

    /// Whether it runs on this machine, so that its files are those that are seen here.
    pub fn is_local(&self) -> bool {
        self.place.local && !self.place.test
    }

    /// Whether it is one user's own.
    pub fn is_session(&self) -> bool {
        self.place.session
    }

    /// The interface of the host that a network is on; a wire is on none.
    pub fn device(&self, project: &ProjectName, network: &Network) -> Option<String> {
        let own = || names::bridge(project, &network.name);
        if network.is_served() { Some(own()) } else { network.settings.device.clone() }
    }

    /// The projects that have anything here: a vm, a network or a volume.
    pub fn projects(&self) -> Result<BTreeSet<ProjectName>, HypervisorError> {
        self.connections.with(projects::projects)
    }

    /// The machines that belong to no project, and those that carry somebody's record, by name.
    pub fn strangers(&self) -> Result<Vec<Stranger>, HypervisorError> {
        self.connections.with(strangers::strangers)
    }

    /// Runs a command in a guest, through its agent, to its end, however long that takes. `input` is its standard input.
    ///
    /// Fails with [`crate::backend::ErrorKind::NotFound`] where there is no such vm, with
    /// [`crate::backend::ErrorKind::NotRunning`] where it does not run.
    pub fn exec(
        &self,
        project: &ProjectName,
        vm: &VmName,
        command: &[String],
        input: Option<&[u8]>,
    ) -> Result<Ran, HypervisorError> {
        guest::exec(&self.connections, project, vm, command, input)
    }

    /// How far the clock of a guest is from this machine's; `None` where its agent does not tell.
    pub fn clock_off_by(&self, project: &ProjectName, vm: &VmName) -> Result<Option<Duration>, HypervisorError> {
        self.connections.with(|connect| stillness::clock_off_by(connect, project, vm))
    }

    /// Opens a file of a guest, through its agent. Fails as [`Self::exec`] does.
    pub fn open_file(
        &self,
        project: &ProjectName,
        vm: &VmName,
        path: &str,
        mode: FileMode,
    ) -> Result<GuestFile<'_>, HypervisorError> {
        GuestFile::open(&self.connections, project, vm, path, mode)
    }

    fn offer(&self, connect: &Connect) -> Result<&Offer, HypervisorError> {
        if let Some(offer) = self.offer.get() {
            return Ok(offer);
        }
        // The test driver's capabilities are made up.
        let offer = if self.place.test { Offer::default() } else { Offer::of(connect)? };
        Ok(self.offer.get_or_init(|| offer))
    }
}

impl Libvirt {
    /// What domains can have here; asked once.
    fn ability(&self, connect: &Connect) -> Result<Option<Box<state::Offer>>, HypervisorError> {
        if let Some(ability) = self.ability.get() {
            return Ok(ability.clone());
        }
        let ability = capabilities::offer(connect, &self.place, self.offer(connect)?)?;
        Ok(self.ability.get_or_init(|| ability).clone())
    }
}

impl fmt::Debug for Libvirt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Libvirt").field("uri", &self.connections.uri()).finish_non_exhaustive()
    }
}

impl Hypervisor for Libvirt {
    fn observe(&self, project: &ProjectName) -> Result<ActualState, HypervisorError> {
        self.connections.with(|connect| {
            let mut state = observe::observe(connect, &self.place, project)?;
            let vms = state.recorded().filter_map(Spec::as_vm);
            let machines = vms.filter_map(|vm| Some((vm.existing()?.to_owned(), vm.name.clone()))).collect();
            self.connections.know(project, machines);
            if !self.place.test {
                state.offer = self.ability(connect)?;
            }
            Ok(state)
        })
    }

    fn apply(&self, project: &ProjectName, operation: &Operation) -> Result<Change, HypervisorError> {
        let change = Cell::new(Change::Made);
        let done = self.perform(project, operation, &change);
        done.map(|()| change.get()).map_err(|error| self.masked(error))
    }

    fn probe(&self, project: &ProjectName, attempt: &Attempt) -> Result<Health, HypervisorError> {
        // A guest may say anything, its secrets too.
        match probe::probe(&self.connections, &self.place, project, attempt) {
            Ok(Health::Failing(words)) if words == agent::ABSENT => Ok(Health::Awaiting(words)),
            Ok(Health::Failing(words)) => Ok(Health::Failing(self.secrets.mask(&words))),
            answer => answer.map_err(|error| self.masked(error)),
        }
    }

    fn notices(&self, project: &ProjectName) -> Option<Notices> {
        self.connections.listen(project)
    }

    fn evidence(&self, project: &ProjectName, vm: &VmName) -> Vec<Exhibit> {
        evidence::gather(self, project, vm)
    }
}

impl Libvirt {
    fn masked(&self, error: HypervisorError) -> HypervisorError {
        let mask = |text: String| self.secrets.mask(&text);
        HypervisorError {
            message: mask(error.message),
            detail: error.detail.map(mask),
            hint: error.hint.map(mask),
            ..error
        }
    }

    fn perform(
        &self,
        project: &ProjectName,
        operation: &Operation,
        change: &Cell<Change>,
    ) -> Result<(), HypervisorError> {
        let Self { connections, place, turns, .. } = self;
        let secrets = self.secrets.as_ref();
        let on = |make: &dyn Fn(Call<'_>) -> Result<(), HypervisorError>| {
            connections.with(|connect| make(Call { connect, place, turns, secrets, project, change: Some(change) }))
        };
        let delete = |stored: Stored, what: String| on(&|call| volumes::delete(call, &stored, &what));
        let what = operation.resource().to_string();
        match operation {
            Operation::CreatePool(pool) => on(&|call| storage::create(call, *pool)),
            Operation::DeletePool(pool) => on(&|call| storage::delete(call, *pool)),
            Operation::StartPool(pool) => on(&|call| storage::start(call, *pool)),
            Operation::StopPool(pool) => on(&|call| storage::stop(call, *pool)),
            Operation::UploadImage(image) => on(&|call| upload::upload(call, image)),
            Operation::DeleteImage(image) => delete(Stored::image(image), what),
            Operation::CreateVolume(volume) => on(&|call| volumes::create_volume(call, volume)),
            Operation::GrowVolume { volume, .. } => {
                on(&|call| grow::grow(call, &Stored::volume(volume), volume.size, &what))
            }
            Operation::DeleteVolume(volume) => delete(Stored::volume(volume), what),
            Operation::CreateDisk(disk) => on(&|call| volumes::create_disk(call, disk)),
            Operation::DeleteDisk(disk) => delete(Stored::disk(disk), format!("disk `{}` of {what}", disk.disk)),
            Operation::GrowDisk { vm, generation, disk, to, .. } => {
                let stored = Stored::Disk { vm: vm.clone(), disk: disk.clone(), generation: *generation };
                on(&|call| grow::grow(call, &stored, *to, &operation.object()))
            }
            Operation::CreateSeed(seed) => on(&|call| seeds::create(call, seed)),
            Operation::FillSeed(seed) => on(&|call| seeds::fill(call, seed)),
            Operation::ScrubSeed(seed) => on(&|call| seeds::scrub(call, seed)),
            Operation::CreateIgnition { vm, generation, config } => {
                on(&|call| seeds::create_ignition(call, (vm, *generation), config))
            }
            Operation::DeleteSeed { vm, generation } => {
                on(&|call| seeds::delete(call, vm, *generation))?;
                on(&|call| console_log::delete(call, vm))?;
                delete(Stored::Ignition(vm.clone(), *generation), format!("the Ignition configuration of {what}"))
            }
            Operation::DefineNetwork(network) => {
                let record = record::now(project, Spec::Network(network.clone()));
                on(&|call| networks::define(call, &record, network))
            }
            Operation::UpdateNetwork { to, .. } => {
                let record = record::now(project, Spec::Network((**to).clone()));
                on(&|call| update::network(call, &record, to))
            }
            Operation::UndefineNetwork(network) => on(&|call| networks::undefine(call, &network.name)),
            Operation::StartNetwork(network) => on(&|call| networks::start(call, network)),
            Operation::StopNetwork(network) => on(&|call| networks::stop(call, network)),
            Operation::DefineVm(vm) => {
                let record = record::now(project, Spec::Vm(vm.clone()));
                on(&|call| vms::define(call, self.offer(call.connect)?, &record, vm))
            }
            Operation::RedefineVm { from, to } => {
                let record = record::now(project, Spec::Vm(to.clone()));
                on(&|call| vms::redefine(call, self.offer(call.connect)?, &record, from, to))
            }
            Operation::AdoptVm(vm) => {
                let record = record::now(project, Spec::Vm(vm.clone()));
                on(&|call| adopted::adopt(call, &record, vm))
            }
            Operation::ReleaseVm(vm) => on(&|call| adopted::release(call, vm)),
            Operation::SetMemory { vm, to, .. } => on(&|call| live::set_memory(call, vm, *to)),
            Operation::SetCpus { vm, to, .. } => on(&|call| live::set_cpus(call, vm, *to)),
            Operation::SetLimits { vm, from, to } => on(&|call| live::set_limits(call, vm, from, to)),
            Operation::Attach { vm, device, limits } => on(&|call| live::attach(call, vm, device, limits)),
            Operation::Detach { vm, device, .. } => on(&|call| live::detach(call, vm, device)),
            Operation::Plug { vm, interface, on: plugged } => on(&|call| plug::plug(call, vm, interface, *plugged)),
            Operation::RecordVm { to, .. } => {
                let record = record::now(project, Spec::Vm(to.clone()));
                on(&|call| update::record_vm(call, &record, to))
            }
            // Waits for a guest, likewise.
            Operation::Provision(wanted) => {
                let record = record::now(project, Spec::Vm(wanted.vm.clone()));
                if !place.test {
                    provision::apply(connections, project, wanted)?;
                }
                on(&|call| update::record_vm(call, &record, &wanted.vm))
            }
            Operation::UndefineVm(vm) => on(&|call| vms::undefine(call, &vm.name)),
            // What was kept of its memory is what it starts with.
            Operation::StartVm(vm) | Operation::RestoreVm(vm) => on(&|call| vms::start(call, vm)),
            Operation::ResumeVm(vm) => on(&|call| vms::resume(call, vm)),
            Operation::PauseVm(vm) => on(&|call| vms::pause(call, vm)),
            Operation::SaveVm(vm) => on(&|call| vms::save(call, vm)),
            Operation::FreezeVm(vm) => on(&|call| stillness::freeze(call, vm)),
            Operation::ThawVm(vm) => on(&|call| stillness::thaw(call, vm)),
            Operation::SetClock(vm) => on(&|call| stillness::set_clock(call, vm)),
            Operation::CreateSnapshot { vm, moment } => on(&|call| snapshots::create(call, vm, moment)),
            Operation::DeleteSnapshot { vm, moment } => on(&|call| snapshots::delete(call, vm, moment)),
            Operation::RestoreSnapshot { vm, to, from } => {
                on(&|call| snapshots::restore(call, vm, to, from.as_deref()))
            }
            // Waits for a guest, and takes a connection only when it looks.
            Operation::StopVm { name, grace } => {
                vms::stop(connections, place, project, name, grace.0).map(|done| change.set(done))
            }
        }
    }
}
