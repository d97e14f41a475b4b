//! Jobs and actions in containers, and services beside them, with the engine of this machine and an image made of busybox alone.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::common::{DEADLINE, Place, Said, until};

const CI: &str = ".github/workflows/ci.yml";
pub const IMAGE: &str = "localhost/plimsoll-tiny";
/// Whatever other runtimes are there, and without systemd.
pub const ENGINE: &str = "podman --runtime runc --cgroup-manager cgroupfs";

/// A project whose workflow has these jobs, on a machine that has the image.
fn place(jobs: &str) -> Place {
    place_with(jobs, &[])
}

fn place_with(jobs: &str, files: &[(&str, &str)]) -> Place {
    let workflow = format!("on: push\njobs:\n{}", jobs.replace("IMAGE", IMAGE));
    let workflow_file = (CI, workflow.as_str());
    let files: Vec<(&str, &str)> = std::iter::once(workflow_file).chain(files.iter().copied()).collect();
    with_image(Place::with(&files))
}

fn with_image(place: Place) -> Place {
    image(&place);
    place
}

/// Makes the image, of nothing but what this machine has.
pub fn image(place: &Place) {
    let context = place.path("image");
    std::fs::create_dir_all(context.join("bin")).unwrap();
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().find(|path| std::path::Path::new(path).is_file());
    std::fs::copy(busybox.expect("the package `busybox-static` is needed"), context.join("bin/busybox")).unwrap();
    for name in [
        "sh", "cat", "echo", "env", "false", "grep", "httpd", "id", "kill", "ls", "mkdir", "pwd", "sleep", "tail", "test", "touch", "true",
        "wget",
    ] {
        std::os::unix::fs::symlink("busybox", context.join("bin").join(name)).unwrap();
    }
    std::fs::write(context.join("Containerfile"), "FROM scratch\nCOPY bin /bin\nENV PATH=/bin OF_BASE=yes\nCMD [\"/bin/sh\"]\n").unwrap();
    podman(place, &["build", "--quiet", "--tag", IMAGE, "--file", "Containerfile", "."]);
}

pub fn podman(place: &Place, args: &[&str]) -> String {
    let mut command: Command = place.at_home("podman");
    let output = command
        .current_dir(place.path("image"))
        .args(ENGINE.split(' ').skip(1))
        .args(args)
        .output()
        .expect("the package `podman` is needed");
    assert!(output.status.success(), "podman {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The containers of this place's jobs: their label says where a job keeps its files.
fn left(place: &Place) -> Vec<String> {
    let listed = podman(place, &["ps", "--all", "--format", "{{.Names}} {{.Labels}}"]);
    let ours = format!("plimsoll.job:{}", place.path("").display());
    listed.lines().filter(|line| line.contains(&ours)).map(str::to_string).collect()
}

/// `plimsoll run` with its folders in this place.
fn run(place: &Place, args: &[&str]) -> Said {
    place.start(command(place, args)).wait()
}

fn command(place: &Place, args: &[&str]) -> Command {
    std::fs::create_dir_all(place.path("tmp")).unwrap();
    let mut command = place.plimsoll(&["run"]);
    command.args(args).env("TMPDIR", place.path("tmp")).env("PLIMSOLL_CONTAINER_ENGINE", ENGINE);
    command
}

#[track_caller]
fn has(said: &Said, code: i32, lines: &[&str]) {
    let all = format!("{}{}", said.out, said.err);
    assert_eq!(said.code, code, "{all}");
    for line in lines {
        assert!(all.lines().any(|it| it.trim() == *line), "`{line}` is missing in\n{all}");
    }
}

#[test]
fn the_steps_of_a_job_run_in_its_container() {
    let place = place(
        "
  a:
    runs-on: ubuntu-latest
    container:
      image: IMAGE
      env: { OF_JOB: from the job }
    outputs: { answer: '${{ steps.one.outputs.answer }}' }
    steps:
      - uses: actions/checkout@v4
      - id: one
        env: { OF_STEP: '${{ secrets.TOKEN }}' }
        run: |
          echo \"at $PWD\"
          echo \"workspace $GITHUB_WORKSPACE is ${{ github.workspace }}\"
          echo \"temp $RUNNER_TEMP is ${{ runner.temp }}\"
          echo \"home $HOME\"
          echo \"env $OF_BASE, $OF_JOB\"
          test \"$OF_STEP\" = geheim-geheim && echo \"secret $OF_STEP\"
          test -f app.py && test -f \"$GITHUB_EVENT_PATH\" && echo files
          test -n '${{ job.container.id }}' && test -n '${{ job.container.network }}' && echo context
          test -e /etc/debian_version || echo \"another root\"
          test -z \"$PLIMSOLL_STATE_DIR\" && echo \"nothing of the machine\"
          echo answer=42 >> $GITHUB_OUTPUT
          echo LATER=yes >> $GITHUB_ENV
          mkdir -p \"$HOME/bin\"
          echo \"$HOME/bin\" >> $GITHUB_PATH
          echo '::add-mask::hidden-word'
          echo left > left.txt
      - run: echo \"later $LATER, $PATH, hidden-word, $(cat left.txt)\"
      - uses: actions/upload-artifact@v4
        with: { name: x, path: '${{ github.workspace }}/left.txt' }
      - run: 'false'
        continue-on-error: true
      - { run: exit 7, shell: 'sh -c \"exit 9\" {0}', continue-on-error: true }
  b:
    needs: a
    runs-on: ubuntu-latest
    steps:
      - uses: actions/download-artifact@v4
        with: { name: x }
      - run: echo \"b has ${{ needs.a.outputs.answer }} and $(cat left.txt)\"
",
    );
    let said = run(&place, &["--secret", "TOKEN=geheim-geheim"]);
    let lines = [
        "a | at /__w/app/app",
        "a | workspace /__w/app/app is /__w/app/app",
        "a | temp /__w/_temp is /__w/_temp",
        "a | home /github/home",
        "a | env yes, from the job",
        "a | secret ***",
        "a | files",
        "a | context",
        "a | another root",
        "a | nothing of the machine",
        "a | later yes, /github/home/bin:/bin, ***, left",
        "b | b has 42 and left",
    ];
    has(&said, 0, &lines);
    assert_eq!(left(&place), [""; 0]);
}

/// With what the actions of a job ask the job's services, and nothing else.
const ASK: &str = r#"#!/bin/sh
ask() { wget -q -O - --header "Authorization: Bearer $1" --header "Content-Type: application/json" --post-data "$3" "$2"; }
echo "at $ACTIONS_RESULTS_URL"
ask "$ACTIONS_RUNTIME_TOKEN" "${ACTIONS_RESULTS_URL}twirp/github.actions.results.api.v1.CacheService/GetCacheEntryDownloadURL" '{"key": "k", "version": "v"}'
echo
ask nobody "${ACTIONS_RESULTS_URL}twirp/github.actions.results.api.v1.CacheService/GetCacheEntryDownloadURL" '{}' || echo "nobody without the token"
wget -q -O - --header "Authorization: Bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" "$ACTIONS_ID_TOKEN_REQUEST_URL" | grep -o '^.\{9\}'
"#;

#[test]
fn services_for_actions_are_reached_from_containers_and_only_from_them() {
    let files = [
        ("node/action.yml", "name: a\ndescription: a\nruns: { using: node20, main: ask.sh }\n"),
        ("node/ask.sh", ASK),
        ("image/action.yml", "name: a\ndescription: a\nruns: { using: docker, image: Dockerfile, post-entrypoint: /ask.sh }\n"),
        ("image/Dockerfile", "FROM localhost/plimsoll-tiny\nCOPY ask.sh /\nENTRYPOINT [\"sh\", \"/ask.sh\"]\n"),
        ("image/ask.sh", ASK),
    ];
    let place = place_with(
        "
  inside:
    runs-on: ubuntu-latest
    permissions: { id-token: write }
    container: localhost/plimsoll-tiny-node
    steps:
      - uses: actions/checkout@v4
      - run: test -z \"$ACTIONS_RESULTS_URL\" && test -n \"$ACTIONS_ID_TOKEN_REQUEST_URL\" && echo \"a script has the one\"
      - uses: ./node
  beside:
    runs-on: ubuntu-latest
    permissions: { id-token: write }
    steps:
      - uses: actions/checkout@v4
      - run: chmod +x image/ask.sh
      - uses: ./image
",
        &files,
    );
    // What the image has for `node` is its shell.
    let node = place.path("image/node");
    std::fs::write(&node, "#!/bin/sh\n[ \"$1\" = --version ] && exec echo v20.0.0\nexec sh \"$@\"\n").unwrap();
    std::fs::set_permissions(&node, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(place.path("image/Node"), format!("FROM {IMAGE}\nCOPY node /bin/\n")).unwrap();
    podman(&place, &["build", "--quiet", "--tag", "localhost/plimsoll-tiny-node", "--file", "Node", "."]);
    assert_eq!(place.say(&["identity", "issuer", "https://ci.example.org"]).code, 0);
    let said = run(&place, &["--identity"]);
    has(&said, 0, &["inside | a script has the one"]);
    for job in ["inside", "beside"] {
        for line in ["{\"ok\":false}", "nobody without the token", "{\"value\":"] {
            let line = format!("{job} | {line}");
            let times = if job == "beside" { 2 } else { 1 };
            assert!(said.out.lines().filter(|it| it.starts_with(&line)).count() == times, "`{line}` {times} times in\n{}", said.out);
        }
    }
    assert!(!said.out.contains("##[warning]"), "{}", said.out);
    assert_eq!(left(&place), [""; 0]);
}

/// `.gitlab-ci.yml` in images, as GitLab's runner has it with docker.
#[test]
fn jobs_of_gitlab_run_in_their_images_and_reach_their_services() {
    let file = "
default:
  image: { name: $TINY, pull_policy: [never] }
variables: { TINY: WHICH, OUT: $CI_PROJECT_DIR/out }
stages: [build, test]
make:
  stage: build
  before_script: [test -e /etc/debian_version || echo \"another root\"]
  script:
    - echo \"at $CI_PROJECT_DIR is $PWD, image $CI_JOB_IMAGE, of the image $OF_BASE\"
    - mkdir -p out && echo \"made by $(id -u)\" > $OUT/made.txt && test -f app.py
    - echo VERSION=7 > build.env
    - test \"$TOKEN\" = geheim-geheim && echo \"secret $TOKEN\" && test -z \"$GITHUB_ACTIONS\" && echo \"home ${HOME}\"
  after_script: [echo \"after it is $CI_JOB_STATUS\"]
  artifacts: { paths: [$CI_PROJECT_DIR/out], reports: { dotenv: build.env } }
use:
  stage: test
  image: { name: WHICH, entrypoint: [env, OF_ENTRYPOINT=yes], docker: { user: '12345' } }
  variables: { GREETING: hello }
  services:
    - name: WHICH:latest
      alias: web, www
      variables: { GREETING: \"$GREETING from the service\" }
      entrypoint: [sh, -c]
      command: ['mkdir -p /w; echo \"$GREETING\" > /w/index.html; exec httpd -f -p 8099 -h /w']
    - { name: WHICH, command: [sleep, '1000'] }
  script:
    - cat out/made.txt
    - echo \"version $VERSION, user $(id -u), entrypoint $OF_ENTRYPOINT\"
    - for name in localhost__plimsoll-tiny localhost-plimsoll-tiny; do grep -q $name /etc/hosts && echo \"knows $name\"; done
    - for name in web www; do until wget -qO- http://$name:8099/ 2> /dev/null; do true; done; done
  timeout: 30 minutes
fails:
  stage: test
  needs: []
  script: ['false', echo never]
  allow_failure: true
absent:
  stage: test
  needs: []
  image: { name: localhost/plimsoll-no-such-image, pull_policy: never }
  script: [echo never]
  allow_failure: true
";
    let place = with_image(Place::with(&[(".gitlab-ci.yml", &file.replace("WHICH", IMAGE))]));
    let said = run(&place, &["--secret", "TOKEN=geheim-geheim"]);
    let lines = [
        "make | another root",
        "make | at /__w/app/app is /__w/app/app, image localhost/plimsoll-tiny, of the image yes",
        "make | secret ***",
        "make | home /",
        "make | after it is success",
        "use | made by 0",
        "use | version 7, user 12345, entrypoint yes",
        "use | knows localhost__plimsoll-tiny",
        "use | knows localhost-plimsoll-tiny",
        "use | hello from the service",
    ];
    has(&said, 0, &lines);
    let all = format!("{}{}", said.out, said.err);
    assert!(!all.contains("| never"), "{all}");
    assert_eq!(all.matches("use | hello from the service").count(), 2, "{all}");
    assert!(all.contains("the image `localhost/plimsoll-no-such-image` is not on this machine, and `pull_policy` is `never`"), "{all}");
    assert_eq!(left(&place), [""; 0]);
}

/// The image's `httpd` serves what it writes first.
const WEB: &str = "
        image: IMAGE
        ports: ['8099']
        env: { TEXT: hello from the service }
        entrypoint: sh
        command: '-c \"mkdir -p /w; echo $TEXT > /w/index.html; exec httpd -f -p 8099 -h /w\"'
        options: >-
          --health-cmd \"wget -qO- http://127.0.0.1:8099/\" --health-interval 1s --health-retries 20
";

#[test]
fn services_are_reached_by_name_and_by_port() {
    let place = place(
        &"
  inside:
    runs-on: ubuntu-latest
    container: IMAGE
    services:
      web: WEB
    steps:
      - run: wget -qO- http://web:8099/
      - uses: docker://IMAGE
        with: { entrypoint: wget, args: '-qO- http://web:8099/' }
  outside:
    runs-on: ubuntu-latest
    services:
      web: WEB
      none: { image: \"${{ '' }}\" }
    steps:
      - run: curl -s http://localhost:${{ job.services.web.ports['8099'] }}/ | tr h H
      - run: echo 'same ${{ job.services.web.network == job.container.network }} ${{ job.services.web.id != '' }} ${{ job.services.none }}'
"
        .replace(" WEB", &WEB.replace('\n', "\n  ")),
    );
    let said = run(&place, &[]);
    let lines = [
        "inside | hello from the service",
        "outside | Hello from tHe service",
        "outside | same true true",
        "inside | web service is healthy.",
    ];
    has(&said, 0, &lines);
    assert_eq!(said.out.matches("inside | hello from the service").count(), 2, "{}", said.out);
    assert_eq!(left(&place), [""; 0]);
}

#[test]
fn what_can_t_be_started_is_said_by_the_first_step() {
    let place = place(
        "
  sick:
    runs-on: ubuntu-latest
    services:
      db:
        image: IMAGE
        entrypoint: sh
        command: '-c \"echo the disk is full; exec sleep 1000\"'
        options: --health-cmd false --health-interval 1s --health-retries 1
    steps:
      - run: echo never
      - { if: always(), run: echo afterwards }
  absent:
    runs-on: ubuntu-latest
    container: localhost/plimsoll-no-such-image
    steps:
      - run: echo never
",
    );
    let said = run(&place, &[]);
    let lines = ["sick | the disk is full", "sick | ##[error]Failed to initialize, db service is unhealthy.", "sick | afterwards"];
    has(&said, 1, &lines);
    let all = format!("{}{}", said.out, said.err);
    assert!(!all.contains("| never"), "{all}");
    assert!(all.contains("the image `localhost/plimsoll-no-such-image` is not on this machine, and `podman pull` can't get it"), "{all}");
    assert_eq!(left(&place), [""; 0]);
}

const ACTION: &str = "name: a
description: a
inputs:
  who: { description: w, default: nobody }
outputs:
  said: { description: s }
runs:
  using: docker
  image: Dockerfile
  args: ['hello ${{ inputs.who }}', two]
  env: { OF_ACTION: 'for ${{ inputs.who }}' }
  post-entrypoint: /post.sh
";
const DOCKERFILE: &str = "FROM localhost/plimsoll-tiny\nCOPY main.sh post.sh /\nENTRYPOINT [\"sh\", \"/main.sh\"]\n";
const MAIN: &str = "echo \"main $# [$1] [$2] $INPUT_WHO, $OF_ACTION at $PWD, home $HOME\"
test -f app.py && test \"$GITHUB_WORKSPACE\" = \"$PWD\" && test -f \"$GITHUB_EVENT_PATH\" && echo seen
echo said=yes >> $GITHUB_OUTPUT
echo OF_MAIN=kept >> $GITHUB_ENV
echo s=state >> $GITHUB_STATE
echo made > made.txt
";

#[test]
fn actions_run_in_containers_of_their_own() {
    let files = [
        ("act/action.yml", ACTION),
        ("act/Dockerfile", DOCKERFILE),
        ("act/main.sh", MAIN),
        ("act/post.sh", "#!/bin/sh\necho \"post $STATE_s\"\n"),
    ];
    let place = place_with(
        "
  a:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: chmod +x act/post.sh
      - { id: act, uses: ./act, with: { who: Ada }, env: { OF_STEP: x } }
      - run: echo \"then ${{ steps.act.outputs.said }} $OF_MAIN $(cat made.txt)\"
      - { uses: ./act, with: { who: Bob } }
      - uses: docker://IMAGE
        with: { entrypoint: sh, args: '-c \"exit 3\"' }
",
        &files,
    );
    let said = run(&place, &[]);
    let lines = [
        "a | main 2 [hello Ada] [two] Ada, for Ada at /github/workspace, home /github/home",
        "a | seen",
        "a | then yes kept made",
        "a | post state",
        "a | ##[error]Process completed with exit code 3.",
    ];
    let prefixed = lines.map(|line| line.trim_start_matches("a | ").to_string());
    let prefixed: Vec<&str> = prefixed.iter().map(String::as_str).collect();
    has(&said, 1, &prefixed);
    assert!(said.out.contains("was built before, from the same files"), "{}", said.out);
    assert_eq!(left(&place), [""; 0]);
}

#[test]
fn a_step_in_a_container_is_ended_like_any_other() {
    let place = place(
        "
  a:
    runs-on: ubuntu-latest
    container: IMAGE
    steps:
      - run: |
          trap 'echo asked to end; exit 0' INT
          sleep 1000 & wait
        timeout-minutes: 0.2
      - if: always()
        run: if grep -l '[s]leep' /proc/[0-9]*/cmdline; then echo it goes on; else echo looked; fi
",
    );
    let said = run(&place, &[]);
    has(&said, 1, &["asked to end", "looked"]);
    assert_eq!(left(&place), [""; 0]);
}

#[test]
fn the_next_job_removes_what_a_killed_one_has_left() {
    let place = place("\n  a:\n    runs-on: ubuntu-latest\n    container: IMAGE\n    steps:\n      - run: echo begun; sleep 1000\n");
    let mut command = command(&place, &[]);
    let mut child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    until(DEADLINE, || left(&place).len() == 1 && sleeping(&place)).expect("the job's step runs");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(left(&place).len(), 1);
    // A job of another test may be faster.
    let said = place.say(&["doctor"]);
    assert!(said.out.contains("engine   podman"), "{}", said.out);
    assert_eq!(left(&place), [""; 0]);
}

fn sleeping(place: &Place) -> bool {
    let needle = place.path("").display().to_string();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.map(|entry| entry.path()).any(|process| {
        let read = |name: &str| String::from_utf8_lossy(&std::fs::read(process.join(name)).unwrap_or_default()).into_owned();
        read("cmdline").starts_with("sleep\u{0}1000") && read("environ").contains(&needle)
    })
}

#[test]
fn without_an_engine_nothing_begins() {
    let place =
        Place::with(&[(CI, "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    container: x\n    steps: [{ uses: 'docker://y' }]\n")]);
    let mut command = command(&place, &[]);
    command.env("PLIMSOLL_CONTAINER_ENGINE", "no-such-engine");
    let said = place.start(command).wait();
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    for part in
        ["ci.yml:5:5", "ci.yml:6:21", "a job in a container needs a container engine: `PLIMSOLL_CONTAINER_ENGINE` names `no-such-engine`"]
    {
        assert!(said.err.contains(part), "{part} is missing in\n{}", said.err);
    }
}

#[test]
fn a_job_in_a_container_goes_on_from_a_step() {
    let place = place(
        "
  a:
    runs-on: ubuntu-latest
    container: IMAGE
    steps:
      - run: echo once >> n
      - { id: again, run: 'test -f tried || { touch tried; exit 3; }' }
      - run: echo \"$(cat n) at $PWD\"
",
    );
    has(&run(&place, &[]), 1, &[]);
    let mut rerun = place.plimsoll(&["run", "rerun", "--from-step", "again", "--job", "a"]);
    rerun.env("PLIMSOLL_CONTAINER_ENGINE", ENGINE);
    has(&place.start(rerun).wait(), 0, &["once at /__w/app/app"]);
    assert_eq!(left(&place), [""; 0]);
}
