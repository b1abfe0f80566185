//! The project as a unit of systemd's.

use std::path::Path;

use vmcompose::render::service::{Service, unit};

use crate::fixtures::project;
use crate::golden;

#[test]
fn a_machine_starts_a_project_by_its_record() {
    let project = project();
    let service = Service {
        project: &project,
        program: Path::new("/usr/local/bin/vmcompose"),
        connect: "qemu:///system",
        folder: Path::new("/srv/shop"),
        files: &[],
        home: Some("/root"),
        session: false,
    };
    golden("service.txt", &unit(&service));
}

#[test]
fn a_user_starts_it_with_words_that_mean_themselves() {
    let project = project();
    let service = Service {
        project: &project,
        program: Path::new("/home/ada/my tools/vmcompose"),
        connect: "qemu+unix:///session?socket=/a%20b",
        folder: Path::new("/home/ada/100%"),
        files: &["/home/ada/\"$shop\".yaml".to_owned()],
        home: None,
        session: true,
    };
    golden("service-of-a-user.txt", &unit(&service));
}
