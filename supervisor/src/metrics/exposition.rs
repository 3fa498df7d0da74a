//! Pages of metrics that are read again: both text formats in, both out.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/> and
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

use std::collections::BTreeMap;

use super::Format;
use super::families::{Family, Kind, SUFFIXES, Sample};
use super::labels;

/// A page of metrics. The time stamps and exemplars of samples are left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposition(BTreeMap<String, Family>);

/// A line that is none of a page of metrics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is none of a page of metrics")]
pub struct ParseError {
    /// Which, from 1.
    pub line: usize,
}

impl Exposition {
    /// Reads a page in either format.
    ///
    /// # Errors
    /// At the first line that is neither a sample nor a comment.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut page = Self::default();
        // The types first: what a name means depends on them.
        for (line, comment) in lines(text) {
            if let Some(("TYPE", name, kind)) = meta(comment) {
                let kind = Kind::parse(kind.trim()).ok_or(ParseError { line })?;
                page.family(kind.family_of(name)).kind = kind;
            }
        }
        for (line, text) in lines(text) {
            if text.starts_with('#') {
                page.describe(text);
            } else {
                page.sample(text).ok_or(ParseError { line })?;
            }
        }
        page.0.retain(|_, family| !family.samples.is_empty());
        Ok(page)
    }

    fn describe(&mut self, comment: &str) {
        let Some((what, name, text)) = meta(comment) else {
            return;
        };
        let name = self.family_of(name).unwrap_or(name).to_owned();
        match what {
            "HELP" => self.family(&name).help = Some(labels::unescape(text)),
            "UNIT" => self.family(&name).unit = Some(text.trim().to_owned()),
            _ => {}
        }
    }

    fn family(&mut self, name: &str) -> &mut Family {
        self.0.entry(name.to_owned()).or_default()
    }

    /// The family of which a name on the page is, by the types that are known.
    fn family_of<'n>(&self, name: &'n str) -> Option<&'n str> {
        let has = |family: &&'n str, suffix: &str| {
            let known = self.0.get(*family);
            known.is_some_and(|known| known.kind.has(suffix))
        };
        let shorter = SUFFIXES.iter().find_map(|suffix| {
            let family = name.strip_suffix(suffix)?;
            Some(family).filter(|family| has(family, suffix))
        });
        shorter.or_else(|| Some(name).filter(|family| has(family, "")))
    }

    fn sample(&mut self, line: &str) -> Option<()> {
        let end = line.find(|char: char| char == '{' || char.is_whitespace())?;
        let (name, rest) = line.split_at(end);
        labels::is_name(name).then_some(())?;
        let (labels, rest) = match rest.trim_start().strip_prefix('{') {
            Some(rest) => labels::read(rest)?,
            None => (Vec::new(), rest),
        };
        // Behind the value may stand a time stamp and an exemplar.
        let value = rest.split_whitespace().next()?;
        value.parse::<f64>().ok()?;
        let family = self.family_of(name).unwrap_or(name);
        let sample = Sample {
            suffix: name[family.len()..].to_owned(),
            labels,
            value: value.to_owned(),
        };
        self.family(family).samples.push(sample);
        Some(())
    }

    /// Puts a label on every sample. One of the same name is called `exported_` from now on,
    /// as Prometheus does it.
    pub fn label(&mut self, name: &str, value: &str) {
        for sample in self.0.values_mut().flat_map(|family| &mut family.samples) {
            for (key, _) in &mut sample.labels {
                if key == name {
                    key.insert_str(0, "exported_");
                }
            }
            let label = (name.to_owned(), labels::escape(value));
            sample.labels.insert(0, label);
        }
    }

    /// Takes in the samples of another page. Those of a family that has another type here are
    /// left out; says how many.
    pub fn merge(&mut self, other: Self) -> usize {
        let mut left_out = 0;
        for (name, family) in other.0 {
            match self.0.get_mut(&name) {
                None => {
                    self.0.insert(name, family);
                }
                Some(ours) if ours.kind == family.kind => ours.samples.extend(family.samples),
                Some(_) => left_out += family.samples.len(),
            }
        }
        left_out
    }

    /// Samples on the page.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.0.values().map(|family| family.samples.len()).sum()
    }

    /// Writes the page, the families in the order of their names.
    #[must_use]
    pub fn render(&self, format: Format) -> String {
        let mut text = String::new();
        for (name, family) in &self.0 {
            // Writing to a string cannot fail.
            let _ = family.render(name, format, &mut text);
        }
        if format == Format::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }
}

/// The lines that are not empty, with their numbers from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate();
    lines
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty())
}

/// What a comment says of a family, and of which name. Other comments mean nothing.
fn meta(line: &str) -> Option<(&str, &str, &str)> {
    let comment = line.strip_prefix('#')?.trim_start();
    let (what, rest) = comment.split_once([' ', '\t'])?;
    if !["TYPE", "HELP", "UNIT"].contains(&what) {
        return None;
    }
    let rest = rest.trim_start();
    let (name, text) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    Some((what, name, text.trim_start()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A page in OpenMetrics, and what it is in the text format.
    const OPEN: &str = "\
# TYPE a gauge
# HELP a A gauge of \\\"things\\\".
a 1
a{x=\"1,}\\\"\"} +Inf
# TYPE b counter
# UNIT b seconds
b_total{x=\"y\"} 2.5
# TYPE c histogram
c_bucket{le=\"0.5\"} 1
c_bucket{le=\"+Inf\"} 2
c_count 2
c_sum 1.5
# TYPE d info
d_info{version=\"1\"} 1
# EOF
";
    const TEXT: &str = "\
# HELP a A gauge of \"things\".
# TYPE a gauge
a 1
a{x=\"1,}\\\"\"} +Inf
# TYPE b_total counter
b_total{x=\"y\"} 2.5
# TYPE c histogram
c_bucket{le=\"0.5\"} 1
c_bucket{le=\"+Inf\"} 2
c_count 2
c_sum 1.5
# TYPE d_info gauge
d_info{version=\"1\"} 1
";

    fn parse(text: &str) -> Exposition {
        Exposition::parse(text).expect("a page")
    }

    #[test]
    fn each_format_becomes_the_other() {
        assert_eq!(parse(OPEN).render(Format::Text), TEXT);
        let open = parse(OPEN).render(Format::OpenMetrics);
        assert_eq!(parse(&open), parse(OPEN));
        // In the text format an info is a gauge, and units are not told.
        let again = parse(TEXT).render(Format::OpenMetrics);
        assert!(
            again.contains("# TYPE b counter\nb_total{x=\"y\"} 2.5\n"),
            "{again}"
        );
        assert!(
            again.contains("# HELP a A gauge of \\\"things\\\".\n"),
            "{again}"
        );
        assert!(again.ends_with("# EOF\n"), "{again}");
    }

    #[test]
    fn what_others_write_is_understood() {
        let check = |page: &str, expect: &str| {
            assert_eq!(parse(page).render(Format::Text), expect, "{page}");
        };
        check("", "");
        check("# EOF\n", "");
        check("# a comment\nx 1\n", "# TYPE x untyped\nx 1\n");
        check("x 1 1790000000000\n", "# TYPE x untyped\nx 1\n");
        check("x { a = \"b\" , } 1\n", "# TYPE x untyped\nx{a=\"b\"} 1\n");
        check(
            "# TYPE x counter\nx_total 1 # {trace=\"t\"} 0.5\nx_created 17\n",
            "# TYPE x_total counter\nx_total 1\n",
        );
        check(
            "#  HELP  x_total  Help.\n# TYPE x_total counter\nx_total NaN\n",
            "# HELP x_total Help.\n# TYPE x_total counter\nx_total NaN\n",
        );
        check(
            "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\ns_count 1\n",
            "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\ns_count 1\n",
        );
        check(
            "# TYPE state stateset\nstate{state=\"a\"} 1\n",
            "# TYPE state gauge\nstate{state=\"a\"} 1\n",
        );
    }

    #[test]
    fn a_counter_without_its_ending_is_none_in_openmetrics() {
        let page = parse("# TYPE x counter\nx 1\n");
        assert_eq!(page.render(Format::Text), "# TYPE x counter\nx 1\n");
        let open = "# TYPE x unknown\nx 1\n# EOF\n";
        assert_eq!(page.render(Format::OpenMetrics), open);
    }

    #[test]
    fn what_is_no_page_is_refused() {
        let check = |text: &str, line: usize| {
            assert_eq!(Exposition::parse(text), Err(ParseError { line }), "{text}");
        };
        check("<html>\n", 1);
        check("x 1\ny\n", 2);
        check("x one\n", 1);
        check("x{a=b} 1\n", 1);
        check("x{a=\"b} 1\n", 1);
        check("# TYPE x number\n", 1);
        check("1x 1\n", 1);
    }

    #[test]
    fn pages_are_merged_by_family() {
        let mut page = parse("# TYPE a gauge\na 1\n# TYPE z gauge\nz 1\n");
        let mut node = parse("# TYPE a gauge\na{node=\"own\"} 2\n# TYPE z counter\nz_total 1\n");
        node.label("node", "flux-node-1");
        assert_eq!(page.merge(node), 1, "z has another type");
        let expect = "\
# TYPE a gauge
a 1
a{node=\"flux-node-1\",exported_node=\"own\"} 2
# TYPE z gauge
z 1
";
        assert_eq!(page.render(Format::Text), expect);
        assert_eq!(page.samples(), 3);
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(text in "([#a-c_{}=\"\\\\, \n0-9]|TYPE|HELP|counter|_total)*") {
            if let Ok(page) = Exposition::parse(&text) {
                for format in [Format::Text, Format::OpenMetrics] {
                    let again = Exposition::parse(&page.render(format));
                    prop_assert_eq!(again.map(|again| again.samples()), Ok(page.samples()));
                }
            }
        }
    }
}
