//! The token of a job: a GitHub App's, or one that this machine alone takes.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use crate::common::Place;

/// A forge with an App, which this place's user names.
struct Forge {
    server: Child,
    port: String,
}

impl Forge {
    fn of(place: &Place) -> Forge {
        let path = |name: &str| place.path(name);
        for args in [vec!["genrsa", "-out", "app.pem", "2048"], vec!["rsa", "-in", "app.pem", "-pubout", "-out", "public.pem"]] {
            let output = Command::new("openssl").args(args).current_dir(path("")).output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        std::fs::set_permissions(path("app.pem"), std::fs::Permissions::from_mode(0o600)).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../host/tests/forge.py");
        let mut command = Command::new("python3");
        let mut server = command.arg(script).args([path("public.pem"), path("log")]).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let forge = Forge { server, port: port.trim().to_string() };
        let address = format!("http://127.0.0.1:{}", forge.port);
        let config = path("home/.config/plimsoll");
        std::fs::create_dir_all(&config).unwrap();
        let app = format!("githubApp: {{server: '{address}', id: 12, installation: 1, key: {}}}\n", path("app.pem").display());
        std::fs::write(config.join("config.yaml"), app).unwrap();
        place.git(&["remote", "add", "origin", &format!("{address}/octo/shop.git")]);
        forge
    }

    fn opens(&self, token: &str) -> bool {
        let (url, header) = (format!("http://127.0.0.1:{}/installation/repositories", self.port), format!("Authorization: Bearer {token}"));
        let output = Command::new("curl").args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", &header, &url]).output().unwrap();
        output.stdout == b"200"
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The job leaves its token in a file, and whether the forge took it while the job ran.
fn workflow(place: &Place, port: &str) -> String {
    let folder = place.path("").display().to_string();
    format!(
        "on: push
jobs:
  a:
    runs-on: ubuntu-latest
    permissions: {{ contents: write }}
    steps:
      - env: {{ T: '${{{{ github.token }}}}' }}
        run: |
          echo \"it is $T\"
          test \"$T\" = '${{{{ secrets.GITHUB_TOKEN }}}}' && printf %s \"$T\" > {folder}/token
          curl -s -w '\\n%{{http_code}}\\n' -H \"Authorization: Bearer $T\" http://127.0.0.1:{port}/installation/repositories
"
    )
}

fn token(place: &Place) -> String {
    std::fs::read_to_string(place.path("token")).unwrap()
}

#[test]
fn a_job_gets_a_token_of_the_app_and_it_ends_with_the_job() {
    let place = Place::with_app();
    let forge = Forge::of(&place);
    place.write(".github/workflows/ci.yml", &workflow(&place, &forge.port));
    place.commit("asks for its token");
    let said = place.say(&["run", "--token"]);
    assert!(said.code == 0 && said.raw.contains("it is ***\n"), "{said:?}");
    assert!(said.raw.contains("{\"contents\": \"write\", \"metadata\": \"read\"}\n") && said.raw.contains("200\n"), "{said:?}");
    let first = token(&place);
    assert!(first.starts_with("ghs_") && !forge.opens(&first) && !said.raw.contains(&first), "{said:?}");
    let up = place.up(&["--strategy", "immediate"]);
    assert_eq!(up.code, 0, "{up:?}");
    let second = token(&place);
    assert!(second.starts_with("ghs_") && second != first && !forge.opens(&second));
    let log = place.say(&["logs", "--job", "a"]);
    assert!(log.raw.contains("it is ***") && log.raw.contains("200"), "{log:?}");
}

#[test]
fn a_job_whose_token_the_forge_refuses_says_why_and_runs_nothing() {
    let place = Place::with_app();
    let forge = Forge::of(&place);
    place.write(".github/workflows/ci.yml", &workflow(&place, &forge.port));
    place.commit("asks for its token");
    place.git(&["remote", "set-url", "origin", &format!("http://127.0.0.1:{}/octo/other", forge.port)]);
    let said = place.say(&["run", "--token"]);
    assert!(said.code == 1 && !place.path("token").exists(), "{said:?}");
    assert!(said.out.contains("the job's token can't be had: ") && said.out.contains("is `octo/other` among the repositories"), "{said:?}");
}

#[test]
fn a_job_that_may_write_pushes_to_the_forge() {
    let place = Place::with_app();
    let forge = Forge::of(&place);
    let bare = place.path("git/octo/shop.git");
    place.git(&["init", "--quiet", "--bare", &bare.display().to_string()]);
    let ci = "on: push
permissions: { contents: write }
jobs:
  a:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: |
          git commit --quiet --allow-empty --message 'by a job'
          git push --quiet origin HEAD:refs/heads/pushed
          git config --list | grep -i extraheader
";
    place.write(".github/workflows/ci.yml", ci);
    place.commit("pushes");
    let said = place.say(&["run", "--token"]);
    assert!(said.code == 0 && said.raw.contains("extraheader=AUTHORIZATION: basic ") && said.raw.ends_with("***\n"), "{said:?}");
    let origin = format!("`origin` is http://127.0.0.1:{}/octo/shop.git, and takes the job's token.", forge.port);
    assert!(said.raw.contains(&origin), "{said:?}");
    let log = place.at_home("git").args(["-C", &bare.display().to_string(), "log", "-1", "--format=%s", "pushed"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&log.stdout), "by a job\n");
    let without = place.say(&["run"]);
    assert!(without.err.contains("`git push` reaches the repository on this machine and no forge: "), "{without:?}");
}

const OWN: &str = "on: push
permissions: { actions: read, contents: write }
jobs:
  a:
    runs-on: ubuntu-latest
    steps:
      - env: { T: '${{ github.token }}' }
        run: |
          echo \"it is $T\"
          ask() { curl -s -o /dev/null -w \"$1 %{http_code}\\n\" -H \"Authorization: Bearer $T\" -d \"$2\" \"${PLIMSOLL_SERVICES_URL}twirp/github.actions.results.api.v1.$1\"; }
          ask CacheService/GetCacheEntryDownloadURL '{\"key\": \"k\", \"version\": \"v\"}' || true
          ask CacheService/CreateCacheEntry '{\"key\": \"k\", \"version\": \"v\"}' || true
      - run: gh pr list
        env: { GH_TOKEN: '${{ github.token }}' }
        if: false
      - run: echo \"nobody asks ${PLIMSOLL_SERVICES_URL:+but may}\"
";

#[test]
fn without_an_app_the_token_is_good_for_this_machine_s_services_and_that_is_said_before() {
    let place = Place::with(&[(".github/workflows/ci.yml", OWN)]);
    let said = place.say(&["run"]);
    assert_eq!(said.code, 0, "{said:?}");
    for line in ["it is ***", "CacheService/GetCacheEntryDownloadURL 200", "CacheService/CreateCacheEntry 403"] {
        assert!(said.raw.lines().any(|it| it == line), "{line}\n{said:?}");
    }
    let warned = "ci.yml:13: `gh pr` shows the job's token to a forge, and it is one that this machine alone takes; `--token` gives";
    assert!(said.err.contains(warned), "{said:?}");
    let given = place.say(&["run", "--secret", "GITHUB_TOKEN=mine-mine-mine"]);
    assert!(given.code == 0 && !given.err.contains("to a forge"), "{given:?}");
    place
        .say(&["run", "--token"])
        .ends(2, &["error: `--token` gives jobs tokens of a GitHub App, and none is named in your own configuration"]);
}
