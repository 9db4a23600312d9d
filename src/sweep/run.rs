//! Running a sweep: its cells in waves.

use std::collections::BTreeMap;

use esper_nn::digest::Digest;

use super::{
    bench::Bench,
    cell::{Cell, DataCache, remove_run},
    cells::{Records, Wave},
    csv::write_tables,
    error::SweepError,
    front_cache::FrontCache,
    library::{Libraries, shared_paths},
    options::{SweepEnd, SweepEvent, SweepOptions},
    record::{CellRecord, CellStatus},
    spec::{SweepSpec, Task},
    stop::Stop,
    store::Store,
};

impl SweepSpec {
    /// Runs what is left of the sweep, telling `observe` of every cell that ends. One that fails stops no other, and is
    /// run again when the sweep is.
    ///
    /// # Errors
    ///
    /// Fails when the folder holds another sweep, is in use, or can not be written; and at the first cell whose scenario is
    /// not sound.
    pub fn run(
        &self,
        options: &SweepOptions,
        stop: &Stop,
        mut observe: impl FnMut(SweepEvent<'_>),
    ) -> Result<SweepEnd, SweepError> {
        self.check()?;
        let data = DataCache::default();
        let digests = self.data_digests(&data)?;
        let (store, found) = Store::open(&options.dir, self, options.shard, digests)?;
        let mut records: Records = found.into_iter().map(|it| (it.id.clone(), it)).collect();
        let fronts = FrontCache::open(options.fronts.as_deref());
        let libraries = Libraries::freeze(&options.dir, self, options.shard)?;
        let mut end = SweepEnd::default();
        for wave in Wave::ALL {
            let cells = self.cells(wave, &records, options.shard);
            let n_cells = cells.len();
            self.drop_stale(&cells, &mut records, &store)?;
            let left: Vec<Cell> =
                cells.into_iter().filter(|cell| !records.contains_key(&cell.id)).collect();
            if n_cells == 0 {
                continue;
            }
            observe(SweepEvent::WaveBegan { n_cells, n_done: n_cells - left.len() });
            let at = Bench {
                spec: self,
                options,
                stop,
                store: &store,
                records: &records,
                data: &data,
                libraries: &libraries,
                fronts: &fronts,
            };
            for record in at.run(&left, &mut observe)? {
                match record.status {
                    CellStatus::Completed => _ = records.insert(record.id.clone(), record),
                    CellStatus::Failed => end.failed.push(record),
                }
            }
            if stop.is_asked() {
                end.is_stopped = true;
                break;
            }
        }
        store.sync()?;
        write_tables(&options.dir, &records, &end.failed)?;
        if !end.is_stopped && options.shard.is_none() {
            store.finish()?;
            for path in shared_paths(self)? {
                libraries.merge(&path, records.keys())?;
            }
        }
        end.n_completed = records.len();
        Ok(end)
    }
}

impl SweepSpec {
    /// Forgets cells that were run with another choice than is made now, or from another growth: they are run again.
    fn drop_stale(
        &self,
        cells: &[Cell],
        records: &mut Records,
        store: &Store,
    ) -> Result<(), SweepError> {
        let is_stale = |cell: &&Cell| {
            let of =
                |it: &CellRecord| it.tuned != cell.tuned || it.basis != self.basis(cell, records);
            records.get(&cell.id).is_some_and(of)
        };
        let stale: Vec<&Cell> = cells.iter().filter(is_stale).collect();
        if stale.is_empty() {
            return Ok(());
        }
        for cell in stale {
            records.remove(&cell.id);
            remove_run(&store.cell_dir(&cell.id))?;
        }
        store.rewrite(records.values())
    }

    /// The weights of the growth that a cell is made from.
    pub(super) fn basis(&self, cell: &Cell, records: &Records) -> Option<Digest> {
        let growth = self.growth_of(cell, records)?;
        Some(records.get(&growth)?.summary.as_ref()?.weights_digest)
    }

    /// The digest of each task's data, with what all cells have.
    fn data_digests(&self, data: &DataCache) -> Result<BTreeMap<String, Digest>, SweepError> {
        let digest = |task: &Task| {
            let scenario = task.resolve(&self.fixed_settings())?;
            let data = data.load(&scenario, &task.base_dir)?;
            Ok((task.name.clone(), Digest(data.digest)))
        };
        self.tasks.iter().map(digest).collect()
    }
}
