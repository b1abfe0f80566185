//! What a run knows of its guests: how probes log in, which line of the user's failed, how long a task waits for its guest.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use vmcompose::backend::{ErrorKind, Health, HypervisorError, WayIn};
use vmcompose::compose::{self, Request};
use vmcompose::execute::{self, EventKind, OnFailure, Options, Outcome, Problem};
use vmcompose::model::Surroundings;
use vmcompose::names::VmName;
use vmcompose::plan::{Operation, Plan};
use vmcompose::units::Span;

use crate::rig::{Rig, rig_of};
use crate::support::faulty::Faulty;
use vmcompose::backend::libvirt::Libvirt;

const SHOP: &str = "\
name: shop
vms:
  db:
    boot: { kernel: kernel }
    cloud_init:
      timezone: Mars/Olympus
    provision: [{ name: setup, run: 'true' }]
    healthcheck:
      probes: [{ cloud_init: true }, { ssh: true }, { ssh: 2222 }, { ssh: { host: 127.0.0.1 } }]
";

fn shop(change: impl FnOnce(Faulty<Libvirt>) -> Faulty<Libvirt>) -> Rig {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("vmcompose.yaml"), SHOP).expect("written");
    std::fs::write(folder.path().join("kernel"), "a kernel").expect("written");
    rig_of(folder, change)
}

fn db() -> VmName {
    "db".parse().expect("legal")
}

/// The plan without what only a guest could do.
fn without_tasks(rig: &Rig) -> Plan {
    let mut plan = rig.plan();
    for step in plan.waves.iter_mut().flat_map(|wave| &mut wave.steps) {
        step.operations.retain(|operation| !matches!(operation, Operation::Provision(_)));
    }
    plan
}

#[test]
fn a_probe_logs_in_where_the_way_in_is_known_and_leads_to_what_is_probed() {
    let seen: Arc<Mutex<Vec<(String, bool)>>> = Arc::default();
    let noted = Arc::clone(&seen);
    let rig = shop(move |faulty| {
        faulty.answering(move |attempt, _| {
            let asked = (attempt.probe.to_string(), attempt.login.is_some());
            noted.lock().expect("no panic under the lock").push(asked);
            Ok(Health::Passing)
        })
    });
    let way = WayIn { user: "debian".to_owned(), port: 22, key: "/k".into() };
    let logins = Arc::new([(db(), way)].into());
    let outcome = rig.carry_out(&without_tasks(&rig), &Options { logins, ..Options::default() }).0;
    assert_eq!(outcome, Outcome::Completed);
    let mut seen = seen.lock().expect("no panic under the lock").clone();
    seen.sort();
    let expected = [("cloud-init", false), ("ssh 127.0.0.1:22", false), ("ssh :22", true), ("ssh :2222", false)];
    assert_eq!(seen, expected.map(|(probe, login)| (probe.to_owned(), login)));
}

#[test]
fn twenty_probes_of_one_vm_are_tried_at_once() {
    const PROBES: usize = 20;
    let folder = tempfile::tempdir().expect("a folder");
    let probes: Vec<String> = (1..=PROBES).map(|port| format!("{{ tcp: {port} }}")).collect();
    let text = format!(
        "name: shop\nvms: {{ db: {{ boot: {{ kernel: kernel }}, healthcheck: {{ probes: [{}], retries: 1, start_period: 0s, timeout: 2m }} }} }}\n",
        probes.join(", ")
    );
    std::fs::write(folder.path().join("vmcompose.yaml"), text).expect("written");
    std::fs::write(folder.path().join("kernel"), "a kernel").expect("written");
    // None gets its answer before all have asked.
    let (asked, all) = (Mutex::new(0), Condvar::new());
    let rig = rig_of(folder, move |faulty| {
        faulty.answering(move |_, _| {
            let mut asked = asked.lock().expect("no panic under the lock");
            *asked += 1;
            all.notify_all();
            let waited = all.wait_timeout_while(asked, Duration::from_mins(1), |asked| *asked < PROBES);
            let late = waited.expect("no panic under the lock").1.timed_out();
            Ok(if late { Health::Failing("one after the other".to_owned()) } else { Health::Passing })
        })
    });
    let outcome = rig.carry_out(&rig.plan(), &Options::default()).0;
    assert_eq!(outcome, Outcome::Completed);
}

#[test]
fn a_cloud_init_with_warnings_opens_its_gate_and_the_warning_is_told() {
    let warning = "cloud-init is done, with a warning: no such key";
    let rig = shop(move |faulty| {
        faulty.answering(move |attempt, _| match attempt.probe.to_string().as_str() {
            "cloud-init" => Ok(Health::Degraded(warning.to_owned())),
            _ => Ok(Health::Passing),
        })
    });
    let (outcome, events) = rig.carry_out(&without_tasks(&rig), &Options::default());
    assert_eq!(outcome, Outcome::Completed);
    let mut progress = vmcompose::render::Progress::default();
    let mut plain = vmcompose::render::Plain::default();
    let mut said = Vec::new();
    for event in &events {
        progress.apply(event).expect("legal");
        said.extend(plain.line(&progress, event));
    }
    let told = format!("vm `db`: cloud-init: passed: {warning} (attempt 1)");
    assert!(said.iter().any(|line| line.ends_with(&told)), "{said:#?}");
}

#[test]
fn an_error_of_cloud_inits_leads_to_the_users_own_line() {
    let rig = shop(|faulty| {
        faulty.answering(|attempt, _| match attempt.probe.to_string().as_str() {
            "cloud-init" => Err(HypervisorError::new(
                ErrorKind::Rejected,
                "cloud-init failed in its module `timezone`: OSError('Invalid timezone Mars/Olympus')",
            )),
            _ => Ok(Health::Failing("not yet".to_owned())),
        })
    });
    let request = Request { directory: rig.folder.path().to_owned(), ..Request::default() };
    let sources = compose::gather(&request).expect("readable");
    let parsed = compose::parse(&sources, &request, &Surroundings::default()).expect("valid");
    let options = Options { instructions: Arc::new(parsed.instructions()), ..Options::default() };
    let (outcome, events) = rig.carry_out(&without_tasks(&rig), &options);
    assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
    let found = events.iter().find_map(|event| match &event.kind {
        EventKind::EvidenceFound { telling, .. } => Some(telling),
        _ => None,
    });
    let first = found.and_then(|telling| telling.first()).expect("found");
    assert_eq!(first, "told in vmcompose.yaml:6: `timezone: Mars/Olympus`");
}

#[test]
fn a_guest_that_does_not_come_is_given_up_and_it_is_said_what_was_waited_for_and_how_long() {
    let rig = shop(|faulty| faulty);
    let mut plan = rig.plan();
    let mut before = 0;
    for step in plan.waves.iter_mut().flat_map(|wave| &mut wave.steps) {
        before += step.operations.len();
        for operation in &mut step.operations {
            if let Operation::Provision(provision) = operation {
                assert_eq!(provision.patience, Span::secs(600), "as long as the task's own time");
                provision.patience = Span::secs(1);
            }
        }
    }
    let task = before - 1;
    let rig = shop(|faulty| {
        faulty.losing(move |call| {
            let answer = "vm `db` cannot do anything yet: the guest agent is not connected";
            (call >= task).then(|| (HypervisorError::new(ErrorKind::NotYet, answer), false))
        })
    });
    let options = execute::Options { parallel: 1, on_failure: OnFailure::Keep, ..Options::default() };
    let (outcome, events) = rig.carry_out(&plan, &options);
    let Outcome::Stuck { causes, .. } = outcome else { panic!("{outcome:?}") };
    let Problem::Operation { operation, error } = &causes[0].problem else { panic!("{causes:?}") };
    assert_eq!(operation, "apply task 1 (`setup`) of vm `db`");
    let (words, waited) = error.message.split_once(", after ").expect("how long");
    assert_eq!(words, "vm `db` cannot do anything yet: the guest agent is not connected");
    assert!(waited.ends_with("s of waiting"), "{waited}");
    let waiting = events.iter().find_map(|event| match &event.kind {
        EventKind::GateWaiting { probe, .. } => Some(probe.as_str()),
        _ => None,
    });
    assert_eq!(waiting, Some("apply task 1 (`setup`) of vm `db`"));
}
