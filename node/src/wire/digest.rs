//! Digests of values, made once however many records carry a value.

use std::sync::{Arc, OnceLock};

use super::ATTACHED_OVER;

/// Bytes of a digest.
pub(super) const DIGEST_LENGTH: usize = blake3::OUT_LEN;

/// The BLAKE3 digest of one value, once somebody has needed it.
///
/// Clones share it: a write goes to every holder in a record of its own, under keys of its own,
/// and all of these records are signed over the same digest. Whoever shares one between two
/// values makes records that do not verify, and nothing worse.
#[derive(Clone, Debug, Default)]
pub struct SharedDigest(Option<Arc<OnceLock<[u8; DIGEST_LENGTH]>>>);

impl SharedDigest {
    /// For a value of so many bytes. One that is not digested by itself needs no room for it.
    #[must_use]
    pub fn for_value(bytes: usize) -> Self {
        Self((bytes > ATTACHED_OVER).then(Arc::default))
    }

    /// The digest of `value`, which is always the same one.
    pub(super) fn of(&self, value: &[u8]) -> [u8; DIGEST_LENGTH] {
        match &self.0 {
            Some(known) => *known.get_or_init(|| digest(value)),
            None => digest(value),
        }
    }
}

/// What is known of a value's digest says nothing that its bytes do not say.
impl PartialEq for SharedDigest {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for SharedDigest {}

/// The BLAKE3 digest of `value`.
pub(super) fn digest(value: &[u8]) -> [u8; DIGEST_LENGTH] {
    *blake3::hash(value).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_what_was_made_once() {
        let first = SharedDigest::for_value(ATTACHED_OVER + 1);
        let second = first.clone();
        assert_eq!(first.of(b"value"), digest(b"value"));
        // Nobody does this; it shows that nothing was made again.
        assert_eq!(second.of(b"other"), digest(b"value"));
        assert_eq!(SharedDigest::default().of(b"other"), digest(b"other"));
    }
}
