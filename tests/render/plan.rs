//! Plans as text and as JSON.

use vmcompose::plan::Plan;
use vmcompose::render::{Palette, plan};

use crate::fixtures::{change_plan, creation_plan, empty_plan, removal_plan, replacement_plan, vm_id};
use crate::golden;

fn text(plan: &Plan) -> String {
    plan::text(plan, &Palette::PLAIN)
}

#[test]
fn a_plan_from_nothing_shows_every_field_that_counts() {
    golden("plan-create.txt", &text(&creation_plan()));
}

#[test]
fn a_plan_of_changes_shows_old_and_new_and_what_is_lost() {
    golden("plan-change.txt", &text(&change_plan()));
}

#[test]
fn a_plan_downwards_names_what_goes_and_what_is_kept() {
    golden("plan-down.txt", &text(&removal_plan(false)));
    golden("plan-down-volumes.txt", &text(&removal_plan(true)));
}

#[test]
fn an_empty_plan_says_why_it_is_empty() {
    assert_eq!(text(&empty_plan(Vec::new())), "nothing to do: there is nothing of project `shop`\n");
    assert_eq!(
        text(&empty_plan(vec![vm_id("db"), vm_id("web")])),
        "nothing to do: project `shop` is as the file has it (2 resources unchanged)\n"
    );
    let orphan = Plan { orphans: vec![vm_id("old")], ..empty_plan(vec![vm_id("db")]) };
    assert!(text(&orphan).ends_with("  vm `old`\nhint: delete them with `--remove-orphans`\n"), "{}", text(&orphan));
}

#[test]
fn colour_adds_nothing_but_colour() {
    for plan in [creation_plan(), change_plan(), removal_plan(true)] {
        let coloured = plan::text(&plan, &Palette::COLOURED);
        assert!(coloured.contains("\u{1b}["));
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), text(&plan));
    }
}

#[test]
fn the_same_plan_gives_the_same_bytes() {
    assert_eq!(text(&creation_plan()), text(&creation_plan()));
    assert_eq!(plan::json(&creation_plan()).to_string(), plan::json(&creation_plan()).to_string());
}

#[test]
fn json_has_the_shape_that_is_documented() {
    let pretty = |plan: &Plan| format!("{}\n", serde_json::to_string_pretty(&plan::json(plan)).unwrap());
    golden("plan-change.json", &pretty(&change_plan()));
    golden("plan-down.json", &pretty(&removal_plan(true)));
    golden("plan-replace.json", &pretty(&replacement_plan()));
    let created = plan::json(&creation_plan());
    assert_eq!(created["version"], plan::VERSION);
    assert_eq!(created["summary"]["create"], 10);
    assert_eq!(created["waves"][2]["steps"][0]["spec"]["spec"]["memory"], "2GiB");
    assert_eq!(created["waves"][2]["steps"][0]["gate"]["healthcheck"]["retries"], 15);
}

#[test]
fn every_plan_is_valid_by_its_schema_and_nonsense_is_not() {
    let schema: serde_json::Value = serde_json::from_str(plan::schema()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let plans = [
        creation_plan(),
        change_plan(),
        replacement_plan(),
        removal_plan(true),
        removal_plan(false),
        empty_plan(Vec::new()),
    ];
    for made in plans.map(|made| plan::json(&made)) {
        let errors: Vec<String> =
            validator.iter_errors(&made).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:#?}\n{made:#}");
        for key in made.as_object().unwrap().keys() {
            assert!(schema["properties"].get(key).is_some(), "`{key}` is not in the schema");
            let mut without = made.clone();
            without.as_object_mut().unwrap().remove(key);
            assert!(!validator.is_valid(&without), "`{key}` may be left out");
        }
        for step in made["waves"].as_array().unwrap().iter().flat_map(|wave| wave["steps"].as_array().unwrap()) {
            let known = &schema["$defs"]["step"]["properties"];
            assert!(step.as_object().unwrap().keys().all(|key| known.get(key).is_some()), "{step:#}");
        }
    }
    let mut odd = plan::json(&creation_plan());
    odd["waves"][0]["steps"][0]["action"] = "explode".into();
    assert!(!validator.is_valid(&odd));
}

#[test]
fn a_plan_that_makes_a_vm_anew_says_who_is_off_until_when() {
    golden("plan-replace.txt", &text(&replacement_plan()));
}

#[test]
fn long_lists_are_cut_in_the_text_and_whole_in_the_json() {
    let mut plan = creation_plan();
    let steps: Vec<_> = (0..40)
        .map(|n| {
            let mut step = plan.waves[0].steps[2].clone();
            step.id = vmcompose::plan::StepId(n);
            step
        })
        .collect();
    let mut last = plan.waves[2].steps[0].clone();
    last.after = steps.iter().map(|step| (step.id, vmcompose::plan::Milestone::Applied)).collect();
    last.id = vmcompose::plan::StepId(40);
    plan.waves = vec![vmcompose::plan::Wave { steps }, vmcompose::plan::Wave { steps: vec![last] }];
    assert!(text(&plan).contains("and 32 more\n"), "{}", text(&plan));
    assert_eq!(plan::json(&plan)["waves"][1]["steps"][0]["after"].as_array().unwrap().len(), 40);
}
