//! The weights of a model by their place in the network, with shapes checked against the configuration.

use ndarray::Array2;

use crate::config::Config;
use crate::error::LoadError;
use crate::matrix::Matrix;
use crate::model_file::{Shape, Tensors};

/// Scale and shift of a layer normalisation.
#[derive(Debug)]
pub(crate) struct Norm {
    pub(crate) scale: Vec<f32>,
    pub(crate) shift: Vec<f32>,
}

/// A product with a bias.
#[derive(Debug)]
pub(crate) struct Linear {
    pub(crate) weights: Matrix,
    pub(crate) bias: Vec<f32>,
}

/// The projections of an attention; keys have no bias in Whisper.
#[derive(Debug)]
pub(crate) struct Attention {
    pub(crate) query: Linear,
    pub(crate) key: Matrix,
    pub(crate) value: Linear,
    pub(crate) out: Linear,
}

/// Two products with GELU between them.
#[derive(Debug)]
pub(crate) struct Hidden {
    pub(crate) norm: Norm,
    pub(crate) into: Linear,
    pub(crate) out: Linear,
}

/// A layer of the encoder.
#[derive(Debug)]
pub(crate) struct EncoderLayer {
    pub(crate) norm: Norm,
    pub(crate) attention: Attention,
    pub(crate) hidden: Hidden,
}

/// A layer of the decoder.
#[derive(Debug)]
pub(crate) struct DecoderLayer {
    pub(crate) norm: Norm,
    pub(crate) attention: Attention,
    pub(crate) cross_norm: Norm,
    pub(crate) cross: Attention,
    pub(crate) hidden: Hidden,
}

/// All weights of the encoder.
#[derive(Debug)]
pub(crate) struct EncoderWeights {
    pub(crate) first: Linear,
    pub(crate) second: Linear,
    /// 1,500 × width.
    pub(crate) positions: Array2<f32>,
    pub(crate) layers: Vec<EncoderLayer>,
    pub(crate) norm: Norm,
}

/// All weights of the decoder.
#[derive(Debug)]
pub(crate) struct DecoderWeights {
    /// A row for each token; also the projection to the scores of tokens.
    pub(crate) tokens: Matrix,
    /// A row of `width` numbers for each place in the context.
    pub(crate) positions: Vec<f32>,
    pub(crate) layers: Vec<DecoderLayer>,
    pub(crate) norm: Norm,
}

/// Both halves of a model.
#[derive(Debug)]
pub(crate) struct Weights {
    pub(crate) encoder: EncoderWeights,
    pub(crate) decoder: DecoderWeights,
}

impl Weights {
    /// Takes all weights out of a file, each once and always in the same order.
    pub(crate) fn load(config: &Config, tensors: &mut dyn Tensors) -> Result<Self, LoadError> {
        let mut loader = Loader {
            tensors,
            width: config.width,
        };
        Ok(Self {
            encoder: loader.encoder(config)?,
            decoder: loader.decoder(config)?,
        })
    }
}

struct Loader<'a> {
    tensors: &'a mut dyn Tensors,
    width: usize,
}

impl Loader<'_> {
    fn encoder(&mut self, config: &Config) -> Result<EncoderWeights, LoadError> {
        let (width, positions) = (self.width, config.encoder_positions);
        let table = self
            .tensors
            .table("encoder.embed_positions.weight", positions, width)?;
        let layer = |index| format!("encoder.layers.{index}");
        Ok(EncoderWeights {
            first: self.convolution("encoder.conv1", config.mel_bins)?,
            second: self.convolution("encoder.conv2", width)?,
            positions: Array2::from_shape_vec((positions, width), table).unwrap_or_default(),
            layers: (0..config.encoder_layers)
                .map(|index| self.encoder_layer(&layer(index), config.encoder_ffn_dim))
                .collect::<Result<_, _>>()?,
            norm: self.norm("encoder.layer_norm")?,
        })
    }

    fn decoder(&mut self, config: &Config) -> Result<DecoderWeights, LoadError> {
        let tokens = Shape::Plain {
            rows: config.vocabulary,
            columns: self.width,
        };
        let layer = |index| format!("decoder.layers.{index}");
        Ok(DecoderWeights {
            tokens: self.tensors.matrix("decoder.embed_tokens.weight", tokens)?,
            positions: self.tensors.table(
                "decoder.embed_positions.weight",
                config.context,
                self.width,
            )?,
            layers: (0..config.decoder_layers)
                .map(|index| self.decoder_layer(&layer(index), config.decoder_ffn_dim))
                .collect::<Result<_, _>>()?,
            norm: self.norm("decoder.layer_norm")?,
        })
    }

    fn encoder_layer(&mut self, name: &str, hidden: usize) -> Result<EncoderLayer, LoadError> {
        Ok(EncoderLayer {
            norm: self.norm(&format!("{name}.self_attn_layer_norm"))?,
            attention: self.attention(&format!("{name}.self_attn"))?,
            hidden: self.hidden(name, hidden)?,
        })
    }

    fn decoder_layer(&mut self, name: &str, hidden: usize) -> Result<DecoderLayer, LoadError> {
        Ok(DecoderLayer {
            norm: self.norm(&format!("{name}.self_attn_layer_norm"))?,
            attention: self.attention(&format!("{name}.self_attn"))?,
            cross_norm: self.norm(&format!("{name}.encoder_attn_layer_norm"))?,
            cross: self.attention(&format!("{name}.encoder_attn"))?,
            hidden: self.hidden(name, hidden)?,
        })
    }

    fn attention(&mut self, name: &str) -> Result<Attention, LoadError> {
        let square = Shape::Plain {
            rows: self.width,
            columns: self.width,
        };
        Ok(Attention {
            query: self.linear(&format!("{name}.q_proj"), square)?,
            key: self
                .tensors
                .matrix(&format!("{name}.k_proj.weight"), square)?,
            value: self.linear(&format!("{name}.v_proj"), square)?,
            out: self.linear(&format!("{name}.out_proj"), square)?,
        })
    }

    fn hidden(&mut self, name: &str, hidden: usize) -> Result<Hidden, LoadError> {
        let into = Shape::Plain {
            rows: hidden,
            columns: self.width,
        };
        let out = Shape::Plain {
            rows: self.width,
            columns: hidden,
        };
        Ok(Hidden {
            norm: self.norm(&format!("{name}.final_layer_norm"))?,
            into: self.linear(&format!("{name}.fc1"), into)?,
            out: self.linear(&format!("{name}.fc2"), out)?,
        })
    }

    fn convolution(&mut self, name: &str, inputs: usize) -> Result<Linear, LoadError> {
        self.linear(
            name,
            Shape::ThreeTaps {
                outputs: self.width,
                inputs,
            },
        )
    }

    fn linear(&mut self, name: &str, shape: Shape) -> Result<Linear, LoadError> {
        Ok(Linear {
            weights: self.tensors.matrix(&format!("{name}.weight"), shape)?,
            bias: self
                .tensors
                .vector(&format!("{name}.bias"), shape.as_matrix().0)?,
        })
    }

    fn norm(&mut self, name: &str) -> Result<Norm, LoadError> {
        Ok(Norm {
            scale: self.tensors.vector(&format!("{name}.weight"), self.width)?,
            shift: self.tensors.vector(&format!("{name}.bias"), self.width)?,
        })
    }
}
