//! Whether the branch of what ships is protected, asked of a small forge that answers as GitHub or as Gitea does.

#![allow(clippy::unwrap_used)]

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::common::{DEADLINE, Place, SMALL, free_port, until};

/// Where the judge isn't what is looked at.
const AT_ONCE: [&str; 2] = ["--strategy", "immediate"];

/// What it knows lies in a file: the forge, the commit the branch is at, commits that came before, whether it is protected and by rules,
/// which checks it requires, and what was reported of every commit. To those who show the token.
const FORGE: &str = r#"
import http.server, json, sys, urllib.parse
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = json.load(open(sys.argv[2]))
        url = urllib.parse.urlsplit(self.path)
        path, query = url.path.removeprefix("/repos/shop/app"), urllib.parse.parse_qs(url.query)
        github, page = known["forge"] == "github", int(query.get("page", ["1"])[0])
        part = lambda all, size: all[(page - 1) * size:page * size]
        status, body = 404, {"message": "Not Found"}
        if self.headers["authorization"] != "Bearer a-rather-secret-token": status = 401
        elif path == "/branches/release%2F2":
            status, body = 200, {"name": "release/2", "protected": known["protected"], "commit": {"sha" if github else "id": known["head"]}}
            if github: body["protection"] = {"enabled": True, "required_status_checks": {"enforcement_level": "everyone", "contexts": known["contexts"],
                "checks": [{"context": it, "app_id": 7 if it == "build" else None} for it in known["contexts"]]}}
            else: body |= {"enable_status_check": True, "status_check_contexts": known["contexts"], "required_approvals": 1}
        elif path == "/rules/branches/release%2F2" and github: status, body = 200, known["rules"]
        elif path == "/branches/release%2F2/protection" and github and known["reviews"] is not None:
            status, body = 200, {"required_pull_request_reviews": {"required_approving_review_count": known["reviews"]}}
        elif path.startswith("/compare/release%2F2...") and path.split("...")[1] in known["before"] + known["beside"]:
            status, body = 200, {"total_commits": int(path.split("...")[1] in known["beside"])}
        elif path.startswith("/commits/") and path.endswith("/check-runs") and github:
            runs = [{"name": it, "app": {"id": 7}, "status": "in_progress" if state == "pending" else "completed", "conclusion": state} for it, state in known["runs"]]
            status, body = 200, {"total_count": len(runs), "check_runs": part(runs, 1)}
        elif path.startswith("/commits/") and path.endswith("/status"):
            all = [{"context": it, "state" if github else "status": state} for it, state in known["statuses"]]
            status, body = 200, {"state": "x", "total_count": len(all) if github else len(part(all, 1)), "statuses": part(all, 1)}
        body = json.dumps(body).encode()
        self.send_response(status); self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"#;

struct Forge {
    child: Child,
    port: u16,
}

impl Forge {
    fn start(place: &Place) -> Forge {
        let port = free_port();
        place.write("../forge.py", FORGE);
        let mut command = Command::new("python3");
        command.arg(place.path("forge.py")).arg(port.to_string()).arg(place.path("forge.json"));
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until(DEADLINE, || TcpStream::connect(("127.0.0.1", port)).is_ok()).unwrap();
        Forge { child, port }
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// An application on the branch `release/2`, and a forge that says nothing of it yet.
fn place_and_forge(require: &str) -> (Place, Forge) {
    let place = Place::with_app();
    let forge = Forge::start(&place);
    let url = format!("http://127.0.0.1:{}/repos/shop/app", forge.port);
    let gate = format!("gate:\n  protection: {{url: '{url}', token: FORGE{require}}}\n");
    place.write("plimsoll.yaml", &format!("{SMALL}start: exec python3 app.py\n{gate}"));
    place.git(&["switch", "--quiet", "--create", "release/2"]);
    place.commit("what the gate asks");
    let mut command = place.plimsoll(&["secret", "set", "FORGE"]);
    place.write("../value", "a-rather-secret-token");
    command.stdin(std::fs::File::open(place.path("value")).unwrap());
    assert_eq!(place.start(command).wait().code, 0);
    (place, forge)
}

fn head(place: &Place) -> String {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(place.project()).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_string()
}

fn knows(place: &Place, changes: serde_json::Value) {
    let mut known = serde_json::json!({
        "forge": "github", "head": head(place), "before": [], "beside": [], "protected": true, "rules": [],
        "contexts": ["build", "ci/lint"], "runs": [["build", "success"]], "statuses": [["ci/lint", "success"]], "reviews": null,
    });
    known.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    place.write("../forge.json.new", &known.to_string());
    std::fs::rename(place.path("forge.json.new"), place.path("forge.json")).unwrap();
}

/// What `gate check` ends with and says of the branch.
fn checked(place: &Place) -> (i32, Vec<String>) {
    let check = place.say(&["gate", "check"]);
    let lines = check.out.lines().filter_map(|line| line.split_once("branch     ").map(|(_, said)| said.to_string())).collect();
    (check.code, lines)
}

fn is(place: &Place, code: i32, lines: &[&str]) {
    assert_eq!(checked(place), (code, lines.iter().map(|line| (*line).to_string()).collect()));
}

#[test]
fn a_release_ships_from_a_protected_branch_whose_checks_have_passed() {
    let (place, _forge) = place_and_forge("");
    knows(&place, serde_json::json!({"protected": false, "runs": [["build", "failure"], ["other", "success"]], "statuses": []}));
    let denied = place.up(&AT_ONCE);
    assert_eq!(denied.code, 3, "{denied:?}");
    for said in [
        "branch release/2 is not protected",
        "the required check `build` has failed",
        "the required check `ci/lint` has not run for this commit",
        "for 3 reasons",
        "; a protected branch",
    ] {
        assert!(denied.err.contains(said), "{said}: {denied:?}");
    }
    assert!(place.say(&["gate", "explain"]).out.contains("Branch: the required check `build` has failed."));

    knows(&place, serde_json::json!({"runs": [["build", "pending"]]}));
    is(&place, 3, &["the required check `build` has not ended"]);
    knows(&place, serde_json::json!({"runs": [], "statuses": [["build", "success"], ["ci/lint", "success"]]}));
    is(&place, 3, &["the required check `build` has not run for this commit"]);
    let rule = serde_json::json!([{"type": "required_status_checks", "parameters": {"required_status_checks": [{"context": "scan"}]}}]);
    knows(&place, serde_json::json!({"protected": false, "rules": rule}));
    is(&place, 3, &["the required check `scan` has not run for this commit"]);

    knows(&place, serde_json::json!({}));
    is(&place, 0, &["branch release/2 is protected, and what it requires has passed: `build`, `ci/lint`"]);
    place.write("version", "2");
    place.commit("again");
    knows(&place, serde_json::json!({}));
    let up = place.up(&AT_ONCE);
    assert_eq!(up.code, 0, "{up:?}");
    let asked = place.say(&["policy", "eval", "input.protection.required_checks[0]", "--json"]);
    let asked: serde_json::Value = serde_json::from_str(&asked.raw).unwrap();
    assert_eq!(asked["result"][0]["expressions"][0]["value"], serde_json::json!({"name": "build", "state": "passed"}));
    assert_eq!(place.say(&["doctor", "--verify"]).code, 0);
}

#[test]
fn what_the_forge_has_not_merged_does_not_ship() {
    let (place, _forge) = place_and_forge("");
    let other = "0123456789abcdef0123456789abcdef01234567";
    knows(&place, serde_json::json!({"head": other}));
    is(&place, 3, &["what ships is not on branch release/2: the forge has no commit HASH, so it was never pushed"]);
    knows(&place, serde_json::json!({"head": other, "beside": [head(&place)]}));
    is(&place, 3, &["what ships is not on branch release/2: the forge has commit HASH elsewhere, and it was not merged"]);
    knows(&place, serde_json::json!({"head": other, "before": [head(&place)]}));
    is(&place, 0, &["branch release/2 is protected, and what it requires has passed: `build`, `ci/lint`"]);
    place.write("version", "2");
    let dirty = place.up(&["--dirty", "--strategy", "immediate"]);
    let said = "what ships is not on branch release/2: it is a working tree, with what nobody has committed";
    assert!(dirty.code == 3 && dirty.err.contains(said), "{dirty:?}");
}

#[test]
fn gitea_is_asked_as_it_answers() {
    let (place, _forge) = place_and_forge(", require: {checks: [release notes]}");
    let gitea =
        |statuses: serde_json::Value| knows(&place, serde_json::json!({"forge": "gitea", "contexts": ["ci/*"], "statuses": statuses}));
    gitea(serde_json::json!([["ci/a", "success"], ["ci/b", "warning"], ["release notes", "success"]]));
    is(&place, 3, &["the required check `ci/*` has failed"]);
    gitea(serde_json::json!([["ci/a", "success"], ["ci/b", "success"]]));
    is(&place, 3, &["the required check `release notes` has not run for this commit"]);
    gitea(serde_json::json!([["ci/a", "success"], ["ci/b", "success"], ["release notes", "success"]]));
    is(&place, 0, &["branch release/2 is protected, and what it requires has passed: `ci/*`, `release notes`"]);
}

#[test]
fn reviews_are_required_where_the_project_asks_for_them() {
    let (place, forge) = place_and_forge(", require: {reviews: 2}");
    let good = "branch release/2 is protected, and what it requires has passed: `build`, `ci/lint`";
    knows(&place, serde_json::json!({"forge": "gitea", "statuses": [["build", "success"], ["ci/lint", "success"]]}));
    assert_eq!(checked(&place), (3, vec!["branch release/2 requires 1 review, at least 2 is asked".to_string()]));
    knows(&place, serde_json::json!({}));
    let (code, said) = checked(&place);
    let hint = "answers 404: how many reviews the branch requires is shown to a token that may read the repository's administration";
    assert!(code == 5 && said[0].contains(&format!(":{}/repos/shop/app/branches/release%2F2/protection {hint}", forge.port)), "{said:?}");
    knows(&place, serde_json::json!({"reviews": 1}));
    is(&place, 3, &["branch release/2 requires 1 review, at least 2 is asked"]);
    knows(&place, serde_json::json!({"reviews": 2}));
    is(&place, 0, &[good]);
    let rule = serde_json::json!([{"type": "pull_request", "parameters": {"required_approving_review_count": 3}}]);
    knows(&place, serde_json::json!({"rules": rule}));
    is(&place, 0, &[good]);
}

#[test]
fn while_the_forge_says_nothing_a_release_waits() {
    let (place, forge) = place_and_forge("");
    let url = format!("http://127.0.0.1:{}/repos/shop/app", forge.port);
    assert_eq!(place.say(&["secret", "rm", "FORGE"]).code, 0);
    let mut up = place.start_up(&AT_ONCE);
    up.until_it_says("`gate.protection.token` is empty, so nobody will know how the branch is protected");
    up.until_it_says("nobody knows how the branch is protected: there is no secret `FORGE`");
    place.write("../value", "a-rather-wrong-token");
    let with_secret = || {
        let mut command = place.plimsoll(&["secret", "set", "FORGE"]);
        command.stdin(std::fs::File::open(place.path("value")).unwrap());
        assert_eq!(place.start(command).wait().code, 0);
    };
    knows(&place, serde_json::json!({}));
    with_secret();
    up.until_it_says(&format!("nobody knows how the branch is protected: {url}/branches/release%2F2 answers 401"));
    is(&place, 5, &[&format!("nobody knows how it is protected: {url}/branches/release%2F2 answers 401")]);
    place.write("../value", "a-rather-secret-token");
    with_secret();
    assert_eq!(up.wait().code, 0);
    for (git_ref, said) in [
        ("feature", "answers 404: the forge has no such branch, or shows it to nobody without a token that may read it; it is asked again"),
        ("refs/tags/v1", "what ships is refs/tags/v1, and only branches are protected; it is asked again"),
    ] {
        let mut up = place.start_up(&["--ref", git_ref, "--strategy", "immediate"]);
        up.until_it_says(said);
        assert_eq!(place.say(&["release", "abort"]).code, 0);
        up.wait();
    }
}

#[test]
fn whatever_is_wrong_with_it_is_said_at_once() {
    let place = Place::with_app();
    let gate = "gate:\n  protection: {url: 'https://api.github.com/repos/a/b?c=d', unknown: perhaps, require: {check: [a]}}\n";
    place.write("plimsoll.yaml", &format!("{SMALL}start: exec python3 app.py\n{gate}"));
    place.commit("what the gate asks");
    let wrong = place.up(&AT_ONCE);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    for said in ["a repository in the API of a forge has no question in it", "`hold`, `deny` or `allow`", "unknown key `check`"] {
        assert!(wrong.err.contains(said), "{said}: {wrong:?}");
    }
    for (page, api) in [
        ("https://github.com/shop/app.git", "https://api.github.com/repos/shop/app"),
        ("https://forge.example/shop/app/settings", "https://forge.example/api/v1/repos/shop/app"),
    ] {
        place.write("plimsoll.yaml", &format!("{SMALL}start: exec python3 app.py\ngate: {{protection: {{url: '{page}'}}}}\n"));
        place.commit("names a page");
        let wrong = place.up(&AT_ONCE);
        assert!(wrong.code == 2 && wrong.err.contains("this is no repository in the API of a forge"), "{wrong:?}");
        assert!(wrong.err.contains(&format!("`{api}`")), "{wrong:?}");
    }
}
