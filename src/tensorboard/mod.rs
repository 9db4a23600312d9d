//! Event files for TensorBoard: a run's epochs and the lives of its seeds as curves.
//!
//! [`EventFiles`] is a subscriber of a [`Run`](crate::Run) like any other ([`Run::try_subscribe`](crate::Run::try_subscribe)).
//! It writes to `tensorboard/` in the run's folder, or where several hosts train to a folder each in that, which
//! TensorBoard shows over one another.
//!
//! | tag | at every | what |
//! | --- | --- | --- |
//! | `loss/train`, `loss/validation` | epoch | nats an example, or squared units |
//! | `accuracy/train`, `accuracy/validation` | epoch | share classified right |
//! | `learning_rate`, `parameters` | epoch | of the host |
//! | `seeds/active` | epoch | seeds alive, DORMANT left out |
//! | `stage/seedN` | change | the number of the stage that was entered, 1 to 11 |
//! | `G2_gain/seedN` | look | the drop in validation loss that the module promises |
//! | `G5_gain/seedN`, `G5_gain_low/seedN`, `G5_gain_high/seedN` | look | the drop against the twin, and its interval |
//!
//! Steps are those of the host's optimizer. What was not measured, or is not finite, is left out. Everything but wall
//! times is the same in two equal runs.

mod record;

pub use record::Scalar;

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use esper_engine::{
    ids::HostId,
    journal::{Event, Recorded},
    run_dir::{FileError, RunDir},
    stage::Stage,
};
use esper_systems::{
    nissa::RunStarted,
    oona::{EpochEnded, GateJudged, StageChanged},
};
use serde_json::{Map, Value};

/// Tags of an epoch, and the fields they are read from.
const OF_EPOCH: [(&str, &str); 7] = [
    ("loss/train", "train_loss"),
    ("loss/validation", "val_loss"),
    ("accuracy/train", "train_accuracy"),
    ("accuracy/validation", "val_accuracy"),
    ("learning_rate", "lr"),
    ("parameters", "params_elems"),
    ("seeds/active", "n_active_seeds"),
];

/// Tags of a gate's look at a seed, and the numbers they are read from.
const OF_GATE: [(&str, &str, &str); 4] = [
    ("G2", "G2_gain", "gain"),
    ("G5", "G5_gain", "gain"),
    ("G5", "G5_gain_low", "gain_low"),
    ("G5", "G5_gain_high", "gain_high"),
];

/// The event files of a run.
///
/// Given the whole past of a run that goes on, it leaves out what its files have and adds a new file, as TensorBoard
/// expects of a job that was started again: no step is there twice. A record that a kill tore is written again. A host
/// that was rolled back comes by the same steps twice, and so do its curves.
pub struct EventFiles {
    folder: PathBuf,
    n_hosts: u64,
    hosts: BTreeMap<HostId, HostFiles>,
}

/// The files of one host.
struct HostFiles {
    folder: PathBuf,
    /// How often a tag was written at a step before this process, and was not come by since.
    written: BTreeMap<(String, u64), usize>,
    /// The file that is written now, once there is something to write.
    file: Option<(PathBuf, File)>,
}

impl EventFiles {
    /// Event files in the folder of a run, made when there is something to write.
    pub fn new(dir: &RunDir) -> Self {
        let folder = dir.root().join("tensorboard");
        Self { folder, n_hosts: 1, hosts: BTreeMap::new() }
    }

    /// Writes what is to be seen of an event.
    ///
    /// # Errors
    ///
    /// Fails when a file can not be read, made or written.
    pub fn take(&mut self, event: &Event) -> Result<(), FileError> {
        if let Some(started) = event.get::<RunStarted>() {
            self.n_hosts = started.n_hosts;
        }
        let Some((host, scalars)) = scalars_of(event).filter(|(_, it)| !it.is_empty()) else {
            return Ok(());
        };
        if !self.hosts.contains_key(&host) {
            let folder = match self.n_hosts {
                0 | 1 => self.folder.clone(),
                _ => self.folder.join(host.to_string()),
            };
            self.hosts.insert(host, HostFiles::open(folder)?);
        }
        self.hosts.get_mut(&host).expect("it was just put there").write(scalars)
    }
}

impl HostFiles {
    fn open(folder: PathBuf) -> Result<Self, FileError> {
        let mut written = BTreeMap::new();
        for path in event_files(&folder)? {
            for Scalar { tag, step, .. } in read(&path)? {
                *written.entry((tag, step)).or_default() += 1;
            }
        }
        Ok(Self { folder, written, file: None })
    }

    /// Writes those of `scalars`, all of one step, that are not written yet.
    fn write(&mut self, mut scalars: Vec<Scalar>) -> Result<(), FileError> {
        scalars.retain(|it| match self.written.get_mut(&(it.tag.clone(), it.step)) {
            Some(n_left) if *n_left > 0 => {
                *n_left -= 1;
                false
            }
            _ => true,
        });
        let Some(step) = scalars.first().map(|it| it.step) else { return Ok(()) };
        if self.file.is_none() {
            self.file = Some(self.create()?);
        }
        let (path, file) = self.file.as_mut().expect("it was just made");
        let record = record::frame(&record::scalar_event(wall_time_s(), step, &scalars));
        // Whole records, so that a kill tears one at most.
        file.write_all(&record).map_err(FileError::at(path, "write TensorBoard's events"))
    }

    /// A new file, whose name comes after those there are: TensorBoard reads them in that order.
    fn create(&self) -> Result<(PathBuf, File), FileError> {
        fn failed(path: &Path) -> impl FnOnce(io::Error) -> FileError {
            FileError::at(path, "create TensorBoard's events")
        }
        fs::create_dir_all(&self.folder).map_err(failed(&self.folder))?;
        let last = event_files(&self.folder)?.pop();
        let last = last.as_deref().and_then(place_of).unwrap_or_default();
        // A clock that was set back does not put a file before those there are.
        let (last_s, last_n) = last;
        let now_s = wall_time_s() as u64;
        let (time_s, n) = if last_s < now_s { (now_s, 0) } else { (last_s, last_n + 1) };
        let path = self.folder.join(format!("{PREFIX}{time_s:010}.esper.{n:04}"));
        let file = OpenOptions::new().append(true).create_new(true).open(&path);
        let mut file = file.map_err(failed(&path))?;
        let version = record::frame(&record::version_event(wall_time_s()));
        file.write_all(&version).map_err(failed(&path))?;
        Ok((path, file))
    }
}

/// What TensorBoard knows event files by.
const PREFIX: &str = "events.out.tfevents.";

/// The time in a file's name, and its number among those of that time.
fn place_of(path: &Path) -> Option<(u64, u64)> {
    let name = path.file_name()?.to_str()?.strip_prefix(PREFIX)?;
    let (time_s, rest) = name.split_once('.')?;
    let n = rest.rsplit_once('.').and_then(|(_, n)| n.parse().ok());
    Some((time_s.parse().ok()?, n.unwrap_or_default()))
}

/// The event files of a folder, in the order in which TensorBoard reads them; none where there is no folder.
fn event_files(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let failed = || FileError::at(folder, "read the folder of TensorBoard's events");
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed()(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed())?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with(PREFIX)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The scalars of an event file, in order, up to a record that was torn.
///
/// # Errors
///
/// Fails when the file can not be read.
pub fn read(path: &Path) -> Result<Vec<Scalar>, FileError> {
    let bytes = fs::read(path).map_err(FileError::at(path, "read TensorBoard's events"))?;
    Ok(record::frames(&bytes).flat_map(record::scalars_of).collect())
}

/// The time of the calendar, which TensorBoard asks for and nothing else reads.
#[expect(clippy::disallowed_types, reason = "event files say when they were written")]
fn wall_time_s() -> f64 {
    use std::time::{SystemTime, UNIX_EPOCH};

    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// The host that an event is about, and what is to be seen of it.
fn scalars_of(event: &Event) -> Option<(HostId, Vec<Scalar>)> {
    let fields = &event.fields;
    let whole = |name: &str| fields.get(name).and_then(Value::as_u64);
    let (host, step) = (HostId(whole("host")?), whole("step")?);
    // Numbers that are not finite are `null` in the journal.
    let number = |of: &Map<String, Value>, name: &str| of.get(name).and_then(Value::as_f64);
    let scalar = |tag: String, value: f64| Scalar { tag, step, value: value as f32 };
    let scalars = match event.kind.as_str() {
        EpochEnded::KIND => {
            let found = OF_EPOCH.iter().map(|(tag, name)| Some((tag, number(fields, name)?)));
            found.flatten().map(|(tag, value)| scalar((*tag).to_owned(), value)).collect()
        }
        GateJudged::KIND => {
            let (seed, gate) = (whole("seed")?, fields.get("gate")?.as_str()?);
            let numbers = fields.get("numbers")?.as_object()?;
            let of_gate = OF_GATE.iter().filter(|(of, ..)| *of == gate);
            let found = of_gate.map(|(_, tag, name)| Some((tag, number(numbers, name)?)));
            found.flatten().map(|(tag, value)| scalar(format!("{tag}/seed{seed}"), value)).collect()
        }
        StageChanged::KIND => {
            let StageChanged { seed, to, .. } = event.get()?;
            let number = Stage::ALL.iter().position(|stage| *stage == to)? + 1;
            vec![scalar(format!("stage/{seed}"), number as f64)]
        }
        _ => return None,
    };
    Some((host, scalars))
}
