//! Tables of the audit log.

diesel::table! {
    audit (id) {
        id -> BigInt,
        epoch -> BigInt,
        xid -> BigInt,
        at -> Timestamp,
        actor_kind -> Text,
        actor_id -> Nullable<BigInt>,
        action -> Text,
        subject -> Text,
        facility_id -> Nullable<BigInt>,
        person_id -> Nullable<BigInt>,
        value_before -> Nullable<Text>,
        value_after -> Nullable<Text>,
        address -> Nullable<Text>,
        request_id -> Nullable<Text>,
        session -> Nullable<Text>,
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    audit_seal (seq) {
        seq -> BigInt,
        key_id -> Text,
        epoch -> BigInt,
        xid -> BigInt,
        last_id -> BigInt,
        row_count -> Integer,
        newest_at -> Timestamp,
        sealed_at -> Timestamp,
        listing -> Nullable<Binary>,
        listing_hash -> Text,
        previous -> Text,
        mac -> Text,
        purged_at -> Nullable<Timestamp>,
        purge_mac -> Nullable<Text>,
    }
}
