//! The packed file that is built into the program: a whole model with its matrices in 8 bits.
//!
//! Layout (all numbers little endian): the magic bytes, the header's length (`u32`), the header's
//! FNV-1a sum (`u64`), the header as JSON, then what the header points to. A matrix is its scales
//! (`f32`, one a row) and its codes (`i8`, row after row); a table is `f16`, `bf16` or `f32` numbers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::half::Spelling;
use super::{Checkpoint, Shape, Tensors};
use crate::config::Config;
use crate::error::LoadError;
use crate::matrix::Matrix;
use crate::tokenizer::{Specials, Vocabulary};

/// The last byte is the version of the layout.
const MAGIC: [u8; 8] = *b"stenodw\x01";
/// The longest header that is accepted, in bytes.
const HEADER_LIMIT: usize = 1 << 20;
/// The name of packed 8-bit matrices, beside the names of [`Spelling`].
const EIGHT_BITS: &str = "I8";

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    name: String,
    config: Config,
    specials: Specials,
    /// The table of the tokens' texts.
    vocabulary: Span,
    tensors: BTreeMap<String, Entry>,
}

/// Bytes counted from the end of the header.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Span {
    start: usize,
    length: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    rows: usize,
    columns: usize,
    span: Span,
}

/// A packed model that lies in memory.
#[derive(Debug)]
pub(crate) struct Packed {
    named: PathBuf,
    body: &'static [u8],
    header: Header,
    pub(crate) vocabulary: Vocabulary,
}

impl Packed {
    /// Checks the header of a packed model; `named` stands for it in errors.
    pub(crate) fn open(bytes: &'static [u8], named: &str) -> Result<Self, LoadError> {
        let named = PathBuf::from(named);
        let parsed = parse(bytes).map_err(|fault| LoadError::invalid(&named, fault));
        let (header, body, vocabulary) = parsed?;
        Ok(Self {
            named,
            body,
            header,
            vocabulary,
        })
    }

    /// The model's name, such as `whisper-tiny.en`.
    pub(crate) fn name(&self) -> &str {
        &self.header.name
    }

    pub(crate) fn config(&self) -> &Config {
        &self.header.config
    }

    fn entry(&self, name: &str, rows: usize, columns: usize) -> Result<&Entry, LoadError> {
        let fault = match self.header.tensors.get(name) {
            Some(entry) if (entry.rows, entry.columns) == (rows, columns) => return Ok(entry),
            Some(entry) => {
                let (r, c) = (entry.rows, entry.columns);
                format!("tensor {name} is {r} × {c}, but must be {rows} × {columns}")
            }
            None => format!("tensor {name} is missing"),
        };
        Err(LoadError::invalid(&self.named, fault))
    }

    fn misplaced(&self, name: &str) -> LoadError {
        let fault = format!("tensor {name} does not lie within the file as its shape says");
        LoadError::invalid(&self.named, fault)
    }
}

impl Tensors for Packed {
    fn matrix(&mut self, name: &str, shape: Shape) -> Result<Matrix, LoadError> {
        let (rows, columns) = shape.as_matrix();
        let entry = self.entry(name, rows, columns)?;
        let matrix = || {
            let (scales, codes) =
                slice(self.body, entry.span)?.split_at_checked(rows.checked_mul(4)?)?;
            let scales = Spelling::Single.read(scales);
            let sane = entry.kind == EIGHT_BITS && scales.iter().all(|scale| scale.is_finite());
            sane.then(|| Matrix::new(columns, Cow::Borrowed(codes), scales))?
        };
        matrix().ok_or_else(|| self.misplaced(name))
    }

    fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>, LoadError> {
        self.table(name, 1, length)
    }

    fn table(&mut self, name: &str, rows: usize, columns: usize) -> Result<Vec<f32>, LoadError> {
        let entry = self.entry(name, rows, columns)?;
        let numbers = || {
            let numbers = Spelling::named(&entry.kind)?.read(slice(self.body, entry.span)?);
            let whole = Some(numbers.len()) == rows.checked_mul(columns);
            (whole && numbers.iter().all(|number| number.is_finite())).then_some(numbers)
        };
        numbers().ok_or_else(|| self.misplaced(name))
    }
}

fn slice(body: &'static [u8], span: Span) -> Option<&'static [u8]> {
    body.get(span.start..span.start.checked_add(span.length)?)
}

fn parse(bytes: &'static [u8]) -> Result<(Header, &'static [u8], Vocabulary), String> {
    let (magic, rest) = bytes.split_first_chunk::<8>().ok_or("it is cut short")?;
    if *magic != MAGIC {
        return Err("it does not begin as a packed model of this version does".into());
    }
    let (length, rest) = rest.split_first_chunk::<4>().ok_or("it is cut short")?;
    let (sum, rest) = rest.split_first_chunk::<8>().ok_or("it is cut short")?;
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > HEADER_LIMIT {
        return Err(format!("its header is longer than {HEADER_LIMIT} bytes"));
    }
    let (header, body) = rest
        .split_at_checked(length)
        .ok_or("its header is cut short")?;
    if checksum(header) != u64::from_le_bytes(*sum) {
        return Err("its header is damaged".into());
    }
    let header: Header = serde_json::from_slice(header).map_err(|error| error.to_string())?;
    header.config.validate()?;
    let table = slice(body, header.vocabulary).ok_or("its vocabulary is cut short")?;
    let vocabulary = Vocabulary::unpack(table, header.specials.clone(), header.config.vocabulary)?;
    Ok((header, body, vocabulary))
}

/// FNV-1a with 64 bits.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, &byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Packs a checkpoint: hands through what is asked of it and remembers everything for the file.
#[derive(Debug)]
pub(crate) struct Packer {
    checkpoint: Checkpoint,
    header: Header,
    body: Vec<u8>,
}

impl Packer {
    pub(crate) fn new(name: &str, checkpoint: Checkpoint) -> Self {
        let body = checkpoint.vocabulary.pack();
        let header = Header {
            name: name.to_owned(),
            config: checkpoint.config.clone(),
            specials: checkpoint.vocabulary.specials.clone(),
            vocabulary: Span {
                start: 0,
                length: body.len(),
            },
            tensors: BTreeMap::new(),
        };
        Self {
            checkpoint,
            header,
            body,
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.header.config
    }

    /// The packed file with every tensor that was asked for.
    pub(crate) fn finish(self, folder: &Path) -> Result<Vec<u8>, LoadError> {
        let header = serde_json::to_vec(&self.header)
            .map_err(|error| LoadError::invalid(folder, error.to_string()))?;
        let length = u32::try_from(header.len())
            .ok()
            .filter(|_| header.len() <= HEADER_LIMIT);
        let length = length.ok_or_else(|| LoadError::invalid(folder, "its header is too long"))?;
        let mut file = MAGIC.to_vec();
        file.extend_from_slice(&length.to_le_bytes());
        file.extend_from_slice(&checksum(&header).to_le_bytes());
        file.extend_from_slice(&header);
        file.extend_from_slice(&self.body);
        Ok(file)
    }

    fn remember(&mut self, name: &str, kind: &str, (rows, columns): (usize, usize), bytes: &[u8]) {
        let span = Span {
            start: self.body.len(),
            length: bytes.len(),
        };
        self.body.extend_from_slice(bytes);
        let entry = Entry {
            kind: kind.to_owned(),
            rows,
            columns,
            span,
        };
        self.header.tensors.insert(name.to_owned(), entry);
    }

    fn remember_as_is(
        &mut self,
        name: &str,
        shape: &[usize],
        size: (usize, usize),
    ) -> Result<Vec<f32>, LoadError> {
        let numbers = self.checkpoint.numbers(name, shape)?;
        let (bytes, spelling) = self.checkpoint.raw(name, shape)?;
        self.remember(name, spelling.name(), size, &bytes);
        Ok(numbers)
    }
}

impl Tensors for Packer {
    fn matrix(&mut self, name: &str, shape: Shape) -> Result<Matrix, LoadError> {
        let matrix = self.checkpoint.matrix(name, shape)?;
        let scales = matrix.scales().iter().flat_map(|scale| scale.to_le_bytes());
        let bytes: Vec<u8> = scales.chain(matrix.codes().iter().copied()).collect();
        self.remember(name, EIGHT_BITS, shape.as_matrix(), &bytes);
        Ok(matrix)
    }

    fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>, LoadError> {
        self.remember_as_is(name, &[length], (1, length))
    }

    fn table(&mut self, name: &str, rows: usize, columns: usize) -> Result<Vec<f32>, LoadError> {
        self.remember_as_is(name, &[rows, columns], (rows, columns))
    }
}
