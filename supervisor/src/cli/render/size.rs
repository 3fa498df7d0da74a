//! Amounts in narrow columns.

/// Bytes in the largest unit of which there is at least one: `6.1 MiB`.
pub(super) fn short_size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let Some((shift, unit)) = units.into_iter().find(|(shift, _)| bytes >> shift > 0) else {
        return format!("{bytes} B");
    };
    let tenths = (u128::from(bytes) * 10) >> shift;
    match tenths {
        0..100 => format!("{}.{} {unit}", tenths / 10, tenths % 10),
        _ => format!("{} {unit}", tenths / 10),
    }
}

/// A share of a processor: `0.5%`, `12%`.
pub(super) fn percent(share: f64) -> String {
    if share < 9.95 {
        format!("{share:.1}%")
    } else {
        format!("{share:.0}%")
    }
}

/// Microseconds in one unit: `250 us`, `1.2 ms`, `12 ms`, `3.0 s`.
pub(super) fn short_latency(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..10_000 => format!("{}.{} ms", us / 1_000, us / 100 % 10),
        10_000..1_000_000 => format!("{} ms", us / 1_000),
        _ => format!("{}.{} s", us / 1_000_000, us / 100_000 % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        let check = |bytes: u64, expect: &str| assert_eq!(short_size(bytes), expect);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1 << 10, "1.0 KiB");
        check(6_400_000, "6.1 MiB");
        check(123 << 20, "123 MiB");
        check(u64::MAX, "17179869183 GiB");
        let check = |share: f64, expect: &str| assert_eq!(percent(share), expect);
        check(0.0, "0.0%");
        check(9.94, "9.9%");
        check(9.96, "10%");
        check(250.4, "250%");
        let check = |us: u64, expect: &str| assert_eq!(short_latency(us), expect);
        check(250, "250 us");
        check(1_299, "1.2 ms");
        check(12_345, "12 ms");
        check(3_000_000, "3.0 s");
    }
}
