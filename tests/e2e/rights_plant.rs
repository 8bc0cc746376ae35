//! Who asks in `rights.rs`, and what there is to be asked about: something of every kind, here and elsewhere.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use songhe_devices::register::{self, NewDevice};
use songhe_incidents::ladders::{self, Ladder};
use songhe_incidents::model::{Channel, Target};
use songhe_incidents::{Priority, webhook};
use songhe_kernel::identity::{
    NewUser, Role, SessionKind, SessionToken, create_user, find_user_id, grant_role, open_session,
};
use songhe_kernel::{FacilityId, Tx};
use songhe_registry::{self as registry, Duty, NewPlace, NewResident, NewShift, NewStaff, PlaceKind, Sex};
use songhe_testkit::eventually_true;

use crate::SOON;
use crate::rights::{Asker, Examples, Person, noun};
use crate::world::{Button, HASH, HOOK_SECRET, House, rung};

/// Pages and operations that go by another name than the list of the API that has their ids.
const LISTS: [(&str, &str); 3] =
    [("endpoints", "webhook-endpoints"), ("rosters/shifts", "shifts"), ("device-tests", "device-tests/history")];

/// One person of each role at the facility, with a session of their own.
pub async fn people(house: &House, facility: FacilityId, suffix: &'static str) -> Vec<Person> {
    let made = house.server().db.write(move |tx| {
        let mut people = Vec::new();
        for role in Role::ALL {
            let name = format!("{role}-{suffix}");
            let user =
                NewUser { username: name.clone(), display_name: name.clone(), password: HASH.clone(), locale: None };
            let id = create_user(tx, &user)?;
            grant_role(tx, id, role, Some(facility.0))?;
            people.push((name, role));
        }
        Ok(people)
    });
    let mut people = Vec::new();
    for (name, role) in made.await.unwrap() {
        let token = session(house, &name).await;
        people.push(Person { name, role, token });
    }
    people
}

async fn session(house: &House, username: &str) -> String {
    let (token, username) = (SessionToken::random(), username.to_owned());
    let theirs = token.clone();
    let opened = house.server().db.write(move |tx| {
        let user = find_user_id(tx.db(), &username)?.expect("an account of that name");
        open_session(tx, user, SessionKind::Bearer, &theirs, None)
    });
    opened.await.unwrap();
    token.reveal().to_owned()
}

/// Something of every kind at a facility. Answers the ids that no list of the API tells.
pub fn plant(tx: &mut Tx<'_>, facility: FacilityId, word: &str) -> songhe_kernel::Result<(String, String)> {
    let new = NewPlace {
        facility_id: facility,
        parent_id: None,
        kind: PlaceKind::Home,
        name: format!("{word}屋"),
        label: None,
    };
    let place = registry::create_place(tx, &new, None)?;
    let new = NewResident {
        facility_id: facility,
        place_id: Some(place),
        name: format!("{word}老人"),
        sex: Sex::Female,
        birth_date: None,
        ability_level: None,
        living_alone: true,
        fall_risk_high: false,
        phone: None,
    };
    let resident = registry::create_resident(tx, &new, None)?;
    songhe_care_beds::create_care_bed(tx, &songhe_care_beds::NewCareBed::new(resident), None)?;
    let new = NewStaff { facility_id: facility, user_id: None, name: format!("{word}员工"), job: Duty::Carer };
    let staff_id = registry::create_staff(tx, &new, None)?;
    let (starts_at, ends_at) = (tx.now().plus_seconds(-3_600), tx.now().plus_seconds(3_600));
    let shift = NewShift { staff_id, duty: Duty::Carer, name: format!("{word}班"), starts_at, ends_at };
    registry::add_shift(tx, &shift, None)?;
    webhook::create_endpoint(tx, facility, None, &format!("{word}回调"), "https://example.invalid/", HOOK_SECRET)?;
    let new = NewDevice {
        facility,
        serial: format!("PLANT-{}", place.0),
        class: "3.1".into(),
        adapter: "songhe-mqtt".into(),
        name: format!("{word}按钮"),
        place: Some(place),
        resident: Some(resident),
    };
    register::register(tx, &new, &["songhe-mqtt"], None)?;
    let ladder = Ladder {
        id: None,
        facility,
        scenario: None,
        priority: Priority::Low,
        name: format!("{word}阶梯"),
        repeat_seconds: 3_600,
        active: true,
        rungs: vec![rung(0, Target::OnCall, Channel::Board)],
    };
    ladders::save(tx, &ladder)?;
    let name = format!("{word}账号");
    let user = NewUser { username: name.clone(), display_name: name, password: HASH.clone(), locale: None };
    let id = create_user(tx, &user)?;
    grant_role(tx, id, Role::Carer, Some(facility.0))?;
    Ok((place.to_string(), registry::place(tx.db(), place)?.expect("just made").tag_code))
}

/// What comes by devices and by people's work: a message that nobody understands, and a test.
pub async fn happens(house: &House, asker: &Asker, people: &[Person], button: &Button) {
    assert!(crate::mqtt::publish(&house.broker(), button, "event", b"no JSON").await.ok);
    let head = people.iter().find(|person| person.role == Role::FacilityAdmin).unwrap();
    let (_, devices) = asker.ask(head, "GET", "/api/v1/devices?limit=200", "").await;
    let devices: Value = serde_json::from_str(&devices).unwrap();
    let planted = devices["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|device| !device["serial"].as_str().unwrap().starts_with("SH-"));
    let body = json!({ "devices": [planted.unwrap()["id"]] }).to_string();
    let (status, text) = asker.ask(head, "POST", "/api/v1/device-tests", &body).await;
    assert_eq!(status, 201, "{text}");
    let token = json!({ "name": "大屏", "permissions": ["devices.read"], "days": 1 }).to_string();
    let (status, text) = asker.ask(head, "POST", "/api/v1/account/tokens", &token).await;
    assert_eq!(status, 201, "{text}");
    eventually_true("the message in quarantine", SOON, || async {
        first_id(asker, head, "quarantine").await.is_some()
    })
    .await;
}

/// The first id that a list tells somebody; `None` for an empty list, and where there is no such list.
pub async fn first_id(asker: &Asker, person: &Person, list: &str) -> Option<String> {
    let (status, text) = asker.ask(person, "GET", &format!("/api/v1/{list}"), "").await;
    let value: Value = serde_json::from_str(&text).ok().filter(|_| status == 200)?;
    // What is built in has no id.
    value["items"].as_array()?.iter().find_map(|item| item["id"].as_str()).map(ToOwned::to_owned)
}

/// An example of every noun that routes have ids of, as these people see it.
pub async fn examples(asker: &Asker, people: &[Person], tag: &str) -> Examples {
    let nouns: BTreeSet<&str> =
        asker.routes.iter().filter(|route| route.path.contains('{')).map(|route| noun(route.path)).collect();
    let mut examples = Examples::new();
    for noun in nouns {
        if noun == "t" || noun == "tags" {
            examples.insert(noun, tag.to_owned());
            continue;
        }
        let list = LISTS.iter().find(|(name, _)| *name == noun).map_or(noun, |(_, list)| list);
        // Whoever may read it: most lists are the administrators'.
        for person in people {
            if let Some(id) = first_id(asker, person, list).await {
                examples.insert(noun, id);
                break;
            }
        }
    }
    examples
}
