use proptest::prelude::*;

use super::*;

const LIMIT: u64 = 3 << 20;
const LOUD: f32 = 1e-2;
const QUIET: f32 = 1e-6;

fn cutting(seconds: u64) -> Cutting {
    Cutting::new(AudioDuration::from_micros(seconds * 1_000_000), LIMIT).unwrap()
}

/// Loud packets with these stretches of quiet.
fn speech(length: usize, pauses: &[Range<usize>]) -> Vec<f32> {
    let quiet = |place| pauses.iter().any(|pause| pause.contains(&place));
    (0..length)
        .map(|place| if quiet(place) { QUIET } else { LOUD })
        .collect()
}

/// Cuts a whole recording as the cutter does, and gives the lengths of its pieces.
fn pieces(cutting: &Cutting, mut powers: &[f32]) -> Vec<usize> {
    let mut lengths = Vec::new();
    loop {
        let known = powers.get(..cutting.ahead()).unwrap_or(powers);
        let window = known.get(*cutting.window().start()..).unwrap_or_default();
        match cutting.cut(window) {
            Some(length) => {
                lengths.push(length);
                powers = &powers[length..];
            }
            None => {
                lengths.push(powers.len());
                return lengths;
            }
        }
    }
}

#[test]
fn a_cut_lies_in_the_middle_of_a_pause_that_is_near() {
    let place = |pauses: &[Range<usize>]| quiet_place(&speech(3000, pauses), 1500);
    assert_eq!(place(&[1000..1020, 1600..1620]), 1610, "the nearer one");
    assert_eq!(place(&[1200..1250, 1500..1520]), 1225, "a much longer one");
    assert_eq!(place(&[100..135, 1500..1520]), 1510, "but not a far one");
    assert_eq!(place(&[1490..1500, 2900..2915]), 2907, "a gap is no pause");
    assert_eq!(place(&[1400..1405, 1700..1710]), 1705, "a stop is no gap");
    assert_eq!(place(&[1400..1405, 1700..1704]), 1402, "better than speech");
    assert_eq!(
        place(&[0..1500, 1500..3000]),
        1500,
        "silence is cut where it is wanted"
    );
}

#[test]
fn noise_and_a_constant_part_do_not_hide_a_pause() {
    let noisy =
        |place: usize, level: f32| level * (1.0 + 0.3 * ((place * 7919 % 13) as f32 / 13.0));
    let powers: Vec<f32> = (0..3000)
        .map(|place| {
            noisy(
                place,
                if (900..930).contains(&place) {
                    2e-4
                } else {
                    8e-3
                },
            )
        })
        .collect();
    assert_eq!(quiet_place(&powers, 1500), 915);
    let hum: Vec<f32> = (0..320)
        .map(|place| 0.5 + (place % 2) as f32 * 0.2)
        .collect();
    assert!((power(&hum) - 0.01).abs() < 1e-5);
    assert_eq!(power(&[]), 0.0);
    assert_eq!(decibels(f32::NAN), -90.0);
}

#[test]
fn the_window_scales_with_the_length_that_is_wanted() {
    let window = |seconds| {
        let cutting = cutting(seconds);
        let (first, last) = cutting.window().into_inner();
        (first, last, cutting.ahead())
    };
    assert_eq!(window(600), (28_500, 31_500, 32_000));
    assert_eq!(window(60), (2250, 3750, 4250));
    assert_eq!(window(15), (563, 937, 1124));
    assert_eq!(window(0), window(10));
}

#[test]
fn the_bit_rate_is_the_best_that_allows_the_pieces() {
    assert_eq!(cutting(600).bitrate(), Bitrate::Kbps32);
    assert_eq!(cutting(900).bitrate(), Bitrate::Kbps24);
    let endless = Cutting::new(AudioDuration::from_micros(u64::MAX), LIMIT).unwrap();
    assert_eq!(endless.bitrate(), Bitrate::Kbps16);
    assert!((75_000..77_000).contains(endless.window().end()));
    let small = Cutting::new(AudioDuration::from_micros(600_000_000), 50_000).unwrap();
    assert_eq!(small.bitrate(), Bitrate::Kbps16);
    assert_eq!(
        Cutting::new(AudioDuration::from_micros(600_000_000), 25_000),
        None
    );
}

#[test]
fn a_short_rest_shifts_the_cut_and_a_shorter_one_is_no_piece() {
    let cutting = cutting(60);
    let pause = |at: usize| at - 10..at + 10;
    // 62.5 s: within reach of one piece.
    assert_eq!(pieces(&cutting, &speech(3125, &[pause(3000)])), [3125]);
    // 80 s: the pause at 74 s would leave a scrap.
    let powers = speech(4000, &[pause(2800), pause(3700)]);
    assert_eq!(pieces(&cutting, &powers), [2800, 1200]);
}

proptest! {
    #[test]
    fn pieces_cover_everything_and_stay_within_their_bounds(
        seconds in 10_u64..120,
        limit in 60_000_u64..3_000_000,
        powers in prop::collection::vec(prop_oneof![Just(QUIET), Just(LOUD), 0.0..1.0_f32], 1..400),
        length in 1_usize..40_000,
    ) {
        let wanted = AudioDuration::from_micros(seconds * 1_000_000);
        let cutting = Cutting::new(wanted, limit).unwrap();
        let powers: Vec<f32> = (0..length).map(|at| powers[at / 11 % powers.len()]).collect();
        let lengths = pieces(&cutting, &powers);
        prop_assert_eq!(lengths.iter().sum::<usize>(), length);
        let duration = |packets: usize| AudioDuration::from_micros(packets as u64 * 20_000);
        prop_assert!(lengths.len() as u64 <= cutting.most_pieces(duration(length)));
        let (last, others) = lengths.split_last().unwrap();
        for length in others {
            prop_assert!(cutting.window().contains(length), "{lengths:?}");
        }
        prop_assert!(others.is_empty() || *last >= cutting.rest, "{lengths:?}");
        for length in &lengths {
            prop_assert!(cutting.bitrate().file_bytes(duration(*length)) <= limit);
        }
    }

    #[test]
    fn a_cut_is_in_a_pause_whenever_there_is_one(
        pauses in prop::collection::vec((0_usize..3000, 15_usize..80), 1..6),
    ) {
        let pauses: Vec<_> = pauses
            .into_iter()
            .map(|(start, length)| start..(start + length).min(3000))
            .filter(|pause| pause.len() >= 15)
            .collect();
        prop_assume!(!pauses.is_empty());
        let powers = speech(3000, &pauses);
        let place = quiet_place(&powers, 1500);
        prop_assert!(powers[place - 5..place + 5].iter().all(|power| *power == QUIET));
    }

    #[test]
    fn whatever_the_powers_a_place_is_found(
        powers in prop::collection::vec(any::<f32>(), 0..200),
        wanted in 0_usize..300,
    ) {
        prop_assert!(quiet_place(&powers, wanted) <= powers.len());
    }
}
