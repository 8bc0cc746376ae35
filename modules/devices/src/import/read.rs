//! Files of spreadsheets as rows of text: CSV in UTF-8 (with a mark or without), UTF-16 with a mark or GB18030, which is how
//! Excel in China saves it, and XLSX. Whoever uploads one is trusted to register devices, and not to send a small file that unpacks
//! into gigabytes.

use songhe_kernel::{Error, Result, Text};

use super::xlsx;

/// Largest file, in bytes.
pub(crate) const MAX_BYTES: usize = 2 * 1024 * 1024;
/// Most rows below the headings.
pub(crate) const MAX_ROWS: usize = 2_000;
pub(super) const MAX_COLUMNS: usize = 50;
const MAX_CELL_CHARS: usize = 500;

/// What files of Excel before 2007 begin with, and workbooks with a password (MS-CFB, 2.2).
const OLE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

/// A row with its number in the file, from 1.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Row {
    pub(crate) number: usize,
    pub(crate) cells: Vec<String>,
}

pub(super) fn wrong(key: &'static str) -> Error {
    Error::field("file", Text::key(key))
}

/// The rows that a form brings back, if they are what [`rows`] could have made.
///
/// # Errors
/// `Invalid` on `content` for anything else.
pub(crate) fn brought_back(json: &str) -> Result<Vec<Row>> {
    let changed = || Error::field("content", Text::key("devices-import-content"));
    let rows: Vec<Row> = serde_json::from_str(json).map_err(|_| changed())?;
    let is_ours = |row: &Row| row.cells.len() <= MAX_COLUMNS + 1 && row.cells.iter().all(|text| cell(text) == *text);
    let fits = (2..=MAX_ROWS + 1).contains(&rows.len()) && rows.iter().all(is_ours);
    if fits { Ok(rows) } else { Err(changed()) }
}

/// The rows of a file that are not empty, the headings first.
///
/// # Errors
/// `Invalid` on `file` for one that is too large, too long or no spreadsheet.
pub(crate) fn rows(bytes: &[u8]) -> Result<Vec<Row>> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::field("file", Text::key("devices-import-too-large").arg("max", MAX_BYTES / 1024 / 1024)));
    }
    if bytes.starts_with(OLE) {
        return Err(wrong("devices-import-old-excel"));
    }
    let all = if bytes.starts_with(b"PK\x03\x04") { xlsx::rows(bytes)? } else { csv(&text(bytes)?)? };
    let rows: Vec<Row> = all.into_iter().filter(|row| row.cells.iter().any(|cell| !cell.is_empty())).collect();
    if rows.len() < 2 {
        return Err(wrong("devices-import-empty"));
    }
    if rows.len() > MAX_ROWS + 1 {
        return Err(Error::field("file", Text::key("devices-import-too-long").arg("max", MAX_ROWS)));
    }
    Ok(rows)
}

/// What its mark says; without one UTF-8 if it is that, else GB18030.
fn text(bytes: &[u8]) -> Result<String> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.trim_start_matches('\u{feff}').to_owned(),
        Err(_) => {
            let (text, _, broken) = encoding_rs::GB18030.decode(bytes);
            if broken {
                return Err(wrong("devices-import-encoding"));
            }
            text.into_owned()
        }
    };
    if text.contains('\0') { Err(wrong("devices-import-encoding")) } else { Ok(text) }
}

pub(super) fn cell(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    // What our own lists put before a formula.
    let text = match text.trim().strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@']) => rest,
        _ => text.trim(),
    };
    text.chars().take(MAX_CELL_CHARS).collect::<String>().trim_end().to_owned()
}

/// RFC 4180, with whichever of comma, semicolon and tab the headings are set apart by.
fn csv(text: &str) -> Result<Vec<Row>> {
    let first = text.split(['\n', '\r']).next().unwrap_or_default();
    let separator = [',', '\t', ';'].into_iter().max_by_key(|c| first.matches(*c).count()).unwrap_or(',');
    let mut rows = Vec::new();
    let (mut cells, mut current, mut quoted, mut line) = (Vec::new(), String::new(), false, 1);
    let mut number = line;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                current.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if current.trim().is_empty() => {
                current.clear();
                quoted = true;
            }
            '\r' if !quoted && chars.peek() == Some(&'\n') => {}
            // Spreadsheets of a Mac end lines by the first alone.
            '\n' | '\r' if !quoted => {
                line += 1;
                cells.push(cell(&std::mem::take(&mut current)));
                let cells = std::mem::take(&mut cells);
                // Blank rows are no devices; the file's size bounds them.
                if cells.iter().any(|cell| !cell.is_empty()) {
                    rows.push(Row { number, cells });
                }
                number = line;
                if rows.len() > MAX_ROWS + 1 {
                    break;
                }
            }
            c if c == separator && !quoted && cells.len() < MAX_COLUMNS => {
                cells.push(cell(&std::mem::take(&mut current)));
            }
            c => {
                line += usize::from(c == '\n');
                current.push(c);
            }
        }
    }
    if quoted {
        return Err(Error::field("file", Text::key("devices-import-quote").arg("row", number)));
    }
    cells.push(cell(&current));
    rows.push(Row { number, cells });
    Ok(rows)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(bytes: &[u8]) -> Vec<(usize, Vec<String>)> {
        rows(bytes).unwrap().into_iter().map(|row| (row.number, row.cells)).collect()
    }

    #[test]
    fn blank_rows_are_no_rows_however_many() {
        let file = format!("serial,name\n{}last,x\n", "one,x\n\n,,,\n".repeat(1_200));
        let read = rows(file.as_bytes()).unwrap();
        assert_eq!((read.len(), read.last().unwrap().number), (1_202, 3_602));
        assert_eq!(rows(format!("a,b\n{}c,d\n", ",,,,\n".repeat(3_000)).as_bytes()).unwrap().len(), 2);
    }

    #[test]
    fn csv_is_read_in_the_encodings_that_spreadsheets_write() {
        let text = "序列号,名称\r\nSH-9,\"拉绳, 卫生间\"\r\n\r\nSH-10,\"二\n行\"\r\nSH-11,\"说\"\"好\"\"\"";
        let expected = vec![
            (1, vec!["序列号".to_owned(), "名称".to_owned()]),
            (2, vec!["SH-9".to_owned(), "拉绳, 卫生间".to_owned()]),
            (4, vec!["SH-10".to_owned(), "二 行".to_owned()]),
            (6, vec!["SH-11".to_owned(), "说\"好\"".to_owned()]),
        ];
        assert_eq!(read(text.as_bytes()), expected);
        assert_eq!(read(format!("\u{feff}{text}").as_bytes()), expected);
        assert_eq!(read(&encoding_rs::GB18030.encode(text).0), expected);
        let wide: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(read(&wide), expected, "as Excel saves \"Unicode text\"");
        assert_eq!(read("a,b\r1,2\r".as_bytes())[1], (2, vec!["1".to_owned(), "2".to_owned()]));
        assert_eq!(
            read(text.replacen("序列号,名称", "序列号\t名称", 1).replace("SH-9,", "SH-9\t").as_bytes())[1].1[0],
            "SH-9"
        );
    }

    #[test]
    fn what_a_form_brings_back_is_what_was_read() {
        let text = "序列号,名称\nSH-9,'=1+1\n";
        let ours = serde_json::to_string(&rows(text.as_bytes()).unwrap()).unwrap();
        assert_eq!(brought_back(&ours).unwrap(), rows(text.as_bytes()).unwrap());
        let row = |cell: &str| format!("{{\"number\":2,\"cells\":[\"{cell}\"]}}");
        let all = |cell: &str| format!("[{},{}]", row("serial"), row(cell));
        assert!(brought_back(&all("x")).is_ok());
        let many = format!("[{}]", vec![row("x"); MAX_ROWS + 2].join(","));
        for changed in ["", "[]", "{}", &all("a\\nb"), &all(&"x".repeat(MAX_CELL_CHARS + 1)), &many] {
            let Err(Error::Invalid(fields)) = brought_back(changed) else { panic!("{changed}") };
            assert_eq!(fields[0].field, "content");
        }
    }

    #[test]
    fn what_is_no_spreadsheet_is_refused() {
        for bytes in [&b""[..], b"serial,name", b"\xff\xfe\x00\x01", b"a\nb\0", b"a,b\n\"c", b"PK\x03\x04nothing", OLE]
        {
            assert!(matches!(rows(bytes), Err(Error::Invalid(_))), "{bytes:?}");
        }
        assert!(rows(&vec![b'a'; MAX_BYTES + 1]).is_err());
        assert!(rows("a\n".repeat(MAX_ROWS + 2).as_bytes()).is_err());
    }
}
