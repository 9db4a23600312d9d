//! Progress: a bar, lines or JSON, fed by messages. Nothing in a run depends on it, and so it may look at a clock.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::{Duration, Instant},
};

use bevy_ecs::prelude::*;
use esper_engine::{
    ids::HostId,
    journal::{TextContext, TickEvents},
};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{ProgressMode, Scores, Summary, together::Together};
use crate::oona::{EpochEnded, HostReport};

/// A bar is drawn no more often than this: 20 times a second looks smooth.
const BAR_EVERY: Duration = Duration::from_millis(50);
/// A line for an epoch is written no more often than this, but for the last.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Shows how far a run is and what happens in it.
#[derive(Resource)]
pub struct Progress {
    screen: Screen,
    every: Duration,
    shown_at: Option<Instant>,
    /// Each host's steps, and how many it will take.
    hosts: BTreeMap<HostId, (u64, u64)>,
    /// When the first report came, and the steps taken by then: a resumed run does not begin at 0.
    began: Option<(Instant, u64)>,
    steps_per_epoch: u64,
    /// The last validation, as the bar shows it.
    validation: String,
    /// What a line may refer to beside its own event.
    context: TextContext,
}

enum Screen {
    Quiet,
    Bar(ProgressBar),
    Plain(Box<dyn Write + Send + Sync>),
    Json(Box<dyn Write + Send + Sync>),
}

impl Progress {
    /// People's output goes to standard error, JSON to standard output.
    pub fn new(mode: ProgressMode) -> Self {
        match mode {
            ProgressMode::Quiet => Self::on(Screen::Quiet, Duration::ZERO),
            ProgressMode::Bar => Self::on(Screen::Bar(bar()), BAR_EVERY),
            ProgressMode::Plain => Self::on(Screen::Plain(Box::new(io::stderr())), LINE_EVERY),
            ProgressMode::Json => Self::on(Screen::Json(Box::new(io::stdout())), Duration::ZERO),
        }
    }

    /// Plain lines, every one of them, to `out`.
    pub fn plain_to(out: impl Write + Send + Sync + 'static) -> Self {
        Self::on(Screen::Plain(Box::new(out)), Duration::ZERO)
    }

    /// JSON lines to `out`.
    pub fn json_to(out: impl Write + Send + Sync + 'static) -> Self {
        Self::on(Screen::Json(Box::new(out)), Duration::ZERO)
    }

    fn on(screen: Screen, every: Duration) -> Self {
        Self {
            screen,
            every,
            shown_at: None,
            hosts: BTreeMap::new(),
            began: None,
            steps_per_epoch: 0,
            validation: String::new(),
            context: TextContext::default(),
        }
    }

    /// Whether nothing is shown.
    pub fn is_quiet(&self) -> bool {
        matches!(self.screen, Screen::Quiet)
    }

    /// Tells people something that is no event: what was repaired, where the run lies.
    pub fn note(&mut self, text: &str) {
        self.tell("note", &BTreeMap::from([("text", text)]), || text.to_owned());
    }

    /// Shows how the run ended.
    pub fn finish(&mut self, summary: &Summary) {
        if let Screen::Bar(bar) = &self.screen {
            bar.finish_and_clear();
            self.screen = Screen::Plain(Box::new(io::stderr()));
        }
        self.tell("summary", summary, || summary_text(summary));
    }

    /// One JSON object, or lines for people.
    fn tell<E: Serialize>(&mut self, kind: &'static str, event: &E, text: impl FnOnce() -> String) {
        #[derive(Serialize)]
        struct Untimed<'a, E: Serialize> {
            kind: &'static str,
            #[serde(flatten)]
            event: &'a E,
        }
        match &mut self.screen {
            Screen::Json(out) => write_json(out, &Untimed { kind, event }),
            _ => self.say(&text()),
        }
    }

    fn say(&mut self, text: &str) {
        match &mut self.screen {
            // A reader that has gone away is no reason to end a run.
            Screen::Plain(out) => drop(writeln!(out, "{text}")),
            Screen::Bar(bar) => bar.println(text),
            Screen::Quiet | Screen::Json(_) => (),
        }
    }

    /// Shows a tick: its events in the order of the journal, its epochs as a mean over hosts, and how far the run is.
    pub(super) fn show<'a>(
        &mut self,
        tick: u64,
        reports: impl Iterator<Item = &'a HostReport>,
        events: &TickEvents,
    ) {
        let mut loss = None;
        for report in reports {
            self.observe(report);
            loss = report.loss_mean.or(loss);
        }
        self.begin();
        self.context.n_hosts = self.hosts.len();
        if let Screen::Json(out) = &mut self.screen {
            events.iter().for_each(|event| write_line(out, event.to_json(tick)));
            return;
        }
        for line in Together::of(events).lines(events, &mut self.context) {
            self.say(&line);
        }
        self.show_epochs(&events.of().collect::<Vec<&EpochEnded>>());
        self.move_bar(loss);
    }

    fn observe(&mut self, report: &HostReport) {
        self.hosts.insert(report.host, (report.step, report.total_steps));
        self.steps_per_epoch = report.steps_per_epoch;
    }

    fn begin(&mut self) {
        if self.began.is_none() && !self.hosts.is_empty() {
            self.began = Some((Instant::now(), self.steps()));
        }
    }

    fn steps(&self) -> u64 {
        self.hosts.values().map(|(step, _)| step).sum()
    }

    fn total_steps(&self) -> u64 {
        self.hosts.values().map(|(_, total)| total).sum()
    }

    /// Whether it is time to show something again; if so, the clock starts anew.
    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let is_done = self.steps() >= self.total_steps();
        let is_due = is_done || self.shown_at.is_none_or(|then| now - then >= self.every);
        if is_due {
            self.shown_at = Some(now);
        }
        is_due
    }

    /// Steps a second since the first report, and the seconds left at that speed.
    fn speed(&self) -> Option<(f64, f64)> {
        let steps = self.steps();
        let (began, at_first) = self.began?;
        // A host that was rolled back has fewer steps than it had.
        let per_s = steps.saturating_sub(at_first) as f64 / began.elapsed().as_secs_f64();
        let left = self.total_steps().saturating_sub(steps) as f64;
        (per_s.is_finite() && per_s > 0.0).then(|| (per_s, left / per_s))
    }

    fn move_bar(&mut self, loss: Option<f32>) {
        if !matches!(self.screen, Screen::Bar(_)) || !self.is_due() {
            return;
        }
        let (steps, total) = (self.steps(), self.total_steps());
        let speed = self.speed();
        let Screen::Bar(bar) = &self.screen else { return };
        bar.set_length(total);
        bar.set_position(steps);
        let loss = loss.map_or(String::new(), |loss| format!("loss {loss:.4}  "));
        bar.set_message(loss + &self.validation + &speed_text(speed));
    }

    /// Hosts that ended an epoch in this tick: a line of their means, or a word in the bar.
    fn show_epochs(&mut self, epochs: &[&EpochEnded]) {
        if epochs.is_empty() {
            return;
        }
        let scores: Vec<Scores> = epochs
            .iter()
            .map(|it| Scores {
                train_loss: Some(it.train_loss),
                val_loss: Some(it.val_loss),
                val_accuracy: it.val_accuracy,
                ..Scores::default()
            })
            .collect();
        let mean = Scores::mean(&scores);
        if let Screen::Bar(_) = self.screen {
            let loss = || score_text("val loss", mean.val_loss);
            self.validation =
                mean.val_accuracy.map_or_else(loss, |share| score_text("val acc", Some(share)));
        } else if self.is_due() {
            let text = self.epoch_text(epochs, &mean);
            self.say(&text);
        }
    }

    fn epoch_text(&self, epochs: &[&EpochEnded], mean: &Scores) -> String {
        let last = epochs.last().expect("there is one");
        let total_steps = self.hosts.get(&last.host).map(|(_, total)| *total);
        let n_epochs = total_steps.and_then(|total| total.checked_div(self.steps_per_epoch));
        let of = n_epochs.map_or(String::new(), |n| format!("/{n}"));
        let hosts =
            if self.hosts.len() > 1 { format!("  {} hosts", epochs.len()) } else { String::new() };
        let params = epochs.iter().map(|it| it.params_elems).sum::<u64>() / epochs.len() as u64;
        let n_seeds: u64 = epochs.iter().map(|it| it.n_active_seeds).sum();
        let text = format!(
            "epoch {}{of}{hosts}  step {}  {}{}{}params {params}  seeds {n_seeds}  {}",
            last.epoch,
            last.step,
            score_text("train loss", mean.train_loss),
            score_text("val loss", mean.val_loss),
            score_text("val acc", mean.val_accuracy),
            speed_text(self.speed()),
        );
        text.trim_end().to_owned()
    }
}

fn write_json<E: Serialize>(out: &mut Box<dyn Write + Send + Sync>, line: &E) {
    write_line(out, serde_json::to_string(line).expect("plain data serialises"));
}

fn write_line(out: &mut Box<dyn Write + Send + Sync>, mut line: String) {
    line.push('\n');
    // A reader that has gone away is no reason to end a run.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:28} {percent:>3}%  step {pos}/{len}  {msg}");
    ProgressBar::new(0).with_style(style.expect("the template is well formed"))
}

fn score_text(name: &str, value: Option<f64>) -> String {
    value.map_or(String::new(), |value| format!("{name} {value:.4}  "))
}

fn speed_text(speed: Option<(f64, f64)>) -> String {
    speed.map_or(String::new(), |(per_s, left_s)| {
        format!("{per_s:.0} steps/s  ETA {}", duration_text(left_s))
    })
}

fn duration_text(duration_s: f64) -> String {
    let seconds = duration_s.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// The whole of `summary` in five lines.
fn summary_text(summary: &Summary) -> String {
    let Summary { status, reason, epochs, steps, scores, seeds, flops, wall_s, .. } = summary;
    let reason = reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
    let status = format!("{status:?}").to_lowercase();
    let scores = [
        score_text("train loss", scores.train_loss),
        score_text("val loss", scores.val_loss),
        score_text("val acc", scores.val_accuracy),
        score_text("test loss", scores.test_loss),
        score_text("test acc", scores.test_accuracy),
    ]
    .concat();
    let cost = flops.total() as f64;
    let share = |part: u64| if cost > 0.0 { 100.0 * part as f64 / cost } else { 0.0 };
    format!(
        "{status}{reason}\n\
         {epochs} epochs, {steps} steps in {wall_s:.1} s\n\
         {}\n\
         params {} -> {}  seeds: {} germinated, {} fossilized, {} culled, {} cancelled, {} rolled back\n\
         {cost:.3e} FLOPs: host {:.1} %, seeds {:.1} %, evaluation {:.1} %, validation {:.1} %",
        scores.trim_end(),
        summary.params_initial,
        summary.params_final,
        seeds.germinated,
        seeds.fossilized,
        seeds.culled,
        seeds.cancelled,
        seeds.rolled_back,
        share(flops.host),
        share(flops.seeds),
        share(flops.evaluation),
        share(flops.validation),
    )
}
