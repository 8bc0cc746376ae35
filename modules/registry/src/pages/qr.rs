//! QR codes as SVG without style attributes, so that the content security policy lets them be.

use std::fmt::Write;

use qrcode::{Color, EcLevel, QrCode};
use songhe_kernel::{Error, Result};

/// Modules of white around the code that readers need.
const QUIET: usize = 4;

/// The code for a text, black on white; a quarter of it may be scratched off.
///
/// # Errors
/// `Internal` when the text is too long for a code.
pub(super) fn svg(text: &str) -> Result<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::Q).map_err(Error::internal)?;
    let width = code.width();
    let side = width + 2 * QUIET;
    let mut dark = String::new();
    for (index, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            // Writing to a String cannot fail.
            let _ = write!(dark, "M{} {}h1v1h-1z", index % width + QUIET, index / width + QUIET);
        }
    }
    Ok(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" shape-rendering="crispEdges" focusable="false"><path fill="#fff" d="M0 0h{side}v{side}H0z"/><path fill="#000" d="{dark}"/></svg>"##
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    #[test]
    fn a_code_has_its_corner_and_no_style() {
        let svg = super::svg("https://songhe.example/t/0123456789abcdef0123456789abcdef").unwrap();
        assert!(svg.contains("M4 4h1v1h-1z") && !svg.contains("style"));
    }
}
