//! Care beds over HTTP: scope, paging, refusals, and the page in both languages.

use std::sync::Arc;

use crate::common::Street;
use actix_web::test::TestRequest;
use diesel::prelude::*;
use serde_json::{Value, json};
use songhe_care_beds::CareBeds;
use songhe_devices::schema::{device, device_health};
use songhe_incidents::Kind;
use songhe_kernel::Modules;
use songhe_kernel::http::HttpSettings;
use songhe_registry::{NewPlace, PlaceKind, Registry, create_place};
use songhe_testkit::{MIGRATED, Site, TestDb, both_databases};

struct Desk {
    street: Street,
    site: Site,
}

impl Desk {
    async fn open(test: &TestDb) -> Self {
        let street = Street::open(test).await;
        let modules = Modules::new(vec![Arc::new(Registry), Arc::new(CareBeds)]);
        let site = Site::open(&street.db, modules, HttpSettings::default());
        Self { street, site }
    }

    async fn token(&self, username: &'static str) -> String {
        self.site.token(username).await
    }

    async fn send(&self, token: &str, request: TestRequest) -> (u16, String) {
        let answer = self.site.send(token, request).await;
        (answer.status, answer.body)
    }

    async fn get(&self, token: &str, path: &str) -> (u16, Value) {
        let (status, body) = self.send(token, TestRequest::get().uri(path)).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    async fn post(&self, token: &str, path: &str, body: Value) -> (u16, Value) {
        let request = TestRequest::post().uri(path).insert_header(("Idempotency-Key", body.to_string())).set_json(body);
        let (status, body) = self.send(token, request).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }
}

/// Hangs in the home, bound to nobody; on line.
async fn device_in_the_bathroom(street: &Street) {
    let here = street.here;
    street
        .db
        .write(move |tx| {
            let (facility_id, kind) = (here.facility, PlaceKind::Area);
            let area =
                NewPlace { facility_id, parent_id: Some(here.home), kind, name: "卫生间".into(), label: None };
            let area = create_place(tx, &area, None)?;
            let (id, now) = (tx.next_id(), tx.now());
            diesel::insert_into(device::table)
                .values((
                    device::id.eq(id),
                    device::facility_id.eq(here.facility.0),
                    device::serial.eq("SOS-1"),
                    device::class.eq("3.1"),
                    device::adapter.eq("songhe-mqtt"),
                    device::name.eq("卫生间拉绳"),
                    device::place_id.eq(area.0),
                    device::enabled.eq(true),
                    device::created_at.eq(now),
                ))
                .execute(tx.db())?;
            diesel::insert_into(device_health::table)
                .values((
                    device_health::device_id.eq(id),
                    device_health::last_seen_at.eq(now),
                    device_health::online.eq(true),
                ))
                .execute(tx.db())?;
            Ok(())
        })
        .await
        .unwrap();
}

both_databases! {
    from MIGRATED;

    async fn a_bed_of_another_facility_does_not_exist(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (here, elsewhere) = (desk.street.here, desk.street.elsewhere);
        let foreign = desk.street.bed(elsewhere).await;
        let nurse = desk.token("nurse").await;

        let new = json!({ "resident_id": elsewhere.resident });
        assert_eq!(desk.post(&nurse, "/api/v1/care-beds", new).await.0, 404);
        let new = json!({ "resident_id": here.resident });
        let (status, made) = desk.post(&nurse, "/api/v1/care-beds", new.clone()).await;
        assert_eq!((status, &made["status"], &made["opened_on"]), (201, &json!("active"), &json!("2026-11-22")));
        let (status, same) = desk.post(&nurse, "/api/v1/care-beds", new).await;
        assert_eq!((status, &same["id"]), (201, &made["id"]), "the same request sent again");
        let unknown = json!({ "resident_id": here.resident, "nots": "x" });
        assert_eq!(desk.post(&nurse, "/api/v1/care-beds", unknown).await.0, 400);

        let (_, list) = desk.get(&nurse, "/api/v1/care-beds").await;
        assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
        assert_eq!(desk.get(&nurse, &format!("/api/v1/care-beds/{foreign}")).await.0, 404);
        let change = json!({ "status": "closed" });
        assert_eq!(desk.post(&nurse, &format!("/api/v1/care-beds/{foreign}/status"), change.clone()).await.0, 404);
        let foreign_figures = format!("/api/v1/care-beds/indicators?facility={}", elsewhere.facility);
        assert_eq!(desk.get(&nurse, &foreign_figures).await.0, 404);
        let own = format!("/api/v1/care-beds/{}/status", made["id"].as_str().unwrap());
        assert_eq!(desk.post(&nurse, &own, change).await.1["status"], "closed");
        assert_eq!(desk.post(&nurse, &own, json!({ "status": "active" })).await.0, 409);
        desk.street.close().await;
    }

    async fn a_list_is_read_part_by_part(test: TestDb) {
        let desk = Desk::open(&test).await;
        let street = &desk.street;
        let ids = [street.bed(street.here).await, street.bed(street.elsewhere).await, street.bed(street.off).await];
        let admin = desk.token("admin").await;
        let (_, first) = desk.get(&admin, "/api/v1/care-beds?limit=2").await;
        assert_eq!((&first["items"][1]["id"], &first["next"]), (&json!(ids[1]), &json!(ids[1])));
        let (_, rest) = desk.get(&admin, &format!("/api/v1/care-beds?limit=2&after={}", ids[1])).await;
        assert_eq!((&rest["items"][0]["id"], &rest["next"]), (&json!(ids[2]), &Value::Null));
        desk.street.close().await;
    }

    async fn supervision_sees_figures_and_nobodys_name(test: TestDb) {
        let desk = Desk::open(&test).await;
        let street = &desk.street;
        street.bed(street.here).await;
        let id = street.call(street.here, Kind::Sos).await;
        street.answer(id, 20).await;
        street.until(street.here, |figures| figures.answered == 1).await;

        let supervisor = desk.token("supervisor").await;
        let (status, told) = desk.get(&supervisor, "/api/v1/care-beds/indicators").await;
        assert_eq!((status, &told["catalogue_class"], &told["function"]), (200, &json!("7.1"), &json!("紧急呼叫")));
        assert_eq!(told["total"]["within_60_s"], json!({ "met": 1, "of": 1 }));
        assert_eq!(told["facilities"].as_array().unwrap().len(), 2, "only where the module is on: {told}");
        assert_ne!(told["evidence"], "care-beds-evidence-emergency-call");
        assert_eq!(desk.get(&supervisor, "/api/v1/care-beds").await.0, 403);
        let (_, page) = desk.send(&supervisor, TestRequest::get().uri("/care-beds")).await;
        assert!(!page.contains("陈秀英"));
        desk.street.close().await;
    }

    async fn the_page_shows_who_calls_now(test: TestDb) {
        let desk = Desk::open(&test).await;
        let street = &desk.street;
        let nurse = desk.token("nurse").await;
        let page = |language: &'static str, query: &'static str| {
            let request = TestRequest::get().uri(query).insert_header(("Accept-Language", language));
            desk.send(&nurse, request)
        };
        let (status, empty) = page("zh-CN", "/care-beds").await;
        assert_eq!(status, 200, "{empty}");
        assert!(empty.contains("还没有家庭养老床位"));

        street.bed(street.here).await;
        street.bed(street.elsewhere).await;
        let (_, quiet) = page("zh-CN", "/care-beds").await;
        assert!(quiet.contains("陈秀英") && quiet.contains("平静") && quiet.contains("梧桐里站"));
        assert!(!quiet.contains("周桂兰"), "a resident of another facility");

        device_in_the_bathroom(street).await;
        let id = street.call(street.here, Kind::Sos).await;
        street.answer(id, 50).await;
        street.until(street.here, |figures| figures.answered == 1).await;
        for (language, words) in [("zh-CN", ["一键呼叫", "服务中", "97.5%"]), ("en", ["Emergency call", "In service", "97.5%"])] {
            let (status, page) = page(language, "/care-beds?status=active").await;
            assert_eq!(status, 200, "{page}");
            for word in words {
                assert!(page.contains(word), "{word} in {page}");
            }
            assert!(page.contains(&format!("/incidents/{id}")));
            assert_eq!(page.matches("1 / 1").count(), 2, "of the station, and of the bed: {page}");
            assert!(!page.contains("care-beds-figure"), "a text is missing");
        }
        let (_, none) = page("en", "/care-beds?q=100%25_").await;
        assert!(none.contains("No bed matches"), "a search is no pattern");
        desk.street.close().await;
    }
}
