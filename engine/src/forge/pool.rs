//! Threads: they run jobs, catch panics, and are abandoned when they hang.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{ForgeConfig, Job, Outcome};

/// What a pool calls a job: never used twice in a process, unlike a ticket, which a load brings back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Task(u64);

/// Workers a forge may lose to hung jobs, for each it was asked to run: a thread can not be killed, so
/// what is abandoned stays until its job ends, and the number of those has to be bounded.
const ABANDONED_MAX_PER_WORKER: usize = 4;

pub(super) struct Pool<J: Job> {
    name: &'static str,
    n_workers: usize,
    timeout: Duration,
    orders: flume::Sender<Order<J>>,
    /// Where workers take orders from; kept to hand it to replacements.
    inbox: flume::Receiver<Order<J>>,
    outbox: flume::Sender<Note<J::Output>>,
    notes: flume::Receiver<Note<J::Output>>,
    workers: BTreeMap<u64, Worker>,
    n_spawned: u64,
    n_abandoned: usize,
    n_tasks: u64,
    /// Submitted, and neither taken nor forgotten: what is not in here is dropped on arrival.
    wanted: BTreeSet<Task>,
    /// Arrived before their turn.
    early: BTreeMap<Task, Outcome<J::Output>>,
}

struct Order<J> {
    task: Task,
    delay: Duration,
    job: J,
}

/// What a worker says, in the order it happens.
enum Note<T> {
    Started { worker: u64, task: Task, at: Instant },
    Ended { worker: u64, task: Task, outcome: Outcome<T> },
}

struct Worker {
    /// Told to take no further order.
    retired: Arc<AtomicBool>,
    running: Option<(Task, Instant)>,
}

impl<J: Job> Pool<J> {
    pub(super) fn new(config: &ForgeConfig) -> Self {
        // Unbounded, because the forge bounds what is out; a full channel would block the tick.
        let (orders, inbox) = flume::unbounded();
        let (outbox, notes) = flume::unbounded();
        Self {
            name: config.name,
            n_workers: config.n_workers,
            timeout: Duration::from_millis(config.timeout_ms),
            orders,
            inbox,
            outbox,
            notes,
            workers: BTreeMap::new(),
            n_spawned: 0,
            n_abandoned: 0,
            n_tasks: 0,
            wanted: BTreeSet::new(),
            early: BTreeMap::new(),
        }
    }

    /// Queues a job.
    pub(super) fn submit(&mut self, delay: Duration, job: J) -> Task {
        if self.n_spawned == 0 {
            (0..self.n_workers).for_each(|_| self.spawn());
        }
        let task = Task(self.n_tasks);
        self.n_tasks += 1;
        self.wanted.insert(task);
        self.orders.send(Order { task, delay, job }).expect("the pool holds an inbox");
        task
    }

    /// The outcome of `task`, if it is there.
    pub(super) fn take(&mut self, task: Task) -> Option<Outcome<J::Output>> {
        let outcome = self.early.remove(&task)?;
        self.wanted.remove(&task);
        Some(outcome)
    }

    /// Drops `task`'s outcome when it comes.
    pub(super) fn forget(&mut self, task: Task) {
        self.wanted.remove(&task);
        self.early.remove(&task);
    }

    /// Drops every outcome there is or will be of what was submitted so far.
    pub(super) fn forget_all(&mut self) {
        self.wanted.clear();
        self.early.clear();
    }

    /// Reads what workers have said, and abandons those that hang.
    pub(super) fn poll(&mut self) {
        while let Ok(note) = self.notes.try_recv() {
            self.hear(note);
        }
        self.abandon_hung();
    }

    /// As [`Self::poll`], after waiting for a worker to say something or to run out of time.
    pub(super) fn wait(&mut self) {
        let now = Instant::now();
        let started = self.workers.values().filter_map(|worker| worker.running);
        let first_deadline = started.map(|(_, began)| began + self.timeout).min();
        let patience = first_deadline.map_or(self.timeout, |at| at.saturating_duration_since(now));
        if !self.workers.is_empty()
            && let Ok(note) = self.notes.recv_timeout(patience)
        {
            self.hear(note);
        }
        self.poll();
    }

    fn hear(&mut self, note: Note<J::Output>) {
        match note {
            Note::Started { worker, task, at } => {
                if let Some(worker) = self.workers.get_mut(&worker) {
                    worker.running = Some((task, at));
                }
            }
            Note::Ended { worker, task, outcome } => {
                if let Some(worker) = self.workers.get_mut(&worker) {
                    worker.running = None;
                }
                // An abandoned worker may still end: its task was decided long ago.
                if self.wanted.contains(&task) {
                    self.early.entry(task).or_insert(outcome);
                }
            }
        }
    }

    fn abandon_hung(&mut self) {
        let hung: Vec<(u64, Task)> = self
            .workers
            .iter()
            .filter_map(|(id, worker)| worker.running.map(|(task, began)| (*id, task, began)))
            .filter(|(_, _, began)| self.timeout <= began.elapsed())
            .map(|(id, task, _)| (id, task))
            .collect();
        for (id, task) in hung {
            let worker = self.workers.remove(&id).expect("it was just seen");
            worker.retired.store(true, Ordering::Relaxed);
            self.time_out(task);
            self.n_abandoned += 1;
            if self.n_abandoned <= ABANDONED_MAX_PER_WORKER * self.n_workers {
                self.spawn();
            }
        }
        if self.workers.is_empty() {
            while let Ok(order) = self.inbox.try_recv() {
                self.time_out(order.task);
            }
        }
    }

    fn time_out(&mut self, task: Task) {
        if self.wanted.contains(&task) {
            self.early.entry(task).or_insert(Outcome::TimedOut);
        }
    }

    /// Starts a worker. Where the system has no thread to give, those there are do the work.
    fn spawn(&mut self) {
        let id = self.n_spawned;
        self.n_spawned += 1;
        let retired = Arc::new(AtomicBool::new(false));
        let (flag, inbox, outbox) = (retired.clone(), self.inbox.clone(), self.outbox.clone());
        let thread = thread::Builder::new().name(format!("esper-{}", self.name));
        if thread.spawn(move || work::<J>(id, &flag, &inbox, &outbox)).is_ok() {
            self.workers.insert(id, Worker { retired, running: None });
        }
    }
}

/// A worker's life. It ends when the pool is dropped or gives the worker up.
fn work<J: Job>(
    worker: u64,
    retired: &AtomicBool,
    inbox: &flume::Receiver<Order<J>>,
    outbox: &flume::Sender<Note<J::Output>>,
) {
    while !retired.load(Ordering::Relaxed)
        && let Ok(Order { task, delay, job }) = inbox.recv()
        && outbox.send(Note::Started { worker, task, at: Instant::now() }).is_ok()
    {
        if !delay.is_zero() {
            thread::sleep(delay);
        }
        let outcome = match catch_unwind(AssertUnwindSafe(|| job.run())) {
            Ok(output) => Outcome::Done(output),
            Err(_) => Outcome::Panicked,
        };
        if outbox.send(Note::Ended { worker, task, outcome }).is_err() {
            return; // The forge is gone, and so is the reason to work.
        }
    }
}
