// Validates documents with ajv for the benchmark beside it. It reads a line of
// JSON {schema, corpus: [{pointer, docs: [text]}]} first, answers with which
// documents are valid, and then measures one round for each line "run MS":
// nanoseconds of CPU time for one pass over all documents, JSON.parse included.
import { createInterface } from "node:readline";
import Ajv2020 from "ajv/dist/2020.js";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { schema, corpus } = JSON.parse((await lines.next()).value);
const ajv = new Ajv2020({ strict: false, validateFormats: false, logger: false, inlineRefs: true });
ajv.addSchema({ $id: "https://bench.example/api.json", ...schema });
const work = [];
const verdicts = [];
for (const { pointer, docs } of corpus) {
  let check;
  try {
    check = ajv.compile({ $ref: "https://bench.example/api.json#" + encodeURI(pointer) });
  } catch (e) {
    docs.forEach(() => verdicts.push("uncompiled: " + e.message));
    continue;
  }
  for (const text of docs) {
    verdicts.push(check(JSON.parse(text)) ? "valid" : "invalid: " + JSON.stringify(check.errors?.[0]));
    work.push({ check, text });
  }
}
process.stdout.write(JSON.stringify(verdicts) + "\n");

let left = work;
const pass = () => {
  for (const w of left) if (!w.check(JSON.parse(w.text))) throw new Error("invalid: " + w.text.slice(0, 200));
};
for await (const line of lines) {
  const [verb, arg] = line.split(" ", 2);
  if (verb === "keep") {
    const numbers = new Set(JSON.parse(arg));
    left = work.filter((_, i) => numbers.has(i));
    for (let i = 0; i < 20; i++) pass(); // let the compiler of Node see it
    process.stdout.write("0\n");
    continue;
  }
  const cpu = () => { const { user, system } = process.cpuUsage(); return (user + system) * 1000; };
  const start = cpu();
  let n = 0, used;
  do {
    pass();
    n++;
    used = cpu() - start;
  } while (used < arg * 1e6);
  process.stdout.write(used / n + "\n");
}
