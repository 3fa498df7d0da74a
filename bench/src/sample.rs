//! Repeated measurements of one thing.

use std::fmt;
use std::time::Duration;

/// Durations, kept in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    ascending: Vec<Duration>,
}

impl Sample {
    /// Adds one measurement.
    pub(crate) fn add(&mut self, duration: Duration) {
        let place = self.ascending.partition_point(|other| *other <= duration);
        self.ascending.insert(place, duration);
    }

    /// The middle one; of an even number the mean of the two in the middle. Zero
    /// when nothing was measured.
    pub(crate) fn median(&self) -> Duration {
        match (self.ascending.len(), self.ascending.len() / 2) {
            (0, _) => Duration::ZERO,
            (count, middle) if count % 2 == 1 => self.ascending[middle],
            (_, middle) => (self.ascending[middle - 1] + self.ascending[middle]) / 2,
        }
    }

    /// How many times longer the median is than that of another sample; `None` when
    /// that is zero.
    pub(crate) fn ratio_to(&self, other: &Self) -> Option<f64> {
        let other = other.median();
        (!other.is_zero()).then(|| self.median().as_secs_f64() / other.as_secs_f64())
    }
}

/// Median and range in milliseconds: `12.3 (11.0 - 15.9)`.
impl fmt::Display for Sample {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
        let ends = self.ascending.first().zip(self.ascending.last());
        let Some((first, last)) = ends else {
            return formatter.write_str("-");
        };
        write!(
            formatter,
            "{:.1} ({:.1} - {:.1})",
            ms(self.median()),
            ms(*first),
            ms(*last)
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Sample;

    fn check(measured_ms: &[u64], expect: &str) {
        let mut sample = Sample::default();
        for ms in measured_ms {
            sample.add(Duration::from_millis(*ms));
        }
        assert_eq!(sample.to_string(), expect, "of {measured_ms:?}");
    }

    #[test]
    fn median_and_range() {
        check(&[], "-");
        check(&[7], "7.0 (7.0 - 7.0)");
        check(&[9, 1, 4], "4.0 (1.0 - 9.0)");
        check(&[4, 3, 1, 9], "3.5 (1.0 - 9.0)");
    }
}
