//! `songhe demo`: one command, and it works; a second one finds what the first left.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use songhe_testkit::{Server, free_port, http, run_test, temp_dir};

use crate::api::Api;
use crate::world::program;

const DEMO_PASSWORD: &str = "songhe-demo";
/// What the demo promises is a release build's figure; a debug build is larger.
const MEMORY_BYTES: u64 = if cfg!(debug_assertions) { 400_000_000 } else { 150_000_000 };

fn demo(data: &Path, port: u16, mqtt_port: u16) -> Server {
    let (port, mqtt_port) = (port.to_string(), mqtt_port.to_string());
    let data = data.display().to_string();
    Server::setup(program())
        .args(&["demo", "--data", &data, "--port", &port, "--mqtt-port", &mqtt_port])
        .ready_within(Duration::from_secs(60))
        .start()
}

async fn residents(api: &Api) -> usize {
    let (mut count, mut after) = (0, String::new());
    loop {
        let page = api.get(&format!("/api/v1/residents?limit=50{after}")).await;
        count += page["items"].as_array().unwrap().len();
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return count,
        }
    }
}

async fn sign_in(server: &Server, user: &str) -> Api {
    Api::sign_in_with(http::client(), &server.url(""), user, DEMO_PASSWORD).await
}

/// Ctrl-C with streams open.
fn interrupt(server: &mut Server) {
    let asked = Instant::now();
    server.signal("INT");
    songhe_testkit::poll_until("the end", Duration::from_secs(10), || !server.is_running());
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}\n{}", asked.elapsed(), server.log());
}

#[test]
fn it_runs_beside_others_keeps_its_data_and_is_never_served_in_earnest() {
    run_test(async {
        let data = temp_dir();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let mut server = demo(data.path(), port, port);
        let log = server.log();
        assert!(
            !server.url("/").contains(&format!(":{port}/")) && log.contains(&format!("port {port} is in use")),
            "{log}"
        );
        assert!(log.contains(&server.url("")) && log.contains(server.mqtt_address()), "{log}");
        for user in ["admin", "manager", "nurse", "carer", "family", DEMO_PASSWORD] {
            assert!(log.contains(user), "{user} is missing in:\n{log}");
        }
        let admin = sign_in(&server, "admin").await;
        let before = residents(&admin).await;
        assert!(before > 40, "{before} residents");
        let carer = sign_in(&server, "carer").await;
        let mut stream = carer.stream().await;
        // Its first simulated alarm comes by itself.
        let alarm = stream.expect("an alarm", Duration::from_secs(60), |event| event.event == "incident").await;
        assert!(alarm.json()["cause"].is_object(), "{}", alarm.data);
        let memory = server.resident_bytes();
        println!("the demo holds {} MB", memory / 1_000_000);
        assert!(memory < MEMORY_BYTES, "{memory} bytes");
        interrupt(&mut server);
        drop(server);

        // In earnest it is refused: everybody knows its passwords.
        let config = format!("[database]\nurl = \"sqlite:{}/songhe.db\"\n", data.path().display());
        let (status, said) = Server::setup(program()).config(&config).run_to_end(Duration::from_secs(20));
        assert!(status.code() == Some(1) && said.contains("demo data"), "{said}");

        let started = Instant::now();
        let mut again = demo(data.path(), free_port(), free_port());
        println!("ready again after {:?}", started.elapsed());
        assert!(!again.log().contains("Making a fictional street"), "{}", again.log());
        let admin = sign_in(&again, "admin").await;
        assert_eq!(residents(&admin).await, before);
        interrupt(&mut again);
    });
}
