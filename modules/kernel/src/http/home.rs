//! The first page, by role: each module adds what its reader needs ([`HomePart`]); the rest are the reader's ways on.

use actix_web::HttpResponse;
use serde::Serialize;

use super::Ctx;
use crate::db::Db;
use crate::error::{Result, Text};
use crate::identity::Caller;
use crate::time::Moment;

/// Where alarms are answered, in a build that has the module for it.
pub(super) const BOARD: &str = "/incidents/board";

/// The colour of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Tone {
    #[serde(rename = "")]
    Calm,
    #[serde(rename = "medium")]
    Medium,
    #[serde(rename = "high")]
    High,
}

/// A way on, with a figure where there is one.
#[derive(Debug, Clone)]
pub struct HomeTile {
    pub path: String,
    /// Name in the icon sprite.
    pub icon: &'static str,
    pub title: Text,
    pub text: Option<Text>,
    pub figure: Option<String>,
    pub tone: Tone,
}

/// Something promised that is not done yet.
#[derive(Debug, Clone, Serialize)]
pub struct HomeFollowUp {
    pub incident_id: String,
    pub place: String,
    pub text: String,
    /// The civil day, `2026-11-25`.
    pub due: String,
    pub overdue: bool,
}

/// A turn of duty of the reader.
#[derive(Debug, Clone, Serialize)]
pub struct HomeShift {
    pub from: Moment,
    pub to: Moment,
    pub on_call: bool,
}

/// What the first page shows; modules fill it.
#[derive(Debug, Clone, Default)]
pub struct Home {
    /// Alarms that wait and that the reader may see.
    pub open_count: i64,
    /// Those of them of the highest level.
    pub open_high: i64,
    pub tiles: Vec<HomeTile>,
    /// `None`: not this reader's business.
    pub follow_ups: Option<Vec<HomeFollowUp>>,
    pub shifts: Option<Vec<HomeShift>>,
}

/// What a module adds to the first page.
pub trait HomePart: Send + Sync + 'static {
    /// Runs in a reading connection.
    fn fill(&self, db: &mut Db, caller: &Caller, now: Moment, home: &mut Home) -> Result<()>;
}

#[derive(Serialize)]
struct Page {
    open_count: i64,
    open_high: i64,
    can_board: bool,
    tiles: Vec<TileModel>,
    follow_ups: Option<Vec<HomeFollowUp>>,
    shifts: Option<Vec<HomeShift>>,
}

#[derive(Serialize)]
struct TileModel {
    path: String,
    icon: &'static str,
    title: String,
    text: String,
    figure: Option<String>,
    tone: Tone,
}

pub(super) async fn page(ctx: Ctx) -> Result<HttpResponse> {
    let (parts, caller, now) = (ctx.app().home_parts(), ctx.caller().clone(), ctx.app().clock.now());
    let mut home = ctx
        .app()
        .db
        .read(move |db| {
            let mut home = Home::default();
            parts.iter().try_for_each(|part| part.fill(db, &caller, now, &mut home))?;
            Ok(home)
        })
        .await?;
    add_ways_on(&ctx, &mut home);
    let tile = |tile: HomeTile| TileModel {
        title: ctx.say(&tile.title),
        text: tile.text.map(|text| ctx.say(&text)).unwrap_or_default(),
        path: tile.path,
        icon: tile.icon,
        figure: tile.figure,
        tone: tile.tone,
    };
    let page = Page {
        open_count: home.open_count,
        open_high: home.open_high,
        can_board: ctx.app().routes().permits(ctx.caller_opt(), BOARD),
        tiles: home.tiles.into_iter().map(tile).collect(),
        follow_ups: home.follow_ups,
        shifts: home.shifts,
    };
    ctx.page("kernel/home", &page)
}

/// The menu's entries that no module made a tile of.
fn add_ways_on(ctx: &Ctx, home: &mut Home) {
    for entry in ctx.app().routes().menu(ctx.caller_opt(), "/") {
        if entry.path != "/" && !home.tiles.iter().any(|tile| tile.path == entry.path) {
            home.tiles.push(HomeTile {
                path: entry.path.to_owned(),
                icon: entry.icon,
                title: Text::key(entry.key),
                text: None,
                figure: None,
                tone: Tone::Calm,
            });
        }
    }
}
