//! Memory: what the cgroup allows, what the machine has, what the process uses.

use std::fs;
use std::path::Path;

use repram_config::MemoryGroup;

/// The smallest memory limit of this process's cgroup and its ancestors, in bytes, as far
/// as they can be seen; `None` without any. cgroups(7), of both versions.
///
/// `root` is `/`, or in tests something that looks like it.
#[must_use]
pub fn memory_limit(root: &Path) -> Option<u64> {
    let groups = MemoryGroup::of_this_process(root);
    groups.iter().filter_map(MemoryGroup::limit).min()
}

/// Bytes of memory in the machine; `None` when the kernel does not tell.
#[must_use]
pub(super) fn machine_memory(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Bytes of this process that are in memory; 0 when the kernel does not tell.
#[must_use]
pub fn resident_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1: &str = "31 23 0:27 /docker/c1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
                      32 23 0:28 / /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n";

    fn check(groups: &str, mounts: &str, files: &[(&str, &str)], expect: Option<u64>) {
        let root = tempfile::tempdir().expect("a directory for the test");
        let all = [
            ("proc/self/cgroup", groups),
            ("proc/self/mountinfo", mounts),
        ];
        for (path, text) in all.iter().chain(files) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("is below the root")).expect("can be made");
            fs::write(path, text).expect("can be written");
        }
        assert_eq!(memory_limit(root.path()), expect, "{groups:?} {files:?}");
    }

    #[test]
    fn the_smallest_limit_up_to_the_top_counts() {
        check("0::/\n", V2, &[], None);
        check("0::/\n", V2, &[("sys/fs/cgroup/memory.max", "max\n")], None);
        check(
            "0::/\n",
            V2,
            &[("sys/fs/cgroup/memory.max", "67108864\n")],
            Some(67_108_864),
        );
        check(
            "0::/a/b\n",
            V2,
            &[
                ("sys/fs/cgroup/a/b/memory.max", "max\n"),
                ("sys/fs/cgroup/a/memory.max", "1000\n"),
                ("sys/fs/cgroup/memory.max", "2000\n"),
            ],
            Some(1000),
        );
    }

    #[test]
    fn version_one_and_both_together() {
        let limit = "sys/fs/cgroup/memory/memory.limit_in_bytes";
        check(
            "5:cpu:/x\n4:memory:/docker/c1\n",
            V1,
            &[(limit, "500\n")],
            Some(500),
        );
        check(
            "4:memory:/docker/c1\n",
            V1,
            &[(limit, "9223372036854771712\n")],
            None,
        );
        check(
            "4:memory:/docker/c1/in\n",
            V1,
            &[
                (limit, "500\n"),
                ("sys/fs/cgroup/memory/in/memory.limit_in_bytes", "400\n"),
            ],
            Some(400),
        );
        let both = format!("{V1}{V2}");
        check(
            "4:memory:/docker/c1\n0::/\n",
            &both,
            &[(limit, "500\n"), ("sys/fs/cgroup/memory.max", "300\n")],
            Some(300),
        );
    }

    #[test]
    fn strange_paths_do_no_harm() {
        let top = [("sys/fs/cgroup/memory.max", "7\n")];
        check("0::/../../etc\n", V2, &top, Some(7));
        check("nonsense\n0::/gone\n", V2, &top, Some(7));
        check("0::/\n", "garbage\n", &top, None);
        let blank = "30 23 0:26 / /sys/fs/c\\040group rw - cgroup2 cgroup2 rw\n";
        check(
            "0::/\n",
            blank,
            &[("sys/fs/c group/memory.max", "9\n")],
            Some(9),
        );
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(machine_memory(Path::new("/")).expect("proc is mounted") > 1 << 20);
        assert!(resident_bytes() > 1 << 16);
    }
}
