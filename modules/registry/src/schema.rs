//! The registry's tables.

diesel::table! {
    facility (id) {
        id -> BigInt,
        kind -> Text,
        scenario -> Text,
        name -> Text,
        short_name -> Text,
        zone -> Text,
        phone -> Nullable<Text>,
        address -> Nullable<Text>,
    }
}

diesel::table! {
    place (id) {
        id -> BigInt,
        facility_id -> BigInt,
        parent_id -> Nullable<BigInt>,
        kind -> Text,
        name -> Text,
        label -> Text,
        path -> Text,
        tag_code -> Text,
    }
}

diesel::table! {
    resident (id) {
        id -> BigInt,
        facility_id -> BigInt,
        place_id -> Nullable<BigInt>,
        name -> Text,
        sex -> Text,
        birth_date -> Nullable<Date>,
        ability_level -> Nullable<SmallInt>,
        living_alone -> Bool,
        fall_risk_high -> Bool,
        phone -> Nullable<Text>,
        phone_sealed -> Nullable<Binary>,
        created_at -> Timestamp,
        name_rules -> SmallInt,
    }
}

diesel::table! {
    resident_token (facility_id, token, resident_id) {
        facility_id -> BigInt,
        token -> Text,
        resident_id -> BigInt,
    }
}

diesel::table! {
    resident_profile (resident_id) {
        resident_id -> BigInt,
        version -> Integer,
        household_region -> Nullable<Text>,
        residence_region -> Nullable<Text>,
        income_class -> Nullable<Text>,
        disability_kind -> Nullable<Text>,
        disability_grade -> Nullable<SmallInt>,
        living_situation -> Nullable<Text>,
        allergens -> Text,
        diet_texture -> Nullable<Text>,
        food_level -> Nullable<SmallInt>,
        drink_level -> Nullable<SmallInt>,
        diets -> Text,
        changed_at -> Timestamp,
        changed_by -> Nullable<BigInt>,
    }
}

diesel::table! {
    resident_status (id) {
        id -> BigInt,
        resident_id -> BigInt,
        status -> Text,
        from_at -> Timestamp,
        until_at -> Nullable<Timestamp>,
        recorded_at -> Timestamp,
        recorded_by -> Nullable<BigInt>,
        corrects -> Nullable<BigInt>,
        superseded_at -> Nullable<Timestamp>,
        superseded_by -> Nullable<BigInt>,
    }
}

diesel::table! {
    resident_consent (id) {
        id -> BigInt,
        resident_id -> BigInt,
        kind -> Text,
        given_at -> Timestamp,
        given_by -> Text,
        guardian -> Nullable<Text>,
        evidence -> Text,
        recorded_at -> Timestamp,
        recorded_by -> Nullable<BigInt>,
        revoked_at -> Nullable<Timestamp>,
        revoked_by -> Nullable<Text>,
        revocation_evidence -> Nullable<Text>,
        revocation_recorded_at -> Nullable<Timestamp>,
        revocation_recorded_by -> Nullable<BigInt>,
    }
}

diesel::table! {
    resident_card (id) {
        id -> BigInt,
        resident_id -> BigInt,
        number -> Text,
        state -> Text,
        held_number -> Nullable<Text>,
        issued_at -> Timestamp,
        changed_at -> Timestamp,
        changed_by -> Nullable<BigInt>,
    }
}

diesel::table! {
    resident_document (id) {
        id -> BigInt,
        kind -> Text,
        number_sealed -> Binary,
        changed_at -> Timestamp,
        changed_by -> Nullable<BigInt>,
    }
}

diesel::table! {
    resident_photo (resident_id) {
        resident_id -> BigInt,
        media_type -> Text,
        bytes -> Binary,
        changed_at -> Timestamp,
    }
}

diesel::table! {
    resident_contact (id) {
        id -> BigInt,
        resident_id -> BigInt,
        rank -> SmallInt,
        name -> Text,
        relation -> Text,
        phone -> Nullable<Text>,
        phone_sealed -> Nullable<Binary>,
        user_id -> Nullable<BigInt>,
    }
}

diesel::table! {
    staff (id) {
        id -> BigInt,
        facility_id -> BigInt,
        user_id -> Nullable<BigInt>,
        name -> Text,
        job -> Text,
        active -> Bool,
        phone -> Nullable<Text>,
        phone_sealed -> Nullable<Binary>,
    }
}

diesel::table! {
    shift (id) {
        id -> BigInt,
        facility_id -> BigInt,
        staff_id -> BigInt,
        duty -> Text,
        name -> Text,
        starts_at -> Timestamp,
        ends_at -> Timestamp,
    }
}

diesel::joinable!(place -> facility (facility_id));
diesel::joinable!(resident -> facility (facility_id));
diesel::joinable!(resident -> place (place_id));
diesel::joinable!(resident_contact -> resident (resident_id));
diesel::joinable!(staff -> facility (facility_id));
diesel::joinable!(shift -> facility (facility_id));
diesel::joinable!(shift -> staff (staff_id));
diesel::allow_tables_to_appear_in_same_query!(facility, place, resident, resident_contact, staff, shift);

songhe_kernel::tables_meet!(
    crate::schema::facility,
    songhe_kernel::identity::schema::scope_node,
    songhe_kernel::identity::schema::app_user
);
songhe_kernel::tables_meet!(crate::schema::staff, songhe_kernel::identity::schema::app_user);
songhe_kernel::tables_meet!(crate::schema::resident_contact, songhe_kernel::identity::schema::app_user);
