//! Benchmarks: each prints a ratio to a peer or a limit measured in the same run.

use crate::run;

/// Numbers small enough for every change. They are printed, not asserted: a busy machine is no failure.
pub fn small() -> Result<(), String> {
    run::script("bench/run/run.sh", &[])?;
    run::script("bench/proxy/run.sh", &["--rounds", "2", "--seconds", "2"])?;
    run::script("bench/memory.sh", &[])?;
    run::script("bench/gate/run.sh", &["100"])?;
    run::script("bench/way-back.sh", &["3"])
}

pub fn large() -> Result<(), String> {
    run::script("bench/run/run.sh", &[])?;
    run::built("examples/mask_battery", &[])?;
    run::script("bench/proxy/run.sh", &[])?;
    run::built("examples/judge_table", &[])?;
    run::script("bench/memory.sh", &[])?;
    run::script("bench/gate/run.sh", &["1000"])?;
    run::script("bench/way-back.sh", &["20"])?;
    run::script("bench/no-failures.sh", &[])
}
