//! The project's key in what is wanted: where one was recorded it stands, where a vm is new it gets the one at hand.
//!
//! Owns the rule that a vm which is there is never changed for the sake of a key: who has no private half, on another
//! machine, sees the same truth. Knows nothing of where keys are kept.

use super::{ActualState, DesiredState};
use crate::model::{CloudInit, ProjectKey, Spec, Vm};

impl DesiredState {
    /// Takes over what is recorded of keys.
    pub fn keep_keys(&mut self, actual: &ActualState) {
        for (id, spec) in &mut self.specs {
            let (Spec::Vm(vm), Some(found)) = (spec, actual.resources.get(id)) else { continue };
            if let Some(recorded) = found.recorded.as_vm() {
                keep(vm, recorded);
            }
        }
    }

    /// Whether a vm waits for a key.
    pub fn wants_key(&self) -> bool {
        let wanted = |settings: &CloudInit| settings.project_key == Some(ProjectKey::Wanted);
        self.specs.values().filter_map(Spec::as_vm).any(|vm| vm.cloud_init.as_deref().is_some_and(wanted))
    }

    /// Gives the public half of a key to all that wait for one.
    pub fn give_key(&mut self, public: &str) {
        for spec in self.specs.values_mut() {
            if let Spec::Vm(vm) = spec
                && let Some(settings) = vm.cloud_init.as_deref_mut()
                && settings.project_key == Some(ProjectKey::Wanted)
            {
                settings.project_key = Some(ProjectKey::Public(public.to_owned()));
            }
        }
    }
}

fn keep(vm: &mut Vm, recorded: &Vm) {
    let Some(settings) = vm.cloud_init.as_deref_mut().filter(|settings| settings.project_key.is_some()) else { return };
    match &recorded.cloud_init {
        Some(before) if before.project_key.is_some() => settings.project_key.clone_from(&before.project_key),
        // It was made without one, and what the file asks for is the same without one.
        Some(before) => {
            let without = CloudInit { project_key: None, ..settings.clone() };
            if **before == without {
                *settings = without;
            }
        }
        None => {
            let only_key = CloudInit { project_key: settings.project_key.clone(), ..CloudInit::default() };
            if *settings == only_key {
                vm.cloud_init = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::graph::Graph;
    use crate::model::{Accel, Boot, Hardware, ImageRef};
    use crate::names::{Generation, ImageName, ProjectName, ResourceId, VmName};
    use crate::state::{Actual, Phase};
    use crate::units::{Bytes, Span};

    fn vm(cloud_init: Option<CloudInit>) -> Vm {
        Vm {
            name: VmName::new("db").expect("legal"),
            replica_of: None,
            hostname: "db".to_owned(),
            boot: Boot::Image(ImageRef::unseen(ImageName::new("debian").expect("legal"))),
            cpus: 1,
            memory: Bytes::gib(1),
            disk: None,
            disks: Vec::new(),
            interfaces: Vec::new(),
            depends_on: BTreeMap::new(),
            healthcheck: None,
            cloud_init: cloud_init.map(Box::new),
            ssh: None,
            ports: Vec::new(),
            ignition: None,
            provision: Vec::new(),
            shares: Vec::new(),
            stop_grace_period: Span::secs(1),
            autostart: false,
            protect: false,
            accel: Accel::Auto,
            hardware: Hardware::default(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            generation: Generation::FIRST,
        }
    }

    fn with(key: Option<ProjectKey>) -> CloudInit {
        CloudInit { project_key: key, ..CloudInit::default() }
    }

    /// What is recorded.
    enum Recorded {
        /// There is no such vm.
        None,
        /// A vm that was told nothing.
        Silent,
        /// A vm that was told this.
        Told(Box<CloudInit>),
    }

    /// What becomes of the wish for a key beside what is recorded, and after a key is given.
    fn settled(wanted: CloudInit, recorded: Recorded) -> Option<CloudInit> {
        let id = ResourceId::Vm(VmName::new("db").expect("legal"));
        let spec = Spec::Vm(Box::new(vm(Some(wanted))));
        let mut desired = DesiredState {
            project: ProjectName::new("shop").expect("legal"),
            specs: BTreeMap::from([(id.clone(), spec)]),
            graph: Graph::default(),
            origins: BTreeMap::new(),
            tasks: BTreeMap::new(),
        };
        let mut actual = ActualState::default();
        let recorded = match recorded {
            Recorded::None => None,
            Recorded::Silent => Some(None),
            Recorded::Told(settings) => Some(Some(*settings)),
        };
        if let Some(cloud_init) = recorded {
            let recorded = Spec::Vm(Box::new(vm(cloud_init)));
            actual
                .resources
                .insert(id.clone(), Actual { recorded, phase: Phase::Running, applied_at: None, seen: None });
        }
        desired.keep_keys(&actual);
        if desired.wants_key() {
            desired.give_key("new");
        }
        desired.specs[&id].as_vm().and_then(|vm| vm.cloud_init.as_deref().cloned())
    }

    #[test]
    fn a_new_vm_gets_the_key_at_hand_and_one_that_is_there_keeps_its_own() {
        let key = |text: &str| Some(ProjectKey::Public(text.to_owned()));
        let wanted = || with(Some(ProjectKey::Wanted));
        assert_eq!(settled(wanted(), Recorded::None), Some(with(key("new"))));
        assert_eq!(settled(wanted(), Recorded::Told(Box::new(with(key("old"))))), Some(with(key("old"))));
        assert_eq!(
            settled(with(None), Recorded::Told(Box::new(with(key("old"))))),
            Some(with(None)),
            "`ssh: false` is a change"
        );
    }

    #[test]
    fn a_vm_that_was_made_without_a_key_is_not_changed_for_one() {
        let wanted = || with(Some(ProjectKey::Wanted));
        assert_eq!(settled(wanted(), Recorded::Silent), None);
        assert_eq!(settled(wanted(), Recorded::Told(Box::new(with(None)))), Some(with(None)));
        let more = CloudInit { packages: vec!["nginx".to_owned()], ..wanted() };
        let given = CloudInit { project_key: Some(ProjectKey::Public("new".to_owned())), ..more.clone() };
        assert_eq!(settled(more, Recorded::Told(Box::new(with(None)))), Some(given), "it changes anyway");
    }
}
