//! Against a forge that checks what it is shown: `tests/forge.py`.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use super::*;

struct Forge {
    folder: tempfile::TempDir,
    server: Child,
    port: String,
}

impl Forge {
    fn new() -> Forge {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for args in [vec!["genrsa", "-out", "app.pem", "2048"], vec!["rsa", "-in", "app.pem", "-pubout", "-out", "public.pem"]] {
            let output = Command::new("openssl").args(args).current_dir(&folder).output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        std::fs::set_permissions(path("app.pem"), std::fs::Permissions::from_mode(0o600)).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/forge.py");
        let mut command = Command::new("python3");
        command.arg(script).args([path("public.pem"), path("log")]).stdout(Stdio::piped());
        let mut server = command.spawn().unwrap();
        let mut port = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Forge { folder, server, port: port.trim().to_string() }
    }

    fn app(&self) -> App {
        let server = format!("http://127.0.0.1:{}", self.port);
        App { server, id: "12".to_string(), installation: 1, key: self.folder.path().join("app.pem") }
    }

    /// Method and what was asked for, of each request so far.
    fn asked(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines = log.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
        lines.map(|line| format!("{} {} {}", line["method"].as_str().unwrap(), line["path"].as_str().unwrap(), line["body"])).collect()
    }

    /// What the forge lets the bearer do.
    fn opens(&self, secret: &str) -> u16 {
        let url = format!("http://127.0.0.1:{}/api/v3/installation/repositories", self.port);
        ask_now("GET", &url, None, &bearer(secret), PATIENCE).unwrap().status
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn rights(scopes: &[(&str, Level)]) -> Granted {
    scopes.iter().map(|(scope, level)| ((*scope).to_string(), *level)).collect()
}

#[test]
fn a_token_is_for_one_repository_and_these_rights_and_ends() {
    let forge = Forge::new();
    let token = forge.app().mint("octo/shop", &rights(&[("contents", Level::Write), ("id-token", Level::Write)])).unwrap();
    let body = r#"{"repositories":["shop"],"permissions":{"contents":"write","metadata":"read"}}"#;
    assert_eq!(forge.asked(), [format!("POST /api/v3/app/installations/1/access_tokens {body}")]);
    assert_eq!((token.lacks.clone(), forge.opens(&token.secret)), (None, 200));
    let secret = token.secret.clone();
    token.end().unwrap();
    assert_eq!(forge.opens(&secret), 401);
    let token = forge.app().mint("octo/shop", &Granted::new()).unwrap();
    let secret = token.secret.clone();
    drop(token);
    assert_eq!(forge.opens(&secret), 401, "one that was forgotten ends, too");
}

#[test]
fn what_the_installation_has_not_got_is_left_out_and_said() {
    let forge = Forge::new();
    let token =
        forge.app().mint("octo/shop", &rights(&[("contents", Level::Read), ("issues", Level::Write), ("pull-requests", Level::Write)]));
    let token = token.unwrap();
    let lacks = "the job's token is without `issues: write`, `pull-requests: write`: the GitHub App's installation hasn't got it";
    assert_eq!(token.lacks.as_deref(), Some(lacks));
    let body = r#"{"repositories":["shop"],"permissions":{"contents":"read","issues":"read","metadata":"read"}}"#;
    assert_eq!(forge.asked().last().unwrap(), &format!("POST /api/v3/app/installations/1/access_tokens {body}"));
}

#[test]
fn why_there_is_none_is_said_with_what_to_look_at() {
    let forge = Forge::new();
    let app = forge.app();
    for (app, repository, expected) in [
        (App { id: "13".to_string(), ..app.clone() }, "octo/shop", "answers 401: A JSON web token could not be decoded; is `id` the App's"),
        (App { installation: 2, ..app.clone() }, "octo/shop", "answers 404: Not Found; is `installation` the number"),
        (app.clone(), "octo/other", "answers 422: There is at least one repository that is not accessible"),
        (app.clone(), "eve/shop", "the installation 1 is of `octo/shop`, and not of `eve/shop`"),
        (
            App { server: "http://127.0.0.1:1".to_string(), ..app },
            "octo/shop",
            "no answer from http://127.0.0.1:1/api/v3/app/installations/1",
        ),
    ] {
        let why = app.mint(repository, &Granted::new()).unwrap_err();
        assert!(why.contains(expected), "{expected}\n{why}");
    }
}

#[test]
fn a_forge_that_stumbles_is_asked_again_and_one_that_hangs_is_left() {
    let forge = Forge::new();
    forge.app().mint("octo/shop", &Granted::new()).unwrap();
    assert!(App { installation: 4, ..forge.app() }.mint("octo/shop", &Granted::new()).is_ok());
    let hangs = App { installation: 3, ..forge.app() };
    let why = hangs.mint_within("octo/shop", &Granted::new(), Duration::from_secs(1)).unwrap_err();
    assert!(why.contains("no answer from"), "{why}");
}
