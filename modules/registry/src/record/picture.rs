//! Pictures of people: whether bytes are one, and what a picture must not tell.
//!
//! A browser shows what it is sent: only bytes that are a whole JPEG or PNG are taken, by their structure and not by their
//! name. What cameras write beside the picture (place, time, device) is left out; the way up is kept. Pure.

use std::ops::RangeInclusive;

/// 2 MiB: a portrait in any useful size.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;
/// Pixels of either side.
const SIDE: RangeInclusive<u32> = 32..=6000;
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The formats that are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Jpeg,
    Png,
}

impl Format {
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }
}

/// Why bytes are no picture for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPicture {
    TooLarge,
    /// Neither JPEG nor PNG, or broken.
    Unreadable,
    /// A side of fewer than 32 or more than 6000 pixels.
    Size,
}

/// A picture without what cameras add.
///
/// # Errors
/// Why it is none.
pub fn cleaned(bytes: &[u8]) -> Result<(Format, Vec<u8>), NoPicture> {
    if bytes.len() > MAX_BYTES {
        return Err(NoPicture::TooLarge);
    }
    let (format, found) = if bytes.starts_with(PNG) { (Format::Png, png(bytes)) } else { (Format::Jpeg, jpeg(bytes)) };
    let ((width, height), kept) = found.ok_or(NoPicture::Unreadable)?;
    if !SIDE.contains(&width) || !SIDE.contains(&height) {
        return Err(NoPicture::Size);
    }
    Ok((format, kept))
}

type Found = Option<((u32, u32), Vec<u8>)>;

fn be_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn be_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

/// Chunks of length, name, content and checksum, from IHDR to IEND.
fn png(bytes: &[u8]) -> Found {
    let mut kept = PNG.to_vec();
    let mut at = PNG.len();
    let mut size = None;
    let mut has_data = false;
    loop {
        let length = usize::try_from(be_u32(bytes, at)?).ok()?;
        let end = at.checked_add(length)?.checked_add(12)?;
        let chunk = bytes.get(at..end)?;
        let name = chunk.get(4..8)?;
        if size.is_none() {
            if name != b"IHDR" {
                return None;
            }
            size = Some((be_u32(chunk, 8)?, be_u32(chunk, 12)?));
        }
        has_data |= name == b"IDAT";
        if !matches!(name, b"tEXt" | b"iTXt" | b"zTXt" | b"eXIf" | b"tIME") {
            kept.extend_from_slice(chunk);
        }
        at = end;
        if name == b"IEND" {
            // What stands behind the end is no part of a picture.
            return has_data.then_some((size?, kept));
        }
    }
}

/// Segments up to the start of scan, then the scan to the end marker.
fn jpeg(bytes: &[u8]) -> Found {
    if !bytes.starts_with(b"\xFF\xD8\xFF") {
        return None;
    }
    let mut kept = b"\xFF\xD8".to_vec();
    let mut at = 2;
    let mut size = None;
    loop {
        // Any number of FF may stand before a marker.
        while bytes.get(at..at + 2)? == [0xFF, 0xFF] {
            at += 1;
        }
        let marker = match bytes.get(at..at + 2)? {
            [0xFF, marker] => *marker,
            _ => return None,
        };
        let length = usize::from(be_u16(bytes, at + 2)?);
        let segment = bytes.get(at..at.checked_add(2)?.checked_add(length)?)?;
        if length < 2 {
            return None;
        }
        match marker {
            // EXIF and XMP: of these the way up alone is kept.
            0xE1 => kept.extend(orientation(segment).map(way_up).unwrap_or_default()),
            // Other programs' notes, and comments.
            0xE3..=0xED | 0xEF | 0xFE => {}
            0xDA => {
                let rest = bytes.get(at..)?;
                let end = rest.windows(2).rposition(|pair| pair == [0xFF, 0xD9])?;
                kept.extend_from_slice(rest.get(..end + 2)?);
                return Some((size?, kept));
            }
            // Frames; not the tables and the arithmetic conditioning among their codes.
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                size = Some((u32::from(be_u16(segment, 7)?), u32::from(be_u16(segment, 5)?)));
                kept.extend_from_slice(segment);
            }
            _ => kept.extend_from_slice(segment),
        }
        at += segment.len();
    }
}

/// The way up of an EXIF segment, 2 to 8; `None` where it is as stored.
fn orientation(segment: &[u8]) -> Option<u8> {
    let tiff = segment.get(4..)?.strip_prefix(b"Exif\0\0")?;
    let little = tiff.starts_with(b"II");
    let u16_at = |at: usize| {
        let pair: [u8; 2] = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) })
    };
    let four: [u8; 4] = tiff.get(4..8)?.try_into().ok()?;
    let first = usize::try_from(if little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) }).ok()?;
    let entries = usize::from(u16_at(first)?);
    for entry in 0..entries.min(200) {
        let at = first.checked_add(2)?.checked_add(entry * 12)?;
        if u16_at(at)? == 0x0112 {
            return u8::try_from(u16_at(at + 8)?).ok().filter(|way| (2..=8).contains(way));
        }
    }
    None
}

/// An EXIF segment that tells the way up and nothing else.
fn way_up(orientation: u8) -> Vec<u8> {
    let mut segment = b"\xFF\xE1\x00\x22Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    segment.push(orientation);
    segment.extend_from_slice(b"\0\0\0\0\0\0");
    segment
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn chunk(name: &[u8], content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&length[..], name, content, &[0; 4]].concat()
    }

    fn a_png(side: u32) -> Vec<u8> {
        let head = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
        let text = chunk(b"tEXt", b"Comment\0N 31.23 E 121.47");
        [PNG, &chunk(b"IHDR", &head), &text, &chunk(b"IDAT", &[1; 9]), &chunk(b"IEND", &[])].concat()
    }

    fn a_jpeg(exif: &[u8]) -> Vec<u8> {
        let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
        let frame = b"\xFF\xC0\x00\x0B\x08\x00\x40\x00\x30\x01\x01\x11\x00";
        let scan = b"\xFF\xDA\x00\x08\x01\x01\x00\x00\x3F\x00abc\xFF\xD9";
        [b"\xFF\xD8\xFF\xE1", &length[..], exif, frame, scan].concat()
    }

    #[test]
    fn a_picture_loses_what_the_camera_wrote_and_keeps_its_way_up() {
        let exif =
            b"Exif\0\0II*\0\x08\0\0\0\x02\0\x0F\x01\x02\0\x04\0\0\0GPS!\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let (format, kept) = cleaned(&a_jpeg(exif)).unwrap();
        assert_eq!(format, Format::Jpeg);
        assert!(!kept.windows(4).any(|part| part == b"GPS!"));
        assert_eq!(orientation(kept.get(2..38).unwrap()), Some(6));
        // Cleaned again it is the same.
        assert_eq!(cleaned(&kept).unwrap().1, kept);

        let (format, kept) = cleaned(&[a_png(64), b"<script>".to_vec()].concat()).unwrap();
        assert_eq!(format, Format::Png);
        assert!(!kept.windows(7).any(|part| part == b"Comment" || part == b"<script"));
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        for bytes in [&b""[..], b"\xFF\xD8\xFF", PNG, b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a"] {
            assert_eq!(cleaned(bytes).unwrap_err(), NoPicture::Unreadable, "{bytes:?}");
        }
        let whole = a_jpeg(b"");
        assert_eq!(cleaned(&whole[..whole.len() - 1]).unwrap_err(), NoPicture::Unreadable);
        assert_eq!(cleaned(&a_png(31)).unwrap_err(), NoPicture::Size);
        assert_eq!(cleaned(&a_png(6001)).unwrap_err(), NoPicture::Size);
        assert_eq!(cleaned(&vec![0xFF; MAX_BYTES + 1]).unwrap_err(), NoPicture::TooLarge);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(
            noise in proptest::collection::vec(any::<u8>(), 0..60), at in 0_usize..120, cut in 0_usize..200, png: bool,
        ) {
            let mut bytes = if png { a_png(64) } else { a_jpeg(&noise) };
            let at = at % bytes.len();
            bytes.splice(at..at, noise);
            bytes.truncate(cut.max(1));
            if let Ok((_, kept)) = cleaned(&bytes) {
                prop_assert!(kept.len() <= bytes.len() + 36);
            }
        }
    }
}
