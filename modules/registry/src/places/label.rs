//! What boards call a place.

use super::PlaceKind;

/// The path in words, outermost first, as somebody would say it: `2号楼 305 室 · 2 床`. A floor is left out where a room,
/// home or bed follows, whose number tells it; a bed is set off by a dot.
pub fn label_of(path: &[(PlaceKind, &str)]) -> String {
    let mut label = String::new();
    for (index, (kind, name)) in path.iter().enumerate() {
        let later = path.get(index + 1..).unwrap_or_default();
        if *kind == PlaceKind::Floor && later.iter().any(|(kind, _)| kind.is_dwelling()) {
            continue;
        }
        if !label.is_empty() {
            label.push_str(if *kind == PlaceKind::Bed { " · " } else { " " });
        }
        label.push_str(name);
    }
    label
}

#[cfg(test)]
mod tests {
    use super::*;
    use PlaceKind::{Area, Bed, Building, Floor, Home, Room};

    #[test]
    fn a_label_reads_as_somebody_would_say_it() {
        for (path, label) in [
            (vec![(Building, "2号楼"), (Floor, "3层"), (Room, "305 室"), (Bed, "2 床")], "2号楼 305 室 · 2 床"),
            (vec![(Building, "2号楼"), (Floor, "3层"), (Area, "走廊")], "2号楼 3层 走廊"),
            (vec![(Room, "101 室"), (Area, "卫生间")], "101 室 卫生间"),
            (vec![(Home, "梧桐里 12 号 301")], "梧桐里 12 号 301"),
        ] {
            assert_eq!(label_of(&path), label);
        }
    }
}
