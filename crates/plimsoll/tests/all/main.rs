//! The command line and everything behind it, each test on a newcomer's machine of its own.
//! One program of all of them: each linked for itself took longer than it ran.

mod actions;
mod attest;
mod bad_input;
mod benchmarks;
mod commits;
mod common;
mod concurrency;
mod contained;
mod containers;
mod doctor;
mod down;
mod environments;
mod gate;
mod gitlab;
mod identity;
mod images;
mod incidents;
mod job_token;
mod json;
mod levels;
mod lint;
mod manifests;
mod promotion;
mod protection;
mod releases;
mod rolling;
mod runs;
mod schedules;
mod secrets;
mod signals;
mod slo;
mod watching;
mod wrong_files;
