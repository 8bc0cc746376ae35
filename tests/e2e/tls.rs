//! `songhe cert` and what it makes: HTTPS that a trusting client accepts, and HTTP/2 on it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use songhe_kernel::SystemClock;
use songhe_testkit::{Kind, Server, TestDb, eventually_true, http, run_test, temp_dir};

use crate::SOON;
use crate::api::Api;
use crate::mqtt::publish_with;
use crate::world::{Button, MIGRATED, PASSWORD, Plan, Wiring, program, seed, toml};

#[test]
fn a_local_authority_is_made_once_and_speaks_http_2() {
    run_test(async {
        let dir = temp_dir();
        let out = dir.path().join("tls");
        let cert =
            || Command::new(program()).args(["cert", "localhost", "127.0.0.1", "--out"]).arg(&out).output().unwrap();
        let made = cert();
        assert!(made.status.success(), "{made:?}");
        assert!(!cert().status.success(), "a second run would make phones distrust the first");
        assert!(std::fs::read_to_string(out.join("install.html")).unwrap().contains("authority.crt"));
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(out.join("key.pem")).unwrap());
        assert_eq!(mode & 0o077, 0, "the key is readable by others");

        let db = TestDb::create(Kind::Sqlite, &MIGRATED);
        let files = format!("[tls]\ncertificate = \"{0}/certificate.pem\"\nkey = \"{0}/key.pem\"\n", out.display());
        // With HTTPS it may listen to the network.
        let config = toml(&db, &Wiring::Embedded).replacen("127.0.0.1:0", "0.0.0.0:0", 1) + &files;
        let server = Server::setup(program()).config(&config).start();
        let authority = std::fs::read(out.join("authority.crt")).unwrap();
        let port = server.http_address().rsplit_once(':').unwrap().1.parse().unwrap();
        let client = http::client_trusting(&authority);
        for host in ["localhost", "127.0.0.1"] {
            let answer = client.get(format!("https://{host}:{port}/healthz")).send().await.unwrap();
            assert_eq!(answer.status(), 200);
            assert!(answer.headers().contains_key("strict-transport-security"));
        }
        assert!(http::client().get(format!("https://localhost:{port}/healthz")).send().await.is_err());
        let status = tokio::task::spawn_blocking(move || get_by_http_2(&authority, port)).await.unwrap();
        assert_eq!(status, 200);
    });
}

/// `GET /healthz` in HTTP/2's own words; answers the status.
fn get_by_http_2(authority: &[u8], port: u16) -> u16 {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in rustls_pemfile::certs(&mut &authority[..]) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut stream = rustls::Stream::new(&mut connection, &mut socket);
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&frame(4, 0, 0, &[])).unwrap();
    // HPACK: GET, https, then path and authority as literals with an indexed name.
    let mut headers = vec![0x82, 0x87];
    for (index, value) in [(0x04, "/healthz"), (0x01, "localhost")] {
        headers.extend([index, u8::try_from(value.len()).unwrap()]);
        headers.extend(value.as_bytes());
    }
    stream.write_all(&frame(1, 0x5, 1, &headers)).unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).expect("a frame");
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).unwrap();
        if head[3] == 1 {
            assert_eq!(stream.conn.alpn_protocol(), Some(&b"h2"[..]));
            // 0x88 is the indexed header `:status: 200`.
            return if payload.contains(&0x88) { 200 } else { 0 };
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// `songhe cert` into a folder of its own.
fn make_certificate(out: &Path) -> Vec<u8> {
    let made = Command::new(program()).args(["cert", "localhost", "127.0.0.1", "--out"]).arg(out).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    std::fs::read(out.join("authority.crt")).unwrap()
}

/// Where pages and devices are answered, and by what a client knows the one who answers.
struct Doors {
    https: String,
    mqtts: String,
    button: Button,
}

impl Doors {
    async fn are_open_to(&self, authority: &Path, message_id: &str) -> (bool, bool) {
        let client = http::client_trusting(&std::fs::read(authority).unwrap());
        let page =
            client.get(format!("{}/healthz", self.https)).send().await.is_ok_and(|answer| answer.status() == 200);
        let topic = format!("songhe/v1/{}/telemetry", self.button.serial);
        let said = crate::traffic::reading(message_id);
        let trusting = ["--cafile", authority.to_str().unwrap()];
        let (broker, button) = (&self.mqtts, &self.button);
        let device = publish_with(broker, &button.serial, button, &topic, said.as_bytes(), &trusting).await;
        (page, device.ok)
    }
}

#[test]
fn a_new_certificate_counts_without_a_restart_and_a_bad_one_is_refused() {
    run_test(async {
        let dir = temp_dir();
        let (old, new, live) = (dir.path().join("old"), dir.path().join("new"), dir.path().join("live"));
        let authority = make_certificate(&old);
        make_certificate(&new);
        std::fs::create_dir(&live).unwrap();
        let put = |file: &str, from: &Path| std::fs::copy(from.join(file), live.join(file)).unwrap();
        put("certificate.pem", &old);
        put("key.pem", &old);
        let db = TestDb::create(Kind::Sqlite, &MIGRATED);
        let world = seed(&db, Arc::new(SystemClock::new()), &Plan::default()).await;
        let files = format!(
            "tls_listen = \"127.0.0.1:0\"\n[tls]\ncertificate = \"{0}/certificate.pem\"\nkey = \"{0}/key.pem\"\n",
            live.display()
        );
        let mut server = Server::setup(program()).config(&(toml(&db, &Wiring::Embedded) + &files)).start();
        let https = server.url("").replace("127.0.0.1", "localhost");
        let admin = Api::sign_in_with(http::client_trusting(&authority), &https, "admin", PASSWORD).await;
        let state = admin.get("/api/v1/system").await;
        let (_, mqtts) = state["broker"]["address"].as_str().unwrap().split_once("TLS 127.0.0.1:").unwrap();
        let doors = Doors { https, mqtts: format!("localhost:{mqtts}"), button: world.buttons[0].clone() };
        let (old_authority, new_authority) = (old.join("authority.crt"), new.join("authority.crt"));
        assert_eq!(doors.are_open_to(&old_authority, "1-1").await, (true, true));
        assert_eq!(doors.are_open_to(&new_authority, "1-2").await, (false, false));
        // Its writer is between the two files, and something makes the server look: the one before stays.
        put("certificate.pem", &new);
        server.signal("HUP");
        server.wait_for_log("a new certificate cannot be used", SOON).await;
        assert_eq!(doors.are_open_to(&old_authority, "2-1").await, (true, true));
        assert_eq!(admin.get("/api/v1/system").await["certificate_refused"], true);
        // Nobody says that the key is there now: it is seen.
        put("key.pem", &new);
        server.wait_for_log("a new certificate counts", SOON).await;
        assert_eq!(doors.are_open_to(&new_authority, "3-1").await, (true, true));
        assert_eq!(doors.are_open_to(&old_authority, "3-2").await, (false, false));
        // A connection that stood before goes on.
        let state = admin.get("/api/v1/system").await;
        assert_eq!(state["certificate_refused"], false);
        std::fs::write(live.join("certificate.pem"), "nonsense").unwrap();
        server.signal("HUP");
        eventually_true("an operator is told", crate::AFTER_A_KILL, || async {
            let open = admin.open_incidents().await;
            open.iter().any(|one| one["cause"]["kind"] == "certificate_refused")
        })
        .await;
        assert_eq!(doors.are_open_to(&new_authority, "4-1").await, (true, true));
        assert!(server.is_running());
    });
}
