//! `supervisor events`.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::lines::LineBuffer;
use super::output::{Reader, print};
use super::period::{Period, zone};
use super::{connect, request};
use crate::cli::execute::CommandError;
use crate::cli::{EventsOptions, code};
use crate::event::Event;
use crate::logs::{Clock, event_text};
use crate::style::Style;

/// Shows events.
pub(crate) async fn show(options: &EventsOptions) -> Result<u8, CommandError> {
    let period = Period::of(options.since.as_ref(), options.until.as_ref())?;
    let client = connect(&options.place)?;
    let call = call(options, period);
    let mut answer = request(&client, Method::GET, &call, |_| false).await?;
    let clock = Clock::of(zone(options.utc));
    let style = Style::of(&std::io::stdout());
    let mut buffer = LineBuffer::default();
    let mut reader = Reader::of_stdout();
    while let Some(piece) = reader.next_piece(&mut answer).await? {
        if options.json {
            print(piece)?;
        } else {
            let mut text = String::new();
            buffer.push(&piece, |line| text += &show_event(line, &clock, style));
            print(text)?;
        }
    }
    Ok(code::OK)
}

fn call(options: &EventsOptions, period: Period) -> String {
    let mut call = format!("/events?follow={}", options.follow);
    let nodes = options.nodes.iter().map(|node| ("node", node.name()));
    let Period { since, until } = period;
    let times = [("since", since), ("until", until)];
    let times = times.into_iter();
    let times = times.filter_map(|(name, time)| Some((name, time?.to_string())));
    for (name, value) in nodes.chain(times) {
        let value = utf8_percent_encode(&value, NON_ALPHANUMERIC);
        call.push_str(&format!("&{name}={value}"));
    }
    call
}

/// An event that came as a JSON line, for people. One of a kind that we do not know, from a
/// newer supervisor, is shown as it came.
pub(crate) fn show_event(line: &[u8], clock: &Clock, style: Style) -> String {
    match serde_json::from_slice::<Event>(line) {
        Ok(event) => event_text(&event, clock, style) + "\n",
        Err(_) => String::from_utf8_lossy(line).into_owned() + "\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::NodeIndex;

    #[test]
    fn options_become_a_call() {
        let options = EventsOptions {
            follow: true,
            nodes: vec![NodeIndex(1)],
            ..EventsOptions::default()
        };
        let period = Period {
            since: Some(jiff::Timestamp::UNIX_EPOCH),
            until: None,
        };
        assert_eq!(
            call(&options, period),
            "/events?follow=true&node=flux%2Dnode%2D2&since=1970%2D01%2D01T00%3A00%3A00Z"
        );
    }
}
