//! Who may use which topic, as pure functions. The same rules write the access file of an
//! external broker.

use crate::Principal;

/// What all topics of devices begin with.
pub const PREFIX: &str = "songhe/v1/";
/// The last topic levels a device publishes to.
pub const DEVICE_PUBLISHES: [&str; 4] = ["telemetry", "event", "state", "ack"];
/// The last topic levels a device subscribes to.
pub const DEVICE_SUBSCRIBES: [&str; 2] = ["command", "ack"];
/// Below here the broker keeps its own; nobody reads or writes it.
pub(crate) const RESERVED: &str = "$songhe/";

/// True for a name that is safe as user name, client id and topic level: 1 to 64 ASCII letters,
/// digits and `- _ . :`.
#[must_use]
pub fn valid_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

/// True if a client id belongs to a user: it is the user name, or the user name, `#` and a
/// suffix that is itself a valid name (for a second connection of the same device).
#[must_use]
pub fn client_id_belongs(client_id: &str, user: &str) -> bool {
    match client_id.split_once('#') {
        None => client_id == user,
        Some((name, suffix)) => name == user && valid_name(suffix),
    }
}

/// The topics a device publishes to.
#[must_use]
pub fn device_publish_topics(serial: &str) -> [String; 4] {
    DEVICE_PUBLISHES.map(|last| format!("{PREFIX}{serial}/{last}"))
}

/// The topics a device subscribes to.
#[must_use]
pub fn device_subscribe_topics(serial: &str) -> [String; 2] {
    DEVICE_SUBSCRIBES.map(|last| format!("{PREFIX}{serial}/{last}"))
}

fn own_level<'a>(serial: &str, topic: &'a str) -> Option<&'a str> {
    topic.strip_prefix(PREFIX)?.strip_prefix(serial)?.strip_prefix('/')
}

/// Whether a topic or filter lies below a gateway's topic.
fn is_below(base_topic: &str, topic: &str) -> bool {
    let rest = topic.strip_prefix(base_topic).and_then(|rest| rest.strip_prefix('/'));
    !base_topic.is_empty() && rest.is_some_and(|rest| !rest.is_empty())
}

/// Whether a message may go to a topic.
#[must_use]
pub fn may_publish(who: &Principal, topic: &str) -> bool {
    match who {
        Principal::Device(serial) => own_level(serial, topic).is_some_and(|last| DEVICE_PUBLISHES.contains(&last)),
        Principal::Gateway { base_topic, .. } => is_below(base_topic, topic) && !topic.contains(['+', '#', '\0']),
        Principal::Server(_) => !topic.is_empty() && !topic.starts_with('$') && !topic.contains(['+', '#', '\0']),
    }
}

/// Whether a subscription is allowed. Devices name their topics in full, without wildcards; a gateway may use them below
/// its own.
#[must_use]
pub fn may_subscribe(who: &Principal, filter: &str) -> bool {
    match who {
        Principal::Device(serial) => own_level(serial, filter).is_some_and(|last| DEVICE_SUBSCRIBES.contains(&last)),
        Principal::Gateway { base_topic, .. } => is_below(base_topic, filter),
        Principal::Server(_) => !filter.is_empty() && !filter.starts_with(RESERVED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> Principal {
        Principal::Device("SH-1".into())
    }

    #[test]
    fn a_device_publishes_only_below_its_own_serial() {
        for (topic, allowed) in [
            ("songhe/v1/SH-1/telemetry", true),
            ("songhe/v1/SH-1/event", true),
            ("songhe/v1/SH-1/state", true),
            ("songhe/v1/SH-1/ack", true),
            ("songhe/v1/SH-1/command", false),
            ("songhe/v1/SH-1", false),
            ("songhe/v1/SH-1/", false),
            ("songhe/v1/SH-1/event/x", false),
            ("songhe/v1/SH-12/event", false),
            ("songhe/v1/SH-/event", false),
            ("songhe/v1/sh-1/event", false),
            ("songhe/v1/+/event", false),
            ("songhe/v2/SH-1/event", false),
            ("/songhe/v1/SH-1/event", false),
            ("$SYS/broker", false),
            ("$songhe/withheld", false),
            ("", false),
        ] {
            assert_eq!(may_publish(&device(), topic), allowed, "{topic}");
        }
    }

    #[test]
    fn a_device_subscribes_only_to_its_own_command_and_ack() {
        for (filter, allowed) in [
            ("songhe/v1/SH-1/command", true),
            ("songhe/v1/SH-1/ack", true),
            ("songhe/v1/SH-1/#", false),
            ("songhe/v1/SH-1/+", false),
            ("songhe/v1/+/command", false),
            ("songhe/v1/SH-2/command", false),
            ("songhe/v1/SH-1/event", false),
            ("$share/g/songhe/v1/SH-1/command", false),
            ("#", false),
            ("", false),
        ] {
            assert_eq!(may_subscribe(&device(), filter), allowed, "{filter}");
        }
        for topic in device_publish_topics("SH-1") {
            assert!(may_publish(&device(), &topic));
        }
        for topic in device_subscribe_topics("SH-1") {
            assert!(may_subscribe(&device(), &topic));
        }
    }

    fn gateway() -> Principal {
        Principal::Gateway { name: "GW-1".into(), base_topic: "zigbee2mqtt".into() }
    }

    #[test]
    fn a_gateway_speaks_below_its_own_topic_only() {
        for (topic, publish, subscribe) in [
            ("zigbee2mqtt/hall/lamp", true, true),
            ("zigbee2mqtt/bridge/devices", true, true),
            ("zigbee2mqtt/#", false, true),
            ("zigbee2mqtt/+/set", false, true),
            ("zigbee2mqtt/", false, false),
            ("zigbee2mqtt", false, false),
            ("zigbee2mqtt2/hall", false, false),
            ("zigbee2mqtt+/hall", false, false),
            ("+/hall", false, false),
            ("zigbee/GW-1/hall", false, false),
            ("songhe/v1/GW-1/event", false, false),
            ("$share/g/zigbee2mqtt/#", false, false),
            ("#", false, false),
        ] {
            assert_eq!(may_publish(&gateway(), topic), publish, "{topic}");
            assert_eq!(may_subscribe(&gateway(), topic), subscribe, "{topic}");
            assert!(!may_publish(&device(), topic) && !may_subscribe(&device(), topic), "{topic}");
        }
        let second = Principal::Gateway { name: "GW-2".into(), base_topic: "zigbee/GW-2".into() };
        for (topic, allowed) in [("zigbee/GW-2/hall", true), ("zigbee/GW-20/hall", false), ("zigbee2mqtt/hall", false)]
        {
            assert_eq!(may_publish(&second, topic), allowed, "{topic}");
        }
    }

    #[test]
    fn a_server_sees_everything_but_the_brokers_own() {
        let server = Principal::Server("ops".into());
        for (topic, publish, subscribe) in [
            ("songhe/v1/SH-1/command", true, true),
            ("zigbee2mqtt/lamp", true, true),
            ("#", false, true),
            ("songhe/v1/+/event", false, true),
            ("$share/g/songhe/v1/+/event", false, true),
            ("$songhe/withheld", false, false),
            ("$SYS/x", false, true),
            ("", false, false),
        ] {
            assert_eq!(may_publish(&server, topic), publish, "{topic}");
            assert_eq!(may_subscribe(&server, topic), subscribe, "{topic}");
        }
    }

    #[test]
    fn client_ids_belong_to_users() {
        for (client_id, user, belongs) in [
            ("SH-1", "SH-1", true),
            ("SH-1#2", "SH-1", true),
            ("SH-1#", "SH-1", false),
            ("SH-1#a#b", "SH-1", false),
            ("SH-1#a/b", "SH-1", false),
            ("SH-12", "SH-1", false),
            ("SH-2", "SH-1", false),
            ("", "SH-1", false),
        ] {
            assert_eq!(client_id_belongs(client_id, user), belongs, "{client_id}");
        }
    }

    #[test]
    fn names_bear_no_wildcards_slashes_or_control_characters() {
        for good in ["a", "SH-1", "A_b.c:9", &"x".repeat(64)] {
            assert!(valid_name(good), "{good}");
        }
        for bad in ["", "a+", "#", "a/b", "a b", "a\u{7}", "\0", "ä", "$x", &"x".repeat(65)] {
            assert!(!valid_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_kind_of_a_principal_survives() {
        for who in [device(), Principal::Server("SH-1".into()), Principal::Device("s:x".into()), gateway()] {
            assert_eq!(Principal::from_user(&who.to_user()), Some(who));
        }
        assert_eq!(Principal::from_user("SH-1"), None);
    }
}
