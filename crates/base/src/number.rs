//! Numbers as people read them.

/// `16,105`: digits in threes.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|it| std::str::from_utf8(it).expect("digits are ASCII")).collect();
    groups.join(",")
}

/// `1 file`, `2 files`: a number of things whose plural ends in `s`.
pub fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
