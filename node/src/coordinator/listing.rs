//! The core of one listing of keys.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::placement::Placement;
use crate::wire::frame::KeysPage;

/// One page of the keys of the whole enclave, put together from the members' pages.
///
/// Every member is asked for the same page. Each key has `copies` holders; whichever
/// members do not answer, a key that was acknowledged is in an answer as long as they are
/// fewer than the copies that a write quorum has. That is the number of holders a 404 would
/// need, for every key at once.
#[derive(Debug)]
pub struct Listing {
    limit: usize,
    /// Members that may stay silent.
    spare: usize,
    silent: usize,
    keys: BTreeSet<Bytes>,
    /// Up to here every page is whole; `None` for all the way.
    whole_up_to: Option<Bytes>,
}

impl Listing {
    /// A listing of at most `limit` keys over the members of `placement`.
    #[must_use]
    pub fn new(placement: &Placement, limit: usize) -> Self {
        Self {
            limit,
            spare: placement.write_quorum() - 1,
            silent: 0,
            keys: BTreeSet::new(),
            whole_up_to: None,
        }
    }

    /// A member's page, or none because it did not answer.
    pub fn answered(&mut self, page: Option<KeysPage>) {
        let Some(page) = page else {
            self.silent += 1;
            return;
        };
        if !page.complete {
            self.silent += 1;
        }
        if page.more {
            // A page without keys of which more may follow says nothing.
            let end = page.keys.last().cloned().unwrap_or_default();
            self.whole_up_to = Some(match self.whole_up_to.take() {
                Some(other) => other.min(end),
                None => end,
            });
        }
        self.keys.extend(page.keys);
    }

    /// The page and whether keys may follow, or `None` when too few members answered.
    #[must_use]
    pub fn page(self) -> Option<(Vec<Bytes>, bool)> {
        if self.silent > self.spare {
            return None;
        }
        let cut = |key: &Bytes| self.whole_up_to.as_ref().is_none_or(|end| key <= end);
        let mut keys: Vec<Bytes> = self.keys.into_iter().filter(cut).collect();
        let more = self.whole_up_to.is_some() || keys.len() > self.limit;
        keys.truncate(self.limit);
        Some((keys, more))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::placement::Seat;

    fn placement(members: u128, copies: usize) -> Placement {
        let seat = |n| Seat {
            uuid: Uuid::from_u128(n),
            generation: 1,
            host: 0,
        };
        Placement::new((0..members).map(seat), copies)
    }

    fn page(keys: &[&'static str], more: bool) -> KeysPage {
        let keys = keys
            .iter()
            .map(|key| Bytes::from_static(key.as_bytes()))
            .collect();
        KeysPage {
            keys,
            more,
            complete: true,
        }
    }

    /// Three members, three copies, pages of three.
    fn check(pages: Vec<Option<KeysPage>>, expect: Option<(&[&str], bool)>) {
        let mut listing = Listing::new(&placement(3, 3), 3);
        pages.into_iter().for_each(|page| listing.answered(page));
        let expect = expect.map(|(keys, more)| {
            (
                keys.iter()
                    .map(|key| Bytes::copy_from_slice(key.as_bytes()))
                    .collect(),
                more,
            )
        });
        assert_eq!(listing.page(), expect);
    }

    #[test]
    fn pages_are_merged_each_key_once() {
        let all = |keys| Some(page(keys, false));
        check(
            vec![all(&["a", "b"]), all(&["b"]), all(&[])],
            Some((&["a", "b"], false)),
        );
        check(
            vec![all(&["b", "d"]), all(&["a", "c"]), all(&["a"])],
            Some((&["a", "b", "c"], true)),
        );
    }

    #[test]
    fn a_page_that_was_cut_ends_what_is_certain() {
        let cut = Some(page(&["a", "b"], true));
        let all = Some(page(&["c", "d"], false));
        check(
            vec![cut, all.clone(), all.clone()],
            Some((&["a", "b"], true)),
        );
        check(
            vec![Some(page(&[], true)), all.clone(), all],
            Some((&[], true)),
        );
    }

    #[test]
    fn too_many_silent_members_make_it_unknown() {
        let all = || Some(page(&["a"], false));
        let unsure = || {
            Some(KeysPage {
                complete: false,
                ..page(&["b"], false)
            })
        };
        check(vec![all(), all(), None], Some((&["a"], false)));
        check(vec![all(), None, None], None);
        check(vec![all(), unsure(), all()], Some((&["a", "b"], false)));
        check(vec![all(), unsure(), None], None);
    }

    proptest! {
        /// Members hold what placement says, some are silent, and pages are followed to
        /// their end: every key is listed exactly once, in order.
        #[test]
        fn following_pages_lists_everything_once(
            members in 1u128..7,
            copies in 1usize..5,
            keys in prop::collection::btree_set("[a-c]{1,4}", 0..60),
            limit in 1usize..9,
            cut in 1usize..9,
            silent in any::<u8>(),
        ) {
            let placement = placement(members, copies);
            let mut spare = placement.write_quorum() - 1;
            let mut is_silent = Vec::new();
            for member in 0..members {
                let silent = spare > 0 && silent & (1 << member) != 0;
                spare -= usize::from(silent);
                is_silent.push(silent);
            }
            let (mut listed, mut after): (Vec<Bytes>, Option<Bytes>) = (Vec::new(), None);
            loop {
                let mut listing = Listing::new(&placement, limit);
                for (seat, silent) in placement.seats().iter().zip(&is_silent) {
                    let held: Vec<Bytes> = keys
                        .iter()
                        .map(|key| Bytes::copy_from_slice(key.as_bytes()))
                        .filter(|key| after.as_ref().is_none_or(|after| key > after))
                        .filter(|key| placement.is_holder(seat.uuid, key))
                        .collect();
                    let size = limit.min(cut);
                    let more = held.len() > size;
                    let keys = held.into_iter().take(size).collect();
                    let page = KeysPage { keys, more, complete: true };
                    listing.answered((!silent).then_some(page));
                }
                let (page, more) = listing.page().expect("enough members");
                prop_assert!(page.len() <= limit);
                prop_assert!(!more || !page.is_empty());
                listed.extend(page);
                after = listed.last().cloned();
                if !more {
                    break;
                }
            }
            let expect: Vec<Bytes> =
                keys.iter().map(|key| Bytes::copy_from_slice(key.as_bytes())).collect();
            prop_assert_eq!(listed, expect);
        }
    }
}
