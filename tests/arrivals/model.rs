//! The whole program beside a model of it: whatever is done to a folder at random, in the end every recording
//! in it has its transcript, no content was paid for twice, and nothing but whole recordings was ever sent.
//!
//! `STENOD_ARRIVALS=100` for so many rounds, `STENOD_ARRIVALS_SEED` to repeat one; a failure names its seed.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use stenod_support::audio::wav;
use stenod_support::stage::{Running, Stage};

/// What is done in a round.
const ACTS: usize = 60;
/// The longest pause between two of them, in milliseconds; the files settle in 400.
const LONGEST_PAUSE: u64 = 120;

/// Chance that can be repeated (splitmix64, Steele and others 2014).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    fn folder(&mut self) -> PathBuf {
        (0..self.below(3))
            .map(|_| self.one_of(&["a", "b"]))
            .collect()
    }

    fn file(&mut self) -> PathBuf {
        let folder = self.folder();
        folder.join(format!("{}.wav", self.one_of(&["x", "y", "z", "w"])))
    }
}

/// A folder to which things are done, and the recordings that were ever whole.
struct World {
    top: PathBuf,
    chance: Chance,
    contents: Vec<Vec<u8>>,
    /// Files that somebody is in the middle of writing, and what is still to come.
    begun: Vec<(File, Vec<u8>)>,
}

impl World {
    fn content(&mut self) -> Vec<u8> {
        let seed = self.chance.below(1 << 40);
        self.contents.push(wav(seed, 0.1));
        self.contents.last().unwrap().clone()
    }

    /// Does something; what cannot be done is left as it is.
    fn act(&mut self) {
        let path = self.top.join(self.chance.file());
        let other = self.top.join(self.chance.file());
        let folder = self.top.join(self.chance.folder());
        let elsewhere = self.top.join(self.chance.folder());
        drop(path.parent().map(fs::create_dir_all));
        match self.chance.below(16) {
            0..=3 => fs::write(&path, self.content()).unwrap_or(()),
            4..=5 => {
                let bytes = self.content();
                if let Ok(mut file) = File::create(&path) {
                    let (first, rest) = bytes.split_at(bytes.len() / 2);
                    file.write_all(first).unwrap();
                    self.begun.push((file, rest.to_vec()));
                }
            }
            6 => self.end_one(),
            7 => {
                let draft = path.with_extension("wav.part");
                fs::write(&draft, self.content()).unwrap_or(());
                fs::rename(draft, path).unwrap_or(());
            }
            8..=9 => fs::rename(path, other).unwrap_or(()),
            10 => drop(fs::copy(path, other)),
            11 => fs::hard_link(path, other).unwrap_or(()),
            12 => fs::remove_file(path).unwrap_or(()),
            13 => fs::rename(folder, elsewhere).unwrap_or(()),
            14 if folder != self.top => fs::remove_dir_all(folder).unwrap_or(()),
            _ => drop(fs::create_dir_all(folder)),
        }
    }

    /// Somebody who was writing is done; where the file was replaced or removed meanwhile, that is lost.
    fn end_one(&mut self) {
        if let Some((mut file, rest)) = self.begun.pop() {
            file.write_all(&rest).unwrap();
        }
    }

    /// The hashes of all that was ever a whole file: each content, and, where two wrote into one file at once,
    /// the beginning of one with the end of the other, which no program can tell from a recording.
    fn ever_whole(&self) -> HashSet<String> {
        let halves = |bytes: &[u8]| bytes.len() / 2;
        let mixed = self.contents.iter().flat_map(|first| {
            self.contents
                .iter()
                .map(move |rest| [&first[..halves(first)], &rest[halves(rest)..]].concat())
        });
        let hash = |bytes: Vec<u8>| blake3::hash(&bytes).to_hex().to_string();
        mixed.map(hash).collect()
    }

    /// The whole recordings that are there now, and what is in them. What two wrote into at once is none.
    fn whole(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let known: HashSet<&[u8]> = self.contents.iter().map(Vec::as_slice).collect();
        let mut found = Vec::new();
        files(&self.top, &mut found);
        let read = found.into_iter().map(|path| {
            let bytes = fs::read(&path).unwrap();
            (path, bytes)
        });
        read.filter(|(_, bytes)| known.contains(bytes.as_slice()))
            .collect()
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "wav") {
            found.push(path);
        }
    }
}

/// Waits until each of these has its transcript: as it is now, and where it is now.
fn until_transcribed(stage: &Stage, watch: &mut Running, whole: &[(PathBuf, Vec<u8>)]) {
    let done = RefCell::new(HashSet::new());
    watch.until("a transcript of every recording", || {
        whole.iter().all(|(path, _)| {
            let is_done = done.borrow().contains(path)
                || stage.json(&["explain", path.to_str().unwrap()])["answer"] == "done";
            if is_done {
                done.borrow_mut().insert(path.clone());
            }
            is_done
        })
    });
}

fn play(seed: u64) {
    println!("STENOD_ARRIVALS_SEED={seed}");
    let stage = Stage::new(env!("CARGO_BIN_EXE_stenod"));
    stage.set_folders("settle", "400ms");
    let mut world = World {
        top: stage.recordings(),
        chance: Chance(seed),
        contents: Vec::new(),
        begun: Vec::new(),
    };
    let mut watch = stage.call(["watch"]).start();
    watch.until("its state", || stage.state().exists());
    for _ in 0..ACTS {
        world.act();
        let pause = world.chance.below(LONGEST_PAUSE);
        thread::sleep(Duration::from_millis(pause));
    }
    while !world.begun.is_empty() {
        world.end_one();
    }
    let whole = world.whole();
    assert!(!whole.is_empty(), "nothing came of seed {seed}");
    until_transcribed(&stage, &mut watch, &whole);
    watch.terminate();
    watch.outcome().no_panic();
    stage.service.look(|log| {
        let paid = |bytes: &Vec<u8>| log.ledger().paid_for(bytes);
        for (path, bytes) in &whole {
            assert_eq!(paid(bytes), 1, "seed {seed}: {}", path.display());
        }
        let known = world.ever_whole();
        for charge in &log.ledger().charges {
            let is_whole = known.contains(&charge.content);
            assert!(is_whole, "seed {seed}: something partial was sent");
        }
    });
    stage.check();
}

#[test]
fn whatever_is_done_to_a_folder_every_recording_in_it_is_paid_once_and_whole() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    let rounds = number("STENOD_ARRIVALS").unwrap_or(1);
    let first = number("STENOD_ARRIVALS_SEED").unwrap_or(1);
    for seed in first..first + rounds {
        play(seed);
    }
}
