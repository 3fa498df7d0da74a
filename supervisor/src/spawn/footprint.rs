//! Giving back memory that only the start needed.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

/// Gives back to the system what this process holds and does not use: the pages of its own
/// program, most of which only the start touches (settings, command line, claims), and free
/// memory of the allocator. Nothing is lost. Memory of the program that is used again comes
/// back from the page cache, which keeps it, 64 KiB in about a microsecond.
///
/// # Errors
/// When the system does not say what is mapped (proc_pid_smaps(5)). Then only the allocator
/// gave something back.
pub fn give_back_memory() -> io::Result<()> {
    let dropped = drop_clean_pages();
    trim_allocator();
    dropped
}

fn drop_clean_pages() -> io::Result<()> {
    let program = fs::read_link("/proc/self/exe")?;
    let mapped = fs::read("/proc/self/smaps")?;
    for range in clean_mappings(&mapped, program.as_os_str()) {
        // SAFETY: the range is a part of this program as the loader mapped it, which stays
        // mapped until the process ends. It is private, cannot be written, and no page of it
        // was (relocations have made the pages that they touched our own, and are in
        // mappings of their own), so every page that is dropped here is found in the file
        // again as it was. A refusal leaves everything as it is.
        unsafe {
            libc::madvise(
                std::ptr::with_exposed_provenance_mut(range.start),
                range.len(),
                libc::MADV_DONTNEED,
            );
        }
    }
    Ok(())
}

/// Lets the allocator return the pages in which nothing is left.
fn trim_allocator() {
    #[cfg(target_env = "gnu")]
    // SAFETY: may be called at any time, by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The mappings of `program` in which every page is exactly what the file holds: private,
/// not writable, and without a page of this process's own ("anonymous").
fn clean_mappings(smaps: &[u8], program: &OsStr) -> Vec<Range<usize>> {
    let mut clean = Vec::new();
    let mut candidate = None;
    for line in smaps.split(|byte| *byte == b'\n') {
        if let Some(mapping) = Mapping::parse(line) {
            candidate = mapping.is_read_only_part_of(program).then_some(mapping);
        } else if let Some(own) = line.strip_prefix(b"Anonymous:") {
            let none = own.trim_ascii() == b"0 kB";
            clean.extend(
                candidate
                    .take()
                    .filter(|_| none)
                    .map(|mapping| mapping.range),
            );
        }
    }
    clean
}

/// The first line of a mapping in /proc/PID/smaps.
struct Mapping<'a> {
    range: Range<usize>,
    permissions: &'a [u8],
    path: &'a OsStr,
}

impl<'a> Mapping<'a> {
    /// `start-end permissions offset device inode path`; none for the lines that follow it,
    /// which begin with a name and a colon.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.splitn(6, |byte| *byte == b' ');
        let addresses = std::str::from_utf8(fields.next()?).ok()?;
        let (start, end) = addresses.split_once('-')?;
        let address = |text| usize::from_str_radix(text, 16).ok();
        let range = address(start)?..address(end)?;
        let permissions = fields.next()?;
        let path = fields.nth(3)?.trim_ascii_start();
        Some(Self {
            range,
            permissions,
            path: OsStr::from_bytes(path),
        })
    }

    fn is_read_only_part_of(&self, program: &OsStr) -> bool {
        matches!(self.permissions, b"r--p" | b"r-xp") && self.path == program
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some pages of the program.
    static CONSTANT: &str = include_str!("footprint.rs");

    /// A mapping with the lines that matter here, and one that looks like it.
    fn mapping(range: &str, permissions: &str, path: &str, own_kib: u32) -> String {
        format!(
            "{range} {permissions} 00174000 fe:00 1018831                   {path}\n\
             Rss:                4792 kB\n\
             Anonymous:          {own_kib:5} kB\n\
             AnonHugePages:         0 kB\n\
             VmFlags: rd ex mr mw me sd\n"
        )
    }

    fn check(smaps: &str, expect: &[(usize, usize)]) {
        let program = OsStr::new("/opt/my app/supervisor");
        let found: Vec<_> = clean_mappings(smaps.as_bytes(), program)
            .into_iter()
            .map(|range| (range.start, range.end))
            .collect();
        assert_eq!(found, expect, "{smaps}");
    }

    #[test]
    fn only_what_the_file_holds_is_given_back() {
        let ours = "/opt/my app/supervisor";
        check("", &[]);
        check(&mapping("1000-3000", "r-xp", ours, 0), &[(0x1000, 0x3000)]);
        check(&mapping("1000-3000", "r--p", ours, 0), &[(0x1000, 0x3000)]);
        // Relocated, or changed by a debugger.
        check(&mapping("1000-3000", "r--p", ours, 148), &[]);
        check(&mapping("1000-3000", "r-xp", ours, 4), &[]);
        // Data, shared, somebody else's, nobody's.
        check(&mapping("1000-3000", "rw-p", ours, 0), &[]);
        check(&mapping("1000-3000", "r--s", ours, 0), &[]);
        check(&mapping("1000-3000", "r-xp", "/lib/libc.so.6", 0), &[]);
        check(&mapping("1000-3000", "r--p", "", 0), &[]);
        check(
            &mapping("1000-3000", "r--p", "/opt/my app/supervisor (deleted)", 0),
            &[],
        );
        let all = [
            mapping("1000-3000", "r--p", ours, 0),
            mapping("3000-4000", "r--p", ours, 4),
            mapping("5000-6000", "r-xp", ours, 0),
        ];
        check(&all.concat(), &[(0x1000, 0x3000), (0x5000, 0x6000)]);
        // A kernel that does not say what is whose.
        check("1000-3000 r-xp 0 fe:00 1 /opt/my app/supervisor\n", &[]);
    }

    #[test]
    fn this_program_has_clean_mappings_and_goes_on() {
        let program = fs::read_link("/proc/self/exe").expect("it has a program");
        let mapped = fs::read("/proc/self/smaps").expect("it is ours");
        assert!(!clean_mappings(&mapped, program.as_os_str()).is_empty());
        let before = CONSTANT.to_owned();
        give_back_memory().expect("the mappings are known");
        assert_eq!(CONSTANT, before);
    }
}
