//! The vault's tables. No key stands in them but wrapped.

diesel::table! {
    vault_key (purpose, number) {
        purpose -> Text,
        number -> SmallInt,
        proof -> Binary,
        active -> Bool,
        added_at -> Timestamp,
    }
}
diesel::table! {
    person_key (id) {
        id -> BigInt,
        kind -> Text,
        subject_id -> BigInt,
        algorithm -> Text,
        wrapped -> Binary,
        master -> SmallInt,
        created_at -> Timestamp,
        destroyed_at -> Nullable<Timestamp>,
    }
}
diesel::table! {
    blind_index (key_id, row_id, field, part, number) {
        key_id -> BigInt,
        row_id -> BigInt,
        field -> Text,
        part -> SmallInt,
        number -> SmallInt,
        digest -> BigInt,
    }
}
