//! The kernel's orchestration tables. JSON is kept as TEXT on both databases: nothing here is queried by its content.

diesel::table! {
    meta (key) { key -> Text, value -> Text, }
}
diesel::table! {
    server_lease (number) { number -> SmallInt, instance -> Text, leased_until_ms -> BigInt, }
}
diesel::table! {
    server (instance) {
        instance -> Text,
        number -> SmallInt,
        name -> Text,
        mqtt_session -> Text,
        started_ms -> BigInt,
        beat_ms -> BigInt,
    }
}
diesel::table! {
    server_duty (duty) {
        duty -> Text,
        instance -> Nullable<Text>,
        number -> SmallInt,
        token -> BigInt,
        since_ms -> BigInt,
        until_ms -> BigInt,
    }
}
diesel::table! {
    open_stream (stream, instance) { stream -> Text, instance -> Text, user_id -> BigInt, }
}
diesel::table! {
    module_enabled (module, facility_id) { module -> Text, facility_id -> BigInt, enabled_at -> Timestamp, }
}
diesel::table! {
    event (seq) {
        seq -> BigInt,
        epoch -> BigInt,
        xid -> BigInt,
        kind -> Text,
        version -> SmallInt,
        facility_id -> Nullable<BigInt>,
        subject -> Text,
        actor_id -> Nullable<BigInt>,
        data -> Text,
        created_at -> Timestamp,
    }
}
diesel::table! {
    subscription (module) { module -> Text, epoch -> BigInt, xid -> BigInt, seq -> BigInt, }
}
diesel::table! {
    retry (id) {
        id -> BigInt,
        module -> Text,
        event_seq -> BigInt,
        subject -> Text,
        attempts -> Integer,
        next_at -> Timestamp,
        parked_at -> Nullable<Timestamp>,
        error -> Text,
    }
}
diesel::table! {
    timer (key) {
        key -> Text,
        module -> Text,
        kind -> Text,
        facility_id -> Nullable<BigInt>,
        data -> Text,
        due_at -> Timestamp,
        attempts -> Integer,
        parked_at -> Nullable<Timestamp>,
        error -> Nullable<Text>,
    }
}
diesel::table! {
    effect (id) {
        id -> BigInt,
        module -> Text,
        kind -> Text,
        subject -> Text,
        facility_id -> Nullable<BigInt>,
        target -> Text,
        payload -> Text,
        status -> Text,
        attempts -> Integer,
        next_at -> Timestamp,
        valid_until -> Timestamp,
        leased_until_ms -> BigInt,
        leased_by -> Nullable<Text>,
        error -> Nullable<Text>,
        created_at -> Timestamp,
        done_at -> Nullable<Timestamp>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(event, retry, module_enabled, subscription);
