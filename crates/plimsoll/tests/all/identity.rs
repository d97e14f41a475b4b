//! Jobs that show others who they are.

#![allow(clippy::unwrap_used)]

use serde_json::Value as Json;

use crate::common::Place;

/// Says on standard output what the token says, or what the service answered instead.
const ASK: &str = r#"
import base64, json, os, urllib.error, urllib.request
if "ACTIONS_ID_TOKEN_REQUEST_URL" not in os.environ:
    raise SystemExit(print("may not ask"))
request = urllib.request.Request(os.environ["ACTIONS_ID_TOKEN_REQUEST_URL"] + "&audience=sts.example.com")
request.add_header("Authorization", "bearer " + os.environ["ACTIONS_ID_TOKEN_REQUEST_TOKEN"])
try:
    part = json.load(urllib.request.urlopen(request))["value"].split(".")[1]
    print("token", base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode())
except urllib.error.HTTPError as error:
    print("refused", json.load(error)["message"])
print("the secret is", os.environ["ACTIONS_ID_TOKEN_REQUEST_TOKEN"])
"#;

const CI: &str = "on: push
jobs:
  may:
    runs-on: self-hosted
    permissions: {id-token: write}
    steps: [{uses: actions/checkout@v4}, {run: python3 ask.py}]
  may-not:
    runs-on: self-hosted
    permissions: {contents: read}
    steps: [{run: 'echo \"address: ${ACTIONS_ID_TOKEN_REQUEST_URL:-none}\"'}]
  called:
    permissions: {id-token: write}
    uses: ./.github/workflows/called.yml
";

const CALLED: &str = "on: workflow_call
jobs:
  it:
    runs-on: self-hosted
    permissions: {id-token: write}
    steps: [{uses: actions/checkout@v4}, {run: python3 ask.py}]
";

fn place() -> Place {
    let place = Place::with_app();
    for (path, text) in [(".github/workflows/ci.yml", CI), (".github/workflows/called.yml", CALLED), ("ask.py", ASK)] {
        place.write(path, text);
    }
    place.commit("asks who it is");
    place
}

/// What the token said of a job, in a log with its name before each line.
fn claims(log: &str, job: &str) -> Json {
    let line = log.lines().find_map(|line| line.strip_prefix(job)?.strip_prefix(" | token ")).unwrap_or_else(|| panic!("{job}\n{log}"));
    serde_json::from_str(line).unwrap()
}

#[test]
fn a_job_shows_who_it_is_once_somebody_has_said_who_issues() {
    let place = place();
    let said = place.say(&["run"]);
    assert!(said.code == 0 && said.raw.contains("may | may not ask\n"), "{said:?}");
    let said = place.say(&["run", "--identity"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.raw.contains("may | refused nobody has said who issues tokens here: `plimsoll identity issuer https://ADDRESS` does"),
        "{said:?}"
    );
    assert!(said.raw.contains("may-not | address: none\n") && said.raw.contains("may | the secret is ***\n"), "{said:?}");
    place
        .say(&["identity", "issuer", "ci.example.org"])
        .ends(2, &["error: `ci.example.org` can't be an issuer's address: an address that begins with `https://` is wanted"]);
    place.say(&["identity", "publish", "www"]).ends(2, &["error: nobody has said under which address others know this machine's issuer"]);
    assert_eq!(place.say(&["identity", "issuer", "https://ci.example.org"]).code, 0);
    let said = place.say(&["run", "--identity"]);
    let (may, called) = (claims(&said.raw, "may"), claims(&said.raw, "called / it"));
    for (name, value) in [
        ("iss", "https://ci.example.org"),
        ("aud", "sts.example.com"),
        ("sub", "repo:local/app:ref:refs/heads/main"),
        ("runner_environment", "self-hosted"),
        ("job_workflow_ref", "local/app/.github/workflows/ci.yml@refs/heads/main"),
        ("actor", "ada"),
    ] {
        assert_eq!(may[name], value, "{may}");
    }
    assert_eq!(called["job_workflow_ref"], "local/app/.github/workflows/called.yml@refs/heads/main");
    let published = place.say(&["identity", "publish", "www"]);
    assert!(published.out.contains("www/.well-known/openid-configuration\n"), "{published:?}");
    let keys: Json = serde_json::from_slice(&std::fs::read(place.project().join("www/.well-known/jwks")).unwrap()).unwrap();
    assert_eq!((&keys["keys"][0]["kty"], &keys["keys"][0]["crv"]), (&"EC".into(), &"P-256".into()));
}

/// Whom one calls can't speak in one's name unless that is said.
#[test]
fn a_called_file_asks_for_nothing_that_its_caller_did_not_say() {
    let silent = "on: push\njobs:\n  silent: {uses: ./.github/workflows/called.yml}\n";
    let place = Place::with(&[(".github/workflows/ci.yml", silent), (".github/workflows/called.yml", CALLED)]);
    let said = place.say(&["run", "--identity"]);
    assert!(said.code == 2 && said.err.contains("id-token"), "{said:?}");
}

#[test]
fn a_job_of_a_release_shows_who_it_is() {
    let place = place();
    assert_eq!(place.say(&["identity", "issuer", "https://ci.example.org"]).code, 0);
    let up = place.up(&["--strategy", "immediate"]);
    assert_eq!(up.code, 0, "{up:?}");
    let log = place.say(&["logs", "--job", "may"]);
    let token = log.raw.lines().find_map(|line| line.split_once("token ")).unwrap_or_else(|| panic!("{log:?}"));
    let claims: Json = serde_json::from_str(token.1).unwrap();
    assert_eq!((&claims["sub"], &claims["event_name"]), (&"repo:local/app:ref:refs/heads/main".into(), &"push".into()));
}

/// `id_tokens` of a `.gitlab-ci.yml` are variables of the job, and hidden.
#[test]
fn a_job_of_gitlab_gets_its_tokens_beforehand() {
    let show = "import base64, os
for name in ['ONE', 'MANY']:
    part = os.environ[name].split('.')[1]
    print(name, base64.urlsafe_b64decode(part + '=' * (-len(part) % 4)).decode())
print('hidden', os.environ['ONE'])
print('service', os.environ.get('ACTIONS_ID_TOKEN_REQUEST_URL', 'none'), os.environ.get('ACTIONS_ID_TOKEN_REQUEST_TOKEN', 'none'))
";
    let file = "
ask:
  id_tokens: {ONE: {aud: https://$CI_PROJECT_NAME.example.org}, MANY: {aud: [a, b]}}
  timeout: 2 hours
  script: [python3 show.py]
";
    let place = Place::with(&[(".gitlab-ci.yml", file), ("show.py", show)]);
    let said = place.say(&["run"]);
    let beforehand = "warning: `ask` has `id_tokens` and will fail: only with `--identity` may it show who it is";
    assert!(said.code == 1 && said.err.starts_with(beforehand) && !said.err.contains("is empty"), "{said:?}");
    let why = |run: &str| place.say(&["run", "explain", run]).out;
    assert!(why("run-1").contains("may not show who it is: `plimsoll run --identity`"), "{}", why("run-1"));
    assert_eq!(place.say(&["run", "--identity"]).code, 1);
    assert!(why("run-2").contains("nobody has said who issues them here"), "{}", why("run-2"));
    assert_eq!(place.say(&["identity", "issuer", "https://ci.example.org"]).code, 0);
    let said = place.say(&["run", "--identity"]);
    assert_eq!(said.code, 0, "{said:?}");
    let of = |name: &str| -> Json {
        let prefix = format!("{name} ");
        let line = said.raw.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_else(|| panic!("{said:?}"));
        serde_json::from_str(line).unwrap()
    };
    let (one, many) = (of("ONE"), of("MANY"));
    assert_eq!((&one["aud"], &one["iss"]), (&"https://app.example.org".into(), &"https://ci.example.org".into()), "{one}");
    assert_eq!(one["sub"], "project_path:local/app:ref_type:branch:ref:main", "{one}");
    assert_eq!((&many["aud"], &many["pipeline_source"]), (&serde_json::json!(["a", "b"]), &"push".into()), "{many}");
    assert!(said.raw.contains("\nhidden ***\n"), "{said:?}");
    let seconds = many["exp"].as_i64().unwrap() - many["iat"].as_i64().unwrap();
    assert_eq!(seconds, 2 * 3_600, "a token is good for as long as its job may take");
    assert!(said.raw.contains("\nservice none none\n"), "nobody else can be asked for: {said:?}");
}
