//! The mask's battery at small size; `cargo run --release -p base --example mask_battery` runs it whole.

#[path = "../examples/battery/mod.rs"]
mod battery;
#[path = "../examples/battery/lines.rs"]
mod lines;

use base::mask::Mask;
use battery::{TRANSFORMS, is_covered, secret};
use lines::{Random, line};

fn masks(random: &mut Random, count: usize) -> Vec<(Mask, Vec<String>)> {
    let secrets: Vec<String> = (0..count).map(|_| secret(random)).collect();
    let mask = |group: &[String]| {
        let mut mask = Mask::new();
        group.iter().for_each(|secret| mask.add(secret));
        (mask, group.to_vec())
    };
    secrets.chunks(20).map(mask).collect()
}

#[test]
fn forty_transforms_of_secrets_are_found() {
    assert_eq!(TRANSFORMS.len(), 40);
    let groups = masks(&mut Random(1), 200);
    let (mut all, mut accidental) = ((0, 0), (0, 0));
    let mut missed = Vec::new();
    for transform in TRANSFORMS {
        for (mask, secret) in groups.iter().flat_map(|(mask, secrets)| secrets.iter().map(move |secret| (mask, secret))) {
            let outcome = is_covered(mask, secret, transform);
            let count = |(found, count): &mut (usize, usize)| (*found, *count) = (*found + usize::from(outcome.is_ok()), *count + 1);
            count(&mut all);
            if transform.accidental {
                count(&mut accidental);
                missed.extend(outcome.err().map(|left| format!("{}: {secret:?} was left as {left:?}", transform.name)));
            }
        }
    }
    assert!(accidental.0 * 1000 >= accidental.1 * 999, "{accidental:?}, missed:\n{}", missed.join("\n"));
    assert!(all.0 * 100 >= all.1 * 95, "{all:?}");
}

#[test]
fn lines_without_a_secret_are_left_alone() {
    let mut random = Random(2);
    for (mask, _) in masks(&mut random, 60) {
        let mut text = String::new();
        (0..2_000).for_each(|number| line(&mut random, number, &mut text));
        let masked = mask.apply(&text);
        let changed = text.lines().zip(masked.lines()).find(|(before, after)| before != after);
        assert!(masked == text, "{changed:?}");
    }
}

#[test]
fn the_battery_comes_out_alike_however_it_is_cut() {
    let mut random = Random(3);
    for (mask, secrets) in masks(&mut random, 100) {
        let mut text = Vec::new();
        for (index, secret) in secrets.iter().enumerate() {
            for transform in TRANSFORMS.iter().skip(index % 3).step_by(3) {
                let mut innocent = String::new();
                line(&mut random, index, &mut innocent);
                text.extend(innocent.bytes());
                text.extend((transform.write)(secret).0);
                text.extend([" ", "\n", "", " done\n"][random.below(4)].bytes());
            }
        }
        let mut whole = Vec::new();
        let mut stream = mask.stream();
        stream.push(&text, &mut whole);
        stream.finish(&mut whole);
        let chunk_max = 1 + random.below(200);
        let (mut stream, mut out, mut rest) = (mask.stream(), Vec::new(), text.as_slice());
        while !rest.is_empty() {
            let (chunk, behind) = rest.split_at((1 + random.below(chunk_max)).min(rest.len()));
            stream.push(chunk, &mut out);
            rest = behind;
        }
        stream.finish(&mut out);
        assert!(out == whole, "in chunks of up to {chunk_max}");
    }
}
