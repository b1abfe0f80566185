//! What templates can see: `vars`, `env`, `project`, `index`, `each`, once addresses are settled `vms` and `networks`, and
//! where nobody looks `secrets`.
//!
//! Owns these names. Knows nothing of rendering.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use minijinja::Value;
use minijinja::value::{Enumerator, Object, ObjectRepr};

use crate::compose::interpolate::Environment;
use crate::compose::lower::Instance;
use crate::compose::lower::settle::Settled;
use crate::model::{Interface, secret};
use crate::names::{ProjectName, SecretName};

/// By which templates know secrets.
pub(crate) const SECRETS: &str = "secrets";

/// What all templates of a project share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    vars: Value,
    env: Value,
    project: Value,
    addresses: Option<(Value, Value)>,
    secrets: Option<Value>,
    /// How often a secret was written.
    told: Arc<AtomicUsize>,
}

impl Shared {
    pub(crate) fn new(vars: BTreeMap<String, Value>, environment: &Environment, project: &ProjectName) -> Self {
        let env: BTreeMap<String, Value> =
            environment.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect();
        let project = BTreeMap::from([("name".to_owned(), Value::from(project.as_str()))]);
        let (vars, env, project) = (Value::from(vars), Value::from(env), Value::from(project));
        Self { vars, env, project, addresses: None, secrets: None, told: Arc::default() }
    }

    /// The same with other vars.
    pub(crate) fn with_vars(&self, vars: BTreeMap<String, Value>) -> Self {
        Self { vars: Value::from(vars), ..self.clone() }
    }

    /// The same with `vms` and `networks`.
    pub(crate) fn with_addresses<T>(&self, settled: &Settled, instances: &[Instance<T>]) -> Self {
        Self { addresses: Some((vms(settled, instances), networks(settled))), ..self.clone() }
    }

    /// The same with `secrets`, each of which writes a reference to itself.
    pub(crate) fn with_secrets<'a>(&self, names: impl Iterator<Item = &'a SecretName>) -> Self {
        let hidden = |name: &SecretName| Hidden { reference: secret::reference(name), told: Arc::clone(&self.told) };
        let secrets: BTreeMap<String, Value> =
            names.map(|name| (name.to_string(), Value::from_object(hidden(name)))).collect();
        Self { secrets: Some(Value::from(secrets)), ..self.clone() }
    }

    /// What stands outside of vms sees this.
    pub(crate) fn context(&self) -> Value {
        Value::from_object(Context { shared: self.clone(), own: None })
    }

    /// What a vm sees.
    pub(crate) fn of_vm(&self, own: Own) -> Value {
        Value::from_object(Context { shared: self.clone(), own: Some(own) })
    }
}

/// What one vm has for itself.
#[derive(Debug, Clone)]
pub(crate) struct Own {
    /// Its number among its replicas, from 1.
    pub(crate) index: u32,
    /// Key and value of `for_each`.
    pub(crate) each: Option<(Value, Value)>,
}

#[derive(Debug)]
struct Context {
    shared: Shared,
    own: Option<Own>,
}

impl Object for Context {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let addresses = self.shared.addresses.as_ref();
        match key.as_str()? {
            "vars" => Some(self.shared.vars.clone()),
            "env" => Some(self.shared.env.clone()),
            "project" => Some(self.shared.project.clone()),
            "vms" => addresses.map(|(vms, _)| vms.clone()),
            "networks" => addresses.map(|(_, networks)| networks.clone()),
            SECRETS => self.shared.secrets.clone(),
            "index" => self.own.as_ref().map(|own| Value::from(own.index)),
            "each" => {
                let (key, value) = self.own.as_ref()?.each.clone()?;
                Some(Value::from(BTreeMap::from([("key".to_owned(), key), ("value".to_owned(), value)])))
            }
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let mut names = vec!["vars", "env", "project"];
        if self.shared.addresses.is_some() {
            names.extend(["vms", "networks"]);
        }
        names.extend(self.shared.secrets.is_some().then_some(SECRETS));
        if let Some(own) = &self.own {
            names.push("index");
            names.extend(own.each.is_some().then_some("each"));
        }
        Enumerator::Values(names.into_iter().map(Value::from).collect())
    }
}

/// A secret as templates see it: it cannot be looked into.
#[derive(Debug)]
struct Hidden {
    reference: String,
    told: Arc<AtomicUsize>,
}

impl Object for Hidden {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.told.fetch_add(1, Ordering::Relaxed);
        f.write_str(&self.reference)
    }
}

/// How often templates with this context have written a secret so far.
pub(crate) fn told(context: &Value) -> usize {
    context.downcast_object_ref::<Context>().map_or(0, |context| context.shared.told.load(Ordering::Relaxed))
}

/// Vms by name; a group of replicas is the list of them.
fn vms<T>(settled: &Settled, instances: &[Instance<T>]) -> Value {
    let mut all: BTreeMap<String, Value> = BTreeMap::new();
    let mut groups: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for instance in instances {
        let interfaces = settled.interfaces.get(&instance.name).map_or(&[][..], Vec::as_slice);
        let host = |network| settled.networks.get(network)?.spec.hosts.get(&instance.name);
        let hostname = interfaces.iter().find_map(|interface| host(&interface.network)?.names.first().cloned());
        let vm = vm(instance.name.as_str(), hostname, interfaces);
        if let Some(group) = &instance.group {
            groups.entry(group.to_string()).or_default().push(vm.clone());
        }
        all.insert(instance.name.to_string(), vm);
    }
    all.extend(groups.into_iter().map(|(name, members)| (name, Value::from(members))));
    Value::from(all)
}

fn vm(name: &str, hostname: Option<String>, interfaces: &[Interface]) -> Value {
    let text = |text: &dyn std::fmt::Display| Value::from(text.to_string());
    let by_network = |interface: &Interface| {
        let mut inner =
            BTreeMap::from([("ip".to_owned(), text(&interface.ip)), ("mac".to_owned(), text(&interface.mac))]);
        inner.extend(interface.ip6.map(|ip| ("ip6".to_owned(), text(&ip))));
        (interface.network.to_string(), Value::from(inner))
    };
    let networks: BTreeMap<String, Value> = interfaces.iter().map(by_network).collect();
    let mut vm = BTreeMap::from([
        ("name".to_owned(), Value::from(name)),
        ("hostname".to_owned(), Value::from(hostname.unwrap_or_else(|| name.to_owned()))),
        ("networks".to_owned(), Value::from(networks)),
    ]);
    // A vm on several networks answers with its address on the first that it names.
    if let Some(first) = interfaces.first() {
        vm.insert("ip".to_owned(), text(&first.ip));
        vm.insert("mac".to_owned(), text(&first.mac));
        vm.extend(first.ip6.map(|ip| ("ip6".to_owned(), text(&ip))));
    }
    Value::from(vm)
}

fn networks(settled: &Settled) -> Value {
    let network = |network: &crate::model::Network| {
        let text = |text: &dyn std::fmt::Display| Value::from(text.to_string());
        let mut known = BTreeMap::from([
            ("name".to_owned(), text(&network.name)),
            ("mode".to_owned(), text(&network.mode)),
            ("subnet".to_owned(), text(&network.subnet)),
            ("gateway".to_owned(), text(&network.gateway())),
            ("netmask".to_owned(), text(&network.subnet.netmask())),
            ("prefix".to_owned(), Value::from(network.subnet.prefix_len())),
        ]);
        known.extend(network.settings.subnet6.map(|subnet| ("subnet6".to_owned(), text(&subnet))));
        known.extend(network.gateway6().map(|ip| ("gateway6".to_owned(), text(&ip))));
        Value::from(known)
    };
    let all = settled.networks.iter().map(|(name, declared)| (name.to_string(), network(&declared.spec)));
    Value::from(all.collect::<BTreeMap<String, Value>>())
}
