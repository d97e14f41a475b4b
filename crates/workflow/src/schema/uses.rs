//! What `uses:` of a step or a job may point at.

/// The base of the id of a step that has none: `actions/checkout`, `self`, the image; nothing when `uses` isn't legal.
pub fn step_target(uses: &str) -> Option<String> {
    if let Some(image) = uses.strip_prefix("docker://") {
        return Some(image.to_owned());
    }
    if is_local(uses) {
        return Some("self".to_owned());
    }
    let (path, reference) = uses.split_once('@')?;
    let segments: Vec<&str> = path.split(['/', '\\']).filter(|segment| !segment.is_empty()).collect();
    let legal = segments.len() >= 2 && !reference.is_empty() && !reference.contains('@');
    legal.then(|| format!("{}/{}", segments[0], segments[1]))
}

/// In the workflow's own repository; `$/` is the repository that the file itself comes from.
pub fn is_local(uses: &str) -> bool {
    ["./", ".\\", "$/"].iter().any(|prefix| uses.starts_with(prefix))
}

/// Why a job can't call this; nothing when it can.
pub fn workflow_complaint(uses: &str) -> Option<String> {
    const DIRECTORY: &str = ".github/workflows/";
    let is_file = |path: &str| {
        let file = path.strip_prefix(DIRECTORY);
        file.is_some_and(|file| !file.contains('/') && [".yml", ".yaml"].iter().any(|extension| file.ends_with(extension)))
    };
    if let Some(path) = uses.strip_prefix("./").or_else(|| uses.strip_prefix("$/")) {
        let complaint = || format!("a workflow of this repository is called as `./{DIRECTORY}<file>.yml`, without `@`");
        return (!is_file(path)).then(complaint);
    }
    let legal = uses.split_once('@').is_some_and(|(path, reference)| {
        let mut segments = path.splitn(3, '/');
        let owner_and_repository = [segments.next(), segments.next()].iter().all(|segment| segment.is_some_and(|name| !name.is_empty()));
        owner_and_repository && segments.next().is_some_and(is_file) && !reference.is_empty()
    });
    (!legal).then(|| format!("a workflow of another repository is called as `<owner>/<repository>/{DIRECTORY}<file>.yml@<ref>`"))
}
