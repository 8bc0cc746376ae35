//! `songhe cert` and what it makes: HTTPS that a trusting client accepts, and HTTP/2 on it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use songhe_testkit::{Kind, Server, TestDb, http, run_test, temp_dir};

use crate::world::{MIGRATED, Wiring, program, toml};

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
