//! Many connections, floods and slow clients: everybody else is served.

use crate::common::*;
use rcgen::{CertificateParams, KeyPair};
use rumqttc::QoS;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use songhe_broker::{Broker, BrokerSettings, RateLimits, SESSIONS_PER_ACCOUNT, TlsSettings, start};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;

/// A device that is heard waits for less than this, whatever others do.
const AT_ONCE: Duration = Duration::from_secs(3);

fn settings() -> BrokerSettings {
    BrokerSettings::new(([127, 0, 0, 1], 0).into())
}

/// Fewer in CI, all of them in the long profile.
fn many(long: usize) -> usize {
    if std::env::var_os("SONGHE_TEST_LONG").is_some() { long } else { long / 5 }
}

async fn until(what: &str, broker: &Broker, mut true_of: impl FnMut(songhe_broker::BrokerStats) -> bool) {
    let reached = async {
        while !true_of(broker.stats()) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), reached).await.unwrap_or_else(|_| panic!("{what}: {:?}", broker.stats()));
}

/// A new device signs in and is heard, at once.
async fn served(broker: &Broker, gate: &Gate) {
    let started = Instant::now();
    still_works(broker, gate).await;
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_make_room_and_are_gone_in_ten_seconds() {
    let (gate, count) = (Gate::new(), many(2_000));
    let broker = start(BrokerSettings { max_waiting: count, ..settings() }, gate.clone()).await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..count {
        silent.push(TcpStream::connect(broker.local_addr()).await.unwrap());
    }
    until("half of them from one address", &broker, |now| {
        now.waiting == count / 2 && now.turned_away as usize >= count / 2
    })
    .await;
    served(&broker, &gate).await;
    // The oldest went first.
    let mut byte = [0];
    let ended = timeout(AT_ONCE, silent[0].read(&mut byte)).await.expect("the oldest is still there");
    assert!(matches!(ended, Ok(0) | Err(_)));
    assert!(timeout(Duration::from_millis(50), silent[count - 1].read(&mut byte)).await.is_err(), "the newest is gone");
    let last = silent.pop().unwrap();
    until("all of them gone", &broker, |now| now.waiting == 0).await;
    drop(last);
    assert_eq!(broker.stats().connected, 0);
    broker.stop().await;
}

#[tokio::test]
async fn a_huge_connect_is_ended_before_it_is_read() {
    let (broker, gate) = broker().await;
    // A megabyte is announced, and a CONNECT that comes byte by byte is let in.
    let mut huge = TcpStream::connect(broker.local_addr()).await.unwrap();
    huge.write_all(&[0x10, 0xFF, 0xFF, 0x3F, 0, 4, b'M', b'Q', b'T', b'T']).await.unwrap();
    let mut rest = Vec::new();
    let _ = timeout(AT_ONCE, huge.read_to_end(&mut rest)).await.expect("still open");
    assert!(rest.is_empty());
    assert_eq!(broker.stats().turned_away, 1);
    let mut slow = TcpStream::connect(broker.local_addr()).await.unwrap();
    slow.set_nodelay(true).unwrap();
    for byte in raw::connect_v4("SH-1", "secret-SH-1") {
        slow.write_all(&[byte]).await.unwrap();
        sleep(Duration::from_millis(3)).await;
    }
    assert_eq!(raw::packet(&mut slow).await, [0x20, 2, 0, 0]);
    served(&broker, &gate).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_house_is_back_at_once() {
    let (broker, gate) = broker().await;
    let (count, started) = (many(2_000), Instant::now());
    let back: Vec<_> = (0..count)
        .map(|n| {
            let address = broker.local_addr();
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                let serial = format!("SH-{n}");
                stream.write_all(&raw::connect_v4(&serial, &format!("secret-{serial}"))).await.unwrap();
                let mut answer = [0; 4];
                stream.read_exact(&mut answer).await.unwrap();
                assert_eq!(answer, [0x20, 2, 0, 0]);
                stream
            })
        })
        .collect();
    let mut connected = Vec::new();
    for one in back {
        connected.push(one.await.unwrap());
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    println!("{count} sign-ins in {:?}", started.elapsed());
    until("all of them", &broker, |now| now.connected == count && now.waiting == 0).await;
    served(&broker, &gate).await;
    broker.stop().await;
}

#[tokio::test]
async fn a_full_broker_takes_back_who_is_there() {
    let gate = Gate::new();
    let broker = start(BrokerSettings { max_clients: 2, ..settings() }, gate.clone()).await.unwrap();
    let _one = Device::connect(&broker, "SH-1").await;
    let _two = Device::connect(&broker, "SH-2").await;
    let third = Device::connect_as(&broker, options(&broker, "SH-3", "SH-3", "secret-SH-3")).await;
    assert_eq!(third.err(), Some(rumqttc::ConnectReturnCode::ServiceUnavailable));
    // Its network went, and it comes again before the broker knows.
    let mut again = Device::connect(&broker, "SH-1").await;
    again.publish("songhe/v1/SH-1/event", QoS::AtLeastOnce, "here").await;
    again.puback().await;
    broker.stop().await;
}

#[tokio::test]
async fn sessions_under_ever_new_suffixes_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::new();
    let with_disk = BrokerSettings { data_dir: Some(dir.path().join("broker")), ..settings() };
    let broker = start(with_disk.clone(), gate.clone()).await.unwrap();
    let last = SESSIONS_PER_ACCOUNT + 3;
    for n in 0..last {
        let own = options(&broker, &format!("SH-1#{n}"), "SH-1", "secret-SH-1");
        let mut device = Device::connect_as(&broker, own).await.unwrap();
        assert!(device.subscribe("songhe/v1/SH-1/command").await);
        device.goodbye().await;
        until("gone", &broker, |now| now.connected == 0).await;
    }
    broker.publisher().publish("songhe/v1/SH-1/command", b"blink".to_vec()).await;
    let mut present = Vec::new();
    for n in [0, 2, 3, last - 1] {
        let own = options(&broker, &format!("SH-1#{n}"), "SH-1", "secret-SH-1");
        let mut device = Device::connect_as(&broker, own).await.unwrap();
        let waits = timeout(Duration::from_millis(500), device.message()).await.is_ok();
        present.push((n, waits));
        device.goodbye().await;
        until("gone", &broker, |now| now.connected == 0).await;
    }
    // Coming back as the first forgot the fourth, and as the third the fifth.
    assert_eq!(present, [(0, false), (2, false), (3, false), (last - 1, true)]);
    broker.stop().await;
    // What is on the disk counts after a restart.
    let broker = start(with_disk, gate).await.unwrap();
    let own = options(&broker, "SH-1#new", "SH-1", "secret-SH-1");
    Device::connect_as(&broker, own).await.unwrap().goodbye().await;
    let own = options(&broker, &format!("SH-1#{}", last - 1), "SH-1", "secret-SH-1");
    let mut device = Device::connect_as(&broker, own).await.unwrap();
    broker.publisher().publish("songhe/v1/SH-1/command", b"still subscribed".to_vec()).await;
    assert_eq!(device.message().await, "still subscribed");
    broker.stop().await;
}

fn rates() -> RateLimits {
    RateLimits { messages_per_s: 50, message_burst: 100, events_per_s: 20, event_burst: 20 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_one_device_waits_and_the_others_do_not() {
    let gate = Gate::new();
    let broker = start(BrokerSettings { rates: rates(), ..settings() }, gate.clone()).await.unwrap();
    let mut flood = TcpStream::connect(broker.local_addr()).await.unwrap();
    flood.write_all(&raw::connect_v4("SH-1", "secret-SH-1")).await.unwrap();
    assert_eq!(raw::packet(&mut flood).await, [0x20, 2, 0, 0]);
    let (mut acks, mut out) = flood.into_split();
    let count = 200u16;
    for id in 1..=count {
        out.write_all(&raw::publish_v4("songhe/v1/SH-1/telemetry", 1, id, b"reading")).await.unwrap();
    }
    let started = Instant::now();
    served(&broker, &gate).await;
    // Another connection of the same account, for its calls: readings cannot use up what they may.
    let second = options(&broker, "SH-1#calls", "SH-1", "secret-SH-1");
    let mut calls = Device::connect_as(&broker, second).await.unwrap();
    calls.publish("songhe/v1/SH-1/event", QoS::AtLeastOnce, "help").await;
    assert!(calls.puback_within(AT_ONCE).await);
    // All of the flood is taken and acknowledged, later.
    let mut pubacks = vec![0; 4 * usize::from(count)];
    timeout(Duration::from_secs(20), acks.read_exact(&mut pubacks)).await.expect("all are acknowledged").unwrap();
    // 100 at once, the rest at 50 a second.
    assert!(started.elapsed() > Duration::from_millis(1_500), "{:?}", started.elapsed());
    let readings = gate.seen().iter().filter(|(_, _, body)| body == "reading").count();
    assert_eq!((readings, broker.stats().dropped), (usize::from(count), 0));
    assert!((90..=100).contains(&broker.stats().delayed), "{:?}", broker.stats());
    broker.stop().await;
}

#[tokio::test]
async fn readings_of_qos_0_above_the_rate_are_dropped_and_counted_and_calls_are_not() {
    let gate = Gate::new();
    let slow = RateLimits { messages_per_s: 1, message_burst: 10, events_per_s: 20, event_burst: 10 };
    let broker = start(BrokerSettings { rates: slow, ..settings() }, gate.clone()).await.unwrap();
    let mut stream = TcpStream::connect(broker.local_addr()).await.unwrap();
    stream.write_all(&raw::connect_v4("SH-1", "secret-SH-1")).await.unwrap();
    assert_eq!(raw::packet(&mut stream).await, [0x20, 2, 0, 0]);
    for _ in 0..100 {
        stream.write_all(&raw::publish_v4("songhe/v1/SH-1/telemetry", 0, 0, b"reading")).await.unwrap();
    }
    for _ in 0..15 {
        stream.write_all(&raw::publish_v4("songhe/v1/SH-1/event", 0, 0, b"call")).await.unwrap();
    }
    let seen = |body: &str| gate.seen().iter().filter(|(_, _, seen)| seen == body).count();
    timeout(AT_ONCE, async {
        while seen("call") < 15 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("every call is heard");
    let stats = broker.stats();
    assert!((10..=13).contains(&seen("reading")), "{}", seen("reading"));
    assert_eq!(stats.dropped as usize, 100 - seen("reading"));
    assert_eq!(stats.received, 115);
    broker.stop().await;
}

fn certificate() -> (Arc<rustls::ServerConfig>, TlsConnector) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), TlsConnector::from(Arc::new(client)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_tls_clients_hold_up_nobody() {
    let (config, connector) = certificate();
    let tls = TlsSettings { bind: ([127, 0, 0, 1], 0).into(), config };
    let gate = Gate::new();
    let broker = start(BrokerSettings { tls: Some(tls), ..settings() }, gate.clone()).await.unwrap();
    let address = broker.tls_addr().unwrap();
    // Some say nothing, some begin a handshake, some say no TLS.
    let mut slow = Vec::new();
    for n in 0..many(1_000) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        match n % 3 {
            0 => stream.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap(),
            1 => stream.write_all(&raw::connect_v4("SH-1", "secret-SH-1")).await.unwrap(),
            _ => {}
        }
        slow.push(stream);
    }
    let started = Instant::now();
    let socket = TcpStream::connect(address).await.unwrap();
    let mut device = connector.connect(ServerName::try_from("localhost").unwrap(), socket).await.unwrap();
    device.write_all(&raw::connect_v4("SH-2", "secret-SH-2")).await.unwrap();
    let mut answer = [0; 4];
    device.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0]);
    device.write_all(&raw::publish_v4("songhe/v1/SH-2/event", 1, 7, b"help")).await.unwrap();
    device.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [0x40, 2, 0, 7]);
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
    served(&broker, &gate).await;
    // One that begins its first packet with a byte of its own is let in all the same.
    let socket = TcpStream::connect(address).await.unwrap();
    let mut halting = connector.connect(ServerName::try_from("localhost").unwrap(), socket).await.unwrap();
    let connect = raw::connect_v4("SH-3", "secret-SH-3");
    halting.write_all(&connect[..1]).await.unwrap();
    halting.flush().await.unwrap();
    sleep(Duration::from_millis(100)).await;
    halting.write_all(&connect[1..]).await.unwrap();
    halting.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0]);
    drop(slow);
    broker.stop().await;
}

/// Signs in over TLS.
async fn over_tls(
    connector: &TlsConnector,
    address: std::net::SocketAddr,
    serial: &str,
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let socket = TcpStream::connect(address).await.unwrap();
    let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), socket).await.unwrap();
    stream.write_all(&raw::connect_v4(serial, &format!("secret-{serial}"))).await.unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0]);
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_doors_serve_among_silent_and_garbage_connections_and_a_flood() {
    let (config, connector) = certificate();
    let tls = TlsSettings { bind: ([127, 0, 0, 1], 0).into(), config };
    let gate = Gate::new();
    let broker = start(BrokerSettings { tls: Some(tls), rates: rates(), ..settings() }, gate.clone()).await.unwrap();
    let doors = [broker.local_addr(), broker.tls_addr().unwrap()];
    let mut open = Vec::new();
    for n in 0..many(2_300) {
        let mut stream = TcpStream::connect(doors[n % 2]).await.unwrap();
        match n % 15 {
            0 => drop(stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await),
            1 => drop(stream.write_all(&[0x10, 0xFF, 0xFF, 0x7F, 1]).await),
            _ => {}
        }
        open.push(stream);
    }
    // One device floods through TLS: all that it may at once, and as much again.
    let mut flood = over_tls(&connector, doors[1], "SH-1").await;
    for id in 1..=200 {
        flood.write_all(&raw::publish_v4("songhe/v1/SH-1/telemetry", 1, id, b"reading")).await.unwrap();
    }
    flood.flush().await.unwrap();
    until("the flood waits", &broker, |now| now.delayed > 0).await;
    let mut device = over_tls(&connector, doors[1], "SH-2").await;
    for id in 1..=20 {
        device.write_all(&raw::publish_v4("songhe/v1/SH-2/telemetry", 1, id, b"other")).await.unwrap();
        device.flush().await.unwrap();
        let mut answer = [0; 4];
        timeout(AT_ONCE, device.read_exact(&mut answer)).await.expect("acknowledged").unwrap();
        assert_eq!(answer, [0x40, 2, 0, u8::try_from(id).unwrap()]);
    }
    let readings = |body: &str| gate.seen().iter().filter(|(_, _, seen)| seen == body).count();
    assert_eq!(readings("other"), 20);
    assert!(readings("reading") < 200, "the others were served during the flood");
    served(&broker, &gate).await;
    until("the flood is taken, later", &broker, |_| readings("reading") == 200).await;
    drop(open);
    broker.stop().await;
}
