//! Long runs of base64 characters, found without a look at each byte.

/// The shortest run that is decoded; shorter ones are [forms](super::forms) of their own.
const RUN_MIN_BYTES: usize = 20;

/// Calls `each` with where every run begins and ends.
pub(super) fn runs(text: &[u8], each: &mut dyn FnMut(usize, usize)) {
    // A run may go on behind the chunk in which it began.
    let (mut before, mut done, mut begun) = (0, 0usize, None);
    let (chunks, rest) = text.as_chunks::<64>();
    // Zeros are no base64 characters: they end what the text ends.
    let mut last = [0; 64];
    last[..rest.len()].copy_from_slice(rest);
    for (index, chunk) in chunks.iter().chain([&last]).enumerate() {
        let (base, now) = (index * 64, base64_bits(chunk));
        // A bit for each byte, from 64 bytes before the chunk on.
        let mut bits = u128::from(before) | u128::from(now) << 64;
        before = now;
        loop {
            let start = match begun.take() {
                Some(start) => start,
                None => {
                    bits &= u128::MAX.checked_shl((done + 64).saturating_sub(base) as u32).unwrap_or(0);
                    match runs_of_twenty(bits) {
                        0 => break,
                        begins => base + begins.trailing_zeros() as usize - 64,
                    }
                }
            };
            let known = start.max(base);
            let end = known + (now >> (known - base)).trailing_ones() as usize;
            if end == base + 64 {
                begun = Some(start);
                break;
            }
            each(start, end);
            done = end;
        }
    }
}

/// Which of up to 64 bytes are base64 characters, a bit for each, without a branch.
fn base64_bits(chunk: &[u8; 64]) -> u64 {
    let mut is_base64 = [0u8; 64];
    for (is_base64, &byte) in is_base64.iter_mut().zip(chunk) {
        let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        let is_slash_or_digit = byte.wrapping_sub(b'/') < 11;
        *is_base64 = u8::from(is_letter | is_slash_or_digit | (byte == b'+') | (byte == b'-') | (byte == b'_'));
    }
    let (words, _) = is_base64.as_chunks::<8>();
    // The multiplication gathers the lowest bits of eight bytes in the highest one.
    let gathered = words.iter().map(|word| u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56);
    gathered.enumerate().fold(0, |bits, (index, eight)| bits | eight << (8 * index))
}

/// Those bits with which twenty in a row begin.
fn runs_of_twenty(bits: u128) -> u128 {
    const { assert!(RUN_MIN_BYTES == 20) };
    let two = bits & bits >> 1;
    let four = two & two >> 2;
    let eight = four & four >> 4;
    let sixteen = eight & eight >> 8;
    sixteen & four >> 16
}

#[cfg(test)]
mod tests {
    use super::super::view;
    use super::*;

    #[test]
    fn each_run_is_found_wherever_chunks_are_cut() {
        for length in 0..300 {
            // Runs of every length from 1 to 41 and then some, at changing places.
            let text: Vec<u8> =
                (0..length).map(|at| if (at * at / 40 + at / 7) % (1 + length % 42) == 0 { b' ' } else { b"aZ09+/-_"[at % 8] }).collect();
            let mut found = Vec::new();
            runs(&text, &mut |start, end| found.push((start, end)));
            let (mut expected, mut start) = (Vec::new(), 0);
            for end in (0..=length).filter(|&end| end == length || view::base64_value(text[end]) >= 64) {
                if end - start >= RUN_MIN_BYTES {
                    expected.push((start, end));
                }
                start = end + 1;
            }
            assert_eq!(found, expected, "{}", String::from_utf8_lossy(&text));
        }
    }
}
