//! `plimsoll release lint`: files of Argo Rollouts and Flagger, and what of them is done.

#![allow(clippy::unwrap_used)]

use crate::common::Place;
use serde_json::Value as Json;

const SUPPORTED: &str = "apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: shop}}
  strategy:
    canary:
      steps:
        - setWeight: 20
        - pause: {duration: 90}
        - setWeight: 60
  template: {spec: {containers: [{name: shop, image: shop:1}]}}
";

const FLAGGER: &str = "apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: shop}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}
  service: {port: 80}
  analysis:
    interval: 1m
    threshold: 5
    maxWeight: 40
    stepWeight: 20
    metrics:
      - name: request-success-rate
        thresholdRange: {min: 99}
";

#[test]
fn a_file_that_is_all_done_here_ends_with_0() {
    let place = Place::with(&[("rollout.yaml", SUPPORTED)]);
    let said = place.say(&["release", "lint", "rollout.yaml"]);
    said.is(0, "all that 1 document asks of a rollout is done");
    assert_eq!(
        said.raw,
        "Rollout shop  rollout.yaml:2:7
  canary
    20 %    until the judge has proved that it is not worse
    pause   1m 30s
    60 %    until the judge has proved that it is not worse
    100 %
  3 instances
  all instances ready within 10m, or it goes back
  only of a cluster:
    6:3    spec.selector: instances have no labels
    13:3   spec.template: what runs is said by `plimsoll.yaml`

"
    );
}

#[test]
fn what_is_not_done_ends_with_1_and_is_told_with_its_line() {
    let place = Place::with(&[("rollout.yaml", SUPPORTED), ("canary.yaml", FLAGGER)]);
    let said = place.say(&["release", "lint", "rollout.yaml", "canary.yaml"]);
    said.is(1, "2 things in 2 documents are not supported, and told above with what happens instead");
    for part in [
        "Canary shop  canary.yaml:2:7",
        "    20 %    for 1m at least, until the judge has proved that it is not worse\n    40 %    for 1m at least",
        "  request-success-rate: the requests of the mesh, over the last 1m\n    good when at least 99%",
        "    9:5    spec.analysis.threshold: no failed checks are counted: the judge takes a worse version back",
        "    13:9   spec.analysis.metrics[0] (request-success-rate): no rollout asks for a metric",
    ] {
        assert!(said.raw.contains(part), "{part}\n{}", said.raw);
    }
    let json = place.say(&["release", "lint", "canary.yaml", "--json"]);
    assert_eq!(json.code, 1);
    let told: Json = serde_json::from_str(&json.out).unwrap();
    let document = &told["documents"][0];
    assert_eq!(document["plan"]["strategy"]["canary"]["steps"][1]["set_weight"], 4_000);
    assert_eq!(document["plan"]["stepMinMs"], 60_000);
    assert_eq!(document["notSupported"][0]["what"], "spec.analysis.threshold");
    assert_eq!(document["notSupported"][0]["place"]["line"], 9);
    assert_eq!(document["onlyOfACluster"].as_array().unwrap().len(), 2);
    assert_eq!(told["errors"], Json::Array(Vec::new()));
}

#[test]
fn mistakes_of_all_files_are_told_at_once_and_end_with_2() {
    let wrong = SUPPORTED.replace("setWeight: 60", "setWieght: 60").replace("replicas: 3", "replicas: three");
    let place = Place::with(&[("rollout.yaml", &wrong), ("canary.yaml", &FLAGGER.replace("1m", "1 minute"))]);
    let said = place.say(&["release", "lint", "rollout.yaml", "canary.yaml"]);
    assert_eq!(said.code, 2);
    for part in [
        "error[release/type]: a whole number is expected here, this is a text\n --> rollout.yaml:5:13\n",
        "error[release/unknown-key]: unknown key `setWieght`\n  --> rollout.yaml:12:11\n",
        "help: did you mean `setWeight`?",
        "error[release/value]: `1 minute` is no length of time\n --> canary.yaml:8:15\n",
    ] {
        assert!(said.raw.contains(part), "{part}\n{}", said.raw);
    }
    let json = place.say(&["release", "lint", "rollout.yaml", "canary.yaml", "--json"]);
    assert_eq!(json.code, 2);
    let told: Json = serde_json::from_str(&json.out).unwrap();
    assert_eq!(told["errors"].as_array().unwrap().len(), 3);
    assert_eq!(told["errors"][1]["hint"], "did you mean `setWeight`?");
    assert_eq!(told["documents"], Json::Array(Vec::new()), "nothing is said of a file with a mistake");
}

#[test]
fn what_is_no_such_file_is_said_to_be_none() {
    let place = Place::with(&[("service.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"), ("text.yaml", "hello\n")]);
    std::fs::write(place.project().join("bytes.yaml"), [0xff, 0xfe, 0x00]).unwrap();
    place.say(&["release", "lint", "none.yaml"]).is(9, "error: there is no file `none.yaml`");
    let said = place.say(&["release", "lint", "service.yaml"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("there is nothing of Argo Rollouts or Flagger in `service.yaml`"), "{}", said.err);
    for file in ["text.yaml", "bytes.yaml"] {
        let said = place.say(&["release", "lint", file]);
        assert_eq!(said.code, 2);
        assert!(said.out.contains(&format!("--> {file}:1:1")), "{}", said.out);
    }
    assert_eq!(place.say(&["release", "lint", "."]).code, 2);
    assert_eq!(place.say(&["release", "lint"]).code, 2);
}
