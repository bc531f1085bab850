//! Whole numbers of 384 bits, for what variances are computed from.

use std::cmp::Ordering;

use crate::dataflow::coding::Reader;
use crate::error::Result;

const LIMBS: usize = 6;

/// A number below 2^384, least limb first. Adding and taking away wrap around, so a sum that is below 0 for a while is right
/// again when it is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wide([u64; LIMBS]);

impl From<u128> for Wide {
    fn from(value: u128) -> Wide {
        Wide([value as u64, (value >> 64) as u64, 0, 0, 0, 0])
    }
}

impl Ord for Wide {
    fn cmp(&self, other: &Wide) -> Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

impl PartialOrd for Wide {
    fn partial_cmp(&self, other: &Wide) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Wide {
    /// So many times 2^128.
    pub fn above(limb: u64) -> Wide {
        Wide([0, 0, limb, 0, 0, 0])
    }

    pub fn plus(self, other: Wide) -> Wide {
        let (mut sum, mut carry) = ([0; LIMBS], false);
        for (sum, (own, other)) in sum.iter_mut().zip(self.0.into_iter().zip(other.0)) {
            let (value, first) = own.overflowing_add(other);
            let (value, second) = value.overflowing_add(u64::from(carry));
            (*sum, carry) = (value, first || second);
        }
        Wide(sum)
    }

    pub fn minus(self, other: Wide) -> Wide {
        let (mut rest, mut borrow) = ([0; LIMBS], false);
        for (rest, (own, other)) in rest.iter_mut().zip(self.0.into_iter().zip(other.0)) {
            let (value, first) = own.overflowing_sub(other);
            let (value, second) = value.overflowing_sub(u64::from(borrow));
            (*rest, borrow) = (value, first || second);
        }
        Wide(rest)
    }

    /// None where it does not fit.
    pub fn times(self, other: Wide) -> Option<Wide> {
        let mut product = [0u64; LIMBS];
        for (at, own) in self.0.into_iter().enumerate().filter(|(_, own)| *own != 0) {
            let mut carry = 0;
            for (to, other) in (at..).zip(other.0) {
                let Some(place) = product.get_mut(to) else {
                    if other != 0 || carry != 0 {
                        return None;
                    }
                    continue;
                };
                let sum = u128::from(own) * u128::from(other) + u128::from(*place) + u128::from(carry);
                (*place, carry) = (sum as u64, (sum >> 64) as u64);
            }
            if carry != 0 {
                *product.get_mut(at + LIMBS)? += carry;
            }
        }
        Some(Wide(product))
    }

    /// With so many zeros behind it; None where it does not fit.
    pub fn shifted(self, digits: u32) -> Option<Wide> {
        (0..digits)
            .step_by(19)
            .try_fold(self, |number, from| number.times(u128::from(10u64.pow((digits - from).min(19))).into()))
    }

    /// Below 0, as what wrapped around.
    pub fn is_negative(self) -> bool {
        self.0[LIMBS - 1] >> 63 == 1
    }

    pub fn bits(self) -> u32 {
        let limb = self.0.iter().rposition(|limb| *limb != 0);
        limb.map_or(0, |at| at as u32 * 64 + 64 - self.0[at].leading_zeros())
    }

    fn doubled(self) -> Wide {
        self.plus(self)
    }

    fn halved(self) -> Wide {
        let mut half = [0; LIMBS];
        for (at, half) in half.iter_mut().enumerate() {
            *half = self.0[at] >> 1 | self.0.get(at + 1).map_or(0, |limb| limb << 63);
        }
        Wide(half)
    }

    /// Quotient and rest. The divisor is not 0 and below 2^383.
    pub fn divided(self, divisor: Wide) -> (Wide, Wide) {
        let steps = (self.bits() + 1).saturating_sub(divisor.bits());
        let mut part = (1..steps).fold(divisor, |part, _| part.doubled());
        let (mut quotient, mut rest) = (Wide::default(), self);
        for _ in 0..steps {
            quotient = quotient.doubled();
            if rest >= part {
                rest = rest.minus(part);
                quotient = quotient.plus(Wide::from(1));
            }
            part = part.halved();
        }
        (quotient, rest)
    }

    /// The greatest whole number whose square is not above this one; None from 2^254 on.
    pub fn root(self) -> Option<u128> {
        if self.bits() > 254 {
            return None;
        }
        let fits = |root: u128| Wide::from(root).times(root.into()).is_some_and(|square| square <= self);
        let bits = self.bits().div_ceil(2);
        Some((0..bits).rev().fold(0, |root, bit| if fits(root | 1 << bit) { root | 1 << bit } else { root }))
    }

    /// The number, where it has 128 bits.
    pub fn narrow(self) -> Option<u128> {
        (self.bits() <= 128).then(|| u128::from(self.0[1]) << 64 | u128::from(self.0[0]))
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        self.0.iter().for_each(|limb| out.extend_from_slice(&limb.to_le_bytes()));
    }

    /// Reads what `write` wrote.
    ///
    /// # Errors
    /// XX001 where the bytes end before.
    pub fn read(reader: &mut Reader<'_>) -> Result<Wide> {
        let mut limbs = [0; LIMBS];
        for limb in &mut limbs {
            *limb = u64::from_le_bytes(reader.array()?);
        }
        Ok(Wide(limbs))
    }
}
