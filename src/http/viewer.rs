//! The page on which a person watches, embedded in the binary.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, ETag, EntityTag, Header, HeaderName, IfNoneMatch},
    web::Path,
};
use rust_embed::RustEmbed;

use super::error::ApiError;

#[derive(RustEmbed)]
#[folder = "viewer/dist/"]
struct Files;

/// Nothing but our own files runs, and nothing that was published becomes markup.
const POLICY: &str = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

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
    let tag = EntityTag::new_strong(hex(&file.metadata.sha256_hash()));
    let mut answer = match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Items(known)) if known.contains(&tag) => HttpResponse::NotModified(),
        _ => HttpResponse::Ok(),
    };
    answer
        .insert_header(ETag(tag))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((HeaderName::from_static("referrer-policy"), "no-referrer"))
        .content_type(file.metadata.mimetype());
    Ok(answer.body(file.data.into_owned()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
