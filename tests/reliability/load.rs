//! Publishers that keep a log, followers that keep another, and what is left in the end.

use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use actix_web::rt::{spawn, task::JoinHandle};
use serde_json::{Value, json};

use crate::{
    checker::{Outcome, Publish, Run, Stored, Subscriber},
    support::{Answer, Follower, exchange, get, within},
};

/// How long a publisher waits for an answer before it takes it for lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// What publishers have come across so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) acknowledged: Cell<usize>,
    /// Tries that were not answered, or with 5xx.
    pub(crate) failures: Cell<usize>,
    pub(crate) unavailable: Cell<usize>,
    /// Repeats that had been stored already: what a lost answer would have cost.
    pub(crate) settled_by_repeat: Cell<usize>,
    pub(crate) given_up: Cell<usize>,
    pub(crate) tokens: Cell<usize>,
}

fn add(count: &Cell<usize>) {
    count.set(count.get() + 1);
}

/// Streams under load.
pub(crate) struct Load {
    pub(crate) tally: Rc<Tally>,
    pub(crate) streams: Vec<String>,
    address: SocketAddr,
    is_over: Rc<Cell<bool>>,
    log: Rc<RefCell<Vec<Publish>>>,
    publishers: Vec<JoinHandle<()>>,
    followers: Vec<JoinHandle<Follower>>,
}

impl Load {
    /// Debates and conversations by turns, each with so many publishers.
    pub(crate) fn start(address: SocketAddr, streams: usize, publishers_each: usize) -> Self {
        Self::start_with_pause(address, streams, publishers_each, Duration::ZERO)
    }

    /// The same with a second or so between the publishes of each.
    pub(crate) fn start_slowly(
        address: SocketAddr,
        streams: usize,
        publishers_each: usize,
    ) -> Self {
        Self::start_with_pause(address, streams, publishers_each, Duration::from_secs(1))
    }

    fn start_with_pause(
        address: SocketAddr,
        streams: usize,
        publishers_each: usize,
        pause: Duration,
    ) -> Self {
        let stream = |number| match number % 2 {
            0 => format!("/api/debates/d{number}"),
            _ => format!("/api/conversations/sessions/c{number}"),
        };
        let mut load = Self {
            tally: Rc::default(),
            streams: (0..streams).map(stream).collect(),
            address,
            is_over: Rc::default(),
            log: Rc::default(),
            publishers: Vec::new(),
            followers: Vec::new(),
        };
        for (index, stream) in load.streams.iter().enumerate() {
            for number in 0..publishers_each {
                let publisher = Publisher {
                    number: index * publishers_each + number,
                    stream: stream.clone(),
                    address,
                    pause,
                    tally: Rc::clone(&load.tally),
                    is_over: Rc::clone(&load.is_over),
                    log: Rc::clone(&load.log),
                };
                load.publishers.push(spawn(publisher.publish_until_over()));
            }
        }
        load
    }

    /// So many followers from the beginning, on each stream by turns, by way of this address.
    pub(crate) fn follow(&mut self, through: SocketAddr, followers: usize) {
        for stream in self.streams.iter().cycle().take(followers) {
            let follower = Follower::new(through, &format!("{stream}/stream"), Some("earliest"));
            self.followers.push(spawn(follower.follow_to_the_end()));
        }
    }

    /// Waits until so many more publishes have been acknowledged.
    pub(crate) async fn acknowledged(&self, more: usize) {
        let due = self.tally.acknowledged.get() + more;
        self.until("acknowledgements", || self.tally.acknowledged.get() >= due).await;
    }

    /// Waits until so many follow.
    pub(crate) async fn until_clients(&self, clients: usize) {
        crate::support::eventually("everyone to follow", || async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let stats = get(self.address, "/api/stats").await.json();
            let of = |kind: &str| stats[kind]["clients"].as_u64().unwrap();
            of("debates") + of("conversations") == clients as u64
        })
        .await;
    }

    pub(crate) async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        crate::support::eventually(what, || async { is_so() }).await;
    }

    /// Ends every stream, waits for everyone to see the end, and reads the history that is left.
    pub(crate) async fn end(self) -> (Run, Vec<Follower>, Rc<Tally>) {
        self.is_over.set(true);
        for publisher in self.publishers {
            within("the last answer", publisher).await.unwrap();
        }
        let mut history = std::collections::BTreeMap::new();
        for (number, stream) in self.streams.iter().enumerate() {
            let name = named(stream, "complete", "conversation_completed");
            let data = json!({ "end": number });
            let body = json!({ "type": name, "data": data });
            let key = format!("end-{number}");
            let ids = within("the end", async {
                loop {
                    match post(self.address, stream, &key, &body).await {
                        Ok(answer) if answer.status() < 300 => return durable_ids(&answer),
                        Ok(answer) if answer.status() < 500 => panic!("{}", answer.text()),
                        _ => tokio::time::sleep(Duration::from_millis(20)).await,
                    }
                }
            })
            .await;
            self.log.borrow_mut().push(Publish {
                publisher: usize::MAX,
                stream: stream.clone(),
                events: vec![(name.into(), data)],
                outcome: Outcome::Acknowledged(ids),
                settled_at: Instant::now(),
            });
        }
        let mut followers = Vec::new();
        for follower in self.followers {
            followers.push(follower.await.unwrap());
        }
        for stream in &self.streams {
            history.insert(stream.clone(), read_history(self.address, stream).await);
        }
        let subscribers = followers
            .iter_mut()
            .map(|follower| Subscriber {
                stream: follower.stream().to_owned(),
                seen: std::mem::take(&mut follower.seen),
                connections: std::mem::take(&mut follower.streams),
                closed_by: follower.closed_by,
            })
            .collect();
        let publishes = std::mem::take(&mut *self.log.borrow_mut());
        (Run { publishes, subscribers, history }, followers, self.tally)
    }
}

/// The name that an event has on this kind of stream.
fn named<'a>(stream: &str, debate: &'a str, conversation: &'a str) -> &'a str {
    if stream.contains("/debates/") { debate } else { conversation }
}

struct Publisher {
    number: usize,
    stream: String,
    address: SocketAddr,
    /// Between two publishes, more or less.
    pause: Duration,
    tally: Rc<Tally>,
    is_over: Rc<Cell<bool>>,
    log: Rc<RefCell<Vec<Publish>>>,
}

impl Publisher {
    /// Tokens and what ends them, single notes, and publishes of several events.
    async fn publish_until_over(self) {
        for number in 1_u64.. {
            if self.is_over.get() {
                return;
            }
            let note = |part: usize| {
                let fill = "x".repeat(fastrand::usize(..300));
                json!({ "type": "note", "data": { "by": self.number, "n": number, "part": part, "fill": fill } })
            };
            let (body, is_tried_again) = match number % 6 {
                0 => (self.utterance(number), true),
                1 | 3 | 5 => (self.token(number), false),
                2 => (note(0), true),
                // Whoever gives up does not know what has come of it.
                _ if number % 24 == 4 => (note(0), false),
                _ => (json!([note(0), self.token(number), note(1)]), true),
            };
            self.publish(number, &body, is_tried_again).await;
            tokio::time::sleep(self.pause.mul_f64(0.5 + fastrand::f64())).await;
        }
    }

    fn speaker(&self) -> String {
        format!("speaker {}", self.number)
    }

    fn token(&self, number: u64) -> Value {
        let (speaker, token) = (self.speaker(), number.to_string());
        match named(&self.stream, "debate", "conversation") {
            "debate" => crate::support::token(&speaker, &token),
            _ => crate::support::conversation_token(&speaker, &token),
        }
    }

    fn utterance(&self, number: u64) -> Value {
        let (speaker, content) = (self.speaker(), number.to_string());
        match named(&self.stream, "debate", "conversation") {
            "debate" => crate::support::utterance(&speaker, &content),
            _ => crate::support::conversation_utterance(&speaker, &content, number),
        }
    }

    async fn publish(&self, number: u64, body: &Value, is_tried_again: bool) {
        let events = durable(body);
        let key = format!("p{}-{number}", self.number);
        let mut tries = 0;
        let outcome = loop {
            tries += 1;
            match post(self.address, &self.stream, &key, body).await {
                Ok(answer) if answer.status() < 300 => {
                    if events.is_empty() {
                        add(&self.tally.tokens);
                        return;
                    }
                    if answer.status() == 200 {
                        assert!(tries > 1, "a first try is no repeat: {}", answer.text());
                        add(&self.tally.settled_by_repeat);
                    }
                    add(&self.tally.acknowledged);
                    break Outcome::Acknowledged(durable_ids(&answer));
                }
                Ok(answer) if answer.status() < 500 => {
                    println!("refused: {}", answer.text());
                    break Outcome::Refused;
                }
                answer => {
                    add(&self.tally.failures);
                    if answer.is_ok_and(|answer| answer.status() == 503) {
                        add(&self.tally.unavailable);
                    }
                    // Not all at once, as nobody would.
                    let pause = Duration::from_millis(fastrand::u64(5..25));
                    tokio::time::sleep(pause).await;
                    if !is_tried_again {
                        add(&self.tally.given_up);
                        break Outcome::Unknown;
                    }
                }
            }
        };
        if !events.is_empty() {
            self.log.borrow_mut().push(Publish {
                publisher: self.number,
                stream: self.stream.clone(),
                events,
                outcome,
                settled_at: Instant::now(),
            });
        }
    }
}

/// The durable events of a publish.
fn durable(body: &Value) -> Vec<(String, Value)> {
    let events = body.as_array().map_or(std::slice::from_ref(body), Vec::as_slice);
    let parts = |event: &Value| (event["type"].as_str().unwrap().to_owned(), event["data"].clone());
    events.iter().map(parts).filter(|(name, _)| !name.ends_with("token")).collect()
}

fn durable_ids(answer: &Answer) -> Vec<String> {
    answer.ids().into_iter().flatten().collect()
}

/// One try.
pub(crate) async fn post(
    address: SocketAddr,
    stream: &str,
    key: &str,
    body: &Value,
) -> io::Result<Answer> {
    let body = body.to_string();
    let length = body.len();
    let request = format!(
        "POST {stream}/events HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Idempotency-Key: {key}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    tokio::time::timeout(PATIENCE, exchange(address, request.as_bytes())).await?
}

/// The whole history of a stream, page by page.
pub(crate) async fn read_history(address: SocketAddr, stream: &str) -> Vec<Stored> {
    let mut history = Vec::new();
    let mut after = String::new();
    loop {
        let page = get(address, &format!("{stream}/events?limit=1000{after}")).await;
        assert_eq!(page.status(), 200, "{}", page.text());
        let page = page.json();
        history.extend(page["events"].as_array().unwrap().iter().map(|event| Stored {
            id: event["id"].as_str().unwrap().into(),
            name: event["type"].as_str().unwrap().into(),
            data: event["data"].clone(),
        }));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return history,
        }
    }
}
