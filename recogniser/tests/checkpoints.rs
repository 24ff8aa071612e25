//! Checkpoints of all sorts: whole ones in every spelling, broken ones, hostile ones.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

#[path = "support/source.rs"]
mod source;
#[path = "support/tiny.rs"]
mod tiny;

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;

use proptest::prelude::*;
use source::source;
use stenod_recogniser::{LoadError, Options, Recogniser, Recognition, pack};
use tempfile::TempDir;
use tiny::{Tiny, write};

fn options(language: Option<&str>, seed: u64) -> Options {
    Options {
        language: language.map(str::to_owned),
        threads: NonZeroUsize::MIN,
        seed,
    }
}

/// Some seconds of a tone that swells.
fn sound() -> Vec<f32> {
    (0..40_000_u16)
        .map(|i| (f32::from(i) * 0.05).sin() * f32::from(i) / 80_000.0)
        .collect()
}

fn transcribe(recogniser: &Recogniser, language: Option<&str>, seed: u64) -> Recognition {
    let (sound, mut go_on) = (sound(), |_| ControlFlow::Continue(()));
    recogniser
        .transcribe(&mut source(&sound), &options(language, seed), &mut go_on)
        .unwrap()
}

fn folder_with(tiny: &Tiny) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    tiny.write(folder.path(), "F32");
    folder
}

/// The message about a checkpoint that can be read, but is faulty.
fn fault(folder: &Path) -> String {
    let error = Recogniser::open(folder).unwrap_err();
    assert!(matches!(error, LoadError::Invalid { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn a_checkpoint_is_named_after_its_folder_and_can_be_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("whisper-mini");
    std::fs::create_dir(&path).unwrap();
    Tiny::new(false).write(&path, "F32");
    let recogniser = Recogniser::open(&path).unwrap();
    assert_eq!(
        (recogniser.name(), recogniser.is_multilingual()),
        ("whisper-mini", false)
    );
    assert_eq!(transcribe(&recogniser, None, 1).language, "en");
}

#[test]
fn the_same_seed_draws_the_same_text_and_another_seed_another() {
    let recogniser = Recogniser::open(folder_with(&Tiny::new(false)).path()).unwrap();
    let first = transcribe(&recogniser, None, 1);
    assert!(
        !first.segments.is_empty(),
        "random weights are never sure, so chance decides"
    );
    assert_eq!(first, transcribe(&recogniser, None, 1));
    assert!((2..20).any(|seed| transcribe(&recogniser, None, seed).segments != first.segments));
}

#[test]
fn brain_floats_and_names_without_their_prefix_are_understood() {
    let folder = tempfile::tempdir().unwrap();
    let mut tiny = Tiny::new(false);
    let bare = |(name, tensor): (String, _)| (name.replace("model.", ""), tensor);
    tiny.tensors = std::mem::take(&mut tiny.tensors)
        .into_iter()
        .map(bare)
        .collect();
    tiny.write(folder.path(), "BF16");
    Recogniser::open(folder.path()).unwrap();
}

#[test]
fn an_index_leads_to_several_weight_files() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = Tiny::new(false);
    tiny.write_rules(folder.path());
    let is_encoder = |name: &str| name.starts_with("model.encoder");
    write(
        &folder.path().join("a.safetensors"),
        &tiny.safetensors("F32", is_encoder),
    );
    write(
        &folder.path().join("b.safetensors"),
        &tiny.safetensors("F32", |name| !is_encoder(name)),
    );
    let index = folder.path().join("model.safetensors.index.json");
    write(
        &index,
        br#"{"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}"#,
    );
    Recogniser::open(folder.path()).unwrap();
    write(&index, br#"{"weight_map": {"x": "a.safetensors"}}"#);
    assert!(fault(folder.path()).contains("is missing"));
    write(&index, br#"{"weight_map": {"x": "../a.safetensors"}}"#);
    assert!(fault(folder.path()).contains("other folders"));
}

#[test]
fn a_multilingual_model_hears_or_is_told_the_language() {
    let recogniser = Recogniser::open(folder_with(&Tiny::new(true)).path()).unwrap();
    assert!(recogniser.is_multilingual());
    let heard = transcribe(&recogniser, None, 1).language;
    assert!(heard == "en" || heard == "de", "{heard}");
    assert_eq!(transcribe(&recogniser, Some("German"), 1).language, "de");
    let mut go_on = |_| ControlFlow::Continue(());
    let refused = recogniser.transcribe(&mut source(&[]), &options(Some("fr"), 1), &mut go_on);
    let error = refused.unwrap_err().to_string();
    assert!(
        error.contains("\"fr\"") && error.contains("2 languages"),
        "{error}"
    );
}

#[test]
fn every_missing_tensor_is_named() {
    let mut tiny = Tiny::new(false);
    for name in tiny.tensors.keys().cloned().collect::<Vec<_>>() {
        let taken = tiny.tensors.remove(&name).unwrap();
        let fault = fault(folder_with(&tiny).path());
        assert!(
            fault.contains(&name) && fault.contains("is missing"),
            "{fault}"
        );
        tiny.tensors.insert(name, taken);
    }
}

#[test]
fn a_tensor_of_another_shape_or_without_numbers_is_named() {
    let mut tiny = Tiny::new(false);
    let name = "model.decoder.layers.0.fc1.weight";
    tiny.tensors.get_mut(name).unwrap().0 = vec![8, 32];
    assert!(fault(folder_with(&tiny).path()).contains("[8, 32], but must be [32, 8]"));
    let tensor = tiny.tensors.get_mut(name).unwrap();
    tensor.0 = vec![32, 8];
    tensor.1[5] = f32::NAN;
    assert!(fault(folder_with(&tiny).path()).contains("not finite"));
}

#[test]
fn missing_files_are_named() {
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let folder = folder_with(&Tiny::new(false));
        std::fs::remove_file(folder.path().join(name)).unwrap();
        let error = Recogniser::open(folder.path()).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn files_that_claim_to_be_huge_are_refused_before_anything_is_allocated() {
    let folder = folder_with(&Tiny::new(false));
    let path = folder.path().join("model.safetensors");
    for header in [
        &u64::MAX.to_le_bytes()[..],
        &[0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, b'{'],
        b"\x4f\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}   ",
        b"",
    ] {
        write(&path, header);
        assert!(fault(folder.path()).contains("model.safetensors"));
    }
}

#[test]
fn packing_is_reproducible_and_keeps_the_model() {
    let folder = folder_with(&Tiny::new(false));
    let packed = pack(folder.path(), "mini").unwrap();
    assert_eq!(packed, pack(folder.path(), "mini").unwrap());
    let unpacked = Recogniser::packed(packed.leak(), "mini").unwrap();
    let opened = Recogniser::open(folder.path()).unwrap();
    assert_eq!(unpacked.name(), "mini");
    assert_eq!(transcribe(&unpacked, None, 3), transcribe(&opened, None, 3));
}

#[test]
fn a_packed_model_that_is_cut_short_is_refused_at_every_length() {
    let packed: &'static [u8] = pack(folder_with(&Tiny::new(false)).path(), "mini")
        .unwrap()
        .leak();
    for length in (0..packed.len()).step_by(97).chain([packed.len() - 1]) {
        assert!(
            Recogniser::packed(&packed[..length], "mini").is_err(),
            "{length}"
        );
    }
}

#[test]
fn a_packed_model_with_any_change_in_its_header_is_refused() {
    let packed = pack(folder_with(&Tiny::new(false)).path(), "mini").unwrap();
    let header = 20 + u32::from_le_bytes(packed[8..12].try_into().unwrap()) as usize;
    for place in (0..header).filter(|place| *place < 24 || place % 13 == 0) {
        let mut damaged = packed.clone();
        damaged[place] ^= 1 << (place % 8);
        assert!(
            Recogniser::packed(damaged.leak(), "mini").is_err(),
            "{place}"
        );
    }
}

/// Loads and, if that works, runs a folder; neither may panic.
fn survive(folder: &Path) {
    if let Ok(recogniser) = Recogniser::open(folder) {
        transcribe(&recogniser, None, 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

    #[test]
    fn flipped_bits_in_a_checkpoint_never_panic(
        file in 0..3_usize,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..4),
        near_the_start: bool,
    ) {
        let folder = folder_with(&Tiny::new(false));
        let path = folder.path().join(["config.json", "tokenizer.json", "model.safetensors"][file]);
        let mut bytes = std::fs::read(&path).unwrap();
        let reach = if near_the_start { bytes.len().min(4000) } else { bytes.len() };
        for (place, bit) in flips {
            bytes[place.index(reach)] ^= 1 << bit;
        }
        write(&path, &bytes);
        survive(folder.path());
    }

    #[test]
    fn a_cut_checkpoint_never_panics(file in 0..3_usize, place: prop::sample::Index) {
        let folder = folder_with(&Tiny::new(false));
        let path = folder.path().join(["config.json", "tokenizer.json", "model.safetensors"][file]);
        let bytes = std::fs::read(&path).unwrap();
        write(&path, &bytes[..place.index(bytes.len())]);
        prop_assert!(Recogniser::open(folder.path()).is_err());
    }

    #[test]
    fn flipped_bits_in_a_packed_model_never_panic(place: prop::sample::Index, bit in 0..8_u8) {
        let mut packed = pack(folder_with(&Tiny::new(false)).path(), "mini").unwrap();
        let place = place.index(packed.len());
        packed[place] ^= 1 << bit;
        if let Ok(recogniser) = Recogniser::packed(packed.leak(), "mini") {
            transcribe(&recogniser, None, 1);
        }
    }
}
