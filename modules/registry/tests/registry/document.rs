//! The identity document: checked, sealed, masked, found by its end, and told to nobody without a reason.

use diesel::prelude::*;
use serde_json::{Value, json};
use songhe_kernel::identity::Scope;
use songhe_registry::*;
use songhe_testkit::{MIGRATED, TestDb, both_databases};

use crate::record::{Desk, refused};

/// Action, what holds afterwards, and the reason, as the audit log keeps them.
type Read = (String, Option<String>, Option<String>);

both_databases! {
    from MIGRATED;

    async fn a_document_is_checked_sealed_masked_and_found_by_its_end(test: TestDb) {
        use songhe_kernel::audit::schema::audit;
        use songhe_kernel::schema::event;
        let desk = Desk::open(&test).await;
        // 1944-11-23, a woman, as the record says.
        let body = "11010519441123002";
        let number = format!("{body}{}", check_digit(body).unwrap());
        let put = |kind: &str, number: &str| json!({ "kind": kind, "number": number });
        let man = { let body = "11010519441123001"; format!("{body}{}", check_digit(body).unwrap()) };
        for (wrong, code) in [
            (put("id_card", "11010519441123002"), "record-error-id-length"),
            (put("id_card", "110105194411230022"), "record-error-id-check"),
            (put("id_card", "11010519491231002X"), "record-error-id-birth-differs"),
            (put("id_card", &man), "record-error-id-sex-differs"),
            (put("hmt_permit", &number), "record-error-id-region"),
        ] {
            let (status, problem) = desk.api("PUT", "document", wrong).await;
            assert_eq!((status, problem["errors"][0]["code"].as_str()), (422, Some(code)), "{problem}");
            assert_eq!(problem["errors"][0]["field"], "number");
        }
        let (status, page) = desk.form("document", &[("kind", "id_card"), ("number", "110105194411230022")]).await;
        assert!(status == 422 && page.contains(r#"id="number-error""#) && !page.contains("110105194411230022"), "{page}");

        assert_eq!(desk.form("document", &[("kind", "id_card"), ("number", &number)]).await.0, 303);
        let (status, shown) = desk.api("GET", "document", Value::Null).await;
        let masked = format!("110105********{}", &number[14..]);
        assert_eq!((status, &shown["number"]), (200, &json!(masked)), "{shown}");
        let page = desk.page(&format!("/residents/{}/document", desk.id)).await;
        assert!(page.contains(&masked) && !page.contains(&number), "{page}");
        let (status, problem) = desk.api("POST", "document/unmask", json!({ "reason": " " })).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (422, Some("reason")), "{problem}");
        let (_, full) = desk.api("POST", "document/unmask", json!({ "reason": "核对身份" })).await;
        assert_eq!(full["number"], json!(number));
        let (status, page) = desk.form("document/unmask", &[("reason", "核对身份")]).await;
        assert!(status == 200 && page.contains(&number), "{page}");

        // Found by its end, here alone.
        let only = |facility| Scope::Only(vec![facility]);
        for typed in [&number[14..], &number[12..], &number] {
            let found = desk.found(only(desk.street.here.facility), typed, None, 9).await;
            assert_eq!(found, ["王秀英"], "{typed}");
            assert!(desk.found(only(desk.street.elsewhere.facility), typed, None, 9).await.is_empty());
        }
        // Somebody elsewhere with the same number: that, and nothing more.
        for (facility, code) in [
            (desk.street.elsewhere.facility, "record-error-id-elsewhere"), (desk.street.here.facility, "record-error-id-here"),
        ] {
            let other = desk.enter(facility, "同号人").await;
            let new = NewDocument { kind: DocumentKind::IdCard, number: number.clone() };
            let outcome = desk.street.db.write(move |tx| set_document(tx, other, &new, None)).await;
            assert_eq!(refused(outcome), [("number", code)]);
        }
        // The record may not say otherwise.
        let other = json!({ "version": 0, "fields": { "name": "王秀英", "sex": "male", "birth_date": "1944-11-24" } });
        let (status, problem) = desk.api("PUT", "record", other).await;
        let fields: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
        assert_eq!((status, fields), (422, vec!["birth_date", "sex"]), "{problem}");

        // Nowhere in clear: neither events nor audit; the reads in full are written down with their reasons.
        let (data, seen): (Vec<String>, Vec<Read>) = desk.street.db.read(|db| {
            let seen = audit::table.select((audit::action, audit::value_after, audit::reason)).load(db)?;
            Ok((event::table.select(event::data).load(db)?, seen))
        }).await.unwrap();
        assert!(data.iter().all(|data| !data.contains(body)), "{data:?}");
        assert!(seen.iter().all(|(_, after, _)| !after.as_deref().unwrap_or_default().contains(body)), "{seen:?}");
        let unmasked = seen.iter().filter(|(action, _, reason)| action == "residents.unmask" && reason.as_deref() == Some("核对身份"));
        assert_eq!(unmasked.count(), 2, "{seen:?}");

        assert_eq!(desk.form("document/remove", &[]).await.0, 303);
        assert!(desk.found(Scope::All, &number[14..], None, 9).await.is_empty());
        assert_eq!(desk.api("GET", "document", Value::Null).await.1["number"], Value::Null);
    }
}
