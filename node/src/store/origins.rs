//! Interned origins of versions.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use uuid::Uuid;

use crate::version::{HybridTime, Version};

/// Number of an interned origin, from 1 on, which leaves the slab a value to mark a vacant
/// slot with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OriginId(NonZeroU32);

impl OriginId {
    fn of(index: usize) -> Self {
        let number = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
        Self(number.expect("origins are fewer than entries"))
    }

    const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

#[derive(Clone, Copy, Debug)]
struct Origin {
    uuid: Uuid,
    generation: u64,
    users: u32,
}

/// The (uuid, generation) pairs of the kept versions, each stored once: entries are many,
/// nodes and their lives are few, and 24 bytes an entry would be a quarter of its overhead.
#[derive(Debug, Default)]
pub(super) struct Origins {
    origins: Vec<Origin>,
    by_name: BTreeMap<(Uuid, u64), OriginId>,
    free: Vec<OriginId>,
}

impl Origins {
    /// The number of a version's origin, used once more.
    pub(super) fn intern(&mut self, version: &Version) -> OriginId {
        let name = (version.uuid, version.generation);
        if let Some(&id) = self.by_name.get(&name) {
            self.origins[id.index()].users += 1;
            return id;
        }
        let origin = Origin {
            uuid: version.uuid,
            generation: version.generation,
            users: 1,
        };
        let id = if let Some(id) = self.free.pop() {
            self.origins[id.index()] = origin;
            id
        } else {
            self.origins.push(origin);
            OriginId::of(self.origins.len() - 1)
        };
        self.by_name.insert(name, id);
        id
    }

    /// Ends one use.
    pub(super) fn release(&mut self, id: OriginId) {
        let origin = &mut self.origins[id.index()];
        origin.users = origin
            .users
            .checked_sub(1)
            .expect("released as often as interned");
        if origin.users == 0 {
            self.by_name.remove(&(origin.uuid, origin.generation));
            self.free.push(id);
        }
    }

    /// The version of `time` and an interned origin.
    pub(super) fn version(&self, time: HybridTime, id: OriginId) -> Version {
        let origin = &self.origins[id.index()];
        Version {
            time,
            uuid: origin.uuid,
            generation: origin.generation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(uuid: u128, generation: u64) -> Version {
        Version {
            time: HybridTime(7),
            uuid: Uuid::from_u128(uuid),
            generation,
        }
    }

    #[test]
    fn equal_origins_share_a_number_and_unused_numbers_are_used_again() {
        let mut origins = Origins::default();
        let first = origins.intern(&version(1, 1));
        let second = origins.intern(&version(1, 2));
        assert_eq!(origins.intern(&version(1, 1)), first);
        assert_ne!(first, second);

        origins.release(first);
        assert_eq!(
            origins.version(HybridTime(7), first),
            version(1, 1),
            "still used once"
        );
        origins.release(first);
        let third = origins.intern(&version(3, 1));
        assert_eq!(third, first);
        assert_eq!(origins.version(HybridTime(7), third), version(3, 1));
        assert_eq!(origins.version(HybridTime(7), second), version(1, 2));
    }
}
