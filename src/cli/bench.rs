//! `bench`: how many clients and events a server takes, and whether each of them gets all.
//!
//! Every delivery is checked against what was published, so that a figure is one of a server that has done
//! its work. One thread does it all: reading costs little, and what it takes is part of the report.

mod follower;
mod ledger;
mod publisher;
mod report;
mod run;
mod stream;
mod wire;

use std::{
    cell::Cell,
    io::{self, Write},
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream as futures};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tokio::sync::Notify;

use self::{
    follower::{Follower, SharedLedger, Target},
    publisher::{Publisher, Turn, UNDER_WAY_MAX},
    report::{Counts, Plan, Report},
    run::Run,
    stream::{BenchStream, Payload, SIZE_MIN},
};
use super::{
    client::{ApiClient, ServerArgs},
    serve::stop_signal,
};

/// How many connections are being opened at a time.
const CONNECTING_MAX: usize = 128;

/// File descriptors kept free for publishers, the runtime and the terminal.
const DESCRIPTORS_RESERVED: u64 = UNDER_WAY_MAX as u64 + 32;

/// How often the progress is shown.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// How many clients follow
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    clients: u32,
    /// How many streams they follow, one each: new ones, which are ended afterwards
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    streams: u32,
    /// Events a second in all, evenly timed
    #[arg(long, value_name = "N", default_value = "20", value_parser = number_up_to::<100_000>)]
    rate: f64,
    /// Instead of a rate: as fast as it goes, with so many events that not all clients have yet
    #[arg(long, value_name = "N", conflicts_with = "rate", value_parser = clap::value_parser!(u32).range(1..=i64::from(UNDER_WAY_MAX)))]
    in_flight: Option<u32>,
    /// How long to publish
    #[arg(long, value_name = "N", default_value = "10", value_parser = number_up_to::<86_400>)]
    seconds: f64,
    /// Bytes of data of each event
    #[arg(long, value_name = "BYTES", default_value = "200", value_parser = clap::value_parser!(u32).range(i64::from(SIZE_MIN)..=1_048_576))]
    size: u32,
    /// Publish transient events, which are not stored
    #[arg(long)]
    transient: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

fn number_up_to<const MAX: u32>(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.001..=f64::from(MAX)).contains(number));
    number.ok_or_else(|| format!("must be a number from 0.001 to {MAX}"))
}

impl BenchArgs {
    fn plan(&self) -> Plan {
        let Self { clients, streams, seconds, size, transient, .. } = *self;
        let turn = self.in_flight.map_or(Turn::Rate(self.rate), Turn::InFlight);
        Plan { clients, streams, turn, seconds, size, transient }
    }
}

pub(super) async fn bench(args: BenchArgs) -> anyhow::Result<()> {
    let plan = args.plan();
    if plan.streams > plan.clients {
        let message = "there are more streams than clients: somebody has to follow each\n";
        clap::Error::raw(clap::error::ErrorKind::ValueValidation, message).exit();
    }
    raise_descriptor_limit(plan.clients)?;
    let stopped = Rc::new(Notify::new());
    actix_web::rt::spawn({
        let (stop, stopped) = (stop_signal()?, Rc::clone(&stopped));
        async move {
            stop.await;
            stopped.notify_one();
        }
    });
    let run = Rc::new(Run::new()?);
    let publisher = Publisher {
        client: ApiClient::new(&args.server)?,
        streams: streams(plan)?,
        payload: Rc::new(Payload::new(plan.size)),
        is_transient: plan.transient,
        run: Rc::clone(&run),
    };

    let target = Target::find(&args.server).await?;
    let ledgers = tokio::select! {
        ledgers = connect(plan, &target, &publisher) => ledgers?,
        () = stopped.notified() => bail!("broken off while it connected"),
    };

    let is_broken_off = Cell::new(false);
    let (started, busy_before) = (Instant::now(), busy_time());
    let progress = actix_web::rt::spawn(show_progress(plan, Rc::clone(&run), progress_bar()?));
    let end = async {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs_f64(plan.seconds)) => {}
            () = stopped.notified() => is_broken_off.set(true),
        }
    };
    let under_way = publisher.publish(plan.turn, end).await;
    let busy = busy_time().saturating_sub(busy_before).as_secs_f64();
    let busy = busy / started.elapsed().as_secs_f64();
    run.settle(|| publisher.streams.iter().map(|stream| stream.expected()).sum()).await;
    drop(under_way);
    progress.abort();

    let counts = count(&publisher, &run, &ledgers);
    let report = Report::new(plan, counts, &run, started, busy);
    publisher.end_streams().await;
    match args.json {
        true => writeln!(io::stdout(), "{}", serde_json::to_string(&report)?)?,
        false => writeln!(io::stdout(), "{report}")?,
    }
    if let Some(error) = run.first_error.take() {
        bail!("the first publish that failed: {error}");
    }
    if let Some(fault) = counts.fault() {
        bail!("not complete: {fault}");
    }
    if is_broken_off.get() {
        bail!("broken off before its time");
    }
    Ok(())
}

/// As many streams as planned, each with its share of the clients.
fn streams(plan: Plan) -> anyhow::Result<Rc<[Rc<BenchStream>]>> {
    let (clients, streams) = (plan.clients as usize, plan.streams as usize);
    (0..streams)
        .map(|stream| {
            let share = clients / streams + usize::from(stream < clients % streams);
            Ok(Rc::new(BenchStream::new(share)?))
        })
        .collect()
}

/// A file descriptor for each client.
fn raise_descriptor_limit(clients: u32) -> anyhow::Result<()> {
    let needed = u64::from(clients) + DESCRIPTORS_RESERVED;
    let limit =
        rlimit::increase_nofile_limit(needed).context("cannot see how many files may be open")?;
    if limit < needed {
        bail!(
            "{} clients need {needed} open files, and no more than {limit} are allowed; \
             `ulimit -n {needed}` allows more, or take fewer clients",
            HumanCount(clients.into())
        );
    }
    Ok(())
}

/// Connects all clients and lets each follow in a task of its own.
async fn connect(
    plan: Plan,
    target: &Target,
    publisher: &Publisher,
) -> anyhow::Result<Vec<(Rc<BenchStream>, SharedLedger)>> {
    let style = ProgressStyle::with_template("connecting {wide_bar} {human_pos} of {human_len}")?;
    let bar = ProgressBar::new(plan.clients.into()).with_style(style);
    let (bar, Publisher { streams, payload, run, .. }) = (&bar, publisher);
    let ledgers = futures::iter(streams.iter().cycle().take(plan.clients as usize))
        .enumerate()
        .map(|(number, stream)| async move {
            let client =
                Follower::connect(target, Rc::clone(stream), Rc::clone(payload), Rc::clone(run))
                    .await
                    .with_context(|| format!("client {} of {}", number + 1, plan.clients))?;
            bar.inc(1);
            let ledger = client.ledger();
            actix_web::rt::spawn(client.follow());
            Ok((Rc::clone(stream), ledger))
        })
        .buffer_unordered(CONNECTING_MAX)
        .try_collect()
        .await;
    bar.finish_and_clear();
    ledgers
}

fn progress_bar() -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("publishing {wide_bar} {msg} [{elapsed}]")?;
    Ok(ProgressBar::no_length().with_style(style))
}

/// Shows how far the run is, until it is dropped.
async fn show_progress(plan: Plan, run: Rc<Run>, bar: ProgressBar) {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    bar.set_length(millis(Duration::from_secs_f64(plan.seconds)));
    let (started, mut before) = (Instant::now(), 0);
    let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
    loop {
        ticks.tick().await;
        let received = run.received.get();
        let per_second = (received - before) * 1000 / millis(PROGRESS_INTERVAL);
        bar.set_position(millis(started.elapsed()));
        bar.set_message(format!("{} deliveries/s", HumanCount(per_second)));
        before = received;
    }
}

/// For how long this thread has had something to do.
fn busy_time() -> Duration {
    tokio::runtime::Handle::current().metrics().worker_total_busy_duration(0)
}

fn count(publisher: &Publisher, run: &Run, ledgers: &[(Rc<BenchStream>, SharedLedger)]) -> Counts {
    let mut counts = Counts {
        received: run.received.get(),
        altered: run.altered.get(),
        connections_lost: run.lost.get(),
        ..Counts::default()
    };
    for stream in publisher.streams.iter() {
        counts.published += stream.acknowledged();
        counts.publish_errors += stream.sent() - stream.acknowledged();
        counts.expected += stream.expected();
    }
    for (stream, ledger) in ledgers {
        let ledger = ledger.borrow();
        counts.missing += ledger.missing(stream);
        counts.doubled += ledger.doubled;
        counts.out_of_order += ledger.out_of_order;
    }
    counts
}
