use std::fs;

use proptest::prelude::*;

use super::*;

const EVENTS_MAX: u64 = 1_000_000;

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Sample {
    seed: u64,
    gain: f32,
    text: String,
}

fn sample(n: u64) -> Sample {
    Sample { seed: n, gain: n as f32 / 7.0, text: format!("reason \"{n}\"\n") }
}

fn append(journal: &mut Journal, n: u64) {
    journal.append(n / 2, "sampled", &sample(n)).expect("appends");
}

fn journal_of(n_events: u64) -> Journal {
    let mut journal = Journal::in_memory(EVENTS_MAX);
    (0..n_events).for_each(|n| append(&mut journal, n));
    journal
}

fn write_file(path: &Path, n_events: u64) -> Vec<JournalPosition> {
    let mut journal = Journal::create(path, EVENTS_MAX).unwrap();
    let mut positions = vec![journal.position()];
    for n in 0..n_events {
        append(&mut journal, n);
        positions.push(journal.position());
    }
    journal.sync().unwrap();
    positions
}

fn in_dir(test: impl FnOnce(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    test(&dir.path().join("events.jsonl"));
}

#[test]
fn a_chain_is_read_back_as_it_was_written() {
    in_dir(|path| {
        let positions = write_file(path, 30);
        let events: Vec<Event> = read(path).unwrap().map(Result::unwrap).collect();
        assert_eq!(events.len(), 30);
        for (n, event) in (0..).zip(&events) {
            assert_eq!((event.seq, event.tick, event.kind.as_str()), (n, n / 2, "sampled"));
            assert_eq!(event.to::<Sample>().unwrap(), sample(n));
            assert_eq!(event.prev, positions[n as usize].head);
            assert_eq!(event.hash, positions[n as usize + 1].head);
        }
        let bytes = fs::read(path).unwrap();
        assert!(read_bytes(&bytes).map(Result::unwrap).eq(events));
        let report = verify(path).unwrap();
        let end = positions[30];
        assert_eq!(
            (report.n_events, report.len_bytes, report.head),
            (30, end.offset_bytes, end.head)
        );
        assert_eq!(fs::metadata(path).unwrap().len(), end.offset_bytes);
    });
}

/// The rule as the module's documentation gives it to strangers, applied without this module's code.
#[test]
fn a_stranger_can_check_the_chain() {
    let journal = journal_of(5);
    let mut prev = "0".repeat(64);
    for (seq, line) in journal.bytes().unwrap().split_inclusive(|byte| *byte == b'\n').enumerate() {
        let event: serde_json::Value = serde_json::from_slice(line).unwrap();
        assert_eq!((&event["seq"], &event["prev"]), (&seq.into(), &prev.as_str().into()));
        prev = blake3::hash(&line[..line.len() - 76]).to_hex().to_string();
        assert_eq!(event["hash"], prev.as_str());
    }
    assert_eq!(prev, journal.head().to_string());
}

#[test]
fn every_changed_byte_is_found_and_its_line_is_named() {
    let journal = journal_of(30);
    let mut bytes = journal.bytes().unwrap().to_vec();
    let mut line = 1;
    for at in 0..bytes.len() {
        let original = bytes[at];
        for changed in [original ^ 1, original ^ 0x20, original ^ 0x80, b'\n', b'"', 0] {
            if changed != original {
                bytes[at] = changed;
                let fault = verify_bytes(&bytes).expect_err("a changed byte is found");
                assert_eq!(fault.line, line, "byte {at} from {original} to {changed}: {fault}");
            }
        }
        bytes[at] = original;
        line += u64::from(original == b'\n');
    }
    assert_eq!(verify_bytes(&bytes).unwrap().head, journal.head());
}

#[test]
fn a_line_that_is_dropped_moved_or_forged_is_found() {
    let journal = journal_of(6);
    let lines: Vec<&[u8]> =
        journal.bytes().unwrap().split_inclusive(|byte| *byte == b'\n').collect();
    let fault = |lines: &[&[u8]]| verify_bytes(&lines.concat()).expect_err("found");

    let dropped = [&lines[..2], &lines[3..]].concat();
    assert_eq!((fault(&dropped).line, fault(&dropped).what), (3, Break::Seq));
    let mut swapped = lines.clone();
    swapped.swap(2, 3);
    assert_eq!((fault(&swapped).line, fault(&swapped).what), (3, Break::Seq));

    // Sealed anew, with a content of its own: the next line gives it away.
    let mut forged = Vec::new();
    let second: serde_json::Value = serde_json::from_slice(lines[1]).unwrap();
    let prev: Hex = second["prev"].as_str().unwrap().as_bytes().try_into().unwrap();
    line::seal(&mut forged, 1, 0, "sampled", &sample(99), &prev);
    let mut replaced = lines.clone();
    replaced[1] = &forged;
    assert_eq!((fault(&replaced).line, fault(&replaced).what), (3, Break::Prev));
}

#[test]
fn a_resumed_run_that_repeats_itself_leaves_the_same_bytes() {
    in_dir(|path| {
        let positions = write_file(path, 12);
        let bytes = fs::read(path).unwrap();
        for from in 0..=12 {
            let (mut journal, repair) =
                Journal::open_at(path, positions[from as usize], EVENTS_MAX).unwrap();
            assert_eq!(repair, None);
            assert_eq!(journal.is_caught_up(), from == 12);
            (from..12).for_each(|n| append(&mut journal, n));
            assert!(journal.is_caught_up());
            journal.flush().unwrap();
            assert_eq!(fs::read(path).unwrap(), bytes, "resumed after {from} events");
            assert_eq!(journal.position(), positions[12]);
        }
    });
}

#[test]
fn a_last_line_torn_at_any_byte_is_cut_and_written_again() {
    in_dir(|path| {
        let positions = write_file(path, 8);
        let bytes = fs::read(path).unwrap();
        let (checkpoint, start) = (positions[4], positions[7].offset_bytes as usize);
        for torn_len in start..bytes.len() {
            fs::write(path, &bytes[..torn_len]).unwrap();
            let (mut journal, repair) = Journal::open_at(path, checkpoint, EVENTS_MAX).unwrap();
            let bytes_removed = (torn_len - start) as u64;
            let expected =
                (bytes_removed > 0).then(|| Repair { path: path.to_owned(), bytes_removed });
            assert_eq!(repair, expected);
            (4..8).for_each(|n| append(&mut journal, n));
            drop(journal);
            assert_eq!(fs::read(path).unwrap(), bytes, "torn after {torn_len} bytes");
        }
    });
}

#[test]
fn a_last_line_of_rubbish_is_cut_and_rubbish_elsewhere_is_an_error() {
    in_dir(|path| {
        let positions = write_file(path, 8);
        let whole = fs::read(path).unwrap();
        let mut bytes = whole.clone();
        let last = positions[7].offset_bytes as usize;
        bytes[last + 20..last + 30].fill(0);
        fs::write(path, &bytes).unwrap();
        let (journal, repair) = Journal::open_at(path, positions[4], EVENTS_MAX).unwrap();
        assert_eq!(repair.unwrap().bytes_removed, (bytes.len() - last) as u64);
        drop(journal);

        let mut bytes = whole;
        bytes[positions[5].offset_bytes as usize + 20] ^= 1;
        fs::write(path, &bytes).unwrap();
        let error = Journal::open_at(path, positions[4], EVENTS_MAX).unwrap_err();
        assert!(matches!(error, JournalError::Broken { fault, .. } if fault.line == 6), "{error}");
        assert_eq!(fs::read(path).unwrap(), bytes, "what is in doubt is not touched");
    });
}

#[test]
fn a_run_that_differs_from_its_past_is_stopped_at_the_event() {
    in_dir(|path| {
        let positions = write_file(path, 8);
        let bytes = fs::read(path).unwrap();
        let (mut journal, _) = Journal::open_at(path, positions[4], EVENTS_MAX).unwrap();
        append(&mut journal, 4);
        let error = journal.append(2, "sampled", &sample(77)).unwrap_err();
        let JournalError::Diverged { seq: 5, expected, found, .. } = &error else {
            panic!("{error}")
        };
        assert!(expected.contains("\"seed\":5") && found.contains("\"seed\":77"), "{error}");
        assert!(matches!(journal.append(2, "sampled", &sample(5)), Err(JournalError::Ended)));
        assert_eq!(journal.position(), positions[5]);
        drop(journal);
        assert_eq!(fs::read(path).unwrap(), bytes);
    });
}

#[test]
fn a_checkpoint_of_another_journal_is_refused() {
    in_dir(|path| {
        let positions = write_file(path, 8);
        let open = |position| Journal::open_at(path, position, EVENTS_MAX).map(drop).unwrap_err();
        let (at, end) = (positions[4], positions[8]);
        for elsewhere in [
            JournalPosition { head: Digest::of(b"another"), ..at },
            JournalPosition { offset_bytes: at.offset_bytes + 1, ..at },
            JournalPosition { offset_bytes: end.offset_bytes + 1, ..at },
            JournalPosition { offset_bytes: 5, ..at },
            JournalPosition { offset_bytes: 0, ..at },
        ] {
            assert!(matches!(open(elsewhere), JournalError::Elsewhere { .. }), "{elsewhere:?}");
        }
        let miscounted = open(JournalPosition { seq: 3, ..at });
        assert!(matches!(miscounted, JournalError::Broken { .. }), "{miscounted}");
    });
}

#[test]
fn a_journal_has_one_writer_and_is_never_overwritten() {
    in_dir(|path| {
        let journal = Journal::create(path, EVENTS_MAX).unwrap();
        let second = Journal::open_at(path, journal.position(), EVENTS_MAX).unwrap_err();
        assert!(matches!(second, JournalError::InUse { .. }), "{second}");
        drop(journal);
        let again = Journal::create(path, EVENTS_MAX).unwrap_err();
        assert!(matches!(again, JournalError::File(_)), "{again}");
    });
}

#[test]
fn the_limits_on_events_and_on_their_length_hold() {
    let mut journal = Journal::in_memory(3);
    (0..3).for_each(|n| append(&mut journal, n));
    let error = journal.append(9, "sampled", &sample(3)).unwrap_err();
    assert!(matches!(error, JournalError::Full { events_max: 3 }), "{error}");

    let mut journal = Journal::in_memory(3);
    let long = Sample { text: "x".repeat(LINE_BYTES_MAX), ..sample(0) };
    let error = journal.append(0, "sampled", &long).unwrap_err();
    assert!(matches!(error, JournalError::TooLong { .. }), "{error}");
    assert_eq!(journal.n_events(), 0);
}

#[test]
fn a_journal_in_memory_goes_on_where_it_was() {
    let whole = journal_of(9);
    let start = journal_of(5);
    let mut rest = Journal::in_memory_at(start.position(), EVENTS_MAX);
    (5..9).for_each(|n| append(&mut rest, n));
    assert_eq!(rest.head(), whole.head());
    let joined = [start.bytes().unwrap(), rest.bytes().unwrap()].concat();
    assert_eq!(joined, whole.bytes().unwrap());
}

#[test]
fn an_event_without_fields_is_a_line_too() {
    #[derive(Serialize)]
    struct Empty {}
    let mut journal = Journal::in_memory(10);
    journal.append(0, "began", &Empty {}).unwrap();
    append(&mut journal, 0);
    assert_eq!(verify_bytes(journal.bytes().unwrap()).unwrap().n_events, 2);
}

#[test]
#[should_panic(expected = "a key of the journal's own")]
#[cfg(debug_assertions)]
fn an_event_may_not_take_the_journals_keys() {
    #[derive(Serialize)]
    struct Forger {
        hash: u8,
    }
    let _ = Journal::in_memory(10).append(0, "forged", &Forger { hash: 1 });
}

/// `/dev/full` takes a write and says that there is no space.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_a_typed_error_that_says_what_to_do() {
    let path = Path::new("/dev/full");
    let file = OpenOptions::new().append(true).open(path).unwrap();
    let mut journal = Journal::on_file(path, file, None, JournalPosition::default(), EVENTS_MAX);
    append(&mut journal, 0);
    let error = journal.flush().unwrap_err();
    let JournalError::File(FileError { source, .. }) = &error else { panic!("{error}") };
    assert_eq!(source.kind(), io::ErrorKind::StorageFull);
    assert!(
        error.to_string().contains("/dev/full") && error.to_string().contains("free"),
        "{error}"
    );
    assert!(matches!(journal.append(0, "sampled", &sample(1)), Err(JournalError::Ended)));
}

proptest! {
    #[test]
    fn any_text_is_sealed_and_read_back(
        events in prop::collection::vec((any::<u64>(), "\\PC*|[\\x00-\\x1f\"\\\\]*", any::<f32>()), 0..12),
    ) {
        let mut journal = Journal::in_memory(EVENTS_MAX);
        for (tick, text, gain) in &events {
            let event = Sample { seed: *tick, gain: *gain, text: text.clone() };
            journal.append(*tick, "sampled", &event).unwrap();
        }
        let report = verify_bytes(journal.bytes().unwrap()).unwrap();
        prop_assert_eq!(report.head, journal.head());
        prop_assert_eq!(report.n_events, events.len() as u64);
        for (line, (tick, text, _)) in journal.bytes().unwrap().split_inclusive(|b| *b == b'\n').zip(&events) {
            let event: Event = serde_json::from_slice(line).unwrap();
            prop_assert_eq!(event.tick, *tick);
            prop_assert_eq!(event.fields["text"].as_str(), Some(text.as_str()));
        }
    }

    #[test]
    fn no_rubbish_is_taken_for_a_chain(bytes in prop::collection::vec(any::<u8>(), 1..400)) {
        prop_assert!(verify_bytes(&bytes).is_err());
    }

    #[test]
    fn a_crash_at_any_byte_loses_no_whole_line(n_events in 1_u64..12, cut in 0.0_f64..1.0, from in 0.0_f64..1.0) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let positions = write_file(&path, n_events);
        let bytes = fs::read(&path).unwrap();
        let cut_bytes = (cut * bytes.len() as f64) as usize;
        let n_whole = positions.iter().filter(|it| 0 < it.seq && it.offset_bytes <= cut_bytes as u64).count();
        let from = (from * (n_whole + 1) as f64) as usize;
        fs::write(&path, &bytes[..cut_bytes]).unwrap();
        let (mut journal, repair) = Journal::open_at(&path, positions[from], EVENTS_MAX).unwrap();
        let kept = positions[n_whole].offset_bytes;
        prop_assert_eq!(repair.map_or(0, |it| it.bytes_removed), cut_bytes as u64 - kept);
        prop_assert_eq!(fs::read(&path).unwrap().len() as u64, kept);
        (from as u64..n_events).for_each(|n| append(&mut journal, n));
        drop(journal);
        prop_assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}
