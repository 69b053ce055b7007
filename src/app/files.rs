//! Files that may change while the server runs: keys and certificates.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// How soon a change is noticed.
const INTERVAL: Duration = Duration::from_secs(2);

/// Calls `reload` each time that one of these files has changed, for as long as the server runs. What it was
/// before stays in use if `reload` cannot make sense of it: a file may be read while it is being written.
pub(super) fn on_change<E: std::fmt::Display>(
    setting: &'static str,
    paths: Vec<PathBuf>,
    reload: impl Fn() -> Result<(), E> + 'static,
) {
    let mut known = stamps(&paths);
    actix_web::rt::spawn(async move {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let found = stamps(&paths);
            if found == known {
                continue;
            }
            known = found;
            match reload() {
                Ok(()) => log::info!("{setting}: read again"),
                Err(error) => {
                    log::error!(error:% = error; "{setting}: cannot be used as it is now")
                }
            }
        }
    });
}

fn stamps(paths: &[PathBuf]) -> Vec<Option<(SystemTime, u64)>> {
    let stamp = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    paths.iter().map(|path| stamp(path)).collect()
}
