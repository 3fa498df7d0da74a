//! Charts as SVG files.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use plotters::prelude::{
    BLACK, ChartBuilder, Color, IntoDrawingArea, IntoLogRange, LineSeries, PathElement, RGBColor,
    SVGBackend, WHITE,
};

/// Lines over something that grows, both on logarithmic scales.
pub(crate) struct Chart {
    /// What grows.
    pub(crate) grows: &'static str,
    /// What is measured, and where: each more than zero.
    pub(crate) lines: Vec<(&'static str, Vec<(f64, f64)>)>,
}

const SIZE: (u32, u32) = (720, 400);

/// Told apart on paper and by those who do not see red and green (Okabe and Ito, 2008).
const COLOURS: [RGBColor; 4] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
];

impl Chart {
    /// Draws it into a file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Box<dyn Error + '_>> {
        let mut text = String::new();
        self.draw(&mut text)?;
        Ok(std::fs::write(path, text)?)
    }

    fn draw(&self, text: &mut String) -> Result<(), Box<dyn Error + '_>> {
        let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let across = bounds(self.points().map(|point| point.0));
        let up = bounds(self.points().map(|point| point.1));
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(72)
            .build_cartesian_2d(across.log_scale(), up.log_scale())?;
        let named: Vec<_> = self.lines.iter().map(|(name, _)| *name).collect();
        chart
            .configure_mesh()
            .x_desc(self.grows)
            .y_desc(named.join("; "))
            .x_label_formatter(&|value| value.to_string())
            .y_label_formatter(&|value| value.to_string())
            .draw()?;
        for ((name, points), colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
            chart
                .draw_series(line.point_size(4))?
                .label(*name)
                .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
        }
        if self.lines.len() > 1 {
            chart.configure_series_labels().border_style(BLACK).draw()?;
        }
        area.present()?;
        Ok(())
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.lines.iter().flat_map(|(_, points)| points).copied()
    }
}

/// From a little below the smallest to a little above the largest.
fn bounds(values: impl Iterator<Item = f64>) -> Range<f64> {
    const ROOM: f64 = 1.5;
    let (low, high) = values.fold((f64::MAX, f64::MIN_POSITIVE), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    low / ROOM..high * ROOM
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_names_what_it_shows() {
        let chart = Chart {
            grows: "nodes",
            lines: vec![
                ("read, MB/s", vec![(1.0, 10.0), (10.0, 20.0)]),
                ("written, MB/s", vec![(1.0, 5.0), (10.0, 9.0)]),
            ],
        };
        let mut text = String::new();
        chart.draw(&mut text).expect("memory takes it");
        for word in ["<svg", "nodes", "read, MB/s", "written, MB/s"] {
            assert!(text.contains(word), "{word} in {text}");
        }
    }
}
