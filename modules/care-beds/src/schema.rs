//! The tables of this module.

diesel::table! {
    care_bed (id) {
        id -> BigInt,
        facility_id -> BigInt,
        resident_id -> BigInt,
        place_id -> BigInt,
        status -> Text,
        opened_on -> Date,
        note -> Nullable<Text>,
        created_at -> Timestamp,
    }
}

diesel::table! {
    care_bed_call (incident_id) {
        incident_id -> BigInt,
        care_bed_id -> BigInt,
        facility_id -> BigInt,
        kind -> Text,
        raised_at -> Timestamp,
        response_s -> Nullable<BigInt>,
        on_site_s -> Nullable<BigInt>,
        outcome -> Nullable<Text>,
        resolved_at -> Nullable<Timestamp>,
        false_alarm -> Bool,
    }
}

songhe_kernel::tables_meet!(
    crate::schema::care_bed,
    songhe_registry::schema::resident,
    songhe_registry::schema::place,
    songhe_incidents::schema::incident
);
