// Takes out of GitHub's description of its API the operations that are named, with all that they refer to, as it is.
// The whole of it takes a server half a minute to read.
//
// node prune.mjs DESCRIPTION "GET /user" "POST /repos/{owner}/{repo}/pulls" … >PRUNED
import { readFileSync } from 'node:fs';

const [file, ...operations] = process.argv.slice(2);
const description = JSON.parse(readFileSync(file, 'utf8'));

const paths = {};
for (const operation of operations) {
  const [method, path] = operation.split(' ');
  const found = description.paths[path]?.[method.toLowerCase()];
  if (!found) throw new Error(`GitHub describes no ${operation}`);
  for (const response of Object.values(found.responses)) {
    // Its example of a link leads to a second page elsewhere.
    delete response.headers?.Link;
    // What to ask for: https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api#media-types
    const json = response.content?.['application/json'];
    if (json) response.content['application/vnd.github+json'] = json;
  }
  (paths[path] ??= {})[method.toLowerCase()] = found;
}

const components = {};
const keepReferred = (value) => {
  if (value === null || typeof value !== 'object') return;
  const [, kind, name] = /^#\/components\/([^/]+)\/(.+)$/.exec(value.$ref ?? '') ?? [];
  if (kind && !components[kind]?.[name]) {
    (components[kind] ??= {})[name] = description.components[kind][name];
    keepReferred(components[kind][name]);
  }
  Object.values(value).forEach(keepReferred);
};
keepReferred(paths);

const { openapi, info, servers } = description;
process.stdout.write(JSON.stringify({ openapi, info, servers, paths, components }));
