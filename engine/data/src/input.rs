//! Bytes from a file or from the program itself, gzip or plain, never more than is asked for.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;

use super::{DataFault, LEN_MAX_BYTES};

/// How a gzip stream begins (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// An open file or a slice, decompressed on the way if it is gzip.
///
/// What it holds decides, not its name: browsers store some `.gz` downloads decompressed.
pub(super) struct Input {
    reader: Box<dyn Read>,
    is_gzip: bool,
}

impl Input {
    /// Opens a regular file of at most [`LEN_MAX_BYTES`].
    pub(super) fn open(path: &Path) -> Result<Self, DataFault> {
        let metadata = fs::metadata(path).map_err(DataFault::unreadable)?;
        if !metadata.is_file() {
            return Err(DataFault::NotAFile);
        }
        let len_bytes = metadata.len();
        if LEN_MAX_BYTES < len_bytes {
            return Err(DataFault::TooLarge { what: format!("the file has {len_bytes} bytes") });
        }
        Self::new(BufReader::new(File::open(path).map_err(DataFault::unreadable)?))
    }

    /// Reads what `reader` holds.
    pub(super) fn new(mut reader: impl BufRead + 'static) -> Result<Self, DataFault> {
        let is_gzip = reader.fill_buf().map_err(DataFault::unreadable)?.starts_with(&GZIP_MAGIC);
        let reader: Box<dyn Read> =
            if is_gzip { Box::new(MultiGzDecoder::new(reader)) } else { Box::new(reader) };
        Ok(Self { reader, is_gzip })
    }

    /// Reads `len_bytes`, or fewer where the input ends.
    ///
    /// Memory grows with what arrives, so that a header which promises much costs nothing.
    pub(super) fn read_up_to(&mut self, len_bytes: u64) -> Result<Vec<u8>, DataFault> {
        let mut bytes = Vec::new();
        let result = self.reader.by_ref().take(len_bytes).read_to_end(&mut bytes);
        result.map(|_| bytes).map_err(|reason| self.fault(reason))
    }

    /// Reads exactly `expected_bytes`, after which the input must end.
    pub(super) fn read_rest(&mut self, expected_bytes: u64) -> Result<Vec<u8>, DataFault> {
        // One byte more: it shows what follows, and makes a gzip decoder check its checksum.
        let bytes = self.read_up_to(expected_bytes + 1)?;
        let found_bytes = bytes.len() as u64;
        if found_bytes < expected_bytes {
            return Err(DataFault::Truncated { expected_bytes, found_bytes });
        }
        if expected_bytes < found_bytes {
            return Err(DataFault::TrailingBytes { expected_bytes });
        }
        Ok(bytes)
    }

    /// The fault behind an error of reading this input.
    pub(super) fn fault(&self, reason: io::Error) -> DataFault {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};

        match reason.kind() {
            InvalidData | InvalidInput | UnexpectedEof if self.is_gzip => {
                DataFault::Gzip { reason }
            }
            _ => DataFault::unreadable(reason),
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}
