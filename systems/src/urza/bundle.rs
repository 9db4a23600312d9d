//! The file a library is exported to: records, then the bytes they name.
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | `esperlib` |
//! | 4 | [`BUNDLE_FORMAT`], little-endian |
//! | 32 | BLAKE3 of everything that follows |
//! | 8 | length of the head, little-endian |
//! | head | [`Head`] in postcard form |
//! | rest | every blob of [`Head::blobs`], in that order |

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Write},
    path::Path,
};

use esper_nn::digest::Digest;
use serde::{Deserialize, Serialize};

use super::{
    error::LibraryErrorKind,
    record::{BlobRef, BlueprintRecord, DeploymentRecord, KernelRecord},
    schema::BLOB_MAX_BYTES,
};

/// Length of a bundle, at most.
pub(super) const BUNDLE_MAX_BYTES: u64 = 1 << 30;
const BUNDLE_FORMAT: u32 = 2;
const MAGIC: &[u8; 8] = b"esperlib";
/// Magic, format and digest.
const PREFIX_BYTES: usize = 8 + 4 + 32;

/// The records of a bundle.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub(super) struct Head {
    pub(super) blueprints: Vec<BlueprintRecord>,
    pub(super) kernels: Vec<KernelRecord>,
    pub(super) deployments: Vec<DeploymentRecord>,
    pub(super) blobs: Vec<BlobRef>,
}

/// A bundle in memory: records and the bytes they name, each checked against its digest.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bundle {
    pub(super) head: Head,
    pub(super) blobs: BTreeMap<Digest, Vec<u8>>,
}

impl Bundle {
    /// The bundle as a file's bytes.
    pub(super) fn encode(&self) -> Result<Vec<u8>, LibraryErrorKind> {
        let head = postcard::to_stdvec(&self.head).expect("plain data serialises");
        let mut body = (head.len() as u64).to_le_bytes().to_vec();
        body.extend_from_slice(&head);
        for blob in &self.head.blobs {
            body.extend_from_slice(&self.blobs[&blob.digest]);
        }
        check_len((PREFIX_BYTES + body.len()) as u64)?;
        let prefix = [MAGIC.as_slice(), &BUNDLE_FORMAT.to_le_bytes(), &Digest::of(&body).0];
        Ok([prefix.concat(), body].concat())
    }

    /// The bundle a file's bytes hold.
    ///
    /// # Errors
    ///
    /// Fails when they are not what [`Self::encode`] wrote.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, LibraryErrorKind> {
        let bad = |what: &str| LibraryErrorKind::BadBundle(what.to_owned());
        let (prefix, body) =
            bytes.split_at_checked(PREFIX_BYTES).ok_or_else(|| bad("the file is too short"))?;
        if &prefix[..8] != MAGIC {
            return Err(bad("the file does not begin as one"));
        }
        if prefix[8..12] != BUNDLE_FORMAT.to_le_bytes() {
            return Err(bad("it was written by another version of Esper"));
        }
        if prefix[12..] != Digest::of(body).0 {
            return Err(bad("its bytes do not have the digest they were written with"));
        }
        let (len, rest) = body.split_at_checked(8).ok_or_else(|| bad("its head is missing"))?;
        let len = u64::from_le_bytes(len.try_into().expect("eight bytes"));
        let len = usize::try_from(len).ok().filter(|len| *len <= rest.len());
        let (head, rest) = rest.split_at(len.ok_or_else(|| bad("its head is cut short"))?);
        let head: Head = postcard::from_bytes(head)
            .map_err(|error| bad(&format!("its head can not be decoded: {error}")))?;
        let blobs = split_blobs(&head.blobs, rest)?;
        Ok(Self { head, blobs })
    }

    /// Writes the bundle to a new file at `path`, whole or not at all.
    pub(super) fn write(&self, path: &Path) -> Result<(), LibraryErrorKind> {
        let bytes = self.encode()?;
        if path.try_exists()? {
            return Err(LibraryErrorKind::Exists);
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let written = File::create(&partial).and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()
        });
        let moved = written.and_then(|()| fs::rename(&partial, path));
        if moved.is_err() {
            // Of what could not be written, nothing should stay behind; the first error is the one to report.
            let _removed = fs::remove_file(&partial);
        }
        Ok(moved?)
    }

    /// Reads the bundle at `path`.
    pub(super) fn read(path: &Path) -> Result<Self, LibraryErrorKind> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(LibraryErrorKind::BadBundle("it is a folder".to_owned()));
        }
        check_len(metadata.len())?;
        let mut bytes = Vec::new();
        file.take(BUNDLE_MAX_BYTES).read_to_end(&mut bytes)?;
        Self::decode(&bytes)
    }
}

fn split_blobs(
    blobs: &[BlobRef],
    mut rest: &[u8],
) -> Result<BTreeMap<Digest, Vec<u8>>, LibraryErrorKind> {
    let bad = |blob: &BlobRef, what: &str| {
        Err(LibraryErrorKind::BadBundle(format!("blob {}: {what}", blob.digest)))
    };
    let mut found = BTreeMap::new();
    for blob in blobs {
        let len = usize::try_from(blob.len_bytes).unwrap_or(usize::MAX);
        if BLOB_MAX_BYTES < len {
            return bad(blob, "it is too large");
        }
        let Some((bytes, after)) = rest.split_at_checked(len) else {
            return bad(blob, "it is cut short");
        };
        if BlobRef::of(bytes) != *blob {
            return bad(blob, "its bytes do not have the digest they are named by");
        }
        found.insert(blob.digest, bytes.to_vec());
        rest = after;
    }
    if rest.is_empty() {
        return Ok(found);
    }
    Err(LibraryErrorKind::BadBundle(format!("{} bytes are left over", rest.len())))
}

fn check_len(len_bytes: u64) -> Result<(), LibraryErrorKind> {
    if len_bytes <= BUNDLE_MAX_BYTES {
        return Ok(());
    }
    Err(LibraryErrorKind::TooLarge {
        what: "export bytes",
        found: len_bytes,
        limit: BUNDLE_MAX_BYTES,
    })
}
