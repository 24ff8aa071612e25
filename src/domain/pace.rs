//! How long a run will take: by what was measured before, else by a stated assumption.

use std::time::Duration;

use super::audio::AudioDuration;

/// A minute of audio takes the service this long where nothing was measured yet (4 seconds).
const ASSUMED_PAID: f64 = 4.0 / 60.0;
/// A minute of audio takes the built-in recogniser this long on two cores where nothing was measured yet
/// (15 seconds).
const ASSUMED_LOCAL: f64 = 15.0 / 60.0;
/// What a recording costs in time whatever its length: connection, upload, first poll, or the recogniser's first
/// window (2 seconds).
const EACH: f64 = 2.0;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// Recordings to be sent.
    pub recordings: usize,
    /// Their length.
    pub audio: AudioDuration,
    /// How many go at once.
    pub jobs: usize,
    /// Whether the service does it, or this machine.
    pub is_paid: bool,
    /// Seconds that a second of audio took before, if that was ever measured.
    pub measured: Option<f64>,
}

/// How long it will take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlook {
    /// About this long.
    pub time: Duration,
    /// Whether that comes from earlier runs, and not from an assumption.
    pub is_measured: bool,
}

/// How long `work` will take.
pub fn outlook(work: Work) -> Outlook {
    let assumed = if work.is_paid {
        ASSUMED_PAID
    } else {
        ASSUMED_LOCAL
    };
    // The recogniser takes every core for one recording at a time.
    let lanes = if work.is_paid {
        work.jobs.clamp(1, work.recordings.max(1))
    } else {
        1
    };
    let lanes = u32::try_from(lanes).map_or(1.0, f64::from);
    let each = match work.measured {
        None => f64::from(u32::try_from(work.recordings).unwrap_or(u32::MAX)) * EACH,
        Some(_) => 0.0,
    };
    let seconds = work.audio.seconds() * work.measured.unwrap_or(assumed) + each;
    Outlook {
        time: Duration::try_from_secs_f64((seconds / lanes).ceil()).unwrap_or(Duration::MAX),
        is_measured: work.measured.is_some(),
    }
}

/// A length of time for people: `40 s`, `12 min`, `3 h 20 min`.
pub fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    let minutes = seconds.div_ceil(60);
    match (seconds, minutes) {
        (0..90, _) => format!("{seconds} s"),
        (_, 0..90) => format!("{minutes} min"),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: AudioDuration = AudioDuration::from_micros(3_600_000_000);

    #[test]
    fn what_was_measured_is_believed_over_what_is_assumed() {
        let work = Work {
            recordings: 8,
            audio: HOUR,
            jobs: 4,
            is_paid: true,
            measured: None,
        };
        let assumed = outlook(work);
        assert_eq!((assumed.time.as_secs(), assumed.is_measured), (64, false));
        let measured = outlook(Work {
            measured: Some(0.5),
            ..work
        });
        assert_eq!((measured.time.as_secs(), measured.is_measured), (450, true));
    }

    #[test]
    fn the_recogniser_takes_one_recording_at_a_time() {
        let work = Work {
            recordings: 8,
            audio: HOUR,
            jobs: 4,
            is_paid: false,
            measured: None,
        };
        assert_eq!(outlook(work).time.as_secs(), 916);
        assert_eq!(
            outlook(Work {
                recordings: 0,
                audio: AudioDuration::default(),
                ..work
            })
            .time,
            Duration::ZERO
        );
    }

    #[test]
    fn lengths_of_time_are_for_people() {
        let said = |seconds| words(Duration::from_secs(seconds));
        assert_eq!(
            [said(0), said(89), said(90), said(5_000), said(12_000)],
            ["0 s", "89 s", "2 min", "84 min", "3 h 20 min"]
        );
    }
}
