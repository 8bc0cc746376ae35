//! The sign of life: while Songhe is well, an address outside is asked every so many seconds. When it stays away, a monitor
//! there tells people that Songhe itself is dead, which nothing in here could.

use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use songhe_kernel::http::App;
use songhe_kernel::schema::timer;
use songhe_kernel::{Database, Error, Result, effects};
use tokio::sync::watch;

use crate::config::{BeatMethod, Heartbeat};

/// A monitor that takes longer has not been told.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A timer that has waited so long beyond its time is not fired any more: ladders stand.
const OVERDUE_S: i64 = 60;

/// Beats until told to stop.
pub(crate) async fn run(settings: Heartbeat, app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let Some(url) = settings.url.clone() else { return };
    let client = match reqwest::Client::builder().timeout(TIMEOUT).user_agent("Songhe").build() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "there is no sign of life: no client can be made");
            return;
        }
    };
    let mut heard = true;
    while !*stop.borrow() {
        let told = match well(&app).await {
            Ok(()) => beat(&client, &settings, &url).await,
            Err(why) => Err(why),
        };
        match &told {
            Ok(()) if !heard => tracing::info!("the monitor hears Songhe again"),
            // Said once: the monitor says the rest.
            Err(error) if heard => tracing::error!(%error, "no sign of life for the monitor"),
            Ok(()) | Err(_) => {}
        }
        heard = told.is_ok();
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(settings.every_s)) => {}
            changed = stop.changed() => if changed.is_err() { return },
        }
    }
}

/// # Errors
/// When a part of the server does not pass its check (the database takes no writes, say), timers stand, or effects are
/// held.
async fn well(app: &App) -> Result<()> {
    let checks = app.readiness.run().await;
    if let Some((part, _)) = checks.iter().find(|(_, passed)| !**passed) {
        return Err(Error::internal(format!("{part} does not pass its check")));
    }
    // The monitor is the original's: a copy must not stand for it.
    if app.db.read(effects::held_since).await?.is_some() {
        return Err(Error::internal("this is a restored copy that holds back what leaves it"));
    }
    if timers_stand(&app.db).await? { Err(Error::internal("timers are not fired")) } else { Ok(()) }
}

/// Whether a timer has waited for longer than a minute.
///
/// # Errors
/// When the database cannot be read.
pub async fn timers_stand(db: &Database) -> Result<bool> {
    let late = db.clock().now().plus_seconds(-OVERDUE_S);
    let found: Option<String> = db
        .read(move |db| {
            let overdue = timer::table.filter(timer::parked_at.is_null().and(timer::due_at.lt(late)));
            Ok(overdue.select(timer::key).first(db).optional()?)
        })
        .await?;
    Ok(found.is_some())
}

async fn beat(client: &reqwest::Client, settings: &Heartbeat, url: &str) -> Result<()> {
    let request = match settings.method {
        BeatMethod::Get => client.get(url),
        BeatMethod::Post => client.post(url),
    };
    // The error's text may repeat the URL with a token in it.
    let answer = request.send().await.map_err(|error| Error::internal(error.without_url()))?;
    if answer.status().is_success() { Ok(()) } else { Err(Error::internal(format!("answered {}", answer.status()))) }
}
