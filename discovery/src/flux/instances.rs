//! Where instances may be, by answers that disagree.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Good answers in a row without an instance, after which it is no candidate any more.
/// The machines that answer disagree for minutes; who lives is known otherwise anyway, so a
/// candidate too many costs some connections that nobody takes.
pub const ABSENCES_MAX: u32 = 5;

/// Hosts that are remembered, at most: more than twice the instances that an app may have.
pub const INSTANCES_MAX: usize = 256;

/// The hosts on which instances of an app may run: everyone who was named lately.
#[derive(Clone, Debug, Default)]
pub struct Instances {
    /// How many answers in a row have not named it, by host.
    absences: BTreeMap<IpAddr, u32>,
}

impl Instances {
    /// The hosts, in order.
    pub fn hosts(&self) -> impl Iterator<Item = IpAddr> {
        self.absences.keys().copied()
    }

    /// Takes what one round of good answers named, all of them together. A round without
    /// any is none; do not report it. Returns who is new.
    pub fn answered(&mut self, named: impl IntoIterator<Item = IpAddr>) -> Vec<IpAddr> {
        // An answer that names half of the world is taken to its first part.
        let named: BTreeSet<IpAddr> = named.into_iter().take(INSTANCES_MAX).collect();
        for (host, absences) in &mut self.absences {
            *absences = match named.contains(host) {
                true => 0,
                false => *absences + 1,
            };
        }
        self.absences.retain(|_, absences| *absences < ABSENCES_MAX);
        let known = |host: &IpAddr| self.absences.contains_key(host);
        let new: Vec<IpAddr> = named.into_iter().filter(|host| !known(host)).collect();
        let mut taken = Vec::new();
        for host in new {
            if self.make_room() {
                self.absences.insert(host, 0);
                taken.push(host);
            }
        }
        taken
    }

    /// Whether there is room for one more: whoever was absent longest makes it.
    fn make_room(&mut self) -> bool {
        if self.absences.len() < INSTANCES_MAX {
            return true;
        }
        let absent = self.absences.iter().filter(|(_, absences)| **absences > 0);
        let longest = absent.max_by_key(|(_, absences)| **absences);
        match longest.map(|(host, _)| *host) {
            Some(host) => self.absences.remove(&host).is_some(),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn host(number: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, number).into()
    }

    fn answer(instances: &mut Instances, named: &[u8]) -> Vec<IpAddr> {
        instances.answered(named.iter().copied().map(host))
    }

    fn known(instances: &Instances) -> Vec<IpAddr> {
        instances.hosts().collect()
    }

    #[test]
    fn the_union_of_what_was_named() {
        let mut instances = Instances::default();
        assert_eq!(answer(&mut instances, &[2, 1, 2]), [host(1), host(2)]);
        assert_eq!(answer(&mut instances, &[2, 3]), [host(3)]);
        assert_eq!(known(&instances), [host(1), host(2), host(3)]);
    }

    #[test]
    fn absence_must_repeat() {
        let mut instances = Instances::default();
        answer(&mut instances, &[1, 2]);
        for _ in 1..ABSENCES_MAX {
            answer(&mut instances, &[2]);
        }
        assert_eq!(known(&instances), [host(1), host(2)]);
        // Named again in time: counting starts anew.
        answer(&mut instances, &[1]);
        for _ in 1..ABSENCES_MAX {
            answer(&mut instances, &[]);
        }
        assert_eq!(known(&instances), [host(1)]);
        answer(&mut instances, &[]);
        assert!(known(&instances).is_empty());
    }

    #[test]
    fn they_are_bounded_and_the_present_stay() {
        let many = |first: u32| (first..).map(Ipv4Addr::from_bits).map(IpAddr::from);
        let mut instances = Instances::default();
        let ours = host(1);
        instances.answered([ours]);
        instances.answered(std::iter::once(ours).chain(many(0x0a00_0000).take(10_000)));
        assert_eq!(known(&instances).len(), INSTANCES_MAX);
        // Others who come later take the place of those that are not named any more.
        instances.answered(std::iter::once(ours).chain(many(0x0b00_0000).take(10)));
        let hosts = known(&instances);
        assert_eq!(hosts.len(), INSTANCES_MAX);
        assert!(hosts.contains(&ours));
        assert!(many(0x0b00_0000).take(10).all(|host| hosts.contains(&host)));
    }

    proptest! {
        /// Whoever was named in one of the last answers is known, unless there are too many.
        #[test]
        fn nobody_is_forgotten_early(answers in prop::collection::vec(
            prop::collection::vec(0u8..20, 0..5), 0..30,
        )) {
            let mut instances = Instances::default();
            for named in &answers {
                answer(&mut instances, named);
            }
            let last = answers.iter().rev().take(ABSENCES_MAX as usize);
            let expect: BTreeSet<IpAddr> = last.flatten().copied().map(host).collect();
            prop_assert_eq!(instances.hosts().collect::<BTreeSet<_>>(), expect);
        }
    }
}
