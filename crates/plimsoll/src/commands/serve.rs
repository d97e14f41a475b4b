//! `plimsoll serve`, and the two processes it starts: the proxy and the supervisors.

use host::results::within;

use crate::cli::{ProxyArgs, Serve, Supervise};
use crate::exit;
use crate::failure::{Doing, Failure, Result};
use crate::server::{self, Serving};

pub fn serve(args: &Serve) -> Result<u8> {
    log_to_stderr();
    if args.existing {
        // What was removed is not made again.
        server::needs_record(&super::dirs_to_read()?)?;
    }
    let dirs = super::dirs()?;
    let serving = Serving { socket: dirs.socket(), tcp_port: args.port, existing: args.existing };
    server::serve(&dirs, &serving)?;
    Ok(exit::OK)
}

pub fn proxy(args: &ProxyArgs) -> Result<u8> {
    log_to_stderr();
    host::proxy::run(host::proxy::Config::new(&args.dir)).doing("run the proxy")?;
    Ok(exit::OK)
}

pub fn supervise(args: &Supervise) -> Result<u8> {
    log_to_stderr();
    match args.kind.as_str() {
        "job" => Ok(host::executor::supervise(&args.dir, host::supervise::Limits::default())),
        "instance" => Ok(host::instance::supervise(&args.dir)),
        within::KIND => {
            within::hand_over(&args.dir).doing("listen in the network of a container")?;
            Ok(exit::OK)
        }
        other => Err(Failure::usage(format!("`{other}` is nothing that is supervised: `job` or `instance`"))),
    }
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).try_init();
}
