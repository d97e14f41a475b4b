//! Actions of other repositories: from repositories on this machine, to the job that runs them, and what is refused on the way.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use host::actions::{Error, Lock, Locked, Moved, Resolver, Sources, Store};
use host::job::{Cancel, check};
use serde_json::Map;
use workflow::job::{Conclusion, Remote};

use crate::harness::{Heard, Place, git, parse};

/// A forge on this machine: a folder with bare repositories, and what was fetched from it.
struct Forge {
    directory: tempfile::TempDir,
}

impl Forge {
    fn new() -> Forge {
        Forge { directory: tempfile::tempdir().unwrap() }
    }

    fn bare(&self, repository: &str) -> PathBuf {
        let bare = self.directory.path().join("forge").join(format!("{repository}.git"));
        if !bare.is_dir() {
            fs::create_dir_all(&bare).unwrap();
            git(&bare, &["init", "--quiet", "--bare", "--initial-branch=main"]);
        }
        bare
    }

    /// A commit with these files and no others on a branch; says its name.
    fn commit(&self, repository: &str, branch: &str, files: &[(&str, &str)]) -> String {
        let bare = self.bare(repository);
        let work = self.directory.path().join("work").join(repository).join(branch);
        if !work.is_dir() {
            fs::create_dir_all(&work).unwrap();
            git(&work, &["init", "--quiet", &format!("--initial-branch={branch}")]);
        }
        for (path, text) in files {
            let file = work.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        git(&work, &["add", "--all"]);
        git(&work, &["commit", "--quiet", "--allow-empty", "--message=change"]);
        git(&work, &["push", "--quiet", &bare.to_string_lossy(), &format!("HEAD:refs/heads/{branch}")]);
        git(&work, &["rev-parse", "HEAD"])
    }

    fn tag(&self, repository: &str, tag: &str, commit: &str) {
        // One with a message, because those name another object than their commit.
        git(&self.bare(repository), &["tag", "--force", "--annotate", "--message=release", tag, commit]);
    }

    fn sources(&self, moved: Moved) -> Sources {
        let template = format!("file://{}/forge/{{repo}}.git", self.directory.path().display());
        assert_eq!(Sources::complaint(&template), None);
        Sources::new(vec![template], moved)
    }

    fn store(&self) -> Store {
        Store::new(self.store_folder())
    }

    fn store_folder(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    fn fetch(&self, uses: &str, locked: Option<&Locked>) -> Result<host::actions::Fetched, Error> {
        self.store().fetch(&Remote::parse(uses).unwrap(), &self.sources(Moved::Refuse), locked)
    }

    fn close(&self) {
        fs::remove_dir_all(self.directory.path().join("forge")).unwrap();
    }
}

fn locked(commit: &str) -> Locked {
    Locked { commit: commit.to_string(), ..Locked::default() }
}

const PLAIN: &str = "name: p\ndescription: p\nruns:\n  using: composite\n  steps:\n    - { run: echo plain, shell: sh }\n";

#[test]
fn composite_and_javascript_actions_of_other_repositories_run_from_what_was_fetched() {
    let forge = Forge::new();
    let outer = "name: outer\ndescription: o\ninputs: { who: { default: you } }\noutputs:\n  said: { value: '${{ steps.js.outputs.said }}' }\n\
                 runs:\n  using: composite\n  steps:\n    - run: cat \"$GITHUB_ACTION_PATH/greeting\"\n      shell: sh\n    \
                 - id: js\n      uses: acme/speak/loud@main\n      with: { who: '${{ inputs.who }}' }\n";
    let node = "name: speak\ndescription: s\ninputs: { who: {} }\nruns: { using: node20, main: ../index.js }\n";
    let script = "const fs = require('fs'); const who = process.env.INPUT_WHO.toUpperCase(); console.log('HELLO ' + who);\n\
                  fs.appendFileSync(process.env.GITHUB_OUTPUT, 'said=' + who + '\\n'); fs.writeFileSync(__dirname + '/scratch', 'x');\n";
    let commit = forge.commit("acme/greet", "main", &[("nested/dir/action.yml", outer), ("nested/dir/greeting", "good day\n")]);
    forge.tag("acme/greet", "v1", &commit);
    forge.commit("acme/speak", "main", &[("loud/action.yml", node), ("index.js", script)]);

    let text = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - id: greet\n        uses: acme/greet/nested/dir@v1\n        with: { who: ada }\n      \
                - run: echo \"said ${{ steps.greet.outputs.said }}\"\n      - uses: acme/greet/nested/dir@v1\n";
    let mut workflow = parse(text);
    let mut resolver = Resolver::new(forge.sources(Moved::Refuse), Lock::default(), || Ok(forge.store()));
    let checked = check(&workflow, &|_| None, &std::env::var("PATH").unwrap(), &mut resolver);
    assert_eq!(checked.diagnostics, []);
    assert_eq!(checked.actions.keys().collect::<Vec<_>>(), ["acme/greet@v1", "acme/speak@main"]);
    assert_eq!(checked.actions["acme/greet@v1"].commit, commit);
    let uses = |who: &str| checked.uses[who].iter().map(Remote::to_string).collect::<Vec<_>>();
    assert_eq!((uses(""), uses("acme/greet@v1")), (vec!["acme/greet/nested/dir@v1".to_string()], vec!["acme/speak/loud@main".to_string()]));
    let remark = resolver.remarks().concat();
    assert!(remark.starts_with("`acme/greet/nested/dir@v1`, `acme/speak/loud@main` are not locked"), "{remark}");

    // The run has its pins with it, and nobody is asked any more.
    forge.close();
    workflow.actions = checked.actions;
    let place = Place::new();
    let mut dirs = place.dirs("a");
    dirs.actions = forge.store_folder();
    let mut heard = Heard::default();
    let start = place.start(&workflow, &workflow.jobs[0], &Map::new());
    let outcome = host::job::run(&start, &dirs, &place.options, &mut heard, &Cancel::new().unwrap());
    let logs = heard.logs.values().map(|log| String::from_utf8_lossy(log)).collect::<String>();
    assert_eq!((outcome.conclusion, logs.as_str()), (Conclusion::Success, "good day\nHELLO ADA\nsaid ADA\ngood day\nHELLO YOU\n"));
    // What an action writes beside itself is the job's own.
    assert!(!forge.store_folder().join("trees").join(&start.spec.actions["acme/speak@main"].commit).join("scratch").exists());
}

#[test]
fn what_is_locked_and_known_is_had_without_asking_anybody() {
    let forge = Forge::new();
    let commit = forge.commit("acme/tool", "main", &[("action.yml", PLAIN)]);
    forge.tag("acme/tool", "v1", &commit);
    let first = forge.fetch("acme/tool@v1", None).unwrap();
    forge.close();
    let pinned = Locked { tree: Some(first.tree), ..locked(&commit) };
    assert_eq!(forge.fetch("acme/tool@v1", Some(&pinned)).unwrap(), first);
    assert_eq!(forge.fetch(&format!("Acme/Tool@{commit}"), None).unwrap(), first);
    let absent = forge.fetch("acme/tool@v1", None).unwrap_err().to_string();
    assert!(absent.starts_with("`acme/tool@v1` can't be fetched: file://"), "{absent}");
    // The same commit proves nothing about another repository.
    assert!(matches!(forge.fetch(&format!("acme/other@{commit}"), None), Err(Error::Unreachable { .. })));
}

#[test]
fn a_tag_that_moved_is_refused_with_both_commits() {
    let forge = Forge::new();
    let old = forge.commit("acme/tool", "main", &[("action.yml", PLAIN)]);
    let new = forge.commit("acme/tool", "main", &[("evil", "x")]);
    forge.tag("acme/tool", "v1", &new);
    let refused = forge.fetch("acme/tool@v1", Some(&locked(&old))).unwrap_err().to_string();
    for part in [&format!("locked to {old}"), &format!("is now {new}"), "plimsoll actions lock --update acme/tool"] {
        assert!(refused.contains(part), "{refused}");
    }
    // Where it is allowed the locked commit is what runs, and it is said.
    let remote = Remote::parse("acme/tool@v1").unwrap();
    let kept = forge.store().fetch(&remote, &forge.sources(Moved::Keep), Some(&locked(&old))).unwrap();
    assert!(kept.commit == old && !kept.folder.join("evil").exists() && kept.remark.is_some_and(|it| it.contains(&new)));
}

#[test]
fn a_branch_moves_on_and_what_was_locked_stays() {
    let forge = Forge::new();
    let old = forge.commit("acme/tool", "main", &[("action.yml", PLAIN)]);
    let new = forge.commit("acme/tool", "main", &[("more", "x")]);
    assert_eq!(forge.fetch("acme/tool@main", Some(&locked(&old))).unwrap().commit, old);
    assert_eq!(forge.fetch("acme/tool@main", None).unwrap().commit, new);
    assert!(Store::verify(&Remote::parse("acme/tool@main").unwrap(), &forge.sources(Moved::Refuse), &locked(&old)).is_ok());
}

#[test]
fn a_commit_that_no_branch_or_tag_leads_to_is_somebody_elses() {
    let forge = Forge::new();
    forge.commit("acme/tool", "main", &[("action.yml", PLAIN)]);
    // As a forge has a fork's commits in the same store: an object that no name of the repository leads to.
    let stranger = forge.commit("acme/tool", "fork", &[("action.yml", PLAIN), ("evil", "x")]);
    git(&forge.bare("acme/tool"), &["update-ref", "-d", "refs/heads/fork"]);
    git(&forge.bare("acme/tool"), &["config", "uploadpack.allowAnySHA1InWant", "true"]);
    for (uses, lock) in [(format!("acme/tool@{stranger}"), None), ("acme/tool@main".to_string(), Some(locked(&stranger)))] {
        let refused = forge.fetch(&uses, lock.as_ref()).unwrap_err();
        assert!(matches!(&refused, Error::Impostor { commit, .. } if *commit == stranger), "{uses}: {refused}");
    }
}

#[test]
fn files_that_were_changed_after_they_were_fetched_are_noticed() {
    let forge = Forge::new();
    let commit = forge.commit("acme/tool", "main", &[("action.yml", PLAIN)]);
    let fetched = forge.fetch("acme/tool@main", None).unwrap();
    let spoil = |folder: &Path| fs::write(folder.join("action.yml"), "evil").unwrap();
    spoil(&fetched.folder);
    let copied = forge.store().copy(&fetched.pinned(), &forge.directory.path().join("copy")).unwrap_err();
    assert!(copied.contains("were changed on this machine"), "{copied}");
    assert!(!forge.directory.path().join("copy").exists());
    // Before a run there is still time to fetch them anew.
    assert_eq!(forge.fetch(&format!("acme/tool@{commit}"), None).unwrap(), fetched);
    assert_eq!(fs::read_to_string(fetched.folder.join("action.yml")).unwrap(), PLAIN);
    let other = Locked { tree: Some(base::Digest::of(b"other")), ..locked(&commit) };
    assert!(matches!(forge.fetch("acme/tool@main", Some(&other)), Err(Error::Differs { .. })));
}

#[test]
fn the_next_source_is_asked_where_one_has_nothing() {
    let forge = Forge::new();
    let commit = forge.commit("acme/tool", "main", &[("action.yml", PLAIN)]);
    forge.commit("mirror/acme/tool", "main", &[("action.yml", PLAIN), ("mirrored", "x")]);
    let root = forge.directory.path().display();
    let templates = ["none/{repo}.git", "forge/{repo}.git", "forge/mirror/{repo}.git"].map(|it| format!("file://{root}/{it}"));
    let sources = Sources::new(templates.to_vec(), Moved::Refuse);
    let fetched = forge.store().fetch(&Remote::parse("acme/tool@main").unwrap(), &sources, None).unwrap();
    assert_eq!(fetched.commit, commit);
    let nowhere = forge.store().fetch(&Remote::parse("acme/tool@v9").unwrap(), &sources, None).unwrap_err().to_string();
    assert!(nowhere.contains("`v9` is neither a tag nor a branch") && nowhere.contains("/none/"), "{nowhere}");
}

#[test]
fn a_workflow_that_is_locked_uses_nothing_that_is_not() {
    let forge = Forge::new();
    let inner = forge.commit("acme/inner", "main", &[("action.yml", PLAIN)]);
    let outer =
        "name: o\ndescription: o\nruns:\n  using: composite\n  steps:\n    - uses: acme/inner@main\n    - uses: actions/checkout@v4\n";
    let commit = forge.commit("acme/outer", "main", &[("action.yml", outer)]);
    let workflow = parse("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: acme/outer@main\n");
    let mut lock = Lock::default();
    lock.workflows.insert("workflow.yml".to_string(), ["acme/outer@main".to_string()].into());
    lock.dependencies.insert("acme/outer@main".to_string(), locked(&commit));
    let checked = |lock: &Lock| {
        let mut resolver = Resolver::new(forge.sources(Moved::Refuse), lock.clone(), || Ok(forge.store()));
        check(&workflow, &|_| None, "", &mut resolver)
    };
    let wrong: Vec<String> = checked(&lock).diagnostics.into_iter().map(|it| it.message).collect();
    assert_eq!(
        wrong,
        ["in `acme/outer@main`: `acme/inner@main` is not in `.github/workflows/actions.lock`, which locks this workflow; \
          `plimsoll actions lock` adds it"]
    );
    lock.dependencies.insert("acme/inner@main".to_string(), locked(&inner));
    let right = checked(&lock);
    assert_eq!((right.diagnostics, right.actions.len()), (Vec::new(), 2));
    let uses: BTreeMap<_, _> = right.uses.iter().map(|(who, whom)| (who.as_str(), whom.len())).collect();
    assert_eq!(uses, BTreeMap::from([("", 1), ("acme/outer@main", 2)]));
}
