//! The numbers of a range of ports. Nothing here opens a socket.

use std::fmt;

/// One place in the range: the pair of ports that one node uses.
///
/// The gossip port is used with TCP and with UDP. Both ports are at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Position in its [`PortRange`], from 0; 0 for the fixed ports of a stand-alone node.
    pub index: u16,
    /// HTTP port (TCP).
    pub http: u16,
    /// Gossip port (TCP and UDP).
    pub gossip: u16,
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "slot {} (ports {} and {})",
            self.index, self.http, self.gossip
        )
    }
}

/// All slots that the nodes of a domain share.
///
/// Slot *i* has the HTTP port `base + i` and the gossip port `base + i + gossip_offset`.
/// The two blocks of ports do not overlap and end at or before 65535, so every slot of a
/// range has ports of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    base: u16,
    count: u16,
    gossip_offset: u16,
}

/// Why three numbers are not a range of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// There is no slot in it.
    #[error("a range of no ports")]
    Empty,
    /// Port 0 is not a port: the kernel would choose one.
    #[error("a range that starts at port 0")]
    StartsAtZero,
    /// Some HTTP port would also be a gossip port.
    #[error(
        "{count} HTTP ports overlap the gossip ports, which start {gossip_offset} ports higher"
    )]
    Overlap {
        /// Number of slots asked for.
        count: u16,
        /// Distance asked for, less than `count`.
        gossip_offset: u16,
    },
    /// The highest gossip port would not be a port.
    #[error("the highest gossip port would be {last}, past 65535")]
    PastEnd {
        /// What the highest gossip port would be.
        last: u32,
    },
}

impl PortRange {
    /// The range of `count` slots from HTTP port `base` on.
    ///
    /// # Errors
    /// [`RangeError`] when it is empty, starts at 0, overlaps itself or passes 65535.
    pub fn new(base: u16, count: u16, gossip_offset: u16) -> Result<Self, RangeError> {
        if count == 0 {
            return Err(RangeError::Empty);
        }
        if base == 0 {
            return Err(RangeError::StartsAtZero);
        }
        if gossip_offset < count {
            return Err(RangeError::Overlap {
                count,
                gossip_offset,
            });
        }
        let last = u32::from(base) + u32::from(count - 1) + u32::from(gossip_offset);
        if last > u32::from(u16::MAX) {
            return Err(RangeError::PastEnd { last });
        }
        Ok(Self {
            base,
            count,
            gossip_offset,
        })
    }

    /// HTTP port of slot 0.
    #[must_use]
    pub fn base(&self) -> u16 {
        self.base
    }

    /// Number of slots, at least 1.
    #[must_use]
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Distance from a slot's HTTP port to its gossip port.
    #[must_use]
    pub fn gossip_offset(&self) -> u16 {
        self.gossip_offset
    }

    /// Slot number `index`, or nothing past the end.
    #[must_use]
    pub fn slot(&self, index: u16) -> Option<Slot> {
        (index < self.count).then(|| {
            let http = self.base + index;
            Slot {
                index,
                http,
                gossip: http + self.gossip_offset,
            }
        })
    }

    /// Every slot, ascending.
    pub fn slots(&self) -> impl DoubleEndedIterator<Item = Slot> + ExactSizeIterator + use<> {
        let Self {
            base,
            count,
            gossip_offset,
        } = *self;
        (0..count).map(move |index| {
            let http = base + index;
            Slot {
                index,
                http,
                gossip: http + gossip_offset,
            }
        })
    }

    /// The slot whose HTTP port is `port`.
    #[must_use]
    pub fn slot_of_http(&self, port: u16) -> Option<Slot> {
        port.checked_sub(self.base)
            .and_then(|index| self.slot(index))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_default_range() {
        let range = PortRange::new(8081, 10, 1000).unwrap();
        assert_eq!(
            range.slot(0),
            Some(Slot {
                index: 0,
                http: 8081,
                gossip: 9081
            })
        );
        assert_eq!(
            range.slot(9),
            Some(Slot {
                index: 9,
                http: 8090,
                gossip: 9090
            })
        );
        assert_eq!(range.slot(10), None);
        assert_eq!(range.slots().len(), 10);
        assert_eq!(range.slot_of_http(8080), None);
        assert_eq!(range.slot_of_http(8083).map(|slot| slot.index), Some(2));
        assert_eq!(range.slot_of_http(8091), None);
    }

    #[test]
    fn what_is_no_range() {
        fn check(base: u16, count: u16, gossip_offset: u16, expect: Result<(), RangeError>) {
            assert_eq!(
                PortRange::new(base, count, gossip_offset).map(|_| ()),
                expect
            );
        }
        check(8081, 0, 1000, Err(RangeError::Empty));
        check(0, 1, 1000, Err(RangeError::StartsAtZero));
        check(
            8081,
            10,
            0,
            Err(RangeError::Overlap {
                count: 10,
                gossip_offset: 0,
            }),
        );
        check(
            8081,
            10,
            9,
            Err(RangeError::Overlap {
                count: 10,
                gossip_offset: 9,
            }),
        );
        check(8081, 10, 10, Ok(()));
        check(65530, 1, 5, Ok(()));
        check(65530, 1, 6, Err(RangeError::PastEnd { last: 65536 }));
        check(
            65535,
            65535,
            65535,
            Err(RangeError::PastEnd { last: 196_604 }),
        );
    }

    proptest! {
        #[test]
        fn slots_have_ports_of_their_own(base: u16, count in 0u16..200, offset: u16) {
            let Ok(range) = PortRange::new(base, count, offset) else { return Ok(()) };
            let mut ports: Vec<u16> =
                range.slots().flat_map(|slot| [slot.http, slot.gossip]).collect();
            ports.sort_unstable();
            ports.dedup();
            prop_assert_eq!(ports.len(), usize::from(count) * 2);
            for slot in range.slots() {
                prop_assert_eq!(range.slot(slot.index), Some(slot));
                prop_assert_eq!(range.slot_of_http(slot.http), Some(slot));
            }
        }
    }
}
