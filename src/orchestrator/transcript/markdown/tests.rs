use super::*;

/// Writes turns (phase, marker, content) as the exporter does.
fn export(turns: &[(&str, &str, &str)]) -> String {
    let mut parts = vec![
        "# Debate Analysis\n\n**Generated:** Dec 28, 2025, 11:04 PM\n**Duration:** 0s\n".into(),
        "---\n\n## Proposition\n\n**Question:** Is this a question?\n\n**Context:** {}\n".into(),
        "---\n\n## Debate Summary\n\n### Gaps\n\n\n**[00:09] Nobody:**\n\nsaid so\n".into(),
        "---\n\n## Full Transcript".into(),
    ];
    let mut current = "";
    for &(phase, marker, content) in turns {
        if phase != current {
            parts.push(format!("\n### {phase}\n"));
            current = phase;
        }
        parts.push(format!("{marker}\n\n{content}\n"));
    }
    parts.join("\n")
}

/// One line for each cue.
fn outline(transcript: &Transcript) -> Vec<String> {
    let line = |cue: &Cue| match cue {
        Cue::Phase(phase) => format!("= {phase}"),
        Cue::Speech(Speech { speaker, text, manner, at }) => {
            format!("{} {} {manner:?}: {text}", at.unwrap().as_secs(), speaker.name)
        }
        Cue::Summary(_) | Cue::Silence(_) => panic!("an export has no {cue:?}"),
    };
    transcript.cues.iter().map(line).collect()
}

#[test]
fn an_export_is_read_back_as_it_was_written() {
    let headings = "# Constructive Arguments\n## Round One\n\n---\n\n### 1. **Cost**\n\n\
                    **Claim:** high\n\n\n### Rebuttals\n\n* **FACT:** no\n * phase";
    let text = export(&[
        ("Opening Statements", "**[00:03] Moderator:**", "Welcome.\n\n1. **One**: first\n2. Two"),
        ("Opening Statements", "**[00:08] Pro Advocate:**", "**Position Statement**\nYes."),
        ("Evidence Presentation", "**[00:33] Pro Advocate:** *[Interjection]*", "No!"),
        ("Evidence Presentation", "**[00:33] Con Advocate:** [INTERRUPTED]", headings),
        ("Evidence Presentation", "**[00:40] Con Advocate:** [INTERRUPTED]", "### Scale\n\nThe (—"),
        ("Clarifying Questions", "**[00:58] Pro Advocate:**", "### Opening Statement\n\n**Why**"),
        ("Rebuttals", "**[75:09] Con Advocate:** [INTERRUPTED]", ""),
        ("Moderator Synthesis", "**[1:15:10] Moderator:**", "---\n\nBoth are right."),
    ]);

    let transcript = parse(&text).unwrap();

    assert_eq!(transcript.title.as_deref(), Some("Is this a question?"));
    assert_eq!(
        outline(&transcript),
        [
            "= Opening Statements",
            "3 Moderator Ordinary: Welcome.\n\n1. **One**: first\n2. Two",
            "8 Pro Advocate Ordinary: **Position Statement**\nYes.",
            "= Evidence Presentation",
            "33 Pro Advocate Interjection: No!",
            &format!("33 Con Advocate Interrupted: {headings}"),
            "40 Con Advocate Interrupted: ### Scale\n\nThe (—",
            "= Clarifying Questions",
            "58 Pro Advocate Ordinary: ### Opening Statement\n\n**Why**",
            "= Rebuttals",
            "4509 Con Advocate Interrupted: —",
            "= Moderator Synthesis",
            "4510 Moderator Ordinary: ---\n\nBoth are right.",
        ]
    );
    let speakers: Vec<_> = transcript.speakers.iter().map(|s| (s.id.as_str(), s.is_host)).collect();
    assert_eq!(speakers, [("moderator", true), ("pro-advocate", false), ("con-advocate", false)]);

    let from_windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    assert_eq!(from_windows.parse::<Transcript>().unwrap(), transcript);
}

/// `|` stands for a line end, `@A` for A's marker.
#[track_caller]
fn check(script: &str, expected: &[&str]) {
    let text = script.replace('|', "\n").replace("@A", "**[00:01] A:**");
    let transcript =
        parse(&format!("## Full Transcript\n\n{}", text.replace("@B", "**[00:02] B:**")));
    let outline = outline(&transcript.unwrap()).join(" / ").replace('\n', "|");
    let outline = outline.replace("1 A Ordinary:", "A:").replace("2 B Ordinary:", "B:");
    assert_eq!(outline, expected.join(" / "), "{script}");
}

#[test]
fn a_heading_is_a_phase_only_between_speeches() {
    check("### One||@A||a", &["= One", "A: a"]);
    check("Preface||### One||@A||a", &["= One", "A: a"]);
    check("@A||a|||### Two ||@B||b", &["A: a", "= Two", "B: b"]);
    // The speech was cut short below its own heading.
    check("@A||a||### 2. B||@B||b", &["A: a||### 2. B", "B: b"]);
    check("@A||### 1. A||@B||b", &["A: ### 1. A", "B: b"]);
    // No marker follows.
    check("@A||a|||### B||b||@B||b", &["A: a|||### B||b", "B: b"]);
    check("@A||a|||### B|", &["A: a|||### B"]);
    // Another level, or no name.
    check("@A||a|||## B||@B||b", &["A: a|||## B", "B: b"]);
    check("@A||a|||#### B||@B||b", &["A: a|||#### B", "B: b"]);
    check("@A||a|||###B||@B||b", &["A: a|||###B", "B: b"]);
    check("@A||a|||### ||@B||b", &["A: a|||### ", "B: b"]);
}

#[test]
fn a_speech_loses_its_outer_blank_lines_and_nothing_else() {
    check("@A|| |  a  |||||\tb| \t|||", &["A:   a  |||||\tb"]);
    check("@A|a|@B|b", &["A: a", "B: b"]);
    check("@A Good evening.||Welcome.", &["A: Good evening.||Welcome."]);
    check("@A [OVERRULED]||a", &["A: [OVERRULED]||a"]);
    check("@A||## Full Transcript||> @B|| {}", &["A: ## Full Transcript||> **[00:02] B:**|| {}"]);
}

#[test]
fn a_silent_speech_is_left_out_unless_it_was_cut_short() {
    check("@A||||@B||b", &["B: b"]);
    check("@A *[Interjection]*||||@B||b", &["B: b"]);
    check("@A [INTERRUPTED]||||@B||b", &["1 A Interrupted: —", "B: b"]);
    check("@A|||||### Two||@B||b", &["= Two", "B: b"]);

    for silent in ["## Full Transcript", "## Full Transcript\n\n### One\n\n**[00:01] A:**\n\n"] {
        assert!(matches!(parse(silent), Err(TranscriptError::NoSpeech { .. })), "{silent}");
    }
}

#[test]
fn a_marker_is_told_from_a_bold_line() {
    #[track_caller]
    fn check(line: &str, expected: Option<(u64, &str, Manner)>) {
        let marker = Marker::parse(line);
        let found = marker.map(|marker| (marker.at.as_secs(), marker.name, marker.manner));
        assert_eq!(found, expected, "{line:?}");
    }

    check("**[00:33] Pro Advocate:**", Some((33, "Pro Advocate", Manner::Ordinary)));
    check("**[00:33] Pro Advocate:**  ", Some((33, "Pro Advocate", Manner::Ordinary)));
    check("**[01:33] A:** *[Interjection]*", Some((93, "A", Manner::Interjection)));
    check("**[99:59] A:** [INTERRUPTED]", Some((5_999, "A", Manner::Interrupted)));
    check(
        "**[1:02:03] A:** [INTERRUPTED] *[Interjection]*",
        Some((3_723, "A", Manner::Interjection)),
    );
    check("**[9999:9999:9999] A:**", Some((36_606_339, "A", Manner::Ordinary)));
    check("**[00:33] A (llama-3:free):**", Some((33, "A (llama-3:free)", Manner::Ordinary)));
    check("**[00:33] 李明: 教授:**", Some((33, "李明: 教授", Manner::Ordinary)));

    check("**Position Statement**", None);
    check("**Claim:** it is high", None);
    check("**[Claim] it:** is high", None);
    check("**[00:33] Pro Advocate**", None);
    check("**[00:33] see** here, **and:**", None);
    check("**[00:33] :**", None);
    check("**[00:33]Pro:**", None);
    check("**[33] Pro:**", None);
    check("**[1:2:3:4] Pro:**", None);
    check("**[+1:33] Pro:**", None);
    check("**[:33] Pro:**", None);
    check("**[99999:00] Pro:**", None);
    check(" **[00:33] Pro:**", None);
    check("> **[00:33] Pro:**", None);
}

#[test]
fn each_marker_is_one_speech_and_no_line_is_lost_whatever_stands_between_them() {
    const MARKERS: [&str; 3] =
        ["**[00:01] A:** x", "**[00:02] B:** *[Interjection]* x", "**[00:03] C:** [INTERRUPTED]"];
    const LINES: [&str; 8] =
        [MARKERS[0], MARKERS[1], MARKERS[2], "", "### Heading", "---", "**Bold:** text", " - item"];

    // Every arrangement of five of these lines.
    for arrangement in 0..LINES.len().pow(5) {
        let line = |place| LINES[arrangement / LINES.len().pow(place) % LINES.len()];
        let lines: Vec<&str> = (0..5).map(line).collect();
        let text = format!("## Full Transcript\n{}\n{}", MARKERS[0], lines.join("\n"));

        let mut speakers = String::from("A");
        let mut other_lines = Vec::new();
        for line in lines {
            match MARKERS.iter().position(|marker| *marker == line) {
                Some(index) => speakers.push(['A', 'B', 'C'][index]),
                None if line.is_empty() => {}
                None => other_lines.push(line),
            }
        }

        let mut found_speakers = String::new();
        let mut found_lines = Vec::new();
        let transcript = parse(&text).unwrap();
        for cue in &transcript.cues {
            match cue {
                Cue::Speech(speech) => {
                    found_speakers += &speech.speaker.name;
                    let is_other = |line: &&str| !["", "x", CUT].contains(line);
                    found_lines.extend(speech.text.lines().filter(is_other));
                }
                Cue::Phase(_) => found_lines.push("### Heading"),
                Cue::Summary(_) | Cue::Silence(_) => panic!("an export has no {cue:?}"),
            }
        }
        assert_eq!((found_speakers, found_lines), (speakers, other_lines), "{text}");
    }
}

#[test]
fn the_title_is_the_question_above_the_transcript() {
    #[track_caller]
    fn check(head: &str, expected: Option<&str>) {
        let script = "## Full Transcript  \n\n**[00:01] A:**\n\n**Question:** Why me?";
        let transcript = parse(&format!("{head}\n{script}")).unwrap();
        assert_eq!(transcript.title.as_deref(), expected, "{head}");
    }

    check("**Question:** Why?\n\n**Question:** How?", Some("Why?"));
    check("**Question:**\n\n**Context:** {}", None);
    check("", None);
}

#[test]
fn every_name_gets_an_id_of_its_own() {
    let long_names = ["seventy ".repeat(10), "seventy ".repeat(20)];
    let names = [
        ("Pro Advocate", "pro-advocate"),
        ("PRO advocate", "pro-advocate--2"),
        ("Pro Advocate (claude-3.5-sonnet)", "pro-advocate-claude-3-5-sonnet"),
        ("pro -- advocate  2", "pro-advocate-2"),
        ("Zoë", "zo"),
        ("李明", "speaker"),
        ("🦀", "speaker--7"),
        (&long_names[0], "seventy-seventy-seventy-seventy-seventy-seventy"),
        (&long_names[1], "seventy-seventy-seventy-seventy-seventy-seventy--9"),
    ];
    let speeches = names.map(|(name, _)| format!("**[00:01] {name}:** words\n")).concat();

    let transcript = parse(&format!("## Full Transcript\n{speeches}{speeches}")).unwrap();

    let ids: Vec<&str> = transcript.speakers.iter().map(|speaker| speaker.id.as_str()).collect();
    assert_eq!(ids, names.map(|(_, id)| id));
    assert_eq!(transcript.cues.len(), 2 * names.len());
}
