use std::fmt::Write as _;
use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::{
    Claim, Claims, Config, Input, Jitter, Message, Newcomer, Output, Recipient, Scope, Stamp,
    Standing, Timer,
};

/// No chance: every pause is as long as it may be.
#[derive(Clone, Debug)]
struct Longest;

impl Jitter for Longest {
    fn between(&mut self, _: Duration, longest: Duration) -> Duration {
        longest
    }
}

fn uuid(number: &str) -> Uuid {
    Uuid::from_u128(number.parse().expect("a number"))
}

fn number(uuid: Uuid) -> u128 {
    uuid.as_u128()
}

fn slot(text: &str) -> u16 {
    text.parse().expect("a slot")
}

fn stamp(text: &str) -> Stamp {
    let (incarnation, sequence) = text.split_once('.').expect("incarnation.sequence");
    Stamp {
        incarnation: incarnation.parse().expect("a number"),
        sequence: sequence.parse().expect("a number"),
    }
}

/// `join 1 2@7`: claimant 1, and claimant 2 that remembers slot 7. A claim is heard as
/// `hear CLAIMANT SLOT STANDING INCARNATION.SEQUENCE`.
fn parse(line: &str) -> Input {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["join", ref newcomers @ ..] => {
            let newcomers = newcomers.iter().map(|text| {
                let (number, last) = text.split_once('@').unzip();
                Newcomer {
                    uuid: uuid(number.unwrap_or(text)),
                    last_slot: last.map(slot),
                    start: 0,
                }
            });
            Input::Join(newcomers.collect())
        }
        ["leave", who] => Input::Leave(uuid(who)),
        ["bound", at] => Input::Bound(slot(at)),
        ["taken", at] => Input::Taken(slot(at)),
        ["vacated", who, at] => Input::Vacated {
            uuid: uuid(who),
            slot: slot(at),
        },
        ["hear", who, "left", age] => Input::Received(Message::Leave {
            uuid: uuid(who),
            stamp: stamp(age),
        }),
        ["hear", who, at, standing, age] => Input::Received(Message::Announce(Claim {
            uuid: uuid(who),
            slot: slot(at),
            standing: match standing {
                "settled" => Standing::Settled,
                "tentative" => Standing::Tentative,
                other => panic!("no standing: {other}"),
            },
            stamp: stamp(age),
        })),
        ["tick"] => Input::Tick,
        _ => panic!("not understood: {line}"),
    }
}

fn render_claim(claim: &Claim) -> String {
    let standing = match claim.standing {
        Standing::Settled => "settled",
        Standing::Tentative => "tentative",
    };
    let Stamp {
        incarnation,
        sequence,
    } = claim.stamp;
    let who = number(claim.uuid);
    format!("{who} {} {standing} {incarnation}.{sequence}", claim.slot)
}

fn render(output: &Output) -> String {
    match output {
        Output::Bind { uuid, slot } => format!("bind {slot} for {}", number(*uuid)),
        Output::Release { slot } => format!("release {slot}"),
        Output::Tentative { uuid, slot } => format!("tentative {} {slot}", number(*uuid)),
        Output::Settled { uuid, slot } => format!("settled {} {slot}", number(*uuid)),
        Output::Yield { uuid, slot, until } => {
            format!("yield {} {slot} until {}", number(*uuid), until.as_millis())
        }
        Output::NoPort { uuid } => format!("no port {}", number(*uuid)),
        Output::Send { to, message } => match (to, message) {
            (Recipient::Everyone, Message::Announce(claim)) => {
                format!("announce {}", render_claim(claim))
            }
            (Recipient::Claimant(to), Message::Conflict(claim)) => {
                format!("tell {} {}", number(*to), render_claim(claim))
            }
            (Recipient::Everyone, Message::Leave { uuid, stamp }) => {
                let Stamp {
                    incarnation,
                    sequence,
                } = stamp;
                format!("say {} left {incarnation}.{sequence}", number(*uuid))
            }
            other => panic!("never said: {other:?}"),
        },
    }
}

/// A script: lines that start with a time in milliseconds are inputs, what stands below
/// each are the expected outputs.
fn check(scope: Scope, slots: u16, script: &str) {
    let config = Config {
        scope,
        slots,
        incarnation: 1,
    };
    let mut core = Claims::new(config, Longest);
    let mut found = String::new();
    let mut expect = String::new();
    for line in script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        writeln!(expect, "{line}").expect("a string");
        let (first, rest) = line.split_once(' ').expect("two words");
        let Ok(now) = first.parse() else { continue };
        writeln!(found, "{line}").expect("a string");
        for output in core.handle(parse(rest), Duration::from_millis(now)) {
            writeln!(found, "{}", render(&output)).expect("a string");
        }
    }
    assert_eq!(found, expect, "found is left, expected is right:\n{found}");
}

#[test]
fn on_a_host_slots_are_tried_upwards_and_the_first_bind_wins() {
    check(
        Scope::Host,
        3,
        "0 join 1 2
           bind 0 for 1
         0 taken 0
           bind 1 for 1
         0 bound 1
           settled 1 1
           bind 0 for 2
         0 taken 0
           bind 2 for 2
         0 bound 2
           settled 2 2",
    );
}

#[test]
fn who_remembers_a_slot_is_asked_for_first() {
    check(
        Scope::Host,
        3,
        "0 join 1 2@0
           bind 0 for 2
         0 bound 0
           settled 2 0
           bind 1 for 1
         0 bound 1
           settled 1 1",
    );
}

#[test]
fn the_second_pass_and_the_retry() {
    check(
        Scope::Host,
        2,
        "0 join 1
           bind 0 for 1
         0 taken 0
           bind 1 for 1
         0 taken 1
         149 tick
         150 tick
           bind 0 for 1
         150 taken 0
           bind 1 for 1
         150 taken 1
           no port 1
         5149 tick
         5150 tick
           bind 0 for 1
         5150 bound 0
           settled 1 0",
    );
}

#[test]
fn in_a_domain_a_claim_is_repeated_until_it_is_settled_and_refreshed_then() {
    check(
        Scope::Domain,
        2,
        "0 join 5
           bind 0 for 5
         10 bound 0
           tentative 5 0
           announce 5 0 tentative 1.1
         209 tick
         210 tick
           announce 5 0 tentative 1.1
         410 tick
           announce 5 0 tentative 1.1
         2009 tick
           announce 5 0 tentative 1.1
         2010 tick
           settled 5 0
           announce 5 0 settled 1.2
         7009 tick
         7010 tick
           announce 5 0 settled 1.2",
    );
}

#[test]
fn a_tentative_claim_against_others() {
    fn check_against(heard: &str, expect: &str) {
        check(
            Scope::Domain,
            2,
            &format!(
                "0 join 5
                   bind 0 for 5
                 0 bound 0
                   tentative 5 0
                   announce 5 0 tentative 1.1
                 1 hear {heard}
                   {expect}"
            ),
        );
    }
    check_against("4 0 tentative 1.1", "release 0\nbind 1 for 5");
    check_against("4 0 settled 1.1", "release 0\nbind 1 for 5");
    check_against("6 0 settled 1.1", "release 0\nbind 1 for 5");
    check_against("6 0 tentative 1.1", "tell 6 5 0 tentative 1.1");
    check_against("4 1 settled 1.1", "");
    check_against("5 0 settled 9.9", "");
}

#[test]
fn a_settled_claim_against_others() {
    fn check_against(heard: &str, expect: &str) {
        check(
            Scope::Domain,
            2,
            &format!(
                "0 join 5
                   bind 0 for 5
                 0 bound 0
                   tentative 5 0
                   announce 5 0 tentative 1.1
                 2000 tick
                   announce 5 0 tentative 1.1
                   settled 5 0
                   announce 5 0 settled 1.2
                 2001 hear {heard}
                   {expect}"
            ),
        );
    }
    check_against("4 0 tentative 1.1", "tell 4 5 0 settled 1.2");
    check_against("6 0 tentative 1.1", "tell 6 5 0 settled 1.2");
    check_against("6 0 settled 1.1", "tell 6 5 0 settled 1.2");
    check_against(
        "4 0 settled 1.1",
        "yield 5 0 until 32001
         bind 1 for 5",
    );
}

const SETTLED_ON_0: &str = "
    0 join 5
      bind 0 for 5
    0 bound 0
      tentative 5 0
      announce 5 0 tentative 1.1
    2000 tick
      settled 5 0
      announce 5 0 settled 1.2";

/// After [`SETTLED_ON_0`] without the repetitions.
fn check_settled(slots: u16, script: &str) {
    let quiet = SETTLED_ON_0.replace("2000 tick", "2000 tick\nannounce 5 0 tentative 1.1");
    check(Scope::Domain, slots, &format!("{quiet}\n{script}"));
}

#[test]
fn a_move_claims_first_and_lets_go_of_the_old_slot_last() {
    check_settled(
        2,
        "3000 hear 4 0 settled 1.1
           yield 5 0 until 33000
           bind 1 for 5
         3000 bound 1
           tentative 5 1
           announce 5 1 tentative 1.3
         5000 tick
           announce 5 1 tentative 1.3
           settled 5 1
           announce 5 1 settled 1.4
         9000 vacated 5 0
           release 0
         33000 tick
           announce 5 1 settled 1.4",
    );
}

#[test]
fn a_move_that_takes_too_long_is_cut_off() {
    check_settled(
        2,
        "3000 hear 4 0 settled 1.1
           yield 5 0 until 33000
           bind 1 for 5
         3000 bound 1
           tentative 5 1
           announce 5 1 tentative 1.3
         5000 tick
           announce 5 1 tentative 1.3
           settled 5 1
           announce 5 1 settled 1.4
         33000 tick
           announce 5 1 settled 1.4
           release 0
         33001 vacated 5 0",
    );
}

#[test]
fn a_move_without_a_free_slot_ends_without_a_port() {
    check_settled(
        2,
        "3000 hear 4 0 settled 1.1
           yield 5 0 until 33000
           bind 1 for 5
         3000 taken 1
           say 5 left 1.3
         3150 tick
           bind 1 for 5
         3150 taken 1
           no port 5
         4000 vacated 5 0
           release 0
         8150 tick
           bind 1 for 5
         8150 bound 1
           tentative 5 1
           announce 5 1 tentative 1.4",
    );
}

#[test]
fn who_loses_the_new_slot_as_well_goes_on() {
    check_settled(
        3,
        "3000 hear 4 0 settled 1.1
           yield 5 0 until 33000
           bind 1 for 5
         3000 bound 1
           tentative 5 1
           announce 5 1 tentative 1.3
         3001 hear 3 1 tentative 1.1
           release 1
           bind 2 for 5",
    );
}

/// The node still drains there, also when whoever had the stronger claim has left.
#[test]
fn nobody_gets_a_slot_that_a_sibling_is_leaving() {
    check_settled(
        3,
        "3000 hear 4 0 settled 1.1
           yield 5 0 until 33000
           bind 1 for 5
         3000 bound 1
           tentative 5 1
           announce 5 1 tentative 1.3
         3001 hear 4 left 1.2
         3002 join 9@0
           bind 2 for 9
         3002 taken 2
         3100 vacated 5 0
           release 0
         3152 tick
           bind 0 for 9",
    );
}

#[test]
fn who_leaves_lets_go_of_everything_and_says_so() {
    check_settled(
        2,
        "3000 hear 4 0 settled 1.1
           yield 5 0 until 33000
           bind 1 for 5
         3000 bound 1
           tentative 5 1
           announce 5 1 tentative 1.3
         3001 leave 5
           release 1
           release 0
           say 5 left 1.4
         3002 hear 5 1 tentative 1.3
         3003 join 6
           bind 1 for 6",
    );
}

#[test]
fn slots_of_stronger_claims_are_not_tried() {
    check(
        Scope::Domain,
        4,
        "0 hear 1 0 tentative 1.1
         0 hear 9 1 settled 1.1
         0 hear 8 2 tentative 1.1
         0 join 5
           bind 2 for 5",
    );
}

/// Whoever held it has lost it to somebody stronger; the second pass is soon enough.
#[test]
fn nobody_returns_to_a_slot_that_refused_it() {
    check(
        Scope::Domain,
        3,
        "0 join 5
           bind 0 for 5
         0 bound 0
           tentative 5 0
           announce 5 0 tentative 1.1
         1 hear 3 0 tentative 1.1
           release 0
           bind 1 for 5
         1 bound 1
           tentative 5 1
           announce 5 1 tentative 1.2
         2 hear 3 2 tentative 1.2
         3 hear 4 1 tentative 1.1
           release 1
           say 5 left 1.3
         153 tick
           bind 0 for 5",
    );
}

#[test]
fn a_claim_that_is_not_repeated_expires() {
    check(
        Scope::Domain,
        1,
        "0 hear 1 0 settled 1.1
         5000 hear 1 0 settled 1.1
         24999 tick
         24999 join 5@0
         25000 tick
         25149 tick
           bind 0 for 5",
    );
}

#[test]
fn a_slot_is_free_when_its_owner_left_and_older_statements_do_not_count() {
    check(
        Scope::Domain,
        1,
        "0 hear 1 0 settled 1.2
         0 hear 1 left 1.3
         0 hear 1 0 tentative 1.1
         0 join 5
           bind 0 for 5",
    );
}

#[test]
fn who_returns_speaks_for_itself_again() {
    check(
        Scope::Domain,
        2,
        "0 hear 1 0 settled 1.2
         0 hear 1 1 tentative 2.1
         0 hear 1 0 settled 1.2
         0 join 5@1
           bind 0 for 5",
    );
}

#[test]
fn siblings_pass_slots_on_without_letting_go() {
    check(
        Scope::Domain,
        2,
        "0 join 7@0
           bind 0 for 7
         0 bound 0
           tentative 7 0
           announce 7 0 tentative 1.1
         1 join 5
           tentative 5 0
           announce 5 0 tentative 1.2
           bind 1 for 7
         1 bound 1
           tentative 7 1
           announce 7 1 tentative 1.3",
    );
}

#[test]
fn news_between_the_bind_and_its_answer() {
    check(
        Scope::Domain,
        2,
        "0 join 5
           bind 0 for 5
         0 hear 1 0 tentative 1.1
         0 bound 0
           release 0
           bind 1 for 5
         0 leave 5
         0 bound 1
           release 1",
    );
}

fn any_input() -> impl Strategy<Value = Input> {
    let uuid = || (0u128..6).prop_map(Uuid::from_u128);
    let stamp = || {
        (0u64..3, 0u64..6).prop_map(|(incarnation, sequence)| Stamp {
            incarnation,
            sequence,
        })
    };
    let standing = prop_oneof![Just(Standing::Settled), Just(Standing::Tentative)];
    let claim =
        (uuid(), 0u16..6, standing, stamp()).prop_map(|(uuid, slot, standing, stamp)| Claim {
            uuid,
            slot,
            standing,
            stamp,
        });
    prop_oneof![
        (uuid(), prop::option::of(0u16..6), 0u16..6).prop_map(|(uuid, last_slot, start)| {
            Input::Join(vec![Newcomer {
                uuid,
                last_slot,
                start,
            }])
        }),
        uuid().prop_map(Input::Leave),
        (uuid(), 0u16..4).prop_map(|(uuid, slot)| Input::Vacated { uuid, slot }),
        (uuid(), stamp()).prop_map(|(uuid, stamp)| Input::Received(Message::Leave { uuid, stamp })),
        claim.prop_map(|claim| Input::Received(Message::Announce(claim))),
        Just(Input::Tick),
    ]
}

proptest! {
    /// Whatever happens, and however late the kernel's answers come.
    #[test]
    fn nothing_that_comes_in_breaks_the_core(
        scope in prop_oneof![Just(Scope::Host), Just(Scope::Domain)],
        steps in prop::collection::vec((any_input(), any::<bool>(), any::<bool>(), 0u64..4000), 0..100),
    ) {
        let config = Config { scope, slots: 4, incarnation: 1 };
        let mut core = Claims::new(config, Longest);
        let mut now = Duration::ZERO;
        let mut asked = None;
        let mut held = std::collections::BTreeSet::new();
        for (input, answer, free, pause) in steps {
            now += Duration::from_millis(pause);
            let joins_again = match &input {
                Input::Join(newcomers) => core.stage(newcomers[0].uuid).is_some(),
                _ => false,
            };
            let mut outputs = Vec::new();
            if !joins_again {
                outputs.extend(core.handle(input, now));
            }
            if let Some(slot) = asked.or(bind_in(&outputs)).filter(|_| answer) {
                for output in std::mem::take(&mut outputs) {
                    note(&output, &mut held);
                }
                asked = None;
                let input = if free { Input::Bound(slot) } else { Input::Taken(slot) };
                if free {
                    prop_assert!(held.insert(slot), "bound twice");
                }
                outputs = core.handle(input, now);
            }
            asked = asked.or(bind_in(&outputs));
            for output in &outputs {
                note(output, &mut held);
            }
            let claimed = core.stages().filter_map(|(_, stage)| stage.held());
            let leaving = core.leaving().map(|(_, slot, _)| slot);
            let mut used: Vec<u16> = claimed.map(|(slot, _)| slot).chain(leaving).collect();
            used.sort_unstable();
            prop_assert!(used.iter().eq(&held), "{used:?} are used, {held:?} are held");
        }
        drop(core.handle(Input::Tick, now));
        prop_assert!(core.next_deadline().is_none_or(|at| at > now), "a timer did not ring");
        let timers: Vec<Timer> = core.timers().map(|(_, timer)| timer).collect();
        for timer in timers {
            if core.timers().any(|(_, armed)| armed == timer) {
                drop(core.ring(timer, now));
            }
        }
    }
}

fn bind_in(outputs: &[Output]) -> Option<u16> {
    outputs.iter().find_map(|output| match output {
        Output::Bind { slot, .. } => Some(*slot),
        _ => None,
    })
}

fn note(output: &Output, held: &mut std::collections::BTreeSet<u16>) {
    if let Output::Release { slot } = output {
        assert!(held.remove(slot), "slot {slot} is not held");
    }
}
