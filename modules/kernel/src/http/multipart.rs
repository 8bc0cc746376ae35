//! Forms with a file in them: `multipart/form-data`, in memory, as large as the route allows.

use actix_web::HttpRequest;
use actix_web::http::header;

use super::visitor::text;
use crate::error::{Error, Result, Text};

/// Parts looked at: a form has few.
const MAX_PARTS: usize = 32;

/// An input of a form with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// The parts of a form.
///
/// # Errors
/// `BadRequest` for another content type, or bytes that do not follow it.
pub(super) fn parts(request: &HttpRequest, body: &[u8]) -> Result<Vec<Part>> {
    let content_type = text(request, &header::CONTENT_TYPE).unwrap_or_default();
    boundary(content_type)
        .and_then(|boundary| split(body, &boundary))
        .ok_or_else(|| Error::BadRequest(Text::key("error-not-form")))
}

fn boundary(content_type: &str) -> Option<String> {
    let (media_type, parameters) = content_type.split_once(';')?;
    if !media_type.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        let fits = name.trim().eq_ignore_ascii_case("boundary") && (1..=70).contains(&value.len());
        fits.then(|| value.to_owned())
    })
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn split(body: &[u8], boundary: &str) -> Option<Vec<Part>> {
    let first = format!("--{boundary}");
    let next = format!("\r\n--{boundary}");
    let mut rest = body.get(find(body, first.as_bytes())? + first.len()..)?;
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        rest = rest.strip_prefix(b"\r\n")?;
        let end_of_head = find(rest, b"\r\n\r\n")?;
        let (head, content) = rest.split_at_checked(end_of_head)?;
        let content = content.get(4..)?;
        let end = find(content, next.as_bytes())?;
        let (bytes, after) = content.split_at_checked(end)?;
        if let Some(name) = name_of(std::str::from_utf8(head).ok()?) {
            parts.push(Part { name, bytes: bytes.to_vec() });
        }
        if parts.len() > MAX_PARTS {
            return None;
        }
        rest = after.get(next.len()..)?;
    }
    Some(parts)
}

fn name_of(head: &str) -> Option<String> {
    let disposition = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    disposition.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        (name.trim() == "name").then(|| value.trim().trim_matches('"').to_owned())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_form_with_a_file_comes_apart_where_its_boundary_says() {
        let body = b"--x\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\nabc\r\n--x\r\n\
                     content-disposition: form-data; name=\"file\"; filename=\"a;b.csv\"\r\nContent-Type: text/csv\r\n\r\n\
                     a,b\r\n--y\r\n1,2\r\n--x--\r\n";
        let parts = split(body, "x").unwrap();
        let parts: Vec<_> = parts.iter().map(|part| (part.name.as_str(), part.bytes.as_slice())).collect();
        assert_eq!(parts, [("csrf", &b"abc"[..]), ("file", &b"a,b\r\n--y\r\n1,2"[..])]);
        assert_eq!(boundary("multipart/form-data; charset=utf-8; boundary=\"x\"").as_deref(), Some("x"));
        for broken in [&b""[..], b"--x", b"--x\r\n", b"--x\r\nA: b\r\n\r\nno end", b"--x--junk\r\n--x"] {
            assert!(split(broken, "x").is_none_or(|parts| parts.is_empty()), "{broken:?}");
        }
        assert_eq!(boundary("application/x-www-form-urlencoded"), None);
    }
}
