/**
 * Reads an event stream byte for byte, by a grammar much stricter than the standard's: only the bytes
 * that PROTOCOL.md promises. What a browser would shrug off, a CR or a stray field, fails here.
 */

import assert from 'node:assert/strict';
import http from 'node:http';

/** @typedef {{comment: string} | {retry: string} | {type: string, id: string | null, data: string}} Block */

const COMMENT = /^:([^\r\n]*)$/;
const RETRY = /^retry: (\d+)$/;
const EVENT = /^event: ([^\r\n]+)\n(?:id: ([^\r\n]+)\n)?(data: [^\r\n]*(?:\ndata: [^\r\n]*)*)$/;

/** @param {Buffer} bytes  whole blocks only @returns {Block[]} */
export function parse(bytes) {
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  if (text === '') return [];
  assert.ok(text.endsWith('\n\n'), `ends in the middle of a block: ${JSON.stringify(text.slice(-80))}`);
  return text.slice(0, -2).split('\n\n').map((block) => {
    const comment = COMMENT.exec(block);
    if (comment) return { comment: comment[1] };
    const retry = RETRY.exec(block);
    if (retry) return { retry: retry[1] };
    const event = EVENT.exec(block);
    assert.ok(event, `no block of ours: ${JSON.stringify(block)}`);
    const [, type, id = null, data] = event;
    return { type, id, data: data.split('\n').map((line) => line.slice('data: '.length)).join('\n') };
  });
}

/** The events as an EventSource hands them out: the last id stays until another comes. */
export function asEventSource(blocks) {
  let lastEventId = '';
  return blocks.filter((block) => block.type).map(({ type, id, data }) => {
    lastEventId = id ?? lastEventId;
    return { type, data, id: lastEventId };
  });
}

/** Follows a stream over a plain socket and keeps every byte. */
export async function followRaw(url, headers = {}) {
  const agent = new http.Agent({ keepAlive: true }); // else it would ask for `Connection: close`
  const request = http.get(url, { headers, agent });
  const response = await new Promise((resolve, reject) => request.once('response', resolve).once('error', reject));
  const chunks = [];
  response.on('data', (chunk) => chunks.push(chunk));
  const ended = new Promise((resolve) => response.once('close', () => resolve(response.complete)));
  ended.then(() => agent.destroy());
  response.on('error', () => {}); // `ended` tells
  const bytes = () => Buffer.concat(chunks);
  return {
    status: response.statusCode,
    headers: response.headers,
    bytes,
    /** The whole blocks so far. */
    blocks: () => parse(bytes().subarray(0, bytes().lastIndexOf('\n\n') + (bytes().includes('\n\n') ? 2 : 1))),
    /** Whether the response came to its proper end, once it has ended. */
    ended,
    close() {
      request.destroy();
      agent.destroy();
    },
  };
}
