//! Which tokens are taken, and where they may stand.

use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{Jwk, JwkSet, PublicKeyUse},
};
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256,
};
use serde_json::{Value, json, value::RawValue};

use super::{Guarded, NO_GRANT, NO_TOKEN, assert_refused, claims, file, hs256, invalid, now_secs};
use crate::helpers::{clearside, eventually, run};

const STATS: &str = "/api/stats";
const MALFORMED: &str = "the token is malformed";
const SIGNATURE: &str = "the token is not signed by a key of this server";
const EXPIRED: &str = "the token has expired";
const NOT_YET: &str = "the token is not valid yet";
const FOREIGN: &str = "the token is for another audience or from another issuer";

/// A key on another curve, whose points are as long as those of P-256.
const SECP256K1: &str = "-----BEGIN PUBLIC KEY-----
MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAE74+bpM2CC2D78mC3nunHQDFDnvLLiIjt
56s+NlpOB7Hum92nb7bsJIL+CQTbHXT9Eknn2w2SIQqyci4Azvr82g==
-----END PUBLIC KEY-----
";

fn stats() -> Value {
    json!({ "stats": true })
}

/// Signs claims as they are written here, whatever they are.
fn sign_raw(header: &Header, claims: &str, key: &EncodingKey) -> String {
    jsonwebtoken::encode(header, &RawValue::from_string(claims.to_owned()).unwrap(), key).unwrap()
}

async fn check(server: &Guarded, what: &str, token: &str, rejected: Option<&str>) {
    let answer = server.get(STATS, token).await;
    match rejected {
        None => assert_eq!(answer.status(), 200, "{what}: {}", answer.text()),
        Some(reason) => {
            assert_refused(&answer, 401, "invalid_token", Some(&invalid(reason)), what);
            assert_eq!(answer.message(), reason, "{what}");
        }
    }
}

#[actix_web::test]
async fn a_token_is_taken_only_if_its_claims_are_as_they_have_to_be() {
    let server = Guarded::start(&[]).await;
    let key = EncodingKey::from_secret(super::SECRET.as_bytes());
    let (soon, past, now) = (now_secs() + 600, now_secs() - 1, now_secs());
    let far = u64::MAX;
    for (claims, rejected) in [
        (format!(r#"{{"exp":{soon},"clearside":{{"stats":true}}}}"#), None),
        (format!(r#"{{"exp":{soon}.5,"clearside":{{"stats":true}}}}"#), None),
        (format!(r#"{{"exp":{far},"clearside":{{"stats":true}}}}"#), None),
        (format!(r#"{{"exp":{soon},"nbf":{},"clearside":{{"stats":true}}}}"#, now + 3), None),
        (
            format!(r#"{{"exp":{soon},"nbf":{},"clearside":{{"stats":true}}}}"#, now + 60),
            Some(NOT_YET),
        ),
        (
            format!(r#"{{"exp":{soon},"nbf":"{now}","clearside":{{"stats":true}}}}"#),
            Some(MALFORMED),
        ),
        (r#"{"clearside":{"stats":true}}"#.into(), Some(MALFORMED)),
        (format!(r#"{{"exp":"{soon}","clearside":{{"stats":true}}}}"#), Some(MALFORMED)),
        (r#"{"exp":-1,"clearside":{"stats":true}}"#.into(), Some(MALFORMED)),
        (r#"{"exp":1e400,"clearside":{"stats":true}}"#.into(), Some(MALFORMED)),
        (r#"{"exp":null,"clearside":{"stats":true}}"#.into(), Some(MALFORMED)),
        (r#"{"exp":0,"clearside":{"stats":true}}"#.into(), Some(EXPIRED)),
        (format!(r#"{{"exp":{past},"clearside":{{"stats":true}}}}"#), Some(EXPIRED)),
        (format!(r#"{{"exp":{past},"exp":{soon},"clearside":{{"stats":true}}}}"#), Some(MALFORMED)),
        (format!(r#"{{"exp":{soon},"clearside":{{"stats":"yes"}}}}"#), Some(MALFORMED)),
        (
            format!(r#"{{"exp":{soon},"clearside":{{"stats":true,"publish":["everything"]}}}}"#),
            Some(MALFORMED),
        ),
        (format!(r#"{{"exp":{soon},"sub":7,"clearside":{{"stats":true}}}}"#), Some(MALFORMED)),
        (
            format!(r#"{{"exp":{soon},"aud":"another","clearside":{{"stats":true}}}}"#),
            Some(FOREIGN),
        ),
        (format!(r#"["exp",{soon}]"#), Some(MALFORMED)),
    ] {
        let token = sign_raw(&Header::new(Algorithm::HS256), &claims, &key);
        check(&server, &claims, &server.keep_secret(token), rejected).await;
    }
    // Good, and grants nothing.
    for claims in [format!(r#"{{"exp":{soon}}}"#), format!(r#"{{"exp":{soon},"clearside":{{}}}}"#)]
    {
        let token = sign_raw(&Header::new(Algorithm::HS256), &claims, &key);
        let (status, code, challenge) = NO_GRANT;
        assert_refused(&server.get(STATS, &token).await, status, code, challenge, &claims);
    }
}

#[actix_web::test]
async fn nothing_in_a_header_makes_a_key_or_changes_what_it_is_for() {
    let server = Guarded::start(&[]).await;
    let good = server.token(&stats());
    let key = EncodingKey::from_secret(super::SECRET.as_bytes());
    let stranger = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let stranger = EncodingKey::from_ec_pem(stranger.serialize_pem().as_bytes()).unwrap();
    let claims = claims(&stats());
    let sign = |header: &Header, key| jsonwebtoken::encode(header, &claims, key).unwrap();
    let header = || Header::new(Algorithm::HS256);

    let own_jwk = Jwk::from_encoding_key(&stranger, Algorithm::ES256).unwrap();
    let brings_key =
        Header { jwk: Some(own_jwk), kid: Some("x".into()), ..Header::new(Algorithm::ES256) };
    let names_key = Header {
        jku: Some("https://evil.example/jwks.json".into()),
        x5u: Some("https://evil.example".into()),
        ..Header::new(Algorithm::ES256)
    };
    let [head, payload, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"; // {"alg":"none","typ":"JWT"}
    let another = EncodingKey::from_secret(b"another secret of thirty-two bytes");
    for (what, token, rejected) in [
        ("as it is", good.clone(), None),
        (
            "an odd kid",
            sign(&Header { kid: Some("../../etc/passwd".into()), ..header() }, &key),
            None,
        ),
        ("another key", sign(&header(), &another), Some(SIGNATURE)),
        (
            "another algorithm of the family",
            sign(&Header::new(Algorithm::HS512), &key),
            Some(SIGNATURE),
        ),
        ("a key of its own", sign(&brings_key, &stranger), Some(SIGNATURE)),
        ("the address of a key", sign(&names_key, &stranger), Some(SIGNATURE)),
        (
            "something critical",
            sign(&Header { crit: Some(vec!["b64".into()]), ..header() }, &key),
            Some(MALFORMED),
        ),
        ("none", format!("{none}.{payload}."), Some(MALFORMED)),
        ("none, and signed", format!("{none}.{payload}.{signature}"), Some(MALFORMED)),
        ("no signature", format!("{head}.{payload}."), Some(SIGNATURE)),
        ("two parts", format!("{head}.{payload}"), Some(MALFORMED)),
        ("four parts", format!("{good}.x"), Some(MALFORMED)),
        ("nothing", String::new(), Some(MALFORMED)),
        ("no token", "abc".into(), Some(MALFORMED)),
    ] {
        check(&server, what, &token, rejected).await;
    }
}

#[actix_web::test]
async fn each_public_key_is_for_one_algorithm_and_no_secret() {
    let (soon, folder) = (claims(&stats()), tempfile::tempdir().unwrap());
    let pairs = [
        ("rsa", Algorithm::RS256, KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap()),
        ("ec", Algorithm::ES256, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()),
        ("ed", Algorithm::EdDSA, KeyPair::generate_for(&PKCS_ED25519).unwrap()),
    ];
    let files: Vec<_> =
        pairs.iter().map(|(name, _, pair)| file(&folder, name, &pair.public_key_pem())).collect();
    let args: Vec<_> =
        files.iter().flat_map(|file| ["--jwt-public-key", file.to_str().unwrap()]).collect();
    let server = Guarded::start_with(folder, &args).await;
    for (name, algorithm, pair) in &pairs {
        let pem = pair.serialize_pem();
        let key = private_key(*algorithm, &pem);
        let token = jsonwebtoken::encode(&Header::new(*algorithm), &soon, &key).unwrap();
        check(&server, name, &server.keep_secret(token), None).await;
        // What everybody knows, taken for a secret.
        for known in [pair.public_key_pem().into_bytes(), pair.public_key_raw().to_vec()] {
            let key = EncodingKey::from_secret(&known);
            let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &soon, &key).unwrap();
            check(&server, name, &token, Some(SIGNATURE)).await;
        }
    }
    let rsa = private_key(Algorithm::RS256, &pairs[0].2.serialize_pem());
    for algorithm in [Algorithm::RS512, Algorithm::PS256] {
        let token = jsonwebtoken::encode(&Header::new(algorithm), &soon, &rsa).unwrap();
        check(&server, "another algorithm of the family", &token, Some(SIGNATURE)).await;
    }
    check(&server, "a secret", &hs256(&soon), Some(SIGNATURE)).await;
}

fn private_key(algorithm: Algorithm, pem: &str) -> EncodingKey {
    match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(pem.as_bytes()),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(pem.as_bytes()),
        _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
    }
    .unwrap()
}

#[actix_web::test]
async fn a_set_of_keys_is_read_again_when_it_changes_and_is_kept_while_it_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let pair = || {
        EncodingKey::from_ec_pem(
            KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem().as_bytes(),
        )
        .unwrap()
    };
    let (old, new) = (pair(), pair());
    let jwk = |key: &EncodingKey, id: &str| {
        let mut jwk = Jwk::from_encoding_key(key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(id.to_owned());
        jwk
    };
    let set = |keys: Vec<Jwk>| serde_json::to_string(&JwkSet { keys }).unwrap();
    let mut encrypts = jwk(&new, "encrypts");
    encrypts.common.public_key_use = Some(PublicKeyUse::Encryption);
    let path = file(&folder, "jwks.json", &set(vec![encrypts, jwk(&old, "old")]));
    let server = Guarded::start_with(folder, &["--jwks", path.to_str().unwrap()]).await;
    let token = |key: &EncodingKey, id: Option<&str>| {
        let header = Header { kid: id.map(str::to_owned), ..Header::new(Algorithm::ES256) };
        server.keep_secret(jsonwebtoken::encode(&header, &claims(&stats()), key).unwrap())
    };
    let (by_old, by_new) = (token(&old, Some("old")), token(&new, Some("new")));
    check(&server, "the old key", &by_old, None).await;
    check(&server, "it, not named", &token(&old, None), None).await;
    check(&server, "it, by another name", &token(&old, Some("new")), Some(SIGNATURE)).await;
    check(&server, "the new key", &by_new, Some(SIGNATURE)).await;
    check(
        &server,
        "a key that is not for signatures",
        &token(&new, Some("encrypts")),
        Some(SIGNATURE),
    )
    .await;

    std::fs::write(&path, "{").unwrap();
    eventually("that it is found broken", || async { server.server.stderr().contains("--jwks") })
        .await;
    check(&server, "the old key still", &by_old, None).await;

    std::fs::write(&path, set(vec![jwk(&new, "new")])).unwrap();
    eventually("the new key", || async { server.get(STATS, &by_new).await.status() == 200 }).await;
    check(&server, "the old key, gone", &by_old, Some(SIGNATURE)).await;
}

#[actix_web::test]
async fn a_token_for_somebody_is_for_nobody_where_no_audience_is_set() {
    let server = Guarded::start(&[]).await;
    for aud in [json!("clearside"), json!(["x"]), json!([]), json!(""), json!(5), json!({})] {
        let mut claims = claims(&stats());
        claims["aud"] = aud.clone();
        let token = server.keep_secret(hs256(&claims));
        check(&server, &format!("for {aud}"), &token, Some(FOREIGN)).await;
    }
}

#[actix_web::test]
async fn audience_and_issuer_have_to_be_named_where_they_are_set() {
    let server =
        Guarded::start(&["--jwt-audience", "clearside", "--jwt-issuer", "https://id.example"])
            .await;
    for (what, aud, iss, rejected) in [
        ("both", json!("clearside"), json!("https://id.example"), None),
        ("one of several", json!(["x", "clearside"]), json!("https://id.example"), None),
        ("no audience", Value::Null, json!("https://id.example"), Some(FOREIGN)),
        ("another audience", json!("clearside2"), json!("https://id.example"), Some(FOREIGN)),
        ("no issuer", json!("clearside"), Value::Null, Some(FOREIGN)),
        ("another issuer", json!("clearside"), json!("https://id.example/"), Some(FOREIGN)),
        ("an audience that is none", json!(7), json!("https://id.example"), Some(FOREIGN)),
    ] {
        let mut claims = claims(&stats());
        let object = claims.as_object_mut().unwrap();
        for (name, value) in [("aud", aud), ("iss", iss)] {
            if !value.is_null() {
                object.insert(name.into(), value);
            }
        }
        check(&server, what, &server.keep_secret(hs256(&claims)), rejected).await;
    }
}

#[actix_web::test]
async fn the_header_wins_over_the_cookie_and_is_not_made_up_for_by_it() {
    let server = Guarded::start(&["--jwt-cookie", "session"]).await;
    let (good, bad) = (server.token(&stats()), server.token(&json!({})));
    let bearer = |token: &str| ("Authorization".to_owned(), format!("Bearer {token}"));
    let cookie = |text: String| ("Cookie".to_owned(), text);
    let malformed = invalid(MALFORMED);
    let two = Some(r#"Bearer error="invalid_request""#);
    for (what, headers, refused) in [
        ("the header", vec![bearer(&good)], None),
        ("in small letters", vec![("authorization".into(), format!("bearer {good}"))], None),
        ("the cookie", vec![cookie(format!("odd; a=b; session={good}; c"))], None),
        ("the header, and a bad cookie", vec![bearer(&good), cookie("session=x".into())], None),
        ("nothing", vec![], Some(NO_TOKEN)),
        (
            "another cookie",
            vec![cookie(format!("xsession={good}; clearside_token={good}"))],
            Some(NO_TOKEN),
        ),
        (
            "a bad header, and the cookie",
            vec![bearer("x"), cookie(format!("session={good}"))],
            Some((401, "invalid_token", Some(malformed.as_str()))),
        ),
        (
            "an empty header, and the cookie",
            vec![bearer(""), cookie(format!("session={good}"))],
            Some((401, "invalid_token", Some(malformed.as_str()))),
        ),
        (
            "a header that grants nothing, and the cookie",
            vec![bearer(&bad), cookie(format!("session={good}"))],
            Some(NO_GRANT),
        ),
        (
            "another scheme",
            vec![("Authorization".into(), format!("Basic {good}"))],
            Some((401, "invalid_token", Some(malformed.as_str()))),
        ),
        ("two headers", vec![bearer(&good), bearer(&good)], Some((400, "invalid_request", two))),
    ] {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let answer = server.send("GET", STATS, &headers, "").await;
        match refused {
            None => assert_eq!(answer.status(), 200, "{what}: {}", answer.text()),
            Some((status, code, challenge)) => {
                assert_refused(&answer, status, code, challenge, what)
            }
        }
    }
}

#[actix_web::test]
async fn the_command_makes_tokens_that_the_server_takes_and_checks_them_as_it_does() {
    let server = Guarded::start(&["--jwt-audience", "here"]).await;
    let secret = server.folder.path().join("secret");
    let secret = ["--jwt-secret-file", secret.to_str().unwrap(), "--jwt-audience", "here"];
    let create = [
        "token",
        "create",
        "--stats",
        "--publish",
        "debates/*,conversations/c1",
        "--subject",
        "an orchestrator",
        "--ttl",
        "90s",
    ];
    let made = run(clearside(&[&create[..], &secret].concat())).await;
    assert!(made.status.success(), "{made:?}");
    let token = server.keep_secret(String::from_utf8(made.stdout).unwrap().trim().to_owned());
    check(&server, "made", &token, None).await;
    assert_eq!(
        server.post("/api/debates/d1/events", &token, &crate::helpers::note(1)).await.status(),
        201
    );

    let checked = run(clearside(&[&["token", "check", &token], &secret[..]].concat())).await;
    assert!(checked.status.success(), "{checked:?}");
    let shown: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(shown["subject"], "an orchestrator");
    assert_eq!(
        shown["clearside"],
        json!({ "publish": ["debates/*", "conversations/c1"], "stats": true })
    );
    assert!((1..=90).contains(&shown["expiresInSeconds"].as_u64().unwrap()), "{shown}");

    let elsewhere = run(clearside(&["token", "check", &token, secret[0], secret[1]])).await;
    assert_eq!(elsewhere.status.code(), Some(1));
    assert_eq!(String::from_utf8(elsewhere.stderr).unwrap().trim(), format!("error: {FOREIGN}"));
    for (what, args, expected) in [
        ("no grant", &["token", "create"][..], "--subscribe"),
        (
            "dead at once",
            &["token", "create", "--stats", "--ttl", "500ms"],
            "must be at least a second",
        ),
    ] {
        let output = run(clearside(&[args, &secret].concat())).await;
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{what}: {error}");
        assert!(error.contains(expected) && output.stdout.is_empty(), "{what}: {error}");
    }
    let keyless = run(clearside(&create)).await;
    assert_eq!(keyless.status.code(), Some(2), "{keyless:?}");

    // The other commands show it.
    let url = format!("http://{}", server.server.address);
    let publish = ["publish", "debate/d1", "note", "{}", "--url", &url];
    let refused = run(clearside(&publish)).await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("401"), "{refused:?}");
    let mut command = clearside(&publish);
    let allowed = run({
        command.env("CLEARSIDE_TOKEN", &token);
        command
    })
    .await;
    assert!(allowed.status.success(), "{allowed:?}");
    let path = file(&server.folder, "token", &format!("{token}\n"));
    let allowed =
        run(clearside(&[&publish[..], &["--token-file", path.to_str().unwrap()]].concat())).await;
    assert!(allowed.status.success(), "{allowed:?}");
}

#[actix_web::test]
async fn keys_that_cannot_be_used_keep_the_server_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let private = KeyPair::generate_for(&PKCS_ED25519).unwrap().serialize_pem();
    for (setting, content, expected) in [
        ("--jwt-secret-file", "12345", "a secret must have at least 32 bytes"),
        (
            "--jwt-secret-file",
            "                                  x",
            "a secret must have at least 32 bytes",
        ),
        ("--jwt-public-key", "hello", "no public key"),
        ("--jwt-public-key", &p384.public_key_pem(), "no public key"),
        ("--jwt-public-key", SECP256K1, "no public key"),
        ("--jwt-public-key", &private, "a private key"),
        ("--jwks", r#"{"keys":[]}"#, "no set of keys"),
        ("--jwks", r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#, "no set of keys"),
        ("--jwks", "", "no set of keys"),
    ] {
        let path = file(&folder, "key", content);
        let database = format!("sqlite://{}", folder.path().join("d.db").display());
        let args = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--database",
            &database,
            setting,
            path.to_str().unwrap(),
        ];
        let output = run(clearside(&args)).await;
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{setting}: {error}");
        assert!(error.contains(setting) && error.contains(expected), "{error}");
        assert!(error.trim().lines().count() == 1 && !error.contains("12345"), "{error}");
        assert!(!folder.path().join("d.db").exists(), "nothing was begun");
    }
    let mut command = clearside(&["serve", "--listen", "127.0.0.1:0"]);
    let output = run({
        command.env("CLEARSIDE_JWT_SECRET", "short-and-secret");
        command
    })
    .await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("CLEARSIDE_JWT_SECRET") && !error.contains("short-and"), "{error}");
}
