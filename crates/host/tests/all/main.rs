//! The host's world on the real machine, but for jobs and the proxy, which have programs of their own.

mod common;
mod contained;
mod executor;
mod git;
mod supervise;
mod target;
