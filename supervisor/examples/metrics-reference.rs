//! Prints the reference page of the supervisor's metrics.

fn main() {
    print!("{}", repram_supervisor::metrics::reference());
}
