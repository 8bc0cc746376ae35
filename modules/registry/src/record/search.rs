//! Finding residents by what people type: ranges of an index over the tokens of `names.rs`, so that half a million
//! residents are searched as fast as fifty.

use std::collections::HashMap;

use diesel::prelude::*;
use songhe_kernel::db::{Db, Tx};
use songhe_kernel::identity::Scope;
use songhe_kernel::{FacilityId, Result};

use super::cards::card_by_number;
use super::names::{RULES, compared, tokens};
use crate::ResidentId;
use crate::residents::{ResidentFilter, resident};
use crate::schema::{resident as resident_table, resident_token};

/// Up to so many facilities are looked through one by one, each by a range of its own; of more, all tokens of the range
/// are passed and those of other facilities left out.
const ONE_BY_ONE: usize = 64;
/// Rows read beyond those that are wanted: a resident may be found by several tokens.
const SPARE_ROWS: i64 = 20;
/// A search that finds nearly everybody by more than one token ends here.
const MAX_ROUNDS: usize = 20;
/// Names that are taken apart in one transaction.
const SLICE: i64 = 200;

type Place = (String, ResidentId);

/// Writes the tokens of a resident's name.
pub(crate) fn index_name(db: &mut Db, facility: FacilityId, id: ResidentId, name: &str) -> Result<()> {
    for token in tokens(name) {
        diesel::insert_into(resident_token::table)
            .values((
                resident_token::facility_id.eq(facility),
                resident_token::token.eq(token),
                resident_token::resident_id.eq(id),
            ))
            .execute(db)?;
    }
    Ok(())
}

/// Puts the tokens of a new name in the place of those of the former one.
pub(crate) fn index_again(db: &mut Db, facility: FacilityId, id: ResidentId, former: &str, name: &str) -> Result<()> {
    let of_former: Vec<String> = tokens(former).into_iter().collect();
    diesel::delete(resident_token::table)
        .filter(resident_token::facility_id.eq(facility).and(resident_token::resident_id.eq(id)))
        .filter(resident_token::token.eq_any(of_former))
        .execute(db)?;
    index_name(db, facility, id, name)
}

/// Takes names apart that were not yet, or by former rules: a slice. Answers whether there are more.
pub(crate) fn index_slice(tx: &mut Tx<'_>) -> Result<bool> {
    let due: Vec<(ResidentId, FacilityId, String)> = resident_table::table
        .filter(resident_table::name_rules.lt(RULES))
        .order((resident_table::name_rules, resident_table::id))
        .limit(SLICE)
        .select((resident_table::id, resident_table::facility_id, resident_table::name))
        .load(tx.db())?;
    for (id, facility, name) in &due {
        // Tokens that another rule made and this one does not find nobody: a match is checked against the name.
        index_again(tx.db(), *facility, *id, name, name)?;
        diesel::update(resident_table::table.find(id)).set(resident_table::name_rules.eq(RULES)).execute(tx.db())?;
    }
    Ok(i64::try_from(due.len()).is_ok_and(|count| count == SLICE))
}

/// The residents in scope that a text finds, the shortest match first: up to `limit`, behind `filter.after`.
pub(crate) fn found_by_name(db: &mut Db, filter: &ResidentFilter, limit: i64) -> Result<Vec<ResidentId>> {
    let wanted = usize::try_from(limit).unwrap_or_default();
    let mut found = Vec::new();
    if filter.after.is_none() {
        found.extend(found_exactly(db, filter)?);
    }
    let prefix = compared(&filter.name);
    if prefix.is_empty() || filter.scope.is_empty() {
        return Ok(found);
    }
    let mut from: Option<Place> = None;
    if let Some(after) = filter.after {
        // What was found by something else than its name stands in front of all others.
        let token = resident(db, after)?.and_then(|last| first_match(&last.name, &prefix));
        from = token.map(|token| (token, after));
    }
    for _ in 0..MAX_ROUNDS {
        let rows = range(db, &filter.scope, &prefix, from.as_ref(), limit + SPARE_ROWS)?;
        let ids: Vec<ResidentId> = rows.iter().map(|(_, id)| *id).collect();
        let names: HashMap<ResidentId, String> = resident_table::table
            .filter(resident_table::id.eq_any(&ids))
            .select((resident_table::id, resident_table::name))
            .load::<(ResidentId, String)>(db)?
            .into_iter()
            .collect();
        for (token, id) in &rows {
            // Each resident once, where their first token stands; a former name's token stands for nobody.
            let first = names.get(id).and_then(|name| first_match(name, &prefix));
            if first.as_ref() == Some(token) && !found.contains(id) {
                found.push(*id);
            }
            if found.len() >= wanted {
                return Ok(found);
            }
        }
        if i64::try_from(rows.len()).is_ok_and(|count| count < limit + SPARE_ROWS) {
            return Ok(found);
        }
        from = rows.into_iter().next_back();
    }
    Ok(found)
}

/// By what belongs to one resident alone: a card.
fn found_exactly(db: &mut Db, filter: &ResidentFilter) -> Result<Vec<ResidentId>> {
    let Some(card) = card_by_number(db, &filter.name)? else { return Ok(Vec::new()) };
    let holder = resident(db, card.resident_id)?.filter(|holder| filter.scope.contains(holder.facility_id));
    Ok(holder.map(|holder| holder.id).into_iter().collect())
}

/// The first token of a name that begins with `prefix`.
fn first_match(name: &str, prefix: &str) -> Option<String> {
    tokens(name).into_iter().find(|token| token.starts_with(prefix))
}

/// Tokens of a range in their order, behind `from`.
fn range(db: &mut Db, scope: &Scope, prefix: &str, from: Option<&Place>, limit: i64) -> Result<Vec<Place>> {
    let Some(facilities) = scope.ids() else { return part(db, None, &[], prefix, from, limit) };
    if facilities.len() > ONE_BY_ONE {
        return part(db, None, facilities, prefix, from, limit);
    }
    let mut all = Vec::new();
    for facility in facilities {
        all.extend(part(db, Some(*facility), &[], prefix, from, limit)?);
    }
    all.sort_unstable();
    all.truncate(usize::try_from(limit).unwrap_or_default());
    Ok(all)
}

/// The same at one facility, or at those of `among`; neither: everywhere.
fn part(
    db: &mut Db,
    only: Option<FacilityId>,
    among: &[FacilityId],
    prefix: &str,
    from: Option<&Place>,
    limit: i64,
) -> Result<Vec<Place>> {
    let mut query = resident_token::table
        .filter(resident_token::token.ge(from.map_or(prefix, |(token, _)| token.as_str()).to_owned()))
        // No character comes behind the last one there is.
        .filter(resident_token::token.lt(format!("{prefix}\u{10FFFF}")))
        .order((resident_token::token, resident_token::resident_id))
        .limit(limit)
        .select((resident_token::token, resident_token::resident_id))
        .into_boxed();
    if let Some((token, id)) = from {
        query = query.filter(resident_token::token.gt(token.clone()).or(resident_token::resident_id.gt(*id)));
    }
    if let Some(facility) = only {
        query = query.filter(resident_token::facility_id.eq(facility));
    }
    if !among.is_empty() {
        query = query.filter(resident_token::facility_id.eq_any(among.to_vec()));
    }
    Ok(query.load(db)?)
}
