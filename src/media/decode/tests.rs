use super::*;
use crate::media::fixtures::{example, fixture};
use crate::media::probe::probe;

fn decode(path: &Path) -> (Vec<f32>, Report) {
    decode_in_pieces(path, 4096)
}

fn decode_in_pieces(path: &Path, size: usize) -> (Vec<f32>, Report) {
    let mut samples = Samples::open(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let mut all = Vec::new();
    let mut piece = vec![0.0; size];
    loop {
        match samples
            .read(&mut piece)
            .unwrap_or_else(|error| panic!("{path:?}: {error}"))
        {
            0 => return (all, samples.report().clone()),
            count => all.extend_from_slice(&piece[..count]),
        }
    }
}

#[test]
fn print() {
    let (reference, _) = decode(&example("librivox-0880.wav"));
    for path in crate::media::fixtures::all() {
        let Ok(probe) = probe(&path) else { continue };
        match Samples::open(&path) {
            Err(error) => println!("\"{path:?} {} {error}", error.code()),
            Ok(_) => {
                let (all, report) = decode(&path);
                let mut best = (f32::MIN, 0);
                for lag in 0..2400_usize {
                    let pairs = reference.iter().zip(all.iter().skip(lag));
                    let score: f32 = pairs.map(|(a, b)| a * b).sum();
                    if score > best.0 {
                        best = (score, lag)
                    }
                }
                let lag = best.1;
                let mut best = (f32::MIN, 0);
                for l in 0..2400_usize {
                    let pairs = reference.iter().skip(l).zip(all.iter());
                    let score: f32 = pairs.map(|(a, b)| a * b).sum();
                    if score > best.0 {
                        best = (score, l)
                    }
                }
                println!(
                    "\"{:?} probe {:.4} decoded {:.4} {report:?} lag {lag} -{} peak {:?}",
                    path.file_name().unwrap(),
                    probe.duration.unwrap().seconds(),
                    all.len() as f64 / 16000.0,
                    best.1,
                    all.iter().map(|s| s.abs()).fold(0.0, f32::max)
                );
            }
        }
    }
}
