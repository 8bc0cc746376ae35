//! Peers that cannot tell a repeat: robots and providers of text messages and voice calls that fail, stall, break off,
//! repeat themselves or answer with something else. What may have been delivered is sent once more, and says so.

use std::time::Duration;

use serde_json::{Value, json};
use songhe_incidents::IncidentId;
use songhe_incidents::endpoints::{NewEndpoint, Provider};
use songhe_incidents::model::{Channel, EndpointId, EndpointKind, Target};
use songhe_testkit::{MIGRATED, Raw, RawPeer, Receiver, TestDb, both_databases};

use crate::channels::{OK, desk, new, number_of};
use crate::desk::Desk;

both_databases! {
    from MIGRATED;

    async fn a_robots_lost_answer_is_in_doubt_and_the_text_comes_once_more_with_its_number(db: TestDb) {
        for lost in [
            Raw::Bytes(Vec::new()),
            Raw::cut(r#"{"errcode":"#),
            Raw::answer("200 OK", "content-type: text/html\r\n", "<html><body>sign in to the network</body></html>"),
            Raw::answer("504 Gateway Timeout", "", ""),
            Raw::Endless,
        ] {
            let db = TestDb::create(db.kind(), &MIGRATED);
            let desk = desk(&db, None).await;
            let peer = RawPeer::start(Raw::answer("200 OK", "", OK));
            peer.next(lost.clone());
            let id = chat(&desk, EndpointKind::WeCom, &peer.url("/send?key=k")).await;
            let incident = desk.home.press().await;
            let first = only(&desk, incident).await;
            assert_eq!((first["status"].as_str(), &first["in_doubt"]), (Some("queued"), &json!(true)), "{lost:?}: {first}");
            let carer = desk.token("carer").await;
            let (_, page) = desk.page(&carer, "zh-CN", &format!("/incidents/{incident}")).await;
            assert!(page.contains("可能已送达，重发一次") && page.contains("没有收到对方的答复"), "{lost:?}: {page}");
            let admin = desk.token("admin").await;
            let (_, page) = desk.page(&admin, "en", &format!("/endpoints/{id}")).await;
            assert!(page.contains("May be delivered; sent once more"), "{page}");
            desk.home.pass(10).await;
            let second = only(&desk, incident).await;
            assert_eq!((second["status"].as_str(), &second["attempts"]), (Some("delivered"), &json!(2)), "{lost:?}: {second}");
            assert_eq!(second["in_doubt"], false);
            let texts: Vec<String> = peer.bodies().iter().map(|body| text_of(body)).collect();
            assert_eq!(texts.len(), 2, "once more, not oftener: {texts:?}");
            assert!(texts[0].ends_with(&number_of(&first, false)), "{texts:?}");
            assert!(texts[1].ends_with(&number_of(&first, true)), "{texts:?}");
            assert!(peer.poured() < 16 * 1024 * 1024, "an answer without an end is not read to it: {}", peer.poured());
        }
    }

    async fn what_is_in_doubt_twice_is_over_and_can_be_sent_again_by_hand(db: TestDb) {
        let desk = desk(&db, None).await;
        let peer = RawPeer::start(Raw::Bytes(Vec::new()));
        chat(&desk, EndpointKind::Feishu, &peer.url("/hook/x")).await;
        let incident = desk.home.press().await;
        let carer = desk.home.people.carer;
        desk.home.act(move |tx| songhe_incidents::act::acknowledge(tx, incident, carer)).await.unwrap();
        desk.home.pass(300).await;
        let over = only(&desk, incident).await;
        assert_eq!((over["status"].as_str(), &over["in_doubt"]), (Some("failed"), &json!(true)), "{over}");
        assert_eq!(peer.bodies().len(), 2, "sent twice, not again");
        let token = desk.token("carer").await;
        let (_, page) = desk.page(&token, "zh-CN", &format!("/incidents/{incident}")).await;
        assert!(page.contains("已发送两次，都没有收到对方的答复"), "{page}");
        let (_, page) = desk.page(&token, "en", &format!("/incidents/{incident}")).await;
        assert!(page.contains("Sent twice without an answer") && page.contains("May be delivered"), "{page}");
        // By hand it begins anew: once, and once more.
        let replay = format!("/incidents/{incident}/deliveries/{}/replay", over["effect_id"].as_str().unwrap());
        assert_eq!(desk.api(&token, "POST", &replay, None).await.0, 204);
        desk.home.pass(300).await;
        assert_eq!(peer.bodies().len(), 4);
        assert!(text_of(&peer.bodies()[2]).ends_with(&number_of(&over, false)), "the same number");
    }

    async fn a_failure_that_is_none_of_doubt_is_tried_until_its_time_is_over(db: TestDb) {
        let desk = desk(&db, None).await;
        let peer = RawPeer::start(Raw::answer("503 Service Unavailable", "", "busy"));
        peer.next(Raw::answer("302 Found", "location: https://elsewhere.example/\r\n", ""));
        peer.next(Raw::answer("200 OK", "", r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#));
        let id = chat(&desk, EndpointKind::DingTalk, &peer.url("/send?access_token=t")).await;
        let incident = desk.home.press().await;
        let first = only(&desk, incident).await;
        assert_eq!((first["status"].as_str(), &first["in_doubt"]), (Some("queued"), &json!(false)), "{first}");
        let admin = desk.token("admin").await;
        let (_, page) = desk.page(&admin, "zh-CN", &format!("/endpoints/{id}")).await;
        assert!(page.contains("请填写最终的网址") && !page.contains("可能已送达"), "{page}");
        let carer = desk.home.people.carer;
        desk.home.act(move |tx| songhe_incidents::act::acknowledge(tx, incident, carer)).await.unwrap();
        desk.home.pass(300).await;
        let tried = only(&desk, incident).await;
        assert!(tried["attempts"].as_i64().unwrap() > 4 && tried["status"] == "queued", "{tried}");
        assert!(tried["error"].as_str().unwrap().contains("503") && tried["in_doubt"] == false, "{tried}");
    }

    async fn a_connection_that_is_refused_has_delivered_nothing(db: TestDb) {
        let desk = desk(&db, None).await;
        let gone = Receiver::start();
        let (port, url) = (gone.port(), gone.url("/send?key=k"));
        drop(gone);
        chat(&desk, EndpointKind::WeCom, &url).await;
        let incident = desk.home.press().await;
        let first = only(&desk, incident).await;
        assert_eq!((first["status"].as_str(), &first["in_doubt"]), (Some("queued"), &json!(false)), "{first}");
        let receiver = Receiver::start_on(port);
        receiver.answer_body(OK);
        desk.home.pass(10).await;
        assert_eq!(only(&desk, incident).await["status"], "delivered");
        assert_eq!(receiver.received().len(), 1);
    }

    async fn a_slow_voice_provider_rings_a_phone_twice_and_no_more(db: TestDb) {
        let desk = desk(&db, None).await;
        let receiver = Receiver::start();
        desk.home.ladder(&[(Target::Contact, Channel::Voice)]).await;
        let provider = Provider { body: r#"{"p":"{phone}","t":"{text}"}"#.into(), ..Provider::default() };
        desk.home.outside(NewEndpoint { provider, ..new(&desk, EndpointKind::Voice, &receiver.url("/call")) }).await;
        receiver.stall(Duration::from_secs(60));
        let incident = desk.home.press().await;
        let carer = desk.home.people.carer;
        desk.home.act(move |tx| songhe_incidents::act::acknowledge(tx, incident, carer)).await.unwrap();
        desk.home.pass(120).await;
        let over = only(&desk, incident).await;
        assert_eq!((over["status"].as_str(), &over["in_doubt"]), (Some("failed"), &json!(true)), "{over}");
        let calls = receiver.received();
        assert_eq!(calls.len(), 2);
        assert!(!calls[1].text().contains("编号"), "nobody wants a number read aloud: {}", calls[1].text());
    }

    async fn a_text_message_carries_its_id_where_the_provider_takes_one_and_else_a_number(db: TestDb) {
        for (body, keyed) in [(r#"{"to":"{phone}","m":"{text}","k":"{id}"}"#, true), (r#"{"to":"{phone}","m":"{text}"}"#, false)] {
            let db = TestDb::create(db.kind(), &MIGRATED);
            let desk = desk(&db, None).await;
            let peer = RawPeer::start(Raw::answer("200 OK", "", r#"{"code":"OK"}"#));
            // Half an answer, where a field decides.
            peer.next(Raw::cut(r#"{"code":"O"#));
            desk.home.phones(&[("李护理", "13800000001")]).await;
            desk.home.ladder(&[(Target::OnCall, Channel::Sms)]).await;
            let provider = Provider { body: body.into(), ok_field: "code".into(), ok_value: "OK".into(), ..Provider::default() };
            desk.home.outside(NewEndpoint { provider, ..new(&desk, EndpointKind::Sms, &peer.url("/sms")) }).await;
            let incident = desk.home.press().await;
            let first = only(&desk, incident).await;
            assert_eq!((first["status"].as_str(), &first["in_doubt"]), (Some("queued"), &json!(true)), "{first}");
            desk.home.pass(10).await;
            assert_eq!(only(&desk, incident).await["status"], "delivered");
            let sent: Vec<Value> = peer.bodies().iter().map(|body| serde_json::from_str(body).unwrap()).collect();
            assert_eq!(sent.len(), 2);
            if keyed {
                assert!(sent.iter().all(|one| one["k"] == first["effect_id"]), "{sent:?}");
                assert_eq!(sent[0]["m"], sent[1]["m"]);
            } else {
                assert!(sent[1]["m"].as_str().unwrap().ends_with(&number_of(&first, true)), "{sent:?}");
            }
        }
    }

    async fn a_signed_webhook_is_sent_again_under_its_id_for_as_long_as_it_is_worth(db: TestDb) {
        let desk = desk(&db, None).await;
        let peer = RawPeer::start(Raw::answer("200 OK", "", ""));
        for _ in 0..3 {
            peer.next(Raw::Bytes(Vec::new()));
        }
        desk.home.ladder(&[(Target::OnCall, Channel::Webhook)]).await;
        desk.home.outside(new(&desk, EndpointKind::Webhook, &peer.url("/hook"))).await;
        let incident = desk.home.press().await;
        desk.home.pass(30).await;
        let sent = only(&desk, incident).await;
        assert_eq!((sent["status"].as_str(), &sent["attempts"]), (Some("delivered"), &json!(4)), "{sent}");
        assert!(peer.bodies().iter().all(|body| *body == peer.bodies()[0]), "the same bytes under the same id");
    }
}

/// A ladder by group robots and the robot.
async fn chat(desk: &Desk, kind: EndpointKind, url: &str) -> EndpointId {
    desk.home.ladder(&[(Target::OnCall, Channel::Chat)]).await;
    desk.home.outside(new(desk, kind, url)).await
}

/// The first message about an incident.
async fn only(desk: &Desk, incident: IncidentId) -> Value {
    desk.detail(incident).await["deliveries"][0].clone()
}

fn text_of(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap();
    let text = body["text"]["content"].as_str().or(body["content"]["text"].as_str());
    text.unwrap_or_else(|| panic!("{body}")).to_owned()
}
