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
