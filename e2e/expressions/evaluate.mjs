// Evaluates with GitHub's own implementation: the contexts on the first line, then one expression a line, as JSON.
// Writes a line for each: its kind and value, or what kind of error it is.
import { createInterface } from "node:readline";
import { data, Evaluator, Lexer, Parser } from "@actions/expressions";

const KINDS = ["string", "array", "object", "boolean", "number", "object", "null"];

function outcome(source, context) {
  let stage = "lexing";
  try {
    const tokens = new Lexer(source).lex().tokens;
    stage = "parsing";
    const names = context.pairs().map((pair) => pair.key);
    const tree = new Parser(tokens, names, []).parse();
    stage = "evaluation";
    const value = new Evaluator(tree, context).evaluate();
    const kind = KINDS[value.kind];
    return [kind, value.primitive ? value.coerceString() : JSON.stringify(value, data.replacer)];
  } catch {
    return ["error", stage];
  }
}

let contexts;
let out = [];
for await (const line of createInterface({ input: process.stdin })) {
  if (contexts === undefined) {
    contexts = JSON.parse(line).map((context) => JSON.parse(JSON.stringify(context), data.reviver));
    continue;
  }
  const [source, context] = JSON.parse(line);
  out.push(JSON.stringify(outcome(source, contexts[context])));
  if (out.length === 10000) {
    process.stdout.write(out.join("\n") + "\n");
    out = [];
  }
}
process.stdout.write(out.join("\n") + (out.length ? "\n" : ""));
