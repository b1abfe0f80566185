//! Snapshots that are killed while they are taken, and while they are restored: all or nothing of them.

use super::desk::{Desk, PAIR};
use super::{Over, at_every_point, same};
use crate::support::qemu::enabled;

/// The names of the snapshots that are whole.
fn whole(desk: &Desk) -> Vec<String> {
    let list: serde_json::Value =
        serde_json::from_str(&desk.ends(0, "snapshot list --format json").stdout).expect("json");
    let all = list["snapshots"].as_array().expect("a list").iter();
    all.filter(|one| one["complete"] == true).map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn a_snapshot_that_is_killed_anywhere_is_whole_or_not_there_and_everybody_runs() {
    if !enabled() {
        return;
    }
    let desk = Desk::new(PAIR);
    desk.ends(0, "up");
    let before = desk.world();
    let points = at_every_point(&desk, "snapshot create good", |point| {
        desk.ends(0, "recover --yes");
        if whole(&desk) == ["good"] {
            // The run was over, and only its journal was there.
            desk.ends(0, "snapshot delete good --yes");
            same(&desk.world(), &before, &format!("snapshot create, killed at {point}, and deleted"));
            return Over::Yes;
        }
        same(&desk.world(), &before, &format!("snapshot create, killed at {point}"));
        Over::No
    });
    assert!(points > 15, "{points} points only");
}

#[test]
fn a_restore_that_is_killed_anywhere_leads_back_to_where_it_began() {
    if !enabled() {
        return;
    }
    let desk = Desk::new(PAIR);
    desk.ends(0, "up");
    desk.ends(0, "snapshot create good");
    desk.ends(0, "kill web");
    desk.write(&PAIR.replace("scratch, size: 1MiB }] }", "scratch, size: 1MiB }], labels: { a: b } }"));
    desk.ends(0, "up db");
    let before = desk.world();
    let points = at_every_point(&desk, "snapshot restore good", |point| {
        desk.ends(0, "recover --yes");
        if whole(&desk) == ["good"] {
            same(&desk.world(), &before, &format!("snapshot restore, killed at {point}"));
            return Over::No;
        }
        // The run was over: what it took first leads back.
        let undo = whole(&desk).pop().expect("two");
        desk.ends(0, &format!("snapshot restore {undo} --no-safety --yes"));
        desk.ends(0, &format!("snapshot delete {undo} --yes"));
        same(&desk.world(), &before, &format!("snapshot restore, killed at {point}, and undone by a restore"));
        Over::Yes
    });
    assert!(points > 20, "{points} points only");
}
