//! The encoder: 30 s of mel frames become 1,500 rows that the decoder listens to.
//!
//! A window is always encoded whole, because shortened ones make the decoder loop on some clips.
//! Weights are expanded to `f32` a layer at a time into one buffer; threads share out the rows.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis, ShapeBuilder, s};

use crate::config::Config;
use crate::error::Stopped;
use crate::kernels;
use crate::matrix::Matrix;
use crate::parallel;
use crate::weights::{EncoderLayer, EncoderWeights, Linear, Norm};

/// Query rows that are attended at once; their scores stay in the cache of a core.
const QUERY_ROWS: usize = 128;
/// Rows that go through the hidden products at once.
const HIDDEN_ROWS: usize = 384;

/// Called between layers; an error ends the encoding.
pub(crate) type Pulse<'a> = &'a mut dyn FnMut() -> Result<(), Stopped>;

/// Encodes a spectrogram of 3,000 frames to 1,500 rows.
pub(crate) fn encode(
    config: &Config,
    weights: &EncoderWeights,
    mel: &ArrayView2<'_, f32>,
    threads: usize,
    pulse: Pulse<'_>,
) -> Result<Array2<f32>, Stopped> {
    let mut rows = entrance(weights, mel, threads);
    let mut expanded = Expanded::new(config);
    let mut triple = Array2::zeros((rows.nrows(), 3 * config.width));
    for layer in &weights.layers {
        pulse()?;
        expanded.load(layer);
        let heads = config.encoder_attention_heads;
        project(layer, &expanded, &rows.view(), triple.view_mut(), threads);
        pulse()?;
        transform(
            layer,
            &expanded,
            &triple.view(),
            rows.view_mut(),
            heads,
            threads,
        );
    }
    let before = rows.clone();
    normalise(&weights.norm, &before.view(), rows.view_mut());
    Ok(rows)
}

/// The weights of one layer as `f32`.
struct Expanded {
    triple: Array2<f32>,
    out: Array2<f32>,
    into_hidden: Array2<f32>,
    out_of_hidden: Array2<f32>,
}

impl Expanded {
    fn new(config: &Config) -> Self {
        let (width, hidden) = (config.width, config.encoder_ffn_dim);
        Self {
            triple: Array2::zeros((3 * width, width)),
            out: Array2::zeros((width, width)),
            into_hidden: Array2::zeros((hidden, width)),
            out_of_hidden: Array2::zeros((width, hidden)),
        }
    }

    fn load(&mut self, layer: &EncoderLayer) {
        let attention = &layer.attention;
        let parts = [
            &attention.query.weights,
            &attention.key,
            &attention.value.weights,
        ];
        let width = self.out.nrows();
        for (part, to) in parts
            .into_iter()
            .zip(self.triple.axis_chunks_iter_mut(Axis(0), width))
        {
            part.expand_into(to);
        }
        attention.out.weights.expand_into(self.out.view_mut());
        layer
            .hidden
            .into
            .weights
            .expand_into(self.into_hidden.view_mut());
        layer
            .hidden
            .out
            .weights
            .expand_into(self.out_of_hidden.view_mut());
    }
}

/// A matrix as `f32`.
pub(crate) fn expand(matrix: &Matrix, columns: usize) -> Array2<f32> {
    let mut expanded = Array2::zeros((matrix.rows(), columns));
    matrix.expand_into(expanded.view_mut());
    expanded
}

/// The two convolutions with GELU, then the positions.
fn entrance(weights: &EncoderWeights, mel: &ArrayView2<'_, f32>, threads: usize) -> Array2<f32> {
    let first = convolve(&weights.first, mel, 1, threads);
    let mut rows = convolve(&weights.second, &first.view(), 2, threads);
    rows += &weights.positions;
    rows
}

/// A convolution of three taps with a padding of one frame, then GELU.
fn convolve(
    linear: &Linear,
    input: &ArrayView2<'_, f32>,
    stride: usize,
    threads: usize,
) -> Array2<f32> {
    let (frames, channels) = input.dim();
    let mut padded = Array1::zeros((frames + 2) * channels);
    let inner = padded.slice_mut(s![channels..(frames + 1) * channels]);
    if let Ok(mut inner) = inner.into_shape_with_order((frames, channels)) {
        inner.assign(input);
    }
    let taps = 3 * channels;
    let kernel = expand(&linear.weights, taps);
    let mut out = Array2::zeros((frames / stride, kernel.nrows()));
    // Neighbouring frames lie side by side, so a row of three taps is a view into the input itself.
    let shape = (out.nrows(), taps).strides((stride * channels, 1));
    if let Ok(taps) = ArrayView2::from_shape(shape, padded.as_slice().unwrap_or_default()) {
        by_rows(threads, &taps, out.view_mut(), &|taps, mut out| {
            general_mat_mul(1.0, taps, &kernel.t(), 0.0, &mut out);
            gelu(&mut out, &linear.bias);
        });
    }
    out
}

/// Queries, keys and values of all rows, side by side.
fn project(
    layer: &EncoderLayer,
    expanded: &Expanded,
    rows: &ArrayView2<'_, f32>,
    triple: ArrayViewMut2<'_, f32>,
    threads: usize,
) {
    let attention = &layer.attention;
    let no_bias = vec![0.0; rows.ncols()];
    let bias = [&attention.query.bias, &no_bias, &attention.value.bias]
        .map(Vec::as_slice)
        .concat();
    let bias = Array1::from(bias);
    by_rows(threads, rows, triple, &|rows, mut triple| {
        let mut normalised = Array2::zeros(rows.raw_dim());
        normalise(&layer.norm, rows, normalised.view_mut());
        triple.assign(&bias);
        general_mat_mul(1.0, &normalised, &expanded.triple.t(), 1.0, &mut triple);
    });
}

/// Attention and the hidden products, both added to the rows.
fn transform(
    layer: &EncoderLayer,
    expanded: &Expanded,
    triple: &ArrayView2<'_, f32>,
    rows: ArrayViewMut2<'_, f32>,
    heads: usize,
    threads: usize,
) {
    let width = rows.ncols();
    let queries = triple.slice(s![.., ..width]);
    let memory = triple.slice(s![.., width..]);
    by_rows(threads, &queries, rows, &|queries, mut rows| {
        let blocks = queries.axis_chunks_iter(Axis(0), QUERY_ROWS);
        for (queries, rows) in blocks.zip(rows.axis_chunks_iter_mut(Axis(0), QUERY_ROWS)) {
            attend(layer, expanded, &queries, &memory, rows, heads);
        }
        for rows in rows.axis_chunks_iter_mut(Axis(0), HIDDEN_ROWS) {
            hide(layer, expanded, rows);
        }
    });
}

fn attend(
    layer: &EncoderLayer,
    expanded: &Expanded,
    queries: &ArrayView2<'_, f32>,
    memory: &ArrayView2<'_, f32>,
    mut rows: ArrayViewMut2<'_, f32>,
    heads: usize,
) {
    let width = queries.ncols();
    let head_width = width / heads;
    let scale = 1.0 / (head_width as f32).sqrt();
    let mut scores = Array2::zeros((queries.nrows(), memory.nrows()));
    let mut mixed = Array2::zeros(queries.raw_dim());
    for start in (0..width).step_by(head_width) {
        let head = |offset: usize| s![.., offset + start..offset + start + head_width];
        let (keys, values) = (memory.slice(head(0)), memory.slice(head(width)));
        general_mat_mul(scale, &queries.slice(head(0)), &keys.t(), 0.0, &mut scores);
        for mut row in scores.rows_mut() {
            kernels::softmax(row.as_slice_mut().unwrap_or_default());
        }
        general_mat_mul(1.0, &scores, &values, 0.0, &mut mixed.slice_mut(head(0)));
    }
    add_bias(&mut rows, &layer.attention.out.bias);
    general_mat_mul(1.0, &mixed, &expanded.out.t(), 1.0, &mut rows);
}

fn hide(layer: &EncoderLayer, expanded: &Expanded, mut rows: ArrayViewMut2<'_, f32>) {
    let hidden = &layer.hidden;
    let mut normalised = Array2::zeros(rows.raw_dim());
    normalise(&hidden.norm, &rows.view(), normalised.view_mut());
    let mut inner = Array2::zeros((rows.nrows(), expanded.into_hidden.nrows()));
    general_mat_mul(1.0, &normalised, &expanded.into_hidden.t(), 0.0, &mut inner);
    gelu(&mut inner.view_mut(), &hidden.into.bias);
    add_bias(&mut rows, &hidden.out.bias);
    general_mat_mul(1.0, &inner, &expanded.out_of_hidden.t(), 1.0, &mut rows);
}

fn add_bias(rows: &mut ArrayViewMut2<'_, f32>, bias: &[f32]) {
    *rows += &ArrayView1::from(bias);
}

fn gelu(rows: &mut ArrayViewMut2<'_, f32>, bias: &[f32]) {
    for mut row in rows.rows_mut() {
        kernels::gelu(row.as_slice_mut().unwrap_or_default(), bias);
    }
}

fn normalise(norm: &Norm, rows: &ArrayView2<'_, f32>, mut out: ArrayViewMut2<'_, f32>) {
    for (row, mut out) in rows.rows().into_iter().zip(out.rows_mut()) {
        let row = row.to_slice().unwrap_or_default();
        let out = out.as_slice_mut().unwrap_or_default();
        kernels::normalise(row, &norm.scale, &norm.shift, out);
    }
}

/// What is done with a block of rows and the block of results that belongs to it.
type Work<'a> = &'a (dyn Fn(&ArrayView2<'_, f32>, ArrayViewMut2<'_, f32>) + Sync);

/// Shares rows out to threads; the calling thread takes a share itself.
pub(crate) fn by_rows(
    threads: usize,
    rows: &ArrayView2<'_, f32>,
    mut out: ArrayViewMut2<'_, f32>,
    work: Work<'_>,
) {
    let share = rows.nrows().div_ceil(threads.max(1)).max(1);
    let rows = rows.axis_chunks_iter(Axis(0), share);
    let shares = rows.zip(out.axis_chunks_iter_mut(Axis(0), share));
    parallel::share(threads, shares, &|(rows, out)| work(&rows, out));
}
