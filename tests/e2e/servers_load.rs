//! Two servers under load, while the one that takes device messages is killed, frozen, cut off or ended: the other takes
//! over, every acknowledged message is there once, every emergency is one incident, whoever listens hears all of it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use songhe_testkit::{Proxy, Receiver, Sse, eventually_true, run_test};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::SOON;
use crate::api::{Api, text};
use crate::kill::{Message, RUNGS, device};
use crate::kill_check;
use crate::servers::{Pair, ready};
use crate::world::Plan;

const DEVICES: usize = 6;
const PACE: Duration = Duration::from_millis(20);
/// What is promised.
const TAKEOVER: Duration = Duration::from_secs(10);

/// Devices that send until they are told to stop.
struct Load {
    acknowledged: Arc<Mutex<Vec<Message>>>,
    devices: JoinSet<()>,
    stop: watch::Sender<bool>,
    _told: watch::Sender<String>,
}

impl Load {
    fn start(pair: &Pair) -> Self {
        let mut rng = StdRng::seed_from_u64(rand::random());
        let (told, address) = watch::channel(pair.broker());
        let (stop, stopped) = watch::channel(false);
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let mut devices = JoinSet::new();
        for button in &pair.world.buttons {
            let rng = StdRng::seed_from_u64(rng.random());
            devices.spawn(device(button.clone(), rng, PACE, address.clone(), stopped.clone(), acknowledged.clone()));
        }
        Self { acknowledged, devices, stop, _told: told }
    }

    /// Until the broker has taken so many more.
    async fn more(&self, messages: usize) {
        let enough = self.acknowledged.lock().unwrap().len() + messages;
        eventually_true("messages", SOON, || async { self.acknowledged.lock().unwrap().len() >= enough }).await;
    }

    async fn end(mut self) -> Vec<Message> {
        self.stop.send_replace(true);
        while let Some(ended) = self.devices.join_next().await {
            ended.unwrap();
        }
        std::mem::take(&mut *self.acknowledged.lock().unwrap())
    }
}

fn plan(receiver: &Receiver) -> Plan {
    Plan { homes: DEVICES, ..Plan::calls_at(receiver.url("/call"), &RUNGS) }
}

/// Incidents that a stream has told of.
async fn heard(stream: &mut Sse, pair: &Pair) {
    let ids = pair.sql().lines("SELECT CAST(id AS TEXT) AS line FROM incident");
    let wanted: BTreeSet<String> =
        ids.iter().map(|id| songhe_kernel::ids::encode("inc", id.parse().unwrap())).collect();
    let mut told = BTreeSet::new();
    while !wanted.is_subset(&told) {
        let event = stream.next(SOON).await.unwrap_or_else(|| panic!("not told of {:?}", wanted.difference(&told)));
        if event.event == "incident" {
            told.insert(text(&event.json()["incident"], "id").to_owned());
        }
    }
}

#[test]
fn when_the_holder_is_killed_the_other_takes_over_and_nothing_is_lost_or_doubled() {
    run_test(async {
        let receiver = Receiver::start();
        let mut pair = Pair::start(&plan(&receiver)).await;
        let carer = Api::sign_in(&pair.servers[1].url(""), "carer").await;
        let mut stream = carer.stream().await;
        let load = Load::start(&pair);
        load.more(200).await;
        pair.servers[0].kill();
        let took = pair.holds(1, TAKEOVER).await;
        println!("taken over {took:?} after SIGKILL");
        load.more(200).await;
        // The one that was killed stands by, and takes over in its turn.
        pair.servers[0].start_again();
        load.more(100).await;
        assert_eq!(ready(&pair.servers[0]).await["servers"]["ingest"]["here"], false);
        let acknowledged = load.end().await;
        kill_check::compare(&pair.db, &acknowledged, &receiver).await;
        heard(&mut stream, &pair).await;
        pair.servers[1].kill();
        pair.holds(0, TAKEOVER).await;
    });
}

#[test]
fn a_holder_that_was_frozen_notices_that_its_turn_is_over() {
    run_test(async {
        let receiver = Receiver::start();
        let pair = Pair::start(&plan(&receiver)).await;
        let carer = Api::sign_in(&pair.servers[1].url(""), "carer").await;
        let mut stream = carer.stream().await;
        let load = Load::start(&pair);
        load.more(200).await;
        pair.servers[0].signal("STOP");
        let took = pair.holds(1, TAKEOVER).await;
        println!("taken over {took:?} after SIGSTOP");
        let since = ready(&pair.servers[1]).await["servers"]["ingest"]["since"].clone();
        load.more(200).await;
        pair.servers[0].signal("CONT");
        pair.servers[0].wait_for_log("takes device messages no longer", SOON).await;
        load.more(200).await;
        let thawed = ready(&pair.servers[0]).await;
        assert_eq!((&thawed["ready"], &thawed["servers"]["ingest"]["here"]), (&true.into(), &false.into()), "{thawed}");
        let acknowledged = load.end().await;
        kill_check::compare(&pair.db, &acknowledged, &receiver).await;
        heard(&mut stream, &pair).await;
        let now = ready(&pair.servers[1]).await;
        assert_eq!(now["servers"]["ingest"]["since"], since, "it kept its turn");
        assert!(!pair.servers[0].log().contains("panicked"), "{}", pair.servers[0].log());
    });
}

#[test]
fn a_holder_that_is_cut_off_from_the_database_stops_and_the_other_takes_over() {
    run_test(async {
        let receiver = Receiver::start();
        let address = {
            let url = songhe_testkit::pg::cluster_url();
            let (_, rest) = url.split_once('@').unwrap();
            rest.split('/').next().unwrap().to_owned()
        };
        let proxy = Proxy::start(address.clone()).await;
        let through = proxy.address();
        let pair = Pair::start_by(&plan(&receiver), |url| url.replace(&address, &through)).await;
        let load = Load::start(&pair);
        load.more(200).await;
        proxy.stall();
        let took = pair.holds(1, TAKEOVER).await;
        println!("taken over {took:?} after the network went silent");
        load.more(200).await;
        proxy.resume();
        eventually_true("the first stands by", SOON, || async {
            ready(&pair.servers[0]).await["servers"]["ingest"]["here"] == false
        })
        .await;
        load.more(100).await;
        // A database that ends all sessions, as one that restarts does: somebody goes on.
        pair.db.postgres().unwrap().disconnect_all();
        load.more(200).await;
        let acknowledged = load.end().await;
        kill_check::compare(&pair.db, &acknowledged, &receiver).await;
    });
}

#[test]
fn ended_in_order_the_other_takes_over_at_once_in_either_order() {
    run_test(async {
        let receiver = Receiver::start();
        let mut pair = Pair::start(&plan(&receiver)).await;
        let load = Load::start(&pair);
        for (ended, other) in [(0, 1), (1, 0)] {
            load.more(100).await;
            pair.servers[ended].signal("TERM");
            let took = pair.holds(other, TAKEOVER).await;
            println!("taken over {took:?} after SIGTERM");
            assert!(took < Duration::from_secs(3), "{took:?}");
            songhe_testkit::poll_until("its end", Duration::from_secs(10), || !pair.servers[ended].is_running());
            load.more(50).await;
            pair.servers[ended].start_again();
        }
        // The one that stands by ends: nobody notices.
        load.more(50).await;
        assert!(pair.servers[1].terminate(SOON).success());
        load.more(50).await;
        assert_eq!(ready(&pair.servers[0]).await["servers"]["ingest"]["here"], true);
        let acknowledged = load.end().await;
        kill_check::compare(&pair.db, &acknowledged, &receiver).await;
    });
}
