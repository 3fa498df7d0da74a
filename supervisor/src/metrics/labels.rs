//! Names, labels and their escapes.

use std::fmt::{self, Write as _};

/// Whether a text is the name of a metric.
pub(super) fn is_name(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    !text.is_empty() && !text.as_bytes()[0].is_ascii_digit() && text.bytes().all(word)
}

/// Reads labels from behind their opening brace. Gives them, the values with their escapes,
/// and what follows the closing brace.
pub(super) fn read(text: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((labels, behind));
        }
        let (name, behind) = rest.split_once('=')?;
        let value = behind.trim_start().strip_prefix('"')?;
        let end = closing_quote(value)?;
        let name = name.trim();
        is_name(name).then_some(())?;
        labels.push((name.to_owned(), value[..end].to_owned()));
        rest = value[end + 1..].trim_start();
        match rest.strip_prefix(',') {
            Some(behind) => rest = behind.trim_start(),
            None if rest.starts_with('}') => {}
            None => return None,
        }
    }
}

/// Where the quote is that ends a value.
fn closing_quote(value: &str) -> Option<usize> {
    let mut escaped = false;
    value.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// Writes labels in braces; nothing when there are none.
pub(super) fn write(labels: &[(String, String)], to: &mut String) -> fmt::Result {
    for (index, (name, value)) in labels.iter().enumerate() {
        let before = if index == 0 { '{' } else { ',' };
        write!(to, "{before}{name}=\"{value}\"")?;
    }
    if !labels.is_empty() {
        to.push('}');
    }
    Ok(())
}

/// A text as it stands between quotes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            char => escaped.push(char),
        }
    }
    escaped
}

/// The text that was escaped.
pub(super) fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some('n') => plain.push('\n'),
                Some(other @ ('\\' | '"')) => plain.push(other),
                other => {
                    plain.push('\\');
                    plain.extend(other);
                }
            },
            char => plain.push(char),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn escapes_come_back(text in "[a\\\\\"\nn]*") {
            prop_assert_eq!(unescape(&escape(&text)), text.clone());
            let labels = vec![("name".to_owned(), escape(&text))];
            let mut written = String::new();
            write(&labels, &mut written).expect("a string takes everything");
            let read = read(&written[1..]);
            prop_assert_eq!(read, Some((labels, "")));
        }
    }
}
