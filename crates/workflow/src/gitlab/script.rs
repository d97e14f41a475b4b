//! A list of commands as one script, as the runner's shell executor writes it: every command shown before it runs, the first that
//! fails ends it.

/// What the machine that runs GitHub's jobs sets and a job of GitLab doesn't expect: tools look at it to find out where they are.
const FOREIGN: [&str; 45] = [
    "GITHUB_ACTION",
    "GITHUB_ACTION_REF",
    "GITHUB_ACTION_REPOSITORY",
    "GITHUB_ACTIONS",
    "GITHUB_ACTOR",
    "GITHUB_ACTOR_ID",
    "GITHUB_API_URL",
    "GITHUB_BASE_REF",
    "GITHUB_ENV",
    "GITHUB_EVENT_NAME",
    "GITHUB_EVENT_PATH",
    "GITHUB_GRAPHQL_URL",
    "GITHUB_HEAD_REF",
    "GITHUB_JOB",
    "GITHUB_OUTPUT",
    "GITHUB_PATH",
    "GITHUB_REF",
    "GITHUB_REF_NAME",
    "GITHUB_REF_PROTECTED",
    "GITHUB_REF_TYPE",
    "GITHUB_REPOSITORY",
    "GITHUB_REPOSITORY_ID",
    "GITHUB_REPOSITORY_OWNER",
    "GITHUB_REPOSITORY_OWNER_ID",
    "GITHUB_RETENTION_DAYS",
    "GITHUB_RUN_ATTEMPT",
    "GITHUB_RUN_ID",
    "GITHUB_RUN_NUMBER",
    "GITHUB_SECRET_SOURCE",
    "GITHUB_SERVER_URL",
    "GITHUB_SHA",
    "GITHUB_STATE",
    "GITHUB_STEP_SUMMARY",
    "GITHUB_TRIGGERING_ACTOR",
    "GITHUB_WORKFLOW",
    "GITHUB_WORKFLOW_REF",
    "GITHUB_WORKFLOW_SHA",
    "GITHUB_WORKSPACE",
    "RUNNER_ARCH",
    "RUNNER_DEBUG",
    "RUNNER_ENVIRONMENT",
    "RUNNER_NAME",
    "RUNNER_OS",
    "RUNNER_TEMP",
    "RUNNER_TOOL_CACHE",
];

/// The variable in which a script that may fail with certain codes leaves the one it ended with.
pub(super) const EXIT_CODE: &str = "PLIMSOLL_EXIT_CODE";

/// For `bash` or `sh`, started with `-e`.
pub(super) fn script(commands: &[String], tells_exit_code: bool) -> String {
    let mut text = String::new();
    if tells_exit_code {
        text.push_str(&format!("plimsoll_env=$GITHUB_ENV; trap 'echo \"{EXIT_CODE}=$?\" >> \"$plimsoll_env\"' EXIT\n"));
    }
    text.push_str("(set -o pipefail) 2> /dev/null && set -o pipefail\n");
    text.push_str(&format!("unset {}\n", FOREIGN.join(" ")));
    text.push_str("export CI_JOB_STARTED_AT=\"${CI_JOB_STARTED_AT:-$(date -u +%Y-%m-%dT%H:%M:%SZ)}\"\n");
    for command in commands {
        let command = command.trim_end_matches(['\n', ' ']);
        let shown = match command.trim_start().split_once('\n') {
            Some((first, _)) => format!("$ {first} # collapsed multi-line command"),
            None => format!("$ {command}"),
        };
        text.push_str(&format!("echo {}\n{command}\n", quoted(&shown)));
    }
    text
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_is_shown_before_it_runs() {
        let commands = ["echo it's".to_string(), "if true; then\n  ls\nfi\n".to_string()];
        let text = script(&commands, false);
        let expected =
            "echo '$ echo it'\\''s'\necho it's\necho '$ if true; then # collapsed multi-line command'\nif true; then\n  ls\nfi\n";
        assert!(text.ends_with(expected), "{text}");
        assert!(!text.contains("trap") && script(&commands, true).starts_with("plimsoll_env="));
    }
}
