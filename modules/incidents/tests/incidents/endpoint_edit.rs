//! Changing an endpoint and switching it off: its messages stay, its secrets stay at home, messages under way go on.

use serde_json::{Value, json};
use songhe_incidents::endpoints::{NewEndpoint, Provider};
use songhe_incidents::model::{Channel, EndpointKind, Target};
use songhe_testkit::{MIGRATED, Receiver, TestDb, both_databases};

use crate::channels::{OK, SOON, desk, new};

both_databases! {
    from MIGRATED;

    async fn a_message_under_way_goes_to_the_changed_address_and_the_history_stays(db: TestDb) {
        let (wrong, right) = (Receiver::start(), Receiver::start());
        let desk = desk(&db, None).await;
        desk.home.ladder(&[(Target::OnCall, Channel::Webhook)]).await;
        let made = NewEndpoint { secret: "stays".into(), ..new(&desk, EndpointKind::Webhook, &wrong.url("/hook")) };
        let id = desk.home.outside(made).await;
        wrong.answer_always(503);
        let incident = desk.home.press().await;
        let (admin, path) = (desk.token("admin").await, format!("/webhook-endpoints/{id}"));
        let change = json!({ "name": "新平台", "target": "on_call", "url": right.url("/new"), "follow": true });
        let (status, changed) = desk.api(&admin, "PUT", &path, Some(change)).await;
        assert_eq!(status, 200, "{changed}");
        assert_eq!((&changed["name"], &changed["target"], &changed["follow"], &changed["active"]), (&json!("新平台"), &json!("on_call"), &json!(true), &json!(true)));
        desk.home.pass(10).await;
        let sent = right.wait_for(1, SOON).await.remove(0);
        assert_eq!(sent.header("idempotency-key"), wrong.received()[0].header("idempotency-key"), "the same message");
        let signed = sent.header("songhe-signature").unwrap();
        let time: i64 = signed.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
        assert_eq!(signed, songhe_incidents::webhook::signature("stays", time, &sent.text()).unwrap(), "the same secret");
        assert_eq!(desk.home.rungs(incident).await, ["on_call webhook told"]);
        let (_, detail) = desk.api(&admin, "GET", &path, None).await;
        assert_eq!(detail["deliveries"].as_array().unwrap().len(), 1, "{detail}");
        // Nobody changes what lies elsewhere.
        let stranger = desk.token("stranger").await;
        let body = Some(json!({ "name": "n", "url": right.url("/x") }));
        assert_eq!(desk.api(&stranger, "PUT", &path, body).await.0, 404);
        assert_eq!(desk.api(&stranger, "PUT", &format!("{path}/active"), Some(json!({ "active": false }))).await.0, 404);
        assert_eq!(desk.form(&stranger, &format!("/endpoints/{id}"), &[("name", "n"), ("target", "any"), ("locale", "en")]).await.0, 404);
        assert_eq!(desk.form(&stranger, &format!("/endpoints/{id}/active"), &[("active", "no")]).await.0, 404);
        assert_eq!(desk.page(&stranger, "en", &format!("/endpoints/{id}/edit")).await.0, 404);
        assert_eq!(desk.api(&admin, "GET", &path, None).await.1["name"], "新平台");
    }

    async fn by_page_what_is_left_empty_stays(db: TestDb) {
        let receiver = Receiver::start();
        let desk = desk(&db, None).await;
        let made = NewEndpoint { secret: "SEChidden".into(), ..new(&desk, EndpointKind::DingTalk, &receiver.url("/send?access_token=tok")) };
        let id = desk.home.outside(made).await;
        receiver.answer_body(OK);
        let admin = desk.token("admin").await;
        for locale in ["zh-CN", "en"] {
            let (status, page) = desk.page(&admin, locale, &format!("/endpoints/{id}/edit")).await;
            assert!(status == 200 && page.contains("外部"), "{page}");
            assert!(!page.contains("access_token") && !page.contains("SEChidden") && !page.contains("outgoing-"), "{page}");
        }
        let path = format!("/endpoints/{id}");
        let save = |more: &'static [(&'static str, &'static str)]| {
            let (desk, admin, path) = (&desk, &admin, &path);
            async move {
                let mut fields = vec![("name", "%E5%A4%9C%E7%8F%AD%E7%BE%A4"), ("target", "nurse_lead"), ("locale", "en"), ("url", "")];
                fields.extend(more);
                desk.form(admin, path, &fields).await
            }
        };
        let (status, location, _) = save(&[("secret", "")]).await;
        assert_eq!((status, location.as_str()), (303, format!("/endpoints/{id}?saved=1").as_str()));
        let (_, page) = desk.page(&admin, "zh-CN", &location).await;
        assert!(page.contains("已保存") && page.contains("夜班群"), "{page}");
        desk.test(id).await;
        let sent = receiver.received().pop().unwrap();
        assert!(sent.path.contains("access_token=tok") && sent.path.contains("&sign="), "address and secret stay: {}", sent.path);
        assert!(sent.text().contains("Test message"), "{}", sent.text());
        // What cannot be is refused, beside its input, and nothing changes.
        let (status, _, page) = desk.form(&admin, &path, &[("name", ""), ("target", "any"), ("locale", "en"), ("url", "http%3A%2F%2Fexample.com%2F")]).await;
        assert!(status == 422 && page.contains("name-error") && page.contains("url-error"), "{page}");
        assert_eq!(desk.api(&admin, "GET", &format!("/webhook-endpoints/{id}"), None).await.1["name"], "夜班群");
        // The secret goes when that is wanted.
        assert_eq!(save(&[("forget", "yes")]).await.0, 303);
        desk.test(id).await;
        assert!(!receiver.received().pop().unwrap().path.contains("&sign="));
        assert_eq!(save(&[("secret", "SECnew")]).await.0, 303);
        desk.test(id).await;
        assert!(receiver.received().pop().unwrap().path.contains("&sign="));
    }

    async fn what_opens_one_host_is_never_sent_to_another(db: TestDb) {
        let (home, other) = (Receiver::start(), Receiver::start());
        let desk = desk(&db, None).await;
        let provider = Provider {
            headers: [("Authorization".to_owned(), "Bearer hidden".to_owned())].into(),
            body: r#"{"p":"{phone}","t":"{text}","key":"hidden-too"}"#.into(),
            ..Provider::default()
        };
        let made = NewEndpoint { provider, recipients: vec!["13800000000".into()], ..new(&desk, EndpointKind::Sms, &home.url("/sms")) };
        let id = desk.home.outside(made).await;
        let (admin, path) = (desk.token("admin").await, format!("/webhook-endpoints/{id}"));
        let change = |more: Value| {
            let mut body = json!({ "name": "短信", "recipients": ["13800000001"] });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let (desk, admin, path) = (&desk, &admin, &path);
            async move { desk.api(admin, "PUT", path, Some(body)).await }
        };
        for moved in [json!({ "url": other.url("/sms") }), json!({ "url": other.url("/sms"), "provider": { "format": "json" } })] {
            let (status, problem) = change(moved).await;
            let fields: Vec<&str> = problem["errors"].as_array().unwrap().iter().map(|one| one["field"].as_str().unwrap()).collect();
            assert_eq!((status, fields), (422, vec!["headers", "body"]), "{problem}");
        }
        // Another path of the same host is no other host.
        let (status, changed) = change(json!({ "url": home.url("/v2"), "provider": { "ok_status": 200 } })).await;
        assert_eq!((status, &changed["provider"]["header_names"], &changed["provider"]["ok_status"]), (200, &json!(["Authorization"]), &json!(200)), "{changed}");
        assert!(!changed.to_string().contains("hidden"), "{changed}");
        assert_eq!(desk.test(id).await["status"], "delivered");
        let sent = home.received().pop().unwrap();
        assert_eq!((sent.path.as_str(), sent.header("authorization"), sent.json()["key"].as_str()), ("/v2", Some("Bearer hidden"), Some("hidden-too")));
        assert_eq!(sent.json()["p"], "13800000001");
        let anew = json!({ "url": other.url("/sms"), "provider": { "headers": {}, "body": "{\"p\":\"{phone}\",\"t\":\"{text}\"}" } });
        assert_eq!(change(anew).await.0, 200);
        assert_eq!(desk.test(id).await["status"], "delivered");
        let sent = other.received().pop().unwrap();
        assert!(sent.header("authorization").is_none() && !sent.text().contains("hidden"), "{}", sent.text());
        // By page the same, beside the inputs.
        let fields = [("name", "n"), ("target", "any"), ("locale", "en"), ("url", "https%3A%2F%2Fexample.com%2F"), ("recipients", ""), ("headers", ""), ("body", "")];
        let (status, _, page) = desk.form(&admin, &format!("/endpoints/{id}"), &fields).await;
        assert!(status == 422 && page.contains("id=\"body-error\""), "{page}");
    }

    async fn switched_off_no_rung_goes_there_and_what_was_under_way_waits_for_a_hand(db: TestDb) {
        let receiver = Receiver::start();
        let desk = desk(&db, None).await;
        desk.home.ladder(&[(Target::OnCall, Channel::Webhook)]).await;
        let id = desk.home.outside(new(&desk, EndpointKind::Webhook, &receiver.url("/hook"))).await;
        receiver.answer_always(503);
        let first = desk.home.press().await;
        let admin = desk.token("admin").await;
        assert_eq!(desk.form(&admin, &format!("/endpoints/{id}/active"), &[("active", "no")]).await.0, 303);
        let tried = receiver.received().len();
        desk.home.pass(10).await;
        assert_eq!(receiver.received().len(), tried, "nothing leaves any more");
        let sent = desk.detail(first).await["deliveries"][0].clone();
        assert!(sent["status"] == "failed" && sent["error"].as_str().unwrap().contains("switched off"), "{sent}");
        let (_, page) = desk.page(&admin, "zh-CN", &format!("/endpoints/{id}")).await;
        assert!(page.contains("这个渠道已停用") && page.contains("渠道已删除或停用"), "{page}");
        let mut another = desk.home.sos();
        another.discriminator = "2".into();
        let second = desk.home.report(another).await;
        assert_eq!(desk.home.rungs(second).await, ["on_call webhook passed no_channel"]);
        // On again, by the API.
        let (status, switched) = desk.api(&admin, "PUT", &format!("/webhook-endpoints/{id}/active"), Some(json!({ "active": true }))).await;
        assert_eq!((status, &switched["active"]), (200, &json!(true)));
        receiver.behave();
        let carer = desk.token("carer").await;
        let replay = format!("/incidents/{first}/deliveries/{}/replay", sent["effect_id"].as_str().unwrap());
        assert_eq!(desk.api(&carer, "POST", &replay, None).await.0, 204);
        desk.home.settle().await;
        assert_eq!(receiver.received().pop().unwrap().header("idempotency-key"), sent["effect_id"].as_str());
        assert_eq!(desk.home.rungs(first).await, ["on_call webhook told"]);
    }

    async fn a_webhooks_secret_is_drawn_anew_and_shown_once(db: TestDb) {
        let receiver = Receiver::start();
        let desk = desk(&db, None).await;
        let id = desk.home.outside(NewEndpoint { secret: "former".into(), ..new(&desk, EndpointKind::Webhook, &receiver.url("/hook")) }).await;
        let robot = desk.home.outside(new(&desk, EndpointKind::WeCom, &receiver.url("/send?key=k"))).await;
        let (admin, path) = (desk.token("admin").await, format!("/endpoints/{id}"));
        let (status, _, page) = desk.form(&admin, &format!("{path}/secret"), &[("form_key", "k1")]).await;
        let shown = page.split("class=\"value\">").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_else(|| panic!("{status} {page}"));
        assert_eq!((status, shown.len()), (200, 64));
        // Sent twice it draws no other, and shows nothing.
        let (status, _, again) = desk.form(&admin, &format!("{path}/secret"), &[("form_key", "k1")]).await;
        assert!(status == 200 && !again.contains("class=\"value\"") && again.contains("已经显示过"), "{again}");
        assert!(!desk.page(&admin, "zh-CN", &path).await.1.contains(shown));
        let signed_by = |secret: String| {
            let sent = receiver.received().pop().unwrap();
            let signed = sent.header("songhe-signature").unwrap().to_owned();
            let time: i64 = signed.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
            signed == songhe_incidents::webhook::signature(&secret, time, &sent.text()).unwrap()
        };
        desk.test(id).await;
        assert!(signed_by(shown.to_owned()));
        let (status, drawn) = desk.api(&admin, "POST", &format!("/webhook-endpoints/{id}/secret"), None).await;
        let secret = drawn["secret"].as_str().unwrap_or_else(|| panic!("{status} {drawn}")).to_owned();
        assert_ne!(secret, shown);
        desk.test(id).await;
        assert!(signed_by(secret));
        assert_eq!(desk.api(&admin, "POST", &format!("/webhook-endpoints/{robot}/secret"), None).await.0, 409, "its maker's");
        assert_eq!(desk.form(&desk.token("stranger").await, &format!("{path}/secret"), &[]).await.0, 404);
    }
}
