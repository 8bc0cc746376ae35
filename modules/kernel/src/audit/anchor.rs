//! The head of the chain, kept outside the database once a day: whoever cuts off the end of the log and its seals, or
//! writes both anew, cannot make this file fit.

use std::io::Write;
use std::path::Path;

use super::seal::Head;
use crate::error::{Error, Result};

/// What a file of anchors holds: a line of JSON each.
///
/// # Errors
/// `Internal` with the line that is no anchor, and when the file cannot be read. No file is no anchor.
pub fn read_anchors(path: &Path) -> Result<Vec<Head>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::Internal(format!("{} cannot be read: {error}", path.display()))),
    };
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            serde_json::from_str(line)
                .map_err(|error| Error::Internal(format!("{}, line {}: {error}", path.display(), at + 1)))
        })
        .collect()
}

/// Appends one; on the disk when it returns.
///
/// # Errors
/// When it cannot be written.
pub fn add_anchor(path: &Path, head: &Head) -> Result<()> {
    let cannot = |error: std::io::Error| Error::Internal(format!("{} cannot be written: {error}", path.display()));
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(cannot)?;
    }
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).map_err(cannot)?;
    let line = serde_json::to_string(head)?;
    writeln!(file, "{line}").map_err(cannot)?;
    file.sync_all().map_err(cannot)
}
