//! Programs and libraries in the page cache.
//!
//! How a file came there says how much of it a process has mapped, and so its memory: the kernel
//! maps what is around a page that is touched, as far as that lies in one piece ("large folio").
//! A file that was just written, as by `cargo build` or `cp`, lies there in large pieces, and one
//! that was read as it was needed, as after a boot, in small ones.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use repram_tests::Process;

/// The files that these processes have mapped: programs and libraries.
pub(crate) fn files_of(processes: &[Process]) -> BTreeSet<PathBuf> {
    let maps = |process: &Process| {
        let maps = fs::read_to_string(format!("/proc/{}/maps", process.pid));
        // None where it has ended.
        files_in(&maps.unwrap_or_default())
    };
    processes.iter().flat_map(maps).collect()
}

/// The files of a list of mappings, as proc_pid_maps(5) has it.
fn files_in(maps: &str) -> BTreeSet<PathBuf> {
    let path = |line: &str| {
        let path = line.find('/').map(|start| &line[start..])?;
        (!path.ends_with(" (deleted)")).then(|| PathBuf::from(path))
    };
    maps.lines().filter_map(path).collect()
}

/// Takes a file out of the page cache, so that whoever needs it reads it from the disk. What
/// somebody has mapped, or wrote into a memory file system, stays.
pub(crate) fn forget(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    // What is only there cannot be taken away. Where nothing can be written, nothing has to be.
    let _read_only = file.sync_all();
    Ok(posix_fadvise(
        &file,
        0,
        0,
        PosixFadviseAdvice::POSIX_FADV_DONTNEED,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_from_other_mappings() {
        let maps = "\
            5581-5582 r--p 00000000 fe:00 1018831                   /opt/my app/supervisor\n\
            5582-5583 r-xp 00001000 fe:00 1018831                   /opt/my app/supervisor\n\
            5583-5584 rw-p 00000000 00:00 0                         [heap]\n\
            5584-5585 r--p 00000000 fe:00 1018832                   /tmp/old (deleted)\n\
            5585-5586 rw-p 00000000 00:00 0 \n";
        let expect: BTreeSet<_> = ["/opt/my app/supervisor".into()].into();
        assert_eq!(files_in(maps), expect);
    }

    #[test]
    fn this_program_has_files_and_a_file_may_be_forgotten() {
        let pid = std::process::id().cast_signed();
        let this = std::env::current_exe().expect("Linux names the running binary");
        assert!(files_of(&[Process { pid }]).contains(&this));
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a");
        fs::write(&file, "content").expect("it is ours");
        forget(&file).expect("it can be read");
        assert_eq!(fs::read(&file).expect("it is ours"), b"content");
        assert!(forget(&folder.path().join("b")).is_err());
    }
}
