//! The secret of a gossip network, and the one that is made for a user who set none.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{User, geteuid};
use tracing::warn;

use crate::chain::chain;
use crate::hex;
use crate::state_dir::{Directory, StateDir, read_bounded};

/// Where the user's secret is kept, under the home directory of the passwd entry.
const HOME_DIRECTORY: &str = ".local/state/repram";

/// The name of its file, there or in the state directory.
const FILE: &str = "secret";

/// Random bytes of a secret that is made: as many as the MAC has.
const RANDOM_BYTES: usize = 32;

/// Bytes that must not be shown. There is no way to print them by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// The secret that all processes of one user share.
#[derive(Clone, Debug)]
pub struct UserSecret {
    /// The secret: 64 hexadecimal digits, which are used as they stand. So the text of the
    /// file may be given to another machine as its cluster secret.
    pub secret: Secret,
    /// The file that it is in. Without one it is known to this process alone, and only
    /// those whom it tells join its network.
    pub file: Option<PathBuf>,
}

/// Why there is no user's secret. Making another would split the user's network, and using
/// what is there might join somebody else's, so neither is done.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file is not ours, or others may read or write it.
    #[error(
        "{} belongs to uid {owner} and has mode {mode:04o}, expected uid {uid} and mode 0600",
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Its permission bits.
        mode: u32,
        /// Who we are.
        uid: u32,
    },
    /// The file holds something else. Remove it to have a new secret made.
    #[error("{} does not hold {} hexadecimal digits", path.display(), 2 * RANDOM_BYTES)]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The file is there and cannot be read.
    #[error("{} could not be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel gave no random bytes.
    #[error("no random bytes for a secret")]
    Random(#[source] io::Error),
}

impl Secret {
    /// The secret that consists of `bytes`.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for computing with them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The secret of the user that runs this process, made by whoever asks first.
///
/// It is kept in `.local/state/repram/secret` under the home directory of the passwd entry
/// (not of `$HOME`, which differs between a login and a service), or else in `state`. A
/// place that cannot be used is passed over with a warning.
///
/// # Errors
/// [`SecretError`]: there is a file, and it must not be used.
pub fn user_secret(state: &StateDir) -> Result<UserSecret, SecretError> {
    let home = home().map(|home| home.join(HOME_DIRECTORY));
    secret_in(home.as_deref(), state.directory())
}

fn home() -> Option<PathBuf> {
    let entry = User::from_uid(geteuid()).unwrap_or_else(|error| {
        warn!(%error, "passwd entry could not be read");
        None
    })?;
    // An account without a home often names a directory that does not exist.
    entry.dir.is_dir().then_some(entry.dir)
}

fn secret_in(home: Option<&Path>, state: Option<&Directory>) -> Result<UserSecret, SecretError> {
    let home = home.and_then(|path| match Directory::open_private(path) {
        Ok(directory) => Some(directory),
        Err(error) => {
            warn!(
                error = chain(&error),
                "no secret can be kept in the home directory"
            );
            None
        }
    });
    let made = generate()?;
    for directory in home.iter().chain(state) {
        if let Some(secret) = find_or_keep(directory, &made)? {
            return Ok(UserSecret {
                secret,
                file: Some(directory.path().join(FILE)),
            });
        }
    }
    Ok(UserSecret {
        secret: made,
        file: None,
    })
}

fn generate() -> Result<Secret, SecretError> {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| SecretError::Random(error.into()))?;
    Ok(Secret::new(hex::encode(&bytes)))
}

/// The secret that is in `directory`, after `made` was put there unless one was there
/// already; nothing if it cannot be put there.
fn find_or_keep(directory: &Directory, made: &Secret) -> Result<Option<Secret>, SecretError> {
    if let Some(secret) = find(directory)? {
        return Ok(Some(secret));
    }
    let line = [made.expose(), b"\n"].concat();
    match directory.create_whole(FILE, &line) {
        // Whoever was first: all read the same file.
        Ok(_) => find(directory),
        Err(error) => {
            let directory = directory.path().display();
            warn!(%error, "no secret can be kept in {directory}");
            Ok(None)
        }
    }
}

fn find(directory: &Directory) -> Result<Option<Secret>, SecretError> {
    let path = || directory.path().join(FILE);
    let unreadable = |source| SecretError::Unreadable {
        path: path(),
        source,
    };
    let Some(file) = directory.open_existing(FILE).map_err(unreadable)? else {
        return Ok(None);
    };
    check_private(&file, &path)?;
    // The digits and the end of the line, whoever wrote it.
    let Ok(bytes) = read_bounded(&file, 2 * RANDOM_BYTES + 2) else {
        return Err(SecretError::Malformed { path: path() });
    };
    let digits = bytes.trim_ascii_end();
    if digits.len() != 2 * RANDOM_BYTES || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(SecretError::Malformed { path: path() });
    }
    Ok(Some(Secret::new(digits)))
}

fn check_private(file: &File, path: &impl Fn() -> PathBuf) -> Result<(), SecretError> {
    let metadata = file.metadata().map_err(|source| SecretError::Unreadable {
        path: path(),
        source,
    })?;
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    let uid = geteuid().as_raw();
    if owner != uid || mode & 0o077 != 0 {
        return Err(SecretError::Exposed {
            path: path(),
            owner,
            mode,
            uid,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::thread;

    use super::*;

    struct Places {
        root: tempfile::TempDir,
        state: StateDir,
    }

    fn some_places() -> Places {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::open(&root.path().join("state")).unwrap();
        Places { root, state }
    }

    impl Places {
        fn home(&self) -> PathBuf {
            self.root.path().join("home").join(HOME_DIRECTORY)
        }

        fn ask(&self) -> Result<UserSecret, SecretError> {
            secret_in(Some(&self.home()), self.state.directory())
        }
    }

    #[test]
    fn it_is_made_once_and_found_again() {
        let places = some_places();
        let first = places.ask().unwrap();
        let again = places.ask().unwrap();
        assert_eq!(first.secret, again.secret);
        let file = first.file.unwrap();
        assert_eq!(file, places.home().join("secret"));
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text.as_bytes(), [first.secret.expose(), b"\n"].concat());
        assert_ne!(some_places().ask().unwrap().secret, first.secret);
    }

    #[test]
    fn without_a_home_it_is_in_the_state_directory() {
        let places = some_places();
        fs::write(places.root.path().join("home"), "a file, not a directory").unwrap();
        let kept = places.ask().unwrap();
        assert_eq!(kept.file, Some(places.state.path().unwrap().join("secret")));
        let found = secret_in(None, places.state.directory()).unwrap();
        assert_eq!(found.secret, kept.secret);
    }

    #[test]
    fn without_any_place_it_is_known_to_this_process_alone() {
        let made = secret_in(None, StateDir::in_memory().directory()).unwrap();
        assert_eq!((made.file, made.secret.expose().len()), (None, 64));
    }

    #[test]
    fn those_who_start_together_agree() {
        let places = some_places();
        let secrets: Vec<Secret> = thread::scope(|scope| {
            let running: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| places.ask().unwrap().secret))
                .collect();
            running
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0]));
    }

    #[test]
    fn what_others_may_read_is_not_used() {
        let places = some_places();
        let file = places.ask().unwrap().file.unwrap();
        for mode in [0o640, 0o604, 0o620, 0o602] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let error = places.ask().unwrap_err();
            assert!(
                matches!(&error, SecretError::Exposed { mode: found, .. } if *found == mode),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_no_secret_is_not_used() {
        for text in [
            "",
            "\n",
            "secret",
            &"0".repeat(63),
            &"0".repeat(65),
            &"g".repeat(64),
        ] {
            let places = some_places();
            let file = places.ask().unwrap().file.unwrap();
            fs::write(&file, text).unwrap();
            let error = places.ask().unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("{} does not hold 64 hexadecimal digits", file.display())
            );
        }
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let places = some_places();
        let file = places.ask().unwrap().file.unwrap();
        let elsewhere = places.root.path().join("elsewhere");
        fs::rename(&file, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
        assert!(matches!(places.ask(), Err(SecretError::Unreadable { .. })));
    }

    #[test]
    fn a_line_end_of_another_kind_is_fine() {
        let places = some_places();
        let kept = places.ask().unwrap();
        let text = [kept.secret.expose(), b"\r\n"].concat();
        fs::write(kept.file.unwrap(), text).unwrap();
        assert_eq!(places.ask().unwrap().secret, kept.secret);
    }

    #[test]
    fn no_secret_is_shown() {
        assert_eq!(format!("{:?}", Secret::new(*b"hunter2")), "Secret(..)");
    }
}
