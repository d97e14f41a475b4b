//! `sim --seeds N`: so many schedules on all cores; `sim --seed N`: one of them again.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use sim::{Break, Fault, Report, Settings, run};

/// A schedule is mostly small things that live for a moment; the system's allocator takes a third of the time for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: sim --seeds N [--from S] [--break NAME] | --seed N [--verbose] [--break NAME]";

#[derive(Debug, Default)]
struct Arguments {
    seeds: u64,
    from: u64,
    seed: Option<u64>,
    settings: Settings,
}

/// Sums over all schedules.
#[derive(Debug, Default)]
struct Total {
    schedules: u64,
    events: u64,
    facts: u64,
    injected: BTreeMap<Fault, u64>,
    covered: BTreeMap<String, u64>,
    violations: Vec<Report>,
}

/// After so many there is enough to look at.
const VIOLATIONS_MAX: usize = 5;

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(why) => {
            let _ = writeln!(io::stderr(), "{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut out = io::stdout().lock();
    let sound = match arguments.seed {
        Some(seed) => one(&mut out, seed, arguments.settings),
        None => many(&mut out, &arguments),
    };
    match sound {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "failed to print: {error}");
            ExitCode::from(8)
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments { seeds: 10_000, ..Arguments::default() };
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|it| it.parse().ok()).ok_or(format!("`{word}` needs a number"));
        match word.as_str() {
            "--seeds" => arguments.seeds = number()?,
            "--from" => arguments.from = number()?,
            "--seed" => arguments.seed = Some(number()?),
            "--verbose" => arguments.settings.verbose = true,
            "--break" => {
                let names = Break::ALL.map(Break::name).join(", ");
                let name = words.next().unwrap_or_default();
                arguments.settings.broken = Some(Break::named(&name).ok_or(format!("`--break` is one of {names}"))?);
            }
            other => return Err(format!("`{other}` is not an option")),
        }
    }
    Ok(arguments)
}

fn one(out: &mut impl Write, seed: u64, settings: Settings) -> io::Result<bool> {
    let report = run(seed, settings);
    show(out, &report, settings)?;
    Ok(report.found.is_none())
}

fn many(out: &mut impl Write, arguments: &Arguments) -> io::Result<bool> {
    let begin = Instant::now();
    let (next, enough) = (AtomicU64::new(arguments.from), AtomicBool::new(false));
    let end = arguments.from.saturating_add(arguments.seeds);
    let total = Mutex::new(Total::default());
    let settings = Settings { verbose: false, ..arguments.settings };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while !enough.load(Relaxed) {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= end {
                        break;
                    }
                    let report = run(seed, settings);
                    let mut total = total.lock().expect("no holder panics");
                    total.add(report);
                    enough.store(total.violations.len() >= VIOLATIONS_MAX, Relaxed);
                }
            });
        }
    });
    let total = total.into_inner().expect("no holder panics");
    for report in &total.violations {
        show(out, report, settings)?;
    }
    total.summary(out, begin.elapsed().as_secs_f64())?;
    Ok(total.violations.is_empty())
}

fn show(out: &mut impl Write, report: &Report, settings: Settings) -> io::Result<()> {
    for line in &report.last {
        writeln!(out, "{line}")?;
    }
    let Report { seed, hash, events, facts, .. } = report;
    writeln!(out, "seed {seed}: {events} events, {facts} facts, hash {hash:016x}")?;
    match &report.found {
        None => writeln!(out, "all promises kept"),
        Some(found) => {
            let broken = settings.broken.map(|it| format!(" --break {}", it.name())).unwrap_or_default();
            writeln!(
                out,
                "BROKEN {}: {}\nreplay: cargo run --release -p sim -- --seed {seed}{broken} --verbose\n",
                found.oracle, found.detail
            )
        }
    }
}

impl Total {
    fn add(&mut self, report: Report) {
        self.schedules += 1;
        self.events += report.events;
        self.facts += report.facts;
        for (fault, times) in &report.injected {
            *self.injected.entry(*fault).or_default() += times;
        }
        for (what, times) in &report.covered {
            *self.covered.entry(what.clone()).or_default() += times;
        }
        if report.found.is_some() {
            self.violations.push(report);
        }
    }

    fn summary(&self, out: &mut impl Write, seconds: f64) -> io::Result<()> {
        writeln!(out, "faults injected:")?;
        for (fault, times) in &self.injected {
            writeln!(out, "  {times:>12}  {fault:?}")?;
        }
        writeln!(out, "covered:")?;
        for (what, times) in &self.covered {
            writeln!(out, "  {times:>12}  {what}")?;
        }
        let rate = self.schedules as f64 / seconds.max(0.001);
        let Total { schedules, events, facts, violations, .. } = self;
        writeln!(out, "{schedules} schedules in {seconds:.1} s, {rate:.0}/s; {events} events, {facts} facts")?;
        writeln!(out, "{} violations", violations.len())
    }
}
