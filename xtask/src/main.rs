//! The project's own commands: `cargo xtask test | nightly | release | tidy | bench`.

mod bench;
mod needs;
mod run;
mod tidy;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.first().map(String::as_str) {
        Some("test") => test(),
        Some("nightly") => nightly(),
        Some("release") => test().and_then(|()| nightly()),
        Some("tidy") => tidy::tidy(),
        Some("bench") => run::build().and_then(|()| bench::small()),
        _ => Err("usage: cargo xtask test | nightly | release | tidy | bench".to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Every change: the whole truth in under 30 minutes on two cores with a cold cache.
fn test() -> Result<(), String> {
    needs::install()?;
    run::cargo(&["fmt", "--all", "--check"])?;
    tidy::tidy()?;
    run::cargo(&["clippy", "--release", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])?;
    run::build()?;
    run::cargo(&["test", "--release", "--workspace"])?;
    run::built("sim", &["--seeds", "10000"])?;
    run::script("e2e/up.sh", &[])?;
    run::script("e2e/kill.sh", &["3"])?;
    run::script("e2e/clients.sh", &[])?;
    fuzz("2000")?;
    run::script("e2e/lint/against-zizmor.sh", &[])?;
    run::script("examples/shop/changes/check.sh", &[])?;
    bench::small()
}

/// Everything that reads what strangers write, so many times each.
fn fuzz(runs: &str) -> Result<(), String> {
    run::built("examples/fuzz", &["all", runs])
}

/// What takes hours: the large numbers.
fn nightly() -> Result<(), String> {
    needs::install()?;
    run::build()?;
    run::built("sim", &["--seeds", "1000000"])?;
    run::script("e2e/kill.sh", &["100"])?;
    run::script("e2e/expressions/run.sh", &["1000000"])?;
    run::command("python3", &["e2e/windows/compare.py", "1000000"])?;
    run::script("e2e/policy/against-opa.sh", &[])?;
    run::script("e2e/attest/against-cosign.sh", &[])?;
    fuzz("10000000")?;
    bench::large()
}
