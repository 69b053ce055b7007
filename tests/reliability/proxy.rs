//! A proxy that lies about one event in so many, and the proof that the checker notices.

use std::collections::BTreeSet;

use crate::{
    checker::{self, Fault},
    load::Load,
    support::{Lie, LyingProxy, Process},
};

/// What the checker finds when followers come through such a proxy, over a sudden death or two.
async fn faults_through(lie: Lie) -> BTreeSet<Fault> {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--retry", "60ms", "--history", "16"];
    let mut server = Process::serve(folder.path(), 0, &args).await;
    let address = server.address;
    let (through, proxy) = LyingProxy::start(address, lie).await;
    let mut load = Load::start(address, 4, 1);
    load.follow(through, 12);
    for _ in 0..2 {
        load.acknowledged(60).await;
        server.kill();
        server = Process::serve(folder.path(), address.port(), &args).await;
    }
    load.acknowledged(20).await;
    let (run, _, _) = load.end().await;
    let found = checker::faults(&run);
    println!("{lie:?}: {} lies over {} events: {found:?}", proxy.lies(), proxy.events());
    assert_eq!(proxy.lies() > 3, lie != Lie::None, "there is something to find");
    if lie == Lie::None {
        checker::assert_clean(&run);
    }
    found
}

#[actix_web::test]
async fn the_checker_finds_nothing_behind_an_honest_proxy() {
    assert_eq!(faults_through(Lie::None).await, BTreeSet::new());
}

#[actix_web::test]
async fn the_checker_finds_what_a_proxy_drops_doubles_swaps_and_alters() {
    for (lie, expected) in [
        (Lie::Drop, [Fault::Hole].into()),
        (Lie::Double, [Fault::Duplicate].into()),
        (Lie::Swap, BTreeSet::from([Fault::Hole, Fault::Order])),
        (Lie::Alter, [Fault::Altered].into()),
    ] {
        let found = faults_through(lie).await;
        assert!(found.is_superset(&expected), "{lie:?}: {found:?}");
    }
}
