//! Compresses rotated files, away from the thread that writes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::fcntl::OFlag;

use super::catalogue::{Catalogue, Uncompressed};
use super::sink::LOG_MODE;

/// A file is compressed when it has been at rest for so long. In a flood files are rotated
/// out of existence sooner, and no time is spent on them.
const COMPRESS_AFTER: Duration = Duration::from_secs(2);

/// Bytes after which a compression looks whether it should end.
const PIECE: usize = 64 << 10;

/// Compresses rotated files in a thread that lives only while there is something to do.
#[derive(Debug)]
pub(crate) struct Compressor {
    catalogue: Arc<Catalogue>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    running: bool,
    stopping: bool,
}

impl Compressor {
    pub(crate) fn new(catalogue: Arc<Catalogue>) -> Self {
        Self {
            catalogue,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There may be a file to compress.
    pub(crate) fn nudge(self: &Arc<Self>) {
        let mut state = self.lock();
        if state.running || state.stopping {
            return;
        }
        let this = Arc::clone(self);
        let spawned = thread::Builder::new()
            .name("logs-gzip".to_owned())
            .spawn(move || this.run());
        // Without a thread files stay as they are until the next rotation.
        state.running = spawned.is_ok();
    }

    /// Ends what is under way, at most until `deadline`. An interrupted file stays as it was.
    pub(crate) fn stop(&self, deadline: Instant) {
        let mut state = self.lock();
        state.stopping = true;
        self.changed.notify_all();
        while state.running {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn run(&self) {
        while let Some(file) = self.next() {
            // Whatever the error, trying again would not help: the file stays readable.
            if self.compress(&file).is_err() {
                let _ = fs::remove_file(self.catalogue.unfinished_path(&file.node));
                self.catalogue.refuse(&file.node, file.id);
            }
        }
    }

    /// Waits for the next file; none when there is nothing more to do.
    fn next(&self) -> Option<Uncompressed> {
        let mut state = self.lock();
        loop {
            // Asked under the lock, so that a nudge is either seen here or starts a thread.
            let file = self
                .catalogue
                .next_uncompressed()
                .filter(|_| !state.stopping);
            let Some(file) = file else {
                state.running = false;
                self.changed.notify_all();
                return None;
            };
            let due = file.since + COMPRESS_AFTER;
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some(file);
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Compresses one file, unless it is gone or there is no time.
    fn compress(&self, file: &Uncompressed) -> io::Result<()> {
        let Some((mut from, modified)) = self.catalogue.original(&file.node, file.id)? else {
            // Somebody removed it: it must not come up again.
            self.catalogue.refuse(&file.node, file.id);
            return Ok(());
        };
        let unfinished = self.catalogue.unfinished_path(&file.node);
        let mut to = GzEncoder::new(create(&unfinished)?, Compression::fast());
        let mut piece = vec![0; PIECE];
        loop {
            let count = match from.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            to.write_all(&piece[..count])?;
            if self.lock().stopping {
                return fs::remove_file(&unfinished);
            }
        }
        let packed = to.finish()?;
        // The age of the lines, not of the compression, decides what is deleted first.
        packed.set_modified(modified)?;
        let size = packed.metadata()?.len();
        self.catalogue.compressed(&file.node, file.id, size)
    }
}

/// A new file; whatever stands in its place is removed.
fn create(path: &Path) -> io::Result<File> {
    let _ = fs::remove_file(path);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(LOG_MODE)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::limits::Limits;
    use super::*;

    fn rotated(content: &[u8]) -> (tempfile::TempDir, Arc<Catalogue>, Uncompressed) {
        let dir = tempfile::tempdir().expect("directory");
        let limits = Limits::new(1 << 20, 5, 1 << 30, 1);
        let catalogue = Catalogue::scan(dir.path(), limits, Instant::now()).expect("scan");
        fs::write(catalogue.current_path("flux-node-1"), content).expect("write");
        let size = content.len() as u64;
        catalogue
            .rotate("flux-node-1", size, Instant::now(), SystemTime::now())
            .expect("rotates");
        let waiting = catalogue.next_uncompressed().expect("one waits");
        (dir, Arc::new(catalogue), waiting)
    }

    #[test]
    fn nothing_is_lost() {
        let content: Vec<u8> = (0..200_000u32)
            .flat_map(|number| number.to_le_bytes())
            .collect();
        let (dir, catalogue, waiting) = rotated(&content);
        let compressor = Compressor::new(Arc::clone(&catalogue));
        compressor.compress(&waiting).expect("compresses");
        assert!(dir.path().join("flux-node-1.log.1.gz").exists());
        assert!(!dir.path().join("flux-node-1.log.1").exists());
        assert!(catalogue.next_uncompressed().is_none());
        let mut file = catalogue
            .read("flux-node-1", waiting.id)
            .expect("opens")
            .expect("there");
        let mut read = Vec::new();
        file.read_to_end(&mut read).expect("reads");
        assert!(read == content);
    }

    #[test]
    fn a_stop_leaves_the_original() {
        let (dir, catalogue, waiting) = rotated(&[b'x'; 4 * PIECE]);
        let compressor = Compressor::new(Arc::clone(&catalogue));
        compressor.stop(Instant::now());
        compressor.compress(&waiting).expect("no error");
        assert!(dir.path().join("flux-node-1.log.1").exists());
        assert_eq!(fs::read_dir(dir.path()).expect("directory").count(), 1);
    }

    #[test]
    fn a_file_that_somebody_removed_does_not_come_up_again() {
        let (dir, catalogue, waiting) = rotated(b"text\n");
        fs::remove_file(dir.path().join("flux-node-1.log.1")).expect("remove");
        let compressor = Compressor::new(Arc::clone(&catalogue));
        compressor.compress(&waiting).expect("no error");
        assert!(catalogue.next_uncompressed().is_none());
    }
}
