//! `duramen`, the program: the command line on top of the library of the same name.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    cli::run()
}
