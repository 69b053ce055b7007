//! Safe by default: where a server without keys listens, and under which names.

use crate::helpers::{Process, clearside, get, note, request, run};

#[actix_web::test]
async fn without_keys_nothing_but_this_machine_is_served_unless_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("clearside.db").display());
    for (command, listen) in [("serve", "0.0.0.0:0"), ("serve", "[::]:0"), ("demo", "192.0.2.1:0")]
    {
        let output = run(clearside(&[command, "--listen", listen, "--database", &database])).await;
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert_eq!(error.trim().lines().count(), 1, "{error}");
        for part in ["--listen", listen, "--jwt-secret-file", "--open"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(output.stdout.is_empty() && !folder.path().join("clearside.db").exists());
    }
}

#[actix_web::test]
async fn the_start_says_who_may_do_what() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, super::SECRET).unwrap();
    let secret = secret.to_str().unwrap();
    for (args, expected) in [
        (
            &["--listen", "127.0.0.1:0"][..],
            Some("there are no keys: anyone on this machine may publish and read"),
        ),
        (
            &["--listen", "0.0.0.0:0", "--open"],
            Some("there are no keys: anyone who reaches it may publish and read"),
        ),
        (&["--listen", "127.0.0.1:0", "--jwt-secret-file", secret], None),
        (&["--listen", "0.0.0.0:0", "--jwt-secret-file", secret], None),
    ] {
        let database = format!("sqlite://{}", folder.path().join("clearside.db").display());
        let mut command = clearside(&["serve", "--database", &database]);
        let mut child = command.args(args).spawn().unwrap();
        let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
        assert!(line.starts_with("listening on http://"), "{line}");
        let id = child.id().to_string();
        assert!(std::process::Command::new("kill").arg(&id).status().unwrap().success());
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut stdout, &mut rest).unwrap();
        assert_eq!(rest.lines().next(), expected, "{args:?}");
        assert!(child.wait().unwrap().success());
    }
}

#[actix_web::test]
async fn what_the_demo_says_to_try_names_the_token_that_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let secret = super::file(&folder, "secret", super::SECRET);
    let database = format!("sqlite://{}", folder.path().join("clearside.db").display());
    for (args, needs_token) in
        [(&[][..], false), (&["--jwt-secret-file", secret.to_str().unwrap()], true)]
    {
        let mut command = clearside(&["demo", "--listen", "127.0.0.1:0", "--database", &database]);
        let mut child = command.args(args).spawn().unwrap();
        let stdout = std::io::BufReader::new(child.stdout.take().unwrap());
        let lines = std::io::BufRead::lines(stdout).map(Result::unwrap);
        let said: Vec<_> = lines.take_while(|line| !line.starts_with("Ctrl-C")).collect();
        assert!(std::process::Command::new("kill").arg(child.id().to_string()).status().is_ok());
        let curl: Vec<_> = said.iter().filter(|line| line.contains("curl -N")).collect();
        assert_eq!(curl.len(), 2, "{said:?}");
        for line in curl {
            assert_eq!(line.contains("Authorization: Bearer $TOKEN"), needs_token, "{said:?}");
        }
        assert_eq!(said.iter().any(|line| line.contains("token create")), needs_token, "{said:?}");
        child.wait().unwrap();
    }
}

#[actix_web::test]
async fn a_server_without_keys_logs_no_token_that_it_is_sent_either() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::serve(folder.path(), 0, &["--log-filter", "trace"]).await;
    let mut secrets = Vec::new();
    for (method, path) in [
        ("GET", "/api/debates"),
        ("GET", "/api/debates/d1/stream"),
        ("HEAD", "/api/debates/d1/stream"),
        ("POST", "/api/debates/d1/events"),
        ("POST", "/api/debates/d1/ticket"),
    ] {
        let place = |place: &str| format!("{place}-of-{}-{method}", secrets.len());
        let [bearer, cookie, ticket] = ["token", "cookie", "ticket"].map(place);
        let (header, pair) = (format!("Bearer {bearer}"), format!("clearside_token={cookie}"));
        let headers = [
            ("Authorization", header.as_str()),
            ("Cookie", &pair),
            ("Accept", "application/json"),
            ("Content-Type", "application/json"),
        ];
        let path = format!("{path}?ticket={ticket}");
        if method == "GET" && path.contains("stream") {
            crate::helpers::Wire::follow(server.address, &path, &headers).await;
        } else {
            request(server.address, method, &path, &headers, b"").await;
        }
        secrets.extend([bearer, cookie, ticket]);
    }
    let log = server.end_and_read_log();
    assert!(!log.is_empty(), "a log that says nothing proves nothing");
    for secret in secrets {
        assert_eq!(log.lines().find(|line| line.contains(&secret)), None, "a secret in the log");
    }
}

#[actix_web::test]
async fn a_switch_in_the_environment_is_turned_with_the_usual_words() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("clearside.db").display());
    let serve = |word: &str| {
        let mut command = clearside(&["serve", "--listen", "0.0.0.0:0", "--database", &database]);
        command.env("CLEARSIDE_OPEN", word);
        command
    };
    for word in ["1", "yes", "true", "on"] {
        Process::start(serve(word)).await;
    }
    for word in ["0", "no", "false", "off"] {
        let output = run(serve(word)).await;
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("--listen: "), "as if it were not there: {word}: {error}");
    }
}

#[actix_web::test]
async fn a_name_that_cannot_be_read_is_none_of_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &[]).await;
    let request = b"GET /api/stats HTTP/1.1\r\nHost: ev\xefl.example\r\nConnection: close\r\n\r\n";
    let answer = super::answer_to(server.address, request).await;
    assert_eq!((answer.status(), answer.code().as_str()), (403, "foreign_host"));
}

#[actix_web::test]
async fn a_server_without_keys_answers_to_the_names_of_this_machine_only() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &[]).await;
    let port = server.address.port();
    let ask = async |method: &str, path: &str, host: &str| {
        let body = if method == "POST" { note(1).to_string() } else { String::new() };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        super::answer_to(server.address, head.as_bytes()).await
    };
    for (host, is_own) in [
        (format!("127.0.0.1:{port}"), true),
        (format!("localhost:{port}"), true),
        (format!("[::1]:{port}"), true),
        (format!("evil.example:{port}"), false),
        ("127.0.0.1.evil.example".into(), false),
        ("192.168.1.2".into(), false),
    ] {
        for (method, path, expected) in [
            ("GET", "/api/debates", 200),
            ("GET", "/", 200),
            ("POST", "/api/debates/d1/events", 201),
        ] {
            let answer = ask(method, path, &host).await;
            assert_eq!(
                answer.status(),
                if is_own { expected } else { 403 },
                "{host}: {}",
                answer.text()
            );
            if !is_own {
                assert_eq!(answer.code(), "foreign_host");
                assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            }
        }
    }
    // Somebody in front has seen to it, or a token will tell.
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, super::SECRET).unwrap();
    for (args, status) in
        [(&["--open"][..], 200), (&["--jwt-secret-file", secret.to_str().unwrap()], 401)]
    {
        let server = Process::serve(folder.path(), 0, args).await;
        let headers =
            b"GET /api/stats HTTP/1.1\r\nHost: debates.example\r\nConnection: close\r\n\r\n";
        let answer = super::answer_to(server.address, headers).await;
        assert_eq!(answer.status(), status, "{args:?}");
    }
}

#[actix_web::test]
async fn health_and_the_page_need_no_token() {
    let server = super::Guarded::start(&[]).await;
    for path in ["/", "/health/live", "/health/ready", "/assets/viewer.js"] {
        assert_eq!(get(server.server.address, path).await.status(), 200, "{path}");
    }
    let page = get(server.server.address, "/").await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'self'") && policy.contains("require-trusted-types-for"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    let missing = request(server.server.address, "GET", "/nothing", &[], b"").await;
    assert_eq!(missing.status(), 404);
}
