use std::fmt;

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::secret::Secret;

/// Bytes of a [`Mac`].
pub const MAC_LENGTH: usize = 32;

/// An HMAC-SHA256, not shortened.
pub type Mac = [u8; MAC_LENGTH];

/// The cluster secret, ready for signing, and the one before it.
///
/// Signs with the current secret and accepts both, so that a secret can be changed on one
/// node after the other. Cheap to clone compared with one signature.
#[derive(Clone)]
pub struct ClusterKeys {
    current: Hmac<Sha256>,
    previous: Option<Hmac<Sha256>>,
}

impl ClusterKeys {
    /// Keys from the current secret and, while it is still in use somewhere, the previous.
    #[must_use]
    pub fn new(current: &Secret, previous: Option<&Secret>) -> Self {
        Self {
            current: key(current.expose()),
            previous: previous.map(|it| key(it.expose())),
        }
    }

    /// Keys that are good for one purpose only.
    ///
    /// What is signed for `purpose` verifies under no other purpose and not under these
    /// keys themselves, so messages of one kind or network cannot be passed off as those of
    /// another. The parts are told apart: `["ab", "c"]` is not `["a", "bc"]`. The
    /// construction is one step of HKDF-Expand (RFC 5869) with unambiguous info.
    #[must_use]
    pub fn derive(&self, purpose: &[&[u8]]) -> Self {
        let info: Vec<u8> = purpose
            .iter()
            .flat_map(|part| {
                let length = u64::try_from(part.len()).expect("a length fits 64 bits");
                length.to_be_bytes().into_iter().chain(part.iter().copied())
            })
            .chain([1])
            .collect();
        let derived = |from: &Hmac<Sha256>| key(&mac(from, &[&info]));
        Self {
            current: derived(&self.current),
            previous: self.previous.as_ref().map(derived),
        }
    }

    /// The MAC of the concatenation of `parts` under the current secret.
    ///
    /// Where one part ends does not matter, so a sender may sign a header and a body that
    /// the receiver verifies as one buffer. A message with fields of variable length must
    /// therefore contain their lengths.
    #[must_use]
    pub fn sign(&self, parts: &[&[u8]]) -> Mac {
        mac(&self.current, parts)
    }

    /// Whether `tag` is the MAC of the concatenation of `parts` under either secret.
    ///
    /// The time it takes says nothing about how much of `tag` is right, nor under which
    /// secret.
    #[must_use]
    pub fn verify(&self, parts: &[&[u8]], tag: &Mac) -> bool {
        let matches = |key: &Hmac<Sha256>| mac(key, parts).ct_eq(tag);
        let previous = self.previous.as_ref().map_or(Choice::from(0), matches);
        (matches(&self.current) | previous).into()
    }
}

impl fmt::Debug for ClusterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterKeys")
            .field("previous", &self.previous.is_some())
            .finish()
    }
}

fn key(bytes: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(bytes).expect("HMAC takes keys of any length")
}

fn mac(key: &Hmac<Sha256>, parts: &[&[u8]]) -> Mac {
    let mut state = key.clone();
    for part in parts {
        state.update(part);
    }
    state.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes())
    }

    #[test]
    fn the_standard_examples() {
        // RFC 4231, test cases 2 and 6.
        fn check(key: &[u8], message: &[u8], expect: &str) {
            let keys = ClusterKeys::new(&Secret::new(key), None);
            assert_eq!(hex::encode(&keys.sign(&[message])), expect);
        }
        check(
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        );
        check(
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        );
    }

    #[test]
    fn parts_are_signed_as_one_message() {
        let keys = ClusterKeys::new(&secret("a"), None);
        let tag = keys.sign(&[b"header", b"", b"body"]);
        assert!(keys.verify(&[b"headerbody"], &tag));
        assert!(!keys.verify(&[b"headerbody."], &tag));
    }

    #[test]
    fn either_secret_verifies_and_the_current_one_signs() {
        let old = ClusterKeys::new(&secret("old"), None);
        let both = ClusterKeys::new(&secret("new"), Some(&secret("old")));
        let new = ClusterKeys::new(&secret("new"), None);
        assert!(both.verify(&[b"m"], &old.sign(&[b"m"])));
        assert!(both.verify(&[b"m"], &new.sign(&[b"m"])));
        assert!(new.verify(&[b"m"], &both.sign(&[b"m"])));
        assert!(!old.verify(&[b"m"], &both.sign(&[b"m"])));
        assert!(!new.verify(&[b"m"], &old.sign(&[b"m"])));
    }

    #[test]
    fn every_bit_of_the_tag_counts() {
        let keys = ClusterKeys::new(&secret("a"), Some(&secret("b")));
        let tag = keys.sign(&[b"m"]);
        for bit in 0..MAC_LENGTH * 8 {
            let mut forged = tag;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(!keys.verify(&[b"m"], &forged), "bit {bit}");
        }
    }

    #[test]
    fn derived_keys_are_apart() {
        let keys = ClusterKeys::new(&secret("a"), Some(&secret("b")));
        let purposes: [&[&[u8]]; 5] = [
            &[],
            &[b"ab", b"c"],
            &[b"a", b"bc"],
            &[b"abc"],
            &[b"abc", b""],
        ];
        for (number, purpose) in purposes.iter().enumerate() {
            let tag = keys.derive(purpose).sign(&[b"m"]);
            assert!(!keys.verify(&[b"m"], &tag));
            for (other, purpose) in purposes.iter().enumerate() {
                assert_eq!(keys.derive(purpose).verify(&[b"m"], &tag), number == other);
            }
        }
        let old = ClusterKeys::new(&secret("b"), None).derive(&[b"x"]);
        assert!(keys.derive(&[b"x"]).verify(&[b"m"], &old.sign(&[b"m"])));
    }

    #[test]
    fn no_secret_is_shown() {
        let keys = ClusterKeys::new(&secret("hunter2"), None);
        assert_eq!(format!("{keys:?}"), "ClusterKeys { previous: false }");
    }
}
