//! `Recorder`: the thread that writes, so that a tick does not wait for a disk.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use esper_engine::{
    program::Program,
    world::{
        blueprint::{Blueprint, BlueprintStatus},
        ids::BlueprintId,
    },
};
use esper_nn::contract::Contract;

use super::{
    record::{Batch, BlueprintRecord, DeploymentRecord, KernelRecord},
    store::LibraryStore,
};

/// Ticks whose news may wait for the disk; a tick beyond that waits itself.
const QUEUE_MAX: usize = 64;

/// What one tick has to tell, not yet encoded.
#[derive(Default)]
pub(super) struct News {
    pub(super) blueprints: Vec<(BlueprintId, Blueprint, Contract, BlueprintStatus)>,
    pub(super) kernels: Vec<(KernelRecord, Option<Arc<Program>>)>,
    pub(super) deployments: Vec<DeploymentRecord>,
}

impl News {
    /// Whether there is nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.blueprints.is_empty() && self.kernels.is_empty() && self.deployments.is_empty()
    }
}

enum Order {
    Write(News),
    /// Answer once everything sent before is on the disk.
    Settle(SyncSender<()>),
}

/// Counts and failures the thread shares with the ticks.
#[derive(Default)]
struct Shared {
    n_commits: AtomicU64,
    n_records: AtomicU64,
    n_blob_bytes: AtomicU64,
    failure: Mutex<Option<String>>,
}

/// How much a recorder has written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Transactions.
    pub n_commits: u64,
    /// Versions of blueprints and kernels, and deployments.
    pub n_records: u64,
    /// Bytes of new graphs and programs.
    pub n_blob_bytes: u64,
}

/// Writes one run's news in the order in which it was sent. Dropping it waits for the last.
pub(super) struct Recorder {
    orders: Option<SyncSender<Order>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Starts writing to `store` in the name of `run`.
    pub(super) fn start(store: LibraryStore, run: &str) -> Self {
        let (orders, inbox) = sync_channel(QUEUE_MAX);
        let shared = Arc::<Shared>::default();
        let (run, theirs) = (run.to_owned(), shared.clone());
        let thread = thread::spawn(move || serve(&store, &run, &inbox, &theirs));
        Self { orders: Some(orders), shared, thread: Some(thread) }
    }

    /// Hands over a tick's news.
    pub(super) fn send(&self, news: News) {
        self.order(Order::Write(news));
    }

    /// Waits until everything sent is on the disk.
    ///
    /// # Errors
    ///
    /// Says why writing failed, then or at any time before.
    pub(super) fn settle(&self) -> Result<(), String> {
        let (answer, settled) = sync_channel(1);
        self.order(Order::Settle(answer));
        if settled.recv().is_err() {
            self.shared.fail("the thread that writes the library is gone".to_owned());
        }
        self.failure().map_or(Ok(()), Err)
    }

    /// Why writing failed, if it did; nothing is written from then on.
    pub(super) fn failure(&self) -> Option<String> {
        self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How much was written.
    pub(super) fn recorded(&self) -> Recorded {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Recorded {
            n_commits: read(&self.shared.n_commits),
            n_records: read(&self.shared.n_records),
            n_blob_bytes: read(&self.shared.n_blob_bytes),
        }
    }

    fn order(&self, order: Order) {
        let orders = self.orders.as_ref().expect("it is there until it is dropped");
        if orders.send(order).is_err() {
            self.shared.fail("the thread that writes the library is gone".to_owned());
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // It catches the panics of what it calls, and a panic here would abort.
            let _ended = thread.join();
        }
    }
}

impl Shared {
    /// Keeps the first failure: those that follow are its consequences.
    fn fail(&self, reason: String) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(reason);
    }
}

/// Writes until the recorder is dropped; what piles up meanwhile goes into one commit.
fn serve(store: &LibraryStore, run: &str, inbox: &Receiver<Order>, shared: &Shared) {
    // A library that was just created is written by now, and not yet on the disk.
    if let Err(error) = store.sync() {
        shared.fail(error.to_string());
    }
    while let Ok(first) = inbox.recv() {
        let mut batch = Batch::new(run);
        let mut waiting = Vec::new();
        for order in std::iter::once(first).chain(inbox.try_iter().take(QUEUE_MAX)) {
            match order {
                Order::Write(news) => encode(news, run, &mut batch),
                Order::Settle(answer) => waiting.push(answer),
            }
        }
        write(store, &batch, shared);
        for answer in waiting {
            // One that no longer listens needs no answer.
            let _heard = answer.send(());
        }
    }
}

fn write(store: &LibraryStore, batch: &Batch, shared: &Shared) {
    let has_failed = shared.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some();
    if has_failed || batch.is_empty() {
        return;
    }
    match store.commit(batch) {
        Ok(committed) if committed.n_records == 0 && committed.n_blob_bytes == 0 => {}
        Ok(committed) => {
            shared.n_commits.fetch_add(1, Ordering::Relaxed);
            shared.n_records.fetch_add(committed.n_records, Ordering::Relaxed);
            shared.n_blob_bytes.fetch_add(committed.n_blob_bytes, Ordering::Relaxed);
        }
        Err(error) => shared.fail(error.to_string()),
    }
}

fn encode(news: News, run: &str, batch: &mut Batch) {
    for (id, blueprint, contract, status) in news.blueprints {
        batch.blueprints.push(BlueprintRecord::new(id, &blueprint, contract, status, run));
    }
    for (record, program) in news.kernels {
        let bytes = program.map(|it| postcard::to_stdvec(&*it).expect("a program serialises"));
        batch.kernels.push((record, bytes));
    }
    batch.deployments.extend(news.deployments);
}
