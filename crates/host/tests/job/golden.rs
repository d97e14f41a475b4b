//! `testdata/job/CASE/`: `workflow.yml`, what is in the repository (`files/`), what is first on the `PATH` (`bin/`), secrets
//! (`secrets.json`), the project's folder (`subtree`), and the transcript (`expected.txt`), rewritten with `UPDATE_EXPECT=1`.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::harness::Place;

#[test]
fn workflows_and_their_transcripts() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/job");
    let mut names: Vec<OsString> = fs::read_dir(&cases).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let wrong: Vec<String> = names.iter().filter_map(|name| check(&cases.join(name)).err()).collect();
    assert!(names.len() > 10 && wrong.is_empty(), "{}\nUPDATE_EXPECT=1 writes what is seen as what is expected", wrong.join("\n"));
}

fn check(case: &Path) -> Result<(), String> {
    let mut place = Place::new();
    if case.join("files").is_dir() {
        place.commit(&case.join("files"));
    }
    if let Ok(subtree) = fs::read_to_string(case.join("subtree")) {
        place.source.subtree = subtree.trim().to_string();
    }
    if let Ok(secrets) = fs::read(case.join("secrets.json")) {
        place.options.secrets = serde_json::from_slice(&secrets).unwrap();
    }
    if case.join("bin").is_dir() {
        let path = format!("{}:{}", case.join("bin").display(), place.options.env["PATH"]);
        place.options.env.insert("PATH".to_string(), path);
        // What else is installed here is none of the case's business.
        place.options.env.retain(|name, _| !["NVM_DIR", "PYENV_ROOT"].contains(&name.as_str()));
    }
    let seen = place.transcript(&fs::read_to_string(case.join("workflow.yml")).unwrap());
    let seen = seen.replace(&*case.to_string_lossy(), "$CASE");
    let file = case.join("expected.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&file, &seen).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    if seen == expected { Ok(()) } else { Err(format!("{}\n--- expected\n{expected}\n--- seen\n{seen}", case.display())) }
}
