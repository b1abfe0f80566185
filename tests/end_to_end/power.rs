//! `start`, `stop`, `restart`, `pause`, `unpause`, `kill` as a shell sees them, on the test driver.

use crate::support::desk::Desk;
use crate::support::qemu::enabled;
use virt::domain::Domain;

const PAIR: &str = "vms:\n  db: { boot: { kernel: kernel } }\n  web: { boot: { kernel: kernel }, depends_on: [db] }\n";

/// Each vm and its state, as `ps` has them.
fn states(desk: &Desk) -> String {
    let shape: serde_json::Value =
        serde_json::from_str(&desk.run(&["ps", "-a", "--format", "json"]).expect(0).stdout).expect("json");
    let vms = shape["vms"].as_array().expect("a list").iter();
    let words: Vec<String> = vms
        .map(|vm| format!("{} {}", vm["vm"].as_str().expect("a name"), vm["state"].as_str().expect("a state")))
        .collect();
    words.join(", ")
}

#[test]
fn a_day_of_a_project() {
    if !enabled() {
        return;
    }
    let desk = Desk::online(PAIR);
    desk.run(&["up"]).expect(0);
    let then = |verb: &[&str], state: &str| {
        let run = desk.run(verb).expect(0);
        assert_eq!(states(&desk), state, "after {verb:?}:\n{}", run.stderr);
        run.stderr
    };
    assert!(then(&["stop", "web"], "db running, web stopped").contains("vm `web`: stopped"));
    assert_eq!(then(&["stop", "web"], "db running, web stopped"), "nothing to do: vm `web` is stopped already\n");
    let plan = desk.run(&["plan"]).expect(0).stdout;
    assert!(plan.contains("> vm `web`") && plan.contains("start: is stopped"), "`up` starts it again:\n{plan}");
    then(&["stop"], "db stopped, web stopped");
    let started = then(&["start", "web"], "db running, web running");
    assert!(started.contains("vm `db`: started") && started.contains("2 vms started"), "{started}");
    let restarted = then(&["restart", "db"], "db running, web running");
    assert!(restarted.contains("vm `db`: restarted") && !restarted.contains("web"), "{restarted}");
    let held = then(&["pause"], "db paused, web paused");
    assert!(held.contains("2 vms paused"), "{held}");
    then(&["unpause", "web"], "db running, web running");
    let slept = then(&["suspend"], "db saved, web saved");
    assert!(slept.contains("2 vms suspended"), "{slept}");
    assert_eq!(then(&["suspend"], "db saved, web saved"), "nothing to do: every vm is suspended or stopped already\n");
    let plan = desk.run(&["plan"]).expect(0).stdout;
    assert!(plan.contains("> vm `web`") && plan.contains("start: is saved"), "`up` lets it go on:\n{plan}");
    let taken = desk.run(&["snapshot", "create", "s"]).expect(8).stderr;
    assert!(taken.contains("it is suspended") && taken.contains("`vmcompose resume db`"), "{taken}");
    assert!(then(&["resume", "web"], "db running, web running").contains("2 vms resumed"));
    assert!(then(&["kill", "db", "--with-dependents"], "db stopped, web stopped").contains("vm `web`: stopped"));
    desk.run(&["down"]).expect(0);
}

#[test]
fn a_vm_that_is_not_there_is_named_with_what_was_meant() {
    if !enabled() {
        return;
    }
    let desk = Desk::online(PAIR);
    let none = desk.run(&["stop"]).expect(1);
    assert!(none.stderr.contains("has no vms") && none.stderr.contains("hint: `vmcompose up`"), "{}", none.stderr);
    desk.run(&["up"]).expect(0);
    let typo = desk.run(&["stop", "web", "dbb"]).expect(1);
    assert!(typo.stderr.contains("vm `dbb`") && typo.stderr.contains("did you mean `db`?"), "{}", typo.stderr);
    assert_eq!(states(&desk), "db running, web running", "nobody was stopped");
    desk.run(&["down"]).expect(0);
}

#[test]
fn a_foreign_vm_is_not_touched() {
    if !enabled() {
        return;
    }
    let desk = Desk::online(PAIR);
    desk.run(&["up"]).expect(0);
    let keeper = desk.keeper.as_ref().expect("online");
    let name = format!("{}-other", desk.project);
    let xml = format!("<domain type='test'><name>{name}</name><memory>1024</memory><os><type>hvm</type></os></domain>");
    let foreign = Domain::define_xml(keeper, &xml).expect("defined");
    foreign.create().expect("started");
    desk.run(&["stop"]).expect(0);
    assert!(desk.run(&["kill", "other"]).expect(1).stderr.contains("vm `other`"));
    assert!(foreign.is_active().expect("a state"), "it runs on");
    foreign.destroy().expect("stopped");
    foreign.undefine().expect("gone");
    desk.run(&["down"]).expect(0);
}

const JOB: &str = "\
vms:
  job: { boot: { kernel: kernel } }
  report: { boot: { kernel: kernel }, depends_on: { job: { condition: completed } } }
";

#[test]
fn a_vm_that_has_done_its_work_opens_the_gate_of_who_waits_for_that_and_stays_off() {
    if !enabled() {
        return;
    }
    let desk = Desk::online(JOB);
    let keeper = desk.keeper.as_ref().expect("online");
    let name = format!("{}-job", desk.project);
    let run = std::thread::scope(|scope| {
        let up = scope.spawn(|| desk.run(&["up"]));
        // The guest's work: to run, and to power itself off.
        let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
        let works = || Domain::lookup_by_name(keeper, &name).is_ok_and(|domain| domain.is_active() == Ok(true));
        while !works() {
            assert!(std::time::Instant::now() < deadline, "it is not started");
            std::thread::yield_now();
        }
        assert!(Domain::lookup_by_name(keeper, &format!("{}-report", desk.project)).is_err(), "it waits");
        Domain::lookup_by_name(keeper, &name).and_then(|domain| domain.shutdown()).expect("it ends");
        up.join().expect("it ran")
    });
    let said = run.expect(0).stderr;
    assert!(said.contains("vm `job`: completed") && said.contains("vm `report`: started"), "{said}");
    assert!(desk.run(&["plan", "--exit-code"]).expect(0).stdout.contains("nothing to do"));
    desk.run(&["up"]).expect(0);
    assert_eq!(states(&desk), "job stopped, report running");
    desk.run(&["down"]).expect(0);
}
