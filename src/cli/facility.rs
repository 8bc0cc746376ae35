//! `songhe facility add`: the first regions and facilities of a new server.

use std::path::PathBuf;
use std::sync::Arc;

use diesel::prelude::*;
use songhe_kernel::identity::schema::scope_node;
use songhe_kernel::{Error, FieldError, Result, SystemClock, Text, Tx};
use songhe_registry::{FacilityKind, NewFacility, create_facility, create_region};

use super::Failure;
use super::words::{Inputs, Words};
use crate::assembly::open_database;
use crate::config::Config;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Makes a facility, and the regions above it that are not there yet
    Add {
        #[arg(long)]
        config: Option<PathBuf>,
        /// Its full name
        name: String,
        /// For boards and narrow columns, at most 12 characters
        #[arg(long)]
        short: String,
        /// What it is
        #[arg(long, value_enum)]
        kind: Kind,
        /// The regions above it from the outermost on: 市/区/街道
        #[arg(long)]
        region: String,
        /// IANA time zone
        #[arg(long, default_value = "Asia/Shanghai")]
        zone: String,
        #[arg(long)]
        address: Option<String>,
        #[arg(long)]
        phone: Option<String>,
    },
}

const INPUTS: Inputs = &[
    ("name", "NAME"),
    ("short_name", "--short"),
    ("region", "--region"),
    ("address", "--address"),
    ("phone", "--phone"),
];

#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum Kind {
    /// A nursing home
    NursingHome,
    /// A station that looks after care beds in people's own homes
    CareBedStation,
}

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    let Command::Add { config, name, short, kind, region, zone, address, phone } = command;
    let words = Words::load()?;
    let zone = zone.parse().map_err(|_| words.failure(&Text::key("cli-unknown-zone").arg("zone", &zone)))?;
    let regions: Vec<String> = region.split('/').map(|part| part.trim().to_owned()).collect();
    let config = Config::load(config.as_deref(), std::env::vars())?;
    let opened =
        open_database(&config, Arc::new(SystemClock::new())).await.map_err(|error| words.start_failure(&error))?;
    let told = name.clone();
    let made = opened
        .db
        .write(move |tx| {
            let mut parent = None;
            for region in &regions {
                parent = Some(region_at(tx, parent, region)?);
            }
            let (kind, scenario) = match kind {
                Kind::NursingHome => (FacilityKind::NursingHome, "nursing-home"),
                Kind::CareBedStation => (FacilityKind::CareBedStation, "care-beds"),
            };
            let mut new = NewFacility::new(parent.unwrap_or_default(), kind, scenario, &name, &short);
            (new.zone, new.address, new.phone) = (zone, address.clone(), phone.clone());
            create_facility(tx, &new, None)
        })
        .await;
    match made {
        Ok(id) => {
            println!("{}", words.say(&Text::key("cli-facility-made").arg("name", told).arg("id", id)));
            Ok(())
        }
        Err(error) => {
            let why = Text::key("cli-facility-not-made").arg("name", told).arg("why", words.why(&error, INPUTS));
            let mend = if matches!(error, Error::Invalid(_)) { "cli-correct-it" } else { "cli-try-again" };
            Err(Failure(format!("{}{}", words.say(&why), words.say(&Text::key(mend)))))
        }
    }
}

/// A region's name is typed at another place than the facility's.
fn of_region(error: Error) -> Error {
    match error {
        Error::Invalid(fields) => {
            Error::Invalid(fields.into_iter().map(|field| FieldError::new("region", field.text)).collect())
        }
        other => other,
    }
}

/// The region of that name below `parent`; made when there is none.
fn region_at(tx: &mut Tx<'_>, parent: Option<i64>, name: &str) -> Result<i64> {
    let mut known = scope_node::table
        .filter(scope_node::kind.eq("region").and(scope_node::name.eq(name)))
        .select(scope_node::id)
        .into_boxed();
    known = match parent {
        Some(parent) => known.filter(scope_node::parent_id.eq(parent)),
        None => known.filter(scope_node::parent_id.is_null()),
    };
    match known.first(tx.db()).optional()? {
        Some(id) => Ok(id),
        None => create_region(tx, parent, name).map_err(of_region),
    }
}
