//! What a resident has agreed to: given and revoked with dates, by whom, on what evidence. Nothing is erased.

use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use songhe_kernel::db::{Db, Tx};
use songhe_kernel::{Error, Moment, Result, Text, UserId};

use super::tell;
use crate::check::{Check, MAX_NAME_CHARS};
use crate::residents::{lock, resident};
use crate::schema::resident_consent;
use crate::text_enum::text_enum;
use crate::{ConsentId, ResidentId};

const MAX_EVIDENCE_CHARS: usize = 200;

text_enum! {
    pub enum ConsentKind {
        /// Pictures of where they live.
        Camera = "camera",
        /// Where they are.
        Position = "position",
        /// Relatives see what concerns them.
        FamilyView = "family_view",
        /// Data goes to others than those who look after them.
        DataSharing = "data_sharing",
    }
}

text_enum! {
    /// Who gave or took back a consent.
    pub enum ConsentBy {
        Resident = "self",
        Guardian = "guardian",
    }
}

/// A consent, revoked or not.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, JsonSchema)]
#[diesel(table_name = resident_consent)]
pub struct Consent {
    pub id: ConsentId,
    pub resident_id: ResidentId,
    pub kind: ConsentKind,
    pub given_at: Moment,
    pub given_by: ConsentBy,
    /// The guardian's name.
    pub guardian: Option<String>,
    /// Where the proof is: a form's number, a recording.
    pub evidence: String,
    pub recorded_at: Moment,
    pub recorded_by: Option<UserId>,
    /// The first moment at which it does not hold any more.
    pub revoked_at: Option<Moment>,
    pub revoked_by: Option<ConsentBy>,
    pub revocation_evidence: Option<String>,
    pub revocation_recorded_at: Option<Moment>,
    pub revocation_recorded_by: Option<UserId>,
}

/// A consent to be recorded.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewConsent {
    pub kind: ConsentKind,
    /// Not in the future.
    pub given_at: Moment,
    pub given_by: ConsentBy,
    /// 1 to 60 characters; asked for when a guardian gave it.
    #[serde(default)]
    pub guardian: Option<String>,
    /// 1 to 200 characters: where the proof is.
    pub evidence: String,
}

/// The end of a consent.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Not in the future, not before it was given.
    pub revoked_at: Moment,
    pub revoked_by: ConsentBy,
    /// 1 to 200 characters.
    pub evidence: String,
}

/// What a resident agrees to at a moment, by what is known now.
pub fn consents_on(db: &mut Db, id: ResidentId, at: Moment) -> Result<Vec<ConsentKind>> {
    let mut kinds: Vec<ConsentKind> = resident_consent::table
        .filter(resident_consent::resident_id.eq(id).and(resident_consent::given_at.le(at)))
        .filter(resident_consent::revoked_at.is_null().or(resident_consent::revoked_at.gt(at)))
        .select(resident_consent::kind)
        .load(db)?;
    kinds.sort_unstable();
    kinds.dedup();
    Ok(kinds)
}

/// All that was ever given, the last one in front.
pub fn consent_history(db: &mut Db, id: ResidentId) -> Result<Vec<Consent>> {
    Ok(resident_consent::table
        .filter(resident_consent::resident_id.eq(id))
        .order(resident_consent::id.desc())
        .select(Consent::as_select())
        .load(db)?)
}

/// Records a consent.
///
/// # Errors
/// `NotFound` when there is no such resident; `Invalid` on `kind` (it holds already), `given_at`, `guardian`, `evidence`.
pub fn give_consent(tx: &mut Tx<'_>, id: ResidentId, new: &NewConsent, actor: Option<UserId>) -> Result<ConsentId> {
    lock(tx, id)?;
    let person = resident(tx.db(), id)?.ok_or(Error::NotFound)?;
    let now = tx.now();
    let mut check = Check::default();
    let evidence = check.words("evidence", &new.evidence, MAX_EVIDENCE_CHARS);
    let guardian = match new.given_by {
        ConsentBy::Resident => None,
        ConsentBy::Guardian => {
            Some(check.words("guardian", new.guardian.as_deref().unwrap_or_default(), MAX_NAME_CHARS))
        }
    };
    if new.given_at > now {
        check.refuse("given_at", Text::key("record-error-future"));
    }
    // Of one kind one holds at a time: revoking it must end it.
    if consent_history(tx.db(), id)?
        .iter()
        .any(|given| given.kind == new.kind && given.revoked_at.is_none_or(|end| end > new.given_at))
    {
        check.refuse("kind", Text::key("record-error-consent-holds"));
    }
    check.finish()?;
    let consent = ConsentId(tx.next_id());
    diesel::insert_into(resident_consent::table)
        .values((
            resident_consent::id.eq(consent),
            resident_consent::resident_id.eq(id),
            resident_consent::kind.eq(new.kind),
            resident_consent::given_at.eq(new.given_at),
            resident_consent::given_by.eq(new.given_by),
            resident_consent::guardian.eq(guardian),
            resident_consent::evidence.eq(evidence),
            resident_consent::recorded_at.eq(now),
            resident_consent::recorded_by.eq(actor),
        ))
        .execute(tx.db())?;
    let data = json!({ "consent_id": consent, "kind": new.kind, "given_at": new.given_at });
    tell(tx, "registry.consent.given", person.facility_id, id, actor, data)?;
    Ok(consent)
}

/// Ends a consent.
///
/// # Errors
/// `NotFound` when the resident has no such consent; `Conflict` when it was revoked before; `Invalid` on `revoked_at` or
/// `evidence`.
pub fn revoke_consent(
    tx: &mut Tx<'_>,
    id: ResidentId,
    consent: ConsentId,
    end: &Revocation,
    actor: Option<UserId>,
) -> Result<()> {
    lock(tx, id)?;
    let person = resident(tx.db(), id)?.ok_or(Error::NotFound)?;
    let row =
        resident_consent::table.filter(resident_consent::id.eq(consent).and(resident_consent::resident_id.eq(id)));
    let given: Consent = row.select(Consent::as_select()).first(tx.db()).optional()?.ok_or(Error::NotFound)?;
    if given.revoked_at.is_some() {
        return Err(Error::conflict("record-error-consent-revoked"));
    }
    let now = tx.now();
    let mut check = Check::default();
    let evidence = check.words("evidence", &end.evidence, MAX_EVIDENCE_CHARS);
    if end.revoked_at > now {
        check.refuse("revoked_at", Text::key("record-error-future"));
    } else if end.revoked_at <= given.given_at {
        check.refuse("revoked_at", Text::key("error-end-before-start"));
    }
    check.finish()?;
    diesel::update(resident_consent::table.find(consent))
        .set((
            resident_consent::revoked_at.eq(Some(end.revoked_at)),
            resident_consent::revoked_by.eq(Some(end.revoked_by)),
            resident_consent::revocation_evidence.eq(Some(evidence)),
            resident_consent::revocation_recorded_at.eq(Some(now)),
            resident_consent::revocation_recorded_by.eq(actor),
        ))
        .execute(tx.db())?;
    let data = json!({ "consent_id": consent, "kind": given.kind, "revoked_at": end.revoked_at });
    tell(tx, "registry.consent.revoked", person.facility_id, id, actor, data)
}
