//! Sending and admitting: where the rule about timing is kept.

use std::time::Instant;

use bevy_ecs::{prelude::*, system::SystemParam};

use super::{
    Forge, ForgeConfig, Full, InjectedDelay, Job, JobsOut, Lateness, Mode, Outcome, Script, Sent,
    Ticket, pool::Pool,
};
use crate::world::plugin::Clock;

/// What a system needs to send jobs of one kind and to admit their outcomes.
#[derive(SystemParam)]
pub struct Workers<'w, J: Job> {
    forge: ResMut<'w, Forge<J>>,
    jobs: ResMut<'w, JobsOut<J>>,
    clock: Res<'w, Clock>,
    lateness: Res<'w, Lateness>,
}

impl<J: Job> Workers<'_, J> {
    /// Sends a job at the present tick.
    ///
    /// # Errors
    ///
    /// Gives the job back when `queue_max` jobs are out.
    pub fn send(&mut self, job: J) -> Result<Ticket, Full<J>> {
        self.forge.send(&mut self.jobs, self.clock.0, job)
    }

    /// Takes every outcome that belongs to the present tick, in ticket order.
    pub fn admit(&mut self) -> Vec<Admission<J>> {
        if self.jobs.is_settled() {
            return Vec::new();
        }
        self.forge.admit(&mut self.jobs, self.clock.0, &self.lateness)
    }

    /// The jobs that are out.
    pub fn jobs(&self) -> &JobsOut<J> {
        &self.jobs
    }

    /// The forge's name.
    pub fn name(&self) -> &'static str {
        self.forge.config.name
    }
}

/// A job that came back.
#[derive(Clone, Debug)]
pub struct Admission<J: Job> {
    /// Its place in the order of sending.
    pub ticket: Ticket,
    /// The job as it was sent.
    pub job: J,
    /// How it ended.
    pub outcome: Outcome<J::Output>,
}

/// Whether a job's turn has come.
enum Turn {
    /// It is admitted in this tick, whatever it takes.
    Now,
    /// It is admitted as timed out, as it was in the run that is replayed.
    TimedOut,
    /// It is admitted if it is ready.
    IfReady,
    /// Not in this tick.
    NotYet,
}

impl<J: Job> Forge<J> {
    pub(super) fn new(
        config: ForgeConfig,
        script: Option<Script>,
        handicap: Option<InjectedDelay>,
    ) -> Self {
        Self { pool: Pool::new(&config), config, script, handicap }
    }

    /// Sends a job at tick `now`. In strict mode its outcome is admitted at `now + latency_ticks`.
    ///
    /// # Errors
    ///
    /// Gives the job back when `queue_max` jobs are out.
    pub fn send(&mut self, jobs: &mut JobsOut<J>, now: u64, job: J) -> Result<Ticket, Full<J>> {
        // Counted here and not by a channel: how fast workers drain that is a matter of timing.
        if self.config.queue_max <= jobs.out.len() {
            return Err(Full(job));
        }
        let ticket = Ticket(jobs.n_sent);
        jobs.n_sent += 1;
        let due_tick = now.saturating_add(self.config.latency_ticks);
        jobs.out.push_back(Sent { ticket, due_tick, job, task: None });
        self.launch(jobs);
        Ok(ticket)
    }

    /// Takes every outcome that belongs to tick `now`, in ticket order, waiting where the rule says so.
    pub fn admit(
        &mut self,
        jobs: &mut JobsOut<J>,
        now: u64,
        lateness: &Lateness,
    ) -> Vec<Admission<J>> {
        self.launch(jobs);
        self.pool.poll();
        let mut admitted = Vec::new();
        let mut at = 0;
        while let Some(sent) = jobs.out.get(at) {
            let task = sent.task.expect("every job out was launched");
            let outcome = match self.turn(sent, now) {
                Turn::Now => Some(self.wait(task, lateness)),
                Turn::TimedOut => {
                    self.pool.forget(task);
                    Some(Outcome::TimedOut)
                }
                Turn::IfReady => self.pool.take(task),
                Turn::NotYet => None,
            };
            match outcome {
                Some(outcome) => {
                    let Sent { ticket, job, .. } = jobs.out.remove(at).expect("it was just read");
                    admitted.push(Admission { ticket, job, outcome });
                }
                None => at += 1,
            }
        }
        admitted
    }

    fn turn(&self, sent: &Sent<J>, now: u64) -> Turn {
        match &self.script {
            Some(script) => match script.0.get(&sent.ticket) {
                Some(scripted) if scripted.tick <= now && scripted.timed_out => Turn::TimedOut,
                Some(scripted) if scripted.tick <= now => Turn::Now,
                _ => Turn::NotYet,
            },
            None => match self.config.mode {
                Mode::Free => Turn::IfReady,
                Mode::Strict if sent.due_tick <= now => Turn::Now,
                Mode::Strict => Turn::NotYet,
            },
        }
    }

    fn wait(&mut self, task: super::pool::Task, lateness: &Lateness) -> Outcome<J::Output> {
        if let Some(outcome) = self.pool.take(task) {
            return outcome;
        }
        let began = Instant::now();
        loop {
            self.pool.wait();
            if let Some(outcome) = self.pool.take(task) {
                lateness.add(began.elapsed());
                return outcome;
            }
        }
    }

    /// Hands the workers whatever they do not have yet: a new job, or all that a checkpoint brought back.
    fn launch(&mut self, jobs: &mut JobsOut<J>) {
        if !jobs.is_known {
            self.pool.forget_all();
            jobs.is_known = true;
        }
        for sent in jobs.out.iter_mut().filter(|sent| sent.task.is_none()) {
            let delay = self.handicap.map(|it| (it.0)(self.config.name, sent.ticket));
            sent.task = Some(self.pool.submit(delay.unwrap_or_default(), sent.job.clone()));
        }
    }
}
