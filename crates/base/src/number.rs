//! Numbers as people read them.

/// `16,105`: digits in threes.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|it| std::str::from_utf8(it).expect("digits are ASCII")).collect();
    groups.join(",")
}
