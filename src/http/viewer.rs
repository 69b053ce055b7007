//! The page on which a person watches, embedded in the binary.

use std::{
    borrow::Cow,
    collections::HashMap,
    io::{self, Write},
    sync::{LazyLock, Mutex, PoisonError},
};

use actix_web::{
    HttpRequest, HttpResponse,
    body::None as NoBody,
    http::header::{
        self, AcceptEncoding, ContentEncoding, ETag, Encoding, EntityTag, Header, HeaderName,
        IfNoneMatch,
    },
    web::{Bytes, Path},
};
use flate2::{Compression, write::GzEncoder};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::error::ApiError;

#[derive(RustEmbed)]
#[folder = "viewer/dist/"]
struct Files;

/// Nothing but our own files runs, and nothing that was published becomes markup.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

pub(super) async fn page(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    file("index.html", &request)
}

pub(super) async fn asset(
    name: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    file(&format!("assets/{name}"), &request)
}

/// A file that browsers ask for each time, so that no two versions of the page's modules meet.
fn file(name: &str, request: &HttpRequest) -> Result<HttpResponse, ApiError> {
    let file = Files::get(name).ok_or_else(|| ApiError::not_found("there is no such file"))?;
    let compressed = if takes_gzip(request) { compressed(&file) } else { None };
    let suffix = if compressed.is_some() { "-gzip" } else { "" };
    let tag = EntityTag::new_strong(hex(&file.metadata.sha256_hash()) + suffix);
    let is_known = match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Items(known)) => known.contains(&tag),
        _ => false,
    };
    let mut answer = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer
        .insert_header(ETag(tag))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::VARY, "accept-encoding"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((HeaderName::from_static("referrer-policy"), "no-referrer"))
        .content_type(file.metadata.mimetype());
    Ok(match compressed {
        // Over HTTP/2, actix-http would send the body of a 304.
        _ if is_known => answer.body(NoBody::new()),
        Some(bytes) => answer.insert_header(ContentEncoding::Gzip).body(bytes),
        None => answer.body(shared(file.data)),
    })
}

/// What is embedded is sent as it is; only a debug build, which reads files that change, has a copy for each answer.
fn shared(data: Cow<'static, [u8]>) -> Bytes {
    match data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    }
}

fn takes_gzip(request: &HttpRequest) -> bool {
    let offered = [Encoding::gzip(), Encoding::identity()];
    AcceptEncoding::parse(request)
        .is_ok_and(|accepted| accepted.negotiate(offered.iter()) == Some(Encoding::gzip()))
}

/// The file's bytes for the wire. Each is compressed once; a debug build reads files that change.
fn compressed(file: &EmbeddedFile) -> Option<Bytes> {
    static KNOWN: LazyLock<Mutex<HashMap<[u8; 32], Bytes>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let hash = file.metadata.sha256_hash();
    if let Some(bytes) = known.get(&hash) {
        return Some(bytes.clone());
    }
    let bytes = Bytes::from(gzip(&file.data).ok()?);
    known.insert(hash, bytes.clone());
    Some(bytes)
}

fn gzip(data: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data)?;
    encoder.finish()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
