//! Tables of identity.

diesel::table! {
    scope_node (id) {
        id -> BigInt,
        parent_id -> Nullable<BigInt>,
        kind -> Text,
        name -> Text,
        path -> Text,
    }
}

diesel::table! {
    app_user (id) {
        id -> BigInt,
        username -> Text,
        display_name -> Text,
        password_hash -> Text,
        locale -> Nullable<Text>,
        disabled -> Bool,
        created_at -> Timestamp,
        password_set_at -> Nullable<Timestamp>,
        one_time_until -> Nullable<Timestamp>,
        must_change -> Bool,
        signed_in_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    role_grant (id) {
        id -> BigInt,
        user_id -> BigInt,
        role -> Text,
        scope_id -> Nullable<BigInt>,
    }
}

diesel::table! {
    session (id) {
        id -> BigInt,
        token_hash -> Text,
        user_id -> BigInt,
        kind -> Text,
        csrf -> Text,
        created_at -> Timestamp,
        last_seen_at -> Timestamp,
        expires_at -> Timestamp,
        user_agent -> Nullable<Text>,
        address -> Nullable<Text>,
    }
}

diesel::table! {
    idempotency (scope, key) {
        scope -> Text,
        key -> Text,
        request_hash -> Text,
        body -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    role (name) {
        name -> Text,
        title -> Nullable<Text>,
        created_at -> Timestamp,
    }
}

diesel::table! {
    role_permission (role, permission) {
        role -> Text,
        permission -> Text,
        granted -> Bool,
    }
}

diesel::table! {
    api_token (id) {
        id -> BigInt,
        token_hash -> Text,
        user_id -> BigInt,
        name -> Text,
        permissions -> Text,
        facility_id -> Nullable<BigInt>,
        created_at -> Timestamp,
        expires_at -> Timestamp,
        last_used_at -> Nullable<Timestamp>,
        address -> Nullable<Text>,
    }
}

diesel::joinable!(session -> app_user (user_id));
diesel::joinable!(role_grant -> app_user (user_id));
diesel::joinable!(api_token -> app_user (user_id));
diesel::allow_tables_to_appear_in_same_query!(
    scope_node,
    app_user,
    role_grant,
    session,
    idempotency,
    role,
    role_permission,
    api_token,
);
