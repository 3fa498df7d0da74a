//! Columns.

use crate::style::{Colour, Style};

/// Blanks between two columns.
const GAP: &str = "  ";

/// One field of a table.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) colour: Option<Colour>,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            colour: None,
        }
    }

    pub(crate) fn coloured(text: impl Into<String>, colour: Colour) -> Self {
        Self {
            text: text.into(),
            colour: Some(colour),
        }
    }

    /// A value, or a hyphen where there is none.
    pub(crate) fn optional(value: Option<impl ToString>) -> Self {
        Self::new(value.map_or("-".to_owned(), |value| value.to_string()))
    }

    fn columns(&self) -> usize {
        self.text.chars().count()
    }
}

/// Which way a column's text is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Sets `rows` under `head`. When `width` is given, the last column is cut to it.
pub(crate) fn table<const N: usize>(
    head: [(&str, Align); N],
    rows: &[[Cell; N]],
    style: Style,
    width: Option<usize>,
) -> String {
    let widest = |column: usize| {
        let cells = rows.iter().map(|row| row[column].columns());
        cells
            .chain([head[column].0.chars().count()])
            .max()
            .unwrap_or(0)
    };
    let mut widths: [usize; N] = std::array::from_fn(widest);
    if let (Some(width), Some((last, others))) = (width, widths.split_last_mut()) {
        let used: usize = others.iter().map(|column| column + GAP.len()).sum();
        *last = (*last).min(width.saturating_sub(used));
    }
    let names = head.map(|(name, _)| Cell::coloured(name, Colour::Bold));
    let mut out = String::new();
    for row in std::iter::once(&names).chain(rows) {
        for (column, cell) in row.iter().enumerate() {
            let text = fit(&cell.text, widths[column]);
            let padding = " ".repeat(widths[column] - text.chars().count());
            let text = cell
                .colour
                .map_or(text.clone(), |colour| style.paint(colour, &text));
            match head[column].1 {
                Align::Right => out.extend([padding.as_str(), &text]),
                // Nothing follows the last column.
                Align::Left if column + 1 == N => out.push_str(&text),
                Align::Left => out.extend([text.as_str(), &padding]),
            }
            if column + 1 < N {
                out.push_str(GAP);
            }
        }
        out.push('\n');
    }
    out
}

/// The text, or as much of it as fits with a sign that something is missing.
fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars()
        .take(width.saturating_sub(1))
        .chain((width > 0).then_some('…'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let check = |rows: &[[&str; 3]], width: Option<usize>, expect: &str| {
            let rows: Vec<[Cell; 3]> = rows.iter().map(|row| row.map(Cell::new)).collect();
            let head = [
                ("NAME", Align::Left),
                ("N", Align::Right),
                ("WHY", Align::Left),
            ];
            assert_eq!(table(head, &rows, Style::Plain, width), expect);
        };
        check(&[], None, "NAME  N  WHY\n");
        check(
            &[["a", "1", "first"], ["second", "200", ""]],
            None,
            "NAME      N  WHY\na         1  first\nsecond  200  \n",
        );
        check(
            &[["a", "1", "too long"]],
            Some(13),
            "NAME  N  WHY\na     1  too…\n",
        );
        check(&[["ä", "1", "x"]], Some(2), "NAME  N  \nä     1  \n");
    }

    #[test]
    fn colours_do_not_move_columns() {
        let head = [("A", Align::Left), ("B", Align::Left)];
        let rows = [[Cell::coloured("x", Colour::Red), Cell::new("y")]];
        let text = table(head, &rows, Style::Coloured, None);
        assert_eq!(
            text,
            "\x1b[1mA\x1b[0m  \x1b[1mB\x1b[0m\n\x1b[31mx\x1b[0m  y\n"
        );
    }
}
