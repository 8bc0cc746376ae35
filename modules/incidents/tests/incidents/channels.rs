//! Ways out of the house, against real peers: e-mail, group robots, text messages and voice calls; their words; sending
//! again.

use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use songhe_incidents::endpoints::{self, NewEndpoint, Provider};
use songhe_incidents::ladders::{self, Ladder, Rung};
use songhe_incidents::model::{Channel, EndpointId, EndpointKind, Target};
use songhe_incidents::{IncidentId, MailSettings, MailTls, Priority, act};
use songhe_kernel::i18n::Locale;
use songhe_testkit::{MIGRATED, Receiver, Smtp, TestDb, both_databases};

use crate::common::Home;
use crate::desk::Desk;

/// For what a real peer does.
pub(crate) const SOON: Duration = Duration::from_secs(10);
pub(crate) const OK: &str = r#"{"errcode":0,"errmsg":"ok"}"#;

both_databases! {
    from MIGRATED;

    async fn a_mail_whose_answer_is_lost_comes_again_under_its_id(db: TestDb) {
        let smtp = Smtp::start();
        let desk = desk(&db, Some(&smtp)).await;
        desk.home.ladder(&[(Target::OnCall, Channel::Email), (Target::NurseLead, Channel::Email)]).await;
        let id = desk.home.outside(NewEndpoint { recipients: vec!["duty@example.com".into()], ..new(&desk, EndpointKind::Email, "") }).await;
        smtp.hang_up_once();
        let incident = desk.home.press().await;
        let both = smtp.wait_for(2, SOON).await;
        // The first answer was lost: passed at once, the next rung told.
        desk.home.settle().await;
        assert_eq!(desk.home.rungs(incident).await, ["on_call email passed channel_failed", "nurse_lead email told"]);
        desk.home.pass(10).await;
        let all = smtp.wait_for(3, SOON).await;
        desk.home.settle().await;
        assert_eq!(desk.home.rungs(incident).await[0], "on_call email told");
        let detail = desk.detail(incident).await;
        let first = detail["deliveries"][0]["effect_id"].as_str().unwrap();
        assert_eq!((detail["deliveries"][0]["status"].as_str(), &detail["deliveries"][0]["attempts"]), (Some("delivered"), &json!(2)));
        let ids: Vec<String> = all.iter().map(|mail| mail.header("message-id").unwrap()).collect();
        assert_eq!((ids[0].as_str(), &ids[0]), (format!("<{first}@songhe.example>").as_str(), &ids[2]));
        assert_ne!(ids[0], ids[1]);
        let mail = &both[0];
        assert_eq!((mail.from.as_str(), mail.to.as_slice()), ("songhe@songhe.example", &["duty@example.com".to_owned()][..]));
        assert_eq!(mail.auth, base64::engine::general_purpose::STANDARD.encode("\0songhe\0mail word"));
        assert_eq!(mail.header("auto-submitted").as_deref(), Some("auto-generated"));
        assert_eq!(decoded(mail.body()), "一键呼叫：305 室 · 1 床，张秀英，11-22 16:00。请立即前往。（梧桐里养老院）");
        let admin = desk.token("admin").await;
        let (status, page) = desk.page(&admin, "zh-CN", &format!("/endpoints/{id}")).await;
        assert!(status == 200 && page.contains("duty@example.com") && page.contains("已送达"), "{page}");
    }

    async fn a_mail_server_that_refuses_for_good_is_shown_and_the_mail_sent_again_by_hand(db: TestDb) {
        let smtp = Smtp::start();
        let desk = desk(&db, Some(&smtp)).await;
        desk.home.ladder(&[(Target::OnCall, Channel::Webhook)]).await;
        desk.home.outside(NewEndpoint { recipients: vec!["duty@example.com".into()], ..new(&desk, EndpointKind::Email, "") }).await;
        smtp.refuse_always("550 no such mailbox");
        let incident = desk.home.press().await;
        let detail = desk.detail(incident).await;
        let sent = &detail["deliveries"][0];
        assert!(sent["status"] == "failed" && sent["error"].as_str().unwrap().contains("no such mailbox"), "{sent}");
        assert_eq!(desk.home.rungs(incident).await, ["on_call webhook passed channel_failed"]);
        let carer = desk.token("carer").await;
        let (_, page) = desk.page(&carer, "zh-CN", &format!("/incidents/{incident}")).await;
        assert!(page.contains("no such mailbox") && page.contains("重新发送"), "{page}");

        smtp.behave();
        let replay = format!("/incidents/{incident}/deliveries/{}/replay", sent["effect_id"].as_str().unwrap());
        assert_eq!(desk.form(&carer, &replay, &[]).await.0, 303);
        assert_eq!(smtp.wait_for(1, SOON).await.len(), 1);
        desk.home.settle().await;
        assert_eq!(desk.home.rungs(incident).await, ["on_call webhook told"]);
        assert!(desk.home.story(incident).await.contains(&"sent_again".to_owned()));
        let (_, page) = desk.page(&carer, "zh-CN", &format!("/incidents/{incident}")).await;
        assert!(page.contains("李护理 重新发送了通知") && !page.contains("no such mailbox</span>"), "{page}");
        // Delivered: there is nothing to send again.
        assert_eq!(desk.api(&carer, "POST", &replay, None).await.0, 409);
    }

    async fn encryption_that_is_asked_for_is_never_done_without(db: TestDb) {
        let smtp = Smtp::start();
        let mail = MailSettings { tls: MailTls::StartTls, ..settings(&smtp) };
        let desk = Desk::at(Home::open_outside(&db, Some(mail)).await).await;
        let id = desk.home.outside(NewEndpoint { recipients: vec!["duty@example.com".into()], ..new(&desk, EndpointKind::Email, "") }).await;
        let result = desk.test(id).await;
        assert!(result["status"] != "delivered" && result["error"].is_string(), "{result}");
        let commands = smtp.commands();
        assert!(!commands.contains(&"AUTH".to_owned()) && !commands.contains(&"DATA".to_owned()), "{commands:?}");
    }

    async fn a_robot_that_answers_200_with_a_code_has_failed(db: TestDb) {
        for (kind, bad, good) in [
            (EndpointKind::WeCom, r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#, OK),
            (EndpointKind::DingTalk, r#"{"errcode":310000,"errmsg":"sign not match"}"#, OK),
            (EndpointKind::Feishu, r#"{"code":19021,"msg":"sign match fail"}"#, r#"{"code":0,"msg":"success"}"#),
        ] {
            let receiver = Receiver::start();
            robot(db.kind(), kind, &receiver, bad, good).await;
        }
    }

    async fn each_number_is_called_once_and_one_that_is_reached_is_enough(db: TestDb) {
        let receiver = Receiver::start();
        let desk = desk(&db, None).await;
        desk.home.phones(&[("李护理", "138 0000 0001"), ("赵护理", "13800000002")]).await;
        desk.home.ladder(&[(Target::OnCall, Channel::Sms), (Target::NurseLead, Channel::Sms)]).await;
        let provider = Provider {
            headers: [("Authorization".to_owned(), "Bearer k".to_owned())].into(),
            body: r#"{"to":"{phone}","msg":"{text}","key":"{id}"}"#.into(),
            ok_field: "code".into(),
            ok_value: "OK".into(),
            ..Provider::default()
        };
        desk.home.outside(NewEndpoint { provider, ..new(&desk, EndpointKind::Sms, &receiver.url("/sms")) }).await;
        receiver.answer_body(r#"{"code":"OK"}"#);
        receiver.answer_once(200, r#"{"code":"LIMIT"}"#);
        let incident = desk.home.press().await;
        let calls = receiver.wait_for(2, SOON).await;
        desk.home.settle().await;
        // The nurse lead has no number and is passed only when her turn comes: the first rung reached somebody.
        assert_eq!(desk.home.rungs(incident).await, ["on_call sms told", "nurse_lead sms waiting"]);
        let mut numbers: Vec<String> = calls.iter().map(|call| call.json()["to"].as_str().unwrap().to_owned()).collect();
        numbers.sort();
        assert_eq!(numbers, ["13800000001", "13800000002"]);
        assert!(calls.iter().all(|call| call.header("authorization") == Some("Bearer k")));
        assert!(calls.iter().all(|call| call.json()["key"].as_str() == call.header("idempotency-key")));
        let detail = desk.detail(incident).await;
        let failed = detail["deliveries"].as_array().unwrap().iter().find(|one| one["status"] == "failed").unwrap();
        assert!(failed["error"].as_str().unwrap().contains("LIMIT"), "{failed}");
        desk.home.pass(60).await;
        assert_eq!(desk.home.rungs(incident).await[1], "nurse_lead sms passed no_address");
    }

    async fn a_provider_that_stalls_is_passed_and_called_again_under_the_same_id(db: TestDb) {
        let receiver = Receiver::start();
        let desk = desk(&db, None).await;
        desk.home.ladder(&[(Target::Contact, Channel::Voice), (Target::StreetCentre, Channel::Voice)]).await;
        let provider = Provider { body: r#"{"p":"{phone}","t":"{text}"}"#.into(), ..Provider::default() };
        desk.home.outside(NewEndpoint { provider, ..new(&desk, EndpointKind::Voice, &receiver.url("/call")) }).await;
        receiver.stall(Duration::from_secs(60));
        let incident = desk.home.press().await;
        assert_eq!(receiver.received().len(), 1);
        let rungs = desk.home.rungs(incident).await;
        assert_eq!(rungs, ["contact voice passed channel_failed", "street_centre voice passed nobody"]);
        receiver.stall(Duration::ZERO);
        desk.home.pass(10).await;
        let calls = receiver.wait_for(2, SOON).await;
        assert_eq!(calls[0].header("idempotency-key"), calls[1].header("idempotency-key"));
        assert_eq!(calls[1].json()["p"], "13800000000");
        assert_eq!(desk.home.rungs(incident).await[0], "contact voice told");
    }

    async fn whom_a_call_reached_is_told_of_the_answer(db: TestDb) {
        let receiver = Receiver::start();
        let desk = desk(&db, None).await;
        desk.home.ladder(&[(Target::OnCall, Channel::Chat)]).await;
        let follow = NewEndpoint { follow: true, locale: Locale::En, ..new(&desk, EndpointKind::WeCom, &receiver.url("/send?key=k")) };
        desk.home.outside(follow).await;
        receiver.answer_body(OK);
        let incident = desk.home.press().await;
        let carer = desk.home.people.carer;
        desk.home.act(move |tx| act::acknowledge(tx, incident, carer)).await.unwrap();
        desk.home.act(move |tx| act::resolve(tx, incident, carer, &crate::common::resolution())).await.unwrap();
        let texts: Vec<String> = receiver.wait_for(3, SOON).await.iter().map(|call| call.json()["text"]["content"].as_str().unwrap().to_owned()).collect();
        assert_eq!(texts.len(), 3);
        assert!(texts[0].starts_with("Emergency call: 305 室") || texts[0].contains("305 室"), "{}", texts[0]);
        assert!(texts[1].starts_with("李护理 is on it"), "{}", texts[1]);
        assert!(texts[2].starts_with("Resolved by 李护理"), "{}", texts[2]);
    }

    async fn a_test_says_what_came_back(db: TestDb) {
        let receiver = Receiver::start();
        let desk = desk(&db, None).await;
        let id = desk.home.outside(new(&desk, EndpointKind::DingTalk, &receiver.url("/send"))).await;
        receiver.answer_body(r#"{"errcode":310000,"errmsg":"keywords not in content"}"#);
        let result = desk.test(id).await;
        assert_eq!((result["status"].as_str(), result["error"].as_str()), (Some("failed"), Some("310000 keywords not in content")));
        receiver.answer_body(OK);
        let second = desk.test(id).await;
        assert_eq!(second["status"], "delivered");
        assert_eq!(receiver.received()[1].json()["text"]["content"], format!("测试消息，无需处理。11-22 16:00（梧桐里养老院）{}", number_of(&second, false)));
        let admin = desk.token("admin").await;
        receiver.answer_body(r#"{"errcode":310000,"errmsg":"sign not match"}"#);
        let (status, location, _) = desk.form(&admin, &format!("/endpoints/{id}/test"), &[]).await;
        assert_eq!(status, 303);
        let (_, page) = desk.page(&admin, "zh-CN", &location).await;
        assert!(page.contains("测试消息没有送达") && page.contains("310000 sign not match"), "{page}");
        // Sent again from the endpoint's own page.
        let (_, detail) = desk.api(&admin, "GET", &format!("/webhook-endpoints/{id}"), None).await;
        let failed = detail["deliveries"][0]["effect_id"].as_str().unwrap().to_owned();
        receiver.answer_body(OK);
        let path = format!("/endpoints/{id}/deliveries/{failed}/replay");
        assert_eq!(desk.form(&desk.token("stranger").await, &path, &[]).await.0, 404);
        assert_eq!(desk.form(&admin, &path, &[]).await.0, 303);
        desk.home.settle().await;
        assert_eq!(receiver.wait_for(4, SOON).await[3].header("idempotency-key"), Some(failed.as_str()));
        // A text needs a number.
        let provider = Provider { body: r#"{"p":"{phone}","t":"{text}"}"#.into(), ..Provider::default() };
        let sms = desk.home.outside(NewEndpoint { provider, ..new(&desk, EndpointKind::Sms, &receiver.url("/sms")) }).await;
        let (status, problem) = desk.api(&admin, "POST", &format!("/webhook-endpoints/{sms}/test"), None).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (422, Some("phone")), "{problem}");
        let (status, _, page) = desk.form(&admin, &format!("/endpoints/{sms}/test"), &[("phone", "abc")]).await;
        assert!(status == 422 && page.contains("phone-error"), "{page}");
        assert_eq!(desk.api(&admin, "POST", &format!("/webhook-endpoints/{sms}/test?phone=13900000000"), None).await.1["status"], "delivered");
    }

    async fn what_expired_is_sent_again_and_what_is_over_is_not(db: TestDb) {
        let receiver = Receiver::start();
        let desk = desk(&db, None).await;
        desk.home.ladder(&[(Target::OnCall, Channel::Webhook)]).await;
        let id = desk.home.outside(new(&desk, EndpointKind::Webhook, &receiver.url("/hook"))).await;
        receiver.answer_always(503);
        let incident = desk.home.press().await;
        let carer = desk.home.people.carer;
        desk.home.act(move |tx| act::acknowledge(tx, incident, carer)).await.unwrap();
        desk.home.pass(1_000).await;
        let detail = desk.detail(incident).await;
        let sent = &detail["deliveries"][0];
        assert_eq!(sent["status"], "expired", "{sent}");
        let effect = sent["effect_id"].as_str().unwrap();
        let (admin, carer_token) = (desk.token("admin").await, desk.token("carer").await);
        let stranger = desk.token("stranger").await;
        let replay = format!("/incidents/{incident}/deliveries/{effect}/replay");
        assert_eq!(desk.api(&stranger, "POST", &replay, None).await.0, 404);
        assert_eq!(desk.api(&carer_token, "POST", &format!("/incidents/{incident}/deliveries/eff_0000000000001/replay"), None).await.0, 404);
        receiver.behave();
        assert_eq!(desk.api(&carer_token, "POST", &replay, None).await.0, 204);
        desk.home.settle().await;
        let last = receiver.received().pop().unwrap();
        assert_eq!(last.header("idempotency-key"), Some(effect), "the same id");
        assert_eq!(desk.detail(incident).await["deliveries"][0]["status"], "delivered");

        receiver.answer_always(400);
        let again = desk.home.press().await;
        let (_, detail) = desk.api(&admin, "GET", &format!("/webhook-endpoints/{id}"), None).await;
        let failed = detail["deliveries"][0]["effect_id"].as_str().unwrap().to_owned();
        desk.home.act(move |tx| act::acknowledge(tx, again, carer)).await.unwrap();
        desk.home.act(move |tx| act::resolve(tx, again, carer, &crate::common::resolution())).await.unwrap();
        let (status, problem) = desk.api(&carer_token, "POST", &format!("/incidents/{again}/deliveries/{failed}/replay"), None).await;
        assert_eq!(status, 409, "nobody is called to what is over: {problem}");
    }

    async fn words_are_a_facilitys_own_checked_and_shown_before(db: TestDb) {
        let receiver = Receiver::start();
        let desk = desk(&db, None).await;
        desk.home.ladder(&[(Target::OnCall, Channel::Chat)]).await;
        desk.home.outside(new(&desk, EndpointKind::Feishu, &receiver.url("/hook/x"))).await;
        receiver.answer_body(r#"{"code":0}"#);
        let (admin, here) = (desk.token("admin").await, desk.home.people.here.to_string());
        let write = |body: &str| json!({ "facility": here, "locale": "zh-CN", "occasion": "call", "body": body });
        let (status, problem) = desk.api(&admin, "PUT", "/message-templates", Some(write("快来 {plaze}"))).await;
        assert!(status == 422 && problem["errors"][0]["field"] == "body" && problem.to_string().contains("plaze"), "{problem}");
        let (_, shown) = desk.api(&admin, "POST", "/message-templates/preview", Some(write("快来{place}！"))).await;
        assert_eq!(shown["text"], "快来3 楼 305 室 1 床！");
        let fields = |body: &'static str, act: &'static str| {
            vec![("facility", here.clone()), ("locale", "zh-CN".into()), ("occasion", "call".into()), ("body", body.to_owned()), ("act", act.into())]
        };
        let send = |fields: Vec<(&'static str, String)>| {
            let (desk, admin) = (&desk, &admin);
            async move {
                let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
                desk.form(admin, "/message-templates", &fields).await
            }
        };
        let (status, _, page) = send(fields("%E5%BF%AB%7Bplace%7D", "preview")).await;
        assert!(status == 200 && page.contains("快3 楼 305 室 1 床"), "{page}");
        let (status, _, page) = send(fields("%E5%BF%AB", "save")).await;
        assert!(status == 422 && page.contains("body-error"), "{page}");
        let (status, location, _) = send(fields("%E5%BF%AB%E5%8E%BB%7Bplace%7D+%7Bwho%7D", "save")).await;
        assert_eq!(status, 303);
        assert!(desk.page(&admin, "zh-CN", &location).await.1.contains("已自定义"));
        desk.home.press().await;
        let call = receiver.wait_for(1, SOON).await.remove(0);
        assert!(call.json()["content"]["text"].as_str().unwrap().starts_with("快去305 室 · 1 床 李护理、赵护理〔编号 "));
        let (_, list) = desk.api(&admin, "GET", &format!("/message-templates?facility={here}"), None).await;
        assert_eq!(list["items"].as_array().unwrap().iter().filter(|one| one["own"] == true).count(), 1);
        assert_eq!(send(fields("", "reset")).await.0, 303);
        let stranger = desk.token("stranger").await;
        assert_eq!(desk.api(&stranger, "PUT", "/message-templates", Some(write("{place}"))).await.0, 404);
        assert_eq!(desk.page(&stranger, "en", &format!("/message-templates?facility={here}")).await.0, 404);
        for locale in ["zh-CN", "en"] {
            let (status, page) = desk.page(&admin, locale, "/message-templates?locale=en").await;
            assert!(status == 200 && !page.contains("channels-"), "{page}");
        }
    }

    async fn an_endpoint_is_checked_by_its_kind_and_shows_no_secret(db: TestDb) {
        let desk = desk(&db, None).await;
        let (admin, here) = (desk.token("admin").await, desk.home.people.here.to_string());
        let add = |more: Value| {
            let mut body = json!({ "facility": here, "name": "n" });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let (desk, admin) = (&desk, &admin);
            async move { desk.api(admin, "POST", "/webhook-endpoints", Some(body)).await }
        };
        for (body, field) in [
            (json!({ "kind": "email" }), "recipients"),
            (json!({ "kind": "email", "recipients": ["nobody"] }), "recipients"),
            (json!({ "kind": "wecom", "url": "http://example.com/x" }), "url"),
            (json!({ "kind": "wecom", "url": "https://example.com/x", "recipients": ["a@example.com"] }), "recipients"),
            (json!({ "kind": "sms", "url": "https://example.com/x", "provider": { "body": "{\"p\":\"{phone}\"}" } }), "body"),
            (json!({ "kind": "sms", "url": "https://{phone}.example.com/?m={text}", "provider": { "method": "GET", "ok_status": 99 } }), "ok_status"),
            (json!({ "kind": "voice", "url": "https://example.com/?p={phone}&m={text}", "recipients": ["x"], "provider": { "method": "GET" } }), "recipients"),
        ] {
            let (status, problem) = add(body.clone()).await;
            assert_eq!((status, problem["errors"][0]["field"].as_str()), (422, Some(field)), "{body}: {problem}");
        }
        let (status, made) = add(json!({ "kind": "dingtalk", "url": "https://example.com/send?access_token=tok", "secret": "SEChidden" })).await;
        assert_eq!((status, &made["secret"], made["url"].as_str()), (201, &Value::Null, Some("https://example.com/…")));
        let provider = json!({ "body": "{\"p\":\"{phone}\",\"t\":\"{text}\"}", "headers": { "X-Key": "hidden-too" } });
        assert_eq!(add(json!({ "kind": "sms", "url": "https://example.com/sms", "provider": provider })).await.0, 201);
        let id = made["id"].as_str().unwrap();
        for path in ["/endpoints".to_owned(), format!("/endpoints/{id}")] {
            let (status, page) = desk.page(&admin, "zh-CN", &path).await;
            assert_eq!(status, 200);
            assert!(!page.contains("access_token") && !page.contains("SEChidden") && !page.contains("hidden-too") && !page.contains("channels-"), "{page}");
        }
        assert_eq!(desk.page(&desk.token("stranger").await, "en", &format!("/endpoints/{id}")).await.0, 404);
    }
}

/// How a text ends, by the delivery it is of.
pub(crate) fn number_of(delivery: &Value, again: bool) -> String {
    let number = delivery["number"].as_str().unwrap();
    assert!(number.len() == 4, "{delivery}");
    if again { format!("〔编号 {number}，重发〕") } else { format!("〔编号 {number}〕") }
}

pub(crate) fn decoded(body: &str) -> String {
    let text: String = body.split_whitespace().collect();
    match base64::engine::general_purpose::STANDARD.decode(&text) {
        Ok(bytes) => String::from_utf8(bytes).unwrap().trim().to_owned(),
        Err(_) => panic!("{body}"),
    }
}

pub(crate) fn settings(smtp: &Smtp) -> MailSettings {
    MailSettings {
        host: "127.0.0.1".into(),
        port: smtp.port(),
        tls: MailTls::None,
        username: "songhe".into(),
        password: "mail word".into(),
        from: "songhe@songhe.example".into(),
        ca_file: None,
    }
}

pub(crate) async fn desk(db: &TestDb, smtp: Option<&Smtp>) -> Desk {
    Desk::at(Home::open_outside(db, smtp.map(settings)).await).await
}

pub(crate) fn new(desk: &Desk, kind: EndpointKind, url: &str) -> NewEndpoint {
    NewEndpoint {
        facility: desk.home.people.here,
        target: None,
        kind,
        name: "外部".into(),
        url: url.to_owned(),
        secret: String::new(),
        recipients: Vec::new(),
        locale: Locale::DEFAULT,
        follow: false,
        provider: Provider::default(),
    }
}

impl Home {
    pub(crate) async fn outside(&self, new: NewEndpoint) -> EndpointId {
        self.db.write(move |tx| endpoints::create(tx, &new)).await.unwrap()
    }

    /// A ladder for emergencies, a rung a minute.
    pub(crate) async fn ladder(&self, rungs: &[(Target, Channel)]) {
        let rung = |(after_seconds, (target, channel)): (i32, &(Target, Channel))| Rung {
            after_seconds,
            target: *target,
            rank: None,
            channel: *channel,
        };
        let ladder = Ladder {
            id: None,
            facility: self.people.here,
            scenario: None,
            priority: Priority::High,
            name: "紧急".into(),
            repeat_seconds: 3_600,
            active: true,
            rungs: (0..).step_by(60).zip(rungs).map(rung).collect(),
        };
        self.db.write(move |tx| ladders::save(tx, &ladder)).await.unwrap();
    }

    pub(crate) async fn phones(&self, phones: &'static [(&'static str, &'static str)]) {
        let here = self.people.here;
        self.db
            .write(move |tx| {
                for member in songhe_registry::staff_in(tx.db(), here)? {
                    if let Some((_, phone)) = phones.iter().find(|(name, _)| *name == member.name) {
                        songhe_registry::set_staff_phone(tx, member.id, Some(phone), None)?;
                    }
                }
                Ok(())
            })
            .await
            .unwrap();
    }
}

impl Desk {
    pub(crate) async fn detail(&self, id: IncidentId) -> Value {
        self.api(&self.token("carer").await, "GET", &format!("/incidents/{id}"), None).await.1
    }

    pub(crate) async fn test(&self, id: EndpointId) -> Value {
        let admin = self.token("admin").await;
        let (status, result) = self.api(&admin, "POST", &format!("/webhook-endpoints/{id}/test"), None).await;
        assert_eq!(status, 200, "{result}");
        result
    }
}

/// A robot refuses, the ladder goes on, the operator mends it and sends again.
async fn robot(of: songhe_testkit::Kind, kind: EndpointKind, receiver: &Receiver, bad: &str, good: &str) {
    let db = TestDb::create(of, &MIGRATED);
    let desk = desk(&db, None).await;
    desk.home.ladder(&[(Target::OnCall, Channel::Chat), (Target::NurseLead, Channel::Chat)]).await;
    let secret = if kind == EndpointKind::WeCom { "" } else { "SECreallysecret" };
    desk.home.outside(NewEndpoint { secret: secret.into(), ..new(&desk, kind, &receiver.url("/robot?key=k")) }).await;
    receiver.answer_body(good);
    receiver.answer_once(200, bad);
    let incident = desk.home.press().await;
    assert_eq!(
        desk.home.rungs(incident).await,
        ["on_call chat passed channel_failed", "nurse_lead chat told"],
        "{kind}"
    );
    let detail = desk.detail(incident).await;
    let first = &detail["deliveries"][0];
    let words: Value = serde_json::from_str(bad).unwrap();
    let text = words["errmsg"].as_str().or(words["msg"].as_str()).unwrap();
    assert!(first["status"] == "failed" && first["error"].as_str().unwrap().contains(text), "{first}");
    let carer = desk.token("carer").await;
    assert!(desk.page(&carer, "en", &format!("/incidents/{incident}")).await.1.contains(text));
    let effect = first["effect_id"].as_str().unwrap();
    let replay = format!("/incidents/{incident}/deliveries/{effect}/replay");
    assert_eq!(desk.api(&carer, "POST", &replay, None).await.0, 204);
    desk.home.settle().await;
    assert_eq!(desk.home.rungs(incident).await[0], "on_call chat told");
    let calls = receiver.wait_for(3, SOON).await;
    assert_eq!(calls[0].header("idempotency-key"), Some(effect));
    assert_eq!(calls[2].header("idempotency-key"), Some(effect));
    let body = calls[0].json();
    match kind {
        EndpointKind::Feishu => {
            assert!(body["content"]["text"].as_str().unwrap().contains("305 室") && body["sign"].is_string(), "{body}");
        }
        _ => assert!(body["text"]["content"].as_str().unwrap().contains("305 室"), "{body}"),
    }
    assert_eq!(calls[0].path.contains("&timestamp="), kind == EndpointKind::DingTalk, "{}", calls[0].path);
}
