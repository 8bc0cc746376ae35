//! `/quarantine`: what nobody could act on, by sender, with the raw messages.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use songhe_adapter_core::{DeviceKey, Directory, Inbound};
use songhe_kernel::http::{Access, Ctx, Menu, Route, Section, cursor, cut, url};
use songhe_kernel::{Moment, Result};

use super::with;
use crate::gateways::Named;
use crate::module::{DEVICES_WRITE, QUARANTINE_READ, Setup};
use crate::quarantine::{self, Group, QuarantineId, Quarantined, Reason};
use crate::{gateways, register, words};

const PAGE_GROUPS: i64 = 20;
/// Raw messages shown of one sender, the latest.
const SHOWN: usize = 5;

pub(super) fn routes(setup: &Arc<Setup>) -> Vec<Route> {
    let menu = Menu { key: "devices-menu-quarantine", icon: "quarantine", section: Section::Manage, order: 60 };
    vec![
        Route::get("/quarantine", Access::Permission(QUARANTINE_READ), with(setup, list)).menu(menu),
        Route::post("/quarantine/{id}/dismiss", Access::Permission(DEVICES_WRITE), dismiss),
    ]
}

#[derive(Serialize)]
struct Page {
    can_edit: bool,
    items: Vec<Item>,
    first_url: Option<String>,
    next_url: Option<String>,
}

#[derive(Serialize)]
struct Item {
    id: QuarantineId,
    adapter: String,
    device_key: String,
    reason: String,
    first_at: Moment,
    last_at: Moment,
    count: usize,
    emergency: bool,
    messages: Vec<Raw>,
    register_url: Option<String>,
    named: Option<NamedModel>,
}

/// A device as its gateway names it.
#[derive(Serialize)]
struct NamedModel {
    name: String,
    model: String,
    vendor: String,
}

/// What a look at the quarantine needs beside it.
struct Around {
    raw: HashMap<QuarantineId, Quarantined>,
    registered: HashSet<String>,
    retired: HashSet<String>,
    named: HashMap<String, Named>,
    directory: Directory,
}

#[derive(Serialize)]
struct Raw {
    at: Moment,
    topic: String,
    raw: String,
}

async fn list(ctx: Ctx, setup: Arc<Setup>) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Query {
        #[serde(default)]
        after: String,
    }
    let after: Option<QuarantineId> = cursor(&ctx.query::<Query>()?.after)?;
    let scope = ctx.caller().facilities(QUARANTINE_READ).clone();
    let (mut groups, around) = ctx
        .app()
        .db
        .read(move |db| {
            let mut groups = quarantine::groups(db, &scope)?;
            groups.retain(|group| after.is_none_or(|after| group.id < after));
            groups.truncate(usize::try_from(PAGE_GROUPS + 1).unwrap_or_default());
            // All kept ones: a call for help may be an older one.
            let ids: Vec<QuarantineId> = groups.iter().flat_map(|group| group.messages.clone()).collect();
            let raw: HashMap<QuarantineId, Quarantined> =
                quarantine::messages(db, &ids)?.into_iter().map(|message| (message.id, message)).collect();
            let serials: Vec<String> = groups.iter().filter_map(|group| group.serial.clone()).collect();
            let known = register::homes_of(db, &serials)?;
            let registered: HashSet<String> = known.into_iter().map(|(serial, _)| serial).collect();
            let asked: Vec<&str> = serials.iter().map(String::as_str).collect();
            let active: HashSet<String> =
                register::by_serials(db, &asked)?.into_iter().map(|device| device.serial).collect();
            let retired: HashSet<String> = registered.difference(&active).cloned().collect();
            let named = gateways::named(db, &serials)?;
            let directory = gateways::directory(db)?;
            Ok((groups, Around { raw, registered, retired, named, directory }))
        })
        .await?;
    let more = cut(&mut groups, PAGE_GROUPS);
    let items: Vec<Item> = groups.into_iter().map(|group| item(&setup, group, &around)).collect();
    let page = Page {
        can_edit: ctx.caller().can(DEVICES_WRITE),
        first_url: after.map(|_| "/quarantine".to_owned()),
        next_url: items.last().filter(|_| more).map(|item| url("/quarantine", &[("after", &item.id.to_string())])),
        items,
    };
    ctx.page("devices/quarantine", &page)
}

fn item(setup: &Setup, group: Group, around: &Around) -> Item {
    let messages: Vec<&Quarantined> = group.messages.iter().filter_map(|id| around.raw.get(id)).collect();
    let adapter = setup.adapters.iter().find(|adapter| adapter.is_topic(&group.topic));
    let named = group.serial.as_ref().and_then(|serial| around.named.get(serial));
    let wanted = group.reason == Reason::UnknownDevice.as_str();
    let registered = group.serial.as_ref().is_some_and(|serial| around.registered.contains(serial));
    let retired = group.serial.as_ref().is_some_and(|serial| around.retired.contains(serial));
    let new = group.serial.as_ref().filter(|serial| wanted && DeviceKey::new(serial).is_ok() && !registered);
    Item {
        register_url: new.map(|serial| {
            let adapter = adapter.map_or("", |adapter| adapter.manifest().name);
            let name = named.map_or("", |named| named.name.as_str());
            let given = [("serial", serial.as_str()), ("adapter", adapter), ("name", name)];
            let given: Vec<(&str, &str)> = given.into_iter().filter(|(_, value)| !value.is_empty()).collect();
            url("/devices/new", &given)
        }),
        named: named.map(|named| NamedModel {
            name: named.name.clone(),
            model: named.model.clone(),
            vendor: named.vendor.clone(),
        }),
        adapter: adapter.map_or("—", |adapter| adapter.manifest().name).to_owned(),
        emergency: messages.iter().any(|message| is_emergency(setup, message, &around.directory)),
        messages: messages
            .iter()
            .take(SHOWN)
            .map(|message| Raw {
                at: message.received_at,
                topic: message.topic.clone(),
                raw: words::raw(&message.payload),
            })
            .collect(),
        count: group.messages.len(),
        id: group.id,
        device_key: group.serial.unwrap_or(group.topic),
        // What a device out of use sends, and what came before somebody registered it stays for whoever wants to read it.
        reason: if wanted && retired {
            "decommissioned".to_owned()
        } else if wanted && registered {
            "registered_since".to_owned()
        } else {
            group.reason
        },
        first_at: group.first_at,
        last_at: group.last_at,
    }
}

/// Whether somebody called for help through a device that nobody registered.
fn is_emergency(setup: &Setup, message: &Quarantined, directory: &Directory) -> bool {
    let inbound = Inbound {
        topic: &message.topic,
        payload: &message.payload,
        retained: false,
        received_at: message.received_at.utc(),
    };
    setup.adapters.iter().any(|adapter| adapter.decode(inbound, directory).is_ok_and(|decoded| decoded.is_emergency()))
}

async fn dismiss(ctx: Ctx) -> Result<HttpResponse> {
    let id: QuarantineId = ctx.id("id")?;
    let scope = ctx.caller().facilities(DEVICES_WRITE).clone();
    // Gone already, or another's: nothing to do, and nothing is told.
    ctx.once(move |tx| quarantine::dismiss(tx, &scope, id)).await?;
    ctx.redirect("/quarantine")
}
