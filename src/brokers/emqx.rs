//! EMQX asks over HTTP who may sign in and who may do what; Songhe answers by the register, as its own broker would.
//!
//! The questions and answers are those of EMQX 5's "Password-Based authentication by HTTP server" and "HTTP authorizer".
//! Both carry a shared secret in a header; without the configured secret there are no such routes.

use actix_web::HttpResponse;
use actix_web::http::header::HeaderName;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use songhe_broker::{Principal, rules};
use songhe_devices::{gateways, register};
use songhe_kernel::http::{Access, ApiDoc, Ctx, Route};
use songhe_kernel::{Error, Result};

use crate::config::{Mqtt, MqttMode};

/// What carries the shared secret.
const HEADER: HeaderName = HeaderName::from_static("x-songhe-secret");

#[derive(Clone)]
struct Emqx {
    /// Compared by hashes, whose time tells nothing.
    secret: [u8; 32],
    username: String,
    password: String,
}

#[derive(Deserialize)]
struct SignIn {
    clientid: String,
    username: String,
    password: String,
}

#[derive(Deserialize)]
struct Act {
    username: String,
    topic: String,
    /// publish, subscribe
    action: String,
}

/// The two routes, if EMQX is configured to ask.
pub(crate) fn routes(mqtt: &Mqtt) -> Vec<Route> {
    let Some(secret) = mqtt.emqx_secret.as_deref().filter(|_| mqtt.mode == MqttMode::External) else {
        return Vec::new();
    };
    let emqx = Emqx {
        secret: Sha256::digest(secret).into(),
        username: mqtt.username.clone(),
        password: mqtt.password.clone(),
    };
    let (for_sign_in, for_act) = (emqx.clone(), emqx);
    let doc = |title| {
        ApiDoc::new(title).description(
            "For EMQX 5, which brings the header x-songhe-secret. Answers {\"result\": \"allow\"} or {\"result\": \"deny\"}.",
        )
    };
    vec![
        Route::post("/api/v1/brokers/emqx/authentication", Access::Public, move |ctx| {
            sign_in(for_sign_in.clone(), ctx)
        })
        .doc(doc("May this device sign in at EMQX?")),
        Route::post("/api/v1/brokers/emqx/authorization", Access::Public, move |ctx| act(for_act.clone(), ctx))
            .doc(doc("May this device use that topic at EMQX?")),
    ]
}

impl Emqx {
    fn check(&self, ctx: &Ctx) -> Result<()> {
        let brought = ctx.header(&HEADER).map(|secret| <[u8; 32]>::from(Sha256::digest(secret)));
        if brought == Some(self.secret) { Ok(()) } else { Err(Error::Forbidden) }
    }
}

fn who(username: String, base_topic: Option<String>) -> Principal {
    match base_topic {
        Some(base_topic) => Principal::Gateway { name: username, base_topic },
        None => Principal::Device(username),
    }
}

/// The rules of a device as EMQX 5.8 and later take them with the sign-in; earlier ones ask for each topic.
fn rules_of(who: &Principal) -> Value {
    let allow = |action: &str, topic: &str| json!({ "permission": "allow", "action": action, "topic": topic });
    let mut all = match who {
        Principal::Gateway { base_topic, .. } => vec![allow("all", &format!("{base_topic}/#"))],
        Principal::Device(serial) | Principal::Server(serial) => {
            let publish = rules::device_publish_topics(serial).map(|topic| allow("publish", &topic));
            let subscribe =
                rules::device_subscribe_topics(serial).map(|topic| allow("subscribe", &format!("eq {topic}")));
            publish.into_iter().chain(subscribe).collect()
        }
    };
    all.push(json!({ "permission": "deny", "action": "all", "topic": "#" }));
    Value::Array(all)
}

async fn sign_in(emqx: Emqx, ctx: Ctx) -> Result<HttpResponse> {
    emqx.check(&ctx)?;
    let SignIn { clientid, username, password } = ctx.json()?;
    if username == emqx.username {
        let same = Sha256::digest(&password) == Sha256::digest(&emqx.password);
        let answer =
            if same { json!({ "result": "allow", "is_superuser": true }) } else { json!({ "result": "deny" }) };
        return ctx.json_ok(&answer);
    }
    let well_formed = rules::valid_name(&username) && rules::client_id_belongs(&clientid, &username);
    let serial = username.clone();
    let (right, base_topic) = if well_formed {
        let checked = ctx.app().db.read(move |db| {
            let right = register::verify_secret(db, &serial, password.as_bytes())?;
            Ok((right, if right { gateways::base_topic_of(db, &serial)? } else { None }))
        });
        checked.await?
    } else {
        (false, None)
    };
    if !right {
        tracing::warn!(client_id = clientid, account = username, "EMQX sign-in refused");
        return ctx.json_ok(&json!({ "result": "deny" }));
    }
    let acl = rules_of(&who(username, base_topic));
    ctx.json_ok(&json!({ "result": "allow", "is_superuser": false, "acl": acl }))
}

async fn act(emqx: Emqx, ctx: Ctx) -> Result<HttpResponse> {
    emqx.check(&ctx)?;
    let Act { username, topic, action } = ctx.json()?;
    let own = username == emqx.username;
    let serial = username.clone();
    let base_topic = ctx.app().db.read(move |db| gateways::base_topic_of(db, &serial)).await?;
    let who = if own { Principal::Server(username) } else { who(username, base_topic) };
    let allowed = match action.as_str() {
        "publish" => rules::may_publish(&who, &topic),
        "subscribe" => rules::may_subscribe(&who, &topic),
        _ => false,
    };
    ctx.json_ok(&json!({ "result": if allowed { "allow" } else { "deny" } }))
}
