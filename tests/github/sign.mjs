// Every example that GitHub gives of a webhook's payload, signed as GitHub does, one in each line.
//
// node sign.mjs SECRET >DELIVERIES
import { createRequire } from 'node:module';
import { sign } from '@octokit/webhooks-methods';

const examples = createRequire(import.meta.url)('@octokit/webhooks-examples/api.github.com/index.json');

const [secret] = process.argv.slice(2);
let number = 0;
for (const { name, examples: payloads } of examples) {
  for (const payload of payloads) {
    const body = JSON.stringify(payload);
    const delivery = `delivery-${(number += 1)}`;
    process.stdout.write(`${JSON.stringify({ event: name, delivery, signature: await sign(secret, body), body })}\n`);
  }
}
