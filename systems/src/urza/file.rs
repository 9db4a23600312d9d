//! The library as a file: how it begins, what it must say of itself, and how redb opens it.

use std::{
    any::Any,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use redb::{Builder, ConcurrencyMode, ReadTransaction, TableError};

use super::{
    error::{Damage, LibraryError, LibraryErrorKind},
    image::Image,
    schema::{FORMAT, META, META_FORMAT, META_SIGNING_KEY, seal, unseal},
    signature::SigningPair,
    write::Writer,
};

/// Memory for pages, at most: a library is read in small pieces, and most of it once.
pub(super) const CACHE_MAX_BYTES: usize = 64 << 20;
/// How every redb file begins.
const REDB_MAGIC: &[u8; 9] = b"redb\x1a\x0a\xa9\x0d\x0a";

/// How a library is opened: one process writes, others may read meanwhile.
pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_MAX_BYTES).set_concurrency_mode(ConcurrencyMode::SingleWriter);
    builder
}

/// Makes an empty library of a file that is not there or empty, and says whether it did.
///
/// It is not on the disk before [`LibraryStore::sync`]: a run has other things to do while it begins.
pub(super) fn create(path: &Path) -> Result<bool, LibraryErrorKind> {
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
pub(super) fn fresh() -> Result<Vec<u8>, LibraryErrorKind> {
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
