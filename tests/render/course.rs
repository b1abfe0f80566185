//! Where the time of a run went: the critical path, the forecast, and the page.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use vmcompose::execute::Event;
use vmcompose::render::Progress;
use vmcompose::render::course::{Past, critical_path};
use vmcompose::render::timings::page;

use crate::fixtures::creation_plan;
use crate::golden;
use crate::stream::{rolled_back, success};

fn seen(events: &[Event]) -> Progress {
    let mut progress = Progress::default();
    for event in events {
        progress.apply(event).unwrap();
    }
    progress
}

#[test]
fn the_critical_path_is_the_chain_that_let_one_another_begin() {
    let progress = seen(&success(&creation_plan()));
    let path = critical_path(&progress);
    assert!(path.len() > 1, "{path:#?}");
    for pair in path.windows(2) {
        let [first, second] = pair else { panic!("two") };
        assert!(second.summary.after.iter().any(|before| before.step == first.summary.step), "{pair:#?}");
    }
    let latest = progress.tracks.iter().filter_map(|track| track.ended).max();
    assert_eq!(path.last().unwrap().ended, latest);
}

#[test]
fn a_run_of_the_same_steps_is_expected_to_take_as_long() {
    let plan = creation_plan();
    let progress = seen(&success(&plan));
    let steps: Vec<_> = progress.tracks.iter().map(|track| track.summary.clone()).collect();
    let mut past = Past::default();
    assert_eq!(past.forecast(&steps), None, "there is nothing to go by");
    past.learn(&progress);
    let expected = past.forecast(&steps).expect("all of it was seen");
    // Waiting for a free hand is not forecast, so it may be less, but never more.
    assert!(expected > Duration::ZERO && expected <= progress.elapsed, "{expected:?} of {:?}", progress.elapsed);
    let mut more = steps.clone();
    more.last_mut().unwrap().resource = new_vm();
    assert_eq!(past.forecast(&more), None, "a vm that was never seen may take any time");
    let mut quick = progress.clone();
    for track in &mut quick.tracks {
        track.ended = track.began.map(|began| began + Duration::from_millis(1));
        track.applied = track.ended;
    }
    let mut past = Past::default();
    past.learn(&quick);
    assert_eq!(past.forecast(&steps), None, "it is over at once");
}

fn new_vm() -> vmcompose::names::ResourceId {
    vmcompose::names::ResourceId::Vm("new".parse().unwrap())
}

#[test]
fn the_page_stands_alone() {
    let text = page(&seen(&success(&creation_plan())), "2026-11-21T12:00:00Z");
    golden("timings.html", &text);
    assert!(!text.contains("<script") && !text.contains("src=") && !text.contains("://"), "{text}");
    let failed = page(&seen(&rolled_back(&creation_plan())), "2026-11-21T12:00:00Z");
    golden("timings-failed.html", &failed);
    assert!(failed.contains("class=\"failed"), "{failed}");
}

/// In a browser, where there is one: all of the chart is drawn, and what is shown is more than an empty page.
#[test]
fn a_browser_shows_the_page() {
    let browser =
        ["/usr/bin/chromium", "/usr/bin/chromium-browser"].map(PathBuf::from).into_iter().find(|path| path.exists());
    let Some(browser) = browser else { return };
    let folder = tempfile::tempdir().unwrap();
    let (html, picture) = (folder.path().join("run.html"), folder.path().join("run.png"));
    std::fs::write(&html, page(&seen(&success(&creation_plan())), "2026-11-21T12:00:00Z")).unwrap();
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1100,900"]);
    command.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
    command.arg(format!("--screenshot={}", picture.display())).arg(format!("file://{}", html.display()));
    let ended = command.output().unwrap();
    assert!(picture.exists(), "{}", String::from_utf8_lossy(&ended.stderr));
    // A page of one colour compresses to next to nothing.
    assert!(std::fs::metadata(&picture).unwrap().len() > 20_000);
}
