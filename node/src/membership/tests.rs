//! Many members in virtual time on a lossy network, replayable by seed.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

use super::identity::tests::identity;
use super::{
    Change, Confirmation, DOWN_FORGET, Fate, Identity, Input, Liveness, MAX_MEMBERS, Member,
    Membership, News, Output, Profile, Update, localized_payload,
};
use crate::clock::BootMillis;

/// What is on its way to a node.
enum Parcel {
    /// A datagram; lost when nobody runs there.
    Datagram(Bytes),
    /// One half of a push-pull over TCP; `answer` when the other half is wanted.
    Knowledge {
        from: u16,
        news: Vec<News>,
        answer: bool,
    },
    /// A ping over a connection of its own, or over the stream of who is to pass it on.
    Carried {
        from: u16,
        relay: bool,
        payload: Bytes,
        on_behalf_of: Option<u16>,
    },
    /// What it was answered with.
    Answered {
        from: u16,
        payloads: Vec<Bytes>,
        on_behalf_of: Option<u16>,
    },
}

struct Node {
    membership: Membership,
    frozen: bool,
    changes: Vec<(BootMillis, Change)>,
}

struct Network {
    now: BootMillis,
    rng: SmallRng,
    /// Share of datagrams that are lost, in percent.
    loss: u32,
    /// Nodes whose datagrams are all dropped, in both directions, as by a firewall.
    no_datagrams: BTreeSet<u16>,
    /// Pairs of nodes, the lower one first, between whom nothing at all gets through.
    no_path: BTreeSet<(u16, u16)>,
    /// Whether anybody is asked over streams who does not answer datagrams.
    confirms: bool,
    nodes: BTreeMap<u16, Node>,
    parcels: BTreeMap<(BootMillis, u64), (u16, Parcel)>,
    sent: u64,
}

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl Network {
    fn new(seed: u64, loss: u32) -> Self {
        Self {
            now: BootMillis(1_000),
            rng: SmallRng::seed_from_u64(seed),
            loss,
            no_datagrams: BTreeSet::new(),
            no_path: BTreeSet::new(),
            confirms: true,
            nodes: BTreeMap::new(),
            parcels: BTreeMap::new(),
            sent: 0,
        }
    }

    /// A network on which nodes 0..count run and have joined through node 0.
    fn joined(seed: u64, loss: u32, count: u16) -> Self {
        let mut network = Self::new(seed, loss);
        for number in 0..count {
            network.start(number, 1);
            if number > 0 {
                network.push_pull(number, 0);
            }
        }
        network
    }

    /// The same, when all know all of them.
    fn acquainted(seed: u64, loss: u32, count: u16) -> Result<Self, &'static str> {
        let mut network = Self::joined(seed, loss, count);
        let within = if loss == 0 { SECOND } else { 5 * SECOND };
        require(network.run_until(within, Self::all_know_all), "not joined")?;
        Ok(network)
    }

    fn start(&mut self, number: u16, generation: u64) {
        let seed = self.rng.random();
        let membership = Membership::new(identity(number, generation), Profile::Machine, seed);
        let node = Node {
            membership,
            frozen: false,
            changes: Vec::new(),
        };
        self.nodes.insert(number, node);
    }

    /// The process is gone without a word.
    fn kill(&mut self, number: u16) {
        self.nodes.remove(&number);
    }

    fn push_pull(&mut self, from: u16, to: u16) {
        let news = self.nodes[&from].membership.knowledge(self.now);
        self.send(
            to,
            Parcel::Knowledge {
                from,
                news,
                answer: true,
            },
        );
    }

    fn send(&mut self, to: u16, parcel: Parcel) {
        let lossy = matches!(parcel, Parcel::Datagram(_));
        if lossy && self.rng.random_range(0..100) < self.loss {
            return;
        }
        self.sent += 1;
        // What confirmations need is not drawn, so that all else is the same without them.
        let confirms = matches!(parcel, Parcel::Carried { .. } | Parcel::Answered { .. });
        let delay_ms = if confirms {
            2
        } else {
            self.rng.random_range(1..=3)
        };
        let arrives = self.now + Duration::from_millis(delay_ms);
        self.parcels.insert((arrives, self.sent), (to, parcel));
    }

    fn input(&mut self, number: u16, input: Input) {
        let Some(node) = self.nodes.get_mut(&number) else {
            return;
        };
        let output = node.membership.handle(input, self.now);
        self.follow(number, output);
    }

    fn follow(&mut self, number: u16, output: Output) {
        let node = self.nodes.get_mut(&number).expect("it runs");
        node.changes
            .extend(output.changes.iter().map(|change| (self.now, *change)));
        // Whoever learns of a member opens a stream to it, which starts with a push-pull.
        let joined = output.changes.iter().filter_map(|change| match change {
            Change::Joined(uuid) => Some(node.membership.members().get(*uuid)?.identity.gossip),
            _ => None,
        });
        for address in joined.collect::<Vec<_>>() {
            self.push_pull(number, number_at(address));
        }
        for (to, payload) in output.datagrams {
            let to = number_at(to);
            let dropped = [number, to].iter().any(|it| self.no_datagrams.contains(it));
            if !dropped && self.is_path(number, to) {
                self.send(to, Parcel::Datagram(payload));
            }
        }
        for confirmation in output.confirmations {
            self.confirm(number, confirmation);
        }
    }

    fn is_path(&self, a: u16, b: u16) -> bool {
        !self.no_path.contains(&(a.min(b), a.max(b)))
    }

    fn confirm(&mut self, from: u16, confirmation: Confirmation) {
        if !self.confirms {
            return;
        }
        let on_behalf_of = confirmation.on_behalf_of.map(number_of);
        let direct = (number_at(confirmation.to.gossip), false, on_behalf_of);
        let others = confirmation.through.iter();
        let others = others.map(|uuid| (number_of(*uuid), true, None));
        for (to, relay, on_behalf_of) in std::iter::once(direct).chain(others) {
            let payload = confirmation.ping.clone();
            let parcel = Parcel::Carried {
                from,
                relay,
                payload,
                on_behalf_of,
            };
            if self.is_path(from, to) {
                self.send(to, parcel);
            }
        }
    }

    /// What a node answers to what came over a stream.
    fn carried(&mut self, to: u16, relay: bool, payload: Bytes) -> Vec<Bytes> {
        let Some(node) = self.nodes.get_mut(&to) else {
            return Vec::new();
        };
        let input = Input::Carried {
            source: LOCAL,
            payload,
            relay,
        };
        let mut output = node.membership.handle(input, self.now);
        let answers = std::mem::take(&mut output.answers);
        self.follow(to, output);
        answers
    }

    fn deliver(&mut self, to: u16, parcel: Parcel) {
        match parcel {
            Parcel::Datagram(payload) => {
                self.input(
                    to,
                    Input::Datagram {
                        source: LOCAL,
                        payload,
                    },
                );
            }
            Parcel::Knowledge { from, news, answer } => {
                self.input(
                    to,
                    Input::Learned {
                        source: LOCAL,
                        news,
                    },
                );
                if answer && let Some(node) = self.nodes.get(&to) {
                    let news = node.membership.knowledge(self.now);
                    self.send(
                        from,
                        Parcel::Knowledge {
                            from: to,
                            news,
                            answer: false,
                        },
                    );
                }
            }
            Parcel::Carried {
                from,
                relay,
                payload,
                on_behalf_of,
            } => {
                let payloads = self.carried(to, relay, payload);
                let answer = Parcel::Answered {
                    from: to,
                    payloads,
                    on_behalf_of,
                };
                self.send(from, answer);
            }
            Parcel::Answered {
                from,
                payloads,
                on_behalf_of,
            } => self.answered(to, from, payloads, on_behalf_of),
        }
    }

    fn answered(&mut self, to: u16, from: u16, payloads: Vec<Bytes>, on_behalf_of: Option<u16>) {
        let source = LOCAL;
        for payload in payloads {
            if let Some(asker) = on_behalf_of {
                let parcel = Parcel::Carried {
                    from,
                    relay: false,
                    payload: localized_payload(payload, source),
                    on_behalf_of: None,
                };
                self.send(asker, parcel);
            } else {
                self.input(to, Input::Datagram { source, payload });
            }
        }
    }

    /// The next moment at which something happens.
    fn next_event(&self) -> Option<BootMillis> {
        let parcel = self
            .parcels
            .iter()
            .find(|(_, (to, _))| self.nodes.get(to).is_none_or(|node| !node.frozen))
            .map(|((at, _), _)| *at);
        let running = self.nodes.values().filter(|node| !node.frozen);
        let deadline = running
            .filter_map(|node| node.membership.next_deadline())
            .min();
        [parcel, deadline].into_iter().flatten().min()
    }

    /// Runs until `done` or for `limit`; whether it was done.
    fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while !done(self) {
            let Some(at) = self.next_event().filter(|at| *at <= end) else {
                self.now = end;
                return done(self);
            };
            self.now = self.now.max(at);
            self.step();
        }
        true
    }

    fn run(&mut self, for_: Duration) {
        self.run_until(for_, |_| false);
    }

    /// Everything that is due: what arrived before what was waited for.
    fn step(&mut self) {
        let due: Vec<_> = self
            .parcels
            .iter()
            .filter(|((at, _), (to, _))| {
                *at <= self.now && self.nodes.get(to).is_none_or(|node| !node.frozen)
            })
            .map(|(key, _)| *key)
            .collect();
        for key in due {
            if let Some((to, parcel)) = self.parcels.remove(&key) {
                self.deliver(to, parcel);
            }
        }
        let numbers: Vec<u16> = self
            .nodes
            .iter()
            .filter(|(_, node)| {
                !node.frozen
                    && node
                        .membership
                        .next_deadline()
                        .is_some_and(|at| at <= self.now)
            })
            .map(|(number, _)| *number)
            .collect();
        for number in numbers {
            self.input(number, Input::Tick);
        }
    }

    fn seen(&self, by: u16, other: u16) -> Option<&Member> {
        self.nodes[&by]
            .membership
            .members()
            .get(identity(other, 0).uuid)
    }

    /// Whether every running node sees `other` as `wanted` does.
    fn all_see(&self, other: u16, wanted: impl Fn(&Member) -> bool) -> bool {
        let mut others = self.nodes.keys().filter(|by| **by != other);
        others.all(|by| self.seen(*by, other).is_some_and(&wanted))
    }

    fn all_know_all(&self) -> bool {
        let numbers: Vec<u16> = self.nodes.keys().copied().collect();
        numbers
            .into_iter()
            .all(|n| self.all_see(n, |it| it.liveness == Liveness::Alive))
    }

    fn changed(&self, wanted: impl Fn(&Change) -> bool) -> usize {
        let changes = self.nodes.values().flat_map(|node| &node.changes);
        changes.filter(|(_, change)| wanted(change)).count()
    }
}

fn number_of(uuid: Uuid) -> u16 {
    (uuid.as_u128() - identity(0, 0).uuid.as_u128()) as u16
}

fn number_at(address: SocketAddr) -> u16 {
    address.port() - 9000
}

fn alive(generation: u64) -> impl Fn(&Member) -> bool {
    move |member| member.liveness == Liveness::Alive && member.identity.generation == generation
}

const SECOND: Duration = Duration::from_secs(1);

/// Plays `scenario` with several seeds; a failure names the seed.
fn seeds(scenario: impl Fn(u64) -> Result<(), &'static str>) {
    for seed in 0..12 {
        if let Err(problem) = scenario(seed) {
            panic!("seed {seed}: {problem}");
        }
    }
}

fn require(holds: bool, problem: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(problem) }
}

#[test]
fn a_fleet_knows_itself_within_half_a_second() {
    seeds(|seed| {
        for (count, loss) in [(3, 0), (10, 0), (30, 0), (10, 10)] {
            let mut network = Network::joined(seed, loss, count);
            let within = if loss == 0 { SECOND / 2 } else { 5 * SECOND };
            require(
                network.run_until(within, Network::all_know_all),
                "not all know all",
            )?;
        }
        Ok(())
    });
}

#[test]
fn a_silent_death_is_noticed_and_counts_for_a_minute() {
    seeds(|seed| {
        let mut network = Network::acquainted(seed, 2, 10)?;
        network.kill(4);
        let unreachable =
            |it: &Member| matches!(it.liveness, Liveness::Unreachable(_)) && it.counts();
        let noticed = network.run_until(10 * SECOND, |it| it.all_see(4, unreachable));
        require(noticed, "death not noticed")?;
        let forgotten = |it: &Member| matches!(it.liveness, Liveness::Forgotten(_));
        require(
            !network.run_until(50 * SECOND, |it| it.all_see(4, forgotten)),
            "too early",
        )?;
        require(
            network.run_until(20 * SECOND, |it| it.all_see(4, forgotten)),
            "still counts",
        )
    });
}

#[test]
fn a_restart_replaces_the_old_life_at_once() {
    seeds(|seed| {
        let mut network = Network::acquainted(seed, 0, 10)?;
        network.kill(4);
        network.run(SECOND / 10);
        network.start(4, 2);
        network.push_pull(4, 7);
        require(
            network.run_until(SECOND, |it| it.all_see(4, alive(2))),
            "not known again",
        )?;
        require(
            network.run_until(SECOND, Network::all_know_all),
            "it does not know all",
        )?;
        let others = network.changed(|change| {
            matches!(
                change,
                Change::Unreachable(_) | Change::Forgotten(_) | Change::Ended(..)
            )
        });
        require(others == 0, "somebody else was thought dead")
    });
}

#[test]
fn a_frozen_node_returns_with_its_life() {
    seeds(|seed| {
        let mut network = Network::acquainted(seed, 0, 5)?;
        network.nodes.get_mut(&2).expect("it runs").frozen = true;
        network.run(20 * SECOND);
        let silent = |it: &Member| matches!(it.liveness, Liveness::Unreachable(_));
        require(network.all_see(2, silent), "not noticed")?;
        network.nodes.get_mut(&2).expect("it runs").frozen = false;
        require(
            network.run_until(10 * SECOND, |it| it.all_see(2, alive(1))),
            "not back",
        )?;
        require(
            network.run_until(SECOND * 10, Network::all_know_all),
            "it lost others",
        )?;
        let renewals = network.nodes[&2].membership.counters().renewals;
        require(renewals > 0, "no renewal")?;
        network.run(10 * SECOND);
        require(
            network.nodes[&2].membership.counters().renewals == renewals,
            "no rest",
        )
    });
}

#[test]
fn the_supervisors_word_ends_a_life_for_all() {
    seeds(|seed| {
        let mut network = Network::acquainted(seed, 0, 10)?;
        network.kill(4);
        let died = Input::Ended {
            uuid: identity(4, 1).uuid,
            generation: 1,
            fate: Fate::Died,
        };
        network.input(3, died);
        let dead = |it: &Member| matches!(it.liveness, Liveness::Ended(Fate::Died, _));
        require(network.seen(3, 4).is_some_and(dead), "not at once")?;
        require(
            network.run_until(SECOND, |it| it.all_see(4, dead)),
            "not spread",
        )
    });
}

#[test]
fn who_leaves_is_silent_to_those_it_did_not_tell() {
    seeds(|seed| {
        let mut network = Network::acquainted(seed, 0, 6)?;
        network.input(1, Input::Leave);
        let left = Input::Ended {
            uuid: identity(1, 1).uuid,
            generation: 1,
            fate: Fate::Left,
        };
        network.input(0, left);
        network.kill(1);
        let over = |it: &Member| it.liveness != Liveness::Alive;
        require(
            network.run_until(SECOND, |it| it.all_see(1, over)),
            "not known",
        )?;
        let left = |it: &Member| matches!(it.liveness, Liveness::Ended(Fate::Left, _));
        require(network.seen(0, 1).is_some_and(left), "0 was told")
    });
}

#[test]
fn who_has_left_does_not_come_back() {
    seeds(|seed| {
        let mut network = Network::acquainted(seed, 0, 6)?;
        let left = Input::Ended {
            uuid: identity(1, 1).uuid,
            generation: 1,
            fate: Fate::Left,
        };
        network.input(0, left);
        network.input(1, Input::Leave);
        // Its process goes on for a while, and hears what the others say of it.
        network.run(SECOND * 3);
        let over = |it: &Member| it.liveness != Liveness::Alive;
        require(network.all_see(1, over), "it is back")?;
        require(
            network.nodes[&1].membership.counters().renewals == 0,
            "renewed",
        )?;
        // Whoever comes meets it and those who stay, and takes nobody's word for its life.
        network.start(7, 1);
        network.push_pull(7, 1);
        network.push_pull(7, 0);
        network.run(SECOND);
        let absent = network.seen(7, 1).is_none_or(|it| !it.counts());
        require(absent, "7 counts it")
    });
}

#[test]
fn an_end_is_told_of_a_life_that_was_heard_of_later() {
    let (now, uuid) = (BootMillis(1_000), identity(1, 1).uuid);
    let died = || Input::Ended {
        uuid,
        generation: 1,
        fate: Fate::Died,
    };
    let said = |update: Update, silent_for| Input::Learned {
        source: LOCAL,
        news: vec![alive_news(2), News { update, silent_for }],
    };
    let heard = [
        said(Update::alive(identity(1, 1)), None),
        said(Update::down(identity(1, 1)), Some(SECOND * 20)),
    ];
    for heard in heard {
        let mut membership = Membership::new(identity(0, 1), Profile::Machine, 7);
        membership.handle(died(), now);
        membership.handle(heard, now);
        assert!(!membership.members().get(uuid).is_some_and(Member::counts));
        let told = membership.knowledge(now);
        let told = told.iter().find(|it| it.update.id().uuid == uuid);
        let told = told.expect("it is told of");
        assert_eq!(told.update.state(), foca::State::Down);
        assert_eq!(told.update.id().fate, Some(Fate::Died));
        assert_eq!(told.silent_for, None);
    }
}

#[test]
fn whoever_renewed_its_identity_still_notices_who_falls_silent() {
    let moved = || Input::Moved([127, 0, 0, 2].into());
    let told_that_it_is_down = || Input::Learned {
        source: LOCAL,
        news: vec![Update::down(identity(0, 1)).into()],
    };
    for change in [&moved as &dyn Fn() -> Input, &told_that_it_is_down] {
        seeds(|seed| {
            let mut network = Network::acquainted(seed, 0, 3)?;
            // Nobody is left who could say anything.
            network.kill(1);
            network.kill(2);
            network.input(0, change());
            let silent = |it: &Member| matches!(it.liveness, Liveness::Unreachable(_));
            require(
                network.run_until(SECOND * 20, |it| {
                    [1, 2].iter().all(|at| it.seen(0, *at).is_some_and(silent))
                }),
                "not noticed",
            )
        });
    }
}

#[test]
fn a_renewal_of_a_life_that_is_over_is_buried_with_it() {
    let (now, uuid) = (BootMillis(1_000), identity(1, 1).uuid);
    let renewed = Identity {
        renewal: 1,
        ..identity(1, 1)
    };
    let learned = |life: &Identity| Input::Learned {
        source: LOCAL,
        news: vec![alive_news(2), Update::alive(life.clone()).into()],
    };
    let died = || Input::Ended {
        uuid,
        generation: 1,
        fate: Fate::Died,
    };
    // The news of the renewal comes after that of the end, or before.
    let orders = [
        [learned(&identity(1, 1)), died(), learned(&renewed)],
        [learned(&identity(1, 1)), learned(&renewed), died()],
    ];
    for inputs in orders {
        let mut membership = Membership::new(identity(0, 1), Profile::Machine, 7);
        for input in inputs {
            membership.handle(input, now);
        }
        let told = membership.knowledge(now);
        let told = told.iter().find(|it| it.update.id().uuid == uuid);
        let update = &told.expect("it is told of").update;
        assert_eq!(update.state(), foca::State::Down);
        assert_eq!(update.id().fate, Some(Fate::Died));
        assert_eq!(update.id().renewal, 1, "the renewal itself is down");
        assert!(!membership.members().get(uuid).is_some_and(Member::counts));
    }
}

#[test]
fn whoever_comes_counts_the_silent_as_long_as_the_others_do() {
    seeds(|seed| {
        let mut network = Network::acquainted(seed, 0, 4)?;
        network.kill(3);
        let silent = |it: &Member| matches!(it.liveness, Liveness::Unreachable(_));
        require(
            network.run_until(SECOND * 20, |it| it.all_see(3, silent)),
            "not noticed",
        )?;
        network.run(SECOND * 30);
        network.start(5, 1);
        network.push_pull(5, 0);
        require(
            network.run_until(SECOND, |it| it.seen(5, 3).is_some_and(silent)),
            "5 does not count it",
        )?;
        let since = |by| match network.seen(by, 3).map(|it| it.liveness) {
            Some(Liveness::Unreachable(since)) => since.0,
            _ => 0,
        };
        require(since(0).abs_diff(since(5)) < 50, "not as long")?;
        network.run(DOWN_FORGET - SECOND * 29);
        let counts = |by| network.seen(by, 3).is_some_and(Member::counts);
        require(!counts(0) && !counts(5), "counts for ever")?;
        // Whoever comes now does not count it at all.
        network.start(6, 1);
        network.push_pull(6, 0);
        network.run(SECOND);
        require(network.seen(6, 3).is_none(), "6 counts it")
    });
}

#[test]
fn loss_alone_kills_nobody_for_good() {
    seeds(|seed| {
        let mut network = Network::acquainted(seed, 10, 8)?;
        network.run(120 * SECOND);
        let lost = network.changed(|change| matches!(change, Change::Forgotten(_)));
        require(lost == 0, "somebody was forgotten")?;
        network.loss = 0;
        require(
            network.run_until(30 * SECOND, Network::all_know_all),
            "not whole again",
        )
    });
}

/// Lets `count` nodes run for a while in which datagrams are dropped or paths are closed by
/// `trouble`, and counts who was taken for silent, and who came back with a renewal.
fn silences(seed: u64, count: u16, confirms: bool, trouble: impl Fn(&mut Network)) -> (usize, u64) {
    let mut network = Network::acquainted(seed, 0, count).expect("no datagram is lost");
    network.confirms = confirms;
    trouble(&mut network);
    network.run(120 * SECOND);
    let silences = network.changed(|change| matches!(change, Change::Unreachable(_)));
    let nodes = network.nodes.values();
    let renewals = nodes.map(|node| node.membership.counters().renewals).sum();
    (silences, renewals)
}

#[test]
fn a_network_that_drops_datagrams_kills_nobody() {
    seeds(|seed| {
        for count in [2, 3, 12] {
            let everywhere = |it: &mut Network| it.no_datagrams = (0..count).collect();
            let at_one = |it: &mut Network| it.no_datagrams = BTreeSet::from([1]);
            let quiet = silences(seed, count, true, everywhere) == (0, 0)
                && silences(seed, count, true, at_one) == (0, 0);
            require(quiet, "somebody was taken for silent")?;
            let noticed = silences(seed, count, false, everywhere).0 > 0;
            require(noticed, "the trouble is none")?;
        }
        Ok(())
    });
}

#[test]
fn others_confirm_where_one_path_alone_is_closed() {
    seeds(|seed| {
        // What others could confirm by datagrams is dropped, too.
        let trouble = |it: &mut Network| {
            it.no_datagrams = BTreeSet::from([1]);
            it.no_path = BTreeSet::from([(0, 1), (1, 4)]);
        };
        require(
            silences(seed, 6, true, trouble) == (0, 0),
            "it was declared down",
        )?;
        require(
            silences(seed, 6, false, trouble).0 > 0,
            "the trouble is none",
        )
    });
}

#[test]
fn a_death_is_noticed_no_later_than_without_confirmation() {
    seeds(|seed| {
        let noticed = |confirms: bool| {
            let mut network = Network::joined(seed, 0, 10);
            network.confirms = confirms;
            network.run(10 * SECOND);
            network.kill(4);
            let silent = |it: &Member| matches!(it.liveness, Liveness::Unreachable(_));
            let all = network.run_until(30 * SECOND, |it| it.all_see(4, silent));
            all.then_some(network.now)
        };
        let with = noticed(true);
        require(with.is_some(), "not noticed")?;
        require(with == noticed(false), "it took another time")
    });
}

#[test]
fn a_frozen_process_is_silent_over_streams_as_well() {
    seeds(|seed| {
        let mut network = Network::joined(seed, 0, 5);
        network.run(SECOND);
        network.nodes.get_mut(&2).expect("it runs").frozen = true;
        let silent = |it: &Member| matches!(it.liveness, Liveness::Unreachable(_));
        require(
            network.run_until(10 * SECOND, |it| it.all_see(2, silent)),
            "not noticed",
        )
    });
}

#[test]
fn only_pings_are_passed_on_and_only_once() {
    let mut network = Network::joined(3, 0, 3);
    network.run(SECOND);
    let mut sent = BTreeMap::new();
    for _ in 0..1_000 {
        let now = network.now;
        let node = network.nodes.get_mut(&0).expect("it runs");
        for (to, payload) in node.membership.handle(Input::Tick, now).datagrams {
            sent.insert((number_at(to), payload[0]), payload);
        }
        network.now = now + Duration::from_millis(10);
    }
    let mut check = |tag: u8, relay: bool, expect: usize| {
        let payload = sent[&(2, tag)].clone();
        let node = network.nodes.get_mut(&1).expect("it runs");
        let input = Input::Carried {
            source: LOCAL,
            payload,
            relay,
        };
        let output = node.membership.handle(input, network.now);
        assert_eq!(output.confirmations.len(), expect, "{tag} {relay}");
        assert_eq!((output.answers.len(), output.datagrams.len()), (0, 0));
    };
    const PING: u8 = 0;
    const GOSSIP: u8 = 8;
    check(PING, true, 1);
    check(PING, false, 0);
    check(GOSSIP, true, 0);
}

#[test]
fn a_port_that_changed_hands_is_another_member() {
    let mut network = Network::acquainted(1, 0, 3).expect("no datagram is lost");
    network.kill(1);
    // Another node, on the port that node 1 had.
    let newcomer = Identity {
        gossip: identity(1, 0).gossip,
        ..identity(9, 1)
    };
    let membership = Membership::new(newcomer.clone(), Profile::Machine, 5);
    network.nodes.insert(
        1,
        Node {
            membership,
            frozen: false,
            changes: Vec::new(),
        },
    );
    network.push_pull(1, 0);
    let knows = |network: &Network, by: u16| {
        let members = network.nodes[&by].membership.members();
        let gone = members.get(identity(1, 0).uuid);
        let there = members.get(newcomer.uuid);
        gone.is_some_and(|it| it.liveness != Liveness::Alive)
            && there.is_some_and(|it| it.liveness == Liveness::Alive)
    };
    assert!(network.run_until(10 * SECOND, |it| knows(it, 0) && knows(it, 2)));
}

#[test]
fn any_payload_is_survived() {
    let mut membership = Membership::new(identity(0, 1), Profile::Machine, 1);
    let mut rng = SmallRng::seed_from_u64(1);
    let mut peer = Membership::new(identity(1, 1), Profile::Machine, 2);
    let news = membership.knowledge(BootMillis(2_000));
    peer.handle(
        Input::Learned {
            source: LOCAL,
            news,
        },
        BootMillis(0),
    );
    for now in 0..20_000 {
        let now = BootMillis(now);
        let mut payloads: Vec<Bytes> = vec![];
        if peer.next_deadline().is_some_and(|at| at <= now) {
            let sent = peer.handle(Input::Tick, now).datagrams;
            payloads.extend(sent.into_iter().map(|(_, payload)| payload));
        }
        for payload in payloads {
            let mut broken = payload.to_vec();
            let at = rng.random_range(0..broken.len());
            broken[at] ^= rng.random_range(1..=255);
            for payload in [payload, broken.into()] {
                let source = IpAddr::from([10, 0, 0, rng.random_range(1..5)]);
                membership.handle(Input::Datagram { source, payload }, now);
            }
        }
        if membership.next_deadline().is_some_and(|at| at <= now) {
            membership.handle(Input::Tick, now);
        }
    }
    assert!(membership.members().iter().count() > 0);
}

fn alive_news(number: u16) -> News {
    Update::alive(identity(number, 1)).into()
}

#[test]
fn more_members_than_there_is_room_for_are_not_taken_in() {
    let now = BootMillis(1_000);
    let mut full = Membership::new(identity(0, 1), Profile::Machine, 7);
    let crowd: Vec<News> = (1..=1_100).map(alive_news).collect();
    // At once, and then each in a push of its own.
    let all = std::iter::once(crowd.clone()).chain(crowd.iter().map(|one| vec![one.clone()]));
    for news in all {
        full.handle(
            Input::Learned {
                source: LOCAL,
                news,
            },
            now,
        );
        assert!(full.members().iter().count() <= MAX_MEMBERS);
        assert!(full.knowledge(now).len() <= MAX_MEMBERS + 1);
    }
    assert_eq!(full.members().iter().count(), MAX_MEMBERS);
    assert_eq!(full.knowledge(now).len(), MAX_MEMBERS + 1);
    assert_eq!(full.counters().refused, 2 * (1_100 - MAX_MEMBERS as u64));

    // One that ended makes room, and is told of only after all that live.
    full.handle(
        Input::Ended {
            uuid: identity(1, 1).uuid,
            generation: 1,
            fate: Fate::Died,
        },
        now,
    );
    full.handle(
        Input::Learned {
            source: LOCAL,
            news: vec![alive_news(1_100)],
        },
        now,
    );
    assert!(full.members().get(identity(1_100, 1).uuid).is_some());
    let told = full.knowledge(now);
    assert_eq!(told.len(), MAX_MEMBERS + 1);
    assert!(
        told.iter()
            .all(|news| news.update.state() == foca::State::Alive)
    );
}
