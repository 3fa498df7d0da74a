//! Keys in paths.

use bytes::Bytes;

use super::bounds::KEY_MAX;

/// Why a path segment is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is nothing after the slash.
    #[error("the key is empty; give 1 to {KEY_MAX} bytes after the last slash")]
    Empty,
    /// It has too many bytes.
    #[error("the key has {0} bytes after percent-decoding; {KEY_MAX} are allowed")]
    TooLong(usize),
    /// There is a slash in it.
    #[error("the key is one path segment; write a slash in it as %2F")]
    Slash,
    /// A percent sign is not followed by two hexadecimal digits.
    #[error("a percent sign must be followed by two hexadecimal digits; write %25 for itself")]
    Percent,
    /// The bytes are not text.
    #[error("the key is not UTF-8 after percent-decoding")]
    NotUtf8,
}

/// The key in a path segment as it came.
///
/// # Errors
/// When it is none; the answer is 400.
pub fn decode(segment: &str) -> Result<Bytes, KeyError> {
    if segment.contains('/') {
        return Err(KeyError::Slash);
    }
    let key = percent_decode(segment.as_bytes(), false).ok_or(KeyError::Percent)?;
    if key.is_empty() {
        return Err(KeyError::Empty);
    }
    if key.len() > KEY_MAX {
        return Err(KeyError::TooLong(key.len()));
    }
    if std::str::from_utf8(&key).is_err() {
        return Err(KeyError::NotUtf8);
    }
    Ok(Bytes::from(key))
}

/// Percent-decoding that refuses what is none, unlike the URL standard's, which would let
/// two spellings of one broken path be two keys. In a query a plus is a blank.
pub(super) fn percent_decode(text: &[u8], plus_is_blank: bool) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => (hex_digit(*bytes.next()?)? << 4) | hex_digit(*bytes.next()?)?,
            b'+' if plus_is_blank => b' ',
            _ => byte,
        });
    }
    Some(decoded)
}

pub(super) fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(segment: &str, expect: Result<&[u8], KeyError>) {
        assert_eq!(
            decode(segment).as_deref(),
            expect.as_ref().copied(),
            "{segment:.40}"
        );
    }

    #[test]
    fn segments_become_keys_or_say_why_not() {
        check("a", Ok(b"a"));
        check("a%2Fb", Ok(b"a/b"));
        check("%00", Ok(b"\0"));
        check("a+b%20c", Ok(b"a+b c"));
        check("%C3%A4%e2%82%ac", Ok("\u{e4}\u{20ac}".as_bytes()));
        check("%", Err(KeyError::Percent));
        check("%4", Err(KeyError::Percent));
        check("%zz", Err(KeyError::Percent));
        check("%+1", Err(KeyError::Percent));
        check("", Err(KeyError::Empty));
        check("a/b", Err(KeyError::Slash));
        check("%ff", Err(KeyError::NotUtf8));
        check(&"%41".repeat(KEY_MAX), Ok(&[b'A'; KEY_MAX]));
        check(
            &"k".repeat(KEY_MAX + 1),
            Err(KeyError::TooLong(KEY_MAX + 1)),
        );
    }
}
