//! The real binary.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use super::{DEADLINE, within};

const PROGRAM: &str = env!("CARGO_BIN_EXE_clearside-sse");

/// The program, with nothing in its environment that would change what it does.
pub(crate) fn clearside(args: &[&str]) -> Command {
    command([PROGRAM].iter().chain(args))
}

/// The server on a database in this folder, with no more open files than this.
pub(crate) fn clearside_with_files(files: u32, folder: &Path) -> Command {
    let limit = format!("--nofile={files}:{files}");
    let database = database(folder);
    let server = [PROGRAM, "serve", "--listen", "127.0.0.1:0", "--database", &database];
    command(["prlimit", &limit].iter().chain(&server))
}

fn command<'a>(mut words: impl Iterator<Item = &'a &'a str>) -> Command {
    let mut command = Command::new(words.next().unwrap());
    for (name, _) in std::env::vars() {
        if name.starts_with("CLEARSIDE_") || name == "RUST_LOG" || name == "LOG_LEVEL" {
            command.env_remove(name);
        }
    }
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn database(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("clearside.db").display())
}

/// A running server.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    stderr: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts a server on the database in this folder, on this port (0: any), and waits for its word that
    /// it listens.
    pub(crate) async fn serve(folder: &Path, port: u16, args: &[&str]) -> Self {
        Self::serve_with(folder, port, args, &[]).await
    }

    /// The same, with these variables in its environment.
    pub(crate) async fn serve_with(
        folder: &Path,
        port: u16,
        args: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let database = database(folder);
        let listen = format!("127.0.0.1:{port}");
        let mut command = clearside(&["serve", "--listen", &listen, "--database", &database]);
        command.args(args).envs(variables.iter().copied());
        Self::start(command).await
    }

    /// Starts what prints a server's first line.
    pub(crate) async fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the binary runs");
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut pipe = child.stderr.take().unwrap();
        let stderr = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&stderr);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = pipe.read(&mut buffer) {
                sink.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        });
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            stdout.read_line(&mut line).map(|_| line)
        });
        let line = within("the first line", line).await.unwrap().unwrap();
        let address = line
            .trim()
            .strip_prefix("listening on ")
            .and_then(|url| url.split_once("://"))
            .and_then(|(_, address)| address.parse().ok())
            .unwrap_or_else(|| panic!("{line:?}; {}", stderr.lock().unwrap()));
        Self { child, address, stderr, reader: Some(reader) }
    }

    /// Sends a signal, by name.
    pub(crate) fn signal(&self, name: &str) {
        send_signal(self.child.id(), name);
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process in the middle of whatever it does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the process to end by itself.
    pub(crate) async fn exit(&mut self) -> ExitStatus {
        let status = within("the process's exit", async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        status
    }

    /// Ends the process and answers everything that it has logged.
    pub(crate) fn end_and_read_log(&mut self) -> String {
        self.kill();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.stderr()
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let stderr = self.stderr.lock().unwrap().clone();
        if !std::thread::panicking() {
            assert!(!stderr.contains("panicked"), "{stderr}");
        }
    }
}

/// Runs the program to its end.
pub(crate) async fn run(command: Command) -> Output {
    run_with_input(command, "").await
}

/// Runs the program to its end, with this on its standard input.
pub(crate) async fn run_with_input(mut command: Command, input: &str) -> Output {
    use std::io::Write;

    if !input.is_empty() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().expect("the binary runs");
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).unwrap();
    }
    wait_for(child).await
}

/// Runs the program to its end, and sends it this signal when the time has come.
pub(crate) async fn run_and_signal(
    mut command: Command,
    signal: &str,
    time: impl Future<Output = ()>,
) -> Output {
    let child = command.spawn().expect("the binary runs");
    time.await;
    send_signal(child.id(), signal);
    wait_for(child).await
}

async fn wait_for(mut child: Child) -> Output {
    // What these programs print fits into their pipes.
    let ended = tokio::time::timeout(DEADLINE, async {
        while child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    if ended.await.is_err() {
        child.kill().unwrap();
        panic!("the program does not end: {:?}", child.wait_with_output());
    }
    child.wait_with_output().unwrap()
}

fn send_signal(process: u32, name: &str) {
    let kill = Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).status();
    assert!(kill.unwrap().success());
}
