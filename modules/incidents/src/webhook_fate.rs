//! What became of the messages to webhook endpoints: for whoever wonders whether one works.

use std::collections::HashMap;

use diesel::prelude::*;
use serde::Deserialize;
use songhe_kernel::schema::effect;
use songhe_kernel::{Db, Moment, Result};

use crate::model::EndpointId;
use crate::{MODULE, webhook};

/// How far back outcomes are looked for: messages of all endpoints.
const LOOK_BACK: i64 = 2_000;

/// How an endpoint fares.
#[derive(Clone, Default)]
pub(crate) struct Fate {
    pub(crate) delivered_at: Option<Moment>,
    /// The last attempt that failed, and why.
    pub(crate) last_failure: Option<(Moment, Option<String>)>,
    /// Messages under way.
    pub(crate) pending: usize,
}

/// What became of the latest messages, by endpoint.
pub(crate) fn fates(db: &mut Db) -> Result<HashMap<EndpointId, Fate>> {
    #[derive(Deserialize)]
    struct To {
        endpoint: EndpointId,
    }
    type Columns = (String, String, Moment, Option<Moment>, Option<String>, i32);
    let rows: Vec<Columns> = effect::table
        .filter(effect::module.eq(MODULE).and(effect::kind.eq(webhook::KIND)))
        .order(effect::id.desc())
        .limit(LOOK_BACK)
        .select((effect::target, effect::status, effect::created_at, effect::done_at, effect::error, effect::attempts))
        .load(db)?;
    let mut fates: HashMap<EndpointId, Fate> = HashMap::new();
    for (target, status, created_at, done_at, error, attempts) in rows {
        let Ok(to) = serde_json::from_str::<To>(&target) else { continue };
        let fate = fates.entry(to.endpoint).or_default();
        let at = done_at.unwrap_or(created_at);
        let later = fate.last_failure.as_ref().is_none_or(|(known, _)| *known < at);
        if status == "delivered" {
            fate.delivered_at = fate.delivered_at.max(Some(at));
        } else if later && (status != "queued" || attempts > 0) {
            fate.last_failure = Some((at, error));
        }
        fate.pending += usize::from(status == "queued");
    }
    Ok(fates)
}
