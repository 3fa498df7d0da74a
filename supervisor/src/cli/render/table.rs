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

/// The head of a column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) align: Align,
    /// When there is not room for all, those with the highest rank are left out first; those
    /// with rank 0 never.
    pub(crate) rank: u8,
}

impl Column {
    /// The rank of a column that is left out in any case.
    pub(crate) const LEFT_OUT: u8 = u8::MAX;

    pub(crate) fn left(name: &'static str, rank: u8) -> Self {
        let align = Align::Left;
        Self { name, align, rank }
    }

    pub(crate) fn right(name: &'static str, rank: u8) -> Self {
        let align = Align::Right;
        Self { name, align, rank }
    }
}

/// Columns that the last one needs at least to be worth its place: a few short words.
const LAST_COLUMN: usize = 18;

/// Sets `rows` under `head`. When `width` is given, words in the last column are cut to it;
/// where even that does not fit, every row becomes a paragraph.
pub(crate) fn table<const N: usize>(
    head: [(&'static str, Align); N],
    rows: &[[Cell; N]],
    style: Style,
    width: Option<usize>,
) -> String {
    if let Some(width) = width.filter(|width| least_width(&head, rows) > *width) {
        return paragraphs(&head.map(|(name, _)| name), rows, style, width);
    }
    let columns = head.map(|(name, align)| Column {
        name,
        align,
        rank: 0,
    });
    let rows: Vec<&[Cell]> = rows.iter().map(<[Cell; N]>::as_slice).collect();
    set(&columns, &rows, style, width)
}

/// Sets `rows` under `head` without the columns for which there is no room: those of the
/// highest rank are left out first. Then the last column is cut to the width.
pub(crate) fn table_by_rank<const N: usize>(
    head: [Column; N],
    rows: &[[Cell; N]],
    style: Style,
    width: Option<usize>,
) -> String {
    let widest = |column: usize| {
        let cells = rows.iter().map(|row| row[column].columns());
        cells.fold(head[column].name.chars().count(), usize::max)
    };
    let mut kept: Vec<usize> = (0..N)
        .filter(|column| head[*column].rank < Column::LEFT_OUT)
        .collect();
    let needed = |kept: &[usize]| {
        let last = kept.last().map_or(0, |last| widest(*last).min(LAST_COLUMN));
        let others = kept.split_last().map_or(&[][..], |(_, others)| others);
        last + others
            .iter()
            .map(|column| widest(*column) + GAP.len())
            .sum::<usize>()
    };
    while width.is_some_and(|width| needed(&kept) > width) {
        let least = kept.iter().copied().max_by_key(|column| head[*column].rank);
        let Some(least) = least.filter(|column| head[*column].rank > 0) else {
            break;
        };
        kept.retain(|column| *column != least);
    }
    let columns: Vec<Column> = kept.iter().map(|column| head[*column]).collect();
    let rows: Vec<Vec<Cell>> = rows
        .iter()
        .map(|row| kept.iter().map(|column| row[*column].clone()).collect())
        .collect();
    let rows: Vec<&[Cell]> = rows.iter().map(Vec::as_slice).collect();
    set(&columns, &rows, style, width)
}

fn set(head: &[Column], rows: &[&[Cell]], style: Style, width: Option<usize>) -> String {
    let widest = |(column, head): (usize, &Column)| {
        let cells = rows.iter().map(|row| row[column].columns());
        cells.fold(head.name.chars().count(), usize::max)
    };
    let mut widths: Vec<usize> = head.iter().enumerate().map(widest).collect();
    if let (Some(width), Some((last, others))) = (width, widths.split_last_mut()) {
        let used: usize = others.iter().map(|column| column + GAP.len()).sum();
        *last = (*last).min(width.saturating_sub(used));
    }
    let names = head
        .iter()
        .map(|head| Cell::coloured(head.name, Colour::Bold));
    let names: Vec<Cell> = names.collect();
    let mut out = String::new();
    for row in std::iter::once(names.as_slice()).chain(rows.iter().copied()) {
        for (column, cell) in row.iter().enumerate() {
            let is_last = column + 1 == head.len();
            let text = fit(&cell.text, widths[column]);
            let padding = " ".repeat(widths[column] - text.chars().count());
            let text = cell
                .colour
                .map_or(text.clone(), |colour| style.paint(colour, &text));
            match head[column].align {
                Align::Right => out.extend([padding.as_str(), &text]),
                // Nothing follows the last column.
                Align::Left if is_last => out.push_str(&text),
                Align::Left => out.extend([text.as_str(), &padding]),
            }
            if !is_last {
                out.push_str(GAP);
            }
        }
        out.push('\n');
    }
    out
}

/// Columns that a table needs when words in its last column are cut.
fn least_width<const N: usize>(head: &[(&'static str, Align); N], rows: &[[Cell; N]]) -> usize {
    let needed = |(column, (name, align)): (usize, &(&'static str, Align))| {
        let cells = rows.iter().map(|row| row[column].columns());
        let widest = cells.fold(name.chars().count(), usize::max);
        match align {
            Align::Left if column + 1 == N => widest.min(LAST_COLUMN),
            _ => widest,
        }
    };
    let columns: usize = head.iter().enumerate().map(needed).sum();
    columns + N.saturating_sub(1) * GAP.len()
}

/// One line for each field that is not empty, and an empty line between two rows.
fn paragraphs<const N: usize>(
    names: &[&str; N],
    rows: &[[Cell; N]],
    style: Style,
    width: usize,
) -> String {
    let widest = names.iter().map(|name| name.chars().count()).max();
    let indent = widest.unwrap_or(0) + GAP.len();
    let paragraph = |row: &[Cell; N]| {
        let fields = names
            .iter()
            .zip(row)
            .filter(|(_, cell)| !cell.text.is_empty());
        let line = |(name, cell): (&&str, &Cell)| {
            let text = fit(&cell.text, width.saturating_sub(indent));
            let text = cell
                .colour
                .map_or(text.clone(), |colour| style.paint(colour, &text));
            let padding = " ".repeat(indent - name.chars().count());
            format!("{}{padding}{text}\n", style.paint(Colour::Bold, name))
        };
        fields.map(line).collect::<String>()
    };
    let paragraphs: Vec<String> = rows.iter().map(paragraph).collect();
    paragraphs.join("\n")
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
        let long = "words that go on and on";
        check(
            &[["a", "1", long]],
            Some(27),
            "NAME  N  WHY\na     1  words that go on …\n",
        );
        check(
            &[["ä", "1", long], ["", "", "x"]],
            Some(20),
            "NAME  ä\nN     1\nWHY   words that go…\n\nWHY   x\n",
        );
        check(&[["a", "1", "x"]], Some(3), "NAME  \nN     \nWHY   \n");
    }

    #[test]
    fn columns_that_do_not_fit_are_left_out_by_rank() {
        let check = |width: Option<usize>, expect: &str| {
            let head = [
                Column::left("NAME", 0),
                Column::right("NUMBER", 2),
                Column::right("PORT", 1),
                Column::left("NEVER", Column::LEFT_OUT),
                Column::left("WHY", 3),
            ];
            let row = ["a", "1", "8081", "x", "a long reason, a very long one"].map(Cell::new);
            assert_eq!(table_by_rank(head, &[row], Style::Plain, width), expect);
        };
        check(
            Some(38),
            "NAME  NUMBER  PORT  WHY\na          1  8081  a long reason, a …\n",
        );
        check(Some(37), "NAME  NUMBER  PORT\na          1  8081\n");
        check(Some(17), "NAME  PORT\na     8081\n");
        check(Some(9), "NAME\na\n");
        check(Some(1), "…\na\n");
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
