// JSON as the runner's reader takes it, which is more than JSON; as far as the comparison needs it.
import { data } from "@actions/expressions";

/** What is blank in .NET, for a class of letters; JavaScript counts U+FEFF too, and not U+0085. */
export const BLANKS = String.raw`\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000`;

const BLANK = new RegExp(`[${BLANKS}]*`, "y");
const TEXT = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/suy;
const NAME = /[\p{L}\p{Nd}_$]+/uy;
const WORD = new RegExp(String.raw`(?:null|undefined|true|false|NaN|-?Infinity)(?=[${BLANKS},\]}]|$)`, "y");
const NUMBER = new RegExp(String.raw`[-.\d][-+.\da-fA-FxX]*(?=[${BLANKS},\]})/]|$)`, "y");

const WORDS = {
  null: () => new data.Null(),
  undefined: () => new data.StringData(""),
  true: () => new data.BooleanData(true),
  false: () => new data.BooleanData(false),
  NaN: () => new data.NumberData(NaN),
  Infinity: () => new data.NumberData(Infinity),
  "-Infinity": () => new data.NumberData(-Infinity),
};

/** The first value; whatever stands behind it is never read. */
export function read(text) {
  let at = 0;

  function take(pattern) {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    at += found?.length ?? 0;
    return found;
  }

  function is(sign) {
    take(BLANK);
    return text[at] === sign;
  }

  function takes(sign) {
    const found = is(sign);
    at += found ? 1 : 0;
    return found;
  }

  function value() {
    if (is(",")) return new data.StringData("");
    if (takes("[")) return new data.Array(...items());
    if (takes("{")) return new data.Dictionary(...Array.from(pairs(), ([key, value]) => ({ key, value })));
    const quoted = take(TEXT);
    if (quoted) return new data.StringData(unquoted(quoted));
    const word = take(WORD);
    return word ? WORDS[word]() : new data.NumberData(number(take(NUMBER) ?? ""));
  }

  function items() {
    const items = [];
    while (!takes("]")) {
      items.push(value());
      if (!takes(",") && !is("]")) throw new Error("no array");
    }
    return items;
  }

  function pairs() {
    const pairs = new Map();
    while (!takes("}")) {
      const quoted = take(TEXT);
      const key = quoted ? unquoted(quoted) : take(NAME);
      if (key === undefined || !takes(":")) throw new Error("no key");
      pairs.set(key, value());
      if (!takes(",") && !is("}")) throw new Error("no object");
    }
    return pairs;
  }

  return value();
}

function number(text) {
  if (/^0x[\da-f]+$/i.test(text)) return whole(text);
  if (/^0[0-7]+$/.test(text)) return whole(`0o${text}`);
  const number = /^0[^.e]/i.test(text) || text === "" ? NaN : Number(text);
  if (Number.isNaN(number)) throw new Error("no number");
  return number;
}

function whole(text) {
  if (BigInt(text) >= 1n << 64n) throw new Error("too large a number");
  return Number(BigInt.asIntN(64, BigInt(text)));
}

function unquoted(text) {
  const escapes = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", '"': '"', "'": "'", "\\": "\\", "/": "/" };
  return text.slice(1, -1).replace(/\\(u[\da-fA-F]{4}|.)/gsu, (_, escape) => {
    if (escape.length > 1) return String.fromCharCode(parseInt(escape.slice(1), 16));
    if (!escapes[escape]) throw new Error("no escape");
    return escapes[escape];
  });
}
