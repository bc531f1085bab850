//! States one by one: exactness, retraction, and the bytes they are saved as.

use levada_testing::Dice;

use crate::dataflow::aggregates::exact::{Decimal, ExactSum};
use crate::dataflow::aggregates::float::{FloatSum, Moments, to_real};
use crate::dataflow::aggregates::moments::{ExactMoments, Spread};
use crate::dataflow::aggregates::states::{State, Truth, read_state, write_state};
use crate::dataflow::aggregates::wide::Wide;
use crate::dataflow::coding::{Reader, VERSION};

const NUMERIC: Decimal = Decimal { precision: 38, scale: 18 };

fn float_sum(values: &[(f64, i64)]) -> FloatSum {
    let mut sum = FloatSum::default();
    values.iter().for_each(|(value, weight)| sum.add(*value, *weight));
    sum.settle();
    sum
}

#[test]
fn what_goes_leaves_no_trace_in_a_float_sum() {
    let mut random = Dice::new(42);
    let mut sum = FloatSum::default();
    let mut values = vec![];
    for _ in 0..1000 {
        let value = f64::from_bits(random.roll() >> 2 << 1);
        values.push(value);
        sum.add(value, 1);
    }
    sum.add(0.1, 1);
    sum.add(f64::INFINITY, 2);
    sum.add(f64::NAN, 1);
    assert!(sum.total().unwrap().is_nan());
    sum.add(f64::NAN, -1);
    assert_eq!(sum.total().unwrap(), f64::INFINITY);
    sum.add(f64::INFINITY, -2);
    values.iter().for_each(|value| sum.add(*value, -1));
    sum.add(0.1, -1);
    sum.settle();
    assert_eq!((sum.total().unwrap(), sum.count), (0.0, 0));
}

#[test]
fn a_float_sum_keeps_small_values_beside_large_ones() {
    assert_eq!(float_sum(&[(1e16, 1), (1.0, 3), (1e16, -1)]).total().unwrap(), 3.0);
    assert_eq!(float_sum(&[(0.1, 10)]).total().unwrap(), 1.0);
    assert_eq!(float_sum(&[(0.1, 1_000_000), (0.1, -999_999)]).total().unwrap(), 0.1);
}

#[test]
fn a_float_sum_overflows_only_while_it_is_too_large() {
    let (max, mut sum) = (f64::MAX, FloatSum::default());
    sum.add(max, 1);
    sum.add(max, 1_000_000);
    sum.settle();
    assert_eq!(sum.total().unwrap_err().sqlstate().code(), "22003");
    assert_eq!(sum.mean(), max);
    sum.add(max, -1_000_000);
    sum.add(1.5, 1);
    sum.add(max, -1);
    sum.settle();
    assert_eq!(sum.total().unwrap(), 1.5);
    assert!(to_real(1e39).is_err());
    assert_eq!(to_real(f64::INFINITY).unwrap(), f32::INFINITY);
}

#[test]
fn an_exact_sum_passes_through_any_size() {
    let huge = 10i128.pow(38) - 1;
    let mut sum = ExactSum::default();
    for weight in [i64::MAX, -3, 7, i64::MIN + 1, -2] {
        sum.add_decimal(huge, weight);
        sum.add_decimal(-huge, -weight);
    }
    // Twice what is left of the weights: 2.
    assert_eq!(sum.count, 0);
    assert!(sum.to_decimal(18, NUMERIC).is_err());
    sum.add_decimal(huge, -3);
    assert_eq!(sum.to_decimal(18, NUMERIC).unwrap(), huge);
    sum.add_integer(-1, 1);
    assert_eq!(sum.to_decimal(18, NUMERIC).unwrap(), huge - 1);
}

#[test]
fn results_take_the_scale_of_their_type_and_lose_no_digit() {
    let sum = |values: &[i128]| {
        let mut sum = ExactSum::default();
        values.iter().for_each(|value| sum.add_decimal(*value, 1));
        sum
    };
    let scale = |scale| Decimal { precision: 38, scale };
    assert_eq!(sum(&[125]).to_decimal(2, scale(4)).unwrap(), 12_500);
    assert_eq!(sum(&[1250, 50]).to_decimal(3, scale(1)).unwrap(), 13);
    assert_eq!(sum(&[125]).to_decimal(2, scale(1)).unwrap_err().sqlstate().code(), "22003");
    assert_eq!(sum(&[1, 2]).mean(0, scale(0)).unwrap(), 2);
    assert_eq!(sum(&[-1, -2]).mean(0, scale(0)).unwrap(), -2);
    assert_eq!(sum(&[1, 0, 0]).mean(0, scale(2)).unwrap(), 33);
    assert_eq!(sum(&[-1, -1, 0]).mean(0, scale(2)).unwrap(), -67);
    assert_eq!(sum(&[25]).mean(2, scale(1)).unwrap(), 3);
    let most = 10i128.pow(38) - 1;
    assert_eq!(sum(&[most, most, most - 1]).mean(18, NUMERIC).unwrap(), most);
    assert_eq!(sum(&[i64::MAX.into()]).to_int8().unwrap(), i64::MAX);
    assert!(sum(&[i64::MAX.into(), 1]).to_int8().is_err());
}

#[test]
fn variance_is_that_of_the_values_left() {
    let mut moments = Moments::default();
    for value in [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0] {
        moments.add(value, 1);
        moments.add(value * 1e9, 1);
    }
    for value in [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0] {
        moments.add(value * 1e9, -1);
    }
    assert_eq!((moments.count(), moments.variance(8).unwrap()), (8, 4.0));
    let mut shifted = Moments::default();
    [1.0, 2.0, 3.0].iter().for_each(|value| shifted.add(1e9 + value, 1));
    assert_eq!(shifted.variance(2).unwrap(), 1.0);
    shifted.add(1e200, 1);
    assert_eq!(shifted.variance(3).unwrap_err().sqlstate().code(), "22003");
    shifted.add(1e200, -1);
    shifted.add(f64::NAN, 1);
    assert!(shifted.variance(3).unwrap().is_nan());
}

fn coded<S: State>(state: &S) -> Vec<u8> {
    let mut value = vec![VERSION];
    state.write(&mut value);
    value
}

/// What stands in data directories: a change here needs another VERSION.
#[test]
fn saved_states_stay_as_they_are() {
    let mut exact = ExactSum::default();
    exact.add_integer(-2, 3);
    let bytes = coded(&exact);
    assert_eq!(bytes[..3], [2, 250, 255]);
    assert_eq!(bytes[17..], [[255; 8], [3, 0, 0, 0, 0, 0, 0, 0]].concat());
    let float = float_sum(&[(1.5, 2), (f64::NAN, 1), (f64::NEG_INFINITY, 4)]);
    let mut expected = vec![2];
    [3.0f64, 0.0].iter().for_each(|value| expected.extend(value.to_le_bytes()));
    [7i64, 1, 0, 4].iter().for_each(|count| expected.extend(count.to_le_bytes()));
    expected.push(0);
    assert_eq!(coded(&float), expected);
    assert_eq!(coded(&Truth { trues: 1, falses: 2 }).len(), 17);
    assert_eq!(coded(&None::<u64>), [2, 0]);
    assert_eq!(coded(&Some(258u64)), [2, 1, 2, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(coded(&Some(258u128)).len(), 18);
    assert_eq!(coded(&Some(std::sync::Arc::<[u8]>::from(*b"ab"))), [2, 1, 2, 0, 0, 0, b'a', b'b']);
}

#[test]
fn states_come_back_and_broken_ones_are_refused() {
    let float = float_sum(&[(f64::MAX, 5), (f64::INFINITY, -1)]);
    let bytes = coded(&float);
    let mut reader = Reader::new(&bytes).unwrap();
    assert_eq!(FloatSum::read(&mut reader).unwrap(), float);
    reader.end().unwrap();
    assert!(FloatSum::read(&mut Reader::new(&bytes[..20]).unwrap()).is_err());
    assert!(Reader::new(&[VERSION + 1]).is_err());
    assert!(Reader::new(&[]).is_err());
    assert!(Reader::new(&bytes).unwrap().end().is_err());
}

#[test]
fn wide_numbers_divide_as_narrow_ones_do() {
    let mut random = Dice::new(7);
    for _ in 0..2000 {
        let (own, other) =
            (u128::from(random.roll()) << random.below(64), u128::from(random.roll() >> random.below(60)) + 1);
        let (quotient, rest) = Wide::from(own).divided(other.into());
        assert_eq!((quotient.narrow(), rest.narrow()), (Some(own / other), Some(own % other)));
        let product = Wide::from(own).times(Wide::from(other)).unwrap();
        assert_eq!(product.plus(Wide::from(other - 1)).divided(other.into()), (own.into(), (other - 1).into()));
        let root = Wide::from(own).root().unwrap();
        assert!(root * root <= own && (root + 1) * (root + 1) > own);
    }
    let huge = Wide::from(u128::MAX);
    assert_eq!(huge.times(huge).unwrap().root(), None);
    assert!(
        huge.times(huge).unwrap().times(huge).is_some_and(|all| all.times(2.into()).is_none() && all.bits() == 384)
    );
    assert_eq!(Wide::from(1).shifted(39).unwrap().divided(Wide::from(10).shifted(37).unwrap()), (10.into(), 0.into()));
    assert_eq!(Wide::from(1).shifted(116), None);
    assert!(Wide::from(1).minus(2.into()).is_negative());
}

#[test]
fn exact_moments_of_any_size_come_back_from_their_bytes() {
    let spread = |root| Spread { sample: true, root };
    let mut moments = ExactMoments::default();
    assert_eq!(moments.spread(0, NUMERIC, spread(false)).unwrap(), None);
    let huge = 10i128.pow(38) - 1;
    let many = i64::MAX / 2;
    moments.add(huge, many);
    moments.add(-huge, many - 5);
    let mut moments: ExactMoments = read_state(&write_state(&moments)).unwrap();
    assert_eq!(moments.spread(18, NUMERIC, spread(false)).unwrap_err().sqlstate().code(), "22003");
    moments.add(huge, 2 - many);
    moments.add(-huge, 5 - many);
    assert_eq!(moments.spread(18, NUMERIC, spread(false)).unwrap(), Some(0));
    let mut other = ExactMoments::default();
    other.add(huge, -2);
    (1..=5).for_each(|value| other.add(value, 1));
    moments.merge(&other);
    assert_eq!(moments.spread(0, NUMERIC, spread(false)).unwrap(), Some(2_500_000_000_000_000_000));
    // The root of 2.5 is 1.58113883008418966599944677…
    assert_eq!(moments.spread(0, NUMERIC, spread(true)).unwrap(), Some(1_581_138_830_084_189_666));
    let pop = Spread { sample: false, root: false };
    assert_eq!(moments.spread(1, Decimal { precision: 38, scale: 1 }, pop).unwrap(), Some(0));
    assert_eq!(moments.spread(1, Decimal { precision: 38, scale: 2 }, pop).unwrap(), Some(2));
}
