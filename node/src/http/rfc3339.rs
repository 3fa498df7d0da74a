//! Times as RFC 3339 writes them, on the hot path.

const MILLIS_PER_DAY: u64 = 86_400_000;

/// The last millisecond of the year 9999, beyond which the format does not go.
const LAST: u64 = 253_402_300_799_999;

/// Appends a time in milliseconds since the Unix epoch, in UTC: `2026-11-20T23:42:31.007Z`.
/// Later times than the format knows become the last one it does.
///
/// The date is found as in Howard Hinnant, "chrono-compatible low-level date algorithms",
/// `civil_from_days`: years are counted from March, so that the leap day is the last.
pub(super) fn write(unix_ms: u64, to: &mut Vec<u8>) {
    let unix_ms = unix_ms.min(LAST);
    let (day, in_day) = (unix_ms / MILLIS_PER_DAY, unix_ms % MILLIS_PER_DAY);
    // Days from 0000-03-01, of which 146,097 are an era of 400 years.
    let day = day + 719_468;
    let (era, in_era) = (day / 146_097, day % 146_097);
    let year_of_era = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * in_year + 2) / 153;
    let day_of_month = in_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);

    digits::<4>(year, b'-', to);
    digits::<2>(month, b'-', to);
    digits::<2>(day_of_month, b'T', to);
    digits::<2>(in_day / 3_600_000, b':', to);
    digits::<2>(in_day / 60_000 % 60, b':', to);
    digits::<2>(in_day / 1000 % 60, b'.', to);
    digits::<3>(in_day % 1000, b'Z', to);
}

fn digits<const N: usize>(number: u64, after: u8, to: &mut Vec<u8>) {
    let mut text = [0; N];
    let mut rest = number;
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    to.extend_from_slice(&text);
    to.push(after);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(unix_ms: u64) {
        let mut text = Vec::new();
        write(unix_ms, &mut text);
        let millis = i64::try_from(unix_ms).expect("in range");
        let time = jiff::Timestamp::from_millisecond(millis).expect("in range");
        assert_eq!(text, format!("{time:.3}").as_bytes());
    }

    #[test]
    fn edges() {
        for unix_ms in [
            0,
            951_782_399_999,
            951_782_400_000,
            1_709_164_800_000,
            4_107_542_400_000,
        ] {
            check(unix_ms);
        }
        let mut text = Vec::new();
        write(u64::MAX, &mut text);
        assert_eq!(text, b"9999-12-31T23:59:59.999Z");
    }

    proptest! {
        #[test]
        fn agrees_with_jiff(unix_ms in 0..253_402_200_000_000u64) {
            check(unix_ms);
        }
    }
}
