//! A debate that goes on across restarts: the real binary, ended politely and not.

use std::{cell::RefCell, collections::BTreeMap, net::SocketAddr, time::Duration};

use futures_util::future::join_all;
use serde_json::json;

use crate::helpers::{
    Follower, Process, complete, event, eventually, exchange_json, token, within,
};

const STREAM: &str = "/api/debates/d1";
const FOLLOWERS: usize = 50;
const ROUNDS: usize = 6;
const EVENTS_A_ROUND: usize = 40;

/// Publishes again until it is acknowledged, as an orchestrator that lost its connection would.
async fn publish(address: SocketAddr, body: &serde_json::Value) -> Vec<Option<String>> {
    within("an acknowledgement", async {
        loop {
            match exchange_json(address, &format!("{STREAM}/events"), body).await {
                Ok(answer) if answer.status() < 300 => return answer.ids(),
                Ok(answer) if answer.status() < 500 => panic!("{}", answer.text()),
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    })
    .await
}

/// Ends the server `ROUNDS` times in the middle of a debate with `FOLLOWERS` followers.
async fn debate_across(end: impl AsyncFn(&mut Process)) {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--retry", "60ms", "--history", "8"];
    let mut server = Process::serve(folder.path(), 0, &args).await;
    let address = server.address;
    let follow = |_| {
        let follower = Follower::new(address, &format!("{STREAM}/stream"), Some("earliest"));
        actix_web::rt::spawn(follower.follow_to_the_end())
    };
    let followers: Vec<_> = (0..FOLLOWERS).map(follow).collect();

    // What was acknowledged: it has to be there.
    let acknowledged: RefCell<BTreeMap<String, usize>> = RefCell::default();
    let published = RefCell::new(0);
    let orchestrate = async {
        for number in 1..=ROUNDS * EVENTS_A_ROUND {
            publish(address, &token("Pro", "word ")).await;
            let ids = publish(address, &event("note", json!({ "n": number }))).await;
            let id = ids[0].clone().expect("a note is durable");
            acknowledged.borrow_mut().insert(id, number);
            *published.borrow_mut() = number;
        }
    };
    let disturb = async {
        for round in 1..ROUNDS {
            let due = round * EVENTS_A_ROUND;
            eventually("the next round", || async { *published.borrow() >= due }).await;
            end(&mut server).await;
            server = Process::serve(folder.path(), address.port(), &args).await;
        }
    };
    tokio::join!(orchestrate, disturb);
    let last = publish_end(address).await;

    let last: u64 = last.split_once('-').unwrap().1.parse().unwrap();
    let followers = join_all(followers).await;
    let reference: Vec<_> = followers[0].as_ref().unwrap().durable().cloned().collect();
    for follower in &followers {
        let follower = follower.as_ref().unwrap();
        follower.assert_saw_everything(last);
        assert!(follower.durable().eq(&reference), "everyone sees the same events");
        assert!(follower.connections >= ROUNDS, "it was disconnected");
    }
    for (id, number) in acknowledged.borrow().iter() {
        let seen = reference.iter().find(|event| event.id.as_ref() == Some(id));
        let seen = seen.unwrap_or_else(|| panic!("{id} was acknowledged and is lost"));
        assert_eq!(seen.json(), json!({ "n": number }));
    }
}

/// Completes the debate; answers the id of the end. A 409 means that an earlier try was stored.
async fn publish_end(address: SocketAddr) -> String {
    publish(address, &complete()).await[0].clone().unwrap()
}

#[actix_web::test]
async fn fifty_followers_see_everything_once_across_graceful_restarts() {
    debate_across(async |server| {
        server.signal("TERM");
        let status = server.exit().await;
        assert_eq!(status.code(), Some(0), "{}", server.stderr());
    })
    .await;
}

#[actix_web::test]
async fn fifty_followers_see_everything_once_across_sudden_deaths() {
    debate_across(async |server| server.kill()).await;
}
