//! Lines of nodes on a terminal: text and colours, and nothing that moves the cursor, changes
//! the terminal or rings its bell.

use std::fmt::Write as _;

use crate::style::Style;

/// Ends all colours.
const RESET: &str = "\x1b[0m";

/// Appends a line, given without its newline. Control characters and bytes that are not UTF-8
/// are shown as escapes, and a carriage return at the end of the line not at all. Colours stay
/// where `style` has some, and end with the line.
pub(crate) fn printable(line: &[u8], style: Style, out: &mut Vec<u8>) {
    if line.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        out.extend_from_slice(line);
        return;
    }
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut text = String::with_capacity(line.len());
    let mut colours = false;
    for chunk in line.utf8_chunks() {
        colours |= valid(chunk.valid(), style, &mut text);
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    if colours {
        text.push_str(RESET);
    }
    out.extend_from_slice(text.as_bytes());
}

/// Appends text; whether there were colours in it.
fn valid(mut rest: &str, style: Style, text: &mut String) -> bool {
    let mut colours = false;
    while let Some(char) = rest.chars().next() {
        if let Some(length) = colour_length(rest) {
            if style == Style::Coloured {
                text.push_str(&rest[..length]);
                colours = true;
            }
            rest = &rest[length..];
            continue;
        }
        if char.is_control() && char != '\t' {
            text.extend(char.escape_default());
        } else {
            text.push(char);
        }
        rest = &rest[char.len_utf8()..];
    }
    colours
}

/// The length of the sequence at the beginning of `text` that sets colours and the like: SGR,
/// `ESC [ 1 ; 31 m` (ECMA-48, 8.3.117).
fn colour_length(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\x1b[")?;
    let end = parameters.find(|char: char| !matches!(char, '0'..='9' | ';' | ':'))?;
    parameters[end..]
        .starts_with('m')
        .then_some("\x1b[".len() + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_text_and_colours_reaches_a_terminal() {
        let check = |line: &[u8], expect: &str| {
            let mut out = Vec::new();
            printable(line, Style::Coloured, &mut out);
            assert_eq!(String::from_utf8(out).expect("UTF-8"), expect);
        };
        check(b"", "");
        check(b"plain text ~", "plain text ~");
        check("gr\u{fc}n \t\u{1f680}".as_bytes(), "gr\u{fc}n \t\u{1f680}");
        check(b"dos\r", "dos");
        check(b"50 %\r100 %", "50 %\\r100 %");
        check(b"\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m\x1b[0m");
        check(b"\x1b[2J\x07\x00", "\\u{1b}[2J\\u{7}\\u{0}");
        check(b"\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}");
        check(b"\x1b[31", "\\u{1b}[31");
        check(b"\xff\xc3(", "\\xff\\xc3(");
        check("\u{9b}2J".as_bytes(), "\\u{9b}2J");
    }

    #[test]
    fn who_wants_no_colours_gets_none() {
        let mut out = Vec::new();
        printable(b"a \x1b[31mred\x1b[m line", Style::Plain, &mut out);
        assert_eq!(out, b"a red line");
    }
}
