//! Rows and columns, printed as an aligned table or as JSON.

use std::fmt::Write;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    Text(String),
    Number(u64),
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Cell::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell::Text(text.to_owned())
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Cell::Number(number)
    }
}

impl Cell {
    fn text(&self) -> String {
        match self {
            Cell::Text(text) => text.clone(),
            Cell::Number(number) => number.to_string(),
        }
    }

    fn json(&self) -> String {
        match self {
            Cell::Text(text) => json_text(text),
            Cell::Number(number) => number.to_string(),
        }
    }
}

/// A table with named columns.
#[derive(Debug, Clone)]
pub(super) struct Sheet {
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Sheet {
    /// Columns are named as JSON keys: small letters and underscores.
    pub(super) fn new(columns: &[&'static str]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row with a cell for each column.
    pub(super) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        debug_assert_eq!(N, self.columns.len());
        self.rows.push(cells.into());
    }

    /// An aligned table; numbers to the right.
    pub(super) fn text(&self) -> String {
        let heads: Vec<String> = self
            .columns
            .iter()
            .map(|column| column.to_uppercase().replace('_', " "))
            .collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                let cells = self
                    .rows
                    .iter()
                    .filter_map(|row| Some(row.get(column)?.text().chars().count()));
                cells.chain([heads[column].chars().count()]).max().unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        line(&mut text, &widths, heads.iter().map(|head| (head.clone(), false)));
        for row in &self.rows {
            let cells = row
                .iter()
                .map(|cell| (cell.text(), matches!(cell, Cell::Number(_))));
            line(&mut text, &widths, cells);
        }
        text
    }

    /// A list of objects.
    pub(super) fn json(&self) -> String {
        let object = |row: &Vec<Cell>| {
            let members = self.columns.iter().zip(row);
            let members: Vec<String> = members
                .map(|(column, cell)| format!("{}: {}", json_text(column), cell.json()))
                .collect();
            format!("{{{}}}", members.join(", "))
        };
        let objects: Vec<String> = self.rows.iter().map(object).collect();
        format!("[{}]", objects.join(", "))
    }
}

fn line(text: &mut String, widths: &[usize], cells: impl Iterator<Item = (String, bool)>) {
    let mut whole = String::new();
    for ((cell, right), width) in cells.zip(widths) {
        // Writing to a string cannot fail.
        let _ = match right {
            true => write!(whole, "{cell:>width$}  "),
            false => write!(whole, "{cell:<width$}  "),
        };
    }
    text.push_str(whole.trim_end());
    text.push('\n');
}

/// A JSON string (RFC 8259, 7).
pub(super) fn json_text(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            control if u32::from(control) < 0x20 => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_is_aligned_as_text_and_complete_as_json() {
        let mut sheet = Sheet::new(&["port", "sent_packets"]);
        sheet.row(["web".into(), 5.into()]);
        sheet.row(["a \"b\"\n".into(), 1234.into()]);
        let text = sheet.text();
        assert!(
            text.starts_with("PORT    SENT PACKETS\nweb                5\n"),
            "{text}"
        );
        assert_eq!(
            sheet.json(),
            r#"[{"port": "web", "sent_packets": 5}, {"port": "a \"b\"\n", "sent_packets": 1234}]"#
        );
    }
}
