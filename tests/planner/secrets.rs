//! Secrets in the plan: on the seed before a start, off it after the gate, and never their values.

use vmcompose::model::cloud_init::{CloudInit, SecretFile, User};
use vmcompose::model::secret::PasswordHash;
use vmcompose::model::{Probe, Spec};
use vmcompose::plan::{Action, Cause, Company, Operation, Plan, Power, Selection, Step, plan, power};
use vmcompose::state::{ActualState, Phase};

use crate::specs::{UP, applied, desired, edit, id, name, planned, vm};

fn secretive(called: &str, probes: &[Probe]) -> Spec {
    let file = SecretFile {
        source: name("password"),
        path: "/run/secrets/password".to_owned(),
        owner: None,
        mode: SecretFile::MODE.to_owned(),
    };
    let settings = CloudInit { secrets: vec![file], ..CloudInit::default() };
    edit(vm(called, &[]), |vm| {
        vm.cloud_init = Some(Box::new(settings));
        match &mut vm.healthcheck {
            Some(check) if !probes.is_empty() => check.probes = probes.to_vec(),
            check => *check = None,
        }
    })
}

fn step<'a>(plan: &'a Plan, called: &str) -> &'a Step {
    plan.steps().find(|step| step.resource == id(called)).expect("a step")
}

fn words(operations: &[Operation]) -> Vec<String> {
    operations.iter().map(ToString::to_string).collect()
}

const FILL: &str = "put secrets on the seed of vm `db`";
const SCRUB: &str = "take secrets off the seed of vm `db`";

#[test]
fn secrets_come_before_a_start_and_go_after_the_gate() {
    let desired = desired(&[secretive("db", &[]), vm("web", &[])]);
    let made = plan(&desired, &ActualState::default(), &UP).expect("a plan");
    let seed = "create the cloud-init seed of vm `db`";
    let all = ["create disk `root` of vm `db`", seed, "define vm `db`", FILL, "start vm `db`"];
    assert_eq!(words(&step(&made, "db").operations), all);
    assert_eq!(words(&step(&made, "db").finish), [SCRUB]);
    assert_eq!(step(&made, "db").gate.to_string(), "healthy (cloud-init)");
    assert!(step(&made, "web").finish.is_empty());

    let mut stopped = applied(&desired);
    stopped.resources.get_mut(&id("db")).expect("it is there").phase = Phase::Stopped;
    let started = plan(&desired, &stopped, &UP).expect("a plan");
    assert_eq!(words(&step(&started, "db").operations), [FILL, "start vm `db`"]);
    assert_eq!(words(&step(&started, "db").finish), [SCRUB]);

    stopped.resources.get_mut(&id("db")).expect("it is there").phase = Phase::Paused;
    let resumed = plan(&desired, &stopped, &UP).expect("a plan");
    assert_eq!(words(&step(&resumed, "db").operations), ["resume vm `db`"]);
    assert!(step(&resumed, "db").finish.is_empty());
    assert!(planned(&desired, &applied(&desired)).is_empty());
}

#[test]
fn secrets_that_a_run_left_on_a_seed_are_taken_off_by_the_next() {
    let desired = desired(&[secretive("db", &[])]);
    let mut actual = applied(&desired);
    actual.filled_seeds.insert(name("db"));
    let plan = plan(&desired, &actual, &UP).expect("a plan");
    let step = step(&plan, "db");
    assert_eq!((step.action, &step.cause, step.operations.len()), (Action::Update, &Cause::Unscrubbed, 0));
    assert_eq!(
        (words(&step.finish), step.gate.to_string()),
        (vec![SCRUB.to_owned()], "healthy (cloud-init)".to_owned())
    );
    assert!(!plan.is_empty());
}

#[test]
fn whoever_starts_a_vm_without_its_file_delivers_too() {
    let desired = desired(&[secretive("db", &[])]);
    let all = Selection { vms: [name("db")].into(), company: Company::Needed };
    let of = |phase: Phase, what: Power| {
        let mut actual = applied(&desired);
        actual.resources.get_mut(&id("db")).expect("it is there").phase = phase;
        let plan = power(&name("shop"), &actual, what, &all).expect("a plan");
        (words(&step(&plan, "db").operations), words(&step(&plan, "db").finish), step(&plan, "db").gate.to_string())
    };
    let finish = vec![SCRUB.to_owned()];
    let ready = "healthy (cloud-init)".to_owned();
    let lines = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
    let started = lines(&[FILL, "start vm `db`"]);
    assert_eq!(of(Phase::Stopped, Power::Start), (started, finish.clone(), ready.clone()));
    let restarted = lines(&["stop vm `db`", FILL, "start vm `db`"]);
    assert_eq!(of(Phase::Running, Power::Restart(None)), (restarted, finish, ready));
    assert_eq!(of(Phase::Running, Power::Stop(None)), (lines(&["stop vm `db`"]), Vec::new(), String::new()));
}

#[test]
fn the_end_of_cloud_init_is_waited_for_where_an_agent_can_tell() {
    let gate = |probes: &[Probe]| {
        let plan = plan(&desired(&[secretive("db", probes)]), &ActualState::default(), &UP).expect("a plan");
        step(&plan, "db").gate.to_string()
    };
    let port = Probe::Tcp { host: None, port: 5432 };
    assert_eq!(gate(&[Probe::Agent]), "healthy (agent, cloud-init)");
    assert_eq!(
        gate(&[port.clone(), Probe::Exec(vec!["true".to_owned()])]),
        "healthy (tcp :5432, exec true, cloud-init)"
    );
    assert_eq!(gate(&[Probe::CloudInit]), "healthy (cloud-init)");
    assert_eq!(gate(&[port]), "healthy (tcp :5432)");
}

#[test]
fn what_is_undone_leaves_no_secrets_on_a_seed() {
    let plan = plan(&desired(&[secretive("db", &[])]), &ActualState::default(), &UP).expect("a plan");
    let fill = step(&plan, "db").operations.iter().find(|operation| operation.to_string() == FILL).expect("filled");
    let scrub = fill.undo().expect("it can be undone");
    assert_eq!((scrub.to_string().as_str(), scrub.undo()), (SCRUB, None));
    assert_eq!(scrub, step(&plan, "db").finish[0]);
}

#[test]
fn a_change_of_a_password_is_seen_and_not_shown() {
    let with = |hash: &str| {
        let user = User { name: "ada".to_owned(), password_hash: Some(PasswordHash::new(hash)), ..User::default() };
        let settings = CloudInit { users: vec![user], ..CloudInit::default() };
        desired(&[edit(vm("db", &[]), |vm| vm.cloud_init = Some(Box::new(settings)))])
    };
    let (old, new) = (with("$6$MaRkEr$old"), with("$6$MaRkEr$new"));
    assert!(planned(&old, &applied(&old)).is_empty());
    let plan = plan(&new, &applied(&old), &UP).expect("a plan");
    let step = step(&plan, "db");
    // A guest hears of its accounts at its first boot only.
    assert_eq!(step.action, Action::Replace);
    let shown = format!("{:?}", step.changes);
    assert!(shown.contains("cloud_init.users.0.password_hash") && shown.contains("sha256:"), "{shown}");
    assert!(!format!("{plan:?}").contains("MaRkEr"));
}
