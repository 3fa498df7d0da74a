//! `supervisor logs`.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::ops::ControlFlow;

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use repram_config::LogDir;

use super::lines::LineBuffer;
use super::output::{Reader, note, print, print_json};
use super::period::{Period, zone};
use super::{connect, locate, request};
use crate::cli::execute::CommandError;
use crate::cli::{LogsOptions, RotateOptions, code};
use crate::control::ControlClient;
use crate::logs::{
    Clock, History, LineForm, LogQuery, NodeFilter, RotateReport, Stamp, list_nodes, printable,
};
use crate::style::{Colour, Style};

/// Bytes of lines that are written at once.
const PIECE_SIZE: usize = 64 << 10;

/// Shows lines: from the supervisor when one answers, else from its files.
pub(crate) async fn show(options: &LogsOptions) -> Result<u8, CommandError> {
    let span = Period::of(options.since.as_ref(), options.until.as_ref())?;
    let located = locate(&options.place)?;
    let mut text = LineText::of_stdout(Clock::of(zone(options.utc)));
    match located.connect() {
        Ok(client) => from_supervisor(&client, options, span, &mut text).await,
        Err(error) => match &located.log_dir {
            LogDir::Path(dir) if !options.follow => {
                let failed = |source| CommandError::Files {
                    dir: dir.display().to_string(),
                    source,
                };
                let query = query(options, span);
                let history = History::of_directory(dir, &query).map_err(failed)?;
                let known = history.nodes();
                if known.is_empty() {
                    return Err(error.into());
                }
                let mut wanted = query.nodes.names().iter();
                if let Some(node) = wanted.find(|node| !known.contains(node)) {
                    return Err(CommandError::NoSuchNode {
                        node: node.clone(),
                        dir: dir.display().to_string(),
                        known: list_nodes(known),
                    });
                }
                note(&format!(
                    "no supervisor answers; these are the files in {}",
                    dir.display()
                ));
                from_files(&history, &query, options, &mut text).map_err(|error| match error {
                    FilesError::Read(source) => failed(source),
                    FilesError::Output(error) => error,
                })
            }
            LogDir::Off if !options.follow => Err(CommandError::NoFiles(error)),
            _ => Err(error.into()),
        },
    }
}

fn query(options: &LogsOptions, Period { since, until }: Period) -> LogQuery {
    let nodes = NodeFilter::of(options.nodes.iter().map(|node| node.name()));
    LogQuery {
        nodes,
        since,
        until,
        last: options.last(),
    }
}

/// How lines are to be had: people's times are put in later.
fn form(options: &LogsOptions) -> LineForm {
    match (options.raw, options.json) {
        (true, _) => LineForm::Raw,
        (_, true) => LineForm::Json,
        _ => LineForm::Text,
    }
}

async fn from_supervisor(
    client: &ControlClient,
    options: &LogsOptions,
    span: Period,
    text: &mut LineText,
) -> Result<u8, CommandError> {
    let form = form(options);
    let call = call(options, span, form);
    let mut answer = request(client, Method::GET, &call, |_| false).await?;
    let mut buffer = LineBuffer::default();
    let mut reader = Reader::of_stdout();
    while let Some(piece) = reader.next_piece(&mut answer).await? {
        if form == LineForm::Text {
            let mut out = Vec::with_capacity(piece.len() * 2);
            buffer.push(&piece, |line| text.show(line, &mut out));
            print(out)?;
        } else {
            print(piece)?;
        }
    }
    Ok(code::OK)
}

fn call(options: &LogsOptions, span: Period, form: LineForm) -> String {
    let form = match form {
        LineForm::Text => "text",
        LineForm::Raw => "raw",
        LineForm::Json => "json",
    };
    let mut call = format!("/logs?format={form}&follow={}", options.follow);
    let mut add = |name: &str, value: &str| {
        let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
        call.push_str(&format!("&{name}={value}"));
    };
    for node in &options.nodes {
        add("node", &node.name());
    }
    for (name, time) in [("since", span.since), ("until", span.until)] {
        if let Some(time) = time {
            add(name, &time.to_string());
        }
    }
    if let Some(last) = options.last() {
        add("lines", &last.to_string());
    }
    call
}

enum FilesError {
    Read(io::Error),
    Output(CommandError),
}

fn from_files(
    history: &History,
    query: &LogQuery,
    options: &LogsOptions,
    text: &mut LineText,
) -> Result<u8, FilesError> {
    let form = form(options);
    let (mut line_text, mut out) = (Vec::new(), Vec::with_capacity(PIECE_SIZE));
    let mut failed = None;
    let read = history.read(query, |node, stamp, line| {
        if form == LineForm::Text {
            line_text.clear();
            form.write(node, stamp, line, &mut line_text);
            text.show(&line_text[..line_text.len() - 1], &mut out);
        } else {
            form.write(node, stamp, line, &mut out);
        }
        if out.len() >= PIECE_SIZE {
            failed = print(std::mem::take(&mut out)).err();
        }
        if failed.is_some() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    read.map_err(FilesError::Read)?;
    match failed {
        Some(error) => Err(FilesError::Output(error)),
        None => print(out).map(|()| code::OK).map_err(FilesError::Output),
    }
}

/// Lines for people: names in colours, times in a zone.
struct LineText {
    clock: Clock,
    style: Style,
    /// It is looked at as it comes: what could change the terminal is not shown.
    terminal: bool,
    /// The colour of every name, in the order in which they came.
    names: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The last time and how it is shown: many lines share it.
    last: Option<(Stamp, String)>,
}

impl LineText {
    fn new(clock: Clock, style: Style) -> Self {
        Self {
            clock,
            style,
            terminal: false,
            names: BTreeMap::new(),
            last: None,
        }
    }

    /// For whoever looks at our stdout.
    fn of_stdout(clock: Clock) -> Self {
        let stdout = io::stdout();
        Self {
            terminal: stdout.is_terminal(),
            ..Self::new(clock, Style::of(&stdout))
        }
    }

    /// Appends `NAME TIME text`, given without a newline. Another line stays as it is.
    fn show(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let blank = memchr::memchr(b' ', line);
        let parts = blank.and_then(|blank| {
            let (name, rest) = (&line[..blank], &line[blank + 1..]);
            Some((name, Stamp::parse(rest)?, &rest[Stamp::LEN..]))
        });
        match parts {
            None => out.extend_from_slice(line),
            Some((name, stamp, text)) => {
                out.extend_from_slice(self.name(name));
                out.push(b' ');
                out.extend_from_slice(self.time(stamp).as_bytes());
                if self.terminal {
                    printable(text, self.style, out);
                } else {
                    out.extend_from_slice(text);
                }
            }
        }
        out.push(b'\n');
    }

    fn name(&mut self, name: &[u8]) -> &[u8] {
        const COLOURS: [Colour; 5] = [
            Colour::Cyan,
            Colour::Yellow,
            Colour::Green,
            Colour::Magenta,
            Colour::Blue,
        ];
        let colour = COLOURS[self.names.len() % COLOURS.len()];
        let style = self.style;
        self.names.entry(name.to_owned()).or_insert_with(|| {
            style
                .paint(colour, &String::from_utf8_lossy(name))
                .into_bytes()
        })
    }

    fn time(&mut self, stamp: Stamp) -> &str {
        if self.last.as_ref().is_none_or(|(last, _)| *last != stamp) {
            let shown = match stamp.timestamp() {
                Some(time) => self.clock.show(time),
                None => stamp.as_str().to_owned(),
            };
            self.last = Some((stamp, shown));
        }
        self.last.as_ref().map_or("", |(_, shown)| shown)
    }
}

/// Begins new log files.
pub(crate) async fn rotate(options: &RotateOptions) -> Result<u8, CommandError> {
    let client = connect(&options.place)?;
    let answer = request(&client, Method::POST, "/logs/rotate", |_| false).await?;
    let report: RotateReport = answer.json().await?;
    if options.json {
        print_json(&report)?;
    } else {
        print(rotated_text(&report))?;
    }
    Ok(if report.failed.is_empty() {
        code::OK
    } else {
        code::FAILED
    })
}

fn rotated_text(report: &RotateReport) -> String {
    let mut text = match report.rotated.as_slice() {
        [] => "nothing to rotate\n".to_owned(),
        nodes => format!("rotated {}\n", nodes.join(", ")),
    };
    for (node, error) in &report.failed {
        text.push_str(&format!("could not rotate the log of {node}: {error}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use jiff::tz::Offset;

    use super::*;
    use crate::fleet::NodeIndex;

    #[test]
    fn times_are_shown_in_a_zone() {
        let check = |line: &str, expect: &str| {
            let clock = Clock::Zone(jiff::tz::TimeZone::fixed(Offset::constant(1)));
            let mut out = Vec::new();
            LineText::new(clock, Style::Plain).show(line.as_bytes(), &mut out);
            assert_eq!(
                String::from_utf8(out).expect("UTF-8"),
                format!("{expect}\n")
            );
        };
        check(
            "flux-node-1 2026-11-20T12:00:00.123Z some text",
            "flux-node-1 2026-11-20T13:00:00.123+01:00 some text",
        );
        check(
            "flux-node-1 2026-11-20T12:00:00.123Z ",
            "flux-node-1 2026-11-20T13:00:00.123+01:00 ",
        );
        check(
            "flux-node-1 2026-99-20T12:00:00.123Z x",
            "flux-node-1 2026-99-20T12:00:00.123Z x",
        );
        check("something else", "something else");
        check("", "");
    }

    #[test]
    fn names_get_colours_of_their_own() {
        let mut text = LineText::new(Clock::Utc, Style::Coloured);
        let mut out = Vec::new();
        for name in ["a", "b", "a"] {
            text.show(
                format!("{name} 2026-11-20T12:00:00.123Z x").as_bytes(),
                &mut out,
            );
        }
        let out = String::from_utf8(out).expect("UTF-8");
        let names: Vec<&str> = out
            .lines()
            .filter_map(|line| line.split(' ').next())
            .collect();
        assert_eq!(names[0], names[2]);
        assert_ne!(names[0].replace('a', ""), names[1].replace('b', ""));
    }

    #[test]
    fn options_become_a_call() {
        let options = LogsOptions {
            follow: true,
            nodes: vec![NodeIndex(0), NodeIndex(2)],
            ..LogsOptions::default()
        };
        let span = Period {
            since: Some("2026-11-20T12:00:00Z".parse().expect("time")),
            until: None,
        };
        assert_eq!(
            call(&options, span, LineForm::Raw),
            "/logs?format=raw&follow=true&node=flux%2Dnode%2D1&node=flux%2Dnode%2D3\
             &since=2026%2D11%2D20T12%3A00%3A00Z&lines=10"
        );
    }

    #[test]
    fn what_was_rotated_is_told() {
        let report = |rotated: &[&str], failed: &[(&str, &str)]| RotateReport {
            rotated: rotated.iter().map(|node| (*node).to_owned()).collect(),
            failed: failed
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect(),
        };
        let check = |report: &RotateReport, expect: &str| assert_eq!(rotated_text(report), expect);
        check(&report(&[], &[]), "nothing to rotate\n");
        check(&report(&["a", "b"], &[]), "rotated a, b\n");
        check(
            &report(&["a"], &[("b", "disk full")]),
            "rotated a\ncould not rotate the log of b: disk full\n",
        );
    }
}
