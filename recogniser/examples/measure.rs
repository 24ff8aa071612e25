//! Transcribes the recordings of a folder and reports word errors, CPU time and memory (Linux):
//! `measure FOLDER [THREADS] [MODEL-FOLDER]`; the folder's `manifest.tsv` has files, seconds and texts.

#[path = "../tests/support/source.rs"]
mod source;
#[path = "../tests/support/speech.rs"]
mod support;

use std::error::Error;
use std::io::Write;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;

use stenod_recogniser::{Options, Recogniser, Segment};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = Path::new(
        arguments
            .first()
            .ok_or("usage: measure FOLDER [THREADS] [MODEL]")?,
    );
    let threads: NonZeroUsize = arguments.get(1).map_or("1", String::as_str).parse()?;
    let mut out = std::io::stdout().lock();
    let start = cpu_seconds()?;
    let recogniser = match arguments.get(2) {
        Some(model) => Recogniser::open(Path::new(model))?,
        None => built_in()?,
    };
    writeln!(
        out,
        "{} loaded in {:.2} s of CPU",
        recogniser.name(),
        cpu_seconds()? - start
    )?;
    let options = Options {
        language: None,
        threads,
        seed: 0,
    };
    let mut sum = Sum::default();
    for line in std::fs::read_to_string(folder.join("manifest.tsv"))?
        .lines()
        .skip(1)
    {
        let fields: Vec<&str> = line.split('\t').collect();
        if let (Some(file), Some(text)) = (fields.first(), fields.last()) {
            let samples = support::read_wav(&folder.join(file))?;
            writeln!(
                out,
                "\n{file}: {}",
                sum.add(&recogniser, &options, &samples, text)?
            )?;
        }
    }
    let Sum {
        errors,
        words,
        seconds,
        cpu,
    } = sum;
    let (rate, errors) = (cpu / seconds, 100.0 * errors as f64 / words as f64);
    writeln!(
        out,
        "\n{seconds:.1} s of audio in {cpu:.2} s of CPU: {rate:.3} x real time"
    )?;
    writeln!(
        out,
        "{errors:.2} % word errors, {} of memory at most",
        peak_memory()?
    )?;
    Ok(())
}

#[derive(Default)]
struct Sum {
    errors: usize,
    words: usize,
    seconds: f64,
    cpu: f64,
}

impl Sum {
    /// Transcribes a recording and tells how it went.
    fn add(
        &mut self,
        recogniser: &Recogniser,
        options: &Options,
        samples: &[f32],
        text: &str,
    ) -> Result<String, Box<dyn Error>> {
        let before = cpu_seconds()?;
        let mut go_on = |_| ControlFlow::Continue(());
        let mut source = source::source(samples);
        let recognition = recogniser.transcribe(&mut source, options, &mut go_on)?;
        let spent = cpu_seconds()? - before;
        let segments = recognition.segments;
        let said: Vec<&str> = segments
            .iter()
            .map(|segment| segment.text.as_str())
            .collect();
        let wanted = support::words(text);
        let wrong = support::word_errors(&wanted, &support::words(&said.join(" ")));
        self.errors += wrong;
        self.words += wanted.len();
        self.seconds += recognition.seconds;
        self.cpu += spent;
        let mut report = format!(
            "{spent:.2} s of CPU, {wrong} of {} words wrong",
            wanted.len()
        );
        for Segment {
            start,
            end,
            text,
            mean_log_probability,
            no_speech_probability,
            ..
        } in segments
        {
            report += &format!(
                "\n  {start:6.2} {end:6.2} ({mean_log_probability:5.2} {no_speech_probability:.2}) {text}"
            );
        }
        Ok(report)
    }
}

#[cfg(feature = "weights")]
fn built_in() -> Result<Recogniser, Box<dyn Error>> {
    Ok(Recogniser::built_in()?)
}

#[cfg(not(feature = "weights"))]
fn built_in() -> Result<Recogniser, Box<dyn Error>> {
    Err("built without the feature `weights`: name a model folder".into())
}

/// User and system time of this process so far, at Linux's 100 ticks a second.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let ticks: Vec<f64> = fields
        .skip(11)
        .take(2)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

fn peak_memory() -> Result<String, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    Ok(peak.unwrap_or("unknown").trim().to_owned())
}
