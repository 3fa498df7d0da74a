//! Records at stable 32-bit indices, in chunks that are freed when they are empty.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeSet;

use super::record::Record;

/// Records in a chunk. Large enough that a chunk's own fields weigh nothing, small enough
/// that chunks do get empty when entries expire, and that an almost empty shard is small.
const CHUNK: usize = 256;
const CHUNK_BITS: u32 = CHUNK.trailing_zeros();

/// Index of a record; valid until the record is removed.
pub(super) type Index = u32;

enum Slot {
    Live(Record),
    /// The next vacant slot of this chunk, or [`CHUNK`].
    Vacant(u16),
}

const _: () = assert!(size_of::<Slot>() == size_of::<Record>());

/// A chunk. `slots` grows up to [`CHUNK`] as it is first used.
#[derive(Default)]
struct Chunk {
    slots: Vec<Slot>,
    vacant: Option<u16>,
    live: u16,
}

/// The records of one shard.
#[derive(Default)]
pub(super) struct Slab {
    chunks: Vec<Chunk>,
    /// Chunks with room; the lowest is filled first, so that high ones get empty.
    with_room: BTreeSet<u32>,
}

fn split(index: Index) -> (usize, usize) {
    ((index >> CHUNK_BITS) as usize, index as usize & (CHUNK - 1))
}

impl Slab {
    /// Keeps a record.
    ///
    /// # Panics
    /// At 2^32 records in one shard, which need 300 GB.
    pub(super) fn insert(&mut self, record: Record) -> Index {
        let number = self
            .with_room
            .first()
            .copied()
            .unwrap_or_else(|| self.add_chunk());
        let chunk = &mut self.chunks[number as usize];
        let slot = match chunk.vacant.take() {
            Some(slot) => {
                let Slot::Vacant(next) = chunk.slots[usize::from(slot)] else {
                    unreachable!("the vacant list holds no live slot")
                };
                chunk.vacant = (usize::from(next) < CHUNK).then_some(next);
                chunk.slots[usize::from(slot)] = Slot::Live(record);
                u32::from(slot)
            }
            None => {
                if chunk.slots.is_empty() {
                    chunk.slots.reserve_exact(CHUNK);
                }
                chunk.slots.push(Slot::Live(record));
                (chunk.slots.len() - 1) as u32
            }
        };
        chunk.live += 1;
        if usize::from(chunk.live) == CHUNK {
            self.with_room.remove(&number);
        }
        (number << CHUNK_BITS) | slot
    }

    fn add_chunk(&mut self) -> u32 {
        let number = u32::try_from(self.chunks.len()).expect("fewer than 2^32 chunks");
        assert!(
            number < 1 << (32 - CHUNK_BITS),
            "a shard has fewer than 2^32 records"
        );
        self.chunks.push(Chunk::default());
        self.with_room.insert(number);
        number
    }

    /// Takes a record out.
    pub(super) fn remove(&mut self, index: Index) -> Record {
        let (number, slot) = split(index);
        let chunk = &mut self.chunks[number];
        let next = chunk.vacant.unwrap_or(CHUNK as u16);
        let Slot::Live(record) = std::mem::replace(&mut chunk.slots[slot], Slot::Vacant(next))
        else {
            unreachable!("removed twice")
        };
        chunk.vacant = Some(slot as u16);
        chunk.live -= 1;
        if chunk.live == 0 {
            *chunk = Chunk::default();
        }
        self.with_room.insert(number as u32);
        self.drop_empty_tail();
        record
    }

    fn drop_empty_tail(&mut self) {
        while self.chunks.last().is_some_and(|chunk| chunk.live == 0) {
            self.chunks.pop();
            self.with_room.remove(&(self.chunks.len() as u32));
        }
    }

    pub(super) fn get(&self, index: Index) -> &Record {
        let (chunk, slot) = split(index);
        match &self.chunks[chunk].slots[slot] {
            Slot::Live(record) => record,
            Slot::Vacant(_) => unreachable!("no index outlives its record"),
        }
    }

    pub(super) fn get_mut(&mut self, index: Index) -> &mut Record {
        let (chunk, slot) = split(index);
        match &mut self.chunks[chunk].slots[slot] {
            Slot::Live(record) => record,
            Slot::Vacant(_) => unreachable!("no index outlives its record"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::clock::BootMillis;
    use crate::store::origins::Origins;
    use crate::store::record::{Data, Fields};
    use crate::version::{HybridTime, Version};

    fn record(number: u64) -> Record {
        Record::new(Fields {
            data: Data::new(&number.to_be_bytes(), Bytes::new()),
            key_len: 8,
            time: HybridTime(number),
            origin: Origins::default().intern(&Version::default()),
            ttl_s: 1,
            created_unix_ms: 0,
            deadline: BootMillis(number),
        })
    }

    proptest! {
        #[test]
        fn keeps_what_was_inserted(steps in prop::collection::vec(0u32..10, 1..2_000)) {
            let mut slab = Slab::default();
            let mut model = BTreeMap::new();
            for (number, step) in steps.into_iter().enumerate() {
                // Six of ten steps insert, so that several chunks come and go.
                if step < 6 || model.is_empty() {
                    let index = slab.insert(record(number as u64));
                    prop_assert!(model.insert(index, number as u64).is_none());
                } else {
                    let at = number * 7 % model.len();
                    let (&index, &number) = model.iter().nth(at).expect("in range");
                    model.remove(&index);
                    prop_assert_eq!(slab.remove(index).time, HybridTime(number));
                }
            }
            for (&index, &number) in &model {
                prop_assert_eq!(slab.get(index).time, HybridTime(number));
            }
        }
    }

    #[test]
    fn empty_chunks_are_freed() {
        let mut slab = Slab::default();
        let indices: Vec<_> = (0..10 * CHUNK as u64)
            .map(|n| slab.insert(record(n)))
            .collect();
        assert_eq!(slab.chunks.len(), 10);
        for &index in &indices[CHUNK..] {
            slab.remove(index);
        }
        assert_eq!(slab.chunks.len(), 1);
        for &index in &indices[..CHUNK] {
            slab.remove(index);
        }
        assert!(slab.chunks.is_empty() && slab.with_room.is_empty());
    }
}
