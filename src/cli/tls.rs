//! TLS for the commands that speak to a server: whom they believe.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, ensure};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Believes the authorities in this file; if there is none, those that this machine believes.
pub(super) fn client_config(ca_file: Option<&Path>) -> anyhow::Result<Arc<ClientConfig>> {
    let roots = match ca_file {
        Some(path) => named(path).with_context(|| format!("--ca-file: {}", path.display()))?,
        None => of_this_machine()?,
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn named(path: &Path) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path)? {
        roots.add(certificate?)?;
    }
    ensure!(!roots.is_empty(), "no certificate in PEM format");
    Ok(roots)
}

fn of_this_machine() -> anyhow::Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // One of a hundred that makes no sense is no reason to believe none.
    roots.add_parsable_certificates(found.certs);
    ensure!(
        !roots.is_empty(),
        "this machine knows no certificate authorities; install ca-certificates, or give --ca-file"
    );
    Ok(roots)
}
