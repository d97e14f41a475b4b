//! Numbers as .NET reads and writes them.

/// What a text is worth as a number: `''` is 0, `0x` and `0o` are 32 bits that wrap, anything else that isn't a number is NaN.
pub(crate) fn parse(text: &str) -> f64 {
    let text = text.trim();
    if text.is_empty() {
        return 0.0;
    }
    decimal(text).or_else(|| infinity(text)).or_else(|| radix(text, "0x", 16)).or_else(|| radix(text, "0o", 8)).unwrap_or(f64::NAN)
}

/// What a number in JSON is worth: one that begins with `0x` is hexadecimal, with another `0` octal, both of 64 bits that wrap.
pub(crate) fn parse_json(text: &str) -> Option<f64> {
    let Some(rest) = text.strip_prefix('0').filter(|rest| !rest.is_empty() && !rest.starts_with(['.', 'e', 'E'])) else {
        return decimal(text);
    };
    let (digits, radix) = rest.strip_prefix(['x', 'X']).map_or((rest, 8), |digits| (digits, 16));
    let all_digits = digits.chars().all(|digit| digit.is_digit(radix));
    #[expect(clippy::cast_precision_loss, reason = "the official engine makes a double of it too")]
    u64::from_str_radix(digits, radix).ok().filter(|_| all_digits).map(|bits| bits.cast_signed() as f64)
}

/// .NET's `G15`: at most 15 significant digits, an exponent of at least two digits from 1E+15 up and from 1E-05 down.
pub(crate) fn format(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() };
    }
    if number == 0.0 {
        return "0".to_owned();
    }
    let written = format!("{:.14e}", number.abs());
    let (mantissa, exponent) = written.split_once('e').expect("`{:e}` writes an exponent");
    let exponent: i32 = exponent.parse().expect("`{:e}` writes the exponent as an integer");
    let digits: String = mantissa.chars().filter(|digit| *digit != '.').collect();
    let digits = digits.trim_end_matches('0');
    let sign = if number < 0.0 { "-" } else { "" };
    format!("{sign}{}", place(digits, exponent))
}

/// `digits` with the point after the first one, times ten to the `exponent`.
fn place(digits: &str, exponent: i32) -> String {
    if !(-4..15).contains(&exponent) {
        let point = if digits.len() > 1 { "." } else { "" };
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}{point}{}E{sign}{:02}", &digits[..1], &digits[1..], exponent.abs());
    }
    if exponent < 0 {
        let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0));
        return format!("0.{zeros}{digits}");
    }
    let whole = usize::try_from(exponent).unwrap_or(0) + 1;
    if digits.len() <= whole {
        return format!("{digits}{}", "0".repeat(whole - digits.len()));
    }
    format!("{}.{}", &digits[..whole], &digits[whole..])
}

/// Sign, digits, point, exponent; nothing else that Rust would take.
fn decimal(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_ok = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    if whole.is_empty() && fraction.is_empty() || !all_digits(whole) || !all_digits(fraction) || !exponent_ok {
        return None;
    }
    text.parse().ok()
}

fn infinity(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let negative = text.starts_with('-');
    unsigned.eq_ignore_ascii_case("infinity").then_some(if negative { f64::NEG_INFINITY } else { f64::INFINITY })
}

fn radix(text: &str, prefix: &str, radix: u32) -> Option<f64> {
    let digits = text.strip_prefix(prefix)?;
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok().map(|bits| f64::from(bits.cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_with_fifteen_digits() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1 + 0.2, "0.3"),
            (12_345_678_901_234_567_890.0, "1.23456789012346E+19"),
            (1e15, "1E+15"),
            (123_456_789_012_345.0, "123456789012345"),
            (0.00001, "1E-05"),
            (0.0001, "0.0001"),
            (1.5e-7, "1.5E-07"),
            (1e100, "1E+100"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (number, written) in cases {
            assert_eq!(format(number), written);
        }
    }

    #[test]
    fn texts_are_read_as_numbers_or_not() {
        let cases = [
            ("", 0.0),
            (" 0x02 ", 2.0),
            ("0xFFFFFFFF", -1.0),
            ("0o17", 15.0),
            ("+1.2e+2", 120.0),
            ("1.", 1.0),
            ("-Infinity", f64::NEG_INFINITY),
        ];
        for (text, number) in cases {
            assert_eq!(parse(text), number, "{text:?}");
        }
        for text in ["abc", ".", "1e", "0x", "0xZ", "0x1FFFFFFFF", "inf", "nan", "1_000", "-0xFF", "1 2"] {
            assert!(parse(text).is_nan(), "{text:?}");
        }
    }
}
