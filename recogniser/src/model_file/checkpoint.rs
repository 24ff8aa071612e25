//! A checkpoint folder as trainers publish it: `config.json`, `tokenizer.json` and one or more safetensors files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::half::Spelling;
use super::safetensors::Safetensors;
use super::{Shape, Tensors};
use crate::config::Config;
use crate::error::LoadError;
use crate::matrix::Matrix;
use crate::tokenizer::Vocabulary;

/// The longest JSON file that is read, in bytes (a Whisper tokenizer has 2.5 MB).
const JSON_LIMIT: u64 = 64 << 20;
/// The most files that an index may name.
const SHARD_LIMIT: usize = 64;
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// An open checkpoint.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    /// The file that is named when a tensor is missing.
    named: PathBuf,
    shards: Vec<Safetensors>,
    pub(crate) config: Config,
    pub(crate) vocabulary: Vocabulary,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens a folder and reads everything but the weights.
    pub(crate) fn open(folder: &Path) -> Result<Self, LoadError> {
        let path = folder.join("config.json");
        let mut config =
            Config::parse(&read(&path)?).map_err(|fault| LoadError::invalid(&path, fault))?;
        let path = folder.join("generation_config.json");
        if let Some(rules) = read_if_there(&path)? {
            config
                .refine(&rules)
                .map_err(|fault| LoadError::invalid(&path, fault))?;
        }
        let path = folder.join("tokenizer.json");
        let vocabulary = Vocabulary::parse(&read(&path)?, config.vocabulary)
            .map_err(|fault| LoadError::invalid(&path, fault))?;
        let (named, files) = weight_files(folder)?;
        let shards = files
            .iter()
            .map(|file| Safetensors::open(file))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            named,
            shards,
            config,
            vocabulary,
        })
    }

    /// The numbers of a tensor that must have the given shape and be finite.
    pub(super) fn numbers(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
        let (bytes, spelling) = self.raw(name, shape)?;
        let numbers = spelling.read(&bytes);
        if numbers.iter().any(|number| !number.is_finite()) {
            let fault = format!("tensor {name} holds numbers that are not finite");
            return Err(LoadError::invalid(&self.named, fault));
        }
        Ok(numbers)
    }

    /// The bytes of a tensor that must have the given shape.
    pub(super) fn raw(
        &mut self,
        name: &str,
        shape: &[usize],
    ) -> Result<(Vec<u8>, Spelling), LoadError> {
        let long = format!("model.{name}");
        for shard in &mut self.shards {
            let place = shard.place(&long).or_else(|| shard.place(name)).cloned();
            if let Some(place) = place {
                if place.shape != shape {
                    let fault =
                        format!("tensor {name} is {:?}, but must be {shape:?}", place.shape);
                    return Err(LoadError::invalid(&self.named, fault));
                }
                return Ok((shard.read(&place)?, place.spelling));
            }
        }
        let fault = format!("tensor {long} is missing (or not F16, BF16 or F32)");
        Err(LoadError::invalid(&self.named, fault))
    }
}

impl Tensors for Checkpoint {
    fn matrix(&mut self, name: &str, shape: Shape) -> Result<Matrix, LoadError> {
        let mut numbers = self.numbers(name, &shape.in_checkpoint())?;
        let (_, columns) = shape.as_matrix();
        if matches!(shape, Shape::ThreeTaps { .. }) {
            for row in numbers.chunks_exact_mut(columns) {
                taps_first(row);
            }
        }
        Ok(Matrix::quantise(columns, numbers.chunks_exact(columns)))
    }

    fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>, LoadError> {
        self.numbers(name, &[length])
    }

    fn table(&mut self, name: &str, rows: usize, columns: usize) -> Result<Vec<f32>, LoadError> {
        self.numbers(name, &[rows, columns])
    }
}

/// Turns input × tap into tap × input.
fn taps_first(row: &mut [f32]) {
    let before = row.to_vec();
    let inputs = before.len() / 3;
    for tap in 0..3 {
        let taken = before.iter().skip(tap).step_by(3);
        for (place, &weight) in row.iter_mut().skip(tap * inputs).zip(taken) {
            *place = weight;
        }
    }
}

/// The weight files of a folder, and the file to blame when one of their tensors is missing.
fn weight_files(folder: &Path) -> Result<(PathBuf, Vec<PathBuf>), LoadError> {
    let single = folder.join(WEIGHTS);
    let index = folder.join(INDEX);
    if single.exists() {
        return Ok((single.clone(), vec![single]));
    }
    let Some(json) = read_if_there(&index)? else {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        return Err(LoadError::read(&single, missing));
    };
    let parsed: Index = serde_json::from_slice(&json)
        .map_err(|error| LoadError::invalid(&index, error.to_string()))?;
    let names: BTreeSet<&str> = parsed.weight_map.values().map(String::as_str).collect();
    if names.len() > SHARD_LIMIT || !names.iter().all(|name| is_plain_name(name)) {
        let fault = format!("it names more than {SHARD_LIMIT} files, or files in other folders");
        return Err(LoadError::invalid(&index, fault));
    }
    Ok((index, names.iter().map(|name| folder.join(name)).collect()))
}

fn is_plain_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(_)), None)
    )
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let unreadable = |source| LoadError::read(path, source);
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(JSON_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > JSON_LIMIT {
        return Err(LoadError::invalid(
            path,
            format!("it is longer than {JSON_LIMIT} bytes"),
        ));
    }
    Ok(bytes)
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, LoadError> {
    match read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(LoadError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_taps_of_a_convolution_come_first() {
        let mut row = [1.0, 2.0, 3.0, 10.0, 20.0, 30.0];
        taps_first(&mut row);
        assert_eq!(row, [1.0, 10.0, 2.0, 20.0, 3.0, 30.0]);
    }

    #[test]
    fn an_index_cannot_lead_out_of_the_folder() {
        for name in ["../other", "/etc/passwd", "a/b", ".", ""] {
            assert!(!is_plain_name(name), "{name}");
        }
        assert!(is_plain_name("model-00001-of-00002.safetensors"));
    }
}
