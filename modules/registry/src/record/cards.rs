//! Cards that residents carry: a number belongs to one resident at a time.

use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use songhe_kernel::db::{BothExt, Db, Tx};
use songhe_kernel::{Error, Moment, Result, Text, UserId};

use super::identity_number::normalised;
use super::tell;
use crate::residents::{lock, resident};
use crate::schema::resident_card;
use crate::text_enum::text_enum;
use crate::{CardId, ResidentId};

const NUMBER_CHARS: std::ops::RangeInclusive<usize> = 4..=32;

text_enum! {
    pub enum CardState {
        Active = "active",
        /// Reported lost: it opens and pays nothing, and is nobody else's.
        Lost = "lost",
        /// Given back or replaced; its number may be given to somebody.
        Replaced = "replaced",
    }
}

/// A card.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, JsonSchema)]
#[diesel(table_name = resident_card)]
pub struct Card {
    pub id: CardId,
    pub resident_id: ResidentId,
    /// As readers send it: capitals and digits.
    pub number: String,
    pub state: CardState,
    pub issued_at: Moment,
    pub changed_at: Moment,
    pub changed_by: Option<UserId>,
}

/// A card to be handed out.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCard {
    /// 4 to 32 letters and digits; blanks and hyphens are left out.
    pub number: String,
}

/// The number as it is stored and searched; `None` for what no card has.
pub(crate) fn card_number(typed: &str) -> Option<String> {
    let number = normalised(typed);
    let fits = NUMBER_CHARS.contains(&number.len()) && number.chars().all(|c| c.is_ascii_alphanumeric());
    fits.then_some(number)
}

/// A resident's cards, the last one issued in front.
pub fn cards(db: &mut Db, id: ResidentId) -> Result<Vec<Card>> {
    Ok(resident_card::table
        .filter(resident_card::resident_id.eq(id))
        .order(resident_card::id.desc())
        .select(Card::as_select())
        .load(db)?)
}

/// Whose a card is, if somebody has it (or has reported it lost).
pub fn card_by_number(db: &mut Db, typed: &str) -> Result<Option<Card>> {
    let Some(number) = card_number(typed) else { return Ok(None) };
    Ok(resident_card::table
        .filter(resident_card::held_number.eq(number))
        .select(Card::as_select())
        .first(db)
        .optional()?)
}

/// Hands out a card.
///
/// # Errors
/// `NotFound` when there is no such resident; `Invalid` on `number`, also when somebody has it.
pub fn add_card(tx: &mut Tx<'_>, id: ResidentId, new: &NewCard, actor: Option<UserId>) -> Result<CardId> {
    lock(tx, id)?;
    let person = resident(tx.db(), id)?.ok_or(Error::NotFound)?;
    let number =
        card_number(&new.number).ok_or_else(|| Error::field("number", Text::key("record-error-card-number")))?;
    let (card, now) = (CardId(tx.next_id()), tx.now());
    let added = diesel::insert_into(resident_card::table)
        .values((
            resident_card::id.eq(card),
            resident_card::resident_id.eq(id),
            resident_card::number.eq(&number),
            resident_card::held_number.eq(Some(&number)),
            resident_card::state.eq(CardState::Active),
            resident_card::issued_at.eq(now),
            resident_card::changed_at.eq(now),
            resident_card::changed_by.eq(actor),
        ))
        .on_conflict(resident_card::held_number)
        .do_nothing()
        .both()
        .execute(tx.db())?;
    if added == 0 {
        return Err(Error::field("number", Text::key("record-error-card-taken")));
    }
    tell(tx, "registry.card.changed", person.facility_id, id, actor, json!({ "card_id": card, "state": "active" }))?;
    Ok(card)
}

/// Reports a card lost, found again, or replaced.
///
/// # Errors
/// `NotFound` when the resident has no such card; `Conflict` when it was replaced.
pub fn set_card_state(
    tx: &mut Tx<'_>,
    id: ResidentId,
    card: CardId,
    state: CardState,
    actor: Option<UserId>,
) -> Result<()> {
    lock(tx, id)?;
    let person = resident(tx.db(), id)?.ok_or(Error::NotFound)?;
    let found = cards(tx.db(), id)?.into_iter().find(|one| one.id == card).ok_or(Error::NotFound)?;
    if found.state == state {
        return Ok(());
    }
    if found.state == CardState::Replaced {
        return Err(Error::conflict("record-error-card-replaced"));
    }
    let held = (state != CardState::Replaced).then_some(found.number);
    let now = tx.now();
    diesel::update(resident_card::table.find(card))
        .set((
            resident_card::state.eq(state),
            resident_card::held_number.eq(held),
            resident_card::changed_at.eq(now),
            resident_card::changed_by.eq(actor),
        ))
        .execute(tx.db())?;
    tell(tx, "registry.card.changed", person.facility_id, id, actor, json!({ "card_id": card, "state": state }))
}
