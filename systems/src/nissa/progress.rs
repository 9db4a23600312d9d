//! Progress: a bar, lines or JSON, fed by messages. Nothing in a run depends on it, and so it may look at a clock.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::{Duration, Instant},
};

use bevy_ecs::{prelude::*, system::SystemParam};
use esper_engine::world::{
    ids::{HostId, SeedId},
    kernel::KernelStatus,
};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{ProgressMode, Recorded, Scores, Summary};
use crate::oona::{
    EpochEnded, FaultReported, Gate, GateJudged, HostReport, HostRolledBack, KernelJudged,
    StageChanged,
};

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
    /// The last verdict on each seed since it entered its stage, with the gain it saw.
    verdicts: BTreeMap<SeedId, (Gate, f64)>,
}

enum Screen {
    Quiet,
    Bar(ProgressBar),
    Plain(Box<dyn Write + Send + Sync>),
    Json(Box<dyn Write + Send + Sync>),
}

/// One line of `--json`: like a line of the audit chain, without the seal.
#[derive(Serialize)]
struct Line<'a, E: Serialize> {
    tick: u64,
    kind: &'static str,
    #[serde(flatten)]
    event: &'a E,
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
            verdicts: BTreeMap::new(),
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

    fn event<E: Recorded>(&mut self, tick: u64, event: &E, text: impl FnOnce() -> Option<String>) {
        if let Screen::Json(out) = &mut self.screen {
            write_json(out, &Line { tick, kind: E::KIND, event });
        } else if let Some(text) = text() {
            self.say(&text);
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

    /// `@hidden0 residual_mlp` and the like, with the host's name where there are several.
    fn name(&self, host: HostId, rest: &str) -> String {
        if self.hosts.len() > 1 { format!("{host} {rest}") } else { rest.to_owned() }
    }

    fn change_text(&mut self, change: &StageChanged) -> String {
        let StageChanged { seed, host, site, from, to, step, family, reason, .. } = change;
        let family = family.as_deref().unwrap_or("-");
        let why = match self.verdicts.remove(seed) {
            Some((gate, gain)) => format!("{gate:?} {gain:+.3}"),
            None => reason.clone(),
        };
        let name = self.name(*host, &format!("{seed} @{site} {family}"));
        format!("step {step}  {name}  {from} -> {to}  ({why})")
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

/// What happened in a tick that people are told of.
#[derive(SystemParam)]
pub(super) struct News<'w, 's> {
    hosts: MessageReader<'w, 's, HostReport>,
    kernels: MessageReader<'w, 's, KernelJudged>,
    faults: MessageReader<'w, 's, FaultReported>,
    rollbacks: MessageReader<'w, 's, HostRolledBack>,
    gates: MessageReader<'w, 's, GateJudged>,
    stages: MessageReader<'w, 's, StageChanged>,
    epochs: MessageReader<'w, 's, EpochEnded>,
}

impl News<'_, '_> {
    /// Tells nobody.
    pub(super) fn clear(&mut self) {
        self.hosts.clear();
        self.kernels.clear();
        self.faults.clear();
        self.rollbacks.clear();
        self.gates.clear();
        self.stages.clear();
        self.epochs.clear();
    }

    /// Tells it in the order of the phases.
    pub(super) fn show(&mut self, tick: u64, progress: &mut Progress) {
        let mut loss = None;
        for report in self.hosts.read() {
            progress.observe(report);
            loss = report.loss_mean.or(loss);
        }
        progress.begin();
        for kernel in self.kernels.read() {
            progress.event(tick, kernel, || kernel_text(kernel));
        }
        for fault in self.faults.read() {
            let name = progress.name(fault.host, "");
            progress.event(tick, fault, || {
                let whose = if fault.is_twin { "fault of the twin" } else { "fault" };
                Some(format!("step {}  {name}{whose}: {}", fault.step, fault.fault.name()))
            });
        }
        for rollback in self.rollbacks.read() {
            let name = progress.name(rollback.host, "");
            let HostRolledBack { from_step, to_step, to, .. } = rollback;
            progress.event(tick, rollback, || {
                Some(format!("step {from_step}  {name}rolled back to its {to}, step {to_step}"))
            });
        }
        for judged in self.gates.read() {
            if let Some(gain) = judged.evidence.gain() {
                progress.verdicts.insert(judged.seed, (judged.evidence.gate(), gain));
            }
            progress.event(tick, judged, || None);
        }
        let mut changes: Vec<&StageChanged> = self.stages.read().collect();
        changes.sort_by_key(|change| change.seed);
        for change in changes {
            let text = progress.change_text(change);
            progress.event(tick, change, || Some(text));
        }
        let mut epochs: Vec<&EpochEnded> = self.epochs.read().collect();
        epochs.sort_by_key(|epoch| epoch.host);
        if let Screen::Json(_) = progress.screen {
            epochs.iter().for_each(|epoch| progress.event(tick, *epoch, || None));
        } else {
            progress.show_epochs(&epochs);
        }
        progress.move_bar(loss);
    }
}

fn kernel_text(kernel: &KernelJudged) -> Option<String> {
    let KernelJudged { family, variant, status, reasons, .. } = kernel;
    (*status == KernelStatus::Rejected)
        .then(|| format!("kernel {family}/{variant} rejected: {}", reasons.join("; ")))
}

fn write_json<E: Serialize>(out: &mut Box<dyn Write + Send + Sync>, line: &E) {
    let mut text = serde_json::to_vec(line).expect("plain data serialises");
    text.push(b'\n');
    // A reader that has gone away is no reason to end a run.
    let _ = out.write_all(&text).and_then(|()| out.flush());
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
