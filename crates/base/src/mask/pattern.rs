//! What the end of a text looks like: characters with the same thing behind each, and lists of numbers.
//!
//! [`see`](super::sight::see) finds the ends that may look like anything. A secret that is spread out has [six bytes](super::forms) at least, so what is shorter shows nothing: times, dates, versions.

/// `h.u.n.t.e.`, `h u n t e ` or `h   u   n `: what stands in every second place. Of five characters, two of the last four are letters
/// or digits, each with the same thing behind; or with three spaces.
pub(super) fn spaced(text: &[u8]) -> Option<u8> {
    let [a, s, b, s2, c, s3, d, s4, e, s5] = *text.last_chunk()?;
    let is_word = |byte: &&u8| byte.is_ascii_alphanumeric();
    let is_same = [s2, s3, s4, s5] == [s; 4] && !s.is_ascii_alphanumeric() && s != b'\n';
    let is_dense = || ![a, b, c, d, e].contains(&s);
    let is_wide = || s == b' ' && b == s && d == s && a != s && c != s && e != s;
    let is_spaced = is_same && [b, c, d, e].iter().filter(is_word).count() >= 2 && (is_dense() || is_wide());
    is_spaced.then_some(s)
}

/// Four pairs of hexadecimal digits, each with the same thing behind.
pub(super) fn is_list_of_pairs(text: &[u8]) -> bool {
    let Some(bytes) = text.last_chunk::<12>() else { return false };
    let separator = bytes[2];
    let is_pair = |pair: &[u8; 3]| pair[2] == separator && pair[0].is_ascii_hexdigit() && pair[1].is_ascii_hexdigit();
    !separator.is_ascii_alphanumeric() && separator != b'\n' && bytes.as_chunks().0.iter().all(is_pair)
}

/// Numbers of at most three digits with spaces or commas between.
pub(super) fn is_list_of_decimals(text: &[u8]) -> bool {
    let is_list = |bytes: &[u8; 8]| {
        let gaps = bytes.iter().filter(|byte| matches!(**byte, b' ' | b',')).count();
        let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
        let is_number = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
        gaps >= 2 && digits >= 4 && gaps + digits == 8 && !bytes.windows(4).any(is_number)
    };
    text.last_chunk::<16>().is_some_and(|bytes| bytes.as_chunks().0.iter().all(is_list))
}

#[cfg(test)]
mod tests {
    use super::super::sight::{Seen, see};
    use super::*;

    #[test]
    fn patterns_are_seen_wherever_they_stand() {
        let patterns = [
            "h u n t e r s",
            "h.u.n.t.e.r.s",
            "h\0u\0n\0t\0e\0r\0s\0",
            "h   u   n   t   e   r   s",
            "68 75 6e 74 65 72",
            "68:75:6E:74:65:72",
            "104,117,110,116,101",
        ];
        let is_seen = |text: &str| {
            let mut is_any = false;
            see(text.as_bytes(), &mut |seen| {
                is_any |= match seen {
                    Seen::Run { .. } => false,
                    Seen::Spaced(end) => spaced(&text.as_bytes()[..end]).is_some(),
                    Seen::Pairs(end) => is_list_of_pairs(&text.as_bytes()[..end]),
                    Seen::Decimals(end) => is_list_of_decimals(&text.as_bytes()[..end]),
                };
            });
            is_any
        };
        for offset in 0..130 {
            for pattern in patterns {
                assert!(
                    is_seen(&format!("{}{pattern}", "ordinary".repeat(17).split_off(136 - offset))),
                    "{pattern:?} behind {offset} letters"
                );
            }
        }
        assert!(!is_seen("an ordinary line of words and numbers, as most are, done in 12.5 s"));
        assert!(!is_seen("2026-11-26 03:41:12.123  name        value      12      13\na\nb\nc\nd\ne\n"));
    }
}
