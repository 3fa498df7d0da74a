//! How events and lines look: text for people, one JSON object per line for machines.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stamp::Stamp;
use crate::event::{Event, Severity};
use crate::style::{Colour, Style};

/// Width of the column with the node's name: nine nodes line up, and ten do nearly.
const NODE_WIDTH: usize = 11;

/// How moments are shown.
#[derive(Clone, Debug)]
pub enum Clock {
    /// As the files have them: RFC 3339 in UTC.
    Utc,
    /// RFC 3339 in this zone.
    Zone(TimeZone),
    /// The time of day in this zone, for somebody who is watching.
    TimeOfDay(TimeZone),
}

impl Clock {
    /// Dates and times in this zone.
    #[must_use]
    pub fn of(zone: TimeZone) -> Self {
        if zone == TimeZone::UTC {
            Self::Utc
        } else {
            Self::Zone(zone)
        }
    }

    /// The moment as text, in milliseconds.
    #[must_use]
    pub fn show(&self, time: Timestamp) -> String {
        match self {
            Self::Utc => Stamp::new(time).as_str().to_owned(),
            Self::Zone(zone) if zone.to_offset(time).is_zero() => Self::Utc.show(time),
            Self::Zone(zone) => time
                .to_zoned(zone.clone())
                .strftime("%Y-%m-%dT%H:%M:%S.%3f%:z")
                .to_string(),
            Self::TimeOfDay(zone) => time
                .to_zoned(zone.clone())
                .strftime("%H:%M:%S.%3f")
                .to_string(),
        }
    }
}

/// An event as a line for people, without the newline: `12:00:00.123 flux-node-2  ready after
/// 12 ms`.
#[must_use]
pub fn event_text(event: &Event, clock: &Clock, style: Style) -> String {
    let time = style.paint(Colour::Dim, &clock.show(event.time));
    let node = event.node.as_deref().unwrap_or("supervisor");
    let text = one_line(&event.kind.to_string()).into_owned();
    let text = match event.kind.severity() {
        Severity::Good => style.paint(Colour::Green, &text),
        Severity::Plain => text,
        Severity::Warning => style.paint(Colour::Yellow, &text),
        Severity::Error => style.paint(Colour::Red, &text),
    };
    format!("{time} {node:NODE_WIDTH$}  {text}")
}

/// An event as a JSON object, without a newline.
#[must_use]
pub fn event_json(event: &Event) -> String {
    // Serialising an event cannot fail: its keys are strings and it holds no floats.
    serde_json::to_string(event).unwrap_or_default()
}

/// A line of a node as a JSON object has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineObject<'a> {
    /// When it was read, RFC 3339 in UTC.
    pub time: Cow<'a, str>,
    /// Which node wrote it.
    pub node: Cow<'a, str>,
    /// What it wrote; bytes that are not UTF-8 are replaced.
    pub line: Cow<'a, str>,
}

/// Appends a line of a node, given without its newline, as a JSON object with one.
pub(crate) fn line_json(node: &str, stamp: Stamp, line: &[u8], out: &mut Vec<u8>) {
    let object = LineObject {
        time: stamp.as_str().into(),
        node: node.into(),
        line: String::from_utf8_lossy(line),
    };
    // Neither the object nor the vector can refuse.
    let _ = serde_json::to_writer(&mut *out, &object);
    out.push(b'\n');
}

/// Text that may come from anywhere, on one line: control characters are escaped.
fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() {
            // Writing to a string cannot fail.
            let _ = write!(out, "{}", char.escape_default());
        } else {
            out.push(char);
        }
    }
    out.into()
}

/// The colour of a node's name, so that neighbours differ.
pub(crate) fn node_colour(index: usize) -> Colour {
    const COLOURS: [Colour; 5] = [
        Colour::Cyan,
        Colour::Yellow,
        Colour::Green,
        Colour::Magenta,
        Colour::Blue,
    ];
    COLOURS[index % COLOURS.len()]
}

#[cfg(test)]
mod tests {
    use jiff::tz::Offset;

    use super::*;
    use crate::event::EventKind;
    use crate::exit::ExitReason;

    fn event(node: Option<&str>, kind: EventKind) -> Event {
        let time = Timestamp::from_millisecond(1_795_176_000_123).expect("in range");
        Event {
            time,
            node: node.map(str::to_owned),
            kind,
        }
    }

    fn zone() -> TimeZone {
        TimeZone::fixed(Offset::constant(2))
    }

    #[test]
    fn events_read_well() {
        let check = |event: &Event, clock: Clock, style: Style, expect: &str| {
            assert_eq!(event_text(event, &clock, style), expect);
        };
        let ready = event(Some("flux-node-2"), EventKind::NodeReady { after_ms: 12 });
        check(
            &ready,
            Clock::TimeOfDay(zone()),
            Style::Plain,
            "14:00:00.123 flux-node-2  ready after 12 ms",
        );
        check(
            &ready,
            Clock::Utc,
            Style::Plain,
            "2026-11-20T12:00:00.123Z flux-node-2  ready after 12 ms",
        );
        check(
            &event(None, EventKind::FleetStarting { node_count: 3 }),
            Clock::Zone(zone()),
            Style::Plain,
            "2026-11-20T14:00:00.123+02:00 supervisor   starting 3 nodes",
        );
        let reason = ExitReason::Signal(9);
        check(
            &event(
                Some("flux-node-10"),
                EventKind::NodeExited {
                    pid: 7,
                    reason,
                    class: crate::exit::ExitClass::Signal,
                    after_ms: 1500,
                },
            ),
            Clock::Utc,
            Style::Coloured,
            "\x1b[2m2026-11-20T12:00:00.123Z\x1b[0m flux-node-10  \
             \x1b[33mpid 7 ended after 1.5 s: SIGKILL\x1b[0m",
        );
        let message = "two\nlines\u{1b}[0m".to_owned();
        check(
            &event(None, EventKind::Warning { message }),
            Clock::TimeOfDay(zone()),
            Style::Plain,
            "14:00:00.123 supervisor   two\\nlines\\u{1b}[0m",
        );
    }

    #[test]
    fn lines_become_objects() {
        let check = |line: &[u8], expect: &str| {
            let mut out = Vec::new();
            let stamp = Stamp::parse(b"2026-11-20T12:00:00.123Z").expect("stamp");
            line_json("flux-node-1", stamp, line, &mut out);
            let text = String::from_utf8(out).expect("UTF-8");
            assert_eq!(text, format!("{expect}\n"));
            let object: LineObject = serde_json::from_str(&text).expect("parses");
            assert_eq!(object.node, "flux-node-1");
        };
        check(
            b"hello \"you\"",
            r#"{"time":"2026-11-20T12:00:00.123Z","node":"flux-node-1","line":"hello \"you\""}"#,
        );
        check(
            b"\xffbin\0",
            "{\"time\":\"2026-11-20T12:00:00.123Z\",\"node\":\"flux-node-1\",\"line\":\"\u{fffd}bin\\u0000\"}",
        );
    }
}
