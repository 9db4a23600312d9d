//! What a resumed run is expected to write again.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Take},
    path::{Path, PathBuf},
};

use super::{
    JournalError, JournalPosition, ScanError,
    line::{self, Break, Scanner},
};
use crate::run_dir::FileError;

/// A line torn by a crash was cut off the end of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// The file.
    pub path: PathBuf,
    /// How much was cut.
    pub bytes_removed: u64,
}

/// The lines between a checkpoint and the end of the file.
#[derive(Debug)]
pub(super) struct ExpectedTail {
    reader: BufReader<Take<File>>,
    line: Vec<u8>,
    left_bytes: u64,
}

impl ExpectedTail {
    /// Checks the chain from `position` on, repairs its end, and gives what is left, if anything is. `writer` is
    /// the file, open for writing.
    pub(super) fn open(
        path: &Path,
        writer: &File,
        position: JournalPosition,
    ) -> Result<(Option<Self>, Option<Repair>), JournalError> {
        let failed = || FileError::at(path, "read the journal");
        let mut file = File::open(path).map_err(failed())?;
        let len_bytes = file.metadata().map_err(failed())?.len();
        if !is_at(&mut file, position, len_bytes).map_err(failed())? {
            return Err(JournalError::Elsewhere { path: path.to_owned(), position });
        }
        let mut scanner = Scanner::new(BufReader::new(&file), position);
        let end = loop {
            match scanner.next_line().map(|line| line.is_some()) {
                Ok(true) => (),
                Ok(false) => break scanner.position().offset_bytes,
                // A crash tears the end of a file and nothing else.
                Err(ScanError::Fault(fault))
                    if fault.what != Break::TooLong
                        && fault.offset_bytes + scanner.line_len_bytes() == len_bytes =>
                {
                    break fault.offset_bytes;
                }
                Err(error) => return Err(error.at(path)),
            }
        };
        let bytes_removed = len_bytes.saturating_sub(end);
        let repair = if bytes_removed > 0 {
            let repaired = writer.set_len(end).and_then(|()| writer.sync_all());
            repaired.map_err(FileError::at(path, "repair the journal"))?;
            Some(Repair { path: path.to_owned(), bytes_removed })
        } else {
            None
        };
        let left_bytes = end - position.offset_bytes;
        file.seek(SeekFrom::Start(position.offset_bytes)).map_err(failed())?;
        let reader = BufReader::new(file.take(left_bytes));
        let tail = Self { reader, line: Vec::new(), left_bytes };
        Ok(((left_bytes > 0).then_some(tail), repair))
    }

    /// Compares `line`, event `seq`, with the next expected line; gives whether that was the last.
    pub(super) fn compare(
        &mut self,
        path: &Path,
        seq: u64,
        line: &[u8],
    ) -> Result<bool, JournalError> {
        self.line.clear();
        let read = self.reader.read_until(b'\n', &mut self.line);
        let len_bytes = read.map_err(FileError::at(path, "read the journal"))?;
        if self.line != line {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
            return Err(JournalError::Diverged {
                path: path.to_owned(),
                seq,
                expected: text(&self.line),
                found: text(line),
            });
        }
        self.left_bytes -= len_bytes as u64;
        Ok(self.left_bytes == 0)
    }
}

/// Whether `file` has, right before `position`, the end of the line that `position` names; leaves the cursor there.
fn is_at(file: &mut File, position: JournalPosition, len_bytes: u64) -> std::io::Result<bool> {
    let JournalPosition { offset_bytes, .. } = position;
    if offset_bytes == 0 || offset_bytes > len_bytes {
        return Ok(position == JournalPosition::default());
    }
    let expected = line::ending(&position.head);
    let Some(start) = offset_bytes.checked_sub(expected.len() as u64) else { return Ok(false) };
    let mut found = expected;
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut found)?;
    Ok(found == expected)
}
