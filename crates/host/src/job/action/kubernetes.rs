//! `azure/k8s-set-context`: a kubeconfig of the job's own, and `KUBECONFIG` that names it.
//!
//! | input | meaning |
//! |---|---|
//! | `method` (`kubeconfig`) | `service-account` too; `service-principal` asks Azure and is refused |
//! | `kubeconfig`, `context` | the file, and which of its contexts (by the installed `kubectl`) |
//! | `k8s-url`, `k8s-secret` | of a service account: the secret as `kubectl get secret -o yaml` or `json` prints it |
//! | `cluster-type` | `arc` asks Azure and is refused |

use base::Source;
use base::yaml::{self, Node};
use serde_json::json;
use workflow::job::Wrote;

use super::desk::{Desk, Undone};
use super::inputs::Inputs;
use super::place::Place;

pub(super) const TOOL: &[&str] = &["kubectl"];

/// What can be known before the job: `kubectl` is needed only to choose a context.
pub(super) fn ready(inputs: Inputs<'_>, env: &std::collections::BTreeMap<String, String>) -> Result<(), String> {
    refuse_azure(inputs)?;
    if inputs.get("context").is_some() { super::need::need(TOOL, env).map(drop) } else { Ok(()) }
}

fn refuse_azure(inputs: Inputs<'_>) -> Result<(), String> {
    for (input, value) in [("method", "service-principal"), ("cluster-type", "arc")] {
        if inputs.get(input) == Some(value) {
            return Err(format!(
                "`{input}: {value}` asks Azure, which isn't done here; `method: kubeconfig` or `service-account` need nobody"
            ));
        }
    }
    Ok(())
}

pub(super) fn set_context(place: Place<'_>, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let inputs = place.inputs();
    refuse_azure(inputs)?;
    let text = match inputs.get("method").unwrap_or("kubeconfig") {
        "kubeconfig" => inputs.required("kubeconfig")?.to_string() + "\n",
        "service-account" => service_account(inputs)?,
        other => return Err(Undone::Failed(format!("`method: {other}` is neither `kubeconfig` nor `service-account`"))),
    };
    let file = place.private(&format!("kubeconfig_{}", place.call.step), &text)?;
    let config = file.to_string_lossy().into_owned();
    if let Some(context) = inputs.get("context") {
        let tool = place.tool(TOOL, &place.dirs.workspace)?.env("KUBECONFIG", config.clone());
        desk.must(&tool.args(["config", "use-context", context]))?;
    }
    desk.say(&format!("KUBECONFIG is {config}, for this job alone."));
    Ok(Wrote { env: vec![("KUBECONFIG".to_string(), config)], ..Wrote::default() })
}

fn service_account(inputs: Inputs<'_>) -> Result<String, String> {
    let url = inputs.required("k8s-url")?;
    let (node, wrong) = yaml::parse(&Source::new("k8s-secret", inputs.required("k8s-secret")?.to_string()));
    let data = node.as_ref().and_then(|node| node.get("data")).filter(|_| wrong.is_empty());
    let field = |name: &str| data.and_then(|data| data.get(name)).and_then(Node::as_str).map(str::to_string);
    let (Some(token), Some(ca)) = (field("token"), field("ca.crt")) else {
        return Err("`k8s-secret` has no `data.token` and `data.ca.crt`; it is what `kubectl get secret NAME -o yaml` prints".to_string());
    };
    let token = decoded(&token).ok_or("`data.token` of `k8s-secret` is not base64")?;
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "default", "cluster": { "certificate-authority-data": ca, "server": url } }],
        "users": [{ "name": "default-user", "user": { "token": token } }],
        "contexts": [{ "name": "loaded-context", "context": { "cluster": "default", "user": "default-user" } }],
        "current-context": "loaded-context",
    });
    Ok(config.to_string() + "\n")
}

/// Standard base64; nothing when it isn't.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.trim().trim_end_matches('=').bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_service_account_becomes_a_kubeconfig() {
        let secret = "apiVersion: v1\nkind: Secret\ndata:\n  token: dG9rZW4=\n  ca.crt: Q0E=\n";
        let given = [("k8s-url", "https://k"), ("k8s-secret", secret)].map(|(name, value)| (name.to_string(), value.to_string()));
        let config: serde_json::Value = serde_json::from_str(&service_account(Inputs(&BTreeMap::from(given))).unwrap()).unwrap();
        assert_eq!(config["users"][0]["user"]["token"], "token");
        assert_eq!(config["clusters"][0]["cluster"]["certificate-authority-data"], "Q0E=");
        let none = BTreeMap::from([("k8s-url".to_string(), "https://k".to_string()), ("k8s-secret".to_string(), "{}".to_string())]);
        assert!(service_account(Inputs(&none)).unwrap_err().contains("no `data.token`"));
        assert_eq!((decoded("YQ=="), decoded("YWI="), decoded("*")), (Some("a".to_string()), Some("ab".to_string()), None));
    }
}
