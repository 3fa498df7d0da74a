//! Who holds which slot, as a person reads it.

use jiff::Timestamp;

use super::span::{millis_between, short_span};
use super::table::{Align, Cell, table};
use super::view::View;
use crate::claims::{Claims, SlotClaim, SlotHolder, Standing};
use crate::style::Colour;

/// The claims for whoever looks at our stdout now.
#[must_use]
pub fn claims(claims: &Claims) -> String {
    claims_at(claims, &View::of_stdout())
}

/// The same for somebody else at another time.
#[must_use]
pub fn claims_at(claims: &Claims, view: &View) -> String {
    let head = [
        ("SLOT", Align::Right),
        ("HTTP", Align::Right),
        ("GOSSIP", Align::Right),
        ("CLAIM", Align::Left),
        ("FOR", Align::Right),
        ("HOLDER", Align::Left),
    ];
    let rows: Vec<_> = claims
        .slots
        .iter()
        .flat_map(|slot| rows(slot, view.now))
        .collect();
    table(head, &rows, view.style, view.width)
}

/// One row for each holder; the numbers stand in the first.
fn rows(slot: &SlotClaim, now: Timestamp) -> Vec<[Cell; 6]> {
    let numbers = [slot.slot, slot.http_port, slot.gossip_port];
    let [first, others] = [numbers.map(|number| number.to_string()), Default::default()];
    let row = |position: usize, [claim, since, holder]: [Cell; 3]| {
        let [slot, http, gossip] = if position == 0 {
            first.clone()
        } else {
            others.clone()
        };
        [
            Cell::new(slot),
            Cell::new(http),
            Cell::new(gossip),
            claim,
            since,
            holder,
        ]
    };
    if slot.holders.is_empty() {
        return vec![row(0, [Cell::new("free"), Cell::new("-"), Cell::new("-")])];
    }
    let holders = slot.holders.iter().enumerate();
    holders
        .map(|(position, holder)| row(position, cells(holder, now)))
        .collect()
}

fn cells(holder: &SlotHolder, now: Timestamp) -> [Cell; 3] {
    let age = |since: Option<Timestamp>| {
        Cell::optional(since.map(|since| short_span(millis_between(since, now))))
    };
    match holder {
        SlotHolder::Ours {
            node,
            standing,
            since,
            ..
        } => [claim(*standing), age(Some(*since)), Cell::new(node)],
        SlotHolder::Peer {
            node,
            uuid,
            host,
            standing,
            since,
        } => {
            let name = node.as_deref().unwrap_or("a node");
            let place = host.map_or("this host".to_owned(), |host| host.to_string());
            let text = format!("{name} of another supervisor on {place}, {uuid}");
            [claim(*standing), age(*since), Cell::new(text)]
        }
        SlotHolder::Stranger {
            socket,
            port,
            pid,
            command,
            ..
        } => {
            let text = format!("{} {port}: pid {pid} ({command})", socket.as_str());
            [
                Cell::coloured("taken", Colour::Red),
                Cell::new("-"),
                Cell::new(text),
            ]
        }
        SlotHolder::Unseen { socket, port, uid } => {
            let process = format!("a process of uid {uid} that we may not see");
            let text = format!("{} {port}: {process}", socket.as_str());
            [
                Cell::coloured("taken", Colour::Red),
                Cell::new("-"),
                Cell::new(text),
            ]
        }
    }
}

fn claim(standing: Standing) -> Cell {
    let colour = match standing {
        Standing::Settled => Colour::Green,
        Standing::Tentative | Standing::Leaving => Colour::Yellow,
    };
    Cell::coloured(standing.as_str(), colour)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use uuid::Uuid;

    use super::*;
    use crate::claims::{CLAIMS_SCHEMA, Scope, Socket};
    use crate::style::Style;

    fn now() -> Timestamp {
        Timestamp::from_second(1_795_176_000).expect("in range")
    }

    fn slot(slot: u16, holders: Vec<SlotHolder>) -> SlotClaim {
        SlotClaim {
            slot,
            http_port: 8081 + slot,
            gossip_port: 9081 + slot,
            holders,
        }
    }

    fn ours(standing: Standing) -> SlotHolder {
        SlotHolder::Ours {
            node: "flux-node-1".to_owned(),
            uuid: Uuid::from_u128(1),
            standing,
            since: now() - SignedDuration::from_secs(42),
        }
    }

    fn peer(node: Option<&str>, host: Option<&str>) -> SlotHolder {
        SlotHolder::Peer {
            node: node.map(str::to_owned),
            uuid: Uuid::from_u128(2),
            host: host.map(|host| host.parse().expect("an address")),
            standing: Standing::Tentative,
            since: None,
        }
    }

    fn everything() -> Claims {
        let stranger = SlotHolder::Stranger {
            socket: Socket::GossipUdp,
            port: 9084,
            pid: 77,
            command: "nc -l".to_owned(),
            uid: 0,
        };
        let unseen = SlotHolder::Unseen {
            socket: Socket::Http,
            port: 8085,
            uid: 33,
        };
        let elsewhere = peer(Some("n"), Some("10.0.0.2"));
        Claims {
            schema: CLAIMS_SCHEMA,
            scope: Scope::Domain,
            domain: "hosts.test".to_owned(),
            slots: vec![
                slot(0, vec![ours(Standing::Leaving), elsewhere]),
                slot(1, vec![ours(Standing::Settled)]),
                slot(2, vec![peer(None, None)]),
                slot(3, vec![stranger]),
                slot(4, vec![unseen]),
                slot(5, vec![]),
            ],
        }
    }

    #[test]
    fn every_kind_of_holder() {
        let view = View {
            now: now(),
            style: Style::Plain,
            width: None,
        };
        let expect = "\
SLOT  HTTP  GOSSIP  CLAIM       FOR  HOLDER
   0  8081    9081  leaving    42 s  flux-node-1
                    tentative     -  n of another supervisor on 10.0.0.2, 00000000-0000-0000-0000-000000000002
   1  8082    9082  settled    42 s  flux-node-1
   2  8083    9083  tentative     -  a node of another supervisor on this host, 00000000-0000-0000-0000-000000000002
   3  8084    9084  taken         -  gossip UDP 9084: pid 77 (nc -l)
   4  8085    9085  taken         -  HTTP 8085: a process of uid 33 that we may not see
   5  8086    9086  free          -  -
";
        assert_eq!(claims_at(&everything(), &view), expect);
    }

    #[test]
    fn as_json() {
        let json = serde_json::to_string(&everything()).expect("plain data");
        let back: Claims = serde_json::from_str(&json).expect("itself");
        assert_eq!(back, everything());
        for part in [
            r#"{"kind":"ours","node":"flux-node-1""#,
            r#""socket":"gossip-udp""#,
        ] {
            assert!(json.contains(part), "{json}");
        }
    }
}
