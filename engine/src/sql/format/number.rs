//! Floating point numbers: the shortest digits that read back as the same value, in PostgreSQL's layout.

/// Appends a `double precision`.
pub fn float8(value: f64, out: &mut String) {
    float(value, value.is_sign_negative(), &format!("{:e}", value.abs()), 15, out);
}

/// Appends a `real`.
pub fn float4(value: f32, out: &mut String) {
    float(f64::from(value), value.is_sign_negative(), &format!("{:e}", value.abs()), 6, out);
}

/// Appends a `double precision` as `extra_float_digits` says.
pub fn float8_digits(value: f64, extra: i32, out: &mut String) {
    if extra > 0 { float8(value, out) } else { rounded(value, 15 + extra, out) }
}

/// Appends a `real` as `extra_float_digits` says.
pub fn float4_digits(value: f32, extra: i32, out: &mut String) {
    if extra > 0 { float4(value, out) } else { rounded(f64::from(value), 6 + extra, out) }
}

/// With so many digits at most, as C's `%g`.
fn rounded(value: f64, digits: i32, out: &mut String) {
    let digits = digits.max(1);
    let text = format!("{:.*e}", digits as usize - 1, value.abs());
    let text = match text.split_once('e') {
        Some((mantissa, exponent)) if mantissa.contains('.') => {
            format!("{}e{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text,
    };
    float(value, value.is_sign_negative(), &text, digits, out);
}

/// `shortest` is Rust's `1.25e-7` form. From `10^fixed_below` on, and under 10^-4, PostgreSQL prints an exponent.
fn float(value: f64, negative: bool, shortest: &str, fixed_below: i32, out: &mut String) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if negative {
        out.push('-');
    }
    if value.is_infinite() {
        return out.push_str("Infinity");
    }
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    if value == 0.0 {
        out.push('0');
    } else if exponent < -4 || exponent >= fixed_below {
        out.push_str(mantissa);
        out.push_str(&format!("e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()));
    } else if exponent < 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', (-exponent - 1) as usize));
        out.push_str(&digits);
    } else {
        let point = exponent as usize + 1;
        if digits.len() <= point {
            out.push_str(&digits);
            out.extend(std::iter::repeat_n('0', point - digits.len()));
        } else {
            out.push_str(&digits[..point]);
            out.push('.');
            out.push_str(&digits[point..]);
        }
    }
}
