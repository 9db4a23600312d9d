//! One line of the chain: how it is sealed, and how a seal is checked.

use std::{
    fmt,
    io::{BufRead, Read, Write},
};

use serde::Serialize;

use super::{Digest, JournalPosition, ScanError};

/// The longest line, newline included: a damaged file can not make a reader use more memory than this.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// 64 lowercase hexadecimal digits.
pub(super) type Hex = [u8; 64];

const PREV: &[u8] = b",\"prev\":\"";
const HASH: &[u8] = b",\"hash\":\"";
/// `,"hash":"<64 hex>"}`, which the hash does not cover.
const SEAL_BYTES: usize = HASH.len() + 64 + 2;
/// `,"prev":"<64 hex>"`, which it does.
const LINK_BYTES: usize = PREV.len() + 64 + 1;

/// Where a chain breaks, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainFault {
    /// The line, from 1.
    pub line: u64,
    /// Where that line begins in the file.
    pub offset_bytes: u64,
    /// What is wrong with it.
    pub what: Break,
}

impl fmt::Display for ChainFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} (byte {}): {}", self.line, self.offset_bytes, self.what)
    }
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Break {
    /// The file ends before the line does.
    #[error("it is torn: the file ends before its newline")]
    Torn,
    /// It is longer than [`LINE_BYTES_MAX`].
    #[error("it is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// It does not begin and end as the journal's lines do.
    #[error("it is not a line of a journal")]
    Form,
    /// Its hash is not that of its content.
    #[error("its content was changed: its hash does not match")]
    Hash,
    /// Its `seq` is not the next one.
    #[error("its `seq` is out of order: a line is missing or was put in before it")]
    Seq,
    /// Its `prev` is not the hash of the line before.
    #[error("its `prev` is not the hash of the line before: one of the two was replaced")]
    Prev,
}

/// The text of `digest`.
pub(super) fn hex(digest: &Digest) -> Hex {
    let text = blake3::Hash::from_bytes(digest.0).to_hex();
    text.as_bytes().try_into().expect("32 bytes are 64 digits")
}

/// Makes `line` the sealed line of `event`, newline included; gives its hash.
pub(super) fn seal<E: Serialize + ?Sized>(
    line: &mut Vec<u8>,
    seq: u64,
    tick: u64,
    kind: &str,
    event: &E,
    prev: &Hex,
) -> (Digest, Hex) {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    assert!(kind.bytes().all(is_plain), "`{kind}` is not a kind of event");
    line.clear();
    write!(line, "{{\"seq\":{seq},\"tick\":{tick},\"kind\":\"{kind}\"").expect("memory takes all");
    let start = line.len();
    serde_json::to_writer(&mut *line, event).expect("events are plain data");
    assert!(line[start] == b'{', "a `{kind}` event has named fields");
    debug_assert!(
        has_free_keys(&line[start..]),
        "a `{kind}` event uses a key of the journal's own"
    );
    // The event's braces go: its fields join the line's.
    line[start] = b',';
    line.pop();
    if line.len() == start + 1 {
        line.pop();
    }
    line.extend_from_slice(PREV);
    line.extend_from_slice(prev);
    line.push(b'"');
    let digest = Digest::of(line);
    let hash = hex(&digest);
    line.extend_from_slice(HASH);
    line.extend_from_slice(&hash);
    line.extend_from_slice(b"\"}\n");
    (digest, hash)
}

fn has_free_keys(object: &[u8]) -> bool {
    let fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(object).expect("what was just written");
    ["seq", "tick", "kind", "prev", "hash"].iter().all(|key| !fields.contains_key(*key))
}

/// The bytes that end a file whose last line has hash `head`, newline included.
pub(super) fn ending(head: &Digest) -> [u8; SEAL_BYTES + 1] {
    let mut bytes = [0; SEAL_BYTES + 1];
    bytes[..HASH.len()].copy_from_slice(HASH);
    bytes[HASH.len()..HASH.len() + 64].copy_from_slice(&hex(head));
    bytes[HASH.len() + 64..].copy_from_slice(b"\"}\n");
    bytes
}

/// Checks the seal of `line`, which comes without its newline; gives its hash.
fn check(line: &[u8], seq: u64, prev: &Hex) -> Result<(Digest, Hex), Break> {
    let content_len = line.len().checked_sub(SEAL_BYTES).ok_or(Break::Form)?;
    let (content, seal) = line.split_at(content_len);
    let fields_len = content_len.checked_sub(LINK_BYTES).ok_or(Break::Form)?;
    let (fields, link) = content.split_at(fields_len);
    let is_formed = fields.starts_with(b"{\"seq\":")
        && link.starts_with(PREV)
        && link.ends_with(b"\"")
        && seal.starts_with(HASH)
        && seal.ends_with(b"\"}");
    if !is_formed {
        return Err(Break::Form);
    }
    let digest = Digest::of(content);
    let hash = hex(&digest);
    if seal[HASH.len()..][..64] != hash {
        return Err(Break::Hash);
    }
    if read_seq(fields) != Some(seq) {
        return Err(Break::Seq);
    }
    if link[PREV.len()..][..64] != *prev {
        return Err(Break::Prev);
    }
    Ok((digest, hash))
}

/// The number in `{"seq":<number>,"tick":`.
fn read_seq(fields: &[u8]) -> Option<u64> {
    let rest = fields.strip_prefix(b"{\"seq\":")?;
    let n_digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = rest.split_at(n_digits);
    if !rest.starts_with(b",\"tick\":") {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Reads lines in order and checks each as it comes.
#[derive(Debug)]
pub(super) struct Scanner<R> {
    reader: R,
    line: Vec<u8>,
    position: JournalPosition,
    head: Hex,
}

impl<R: BufRead> Scanner<R> {
    /// Scans from `position`, where `reader` stands.
    pub(super) fn new(reader: R, position: JournalPosition) -> Self {
        Self { reader, line: Vec::new(), position, head: hex(&position.head) }
    }

    /// The next line without its newline, or `None` at the end.
    pub(super) fn next_line(&mut self) -> Result<Option<&[u8]>, ScanError> {
        self.line.clear();
        let mut limited = (&mut self.reader).take(LINE_BYTES_MAX as u64);
        let len_bytes = limited.read_until(b'\n', &mut self.line).map_err(ScanError::Io)?;
        if len_bytes == 0 {
            return Ok(None);
        }
        let JournalPosition { seq, offset_bytes, .. } = self.position;
        let fault = |what| ScanError::Fault(ChainFault { line: seq + 1, offset_bytes, what });
        let Some(line) = self.line.strip_suffix(b"\n") else {
            let is_cut = len_bytes == LINE_BYTES_MAX;
            return Err(fault(if is_cut { Break::TooLong } else { Break::Torn }));
        };
        let (digest, hash) = check(line, seq, &self.head).map_err(fault)?;
        let offset_bytes = offset_bytes + len_bytes as u64;
        self.position = JournalPosition { seq: seq + 1, offset_bytes, head: digest };
        self.head = hash;
        Ok(Some(line))
    }

    /// The place after the last good line.
    pub(super) fn position(&self) -> JournalPosition {
        self.position
    }

    /// The length of the line last read, good or not, newline included.
    pub(super) fn line_len_bytes(&self) -> u64 {
        self.line.len() as u64
    }
}
