//! `LibraryStore`: a library file, open; one writer, any number of readers.

use std::{
    fmt,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use esper_engine::{
    run_dir::sync_folder,
    world::{
        ids::{BlueprintId, KernelId},
        kernel::{KernelStore, StoreError},
    },
};
use redb::{Builder, Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase};

use super::{
    blob::read_blob,
    error::{LibraryError, LibraryErrorKind},
    file::{CACHE_MAX_BYTES, builder, check_format, check_magic, create, fresh, guarded},
    image::Image,
    record::{Batch, BlobRef, BlueprintRecord, DeploymentRecord, KernelRecord, Versioned},
    rows::{deployments_of, latest, latest_of_others},
    schema::{BLOBS, BLUEPRINTS, DEPLOYMENTS, KERNELS},
    signature::{PublicKey, SigningPair},
    write::{Committed, Writer},
};

/// An open library. Clones share the file: within a process it is opened once and handed around.
#[derive(Clone)]
pub struct LibraryStore {
    path: PathBuf,
    is_in_memory: bool,
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
            let access = Arc::new(Access::Write { db, pair: Box::new(pair) });
            Ok(Self { path: path.to_owned(), is_in_memory: false, access })
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
            let access = Arc::new(Access::Read(db));
            Ok(Self { path: path.to_owned(), is_in_memory: false, access })
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
            let image = Image::from(fresh()?);
            let db = Builder::new().set_cache_size(CACHE_MAX_BYTES).create_with_backend(image)?;
            let pair = Box::new(check_format(&db.begin_read()?)?);
            let access = Arc::new(Access::Write { db, pair });
            Ok(Self { path, is_in_memory: true, access })
        })
    }

    /// Waits until the file and its name are on the disk, which a library that was just created is not.
    ///
    /// # Errors
    ///
    /// Fails when the disk does.
    pub fn sync(&self) -> Result<(), LibraryError> {
        if self.is_in_memory {
            return Ok(());
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
