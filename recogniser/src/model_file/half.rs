//! Numbers of 16 and 32 bits in files, as `f32`.

/// How a file spells its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// IEEE 754 binary16.
    Half,
    /// The upper half of an IEEE 754 binary32.
    Brain,
    /// IEEE 754 binary32.
    Single,
}

impl Spelling {
    /// The spelling behind a safetensors `dtype`.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "F16" => Some(Self::Half),
            "BF16" => Some(Self::Brain),
            "F32" => Some(Self::Single),
            _ => None,
        }
    }

    /// The `dtype` in safetensors.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Half => "F16",
            Self::Brain => "BF16",
            Self::Single => "F32",
        }
    }

    /// Bytes a number.
    pub(super) fn width(self) -> usize {
        match self {
            Self::Half | Self::Brain => 2,
            Self::Single => 4,
        }
    }

    /// All numbers in little-endian `bytes`; an odd rest is left out.
    pub(super) fn read(self, bytes: &[u8]) -> Vec<f32> {
        let pairs = || {
            bytes
                .as_chunks::<2>()
                .0
                .iter()
                .map(|&pair| u16::from_le_bytes(pair))
        };
        match self {
            Self::Half => pairs().map(half).collect(),
            Self::Brain => pairs()
                .map(|bits| f32::from_bits(u32::from(bits) << 16))
                .collect(),
            Self::Single => bytes
                .as_chunks::<4>()
                .0
                .iter()
                .map(|&four| f32::from_le_bytes(four))
                .collect(),
        }
    }
}

/// The value of a binary16 number.
fn half(bits: u16) -> f32 {
    /// 2¹¹²: the distance between the exponents' offsets, as a factor.
    const OFFSET: f32 = f32::from_bits((127 + 112) << 23);
    let sign = u32::from(bits & 0x8000) << 16;
    let rest = u32::from(bits & 0x7fff) << 13;
    let size = if rest >= 0x7c00 << 13 {
        f32::from_bits(rest | 0x7f80_0000)
    } else {
        f32::from_bits(rest) * OFFSET
    };
    f32::from_bits(size.to_bits() | sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_has_the_value_of_its_definition() {
        for bits in 0..=u16::MAX {
            let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
            let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
            let got = half(bits);
            match exponent {
                31 if fraction == 0.0 => assert_eq!(f64::from(got), sign * f64::INFINITY),
                31 => assert!(got.is_nan()),
                0 => assert_eq!(f64::from(got), sign * fraction * 2_f64.powi(-24)),
                _ => assert_eq!(
                    f64::from(got),
                    sign * (1.0 + fraction / 1024.0) * 2_f64.powi(exponent - 15)
                ),
            }
        }
    }

    #[test]
    fn the_three_spellings_are_read_in_little_endian() {
        assert_eq!(Spelling::Half.read(&[0x00, 0x3c, 0x00, 0xc0]), [1.0, -2.0]);
        assert_eq!(Spelling::Brain.read(&[0x80, 0x3f, 0x00, 0xc0]), [1.0, -2.0]);
        assert_eq!(Spelling::Single.read(&[0, 0, 0x80, 0x3f, 9]), [1.0]);
    }
}
