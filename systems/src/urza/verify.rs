//! Verification: every byte that means something is read and compared with a digest.
//!
//! redb keeps a checksum a page; every record and every part of a blob has its own BLAKE3 besides, every judged kernel a
//! signature, and the secondary tables are recomputed. What is left over are bytes of the file that hold nothing,
//! such as freed pages: a change there changes no content, and only the digest of the whole file sees it. A run that
//! has its own library writes that [`file_digest`] to its summary once the library is closed, and hands it back here.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::Path,
};

use esper_nn::digest::Digest;
use redb::{Builder, Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    blob::{check_parts, read_blob},
    check::{blueprint_faults, kernel_faults},
    error::{LibraryError, LibraryErrorKind},
    file::{check_format, check_magic, guarded},
    image::Image,
    record::{BlobRef, BlueprintRecord, DeploymentRecord, KernelRecord, Versioned},
    rows::{ids, latest},
    schema::{
        BLOBS, BLUEPRINTS, BY_BLUEPRINT, BY_CONTRACT, BY_LATENCY, BY_TAG, DEPLOYMENTS, KERNELS,
        RUNS, RunRow, SealKey, Sealed, VersionKey, unseal,
    },
    write::contract_key,
};

/// Length of a library that is verified, at most: it is read into memory, so that nothing is written to it.
const VERIFY_MAX_BYTES: u64 = 4 << 30;

/// One thing that is not as it was written.
#[derive(Serialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The table, or `file`.
    pub table: String,
    /// The row's key and the place in it, or the file's path.
    pub key: String,
    /// What is wrong.
    pub what: String,
}

/// The digest of the whole file at `path`, which no handle may have open for writing.
///
/// # Errors
///
/// Fails when the file can not be read.
pub fn file_digest(path: impl AsRef<Path>) -> Result<Digest, LibraryError> {
    let path = path.as_ref();
    let digest = || -> io::Result<Digest> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(path)?)?;
        Ok(Digest(*hasher.finalize().as_bytes()))
    };
    digest().map_err(|error| LibraryErrorKind::from(error).at(path))
}

/// Reads all of the library at `path` and says what is not as it was written; the file is not changed.
///
/// With `expected`, what [`file_digest`] gave when the library was closed, every byte of the file counts.
///
/// # Errors
///
/// Fails when there is no library at `path`, when it is something else, and when a run has it open.
pub fn verify(
    path: impl AsRef<Path>,
    expected: Option<Digest>,
) -> Result<Vec<Finding>, LibraryError> {
    let path = path.as_ref();
    let bytes = guarded(path, || read_closed(path))?;
    let mut findings = Findings { path: path.display().to_string(), found: BTreeSet::new() };
    if let Some(expected) = expected {
        let found = Digest::of(&bytes);
        if found != expected {
            findings.file(format!(
                "the file has digest {found}, and had {expected} when it was closed"
            ));
        }
    }
    if let Err(error) = guarded(path, || check_pages(&bytes, &mut findings)) {
        findings.file(error.kind.to_string());
    }
    if let Err(error) = guarded(path, || check_content(&bytes, &mut findings)) {
        findings.error(error);
    }
    Ok(findings.found.into_iter().collect())
}

struct Findings {
    path: String,
    found: BTreeSet<Finding>,
}

impl Findings {
    fn add(&mut self, table: &str, key: impl Into<String>, what: impl Into<String>) {
        let (table, key, what) = (table.to_owned(), key.into(), what.into());
        self.found.insert(Finding { table, key, what });
    }

    fn file(&mut self, what: impl Into<String>) {
        let path = self.path.clone();
        self.add("file", path, what);
    }

    fn error(&mut self, error: LibraryError) {
        match error.kind {
            LibraryErrorKind::Damaged(damage) if !damage.key.is_empty() => {
                self.add(damage.table, damage.key, damage.what);
            }
            other => self.file(other.to_string()),
        }
    }
}

/// The bytes of a library that nobody writes to.
fn read_closed(path: &Path) -> Result<Vec<u8>, LibraryErrorKind> {
    if !path.try_exists()? {
        return Err(LibraryErrorKind::NotFound);
    }
    check_magic(path)?;
    // A reader of this kind excludes every writer for as long as it lives. Where the file is too damaged for it, or was
    // left open by a run that was killed, it can not be had; neither can a writer.
    let lock = Builder::new().open_read_only(path);
    if matches!(lock, Err(DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch))
    {
        return Err(LibraryErrorKind::InUse);
    }
    let len_bytes = fs::metadata(path)?.len();
    if VERIFY_MAX_BYTES < len_bytes {
        let (what, found, limit) = ("library bytes", len_bytes, VERIFY_MAX_BYTES);
        return Err(LibraryErrorKind::TooLarge { what, found, limit });
    }
    Ok(fs::read(path)?)
}

/// A copy in memory, which redb may repair as it likes.
fn open_copy(bytes: &[u8]) -> Result<Database, LibraryErrorKind> {
    Ok(Builder::new().create_with_backend(Image::from(bytes.to_vec()))?)
}

/// Has redb check the checksum of every page.
fn check_pages(bytes: &[u8], findings: &mut Findings) -> Result<(), LibraryErrorKind> {
    if !open_copy(bytes)?.check_integrity()? {
        findings.file("its pages are not all accounted for");
    }
    Ok(())
}

/// Reads one table and reports what it finds.
type Check = fn(&ReadTransaction, &mut Findings) -> Result<(), LibraryErrorKind>;

/// Reads every row of every table. A table that can not be read does not hide the next.
fn check_content(bytes: &[u8], findings: &mut Findings) -> Result<(), LibraryErrorKind> {
    let db = open_copy(bytes)?;
    let tx = db.begin_read()?;
    check_format(&tx)?;
    let path = findings.path.clone();
    let checks: [Check; 5] =
        [check_blobs, check_blueprints, check_kernels, check_deployments, check_index];
    for check in checks {
        if let Err(error) = guarded(Path::new(&path), || check(&tx, findings)) {
            findings.error(error);
        }
    }
    Ok(())
}

fn check_blobs(tx: &ReadTransaction, findings: &mut Findings) -> Result<(), LibraryErrorKind> {
    check_parts(&tx.open_table(BLOBS)?, |place, what| findings.add("blobs", place, what))
}

fn check_blueprints(tx: &ReadTransaction, findings: &mut Findings) -> Result<(), LibraryErrorKind> {
    let blobs = tx.open_table(BLOBS)?;
    let runs = runs(tx, findings)?;
    each_row::<BlueprintRecord>("blueprints", &tx.open_table(BLUEPRINTS)?, findings, |row, key| {
        let mut faults = known_run(&runs, &row.record.run);
        if key != row.record.id.0 {
            faults.push(format!("it is the record of {}", row.record.id.0));
        }
        match read_blob(&blobs, row.record.graph) {
            Ok(Some(graph)) => faults.extend(blueprint_faults(&row.record, &graph)),
            Ok(None) => faults.push(format!("its graph {} is missing", row.record.graph.digest)),
            Err(error) => faults.push(format!("its graph: {error}")),
        }
        faults
    })
}

fn check_kernels(tx: &ReadTransaction, findings: &mut Findings) -> Result<(), LibraryErrorKind> {
    let blobs = tx.open_table(BLOBS)?;
    let blueprints: BTreeSet<Digest> = ids(&tx.open_table(BLUEPRINTS)?)?.into_iter().collect();
    let runs = runs(tx, findings)?;
    each_row::<KernelRecord>("kernels", &tx.open_table(KERNELS)?, findings, |row, key| {
        let record = &row.record;
        let mut faults = known_run(&runs, &record.run);
        if key != record.id.0 {
            faults.push(format!("it is the record of {}", record.id.0));
        }
        if !blueprints.contains(&record.blueprint.0) {
            faults.push(format!("its blueprint {} is missing", record.blueprint.0));
        }
        let blob =
            record.program_len_bytes.map(|len_bytes| BlobRef { digest: record.program, len_bytes });
        match blob.map(|blob| read_blob(&blobs, blob)).transpose() {
            Ok(Some(None)) => faults.push(format!("its program {} is missing", record.program)),
            Ok(program) => faults.extend(kernel_faults(record, program.flatten().as_deref())),
            Err(error) => faults.push(format!("its program: {error}")),
        }
        faults
    })
}

fn check_deployments(
    tx: &ReadTransaction,
    findings: &mut Findings,
) -> Result<(), LibraryErrorKind> {
    let kernels: BTreeSet<Digest> = ids(&tx.open_table(KERNELS)?)?.into_iter().collect();
    for row in tx.open_table(DEPLOYMENTS)?.iter()? {
        let (key, value) = row?;
        let (kernel, digest) = key.value();
        let place = key.value().describe();
        match unseal::<DeploymentRecord>("deployments", &key.value(), value.value()) {
            Ok(record)
                if record.kernel.0.0 != *kernel || Digest::of_value(&record).0 != *digest =>
            {
                findings.add("deployments", place, "it is the record of something else");
            }
            Ok(record) if !kernels.contains(&record.kernel.0) => {
                findings.add("deployments", place, "its kernel is missing");
            }
            Ok(_) => {}
            Err(error) => findings.add("deployments", place, error.to_string()),
        }
    }
    Ok(())
}

/// Recomputes the secondary tables and compares.
fn check_index(tx: &ReadTransaction, findings: &mut Findings) -> Result<(), LibraryErrorKind> {
    let kernels = tx.open_table(KERNELS)?;
    let mut expected = BTreeSet::new();
    for id in ids(&kernels)? {
        // A record that can not be read was reported with its table.
        let newest = latest::<KernelRecord>("kernels", &kernels, &id);
        let Ok(Some(Versioned { record, .. })) = newest else { continue };
        expected.insert(("by_contract", contract_key(record.contract), id));
        expected.insert(("by_blueprint", record.blueprint.0.to_string(), id));
        expected.extend(record.latency_ns().map(|it| ("by_latency", it.to_string(), id)));
        expected.extend(record.tags.into_iter().map(|tag| ("by_tag", tag, id)));
    }
    let mut found = BTreeSet::new();
    for row in tx.open_table(BY_CONTRACT)?.iter()? {
        let (key, _) = row?;
        found.insert(("by_contract", key.value().0.to_owned(), Digest(*key.value().1)));
    }
    for row in tx.open_table(BY_TAG)?.iter()? {
        let (key, _) = row?;
        found.insert(("by_tag", key.value().0.to_owned(), Digest(*key.value().1)));
    }
    for row in tx.open_table(BY_LATENCY)?.iter()? {
        let (key, _) = row?;
        found.insert(("by_latency", key.value().0.to_string(), Digest(*key.value().1)));
    }
    for row in tx.open_table(BY_BLUEPRINT)?.iter()? {
        let (key, _) = row?;
        found.insert(("by_blueprint", Digest(*key.value().0).to_string(), Digest(*key.value().1)));
    }
    for (table, name, id) in expected.difference(&found) {
        findings.add(table, format!("{name} / {id}"), "the row is missing");
    }
    for (table, name, id) in found.difference(&expected) {
        findings.add(table, format!("{name} / {id}"), "the row leads nowhere");
    }
    Ok(())
}

/// Reads every row of a table of versions, and reports what it and `check` find.
fn each_row<T: DeserializeOwned>(
    name: &'static str,
    table: &impl ReadableTable<VersionKey, Sealed>,
    findings: &mut Findings,
    check: impl Fn(&Versioned<T>, Digest) -> Vec<String>,
) -> Result<(), LibraryErrorKind> {
    for row in table.iter()? {
        let (key, value) = row?;
        let (id, version) = key.value();
        match unseal::<T>(name, &key.value(), value.value()) {
            Ok(record) => {
                for fault in check(&Versioned { version, record }, Digest(*id)) {
                    findings.add(name, key.value().describe(), fault);
                }
            }
            Err(LibraryErrorKind::Damaged(damage)) => findings.add(name, damage.key, damage.what),
            Err(error) => findings.add(name, key.value().describe(), error.to_string()),
        }
    }
    Ok(())
}

fn runs(
    tx: &ReadTransaction,
    findings: &mut Findings,
) -> Result<BTreeSet<String>, LibraryErrorKind> {
    let mut runs = BTreeSet::new();
    for row in tx.open_table(RUNS)?.iter()? {
        let (key, value) = row?;
        if let Err(error) = unseal::<RunRow>("runs", &key.value(), value.value()) {
            findings.add("runs", key.value(), error.to_string());
        }
        runs.insert(key.value().to_owned());
    }
    Ok(runs)
}

fn known_run(runs: &BTreeSet<String>, run: &str) -> Vec<String> {
    if runs.contains(run) { Vec::new() } else { vec![format!("its run `{run}` is missing")] }
}
