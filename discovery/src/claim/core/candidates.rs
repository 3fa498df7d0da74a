//! The order in which a claimant tries slots.

/// Every slot of a range once, in a claimant's order of preference, and how far the
/// claimant has come.
///
/// The remembered slot comes first; then the others, ascending from the claimant's start
/// and past the end from slot 0 on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Candidates {
    count: u16,
    /// Always below `count`.
    remembered: Option<u16>,
    /// Always below `count`.
    start: u16,
    /// How many were given out since the beginning or [`Self::restart`].
    tried: u16,
}

impl Candidates {
    /// The order over slots 0 to `count - 1`. A remembered slot that the range does not
    /// have any more is forgotten; a start past the end wraps around.
    ///
    /// # Panics
    /// When `count` is 0.
    #[must_use]
    pub fn new(count: u16, remembered: Option<u16>, start: u16) -> Self {
        assert!(count > 0, "a range has at least one slot");
        Self {
            count,
            remembered: remembered.filter(|&slot| slot < count),
            start: start % count,
            tried: 0,
        }
    }

    /// Whether the next one is a slot that the claimant remembers.
    #[must_use]
    pub fn next_is_remembered(&self) -> bool {
        self.tried == 0 && self.remembered.is_some()
    }

    /// Starts again with the first choice.
    pub fn restart(&mut self) {
        self.tried = 0;
    }

    /// Number `position` of the order, which is below `count`.
    fn at(&self, position: u16) -> u16 {
        let Some(remembered) = self.remembered else {
            return self.ring(position);
        };
        let Some(position) = position.checked_sub(1) else {
            return remembered;
        };
        // The remembered slot is left out where the ring comes to it.
        let place =
            (u32::from(remembered) + u32::from(self.count - self.start)) % u32::from(self.count);
        self.ring(position + u16::from(u32::from(position) >= place))
    }

    fn ring(&self, steps: u16) -> u16 {
        // In 32 bits, because a range may have 65535 slots.
        let slot = (u32::from(self.start) + u32::from(steps)) % u32::from(self.count);
        u16::try_from(slot).expect("a remainder is below the count")
    }
}

impl Iterator for Candidates {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        let slot = (self.tried < self.count).then(|| self.at(self.tried))?;
        self.tried += 1;
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_order() {
        fn check(count: u16, remembered: Option<u16>, start: u16, expect: &[u16]) {
            let order: Vec<u16> = Candidates::new(count, remembered, start).collect();
            assert_eq!(order, expect);
        }
        check(4, None, 0, &[0, 1, 2, 3]);
        check(4, None, 2, &[2, 3, 0, 1]);
        check(4, Some(2), 0, &[2, 0, 1, 3]);
        check(4, Some(0), 0, &[0, 1, 2, 3]);
        check(4, Some(1), 3, &[1, 3, 0, 2]);
        check(4, Some(3), 3, &[3, 0, 1, 2]);
        check(4, Some(4), 5, &[1, 2, 3, 0]);
        check(1, Some(0), 0, &[0]);
    }

    proptest! {
        #[test]
        fn every_slot_once(count in prop_oneof![1u16..50, Just(u16::MAX)], remembered: Option<u16>, start: u16) {
            let mut candidates = Candidates::new(count, remembered, start);
            let mut order: Vec<u16> = candidates.by_ref().collect();
            if let Some(remembered) = remembered.filter(|&slot| slot < count) {
                prop_assert_eq!(order[0], remembered);
            }
            order.sort_unstable();
            prop_assert!(order.into_iter().eq(0..count));

            candidates.restart();
            prop_assert_eq!(candidates.count(), usize::from(count));
        }
    }
}
