//! Tables of this module.

diesel::table! {
    ladder (id) {
        id -> BigInt,
        facility_id -> BigInt,
        scenario -> Nullable<Text>,
        priority -> Text,
        name -> Text,
        repeat_seconds -> Integer,
        active -> Bool,
        updated_at -> Timestamp,
    }
}
diesel::table! {
    ladder_rung (ladder_id, position) {
        ladder_id -> BigInt,
        position -> Integer,
        after_seconds -> Integer,
        target -> Text,
        rank -> Nullable<Integer>,
        channel -> Text,
    }
}
diesel::table! {
    incident (id) {
        id -> BigInt,
        open_key -> Nullable<Text>,
        facility_id -> BigInt,
        scenario -> Text,
        kind -> Text,
        priority -> Text,
        status -> Text,
        place_id -> Nullable<BigInt>,
        place_label -> Text,
        resident_id -> Nullable<BigInt>,
        device_id -> Nullable<BigInt>,
        source -> Text,
        detail -> Text,
        cause -> Nullable<Text>,
        observed_at -> Timestamp,
        raised_at -> Timestamp,
        delayed_s -> Nullable<BigInt>,
        presses -> Integer,
        last_signal_at -> Timestamp,
        round -> Integer,
        repeats -> Integer,
        notified_at -> Nullable<Timestamp>,
        acknowledged_at -> Nullable<Timestamp>,
        acknowledged_by -> Nullable<BigInt>,
        arrived_at -> Nullable<Timestamp>,
        arrived_by -> Nullable<BigInt>,
        resolved_at -> Nullable<Timestamp>,
        resolved_by -> Nullable<BigInt>,
        outcome -> Nullable<Text>,
        resolution -> Nullable<Text>,
        version -> Integer,
    }
}
diesel::table! {
    incident_entry (id) {
        id -> BigInt,
        incident_id -> BigInt,
        at -> Timestamp,
        kind -> Text,
        actor_id -> Nullable<BigInt>,
        data -> Text,
    }
}
diesel::table! {
    incident_rung (incident_id, round, position) {
        incident_id -> BigInt,
        round -> Integer,
        position -> Integer,
        target -> Text,
        rank -> Nullable<Integer>,
        channel -> Text,
        due_at -> Timestamp,
        state -> Text,
        reason -> Nullable<Text>,
        done_at -> Nullable<Timestamp>,
        who -> Text,
        effect_id -> Nullable<BigInt>,
    }
}
diesel::table! {
    webhook_endpoint (id) {
        id -> BigInt,
        facility_id -> BigInt,
        target -> Text,
        name -> Text,
        url -> Text,
        secret -> Text,
        active -> Bool,
        created_at -> Timestamp,
        kind -> Text,
        settings -> Text,
        recipients -> Text,
        locale -> Text,
        follow -> Bool,
    }
}
diesel::table! {
    message_template (facility_id, locale, occasion) {
        facility_id -> BigInt,
        locale -> Text,
        occasion -> Text,
        body -> Text,
        updated_at -> Timestamp,
    }
}
diesel::table! {
    board_stream (stream) {
        stream -> Text,
        user_id -> BigInt,
        sound_on -> Bool,
        seen_at -> Timestamp,
    }
}

diesel::table! {
    response_target (id) {
        id -> BigInt,
        facility_id -> BigInt,
        set_at -> Timestamp,
        set_by -> BigInt,
        answer_seconds -> Integer,
        answer_per_mille -> Integer,
        last_seconds -> Integer,
        last_per_mille -> Integer,
        on_site_seconds -> Integer,
    }
}

diesel::allow_tables_to_appear_in_same_query!(incident, incident_entry, incident_rung);
