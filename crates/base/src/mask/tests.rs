use super::*;

fn mask(secrets: &[&str]) -> Mask {
    let mut mask = Mask::new();
    secrets.iter().for_each(|secret| mask.add(secret));
    mask
}

fn check(secrets: &[&str], text: &str, expected: &str) {
    let mask = mask(secrets);
    assert_eq!(mask.apply(text), expected, "{secrets:?} in {text:?}");
    assert_eq!(mask.contains(text.as_bytes()), text != expected, "contains: {secrets:?} in {text:?}");
}

#[test]
fn secrets_are_covered_and_the_rest_is_left_alone() {
    check(&[], "nothing to hide", "nothing to hide");
    check(&["", " ", "\n"], "no  secret\n", "no  secret\n");
    check(&["hunter22"], "a hunter22 b", "a *** b");
    check(&["hunter22"], "hunter22", "***");
    check(&["hunter22"], "hunter2 hunter", "hunter2 hunter");
    check(&["hunter22"], "Hunter22", "***");
    check(&["production"], "Production", "Production");
    check(&["abcd", "abcdef"], "abcdef abcde", "*** ***e");
    check(&["abcd", "cdef"], "xabcdefx", "x***x");
    check(&["abcabc"], "abcabcabc", "***");
    check(&["abcd"], "abcdabcd", "***");
    check(&["abcde", "xabcdefgh"], "xabcdefg", "x***fg");
    check(&["grün≠"], "das grün≠ü", "das ***ü");
    check(&[" padded \n"], "a padded b", "a *** b");
    check(&["x"], "fox", "fo***");
}

#[test]
fn each_line_of_a_longer_secret_is_one() {
    let key = "-----BEGIN KEY-----\n  MIIEpAIBAAKCAQEA\r\n\nq0QwVb2YpYb1\n-----END KEY-----\n";
    check(&[key], key, "***\n");
    check(&[key], "> MIIEpAIBAAKCAQEA\n> q0QwVb2YpYb1\n", "> ***\n> ***\n");
    check(&["{\n\"k\": \"v1v2\"\n}"], "if a { b }", "if a *** b ***");
}

/// The cases of GitHub's runner (`HostContextL0.cs`); base64 is covered from one to three characters earlier
/// than there, and what a colour cuts in two together with the colour.
#[test]
fn what_the_github_runner_covers_is_covered() {
    let secrets =
        ["Password123!", "Pass\"word\"123!", "Pass word 123!", "Pass<word>123!", "Pass'word'123!", "\"Password123!!\"", "\"short\""];
    for (text, expected) in [
        ("123Password123!123", "123***123"),
        ("password123", "password123"),
        ("123Pass\\\"word\\\"123!123", "123***123"),
        ("123Pass%20word%20123%21123", "123***123"),
        ("123Pass&lt;word&gt;123!123", "123***123"),
        ("123Pass''word''123!123", "123***123"),
        ("OlBhc3N3b3JkMTIzIQ==", "Ol***"),
        ("YTpQYXNzd29yZDEyMyE=", "YTp***"),
        ("YWI6UGFzc3dvcmQxMjMh", "YWI6***"),
        ("YWJjOlBhc3N3b3JkMTIzIQ==", "YWJjO***"),
        ("123Password123!!123", "123***123"),
        ("123short123", "123short123"),
        ("123\"short\"123", "123***123"),
    ] {
        check(&secrets, text, expected);
    }
    check(&["secret&secret&secret"], "secret&secret&\u{1b}[96msecret\u{1b}[0m", "***\u{1b}[0m");
    check(&["secret&+secret&secret"], "secret&+\u{1b}[96ms\u{1b}[0mecret&secret", "***");
}

#[test]
fn other_forms_are_covered() {
    let secret = "p/ä'55 & <w>\"?+";
    for form in [
        r#"p/ä'55 & <w>\"?+"#,
        r#"p\/ä'55 & <w>\"?+"#,
        r#"p/ä'55 \u0026 \u003cw\u003e\"?+"#,
        "p%2F%C3%A4%2755%20%26%20%3Cw%3E%22%3F%2B",
        "p%2f%c3%a4%2755%20%26%20%3cw%3e%22%3f%2b",
        "p%2F%C3%A4%2755+%26+%3Cw%3E%22%3F%2B",
        "p/%C3%A4%2755%20%26%20%3Cw%3E%22%3F%2B",
        "p/ä&#39;55 &amp; &lt;w&gt;&quot;?+",
        "p/ä&apos;55 &amp; &lt;w&gt;&quot;?+",
        "p/ä&#39;55 &amp; &lt;w&gt;&#34;?+",
        "p/ä'\\''55 & <w>\"?+",
        "p/ä'\"'\"'55 & <w>\"?+",
        r#"p/ä\'55\ \&\ \<w\>\"\?+"#,
        "702fc3a42735352026203c773e223f2b",
        "702FC3A42735352026203C773E223F2B",
        "cC/DpCc1NSAmIDx3PiI/Kw==",
        "cC_DpCc1NSAmIDx3PiI_Kw",
    ] {
        check(&[secret], form, "***");
    }
}

#[test]
fn base64_is_covered_behind_and_before_anything_and_twice() {
    let secret = "correct-horse-battery";
    let encoded = |text: &str| encode(text.as_bytes());
    for before in ["", "u", "u:", "usr", "user:"] {
        for after in ["", "\n", "@h", "@host"] {
            let once = encoded(&format!("{before}{secret}{after}"));
            let twice = encoded(&format!("{once}\n"));
            // What surrounds the secret, a character shared with it at either side, and the padding.
            let left_max = |around: usize| around.div_ceil(3) * 4 + 4;
            let once_max = left_max(before.len() + after.len());
            for (text, left_max) in [(once, once_max), (twice, left_max(once_max + 1))] {
                let masked = mask(&[secret]).apply(&text);
                assert!(masked.contains(STARS) && masked.len() - 3 <= left_max, "{before:?} {after:?}: {text} became {masked}");
            }
        }
    }
}

/// Written apart from the code under test, bit by bit.
fn encode(bytes: &[u8]) -> String {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text: String = bits
        .chunks(6)
        .map(|six| (0..6).fold(0, |value, bit| value << 1 | usize::from(*six.get(bit).unwrap_or(&0))))
        .map(|value| alphabet.as_bytes()[value] as char)
        .collect();
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

#[test]
fn only_what_may_begin_a_secret_is_held_back() {
    let mut stream = mask(&["hunters"]).stream();
    let mut pushed = |chunk: &str| {
        let mut out = Vec::new();
        stream.push(chunk.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(pushed("ready, h"), "ready, ");
    assert_eq!(pushed("unt"), "");
    assert_eq!(pushed("x and hunt"), "huntx and ");
    assert_eq!(pushed("ers"), "***");
    assert_eq!(pushed("hunter"), "");
    assert_eq!(pushed("s!\n"), "!\n", "a secret right behind another joins its stars");
    assert_eq!(pushed("hunter"), "");
    let mut out = Vec::new();
    stream.finish(&mut out);
    assert_eq!(out, b"hunter");
}

#[test]
fn a_line_is_held_back_until_it_ends_and_longer_only_when_a_secret_may_go_on_in_the_next() {
    let mut stream = mask(&["hunter2!", "line-1\nline-2"]).stream();
    let mut pushed = |chunk: &str| {
        let mut out = Vec::new();
        stream.push(chunk.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(pushed("ready, "), "");
    assert_eq!(pushed("steady\ngo"), "ready, steady\n");
    assert_eq!(pushed(" hunt\n"), "");
    assert_eq!(pushed("er2! caught\n"), "go *** caught\n");
    assert_eq!(pushed("hunt\n"), "");
    assert_eq!(pushed("is on\n"), "hunt\nis on\n");
}

#[test]
fn a_line_without_end_is_not_held_back_for_ever() {
    let mut stream = mask(&["hunter2!"]).stream();
    let mut out = Vec::new();
    stream.push(&vec![b'.'; 10 * deep::PARAGRAPH_BYTES_MAX], &mut out);
    assert!(out.len() >= 9 * deep::PARAGRAPH_BYTES_MAX);
    stream.push(b" hunter2! ", &mut out);
    stream.finish(&mut out);
    assert!(out.ends_with(b". *** "));
}

#[test]
fn what_is_spread_out_escaped_or_encoded_is_covered() {
    let secrets = ["hunter2!", "s3cr3t-t0ken-4u", "correct horse battery"];
    for (text, expected) in [
        ("HUNTER2!", "***"),
        ("> hun\nter2! <", "> *** <"),
        ("hun\r\n  ter2! <", "*** <"),
        ("h\nu\nn\nt\ne\nr\n2\n!\n", "***\n"),
        ("hun\u{1b}[1mter2!\u{1b}[0m", "***\u{1b}[0m"),
        ("h u n t e r 2 ! x", "*** x"),
        ("h-u-n-t-e-r-2-!-x", "***-x"),
        ("password=h\nunter2! <", "password=*** <"),
        ("h\0u\0n\0t\0e\0r\x002\0!\0", "***\0"),
        ("   h   u   n   t   e   r   2   !", "   ***"),
        (r"\x68\x75\x6e\x74\x65\x72\x32\x21", "***"),
        (r"\150\165\156\164\145\162\62\41", "***"),
        (r"\u0068\u0075\u006e\u0074\u0065\u0072\u0032\u0021", "***"),
        ("&#104;&#117;&#x6e;ter2&#33;", "***"),
        ("%68%75nter2%21", "***"),
        ("0x68, 0x75, 0x6e, 0x74, 0x65, 0x72, 0x32, 0x21", "***"),
        ("<Buffer 68 75 6e 74 65 72 32 21>", "<Buffer ***>"),
        ("[104,117,110,116,101,114,50,33]", "[***]"),
        ("68:75:6E:74:65:72:32:21", "***"),
        ("00000000: 6875 6e74 6572 3221 0a                   hunter2!.", "00000000: ***"),
        ("00000000  70 61 73 73 3a 68 75 6e  74 65 72 32 21 0a        |pass:hunter2!.|", "00000000  70 61 73 73 3a ***"),
        ("hvagre2!", "hvagre2!"),
        ("uhagre2!", "***"),
        ("!2retnuh", "***"),
        ("correct\nhorse battery", "***"),
        ("CorrectHorseBattery", "CorrectHorseBattery"),
    ] {
        let masked = mask(&secrets).apply(text);
        // Where dumps have gaps, the stars may take them along.
        assert_eq!(masked.replace("  ", " "), expected.replace("  ", " "), "{text:?}");
    }
}

#[test]
fn what_is_like_ordinary_words_is_covered_as_it_is_only() {
    check(&["test"], "t e s t, te\nst, TEST, tset, test", "t e s t, te\nst, TEST, tset, ***");
    check(&["00000000"], "00 00 00 00 00 00 00 00", "00 00 00 00 00 00 00 00");
    check(&["------------"], "- - - - - - - - - - - - - -", "- - - - - - - - - - - - - -");
}

#[test]
fn a_secret_added_midway_is_covered_from_there_on_also_in_what_was_held_back() {
    let mut stream = mask(&["ab-then-more"]).stream();
    let mut out = Vec::new();
    stream.push(b"then ab-then", &mut out);
    stream.add("then");
    stream.push(b" then ab-then-more", &mut out);
    stream.finish(&mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "*** ab-*** *** ***");
}

/// A generator of our own, so that a failing seed fails everywhere alike.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn text(&mut self, alphabet: &str, length: usize) -> String {
        (0..length).map(|_| char::from(alphabet.as_bytes()[self.below(alphabet.len())])).collect()
    }
}

/// The definition, without cleverness: mark every byte of every occurrence, then write runs as stars.
fn plainly(mask: &Mask, text: &[u8]) -> Vec<u8> {
    let mut covered = vec![false; text.len()];
    for (folded, form) in mask.forms.text.iter() {
        for at in 0..text.len() {
            let end = at + folded.len();
            if text.get(at..end).is_some_and(|part| part.eq_ignore_ascii_case(folded) && form.admits(part)) {
                covered[at..end].fill(true);
            }
        }
    }
    if let Some(deep) = &mask.finders().deep {
        deep.look_thoroughly(text, 0, true, &mut |(start, end)| covered[start..end].fill(true));
    }
    let mut out = Vec::new();
    for at in 0..text.len() {
        match covered[at] {
            false => out.push(text[at]),
            true if at == 0 || !covered[at - 1] => out.extend(STARS.as_bytes()),
            true => {}
        }
    }
    out
}

#[test]
fn the_outcome_is_the_plain_definition_however_the_input_is_cut() {
    for seed in 0..1_500 {
        let mut random = Random(seed);
        let alphabet = ["ab", "abc", "abcdefgh", "a\n "][random.below(4)];
        let shortest = 1 + random.below(9);
        let mut mask = Mask::new();
        for _ in 0..1 + random.below(5) {
            let length = shortest + random.below(9);
            mask.add(&random.text(alphabet, length));
        }
        let length = random.below(120);
        let mut text = random.text(alphabet, length);
        let forms: Vec<Vec<u8>> = mask.forms.text.iter().map(|(folded, _)| folded.to_vec()).collect();
        for _ in 0..random.below(4) {
            let at = random.below(text.len() + 1);
            if !forms.is_empty() {
                text.insert_str(at, std::str::from_utf8(&forms[random.below(forms.len())]).unwrap());
            }
        }
        let expected = plainly(&mask, text.as_bytes());
        assert_eq!(mask.apply(&text).as_bytes(), expected, "seed {seed}, whole");
        let chunk_max = 1 + random.below(20);
        let (mut stream, mut out, mut rest) = (mask.stream(), Vec::new(), text.as_bytes());
        while !rest.is_empty() {
            let (chunk, behind) = rest.split_at((1 + random.below(chunk_max)).min(rest.len()));
            stream.push(chunk, &mut out);
            assert!(expected.starts_with(&out), "seed {seed}: wrote what is not decided");
            rest = behind;
        }
        stream.finish(&mut out);
        assert_eq!(out, expected, "seed {seed}, in chunks of up to {chunk_max}");
    }
}

/// What a tool could make of the text.
fn transformed(random: &mut Random, text: &[u8]) -> Vec<u8> {
    let each = |between: &str, write: fn(u8) -> String| text.iter().map(|byte| write(*byte)).collect::<Vec<_>>().join(between);
    let middle = random.below(text.len() + 1);
    let inserted = |inserted: &[u8]| [&text[..middle], inserted, &text[middle..]].concat();
    match random.below(14) {
        0 => encode(text).into_bytes(),
        1 => encode(&inserted(b"\n")).into_bytes(),
        2 => encode(text).as_bytes().chunks(20 + middle % 60).collect::<Vec<_>>().join(&b"\n"[..]),
        3 => each("", |byte| format!("{byte:02x}")).into_bytes(),
        4 => each("", |byte| format!("{byte:02X}")).as_bytes().chunks(60).collect::<Vec<_>>().join(&b"\n"[..]),
        5 => each([" ", ":", ", "][middle % 3], |byte| format!("{byte:02x}")).into_bytes(),
        6 => each([",", ", 0x"][middle % 2], |byte| byte.to_string()).into_bytes(),
        7 => each("", |byte| format!("\\x{byte:02x}")).into_bytes(),
        8 => each("", |byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02x}") }).into_bytes(),
        9 => text.iter().flat_map(|byte| [*byte, [b' ', 0, b'-', b'\n'][middle % 4]]).collect(),
        10 => inserted(b"\x1b[1m"),
        11 => inserted([b"\n".as_slice(), b"\\n", b"\r\n  "][middle % 3]),
        12 => each("", |byte| format!("{byte:04x} ")).into_bytes(),
        _ => text.to_ascii_uppercase(),
    }
}

/// What stands around it, made so that it comes near to what is looked for.
fn noise(random: &mut Random) -> Vec<u8> {
    let alphabets = ["ab 19:,=-", "0123456789abcdef", "ABCDEFabcdef0189+/", "a\\x%&;u0\u{1b}[m", "the quick\nbrown fox ", "\n \r\t"];
    let length = random.below(90);
    match random.below(alphabets.len() + 1) {
        which if which < alphabets.len() => random.text(alphabets[which], length).into_bytes(),
        _ => (0..length).map(|_| random.below(256) as u8).collect(),
    }
}

#[test]
fn the_shortcuts_hide_nothing_and_find_nothing_else() {
    let (mut covered, mut texts) = (0, 0);
    for seed in 0..800 {
        let mut random = Random(seed);
        let alphabets = ["abcdef0123456789", "ABCDEFGHIJKLMNOPabcdefghijklmnop0123456789+/", "ab1!", "aB3-xyz \n"];
        let secrets: Vec<String> = (0..1 + random.below(4))
            .map(|_| {
                let (alphabet, length) = (alphabets[random.below(4)], 5 + random.below(40));
                random.text(alphabet, length)
            })
            .collect();
        let mut mask = Mask::new();
        secrets.iter().for_each(|secret| mask.add(secret));
        let mut text = noise(&mut random);
        for _ in 0..1 + random.below(3) {
            let mut hidden = secrets[random.below(secrets.len())].clone().into_bytes();
            for _ in 0..1 + random.below(2) {
                hidden = transformed(&mut random, &hidden);
            }
            text.extend(hidden);
            text.extend(noise(&mut random));
        }
        let expected = plainly(&mask, &text);
        (covered, texts) = (covered + usize::from(expected != text), texts + 1);
        let chunk_max = 1 + random.below(200);
        let (mut stream, mut out, mut rest) = (mask.stream(), Vec::new(), text.as_slice());
        while !rest.is_empty() {
            let (chunk, behind) = rest.split_at((1 + random.below(chunk_max)).min(rest.len()));
            stream.push(chunk, &mut out);
            rest = behind;
        }
        stream.finish(&mut out);
        assert!(out == expected, "seed {seed}: {secrets:?}, in chunks of up to {chunk_max}");
        assert_eq!(mask.contains(&text), expected != text, "seed {seed}: {secrets:?}");
    }
    assert!(covered * 2 > texts, "only {covered} of {texts} texts had anything to find");
}

#[test]
fn nothing_prints_a_secret() {
    let mask = mask(&["hunter22"]);
    assert!(!format!("{mask:?} {:?}", mask.stream()).contains("hunter"));
}
