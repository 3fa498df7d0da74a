use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::directory::Durability;
use super::identity::Identity;

/// Starts of a node that are on the disk before they happen.
///
/// A start need not wait for the disk, which takes longer than a node does, as long as a
/// number beyond its own is there already. When the machine itself ended meanwhile, the
/// count goes on behind that number. 64 makes the wait rare and the gap small.
pub const STARTS_RESERVED: u64 = 64;

/// Bytes of a record in its file: a sector, which a disk writes as a whole, and more than
/// the 230 that the longest numbers take.
const RECORD_SIZE: usize = 512;

/// What is written down about an identity.
///
/// A `generation` in the file is exact as long as the machine has not restarted, because
/// the kernel keeps what a process wrote, however the process ended. After a restart of the
/// machine the file may be older than what happened, but `reserved` is not: it was synced
/// before any generation above its predecessor was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    uuid: Uuid,
    generation: u64,
    reserved: u64,
    /// The kernel's identifier of the run of the machine in which this was written.
    boot: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_slot: Option<u16>,
}

impl Record {
    /// An identity without a past, or with starts up to `generation` that nobody wrote down.
    ///
    /// It need not be synced: if it is lost, so is the UUID.
    pub(super) fn new(uuid: Uuid, generation: u64, boot: Option<Uuid>) -> Self {
        let reserved = generation.saturating_add(STARTS_RESERVED);
        Self {
            uuid,
            generation,
            reserved,
            boot,
            last_slot: None,
        }
    }

    /// Reads a record in the run `boot` of the machine.
    pub(super) fn read(bytes: &[u8], boot: Option<Uuid>) -> Result<Self, serde_json::Error> {
        let mut record: Self = serde_json::from_slice(bytes)?;
        if boot.is_none() || boot != record.boot {
            record.generation = record.generation.max(record.reserved);
            record.boot = boot;
        }
        Ok(record)
    }

    /// As it stands in its file: JSON with blanks and a newline behind it, always of the
    /// same length.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("a record is plain data");
        assert!(bytes.len() < RECORD_SIZE, "no number in it is that long");
        bytes.resize(RECORD_SIZE - 1, b' ');
        bytes.push(b'\n');
        bytes
    }

    /// Counts one more start, and says how the record must be written before it.
    pub(super) fn count_start(&mut self) -> Durability {
        self.generation = self.generation.saturating_add(1);
        if self.generation <= self.reserved {
            return Durability::Cached;
        }
        self.reserved = self.generation.saturating_add(STARTS_RESERVED);
        Durability::Synced
    }

    pub(super) fn set_last_slot(&mut self, slot: u16) {
        self.last_slot = Some(slot);
    }

    pub(super) fn identity(&self) -> Identity {
        Identity {
            uuid: self.uuid,
            generation: self.generation,
            last_slot: self.last_slot,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn boot(number: u128) -> Option<Uuid> {
        Some(Uuid::from_u128(number))
    }

    #[test]
    fn every_record_is_as_long_as_every_other() {
        let mut largest = Record::new(Uuid::max(), u64::MAX, boot(u128::MAX));
        largest.set_last_slot(u16::MAX);
        for record in [Record::new(Uuid::nil(), 0, None), largest] {
            let bytes = record.bytes();
            assert_eq!((bytes.len(), bytes.last()), (RECORD_SIZE, Some(&b'\n')));
        }
    }

    fn reread(record: &Record, boot: Option<Uuid>) -> Record {
        Record::read(&record.bytes(), boot).unwrap()
    }

    #[test]
    fn as_it_is_written() {
        let mut record = Record::new(Uuid::from_u128(1), 0, boot(2));
        record.count_start();
        record.set_last_slot(3);
        let expect = r#"{"uuid":"00000000-0000-0000-0000-000000000001","generation":1,"reserved":64,"boot":"00000000-0000-0000-0000-000000000002","last_slot":3}"#;
        let text = String::from_utf8(record.bytes()).unwrap();
        assert_eq!(text.trim_end(), expect);
        assert_eq!(reread(&record, boot(2)), record);
    }

    #[test]
    fn the_count_is_exact_within_a_run_of_the_machine() {
        let mut record = Record::new(Uuid::from_u128(1), 0, boot(2));
        for expect in 1..200 {
            record = reread(&record, boot(2));
            record.count_start();
            assert_eq!(record.identity().generation, expect);
        }
    }

    #[test]
    fn without_the_identifier_of_the_run_nothing_is_taken_for_exact() {
        let mut record = Record::new(Uuid::from_u128(1), 0, None);
        record.count_start();
        let mut again = reread(&record, None);
        assert_eq!(again.count_start(), Durability::Synced);
        assert_eq!(again.identity().generation, STARTS_RESERVED + 1);
    }

    #[test]
    fn what_is_no_record() {
        let uuid = Uuid::nil();
        for text in [
            "",
            "{}",
            "[]",
            &format!(r#"{{"uuid":"{uuid}","generation":-1,"reserved":1}}"#),
        ] {
            assert!(Record::read(text.as_bytes(), None).is_err(), "{text}");
        }
    }

    proptest! {
        /// Processes and machines end at any time; a machine takes with it any number of
        /// the writes since the last synced one.
        #[test]
        fn no_generation_is_used_twice(
            events in prop::collection::vec((0u8..4, 0usize..100), 1..400)
        ) {
            let mut run = 1;
            let mut record = Record::new(Uuid::nil(), 0, boot(run));
            // What the file was since the last sync, oldest first.
            let mut files: Vec<Option<Vec<u8>>> = vec![None];
            let mut last = 0;
            for (event, survivor) in events {
                let machine_ends = event == 1;
                match event {
                    0 | 1 => {
                        if machine_ends {
                            run += 1;
                            files.truncate(survivor % files.len() + 1);
                        }
                        // Without a file the next identity is another one.
                        let Some(Some(bytes)) = files.last() else { return Ok(()) };
                        record = Record::read(bytes, boot(run)).unwrap();
                    }
                    _ => {
                        if record.count_start() == Durability::Synced {
                            files.clear();
                        }
                        files.push(Some(record.bytes()));
                        let generation = record.identity().generation;
                        prop_assert!(generation > last);
                        last = generation;
                    }
                }
            }
        }
    }
}
