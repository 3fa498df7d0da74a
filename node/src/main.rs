//! The node's program.

use std::process::ExitCode;

fn main() -> ExitCode {
    repram_node::run::main()
}
