//! Where weights come from: a checkpoint folder in the safetensors layout, or the packed file that is built in.
//!
//! Both are judged as hostile: every size is checked before it is used, a fault is one clear error,
//! and nothing is allocated that the file itself does not back.

mod checkpoint;
mod half;
mod packed;
mod safetensors;

pub(crate) use checkpoint::Checkpoint;
pub(crate) use packed::{Packed, Packer};

use crate::error::LoadError;
use crate::matrix::Matrix;

/// The shape of a weight and how it is turned for use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `rows` × `columns`, a row for each output.
    Plain { rows: usize, columns: usize },
    /// A convolution of three taps, `outputs` × `inputs` × 3 in a checkpoint; as a matrix its columns
    /// run over the taps first, so that they meet three neighbouring frames.
    ThreeTaps { outputs: usize, inputs: usize },
}

impl Shape {
    /// Rows and columns as a matrix.
    pub(crate) fn as_matrix(self) -> (usize, usize) {
        match self {
            Self::Plain { rows, columns } => (rows, columns),
            Self::ThreeTaps { outputs, inputs } => (outputs, 3 * inputs),
        }
    }

    /// The dimensions as a checkpoint spells them.
    fn in_checkpoint(self) -> Vec<usize> {
        match self {
            Self::Plain { rows, columns } => vec![rows, columns],
            Self::ThreeTaps { outputs, inputs } => vec![outputs, inputs, 3],
        }
    }
}

/// A file that gives weights by the names that Whisper checkpoints use (without a leading `model.`).
pub(crate) trait Tensors {
    /// A weight matrix in 8 bits.
    fn matrix(&mut self, name: &str, shape: Shape) -> Result<Matrix, LoadError>;

    /// A plain row of `length` numbers.
    fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>, LoadError>;

    /// A table of `rows` × `columns` numbers that stays unquantised.
    fn table(&mut self, name: &str, rows: usize, columns: usize) -> Result<Vec<f32>, LoadError>;
}
