//! Files, expressions, plans and the machines of runs and jobs.
//! One program of all of them: each linked for itself took longer than it ran.

mod conformance;
mod diagnostics;
mod expressions;
mod gitlab;
mod job;
mod lint;
mod matrix;
mod run;
mod trigger;
