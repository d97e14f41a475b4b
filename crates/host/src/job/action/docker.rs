//! `docker/login-action`, `setup-buildx-action`, `setup-qemu-action`, `build-push-action`: over docker with its daemon, buildah or
//! podman, whichever is there first.
//!
//! | action | inputs honoured |
//! |---|---|
//! | login | `registry` (Docker Hub), `username`, `password`, `logout` (`true`); credentials are the job's own: `DOCKER_CONFIG` and `REGISTRY_AUTH_FILE` name a file in `RUNNER_TEMP` |
//! | setup-buildx | `name`, `driver`, `driver-opts`, `platforms`, `use` with docker's buildx; nothing has to be set up for buildah and podman |
//! | setup-qemu | `platforms`: each has to be known to this machine's kernel already |
//! | build-push | `context` (the workspace), `file`, `tags`, `push`, `load`, `build-args`, `labels`, `annotations`, `target`, `platforms`, `no-cache`, `pull`, `outputs` (`type=oci`, `docker`, `local`, `tar`, `registry`, `image`), `secrets`, `secret-files`, `ssh`, `network`, `add-hosts`, `shm-size`, `ulimit`, `build-contexts`, `cache-from` and `cache-to` (`type=registry`) |
//!
//! Outputs of build-push: `digest`, `imageid`, `metadata`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use workflow::job::{Stage, Wrote};

use super::desk::{Desk, Tool, Undone};
use super::inputs::Inputs;
use super::need::{missing, need};
use super::place::{Place, outputs};
use super::words::commas;

/// What builds, keeps and pushes images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    /// Only with a daemon that answers.
    Docker,
    Buildah,
    Podman,
}

pub(super) fn engine(env: &BTreeMap<String, String>) -> Result<(Engine, PathBuf), String> {
    let docker = need(&["docker"], env).ok().filter(|docker| answers(docker, &["version", "--format", "{{.Server.Version}}"], env));
    let docker = docker.map(|docker| (Engine::Docker, docker));
    let buildah = || need(&["buildah"], env).ok().map(|buildah| (Engine::Buildah, buildah));
    let podman = || need(&["podman"], env).ok().map(|podman| (Engine::Podman, podman));
    docker.or_else(buildah).or_else(podman).ok_or_else(|| missing(&["buildah", "podman", "docker"]))
}

fn answers(program: &Path, arguments: &[&str], env: &BTreeMap<String, String>) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(env).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

const HUB: &str = "docker.io";

/// `localhost` and the like speak without TLS, as docker takes them.
fn is_here(image: &str) -> bool {
    let host = image.split('/').next().unwrap_or_default();
    let name = host.split(':').next().unwrap_or_default();
    image.contains('/') && (name == "localhost" || name.starts_with("127."))
}

/// What an engine is told about the other side.
fn manners(engine: Engine, registry: &str, auth: Option<&String>) -> Vec<String> {
    if engine == Engine::Docker {
        return Vec::new();
    }
    let insecure = is_here(&format!("{registry}/")).then(|| "--tls-verify=false".to_string());
    insecure.into_iter().chain(auth.map(|file| format!("--authfile={file}"))).collect()
}

pub(super) fn login(place: Place<'_>, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let inputs = place.inputs();
    let registry = inputs.get("registry").unwrap_or(HUB);
    let (engine, program) = engine(place.env())?;
    let folder = place.dirs.temp.join("docker");
    let config = folder.join("config.json");
    let auth = config.to_string_lossy().into_owned();
    let tool = Tool::new(program, place.env(), &place.dirs.workspace).env("DOCKER_CONFIG", folder.to_string_lossy());
    let target = if engine == Engine::Docker && registry == HUB { Vec::new() } else { vec![registry.to_string()] };
    if place.call.stage == Stage::Post {
        if place.call.state.get("logout").is_some_and(|logout| logout == "true") && config.is_file() {
            let manners = manners(engine, registry, Some(&auth)).into_iter().filter(|word| word.starts_with("--authfile"));
            desk.must(&tool.args(["logout"]).args(manners).args(target))?;
        }
        return Ok(Wrote::default());
    }
    if inputs.get("ecr") == Some("true") {
        return Err(Undone::Failed(
            "`ecr: true` asks Amazon for a password, which isn't done here; give `username` and `password`".to_string(),
        ));
    }
    let (username, password) = (inputs.required("username")?, inputs.required("password")?);
    fs::create_dir_all(&folder).map_err(|error| format!("`{}` can't be made: {error}", folder.display()))?;
    if !config.is_file() {
        place.private("docker/config.json", "{\"auths\": {}}")?;
    }
    let mut tool =
        tool.args(["login", "--username", username, "--password-stdin"]).args(manners(engine, registry, Some(&auth))).args(target);
    tool.input = Some(password.to_string());
    desk.must(&tool)?;
    let mut env = vec![("DOCKER_CONFIG".to_string(), folder.to_string_lossy().into_owned()), ("REGISTRY_AUTH_FILE".to_string(), auth)];
    // Builders that were made before are found where they were.
    let before = place.env().get("DOCKER_CONFIG").cloned().or_else(|| place.env().get("HOME").map(|home| format!("{home}/.docker")));
    env.extend(before.filter(|_| engine == Engine::Docker).map(|before| ("BUILDX_CONFIG".to_string(), format!("{before}/buildx"))));
    let logout = if inputs.get("logout") == Some("false") { "false" } else { "true" };
    Ok(Wrote { env, state: vec![("logout".to_string(), logout.to_string())], ..Wrote::default() })
}

pub(super) fn buildx(place: Place<'_>, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let inputs = place.inputs();
    let (engine, program) = engine(place.env())?;
    let native = platform();
    if engine != Engine::Docker || !answers(&program, &["buildx", "version"], place.env()) {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        desk.say(&format!("Images are built by {name}; there is no builder to be set up."));
        return Ok(outputs([("name", name.clone()), ("driver", name), ("platforms", native), ("nodes", "[]".to_string())]));
    }
    let name = inputs.get("name").map_or_else(|| format!("plimsoll-{}", std::process::id()), str::to_string);
    let driver = inputs.get("driver").unwrap_or("docker-container");
    if driver != "docker" {
        let mut tool = Tool::new(program, place.env(), &place.dirs.workspace);
        tool = tool.args(["buildx", "create", "--name", &name, "--driver", driver]);
        tool = tool.args(inputs.lines("driver-opts").into_iter().flat_map(|option| ["--driver-opt", option]));
        tool = tool.args(inputs.get("platforms").into_iter().flat_map(|platforms| ["--platform", platforms]));
        if inputs.get("use") != Some("false") {
            tool = tool.args(["--use"]);
        }
        desk.must(&tool)?;
    }
    Ok(outputs([("name", name), ("driver", driver.to_string()), ("platforms", native), ("nodes", "[]".to_string())]))
}

/// This machine's own, in Docker's words.
fn platform() -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("linux/{arch}")
}

pub(super) fn qemu(place: Place<'_>, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let all = emulated(Path::new("/proc/sys/fs/binfmt_misc"));
    foreign(place.inputs(), &all)?;
    desk.say(&format!("This machine runs {}", all.join(", ")));
    Ok(outputs([("platforms", all.join(","))]))
}

/// Whether the platforms asked for can be run; nothing is installed into the kernel.
pub(super) fn qemu_ready(inputs: Inputs<'_>) -> Result<(), String> {
    foreign(inputs, &emulated(Path::new("/proc/sys/fs/binfmt_misc")))
}

fn foreign(inputs: Inputs<'_>, known: &[String]) -> Result<(), String> {
    let asked = inputs.get("platforms").filter(|platforms| *platforms != "all").unwrap_or_default();
    let architecture = |platform: &str| platform.trim_start_matches("linux/").split('/').next().unwrap_or_default().to_string();
    let absent: Vec<&str> = commas(asked).filter(|wanted| !known.iter().any(|it| architecture(it) == architecture(wanted))).collect();
    if absent.is_empty() {
        return Ok(());
    }
    Err(format!("this machine can't run {}; to get it: the system's package `qemu-user-static`", absent.join(", ")))
}

fn emulated(folder: &Path) -> Vec<String> {
    let mut all = vec![platform()];
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let known = match name.strip_prefix("qemu-") {
            Some("aarch64") => "linux/arm64",
            Some("arm") => "linux/arm",
            Some("x86_64") => "linux/amd64",
            Some("riscv64") => "linux/riscv64",
            Some("ppc64le") => "linux/ppc64le",
            Some("s390x") => "linux/s390x",
            _ => continue,
        };
        all.push(known.to_string());
    }
    all.sort();
    all.dedup();
    all
}

/// What one build has to leave, as `push`, `load` and `outputs` say it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Output {
    Push,
    /// `oci-archive` or `docker-archive`, and where.
    Archive(&'static str, String),
    /// `local` or `tar`, and where: files rather than an image.
    Files(&'static str, String),
}

pub(super) fn build_push(place: Place<'_>, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let inputs = place.inputs();
    let (engine, program) = engine(place.env())?;
    let wanted = wanted(inputs)?;
    let tags = tags(inputs);
    if wanted.contains(&Output::Push) && tags.is_empty() {
        return Err(Undone::Failed("an image can't be pushed without `tags`".to_string()));
    }
    let workspace = &place.dirs.workspace;
    let files = place.dirs.temp.join(format!("build-{}", place.call.step));
    fs::create_dir_all(&files).map_err(|error| format!("`{}` can't be made: {error}", files.display()))?;
    let secrets = secrets(place)?;
    for cache in inputs.lines("cache-from").into_iter().chain(inputs.lines("cache-to")).filter(|cache| registry_cache(cache).is_none()) {
        desk.say(&format!("##[notice]`{cache}` has nothing to do here: layers stay on this machine."));
    }
    let tool = |words: Vec<String>| Tool::new(program.clone(), place.env(), workspace).args(words);
    let words = build_words(engine, inputs, &wanted, &secrets, &files)?;
    desk.must(&tool(words))?;
    let read = |name: &str| fs::read_to_string(files.join(name)).map(|text| text.trim().to_string()).unwrap_or_default();
    let image = read("iid");
    let auth = place.env().get("REGISTRY_AUTH_FILE").filter(|_| engine != Engine::Docker);
    let many = many_platforms(inputs);
    for output in &wanted {
        let targets = match (output, engine) {
            (Output::Push, Engine::Docker) => tags.clone(),
            (Output::Push, _) => tags.iter().map(|tag| format!("docker://{tag}")).collect(),
            (Output::Archive(kind, path), _) => vec![format!("{kind}:{}", place.path("outputs", path)?.display())],
            (Output::Files(..), _) => Vec::new(),
        };
        for target in targets {
            let registry = target.trim_start_matches("docker://").split('/').next().unwrap_or_default().to_string();
            let mut words: Vec<String> = if many && engine != Engine::Docker { vec!["manifest".to_string()] } else { Vec::new() };
            words.push("push".to_string());
            if engine == Engine::Docker {
                words.push(target);
            } else {
                words.extend(many.then(|| "--all".to_string()));
                words.extend(manners(engine, &registry, auth));
                // What lies in an archive is another image: its digest counts only where nothing is pushed.
                let digest = if *output == Output::Push { "digest" } else { "archive-digest" };
                words.push(format!("--digestfile={}", files.join(digest).display()));
                words.push(if many { manifest(place.call.step) } else { image.clone() });
                words.push(target);
            }
            desk.must(&tool(words))?;
        }
    }
    if engine == Engine::Docker && wanted.contains(&Output::Push) {
        let mut inspect = tool(["image", "inspect", "--format", "{{index .RepoDigests 0}}", &image].map(str::to_string).to_vec());
        inspect.output = Some(files.join("digest"));
        desk.must(&inspect)?;
    }
    let digest = Some(read("digest")).filter(|digest| !digest.is_empty()).unwrap_or_else(|| read("archive-digest"));
    let digest = digest.rsplit('@').next().unwrap_or_default().to_string();
    let metadata = json!({ "containerimage.config.digest": image, "containerimage.digest": digest, "image.name": tags.join(",") });
    desk.say(&format!("Built {image}{}", if digest.is_empty() { String::new() } else { format!(", with the digest {digest}") }));
    Ok(outputs([("imageid", image), ("digest", digest), ("metadata", metadata.to_string())]))
}

fn tags(inputs: Inputs<'_>) -> Vec<String> {
    inputs.lines("tags").into_iter().flat_map(commas).map(str::to_string).collect()
}

fn manifest(step: u32) -> String {
    format!("localhost/plimsoll-build-{step}")
}

fn many_platforms(inputs: Inputs<'_>) -> bool {
    inputs.lines("platforms").into_iter().flat_map(commas).count() > 1
}

fn wanted(inputs: Inputs<'_>) -> Result<Vec<Output>, String> {
    let mut wanted: Vec<Output> = if inputs.flag("push")? { vec![Output::Push] } else { Vec::new() };
    for line in inputs.lines("outputs") {
        let fields: BTreeMap<&str, &str> = commas(line).filter_map(|field| field.split_once('=')).collect();
        let destination = || fields.get("dest").map(|dest| dest.to_string()).ok_or_else(|| format!("`outputs: {line}` names no `dest`"));
        match fields.get("type").copied().unwrap_or("local") {
            "registry" => wanted.push(Output::Push),
            "image" if fields.get("push") == Some(&"true") => wanted.push(Output::Push),
            "image" => {}
            "docker" if !fields.contains_key("dest") => {}
            "oci" => wanted.push(Output::Archive("oci-archive", destination()?)),
            "docker" => wanted.push(Output::Archive("docker-archive", destination()?)),
            "local" => wanted.push(Output::Files("local", fields.get("dest").map_or(line, |dest| dest).to_string())),
            "tar" => wanted.push(Output::Files("tar", destination()?)),
            other => return Err(format!("`outputs: {line}`: an output of type `{other}` can't be made here")),
        }
    }
    wanted.dedup();
    Ok(wanted)
}

/// The name in a registry of a cache that lies in one.
fn registry_cache(cache: &str) -> Option<&str> {
    if !cache.contains('=') {
        return Some(cache);
    }
    let fields: BTreeMap<&str, &str> = commas(cache).filter_map(|field| field.split_once('=')).collect();
    fields.get("ref").copied().filter(|_| fields.get("type") == Some(&"registry"))
}

/// `id=name,src=file` of each secret; values lie in files of the job's own.
fn secrets(place: Place<'_>) -> Result<Vec<String>, String> {
    let inputs = place.inputs();
    let mut words = Vec::new();
    for (index, secret) in inputs.lines("secrets").into_iter().enumerate() {
        let (id, value) = secret.split_once('=').ok_or("a line of `secrets` is `NAME=VALUE`")?;
        let file = place.private(&format!("build-{}/secret-{index}", place.call.step), value)?;
        words.push(format!("id={id},src={}", file.display()));
    }
    for secret in inputs.lines("secret-files") {
        let (id, file) = secret.split_once('=').ok_or("a line of `secret-files` is `NAME=FILE`")?;
        words.push(format!("id={id},src={}", place.path("secret-files", file)?.display()));
    }
    Ok(words)
}

fn build_words(engine: Engine, inputs: Inputs<'_>, wanted: &[Output], secrets: &[String], files: &Path) -> Result<Vec<String>, String> {
    let mut words = vec!["build".to_string()];
    let mut pair = |name: &str, value: &str| words.extend([name.to_string(), value.to_string()]);
    let many = many_platforms(inputs);
    match engine {
        _ if many && engine == Engine::Docker => {
            return Err("several `platforms` need buildah or podman here; docker alone builds one".to_string());
        }
        Engine::Docker => {}
        _ if many => {}
        _ => pair("--format", "docker"),
    }
    if !many {
        pair("--iidfile", &files.join("iid").to_string_lossy());
        tags(inputs).iter().for_each(|tag| pair("--tag", tag));
    } else if let Output::Files(..) = wanted.first().unwrap_or(&Output::Push) {
        return Err("files can't be written out for several `platforms` at once".to_string());
    }
    for (input, option) in
        [("file", "--file"), ("target", "--target"), ("network", "--network"), ("shm-size", "--shm-size"), ("ssh", "--ssh")]
    {
        inputs.lines(input).into_iter().for_each(|value| pair(option, value));
    }
    for (input, option) in
        [("build-args", "--build-arg"), ("labels", "--label"), ("ulimit", "--ulimit"), ("build-contexts", "--build-context")]
    {
        inputs.lines(input).into_iter().for_each(|value| pair(option, value));
    }
    if engine != Engine::Docker {
        inputs.lines("annotations").into_iter().for_each(|value| pair("--annotation", value));
    }
    inputs.lines("add-hosts").into_iter().flat_map(commas).for_each(|value| pair("--add-host", value));
    secrets.iter().for_each(|secret| pair("--secret", secret));
    for (input, option) in [("cache-from", "--cache-from"), ("cache-to", "--cache-to")] {
        if engine != Engine::Docker || input == "cache-from" {
            inputs.lines(input).into_iter().filter_map(registry_cache).for_each(|cache| pair(option, cache));
        }
    }
    let platforms: Vec<&str> = inputs.lines("platforms").into_iter().flat_map(commas).collect();
    if !platforms.is_empty() {
        pair("--platform", &platforms.join(","));
    }
    for output in wanted {
        if let Output::Files(kind, destination) = output {
            pair("--output", &format!("type={kind},dest={destination}"));
        }
    }
    if many {
        // What is made for each platform is one name from then on.
        let step = files.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("build-")).unwrap_or("0");
        pair("--manifest", &manifest(step.parse().unwrap_or_default()));
    }
    if inputs.flag("no-cache")? {
        words.push("--no-cache".to_string());
    } else if engine == Engine::Buildah {
        words.push("--layers".to_string());
    }
    if inputs.flag("pull")? {
        words.push(if engine == Engine::Docker { "--pull" } else { "--pull=always" }.to_string());
    }
    words.push("--".to_string());
    words.push(inputs.get("context").unwrap_or(".").to_string());
    Ok(words.into_iter().filter(|word| engine != Engine::Docker || word != "--").collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(engine: Engine, given: &[(&str, &str)]) -> Result<String, String> {
        let given: BTreeMap<String, String> = given.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let inputs = Inputs(&given);
        Ok(build_words(engine, inputs, &wanted(inputs)?, &["id=s,src=/t/s".to_string()], Path::new("/t/build-3"))?.join(" "))
    }

    #[test]
    fn inputs_become_words() {
        let given = [
            ("context", "app"),
            ("tags", "ghcr.io/me/app:1\nghcr.io/me/app:2"),
            ("push", "true"),
            ("file", "app/Dockerfile"),
            ("build-args", "A=1 2\nB=3"),
            ("cache-from", "type=gha\ntype=registry,ref=ghcr.io/me/cache"),
            ("cache-to", "type=gha,mode=max"),
        ];
        assert_eq!(
            words(Engine::Buildah, &given).unwrap(),
            "build --format docker --iidfile /t/build-3/iid --tag ghcr.io/me/app:1 --tag ghcr.io/me/app:2 --file app/Dockerfile \
             --build-arg A=1 2 --build-arg B=3 --secret id=s,src=/t/s --cache-from ghcr.io/me/cache --layers -- app"
        );
        let plain = [("no-cache", "true"), ("pull", "true"), ("target", "dev")];
        assert_eq!(
            words(Engine::Docker, &plain).unwrap(),
            "build --iidfile /t/build-3/iid --target dev --secret id=s,src=/t/s --no-cache --pull ."
        );
        assert_eq!(
            words(Engine::Podman, &[("platforms", "linux/amd64,linux/arm64")]).unwrap(),
            "build --secret id=s,src=/t/s --platform linux/amd64,linux/arm64 --manifest localhost/plimsoll-build-3 -- ."
        );
        assert!(words(Engine::Docker, &[("platforms", "linux/amd64,linux/arm64")]).unwrap_err().contains("need buildah"));
    }

    #[test]
    fn outputs_are_read_as_buildx_reads_them() {
        let check = |line: &str| wanted(Inputs(&BTreeMap::from([("outputs".to_string(), line.to_string())])));
        assert_eq!(check("type=oci,dest=/o.tar").unwrap(), [Output::Archive("oci-archive", "/o.tar".to_string())]);
        assert_eq!(check("type=image,push=true\ntype=registry").unwrap(), [Output::Push]);
        assert_eq!(check("out").unwrap(), [Output::Files("local", "out".to_string())]);
        assert_eq!(check("type=docker").unwrap(), []);
        assert!(check("type=oci").unwrap_err().contains("no `dest`") && check("type=x,dest=y").unwrap_err().contains("type `x`"));
    }

    #[test]
    fn platforms_that_the_kernel_does_not_run_are_named() {
        let check =
            |asked: &str| foreign(Inputs(&BTreeMap::from([("platforms".to_string(), asked.to_string())])), &["linux/amd64".to_string()]);
        assert_eq!((check("linux/amd64"), check("all"), check("amd64")), (Ok(()), Ok(()), Ok(())));
        assert!(check("linux/amd64,linux/arm64").unwrap_err().starts_with("this machine can't run linux/arm64;"));
        assert!(is_here("localhost:5000/app") && is_here("127.0.0.1/x") && !is_here("ghcr.io/x") && !is_here("localhost"));
    }
}
