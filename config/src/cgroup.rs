//! The memory cgroups of this process, of both versions (cgroups(7)).

use std::fs;
use std::path::{Component, Path, PathBuf};

/// cgroup v1 says "no limit" with a number close to 2^63, rounded to pages.
const UNLIMITED_FROM: u64 = 1 << 60;

/// A cgroup that accounts for memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryGroup {
    version: Version,
    directory: PathBuf,
}

impl MemoryGroup {
    /// The cgroups of this process and their ancestors, each hierarchy from the inside out,
    /// as far as they can be seen.
    ///
    /// `root` is `/`, or in tests something that looks like it.
    #[must_use]
    pub fn of_this_process(root: &Path) -> Vec<Self> {
        let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
        let (groups, mounts) = (read("proc/self/cgroup"), read("proc/self/mountinfo"));
        groups
            .lines()
            .filter_map(|line| hierarchy(line, &mounts))
            .flat_map(|(version, directories)| {
                directories.into_iter().map(move |directory| Self {
                    version,
                    directory: root.join(directory.strip_prefix("/").unwrap_or(&directory)),
                })
            })
            .collect()
    }

    /// Bytes that its processes may use together; none without a limit.
    #[must_use]
    pub fn limit(&self) -> Option<u64> {
        let file = match self.version {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        };
        let text = fs::read_to_string(self.directory.join(file)).ok()?;
        // v2 writes `max` for no limit.
        let limit = text.trim().parse().ok()?;
        (limit < UNLIMITED_FROM).then_some(limit)
    }

    /// How many of its processes the kernel has killed because memory ran out; none where
    /// the kernel does not tell (v1 before Linux 4.13).
    #[must_use]
    pub fn oom_kills(&self) -> Option<u64> {
        let file = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        let text = fs::read_to_string(self.directory.join(file)).ok()?;
        let mut lines = text.lines();
        let count = lines.find_map(|line| line.strip_prefix("oom_kill "))?;
        count.trim().parse().ok()
    }
}

/// The directories along one line of /proc/self/cgroup, `id:controllers:path`.
fn hierarchy(line: &str, mounts: &str) -> Option<(Version, Vec<PathBuf>)> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, group) = (fields.next()?, fields.next()?);
    let version = match controllers {
        "" => Version::Two,
        list if list.split(',').any(|name| name == "memory") => Version::One,
        _ => return None,
    };
    let mut mounts = mounts.lines();
    let mount = mounts.find_map(|line| Mount::parse(line, version))?;
    let below = mount.below(group);
    let directories = below.ancestors().map(|below| mount.point.join(below));
    Some((version, directories.collect()))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// Where a hierarchy of cgroups is mounted.
struct Mount {
    /// The group that the mount shows as its top.
    top: PathBuf,
    point: PathBuf,
}

impl Mount {
    /// A line of /proc/self/mountinfo, proc_pid_mountinfo(5): `36 35 98:0 /top /point
    /// options optional... - type source super-options`.
    fn parse(line: &str, version: Version) -> Option<Self> {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut filesystem = filesystem.split(' ');
        let (kind, options) = (filesystem.next()?, filesystem.nth(1).unwrap_or(""));
        let fits = match version {
            Version::Two => kind == "cgroup2",
            Version::One => kind == "cgroup" && options.split(',').any(|name| name == "memory"),
        };
        let mut fields = mount.split(' ').skip(3);
        let (top, point) = (fields.next()?, fields.next()?);
        fits.then(|| Self {
            top: unescape(top).into(),
            point: unescape(point).into(),
        })
    }

    /// The path of `group` below the mount; empty when it is its top, or not below it,
    /// which is how it looks when another namespace of cgroups is mounted.
    fn below(&self, group: &str) -> PathBuf {
        let below = Path::new(group)
            .strip_prefix(&self.top)
            .unwrap_or(Path::new(""));
        let is_plain = |part: &Component<'_>| matches!(part, Component::Normal(_));
        if below.components().all(|part| is_plain(&part)) {
            below.into()
        } else {
            PathBuf::new()
        }
    }
}

/// Blanks and the like are written as `\040`.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let code = part
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                plain.push(char::from(code));
                plain.push_str(&part[3..]);
            }
            None => plain.push_str(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_group_says() {
        let check = |groups: &str, mounts: &str, file: &str, text: &str, limit, kills| {
            let root = tempfile::tempdir().expect("a directory for the test");
            for (path, text) in [
                ("proc/self/cgroup", groups),
                ("proc/self/mountinfo", mounts),
                (file, text),
            ] {
                let path = root.path().join(path);
                fs::create_dir_all(path.parent().expect("is below the root")).expect("is made");
                fs::write(path, text).expect("is written");
            }
            let groups = MemoryGroup::of_this_process(root.path());
            let limits: Vec<u64> = groups.iter().filter_map(MemoryGroup::limit).collect();
            let counts: Vec<u64> = groups.iter().filter_map(MemoryGroup::oom_kills).collect();
            assert_eq!((limits.first(), counts.first()), (limit, kills), "{text:?}");
        };
        let v2 = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let events = "low 0\nhigh 0\nmax 3\noom 2\noom_kill 7\noom_group_kill 0\n";
        check(
            "0::/a\n",
            v2,
            "sys/fs/cgroup/a/memory.events",
            events,
            None,
            Some(&7),
        );
        check(
            "0::/a\n",
            v2,
            "sys/fs/cgroup/memory.max",
            "max\n",
            None,
            None,
        );
        check(
            "0::/a\n",
            v2,
            "sys/fs/cgroup/memory.max",
            "9\n",
            Some(&9),
            None,
        );
        let v1 = "31 23 0:27 /d /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let control = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n";
        let file = "sys/fs/cgroup/memory/memory.oom_control";
        check("4:memory:/d\n", v1, file, control, None, Some(&2));
        check(
            "4:memory:/d\n",
            v1,
            file,
            "oom_kill_disable 0\n",
            None,
            None,
        );
        check("4:cpu:/d\n", v1, file, control, None, None);
    }
}
