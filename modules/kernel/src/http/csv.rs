//! Lists as files for a spreadsheet.

use actix_web::HttpResponse;
use actix_web::http::header;

/// A CSV file under way: UTF-8, every cell quoted.
pub struct Csv(String);

impl Csv {
    /// With a first line of headings.
    pub fn new(heads: impl IntoIterator<Item = String>) -> Self {
        // Spreadsheets take UTF-8 for something else without the mark.
        let mut csv = Self("\u{feff}".to_owned());
        csv.line(heads);
        csv
    }

    pub fn line(&mut self, cells: impl IntoIterator<Item = String>) {
        for (index, cell) in cells.into_iter().enumerate() {
            // A spreadsheet would run what begins like a formula.
            let guard = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
            let comma = if index > 0 { "," } else { "" };
            self.0.push_str(&format!("{comma}\"{guard}{}\"", cell.replace('"', "\"\"")));
        }
        self.0.push_str("\r\n");
    }

    /// 200 with the file, to be kept under a name: plain ASCII, `devices.csv`.
    pub fn answer(self, name: &str) -> HttpResponse {
        HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, "text/csv; charset=utf-8"))
            .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .body(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Csv;

    #[test]
    fn a_cell_is_neither_split_nor_run() {
        let mut csv = Csv::new(["A".to_owned()]);
        csv.line(["a\"b,c".to_owned(), "=1+1".to_owned(), "\r".to_owned()]);
        assert_eq!(csv.0, "\u{feff}\"A\"\r\n\"a\"\"b,c\",\"'=1+1\",\"'\r\"\r\n");
    }
}
