//! Prints the schema of one output of the command line, or the document of the control API.

use std::process::ExitCode;

use repram_supervisor::schema::{OUTPUTS, document};

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let output = OUTPUTS.iter().find(|output| output.name == wanted);
    let schema = match (output, wanted.as_str()) {
        (Some(output), _) => output.document(),
        (None, "control-api") => document(),
        (None, _) => {
            let names: Vec<&str> = OUTPUTS.iter().map(|output| output.name).collect();
            eprintln!("say which: control-api, {}", names.join(", "));
            return ExitCode::from(64);
        }
    };
    println!("{schema:#}");
    ExitCode::SUCCESS
}
