//! `LibraryStore`: a library file, open; one writer, any number of readers.

use std::{
    any::Any,
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use esper_engine::world::{
    catalog::{KernelStatus, KernelStore, StoreError},
    digest::Digest,
    ids::{BlueprintId, KernelId},
    run_dir::sync_folder,
};
use redb::{
    Builder, ConcurrencyMode, Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase,
    ReadableTable, TableError,
};
use serde::de::DeserializeOwned;

use super::{
    blob::read_blob,
    error::{Damage, LibraryError, LibraryErrorKind},
    image::Image,
    record::{
        Batch, BlobRef, BlueprintRecord, DeploymentRecord, KernelRecord, Validation, Versioned,
    },
    schema::{
        BLOBS, BLUEPRINTS, DEPLOYMENTS, FORMAT, KERNELS, META, META_FORMAT, META_SIGNING_KEY,
        Sealed, VersionKey, seal, unseal,
    },
    signature::{PublicKey, SigningPair},
    write::{Committed, Writer},
};

/// Memory for pages, at most: a library is read in small pieces, and most of it once.
const CACHE_MAX_BYTES: usize = 64 << 20;
/// How every redb file begins.
pub(super) const REDB_MAGIC: &[u8; 9] = b"redb\x1a\x0a\xa9\x0d\x0a";

/// An open library. Clones share the file: within a process it is opened once and handed around.
#[derive(Clone)]
pub struct LibraryStore {
    path: PathBuf,
    access: Arc<Access>,
}

impl fmt::Debug for LibraryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LibraryStore").field(&self.path).finish()
    }
}

enum Access {
    Write { db: Database, pair: Box<SigningPair> },
    Read(ReadOnlyDatabase),
}

impl LibraryStore {
    /// Opens the library at `path` for writing, and creates it when there is none.
    ///
    /// Every page's checksum is verified first, so that a file changed by something else is refused.
    ///
    /// # Errors
    ///
    /// Fails when another process writes to it, when it is no library, when it is damaged, and when the disk or its
    /// permissions do not allow it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LibraryError> {
        let path = path.as_ref();
        guarded(path, || {
            check_magic(path)?;
            let is_new = create(path)?;
            let db = builder().set_check_integrity_on_open(!is_new).open(path)?;
            let pair = check_format(&db.begin_read()?)?;
            Ok(Self {
                path: path.to_owned(),
                access: Arc::new(Access::Write { db, pair: Box::new(pair) }),
            })
        })
    }

    /// Opens the library at `path` for reading, while another process may write to it.
    ///
    /// # Errors
    ///
    /// Fails when there is none, when it is no library, and when it is damaged.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, LibraryError> {
        let path = path.as_ref();
        guarded(path, || {
            check_magic(path)?;
            let db = match builder().open_read_only(path) {
                // A killed run leaves work that only a writer can finish.
                Err(redb::DatabaseError::RepairAborted) => {
                    drop(builder().open(path)?);
                    builder().open_read_only(path)?
                }
                other => other?,
            };
            check_format(&db.begin_read()?)?;
            Ok(Self { path: path.to_owned(), access: Arc::new(Access::Read(db)) })
        })
    }

    /// A library that is gone with its last handle.
    ///
    /// # Errors
    ///
    /// Fails when the operating system gives no entropy for its key.
    pub fn in_memory() -> Result<Self, LibraryError> {
        let path = PathBuf::from("a library in memory");
        guarded(&path.clone(), || {
            let db = Builder::new().create_with_backend(Image::from(fresh()?))?;
            let pair = Box::new(check_format(&db.begin_read()?)?);
            Ok(Self { path, access: Arc::new(Access::Write { db, pair }) })
        })
    }

    /// Waits until the file and its name are on the disk, which a library that was just created is not.
    ///
    /// # Errors
    ///
    /// Fails when the disk does.
    pub fn sync(&self) -> Result<(), LibraryError> {
        if !self.path.is_file() {
            return Ok(()); // It is in memory.
        }
        let synced = || {
            File::open(&self.path)?.sync_all()?;
            match self.path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => sync_folder(folder),
                _ => sync_folder(Path::new(".")),
            }
        };
        synced().map_err(|error| LibraryErrorKind::from(error).at(&self.path))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The public key this library signs with; `None` when it is open for reading only.
    pub fn public_key(&self) -> Option<PublicKey> {
        match &*self.access {
            Access::Write { pair, .. } => Some(pair.public()),
            Access::Read(_) => None,
        }
    }

    /// Writes what is new in `batch`, all of it or nothing; once this returns, it survives a crash.
    ///
    /// Facts the library has already are left out, so that a resumed run repeats nothing.
    ///
    /// # Errors
    ///
    /// Fails when a record names a blueprint that is nowhere, when bytes differ from their digest, when a limit is
    /// passed, and when the disk fails. Nothing is written then.
    pub fn commit(&self, batch: &Batch) -> Result<Committed, LibraryError> {
        self.write(|writer| writer.apply(batch))
    }

    /// Writes what Urabrask found out about a kernel the library knows, as its next version.
    ///
    /// # Errors
    ///
    /// Fails when the kernel is unknown, when a limit is passed, and when the disk fails.
    pub fn record_validation(
        &self,
        run: &str,
        validation: &Validation,
    ) -> Result<Committed, LibraryError> {
        self.write(|writer| writer.validate(run, validation))
    }

    /// The newest version of kernel `id`.
    ///
    /// # Errors
    ///
    /// Fails when the library can not be read.
    pub fn kernel(&self, id: KernelId) -> Result<Option<Versioned<KernelRecord>>, LibraryError> {
        self.read(|tx| latest("kernels", &tx.open_table(KERNELS)?, &id.0))
    }

    /// The newest version of blueprint `id`.
    ///
    /// # Errors
    ///
    /// Fails when the library can not be read.
    pub fn blueprint(
        &self,
        id: BlueprintId,
    ) -> Result<Option<Versioned<BlueprintRecord>>, LibraryError> {
        self.read(|tx| latest("blueprints", &tx.open_table(BLUEPRINTS)?, &id.0))
    }

    /// What became of kernel `id`, in the order of run, host and seed.
    ///
    /// # Errors
    ///
    /// Fails when the library can not be read.
    pub fn deployments(&self, id: KernelId) -> Result<Vec<DeploymentRecord>, LibraryError> {
        self.read(|tx| deployments_of(&tx.open_table(DEPLOYMENTS)?, id))
    }

    /// The bytes kept under `blob`, checked.
    ///
    /// # Errors
    ///
    /// Fails when the library can not be read or the bytes are not what was stored.
    pub fn blob(&self, blob: BlobRef) -> Result<Option<Vec<u8>>, LibraryError> {
        self.read(|tx| read_blob(&tx.open_table(BLOBS)?, blob))
    }

    /// Those of `ids` that another run than `run` found valid, in the order given.
    ///
    /// Asked while a run is built and never during its ticks: what other runs write meanwhile must not change it.
    ///
    /// # Errors
    ///
    /// Fails when the library can not be read.
    pub fn known_kernels(
        &self,
        ids: &[KernelId],
        run: &str,
    ) -> Result<Vec<KernelRecord>, LibraryError> {
        self.read(|tx| {
            let table = tx.open_table(KERNELS)?;
            let mut known = Vec::new();
            for id in ids {
                known.extend(latest_of_others(&table, *id, run)?);
            }
            Ok(known)
        })
    }

    /// Runs `f` on one consistent state of the library.
    pub(super) fn read<T>(
        &self,
        f: impl FnOnce(&ReadTransaction) -> Result<T, LibraryErrorKind>,
    ) -> Result<T, LibraryError> {
        guarded(&self.path, || match &*self.access {
            Access::Write { db, .. } => f(&db.begin_read()?),
            Access::Read(db) => f(&db.begin_read()?),
        })
    }

    /// Runs `f` in one transaction, and commits it if it wrote anything.
    pub(super) fn write<T: Default>(
        &self,
        f: impl FnOnce(&mut Writer<'_>) -> Result<Option<T>, LibraryErrorKind>,
    ) -> Result<T, LibraryError> {
        guarded(&self.path, || {
            let Access::Write { db, pair } = &*self.access else {
                return Err(LibraryErrorKind::ReadOnly);
            };
            let tx = db.begin_write()?;
            let written = f(&mut Writer::open(&tx, pair)?)?;
            match written {
                Some(written) => tx.commit().map(|()| written).map_err(Into::into),
                None => tx.abort().map(|()| T::default()).map_err(Into::into),
            }
        })
    }

    /// Gives the space of removed rows back to the file system; `false` when other handles are open.
    pub(super) fn compact(&mut self) -> Result<bool, LibraryError> {
        let path = self.path.clone();
        guarded(&path, || match Arc::get_mut(&mut self.access) {
            Some(Access::Write { db, .. }) => {
                // Each pass frees what the one before it moved away from.
                while db.compact()? {}
                Ok(true)
            }
            _ => Ok(false),
        })
    }
}

impl KernelStore for LibraryStore {
    fn kernel_bytes(&self, id: KernelId) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.read(|tx| {
            let Some(kernel) = latest::<KernelRecord>("kernels", &tx.open_table(KERNELS)?, &id.0)?
            else {
                return Ok(None);
            };
            match kernel.record.program_len_bytes {
                Some(len_bytes) => {
                    let blob = BlobRef { digest: kernel.record.program, len_bytes };
                    read_blob(&tx.open_table(BLOBS)?, blob)
                }
                None => Ok(None),
            }
        });
        found.map_err(|error| StoreError { kernel: id, reason: error.to_string() })
    }
}

/// The newest version of `id`.
pub(super) fn latest<T: DeserializeOwned>(
    name: &'static str,
    table: &impl ReadableTable<VersionKey, Sealed>,
    id: &Digest,
) -> Result<Option<Versioned<T>>, LibraryErrorKind> {
    let Some(row) = table.range((&id.0, 0)..=(&id.0, u32::MAX))?.next_back() else {
        return Ok(None);
    };
    let (key, value) = row?;
    let record = unseal(name, &key.value(), value.value())?;
    Ok(Some(Versioned { version: key.value().1, record }))
}

/// Every version of `id`, oldest first.
pub(super) fn versions<T: DeserializeOwned>(
    name: &'static str,
    table: &impl ReadableTable<VersionKey, Sealed>,
    id: &Digest,
) -> Result<Vec<Versioned<T>>, LibraryErrorKind> {
    let rows = table.range((&id.0, 0)..=(&id.0, u32::MAX))?;
    rows.map(|row| {
        let (key, value) = row?;
        let record = unseal(name, &key.value(), value.value())?;
        Ok(Versioned { version: key.value().1, record })
    })
    .collect()
}

/// Every id in a table of versions, in order.
pub(super) fn ids(
    table: &impl ReadableTable<VersionKey, Sealed>,
) -> Result<Vec<Digest>, LibraryErrorKind> {
    let mut ids: Vec<Digest> = Vec::new();
    for row in table.iter()? {
        let id = Digest(*row?.0.value().0);
        if ids.last() != Some(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// What became of kernel `id`, in the order of run, host and seed.
pub(super) fn deployments_of(
    table: &impl ReadableTable<(super::schema::Id, super::schema::Id), Sealed>,
    id: KernelId,
) -> Result<Vec<DeploymentRecord>, LibraryErrorKind> {
    let (first, last) = ([0; 32], [0xff; 32]);
    let mut found = Vec::new();
    for row in table.range((&id.0.0, &first)..=(&id.0.0, &last))? {
        let (key, value) = row?;
        found.push(unseal::<DeploymentRecord>("deployments", &key.value(), value.value())?);
    }
    found.sort_by(|a, b| (&a.run, a.host, a.seed).cmp(&(&b.run, b.host, b.seed)));
    Ok(found)
}

/// The newest version of `id` that another run wrote, if that one was validated and its program is here.
fn latest_of_others(
    table: &impl ReadableTable<VersionKey, Sealed>,
    id: KernelId,
    run: &str,
) -> Result<Option<KernelRecord>, LibraryErrorKind> {
    let found = versions::<KernelRecord>("kernels", table, &id.0)?;
    let newest = found.into_iter().rev().map(|it| it.record).find(|record| record.run != run);
    Ok(newest.filter(|record| {
        record.status == KernelStatus::Validated && record.program_len_bytes.is_some()
    }))
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_MAX_BYTES).set_concurrency_mode(ConcurrencyMode::SingleWriter);
    builder
}

/// Makes an empty library of a file that is not there or empty, and says whether it did.
///
/// It is not on the disk before [`LibraryStore::sync`]: a run has other things to do while it begins.
fn create(path: &Path) -> Result<bool, LibraryErrorKind> {
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let file = OpenOptions::new().write(true).open(path)?;
            if file.metadata()?.len() != 0 {
                return Ok(false);
            }
            file
        }
        other => other?,
    };
    file.write_all(&fresh()?)?;
    Ok(true)
}

/// The bytes of a library with nothing in it but its format and its key.
fn fresh() -> Result<Vec<u8>, LibraryErrorKind> {
    let image = Image::default();
    let db = Builder::new().create_with_backend(image.clone())?;
    let pair = SigningPair::draw()?;
    let tx = db.begin_write()?;
    {
        let mut meta = tx.open_table(META)?;
        let format = seal("meta", &META_FORMAT, &FORMAT)?;
        meta.insert(META_FORMAT, format.as_slice())?;
        let secret = seal("meta", &META_SIGNING_KEY, &pair.secret())?;
        meta.insert(META_SIGNING_KEY, secret.as_slice())?;
    }
    drop(Writer::open(&tx, &pair)?);
    tx.commit()?;
    db.close()?;
    Ok(image.to_bytes())
}

/// The key pair of a library whose format this version understands.
pub(super) fn check_format(tx: &ReadTransaction) -> Result<SigningPair, LibraryErrorKind> {
    let meta = match tx.open_table(META) {
        Err(TableError::TableDoesNotExist(_) | TableError::TableTypeMismatch { .. }) => {
            return Err(LibraryErrorKind::NotALibrary("a redb file with other tables"));
        }
        other => other?,
    };
    let format = meta.get(META_FORMAT)?;
    let format = format.ok_or(LibraryErrorKind::NotALibrary("a redb file without a format"))?;
    let found: u32 = unseal("meta", &META_FORMAT, format.value())?;
    if found != FORMAT {
        return Err(LibraryErrorKind::Format { found, supported: FORMAT });
    }
    let secret = meta.get(META_SIGNING_KEY)?.ok_or_else(|| {
        let what = "the key is missing".to_owned();
        let key = META_SIGNING_KEY.to_owned();
        LibraryErrorKind::Damaged(Damage { table: "meta", key, what })
    })?;
    let secret: [u8; 32] = unseal("meta", &META_SIGNING_KEY, secret.value())?;
    Ok(SigningPair::from_secret(secret))
}

/// Refuses what is certainly no library before redb looks at it.
pub(super) fn check_magic(path: &Path) -> Result<(), LibraryErrorKind> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if file.metadata()?.is_dir() {
        return Err(LibraryErrorKind::NotALibrary("a folder"));
    }
    let mut head = Vec::with_capacity(REDB_MAGIC.len());
    file.take(REDB_MAGIC.len() as u64).read_to_end(&mut head)?;
    if head.is_empty() || head == REDB_MAGIC {
        return Ok(());
    }
    Err(LibraryErrorKind::NotALibrary("the file does not begin as one"))
}

/// Runs `f`, and turns a panic of redb over a damaged file into an error.
pub(super) fn guarded<T>(
    path: &Path,
    f: impl FnOnce() -> Result<T, LibraryErrorKind>,
) -> Result<T, LibraryError> {
    // A transaction that unwinds is dropped, which undoes it; locks it poisons are errors from then on.
    let outcome = catch_unwind(AssertUnwindSafe(f))
        .unwrap_or_else(|panic| Err(LibraryErrorKind::Damaged(Damage::file(panic_text(&*panic)))));
    outcome.map_err(|kind| kind.at(path))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("reading it failed: {}", text.unwrap_or("no reason given"))
}
