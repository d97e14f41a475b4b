//! The mask over secrets: every writer of logs, records and pages goes through it.
