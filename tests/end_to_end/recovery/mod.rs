//! Runs that are killed: at every operation boundary, and in the middle of writing their journal.
//!
//! The binary is killed with SIGKILL at a point that an environment variable chooses; there are points before and after
//! each entry of its journal, and thus before and after each effect, and one in the middle of each line.

pub(crate) mod desk;
mod ends;
mod lost;
mod real;
mod snapshots;

use crate::support::qemu::enabled;
use desk::{CHANGED, Desk, LARGER, PAIR, SHOP, TOLD};

/// Kills `line` at each point in turn, and has `after` look at what that leaves, until it says that the run was over by
/// then. Says how many points there were.
fn at_every_point(desk: &Desk, line: &str, mut after: impl FnMut(usize) -> Over) -> usize {
    let mut point = 1;
    while desk.killed(line, point) && after(point) == Over::No {
        point += 1;
    }
    point - 1
}

/// Whether the run had come to its end before it was killed, and only its journal was still there.
#[derive(PartialEq)]
enum Over {
    No,
    Yes,
}

/// Whether the run was over, where the world is not as it was before: then nothing is left to do for it.
#[track_caller]
fn over_or_same(desk: &Desk, plan: &str, before: &str, what: &str) -> Over {
    let world = desk.world();
    if world != before && desk.run(plan).code == Some(0) {
        return Over::Yes;
    }
    same(&world, before, what);
    Over::No
}

#[track_caller]
fn same(world: &str, expected: &str, what: &str) {
    if world != expected {
        let lines: Vec<&str> = expected.lines().collect();
        let new: Vec<&str> = world.lines().filter(|line| !lines.contains(line)).collect();
        panic!("{what}: the world is not as before; new in it: {new:#?}\n{world}");
    }
}

#[test]
fn an_up_from_nothing_that_is_killed_anywhere_is_undone_without_a_trace() {
    if !enabled() {
        return;
    }
    let desk = Desk::new(SHOP);
    let before = desk.world();
    let points = at_every_point(&desk, "up", |point| {
        desk.ends(0, "recover --yes");
        let left = desk.ends(0, "recover --list");
        assert_eq!(left.stdout.lines().count(), 1, "only the header: {}", left.stdout);
        over_or_same(&desk, "plan --exit-code", &before, &format!("up, killed at {point}"))
    });
    assert!(points > 80, "{points} points only");
    desk.ends(0, "plan --exit-code");
}

#[test]
fn an_update_that_is_killed_anywhere_is_undone_or_gone_on_with() {
    if !enabled() {
        return;
    }
    let desk = Desk::new(SHOP);
    desk.ends(0, "up");
    let before = desk.world();
    desk.write(CHANGED);
    let mut desired = None;
    let points = at_every_point(&desk, "up --yes --parallel 1", |point| {
        if point % 2 == 0 {
            desk.ends(0, "recover --yes");
            return over_or_same(&desk, "plan --exit-code", &before, &format!("up, killed at {point}"));
        }
        desk.ends(0, "up");
        desk.ends(0, "plan --exit-code");
        let world = desk.world();
        same(&world, desired.get_or_insert(world.clone()), &format!("up, killed at {point}, gone on with"));
        desk.write(SHOP);
        desk.ends(0, "up --remove-orphans --yes");
        desk.ends(0, "recover");
        // `more` was made on the way and is data now: it stays, and is taken away for the next attempt.
        std::process::Command::new("virsh")
            .args(["-q", "-c", &desk.daemon.uri(), "vol-delete", "--pool", "vmcompose-disks", "shop.more.qcow2"])
            .output()
            .expect("virsh");
        desk.write(CHANGED);
        same(&desk.world(), &before, &format!("up, killed at {point}, gone on with and turned round"));
        Over::No
    });
    assert!(points > 40, "{points} points only");
}

#[test]
fn a_replacement_that_is_killed_anywhere_leaves_the_old_vm_or_the_new_one() {
    if !enabled() {
        return;
    }
    let desk = Desk::new(PAIR);
    desk.ends(0, "up");
    let before = desk.world();
    desk.write(LARGER);
    let own = |desk: &Desk| -> Vec<String> {
        let lines = desk.daemon.inventory().into_iter();
        lines.filter(|line| line.contains("cache") || line.contains("scratch") || line.contains("more")).collect()
    };
    let (mut back, mut beyond) = (0, 0);
    let points = at_every_point(&desk, "up --replace web --yes --parallel 1", |point| {
        if point % 2 == 0 {
            let recovered = desk.run("recover --yes");
            if recovered.code == Some(0) {
                if over_or_same(&desk, "plan --exit-code", &before, &format!("up, killed at {point}")) == Over::Yes {
                    return Over::Yes;
                }
                back += 1;
                return Over::No;
            }
            // Something of the old is gone, and so the new stays.
            assert_eq!(recovered.code, Some(7), "killed at {point}: {}", recovered.stderr);
            assert!(recovered.stderr.contains("delete disk `"), "killed at {point}: {}", recovered.stderr);
            beyond += 1;
        }
        desk.ends(0, "up --yes");
        desk.ends(0, "plan --exit-code");
        let disks = own(&desk);
        let whole = disks.len() == 2 && disks.iter().any(|disk| disk.contains("more"));
        assert!(whole, "killed at {point}: {disks:?}");
        desk.ends(0, "down --volumes --yes");
        desk.write(PAIR);
        desk.ends(0, "up");
        desk.write(LARGER);
        same(&desk.world(), &before, &format!("up, killed at {point}, gone on with, and made anew"));
        Over::No
    });
    assert!(points > 40 && back > 15 && beyond > 0, "{points} points, {back} times back, {beyond} times beyond");
}

#[test]
fn a_down_that_is_killed_anywhere_can_be_gone_on_with_or_turned_round() {
    if !enabled() {
        return;
    }
    let desk = Desk::new(SHOP);
    desk.ends(0, "up");
    let full = desk.world();
    let mut empty = None;
    let points = at_every_point(&desk, "down --volumes --yes", |point| {
        match point % 3 {
            0 => drop(desk.ends(0, "up --resume --yes")),
            1 => {
                desk.ends(0, "down --volumes --yes");
                let world = desk.world();
                same(&world, empty.get_or_insert(world.clone()), &format!("down, killed at {point}, gone on with"));
                desk.ends(0, "up");
            }
            _ => {
                // Data that is gone stays gone, and is told once.
                let recovered = desk.run("recover --yes");
                let told = recovered.stderr.contains("cannot be undone");
                assert_eq!(recovered.code, Some(if told { 7 } else { 0 }), "at {point}: {}", recovered.stderr);
                assert!(desk.ends(0, "recover").stderr.contains("nothing to recover"));
                desk.ends(0, "up");
            }
        }
        desk.ends(0, "plan --exit-code");
        same(&desk.world(), &full, &format!("down, killed at {point}"));
        Over::No
    });
    assert!(points > 40, "{points} points only");
}

#[test]
fn a_recovery_that_is_killed_anywhere_can_be_given_again() {
    if !enabled() {
        return;
    }
    let desk = Desk::new(SHOP);
    let before = desk.world();
    let cut_short = || {
        // The last point at which the run is not yet over.
        assert!(desk.killed("up --parallel 1", 70), "the run is longer than that");
    };
    cut_short();
    let points = at_every_point(&desk, "recover --yes", |point| {
        desk.ends(0, "recover --yes");
        same(&desk.world(), &before, &format!("recover, killed at {point}"));
        cut_short();
        Over::No
    });
    assert!(points > 30, "{points} points only");
    same(&desk.world(), &before, "recover, not killed");
}

#[test]
fn a_resumed_run_that_fails_is_undone_with_the_one_before_it_also_when_it_is_killed() {
    if !enabled() {
        return;
    }
    let desk = Desk::new(SHOP);
    let before = desk.world();
    let failing = format!(
        "{SHOP}  bad:\n    boot: {{ kernel: kernel }}\n    depends_on: [web]\n    healthcheck: {{ tcp: {{ host: 127.0.0.1, port: 1 }}, \
         interval: 10ms, retries: 2, start_period: 0s }}\n"
    );
    let cut_short = || {
        desk.write(SHOP);
        assert!(desk.killed("up --parallel 1", 74), "the run is longer than that");
        desk.write(&failing);
    };
    cut_short();
    let left = desk.world();
    // Without the word only this run is undone, and the one before it waits for somebody.
    desk.ends(6, "up");
    same(&desk.world(), &left, "up, failed");
    assert_eq!(desk.journals().len(), 1);
    let resumed = desk.ends(6, "up --resume");
    assert!(desk.journals().is_empty(), "{}", resumed.stderr);
    same(&desk.world(), &before, "up --resume, failed");
    let mut points = 0;
    cut_short();
    while desk.killed_or_ends("up --resume --parallel 1", points + 5, 6) {
        points += 5;
        desk.ends(0, "recover --yes");
        same(&desk.world(), &before, &format!("up --resume, killed at {points}"));
        cut_short();
    }
    assert!(points > 100, "{points} points only");
    same(&desk.world(), &before, "up --resume, failed");
}

#[test]
fn a_resumed_run_that_fails_is_undone_wherever_the_one_before_it_was_killed() {
    if !enabled() {
        return;
    }
    let desk = Desk::new(PAIR);
    let before = desk.world();
    let failing = PAIR.replace(
        "depends_on: [db] }",
        "depends_on: [db], healthcheck: { host: 'false', interval: 10ms, retries: 1, start_period: 0s } }",
    );
    assert_ne!(failing, PAIR);
    let mut points = 1;
    // A disk that was made for a vm that never was is made anew, and is no loss to whoever undoes that.
    // Where all is there already, there may be no run to undo any more.
    while desk.killed("up --parallel 1", points) && desk.run("plan --exit-code").code != Some(0) {
        desk.write(&failing);
        let resumed = desk.ends(6, "up --resume --yes");
        assert!(desk.journals().is_empty(), "killed at {points}: {}", resumed.stderr);
        same(&desk.world(), &before, &format!("up, killed at {points}, gone on with in vain"));
        desk.write(PAIR);
        points += 3;
    }
    assert!(points > 60, "{points} points only");
}

#[test]
fn no_journal_holds_a_secret_or_a_script_wherever_its_run_is_killed() {
    if !enabled() {
        return;
    }
    let desk = Desk::new(TOLD);
    let before = desk.world();
    let mut points = 0;
    // Whether a journal holds any is looked at with every kill. The run is undone by itself where it is not killed.
    while desk.killed_or_ends("up", points + 1, 6) {
        points += 1;
        desk.ends(0, "recover --yes");
        same(&desk.world(), &before, &format!("up, killed at {points}"));
    }
    assert!(points > 60, "{points} points only");
    same(&desk.world(), &before, "up, not killed");
}
