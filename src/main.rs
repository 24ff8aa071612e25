//! The stenod program: parse, start the runtime, print the error once, exit with the right code.

use std::process::ExitCode;

use stenod::cli;

fn main() -> ExitCode {
    let command_line = match cli::parse() {
        Ok(command_line) => command_line,
        Err(code) => return ExitCode::from(code),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return ExitCode::from(cli::report(&anyhow::Error::new(error).into())),
    };
    let result = runtime.block_on(cli::execute(command_line));
    // What still runs is either harmless to leave or was asked to be left by a second signal.
    runtime.shutdown_background();
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => ExitCode::from(cli::report(&failure)),
    }
}
