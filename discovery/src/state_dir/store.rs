use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::warn;
use uuid::Uuid;

use super::directory::{Directory, Durability, read_bounded};
use super::identity::Identity;
use super::lock::{DirLock, StateDirError, lock_file};
use super::record::Record;
use crate::chain::chain;

/// Bytes of a record, at most; ours have about 160.
const RECORD_MAX: usize = 4096;

/// Bytes of a file's name, at most, without what is added to it: a file system takes 255.
const NAME_MAX: usize = 200;

/// The identities of nodes, kept in a directory or, without one, in memory.
///
/// What goes wrong with a single identity is a warning and not an error: the node then has
/// an identity that lasts as long as this value.
#[derive(Debug)]
pub struct StateDir {
    place: Option<Place>,
    identities: BTreeMap<String, Kept>,
}

#[derive(Debug)]
struct Place {
    directory: Directory,
    /// Held by a supervisor only.
    lock: Option<DirLock>,
    boot: Option<Uuid>,
}

#[derive(Debug)]
struct Kept {
    record: Record,
    file: Option<RecordFile>,
}

/// The file of an identity, which nobody else may use.
#[derive(Debug)]
struct RecordFile {
    name: String,
    _lock: File,
}

/// What the file of an identity has in it.
#[derive(Debug)]
enum Content {
    /// There is no such file.
    Nothing,
    Record(Record),
    /// No record, for this reason.
    Corrupt(String),
}

impl StateDir {
    /// Opens `path` for a supervisor, and locks it against other supervisors. Missing
    /// directories are made, with mode 0700.
    ///
    /// # Errors
    /// With [`StateDirError::InUse`] another supervisor has it; after any other error
    /// [`StateDir::in_memory`] is a way to go on.
    pub fn open(path: &Path) -> Result<Self, StateDirError> {
        let directory = Directory::open_private(path)?.writable()?;
        let lock = DirLock::of(&directory, None)?;
        Ok(Self::with(directory, Some(lock)))
    }

    /// Opens `path` for a stand-alone node, which shares it with other nodes and with a
    /// supervisor. Only the identity that it asks for is locked.
    ///
    /// # Errors
    /// [`StateDirError::Directory`]
    pub fn open_shared(path: &Path) -> Result<Self, StateDirError> {
        Ok(Self::with(Directory::open_private(path)?.writable()?, None))
    }

    /// Keeps everything in memory: identities last as long as this value.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            place: None,
            identities: BTreeMap::new(),
        }
    }

    fn with(directory: Directory, lock: Option<DirLock>) -> Self {
        let place = Place {
            directory,
            lock,
            boot: boot(),
        };
        Self {
            place: Some(place),
            identities: BTreeMap::new(),
        }
    }

    /// The directory, unless everything is in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.directory().map(Directory::path)
    }

    /// The lock on the directory, for [`DirLock::acquire`] on another that may be the same.
    #[must_use]
    pub fn lock(&self) -> Option<&DirLock> {
        self.place.as_ref().and_then(|place| place.lock.as_ref())
    }

    pub(crate) fn directory(&self) -> Option<&Directory> {
        self.place.as_ref().map(|place| &place.directory)
    }

    /// The identity of the node `node_id`, as it was kept or new.
    pub fn identity(&mut self, node_id: &str) -> Identity {
        self.kept(node_id).record.identity()
    }

    /// The identity of the node `node_id`, when one was kept. Nothing is made or locked.
    #[must_use]
    pub fn kept_identity(&self, node_id: &str) -> Option<Identity> {
        if let Some(kept) = self.identities.get(node_id) {
            return Some(kept.record.identity());
        }
        let name = format!("{}.identity", file_name(node_id));
        match self.place.as_ref()?.read(&name) {
            Ok(Content::Record(record)) => Some(record.identity()),
            Ok(Content::Nothing | Content::Corrupt(_)) | Err(_) => None,
        }
    }

    /// The identity of the node `node_id` with the UUID that the operator gave it.
    ///
    /// A UUID of whose starts nothing is known begins to count at the wall clock's seconds,
    /// so that it goes on above what it had in another place.
    pub fn adopt(&mut self, node_id: &str, uuid: Uuid) -> Identity {
        let kept = self.kept(node_id);
        if kept.record.identity().uuid != uuid {
            kept.record = Record::new(uuid, seconds(), boot());
        }
        kept.record.identity()
    }

    /// Counts a start of the node `node_id` and returns its generation, at least 1, which is
    /// written down before this returns.
    pub fn next_generation(&mut self, node_id: &str) -> u64 {
        let kept = self.kept(node_id);
        let durability = kept.record.count_start();
        let generation = kept.record.identity().generation;
        self.write(node_id, durability);
        generation
    }

    /// Remembers the index of the slot that the node `node_id` has.
    pub fn remember_slot(&mut self, node_id: &str, slot: u16) {
        let kept = self.kept(node_id);
        if kept.record.identity().last_slot != Some(slot) {
            kept.record.set_last_slot(slot);
            self.write(node_id, Durability::Cached);
        }
    }

    fn kept(&mut self, node_id: &str) -> &mut Kept {
        match self.identities.entry(node_id.to_owned()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let kept = match &self.place {
                    Some(place) => place.load(node_id),
                    None => Kept::in_memory(),
                };
                entry.insert(kept)
            }
        }
    }

    fn write(&mut self, node_id: &str, durability: Durability) {
        let (Some(place), Some(kept)) = (&self.place, self.identities.get_mut(node_id)) else {
            return;
        };
        let Some(file) = &kept.file else { return };
        let Err(error) = place.write(&file.name, &kept.record, durability) else {
            return;
        };
        warn!(
            node = node_id, %error,
            "identity could not be written and lasts only as long as this process"
        );
        // An older record must not be taken up again: its generations have been used.
        if let Err(error) = place.directory.remove(&file.name)
            && error.kind() != io::ErrorKind::NotFound
        {
            warn!(node = node_id, %error, "outdated identity could not be removed");
        }
        kept.file = None;
    }
}

impl Place {
    /// Writes a record, in place where it need not reach the disk: a node waits for this
    /// before each of its starts.
    fn write(&self, name: &str, record: &Record, durability: Durability) -> io::Result<()> {
        let bytes = record.bytes();
        if durability == Durability::Cached && self.directory.overwrite(name, &bytes)? {
            return Ok(());
        }
        self.directory.replace(name, &bytes, durability)
    }

    /// The identity in the file of `node_id`, or a new one for it.
    fn load(&self, node_id: &str) -> Kept {
        let base = file_name(node_id);
        let lock = match lock_file(&self.directory, &format!("{base}.lock")) {
            Ok(lock) => lock,
            Err(error) => {
                warn!(
                    node = node_id,
                    error = chain(&error),
                    "identity is in use or cannot be kept; this node gets a new one"
                );
                return Kept::in_memory();
            }
        };
        let name = format!("{base}.identity");
        let fresh = || Record::new(Uuid::new_v4(), 0, self.boot);
        let record = match self.read(&name) {
            Ok(Content::Record(record)) => record,
            Ok(Content::Nothing) => fresh(),
            Ok(Content::Corrupt(problem)) if self.move_aside(node_id, &name, &problem) => fresh(),
            Ok(Content::Corrupt(_)) => return Kept::in_memory(),
            // The identity is as good as it was, so nothing may be written over it.
            Err(error) => {
                warn!(
                    node = node_id, %error,
                    "identity cannot be read and its file is left alone; this node gets a new \
                     one, which lasts only as long as this process"
                );
                return Kept::in_memory();
            }
        };
        Kept {
            record,
            file: Some(RecordFile { name, _lock: lock }),
        }
    }

    /// What the file `name` has in it.
    ///
    /// # Errors
    /// When that cannot be found out, which says nothing about what is in it.
    fn read(&self, name: &str) -> io::Result<Content> {
        let Some(file) = self.directory.open_existing(name)? else {
            return Ok(Content::Nothing);
        };
        let parsed = match read_bounded(&file, RECORD_MAX) {
            Ok(bytes) => Record::read(&bytes, self.boot).map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(error.to_string()),
            Err(error) => return Err(error),
        };
        Ok(parsed.map_or_else(Content::Corrupt, Content::Record))
    }

    /// Gives the corrupt identity in the file `name` another name, for somebody to look at.
    /// Returns whether `name` is free now.
    fn move_aside(&self, node_id: &str, name: &str, problem: &str) -> bool {
        let aside = format!("{name}.corrupt");
        match self.directory.rename(name, &aside) {
            Ok(()) => {
                warn!(
                    node = node_id,
                    problem, "identity is corrupt; moved to {aside}, made a new one"
                );
                true
            }
            Err(error) => {
                warn!(
                    node = node_id, problem, %error,
                    "identity is corrupt and could not be moved aside; this node gets a new \
                     one, which lasts only as long as this process"
                );
                false
            }
        }
    }
}

impl Kept {
    fn in_memory() -> Self {
        Self {
            record: Record::new(Uuid::new_v4(), 0, None),
            file: None,
        }
    }
}

/// A file's name for any node's name: letters, digits, `-`, `_` and inner dots stand for
/// themselves, other bytes are written as `%` and two hexadecimal digits. What gets too long
/// is replaced by a UUID made from the name (RFC 9562, version 8, from its SHA-256).
fn file_name(node_id: &str) -> String {
    use sha2::{Digest, Sha256};
    use std::fmt::Write;

    let mut name = String::new();
    for (position, byte) in node_id.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_')
            || (byte == b'.' && position > 0);
        if plain {
            name.push(char::from(byte));
        } else {
            write!(name, "%{byte:02x}").expect("a string takes everything");
        }
    }
    if name.len() <= NAME_MAX {
        return name;
    }
    let digest: [u8; 32] = Sha256::digest(node_id).into();
    let (first, _) = digest
        .split_first_chunk()
        .expect("32 bytes are more than 16");
    format!(
        "%{}",
        uuid::Builder::from_custom_bytes(*first).as_uuid().simple()
    )
}

/// The kernel's identifier of this run of the machine (random(4)).
fn boot() -> Option<Uuid> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .ok()?
        .trim()
        .parse()
        .ok()
}

fn seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::state_dir::DirectoryError;

    const NODE: &str = "flux-node-1";

    fn open(root: &tempfile::TempDir) -> StateDir {
        StateDir::open(&root.path().join("state")).unwrap()
    }

    fn is_in_use(error: &StateDirError) -> bool {
        matches!(error, StateDirError::InUse { .. })
    }

    #[test]
    fn an_identity_survives_its_process() {
        let root = tempfile::tempdir().unwrap();
        let mut state = open(&root);
        let made = state.identity(NODE);
        assert_eq!((made.generation, made.last_slot), (0, None));
        assert_eq!(state.next_generation(NODE), 1);
        assert_eq!(state.next_generation(NODE), 2);
        state.remember_slot(NODE, 7);
        let other = state.identity("flux-node-2");
        assert_ne!(other.uuid, made.uuid);
        drop(state);

        let mut state = open(&root);
        let kept = state.identity(NODE);
        assert_eq!(
            kept,
            Identity {
                uuid: made.uuid,
                generation: 2,
                last_slot: Some(7)
            }
        );
        assert_eq!(state.next_generation(NODE), 3);
    }

    #[test]
    fn a_kept_identity_is_found_without_making_one() {
        let root = tempfile::tempdir().unwrap();
        let mut state = open(&root);
        assert_eq!(state.kept_identity(NODE), None);
        assert_eq!(
            fs::read_dir(state.path().unwrap()).unwrap().count(),
            1,
            "the lock"
        );
        let made = state.identity(NODE);
        assert_eq!(state.kept_identity(NODE), Some(made));
        state.next_generation(NODE);
        drop(state);
        let kept = open(&root).kept_identity(NODE).unwrap();
        assert_eq!((kept.uuid, kept.generation), (made.uuid, 1));
        assert_eq!(StateDir::in_memory().kept_identity(NODE), None);
    }

    #[test]
    fn a_directory_has_one_supervisor() {
        let root = tempfile::tempdir().unwrap();
        let _state = open(&root);
        let error = StateDir::open(&root.path().join("state")).unwrap_err();
        assert!(is_in_use(&error));
        let expect = format!("state is in use by process {}", std::process::id());
        assert!(error.to_string().ends_with(&expect), "{error}");
    }

    #[test]
    fn state_and_logs_may_share_a_directory() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::open(root.path()).unwrap();
        let logs = DirLock::acquire(root.path(), state.lock()).unwrap();
        drop(state);
        assert!(is_in_use(&StateDir::open(root.path()).unwrap_err()));
        drop(logs);
        StateDir::open(root.path()).unwrap();
    }

    #[test]
    fn stand_alone_nodes_share_a_directory_but_no_identity() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state");
        let mut supervisor = StateDir::open(&path).unwrap();
        let mut first = StateDir::open_shared(&path).unwrap();
        let mut second = StateDir::open_shared(&path).unwrap();

        let taken = supervisor.identity(NODE);
        let own = first.identity("alone");
        assert_eq!(first.next_generation("alone"), 1);
        let fresh = second.identity("alone");
        assert_ne!(fresh.uuid, own.uuid);
        assert_ne!(first.identity(NODE).uuid, taken.uuid);
        assert_eq!(second.next_generation("alone"), 1);
        drop((first, second));
        let mut third = StateDir::open_shared(&path).unwrap();
        assert_eq!(third.identity("alone").uuid, own.uuid);
    }

    #[test]
    fn a_corrupt_identity_is_moved_aside() {
        for content in ["", "{", "{\"uuid\":1}", &"x".repeat(RECORD_MAX + 1)] {
            let root = tempfile::tempdir().unwrap();
            let mut state = open(&root);
            let file = state.path().unwrap().join("flux-node-1.identity");
            fs::write(&file, content).unwrap();
            assert_eq!(state.identity(NODE).generation, 0);
            assert_eq!(state.next_generation(NODE), 1);
            let aside = state.path().unwrap().join("flux-node-1.identity.corrupt");
            assert_eq!(fs::read_to_string(aside).unwrap(), content);
            drop(state);
            assert_eq!(open(&root).identity(NODE).generation, 1);
        }
    }

    #[test]
    fn an_identity_that_cannot_be_read_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let mut state = open(&root);
        let uuid = state.identity(NODE).uuid;
        state.next_generation(NODE);
        drop(state);
        // A symbolic link is not followed, so opening it fails although all is well behind it.
        let file = root.path().join("state/flux-node-1.identity");
        let elsewhere = root.path().join("elsewhere");
        fs::rename(&file, &elsewhere).unwrap();
        let before = fs::read(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &file).unwrap();

        let mut state = open(&root);
        assert_ne!(state.identity(NODE).uuid, uuid);
        assert_eq!(state.next_generation(NODE), 1);
        state.remember_slot(NODE, 3);
        drop(state);
        assert!(fs::symlink_metadata(&file).unwrap().is_symlink());
        assert_eq!(fs::read(&elsewhere).unwrap(), before);
        assert!(!file.with_extension("identity.corrupt").exists());

        fs::rename(&elsewhere, &file).unwrap();
        let kept = open(&root).identity(NODE);
        assert_eq!((kept.uuid, kept.generation), (uuid, 1));
    }

    #[test]
    fn a_corrupt_identity_that_cannot_be_moved_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let mut state = open(&root);
        let file = state.path().unwrap().join("flux-node-1.identity");
        fs::write(&file, "{").unwrap();
        // A file cannot take the place of a directory.
        fs::create_dir(file.with_extension("identity.corrupt")).unwrap();
        assert_eq!(state.next_generation(NODE), 1);
        state.remember_slot(NODE, 3);
        assert_eq!(fs::read(&file).unwrap(), b"{");
    }

    #[test]
    fn a_given_uuid_wins_and_never_counts_back() {
        let root = tempfile::tempdir().unwrap();
        let given = Uuid::from_u128(7);
        let mut state = open(&root);
        state.identity(NODE);
        let identity = state.adopt(NODE, given);
        assert_eq!(identity.uuid, given);
        assert!(
            identity.generation > 1_600_000_000,
            "it may have run elsewhere"
        );
        let next = state.next_generation(NODE);
        drop(state);

        let mut state = open(&root);
        assert_eq!(state.adopt(NODE, given).generation, next);
        assert_eq!(state.identity(NODE).uuid, given);
    }

    #[test]
    fn in_memory_everything_works_and_nothing_lasts() {
        let mut state = StateDir::in_memory();
        let identity = state.identity(NODE);
        assert_eq!(
            (state.next_generation(NODE), state.next_generation(NODE)),
            (1, 2)
        );
        state.remember_slot(NODE, 3);
        let expect = Identity {
            uuid: identity.uuid,
            generation: 2,
            last_slot: Some(3),
        };
        assert_eq!(state.identity(NODE), expect);
        assert_eq!(state.path(), None);
        assert!(state.lock().is_none());
    }

    #[test]
    fn a_record_that_cannot_be_written_is_not_taken_up_again() {
        let root = tempfile::tempdir().unwrap();
        let mut state = open(&root);
        let uuid = state.identity(NODE).uuid;
        assert_eq!(state.next_generation(NODE), 1);
        // Somebody emptied the file, so that it has to be replaced, and a directory in the
        // place of the temporary file makes that fail.
        let folder = state.path().unwrap();
        fs::write(folder.join("flux-node-1.identity"), "").unwrap();
        let obstacle = folder.join(".flux-node-1.identity.new");
        fs::create_dir(&obstacle).unwrap();
        assert_eq!(state.next_generation(NODE), 2);
        assert_eq!(state.next_generation(NODE), 3);
        fs::remove_dir(&obstacle).unwrap();
        drop(state);

        let after = open(&root).identity(NODE);
        assert_ne!(after.uuid, uuid);
    }

    #[test]
    fn a_record_is_written_again_after_somebody_removed_or_changed_it() {
        let root = tempfile::tempdir().unwrap();
        let mut state = open(&root);
        let uuid = state.identity(NODE).uuid;
        let file = state.path().unwrap().join("flux-node-1.identity");
        assert_eq!(state.next_generation(NODE), 1);
        fs::remove_file(&file).unwrap();
        assert_eq!(state.next_generation(NODE), 2);
        fs::write(&file, "{}").unwrap();
        assert_eq!(state.next_generation(NODE), 3);
        drop(state);
        let after = open(&root).identity(NODE);
        assert_eq!((after.uuid, after.generation), (uuid, 3));
    }

    #[test]
    fn a_directory_that_is_not_ours_alone_is_refused() {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = StateDir::open(root.path()).unwrap_err();
        assert!(matches!(
            error,
            StateDirError::Directory(DirectoryError::WritableByOthers { .. })
        ));
    }

    #[test]
    fn names_of_files() {
        fn check(node_id: &str, expect: &str) {
            assert_eq!(file_name(node_id), expect);
        }
        check("flux-node-1", "flux-node-1");
        check("a.b_C", "a.b_C");
        check(".supervisor", "%2esupervisor");
        check("../x", "%2e.%2fx");
        check("é%\0", "%c3%a9%25%00");
        check(&"a".repeat(200), &"a".repeat(200));
        let long = file_name(&"a".repeat(201));
        assert_eq!((long.len(), &long[..1]), (33, "%"));
        assert_ne!(long, file_name(&"a".repeat(202)));
    }
}
