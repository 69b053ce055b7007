//! The tables, as the migrations make them.

diesel::table! {
    streams (id) {
        id -> BigInt,
        kind -> Text,
        name -> Text,
        epoch -> Text,
        last_seq -> BigInt,
        status -> Text,
        title -> Nullable<Text>,
        phase -> Nullable<Text>,
        speaker -> Nullable<Text>,
        turn_count -> BigInt,
        summary -> Nullable<Text>,
        created_at -> BigInt,
        last_activity_at -> BigInt,
    }
}

diesel::table! {
    events (stream_id, seq) {
        stream_id -> BigInt,
        seq -> BigInt,
        name -> Text,
        data -> Text,
        published_at -> BigInt,
    }
}

diesel::table! {
    idempotency_keys (stream_id, name) {
        stream_id -> BigInt,
        name -> Text,
        digest -> Binary,
        first_seq -> BigInt,
        created_at -> BigInt,
    }
}
