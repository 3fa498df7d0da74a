//! Text in lines that are no wider than a terminal.

/// Fewer columns than these are not wrapped for: the text would stand on end.
const NARROWEST: usize = 20;

/// A paragraph, broken between words: `first` stands before its first line, and `rest` before
/// every other. Without a width it is one line. A word that is too long gets a line of its
/// own, and is left to the terminal.
pub(super) fn wrapped(first: &str, rest: &str, text: &str, width: Option<usize>) -> String {
    let width = width.map_or(usize::MAX, |width| width.max(NARROWEST));
    let mut out = first.to_owned();
    let mut column = columns(first);
    let mut is_empty = true;
    for word in text.split(' ') {
        let length = columns(word);
        if !is_empty && column + 1 + length > width {
            out.push('\n');
            out.push_str(rest);
            column = columns(rest);
            is_empty = true;
        }
        if !is_empty {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
        is_empty = false;
    }
    out.push('\n');
    out
}

/// Columns that a text takes: its characters without the sequences that colour it.
fn columns(text: &str) -> usize {
    let mut parts = text.split('\x1b');
    let plain = parts.next().unwrap_or_default().chars().count();
    let coloured = parts.map(|part| part.split_once('m').map_or(part, |(_, text)| text));
    plain + coloured.map(|text| text.chars().count()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words() {
        let check = |text: &str, width: Option<usize>, expect: &str| {
            assert_eq!(wrapped("- ", "  ", text, width), expect, "{text:?}");
        };
        check("", Some(20), "- \n");
        check(
            "one two three four five",
            None,
            "- one two three four five\n",
        );
        check(
            "one two three four five six seven",
            Some(20),
            "- one two three four\n  five six seven\n",
        );
        let long = "x".repeat(30);
        check(
            &format!("a {long} b"),
            Some(20),
            &format!("- a\n  {long}\n  b\n"),
        );
        // Colours take no room.
        check(
            "one \x1b[31mtwo three\x1b[0m four",
            Some(20),
            "- one \x1b[31mtwo three\x1b[0m four\n",
        );
        // Narrower than is sensible.
        check("one two three four", Some(3), "- one two three four\n");
    }
}
