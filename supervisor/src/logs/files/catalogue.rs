//! Which log files there are.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
use nix::fcntl::OFlag;

use super::inventory::{FileId, Inventory, Left, Packing, Rotated};
use super::limits::Limits;
use super::name::{self, Kind};
use crate::logs::feed::NodeFilter;
use crate::logs::stats::FileCount;

/// All log files of one directory. Every change of names goes through it, so that a reader
/// finds a file again after it was rotated or compressed.
#[derive(Debug)]
pub(crate) struct Catalogue {
    dir: PathBuf,
    /// Taken after `state`, where both are.
    limits: Mutex<Limits>,
    state: Mutex<Inventory>,
}

/// The files of some nodes at one moment, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Per node its files; the last is the current one.
    pub(crate) nodes: Vec<(String, Vec<FileId>)>,
    /// What the current files held at that moment, in bytes, by node.
    pub(crate) current: BTreeMap<FileId, u64>,
}

/// A file that waits for compression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Uncompressed {
    pub(crate) node: String,
    pub(crate) id: FileId,
    pub(crate) since: Instant,
}

impl Catalogue {
    /// The log files of `dir`. Changes nothing.
    pub(crate) fn scan(dir: &Path, limits: Limits, now: Instant) -> io::Result<Self> {
        let mut state = Inventory::default();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let file_name = entry.file_name();
            let Some((node, kind)) = file_name.to_str().and_then(name::parse) else {
                continue;
            };
            // A file that vanishes meanwhile is no longer one of ours.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if !metadata.is_file() {
                continue;
            }
            let (size, modified) = (metadata.len(), metadata.modified()?);
            let id = state.fresh_id();
            let files = state.node(node);
            match kind {
                Kind::Current if name::number(node) <= Some(limits.nodes.into()) => {}
                Kind::Current => files.left = Some(Left { size, modified }),
                Kind::Rotated { number, gz } => {
                    let packing = if gz { Packing::Gz } else { Packing::Plain(now) };
                    files.rotated.push(Rotated {
                        id,
                        number,
                        size,
                        modified,
                        packing,
                    });
                }
                Kind::Unfinished => {}
            }
        }
        for files in state.nodes.values_mut() {
            // A compressed file beside its original is complete: it got its name last.
            files
                .rotated
                .sort_by_key(|one| (one.number, one.packing != Packing::Gz));
            files.rotated.dedup_by_key(|one| one.number);
        }
        Ok(Self {
            dir: dir.to_owned(),
            limits: Mutex::new(limits),
            state: Mutex::new(state),
        })
    }

    /// Removes what is left of interrupted compressions and what is beyond the limits.
    /// Files that cannot be removed stay; the next rotation tries again.
    pub(crate) fn tidy(&self) {
        let mut state = self.lock();
        for (node, files) in &state.nodes {
            let _ = fs::remove_file(self.path(node, Kind::Unfinished));
            for rotated in files
                .rotated
                .iter()
                .filter(|one| one.packing == Packing::Gz)
            {
                let original = Kind::Rotated {
                    number: rotated.number,
                    gz: false,
                };
                let _ = fs::remove_file(self.path(node, original));
            }
        }
        self.enforce(&mut state);
    }

    fn lock(&self) -> MutexGuard<'_, Inventory> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, node: &str, kind: Kind) -> PathBuf {
        self.dir.join(kind.file_name(node))
    }

    /// How much may be kept.
    pub(crate) fn limits(&self) -> Limits {
        *self.lock_limits()
    }

    /// Keeps so much from now on. What is beyond it goes now, or with the next rotation when
    /// it cannot be removed.
    pub(crate) fn set_limits(&self, limits: Limits) {
        let mut state = self.lock();
        {
            let mut kept = self.lock_limits();
            *kept = limits.shared_by(kept.nodes);
        }
        self.enforce(&mut state);
    }

    /// From now on there are so many nodes, or as many as before when these were more: their
    /// files stay. Files make room for the others as they grow.
    pub(crate) fn expect_nodes(&self, nodes: u16) {
        let mut limits = self.lock_limits();
        *limits = limits.shared_by(nodes);
    }

    fn lock_limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file that is written for a node.
    pub(crate) fn current_path(&self, node: &str) -> PathBuf {
        self.path(node, Kind::Current)
    }

    /// Where a compressed file grows until it is complete.
    pub(crate) fn unfinished_path(&self, node: &str) -> PathBuf {
        self.path(node, Kind::Unfinished)
    }

    /// The node begins to write.
    pub(crate) fn begin(&self, node: &str) {
        let mut state = self.lock();
        state.node(node).left = None;
        self.enforce(&mut state);
    }

    /// Makes the current file of a node, `size` bytes long, its youngest rotated one. The
    /// caller opens a new one.
    ///
    /// # Errors
    /// When a file cannot be renamed. Then the current file keeps its name.
    pub(crate) fn rotate(
        &self,
        node: &str,
        size: u64,
        now: Instant,
        modified: SystemTime,
    ) -> io::Result<()> {
        let mut state = self.lock();
        let keep = self.limits().keep;
        let fresh = state.fresh_id();
        let files = state.node(node);
        // From the oldest, so that no name is taken twice; one that would be too many goes.
        while let Some(last) = files.rotated.last().filter(|last| last.number >= keep) {
            let size = last.size;
            remove(&self.path(node, last.kind()))?;
            files.rotated.pop();
            files.count_deleted(size);
        }
        for rotated in files.rotated.iter_mut().rev() {
            let from = self.path(node, rotated.kind());
            rotated.number += 1;
            let to = self.path(node, rotated.kind());
            if let Err(error) = rename(&from, &to) {
                rotated.number -= 1;
                return Err(error);
            }
        }
        let first = Kind::Rotated {
            number: 1,
            gz: false,
        };
        rename(&self.path(node, Kind::Current), &self.path(node, first))?;
        let id = std::mem::replace(&mut files.current, fresh);
        let packing = Packing::Plain(now);
        files.rotations += 1;
        files.rotated.insert(
            0,
            Rotated {
                id,
                number: 1,
                size,
                modified,
                packing,
            },
        );
        self.enforce(&mut state);
        Ok(())
    }

    /// Removes what is beyond the number or, the oldest first, beyond the bytes.
    fn enforce(&self, state: &mut Inventory) {
        let limits = self.limits();
        let keep = limits.keep;
        for (node, files) in &mut state.nodes {
            let gone = |one: &mut Rotated| {
                one.number > keep && remove(&self.path(node, one.kind())).is_ok()
            };
            let deleted: Vec<Rotated> = files.rotated.extract_if(.., gone).collect();
            for one in deleted {
                files.count_deleted(one.size);
            }
        }
        let writing = state
            .nodes
            .values()
            .filter(|files| files.left.is_none())
            .count() as u64;
        let room = limits.at_rest(writing.max(limits.nodes.into()));
        while state.bytes_at_rest() > room {
            let Some((node, kind)) = state.oldest() else {
                return;
            };
            // What cannot be removed now is tried again at the next rotation.
            if remove(&self.path(&node, kind)).is_err() {
                return;
            }
            let files = state.node(&node);
            let size = match kind {
                Kind::Current => files.left.take().map(|left| left.size),
                _ => files.rotated.pop().map(|one| one.size),
            };
            files.count_deleted(size.unwrap_or_default());
        }
    }

    /// How often the file of a node was rotated, and what went because there was no room.
    pub(crate) fn turnover(&self, node: &str) -> (u64, FileCount) {
        let state = self.lock();
        let files = state.nodes.get(node);
        files.map_or_else(Default::default, |files| (files.rotations, files.deleted))
    }

    /// Nodes of which there are files, by number.
    pub(crate) fn nodes(&self) -> Vec<String> {
        let mut nodes: Vec<String> = self.lock().nodes.keys().cloned().collect();
        nodes.sort_by_key(|node| name::number(node));
        nodes
    }

    /// The file that has waited longest for compression.
    pub(crate) fn next_uncompressed(&self) -> Option<Uncompressed> {
        let state = self.lock();
        let waiting = state.nodes.iter().flat_map(|(node, files)| {
            files
                .rotated
                .iter()
                .filter_map(move |one| match one.packing {
                    Packing::Plain(since) => Some(Uncompressed {
                        node: node.clone(),
                        id: one.id,
                        since,
                    }),
                    Packing::Gz | Packing::Refused => None,
                })
        });
        waiting.min_by_key(|one| one.since)
    }

    /// Puts the complete compressed file of `size` bytes at `unfinished` in the place of
    /// the original; when the original is gone, so is this.
    pub(crate) fn compressed(&self, node: &str, id: FileId, size: u64) -> io::Result<()> {
        let unfinished = self.unfinished_path(node);
        let mut state = self.lock();
        let files = state.node(node);
        let Some(rotated) = files.rotated.iter_mut().find(|one| one.id == id) else {
            return remove(&unfinished);
        };
        let original = self.path(node, rotated.kind());
        let packed = Kind::Rotated {
            number: rotated.number,
            gz: true,
        };
        fs::rename(&unfinished, self.path(node, packed))?;
        rotated.packing = Packing::Gz;
        rotated.size = size;
        remove(&original)
    }

    /// Leaves a file uncompressed for good.
    pub(crate) fn refuse(&self, node: &str, id: FileId) {
        let mut state = self.lock();
        if let Some(rotated) = state.node(node).rotated.iter_mut().find(|one| one.id == id) {
            rotated.packing = Packing::Refused;
        }
    }

    /// The files of the nodes that are wanted, as they are now, without those of which the
    /// last line is older than `since`.
    pub(crate) fn snapshot(&self, wanted: &NodeFilter, since: Option<Timestamp>) -> Snapshot {
        let since = since.map(SystemTime::from);
        let state = self.lock();
        let mut snapshot = Snapshot::default();
        for (node, files) in state.nodes.iter().filter(|(node, _)| wanted.matches(node)) {
            let young = |one: &&Rotated| since.is_none_or(|since| one.modified >= since);
            let rotated = files.rotated.iter().filter(young).rev();
            let mut ids: Vec<FileId> = rotated.map(|one| one.id).collect();
            ids.push(files.current);
            let size = fs::metadata(self.path(node, Kind::Current)).map_or(0, |file| file.len());
            snapshot.current.insert(files.current, size);
            snapshot.nodes.push((node.clone(), ids));
        }
        // By number, as people count.
        snapshot.nodes.sort_by_key(|(node, _)| name::number(node));
        snapshot
    }

    /// Opens a file for reading, under whatever name it has now; none when it is gone.
    pub(crate) fn read(&self, node: &str, id: FileId) -> io::Result<Option<Box<dyn Read + Send>>> {
        Ok(self.open(node, id)?.map(|(file, kind)| match kind {
            Kind::Rotated { gz: true, .. } => Box::new(MultiGzDecoder::new(file)) as _,
            _ => Box::new(file) as _,
        }))
    }

    /// Opens a file that waits for compression, with the time of its last line; none when it
    /// is gone.
    pub(crate) fn original(
        &self,
        node: &str,
        id: FileId,
    ) -> io::Result<Option<(File, SystemTime)>> {
        let Some((file, _)) = self.open(node, id)? else {
            return Ok(None);
        };
        let modified = file.metadata()?.modified()?;
        Ok(Some((file, modified)))
    }

    fn open(&self, node: &str, id: FileId) -> io::Result<Option<(File, Kind)>> {
        // Under the lock names do not change.
        let state = self.lock();
        let Some(files) = state.nodes.get(node) else {
            return Ok(None);
        };
        let rotated = || {
            files
                .rotated
                .iter()
                .find(|one| one.id == id)
                .map(Rotated::kind)
        };
        let kind = if files.current == id {
            Some(Kind::Current)
        } else {
            rotated()
        };
        let Some(kind) = kind else { return Ok(None) };
        match open_for_reading(&self.path(node, kind)) {
            Ok(file) => Ok(Some((file, kind))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Renames; a file that somebody else removed is no error.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    ignore_missing(fs::rename(from, to)).map_err(|error| about(to, "make", &error))
}

/// Removes; a file that is gone already is no error.
fn remove(path: &Path) -> io::Result<()> {
    ignore_missing(fs::remove_file(path)).map_err(|error| about(path, "remove", &error))
}

/// The same error, saying which file it is about: that is another one than is being written.
fn about(path: &Path, verb: &str, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("could not {verb} {}: {error}", path.display()),
    )
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Opens a regular file; never follows a link and never waits for the other end of a FIFO.
fn open_for_reading(path: &Path) -> io::Result<File> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits(max_size: u64, keep: u32, total: u64) -> Limits {
        Limits {
            max_size,
            max_age: None,
            keep,
            total,
            nodes: 2,
        }
    }

    fn write(dir: &Path, name: &str, content: &str, age_s: u64) {
        let path = dir.join(name);
        fs::write(&path, content).expect("write");
        let modified = SystemTime::now() - Duration::from_secs(age_s);
        File::open(&path)
            .and_then(|file| file.set_modified(modified))
            .expect("set time");
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).expect("directory");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("entry")
                    .file_name()
                    .into_string()
                    .expect("UTF-8")
            })
            .collect();
        names.sort();
        names
    }

    fn open(dir: &Path, limits: Limits) -> Catalogue {
        let catalogue = Catalogue::scan(dir, limits, Instant::now()).expect("scan");
        catalogue.tidy();
        catalogue
    }

    fn rotate(catalogue: &Catalogue, node: &str, content: &str) {
        fs::write(catalogue.current_path(node), content).expect("write");
        let size = content.len() as u64;
        catalogue
            .rotate(node, size, Instant::now(), SystemTime::now())
            .expect("rotates");
    }

    #[test]
    fn rotated_files_are_numbered_and_the_oldest_goes() {
        let dir = tempfile::tempdir().expect("directory");
        let catalogue = open(dir.path(), limits(100, 2, 10_000));
        for content in ["one", "two", "three"] {
            rotate(&catalogue, "flux-node-1", content);
        }
        assert_eq!(
            names(dir.path()),
            ["flux-node-1.log.1", "flux-node-1.log.2"]
        );
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).expect("read");
        assert_eq!(read("flux-node-1.log.1"), "three");
        assert_eq!(read("flux-node-1.log.2"), "two");
    }

    #[test]
    fn keeping_none_keeps_none() {
        let dir = tempfile::tempdir().expect("directory");
        let catalogue = open(dir.path(), limits(100, 0, 10_000));
        rotate(&catalogue, "flux-node-1", "one");
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn other_limits_count_at_once() {
        let dir = tempfile::tempdir().expect("tempdir");
        let catalogue = open(dir.path(), limits(100, 5, 10_000));
        for content in ["one", "two", "three"] {
            rotate(&catalogue, "flux-node-1", content);
        }
        catalogue.set_limits(limits(100, 1, 10_000));
        assert_eq!(names(dir.path()), ["flux-node-1.log.1"]);
        rotate(&catalogue, "flux-node-1", "four");
        assert_eq!(names(dir.path()), ["flux-node-1.log.1"]);
    }

    #[test]
    fn a_missing_number_is_no_hindrance() {
        let dir = tempfile::tempdir().expect("directory");
        write(dir.path(), "flux-node-1.log.2.gz", "old", 9);
        let catalogue = open(dir.path(), limits(100, 5, 10_000));
        rotate(&catalogue, "flux-node-1", "new");
        rotate(&catalogue, "flux-node-1", "newer");
        let expect = [
            "flux-node-1.log.1",
            "flux-node-1.log.2",
            "flux-node-1.log.4.gz",
        ];
        assert_eq!(names(dir.path()), expect);
    }

    #[test]
    fn what_a_crash_left_is_put_in_order() {
        let dir = tempfile::tempdir().expect("directory");
        write(dir.path(), "flux-node-1.log", "current", 0);
        write(dir.path(), "flux-node-1.log.gz.tmp", "half", 1);
        write(dir.path(), "flux-node-1.log.1", "original", 2);
        write(dir.path(), "flux-node-1.log.1.gz", "packed", 2);
        write(dir.path(), "flux-node-1.log.2", "plain", 3);
        write(dir.path(), "flux-node-1.log.9.gz", "beyond", 4);
        write(dir.path(), "notes.log.1", "not ours", 5);
        let catalogue = open(dir.path(), limits(100, 5, 10_000));
        let expect = [
            "flux-node-1.log",
            "flux-node-1.log.1.gz",
            "flux-node-1.log.2",
            "notes.log.1",
        ];
        assert_eq!(names(dir.path()), expect);
        let waiting = catalogue.next_uncompressed().expect("one waits");
        let file = catalogue
            .read("flux-node-1", waiting.id)
            .expect("opens")
            .expect("is there");
        assert_eq!(io::read_to_string(file).expect("reads"), "plain");
    }

    #[test]
    fn the_oldest_of_all_nodes_make_room() {
        let dir = tempfile::tempdir().expect("directory");
        write(dir.path(), "flux-node-1.log", "12345", 0);
        write(dir.path(), "flux-node-1.log.1.gz", "12345", 30);
        write(dir.path(), "flux-node-2.log.1.gz", "12345", 20);
        write(dir.path(), "flux-node-2.log.2.gz", "12345", 50);
        // Left by a larger fleet: old enough to go, too.
        write(dir.path(), "flux-node-7.log", "12345", 40);
        let room = |bytes: u64| limits(100, 5, 300 + bytes);
        open(dir.path(), room(20));
        assert_eq!(names(dir.path()).len(), 5);
        open(dir.path(), room(14));
        let expect = [
            "flux-node-1.log",
            "flux-node-1.log.1.gz",
            "flux-node-2.log.1.gz",
        ];
        assert_eq!(names(dir.path()), expect);
        open(dir.path(), room(9));
        assert_eq!(
            names(dir.path()),
            ["flux-node-1.log", "flux-node-2.log.1.gz"]
        );
        open(dir.path(), room(0));
        assert_eq!(names(dir.path()), ["flux-node-1.log"]);
    }

    #[test]
    fn a_file_is_found_again_after_rotation_and_compression() {
        let dir = tempfile::tempdir().expect("directory");
        let catalogue = open(dir.path(), limits(100, 5, 10_000));
        rotate(&catalogue, "flux-node-1", "one");
        let waiting = catalogue.next_uncompressed().expect("one waits");
        let read = || {
            let file = catalogue
                .read("flux-node-1", waiting.id)
                .expect("opens")
                .expect("there");
            io::read_to_string(file).expect("reads")
        };
        assert_eq!(read(), "one");
        rotate(&catalogue, "flux-node-1", "two");
        assert_eq!(read(), "one");
        let packed = File::create(catalogue.unfinished_path("flux-node-1")).expect("create");
        let mut packed = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
        io::Write::write_all(&mut packed, b"one").expect("writes");
        packed.finish().expect("finishes");
        catalogue
            .compressed("flux-node-1", waiting.id, 23)
            .expect("renames");
        assert_eq!(read(), "one");
        assert_eq!(
            names(dir.path()),
            ["flux-node-1.log.1", "flux-node-1.log.2.gz"]
        );
        for _ in 0..5 {
            rotate(&catalogue, "flux-node-1", "more");
        }
        assert!(
            catalogue
                .read("flux-node-1", waiting.id)
                .expect("no error")
                .is_none()
        );
    }
}
