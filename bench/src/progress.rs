//! How far a benchmark is.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on a terminal; elsewhere a line for each step. It is drawn only when a step begins or
/// ends: nothing wakes up in between, while something is measured.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Nothing done of so many steps.
    pub(crate) fn of(steps: usize) -> Self {
        let bar = ProgressBar::new(steps as u64);
        let style = ProgressStyle::with_template("{bar:30} {pos} of {len}, {eta} left: {msg}");
        bar.set_style(style.expect("the template is well formed"));
        Self { bar }
    }

    /// Does a step, of which this is the name.
    pub(crate) fn step<T>(&self, name: &str, step: impl FnOnce() -> T) -> T {
        if std::io::stderr().is_terminal() {
            self.bar.set_message(name.to_owned());
            self.bar.tick();
        } else {
            eprintln!("{name} ...");
        }
        let done = step();
        self.bar.inc(1);
        done
    }
}

impl Drop for Progress {
    /// The bar makes room for the report.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
