//! The record of a resident: edited by two at once, dated facts with their history, cards, pictures, contacts, and the
//! search that finds people as they are typed.

use std::sync::Arc;

use actix_web::test::TestRequest;
use diesel::prelude::*;
use serde_json::{Value, json};
use songhe_kernel::http::HttpSettings;
use songhe_kernel::identity::Scope;
use songhe_kernel::{Error, FacilityId, Modules, Moment, Result};
use songhe_registry::*;
use songhe_testkit::{MIGRATED, Site, TestDb, both_databases};

use crate::common::{Street, new_resident, street};

pub struct Desk {
    pub street: Street,
    pub site: Site,
    pub admin: String,
    pub id: ResidentId,
}

impl Desk {
    /// With one resident, and an administrator signed in.
    pub async fn open(test: &TestDb) -> Self {
        let street = street(test).await;
        let site = Site::open(&street.db, Modules::new(vec![Arc::new(Registry)]), HttpSettings::default());
        let admin = site.token("admin").await;
        let new = new_resident(street.here.facility, None, "王秀英");
        let id = street.db.write(move |tx| create_resident(tx, &new, None)).await.unwrap();
        Self { street, site, admin, id }
    }

    pub async fn api(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let path = format!("/api/v1/residents/{}/{path}", self.id);
        let request = TestRequest::with_uri(&path).method(method.parse().unwrap()).set_json(body);
        let answer = self.site.send(&self.admin, request).await;
        let body = if answer.body.is_empty() { Value::Null } else { answer.json() };
        (answer.status, body)
    }

    pub async fn form(&self, path: &str, form: &[(&str, &str)]) -> (u16, String) {
        let path = format!("/residents/{}/{path}", self.id);
        let answer = self.site.send(&self.admin, TestRequest::post().uri(&path).set_form(form.to_vec())).await;
        (answer.status, answer.body)
    }

    pub async fn page(&self, path: &str) -> String {
        let answer = self.site.send(&self.admin, TestRequest::get().uri(path)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    pub async fn enter(&self, facility: FacilityId, name: &str) -> ResidentId {
        let new = new_resident(facility, None, name);
        self.street.db.write(move |tx| create_resident(tx, &new, None)).await.unwrap()
    }

    pub async fn found(&self, scope: Scope, typed: &str, after: Option<ResidentId>, limit: i64) -> Vec<String> {
        let filter = ResidentFilter { scope, name: typed.into(), after };
        let vault = self.street.db.vault();
        let rows = self.street.db.read(move |db| find_residents(&vault, db, &filter, limit)).await.unwrap();
        rows.into_iter().map(|(resident, _)| resident.name).collect()
    }

    async fn status_at(&self, at: &str) -> ResidentStatus {
        let (id, at): (_, Moment) = (self.id, at.parse().unwrap());
        self.street.db.read(move |db| status_on(db, id, at)).await.unwrap().status
    }
}

fn hidden(page: &str, name: &str) -> String {
    let from = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap();
    from.split('"').next().unwrap().replace("&quot;", "\"").replace("&#x27;", "'").replace("&amp;", "&")
}

pub fn refused<T: std::fmt::Debug>(outcome: Result<T>) -> Vec<(&'static str, &'static str)> {
    match outcome {
        Err(Error::Invalid(fields)) => fields.into_iter().map(|error| (error.field, error.text.key)).collect(),
        other => panic!("not refused as input: {other:?}"),
    }
}

fn png(side: u32) -> Vec<u8> {
    let chunk = |name: &[u8], content: &[u8]| {
        [&u32::try_from(content.len()).unwrap().to_be_bytes()[..], name, content, &[0; 4]].concat()
    };
    let head = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    [b"\x89PNG\r\n\x1a\n", &chunk(b"IHDR", &head)[..], &chunk(b"IDAT", &[1; 9]), &chunk(b"IEND", &[])].concat()
}

both_databases! {
    from MIGRATED;

    async fn of_two_who_edit_at_once_the_second_sees_what_changed_and_nothing_is_lost(test: TestDb) {
        let desk = Desk::open(&test).await;
        let path = format!("/residents/{}/edit", desk.id);
        let before = desk.page(&path).await;
        let (version, base) = (hidden(&before, "version"), hidden(&before, "base"));
        let form = |more: &[(&'static str, &'static str)]| {
            let mut form = vec![
                ("version", version.as_str()), ("base", base.as_str()), ("name", "王秀英"), ("sex", "female"),
                ("birth_date", "1944-11-23"), ("ability_level", "2"), ("fall_risk_high", "1"),
            ];
            form.extend_from_slice(more);
            form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>()
        };
        let send = async |form: Vec<(String, String)>| {
            let answer = desk.site.send(&desk.admin, TestRequest::post().uri(&path).set_form(form)).await;
            (answer.status, answer.body)
        };
        let first = [("income_class", "low_income"), ("allergen_eggs", "1"), ("household_region", "110105")];
        let (status, page) = send(form(&first)).await;
        assert_eq!(status, 303, "{page}");

        // The second one began with the same record, and changes one field of the first and one of their own.
        let second = [("income_class", "ordinary"), ("diet_halal", "1")];
        let (status, page) = send(form(&second)).await;
        assert_eq!(status, 409, "{page}");
        for told in ["低收入", "蛋类", "110105", "普通", "保存后以您填写的为准"] {
            assert!(page.contains(told), "{told}: {page}");
        }
        assert!(page.contains(r#"name="allergen_eggs" value="1" checked"#) && page.contains(r#"name="diet_halal" value="1" checked"#));
        let (status, now) = desk.api("GET", "record", Value::Null).await;
        assert_eq!((status, &now["fields"]["income_class"], &now["version"]), (200, &json!("low_income"), &json!(1)));

        // Saved again, both are there.
        let mut again = form(&[("income_class", "ordinary"), ("allergen_eggs", "1"), ("diet_halal", "1"), ("household_region", "110105")]);
        again[0].1 = hidden(&page, "version");
        again[1].1 = hidden(&page, "base");
        assert_eq!(send(again.clone()).await.0, 303);
        let (_, now) = desk.api("GET", "record", Value::Null).await;
        let fields = &now["fields"];
        assert_eq!((&fields["allergens"], &fields["diets"], &fields["income_class"]), (&json!(["eggs"]), &json!(["halal"]), &json!("ordinary")));
        // Sent once more it changes nothing and is no conflict.
        assert_eq!(send(again).await.0, 303);
        assert_eq!(desk.api("GET", "record", Value::Null).await.1["version"], 2);
        let shown = desk.page(&format!("/residents/{}", desk.id)).await;
        assert!(shown.contains("蛋类") && shown.contains("清真") && shown.contains("110105"), "{shown}");

        // By the API the same.
        let stale = json!({ "version": 1, "fields": { "name": "王秀英", "sex": "female" } });
        assert_eq!(desk.api("PUT", "record", stale).await.0, 409);
    }

    async fn a_record_is_checked_field_by_field_and_its_history_tells_no_name(test: TestDb) {
        use songhe_kernel::audit::schema::audit;
        use songhe_kernel::schema::event;
        let desk = Desk::open(&test).await;
        let wrong = json!({ "version": 0, "fields": {
            "name": " ", "sex": "female", "birth_date": "1801-01-01", "household_region": "11", "residence_region": "990105",
            "disability": { "kind": "visual", "grade": 5 }, "ability_level": 5, "food_level": 2, "drink_level": 5,
        }});
        let (status, problem) = desk.api("PUT", "record", wrong).await;
        let mut fields: Vec<_> =
            problem["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
        fields.sort_unstable();
        assert_eq!(status, 422);
        assert_eq!(fields, ["ability_level", "birth_date", "disability_grade", "drink_level", "food_level", "household_region", "name", "residence_region"]);
        let (status, page) = desk.form("edit", &[("version", "0"), ("base", "{}"), ("name", "王秀英"), ("sex", "female"), ("disability_kind", "visual")]).await;
        assert!(status == 422 && page.contains(r#"id="disability_grade-error""#), "{page}");

        let right = json!({ "version": 0, "fields": { "name": "单秀英", "sex": "female", "living_situation": "alone", "disability": { "kind": "visual", "grade": 2 } } });
        let (status, now) = desk.api("PUT", "record", right).await;
        assert_eq!((status, &now["version"], &now["fields"]["disability"]["grade"]), (200, &json!(1), &json!(2)), "{now}");
        // A new name is found by its letters, the former one by none.
        assert_eq!(desk.found(Scope::All, "shanxy", None, 9).await, ["单秀英"]);
        assert!(desk.found(Scope::All, "wang", None, 9).await.is_empty());
        assert!(desk.page(&format!("/residents/{}", desk.id)).await.contains("独居"));
        let (data, seen): (Vec<String>, Vec<Option<String>>) = desk.street.db.read(|db| {
            Ok((event::table.select(event::data).load(db)?, audit::table.select(audit::value_after).load(db)?))
        }).await.unwrap();
        assert!(data.iter().all(|data| data.is_ascii()), "{data:?}");
        assert!(seen.iter().flatten().any(|after| after.contains("visual")), "{seen:?}");
        assert!(seen.iter().flatten().all(|after| !after.contains("单秀英")), "{seen:?}");
    }

    async fn a_status_holds_from_its_day_and_a_correction_keeps_what_was_said(test: TestDb) {
        let desk = Desk::open(&test).await;
        let new = |status: &str, from: &str, until: Value| json!({ "status": status, "from_at": from, "until_at": until });
        assert_eq!(desk.status_at("2026-11-22T08:00:00Z").await, ResidentStatus::Active);
        let stay = new("in_hospital", "2026-11-20T00:00:00Z", json!("2026-11-25T00:00:00Z"));
        let (status, body) = desk.api("POST", "status", stay).await;
        assert_eq!((status, &body["now"]["status"]), (201, &json!("in_hospital")), "{body}");
        assert_eq!(desk.status_at("2026-11-19T00:00:00Z").await, ResidentStatus::Active);
        assert_eq!(desk.status_at("2026-11-25T00:00:00Z").await, ResidentStatus::Active);
        for page in ["/residents".to_owned(), format!("/residents/{}", desk.id), format!("/residents/{}/record", desk.id)] {
            assert!(desk.page(&page).await.contains("住院"), "{page}");
        }

        for (wrong, field) in [
            (new("away", "2026-11-22T00:00:00Z", json!("2026-11-22T00:00:00Z")), "until_at"),
            (new("deceased", "2026-11-23T00:00:00Z", Value::Null), "from_at"),
            (new("moved", "2026-11-22T00:00:00Z", json!("2026-11-23T00:00:00Z")), "until_at"),
            (new("away", "1930-01-01T00:00:00Z", Value::Null), "from_at"),
        ] {
            let (status, problem) = desk.api("POST", "status", wrong).await;
            assert_eq!((status, problem["errors"][0]["field"].as_str()), (422, Some(field)), "{problem}");
        }
        let (_, body) = desk.api("POST", "status", new("deceased", "2026-11-21T00:00:00Z", Value::Null)).await;
        assert_eq!(body["now"]["status"], "deceased");
        let (status, problem) = desk.api("POST", "status", new("away", "2026-11-22T00:00:00Z", Value::Null)).await;
        assert_eq!((status, problem["errors"][0]["code"].as_str()), (422, Some("record-error-status-after-death")));

        // It was a mistake: withdrawn, it stays with who said so.
        let fact = body["facts"][0]["id"].as_str().unwrap().to_owned();
        let (status, body) = desk.api("POST", &format!("status/{fact}/correct"), json!({ "replacement": null })).await;
        assert_eq!((status, &body["now"]["status"]), (200, &json!("in_hospital")), "{body}");
        assert_eq!(body["facts"].as_array().unwrap().len(), 2);
        assert_eq!(desk.api("POST", &format!("status/{fact}/correct"), json!({ "replacement": null })).await.0, 409);
        // Corrected, the other one counts.
        let stay = body["facts"][1]["id"].as_str().unwrap().to_owned();
        let longer = new("in_hospital", "2026-11-18T00:00:00Z", Value::Null);
        let (_, body) = desk.api("POST", &format!("status/{stay}/correct"), json!({ "replacement": longer })).await;
        assert_eq!((&body["facts"][0]["corrects"], body["facts"].as_array().unwrap().len()), (&json!(stay), 3), "{body}");
        assert_eq!(desk.status_at("2026-11-19T00:00:00Z").await, ResidentStatus::InHospital);
        let (status, page) = desk.form("status", &[("status", "away"), ("from_at", "x")]).await;
        assert!(status == 422 && page.contains(r#"id="from_at-error""#), "{page}");
        let (status, page) = desk.form("status", &[("status", "away"), ("from_at", "2026-11-22T15:00")]).await;
        assert_eq!(status, 303, "{page}");
        assert_eq!(desk.status_at("2026-11-22T07:00:00Z").await, ResidentStatus::Away);
    }

    async fn a_consent_holds_until_it_is_revoked_and_both_stay(test: TestDb) {
        let desk = Desk::open(&test).await;
        let new = json!({ "kind": "camera", "given_at": "2026-11-01T00:00:00Z", "given_by": "guardian", "guardian": "王芳", "evidence": "同意书 2026-01" });
        let (status, body) = desk.api("POST", "consents", new.clone()).await;
        assert_eq!(status, 201, "{body}");
        let (status, problem) = desk.api("POST", "consents", new).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (422, Some("kind")), "{problem}");
        for (wrong, field) in [
            (json!({ "kind": "position", "given_at": "2026-11-22T09:00:00Z", "given_by": "self", "evidence": "x" }), "given_at"),
            (json!({ "kind": "position", "given_at": "2026-11-22T07:00:00Z", "given_by": "self", "evidence": " " }), "evidence"),
            (json!({ "kind": "position", "given_at": "2026-11-22T07:00:00Z", "given_by": "guardian", "evidence": "x" }), "guardian"),
        ] {
            let (status, problem) = desk.api("POST", "consents", wrong).await;
            assert_eq!((status, problem["errors"][0]["field"].as_str()), (422, Some(field)), "{problem}");
        }
        let id = body["items"][0]["id"].as_str().unwrap();
        let end = json!({ "revoked_at": "2026-11-10T00:00:00Z", "revoked_by": "self", "evidence": "口头，录音 7" });
        let (status, body) = desk.api("POST", &format!("consents/{id}/revoke"), end.clone()).await;
        assert_eq!((status, &body["items"][0]["revoked_by"]), (200, &json!("self")), "{body}");
        assert_eq!(desk.api("POST", &format!("consents/{id}/revoke"), end).await.0, 409);
        let resident = desk.id;
        let kinds = async |at: &str| {
            let at: Moment = at.parse().unwrap();
            desk.street.db.read(move |db| consents_on(db, resident, at)).await.unwrap()
        };
        assert_eq!(kinds("2026-11-09T00:00:00Z").await, [ConsentKind::Camera]);
        assert_eq!(kinds("2026-11-10T00:00:00Z").await, []);
        assert_eq!(kinds("2026-10-31T00:00:00Z").await, []);
        let form = [("kind", "family_view"), ("given_at", "2026-11-22T15:00"), ("given_by", "self"), ("evidence", "同意书 2026-02")];
        assert_eq!(desk.form("consents", &form).await.0, 303);
        let page = desk.page(&format!("/residents/{}/record", desk.id)).await;
        for shown in ["同意书 2026-01", "口头，录音 7", "王芳", "家属查看", "有效", "已撤回"] {
            assert!(page.contains(shown), "{shown}: {page}");
        }
    }

    async fn a_card_is_one_residents_at_a_time(test: TestDb) {
        let desk = Desk::open(&test).await;
        let other = desk.enter(desk.street.here.facility, "赵桂兰").await;
        let (status, body) = desk.api("POST", "cards", json!({ "number": "04a1-b2c3" })).await;
        assert_eq!((status, &body["items"][0]["number"]), (201, &json!("04A1B2C3")), "{body}");
        let card: CardId = body["items"][0]["id"].as_str().unwrap().parse().unwrap();
        let again = async || {
            let new = NewCard { number: "04A1B2C3".into() };
            desk.street.db.write(move |tx| add_card(tx, other, &new, None)).await
        };
        assert_eq!(refused(again().await), [("number", "record-error-card-taken")]);
        assert_eq!(desk.found(Scope::All, "04a1b2c3", None, 9).await, ["王秀英"]);
        assert!(desk.found(Scope::Only(vec![desk.street.elsewhere.facility]), "04a1b2c3", None, 9).await.is_empty());
        let path = format!("cards/{card}");
        assert_eq!(desk.api("PUT", &path, json!({ "state": "lost" })).await.0, 200);
        assert_eq!(refused(again().await), [("number", "record-error-card-taken")]);
        assert_eq!(desk.form(&path, &[("state", "replaced")]).await.0, 303);
        again().await.unwrap();
        assert_eq!(desk.api("PUT", &path, json!({ "state": "active" })).await.0, 409);
        assert_eq!(desk.api("POST", "cards", json!({ "number": "卡" })).await.0, 422);
        assert!(desk.page(&format!("/residents/{}/record", desk.id)).await.contains("已换卡"));
    }

    async fn a_picture_is_shown_to_whoever_may_see_the_resident(test: TestDb) {
        let desk = Desk::open(&test).await;
        let path = format!("/api/v1/residents/{}/photo", desk.id);
        let put = async |token: &str, bytes: Vec<u8>| {
            let request = TestRequest::put().uri(&path).insert_header(("Content-Type", "image/png")).set_payload(bytes);
            desk.site.send(token, request).await.status
        };
        let get = async |token: &str, path: &str| desk.site.send(token, TestRequest::get().uri(path)).await.status;
        assert_eq!(get(&desk.admin, &path).await, 404);
        assert_eq!(put(&desk.admin, b"<svg onload='x'/>".to_vec()).await, 422);
        assert_eq!(put(&desk.admin, vec![0xFF; 3 * 1024 * 1024]).await, 413);
        assert_eq!(put(&desk.admin, png(64)).await, 204);
        let (carer, stranger) = (desk.site.token("carer").await, desk.site.token("other").await);
        let page = format!("/residents/{}/photo", desk.id);
        assert_eq!((get(&carer, &path).await, get(&carer, &page).await), (200, 200));
        assert_eq!((get(&stranger, &path).await, get(&stranger, &page).await), (404, 404));
        assert_eq!(put(&carer, png(64)).await, 403);
        let of = desk.id;
        let kept = desk.street.db.read(move |db| photo(db, of)).await.unwrap().unwrap();
        assert_eq!((kept.media_type.as_str(), kept.bytes), ("image/png", png(64)));
        assert!(desk.page(&format!("/residents/{}", desk.id)).await.contains(&page));
        assert_eq!(desk.form("photo/remove", &[]).await.0, 303);
        assert_eq!(get(&carer, &path).await, 404);
    }

    async fn contacts_are_changed_ordered_and_removed(test: TestDb) {
        let desk = Desk::open(&test).await;
        let mut ids = Vec::new();
        for name in ["女儿", "邻居", "侄子"] {
            let new = NewContact { rank: None, name: name.into(), relation: name.into(), phone: None, user_id: None };
            let resident = desk.id;
            ids.push(desk.street.db.write(move |tx| add_contact(tx, resident, &new, None)).await.unwrap());
        }
        let resident = desk.id;
        let names = async || {
            let all = desk.street.db.read(move |db| contacts(db, resident)).await.unwrap();
            all.into_iter().map(|one| (one.rank, one.name)).collect::<Vec<_>>()
        };
        assert_eq!(desk.form(&format!("contacts/{}/up", ids[2]), &[]).await.0, 303);
        assert_eq!(names().await, [(1, "女儿".into()), (2, "侄子".into()), (3, "邻居".into())]);
        assert_eq!(desk.api("PUT", "contacts", json!({ "order": [ids[1], ids[2], ids[0]] })).await.0, 204);
        assert_eq!(desk.api("PUT", "contacts", json!({ "order": [ids[1], ids[1], ids[0]] })).await.0, 422);
        let edit = json!({ "name": "王芳", "relation": "女儿", "phone": "138 0000 0001" });
        assert_eq!(desk.api("PUT", &format!("contacts/{}", ids[0]), edit).await.0, 204);
        let (status, page) = desk.form(&format!("contacts/{}", ids[0]), &[("name", ""), ("relation", "女儿")]).await;
        assert!(status == 422 && page.contains(r#"id="name-error""#), "{page}");
        assert_eq!(desk.form(&format!("contacts/{}/remove", ids[1]), &[]).await.0, 303);
        assert_eq!(names().await, [(1, "侄子".into()), (2, "王芳".into())]);
        assert_eq!(desk.api("DELETE", &format!("contacts/{}", ids[1]), Value::Null).await.0, 404);
        assert!(desk.page(&format!("/residents/{}/contacts/{}", desk.id, ids[0])).await.contains("王芳"));
        // The number is sealed and shown masked; edited without one it stays, and goes when that is asked for.
        let page = desk.page(&format!("/residents/{}", desk.id)).await;
        assert!(page.contains("138****0001") && !page.contains("138 0000 0001"), "{page}");
        assert_eq!(desk.form(&format!("contacts/{}", ids[0]), &[("name", "王芳"), ("relation", "长女")]).await.0, 303);
        assert!(desk.page(&format!("/residents/{}", desk.id)).await.contains("138****0001"));
        let form = [("name", "王芳"), ("relation", "长女"), ("remove_phone", "1")];
        assert_eq!(desk.form(&format!("contacts/{}", ids[0]), &form).await.0, 303);
        assert!(!desk.page(&format!("/residents/{}", desk.id)).await.contains("138****0001"));
    }

    async fn a_search_finds_by_part_pinyin_and_initials_page_by_page(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (here, elsewhere) = (desk.street.here.facility, desk.street.elsewhere.facility);
        for name in ["王秀兰", "单秀英", "曾秀英", "欧阳秀"] {
            desk.enter(here, name).await;
        }
        desk.enter(elsewhere, "王秀珍").await;
        let only = || Scope::Only(vec![here]);
        for (typed, names) in [
            ("王秀", vec!["王秀兰", "王秀英"]),
            ("wangx", vec!["王秀兰", "王秀英"]),
            ("wxl", vec!["王秀兰"]),
            ("shan", vec!["单秀英"]),
            ("Zeng Xiu", vec!["曾秀英"]),
            ("ouyang", vec!["欧阳秀"]),
            ("dan", vec![]),
            ("wxz", vec![]),
            ("%", vec![]),
        ] {
            assert_eq!(desk.found(only(), typed, None, 9).await, names, "{typed}");
        }
        assert_eq!(desk.found(Scope::All, "wxz", None, 9).await, ["王秀珍"]);
        // Each once, however many of their tokens fit, and none twice over the pages.
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let filter = ResidentFilter { scope: Scope::All, name: "x".into(), after };
            let rows = desk.street.db.read(move |db| list_residents(db, &filter, 2)).await.unwrap();
            let Some((last, _)) = rows.last() else { break };
            after = Some(last.id);
            all.extend(rows.into_iter().map(|(resident, _)| resident.name));
        }
        all.sort_unstable();
        let mut expected = ["王秀英", "王秀兰", "单秀英", "曾秀英", "欧阳秀", "王秀珍"];
        expected.sort_unstable();
        assert_eq!(all, expected);
        let page = desk.page("/residents?q=wxy").await;
        assert!(page.contains("王秀英") && !page.contains("王秀珍"), "{page}");
    }

    async fn names_from_before_are_found_after_the_timer(test: TestDb) {
        let desk = Desk::open(&test).await;
        desk.street.db.write(|tx| {
            use diesel::sql_query;
            sql_query("DELETE FROM resident_token").execute(tx.db())?;
            sql_query("UPDATE resident SET name_rules = 0").execute(tx.db())?;
            Ok(())
        }).await.unwrap();
        assert!(desk.found(Scope::All, "wxy", None, 9).await.is_empty());
        let timer = songhe_kernel::Timer {
            key: "cron:registry:names".into(), module: "registry".into(), kind: "names".into(), facility_id: None,
            data: "null".into(), due_at: "2026-11-22T08:00:00Z".parse().unwrap(), attempts: 0,
        };
        desk.street.db.write(move |tx| songhe_kernel::Module::on_timer(&Registry, tx, &timer)).await.unwrap();
        assert_eq!(desk.found(Scope::All, "wxy", None, 9).await, ["王秀英"]);
    }

    async fn the_record_of_somebody_elsewhere_does_not_exist(test: TestDb) {
        let desk = Desk::open(&test).await;
        let theirs = desk.enter(desk.street.elsewhere.facility, "外人").await;
        for (method, path, body) in [
            ("GET", "record", Value::Null), ("GET", "status", Value::Null), ("GET", "consents", Value::Null),
            ("GET", "document", Value::Null), ("PUT", "document", json!({ "kind": "passport", "number": "E12345678" })),
            ("POST", "document/unmask", json!({ "reason": "核对" })), ("GET", "cards", Value::Null), ("GET", "photo", Value::Null), ("DELETE", "photo", Value::Null),
            ("PUT", "record", json!({ "version": 0, "fields": { "name": "x", "sex": "male" } })),
            ("POST", "status", json!({ "status": "away", "from_at": "2026-11-22T00:00:00Z" })),
            ("POST", "consents", json!({ "kind": "camera", "given_at": "2026-11-22T00:00:00Z", "given_by": "self", "evidence": "x" })),
            ("POST", "cards", json!({ "number": "12345" })),
            ("PUT", "contacts", json!({ "order": [] })),
        ] {
            let uri = format!("/api/v1/residents/{theirs}/{path}");
            let request = TestRequest::with_uri(&uri).method(method.parse().unwrap()).set_json(body);
            assert_eq!(desk.site.send(&desk.admin, request).await.status, 404, "{method} {path}");
        }
        for path in ["edit", "record", "photo", "document"] {
            let uri = format!("/residents/{theirs}/{path}");
            assert_eq!(desk.site.send(&desk.admin, TestRequest::get().uri(&uri)).await.status, 404, "{path}");
        }
    }

    async fn the_records_screens_speak_both_languages(test: TestDb) {
        let desk = Desk::open(&test).await;
        for path in ["", "/edit", "/record", "/document"] {
            for locale in ["zh-CN", "en"] {
                let uri = format!("/residents/{}{path}", desk.id);
                let request = TestRequest::get().uri(&uri).insert_header(("Accept-Language", locale));
                let page = desk.site.send(&desk.admin, request).await;
                assert_eq!(page.status, 200, "{path}: {}", page.body);
                let missing = ["registry-", "kernel-", "error-", "record-"].iter().find(|key| {
                    page.body.split(['>', '<']).any(|text| text.trim().starts_with(**key))
                });
                assert_eq!(missing, None, "{path} {locale}: {}", page.body);
            }
        }
    }
}
