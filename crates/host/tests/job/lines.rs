//! What becomes of a step's bytes.

use host::job::Cancel;
use workflow::job::Conclusion;

use crate::harness::{Heard, Place};

fn run(place: &Place, script: &str) -> (Heard, Conclusion) {
    let script = script.replace('\n', "\n          ");
    let text = format!("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - shell: python\n        run: |\n          {script}\n");
    let mut heard = Heard::default();
    let outcome = place.run_one(&text, &Cancel::new().unwrap(), &mut heard);
    (heard, outcome.conclusion)
}

#[test]
fn bytes_come_out_as_they_went_in() {
    let script = "import sys\nfor i in range(3000): sys.stdout.buffer.write(bytes([i % 256]) * (i % 50))\nsys.stdout.flush()\nprint(end='no newline')";
    let (heard, _) = run(&Place::new(), script);
    let mut expected: Vec<u8> = (0..3000).flat_map(|i| vec![u8::try_from(i % 256).unwrap(); i % 50]).collect();
    expected.extend_from_slice(b"no newline");
    assert_eq!(heard.logs[&0], expected);
}

#[test]
fn both_outputs_are_one_in_order() {
    let script = "import sys\nfor i in range(200):\n    print(i, file=[sys.stdout, sys.stderr][i % 2], flush=True)";
    let (heard, _) = run(&Place::new(), script);
    let expected: String = (0..200).map(|i| format!("{i}\n")).collect();
    assert_eq!(String::from_utf8_lossy(&heard.logs[&0]), expected);
}

#[test]
fn a_secret_is_covered_however_it_is_cut_and_from_the_line_on_that_hides_it() {
    let mut place = Place::new();
    place.options.secrets.insert("S".to_string(), "correct-horse\nbattery-staple".to_string());
    let script = "import sys, time\nfor letter in 'x correct-horse y\\nbattery-staple\\n':\n    sys.stdout.write(letter); sys.stdout.flush()\nprint('later-one')\nprint('::add-mask::later-one')\nprint('a later-one b')\nprint('::error::later-one correct-horse')";
    let (heard, conclusion) = run(&place, script);
    let log = String::from_utf8_lossy(&heard.logs[&0]).into_owned();
    assert_eq!(log, "x *** y\n***\nlater-one\na *** b\n##[error]*** ***\n");
    let annotations: Vec<&str> = heard.steps[&0].annotations.iter().map(|annotation| annotation.message.as_str()).collect();
    assert_eq!(annotations, ["*** ***"]);
    assert_eq!(conclusion, Conclusion::Success);
}
