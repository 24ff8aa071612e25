//! The decoder: one token in, the scores of all tokens for the next place out.
//!
//! What the encoder heard is kept as keys and values for each layer ([`Memory`]); what was said is kept
//! in a cache that grows by one place a token. Weights are read as codes, never expanded.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, Axis};

use crate::config::Config;
use crate::encoder::expand;
use crate::kernels;
use crate::parallel;
use crate::tokenizer::Token;
use crate::weights::{Attention, DecoderLayer, DecoderWeights, Hidden, Linear, Norm};

/// Keys and values of a window for each layer: a row for each channel, a column for each 20 ms.
#[derive(Debug)]
pub(crate) struct Memory {
    layers: Vec<Heard>,
}

#[derive(Debug)]
struct Heard {
    keys: Array2<f32>,
    values: Array2<f32>,
}

impl Memory {
    /// What the decoder needs of an encoded window.
    pub(crate) fn new(
        weights: &DecoderWeights,
        encoded: &ArrayView2<'_, f32>,
        threads: usize,
    ) -> Self {
        let no_bias = vec![0.0; encoded.ncols()];
        let layers = weights.layers.iter().map(|layer| {
            let Attention { key, value, .. } = &layer.cross;
            Heard {
                keys: turned(&expand(key, encoded.ncols()), &no_bias, encoded, threads),
                values: turned(
                    &expand(&value.weights, encoded.ncols()),
                    &value.bias,
                    encoded,
                    threads,
                ),
            }
        });
        Self {
            layers: layers.collect(),
        }
    }
}

/// Weights × encodedᵀ + bias.
fn turned(
    weights: &Array2<f32>,
    bias: &[f32],
    encoded: &ArrayView2<'_, f32>,
    threads: usize,
) -> Array2<f32> {
    let mut out = Array2::zeros((weights.nrows(), encoded.nrows()));
    let share = weights.nrows().div_ceil(threads.max(1)).max(1);
    let rows = weights
        .axis_chunks_iter(Axis(0), share)
        .zip(bias.chunks(share));
    let shares = rows.zip(out.axis_chunks_iter_mut(Axis(0), share));
    parallel::share(threads, shares, &|((weights, bias), mut out)| {
        for (mut row, &bias) in out.rows_mut().into_iter().zip(bias) {
            row.fill(bias);
        }
        general_mat_mul(1.0, &weights, &encoded.t(), 1.0, &mut out);
    });
    out
}

/// A decoder in the middle of a sentence.
pub(crate) struct Decoder<'a> {
    config: &'a Config,
    weights: &'a DecoderWeights,
    memory: &'a Memory,
    threads: usize,
    said: Vec<Said>,
    place: usize,
    scratch: Scratch,
}

/// Keys and values of the places so far in one layer: head after head, each with all places.
struct Said {
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// Buffers of a step, so that no step allocates.
struct Scratch {
    row: Vec<f32>,
    normalised: Vec<f32>,
    query: Vec<f32>,
    mixed: Vec<f32>,
    added: Vec<f32>,
    hidden: Vec<f32>,
    scores: Vec<f32>,
}

impl<'a> Decoder<'a> {
    /// A decoder that has said nothing yet.
    pub(crate) fn new(
        config: &'a Config,
        weights: &'a DecoderWeights,
        memory: &'a Memory,
        threads: usize,
    ) -> Self {
        let width = || vec![0.0; config.width];
        let cache = || vec![0.0; config.context * config.width];
        let said = weights.layers.iter().map(|_| Said {
            keys: cache(),
            values: cache(),
        });
        let scratch = Scratch {
            row: width(),
            normalised: width(),
            query: width(),
            mixed: width(),
            added: width(),
            hidden: vec![0.0; config.decoder_ffn_dim],
            scores: vec![0.0; config.encoder_positions.max(config.context)],
        };
        Self {
            config,
            weights,
            memory,
            threads,
            said: said.collect(),
            place: 0,
            scratch,
        }
    }

    /// Whether the context has room for another token.
    pub(crate) fn has_room(&self) -> bool {
        self.place < self.config.context
    }

    /// Says one token; without room left it does nothing.
    pub(crate) fn say(&mut self, token: Token) {
        let width = self.config.width;
        let positions = self.weights.positions.chunks_exact(width).nth(self.place);
        let (Some(position), true) = (positions, self.has_room()) else {
            return;
        };
        self.scratch.row.copy_from_slice(position);
        self.weights
            .tokens
            .add_row(token as usize, &mut self.scratch.row);
        let layers = self
            .weights
            .layers
            .iter()
            .zip(&mut self.said)
            .zip(&self.memory.layers);
        for ((layer, said), heard) in layers {
            let heads = self.config.decoder_attention_heads;
            self.scratch.remember(layer, said, self.place, heads);
            self.scratch
                .recall(&layer.attention, said, self.place + 1, heads);
            self.scratch.listen(layer, heard, heads);
            self.scratch.hide(&layer.hidden);
        }
        self.place += 1;
    }

    /// The scores of all tokens for the next place.
    pub(crate) fn scores(&mut self, scores: &mut [f32]) {
        let Scratch {
            row, normalised, ..
        } = &mut self.scratch;
        normalise(&self.weights.norm, row, normalised);
        let normalised: &[f32] = normalised;
        let tokens = &self.weights.tokens;
        let share = scores.len().div_ceil(self.threads.max(1)).max(1);
        parallel::share(
            self.threads,
            scores.chunks_mut(share).enumerate(),
            &|(index, scores)| {
                tokens.times_from(index * share, normalised, scores);
            },
        );
    }
}

impl Scratch {
    /// Puts the key and value of the newest place into the cache, and its query into `query`.
    fn remember(&mut self, layer: &DecoderLayer, said: &mut Said, place: usize, heads: usize) {
        let Attention {
            query, key, value, ..
        } = &layer.attention;
        normalise(&layer.norm, &self.row, &mut self.normalised);
        apply(query, &self.normalised, &mut self.query);
        key.times(&self.normalised, &mut self.mixed);
        keep(&self.mixed, &mut said.keys, place, heads);
        apply(value, &self.normalised, &mut self.mixed);
        keep(&self.mixed, &mut said.values, place, heads);
    }

    /// Attention over the `places` said so far.
    fn recall(&mut self, attention: &Attention, said: &Said, places: usize, heads: usize) {
        let width = self.row.len() / heads;
        let context = said.keys.len() / heads;
        scale(&mut self.query, width);
        let memory = said
            .keys
            .chunks_exact(context)
            .zip(said.values.chunks_exact(context));
        let queries = self
            .query
            .chunks_exact(width)
            .zip(self.mixed.chunks_exact_mut(width));
        let scores = self.scores.split_at_mut(places).0;
        for ((query, mixed), (keys, values)) in queries.zip(memory) {
            kernels::score(query, keys, scores);
            kernels::softmax(scores);
            kernels::weigh(scores, values, mixed);
        }
        self.add(&attention.out);
    }

    /// Attention over what was heard.
    fn listen(&mut self, layer: &DecoderLayer, heard: &Heard, heads: usize) {
        normalise(&layer.cross_norm, &self.row, &mut self.normalised);
        apply(&layer.cross.query, &self.normalised, &mut self.query);
        let (width, places) = (self.row.len() / heads, heard.keys.ncols());
        scale(&mut self.query, width);
        let of_head = width * places;
        let keys = heard
            .keys
            .as_slice()
            .unwrap_or_default()
            .chunks_exact(of_head);
        let values = heard
            .values
            .as_slice()
            .unwrap_or_default()
            .chunks_exact(of_head);
        let queries = self
            .query
            .chunks_exact(width)
            .zip(self.mixed.chunks_exact_mut(width));
        let scores = self.scores.split_at_mut(places).0;
        for ((query, mixed), (keys, values)) in queries.zip(keys.zip(values)) {
            kernels::weigh(query, keys, scores);
            kernels::softmax(scores);
            kernels::score(scores, values, mixed);
        }
        self.add(&layer.cross.out);
    }

    fn hide(&mut self, hidden: &Hidden) {
        normalise(&hidden.norm, &self.row, &mut self.normalised);
        hidden
            .into
            .weights
            .times(&self.normalised, &mut self.hidden);
        kernels::gelu(&mut self.hidden, &hidden.into.bias);
        apply(&hidden.out, &self.hidden, &mut self.added);
        kernels::add(&mut self.row, &self.added);
    }

    /// Adds the projection of `mixed` to the row.
    fn add(&mut self, out: &Linear) {
        apply(out, &self.mixed, &mut self.added);
        kernels::add(&mut self.row, &self.added);
    }
}

/// Copies each head's share of a row to its place in the cache.
fn keep(row: &[f32], cache: &mut [f32], place: usize, heads: usize) {
    let width = row.len() / heads;
    let of_head = cache.len() / heads;
    for (part, cache) in row.chunks_exact(width).zip(cache.chunks_exact_mut(of_head)) {
        if let Some(kept) = cache.chunks_exact_mut(width).nth(place) {
            kept.copy_from_slice(part);
        }
    }
}

fn apply(linear: &Linear, values: &[f32], out: &mut [f32]) {
    linear.weights.times(values, out);
    kernels::add(out, &linear.bias);
}

fn scale(query: &mut [f32], head_width: usize) {
    let factor = 1.0 / (head_width as f32).sqrt();
    for value in query {
        *value *= factor;
    }
}

fn normalise(norm: &Norm, row: &[f32], out: &mut [f32]) {
    kernels::normalise(row, &norm.scale, &norm.shift, out);
}
