//! Tables in Markdown, and the same as JSON.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::contest::Standing;
use crate::sample::Sample;

/// One cell of a [`Table`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    /// A name, or a number that was chosen.
    Text(String),
    /// What was measured: median and range.
    Measured(Sample),
    /// How many times as large as something else; none where that is zero.
    Times(Option<f64>),
}

impl Cell {
    fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Measured(sample) => json!({
                "median": sample.median(),
                "smallest": sample.range().map(|(smallest, _)| smallest),
                "largest": sample.range().map(|(_, largest)| largest),
                "runs": sample.count(),
            }),
            Self::Times(times) => json!(times),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(text),
            Self::Measured(sample) => sample.fmt(formatter),
            Self::Times(Some(times)) => write!(formatter, "{times:.2}"),
            Self::Times(None) => formatter.write_str("-"),
        }
    }
}

/// A table whose columns line up also where nobody renders them.
pub(crate) struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns and no row.
    pub(crate) fn new(columns: &[&str]) -> Self {
        Self {
            columns: columns.iter().map(ToString::to_string).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row for each contestant: its name, and what was measured.
    pub(crate) fn standings<const FIGURES: usize>(&mut self, standings: Vec<Standing<FIGURES>>) {
        for standing in standings {
            let mut row = vec![Cell::Text(standing.name)];
            row.extend(standing.figures.map(Cell::Measured));
            self.row(row);
        }
    }

    /// Adds a row, one cell per column.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        assert_eq!(
            cells.len(),
            self.columns.len(),
            "a row has one cell per column"
        );
        self.rows.push(cells);
    }

    /// A list of objects, one per row, with the names of the columns as keys.
    pub(crate) fn to_json(&self) -> Value {
        let object = |row: &Vec<Cell>| {
            let fields = self.columns.iter().zip(row);
            fields
                .map(|(column, cell)| (column.clone(), cell.to_json()))
                .collect::<Map<_, _>>()
        };
        self.rows.iter().map(object).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells = |row: &Vec<Cell>| row.iter().map(ToString::to_string).collect();
        let mut lines: Vec<Vec<String>> = self.rows.iter().map(cells).collect();
        lines.insert(0, self.columns.clone());
        let width = |column: usize| {
            let lengths = lines.iter().map(|line| line[column].chars().count());
            lengths.max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.columns.len()).map(width).collect();
        for (index, line) in lines.iter().enumerate() {
            for (cell, width) in line.iter().zip(&widths) {
                write!(formatter, "| {cell:<width$} ")?;
            }
            writeln!(formatter, "|")?;
            if index == 0 {
                for width in &widths {
                    write!(formatter, "|{:-<1$}", "", width + 2)?;
                }
                writeln!(formatter, "|")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut sample = Sample::default();
        sample.add(2.0);
        let mut table = Table::new(&["n", "name", "ms", "times"]);
        let name = Cell::Text("x".to_owned());
        let number = Cell::Text("10".to_owned());
        table.row(vec![
            number,
            name,
            Cell::Measured(sample),
            Cell::Times(Some(0.5)),
        ]);
        table
    }

    #[test]
    fn columns_line_up() {
        let expect = "\
| n  | name | ms        | times |
|----|------|-----------|-------|
| 10 | x    | 2 (2 - 2) | 0.50  |
";
        assert_eq!(table().to_string(), expect);
    }

    #[test]
    fn json_keeps_the_numbers() {
        let ms = json!({"median": 2.0, "smallest": 2.0, "largest": 2.0, "runs": 1});
        let expect = json!([{"n": "10", "name": "x", "ms": ms, "times": 0.5}]);
        assert_eq!(table().to_json(), expect);
    }
}
