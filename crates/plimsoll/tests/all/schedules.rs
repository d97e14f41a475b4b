//! What starts by the clock.

use serde_json::Value;

use crate::common::{DEADLINE, Place, until};

fn json(place: &Place, args: &[&str]) -> Value {
    serde_json::from_str(&place.say(args).out).expect("it is JSON")
}

#[test]
fn a_schedule_that_comes_due_is_run_and_on_record() {
    let place = Place::with_app();
    let said = place.path("said");
    let step = format!("echo \"${{{{ github.event_name }}}} ${{{{ github.event.schedule }}}}\" >> {}", said.display());
    let on = "on: {schedule: [{cron: '* * * * *'}, {cron: '0 3 * * 1', timezone: Europe/Berlin}]}";
    place.write(".github/workflows/night.yml", &format!("{on}\njobs:\n  it:\n    runs-on: x\n    steps: [{{run: {step:?}}}]\n"));
    place.commit("a night's work");
    let before = json(&place, &["schedule", "list", "--json"]);
    assert!(before["starts"] == false && before["schedules"].as_array().unwrap().len() == 2, "{before}");
    let on = place.say(&["schedule", "on"]);
    assert!(on.code == 0 && on.out.contains("night.yml: schedule `0 3 * * 1` (Europe/Berlin): Mon "), "{on:?}");
    let dry = place.say(&["run", "--event", "schedule", "--dry-run"]);
    assert!(dry.out.contains("; the server starts it"), "{dry:?}");

    let ended =
        || json(&place, &["run", "list", "--json"]).as_array().is_some_and(|runs| runs.iter().any(|run| run["conclusion"] == "success"));
    assert!(until(DEADLINE, ended).is_ok(), "nothing started: {}", json(&place, &["run", "list", "--json"]));
    assert!(std::fs::read_to_string(&said).unwrap().starts_with("schedule * * * * *\n"));

    assert_eq!(place.say(&["schedule", "off"]).code, 0);
    assert_eq!(json(&place, &["schedule", "list", "--json"])["starts"], false);
    place.say(&["schedule", "off"]).ends(9, &["error: nothing of this project starts by the clock"]);
}

#[test]
fn without_a_schedule_there_is_nothing_to_start() {
    let place = Place::with_app();
    let on = place.say(&["schedule", "on"]);
    assert!(on.code == 9 && on.err.contains("has an `on: schedule` that can be read"), "{on:?}");
    place.say(&["schedule", "list"]).ends(0, &["no workflow of this project has a schedule"]);
    place.write(
        ".github/workflows/night.yml",
        "on: {schedule: [{cron: '61 * * * *'}, {cron: '0 5 * * *'}]}\njobs: {a: {runs-on: x, steps: [{run: 'true'}]}}\n",
    );
    let list = place.say(&["schedule", "list"]);
    let why = "warning: nothing of `.github/workflows/night.yml` starts, it has mistakes: `plimsoll lint` shows them";
    assert!(list.code == 0 && list.err.contains(why), "{list:?}");
    assert!(place.say(&["lint"]).out.contains("`61` is no minute"), "as it says");
}
