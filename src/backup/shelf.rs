//! A folder of archives: their names, what is there, and what has had its time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{Datelike, NaiveDate};
use chrono_tz::Tz;
use songhe_kernel::Moment;

use super::archive::{Header, header};
use super::{Outcome, cannot};

const BEGINS: &str = "songhe-";
const ENDS: &str = ".backup";
/// No archive takes as long.
const UNFINISHED_FOR: Duration = Duration::from_secs(86_400);

/// An archive that lies there.
#[derive(Debug, Clone)]
pub struct Kept {
    pub path: PathBuf,
    pub header: Header,
    pub bytes: u64,
}

/// How an archive of that moment is called.
pub fn name(at: Moment) -> String {
    format!("{BEGINS}{}{ENDS}", at.utc().format("%Y-%m-%dT%H-%M-%SZ"))
}

/// The archives in a folder that have such a name, newest first.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(folder: &Path) -> Outcome<Vec<Kept>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(cannot("backup-unread", folder))?.flatten() {
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| name.starts_with(BEGINS) && name.ends_with(ENDS));
        if let (true, Ok(header), Ok(about)) = (ours, header(&entry.path()), entry.metadata()) {
            all.push(Kept { path: entry.path(), header, bytes: about.len() });
        }
    }
    all.sort_by_key(|one| std::cmp::Reverse(one.header.created_at));
    Ok(all)
}

/// Which of them (newest first) have had their time: kept is the newest of each of the last `days` days and of each of the
/// last `weeks` weeks that have any.
pub fn surplus(archives: &[Moment], zone: Tz, days: usize, weeks: usize) -> Vec<usize> {
    let (mut seen_days, mut seen_weeks) = (BTreeSet::new(), BTreeSet::new());
    let mut gone = Vec::new();
    for (index, at) in archives.iter().enumerate() {
        let day: NaiveDate = at.day_in(zone);
        let week = (day.iso_week().year(), day.iso_week().week());
        let for_day = seen_days.len() < days && seen_days.insert(day);
        let for_week = seen_weeks.len() < weeks && seen_weeks.insert(week);
        if index > 0 && !for_day && !for_week {
            gone.push(index);
        }
    }
    gone
}

/// Removes what has had its time. Answers how many.
///
/// # Errors
/// When the folder cannot be read or a file not be removed.
pub fn tidy(folder: &Path, zone: Tz, days: usize, weeks: usize) -> Outcome<usize> {
    let all = list(folder)?;
    let moments: Vec<Moment> = all.iter().map(|kept| kept.header.created_at).collect();
    let gone = surplus(&moments, zone, days, weeks);
    for index in &gone {
        let path = &all[*index].path;
        std::fs::remove_file(path).map_err(cannot("backup-unwritten", path))?;
    }
    let _ = remove_unfinished(folder);
    Ok(gone.len())
}

/// What a kill left of an archive that was being written, a day ago or earlier.
fn remove_unfinished(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)?.flatten() {
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| name.starts_with(".songhe-") && name.ends_with(".backup.part"));
        let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
        if ours && age > UNFINISHED_FOR {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SHANGHAI: Tz = chrono_tz::Asia::Shanghai;

    fn kept(archives: &[&str], days: usize, weeks: usize) -> Vec<String> {
        let moments: Vec<Moment> = archives.iter().map(|at| at.parse().unwrap()).collect();
        let gone = surplus(&moments, SHANGHAI, days, weeks);
        archives.iter().enumerate().filter(|(i, _)| !gone.contains(i)).map(|(_, at)| (*at).to_owned()).collect()
    }

    #[test]
    fn the_newest_of_each_day_and_of_each_week_stays() {
        // The second of November 22 there is still of the 22nd here in the zone, not of the 21st.
        let archives = [
            "2026-11-22T18:30:00Z",
            "2026-11-22T03:00:00Z",
            "2026-11-21T18:30:00Z",
            "2026-11-20T18:30:00Z",
            "2026-11-13T18:30:00Z",
            "2026-11-12T18:30:00Z",
            "2026-11-06T18:30:00Z",
        ];
        assert_eq!(kept(&archives, 2, 0), [archives[0], archives[1]]);
        assert_eq!(kept(&archives, 3, 0), [archives[0], archives[1], archives[3]]);
        assert_eq!(kept(&archives, 0, 3), [archives[0], archives[1], archives[4]]);
        assert_eq!(kept(&archives, 1, 4), [archives[0], archives[1], archives[4], archives[6]]);
        // The newest never goes.
        assert_eq!(kept(&archives[..1], 0, 0), [archives[0]]);
    }

    #[test]
    fn names_tell_the_moment_and_sort() {
        assert_eq!(name("2026-11-22T18:30:00.123Z".parse().unwrap()), "songhe-2026-11-22T18-30-00Z.backup");
    }
}
