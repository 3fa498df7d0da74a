//! Prints the reference page of the command line.

fn main() {
    print!("{}", repram_supervisor::cli::reference());
}
