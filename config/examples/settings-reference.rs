//! Prints the reference page of the settings.

fn main() {
    print!("{}", repram_config::reference());
}
