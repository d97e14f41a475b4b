//! `slackapi/slack-github-action`: one message by the installed `curl`; address and token go through its standard input.
//!
//! | version | inputs honoured |
//! |---|---|
//! | 1 | `payload`, `payload-file-path`, `slack-message`, `channel-id`, `update-ts`; `SLACK_WEBHOOK_URL`, `SLACK_WEBHOOK_TYPE`, `SLACK_BOT_TOKEN` |
//! | 2 | `webhook`, `webhook-type`, `token`, `method`, `payload`, `payload-file-path`, `errors`, `api`, `proxy`, `retries` |
//!
//! Outputs: `time`, `ok`, `response`; with a token `ts`, `thread_ts`, `channel_id`. A payload is JSON here; YAML isn't read.

use std::fs;

use serde_json::{Value as Json, json};
use workflow::job::Wrote;

use super::desk::{Desk, Undone};
use super::inputs::Inputs;
use super::place::Place;

pub(super) const TOOL: &[&str] = &["curl"];

/// Where to, as whom, what.
#[derive(Debug, PartialEq)]
struct Message {
    url: String,
    token: Option<String>,
    body: Json,
}

/// Where Slack's own methods are.
const API: &str = "https://slack.com/api";

pub(super) fn perform(place: Place<'_>, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let message = message(place)?;
    let answer = place.dirs.temp.join(format!("slack-{}.json", place.call.step));
    let body = place.private(&format!("slack-{}.body", place.call.step), &message.body.to_string())?;
    let mut tool = place.tool(TOOL, &place.dirs.workspace)?;
    tool = tool.args(["--silent", "--show-error", "--fail-with-body", "--max-time", "60", "--config", "-"]);
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut config = format!("url = {}\n", quoted(&message.url));
    config.push_str("header = \"content-type: application/json; charset=utf-8\"\n");
    if let Some(proxy) = place.inputs().get("proxy") {
        config.push_str(&format!("proxy = {}\n", quoted(proxy)));
    }
    if let Some(retries) = retries(place.inputs())? {
        config.push_str(&format!("retry = {retries}\n"));
    }
    if let Some(token) = &message.token {
        config.push_str(&format!("header = {}\n", quoted(&format!("authorization: Bearer {token}"))));
    }
    config.push_str(&format!("data-binary = {}\n", quoted(&format!("@{}", body.display()))));
    tool.input = Some(config);
    tool.output = Some(answer.clone());
    let code = desk.run(&tool)?;
    let answer = fs::read_to_string(&answer).unwrap_or_default();
    let parsed: Json = serde_json::from_str(&answer).unwrap_or_default();
    let ok = code == 0 && (message.token.is_none() || parsed["ok"] == json!(true));
    let time = super::super::now().as_ms() / 1000;
    let mut outputs =
        vec![("time".to_string(), time.to_string()), ("ok".to_string(), ok.to_string()), ("response".to_string(), answer.clone())];
    for (output, value) in [("ts", &parsed["ts"]), ("thread_ts", &parsed["message"]["thread_ts"]), ("channel_id", &parsed["channel"])] {
        outputs.extend(value.as_str().map(|value| (output.to_string(), value.to_string())));
    }
    let first = is_first(place);
    if !ok && (first || place.inputs().get("errors") == Some("true")) {
        let why = parsed["error"].as_str().map_or_else(|| answer.trim().to_string(), str::to_string);
        return Err(Undone::Failed(format!(
            "Slack didn't take the message: {}",
            if why.is_empty() { format!("curl ended with {code}") } else { why }
        )));
    }
    if !ok {
        desk.say(&format!("##[warning]Slack didn't take the message: {}", answer.trim()));
    }
    Ok(Wrote { outputs, ..Wrote::default() })
}

/// In the words of the original: a number of five or ten, none, or as fast as can be.
fn retries(inputs: Inputs<'_>) -> Result<Option<u32>, String> {
    match inputs.get("retries").map(str::to_lowercase).as_deref() {
        None | Some("0") => Ok(None),
        Some("5") => Ok(Some(5)),
        Some("10" | "rapid") => Ok(Some(10)),
        Some(other) => Err(format!("the input `retries` is `{other}`; it can be `0`, `5`, `10` or `RAPID`")),
    }
}

/// Version 1, by its number or because it is told by variables.
fn is_first(place: Place<'_>) -> bool {
    let reference = place.call.reference.trim_start_matches('v');
    reference.split('.').next() == Some("1")
        || (!reference.starts_with('2') && place.inputs().get("webhook").is_none() && place.inputs().get("method").is_none())
}

fn message(place: Place<'_>) -> Result<Message, String> {
    let inputs = place.inputs();
    let variable = |name: &str| place.env().get(name).map(String::as_str).filter(|value| !value.is_empty());
    let payload = payload(place, inputs)?;
    let event = || place.github()["event"].clone();
    if !is_first(place) {
        let token = inputs.get("token").or(variable("SLACK_TOKEN"));
        if let Some(url) = inputs.get("webhook").or(variable("SLACK_WEBHOOK_URL")) {
            return Ok(Message { url: url.to_string(), token: None, body: payload.unwrap_or_else(event) });
        }
        let method = inputs.get("method").ok_or("either `webhook` or `method` has to be given")?;
        let token = token.ok_or("`method` needs a `token`")?;
        let api = inputs.get("api").unwrap_or(API).trim_end_matches('/');
        return Ok(Message { url: format!("{api}/{method}"), token: Some(token.to_string()), body: payload.unwrap_or_else(|| json!({})) });
    }
    if let Some(token) = variable("SLACK_BOT_TOKEN") {
        let channel = inputs.get("channel-id").ok_or("Channel ID is required to run this action. An empty one has been provided")?;
        let mut body = payload.unwrap_or_else(|| json!({}));
        body["channel"] = json!(channel);
        if let Some(text) = inputs.get("slack-message") {
            body["text"] = json!(text);
        }
        let method = match inputs.get("update-ts") {
            Some(ts) => {
                body["ts"] = json!(ts);
                "chat.update"
            }
            None => "chat.postMessage",
        };
        return Ok(Message { url: format!("{API}/{method}"), token: Some(token.to_string()), body });
    }
    let url = variable("SLACK_WEBHOOK_URL")
        .ok_or("Need to provide at least one botToken or webhookUrl: `SLACK_BOT_TOKEN` or `SLACK_WEBHOOK_URL` in `env`")?;
    Ok(Message { url: url.to_string(), token: None, body: payload.unwrap_or_else(event) })
}

fn payload(place: Place<'_>, inputs: Inputs<'_>) -> Result<Option<Json>, String> {
    let text = match (inputs.get("payload"), inputs.get("payload-file-path")) {
        (Some(text), _) => text.to_string(),
        (None, Some(path)) => {
            let file = place.path("payload-file-path", path)?;
            fs::read_to_string(&file).map_err(|error| format!("`{path}` can't be read: {error}"))?
        }
        (None, None) => return Ok(None),
    };
    serde_json::from_str(&text).map(Some).map_err(|error| format!("the payload is not JSON: {error}"))
}
