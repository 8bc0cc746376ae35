//! The registry over HTTP: what a caller's scope hides, forms that come back, and every screen in both languages.

use std::sync::Arc;

use crate::common::{Street, new_resident, street};
use actix_web::test::TestRequest;
use serde_json::{Value, json};
use songhe_kernel::http::HttpSettings;
use songhe_kernel::identity::Caller;
use songhe_kernel::{Db, FacilityId, Modules, Moment};
use songhe_registry::*;
use songhe_testkit::{MIGRATED, Site, TestDb, both_databases};

struct Desk {
    street: Street,
    site: Site,
}

impl Desk {
    async fn open(test: &TestDb) -> Self {
        let street = street(test).await;
        let settings = HttpSettings { public_url: Some("https://songhe.example".into()), ..HttpSettings::default() };
        let modules = Modules::new(vec![Arc::new(Registry)]);
        let site = Site::open(&street.db, modules, settings);
        Self { street, site }
    }

    async fn token(&self, username: &'static str) -> String {
        self.site.token(username).await
    }

    async fn send(&self, request: TestRequest) -> (u16, String, String) {
        let answer = self.site.send("", request).await;
        (answer.status, answer.body, answer.location)
    }

    async fn get(&self, token: &str, path: &str) -> (u16, String) {
        let answer = self.site.send(token, TestRequest::get().uri(path)).await;
        (answer.status, answer.body)
    }

    async fn api(&self, token: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = TestRequest::with_uri(path).method(method.parse().unwrap()).set_json(body);
        let answer = self.site.send(token, request).await;
        (answer.status, answer.json())
    }

    async fn form(&self, token: &str, path: &str, form: &[(&str, &str)]) -> (u16, String, String) {
        let answer = self.site.send(token, TestRequest::post().uri(path).set_form(form.to_vec())).await;
        (answer.status, answer.body, answer.location)
    }

    async fn enter(&self, new: NewResident) -> ResidentId {
        self.street.db.write(move |tx| create_resident(tx, &new, None)).await.unwrap()
    }
}

/// What the modules above will show, with the templates that are there for it.
struct Sample;

impl PanelSource for Sample {
    fn panels(
        &self,
        _: &mut Db,
        caller: &Caller,
        facility: FacilityId,
        _: PanelSubject,
        now: Moment,
    ) -> songhe_kernel::Result<Vec<Panel>> {
        assert!(caller.facilities(RESIDENTS_READ).contains(facility));
        let open = json!([{ "id": "inc_1", "kind": "sos", "priority": "high", "raised_at": now }]);
        let past = json!([{ "id": "inc_1", "kind": "sos", "priority": "high", "raised_at": now, "outcome": null, "response_s": 0 }]);
        let devices = json!([{ "id": "dev_1", "name": "呼叫器", "class_key": "devices-class-3-1", "online": true, "last_at": now, "battery": 0 }]);
        let body = PanelSlot::Body;
        Ok(vec![
            Panel { slot: PanelSlot::Top, template: "incidents/panel-open", model: json!({ "open_incidents": open }) },
            Panel { slot: body, template: "incidents/panel-recent", model: json!({ "incidents": past }) },
            Panel { slot: body, template: "devices/panel-devices", model: json!({ "devices": devices }) },
            Panel { slot: body, template: "devices/panel-latest", model: json!({ "latest": [] }) },
        ])
    }
}

both_databases! {
    from MIGRATED;

    async fn modules_above_add_their_parts(test: TestDb) {
        let desk = Desk::open(&test).await;
        desk.site.app.extend(Arc::new(Panels(vec![Arc::new(Sample)])));
        let here = desk.street.here.clone();
        let id = desk.enter(new_resident(here.facility, Some(here.beds[0]), "王秀英")).await;
        let admin = desk.token("admin").await;
        for path in [format!("/residents/{id}"), format!("/places/{}", here.room)] {
            let (status, page) = desk.get(&admin, &path).await;
            assert_eq!(status, 200, "{page}");
            for shown in ["notice high", "/incidents/inc_1", "呼叫器", "0%", "2026-11-22 16:00"] {
                assert!(page.contains(shown), "{path} lacks {shown}: {page}");
            }
        }
    }

    async fn what_is_outside_the_scope_does_not_exist(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (here, elsewhere) = (desk.street.here.clone(), desk.street.elsewhere.clone());
        let ours = desk.enter(new_resident(here.facility, Some(here.beds[0]), "王秀英")).await;
        let theirs = desk.enter(new_resident(elsewhere.facility, Some(elsewhere.beds[0]), "外人")).await;
        let admin = desk.token("admin").await;

        for path in [
            format!("/residents/{theirs}"),
            format!("/api/v1/residents/{theirs}"),
            format!("/api/v1/residents/{theirs}/contacts"),
            format!("/places/{}", elsewhere.room),
            format!("/api/v1/places/{}", elsewhere.room),
            format!("/residents?facility={}", elsewhere.facility),
            format!("/residents/new?facility={}", elsewhere.facility),
            format!("/places?facility={}", elsewhere.facility),
            format!("/rosters?facility={}", elsewhere.facility),
            format!("/staff?facility={}", elsewhere.facility),
            "/residents/res_nonsense".to_owned(),
        ] {
            assert_eq!(desk.get(&admin, &path).await.0, 404, "{path}");
        }
        for path in ["/residents", "/api/v1/residents", "/places", "/api/v1/places", "/staff", "/api/v1/staff", "/rosters", "/api/v1/facilities", "/api/v1/shifts"] {
            let (status, body) = desk.get(&admin, path).await;
            assert_eq!(status, 200, "{path}: {body}");
            for foreign in ["外人", "柳岸养老院", &elsewhere.facility.to_string()] {
                assert!(!body.contains(foreign), "{path} tells of {foreign}");
            }
        }
        for list in ["residents", "places", "staff", "shifts"] {
            let path = format!("/api/v1/{list}?facility={}", elsewhere.facility);
            assert_eq!(desk.get(&admin, &path).await.0, 404, "{path}");
        }
        for (path, body) in [
            ("/api/v1/residents".to_owned(), json!({ "facility_id": elsewhere.facility, "name": "x", "sex": "male" })),
            ("/api/v1/places".to_owned(), json!({ "facility_id": elsewhere.facility, "name": "x", "kind": "home" })),
            ("/api/v1/staff".to_owned(), json!({ "facility_id": elsewhere.facility, "name": "x", "job": "carer" })),
            ("/api/v1/shifts".to_owned(), json!({ "staff_id": elsewhere.nurse, "duty": "nurse", "name": "早班", "starts_at": "2026-11-23T00:00:00Z", "ends_at": "2026-11-23T08:00:00Z" })),
            (format!("/api/v1/residents/{theirs}/move"), json!({ "place_id": null })),
        ] {
            assert_eq!(desk.api(&admin, "POST", &path, body).await.0, 404, "{path}");
        }
        assert_eq!(desk.get(&admin, &format!("/residents/{ours}")).await.0, 200);

        // A carer reads, and writes nothing.
        let carer = desk.token("carer").await;
        assert_eq!(desk.get(&carer, &format!("/api/v1/residents/{ours}")).await.0, 200);
        assert_eq!(desk.get(&carer, "/residents/new").await.0, 403);
        let (_, place) = desk.api(&carer, "GET", &format!("/api/v1/places/{}", here.room), Value::Null).await;
        assert_eq!(place["tag_code"], Value::Null);
        let (_, page) = desk.get(&carer, &format!("/places/{}", here.room)).await;
        assert!(!page.contains("songhe.example/t/"));
    }

    async fn the_api_makes_lists_and_finds(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (admin, facility) = (desk.token("admin").await, desk.street.here.facility);
        let new = json!({ "facility_id": facility, "name": "王秀英", "sex": "female", "birth_date": "1944-11-23", "place_id": desk.street.here.beds[1] });
        let (status, made) = desk.api(&admin, "POST", "/api/v1/residents", new.clone()).await;
        assert_eq!((status, &made["place_label"]), (201, &json!("2号楼 305 室 · 2 床")), "{made}");
        let (status, problem) = desk.api(&admin, "POST", "/api/v1/residents", new).await;
        assert_eq!((status, &problem["errors"][0]["code"]), (422, &json!("registry-error-bed-taken")));
        let (status, _) = desk.api(&admin, "POST", "/api/v1/residents", json!({ "facility_id": facility, "name": "x", "sex": "male", "id_number": "1" })).await;
        assert_eq!(status, 400);

        desk.api(&admin, "POST", "/api/v1/residents", json!({ "facility_id": facility, "name": "赵桂兰", "sex": "female" })).await;
        let (_, first) = desk.api(&admin, "GET", "/api/v1/residents?limit=1", Value::Null).await;
        assert_eq!(first["items"][0], made);
        let next = format!("/api/v1/residents?limit=1&after={}", first["next"].as_str().unwrap());
        let (_, second) = desk.api(&admin, "GET", &next, Value::Null).await;
        assert_eq!((&second["items"][0]["name"], &second["next"]), (&json!("赵桂兰"), &Value::Null));

        let shift = json!({ "staff_id": desk.street.here.nurse, "duty": "nurse", "name": "早班", "starts_at": "2026-11-23T00:00:00Z", "ends_at": "2026-11-23T08:00:00Z" });
        let (status, shift) = desk.api(&admin, "POST", "/api/v1/shifts", shift).await;
        assert_eq!(status, 201);
        let path = format!("/api/v1/shifts/{}", shift["id"].as_str().unwrap());
        assert_eq!(desk.api(&admin, "DELETE", &path, Value::Null).await.0, 204);
        assert_eq!(desk.api(&admin, "DELETE", &path, Value::Null).await.0, 404);
    }

    async fn one_key_enters_one_resident(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (admin, facility) = (desk.token("admin").await, desk.street.here.facility);
        let mut made = Vec::new();
        for _ in 0..2 {
            let request = TestRequest::post()
                .uri("/api/v1/residents")
                .insert_header(("Authorization", format!("Bearer {admin}")))
                .insert_header(("Idempotency-Key", "terminal-1"))
                .set_json(json!({ "facility_id": facility, "name": "王秀英", "sex": "female" }));
            let (status, body, _) = desk.send(request).await;
            assert_eq!(status, 201, "{body}");
            made.push(body);
        }
        assert_eq!(made[0], made[1]);
        let (_, all) = desk.api(&admin, "GET", "/api/v1/residents", Value::Null).await;
        assert_eq!(all["items"].as_array().unwrap().len(), 1);
    }

    async fn a_refused_form_comes_back_with_what_was_typed(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (admin, here) = (desk.token("admin").await, desk.street.here.clone());
        let form = [("name", ""), ("sex", "female"), ("phone", "010-8888"), ("birth_date", "1944-11-23"), ("living_alone", "1")];
        let (status, page, _) = desk.form(&admin, "/residents", &form).await;
        assert_eq!(status, 422, "{page}");
        for kept in [r##"href="#name""##, r#"id="name-error""#, "010-8888", "1944-11-23", r#"name="living_alone" value="1" checked"#] {
            assert!(page.contains(kept), "{kept}: {page}");
        }
        let form = [("name", "王秀英"), ("sex", "female"), ("place_id", &here.beds[0].to_string())];
        let (status, _, location) = desk.form(&admin, "/residents", &form).await;
        assert_eq!(status, 303);
        let (status, page) = desk.get(&admin, &location).await;
        assert!(status == 200 && page.contains("2号楼 305 室 · 1 床"), "{page}");

        let (status, page, _) = desk.form(&admin, &format!("{location}/contacts"), &[("name", "王丽"), ("phone", "x")]).await;
        assert!(status == 422 && page.contains("王丽"), "{page}");
        let contact = [("name", "王丽"), ("relation", "女儿"), ("phone", "13800000000")];
        assert_eq!(desk.form(&admin, &format!("{location}/contacts"), &contact).await.0, 303);
        assert_eq!(desk.form(&admin, &format!("{location}/move"), &[("place_id", &here.room.to_string())]).await.0, 303);
        assert!(desk.get(&admin, &location).await.1.contains("王丽"));
    }

    async fn a_name_that_cannot_be_seen_is_refused_by_page_and_api(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (admin, here) = (desk.token("admin").await, desk.street.here.facility.to_string());
        for unseen in ['\u{200B}', '\u{200D}', '\u{202E}', '\u{2066}', '\u{FEFF}', '\u{1B}', '\u{85}'] {
            let name = format!("王{unseen}秀英");
            for (page, api, mut body) in [
                ("/residents", "/api/v1/residents", json!({ "sex": "female" })),
                ("/places", "/api/v1/places", json!({ "kind": "room" })),
                ("/staff", "/api/v1/staff", json!({ "job": "carer" })),
            ] {
                (body["facility_id"], body["name"]) = (json!(here), json!(name));
                let (status, problem) = desk.api(&admin, "POST", api, body.clone()).await;
                assert_eq!((status, &problem["errors"][0]["code"]), (422, &json!("error-unseen-character")), "{api}");
                assert_eq!(problem["errors"][0]["field"], "name");
                let mut form: Vec<(&str, &str)> =
                    body.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
                form.push(("facility", &here));
                let (status, shown, _) = desk.form(&admin, page, &form).await;
                assert!(status == 422 && shown.contains("name-error"), "{page} {unseen:?}: {shown}");
            }
        }
    }

    async fn a_program_names_an_account_as_people_do(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (admin, here) = (desk.token("admin").await, desk.street.here.facility);
        let new = |username: &str| json!({ "facility_id": here, "name": "陈护理", "job": "carer", "username": username });
        let (status, made) = desk.api(&admin, "POST", "/api/v1/staff", new("Admin")).await;
        assert_eq!((status, made["username"].as_str(), made["on_duty"].as_bool()), (201, Some("admin"), Some(false)), "{made}");
        let (status, problem) = desk.api(&admin, "POST", "/api/v1/staff", new("nobody")).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (422, Some("username")), "{problem}");
        let (_, list) = desk.api(&admin, "GET", "/api/v1/staff", json!({})).await;
        assert!(list["items"].as_array().unwrap().iter().any(|member| member["username"] == "admin"), "{list}");
    }

    async fn a_number_of_staff_is_written_by_page_and_program(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (admin, here, elsewhere) = (desk.token("admin").await, desk.street.here.clone(), desk.street.elsewhere.clone());
        let (status, _, _) = desk.form(&admin, &format!("/staff/{}/phone", here.carer), &[("phone", "138 0000 0001")]).await;
        assert_eq!(status, 303);
        let (_, page) = desk.get(&admin, "/staff").await;
        assert!(page.contains("138****0001") && !page.contains("0000 0001"), "{page}");
        // The form sends back what it shows: nothing was changed. Another masked number is none.
        let (path, api) = (format!("/staff/{}/phone", here.carer), format!("/api/v1/staff/{}/unmask", here.carer));
        assert_eq!(desk.form(&admin, &path, &[("phone", "138****0001")]).await.0, 303);
        assert_eq!(desk.form(&admin, &path, &[("phone", "139****0001")]).await.0, 422);
        let (status, full) = desk.api(&admin, "POST", &api, json!({ "reason": "核对排班" })).await;
        assert_eq!((status, full["phone"].as_str()), (200, Some("138 0000 0001")), "{full}");
        let api = format!("/api/v1/staff/{}/phone", here.carer);
        let (status, problem) = desk.api(&admin, "PUT", &api, json!({ "phone": "call me" })).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (422, Some("phone")), "{problem}");
        let (status, page, _) = desk.form(&admin, &format!("/staff/{}/phone", here.carer), &[("phone", "call me")]).await;
        assert!(status == 422 && page.contains("电话"), "{page}");
        let (status, member) = desk.api(&admin, "PUT", &api, json!({ "phone": null })).await;
        assert_eq!((status, &member["phone"]), (200, &Value::Null), "{member}");
        let theirs = format!("/api/v1/staff/{}/phone", elsewhere.nurse);
        assert_eq!(desk.api(&admin, "PUT", &theirs, json!({ "phone": "120" })).await.0, 404);
        assert_eq!(desk.api(&desk.token("carer").await, "PUT", &api, json!({ "phone": "120" })).await.0, 403);
    }

    async fn numbers_are_masked_and_shown_in_full_for_a_reason(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (admin, carer, here) = (desk.token("admin").await, desk.token("carer").await, desk.street.here.facility);
        let id = desk.enter(NewResident { phone: Some("139 1234 5678".into()), ..new_resident(here, None, "王秀英") }).await;
        let (page, api) = (format!("/residents/{id}"), format!("/api/v1/residents/{id}"));
        let contact = json!({ "name": "王丽", "relation": "女儿", "phone": "13700001111" });
        assert_eq!(desk.api(&admin, "POST", &format!("{api}/contacts"), contact).await.0, 201);
        let (_, shown) = desk.get(&admin, &page).await;
        for masked in ["139****5678", "137****1111", "查看完整号码"] {
            assert!(shown.contains(masked), "{masked}: {shown}");
        }
        for path in [&page, &api, &format!("{api}/contacts"), &"/api/v1/residents".to_owned()] {
            let (_, shown) = desk.get(&admin, path).await;
            assert!(!shown.contains("1234 5678") && !shown.contains("13700001111") && !shown.contains("tel:"), "{shown}");
        }
        assert!(!desk.get(&carer, &page).await.1.contains("查看完整号码"), "a carer is offered what is not theirs");

        let unmask = format!("{page}/unmask");
        assert_eq!(desk.form(&carer, &unmask, &[("reason", "核对号码")]).await.0, 403);
        let (status, shown, _) = desk.form(&admin, &unmask, &[("reason", " ")]).await;
        assert!(status == 422 && shown.contains("reason-error") && !shown.contains("1234 5678"), "{shown}");
        let (status, shown, _) = desk.form(&admin, &unmask, &[("reason", "核对号码")]).await;
        assert!(status == 200 && shown.contains("139 1234 5678") && shown.contains("tel:13700001111"), "{shown}");
        let (status, full) = desk.api(&admin, "POST", &format!("{api}/unmask"), json!({ "reason": "核对号码" })).await;
        assert_eq!((status, full["phone"].as_str()), (200, Some("139 1234 5678")), "{full}");
        assert_eq!(full["contacts"][0]["phone"], "13700001111");
        let rows = desk.street.db.read(|db| {
            use diesel::prelude::*;
            use songhe_kernel::audit::schema::audit;
            let rows = audit::table.filter(audit::action.eq("residents.unmask")).select((audit::reason, audit::subject));
            Ok(rows.load::<(Option<String>, String)>(db)?)
        });
        assert_eq!(rows.await.unwrap(), vec![(Some("核对号码".to_owned()), id.to_string()); 2]);

        // Erased, they are shown as erased, and nothing breaks.
        desk.street.db.write(move |tx| tx.erase_person(id.person())).await.unwrap();
        let (status, shown) = desk.get(&admin, &page).await;
        assert!(status == 200 && shown.contains("已删除") && !shown.contains("139****"), "{shown}");
    }

    async fn a_roster_takes_and_refuses_shifts(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (admin, here) = (desk.token("admin").await, desk.street.here.clone());
        let (facility, staff) = (here.facility.to_string(), here.carer.to_string());
        let night = [
            ("facility", facility.as_str()), ("week", "2026-W48"), ("staff_id", staff.as_str()), ("duty", "carer"),
            ("name", "夜班"), ("date", "2026-11-23"), ("from", "22:00"), ("to", "06:00"),
        ];
        let (status, body, location) = desk.form(&admin, "/rosters/shifts", &night).await;
        assert_eq!((status, location), (303, format!("/rosters?facility={facility}&week=2026-W48")), "{body}");
        let (_, page) = desk.get(&admin, &format!("/rosters?facility={facility}&week=2026-W48")).await;
        for shown in ["22:00–06:00", "夜班", "00:00–22:00", "06:00–24:00", "周一 23日"] {
            assert!(page.contains(shown), "{shown}: {page}");
        }
        let (status, page, _) = desk.form(&admin, "/rosters/shifts", &night).await;
        assert!(status == 422 && page.contains(r#"id="from-error""#) && page.contains("11-23 22:00"), "{page}");

        let foreign = desk.street.elsewhere.nurse.to_string();
        let mut theirs = night;
        theirs[2].1 = &foreign;
        let (status, page, _) = desk.form(&admin, "/rosters/shifts", &theirs).await;
        assert!(status == 422 && page.contains(r#"id="staff_id-error""#));

        let (_, shifts) = desk.api(&admin, "GET", "/api/v1/shifts", Value::Null).await;
        let id = shifts["items"][0]["id"].as_str().unwrap();
        let (status, _, _) = desk.form(&admin, &format!("/rosters/shifts/{id}/remove"), &[("week", "2026-W48")]).await;
        assert_eq!(status, 303);
        let carer = desk.token("carer").await;
        assert_eq!(desk.form(&carer, "/rosters/shifts", &night).await.0, 403);
    }

    async fn every_screen_shows_in_both_languages(test: TestDb) {
        let desk = Desk::open(&test).await;
        let here = desk.street.here.clone();
        let id = desk.enter(new_resident(here.facility, Some(here.beds[0]), "王秀英")).await;
        let admin = desk.token("admin").await;
        for path in [
            "/residents".to_owned(),
            "/residents?q=nobody".to_owned(),
            "/residents/new".to_owned(),
            format!("/residents/{id}"),
            "/places".to_owned(),
            format!("/places/{}", here.room),
            "/rosters".to_owned(),
            "/staff".to_owned(),
        ] {
            for locale in ["zh-CN", "en"] {
                let request = TestRequest::get()
                    .uri(&path)
                    .insert_header(("Authorization", format!("Bearer {admin}")))
                    .insert_header(("Accept-Language", locale));
                let (status, page, _) = desk.send(request).await;
                assert_eq!(status, 200, "{path} {locale}: {page}");
                assert!(page.contains(&format!("lang=\"{locale}\"")), "{path}");
                // A text that is missing shows its key.
                let spoken = page.replace("registry:", "");
                let missing = ["registry-", "kernel-", "error-"].iter().find(|key| {
                    spoken.split(['>', '<']).any(|text| text.trim().starts_with(**key))
                });
                assert_eq!(missing, None, "{path} {locale}: {page}");
            }
        }
        let (_, place) = desk.get(&admin, &format!("/places/{}", here.room)).await;
        assert!(place.contains("https://songhe.example/t/") && place.contains("<svg xmlns="));
        let (_, tree) = desk.get(&admin, "/places").await;
        assert!(tree.contains("王秀英") && tree.contains("d3"));
    }
}
