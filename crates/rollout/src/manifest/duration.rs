//! Lengths of time as Go's `time.ParseDuration` reads them: `1h30m`, `1.5h`, `300ms`.

/// In whole milliseconds, cut off; nothing where it is none, is negative, or would not end within three hundred years.
pub(super) fn parse_ms(text: &str) -> Option<u64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos: f64 = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number = &rest[..digits];
        let is_number = number.bytes().any(|byte| byte.is_ascii_digit()) && number.matches('.').count() <= 1;
        let count: f64 = number.parse().ok().filter(|_| is_number)?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        nanos += count * unit(&rest[..end])?;
        rest = &rest[end..];
    }
    (nanos <= i64::MAX as f64).then_some((nanos / 1e6) as u64)
}

fn unit(text: &str) -> Option<f64> {
    Some(match text {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3_600e9,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::parse_ms;

    #[test]
    fn lengths_are_read_as_go_reads_them() {
        let table = [
            ("30s", Some(30_000)),
            ("1h30m", Some(5_400_000)),
            ("1.5h", Some(5_400_000)),
            (".5s", Some(500)),
            ("300ms", Some(300)),
            ("900us", Some(0)),
            ("0", Some(0)),
            ("+5m", Some(300_000)),
            ("5", None),
            ("1d", None),
            ("-5m", None),
            ("5 m", None),
            ("", None),
            (".s", None),
            ("1.2.3s", None),
            ("m", None),
            ("9999999h", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_ms(text), expected, "{text}");
        }
    }
}
