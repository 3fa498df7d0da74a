//! What a page says of one metric, and how that is written.

use std::fmt::{self, Write as _};

use super::Format;
use super::labels;

/// The type of a family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    GaugeHistogram,
    Summary,
    Info,
    StateSet,
    #[default]
    Unknown,
}

/// Everything of one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Family {
    pub(super) kind: Kind,
    /// Without escapes.
    pub(super) help: Option<String>,
    pub(super) unit: Option<String>,
    pub(super) samples: Vec<Sample>,
}

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    /// What follows the name of the family, such as `_total`.
    pub(super) suffix: String,
    /// Names, and values with their escapes.
    pub(super) labels: Vec<(String, String)>,
    pub(super) value: String,
}

/// What can follow the name of a family.
pub(super) const SUFFIXES: [&str; 8] = [
    "_total", "_created", "_bucket", "_count", "_sum", "_info", "_gcount", "_gsum",
];

impl Kind {
    /// Reads the word of a `TYPE` line.
    pub(super) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "counter" => Self::Counter,
            "gauge" => Self::Gauge,
            "histogram" => Self::Histogram,
            "gaugehistogram" => Self::GaugeHistogram,
            "summary" => Self::Summary,
            "info" => Self::Info,
            "stateset" => Self::StateSet,
            "unknown" | "untyped" => Self::Unknown,
            _ => return None,
        })
    }

    /// The family of a name in a `TYPE` line: in the text format `_total` is a part of it.
    pub(super) fn family_of(self, name: &str) -> &str {
        match self {
            Self::Counter => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        }
    }

    /// Whether a sample of the family may have its name with this behind it.
    pub(super) fn has(self, suffix: &str) -> bool {
        match self {
            Self::Counter => ["", "_total", "_created"].contains(&suffix),
            Self::Histogram => ["_bucket", "_count", "_sum", "_created"].contains(&suffix),
            Self::GaugeHistogram => ["_bucket", "_gcount", "_gsum"].contains(&suffix),
            Self::Summary => ["", "_count", "_sum", "_created"].contains(&suffix),
            Self::Info => suffix == "_info",
            Self::Gauge | Self::StateSet | Self::Unknown => suffix.is_empty(),
        }
    }

    /// The word in OpenMetrics.
    fn open(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
            Self::Unknown => "unknown",
        }
    }

    /// The nearest word in the text format.
    fn text(self) -> &'static str {
        match self {
            Self::Info | Self::StateSet | Self::Gauge => "gauge",
            Self::GaugeHistogram | Self::Unknown => "untyped",
            Self::Counter | Self::Histogram | Self::Summary => self.open(),
        }
    }
}

impl Family {
    /// Writes it with its samples.
    pub(super) fn render(&self, name: &str, format: Format, to: &mut String) -> fmt::Result {
        match format {
            Format::OpenMetrics => self.render_open(name, to),
            Format::Text => self.render_text(name, to),
        }
    }

    fn render_open(&self, name: &str, to: &mut String) -> fmt::Result {
        let bare = |sample: &Sample| sample.suffix.is_empty();
        let kind = match self.kind {
            // The text format has such counters.
            Kind::Counter if self.samples.iter().any(bare) => Kind::Unknown,
            kind => kind,
        };
        writeln!(to, "# TYPE {name} {}", kind.open())?;
        if let Some(unit) = &self.unit {
            writeln!(to, "# UNIT {name} {unit}")?;
        }
        if let Some(help) = &self.help {
            writeln!(to, "# HELP {name} {}", labels::escape(help))?;
        }
        let shown = |sample: &&Sample| kind.has(&sample.suffix);
        let mut samples = self.samples.iter().filter(shown);
        samples.try_for_each(|sample| sample.render(name, to))
    }

    fn render_text(&self, name: &str, to: &mut String) -> fmt::Result {
        let has_total = self.samples.iter().any(|sample| sample.suffix == "_total");
        let ending = match self.kind {
            Kind::Counter if has_total => "_total",
            Kind::Info => "_info",
            _ => "",
        };
        if let Some(help) = &self.help {
            let help = help.replace('\\', "\\\\").replace('\n', "\\n");
            writeln!(to, "# HELP {name}{ending} {help}")?;
        }
        writeln!(to, "# TYPE {name}{ending} {}", self.kind.text())?;
        // When a series began has no place there.
        let shown = |sample: &&Sample| sample.suffix != "_created";
        let mut samples = self.samples.iter().filter(shown);
        samples.try_for_each(|sample| sample.render(name, to))
    }
}

impl Sample {
    fn render(&self, name: &str, to: &mut String) -> fmt::Result {
        write!(to, "{name}{}", self.suffix)?;
        labels::write(&self.labels, to)?;
        writeln!(to, " {}", self.value)
    }
}
