//! Figures as people read them.

use std::time::Duration;

/// `12,345,678`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `999 B`, `1.2 kB`, `34 MB`, `1.2 GB`: three digits at most, steps of 1000.
pub fn bytes(number: u64) -> String {
    let mut value = number as f64;
    let mut unit = "B";
    for larger in ["kB", "MB", "GB", "TB"] {
        if value < 999.5 {
            break;
        }
        (value, unit) = (value / 1000.0, larger);
    }
    match unit != "B" && value < 9.95 {
        true => format!("{value:.1} {unit}"),
        false => format!("{value:.0} {unit}"),
    }
}

/// `1:02:03`.
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `0.8 ms`, `12 ms`, `3.4 s`.
pub fn milliseconds(value: f64) -> String {
    match value {
        _ if value < 9.95 => format!("{value:.1} ms"),
        _ if value < 999.5 => format!("{value:.0} ms"),
        _ => format!("{:.1} s", value / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_commas() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (123_456, "123,456"), (12_345_678, "12,345,678")];
        assert!(cases.into_iter().all(|(number, text)| count(number) == text));
    }

    #[test]
    fn sizes_have_few_digits() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (9_949, "9.9 kB"),
            (9_950, "10 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (1_234_567_890, "1.2 GB"),
            (45_000_000_000_000, "45 TB"),
        ];
        cases.into_iter().for_each(|(number, text)| assert_eq!(bytes(number), text));
    }

    #[test]
    fn times_have_the_unit_that_fits() {
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
        let cases = [(0.04, "0.0 ms"), (9.94, "9.9 ms"), (9.95, "10 ms"), (999.4, "999 ms"), (1234.0, "1.2 s")];
        cases.into_iter().for_each(|(value, text)| assert_eq!(milliseconds(value), text));
    }
}
