#![allow(clippy::unwrap_used, clippy::expect_used)]
//! The broker over real connections.

mod common;
mod hostile;

use common::*;
use rumqttc::{ConnectReturnCode, LastWill, QoS};
use songhe_broker::{BrokerError, BrokerSettings, CONNECTIONS_PER_ACCOUNT, start};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

#[tokio::test]
async fn the_right_credential_gets_in_and_is_heard() {
    let (broker, gate) = broker().await;
    let mut device = Device::connect(&broker, "SH-1").await;
    device.publish("songhe/v1/SH-1/event", QoS::AtLeastOnce, "help").await;
    device.puback().await;
    assert_eq!(gate.seen(), [("SH-1".to_owned(), "songhe/v1/SH-1/event".to_owned(), "help".to_owned())]);
    device.publish("songhe/v1/SH-1/telemetry", QoS::ExactlyOnce, "2").await;
    device.pubcomp().await;
    assert_eq!(gate.seen().len(), 2);
    assert!(broker.publisher().is_connected("SH-1"));
    let second = Device::connect_as(&broker, options(&broker, "SH-1#2", "SH-1", "secret-SH-1")).await;
    assert!(second.is_ok());
    assert_eq!(broker.stats().connected, 2);
    broker.stop().await;
}

#[tokio::test]
async fn strangers_stay_out() {
    let (broker, gate) = broker().await;
    let will = |topic: &str| {
        let mut o = options(&broker, "SH-1", "SH-1", "secret-SH-1");
        o.set_last_will(LastWill::new(topic, "gone", QoS::AtLeastOnce, false));
        o
    };
    let mut anonymous = options(&broker, "SH-1", "SH-1", "");
    anonymous = rumqttc::MqttOptions::new("SH-1", anonymous.broker_address().0, anonymous.broker_address().1);
    for (what, options, code) in [
        ("anonymous", anonymous, ConnectReturnCode::BadUserNamePassword),
        ("wrong password", options(&broker, "SH-1", "SH-1", "wrong"), ConnectReturnCode::BadUserNamePassword),
        ("unknown device", options(&broker, "SH-9x", "SH-9x", "secret"), ConnectReturnCode::BadUserNamePassword),
        ("foreign client id", options(&broker, "SH-2", "SH-1", "secret-SH-1"), ConnectReturnCode::BadClientId),
        ("wildcard in name", options(&broker, "SH+", "SH+", "secret-SH+"), ConnectReturnCode::BadClientId),
        ("hash in suffix", options(&broker, "SH-1#a#b", "SH-1", "secret-SH-1"), ConnectReturnCode::BadClientId),
        ("control character", options(&broker, "SH\u{7}", "SH\u{7}", "secret-SH\u{7}"), ConnectReturnCode::BadClientId),
        ("another's will", will("songhe/v1/SH-2/state"), ConnectReturnCode::NotAuthorized),
        ("will to a command", will("songhe/v1/SH-1/command"), ConnectReturnCode::NotAuthorized),
        ("no database", options(&broker, "busy", "busy", "x"), ConnectReturnCode::ServiceUnavailable),
        ("gate panics", options(&broker, "panic", "panic", "x"), ConnectReturnCode::ServiceUnavailable),
    ] {
        let refused = Device::connect_as(&broker, options).await.err();
        assert_eq!(refused, Some(code), "{what}");
    }
    assert_eq!(broker.stats().connected, 0);
    assert!(broker.stats().refused_sign_ins >= 13 - 2);
    still_works(&broker, &gate).await;
    broker.stop().await;
}

#[tokio::test]
async fn one_account_cannot_take_all_connections() {
    let (gate, mut settings) = (Gate::new(), BrokerSettings::new(([127, 0, 0, 1], 0).into()));
    settings.max_clients = CONNECTIONS_PER_ACCOUNT + 1;
    let broker = start(settings, gate.clone()).await.unwrap();
    let as_one = |suffix: usize| options(&broker, &format!("SH-1#s{suffix}"), "SH-1", "secret-SH-1");
    let mut held = Vec::new();
    for n in 0..CONNECTIONS_PER_ACCOUNT {
        held.push(Device::connect_as(&broker, as_one(n)).await.unwrap());
    }
    for n in 10..13 {
        let refused = Device::connect_as(&broker, as_one(n)).await.err();
        assert_eq!(refused, Some(ConnectReturnCode::ServiceUnavailable));
    }
    assert_eq!(broker.stats().connected, CONNECTIONS_PER_ACCOUNT);
    still_works(&broker, &gate).await;
    for device in &mut held {
        device.publish("songhe/v1/SH-1/event", QoS::AtLeastOnce, "still here").await;
        device.puback().await;
        assert_eq!(device.reconnects, 0);
    }
    assert_eq!(gate.seen().len(), 1 + CONNECTIONS_PER_ACCOUNT);
    // Taking over its own connection is none more, and one that goes makes room.
    held[0] = Device::connect_as(&broker, as_one(0)).await.unwrap();
    held.pop().unwrap().goodbye().await;
    sleep(Duration::from_millis(200)).await;
    assert!(Device::connect_as(&broker, as_one(20)).await.is_ok());
    broker.stop().await;
}

#[tokio::test]
async fn nobody_leaves_his_topics() {
    let (broker, gate) = broker().await;
    // MQTT 3.1.1 takes any acknowledgement for success: it gets none, and the connection ends.
    for topic in ["songhe/v1/SH-2/event", "songhe/v1/SH-1/command", "zigbee2mqtt/x", "$songhe/withheld"] {
        for qos in [1, 2] {
            let mut stream = TcpStream::connect(broker.local_addr()).await.unwrap();
            stream.write_all(&raw::connect_v4("SH-1", "secret-SH-1")).await.unwrap();
            assert_eq!(raw::packet(&mut stream).await, [0x20, 2, 0, 0]);
            stream.write_all(&raw::publish_v4(topic, qos, 7, b"x")).await.unwrap();
            let mut rest = Vec::new();
            timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.expect(topic).unwrap();
            assert!(rest.is_empty(), "{topic}: {rest:?}");
        }
    }
    assert!(gate.seen().is_empty());
    assert_eq!(broker.stats().refused_topics, 8);
    // Nothing is believed of QoS 0.
    let mut device = Device::connect(&broker, "SH-1").await;
    device.publish("songhe/v1/SH-2/event", QoS::AtMostOnce, "x").await;
    device.publish("songhe/v1/SH-1/event", QoS::AtLeastOnce, "mine").await;
    device.puback().await;
    assert_eq!((device.reconnects, gate.seen().len(), broker.stats().refused_topics), (0, 1, 9));
    for filter in ["#", "songhe/v1/+/command", "songhe/v1/SH-2/command", "$share/a/songhe/v1/SH-1/command"] {
        assert!(!device.subscribe(filter).await, "{filter}");
    }
    assert!(device.subscribe("songhe/v1/SH-1/command").await);
    broker.publisher().publish("songhe/v1/SH-2/command", b"not yours".to_vec()).await;
    broker.publisher().publish("songhe/v1/SH-1/command", b"blink".to_vec()).await;
    assert_eq!(device.message().await, "blink");
    broker.stop().await;
}

#[tokio::test]
async fn no_acknowledgement_before_the_gate_returns_and_nobody_else_waits() {
    let (broker, gate) = broker().await;
    let mut slow = Device::connect(&broker, "SH-1").await;
    let mut quick = Device::connect(&broker, "SH-2").await;
    slow.publish("songhe/v1/SH-1/event", QoS::AtLeastOnce, "wait").await;
    slow.until_taken(&gate).await;
    for n in 0..20 {
        let started = Instant::now();
        quick.publish("songhe/v1/SH-2/event", QoS::AtLeastOnce, &n.to_string()).await;
        quick.puback().await;
        assert!(started.elapsed() < Duration::from_millis(200));
    }
    assert!(!slow.puback_within(Duration::from_millis(300)).await);
    gate.go_on.notify_one();
    slow.puback().await;
    broker.stop().await;
}

#[tokio::test]
async fn retry_withholds_the_acknowledgement_and_the_device_repeats() {
    for body in ["retry", "panic"] {
        let (broker, gate) = broker().await;
        let mut device = Device::connect(&broker, "SH-1").await;
        assert!(device.subscribe("songhe/v1/SH-1/command").await);
        device.publish("songhe/v1/SH-1/event", QoS::AtLeastOnce, body).await;
        // The client reconnects by itself and sends again what was not acknowledged.
        device.puback().await;
        assert!(device.reconnects >= 1, "the connection was closed in between");
        assert_eq!(gate.tries(body), 2);
        assert_eq!(gate.seen().len(), 1);
        assert_eq!(broker.stats().withheld, 1);
        broker.publisher().publish("songhe/v1/SH-1/command", b"still here".to_vec()).await;
        assert_eq!(device.message().await, "still here");
        assert_eq!(broker.stats().connected, 1);
        broker.stop().await;
    }
}

#[tokio::test]
async fn retry_with_qos_0_is_counted_as_lost() {
    let (broker, gate) = broker().await;
    let mut device = Device::connect(&broker, "SH-1").await;
    device.publish("songhe/v1/SH-1/event", QoS::AtMostOnce, "retry").await;
    device.publish("songhe/v1/SH-1/event", QoS::AtLeastOnce, "next").await;
    device.puback().await;
    assert_eq!((broker.stats().lost, gate.seen().len()), (1, 1));
    broker.stop().await;
}

#[tokio::test]
async fn wills_reach_the_gate_but_not_after_a_clean_goodbye_or_a_take_over() {
    let (broker, gate) = broker().await;
    let with_will = || {
        let mut o = options(&broker, "SH-1", "SH-1", "secret-SH-1");
        o.set_last_will(LastWill::new("songhe/v1/SH-1/state", "gone", QoS::AtLeastOnce, true));
        o
    };
    let old = Device::connect_as(&broker, with_will()).await.unwrap();
    let new = Device::connect_as(&broker, with_will()).await.unwrap();
    old.vanish();
    sleep(Duration::from_millis(200)).await;
    assert!(gate.seen().is_empty(), "taken over");
    new.vanish();
    gate.until_seen(1).await;
    assert_eq!(gate.seen()[0].2, "gone");
    let polite = Device::connect_as(&broker, with_will()).await.unwrap();
    polite.goodbye().await;
    sleep(Duration::from_millis(200)).await;
    assert_eq!(gate.seen().len(), 1);
    assert_eq!(gate.presence(), ["+SH-1", "-SH-1", "+SH-1", "-SH-1"]);
    let stays = Device::connect_as(&broker, with_will()).await.unwrap();
    broker.stop().await;
    assert_eq!(gate.seen().len(), 1, "a stopping server sends no wills");
    drop(stays);
}

#[tokio::test]
async fn oversized_packets_and_garbage_do_no_harm() {
    let (broker, gate) = broker().await;
    let mut device = Device::connect(&broker, "SH-1").await;
    device.publish("songhe/v1/SH-1/event", QoS::AtMostOnce, &"x".repeat(70_000)).await;
    timeout(Duration::from_secs(5), async {
        while device.reconnects == 0 {
            device.step().await;
        }
    })
    .await
    .unwrap();
    assert!(gate.seen().is_empty());
    let mut noise = Vec::new();
    for n in 0..300u32 {
        let Ok(mut stream) = TcpStream::connect(broker.local_addr()).await else {
            continue;
        };
        let bytes: Vec<u8> = match n % 5 {
            0 => (0..n).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect(),
            1 => b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            2 => vec![0x10, 0xFF, 0xFF, 0xFF, 0x7F],
            3 => vec![0x10, 12, 0, 4, b'M', b'Q'],
            _ => vec![],
        };
        let _ = stream.write_all(&bytes).await;
        noise.push(stream);
    }
    still_works(&broker, &gate).await;
    // The half-open ones are still there: a stop does not wait for them.
    let started = Instant::now();
    broker.stop().await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn stops_within_a_second_with_clients_and_a_message_under_way() {
    let (broker, gate) = broker().await;
    let mut clients = Vec::new();
    for n in 0..50 {
        clients.push(Device::connect(&broker, &format!("SH-{n}")).await);
    }
    clients[7].publish("songhe/v1/SH-7/event", QoS::AtLeastOnce, "wait").await;
    clients[7].until_taken(&gate).await;
    let address = broker.local_addr();
    let started = Instant::now();
    broker.stop().await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_finishing_message_is_still_acknowledged_when_stopping() {
    let (broker, gate) = broker().await;
    // By hand: rumqttc drops an acknowledgement that is read together with the end.
    let mut stream = TcpStream::connect(broker.local_addr()).await.unwrap();
    stream.write_all(&raw::connect_v5("SH-1", "secret-SH-1")).await.unwrap();
    assert_eq!(raw::packet(&mut stream).await[0], 0x20);
    stream.write_all(&raw::publish_v5("songhe/v1/SH-1/event", 7, b"wait")).await.unwrap();
    gate.waiting.notified().await;
    let stop = tokio::spawn(broker.stop());
    sleep(Duration::from_millis(100)).await;
    gate.go_on.notify_one();
    let puback = raw::packet(&mut stream).await;
    assert_eq!((puback[0], &puback[2..4]), (0x40, &[0, 7][..]));
    assert!(puback.len() == 4 || puback[4] == 0, "success: {puback:?}");
    stop.await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_told_apart() {
    let (first, gate) = broker().await;
    let taken = first.local_addr();
    let error = start(BrokerSettings::new(taken), gate.clone()).await.err().unwrap();
    assert!(matches!(error, BrokerError::PortInUse(addr) if addr == taken), "{error}");
    first.stop().await;
    let again = start(BrokerSettings::new(taken), gate).await.unwrap();
    again.stop().await;
}

#[tokio::test]
async fn a_gate_without_a_lock_fails_the_start() {
    struct Open;
    #[async_trait::async_trait]
    impl songhe_broker::Gate for Open {
        async fn sign_in(&self, _: songhe_broker::SignIn<'_>) -> songhe_broker::Admission {
            songhe_broker::Admission::Device
        }
        async fn on_publish(&self, _: songhe_broker::Publish<'_>) -> songhe_broker::Receipt {
            songhe_broker::Receipt::Retry
        }
    }
    let error = start(BrokerSettings::new(([127, 0, 0, 1], 0).into()), std::sync::Arc::new(Open)).await;
    assert!(matches!(error.err(), Some(BrokerError::SelfTest(_))));
}

#[tokio::test]
async fn sessions_and_waiting_commands_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (gate, mut settings) = (Gate::new(), BrokerSettings::new(([127, 0, 0, 1], 0).into()));
    settings.data_dir = Some(dir.path().join("broker"));
    let broker = start(settings.clone(), gate.clone()).await.unwrap();
    let mut device = Device::connect(&broker, "SH-1").await;
    assert!(device.subscribe("songhe/v1/SH-1/command").await);
    device.goodbye().await;
    sleep(Duration::from_millis(100)).await;
    broker.publisher().publish("songhe/v1/SH-1/command", b"kept".to_vec()).await;
    broker.stop().await;
    let broker = start(settings, gate).await.unwrap();
    let mut device = Device::connect(&broker, "SH-1").await;
    assert_eq!(device.message().await, "kept");
    broker.stop().await;
}

#[tokio::test]
async fn small_packets_are_not_held_back() {
    let (broker, _gate) = broker().await;
    let mut device = Device::connect(&broker, "SH-1").await;
    let mut times = Vec::new();
    for n in 0..200 {
        let started = Instant::now();
        device.publish("songhe/v1/SH-1/telemetry", QoS::AtLeastOnce, &n.to_string()).await;
        device.puback().await;
        times.push(started.elapsed());
    }
    times.sort();
    // Delayed acknowledgements of TCP would show as 40 ms.
    assert!(times[100] < Duration::from_millis(20), "p50 {:?}", times[100]);
    println!("publish to PUBACK p50 {:?} p99 {:?}", times[100], times[198]);
    broker.stop().await;
}

#[tokio::test]
async fn mqtt_5_clients_are_told_the_reason() {
    let (broker, gate) = broker().await;
    let mut stream = TcpStream::connect(broker.local_addr()).await.unwrap();
    stream.write_all(&raw::connect_v5("SH-1", "secret-SH-1")).await.unwrap();
    assert_eq!(raw::packet(&mut stream).await[0], 0x20);
    stream.write_all(&raw::publish_v5("songhe/v1/SH-2/event", 7, b"x")).await.unwrap();
    let puback = raw::packet(&mut stream).await;
    assert_eq!((puback[0], puback[4]), (0x40, 0x87), "not authorised");
    stream.write_all(&raw::publish_v5("songhe/v1/SH-1/event", 8, b"retry")).await.unwrap();
    let mut rest = Vec::new();
    timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(!rest.contains(&0x40), "no PUBACK, only the end of the connection: {rest:?}");
    assert_eq!(gate.tries("retry"), 1);
    broker.stop().await;
}
