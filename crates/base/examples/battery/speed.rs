//! How long the mask takes for a text that arrives in chunks.

use std::io;

use base::mask::Mask;

/// Seconds on a core to mask the text; `each` sees what comes out of every chunk.
pub fn seconds(mask: &Mask, text: &str, chunk_bytes: usize, mut each: impl FnMut(&[u8])) -> io::Result<f64> {
    let (mut stream, mut out) = (mask.stream(), Vec::with_capacity(1 << 20));
    let started = cpu_seconds()?;
    for chunk in text.as_bytes().chunks(chunk_bytes) {
        out.clear();
        stream.push(chunk, &mut out);
        each(&out);
    }
    Ok(cpu_seconds()? - started)
}

/// The time this process has been on a core, which doesn't depend on what else the machine does.
pub fn cpu_seconds() -> io::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    let nanoseconds: f64 = text.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or_default();
    Ok(nanoseconds / 1e9)
}
