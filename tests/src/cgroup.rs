//! A control group of one's own, as a container has one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::container::skip;
use crate::sandbox::Sandbox;

/// Microseconds over which the processor time is measured: the kernel's default.
const PERIOD: u64 = 100_000;

/// A bound on memory and on processor time. Removed when it is dropped, which the processes
/// in it must not outlive.
pub struct Cgroup {
    /// One folder per hierarchy: two with cgroups v1, one with v2.
    folders: Vec<PathBuf>,
}

impl Cgroup {
    /// One with so many bytes of memory and so many processors. None where this process may
    /// not make one; a line on stderr says that `test` proves nothing then.
    pub fn with(memory: u64, processors: u64, test: &str) -> Option<Self> {
        let made = Self::version_2(memory, processors)
            .or_else(|second| {
                Self::version_1(memory, processors).map_err(|first| format!("{second}; {first}"))
            })
            .inspect_err(|why| skip(test, &format!("no control group here ({why})")));
        made.ok()
    }

    /// A program as it runs inside, with the environment of a sandbox.
    pub fn program(&self, sandbox: &Sandbox, program: &Path) -> Command {
        let mut command = sandbox.program("sh".as_ref());
        let enter: String = self
            .folders
            .iter()
            .map(|folder| format!("echo $$ > {}/cgroup.procs && ", folder.display()))
            .collect();
        command.args(["-c", &format!("{enter} exec \"$@\""), "sh"]);
        command.arg(program);
        command
    }

    /// Processes that were killed in it for want of memory.
    pub fn killed(&self) -> u64 {
        let files = ["memory.events", "memory.oom_control"];
        let texts = self
            .folders
            .iter()
            .flat_map(|folder| files.map(|file| fs::read_to_string(folder.join(file))));
        texts
            .flatten()
            .filter_map(|text| {
                text.lines()
                    .find_map(|line| line.strip_prefix("oom_kill ")?.parse::<u64>().ok())
            })
            .sum()
    }

    fn version_2(memory: u64, processors: u64) -> Result<Self, String> {
        let (_, parent) = hierarchies("cgroup2")
            .into_iter()
            .next()
            .ok_or("no cgroups v2")?;
        // Refused where processes are in the way; then the controllers may still be there.
        let _ = fs::write(parent.join("cgroup.subtree_control"), "+memory +cpu");
        let cgroup = Self::make(vec![parent])?;
        let folder = &cgroup.folders[0];
        put(folder, "memory.max", memory)?;
        // Where swap is accounted for: memory that runs out runs out at once.
        let _ = put(folder, "memory.swap.max", 0);
        put(
            folder,
            "cpu.max",
            format!("{} {PERIOD}", processors * PERIOD),
        )?;
        Ok(cgroup)
    }

    fn version_1(memory: u64, processors: u64) -> Result<Self, String> {
        let of = |controller: &str| {
            let found = hierarchies("cgroup")
                .into_iter()
                .find(|(options, _)| options.split(',').any(|option| option == controller));
            found
                .map(|(_, folder)| folder)
                .ok_or_else(|| format!("no controller {controller} of v1"))
        };
        let cgroup = Self::make(vec![of("memory")?, of("cpu")?])?;
        put(&cgroup.folders[0], "memory.limit_in_bytes", memory)?;
        let _ = put(&cgroup.folders[0], "memory.swappiness", 0);
        put(&cgroup.folders[1], "cpu.cfs_period_us", PERIOD)?;
        put(&cgroup.folders[1], "cpu.cfs_quota_us", processors * PERIOD)?;
        Ok(cgroup)
    }

    fn make(parents: Vec<PathBuf>) -> Result<Self, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("repram-test-{}-{number}", std::process::id());
        let mut cgroup = Self {
            folders: Vec::new(),
        };
        for parent in parents {
            let folder = parent.join(&name);
            fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            cgroup.folders.push(folder);
        }
        Ok(cgroup)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for folder in &self.folders {
            if let Err(error) = fs::remove_dir(folder) {
                eprintln!("{} stays: {error}", folder.display());
            }
        }
    }
}

/// Options and folder of every hierarchy of this kind: that of this process's own group,
/// where it can be seen, by mountinfo in proc_pid_mountinfo(5) and /proc/self/cgroup.
fn hierarchies(kind: &str) -> Vec<(String, PathBuf)> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let hierarchy = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        if after.next()? != kind {
            return None;
        }
        let options = after.nth(1)?.to_owned();
        let mount = Path::new(before.split(' ').nth(4)?).to_owned();
        let own = groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            let listed = controllers.split(',').any(|one| options.contains(one));
            (listed && (kind == "cgroup") != controllers.is_empty()).then_some(path)
        });
        let inside = mount.join(own.unwrap_or("/").trim_start_matches('/'));
        Some((options, if inside.is_dir() { inside } else { mount }))
    };
    mounts.lines().filter_map(hierarchy).collect()
}

fn put(folder: &Path, file: &str, value: impl ToString) -> Result<(), String> {
    let path = folder.join(file);
    fs::write(&path, value.to_string()).map_err(|error| format!("{}: {error}", path.display()))
}
