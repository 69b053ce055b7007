//! The power goes: what had not reached the disk is gone.
//!
//! A SIGKILL leaves what was written in the kernel's hands, so only this tells a server that syncs from one
//! that does not. The disk is a file with ext4 on it, which is shut down under the running server: from then
//! on nothing reaches it, and what it holds is what a machine would find after a power cut. Needs root;
//! `scripts/power-cut.sh` runs it.

use std::{env, path::PathBuf, process::Command, time::Duration};

use tempfile::TempDir;

use crate::{
    checker::{self, Fault, Run},
    load::Load,
    strace::Strace,
    support::Process,
};

const ARGS: [&str; 4] = ["--retry", "60ms", "--history", "16"];

/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`: at once, and the journal is not written first.
const SHUT_DOWN: &str = r#"
    open(my $disk, "<", shift) or die $!;
    my $how = pack("L", 2);
    ioctl($disk, 0x8004587d, $how) or die $!;
"#;

/// A file system of its own, in a file, that can lose its power.
struct Disk {
    folder: TempDir,
}

impl Disk {
    fn new() -> Self {
        let disk = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(disk.path()).unwrap();
        let image = std::fs::File::create(disk.image()).unwrap();
        image.set_len(256 * 1024 * 1024).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(disk.image()));
        disk.mount();
        disk
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn mount(&self) {
        run(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.path()));
    }

    /// Publishers go on meanwhile.
    async fn lose_power(&self) {
        let mounted = self.path();
        let cut = move || run(Command::new("perl").args(["-e", SHUT_DOWN]).arg(mounted));
        tokio::task::spawn_blocking(cut).await.unwrap();
    }

    fn mount_again(&self) {
        run(Command::new("umount").arg(self.path()));
        self.mount();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?} (is this root?): {said}");
}

/// A server that does not sync as ours does: what the checker has to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Control {
    /// Nothing is ever synced, as with `synchronous = OFF`.
    Off,
    /// The log is not synced at a commit, as with `synchronous = NORMAL`.
    Normal,
}

/// A server on such a disk, and what keeps it from syncing.
struct Server {
    process: Process,
    _strace: Option<Strace>,
}

impl Server {
    async fn start(disk: &Disk, port: u16, control: Option<Control>) -> Self {
        let variables = match control {
            Some(Control::Off) => &[("LD_PRELOAD", "libeatmydata.so")][..],
            Some(Control::Normal) | None => &[],
        };
        let process = Process::serve_with(&disk.path(), port, &ARGS, variables).await;
        let log = disk.path().join("clearside.db-wal");
        let unsynced = ["-P", log.to_str().unwrap(), "-e", "inject=fdatasync,fsync:retval=0"];
        let strace = match control {
            Some(Control::Normal) => {
                Some(Strace::attach(&process, disk.folder.path(), &unsynced).await)
            }
            Some(Control::Off) | None => None,
        };
        Self { process, _strace: strace }
    }
}

/// What is left of a load, after so many cuts in the middle of it.
async fn after_cuts(cuts: usize, control: Option<Control>) -> Run {
    let disk = Disk::new();
    let mut server = Server::start(&disk, 0, control).await;
    let address = server.process.address;
    let mut load = Load::start(address, 6, 2);
    load.follow(address, 42);
    for _ in 0..cuts {
        load.acknowledged(fastrand::usize(200..400)).await;
        let moment = || tokio::time::sleep(Duration::from_millis(fastrand::u64(..20)));
        moment().await;
        disk.lose_power().await;
        moment().await;
        server.process.kill();
        disk.mount_again();
        server = Server::start(&disk, address.port(), control).await;
    }
    load.acknowledged(20).await;
    let (run, _, tally) = load.end().await;
    let stored: usize = run.history.values().map(Vec::len).sum();
    let seen: usize = run.subscribers.iter().map(|subscriber| subscriber.seen.len()).sum();
    let acknowledged = tally.acknowledged.get();
    println!("{cuts} cuts: {acknowledged} acknowledged, {stored} stored, {seen} seen; {tally:?}");
    run
}

/// The number in this variable.
fn number(variable: &str, default: usize) -> usize {
    env::var(variable).map_or(default, |number| number.parse().expect("a number"))
}

#[actix_web::test]
#[ignore = "needs root: scripts/power-cut.sh"]
async fn nothing_acknowledged_is_lost_to_power_cuts() {
    let run = after_cuts(number("POWER_CUTS", 5), None).await;
    checker::assert_clean(&run);
}

/// What the checker finds, run after run of one cut each.
async fn losses(control: Control) -> usize {
    let mut losses = 0;
    let cuts = number("POWER_CUTS", 2);
    for _ in 0..cuts {
        let run = after_cuts(1, Some(control)).await;
        let findings = checker::check(&run);
        let lost = findings.iter().filter(|finding| finding.fault == Fault::Lost).count();
        println!("{control:?}: {lost} acknowledged events lost; {:?}", checker::faults(&run));
        losses += usize::from(lost > 0);
    }
    println!("{control:?}: {losses} of {cuts} cuts were found out");
    losses
}

#[actix_web::test]
#[ignore = "needs root: scripts/power-cut.sh --control off"]
async fn a_server_that_never_syncs_is_found_out_by_every_cut() {
    assert_eq!(losses(Control::Off).await, number("POWER_CUTS", 2));
}

#[actix_web::test]
#[ignore = "needs root: scripts/power-cut.sh --control normal"]
async fn a_server_that_does_not_sync_its_log_is_found_out() {
    assert!(losses(Control::Normal).await > 0);
}
