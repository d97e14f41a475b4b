// Where the reference differs from GitHub's runner: each point of the list in docs/expressions.md, put right where it is
// switched on. So a difference is explained by a point only if it goes away with it.
import { data, Evaluator, Lexer, wellKnownFunctions as functions } from "@actions/expressions";
import { IndexAccess, Literal, Star } from "@actions/expressions/ast";
import { TokenType } from "@actions/expressions/lexer";
import { BLANKS, read } from "./json.mjs";

/** The points that are put right at the moment. */
export const on = new Set();

export const POINTS = [];

function point(name, owner, method, right) {
  const theirs = owner[method];
  owner[method] = function (...args) {
    return on.has(name) ? right.call(this, theirs.bind(this), ...args) : theirs.apply(this, args);
  };
  if (!POINTS.includes(name)) POINTS.push(name);
}

const none = () => new data.Null();
const fail = (why) => {
  throw new Error(why);
};

point("texts as numbers", data.StringData.prototype, "number", function () {
  const text = this.value.replace(new RegExp(`^[${BLANKS}]+|[${BLANKS}]+$`, "g"), "");
  if (text.trim() !== text) return NaN;
  if (/^[-+]?infinity$/i.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
  if (/^0[XOBb]/.test(text)) return NaN;
  const number = Number(text);
  if (!/^0[xo]/.test(text)) return number;
  return number < 2 ** 32 ? number | 0 : NaN;
});

point("numbers as texts", data.NumberData.prototype, "coerceString", function (theirs) {
  if (this.value === 0 || !Number.isFinite(this.value)) return theirs();
  const [digits, exponent] = this.value.toExponential(14).split("e").map(Number);
  if (exponent >= -4 && exponent < 15) return String(Number(this.value.toPrecision(15)));
  return `${digits}E${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
});

point("JSON as it is read", functions.fromjson, "call", (_, text) => read(text.coerceString()));

point("JSON as it is written", functions.tojson, "call", (_, value) => new data.StringData(written(value, "\n")));

function written(value, line) {
  const inner = `${line}  `;
  const all = (open, items, close) => (items.length ? open + inner + items.join(`,${inner}`) + line + close : open + close);
  switch (value.kind) {
    case data.Kind.Null:
      return "null";
    case data.Kind.String:
      return quoted(value.value);
    case data.Kind.Array:
      return all("[", value.values().map((item) => written(item, inner)), "]");
    case data.Kind.Dictionary:
      return all("{", value.pairs().map((pair) => `${quoted(pair.key)}: ${written(pair.value, inner)}`), "}");
    default:
      return value.coerceString();
  }
}

function quoted(text) {
  return JSON.stringify(text).replace(/[\x85\u2028\u2029]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

point("keys that differ in case", data.Dictionary.prototype, "add", function (theirs, key, value) {
  const at = this.indexMap[key.toLowerCase()];
  if (at === undefined) theirs(key, value);
  else this.v[at] = value;
});

const upperOne = ((upper) => (letter) => {
  const found = upper.call(letter);
  return [...found].length === 1 && (letter <= "\x7f" || found > "\x7f") ? found : letter;
})(String.prototype.toUpperCase);

point("letters in upper case", String.prototype, "toUpperCase", function () {
  return Array.from(this, upperOne).join("");
});

point("letters in upper case", String.prototype, "toLowerCase", function () {
  return Array.from(this, upperOne).join("").replace(/[A-Z]/g, (letter) => String.fromCharCode(letter.charCodeAt(0) + 32));
});

point("an index of what has no items", Evaluator.prototype, "visitIndexAccess", function (theirs, node) {
  const collection = this.eval(node.expr);
  const unneeded = collection.primitive && !(node.index instanceof Star);
  return theirs(new IndexAccess(new Literal(collection), unneeded ? new Literal(none()) : node.index));
});

point("arguments that aren't needed", Evaluator.prototype, "visitFunctionCall", function (_, call) {
  const name = call.functionName.lexeme.toLowerCase();
  const values = call.args.map(none);
  for (const at of needed[name]?.(call.args.length, values) ?? call.args.keys()) {
    values[at] = this.eval(call.args[at]);
  }
  return functions[name].call(...values);
});

/** Which arguments of a call the runner asks for, one by one, as `values` has those before. */
const needed = {
  *case(count, values) {
    for (let at = 0; at < count - 1; at += 2) {
      yield at;
      if (values[at].kind !== data.Kind.Boolean) return;
      if (values[at].value) return yield at + 1;
    }
    yield count - 1;
  },
  *format(count, values) {
    yield 0;
    const asked = new Set();
    const probe = (at) => ({ coerceString: () => (asked.add(at), "") });
    functions.format.call(values[0], ...values.slice(1).map((_, at) => probe(at + 1)));
    yield* asked;
  },
  *contains(_, values) {
    yield 0;
    if (values[0].primitive || values[0].kind === data.Kind.Array && values[0].values().length > 0) yield 1;
  },
  *startswith(_, values) {
    yield 0;
    if (values[0].primitive) yield 1;
  },
  endswith: (count, values) => needed.startswith(count, values),
  *join(count, values) {
    yield 0;
    if (count > 1 && values[0].kind === data.Kind.Array && values[0].values().length > 1) yield 1;
  },
};

point("what follows the number in a format", functions.format, "call", function (theirs, format, ...rest) {
  const pieces = format.coerceString().match(/\{\{|\}\}|\{\d+(\}|:\}(?!\}))|[{}]/g) ?? [];
  return pieces.includes("{") || pieces.includes("}") ? fail("a brace stands alone") : theirs(format, ...rest);
});

point("blanks", Lexer.prototype, "lex", function (theirs) {
  const parts = this.input.split(/('[^']*')/);
  this.input = parts.map((part, at) => (at % 2 ? part : part.replace(new RegExp(`[${BLANKS}]`, "g"), " "))).join("");
  return theirs();
});

point("several quotes in one text", Lexer.prototype, "lex", function (theirs) {
  const { tokens } = theirs();
  for (const token of tokens) {
    if (token.type === TokenType.STRING) token.value = token.lexeme.slice(1, -1).replaceAll("''", "'");
  }
  return { tokens };
});

point("a comma behind the last argument", Lexer.prototype, "lex", function (theirs) {
  const { tokens } = theirs();
  const stray = tokens.some(({ type }, at) => type === TokenType.COMMA && tokens[at + 1].type === TokenType.RIGHT_PAREN);
  return stray ? fail("a comma behind the last argument") : { tokens };
});

point("a `*` in front of an operator", Lexer.prototype, "lex", function (theirs) {
  const { tokens } = theirs();
  const isOperand = (at) => tokens[at - 1]?.type === TokenType.LEFT_BRACKET && tokens[at + 1].type !== TokenType.RIGHT_BRACKET;
  const text = (token) => [
    { ...token, type: TokenType.LEFT_PAREN },
    { ...token, type: TokenType.STRING, value: "*" },
    { ...token, type: TokenType.RIGHT_PAREN },
  ];
  return { tokens: tokens.flatMap((token, at) => (token.type === TokenType.STAR && isOperand(at) ? text(token) : [token])) };
});
