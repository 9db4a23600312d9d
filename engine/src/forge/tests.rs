use std::{thread, time::Duration};

use serde::{Deserialize, Serialize};

use super::*;
use crate::journal::Journal;

/// Sleeps for so many milliseconds and returns its number; panics at 666.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Nap {
    number: u64,
    ms: u64,
}

impl Job for Nap {
    type Output = u64;

    fn run(self) -> u64 {
        assert_ne!(self.number, 666, "the number of the panic");
        thread::sleep(Duration::from_millis(self.ms));
        self.number * self.number
    }
}

/// What a run of forges shows: tick, ticket and outcome of each admission.
type Log = Vec<(u64, u64, Outcome<u64>)>;

fn config(mode: Mode, n_workers: usize) -> ForgeConfig {
    ForgeConfig { mode, n_workers, latency_ticks: 3, ..ForgeConfig::new("nap") }
}

fn forge(config: ForgeConfig) -> (Forge<Nap>, JobsOut<Nap>, Lateness) {
    (Forge::new(config, None, None), JobsOut::default(), Lateness::default())
}

fn drive(
    config: ForgeConfig,
    script: Option<Script>,
    handicap: fn(&str, Ticket) -> Duration,
    n_ticks: u64,
) -> (Log, JobsOut<Nap>, u64) {
    let mut forge = Forge::new(config, script, Some(InjectedDelay(handicap)));
    let (mut jobs, lateness) = (JobsOut::default(), Lateness::default());
    let mut log = Log::new();
    for now in 1..=n_ticks {
        let admitted = forge.admit(&mut jobs, now, &lateness);
        log.extend(admitted.into_iter().map(|it| (now, it.ticket.0, it.outcome)));
        if now <= 10 {
            let number = if now == 4 { 666 } else { now };
            forge.send(&mut jobs, now, Nap { number, ms: 0 }).unwrap();
        }
        thread::sleep(Duration::from_micros(300));
    }
    let n_late = lateness.n_late();
    (log, jobs, n_late)
}

fn none(_: &str, _: Ticket) -> Duration {
    Duration::ZERO
}

#[test]
fn a_workers_timing_does_not_change_a_strict_run() {
    let (calm, _, _) = drive(config(Mode::Strict, 1), None, none, 15);
    let slow = |_: &str, ticket: Ticket| Duration::from_millis(7 * (ticket.0 * 7 % 5));
    for n_workers in [1, 4] {
        let (busy, _, n_late) = drive(config(Mode::Strict, n_workers), None, slow, 15);
        assert_eq!(calm, busy);
        assert!(0 < n_late, "a test in which no worker is late proves nothing");
    }
    assert_eq!(calm.len(), 10);
    assert!(calm.iter().all(|(tick, ticket, _)| *tick == ticket + 4), "{calm:?}");
    assert_eq!(calm[3].2, Outcome::Panicked);
    assert_eq!(calm[4].2, Outcome::Done(25));
}

#[test]
fn a_script_repeats_a_free_run_to_the_tick() {
    let uneven = |_: &str, ticket: Ticket| Duration::from_micros(400 * (ticket.0 % 3));
    let (free, _, _) = drive(config(Mode::Free, 2), None, uneven, 600);
    assert_eq!(free.len(), 10);
    let mut script = Script::default();
    for (tick, ticket, outcome) in &free {
        script.push(*tick, Ticket(*ticket), outcome.kind());
    }
    let slower = |_: &str, ticket: Ticket| Duration::from_millis(3 * (ticket.0 % 2));
    let (replayed, _, _) = drive(config(Mode::Free, 3), Some(script), slower, 600);
    assert_eq!(free, replayed);
}

#[test]
fn a_scripted_timeout_is_one_again_and_an_unscripted_job_stays_out() {
    let mut script = Script::default();
    script.push(5, Ticket(0), JobOutcome::TimedOut);
    script.push(7, Ticket(2), JobOutcome::Done);
    let (log, jobs, _) = drive(config(Mode::Free, 1), Some(script), none, 15);
    assert_eq!(log, [(5, 0, Outcome::TimedOut), (7, 2, Outcome::Done(9))]);
    assert_eq!(jobs.len(), 8);
}

#[test]
fn scripts_are_read_from_a_journal_and_a_torn_end_is_left_out() {
    #[derive(Serialize)]
    struct Admitted {
        forge: &'static str,
        ticket: u64,
        outcome: JobOutcome,
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let mut journal = Journal::create(&path, 100).unwrap();
    let mut expected = Scripts::default();
    for (tick, forge, ticket, outcome) in [
        (3, "compile", 0, JobOutcome::Done),
        (5, "bench", 0, JobOutcome::TimedOut),
        (5, "compile", 1, JobOutcome::Panicked),
    ] {
        journal.append(tick, "other", &Nap { number: 1, ms: 2 }).unwrap();
        journal.append(tick, JOB_ADMITTED, &Admitted { forge, ticket, outcome }).unwrap();
        expected.0.entry(forge.to_owned()).or_default().push(tick, Ticket(ticket), outcome);
    }
    journal.append(6, "other", &Nap { number: 1, ms: 2 }).unwrap();
    drop(journal);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    assert_eq!(Scripts::read(&path).unwrap(), expected);
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains(r#""forge":"bench","ticket":0,"outcome":"timed_out""#), "{text}");
}

#[test]
fn a_hung_worker_is_abandoned_and_replaced() {
    let (mut forge, mut jobs, lateness) =
        forge(ForgeConfig { timeout_ms: 300, latency_ticks: 1, ..config(Mode::Strict, 1) });
    forge.send(&mut jobs, 0, Nap { number: 2, ms: 60_000 }).unwrap();
    forge.send(&mut jobs, 0, Nap { number: 3, ms: 0 }).unwrap();
    let admitted = forge.admit(&mut jobs, 1, &lateness);
    let outcomes: Vec<_> = admitted.into_iter().map(|it| it.outcome).collect();
    assert_eq!(outcomes, [Outcome::TimedOut, Outcome::Done(9)]);
}

#[test]
fn when_every_replacement_hangs_the_rest_times_out_and_the_tick_goes_on() {
    let (mut forge, mut jobs, lateness) =
        forge(ForgeConfig { timeout_ms: 5, latency_ticks: 1, ..config(Mode::Strict, 1) });
    for number in 0..9 {
        forge.send(&mut jobs, 0, Nap { number, ms: 60_000 }).unwrap();
    }
    let admitted = forge.admit(&mut jobs, 1, &lateness);
    assert_eq!(admitted.len(), 9);
    assert!(admitted.iter().all(|it| it.outcome == Outcome::TimedOut));
    forge.send(&mut jobs, 1, Nap { number: 1, ms: 0 }).unwrap();
    assert_eq!(forge.admit(&mut jobs, 2, &lateness)[0].outcome, Outcome::TimedOut);
}

#[test]
fn a_full_queue_gives_the_job_back() {
    let (mut forge, mut jobs, lateness) =
        forge(ForgeConfig { queue_max: 2, ..config(Mode::Strict, 1) });
    let nap = |number| Nap { number, ms: 0 };
    assert_eq!(forge.send(&mut jobs, 0, nap(0)).unwrap(), Ticket(0));
    assert_eq!(forge.send(&mut jobs, 0, nap(1)).unwrap(), Ticket(1));
    assert_eq!(forge.send(&mut jobs, 0, nap(2)).unwrap_err().0, nap(2));
    assert_eq!(forge.admit(&mut jobs, 3, &lateness).len(), 2);
    assert_eq!(
        forge.send(&mut jobs, 3, nap(2)).unwrap(),
        Ticket(2),
        "a refused job takes no ticket"
    );
}

#[test]
fn jobs_that_a_checkpoint_brought_back_are_admitted_as_if_nothing_had_happened() {
    let send = |forge: &mut Forge<Nap>, jobs: &mut JobsOut<Nap>| {
        for now in 0..3 {
            forge.send(jobs, now, Nap { number: 5 + now, ms: 1 }).unwrap();
        }
    };
    let collect = |forge: &mut Forge<Nap>, jobs: &mut JobsOut<Nap>| -> Log {
        let lateness = Lateness::default();
        let admit = |now| {
            let admitted = forge.admit(jobs, now, &lateness);
            admitted.into_iter().map(move |it| (now, it.ticket.0, it.outcome)).collect::<Log>()
        };
        (3..9).flat_map(admit).collect()
    };
    let (mut undisturbed, mut jobs, _) = forge(config(Mode::Strict, 1));
    send(&mut undisturbed, &mut jobs);
    let saved = postcard::to_stdvec(&jobs).unwrap();
    let expected = collect(&mut undisturbed, &mut jobs);
    assert_eq!(expected.len(), 3);

    let (mut fresh, _, _) = forge(config(Mode::Strict, 2));
    let mut loaded: JobsOut<Nap> = postcard::from_bytes(&saved).unwrap();
    assert_eq!(collect(&mut fresh, &mut loaded), expected);

    // A load over a running engine: what the workers had before does not leak into what follows.
    let (mut used, mut other, _) = forge(config(Mode::Strict, 1));
    used.send(&mut other, 0, Nap { number: 99, ms: 0 }).unwrap();
    let mut loaded: JobsOut<Nap> = postcard::from_bytes(&saved).unwrap();
    assert_eq!(collect(&mut used, &mut loaded), expected);
    assert_eq!(used.send(&mut loaded, 9, Nap { number: 1, ms: 0 }).unwrap(), Ticket(3));
}

#[test]
fn a_forge_of_zero_workers_or_of_a_taken_name_is_refused() {
    let mut engine = Engine::default();
    let zero = ForgeConfig { n_workers: 0, ..ForgeConfig::new("nap") };
    assert!(
        engine.add_forge::<Nap>(zero).is_err_and(|error| error.to_string().contains("n_workers"))
    );
    engine.add_forge::<Nap>(ForgeConfig::new("nap")).unwrap();
    assert!(engine.add_forge::<Nap>(ForgeConfig::new("nap")).is_err());
}
