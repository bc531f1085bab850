//! `to_char` of numbers: templates such as `FM999,990.00`.

use crate::error::{Error, Result, SqlState};

/// A template read: what each place of the result holds.
#[derive(Default)]
struct Template<'t> {
    pieces: Vec<Piece<'t>>,
    /// Digit places before and after the point.
    whole: usize,
    fraction: usize,
    /// Index among the whole digit places of the first 0.
    zero_from: Option<usize>,
    /// Whether a 0 stands after the point.
    zero_fraction: Option<usize>,
    fill: bool,
    sign: Sign,
    /// `TH` in upper case or lower.
    ordinal: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Piece<'t> {
    /// A digit, before the point or after.
    Digit,
    Point,
    Group,
    Sign,
    Text(&'t str),
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Sign {
    /// A leading minus or blank.
    #[default]
    Leading,
    /// `S` at either end.
    Signed,
    /// `MI`.
    Minus,
    /// `PR`: angle brackets.
    Brackets,
}

fn unsupported(what: &str) -> Error {
    Error::unsupported(format!("\"{what}\" in to_char() of a number"))
}

impl<'t> Template<'t> {
    fn read(text: &'t str) -> Result<Template<'t>> {
        let mut out = Template { fill: true, ..Template::default() };
        let mut after_point = false;
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let keyword = rest.get(..2).unwrap_or("").to_ascii_uppercase();
            let mut length = c.len_utf8();
            match keyword.as_str() {
                "FM" => out.fill = false,
                "MI" | "SG" => {
                    out.sign = if keyword == "MI" { Sign::Minus } else { Sign::Signed };
                    out.pieces.push(Piece::Sign);
                }
                "PR" => out.sign = Sign::Brackets,
                "TH" => out.ordinal = Some(rest.starts_with("TH")),
                "RN" | "EE" | "PL" => return Err(unsupported(&keyword)),
                _ => {
                    length = out.single(rest, c, &mut after_point)?;
                    rest = &rest[length..];
                    continue;
                }
            }
            length = 2.max(length);
            rest = &rest[length..];
        }
        Ok(out)
    }

    /// A pattern of one character; its length in bytes.
    fn single(&mut self, rest: &'t str, c: char, after_point: &mut bool) -> Result<usize> {
        match c {
            '9' | '0' => {
                if c == '0' && *after_point {
                    self.zero_fraction = Some(self.fraction);
                } else if c == '0' && self.zero_from.is_none() {
                    self.zero_from = Some(self.whole);
                }
                *(if *after_point { &mut self.fraction } else { &mut self.whole }) += 1;
                self.pieces.push(Piece::Digit);
            }
            '.' | 'D' | 'd' if *after_point => {
                return Err(Error::new(SqlState::SYNTAX_ERROR, "multiple decimal points"));
            }
            '.' | 'D' | 'd' => {
                *after_point = true;
                self.pieces.push(Piece::Point);
            }
            ',' | 'G' | 'g' => self.pieces.push(Piece::Group),
            'S' | 's' => {
                self.sign = Sign::Signed;
                self.pieces.push(Piece::Sign);
            }
            // No locale: the currency sign is a blank, as in the C locale.
            'L' | 'l' => self.pieces.push(Piece::Text(" ")),
            'V' | 'v' => return Err(unsupported("V")),
            '"' => {
                let quoted = &rest[1..];
                let end = quoted.find('"').unwrap_or(quoted.len());
                self.pieces.push(Piece::Text(&quoted[..end]));
                return Ok((end + 2).min(rest.len()));
            }
            c => {
                self.pieces.push(Piece::Text(&rest[..c.len_utf8()]));
                return Ok(c.len_utf8());
            }
        }
        Ok(c.len_utf8())
    }
}

/// The digits after the point that a template shows: what the number is to be rounded to.
pub fn fraction_digits(template: &str) -> Result<usize> {
    Ok(Template::read(template)?.fraction)
}

/// `to_char`: `whole` and `fraction` are the digits of the absolute value, rounded to the template's places.
pub fn format(negative: bool, whole: &str, fraction: &str, template: &str) -> Result<String> {
    if template.is_empty() {
        return Ok(String::new());
    }
    let template = Template::read(template)?;
    let digits = whole.trim_start_matches('0');
    let overflows = digits.len() > template.whole;
    let mut body = Body { out: String::new(), shown: false };
    let filled = digits.len().min(template.whole);
    let first_digit = template.whole - filled;
    // A number below 1 shows a 0 before the point where the template has one there or no digit follows.
    let mut at = 0;
    let mut after = 0;
    let mut in_fraction = false;
    let last_needed = last_fraction_digit(&template, fraction);
    for piece in &template.pieces {
        match piece {
            Piece::Digit if overflows => body.push('#'),
            Piece::Digit if !in_fraction => {
                let forced = template.zero_from.is_some_and(|zero| at >= zero);
                if at >= first_digit {
                    body.push(char::from(digits.as_bytes()[at - first_digit]));
                } else if forced || (at + 1 == template.whole && template.fraction == 0 && digits.is_empty()) {
                    body.push('0');
                } else {
                    body.blank(template.fill);
                }
                at += 1;
            }
            Piece::Digit => {
                if template.fill || after < last_needed {
                    body.push(char::from(fraction.as_bytes().get(after).copied().unwrap_or(b'0')));
                }
                after += 1;
            }
            Piece::Point => {
                in_fraction = true;
                body.push('.');
            }
            Piece::Group if body.shown => body.push(','),
            Piece::Group => body.blank(template.fill),
            Piece::Sign => body.out.push('\u{1}'),
            Piece::Text(text) => body.out.push_str(text),
        }
    }
    if let Some(upper) = template.ordinal
        && !negative
        && template.fraction == 0
    {
        let suffix = super::template::suffix(&body.out);
        body.out.push_str(&if upper { suffix.to_uppercase() } else { suffix.to_owned() });
    }
    Ok(signed(body.out, negative, &template))
}

/// How many digits after the point `FM` keeps: up to the last that is not 0, or the template's last 0.
fn last_fraction_digit(template: &Template, fraction: &str) -> usize {
    let significant = fraction.trim_end_matches('0').len().min(template.fraction);
    significant.max(template.zero_fraction.map_or(0, |at| at + 1))
}

struct Body {
    out: String,
    /// Whether a digit has been shown.
    shown: bool,
}

impl Body {
    fn push(&mut self, c: char) {
        self.out.push(c);
        self.shown |= c.is_ascii_digit() || c == '#';
    }

    fn blank(&mut self, fill: bool) {
        if fill {
            self.out.push(' ');
        }
    }
}

/// Puts the sign in its place.
fn signed(body: String, negative: bool, template: &Template) -> String {
    let blank = if template.fill { " " } else { "" };
    let mark = match (template.sign, negative) {
        (Sign::Signed, true) | (Sign::Minus, true) => "-",
        (Sign::Signed, false) => "+",
        _ => blank,
    };
    let start = body.find(|c: char| c != ' ').unwrap_or(body.len());
    let before = |sign: &str| format!("{}{sign}{}", &body[..start], &body[start..]);
    match (template.sign, negative) {
        (Sign::Leading, true) => before("-"),
        (Sign::Leading, false) => format!("{blank}{body}"),
        (Sign::Brackets, true) => format!("{}>", before("<")),
        (Sign::Brackets, false) => format!("{blank}{body}{blank}"),
        (Sign::Signed, _) if body.starts_with('\u{1}') => {
            // A leading S stands right before the number.
            let rest = &body['\u{1}'.len_utf8()..];
            let start = rest.find(|c: char| c != ' ').unwrap_or(rest.len());
            format!("{}{mark}{}", &rest[..start], &rest[start..])
        }
        _ => body.replace('\u{1}', mark),
    }
}
