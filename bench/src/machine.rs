//! What the numbers were measured on.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use repram_tests::Binaries;

/// The machine, and how busy it is without us.
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
    version: String,
    compiler: String,
    load_before: f64,
    /// The share of the processors that others took in a second in which we did nothing.
    others: f64,
    /// The processors when the measurement began.
    before: Ticks,
}

/// How long is looked at what others do.
const LOOK: Duration = Duration::from_secs(1);

/// The shares of the processors from which on figures move: what others take, and what the
/// host of this machine takes meanwhile.
const NOISY: f64 = 0.1;
const STOLEN: f64 = 0.02;

impl Machine {
    /// Looks around.
    pub(crate) fn here() -> Self {
        let idle = Ticks::now();
        thread::sleep(LOOK);
        let before = Ticks::now();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            cpu: cpu_model(),
            cores,
            kernel: first_line("/proc/sys/kernel/osrelease"),
            version: said_by(Command::new(&Binaries::built().supervisor).arg("--version")),
            compiler: compiler(),
            load_before: load(),
            others: before.busy_since(&idle),
            before,
        }
    }

    /// One paragraph, to stand below the numbers.
    pub(crate) fn described(&self) -> String {
        let stolen = Ticks::now().stolen_since(&self.before);
        let noisy = if self.others > NOISY || stolen > STOLEN {
            " **Noisy**: others used the machine."
        } else {
            ""
        };
        format!(
            "{} with {} cores, Linux {}; {}, {}, {} build; others took {:.0} % of the processors \
             in the second before, and the host {:.1} % during the run; load over one minute \
             {:.2} before and {:.2} after.{noisy}",
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
            100.0 * self.others,
            100.0 * stolen,
            self.load_before,
            load(),
        )
    }
}

/// What the processors did since the machine was started, in the unit of `/proc/stat`.
struct Ticks {
    all: u64,
    idle: u64,
    /// Taken by the host of a virtual machine.
    stolen: u64,
}

impl Ticks {
    fn now() -> Self {
        Self::in_line(&first_line("/proc/stat"))
    }

    /// proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal, and two that are
    /// part of the first two.
    fn in_line(line: &str) -> Self {
        let mut kinds = [0; 8];
        let numbers = line.split_whitespace().filter_map(|word| word.parse().ok());
        for (kind, number) in kinds.iter_mut().zip(numbers) {
            *kind = number;
        }
        Self {
            all: kinds.iter().sum(),
            idle: kinds[3] + kinds[4],
            stolen: kinds[7],
        }
    }

    fn busy_since(&self, earlier: &Self) -> f64 {
        1.0 - self.share(earlier, |ticks| ticks.idle)
    }

    fn stolen_since(&self, earlier: &Self) -> f64 {
        self.share(earlier, |ticks| ticks.stolen)
    }

    fn share(&self, earlier: &Self, of: impl Fn(&Self) -> u64) -> f64 {
        let since = |now: u64, then: u64| now.saturating_sub(then) as f64;
        since(of(self), of(earlier)) / since(self.all, earlier.all).max(1.0)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_time_between_two_looks() {
        let before = Ticks::in_line("cpu  100 0 100 800 0 0 0 0 0 0");
        let after = Ticks::in_line("cpu  110 5 110 860 5 0 0 10 7 0");
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(after.busy_since(&before), 0.35), "35 of 100");
        assert!(close(after.stolen_since(&before), 0.1), "10 of 100");
        assert!(
            close(before.stolen_since(&before), 0.0),
            "no time has passed"
        );
    }
}
