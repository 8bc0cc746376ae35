//! How many files and connections this process may have open at a time. The system's usual 1,024 is less than a street of
//! devices: the limit is raised as far as the system lets it.

/// What the server needs beside devices: the database, pages, streams, files.
const BESIDE_DEVICES: u64 = 512;
/// Fewer places than this for connections on their way in would keep devices out.
const FEWEST_WAITING: usize = 64;

/// How many may be open now.
#[cfg(unix)]
pub fn limit() -> u64 {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(not(unix))]
pub fn limit() -> u64 {
    u64::MAX
}

/// Raises the limit as far as the system allows without special rights.
#[cfg(unix)]
pub fn raise() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

#[cfg(not(unix))]
pub fn raise() {}

/// What so many devices need.
pub fn needed(max_clients: usize) -> u64 {
    max_clients as u64 + FEWEST_WAITING as u64 + BESIDE_DEVICES
}

/// How many connections may be on their way in: as many as wished, if the system has room for them beside the devices.
pub fn room_for(max_clients: usize, wished: usize) -> usize {
    room_within(limit(), max_clients, wished)
}

fn room_within(limit: u64, max_clients: usize, wished: usize) -> usize {
    let free = limit.saturating_sub(max_clients as u64 + BESIDE_DEVICES);
    let room = usize::try_from(free).unwrap_or(usize::MAX).max(FEWEST_WAITING).min(wished);
    if limit < needed(max_clients) {
        tracing::warn!(
            limit,
            needed = needed(max_clients),
            "too few open files for mqtt.max_clients: {}",
            mend(max_clients)
        );
    }
    room
}

/// What to do about a limit that is too low.
pub fn mend(max_clients: usize) -> String {
    format!(
        "raise the limit of open files to {} (LimitNOFILE= of systemd, ulimits of a container), or lower mqtt.max_clients",
        needed(max_clients)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_those_on_their_way_in() {
        assert_eq!(room_within(65_536, 3_000, 4_096), 4_096);
        assert_eq!(room_within(4_096, 3_000, 4_096), 584);
        assert_eq!(room_within(1_024, 3_000, 4_096), FEWEST_WAITING);
        assert!(mend(3_000).contains("3576"));
    }

    #[test]
    fn the_limit_is_raised_to_what_the_system_allows() {
        raise();
        #[cfg(unix)]
        assert_eq!(
            Some(limit()),
            rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.or(Some(u64::MAX))
        );
    }
}
