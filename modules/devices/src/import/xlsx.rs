//! The first sheet of an XLSX file as rows of text: a ZIP archive (APPNOTE.TXT of PKWARE) with XML in it (ECMA-376,
//! part 1, SpreadsheetML). Only what a list of devices needs: texts and numbers as they are stored, no dates, no
//! formulas but their last value.

use std::collections::BTreeMap;
use std::io::Read as _;

use songhe_kernel::{Error, Result, Text};

use super::read::{MAX_BYTES, MAX_COLUMNS, MAX_ROWS, Row, cell, wrong};

/// What one part of the archive may unpack to, in bytes. What an archive says of its own sizes is not believed.
const MAX_UNPACKED: u64 = 16 * 1024 * 1024;
/// Texts that cells may name by their number: more than there are cells to look at, since other sheets have theirs.
const MAX_SHARED: usize = 200_000;
/// The longest reference to a character: `&#x10FFFF;` without the first.
const MAX_ENTITY: usize = 9;
const SHARED: &str = "xl/sharedStrings.xml";

pub(super) fn rows(bytes: &[u8]) -> Result<Vec<Row>> {
    let broken = || wrong("devices-import-no-xlsx");
    let entries = entries(bytes).ok_or_else(broken)?;
    let unpack = |name: &str| match entries.get(name) {
        Some(entry) => text(bytes, entry).map(Some),
        None => Ok(None),
    };
    let shared = unpack(SHARED)?.map_or(Ok(Vec::new()), |xml| shared(&xml))?;
    let sheet = first_sheet(unpack("xl/workbook.xml")?.as_deref(), unpack("xl/_rels/workbook.xml.rels")?.as_deref())
        .filter(|name| entries.contains_key(name))
        .unwrap_or_else(|| "xl/worksheets/sheet1.xml".to_owned());
    let sheet = unpack(&sheet)?.ok_or_else(broken)?;
    Ok(sheet_rows(&sheet, &shared))
}

fn too_large() -> Error {
    Error::field("file", Text::key("devices-import-too-large").arg("max", MAX_BYTES / 1024 / 1024))
}

struct Entry {
    method: u16,
    packed: usize,
    offset: usize,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?)).ok()
}

/// The central directory, by name.
fn entries(bytes: &[u8]) -> Option<BTreeMap<String, Entry>> {
    // Behind it is a comment of at most 64 KiB.
    let from = bytes.len().saturating_sub(22 + 65_535);
    let tail = bytes.get(from..)?;
    let end = from + tail.windows(4).rposition(|window| window == b"PK\x05\x06")?;
    let mut at = u32_at(bytes, end + 16)?;
    let mut found = BTreeMap::new();
    for _ in 0..u16_at(bytes, end + 10)? {
        if bytes.get(at..at + 4)? != b"PK\x01\x02" {
            return None;
        }
        let length = |offset| u16_at(bytes, at + offset).map(usize::from);
        let (name, extra, comment) = (length(28)?, length(30)?, length(32)?);
        let entry =
            Entry { method: u16_at(bytes, at + 10)?, packed: u32_at(bytes, at + 20)?, offset: u32_at(bytes, at + 42)? };
        let name_bytes = bytes.get(at + 46..at + 46 + name)?;
        found.insert(String::from_utf8_lossy(name_bytes).replace('\\', "/"), entry);
        at += 46 + name + extra + comment;
    }
    Some(found)
}

fn text(bytes: &[u8], entry: &Entry) -> Result<String> {
    let broken = || wrong("devices-import-no-xlsx");
    let packed = || {
        let at = entry.offset;
        let head = usize::from(u16_at(bytes, at + 26)?) + usize::from(u16_at(bytes, at + 28)?);
        let from = at.checked_add(30 + head)?;
        bytes.get(from..from.checked_add(entry.packed)?)
    };
    let packed = packed().ok_or_else(broken)?;
    let mut unpacked = Vec::new();
    let read = match entry.method {
        0 => packed.take(MAX_UNPACKED + 1).read_to_end(&mut unpacked),
        8 => flate2::read::DeflateDecoder::new(packed).take(MAX_UNPACKED + 1).read_to_end(&mut unpacked),
        _ => return Err(broken()),
    };
    read.map_err(|_| broken())?;
    if u64::try_from(unpacked.len()).is_ok_and(|bytes| bytes > MAX_UNPACKED) {
        return Err(too_large());
    }
    String::from_utf8(unpacked).map_err(|_| broken())
}

/// What an XML text consists of. Names are without their prefix.
enum Token<'a> {
    Open { name: &'a str, attributes: &'a str },
    Close(&'a str),
    Text(&'a str),
}

struct Tokens<'a>(&'a str, Option<&'a str>);

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, name)| name)
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        // Of an empty element both sides are told.
        if let Some(name) = self.1.take() {
            return Some(Token::Close(name));
        }
        loop {
            let rest = self.0;
            if !rest.starts_with('<') {
                if rest.is_empty() {
                    return None;
                }
                let end = rest.find('<').unwrap_or(rest.len());
                let (text, after) = rest.split_at(end);
                self.0 = after;
                return Some(Token::Text(text));
            }
            let ends = if rest.starts_with("<!--") { "-->" } else { ">" };
            let end = rest.find(ends)?;
            let tag = rest.get(1..end)?;
            self.0 = rest.get(end + ends.len()..)?;
            if tag.starts_with(['?', '!']) {
                continue;
            }
            if let Some(name) = tag.strip_prefix('/') {
                return Some(Token::Close(local(name.trim())));
            }
            let (tag, empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
            let (name, attributes) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
            self.1 = empty.then(|| local(name));
            return Some(Token::Open { name: local(name), attributes });
        }
    }
}

fn tokens(xml: &str) -> Tokens<'_> {
    Tokens(xml, None)
}

/// The value of an attribute.
fn attribute(attributes: &str, wanted: &str) -> Option<String> {
    let mut rest = attributes;
    loop {
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, after) = after.get(1..)?.split_once(quote)?;
        if local(name.trim()) == wanted {
            return Some(plain(value));
        }
        rest = after;
    }
}

/// Text without entities.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        // Looked for nearby only: a file of nothing but "&" would be read again from each of them.
        let near = after.as_bytes().iter().take(MAX_ENTITY + 1).position(|byte| *byte == b';');
        let Some((entity, after)) = near.and_then(|end| Some((after.get(..end)?, after.get(end + 1..)?))) else {
            out.push('&');
            rest = after;
            continue;
        };
        let number = |digits: &str| match digits.strip_prefix('x') {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => digits.parse().ok(),
        };
        out.extend(match entity {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            other => other.strip_prefix('#').and_then(number).and_then(char::from_u32),
        });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The workbook names its sheets in their order, its relations tell where each is.
fn first_sheet(workbook: Option<&str>, relations: Option<&str>) -> Option<String> {
    let id = tokens(workbook?).find_map(|token| match token {
        Token::Open { name: "sheet", attributes } => {
            let attributes = attributes.replace("sheetId", "");
            attribute(&attributes, "id")
        }
        _ => None,
    })?;
    let target = tokens(relations?).find_map(|token| match token {
        Token::Open { name: "Relationship", attributes } if attribute(attributes, "Id").as_ref() == Some(&id) => {
            attribute(attributes, "Target")
        }
        _ => None,
    })?;
    Some(match target.strip_prefix('/') {
        Some(whole) => whole.to_owned(),
        None => format!("xl/{target}"),
    })
}

/// Texts that cells name by their number, cut to what a cell may hold: each may be named by every cell. A text may be in
/// runs; readings of characters are no part of it.
fn shared(xml: &str) -> Result<Vec<String>> {
    let mut all = Vec::new();
    let (mut current, mut in_text, mut in_reading) = (String::new(), false, false);
    for token in tokens(xml) {
        match token {
            Token::Open { name: "si", .. } => current.clear(),
            Token::Close("si") if all.len() >= MAX_SHARED => return Err(too_large()),
            Token::Close("si") => all.push(cell(&std::mem::take(&mut current))),
            Token::Open { name: "t", .. } => in_text = true,
            Token::Close("t") => in_text = false,
            Token::Open { name: "rPh", .. } => in_reading = true,
            Token::Close("rPh") => in_reading = false,
            Token::Text(text) if in_text && !in_reading => current.push_str(&plain(text)),
            _ => {}
        }
    }
    Ok(all)
}

/// "C7" is column 2.
fn column(reference: &str) -> Option<usize> {
    let letters = reference.bytes().take_while(u8::is_ascii_alphabetic);
    let number = letters.take(4).fold(0, |sum, letter| sum * 26 + usize::from(letter.to_ascii_uppercase() - b'A') + 1);
    number.checked_sub(1)
}

/// A number that is whole is written so: "860123456789012", not "8.60123456789012E14".
fn number(text: &str) -> String {
    match text.parse::<f64>() {
        Ok(value) if text.contains(['E', 'e', '.']) && value.abs() < 1e15 => value.to_string(),
        _ => text.to_owned(),
    }
}

fn sheet_rows(xml: &str, shared: &[String]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let (mut kind, mut at, mut value) = (String::new(), 0, String::new());
    let (mut in_value, mut in_reading, mut last) = (false, false, 0);
    for token in tokens(xml) {
        match token {
            Token::Open { name: "row", attributes } => {
                let told = attribute(attributes, "r").and_then(|number| number.parse().ok());
                let number = told.unwrap_or(last + 1);
                last = number;
                // Blank rows are no devices; the file's size bounds them. One row too many is enough to refuse the rest.
                rows.pop_if(|row| row.cells.iter().all(String::is_empty));
                if rows.len() > MAX_ROWS + 1 {
                    return rows;
                }
                rows.push(Row { number, cells: Vec::new() });
                at = 0;
            }
            Token::Open { name: "c", attributes } => {
                kind = attribute(attributes, "t").unwrap_or_default();
                at = attribute(attributes, "r").as_deref().and_then(column).unwrap_or(at);
                value.clear();
            }
            Token::Open { name: "v" | "t", .. } => in_value = true,
            Token::Close("v" | "t") => in_value = false,
            Token::Open { name: "rPh", .. } => in_reading = true,
            Token::Close("rPh") => in_reading = false,
            Token::Text(text) if in_value && !in_reading => value.push_str(&plain(text)),
            Token::Close("c") => {
                let text = match kind.as_str() {
                    "s" => {
                        value.trim().parse::<usize>().ok().and_then(|at| shared.get(at).cloned()).unwrap_or_default()
                    }
                    "" | "n" => number(value.trim()),
                    "e" => String::new(),
                    _ => std::mem::take(&mut value),
                };
                if let Some(row) = rows.last_mut().filter(|_| at < MAX_COLUMNS) {
                    row.cells.resize(row.cells.len().max(at + 1), String::new());
                    if let Some(place) = row.cells.get_mut(at) {
                        *place = cell(&text);
                    }
                }
                at += 1;
            }
            _ => {}
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write as _;

    use super::*;

    /// An archive of these parts, packed or stored.
    fn archive(parts: &[(&str, &[u8])], pack: bool) -> Vec<u8> {
        let (mut out, mut directory) = (Vec::new(), Vec::new());
        for (name, content) in parts {
            let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            packer.write_all(content).unwrap();
            let (method, data) = if pack { (8u16, packer.finish().unwrap()) } else { (0, content.to_vec()) };
            let size = |bytes: usize| u32::try_from(bytes).unwrap().to_le_bytes();
            let mut common = [0u8; 22];
            common[4..6].copy_from_slice(&method.to_le_bytes());
            common[14..18].copy_from_slice(&size(data.len()));
            // What it says of its whole size is a lie.
            common[18..22].copy_from_slice(&size(1));
            let offset = size(out.len());
            let name_length = u16::try_from(name.len()).unwrap().to_le_bytes();
            out.extend_from_slice(b"PK\x03\x04");
            out.extend_from_slice(&common);
            out.extend_from_slice(&name_length);
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(&data);
            directory.extend_from_slice(b"PK\x01\x02\x14\x00");
            directory.extend_from_slice(&common);
            directory.extend_from_slice(&name_length);
            directory.extend_from_slice(&[0; 12]);
            directory.extend_from_slice(&offset);
            directory.extend_from_slice(name.as_bytes());
        }
        let (start, count) = (u32::try_from(out.len()).unwrap(), u16::try_from(parts.len()).unwrap());
        out.extend_from_slice(&directory);
        out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(&u32::try_from(directory.len()).unwrap().to_le_bytes());
        out.extend_from_slice(&start.to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        out
    }

    const WORKBOOK: &str = r#"<?xml version="1.0"?><workbook xmlns:r="x"><sheets><sheet name="设备" sheetId="7" r:id="rId3"/><sheet name="x" sheetId="1" r:id="rId1"/></sheets></workbook>"#;
    const RELATIONS: &str = r#"<Relationships><Relationship Id="rId1" Target="worksheets/sheet1.xml"/><Relationship Target="worksheets/sheet2.xml" Id="rId3"/></Relationships>"#;
    const TEXTS: &str = r#"<x:sst xmlns:x="y"><x:si><x:t>序列号</x:t></x:si><x:si><x:r><x:t xml:space="preserve">A &amp; </x:t></x:r><x:r><x:t>&#x4E00;</x:t></x:r><x:rPh><x:t>yi</x:t></x:rPh></x:si></x:sst>"#;
    const SHEET: &str = r#"<worksheet><sheetData><row r="2"><c r="A2" t="s"><v>0</v></c><c r="C2" t="inlineStr"><is><t>名称</t></is></c></row><row r="5"><c r="A5"><v>8.60123456789012E14</v></c><c r="B5" t="s"><v>1</v></c><c r="C5" t="str"><f>1+1</f><v>二</v></c><c r="D5"><v>3.1</v></c><c r="E5" s="1"/><c r="F5" t="s"><v>99</v></c></row></sheetData></worksheet>"#;

    #[test]
    fn the_first_sheet_is_read_as_it_is_stored() {
        let parts = [
            ("xl/workbook.xml", WORKBOOK.as_bytes()),
            ("xl/_rels/workbook.xml.rels", RELATIONS.as_bytes()),
            ("xl/sharedStrings.xml", TEXTS.as_bytes()),
            ("xl/worksheets/sheet2.xml", SHEET.as_bytes()),
        ];
        for pack in [true, false] {
            let rows = super::super::read::rows(&archive(&parts, pack)).unwrap();
            let rows: Vec<_> = rows.into_iter().map(|row| (row.number, row.cells)).collect();
            let whole = ["860123456789012", "A & 一", "二", "3.1", "", ""];
            assert_eq!(
                rows,
                [(2, ["序列号", "", "名称"].map(str::to_owned).to_vec()), (5, whole.map(str::to_owned).to_vec())]
            );
        }
    }

    /// As spreadsheet programs write them: texts with the cells or shared, in runs, dates, formulas, empty rows between.
    #[test]
    fn files_of_spreadsheet_programs_are_read() {
        let files: [(&str, &[u8]); 3] = [
            ("openpyxl", include_bytes!("../../tests/files/openpyxl.xlsx")),
            ("inline", include_bytes!("../../tests/files/inline.xlsx")),
            ("shared", include_bytes!("../../tests/files/shared.xlsx")),
        ];
        for (name, bytes) in files {
            let rows = super::super::read::rows(bytes).unwrap();
            let rows: Vec<(usize, String)> = rows.into_iter().map(|row| (row.number, row.cells.join("|"))).collect();
            // A formula has the value that was stored with it; one file has none.
            let formula = if name == "openpyxl" { "" } else { "床头呼叫器" };
            let last = format!("X-3|{formula}|3.1|songhe-mqtt");
            assert_eq!(
                rows,
                [
                    (1, "序列号|名称|类别|接入方式|场所|老人|通信要求|购入日期".to_owned()),
                    (2, "860123456789012|一键呼叫器 & 底座|3.1|songhe-mqtt|||守护|46327".to_owned()),
                    (
                        3,
                        format!(
                            "X-2|卫生间拉绳|3.1 安全监护设备|songhe-mqtt|||每天{}",
                            if name == "openpyxl" { "|46328" } else { "" }
                        )
                    ),
                    (6, last),
                ],
                "{name}"
            );
        }
    }

    /// Each would take hours, or gigabytes, if it were read as it asks to be: a test that does not end has failed.
    #[test]
    fn a_small_file_that_makes_much_work_is_read_or_refused_at_once() {
        let cells = |cell: &str, n: usize| format!("<sheetData><row>{}</row></sheetData>", cell.repeat(n));
        let long = "x".repeat(4 << 20);
        let texts = format!("<sst><si><t>序列号</t></si><si><t>{long}</t></si></sst>");
        let named = cells("<c t=\"s\"><v>1</v></c>", 100_000);
        let amps = format!("<sst><si><t>{}</t></si></sst>", "&".repeat(2 << 20));
        let empty = format!("<sst>{}</sst>", "<si/>".repeat(MAX_SHARED + 1));
        for (what, texts, sheet, refused) in [
            ("one text in all cells", texts.as_str(), named.as_str(), false),
            ("nothing but ampersands", amps.as_str(), SHEET, false),
            ("empty texts", empty.as_str(), SHEET, true),
        ] {
            let parts = [(SHARED, texts.as_bytes()), ("xl/worksheets/sheet1.xml", sheet.as_bytes())];
            let bytes = archive(&parts, true);
            assert!(bytes.len() < MAX_BYTES, "{what}");
            assert_eq!(rows(&bytes).is_err(), refused, "{what}");
        }
    }

    #[test]
    fn a_small_file_that_unpacks_into_much_is_refused() {
        let much = vec![b' '; usize::try_from(MAX_UNPACKED).unwrap() + 1];
        let bytes = archive(&[("xl/sharedStrings.xml", &much)], true);
        assert!(bytes.len() < MAX_BYTES);
        let Err(Error::Invalid(fields)) = rows(&bytes) else { panic!("it was read") };
        assert_eq!(fields[0].text.key, "devices-import-too-large");
    }

    #[test]
    fn what_is_cut_or_broken_is_refused_and_no_defect() {
        let whole = archive(&[("xl/worksheets/sheet1.xml", SHEET.as_bytes())], true);
        for end in 0..whole.len() {
            let _ = rows(&whole[..end]);
            let mut broken = whole.clone();
            broken[end] ^= 0xff;
            let _ = rows(&broken);
        }
        assert!(rows(b"PK\x03\x04").is_err());
    }
}
