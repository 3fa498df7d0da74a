//! Repeated measurements of one thing.

use std::fmt;
use std::time::Duration;

/// Figures of one unit, kept in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    ascending: Vec<f64>,
}

impl Sample {
    /// Adds one measurement.
    pub(crate) fn add(&mut self, figure: f64) {
        let place = self.ascending.partition_point(|other| *other <= figure);
        self.ascending.insert(place, figure);
    }

    /// How often it was measured.
    pub(crate) fn count(&self) -> usize {
        self.ascending.len()
    }

    /// The middle one; of an even number the mean of the two in the middle. Zero
    /// when nothing was measured.
    pub(crate) fn median(&self) -> f64 {
        match (self.ascending.len(), self.ascending.len() / 2) {
            (0, _) => 0.0,
            (count, middle) if count % 2 == 1 => self.ascending[middle],
            (_, middle) => self.ascending[middle - 1].midpoint(self.ascending[middle]),
        }
    }

    /// The smallest and the largest one.
    pub(crate) fn range(&self) -> Option<(f64, f64)> {
        let ends = self.ascending.first().zip(self.ascending.last());
        ends.map(|(first, last)| (*first, *last))
    }

    /// The smallest one that this share of all does not exceed. Zero when nothing was measured.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let rank = (share * self.ascending.len() as f64).ceil();
        let index = (rank as usize).saturating_sub(1);
        self.ascending.get(index).copied().unwrap_or(0.0)
    }

    /// How many times larger the median is than that of another sample; `None` when
    /// that is zero.
    pub(crate) fn ratio_to(&self, other: &Self) -> Option<f64> {
        let other = other.median();
        (other != 0.0).then(|| self.median() / other)
    }
}

/// Median and range: `12.3 (11.0 - 15.9)`, or `7 (5 - 9)` of what is counted.
impl fmt::Display for Sample {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, last)) = self.range() else {
            return formatter.write_str("-");
        };
        let counted = self.ascending.iter().all(|figure| figure.fract() == 0.0);
        let median = self.median();
        let places = match () {
            () if counted => 0,
            // Of less than one the first decimal says too little.
            () if median < 1.0 => 3,
            () => 1,
        };
        write!(
            formatter,
            "{median:.places$} ({first:.places$} - {last:.places$})"
        )
    }
}

/// A duration as a figure in milliseconds.
pub(crate) fn in_ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::Sample;

    fn sample(measured: &[f64]) -> Sample {
        let mut sample = Sample::default();
        for figure in measured {
            sample.add(*figure);
        }
        sample
    }

    fn check(measured: &[f64], expect: &str) {
        assert_eq!(sample(measured).to_string(), expect, "of {measured:?}");
    }

    #[test]
    fn median_and_range() {
        check(&[], "-");
        check(&[7.0], "7 (7 - 7)");
        check(&[9.0, 1.0, 4.0], "4 (1 - 9)");
        check(&[4.5, 3.0, 1.0, 9.0], "3.8 (1.0 - 9.0)");
    }

    #[test]
    fn quantiles() {
        let hundred: Vec<_> = (1..=100).map(f64::from).collect();
        assert_eq!(sample(&hundred).quantile(0.99), 99.0);
        assert_eq!(sample(&[7.0, 3.0]).quantile(0.99), 7.0);
        assert_eq!(sample(&[]).quantile(0.99), 0.0);
    }

    #[test]
    fn ratios() {
        assert_eq!(sample(&[3.0]).ratio_to(&sample(&[2.0])), Some(1.5));
        assert_eq!(sample(&[3.0]).ratio_to(&sample(&[0.0])), None);
        assert_eq!(sample(&[3.0]).ratio_to(&sample(&[])), None);
    }
}
