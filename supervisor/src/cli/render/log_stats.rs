//! The books of the logs, as a person reads them.

use super::table::{Align, Cell, table};
use super::view::View;
use crate::logs::{LineCount, LogStats, NodeLogStats};
use crate::style::Colour;

/// The books for whoever looks at our stdout now.
#[must_use]
pub fn log_stats(stats: &LogStats) -> String {
    log_stats_at(stats, &View::of_stdout())
}

/// The same for somebody else.
#[must_use]
pub fn log_stats_at(stats: &LogStats, view: &View) -> String {
    let head = [
        ("NODE", Align::Left),
        ("READ", Align::Right),
        ("CUT", Align::Right),
        ("FILE", Align::Right),
        ("FILE DROPS", Align::Right),
        ("STDOUT", Align::Right),
        ("STDOUT DROPS", Align::Right),
        ("ROTATED", Align::Right),
        ("DELETED", Align::Right),
    ];
    let rows: Vec<_> = stats.nodes.iter().map(row).collect();
    let mut text = "Lines since the supervisor's start, and files.\n".to_owned();
    text += &table(head, &rows, view.style, view.width);
    if stats.events_dropped > 0 {
        text += &format!(
            "{} events could not be shown on stdout.\n",
            stats.events_dropped
        );
    }
    text
}

fn row(node: &NodeLogStats) -> [Cell; 9] {
    let lines = |count: LineCount| Cell::new(count.lines.to_string());
    let bad = |count: LineCount| match count.lines {
        0 => Cell::new("0"),
        lines => Cell::coloured(lines.to_string(), Colour::Red),
    };
    [
        Cell::new(&node.node),
        lines(node.read),
        lines(node.cut),
        lines(node.file.written),
        bad(node.file.dropped),
        lines(node.stdout.written),
        bad(node.stdout.dropped),
        Cell::new(node.rotations.to_string()),
        Cell::new(node.deleted.files.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{DestinationStats, FileCount, LOG_STATS_SCHEMA};
    use crate::style::Style;

    #[test]
    fn the_books_are_a_table() {
        let count = |lines| LineCount {
            lines,
            bytes: 10 * lines,
        };
        let to = |written, dropped| DestinationStats {
            written: count(written),
            dropped: count(dropped),
        };
        let node = NodeLogStats {
            node: "flux-node-1".to_owned(),
            read: count(1000),
            cut: count(1),
            file: to(990, 10),
            stdout: to(1000, 0),
            rotations: 3,
            deleted: FileCount { files: 2, bytes: 7 },
        };
        let stats = LogStats {
            schema: LOG_STATS_SCHEMA,
            nodes: vec![node],
            events_dropped: 4,
        };
        let view = View {
            now: jiff::Timestamp::UNIX_EPOCH,
            style: Style::Plain,
            width: None,
        };
        let expect = "\
Lines since the supervisor's start, and files.
NODE         READ  CUT  FILE  FILE DROPS  STDOUT  STDOUT DROPS  ROTATED  DELETED
flux-node-1  1000    1   990          10    1000             0        3        2
4 events could not be shown on stdout.
";
        assert_eq!(log_stats_at(&stats, &view), expect);
    }
}
