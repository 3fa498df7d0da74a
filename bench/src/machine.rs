//! What the numbers were measured on.

use std::fs;
use std::process::Command;

use repram_tests::Binaries;

/// The machine, and how busy it was when the measurement began.
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
    version: String,
    compiler: String,
    load_before: f64,
}

/// Load per core from which on others take so much of the machine that figures move.
const NOISY: f64 = 0.25;

impl Machine {
    /// Looks around.
    pub(crate) fn here() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            cpu: cpu_model(),
            cores,
            kernel: first_line("/proc/sys/kernel/osrelease"),
            version: said_by(Command::new(&Binaries::built().supervisor).arg("--version")),
            compiler: compiler(),
            load_before: load(),
        }
    }

    /// One paragraph, to stand below the numbers.
    pub(crate) fn described(&self) -> String {
        let noisy = if self.load_before > NOISY * self.cores as f64 {
            " **Noisy**: the machine was busy before."
        } else {
            ""
        };
        format!(
            "{} with {} cores, Linux {}; {}, {}, {} build; load over one minute {:.2} before and \
             {:.2} after.{noisy}",
            self.cpu,
            self.cores,
            self.kernel,
            self.version,
            self.compiler,
            if cfg!(debug_assertions) {
                "debug"
            } else {
                "optimised"
            },
            self.load_before,
            load(),
        )
    }
}

/// The compiler at hand, as it names itself.
pub(crate) fn compiler() -> String {
    said_by(Command::new("rustc").arg("--version"))
}

fn cpu_model() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(
        || format!("{} processor", std::env::consts::ARCH),
        |(_, name)| name.to_owned(),
    )
}

/// The load average over one minute.
fn load() -> f64 {
    let line = first_line("/proc/loadavg");
    let first = line.split(' ').next().unwrap_or_default();
    first.parse().unwrap_or(f64::NAN)
}

fn first_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}

/// The first line of what a program prints.
fn said_by(command: &mut Command) -> String {
    let printed = command
        .output()
        .map(|output| output.stdout)
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&printed);
    text.lines().next().unwrap_or("unknown version").to_owned()
}
