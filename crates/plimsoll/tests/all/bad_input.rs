//! What can be wrong with what a user brings, and the sentence that says what to do about it.

use crate::common;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use crate::common::{DEADLINE, Place, SMALL, free_port, open_gate, until};

const CI: &str = ".github/workflows/ci.yml";

#[test]
fn what_is_wrong_in_one_file_hides_nothing_in_another() {
    let place = Place::with(&[
        ("plimsoll.yaml", "apiVersion: plimsoll/v1alpha1\nreplica: 2\n"),
        (".github/workflows/ci.yml", "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    step: []\n"),
        ("policy/a.rego", "package plimsoll.gate\n\nallow := \n"),
    ]);
    let said = place.up(&[]);
    assert_eq!(said.code, 2, "{said:?}");
    for wrong in ["plimsoll.yaml:2:1", "ci.yml:5:5", "policy/a.rego:3"] {
        assert!(said.err.contains(wrong), "{wrong}: {said:?}");
    }

    let unknown = Place::with(&[
        ("plimsoll.yaml", "apiVersion: plimsoll/v1alpha1\ngate: {slo: {prometheus: \"http://127.0.0.1:9\", files: [slo/none.yaml]}}\n"),
        ("package.json", "{bad"),
        (".github/workflows/ci.yml", "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    step: []\n"),
    ]);
    unknown.git(&["mv", "app.py", "application.py"]);
    unknown.commit("nothing starts it");
    let said = unknown.up(&[]);
    for wrong in ["it isn't known how this project starts", "`package.json` can't be read", "ci.yml:5:5", "slo/none.yaml"] {
        assert!(said.err.contains(wrong), "{wrong}: {said:?}");
    }
}

#[test]
fn git_is_missing() {
    let place = Place::with_app();
    let tools = place.path("tools");
    std::fs::create_dir(&tools).unwrap();
    symlink("/bin/sh", tools.join("sh")).unwrap();
    let mut up = place.plimsoll(&["up"]);
    up.env("PATH", &tools);
    place.start(up).wait().is(2, "error: git is not installed, or not in `PATH`\nhint: install git with the system's package manager");
}

#[test]
fn the_folder_is_not_in_a_repository() {
    Place::empty().up(&[]).is(2, "error: `.` is not in a git repository\nhint: `git init && git add . && git commit` makes one");
}

#[test]
fn the_repository_has_no_commit() {
    let place = Place::empty();
    place.git(&["init", "--quiet"]);
    let said = "error: the repository `DIR/app` has no commit yet\nhint: `git add . && git commit` makes one that holds what is there";
    place.up(&[]).is(2, said);
}

#[test]
fn the_tree_is_dirty() {
    let place = Place::with_app();
    place.up(&["--dry-run", "--dirty"]).shows(0, &["commit   HASH first (main)"]);
    place.write("app.py", "changed");
    place.write("new.py", "");
    let warning = "warning: `app.py` and 1 more are not committed and stay out; `--dirty` takes the working tree as it is";
    let said = place.up(&["--dry-run"]);
    said.shows(0, &["commit   HASH first (main)"]);
    said.ends(0, &[warning]);
    place.up(&["--dry-run", "--dirty"]).shows(0, &["commit   HASH first with the changes that are not committed (main)"]);
}

#[test]
fn head_is_detached() {
    let place = Place::with_app();
    place.git(&["checkout", "--quiet", "--detach"]);
    let said = "error: HEAD is detached, so it isn't known which branch this commit is a push to\n\
        hint: `git switch BRANCH`, or name it: `plimsoll up --ref BRANCH`";
    place.up(&[]).is(2, said);
    let mut above = place.plimsoll(&["up", "app"]);
    above.current_dir(place.project().parent().unwrap());
    place.start(above).wait().ends(2, &["hint: `git -C app switch BRANCH`, or name it: `plimsoll up app --ref BRANCH`"]);
    place.up(&["--dry-run", "--ref", "main"]).shows(0, &["commit   HASH first (main)"]);
}

#[test]
fn the_port_is_taken() {
    let place = Place::with_app();
    let _other = TcpListener::bind(("127.0.0.1", place.port)).unwrap();
    let hint = "hint: end that process (`ss -ltnp 'sport = :PORT'` names it), or choose another port with `--port`";
    place.up(&[]).ends(2, &["error: port PORT is taken by another process", hint]);
}

#[test]
fn a_port_at_which_nobody_was_ever_reached_is_chosen_anew() {
    let place =
        Place::with(&[(".github/workflows/ci.yml", "on: push\npermissions: {}\njobs: {a: {runs-on: x, steps: [{run: 'exit 1'}]}}\n")]);
    place.say(&["up"]).ends(1, &[]);
    let projects = place.say(&["release", "view", "--json"]);
    let port = serde_json::from_str::<serde_json::Value>(&projects.raw).unwrap()["port"].as_u64().unwrap() as u16;
    let _other = TcpListener::bind(("127.0.0.1", port)).unwrap();
    place.say(&["up"]).ends(1, &[]);
}

#[test]
fn an_answer_that_could_not_be_written_is_no_answer() {
    let place = Place::with_app();
    for asked in [&["help", "exit-codes"][..], &["--version"], &["up", "--dry-run"], &["run", "list", "--json"], &["completions", "bash"]] {
        let mut command = place.plimsoll(asked);
        let full = std::fs::File::create("/dev/full").unwrap();
        let output = command.stdout(full).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(8), "{asked:?}: {err}");
        assert!(err.contains("error: standard output takes no more: No space left on device"), "{asked:?}: {err}");
    }
}

#[test]
fn what_ships_has_no_links_that_lead_elsewhere() {
    let place = Place::with_app();
    let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, place.project().join(name)).unwrap();
    link("../LICENSE", "LICENSE");
    link("/etc/hostname", "host");
    link("app.py", "same.py");
    place.commit("links");
    let said = "error: what ships has links that lead out of the folder: `LICENSE` → `../LICENSE`, `host` → `/etc/hostname`";
    place.up(&["--dry-run"]).ends(
        2,
        &[said, "hint: a copy in a link's place ships, and so does a folder that a workflow leaves, named by `artifact:` in plimsoll.yaml"],
    );
    std::fs::remove_file(place.project().join("LICENSE")).unwrap();
    std::fs::remove_file(place.project().join("host")).unwrap();
    place.commit("no more");
    assert_eq!(place.up(&["--dry-run"]).code, 0, "one that stays inside ships");
}

#[test]
fn a_file_that_is_named_by_its_name_alone_is_pointed_to() {
    let place = Place::with(&[(".github/workflows/ci.yml", "on: push\njobs: {a: {runs-on: x, steps: [{run: 'true'}]}}\n")]);
    for command in ["run", "graph", "lint"] {
        place.say(&[command, "ci.yml"]).ends(9, &["error: there is no file `ci.yml`", "hint: did you mean `.github/workflows/ci.yml`?"]);
    }
    place.write(".gitlab-ci.yml", "test: {script: 'true'}\n");
    let refused = ["error: `.gitlab-ci.yml` is of GitLab, whose files have no lints here"];
    place.say(&["lint", ".gitlab-ci.yml"]).ends(2, &refused);
    std::fs::remove_dir_all(place.project().join(".github")).unwrap();
    place.say(&["lint"]).ends(2, &refused);
}

#[test]
fn the_application_ignores_port() {
    let own = free_port().to_string();
    let app = common::APP.replace("int(os.environ[\"PORT\"])", &own);
    let place = Place::with(&[("app.py", &app)]);
    place.up(&[]).ends(0, &["✔ ready      1 instance"]);
    let status = place.say(&["status"]);
    assert!(status.out.contains(&format!("and listens on {own}, where it is reached")), "{}", status.out);
}

#[test]
fn the_application_never_gets_healthy() {
    let app = common::APP.replace("200", "503");
    let place = Place::with(&[("app.py", &app), ("plimsoll.yaml", &small("ready: 30s", "ready: 6s", "exec python3 app.py"))]);
    let why = "failed, and there was nothing to go back to: the instance did not become ready within TIME: GET / answered 503 (TIME)";
    place.up(&[]).ends(1, &[&format!("✖ release-1  {why}"), "what the application wrote: `plimsoll logs`"]);
}

#[test]
fn the_application_dies_at_once() {
    let place = Place::with(&[("plimsoll.yaml", &small("", "", "echo no database >&2; exit 3"))]);
    let why = "failed, and there was nothing to go back to: instance 0 crashed 3 times: exited with 3: no database (TIME)";
    place.up(&[]).ends(1, &[&format!("✖ release-1  {why}"), "what the application wrote: `plimsoll logs`"]);
}

#[test]
fn the_application_dies_after_a_moment() {
    let app =
        common::APP.replace("import http.server, os", "import http.server, os, threading\nthreading.Timer(1, lambda: os._exit(7)).start()");
    let config = small("verify: 1s", "verify: 60s, restarts: 1", "exec python3 app.py");
    let place = Place::with(&[("app.py", &app), ("plimsoll.yaml", &config)]);
    let said = place.up(&[]);
    said.ends(1, &["✔ ready      1 instance", "what the application wrote: `plimsoll logs`"]);
    assert!(said.err.contains("release-1  failed, and there was nothing to go back to: "), "{}", said.err);
    assert!(said.err.contains("exited with 7"), "{}", said.err);
}

#[test]
fn the_application_has_no_health_endpoint() {
    let place = Place::with(&[("app.py", &common::APP.replace("200", "404"))]);
    place.up(&[]).ends(0, &["✔ ready      1 instance"]);
    let status = place.say(&["status"]);
    assert!(status.out.contains("no health path is given, so `GET /` is asked"), "{}", status.out);
}

#[test]
fn the_application_does_not_speak_http() {
    let app = "import os, socketserver\n\
        class Hello(socketserver.BaseRequestHandler):\n    def handle(self): self.request.sendall(b'220 hello there\\r\\n')\n\
        socketserver.ThreadingTCPServer(('127.0.0.1', int(os.environ['PORT'])), Hello).serve_forever()\n";
    let place = Place::with(&[("app.py", app)]);
    place.up(&[]).ends(0, &["✔ ready      1 instance"]);
    let status = place.say(&["status"]);
    assert!(status.out.contains("it doesn't speak HTTP, so a connection is all that is tried"), "{}", status.out);
}

#[test]
fn the_state_directory_can_not_be_made() {
    let place = Place::with_app();
    std::fs::write(place.path("file"), "").unwrap();
    let mut up = place.plimsoll(&["up"]);
    up.env("PLIMSOLL_STATE_DIR", place.path("file/state"));
    let hint = "hint: `PLIMSOLL_STATE_DIR=/some/folder` names another one";
    place.start(up).wait().ends(8, &["error: `DIR/file/state` is there and is not a directory", hint]);
}

#[test]
fn the_disk_is_full_before_anything_is_there() {
    let place = Place::with_app();
    let up = on_a_small_disk(&place, r#"head -c 9m /dev/zero > "$PLIMSOLL_STATE_DIR/server.ballast"; "$0" up --port "$1""#);
    let hint = "hint: free some space, or name a folder elsewhere with `PLIMSOLL_STATE_DIR`";
    place.start(up).wait().ends(8, &["error: no space is left for the state directory `DIR/state`", hint]);
}

#[test]
fn the_disk_gets_full_on_the_way_and_the_release_goes_on_when_there_is_space() {
    let place = Place::with(&[("large", &"0123456789abcdef".repeat(200_000))]);
    let script = r#"head -c 6m /dev/zero > "$PLIMSOLL_STATE_DIR/server.ballast"
        "$0" up --port "$1" & up=$!
        until [ -e "$2" ]; do sleep 0.05; done
        rm "$PLIMSOLL_STATE_DIR/server.ballast"
        wait $up; code=$?
        "$0" down --purge
        exit $code"#;
    let mut up = place.start(on_a_small_disk(&place, script));
    up.until_it_says("No space left on device");
    open_gate(&place.path("gate"));
    up.wait().ends(0, &["✔ verified   the new revision carries all traffic and stayed ready"]);
}

#[test]
fn on_a_full_disk_what_is_there_can_be_read_and_removed() {
    let keeps = "on: push\njobs:\n  it:\n    runs-on: x\n    steps:\n      - run: head -c 400k /dev/urandom > left\n      - uses: actions/upload-artifact@v4\n        with: {path: left}\n";
    let place = Place::with(&[(CI, keeps)]);
    let script = r#"set -e
        "$0" run --quiet
        "$0" up --port "$1" --quiet
        dd if=/dev/zero of="$PLIMSOLL_STATE_DIR/server.ballast" bs=64k 2> /dev/null || true
        "$0" status; "$0" release list; "$0" logs
        "$0" doctor || echo "doctor says $?"
        "$0" up --port "$1" || echo "up says $?"
        "$0" down --purge"#;
    let said = place.start(on_a_small_disk(&place, script)).wait();
    assert_eq!(said.code, 0, "{said:?}");
    for line in ["revision HASH since", "promoted: revision HASH", "state    no space is left", "doctor says 1", "up says 8"] {
        assert!(said.out.contains(line), "{line}: {said:?}");
    }
    assert!(said.err.contains("everything is down and removed"), "{said:?}");
}

#[test]
fn a_branch_that_can_be_none_is_refused() {
    let place = Place::with_app();
    for name in ["no such", "-x", "a..b", "a~1", "x.lock", "/a", "a/"] {
        let said = place.up(&["--dry-run", &format!("--ref={name}")]);
        assert!(said.code == 2 && said.err.contains("can't be the name of a branch"), "{name}: {said:?}");
    }
    assert_eq!(place.up(&["--dry-run", "--ref", "feature/a.b-c"]).code, 0);
}

/// The script in a mount namespace of its own, where the state directory is eight megabytes large; the mount goes with its last process.
/// `$0` is the program, `$1` the port, `$2` a gate.
fn on_a_small_disk(place: &Place, script: &str) -> Command {
    let mut command = place.at_home("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let mounted = r#"mkdir "$PLIMSOLL_STATE_DIR" && mount -t tmpfs -o size=8m tmpfs "$PLIMSOLL_STATE_DIR" || exit 99"#;
    command.args(["--mount", "sh", "-c", &format!("{mounted}\n{script}"), env!("CARGO_BIN_EXE_plimsoll")]);
    command.args([place.port.to_string(), place.path("gate").display().to_string()]);
    command
}

#[test]
fn up_again_while_the_same_commit_is_under_way() {
    let place = Place::with(&[]);
    let gate = place.path("gate");
    place.write(CI, &waiting_workflow(&gate));
    place.commit("wait");
    let mut first = place.start_up(&[]);
    first.until_it_says("test started");
    let mut second = place.start_up(&[]);
    second.until_it_says("release-1 of this commit is under way already: following it");
    let mut third = place.start_up(&[]);
    third.until_it_says("release-1 of this commit is under way already: following it");
    third.interrupt();
    let left = third.wait();
    // By its number, or just so when it stops before it has seen anything.
    assert!(
        left.code == 130 && left.err.contains("stopped watching; ") && left.err.contains(" goes on"),
        "who comes later ends nothing: {left:?}"
    );
    open_gate(&gate);
    first.wait().ends(0, &["✔ verified   the new revision carries all traffic and stayed ready"]);
    second.wait().ends(0, &["✔ verified   the new revision carries all traffic and stayed ready"]);
    let list = place.say(&["release", "list"]);
    assert_eq!(list.out.matches("release-").count(), 1, "{}", list.out);
}

/// Where the judge isn't what is looked at: a busy machine's noise would hold it.
const AT_ONCE: [&str; 2] = ["--strategy", "immediate"];

#[test]
fn up_while_another_commit_is_under_way() {
    let place = Place::with(&[]);
    let gate = place.path("gate");
    place.write("plimsoll.yaml", &small("", "", &format!("until [ -e {} ]; do sleep 0.05; done; exec python3 app.py", gate.display())));
    place.commit("slow to start");
    let mut first = place.start_up(&AT_ONCE);
    first.until_it_says("starts, with none before it that is live");
    place.write("app.py", &format!("# changed\n{}", common::APP));
    place.commit("second");
    let mut second = place.start_up(&AT_ONCE);
    second.until_it_says("environment `local` is taken by release-1; it goes on when that one ends or is aborted");
    open_gate(&gate);
    first.wait().ends(0, &["✔ verified   the new revision carries all traffic and stayed ready"]);
    second.wait().ends(0, &["✔ verified   the new revision carries all traffic and stayed ready"]);
}

#[test]
fn ctrl_c_once_waits_for_the_steps() {
    let (place, began) = begun("until [ -e GATE ]; do sleep 0.05; done");
    let mut up = place.start_up(&[]);
    until(DEADLINE, || began.exists()).unwrap();
    up.interrupt();
    up.until_it_says(
        "interrupted: running steps are told to stop and get 10 s, traffic that moved goes back; once more ends steps at once",
    );
    up.wait()
        .ends(130, &["⚠ cancelled by ada; running steps are being ended", "⚠ release-1  cancelled by ada; no traffic was moved (TIME)"]);
}

#[test]
fn ctrl_c_twice_ends_the_steps_at_once() {
    let (place, began) = begun("trap '' INT TERM; until [ -e GATE ]; do sleep 0.05; done");
    let mut up = place.start_up(&[]);
    until(DEADLINE, || began.exists()).unwrap();
    up.interrupt();
    up.until_it_says("interrupted: ");
    up.interrupt();
    let again = "interrupted again: steps are ended at once; once more stops watching";
    up.wait().ends(130, &[again, "⚠ release-1  cancelled by ada; no traffic was moved (TIME)"]);
}

/// A project whose step makes a file and then does this.
fn begun(step: &str) -> (Place, PathBuf) {
    let place = Place::with_app();
    let began = place.path("began");
    let step = step.replace("GATE", &place.path("gate").display().to_string());
    place.write(CI, &workflow(&format!("touch {}; {step}", began.display())));
    place.commit("wait");
    (place, began)
}

#[test]
fn a_workflow_is_a_yaml_bomb() {
    let mut bomb = String::from("name: bomb\non: push\na: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (name, of) in ["b", "c", "d", "e", "f", "g", "h", "i"].into_iter().zip(["a", "b", "c", "d", "e", "f", "g", "h"]) {
        bomb.push_str(&format!("{name}: &{name} [*{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}]\n"));
    }
    let place = Place::with(&[(CI, &bomb)]);
    place.up(&[]).ends(
        2,
        &["error[yaml/too-many-nodes]: the aliases make this file larger than 200000 values", "--> .github/workflows/ci.yml:8:12"],
    );
}

#[test]
fn a_workflow_has_ten_mistakes() {
    let place = Place::with(&[(CI, TEN_MISTAKES)]);
    let said = place.up(&[]);
    said.ends(2, &["error: a workflow can't be run as written, so nothing was started"]);
    let places: Vec<&str> = said.err.lines().filter_map(|line| line.trim().strip_prefix("--> .github/workflows/ci.yml:")).collect();
    assert_eq!(places, ["2:12", "3:1", "7:12", "8:22", "10:19", "11:23", "13:9", "15:9", "16:3", "20:5"], "{}", said.err);
    let caret = ["7 |     needs: nowhere", "|            ^^^^^^^"];
    said.ends(2, &["error[workflow/unknown-need]: job `a` needs `nowhere`, which isn't a job", caret[0], caret[1]]);
}

const TEN_MISTAKES: &str = "name: ten
on: [push, pusch]
permisions: read
jobs:
  a:
    runs-on: ubuntu-latest
    needs: nowhere
    timeout-minutes: soon
    steps:
      - run: echo ${{ github.sha
      - run: echo ${{ nothing.at.all }}
      - uses: ./missing
      - name: neither
      - run: one
        uses: actions/checkout@v4
  b c:
    runs-on: ubuntu-latest
    steps: [{run: 'true'}]
  d:
    steps: [{run: 'true'}]
";

#[test]
fn a_policy_does_not_parse() {
    let place = Place::with(&[("policy/gate.rego", "package plimsoll.gate\n\ndeny contains \"no\" if {\n  input.tests. > 3\n}\n")]);
    place.up(&[]).ends(
        2,
        &[
            "error: a policy can't be read, so nothing was started",
            "error[policy/syntax]: expecting identifier",
            "--> policy/gate.rego:4:16",
        ],
    );
}

#[test]
fn a_policy_throws() {
    let policy = "package plimsoll.gate\n\nimport rego.v1\n\ndeny contains \"unfit\" if {\n  to_number(\"seven\") > 3\n}\n";
    let place = Place::with(&[("policy/gate.rego", policy)]);
    let why = "✖            the policy `plimsoll.gate` failed: could not parse string as number (policy/gate.rego:6)";
    place.up(&[]).ends(3, &["✖ gate       denied for local", why]);
}

#[test]
fn a_test_job_fails() {
    let place = Place::with(&[(CI, &workflow("echo 19 tests; echo expected 3, got 4; exit 1"))]);
    let lines =
        ["✖   Tests: exited with 1", "✖ test ended with failure (TIME): step \"Tests\" exited with 1", "│ 19 tests", "│ expected 3, got 4"];
    place.up(&[]).ends(1, &lines);
    let log = place.say(&["logs", "--job", "test"]);
    assert!(log.out.lines().any(|line| line == "expected 3, got 4"), "{}", log.out);
}

#[test]
fn the_coverage_is_too_low_and_that_is_not_all() {
    let place = Place::with(&[
        (CI, &(workflow("mkdir reports; cp evidence/* reports/") + UPLOAD)),
        ("evidence/coverage.xml", r#"<coverage line-rate="0.5" lines-covered="5" lines-valid="10"><packages/></coverage>"#),
        (
            "evidence/junit.xml",
            r#"<testsuite name="t" tests="2" failures="1"><testcase classname="t" name="adds"/><testcase classname="t" name="divides"><failure message="by zero"/></testcase></testsuite>"#,
        ),
        ("evidence/scan.sarif", SARIF),
    ]);
    let reasons = [
        "✖            coverage is 50 %, at least 80 % is asked (reports/coverage.xml)",
        "✖            critical finding: sql-injection at app.py:4, a query is built from input (reports/scan.sarif)",
        "✖            1 of 2 tests failed: t.divides (reports/junit.xml:1)",
        "✖ release-1  the gate said no for 3 reasons; no traffic was moved (TIME)",
    ];
    place.up(&[]).ends(3, &reasons);
}

const UPLOAD: &str = "      - uses: actions/upload-artifact@v4
        with:
          name: reports
          path: reports
";

const SARIF: &str = r#"{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "scan", "rules": [{"id": "sql-injection", "properties": {"security-severity": "9.8"}}]}},
  "results": [{"ruleId": "sql-injection", "level": "error", "message": {"text": "a query is built from input"},
    "locations": [{"physicalLocation": {"artifactLocation": {"uri": "app.py"}, "region": {"startLine": 4}}}]}]}]}"#;

/// The small sizes with one of them changed, and this command.
fn small(from: &str, to: &str, start: &str) -> String {
    format!("{}start: {}\n", if from.is_empty() { SMALL.to_string() } else { SMALL.replace(from, to) }, quoted(start))
}

/// One job with one step.
fn workflow(run: &str) -> String {
    format!(
        "on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n      - name: Tests\n        run: {}\n",
        quoted(run)
    )
}

/// Its step ends when the gate is there.
fn waiting_workflow(gate: &std::path::Path) -> String {
    workflow(&format!("until [ -e {} ]; do sleep 0.05; done", gate.display()))
}

/// As YAML takes it, too.
fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// A workflow that only delivers has nothing left to do here; that must not keep the change from going out.
#[test]
fn every_job_of_a_workflow_is_skipped() {
    let deliver = "on: push\njobs:\n  deploy:\n    runs-on: ubuntu-latest\n    environment: production\n    steps:\n      - run: exit 1\n";
    let place = Place::with(&[(".github/workflows/deploy.yml", deliver)]);
    place.up(&[]).ends(0, &["– deploy was skipped: it has an `environment`, and delivering is the release's own work; `deliver: workflow` lets the workflow do it"]);
}

#[test]
fn the_folder_above_several_projects_names_them() {
    let place = Place::with(&[("apps/web/package.json", "{}"), ("apps/api/go.mod", "module api"), ("docs/index.html", "")]);
    std::fs::remove_file(place.project().join("app.py")).unwrap();
    std::fs::remove_file(place.project().join("plimsoll.yaml")).unwrap();
    place.commit("several projects");
    place.up(&[]).ends(
        2,
        &[
            "error: it isn't known how this project starts",
            "hint: projects may be in `apps/api`, `apps/web`, `docs`: `plimsoll up apps/api`",
        ],
    );
}

#[test]
fn a_job_that_was_skipped_is_said_to_have_written_nothing() {
    let jobs = "on: push\njobs:\n  test:\n    runs-on: x\n    steps: [{run: 'true'}]\n  never:\n    if: false\n    runs-on: x\n    steps: [{run: 'true'}]\n";
    let place = Place::with(&[(CI, jobs)]);
    assert_eq!(place.up(&["--strategy", "immediate"]).code, 0);
    place
        .say(&["logs", "--job", "never"])
        .ends(9, &["error: job `never` of release-1 has written nothing: it was skipped, `false` is false"]);
}

#[test]
fn a_folder_inside_a_project_is_shown_the_way_up() {
    let place = Place::with(&[("many/d/notes.txt", ""), (CI, &workflow("true"))]);
    let say = |args: &[&str]| {
        let mut command = place.plimsoll(args);
        command.current_dir(place.project().join("many/d"));
        place.start(command).wait()
    };
    say(&["up", "--dry-run"])
        .ends(2, &["error: it isn't known how this project starts", "hint: the folder above is a project: `plimsoll up ../..`"]);
    say(&["run"]).ends(9, &["hint: a folder above has workflows: `plimsoll run ../..`"]);
    place.say(&["up", "many/d", "--dry-run"]).ends(2, &["hint: the folder above is a project: `plimsoll up .`"]);
    assert_eq!(place.up(&["--strategy", "immediate"]).code, 0);
    say(&["status"]).ends(0, &["the folder above is a project: `plimsoll status ../..`"]);
    say(&["logs"]).ends(9, &["hint: the folder above is a project: `plimsoll logs -C ../..`"]);
    let down = say(&["down"]);
    assert!(down.code == 0 && down.err.contains("; the folder above is a project: `plimsoll down ../..`"), "{down:?}");
    for command in ["release view", "release rollback", "env freeze --reason x", "gate check", "slo status", "run explain"] {
        let said = say(&command.split(' ').collect::<Vec<_>>());
        let verbs: Vec<&str> = command.split(' ').take_while(|word| !word.starts_with('-')).collect();
        let hint = format!("hint: the folder above is a project: `plimsoll {} -C ../..`", verbs.join(" "));
        assert!(said.code != 0 && said.err.contains(&hint), "{command}: {said:?}");
    }
    say(&["lint"]).ends(9, &["hint: a folder above has workflows: `plimsoll lint ../..`"]);
    for (command, noun) in [("release list", "list"), ("release history", "history")] {
        let said = say(&command.split(' ').collect::<Vec<_>>());
        let way = format!("nothing here; the folder above is a project: `plimsoll release {noun} -C ../..`");
        assert!(said.code == 0 && said.out.contains(&way), "{command}: {said:?}");
    }
    assert!(!place.say(&["status"]).err.contains("above"));
}

#[test]
fn a_folder_is_taken_where_it_can_only_be_the_project() {
    let place = Place::with(&[(CI, &workflow("echo from the folder"))]);
    let above = |args: &[&str]| {
        let mut command = place.plimsoll(args);
        command.current_dir(place.project().parent().unwrap());
        place.start(command).wait()
    };
    let run = above(&["run", "app"]);
    assert!(run.code == 0 && run.out.contains("from the folder"), "{run:?}");
    let graph = above(&["graph", "app"]);
    assert!(graph.code == 0 && graph.out.contains("test"), "{graph:?}");
    for (args, tip) in [
        (&["status", "-C", "app"][..], "tip: the folder stands alone here: `plimsoll status app`"),
        (&["up", "-C", "app"], "tip: the folder stands alone here: `plimsoll up app`"),
        (&["release", "list", "app"], "tip: the project's folder is named by `-C app`"),
        (&["logs", "app"], "tip: the project's folder is named by `-C app`"),
    ] {
        above(args).ends(2, &[tip]);
    }
    assert!(!above(&["logs", "nowhere"]).err.contains("tip: the project"));
}

#[test]
fn what_a_project_most_likely_meant_is_said_before_anything_starts() {
    let start = "start: exec python3 app.py\n";
    let place = Place::with_app();
    place.git(&["rm", "-q", "plimsoll.yaml"]);
    place.write("plimsoll.yml", &format!("{SMALL}{start}"));
    place.up(&["--dry-run", "--dirty"]).ends(2, &["hint: `mv plimsoll.yml plimsoll.yaml`, and commit it"]);
    place.commit("the other ending");
    place.up(&["--dry-run"]).ends(
        2,
        &[
            "error: `plimsoll.yml` is not read: the file is called `plimsoll.yaml`",
            "hint: `git mv plimsoll.yml plimsoll.yaml`, and commit it",
        ],
    );

    place.git(&["rm", "-q", "plimsoll.yml"]);
    place.write("plimsoll.yaml", &format!("{SMALL}{start}strategy: {{canary: {{steps: [{{setWeight: 50}}, {{pause: 1m}}]}}}}\n"));
    let pause = place.up(&["--dry-run", "--dirty"]);
    assert!(
        pause.code == 2 && pause.err.contains("= help: `pause: {duration: TIME}`, or `pause: {}` until somebody promotes"),
        "{pause:?}"
    );
    place.write("plimsoll.yaml", "");
    place.commit("empty");
    let empty = place.up(&["--dry-run"]);
    assert!(empty.code == 2 && empty.err.contains("the file is empty") && empty.err.contains("plimsoll.yaml:1:1"), "{empty:?}");

    place.write("plimsoll.yaml", &format!("{SMALL}{start}artifact: public\n"));
    place.write("public/index.html", "hello");
    place.commit("nothing makes it");
    place
        .up(&["--dry-run"])
        .ends(2, &["error: `artifact: public` is what a workflow leaves behind, and no workflow file runs on a push to main"]);

    place.write("plimsoll.yaml", &format!("{SMALL}{start}strategy: {{canary: {{steps: [{{setWeight: 20}}, {{pause: {{duration: 1h}}}}, {{setWeight: 40}}, {{pause: {{}}}}]}}}}\n"));
    place.write(".github/workflows/ci.yml", "on: push\npermissions: {}\njobs: {a: {runs-on: x, steps: [{run: 'true'}]}}\n");
    place.write("b/plimsoll.yaml", &format!("{SMALL}start: exec python3 ../app.py\n"));
    place.commit("a second project");
    let plan = place.up(&["--dry-run"]);
    assert!(plan.out.contains("canary 20 % (at least 1h) → 40 % (until somebody resumes) → 100 %"), "{plan:?}");
    place.write(".gitmodules", "[submodule \"lib\"]\n\tpath = vendor/lib\n\turl = ../lib\n");
    place.write(".gitattributes", "*.bin filter=lfs diff=lfs\n");
    place.commit("what lies elsewhere");
    place.up(&["--dry-run"]).ends(
        0,
        &[
            "warning: submodules aren't fetched, their folders stay empty: `vendor/lib`",
            "warning: files of Git LFS aren't fetched: what ships has the pointers to them",
        ],
    );
    let nested = place.up(&["b", "--dry-run"]);
    assert!(nested.code == 0 && nested.err.contains("the workflows at the repository's root are not run for `b`"), "{nested:?}");
}

/// It was free when the release was asked for.
#[test]
fn a_port_that_somebody_takes_meanwhile_is_not_called_live() {
    let place = Place::with_app();
    let gate = place.path("gate");
    let step = format!("until [ -e {} ]; do sleep 0.05; done", gate.display());
    place.write(".github/workflows/ci.yml", &format!("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: {step:?}\n"));
    place.commit("a step that waits");
    let mut up = place.start_up(&[]);
    up.until_it_says("a started");
    let taken = std::net::TcpListener::bind(("127.0.0.1", place.port)).unwrap();
    std::fs::write(&gate, "").unwrap();
    let said = up.wait();
    assert!(said.code != 0 && !said.err.contains("live and verified"), "{said:?}");
    assert!(said.err.lines().last().unwrap().starts_with("the last it said: ") && said.err.contains("port PORT is taken"), "{said:?}");
    drop(taken);
}
