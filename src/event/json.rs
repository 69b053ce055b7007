//! One pass over JSON that has already been parsed: white space goes, bounds are kept, nothing is rounded.
//!
//! serde_json checks a `RawValue`'s syntax but neither its depth nor its surrogates, and re-writing it
//! through a `Value` would lose digits and duplicate keys.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_path_to_error::{Error as Misplaced, Track};

/// How deeply arrays and objects may be nested.
pub(crate) const MAX_DEPTH: usize = 64;

/// Why valid JSON was refused all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Nested more deeply than any reader should have to follow.
    #[error("the JSON is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// A `\ud800`-like escape that is half a character.
    #[error("the JSON has a lone surrogate, which is not a character")]
    LoneSurrogate,
}

/// Reads a derived struct from an object only: serde would take an array of the fields' values, too.
pub(crate) fn object<'de, T, D>(deserializer: D, expected: &'static str) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct Object<T>(&'static str, PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<T, M::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(Object(expected, PhantomData))
}

/// Reads JSON into its shape, or says where in it what is wrong.
pub(crate) fn read<'a, T: Deserialize<'a>>(
    json: &'a str,
) -> Result<T, Misplaced<serde_json::Error>> {
    // To keep track of where one is costs as much as to read: that is done only when it has to be said.
    serde_json::from_str(json).map_err(|error| {
        let tracked =
            serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_str(json));
        // What only follows it is no part of its shape.
        tracked.err().unwrap_or_else(|| Misplaced::new(Track::new().path(), error))
    })
}

/// What is wrong with some JSON, without serde_json's own account of where (" at line 1 column 9"): that is
/// said by a path, or of a text that its author never saw.
pub(crate) fn reason(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.split(" at line ").next().unwrap_or_default().to_owned()
}

/// Removes the white space between the tokens of `json`, which must be valid.
pub(crate) fn compact(json: &str) -> Result<String, JsonError> {
    let mut compact = String::with_capacity(json.len());
    let mut depth = 0_usize;
    let mut rest = json;
    while let Some(character) = rest.chars().next() {
        let taken = match character {
            '"' => string_len(rest)?,
            ' ' | '\t' | '\n' | '\r' => {
                rest = rest.trim_start_matches([' ', '\t', '\n', '\r']);
                continue;
            }
            '{' | '[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(JsonError::TooDeep);
                }
                1
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                1
            }
            other => other.len_utf8(),
        };
        let (token, tail) = rest.split_at(taken);
        compact.push_str(token);
        rest = tail;
    }
    Ok(compact)
}

/// The length in bytes of the string that `json` starts with, both quotes counted.
fn string_len(json: &str) -> Result<usize, JsonError> {
    let mut at = 1;
    loop {
        let rest = json.get(at..).unwrap_or_default();
        let Some(found) = memchr::memchr2(b'"', b'\\', rest.as_bytes()) else {
            return Ok(json.len());
        };
        at += found;
        let rest = json.get(at..).unwrap_or_default();
        if rest.starts_with('"') {
            return Ok(at + 1);
        }
        at += escape_len(rest)?;
    }
}

/// The length in bytes of the escape that `text` starts with; a pair of surrogates is one escape.
fn escape_len(text: &str) -> Result<usize, JsonError> {
    let Some(first) = utf16_unit(text) else {
        return Ok(2);
    };
    let second = text.get(6..).and_then(utf16_unit);
    match char::decode_utf16([first].into_iter().chain(second)).next() {
        Some(Ok(character)) => Ok(6 * character.len_utf16()),
        _ => Err(JsonError::LoneSurrogate),
    }
}

/// The UTF-16 unit of the `\uXXXX` that `text` starts with.
fn utf16_unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_white_space_between_tokens_goes() {
        for (json, expected) in [
            ("null", "null"),
            (" [ 1 ,\t2\r\n, 3 ] ", "[1,2,3]"),
            (r#"{ "a b" : " c\" d " , "e\\" : 1e400 }"#, r#"{"a b":" c\" d ","e\\":1e400}"#),
            ("{\n \"é\" : \"\u{2028} \u{1f3a4}\"\n}", "{\"é\":\"\u{2028} \u{1f3a4}\"}"),
            (r#""\ud83c\udfa4 \u0000""#, r#""\ud83c\udfa4 \u0000""#),
        ] {
            assert_eq!(compact(json).as_deref(), Ok(expected), "{json}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_what_follows_is_wrong_too() {
        for (json, expected) in [
            ("[[1],[2]]", None),
            (" [] ", None),
            (r#"[[1],[2,"x"]]"#, Some(("[1][1]", true))),
            ("{}", Some((".", true))),
            ("[[1],[2]", Some((".", false))),
            ("[[1],[2]] x", Some((".", false))),
            ("[[1]][[2]]", Some((".", false))),
        ] {
            let error = read::<Vec<Vec<u8>>>(json).err();
            let seen = error.map(|error| (error.path().to_string(), error.inner().is_data()));
            assert_eq!(seen, expected.map(|(path, is_data)| (path.to_owned(), is_data)), "{json}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(compact(&nested(64)).is_ok());
        assert_eq!(compact(&nested(65)), Err(JsonError::TooDeep));
        assert_eq!(compact(&nested(100_000)), Err(JsonError::TooDeep));
        assert!(
            compact(&format!("[{}]", vec!["[]"; 100].join(","))).is_ok(),
            "siblings are no depth"
        );
    }

    #[test]
    fn half_a_character_is_refused() {
        for json in
            [r#""\ud83c""#, r#""\udfa4""#, r#""\ud83c x""#, r#""\ud83c\u0041""#, r#"{"\udfa4":1}"#]
        {
            assert_eq!(compact(json), Err(JsonError::LoneSurrogate), "{json}");
        }
    }
}
