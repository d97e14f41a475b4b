//! The exit codes, documented by `plimsoll help exit-codes`.

pub const OK: u8 = 0;
pub const FAILED: u8 = 1;
pub const USAGE: u8 = 2;
pub const DENIED: u8 = 3;
pub const NOT_AUTHORISED: u8 = 4;
pub const WAITING: u8 = 5;
pub const ROLLED_BACK: u8 = 6;
pub const ROLLBACK_FAILED: u8 = 7;
pub const INFRASTRUCTURE: u8 = 8;
pub const NOT_FOUND: u8 = 9;
pub const DIFFERENCES: u8 = 10;
pub const TIMEOUT: u8 = 124;
pub const INTERRUPTED: u8 = 130;
pub const TERMINATED: u8 = 143;

/// Code and meaning, in order.
pub const TABLE: &[(u8, &str)] = &[
    (OK, "ok"),
    (
        FAILED,
        "failed, and there was nothing to go back to: a run, a test, a first release, or somebody else aborted it; what `release lint` reads isn't all done here",
    ),
    (USAGE, "usage or configuration: the command line or a file is wrong, or it is not the moment for what it asks"),
    (DENIED, "denied by a gate, or overtaken by a later release"),
    (NOT_AUTHORISED, "not authorised"),
    (WAITING, "waiting: for an approval, for hours or a freeze to end, or `--wait` ran out"),
    (ROLLED_BACK, "rolled back, safe"),
    (ROLLBACK_FAILED, "rollback failed, a person is needed"),
    (INFRASTRUCTURE, "infrastructure: the server, a disk, a tool"),
    (NOT_FOUND, "not found"),
    (DIFFERENCES, "differences found, or findings"),
    (TIMEOUT, "timeout"),
    (INTERRUPTED, "interrupted (SIGINT)"),
    (TERMINATED, "terminated (SIGTERM)"),
];
