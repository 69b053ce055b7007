//! `strace` on a running server: it says what the server asked of the kernel, or makes calls fail.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::support::{Process, eventually};

/// A tracer of a running process, until it is dropped.
pub(crate) struct Strace {
    strace: Child,
    log: PathBuf,
}

impl Strace {
    /// `what` is the part of `inject=` that says which calls fail, how and when; each thread counts its own.
    pub(crate) async fn inject(server: &Process, folder: &Path, what: &str) -> Self {
        let calls = what.split(':').next().unwrap();
        let (trace, inject) = (format!("trace={calls}"), format!("inject={what}"));
        Self::attach(server, folder, &["-e", &trace, "-e", &inject]).await
    }

    pub(crate) async fn attach(server: &Process, folder: &Path, args: &[&str]) -> Self {
        let log = folder.join("strace.log");
        let strace = Command::new("strace")
            .args(["-f", "-o"])
            .arg(&log)
            .args(args)
            .args(["-p", &server.id().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("strace is needed (scripts/install-test-tools.sh installs it): {error}")
            });
        let mut tracer = Self { strace, log };
        let status = format!("/proc/{}/status", server.id());
        eventually("strace to attach", || {
            if let Some(status) = tracer.strace.try_wait().unwrap() {
                let mut said = String::new();
                let stderr = tracer.strace.stderr.as_mut().unwrap();
                std::io::Read::read_to_string(stderr, &mut said).unwrap();
                panic!("strace cannot trace here (is ptrace allowed?), {status}: {said}");
            }
            let is_traced = is_traced(&status);
            async move { is_traced }
        })
        .await;
        tracer
    }

    /// How many calls it has made fail.
    pub(crate) fn injected(&self) -> usize {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter(|line| line.contains("(INJECTED)")).count()
    }

    /// Lets go of the server, and tells all that it has asked for.
    pub(crate) fn end(mut self) -> String {
        self.let_go();
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    fn let_go(&mut self) {
        let pid = self.strace.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        let _ = self.strace.wait();
    }
}

/// Whether all threads of a process are traced, going by the `status` of the process.
fn is_traced(status: &str) -> bool {
    let tasks = Path::new(status).with_file_name("task");
    std::fs::read_dir(tasks).unwrap().all(|task| {
        let status = std::fs::read_to_string(task.unwrap().path().join("status"));
        // A thread that has ended meanwhile is no matter.
        status.is_ok_and(|status| !status.contains("TracerPid:\t0\n"))
    })
}

impl Drop for Strace {
    /// The server goes on.
    fn drop(&mut self) {
        if self.strace.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.let_go();
        }
    }
}
