#!/usr/bin/env node
// The line protocol of the conformance suite: one JSON object a line on the standard input, one on the standard output.

import { createInterface } from "node:readline";
import { Refusal, canonical, decode, digest } from "./messages.mjs";
import { build, channel, filters, matches, parseTopic } from "./topics.mjs";

const JSON_TYPE = "application/json";
const WRITABLE = { 1: [JSON_TYPE], 2: [JSON_TYPE, "application/vnd.msgpack", "application/protobuf"] };
const payloadOf = (asked) => Buffer.from(asked.payload_base64, "base64");

const ANSWERS = {
  describe: () => ({ name: "allye-javascript", ops: Object.keys(ANSWERS), versions: [1], content_types: [JSON_TYPE] }),
  decode: (asked) => ({ message: canonical(decode(payloadOf(asked), asked.kind, asked.content_type)) }),
  encode(asked) {
    const payload = Buffer.from(JSON.stringify(asked.message));
    decode(payload, asked.kind, JSON_TYPE); // nothing is written that a peer would refuse
    return { payload_base64: payload.toString("base64") };
  },
  digest: (asked) => ({ digest: digest(decode(payloadOf(asked), "schedule", asked.content_type)) }),
  "topic.build": (asked) => ({ topic: build(asked.device_id, asked.channel, asked.root) }),
  "topic.parse": (asked) => parseTopic(asked.topic, asked.root),
  "topic.match": (asked) => ({ matches: matches(asked.filter, asked.topic) }),
  "topic.filters": (asked) => ({ filters: filters(asked) }),
  "topic.channel": (asked) => channel(asked.channel),
  negotiate: ({ ours, theirs }) => agree(ours, theirs ?? { versions: [1], content_types: [JSON_TYPE] }),
};

function agree(ours, theirs) {
  const version = Math.max(...ours.versions.filter((known) => theirs.versions.includes(known)));
  if (version === -Infinity) {
    const isOld = Math.max(...theirs.versions) < Math.min(...ours.versions);
    throw Object.assign(new Refusal("version.unsupported"), { upgrade: isOld ? "peer" : "this_side" });
  }
  const offered = theirs.content_types.map((type) => type.split(";")[0].trim().toLowerCase());
  const chosen = ours.content_types.find((type) => offered.includes(type) && WRITABLE[version]?.includes(type));
  if (!chosen) throw new Refusal("version.no_common_encoding");
  return { version, content_type: chosen };
}

function answer({ id, op, ...asked }) {
  if (!Object.hasOwn(ANSWERS, op)) return { id, unsupported: op };
  try {
    return { id, ok: ANSWERS[op](asked) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { id, error: { code: error.code, path: error.path, message: error.message, upgrade: error.upgrade } };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(answer(JSON.parse(line)))}\n`);
}
