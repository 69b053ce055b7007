use super::*;

#[test]
fn every_field_arrives_where_it_belongs() {
    let transcript = parse(
        r#"{
            "title": "Why do we sleep?",
            "speakers": [
                {"id": "ada", "name": "Ada", "persona": "ada-the-historian", "host": true},
                {"id": "Bo_2", "name": "Bo"}
            ],
            "script": [
                {"phase": "Opening"},
                {"speaker": "ada", "text": "Well, to beg—", "manner": "interrupted"},
                {"speaker": "Bo_2", "text": " To dream!\n\n# Yes ", "manner": "interjection"},
                {"silence_ms": 1500},
                {"text": "Quite.", "speaker": "ada"},
                {"summary": "Nobody knows yet."}
            ]
        }"#,
    )
    .unwrap();

    let ada = Arc::new(Speaker {
        id: "ada".into(),
        name: "Ada".into(),
        persona: Some("ada-the-historian".into()),
        is_host: true,
    });
    let bo =
        Arc::new(Speaker { id: "Bo_2".into(), name: "Bo".into(), persona: None, is_host: false });
    let speech = |speaker: &Arc<Speaker>, text: &str, manner| {
        let speaker = Arc::clone(speaker);
        Cue::Speech(Speech { speaker, text: text.into(), manner, at: None })
    };
    let cues = vec![
        Cue::Phase("Opening".into()),
        speech(&ada, "Well, to beg—", Manner::Interrupted),
        speech(&bo, " To dream!\n\n# Yes ", Manner::Interjection),
        Cue::Silence(Duration::from_millis(1500)),
        speech(&ada, "Quite.", Manner::Ordinary),
        Cue::Summary("Nobody knows yet.".into()),
    ];
    let title = Some("Why do we sleep?".into());
    assert_eq!(transcript, Transcript { title, speakers: vec![ada, bo], cues });
}

#[test]
fn a_faulty_document_is_refused_by_line_and_column() {
    #[track_caller]
    fn check(document: &str, expected: &str) {
        let error = parse(document).unwrap_err().to_string();
        let what = error.strip_prefix("this is no transcript in the JSON form: ").unwrap();
        assert!(what.starts_with(expected), "{document}: {error}");
        assert!(what.contains(" at line "), "{document}: {error}");
    }

    let script = |entry: &str| format!("{{\"speakers\": [],\n\"script\": [{entry}]}}");
    let speaker = |entry: &str| format!("{{\"speakers\": [{entry}], \"script\": []}}");

    check("{", "EOF while parsing an object at line 1 column 1");
    check("{}", "missing field `speakers` at line 1 column 2");
    check(r#"{"speakers": []}"#, "missing field `script` at line 1 column 16");
    check(r#"{"speakers": [], "script": []} {}"#, "trailing characters at line 1 column 32");
    check(r#"{"titel": "x"}"#, "unknown field `titel`, expected one of `title`, `speakers`");
    check("{\n  \"title\": 7\n}", "invalid type: integer `7`, expected a string that is");
    check("{\n  \"title\": \" \"\n}", "expected a string that is not blank at line 2 column 14");

    check(&speaker(r#"{"id": "ada"}"#), "missing field `name`");
    check(&speaker(r#"{"role": "host"}"#), "unknown field `role`, expected one of `id`");
    check(
        &speaker(r#"{"id": "ada", "name": " \n"}"#),
        "expected a string that is not blank at line",
    );
    check(&speaker(r#"{"id": ""}"#), "expected 1 to 64 ASCII letters");
    check(&speaker(r#"{"id": "a b"}"#), "expected 1 to 64 ASCII letters");
    check(&speaker(r#"{"id": "ä"}"#), "expected 1 to 64 ASCII letters");
    check(
        &speaker(&format!(r#"{{"id": "{}"}}"#, "a".repeat(65))),
        "expected 1 to 64 ASCII letters",
    );
    check(&speaker(r#"{"persona": "A!"}"#), "expected 1 to 64 ASCII letters");
    check(&speaker(r#"{"host": "yes"}"#), "invalid type: string \"yes\", expected a boolean");

    check(&script(r#"{"spaeker": "ada"}"#), "unknown field `spaeker`, expected one of");
    check(&script(r#"{"text": "a", "text": "b"}"#), "duplicate field `text` at line 2");
    check(&script(r#"{"text": ""}"#), "expected a string that is not blank at line 2 column 22");
    check(&script(r#"{"speaker": "a\nb"}"#), "expected 1 to 64 ASCII letters");
    check(&script(r#"{"phase": " "}"#), "expected a string that is not blank at line");
    check(&script(r#"{"summary": "\t"}"#), "expected a string that is not blank at line");
    check(&script(r#"{"manner": "shouted"}"#), "unknown variant `shouted`, expected one of");
    check(&script(r#"{"silence_ms": -1}"#), "invalid value: integer `-1`, expected u64 at");
    check(&script(r#"{"silence_ms": 600001}"#), "a silence must be at most 600000 ms");

    let not_one_cue = "an entry of `script` must have either `phase`, or `speaker` and `text`";
    check(&script("{}"), not_one_cue);
    check(&script(r#"{"speaker": "ada"}"#), not_one_cue);
    check(&script(r#"{"text": "Yes."}"#), not_one_cue);
    check(&script(r#"{"phase": "Opening", "manner": "interrupted"}"#), not_one_cue);
    check(&script(r#"{"speaker": "ada", "text": "Yes.", "summary": "Aye."}"#), not_one_cue);
}

#[test]
fn entries_that_do_not_fit_together_are_refused_by_their_path() {
    #[track_caller]
    fn check(speakers: &str, script: &str, expected: &str) {
        let document = format!(r#"{{"speakers": [{speakers}], "script": [{script}]}}"#);
        let error = parse(&document).unwrap_err().to_string();
        assert!(error.contains(expected), "{document}: {error}");
    }

    let ada = r#"{"id": "ada", "name": "Ada"}"#;
    let yes = r#"{"speaker": "ada", "text": "Yes."}"#;
    let no = r#"{"speaker": "bo", "text": "No."}"#;
    check(&format!("{ada}, {ada}"), yes, "speakers[1].id: `ada` is the id of another speaker");
    check("", yes, "script[0].speaker: no speaker has the id `ada`");
    check(ada, &format!("{yes}, {no}"), "script[1].speaker: no speaker has the id `bo`");
    check("", "", "nobody speaks in it");
    check(ada, "", "nobody speaks in it");
    check(ada, r#"{"phase": "Opening"}, {"silence_ms": 600000}"#, "nobody speaks in it");
}
