// Evaluates with GitHub's other implementation: the contexts on the first line, then one expression a line, as JSON.
// Writes a line for each: the outcome as it is, the outcome with every point put right, and by which points the two differ.
// An outcome is a kind and a value, or what kind of error it is: the runner has one for what is no expression.
import { createInterface } from "node:readline";
import { data, Evaluator, Lexer, Parser, wellKnownFunctions } from "@actions/expressions";
import { on, POINTS } from "./points.mjs";

const KINDS = ["string", "array", "object", "boolean", "number", "object", "null"];

function outcome(source, context, points) {
  on.clear();
  points.forEach((point) => on.add(point));
  let tree;
  try {
    const { tokens } = new Lexer(source).lex();
    const names = context.pairs().map((pair) => pair.key);
    tree = new Parser(tokens, names, []).parse();
  } catch {
    return ["error", "no expression"];
  }
  try {
    const value = new Evaluator(tree, context).evaluate();
    return [KINDS[value.kind], value.primitive ? value.coerceString() : wellKnownFunctions.tojson.call(value).value];
  } catch {
    return ["error", "no value"];
  }
}

function outcomes(source, context) {
  const theirs = outcome(source, context, []);
  const right = outcome(source, context, POINTS);
  const same = (left, right) => left[0] === right[0] && left[1] === right[1];
  if (same(theirs, right)) return [theirs, right, []];
  const without = (name) => POINTS.filter((point) => point !== name);
  const points = POINTS.filter((point) => !same(outcome(source, context, without(point)), right));
  return [theirs, right, points.length ? points : ["any of several points"]];
}

let contexts;
let out = [];
for await (const line of createInterface({ input: process.stdin })) {
  if (contexts === undefined) {
    contexts = JSON.parse(line).map((context) => JSON.parse(JSON.stringify(context), data.reviver));
    continue;
  }
  const [source, context] = JSON.parse(line);
  out.push(JSON.stringify(outcomes(source, contexts[context])));
  if (out.length === 10000) {
    process.stdout.write(out.join("\n") + "\n");
    out = [];
  }
}
process.stdout.write(out.join("\n") + (out.length ? "\n" : ""));
