//! TLS, with a certificate that may be renewed while the server runs.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::files;
use crate::config::SettingsError;

/// TLS 1.2 and 1.3 with this certificate and key, both in PEM format. They are read again when they change.
pub(super) fn server_config(cert: &Path, key: &Path) -> Result<ServerConfig, SettingsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let certificate = Arc::new(Certificate(RwLock::new(load(cert, key, &provider)?)));
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| SettingsError::new("--tls-cert", error))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::<Certificate>::clone(&certificate));
    let paths = [cert, key].map(PathBuf::from);
    files::on_change("--tls-cert", paths.to_vec(), move || {
        let [cert, key] = &paths;
        let renewed = load(cert, key, &provider)?;
        *certificate.0.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok::<_, SettingsError>(())
    });
    Ok(config)
}

/// What new connections are shown.
#[derive(Debug)]
struct Certificate(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn load(
    cert: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, SettingsError> {
    let unreadable = |setting, path: &Path, error: &dyn std::fmt::Display| {
        SettingsError::new(setting, format!("{}: {error}", path.display()))
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable("--tls-cert", cert, &error))?;
    if chain.is_empty() {
        return Err(unreadable("--tls-cert", cert, &"no certificate in PEM format"));
    }
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable("--tls-key", key, &error))?;
    CertifiedKey::from_der(chain, private, provider)
        .map(Arc::new)
        .map_err(|error| unreadable("--tls-key", key, &error))
}
