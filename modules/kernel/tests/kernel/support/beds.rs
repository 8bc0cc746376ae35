//! A module small enough to see through: beds are nodes of the scope tree named "bed …".

use actix_web::HttpResponse;
use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, ApiDoc, Ctx, Route};
use songhe_kernel::identity::schema::scope_node;
use songhe_kernel::identity::{NodeKind, Permission, Role, add_scope_node};
use songhe_kernel::{AuditEntry, Db, Error, Manifest, Module, Result, Text, Tx, define_id};

define_id!(BedId, "bed");

pub struct Beds;

static MANIFEST: Manifest = Manifest {
    name: "beds",
    title_key: "beds",
    catalogue_class: None,
    functions: &[],
    permissions: &[
        Permission { name: "beds.read", roles: &[Role::Nurse] },
        Permission { name: "beds.secret", roles: &[Role::SystemAdmin] },
    ],
    events_in: &[],
    events_out: &[],
    schedules: &[],
    scenario: false,
};

impl Module for Beds {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn routes(&self) -> Vec<Route> {
        let read = Access::Permission("beds.read");
        let secret = Access::Permission("beds.secret");
        vec![
            Route::get("/beds", read, list),
            Route::post("/beds", read, create_by_form),
            Route::get("/secret", secret, never),
            Route::get("/api/v1/secret", secret, never),
            Route::get("/api/v1/broken", read, broken),
            Route::get("/api/v1/panics", read, panics),
            Route::get("/api/v1/beds/{id}", read, show).doc(ApiDoc::new("A bed").returns::<Bed>()),
            Route::get("/api/v1/beds/{id}/chart", read, chart),
            Route::post("/api/v1/beds", read, create).doc(ApiDoc::new("Add a bed").body::<NewBed>().creates::<Bed>()),
        ]
    }
}

#[derive(Deserialize, JsonSchema)]
struct NewBed {
    name: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Bed {
    id: BedId,
    name: String,
}

pub fn count(db: &mut Db) -> Result<i64> {
    Ok(scope_node::table.filter(scope_node::name.like("bed %")).count().get_result(db)?)
}

fn add_bed(tx: &mut Tx<'_>, name: &str) -> Result<Bed> {
    if name.is_empty() {
        return Err(Error::field("name", Text::key("error-required")));
    }
    let id = BedId(add_scope_node(tx, None, NodeKind::Region, &format!("bed {name}"))?);
    Ok(Bed { id, name: name.to_owned() })
}

async fn create(ctx: Ctx) -> Result<HttpResponse> {
    let new: NewBed = ctx.json()?;
    let bed = ctx.once(move |tx| add_bed(tx, &new.name)).await?;
    ctx.created(&bed)
}

async fn create_by_form(ctx: Ctx) -> Result<HttpResponse> {
    let new: NewBed = ctx.form()?;
    ctx.once(move |tx| add_bed(tx, &new.name)).await?;
    ctx.redirect("/beds")
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    let beds = ctx.app().db.read(count).await?;
    // Any template of the kernel with a form in it.
    let model = serde_json::json!({
        "status": 404, "text": format!("{beds} beds"), "request_id": "", "retry": false, "board": false,
    });
    ctx.fragment("kernel/error", &model)
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    let id: BedId = ctx.id("id")?;
    ctx.json_ok(&Bed { id, name: String::new() })
}

/// Something sensitive.
async fn chart(ctx: Ctx) -> Result<HttpResponse> {
    let id: BedId = ctx.id("id")?;
    ctx.audit_read(AuditEntry::new("bed.read", id)).await?;
    ctx.json_ok(&serde_json::json!({ "chart": "36.5" }))
}

async fn never(_: Ctx) -> Result<HttpResponse> {
    Err(Error::internal("reached without the permission"))
}

async fn broken(_: Ctx) -> Result<HttpResponse> {
    Err(Error::internal("secret detail"))
}

async fn panics(_: Ctx) -> Result<HttpResponse> {
    panic!("secret detail")
}
