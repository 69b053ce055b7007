//! Performances on the paused clock, before a hub that answers when, and what, a test wants it to.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    rc::Rc,
};

use actix::{Addr, ResponseFuture};
use serde_json::json;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use super::*;
use crate::{
    event::EventId,
    orchestrator::{Control, Launch, Pace, Players, Transcript, WaitForEnd},
    stream_key::StreamKind,
};

const HOUR: Duration = Duration::from_secs(60 * 60);
const SECOND: Duration = Duration::from_secs(1);

/// What a publish was, and when it came.
#[derive(Debug, Clone)]
struct Asked {
    name: String,
    data: String,
    key: IdempotencyKey,
    at: Instant,
}

/// How an event is answered that is not simply stored.
enum Answer {
    Fails(PublishError),
    /// Stored once the other end says so, or is dropped.
    Held(oneshot::Receiver<()>),
}

/// A hub, as far as a player knows it.
#[derive(Default, Clone)]
struct Stage(Rc<RefCell<Seen>>);

#[derive(Default)]
struct Seen {
    asked: Vec<Asked>,
    stored: Vec<Asked>,
    /// The next answers to the events of each name; after them, all is stored.
    answers: HashMap<&'static str, VecDeque<Answer>>,
}

impl Actor for Stage {
    type Context = Context<Self>;
}

impl Handler<Broadcast> for Stage {
    type Result = ResponseFuture<Result<Published, PublishError>>;

    fn handle(&mut self, broadcast: Broadcast, _: &mut Self::Context) -> Self::Result {
        let event = &broadcast.events()[0];
        let asked = Asked {
            name: event.name().to_owned(),
            data: event.data().to_owned(),
            key: broadcast.idempotency_key().unwrap().clone(),
            at: Instant::now(),
        };
        let mut seen = self.0.borrow_mut();
        seen.asked.push(asked.clone());
        let answer = seen.answers.get_mut(event.name()).and_then(VecDeque::pop_front);
        drop(seen);
        let stage = self.clone();
        Box::pin(async move {
            match answer {
                Some(Answer::Fails(error)) => return Err(error),
                Some(Answer::Held(release)) => release.await.unwrap_or_default(),
                None => {}
            }
            let mut seen = stage.0.borrow_mut();
            seen.stored.push(asked);
            let id = EventId { seq: seen.stored.len() as u64, .."k3v9x2a7-1".parse().unwrap() };
            Ok(Published { ids: vec![Some(id)], is_repeat: false })
        })
    }
}

impl Stage {
    fn fail(&self, name: &'static str, times: usize, error: &PublishError) {
        let fails = (0..times).map(|_| Answer::Fails(error.clone()));
        self.0.borrow_mut().answers.entry(name).or_default().extend(fails);
    }

    /// Holds the next answer to an event of this name back.
    fn hold(&self, name: &'static str) -> oneshot::Sender<()> {
        let (release, held) = oneshot::channel();
        self.0.borrow_mut().answers.entry(name).or_default().push_back(Answer::Held(held));
        release
    }

    fn asked(&self, name: &str) -> Vec<Asked> {
        self.0.borrow().asked.iter().filter(|asked| asked.name == name).cloned().collect()
    }

    fn stored(&self) -> Vec<Asked> {
        self.0.borrow().stored.clone()
    }

    fn count(&self, name: &str) -> usize {
        self.stored().iter().filter(|stored| stored.name == name).count()
    }

    fn last(&self) -> String {
        self.stored().last().map(|last| last.name.clone()).unwrap_or_default()
    }
}

/// A kind of stream, and what it calls what is needed here.
#[derive(Clone, Copy)]
struct Words {
    kind: StreamKind,
    started: &'static str,
    token: &'static str,
    utterance: &'static str,
    pause: &'static str,
    resume: &'static str,
    error: &'static str,
    end: &'static str,
}

const DEBATE: Words = Words {
    kind: StreamKind::Debate,
    started: "debate_started",
    token: "token",
    utterance: "utterance",
    pause: "pause",
    resume: "resume",
    error: "error",
    end: "complete",
};

const CONVERSATION: Words = Words {
    kind: StreamKind::Conversation,
    started: "conversation_started",
    token: "conversation_token",
    utterance: "conversation_utterance",
    pause: "conversation_paused",
    resume: "conversation_resumed",
    error: "conversation_error",
    end: "conversation_completed",
};

const KINDS: [Words; 2] = [DEBATE, CONVERSATION];

/// Players on the paused clock.
struct Theatre {
    stage: Stage,
    players: Addr<Players>,
    words: Words,
}

impl Theatre {
    fn open(words: Words) -> Self {
        let stage = Stage::default();
        let players = Players::new(stage.clone().start().recipient()).start();
        Self { stage, players, words }
    }

    /// Opens, and lets some tokens be spoken.
    async fn in_mid_speech(words: Words) -> Self {
        let theatre = Self::open(words);
        theatre.launch().await.unwrap();
        sleep(5 * SECOND).await;
        assert!(theatre.stage.count(words.token) > 3);
        assert_eq!(theatre.stage.count(words.utterance), 0);
        theatre
    }

    fn stream(&self) -> StreamKey {
        StreamKey::new(self.words.kind, "s1".parse().unwrap())
    }

    /// A hundred words of one length: at the same pace, each comes the same time after the last.
    async fn launch(&self) -> Result<(), ControlError> {
        let transcript: Transcript = json!({
            "title": "T",
            "speakers": [{ "id": "a", "name": "Ada" }],
            "script": [{ "speaker": "a", "text": "word ".repeat(100) + "word" }],
        })
        .to_string()
        .parse()
        .unwrap();
        let launch = Launch { stream: self.stream(), transcript, pace: Pace::default() };
        self.players.send(launch).await.unwrap()
    }

    /// Sends a command now; the answer comes when it comes.
    fn send(&self, command: Command) -> impl Future<Output = Result<(), ControlError>> + use<> {
        let sent = self.players.send(Control { stream: self.stream(), command });
        let sent = actix::spawn(sent);
        async { sent.await.unwrap().unwrap() }
    }

    fn wait_for_end(&self) -> actix::dev::Request<Players, WaitForEnd> {
        self.players.send(WaitForEnd(self.stream()))
    }
}

/// Lets everything happen that can happen without time.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

#[actix_web::test]
async fn two_resumes_at_once_are_one_and_the_pace_stays_what_it_was() {
    tokio::time::pause();
    for words in KINDS {
        let theatre = Theatre::in_mid_speech(words).await;
        theatre.send(Command::Pause).await.unwrap();
        let release = theatre.stage.hold(words.resume);
        let (first, second) = (theatre.send(Command::Resume), theatre.send(Command::Resume));
        settle().await;
        drop(release);
        first.await.unwrap();
        second.await.unwrap();
        let before = theatre.stage.count(words.token);
        theatre.wait_for_end().await.unwrap().unwrap();
        assert_eq!(theatre.stage.asked(words.resume).len(), 1);
        let tokens = theatre.stage.asked(words.token);
        assert_eq!(tokens.len(), 101);
        let waits: Vec<_> =
            tokens.windows(2).map(|pair| pair[1].at.duration_since(pair[0].at)).collect();
        // The last word has a letter less: it has no space after it.
        for (at, wait) in waits.iter().enumerate().take(99) {
            let is_across_the_pause = at + 1 == before;
            // Timers are right to a millisecond.
            let is_even = wait.abs_diff(waits[0]) <= Duration::from_millis(2);
            assert!(is_across_the_pause || is_even, "{at}: {wait:?}, not {:?}", waits[0]);
        }
    }
}

#[actix_web::test]
async fn a_pause_that_comes_while_a_resume_is_being_stored_is_carried_out_after_it() {
    tokio::time::pause();
    for words in KINDS {
        let theatre = Theatre::in_mid_speech(words).await;
        theatre.send(Command::Pause).await.unwrap();
        let release = theatre.stage.hold(words.resume);
        let (resumed, paused) = (theatre.send(Command::Resume), theatre.send(Command::Pause));
        settle().await;
        drop(release);
        resumed.await.unwrap();
        paused.await.unwrap();
        sleep(HOUR).await;
        let stored = theatre.stage.stored();
        let last: Vec<_> = stored.iter().rev().take(3).map(|event| event.name.as_str()).collect();
        assert_eq!(last, [words.pause, words.resume, words.pause]);
        theatre.send(Command::Resume).await.unwrap();
        theatre.wait_for_end().await.unwrap().unwrap();
        assert_eq!(theatre.stage.last(), words.end);
    }
}

#[actix_web::test]
async fn a_command_that_cannot_be_stored_changes_nothing() {
    tokio::time::pause();
    for words in KINDS {
        for (command, name, is_paused) in [
            (Command::Stop, words.end, true),
            (Command::Stop, words.end, false),
            (Command::Resume, words.resume, true),
            (Command::Pause, words.pause, false),
        ] {
            let theatre = Theatre::in_mid_speech(words).await;
            if is_paused {
                theatre.send(Command::Pause).await.unwrap();
            }
            theatre.stage.fail(name, 1, &PublishError::Unavailable);
            let before = theatre.stage.count(words.token);
            let refused = theatre.send(command).await;
            assert_eq!(refused, Err(PublishError::Unavailable.into()), "{command:?}");
            sleep(5 * SECOND).await;
            let is_held = theatre.stage.count(words.token) == before;
            assert_eq!(is_held, is_paused, "{command:?} of one that was paused: {is_paused}");
            if is_paused {
                theatre.send(Command::Resume).await.unwrap();
            }
            theatre.wait_for_end().await.unwrap().unwrap();
            assert_eq!(theatre.stage.count(words.token), 101, "all of it is said once");
            assert_eq!(theatre.stage.last(), words.end);
        }
    }
}

#[actix_web::test]
async fn an_event_that_is_refused_for_good_breaks_the_performance_off() {
    tokio::time::pause();
    for words in KINDS {
        for error in [
            PublishError::Refused("it is too long".into()),
            PublishError::TooLarge { limit: 7 },
            PublishError::KeyReused,
        ] {
            let theatre = Theatre::open(words);
            theatre.launch().await.unwrap();
            theatre.stage.fail(words.utterance, 1, &error);
            assert_eq!(theatre.wait_for_end().await.unwrap(), Err(error));
            assert_eq!(theatre.stage.asked(words.utterance).len(), 1, "it is not tried again");
            let told = theatre.stage.stored().pop().unwrap();
            assert_eq!(told.name, words.error);
            assert!(told.data.contains("the performance was broken off"), "{}", told.data);
            let after = theatre.send(Command::Stop).await;
            assert_eq!(after, Err(ControlError::NotRunning));
        }
    }
}

#[actix_web::test]
async fn an_event_that_cannot_be_stored_now_is_tried_again_under_the_same_key() {
    tokio::time::pause();
    for words in KINDS {
        for error in [
            PublishError::Unavailable,
            PublishError::Overloaded,
            PublishError::Unreachable("nobody is there".into()),
        ] {
            let theatre = Theatre::open(words);
            theatre.launch().await.unwrap();
            theatre.stage.fail(words.utterance, RETRIES as usize, &error);
            theatre.wait_for_end().await.unwrap().unwrap();
            let tries = theatre.stage.asked(words.utterance);
            assert_eq!(tries.len(), RETRIES as usize + 1);
            for pair in tries.windows(2) {
                assert_eq!(pair[0].key, pair[1].key);
                assert_eq!(pair[0].data, pair[1].data);
                assert_eq!(pair[1].at.duration_since(pair[0].at).as_secs(), RETRY_AFTER.as_secs());
            }
            let names: Vec<_> =
                theatre.stage.stored().into_iter().map(|event| event.name).collect();
            assert_eq!(names[names.len() - 2..], [words.utterance, words.end]);
            assert_eq!(theatre.stage.count(words.error), 0);
        }
        let theatre = Theatre::open(words);
        theatre.launch().await.unwrap();
        theatre.stage.fail(words.utterance, RETRIES as usize + 1, &PublishError::Unavailable);
        let ended = theatre.wait_for_end().await.unwrap();
        assert_eq!(ended, Err(PublishError::Unavailable), "not for ever");
        assert_eq!(theatre.stage.last(), words.error);
    }
}

#[actix_web::test]
async fn a_launch_that_fails_leaves_room_for_the_next_one() {
    tokio::time::pause();
    for words in KINDS {
        let theatre = Theatre::open(words);
        for error in [PublishError::Unavailable, PublishError::Completed] {
            theatre.stage.fail(words.started, 1, &error);
            assert_eq!(theatre.launch().await, Err(error.into()));
            assert_eq!(theatre.send(Command::Pause).await, Err(ControlError::NotRunning));
            let ended = tokio::time::timeout(HOUR, theatre.wait_for_end()).await;
            assert_eq!(ended.expect("nobody is there to wait for").unwrap(), Ok(()));
        }
        theatre.launch().await.unwrap();
        assert_eq!(theatre.launch().await, Err(ControlError::Running));
        theatre.wait_for_end().await.unwrap().unwrap();
        assert_eq!(theatre.stage.last(), words.end);
    }
}

#[actix_web::test]
async fn the_late_end_of_a_player_does_not_remove_its_successor() {
    tokio::time::pause();
    let theatre = Theatre::in_mid_speech(DEBATE).await;
    let stream = theatre.stream();
    let audience = Audience {
        publisher: Stage::default().start().recipient(),
        ended: theatre.players.clone().recipient(),
        progress: None,
    };
    let transcript = Transcript::sample(DEBATE.kind).unwrap();
    let script = Script::new(stream.clone(), transcript, Pace::default());
    let predecessor = Player::new(stream.clone(), script, audience, Clock::system()).start();
    let waiting = actix::spawn(theatre.wait_for_end());
    settle().await;
    let outcome = Err(PublishError::Completed);
    theatre.players.send(PlayerEnded { stream, player: predecessor, outcome }).await.unwrap();
    assert_eq!(theatre.launch().await, Err(ControlError::Running));
    theatre.send(Command::Pause).await.unwrap();
    theatre.send(Command::Resume).await.unwrap();
    waiting.await.unwrap().unwrap().expect("it has ended as it should");
    assert_eq!(theatre.stage.last(), DEBATE.end);
}
