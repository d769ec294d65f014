//! Tables as kubectl prints them: aligned columns, three spaces apart. It knows nothing of what stands in them.

use super::screen::{Paint, Tone};
use crate::model::text::printable;

const GAP: &str = "   ";

/// A piece of text in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

/// A cell with a tone; control characters are taken out of the text, and nothing becomes `-`.
pub fn toned(text: impl AsRef<str>, tone: Tone) -> Cell {
    let text = printable(text.as_ref());
    Cell { text: if text.is_empty() { "-".into() } else { text }, tone }
}

/// A plain cell.
pub fn cell(text: impl AsRef<str>) -> Cell {
    toned(text, Tone::Plain)
}

/// Rows under a header.
#[derive(Debug, Clone, Default)]
pub struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub fn new(header: Vec<&'static str>) -> Self {
        Self { header, rows: Vec::new() }
    }

    /// Adds a row; it has as many cells as the header.
    pub fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.header.len());
        self.rows.push(cells);
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Header and rows.
    pub fn render(&self, paint: Paint) -> String {
        let header = self.header.iter().map(|title| Cell { text: (*title).into(), tone: Tone::Plain }).collect();
        let widths = self.widths();
        std::iter::once(&header).chain(&self.rows).map(|row| line(row, &widths, paint)).collect()
    }

    /// The rows alone, as wide as under the header.
    pub fn render_rows(&self, paint: Paint) -> Vec<String> {
        let widths = self.widths();
        self.rows.iter().map(|row| line(row, &widths, paint)).collect()
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count());
            cells.max().unwrap_or(0).max(self.header[column].len())
        };
        (0..self.header.len()).map(width).collect()
    }
}

fn line(row: &[Cell], widths: &[usize], paint: Paint) -> String {
    let mut text = String::new();
    for (number, (cell, width)) in row.iter().zip(widths).enumerate() {
        text.push_str(&paint.paint(cell.tone, &cell.text));
        if number + 1 < row.len() {
            let missing = width - cell.text.chars().count();
            text.push_str(&" ".repeat(missing));
            text.push_str(GAP);
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_untrusted_text_is_tamed() {
        let mut table = Table::new(vec!["NAME", "STATUS"]);
        table.row(vec![cell("a-long-name"), toned("Complete", Tone::Good)]);
        table.row(vec![cell("\u{1b}[2Jx"), cell("")]);
        assert_eq!(table.render(Paint::OFF), "NAME          STATUS\na-long-name   Complete\n[2Jx          -\n");
    }
}
