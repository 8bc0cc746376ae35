//! Many devices from a spreadsheet: looked at first, registered once, whatever the file is written in.

use crate::screens::Desk;
use actix_web::test::TestRequest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use songhe_devices::register;
use songhe_testkit::{Answer, MIGRATED, TestDb, both_databases};

const FILE: &str = "序列号,名称,类别,接入方式,场所,老人,通信要求\r\n\
                    N-1,卫生间拉绳,3.1,songhe-mqtt,305 室,,每天\r\n\
                    N-2,床头呼叫器,3.1 安全监护设备,songhe-mqtt,305 室 · 1 床,SH 王秀英,\r\n\
                    SH-1,已有的,3.1,songhe-mqtt,,,\r\n\
                    LA-1,别家的,3.1,songhe-mqtt,,,\r\n\
                    N-1,又一次,3.1,songhe-mqtt,,,\r\n\
                    a/b,坏的,9,,999 室,没有此人,常常\r\n";

impl Desk {
    async fn import(&self, token: &str, bytes: &[u8], commit: bool) -> (u16, Value) {
        let body = json!({
            "facility_id": self.street.here.facility, "content_base64": STANDARD.encode(bytes), "commit": commit
        });
        self.post(token, "/api/v1/devices/import", body).await
    }

    async fn upload(&self, token: &str, facility: &str, file: &[u8]) -> Answer {
        let mut body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"facility\"\r\n\r\n{facility}\r\n--b\r\n\
             Content-Disposition: form-data; name=\"file\"; filename=\"设备.csv\"\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(file);
        body.extend_from_slice(b"\r\n--b--\r\n");
        let request = TestRequest::post().uri("/devices/import");
        let request = request.insert_header(("Content-Type", "multipart/form-data; boundary=b")).set_payload(body);
        self.send(token, request).await
    }
}

fn outcomes(body: &Value) -> Vec<(u64, &str)> {
    let rows = body["rows"].as_array().unwrap();
    rows.iter().map(|row| (row["row"].as_u64().unwrap(), row["outcome"].as_str().unwrap())).collect()
}

/// The label of the place as the registry puts it together.
async fn file(desk: &Desk) -> String {
    let bed = desk.street.here.bed;
    let label = desk.street.db.read(move |db| Ok(songhe_registry::place(db, bed)?.unwrap().label)).await.unwrap();
    FILE.replace("305 室 · 1 床", &label)
}

both_databases! {
    from MIGRATED;

    async fn a_file_is_looked_at_then_imported_and_a_second_time_changes_nothing(test: TestDb) {
        let desk = Desk::open(&test).await;
        let admin = desk.token("admin").await;
        let text = file(&desk).await;
        let gb18030 = encoding_rs::GB18030.encode(&text).0.into_owned();
        let (status, seen) = desk.import(&admin, &gb18030, false).await;
        assert_eq!(status, 200, "{seen}");
        let expected = [(2, "new"), (3, "new"), (4, "known"), (5, "refused"), (6, "refused"), (7, "refused")];
        assert_eq!(outcomes(&seen), expected, "{seen:#}");
        let columns: Vec<_> = seen["rows"][5]["errors"].as_array().unwrap().iter().map(|e| e["column"].as_str().unwrap()).collect();
        assert_eq!(columns, ["serial", "class", "adapter", "place", "resident", "heartbeat"]);
        assert_eq!(seen["rows"][4]["errors"][0]["message"], "与第 2 行的序列号相同");
        assert_eq!(desk.get(&admin, "/api/v1/devices").await.1["items"].as_array().unwrap().len(), 2, "nothing happened");
        let (_, done) = desk.import(&admin, text.as_bytes(), true).await;
        let expected = [(2, "registered"), (3, "registered"), (4, "known"), (5, "refused"), (6, "refused"), (7, "refused")];
        assert_eq!(outcomes(&done), expected, "{done:#}");
        let secret = done["rows"][0]["credential"]["password"].as_str().unwrap().to_owned();
        assert!(desk.street.db.read(move |db| register::verify_secret(db, "N-1", secret.as_bytes())).await.unwrap());
        let list = desk.get(&admin, "/api/v1/devices?q=N-").await.1;
        let (one, two) = (&list["items"][0], &list["items"][1]);
        assert_eq!((&one["name"], &one["place_id"]), (&json!("卫生间拉绳"), &json!(desk.street.here.room)));
        assert_eq!((&two["place_id"], &two["resident_id"]), (&json!(desk.street.here.bed), &json!(desk.street.here.resident)));
        let life = desk.get(&admin, &format!("/api/v1/devices/{}/life", one["id"].as_str().unwrap())).await.1;
        assert_eq!((&life["heartbeat"], &life["silence_seconds"]), (&json!("daily"), &json!(90_000)));
        let (_, again) = desk.import(&admin, format!("\u{feff}{text}").as_bytes(), true).await;
        assert_eq!(outcomes(&again)[..2], [(2, "known"), (3, "known")]);
        assert_eq!(again["rows"][0]["credential"], Value::Null);
    }

    async fn by_page_every_row_is_shown_and_the_credentials_come_once_as_a_file(test: TestDb) {
        let desk = Desk::open(&test).await;
        let admin = desk.token("admin").await;
        let facility = desk.street.here.facility.to_string();
        let template = desk.page(&admin, "/devices/import/template").await;
        assert!(template.status == 200 && template.body.starts_with('\u{feff}') && template.body.contains("序列号"));
        let seen = desk.upload(&admin, &facility, template.body.as_bytes()).await;
        assert!(seen.status == 200 && seen.body.contains("可登记"), "the template itself can be read: {}", seen.body);
        let refused = desk.upload(&admin, &facility, "名称\n夜灯".as_bytes()).await;
        assert!(refused.status == 422 && refused.body.contains("缺少列：序列号"), "{}", refused.body);
        let seen = desk.upload(&admin, &facility, file(&desk).await.replace("又一次", "=1+1").as_bytes()).await;
        assert!(seen.status == 200 && seen.body.contains("与第 2 行的序列号相同"), "{}", seen.body);
        let content = seen.body.split("name=\"content\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let content = content.replace("&quot;", "\"").replace("&amp;", "&").replace("&#x3D;", "=").replace("&lt;", "<");
        let form = [("facility", facility.as_str()), ("content", content.as_str())];
        let done = desk.form(&admin, "/devices/import/commit", &form).await;
        assert_eq!((done.status, done.cache.contains("no-store")), (200, true), "{}", done.body);
        assert!(done.kind.starts_with("text/csv") && done.body.contains("\"'=1+1\""), "no formula: {}", done.body);
        let secret = done.body.lines().find(|line| line.contains("\"N-1\"")).unwrap().split("\",\"").nth(6).unwrap().to_owned();
        assert!(desk.street.db.read(move |db| register::verify_secret(db, "N-1", secret.as_bytes())).await.unwrap());
        let foreign = desk.street.elsewhere.facility.to_string();
        assert_eq!(desk.upload(&admin, &foreign, FILE.as_bytes()).await.status, 404);
        let carer = desk.token("carer").await;
        assert_eq!(desk.upload(&carer, &facility, FILE.as_bytes()).await.status, 403);
    }

    async fn what_was_changed_on_its_way_is_refused_by_name_and_what_can_be_is_kept(test: TestDb) {
        let desk = Desk::open(&test).await;
        let admin = desk.token("admin").await;
        let facility = desk.street.here.facility.to_string();
        let content = json!([
            { "number": 1, "cells": ["序列号", "名称", "类别", "接入方式"] },
            { "number": 2, "cells": ["N-1", "拉绳", "3.1", "songhe-mqtt"] },
        ])
        .to_string();
        let commit = |facility: &str, content: &str| {
            let (desk, admin) = (&desk, &admin);
            let form = [("facility", facility.to_owned()), ("content", content.to_owned())];
            async move {
                let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
                desk.form(admin, "/devices/import/commit", &form).await
            }
        };
        for broken in ["", "[]", "no rows", &content.replace("N-1", &"x".repeat(501))] {
            let refused = commit(&facility, broken).await;
            assert!(refused.status == 422 && refused.body.contains("与检查过的文件不一致"), "{broken}: {}", refused.body);
            assert!(refused.body.contains(&format!("value=\"{facility}\" selected")), "{}", refused.body);
        }
        for wrong in ["", "fac_x"] {
            let refused = commit(wrong, &content).await;
            assert!(refused.status == 422 && refused.body.contains("href=\"#facility\""), "{wrong}: {}", refused.body);
            let refused = desk.upload(&admin, wrong, FILE.as_bytes()).await;
            assert!(refused.status == 422 && refused.body.contains("href=\"#facility\""), "{wrong}: {}", refused.body);
        }
        let foreign = desk.street.elsewhere.facility.to_string();
        assert_eq!(commit(&foreign, &content).await.status, 404);
        let heads = commit(&facility, &content.replace("接入方式", "名称")).await;
        assert!(heads.status == 422 && heads.body.contains("列“名称”出现了两次"), "{}", heads.body);
        assert_eq!(desk.get(&admin, "/api/v1/devices").await.1["items"].as_array().unwrap().len(), 2, "nothing happened");
        assert_eq!(commit(&facility, &content).await.status, 200);
        assert_eq!(desk.get(&admin, "/api/v1/devices").await.1["items"].as_array().unwrap().len(), 3);
    }

    async fn files_of_spreadsheet_programs_are_imported_and_what_is_none_is_told_apart(test: TestDb) {
        let desk = Desk::open(&test).await;
        let admin = desk.token("admin").await;
        let facility = desk.street.here.facility.to_string();
        let seen = desk.upload(&admin, &facility, include_bytes!("../files/shared.xlsx")).await;
        assert!(seen.status == 200 && seen.body.contains("卫生间拉绳"), "{}", seen.body);
        assert!(seen.body.contains("以下列无法识别") && seen.body.contains("购入日期"), "what is left out is told: {}", seen.body);
        let (_, done) = desk.import(&admin, include_bytes!("../files/inline.xlsx"), true).await;
        assert_eq!(outcomes(&done), [(2, "registered"), (3, "registered"), (6, "registered")], "{done:#}");
        assert_eq!(done["unread_columns"], json!(["购入日期"]));
        let list = desk.get(&admin, "/api/v1/devices?q=860123456789012").await.1;
        assert_eq!(list["items"][0]["name"], "一键呼叫器 & 底座");
        // A formula that no program has worked out has no value.
        let (_, seen) = desk.import(&admin, include_bytes!("../files/openpyxl.xlsx"), false).await;
        assert_eq!(outcomes(&seen), [(2, "known"), (3, "known"), (6, "known")]);
        let old = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 and so on";
        let refused = desk.upload(&admin, &facility, old).await;
        assert!(refused.status == 422 && refused.body.contains("另存为 XLSX"), "{}", refused.body);
        let refused = desk.upload(&admin, &facility, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").await;
        assert!(refused.status == 422 && refused.body.contains("文字编码"), "a picture that is called .csv: {}", refused.body);
    }
}
