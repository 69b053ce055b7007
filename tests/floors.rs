//! What `deny.toml` forbids is not in `Cargo.lock`, and the lints that the event path relies on are on.
//!
//! cargo-deny says the same and more, but need not be installed; this always runs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::{fs, path::Path};

type Version = (u64, u64, u64);

/// A crate that may not be used: at all, or in what is older than a version.
#[derive(Debug, PartialEq, Eq)]
struct Ban {
    name: String,
    floor: Option<Version>,
}

fn version(text: &str) -> Version {
    let text = text.split(['-', '+']).next().unwrap();
    let mut parts = text.split('.').map(|part| part.parse().unwrap());
    let mut part = || parts.next().unwrap_or(0);
    (part(), part(), part())
}

/// What `deny.toml` has in `[bans]`.
fn bans(deny: &str) -> Vec<Ban> {
    let named = deny.lines().filter_map(|line| line.trim().strip_prefix("{ crate = \""));
    let ban = |rest: &str| {
        let spec = rest.split('"').next().unwrap();
        match spec.split_once(":<") {
            Some((name, floor)) => Ban { name: name.into(), floor: Some(version(floor)) },
            None => Ban { name: spec.into(), floor: None },
        }
    };
    named.map(ban).collect()
}

/// The packages of a `Cargo.lock`.
fn packages(lock: &str) -> Vec<(String, Version)> {
    let field = |package: &str, name: &str| {
        let rest = package.split_once(&format!("{name} = \""))?.1;
        rest.split('"').next().map(str::to_owned)
    };
    let packages = lock.split("[[package]]").skip(1);
    packages
        .map(|it| (field(it, "name").unwrap(), version(&field(it, "version").unwrap())))
        .collect()
}

fn offences(deny: &str, lock: &str) -> Vec<String> {
    let bans = bans(deny);
    let is_banned = |(name, version): &&(String, Version)| {
        let is = |ban: &Ban| ban.name == *name && ban.floor.is_none_or(|floor| *version < floor);
        bans.iter().any(is)
    };
    packages(lock).iter().filter(is_banned).map(|(name, at)| format!("{name} {at:?}")).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn nothing_that_is_used_is_below_its_floor_or_banned() {
    let (deny, lock) = (read("deny.toml"), read("Cargo.lock"));
    let names: Vec<_> = packages(&lock).into_iter().map(|package| package.0).collect();
    assert!(names.len() > 100, "{names:?}");
    for used in ["actix-http", "diesel", "libsqlite3-sys"] {
        assert!(bans(&deny).iter().any(|ban| ban.name == used && ban.floor.is_some()), "{used}");
        assert!(names.iter().any(|name| name == used), "{used}");
    }
    assert_eq!(offences(&deny, &lock), [""; 0]);
}

#[test]
fn the_check_can_fail() {
    let deny = "deny = [\n    { crate = \"a:<1.12.1\", reason = \"x\" },\n    { crate = \"never\", reason = \"y\" },\n]";
    for (name, version, is_offence) in [
        ("a", "1.12.0", true),
        ("a", "0.99.9", true),
        ("a", "1.9.9", true),
        ("a", "1.12.1", false),
        ("a", "1.13.0-beta.1", false),
        ("a", "2.0.0+build", false),
        ("never", "99.0.0", true),
        ("b", "0.1.0", false),
    ] {
        let lock =
            format!("version = 4\n\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
        assert_eq!(offences(deny, &lock).len(), usize::from(is_offence), "{name} {version}");
    }
}

#[test]
fn what_may_not_stand_on_the_event_path_is_linted() {
    let (manifest, clippy) = (read("Cargo.toml"), read("clippy.toml"));
    let lints = manifest.split_once("[lints.clippy]").unwrap().1;
    for lint in ["unwrap_used", "expect_used", "indexing_slicing"] {
        assert!(lints.contains(&format!("\n{lint} = \"warn\"")), "{lint}");
    }
    assert!(manifest.contains("\nunsafe_code = \"forbid\""));
    for method in ["actix::Addr::do_send", "actix::Recipient::do_send", "std::thread::sleep"] {
        assert!(clippy.contains(&format!("{{ path = \"{method}\",")), "{method}");
    }
    assert!(read("scripts/test.sh").contains("cargo clippy --locked --all-targets -- -D warnings"));
}
