//! What the registry refuses, forgets and counts.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    Hub, HubConfig, NewEvent, PublishError, SendToClient, SendToClientError,
    hub::{
        ConnectError, Peer,
        subscriber::SubscriberBody,
        tests::{hub, key, settle},
    },
    sse::Cursor,
    store::sabotage::execute,
};

async fn publish(hub: &Hub, stream: &str) -> Result<u64, PublishError> {
    let note = NewEvent::new("note", &serde_json::json!({})).unwrap();
    hub.publish(&key(stream), note).await.map(|id| id.unwrap().seq)
}

async fn follow(hub: &Hub, stream: &str) -> Result<Option<SubscriberBody>, ConnectError> {
    hub.subscribe(&key(stream), Cursor::Now, Peer::default()).await
}

/// Connections, refusals and disconnects so far.
async fn counts(hub: &Hub) -> (u64, BTreeMap<&'static str, u64>, BTreeMap<&'static str, u64>) {
    let totals = hub.stats().await.totals;
    (totals.connections, totals.refusals, totals.disconnects)
}

#[actix::test]
async fn a_stream_that_cannot_be_loaded_leaves_nothing_behind() {
    let (hub, folder) = hub(HubConfig::default());
    let database = folder.path().join("clearside.db");
    execute(&database, "ALTER TABLE streams RENAME TO hidden");
    for number in 1..=3 {
        let published = publish(&hub, &format!("debate/d{number}")).await;
        assert_eq!(published, Err(PublishError::Unavailable));
        let followed = follow(&hub, &format!("conversation/s{number}")).await;
        assert_eq!(followed.err(), Some(ConnectError::Unavailable));
    }
    settle().await;
    let stats = hub.stats().await;
    assert_eq!((stats.debates.active, stats.conversations.active), (0, 0));
    assert_eq!(stats.conversations.clients, 0);
    let refusals = BTreeMap::from([("unavailable", 3)]);
    assert_eq!(counts(&hub).await, (0, refusals, BTreeMap::new()));

    execute(&database, "ALTER TABLE hidden RENAME TO streams");
    assert_eq!(publish(&hub, "debate/d1").await, Ok(1), "nothing stands in its way");
}

#[actix::test]
async fn a_stream_too_many_is_refused_until_another_leaves_memory() {
    let (hub, _folder) = hub(HubConfig { streams_max: 2, ..HubConfig::default() });
    assert_eq!(publish(&hub, "debate/d1").await, Ok(1));
    let followed = follow(&hub, "debate/d2").await.unwrap().unwrap();
    for _ in 0..2 {
        assert_eq!(publish(&hub, "debate/d3").await, Err(PublishError::Overloaded));
        assert_eq!(publish(&hub, "conversation/d1").await, Err(PublishError::Overloaded));
        assert_eq!(follow(&hub, "debate/d3").await.err(), Some(ConnectError::Full));
    }
    for stream in ["debate/d1", "debate/d2"] {
        assert!(publish(&hub, stream).await.is_ok(), "{stream} is in memory");
        assert!(follow(&hub, stream).await.is_ok(), "{stream} is in memory");
    }
    let stats = hub.stats().await;
    assert_eq!((stats.debates.active, stats.conversations.active), (2, 0));
    assert_eq!(stats.totals.refusals, BTreeMap::from([("full", 2)]));
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(180)).await;
    tokio::time::resume();
    assert_eq!(publish(&hub, "debate/d3").await, Ok(1), "nobody needs the first one any more");
    assert_eq!(publish(&hub, "debate/d1").await, Err(PublishError::Overloaded));
    drop(followed);
}

#[actix::test]
async fn whoever_is_not_taken_in_is_no_connection_that_has_ended() {
    let config = HubConfig { clients_per_stream_max: 1, ..HubConfig::default() };
    let (hub, _folder) = hub(config);
    let first = follow(&hub, "debate/d1").await.unwrap().unwrap();
    for _ in 0..3 {
        assert_eq!(follow(&hub, "debate/d1").await.err(), Some(ConnectError::Full));
    }
    settle().await;
    let refusals = BTreeMap::from([("full", 3)]);
    assert_eq!(counts(&hub).await, (1, refusals.clone(), BTreeMap::new()));
    drop(first);
    settle().await;
    let disconnects = BTreeMap::from([("closed_by_client", 1)]);
    assert_eq!(counts(&hub).await, (1, refusals.clone(), disconnects.clone()));

    // Whoever has seen the end of a stream is told to stay away.
    let end = NewEvent::new("complete", &serde_json::json!({})).unwrap();
    let end = hub.publish(&key("debate/d1"), end).await.unwrap().unwrap();
    let cursor = Cursor::After(end);
    let seen = hub.subscribe(&key("debate/d1"), cursor, Peer::default()).await;
    assert!(seen.unwrap().is_none());
    settle().await;
    assert_eq!(counts(&hub).await, (1, refusals, disconnects));
    assert_eq!(hub.stats().await.debates.clients, 0);
}

#[actix::test]
async fn what_one_client_is_sent_is_no_longer_than_what_all_of_them_are() {
    let (hub, _folder) = hub(HubConfig { event_bytes_max: 100, ..HubConfig::default() });
    let send = async |length: usize| {
        let note = NewEvent::new("note", &"x".repeat(length - 2)).unwrap();
        let message = SendToClient::new(key("debate/d1"), uuid::Uuid::nil(), note).unwrap();
        hub.send_to_client(message).await
    };
    assert_eq!(send(101).await, Err(SendToClientError::TooLarge { limit: 100 }));
    assert_eq!(send(100).await, Err(SendToClientError::Unknown));
}
