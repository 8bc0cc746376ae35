//! Tables of this module.

diesel::table! {
    device (id) {
        id -> BigInt,
        facility_id -> BigInt,
        serial -> Text,
        class -> Text,
        adapter -> Text,
        name -> Text,
        place_id -> Nullable<BigInt>,
        resident_id -> Nullable<BigInt>,
        secret_hash -> Nullable<Text>,
        secret_at -> Nullable<Timestamp>,
        enabled -> Bool,
        created_at -> Timestamp,
        heartbeat -> Text,
        silence_s -> Integer,
        status -> Text,
        status_reason -> Nullable<Text>,
        status_at -> Nullable<Timestamp>,
        status_by -> Nullable<BigInt>,
        commissioned_at -> Nullable<Timestamp>,
        test_until -> Nullable<Timestamp>,
        old_secret_hash -> Nullable<Text>,
        old_secret_until -> Nullable<Timestamp>,
        secret_cut_at -> Nullable<Timestamp>,
    }
}
diesel::table! {
    heartbeat_limit (facility_id, heartbeat) {
        facility_id -> BigInt,
        heartbeat -> Text,
        silence_s -> Integer,
    }
}
diesel::table! {
    device_watch (id) {
        id -> BigInt,
        swept_at -> Timestamp,
        listening_since -> Timestamp,
    }
}
diesel::table! {
    device_fault (device_id, kind) {
        device_id -> BigInt,
        kind -> Text,
        since -> Timestamp,
        group_key -> Nullable<Text>,
        raised_at -> Timestamp,
        grace_until -> Nullable<Timestamp>,
    }
}
diesel::table! {
    device_loan (id) {
        id -> BigInt,
        device_id -> BigInt,
        resident_id -> BigInt,
        lent_at -> Timestamp,
        lent_by -> Nullable<BigInt>,
        due_on -> Date,
        note -> Text,
        returned_at -> Nullable<Timestamp>,
        returned_by -> Nullable<BigInt>,
    }
}
diesel::table! {
    device_command (id) {
        id -> BigInt,
        device_id -> BigInt,
        action -> Text,
        params -> Text,
        expects -> Text,
        state -> Text,
        detail -> Nullable<Text>,
        requested_at -> Timestamp,
        requested_by -> Nullable<BigInt>,
        valid_until -> Timestamp,
        sent_at -> Nullable<Timestamp>,
        done_at -> Nullable<Timestamp>,
    }
}
diesel::table! {
    device_binding (id) {
        id -> BigInt,
        device_id -> BigInt,
        place_id -> Nullable<BigInt>,
        resident_id -> Nullable<BigInt>,
        bound_at -> Timestamp,
        unbound_at -> Nullable<Timestamp>,
        bound_by -> Nullable<BigInt>,
    }
}
diesel::table! {
    device_health (device_id) {
        device_id -> BigInt,
        last_seen_at -> Timestamp,
        online -> Nullable<Bool>,
        firmware -> Nullable<Text>,
    }
}
diesel::table! {
    inbox (device_id, message_id) {
        device_id -> BigInt,
        message_id -> Text,
        received_at -> Timestamp,
        raw -> Nullable<Binary>,
    }
}
diesel::table! {
    quarantine (id) {
        id -> BigInt,
        source -> Text,
        serial -> Nullable<Text>,
        topic -> Text,
        payload -> Binary,
        payload_bytes -> Integer,
        reason -> Text,
        detail -> Text,
        received_at -> Timestamp,
        retained -> Bool,
    }
}
diesel::table! {
    gateway (device_id) {
        device_id -> BigInt,
        base_topic -> Text,
    }
}
diesel::table! {
    gateway_member (gateway_id, serial) {
        gateway_id -> BigInt,
        serial -> Text,
        name -> Text,
        model -> Text,
        vendor -> Text,
        told_at -> Timestamp,
    }
}
diesel::table! {
    call_action (device_id, action) {
        device_id -> BigInt,
        action -> Text,
    }
}
diesel::table! {
    observation (seq) {
        seq -> BigInt,
        id -> BigInt,
        device_id -> BigInt,
        facility_id -> BigInt,
        place_id -> Nullable<BigInt>,
        resident_id -> Nullable<BigInt>,
        kind -> Text,
        value_micro -> Nullable<BigInt>,
        unit -> Nullable<Text>,
        active -> Nullable<Bool>,
        quality -> Text,
        historical -> Bool,
        detail -> Nullable<Text>,
        message_id -> Text,
        observed_at -> Timestamp,
        received_at -> Timestamp,
    }
}
diesel::table! {
    observation_hour (device_id, kind, starts_at) {
        device_id -> BigInt,
        kind -> Text,
        starts_at -> Timestamp,
        n -> BigInt,
        other -> BigInt,
        events -> BigInt,
        sum_micro -> Double,
        min_micro -> Nullable<BigInt>,
        max_micro -> Nullable<BigInt>,
        last_micro -> Nullable<BigInt>,
        last_at -> Nullable<Timestamp>,
    }
}
diesel::table! {
    observation_day (device_id, kind, starts_at) {
        device_id -> BigInt,
        kind -> Text,
        starts_at -> Timestamp,
        n -> BigInt,
        other -> BigInt,
        events -> BigInt,
        sum_micro -> Double,
        min_micro -> Nullable<BigInt>,
        max_micro -> Nullable<BigInt>,
        last_micro -> Nullable<BigInt>,
        last_at -> Nullable<Timestamp>,
    }
}
diesel::table! {
    rollup_cursor (name) {
        name -> Text,
        seq -> BigInt,
    }
}
diesel::table! {
    device_state (device_id, kind) {
        device_id -> BigInt,
        kind -> Text,
        value_micro -> Nullable<BigInt>,
        unit -> Nullable<Text>,
        active -> Nullable<Bool>,
        quality -> Text,
        observed_at -> Timestamp,
    }
}
diesel::table! {
    threshold_rule (id) {
        id -> BigInt,
        facility_id -> BigInt,
        name -> Text,
        measure -> Text,
        above_micro -> Nullable<BigInt>,
        below_micro -> Nullable<BigInt>,
        hysteresis_micro -> BigInt,
        onset_seconds -> Integer,
        priority -> Text,
        enabled -> Bool,
    }
}
diesel::table! {
    rule_state (rule_id, device_id) {
        rule_id -> BigInt,
        device_id -> BigInt,
        since -> Timestamp,
        observation -> Text,
        raised -> Bool,
    }
}
diesel::table! {
    device_test (id) {
        id -> BigInt,
        device_id -> BigInt,
        facility_id -> BigInt,
        kind -> Text,
        expects -> Text,
        state -> Text,
        started_at -> Timestamp,
        started_by -> Nullable<BigInt>,
        ends_at -> Timestamp,
        told -> Nullable<Text>,
        observed_at -> Nullable<Timestamp>,
        received_at -> Nullable<Timestamp>,
        done_at -> Nullable<Timestamp>,
        shown_at -> Nullable<Timestamp>,
    }
}
diesel::table! {
    device_test_plan (facility_id) {
        facility_id -> BigInt,
        interval_days -> Integer,
        window_seconds -> Integer,
    }
}
diesel::table! {
    device_test_exempt (device_id) {
        device_id -> BigInt,
        exempt_by -> BigInt,
        exempt_at -> Timestamp,
    }
}

diesel::joinable!(gateway_member -> gateway (gateway_id));
diesel::allow_tables_to_appear_in_same_query!(
    device,
    device_health,
    device_state,
    observation,
    quarantine,
    gateway,
    gateway_member,
    call_action,
    device_test,
    device_test_exempt,
    device_fault,
    device_command
);

songhe_kernel::tables_meet!(crate::schema::device, songhe_registry::schema::place, songhe_registry::schema::resident);
