//! The events that start a workflow, and what may stand below each.

/// An event and its filters.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    pub name: &'static str,
    /// What `types:` may name. Empty where it may name anything, or isn't there.
    pub types: &'static [&'static str],
    pub keys: &'static [&'static str],
}

/// `schedule`, `workflow_call` and `workflow_dispatch` have a form of their own and no entry here.
pub fn event(name: &str) -> Option<&'static Event> {
    EVENTS.iter().find(|event| event.name == name)
}

/// Every event by its name.
pub fn names() -> impl Iterator<Item = &'static str> {
    EVENTS.iter().map(|event| event.name).chain(["schedule", "workflow_call", "workflow_dispatch"])
}

const TYPES: &[&str] = &["types"];
const PULL_REQUEST: &[&str] = &["types", "branches", "branches-ignore", "paths", "paths-ignore"];

const fn event_of(name: &'static str, types: &'static [&'static str], keys: &'static [&'static str]) -> Event {
    Event { name, types, keys }
}

const PULL_REQUEST_TYPES: &[&str] = &[
    "assigned",
    "unassigned",
    "labeled",
    "unlabeled",
    "opened",
    "edited",
    "closed",
    "reopened",
    "synchronize",
    "converted_to_draft",
    "locked",
    "unlocked",
    "enqueued",
    "dequeued",
    "milestoned",
    "demilestoned",
    "ready_for_review",
    "review_requested",
    "review_request_removed",
    "auto_merge_enabled",
    "auto_merge_disabled",
    "stacked",
];

const EVENTS: &[Event] = &[
    event_of("branch_protection_rule", &["created", "edited", "deleted"], TYPES),
    event_of("check_run", &["completed", "created", "rerequested", "requested_action"], TYPES),
    event_of("check_suite", &["completed"], TYPES),
    event_of("create", &[], &[]),
    event_of("delete", &[], &[]),
    event_of("deployment", &[], &[]),
    event_of("deployment_status", &[], &[]),
    event_of(
        "discussion",
        &[
            "created",
            "edited",
            "deleted",
            "transferred",
            "pinned",
            "unpinned",
            "labeled",
            "unlabeled",
            "locked",
            "unlocked",
            "category_changed",
            "answered",
            "unanswered",
        ],
        TYPES,
    ),
    event_of("discussion_comment", &["created", "edited", "deleted"], TYPES),
    event_of("fork", &[], &[]),
    event_of("gollum", &[], &[]),
    event_of("image_version", &["created", "ready", "deleted"], &["types", "names", "versions"]),
    event_of("issue_comment", &["created", "edited", "deleted"], TYPES),
    event_of(
        "issues",
        &[
            "opened",
            "edited",
            "deleted",
            "transferred",
            "pinned",
            "unpinned",
            "closed",
            "reopened",
            "assigned",
            "unassigned",
            "labeled",
            "unlabeled",
            "locked",
            "unlocked",
            "milestoned",
            "demilestoned",
            "field_added",
            "field_removed",
            "typed",
            "untyped",
        ],
        TYPES,
    ),
    event_of("label", &["created", "edited", "deleted"], TYPES),
    event_of("merge_group", &["checks_requested"], &["types", "branches", "branches-ignore"]),
    event_of("milestone", &["created", "closed", "opened", "edited", "deleted"], TYPES),
    event_of("page_build", &[], &[]),
    event_of("project", &["created", "closed", "reopened", "edited", "deleted"], TYPES),
    event_of("project_card", &["created", "moved", "converted", "edited", "deleted"], TYPES),
    event_of("project_column", &["created", "updated", "moved", "deleted"], TYPES),
    event_of("public", &[], &[]),
    event_of("pull_request", PULL_REQUEST_TYPES, PULL_REQUEST),
    event_of("pull_request_comment", &["created", "edited", "deleted"], TYPES),
    event_of("pull_request_review", &["submitted", "edited", "dismissed"], TYPES),
    event_of("pull_request_review_comment", &["created", "edited", "deleted"], TYPES),
    event_of("pull_request_target", PULL_REQUEST_TYPES, PULL_REQUEST),
    event_of("push", &[], &["branches", "branches-ignore", "tags", "tags-ignore", "paths", "paths-ignore"]),
    event_of("registry_package", &["published", "updated"], TYPES),
    event_of("release", &["published", "unpublished", "created", "edited", "deleted", "prereleased", "released"], TYPES),
    event_of("repository_dispatch", &[], TYPES),
    event_of("status", &[], &[]),
    event_of("watch", &["started"], TYPES),
    event_of("workflow_run", &["requested", "completed", "in_progress"], &["types", "workflows", "branches", "branches-ignore"]),
];
